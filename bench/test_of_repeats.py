"""What is measured again, and what is right in some calls alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bench import fakes, gate, steps
from bench.fakes import CORRECT, subject
from bench.layers import BY_NAME
from bench.timing import NotTimed, Timekeeper
from impls import im2col

SMALL = BY_NAME["cifar10-conv"]


def test_again_is_the_same_measured_later():
    keeper = Timekeeper(too_slow=2.0)
    first, second = fakes.Benchmark(), fakes.Benchmark()
    keeper.layer(first, CORRECT, SMALL, "conv2d")
    keeper.layer(second, CORRECT, SMALL, "conv2d", again=True)
    assert (first.extra_info["kind"], second.extra_info["kind"]) == ("layer", "again")
    changing = ("kind", "cpu_seconds", "wall_seconds", "minor_faults", "major_faults")
    same = [{k: v for k, v in each.extra_info.items() if k not in changing} for each in (first, second)]
    assert same[0] == same[1]
    assert {entry.kind for entry in keeper.record.times} == {"layer", "again"}


def test_what_is_wrong_when_it_is_timed_again_was_not_timed_at_all():
    keeper = Timekeeper(too_slow=2.0)
    first = fakes.Benchmark()

    def aging(x, w, b, **p):
        return im2col.conv2d(x, w, b, **p) + aged

    aged, implementation = 0.0, subject(conv2d=aging)
    keeper.layer(first, implementation, SMALL, "conv2d")
    assert not first.has_error
    aged = 1.0
    keeper.gate = gate.Gate()
    with pytest.raises(NotTimed):
        keeper.layer(fakes.Benchmark(), implementation, SMALL, "conv2d", again=True)
    assert first.has_error
    assert not keeper.record.times
    assert [(row["kind"], row["reason"]) for row in keeper.record.not_timed] == [
        ("again", "wrong, not timed"), ("layer", "wrong, not timed, in its repeat"),
    ]  # fmt: skip


@pytest.mark.parametrize("turn", range(3))
def test_what_is_wrong_in_every_third_call_is_wrong_wherever_that_begins(turn):
    keeper = Timekeeper(too_slow=2.0)
    calls = itertools.count(turn)

    def third(x, w, b, **p):
        return im2col.conv2d(x, w, b, **p) + (next(calls) % 3 == 2)

    with pytest.raises(NotTimed):
        keeper.layer(fakes.Benchmark(), subject(conv2d=third), SMALL, "conv2d")
    assert keeper.record.not_timed[0]["reason"].startswith("wrong, not timed")


def ring(size):
    """Make a convolution that returns one buffer of so many in turns."""
    buffers, calls = {}, itertools.count()

    def conv2d(x, w, b, **p):
        y = im2col.conv2d(x, w, b, **p)
        buffer = buffers.setdefault((y.shape, next(calls) % size), np.empty_like(y))
        buffer[...] = y
        return buffer

    return subject(conv2d=conv2d)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_result_that_a_later_call_overwrites_is_wrong(size):
    keeper, stand_in = Timekeeper(too_slow=2.0), fakes.Benchmark()
    with pytest.raises(NotTimed):
        keeper.layer(stand_in, ring(size), SMALL, "conv2d")
    assert stand_in.has_error
    assert keeper.record.times == {}
    assert keeper.record.not_timed[0]["reason"] == "wrong, not timed: an earlier result changed in a later call"


def test_a_step_whose_result_a_later_call_overwrites_is_wrong():
    cases = steps.step("C", C=3, K=4, W=12, F=3, S=2)
    for implementation, reason in ((CORRECT, ""), (ring(2), gate.OVERWRITTEN)):
        call = steps.chained(implementation, cases)
        assert steps.judged(cases, call).passes
        call.keep()
        for _ in range(3):
            call.vary()
            call()
        assert steps.after(cases, call, call()).reason == reason


def test_nothing_is_timed_again_that_was_not_timed():
    keeper, stand_in = Timekeeper(too_slow=2.0), fakes.Benchmark()
    with pytest.raises(NotTimed, match="not timed the first time"):
        keeper.layer(stand_in, CORRECT, SMALL, "conv2d", again=True)
    assert keeper.record.not_timed == []
