"""What pools and strides make of a photograph that moves: how many outputs change, by how much, and how it looks."""

from __future__ import annotations

import base64
import binascii
import reprlib

import numpy as np
import pandas as pd

from reports.benchmarks import BenchmarkError, Benchmarks
from reports.section import Table, listed, times
from reports.sentences import plural
from reports.steps import VARIANTS

INPUT = "input"
LARGEST = 1024  # pixels along a side of a picture


def translation(found: Benchmarks) -> pd.DataFrame:
    """Read the table translation. Raises BenchmarkError for another's table."""
    numbers = ("F", "S", "shift", "outputs", "changed_fraction", "relative_change", "predicted")
    lines = found.table("translation", ("variant", "filter", "implementation"), numbers)
    for name in ("holds", "damped"):
        lines[name] = [each if isinstance(each, bool) else None for each in lines[name]] if name in lines else None
    return lines


def pictures(found: Benchmarks) -> pd.DataFrame:
    """Read the table feature_maps, its pixels as arrays from 0 to 1. Raises BenchmarkError for another's table."""
    texts, numbers = (
        ("variant", "filter", "pixels", "implementation"),
        ("F", "S", "shift", "height", "width", "low", "high"),
    )
    lines = found.table("feature_maps", texts, numbers)
    images = []
    for line in lines.itertuples():
        try:
            grey = np.frombuffer(base64.b64decode(line.pixels, validate=True), np.uint8)
            if not 1 <= min(line.height, line.width) <= max(line.height, line.width) <= LARGEST:
                raise ValueError(f"{line.height:g} by {line.width:g} pixels")
            images.append(grey.reshape(int(line.height), int(line.width)))
        except (binascii.Error, ValueError) as error:
            what = reprlib.repr(str(error))
            raise BenchmarkError(
                f"{found.path}: a picture of the experiment feature_maps is broken ({what})"
            ) from error
    return lines.assign(image=pd.Series(images, index=lines.index, dtype=object))


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
        said.append(f"What was predicted before the measurement came true in {int(holds.sum())} of {len(holds)}{but}.")
    return said


def pictured(pictures: pd.DataFrame) -> list[str]:
    """Say what the pictures show: the mean difference of each variant, in units of the range of its map."""
    said = []
    outputs = pictures[pictures["variant"] != INPUT]
    for variant, its in _by_variant(outputs):
        images = its.drop_duplicates("shift").sort_values("shift")["image"].tolist()
        if len(images) > 1 and images[0].shape == images[-1].shape:
            change = float(abs(images[-1].astype(float) - images[0].astype(float)).mean()) / 255
            said.append(f"{100 * change:.1f} % with {VARIANTS.get(variant, variant)}")
    return [f"The maps differ, in the mean and in units of their range, by {listed(said)}."] if said else []


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
        rows.append([
            variant, name, f"{F:g}", f"{S:g}", f"{shift:g}", f"{100 * its['changed_fraction'].mean():.1f} %",
            f"{100 * its['predicted'].mean():.1f} %", times(its["relative_change"].mean()),
            f"{int(holds.sum())} of {len(holds)}" if len(holds) else "",
        ])  # fmt: skip
    return Table(head, rows, 2)


def _by_variant(lines: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    known = [name for name in VARIANTS if name in {*lines["variant"]}]
    others = sorted({*lines["variant"]} - {*known})
    return [(name, lines[lines["variant"] == name]) for name in [*known, *others]]
