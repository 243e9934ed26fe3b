"""Goals of ours alone: tiled im2col against the bare product, its growth, a small call, two threads against one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bench import gate
from bench.duel import duel
from bench.goals import FORWARD, LARGE, SMALL, growths, over_product, spectra
from impls import blas, registry
from impls.subject import Subject
from oracles.case import Case
from oracles.geometry import Geometry
from reports.race import Goal

TILED = "im2col-tiled"


def run(name: str, pairs: int) -> Iterator[Goal]:
    """Measure the goals of that name; where a call is wrong the rest of them is left, and that is told."""
    try:
        yield from RUNS[name](pairs)
    except ValueError as error:
        yield Goal(name, name, 1.0, reason=str(error))


def judged(spec: str, case: Case, *, ready: bool = False) -> gate.Call:
    """Make a call of ours that is right, with filters prepared if they are to be ready. Raises ValueError otherwise."""
    subject = Subject(spec, registry.load(spec))
    found = gate.judge(subject, case)
    if not found.passes:
        raise ValueError(f"{spec} {case}: {found.reason}")
    call = gate.prepared(subject, case)
    if ready:
        call.operands[1] = subject.call("prepare", call.operands[1], **call.parameters)
        if not (verdict := gate.held(subject, case, call())).agrees:
            raise ValueError(f"{spec} {case}, filters prepared: {verdict.message}")
    return call


def product(g: Geometry) -> Callable[[], Any]:
    """Make the matrix product that im2col of this geometry needs, and nothing else: of one image, all columns."""
    rng = np.random.default_rng(0)
    rows, columns = ((g.G, g.K // g.G, g.terms), (g.G, g.terms, math.prod(g.y_shape[2:])))
    a, b = (rng.standard_normal(shape, np.float32) for shape in (rows, columns))
    out = np.empty((*rows[:2], columns[2]), np.float32)
    return lambda: np.matmul(a, b, out=out)


def _over_product(pairs: int) -> Iterator[Goal]:
    for layer, goal in over_product():
        bare = product(layer.geometry)
        times = duel({"ours": judged(TILED, layer.case(FORWARD)), "product": bare, "again": bare}, pairs)
        share, control = (times["product"].median / times[name].median for name in ("ours", "again"))
        told = f"im2col-tiled over the bare product, {layer.name}"
        yield Goal(f"over-product {layer.name}", told, goal, share, control=control)


def _growth(pairs: int) -> Iterator[Goal]:
    for letter, layers in growths().items():
        times = duel({layer.name: judged(TILED, layer.case(FORWARD)) for layer in layers}, pairs)
        each = {layer.name: times[layer.name].median / layer.geometry.macs for layer in layers}
        told = f"im2col-tiled, time for a multiply-add along {letter}, most over least"
        spread = ", ".join(f"{name} {seconds * 1e12:.1f} ps" for name, seconds in each.items())
        most = max(each.values()) / min(each.values())
        yield Goal(f"growth {letter}", told, 1.15, most, spread, at_most=True)


def _spectra(pairs: int) -> Iterator[Goal]:
    calls = {layer.name: judged("fft", layer.case(FORWARD), ready=True) for layer in spectra()}
    small, large = (times.median for times in duel(calls, pairs).values())
    told = "fft with spectra ready, 31x31 filters over 3x3 on 128x128, 16 channels"
    spread = f"{small * 1e3:.2f} ms and {large * 1e3:.2f} ms"
    yield Goal("spectra-ready", told, 1.6, large / small, spread, at_most=True)


def _small_call(pairs: int) -> Iterator[Goal]:
    operands, parameters = (call := judged(TILED, SMALL)).operands, call.parameters
    conv2d = registry.load(TILED).conv2d  # the suite's own wrapping left out
    times = duel({"ours": lambda: conv2d(*operands, **parameters), "product": product(SMALL.geometry)}, pairs)
    over = (times["ours"].median - times["product"].median) * 1e6
    yield Goal("small-call", "im2col-tiled, microseconds of a small call beyond its product", 25, over, at_most=True)


def _threads(pairs: int) -> Iterator[Goal]:
    """Compare one thread's CPU time with the longest of two: what a call lasts on a machine with nothing else to do."""
    before = blas.threads()
    for layer in LARGE:
        for spec in (TILED, "auto"):
            call = judged(spec, layer.case(FORWARD))
            try:
                blas.set_threads(1)
                one = duel({"ours": call}, pairs)["ours"].median
                blas.set_threads(2)
                longest, everything = _parted(call, pairs)
            finally:
                blas.set_threads(before)
            note = f"work x{everything / one:.2f}"
            yield Goal(f"threads {layer.name}", f"{spec}, two threads over one, {layer.name}", 1.8, one / longest, note)


def _parted(call: Callable[[], Any], pairs: int) -> tuple[float, float]:
    """Find the CPU seconds of the thread that computes the longest, and of all: each the median of some rounds."""
    call()
    longest, everything = [], []
    for _ in range(pairs):
        own, every = time.thread_time(), time.process_time()
        call()
        own, every = time.thread_time() - own, time.process_time() - every
        longest.append(max(own, every - own))
        everything.append(every)
    return float(np.median(longest)), float(np.median(everything))


RUNS = {
    "over-product": _over_product, "growth": _growth, "spectra-ready": _spectra, "small-call": _small_call,
    "threads": _threads,
}  # fmt: skip
NAMES = tuple(RUNS)
