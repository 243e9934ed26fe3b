"""Claims on time: operations are counted, and what was timed is read from the sample of measurements kept in git."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from properties.evidence.counts import CONV1
from properties.evidence.finding import Finding, decides
from properties.evidence.kernels import Kernels
from properties.worked import layer
from reports.stats import noise_floor

SAMPLE = Path(__file__).parents[2] / "reports" / "samples" / "bench.json"
CLOSE = 1.1  # times as long: what is closer is not told apart, however still the machine
POOLED = {"max": "A", "average": "A-average", "L2": "A-l2"}  # bench/steps.py has these steps of a network, B and C

Row = dict[str, Any]


@cache
def content() -> Row:
    """Read the sample."""
    found: Row = json.loads(SAMPLE.read_text(encoding="utf-8"))
    return found


def sampled() -> dict[str, list[Row]]:
    """Give the tables of the experiments by name."""
    tables: dict[str, list[Row]] = content()["poolproof"]["experiments"]
    return tables


def pairs() -> list[float]:
    """Give the ratio of both medians of each A/A pair: of identical code that was measured twice in the sample."""
    medians: dict[str, dict[tuple[str, ...], float]] = {"layer": {}, "again": {}}
    for info in (entry["extra_info"] for entry in content()["benchmarks"]):
        if info["kind"] in medians:
            key = info["layer"], info["operation"], info["implementation"]
            medians[info["kind"]][key] = median(info["cpu_seconds"])
    return [seconds / medians["layer"][key] for key, seconds in medians["again"].items()]


def told_apart(cells: int) -> float:
    """Give how many times as long one must take as another to be told apart from noise, where so many are looked at.

    It is what identical code differs by in the sample, with a chance of 5 % in any of the cells, and at least a tenth.
    """
    floor = noise_floor(pairs(), comparisons=cells)
    return max(CLOSE, floor.factor) if floor else CLOSE


def table(name: str) -> list[Row]:
    """Give the rows of an experiment."""
    return sampled()[name]


def timed(variant: str) -> dict[str, float]:
    """Give the seconds that a variant of the step took in each cell: by implementation, F and S, told in words."""
    rows = [row for row in table("pool_or_stride") if row["variant"] == variant]
    return {f"{row['implementation']}, F={row['F']}, S={row['S']}": row["cpu_seconds"] for row in rows}


def share(cells: Sequence[bool]) -> str:
    """Say in how many cells something is so, in a word that outlives the next recording."""
    return "in all" if all(cells) else "in some" if any(cells) else "in none"


def against_convolution(finding: Finding, *strides: int) -> dict[str, dict[str, list[bool]]]:
    """Enter the cells in which a pool came sooner, or later, to an end than a convolution of its stride.

    A is a convolution with a pool of S x S behind it, B the same one with a convolution at stride S behind it, from the
    same image to as many outputs: whatever tells them apart in time is the pool and the second convolution. Gives, by
    pool, whether the step with it is longer, and whether it is shorter, in each cell in which both were timed. Where
    neither is so, noise may hide it: such a cell is not within the condition, that they can be told apart.
    """
    second = timed("B")
    cells = [
        (pool, cell, seconds)
        for pool, variant in POOLED.items()
        for cell, seconds in timed(variant).items()
        if cell in second and cell.endswith(tuple(f"S={S}" for S in strides))
    ]
    factor = told_apart(len(cells))
    found: dict[str, dict[str, list[bool]]] = {pool: {"longer": [], "shorter": []} for pool in POOLED}
    for pool, cell, seconds in cells:
        longer, shorter = seconds > factor * second[cell], second[cell] > factor * seconds
        told = f"{cell}, {pool} pooling: {1000 * seconds:.2f} ms and {1000 * second[cell]:.2f} ms"
        finding.see(shorter, told, within=longer or shorter)
        found[pool]["longer"].append(longer)
        found[pool]["shorter"].append(shorter)
    finding.figure(f"{100 * (factor - 1):.0f} % with {len(cells)} cells to look at")
    return found


def tell(finding: Finding, found: dict[str, dict[str, list[bool]]]) -> None:
    """Enter in how many cells the step with each pool is longer, and in how many it is shorter."""
    for words, pool in (("the step with max pooling", "max"), ("that with average pooling", "average")):
        longer, shorter = (share(found[pool][which]) for which in ("longer", "shorter"))
        finding.figure(f"{words} is longer {longer} of the sample's cells and shorter {shorter}")


@decides("pooling-cheaper-than-convolution")
def pool_cheaper(k: Kernels) -> Finding:
    """Time a pool against a convolution of its stride, behind the same layer; and count what both have to calculate."""
    finding = Finding()
    tell(finding, against_convolution(finding, 2, 4))
    for W, C, F, S in product((5, 8, 56), (1, 2, 3, 64), (1, 2, 3), (1, 2, 3)):
        convolution, pool = (layer(W, C, F=F, S=S, P=F // 2, K=K) for K in (C, 0))
        assert (pool.macs < convolution.macs) == (C > 1)
    convolution, pool = (layer(56, 64, F=3, S=2, P=1, K=K) for K in (64, 0))
    finding.figure(f"looks at {pool.macs:,} cells", f"{convolution.macs:,} multiply-adds")
    finding.figure(f"{convolution.macs // pool.macs} times as many")
    finding.given("56x56x64, F = 3, S = 2")
    return finding


@decides("pooling-cheaper-than-a-second-convolution")
def second_convolution(k: Kernels) -> Finding:
    """Time, behind the same convolution at stride 1, a pooling by 2 against a convolution at stride 2; and count."""
    finding = Finding()
    tell(finding, against_convolution(finding, 2))
    for C, F, S in product((1, 2, 3, 64), (1, 3, 5), (2, 3, 4)):
        pooled, strided = layer(12, C, F=S, S=S, K=0), layer(12, C, F=F, S=S, P=F // 2, K=C)
        assert pooled.y_shape == strided.y_shape  # the same volume comes out
        assert (pooled.macs < strided.macs) == (S * S < C * F * F)
    dense, strided = (layer(56, 64, F=3, S=S, P=1, K=64).macs for S in (1, 2))
    finding.figure(layer(56, 64, F=2, S=2, K=0).macs, strided, dense)
    finding.given("a convolution at stride 1, pooling", "a second convolution at stride 2")
    finding.given("56x56x64, with pooling by 2 and F = 3")
    return finding


@decides("stride-cheaper-than-pooling-after-stride-1")
def stride_cheaper(k: Kernels) -> Finding:
    """Compare a convolution at stride 2 with one at stride 1 and a pooling by 2, in work and in time.

    Less time is less by more than noise.
    """
    finding = Finding()
    for W, C, F in product(range(2, 13), (1, 3, 64), (1, 3, 5)):
        dense, strided = (layer(W, C, F=F, S=S, P=F // 2, K=4) for S in (1, 2))
        pool = layer(W, 4, F=2, S=2, K=0)
        work = strided.macs, dense.macs + pool.macs
        finding.see(work[0] < work[1], f"{strided}: {work[0]} and {work[1]}", within=True)
    alone = {cell: seconds for cell, seconds in timed("C").items() if cell.endswith("S=2")}
    factor = told_apart(len(POOLED) * len(alone))
    for name, variant in POOLED.items():
        pooled = timed(variant)
        for cell, seconds in alone.items():
            part = f"{cell}, {name}: {seconds / pooled[cell]:.2f} of the time"
            finding.see(factor * seconds < pooled[cell], part, within=True)
    dense, strided = (layer(56, 64, F=3, S=S, P=1, K=64).macs for S in (1, 2))
    finding.figure(dense, layer(56, 64, F=2, S=2, K=0).macs, strided)
    finding.given("56x56x64", "at stride 2 is faster than one at stride 1 with pooling by 2")
    return finding


@decides("stride-2-is-a-quarter")
def quarter(k: Kernels) -> Finding:
    """Count the multiply-adds at stride 1 and at stride 2."""
    finding = Finding()
    for W, F, P in product(range(1, 13), (1, 2, 3, 5), (0, 1, 2)):
        if F <= W + 2 * P:
            dense, strided = (layer(W, 3, F=F, S=S, P=P, K=4) for S in (1, 2))
            told = f"{strided}: {strided.macs} of {dense.macs}"
            finding.see(4 * strided.macs == dense.macs, told, within=dense.horizontal.out % 2 == 0)
    places = [layer(7, 1, F=1, S=S).macs for S in (1, 2)]
    finding.figure(f"of 7x7 places {places[1]} of {places[0]}")
    finding.given("At stride 1 there are four times as many convolutions as at stride 2")
    finding.given("if stride 1 leaves an even height", "Of an odd size stride 2 keeps more")
    return finding


STRIDED = [CONV1, layer(56, 64, F=3, P=1, K=64), layer(7, 1, F=3), layer(7, 1, F=3, S=3), layer(5, 1, F=5)]


@decides("larger-stride-less-work")
def less_work(k: Kernels) -> Finding:
    """Compare the multiply-adds of a layer with those at one stride more; and the time at strides 2 and 4."""
    finding = Finding()
    for g in STRIDED:
        axis = replace(g.horizontal, stride=g.horizontal.stride + 1)
        more = replace(g, vertical=axis, horizontal=axis)
        finding.see(more.macs < g.macs, f"{g}: {g.macs}, then {more.macs}", within=axis.out < g.horizontal.out)
    seconds = {(row["implementation"], row["S"]): row["cpu_seconds"] for row in table("stride")}
    implementations = [name for name, S in seconds if S == 4]
    factor = told_apart(len(implementations))
    for who in implementations:
        part = seconds[who, 4] / seconds[who, 2]
        finding.see(factor * part < 1, f"{who}: {part:.2f} of the time at S=4", within=True)
    dense = layer(227, 3, F=11, K=96)
    finding.figure(f"{dense.macs:,} multiply-adds at stride 1, {dense.macs / CONV1.macs:.1f} times as many")
    finding.figure(f"the {CONV1.macs:,} at stride 4")
    finding.given("From stride 3 to 4, 7 cells under F = 3", "less time for it at stride 4 than at stride 2")
    return finding
