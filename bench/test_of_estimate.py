"""Estimates of what a call costs, from parts of it, held against costs that are known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bench import clock, estimate, fakes, gate, layers
from bench.fakes import CONV, CORRECT, POOL
from oracles.case import Case

LIMIT = 2.0


@pytest.fixture
def priced(monkeypatch):
    """Make parts cost what a formula says, instead of what they take; the parts that were asked for are kept."""

    def given(cost):
        asked = []
        monkeypatch.setattr(gate, "prepared", lambda subject, case: case)

        def lasting(case):
            asked.append(case)
            return cost(case.geometry), None

        monkeypatch.setattr(clock, "lasting", lasting)
        return asked

    return given


def outputs(g):
    return math.prod(g.y_shape)


COSTS = {
    "by multiply-adds": lambda g: 1e-10 * g.macs,
    "by outputs, as a loop": lambda g: 5e-6 * outputs(g),
    "by outputs and their terms": lambda g: outputs(g) * (4e-6 + 1e-9 * g.terms),
}


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("layer", ["alexnet-conv1", "vgg16-conv1_2", "vgg16-conv5_1", "resnet50-14-1x1-1024-2048-s2"])
def test_a_cost_that_grows_with_the_work_is_estimated_well(priced, layer, cost):
    case = layers.BY_NAME[layer].case("conv2d")
    priced(COSTS[cost])
    true = COSTS[cost](case.geometry)
    assert estimate.estimate(CORRECT, case, LIMIT) == pytest.approx(true, rel=0.1)


def test_what_each_call_costs_is_not_counted_many_times(priced):
    """A tenth of a millisecond for the call alone would make a fast engine look too slow on a large layer."""
    case = layers.BY_NAME["vgg16-conv1_2"].case("conv2d")
    priced(lambda g: 1e-4 + 1e-11 * g.macs)
    assert estimate.estimate(CORRECT, case, LIMIT) == pytest.approx(1e-4 + 1e-11 * case.geometry.macs, rel=0.05)


def test_a_constant_cost_is_no_more_than_itself(priced):
    case = layers.BY_NAME["vgg16-conv1_2"].case("conv2d")
    priced(lambda g: 0.01)
    assert estimate.estimate(CORRECT, case, LIMIT) < LIMIT / 4


@pytest.mark.parametrize("seconds", [0.1, 0.4, 1.0])
def test_a_constant_cost_that_is_high_is_seen_through(priced, seconds):
    """What starts a process, or asks another one, takes the same whatever the work."""
    priced(lambda g: seconds)
    assert estimate.estimate(CORRECT, layers.BY_NAME["alexnet-conv1"].case("conv2d"), LIMIT) <= LIMIT


def test_a_constant_cost_beyond_the_limit_is_not_told_many_times_over(priced):
    priced(lambda g: 3.0 + 1e-11 * g.macs)
    assert LIMIT < estimate.estimate(CORRECT, layers.BY_NAME["alexnet-conv1"].case("conv2d"), LIMIT) < 3.1


@pytest.mark.parametrize("seconds", [0.1, 3.0, 1000.0])
def test_looking_for_a_constant_cost_has_an_end(priced, seconds):
    asked = priced(lambda g: seconds + 1e-8 * g.macs)
    assert estimate.estimate(CORRECT, layers.BY_NAME["vgg16-conv1_2"].case("conv2d"), LIMIT) > LIMIT
    cost = sum(seconds + 1e-8 * part.geometry.macs for part in asked)
    assert cost <= max(3 * estimate.PATIENCE * LIMIT, 1.01 * seconds)


def test_a_part_that_had_to_wait_does_not_make_a_case_too_slow(priced):
    """Threads that are started, or memory that is not there yet, cost the first calls and no others."""
    case, calls = layers.BY_NAME["alexnet-conv5"].case("conv2d"), []

    def cost(g):
        calls.append(g)
        return 1e-11 * g.macs + (0.05 if len(calls) <= 2 else 0.0)

    priced(cost)
    assert estimate.estimate(CORRECT, case, 0.3) < 0.3


@pytest.mark.parametrize("cost", COSTS)
def test_an_estimate_costs_little_beside_what_it_saves(priced, cost):
    case = layers.BY_NAME["vgg16-conv1_2"].case("conv2d")
    asked = priced(COSTS[cost])
    estimate.estimate(CORRECT, case, LIMIT)
    assert sum(COSTS[cost](part.geometry) for part in asked) < 0.2


def test_what_is_far_below_the_limit_is_estimated_at_once(priced):
    asked = priced(lambda g: 1e-12 * g.macs)
    estimate.estimate(CORRECT, layers.BY_NAME["alexnet-conv1"].case("conv2d"), LIMIT)
    assert len(asked) == 2  # one part, twice


CASES = [
    *(layer.case(operation) for layer in layers.ALL for operation in layer.operations),
    CONV,
    POOL,
    *map(
        Case.parse,
        (
            "conv2d float32 n5c3k4g1 i70k3s2p1,1d1 i9k3s1p0,0d1 wide:24 seed=17 bias",
            "conv2d float32 n1c3k400g1 i70k5s2p0,3d1 i9k3s1p0,0d1 wide:24 seed=17",
            "conv2d_backward float32 n1c3k100g1 i71k3s2p0,0d1 i9k3s1p1,1d1 gauss seed=1 same_upper",
            "max_pool2d float32 n1c300 i70k3s2p0,0d1c i9k3s1p0,0d1c gauss seed=1",
            "avg_pool2d_backward float32 n1c300 i70k3s2p1,1d1 i9k3s1p1,1d1 gauss seed=1 exclude_pad",
            "conv2d float32 n0c3k4g1 i70k3s2p1,1d1 i9k3s1p0,0d1 wide:24 seed=17",
        ),
    ),
]


@pytest.mark.parametrize("share", [1e-6, 1e-3, 0.1, 0.5, 1.0])
def test_a_part_is_a_case_of_about_that_size(share):
    for case in CASES:
        g, part = case.geometry, estimate.smaller(case, share).geometry
        assert part.macs <= max(g.macs, 1) * 1.01 or not g.N
        assert (part.horizontal, part.vertical.extent) == (g.horizontal, g.vertical.extent)
        assert part.C // part.G == g.C // g.G or not g.K
        if share == 1 and g.N:
            assert estimate.smaller(case, share) == case


@pytest.mark.parametrize("case", CASES[-8:], ids=lambda case: str(case))
def test_parts_can_be_called(case):
    for share in (0.01, 0.3):
        part = estimate.smaller(case, share)
        assert gate.declined(CORRECT, part) == ""
        gate.prepared(CORRECT, part)()


def test_what_a_part_raises_is_raised():
    def conv2d(x, w, b, **parameters):
        raise RuntimeError("no kernel")

    with pytest.raises(RuntimeError, match="no kernel"):
        estimate.estimate(fakes.subject(conv2d=conv2d), replace(CONV, seed=3), LIMIT)
