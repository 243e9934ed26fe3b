"""Nothing is timed before its verdict agrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench import fakes, gate
from bench.fakes import CONV, CORRECT, POOL, subject
from impls import im2col
from impls.contract import OPERATIONS
from oracles import truth
from oracles.case import Case


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "out_size"])
def test_what_is_right_passes_in_every_operation(operation):
    case = replace(CONV if operation.startswith("conv2d") else POOL, operation=operation)
    case = replace(case, bias=operation == "conv2d")
    found = gate.judge(CORRECT, case)
    assert found.passes, found
    cells = case.geometry.x_shape if operation.endswith("backward") else case.geometry.y_shape
    assert found.checked > np.prod(cells)  # each by the checksum, some by the definition too
    assert found.result_bytes > 0
    assert found.device == "cpu"


def test_a_wrong_implementation_does_not_pass():
    found = gate.judge(subject(conv2d=fakes.flipped), CONV)
    assert found.reason == "wrong, not timed"
    assert found.fault
    assert "sampled elements of y differ" in found.detail


def test_one_wrong_output_of_a_large_layer_is_found():
    case = Case.parse("conv2d float32 n1c3k96g1 i227k11s4p0,0d1 i227k11s4p0,0d1 gauss seed=1 bias")

    def conv2d(x, w, b, **parameters):
        y = im2col.conv2d(x, w, b, **parameters)
        y[0, 17, 31, 29] += 1
        return y

    assert gate.judge(subject(conv2d=conv2d), case).reason == "wrong, not timed"


@pytest.mark.parametrize("error", [RuntimeError("no kernel"), ValueError("not this one"), SystemExit(3)])
def test_what_raises_does_not_pass(error):
    def conv2d(x, w, b, **parameters):
        raise error

    found = gate.judge(subject(conv2d=conv2d), CONV)
    assert found.reason == f"raised: {type(error).__name__}: {error}"
    assert found.fault
    assert "test_of_gate.py" in found.detail


def test_ctrl_c_is_not_held_against_an_implementation():
    def conv2d(x, w, b, **parameters):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gate.judge(subject(conv2d=conv2d), CONV)


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({"dtypes": ["float64"]}, "declares no float32"),
        ({"storage": "bfloat16"}, "declares no float32"),
        ({"limits": {"F": [1, 5]}}, r"declares limits\['F'\] = \(1, 5\)"),
        ({"limits": {"P": [0]}}, r"declares limits\['P'\] = \(0,\)"),
        ({"supports": lambda operation, **parameters: "not on Fridays"}, "not on Fridays"),
    ],
)
def test_what_is_declared_unsupported_is_no_fault(declared, reason):
    found = gate.judge(subject(conv2d=im2col.conv2d, **declared), CONV)
    assert found.reason.startswith("unsupported: ")
    assert not found.fault
    with pytest.raises(AssertionError, match=reason):
        assert not found.reason, found.reason


def test_an_operation_that_is_not_offered_is_unsupported():
    assert gate.declined(subject(conv2d=im2col.conv2d), POOL) == "offers no max_pool2d"


@pytest.mark.parametrize(
    ("line", "option"),
    [
        ("conv2d float32 n1c1k1g1 i5k3s1p0,1d1 i5k3s1p1,1d1 gauss seed=1", "asymmetric_padding"),
        ("conv2d float32 n1c1k1g1 i5k3s1p1,1d1 i5k3s1p1,1d1 gauss seed=1 same_upper", "same_padding"),
        ("max_pool2d float32 n1c1 i5k2s2p0,0d1c i5k2s2p0,0d1c gauss seed=1", "ceil_mode"),
        ("max_pool2d float32 n1c1 i5k2s2p0,0d2 i5k2s2p0,0d1 gauss seed=1", "pool_dilation"),
    ],
)
def test_what_needs_an_option_is_asked_only_where_it_is_declared(line, option):
    case = Case.parse(line)
    plain = subject(conv2d=im2col.conv2d, max_pool2d=im2col.max_pool2d)
    assert gate.declined(plain, case) == f"declares no {option}"
    assert gate.judge(CORRECT, case).passes


def test_an_implementation_spoils_its_own_arrays_and_nobody_elses():
    before = {name: array.copy() for name, array in gate.inputs(CONV).items()}
    gate.judge(subject(conv2d=fakes.greedy), CONV)
    for name, array in gate.inputs(CONV).items():
        np.testing.assert_array_equal(array, before[name])
    assert gate.judge(CORRECT, CONV).passes


def test_a_verdict_is_reached_once():
    calls = []

    def conv2d(x, w, b, **parameters):
        calls.append(1)
        return im2col.conv2d(x, w, b, **parameters)

    found = gate.Gate()
    once = subject(conv2d=conv2d)
    assert found.judged(once, CONV) is found.judged(once, CONV)
    assert len(calls) == 1
    found.judged(once, replace(CONV, seed=2))
    assert len(calls) == 2


def test_switches_are_those_of_the_definition():
    case = replace(POOL, operation="max_pool2d_backward")
    assert set(gate.inputs(case)) == {"dy", "switches"}
    np.testing.assert_array_equal(gate.inputs(case)["switches"], truth.inputs(case)["switches"])
