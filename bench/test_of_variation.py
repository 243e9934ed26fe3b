"""What answers from a cache, is wrong now and then, or computes behind one's back is not timed."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from bench import fakes, gate
from bench.fakes import CORRECT, subject
from bench.layers import BY_NAME
from bench.timing import NotTimed, Timekeeper
from bench.variation import Changed, Variation
from impls import fft, im2col
from impls.subject import Subject
from oracles.case import Case

SMALL = BY_NAME["cifar10-conv"]
CHANGED = "wrong, not timed: the result changed while it was timed"
CASES = [
    Case.parse(f"{operation} float32 {line} gauss seed=1")
    for line, operations in {
        "n2c4k6g2 i12k3s2p1,1d1 i11k3s1p2,2d2": ("conv2d", "conv2d_backward"),
        "n2c3 i12k3s2p1,1d1 i10k2s2p0,0d1": (
            *("max_pool2d", "max_pool2d_backward", "avg_pool2d"),
            *("avg_pool2d_backward", "l2_pool2d", "l2_pool2d_backward"),
        ),
    }.items()
    for operation in operations
]


def reason(**functions):
    keeper = Timekeeper(too_slow=2.0)
    with pytest.raises(NotTimed):
        keeper.layer(fakes.Benchmark(), subject(**functions), SMALL, "conv2d")
    (row,) = keeper.record.not_timed
    return row["reason"]


def varied(case, implementation=CORRECT):
    return Variation(implementation, case, gate.prepared(implementation, case), gate.Judged())


@pytest.mark.parametrize("implementation", [CORRECT, Subject("fft", fft)], ids=["direct", "transform"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_right_changes_where_its_data_do_and_nowhere_else(case, implementation):
    variation = varied(case, implementation)
    for _ in range(25):
        variation.vary()
        variation.check(result := variation.call())
        assert gate.held(implementation, case, result, data=variation.data()).agrees


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_stays_the_same_or_changes_elsewhere_is_found(case):
    variation = varied(case)
    variation.vary()
    result = variation.call()
    results = result if isinstance(result, tuple) else (result,)
    stale = tuple(np.array(each) for each in variation.base)
    with pytest.raises(Changed, match="was halved, and the result is the same"):
        variation.check(stale if len(stale) > 1 else stale[0])
    untouched = results[0].copy()
    untouched[variation._seen(variation.place)[0]] = np.nan
    results[0][np.unravel_index(np.nanargmax(untouched), untouched.shape)] += 1
    with pytest.raises(Changed, match=r"differ|is wrong"):
        variation.check(result)


def test_data_that_tie_are_left_alone():
    case = Case.parse(str(CASES[2]).replace("gauss", "ties:24"))
    variation = varied(case)
    variation.vary()
    assert variation.place is None
    variation.check(variation.call())


def test_what_answers_from_a_cache_by_address_is_wrong():
    kept = {}

    def conv2d(x, w, b, **parameters):
        if (key := x.ctypes.data) not in kept:
            kept[key] = x, im2col.conv2d(x, w, b, **parameters)  # and x is kept, lest another gets its place
        return kept[key][1].copy()

    assert reason(conv2d=conv2d) == CHANGED


def test_what_looks_at_the_first_numbers_alone_is_wrong():
    kept = {}

    def conv2d(x, w, b, **parameters):
        key = x.shape, float(x.flat[0]), w.shape, float(w.flat[0])
        if key not in kept:
            kept[key] = im2col.conv2d(x, w, b, **parameters)
        return kept[key].copy()

    assert reason(conv2d=conv2d) == CHANGED


def test_what_answers_from_a_cache_by_content_computes_in_every_round():
    kept, computed = {}, []

    def conv2d(x, w, b, **parameters):
        key = x.tobytes(), w.tobytes()
        if key not in kept:
            computed.append(1)
            kept[key] = im2col.conv2d(x, w, b, **parameters)
        return kept[key].copy()

    Timekeeper(too_slow=2.0).layer(benchmark := fakes.Benchmark(), subject(conv2d=conv2d), SMALL, "conv2d")
    assert len(computed) > 0.9 * benchmark.rounds  # a cell may be chosen twice


@pytest.mark.parametrize("amount", [1.0, 1e-3])
def test_what_is_wrong_in_every_seventh_call_is_wrong(amount):
    calls = []

    def conv2d(x, w, b, **parameters):
        calls.append(1)
        y = im2col.conv2d(x, w, b, **parameters)
        y[0, 0, 0, 0] += amount * (len(calls) % 7 == 0)
        return y

    assert reason(conv2d=conv2d).startswith("wrong, not timed")


def test_one_weight_of_millions_that_is_forgotten_is_wrong():
    def conv2d(x, w, b, **parameters):
        if len(w) > 300:
            w = w.copy()
            w[300, -1] = 0
        return im2col.conv2d(x, w, b, **parameters)

    case = BY_NAME["vgg16-conv4_2"].case("conv2d")
    assert gate.judge(subject(conv2d=conv2d), case).reason.startswith("wrong, not timed")


def test_results_that_share_memory_are_wrong():
    buffer = np.empty((1, 12, 32, 32), np.float32)

    def conv2d(x, w, b, **parameters):
        y = im2col.conv2d(x, w, b, **parameters)
        if y.shape != buffer.shape:
            return y
        buffer[...] = y
        return buffer

    assert reason(conv2d=conv2d) == "wrong, not timed"


class Panic(BaseException):
    """Stands for an exception that is no Exception, such as that of a panic in Rust."""


@pytest.mark.parametrize("when", [1, 12])
def test_a_panic_is_told_and_the_run_goes_on(when):
    calls = []

    def conv2d(x, w, b, **parameters):
        calls.append(1)
        if len(calls) >= when:
            raise Panic("index out of bounds")
        return im2col.conv2d(x, w, b, **parameters)

    assert reason(conv2d=conv2d) == "raised: Panic: index out of bounds"


def test_what_computes_on_after_it_has_returned_is_not_timed_and_nothing_after_it():
    stop = threading.Event()

    def spin():
        while not stop.is_set():
            pass

    def conv2d(x, w, b, **parameters):
        if x.shape[2] == 32 and not started:
            started.append(threading.Thread(target=spin, daemon=True))
            started[0].start()
        return im2col.conv2d(x, w, b, **parameters)

    started, keeper = [], Timekeeper(too_slow=2.0)
    try:
        for implementation in (subject(conv2d=conv2d), CORRECT):
            with pytest.raises(NotTimed):
                keeper.layer(fakes.Benchmark(), implementation, SMALL, "conv2d")
    finally:
        stop.set()
        started[0].join()
        time.sleep(0.05)  # until the system has ended it too
    first, second = keeper.record.not_timed
    assert first["reason"] == "raised: it computes on after it has returned"
    assert second["reason"] == "not timed: another thread of this process computes"
    assert second["detail"] == "since faulty.py was called"
    keeper.layer(benchmark := fakes.Benchmark(), CORRECT, SMALL, "conv2d")
    assert benchmark.data


def test_max_pooling_that_tells_no_switches_is_timed():
    def max_pool2d(x, **parameters):
        return im2col.max_pool2d(x, **parameters)[0], None

    untold = subject(max_pool2d=max_pool2d)
    Timekeeper(too_slow=2.0).layer(benchmark := fakes.Benchmark(), untold, BY_NAME["cifar10-pool"], "max_pool2d")
    assert benchmark.data


@pytest.mark.parametrize("others", [True, False])
def test_what_computes_on_for_a_while_after_each_call_is_not_timed(others):
    threads, until = [], [0.0]

    def spin():
        while time.perf_counter() < until[0]:
            pass

    def conv2d(x, w, b, **parameters):
        y = im2col.conv2d(x, w, b, **parameters)
        until[0] = time.perf_counter() + 0.1
        if others and not any(each.is_alive() for each in threads):
            threads[:] = [threading.Thread(target=spin, daemon=True)]
            threads[0].start()
        return y

    if others:
        assert reason(conv2d=conv2d) == "raised: it computes on after it has returned"
        threads[0].join()
    else:
        Timekeeper(too_slow=2.0).layer(benchmark := fakes.Benchmark(), subject(conv2d=conv2d), SMALL, "conv2d")
        assert benchmark.data


def test_what_waits_is_told_by_the_clock_on_the_wall():
    def conv2d(x, w, b, **parameters):
        time.sleep(0.002)
        return im2col.conv2d(x, w, b, **parameters)

    for function, clock in ((conv2d, "wall"), (im2col.conv2d, "cpu")):
        Timekeeper(too_slow=2.0).layer(benchmark := fakes.Benchmark(), subject(conv2d=function), SMALL, "conv2d")
        assert benchmark.extra_info["clock"] == clock
        assert (min(benchmark.extra_info["cpu_seconds"]) > 0.002) == (clock == "wall")
