"""Which of our algorithms is the fastest, over filters F and channels C = K at strides S; and what `auto` made of it.

Filters are transformed in the call. Of each algorithm one call is timed first; those are judged and timed in turns that
take at most twice as long as the fastest right one, and the one that `auto` chose: the others decide nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import gate
from bench.duel import duel
from bench.gate import Gate
from bench.layers import Layer, convolution
from impls import registry
from impls.subject import Subject
from reports.race import Cell

COLUMNS, CHOOSER = "im2col-tiled", "auto"
ALGORITHMS = (COLUMNS, "winograd", "fft")
FILTERS, CHANNELS, STRIDES = (1, 3, 5, 7, 11, 15, 31), (1, 3, 16, 64, 256), (1, 2)
WIDTHS = {64: 64, 256: 24}  # of the image, 128 for fewer channels; smaller so that large filters stay below LONG
LONG = 0.3  # seconds of a call, beyond which an algorithm is left out
FAR = 2.0  # times the fastest


def layers() -> Iterator[Layer]:
    """Give the layers of the map, padded so that images keep their size but for the stride."""
    for S in STRIDES:
        for C in CHANNELS:
            for F in FILTERS:
                yield convolution(f"map-{F}-{C}-s{S}", C=C, K=C, W=WIDTHS.get(C, 128), F=F, S=S, P=F // 2)


def cells(pairs: int) -> Iterator[Cell]:
    """Measure the whole map, layer by layer."""
    subjects = {name: registry.subject(name, Path.cwd()) for name in (*ALGORITHMS, CHOOSER)}
    for layer in layers():
        yield cell(layer, subjects, pairs)


def cell(layer: Layer, subjects: dict[str, Subject], pairs: int) -> Cell:
    """Judge and time the algorithms on one layer."""
    case, verdicts = layer.case("conv2d"), Gate()
    calls = {name: gate.prepared(subject, case) for name, subject in subjects.items()}
    glances = {name: _glance(call) for name, call in calls.items()}
    prints = {name: gate.fingerprint(call()) for name, call in calls.items()}
    # of equal bits the columns come first: on such a layer the other multiplies columns as well
    chosen = next((name for name in ALGORITHMS if prints[name] == prints[CHOOSER]), "")
    left_out: dict[str, str] = {}
    beyond: dict[str, float] = {}
    right: list[str] = []
    for name in sorted(ALGORITHMS, key=glances.__getitem__):
        if name != COLUMNS and prints[name] == prints[COLUMNS]:
            left_out[name] = "multiplies columns"
        elif glances[name] > LONG:
            left_out[name], best = f"over {LONG:g} s", glances[right[0] if right else name]
            beyond[name] = FAR if glances[name] > FAR * best else max(1.0, LONG / best)
        elif right and glances[name] > FAR * glances[right[0]] and name != chosen:
            left_out[name], beyond[name] = f"over {FAR:g} times the fastest", FAR
        elif not (found := verdicts.judged(subjects[name], case)).passes:
            left_out[name] = found.reason
        else:
            right.append(name)
    contest = [*right, *([CHOOSER] if chosen in right else [])]  # its bits are those that were judged
    timings = duel({name: calls[name] for name in contest}, pairs) if contest else {}
    times = {name: timing.median for name, timing in timings.items()}
    g = layer.geometry
    return Cell(
        layer.name, g.vertical.extent, g.C, g.vertical.stride, g.vertical.size, {name: times[name] for name in right},
        left_out, beyond, chosen, times.get(CHOOSER),
    )  # fmt: skip


def _glance(call: Callable[[], object]) -> float:
    """Find the CPU seconds of the shortest of some calls; of what takes very long, one is enough."""
    seconds = math.inf
    for _ in range(3):
        start = time.process_time()
        call()
        seconds = min(seconds, time.process_time() - start)
        if seconds > FAR * LONG:
            break
    return seconds


def told(cell: Cell) -> str:
    """Write a cell in a line."""
    times = ", ".join(f"{name} {seconds * 1e3:.3g} ms" for name, seconds in sorted(cell.seconds.items(), key=_seconds))
    auto = "" if cell.auto is None else f"; auto {cell.auto * 1e3:.3g} ms"
    return f"F={cell.F} C={cell.C} S={cell.S}: {times or 'nothing'}{auto}, chose {cell.chosen or 'another'}"


def _seconds(pair: tuple[str, float]) -> float:
    return pair[1]
