"""What is measured again, and what is right in some calls alone."""

from __future__ import annotations

import itertools

import pytest

from bench import fakes, gate
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


def test_nothing_is_timed_again_that_was_not_timed():
    keeper, stand_in = Timekeeper(too_slow=2.0), fakes.Benchmark()
    with pytest.raises(NotTimed, match="not timed the first time"):
        keeper.layer(stand_in, CORRECT, SMALL, "conv2d", again=True)
    assert keeper.record.not_timed == []
