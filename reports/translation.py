"""What pools and strides make of a photograph that moves: how many outputs change, by how much, and how it looks."""

from __future__ import annotations

import base64
import binascii
import math
import reprlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.benchmarks import BenchmarkError, Benchmarks
from reports.section import Table, listed, times
from reports.sentences import plural
from reports.steps import POOLED, STRIDED, TWO, VARIANTS

INPUT = "input"
COINCIDENCE = 0.01  # of outputs may stay although some pixel of their field changes
ROUNDED = 1e-6  # of fractions in the file
LARGEST = 1024  # pixels along a side of a picture


def translation(found: Benchmarks) -> pd.DataFrame:
    """Read the table translation. Raises BenchmarkError for another's table.

    `holds` and `damped` follow from its fractions; `told` names of each row what the file says otherwise.
    """
    numbers = ("F", "S", "shift", "outputs", "changed_fraction", "relative_change", "predicted")
    lines = found.table("translation", ("variant", "filter", "implementation"), numbers)
    differing = lines["differing"] if "differing" in lines else pd.Series(1.0, lines.index)
    lines["differing"] = pd.to_numeric(differing, errors="coerce")
    keys = ["filter", "implementation", "F", "S", "shift"]
    alone = lines[lines["variant"] == STRIDED].drop_duplicates(keys).set_index(keys)["relative_change"]
    followed = {"holds": [_holds(each) for each in lines.itertuples()],
                "damped": [_damped(each, alone) for each in lines.itertuples()]}  # fmt: skip
    told: list[set[str]] = [set() for _ in range(len(lines))]
    for name, values in followed.items():
        stored = lines[name] if name in lines else [None] * len(lines)
        for row, (now, then) in enumerate(zip(values, stored, strict=True)):
            if isinstance(then, bool) and then != now:
                told[row].add(name)
    return lines.assign(told=told, **{name: pd.Series(each, lines.index, object) for name, each in followed.items()})


def _holds(line: tuple) -> bool:
    """Tell whether the prediction came true: of a maximum, which is random, to within three standard deviations."""
    predicted, changed = line.predicted, line.changed_fraction
    if predicted == 0 or changed > line.differing + ROUNDED:
        return bool(changed == predicted)
    spread = 3 * math.sqrt(max(predicted * (1 - predicted), 0.0) / max(line.outputs, 1.0))
    return bool(changed >= predicted - (spread if line.variant == POOLED else COINCIDENCE) - ROUNDED)


def _damped(line: tuple, alone: pd.Series) -> bool | None:
    """Tell whether a pool makes the change smaller than a stride alone; None of all else, and of whole strides."""
    stride = alone.get((line.filter, line.implementation, line.F, line.S, line.shift))
    if line.variant in (STRIDED, TWO) or line.shift % line.S == 0 or stride is None:
        return None
    return bool(line.relative_change < stride)


@dataclass(frozen=True)
class Pair:
    """The map of a photograph and that of the moved one, of one variant and filter, in 256 steps of their range."""

    variant: str
    filter: str
    implementation: str
    F: float
    S: float
    shift: float
    still: np.ndarray
    moved: np.ndarray

    @property
    def difference(self) -> np.ndarray | None:
        """How far they differ, cell by cell, or None where they are not of one size."""
        if self.still.shape != self.moved.shape:
            return None
        return abs(self.moved.astype(float) - self.still.astype(float))


def pictures(found: Benchmarks) -> tuple[pd.DataFrame, list[str]]:
    """Read the table feature_maps, its pixels as arrays of 0 to 255, with a line on those that are broken.

    Raises BenchmarkError for another's table, and where no picture is whole.
    """
    texts, numbers = (
        ("variant", "filter", "pixels", "implementation"),
        ("F", "S", "shift", "height", "width", "low", "high"),
    )
    lines = found.table("feature_maps", texts, numbers)
    images, broken = {}, []
    for line in lines.itertuples():
        try:
            grey = np.frombuffer(base64.b64decode(line.pixels, validate=True), np.uint8)
            if not 1 <= min(line.height, line.width) <= max(line.height, line.width) <= LARGEST:
                raise ValueError(f"{line.height:g} by {line.width:g} pixels")
            images[line.Index] = grey.reshape(int(line.height), int(line.width))
        except (binascii.Error, ValueError) as error:
            broken.append(f"{line.variant} at shift {line.shift:g}, {reprlib.repr(str(error))}")
    said = []
    if broken:
        verb = "is" if len(broken) == 1 else "are"
        said = [f"{found.path}: {len(broken)} of {plural(len(lines), 'picture')} of the experiment feature_maps {verb} "
                f"broken, and not drawn ({'; '.join(broken[:2])}{'; ...' if len(broken) > 2 else ''})"]  # fmt: skip
    if broken and not images:
        raise BenchmarkError(said[0])
    whole = lines.loc[[*images]]
    return whole.assign(image=pd.Series(images, index=whole.index, dtype=object)), said


def pairs(pictures: pd.DataFrame) -> list[Pair]:
    """Return the maps that can be compared: as it is, and moved the farthest."""
    found = []
    outputs = pictures[pictures["variant"] != INPUT]
    for _, its in _by_variant(outputs):
        for (variant, name, who, F, S), of in its.groupby(
            ["variant", "filter", "implementation", "F", "S"], sort=False
        ):
            of = of.drop_duplicates("shift").set_index("shift")["image"]
            moved = max(of.index)
            if moved > 0 and 0 in of.index:
                found.append(Pair(variant, name, who, F, S, moved, of[0], of[moved]))
    return found


def caption(lines: pd.DataFrame) -> list[str]:
    """Say what the figure shows: what a shift changes in each variant, and whether that was expected."""
    said = []
    ragged = lines[lines["shift"] % lines["S"] != 0]
    whole = lines.drop(ragged.index)
    if len(whole):
        changed = int((whole["changed_fraction"] > 0).sum())
        what = "nothing in any" if not changed else f"something in {changed}"
        said.append(f"A shift by whole strides changes {what} of {plural(len(whole), 'measurement')}.")
    shares, sizes = [], []
    for variant, its in _by_variant(ragged):
        name = VARIANTS.get(variant, variant)
        shares.append(f"{100 * its['changed_fraction'].mean():.0f} % with {name}")
        sizes.append(f"{times(its['relative_change'].mean())} with {name}")
    if shares:
        said.append(f"Of the outputs, any other shift changes in the mean {listed(shares)}.")
        said.append(f"By how much, in units of the outputs (root mean square): {listed(sizes)}.")
    damped = ragged["damped"].dropna()
    if len(damped):
        said.append(
            f"A pool makes the change smaller than a stride alone in {int(damped.sum())} of "
            f"{plural(len(damped), 'comparison')}."
        )
    holds = lines["holds"].dropna()
    if len(holds):
        failed = lines.loc[holds.index[~holds.astype(bool)]]
        which = [f"{each.variant}, {each.filter}, F {each.F:g}, S {each.S:g}, shift {each.shift:g}"
                 for each in failed.head(3).itertuples()]  # fmt: skip
        but = f", not with {'; '.join(which)}" + (", ..." if len(failed) > 3 else "") if which else ""
        said.append(
            "It was predicted beforehand that every sum changes in whose field a pixel is another one, to one in a "
            "hundred; of the maxima, where r pixels of a stride are left over, at least 2r / (S + r) of those. That "
            f"came true in {int(holds.sum())} of {len(holds)}{but}."
        )
    otherwise = [f"{plural(count, word)}" for name, word in (("holds", "prediction"), ("damped", "comparison"))
                 if (count := sum(name in told for told in lines["told"]))]  # fmt: skip
    if otherwise:
        said.append(f"The file says otherwise of {listed(otherwise)} than follows from its fractions, as told here.")
    return said


def pictured(found: list[Pair]) -> list[str]:
    """Say what the pictures show: the mean difference of each variant, in units of the range of its map."""
    said = [
        f"{100 * each.difference.mean() / 255:.1f} % with {VARIANTS.get(each.variant, each.variant)}"
        for each in found if each.difference is not None
    ]  # fmt: skip
    return [f"The maps differ, in the mean and in units of their range, by {listed(said)}."] if said else []


def pictures_table(found: list[Pair]) -> Table:
    """Return how far both maps differ, for each variant and filter, in units of the range that they share."""
    head = ("variant", "filter", "implementation", "F", "S", "shift", "cells", "mean absolute difference",
            "largest difference", "cells that differ")  # fmt: skip
    rows = []
    for each in found:
        cells = [each.variant, each.filter, each.implementation, f"{each.F:g}", f"{each.S:g}", f"{each.shift:g}"]
        size, difference = "x".join(map(str, each.still.shape)), each.difference
        if difference is None:
            rows.append([*cells, size, "", "", ""])
            continue
        mean, most = (f"{100 * number / 255:.1f} %" for number in (difference.mean(), difference.max()))
        rows.append([*cells, size, mean, most, f"{100 * (difference > 0).mean():.1f} %"])
    return Table(head, rows, 3)


def table(lines: pd.DataFrame) -> Table:
    """Return the mean over filters, for each variant, window, stride and shift."""
    head = (
        "variant",
        "implementation",
        "F",
        "S",
        "shift",
        "outputs changed",
        "predicted",
        "relative change",
        "came true",
    )
    rows = []
    keys = ["variant", "implementation", "F", "S", "shift"]
    for (variant, name, F, S, shift), its in lines.groupby(keys, sort=False):
        holds = its["holds"].dropna()
        least = "at least " if variant == "A" else ""
        rows.append([
            variant, name, f"{F:g}", f"{S:g}", f"{shift:g}", f"{100 * its['changed_fraction'].mean():.1f} %",
            f"{least}{100 * its['predicted'].mean():.1f} %", times(its["relative_change"].mean()),
            f"{int(holds.sum())} of {len(holds)}" if len(holds) else "",
        ])  # fmt: skip
    return Table(head, rows, 2)


def _by_variant(lines: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    known = [name for name in VARIANTS if name in {*lines["variant"]}]
    others = sorted({*lines["variant"]} - {*known})
    return [(name, lines[lines["variant"] == name]) for name in [*known, *others]]
