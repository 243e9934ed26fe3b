"""Saved runs made slower for the tests of what is told of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from reports.benchmarks import Benchmarks
from reports.comparison import Comparison


def timed(found: Benchmarks, change: Callable[[list[float]], list[float]], **which: object) -> Benchmarks:
    """Replace the rounds of the timings that are so in all of these columns."""
    lines = found.timings.copy()
    chosen = np.logical_and.reduce([lines[name] == value for name, value in which.items()])
    assert chosen.any()
    lines["cpu_seconds"] = [
        change(seconds) if its else seconds for seconds, its in zip(lines["cpu_seconds"], chosen, strict=True)
    ]
    lines["seconds"] = [float(np.median(each)) for each in lines["cpu_seconds"]]
    return replace(found, timings=lines)


def slowed(found: Benchmarks, factor: float, **which: object) -> Benchmarks:
    """Have these timings take so many times as long."""
    return timed(found, lambda seconds: [factor * each for each in seconds], **which)


def words(found: Comparison) -> dict[tuple[str, str, str], str]:
    """Give what is said of each timing that is not level."""
    return {(each.layer, each.operation, each.who): each.word for each in found.changes if each.word != "level"}
