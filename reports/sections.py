"""The sections that are drawn from a benchmark file, each from what the file has of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from reports import (
    memory,
    memory_figures,
    roofline,
    roofline_figures,
    scaling,
    scaling_figures,
    speed,
    speed_figures,
    steps,
    steps_figures,
    strides,
    strides_figures,
    translation,
    translation_figures,
)
from reports.benchmarks import BenchmarkError, Benchmarks, fact
from reports.section import Section, Table, bracketed, listed
from reports.sentences import plural
from reports.stats import Floor

Numbers = Mapping[str, int]  # the number of each implementation: its shape and colour in every figure
DRAWN = ("pool_or_stride", "stride", "translation", "feature_maps")  # experiments that have a figure


@dataclass(frozen=True)
class Measured:
    """What the page shows of a benchmark file."""

    found: Benchmarks
    sections: list[Section]
    absent: list[str]  # what the file has nothing of
    unread: list[str]  # a line for each part that cannot be read
    speeds: dict[str, str] = field(default_factory=dict)  # a line on each implementation
    facts: dict[str, str] = field(default_factory=dict)


def measured(found: Benchmarks, baseline: str, numbers: Numbers) -> Measured:
    """Draw all that a file has; a part that cannot be read is said in a line, and the rest is drawn."""
    held = speed.speed(found, baseline)
    sections: list[Section] = []
    absent: list[str] = []
    unread: list[str] = []
    parts: dict[str, Callable[[], Section | None]] = {
        "layers": lambda: _speed(held),
        "sweeps": lambda: _growth(found, numbers),
        "the roofline": lambda: _roofline(found, numbers),
        "im2col's memory": lambda: _memory(found, numbers),
        "pool or stride": lambda: _steps(found, numbers, held.floor),
        "strides": lambda: _strides(found, numbers),
        "a photograph that moves": lambda: _translation(found),
        "its feature maps": lambda: _maps(found, unread),
    }
    for name, part in parts.items():
        try:
            section = part()
        except BenchmarkError as error:
            unread.append(str(error))
            continue
        if section:
            sections.append(section)
        else:
            absent.append(name)
    sections += [_plain(name, rows) for name, rows in found.experiments.items() if name not in DRAWN and len(rows)]
    return Measured(found, sections, absent, unread, _speeds(held), _facts(found))


def _speed(held: speed.Speed) -> Section | None:
    if not len(held.lines):
        return None
    return Section(
        "speed", "Speed, layer by layer",
        f"How many times as fast as {held.baseline} each implementation is: medians of CPU time on one case of each "
        f"layer, which it was first seen to get right. {held.baseline}'s own column has its times.",
        speed.caption(held), speed_figures.heat_map(held), speed.table(held),
        f"Times as fast as {held.baseline}, for each layer and implementation.",
    )  # fmt: skip


def _growth(found: Benchmarks, numbers: Numbers) -> Section | None:
    growths = scaling.growths(found)
    if not growths:
        return None
    return Section(
        "growth", "How time grows",
        "One size of a small convolution varies, the others stay. Both axes are logarithmic: a power of the size is a "
        "straight line, and its exponent the slope. Fitted exponents stand below, with their 95 % intervals; dots show "
        "how the multiply-adds grow.",
        scaling.caption(growths), scaling_figures.panels(growths, numbers), scaling.table(growths),
        "Time against one size of the layer, with the fitted exponents.",
    )  # fmt: skip


def _roofline(found: Benchmarks, numbers: Numbers) -> Section | None:
    roof = roofline.roofline(found)
    if roof is None or not len(roof.points):
        return None
    return Section(
        "roofline", "What NumPy allows here",
        "Each mark is a layer: filled a convolution, hollow a pool. The roof is what NumPy reaches here in a bare "
        "matrix product and in a bare copy of memory: the limit of all that rests on these two. Dots are copies that "
        "stay in the cache.",
        roofline.caption(roof), roofline_figures.roofline(roof, numbers), roofline.table(roof),
        "Operations a second over operations for each byte, below the roof of NumPy on this machine.",
    )  # fmt: skip


def _memory(found: Benchmarks, numbers: Numbers) -> Section | None:
    lines = memory.memory(found)
    if not len(lines):
        return None
    return Section(
        "memory", "What im2col costs in memory",
        "The textbook stretches every window out into a column, and stores all columns of an image before it "
        "multiplies: that matrix is the open square. The marks are what a first call was measured to allocate, beside "
        "inputs and results; buffers that an implementation then keeps are counted.",
        memory.caption(lines), memory_figures.memory(lines, numbers), memory.table(lines),
        "Bytes of the column matrix and bytes measured, for each layer.",
    )  # fmt: skip


def _steps(found: Benchmarks, numbers: Numbers, floor: Floor | None) -> Section | None:
    held = steps.steps(found, floor)
    if not len(held.lines):
        return None
    noise = [f"Identical code differs by up to {floor.percent:.1f} % in 95 % of repeats."] if floor else []
    return Section(
        "steps", "Pool or stride",
        "The same step of a network, which makes the image S times smaller: a convolution of F x F and then a pool "
        "(A), a convolution and then another at stride S (B), or one convolution at stride S (C).",
        [*steps.caption(held), *noise], steps_figures.times_of_steps(held, numbers), steps.table(held),
        "Time of each variant, for each filter and stride.",
    )  # fmt: skip


def _strides(found: Benchmarks, numbers: Numbers) -> Section | None:
    held = strides.strides(found)
    if not held.growths:
        return None
    return Section(
        "strides", "What a stride saves",
        "AlexNet's first layer at other strides, all axes logarithmic: its time, with the fitted exponents below and "
        "the multiply-adds as dots; the output and its cost; and what an output of one more convolution of 3 x 3 sees "
        "of the image.",
        strides.caption(held), strides_figures.panels(held, numbers), strides.table(held),
        "Time, output size, multiply-adds and receptive field against the stride.",
    )  # fmt: skip


def _translation(found: Benchmarks) -> Section | None:
    lines = translation.translation(found)
    if not len(lines):
        return None
    return Section(
        "translation", "A photograph that moves",
        "A photograph moves sideways by a few pixels; whole strides are undone, and outputs are compared one by one, "
        "in whole numbers. Marks are means over filters, and over sizes where these differ; lines reach from the least "
        "to the greatest.",
        translation.caption(lines), translation_figures.changes(lines), translation.table(lines),
        "Outputs that change, and by how much, against the shift, for each stride and variant.",
    )  # fmt: skip


def _maps(found: Benchmarks, unread: list[str]) -> Section | None:
    pictures, broken = translation.pictures(found)
    unread += broken
    pairs = translation.pairs(pictures)
    if not pairs:
        return None
    first, photographs = pairs[0], pictures[pictures["variant"] == translation.INPUT]["image"].tolist()
    return Section(
        "maps", "How its feature maps look",
        f"One filter ({first.filter}, {first.F:g} x {first.F:g}) at S {first.S:g}: the map of the photograph, the map "
        f"after it has moved by {first.shift:g}, and how far they differ, on a scale that all differences share. The "
        "numbers behind it are of 256 steps, from the least to the greatest of both maps.",
        translation.pictured(pairs), translation_figures.maps(pairs, next(iter(photographs), None)),
        translation.pictures_table(pairs),
        "Feature maps of a photograph and of the moved photograph, and their difference.",
    )  # fmt: skip


def _plain(name: str, rows: pd.DataFrame) -> Section:
    """Show a table of which nothing more is known as it is."""
    words = [[str(each) for each in row] for row in rows.fillna("").itertuples(index=False)]
    title = " ".join(name.split("_"))
    anchor = "table-" + "".join(each if each.isalnum() else "-" for each in name)
    return Section(
        anchor, title[:1].upper() + title[1:], "As measured.", table=Table(tuple(map(str, rows)), words, len(rows))
    )


def _speeds(held: speed.Speed) -> dict[str, str]:
    """Say of each implementation how fast it is on the whole."""
    said = {}
    counts = held.lines["who"][~held.lines["word"].isin(("baseline", ""))].value_counts()
    for who, mean in speed.means(held).items():
        said[who] = f"{bracketed(mean)} times as fast as {held.baseline}, over {plural(int(counts[who]), 'timing')}"
    if held.baseline in {*held.lines["who"]}:
        said[held.baseline] = "the baseline of speed"
    return said


def _facts(found: Benchmarks) -> dict[str, str]:
    """Name what the file was measured on."""
    facts = {"file": found.path.name, "saved": found.date}
    machine = found.machine
    facts["processor"] = fact(machine.get("cpu")) or fact(machine.get("processor"))
    facts["vector instructions"] = fact(machine.get("flags"))
    facts["BLAS"] = fact(machine.get("blas"))
    facts["GPU"] = fact(machine.get("gpu"))
    threads: Any = found.timings["threads"].dropna().unique()
    facts["threads"] = listed(f"{each:g}" for each in threads)
    versions = {"Python": "python_version", "numpy": "numpy", "scipy": "scipy", "torch": "torch"}
    facts["versions"] = ", ".join(f"{name} {fact(machine[key])}" for name, key in versions.items() if machine.get(key))
    facts["commit"] = fact(found.commit.get("id"))[:12] + (" and changes" if found.commit.get("dirty") else "")
    return {name: text for name, text in facts.items() if text}
