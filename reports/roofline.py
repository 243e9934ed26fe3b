"""The roofline: what each layer reaches of what this machine can, by its matrix product and its memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from oracles.case import FORWARD
from reports.benchmarks import Benchmarks
from reports.entries import CPU
from reports.section import Table, listed, size, three
from reports.sentences import plural


@dataclass(frozen=True)
class Roof:
    """The fastest matrix product in operations a second, and copies in bytes a second, the largest being memory."""

    peak: float
    product: str
    bandwidths: tuple[tuple[str, float], ...]  # the largest copy first
    points: pd.DataFrame  # timings of forward layers with intensity, rate and share of the roof

    def at(self, intensity: float) -> float:
        """Return the operations a second that memory and arithmetic allow."""
        return min(self.peak, intensity * self.bandwidths[0][1])

    @property
    def ridge(self) -> float:
        """The operations for each byte from which on memory is no longer the limit."""
        return self.peak / self.bandwidths[0][1]

    @property
    def sides(self) -> tuple[float, float]:
        """The operations for each byte from which and to which the figure reaches."""
        intensity = self.points["intensity"]
        return min(intensity.min(), self.ridge) / 2, max(intensity.max(), self.ridge) * 2

    @property
    def floor(self) -> float:
        """The rate down to which the axis reaches: a few that are slower by far would flatten all the others."""
        rate = self.points["rate"]
        return max(rate.min() / 2, min(self.at(self.sides[0]), rate.median()) / 300)

    @property
    def below(self) -> pd.DataFrame:
        """The points that lie below the axis, and stand under it with an arrow."""
        return self.points[self.points["rate"] < self.floor]


def roofline(found: Benchmarks) -> Roof | None:
    """Hold every forward layer on a CPU below the roof; None where the file lacks a product or a copy."""
    lines = found.of("roofline")
    lines = lines[lines["device"] == CPU]
    products = lines[(lines["operation"] == "matmul") & (lines["flops"] > 0)]
    copies = lines[(lines["operation"] == "copy") & (lines["bytes"] > 0)].sort_values("bytes", ascending=False)
    if not len(products) or not len(copies):
        return None
    rates = products["flops"] / products["seconds"]
    bandwidths = tuple(zip(copies["layer"], (copies["bytes"] / copies["seconds"]).tolist(), strict=True))
    layers = found.of("layer")
    layers = layers[(layers["device"] == CPU) & layers["operation"].isin(FORWARD)]
    layers = layers[(layers["flops"] > 0) & (layers["bytes"] > 0)]
    roof = Roof(float(rates.max()), str(products["layer"][rates.idxmax()]), bandwidths, layers)
    intensity = layers["flops"] / layers["bytes"]
    rate = layers["flops"] / layers["seconds"]
    share = rate / [roof.at(each) for each in intensity]
    return Roof(roof.peak, roof.product, bandwidths, layers.assign(intensity=intensity, rate=rate, share=share))


def caption(roof: Roof) -> list[str]:
    """Say what the figure shows: the roof, and what each implementation reaches of it."""
    name, bandwidth = roof.bandwidths[0]
    said = [
        f"NumPy multiplies matrices here at {three(roof.peak / 1e9)} GFLOP/s ({roof.product}) and copies at "
        f"{size(bandwidth)} a second ({name}): with fewer than {three(roof.ridge)} operations for each "
        "byte, memory is the limit."
    ]
    convolutions = roof.points[roof.points["operation"] == "conv2d"]
    for what, lines in (("convolutions", convolutions), ("pools", roof.points.drop(convolutions.index))):
        shares = []
        for who, its in lines.groupby("who", sort=False):
            least, most = its["share"].min(), its["share"].max()
            extent = f" ({_percent(least)} to {_percent(most)})" if len(its) > 1 else ""
            shares.append(f"{who} {_percent(its['share'].median())}{extent}")
        if shares:
            said.append(f"Of the roof, {what} reach in the median: {listed(shares)}.")
    if beyond := sorted({*roof.points[roof.points["share"] > 1]["who"]}):
        said.append(
            "Above the roof lies what multiplies faster than NumPy, saves operations, as an FFT and Winograd do, or "
            f"finds its data in the cache: {listed(beyond)}."
        )
    if len(below := roof.below):
        counts = below["who"].value_counts(sort=False)
        least, most = _rate(below["rate"].min()), _rate(below["rate"].max())
        whose = listed(f"{name} in {count}" for name, count in counts.items())
        said.append(
            f"↓ {plural(len(below), 'mark')} below the axis, which ends at {_rate(roof.floor)} GFLOP/s: {whose}, "
            f"at {least}{f' to {most}' if most != least else ''}."
        )
    return said


def table(roof: Roof) -> Table:
    """Return every point."""
    head = ("layer", "operation", "implementation", "operations for each byte", "GFLOP/s", "of the roof")
    rows = [
        [line.layer, line.operation, line.who, three(line.intensity), _rate(line.rate), _percent(line.share)]
        for line in roof.points.itertuples()
    ]
    return Table(head, rows, 3)


def _rate(rate: float) -> str:
    """Write operations a second in GFLOP/s to two digits, however few they are."""
    return f"{rate / 1e9:.2g}" if rate < 1e9 else three(rate / 1e9)


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{100 * share:.0f} %" if share >= 0.0095 else f"{100 * share:.2g} %"
