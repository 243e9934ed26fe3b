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
    for options in ((), ("ceil_mode", "pool_dilation")):
        assert gate.declined(subject(conv2d=im2col.conv2d, options=options), POOL) == "offers no max_pool2d"


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
    assert len(calls) == 2  # on the case's data, and on others
    found.judged(once, replace(CONV, seed=7))
    assert len(calls) == 4


def keeping(key):
    """Make a convolution that keeps each result under a key of its image, and never computes it again."""
    kept = {}

    def conv2d(x, w, b, **parameters):
        if key(x) not in kept:
            kept[key(x)] = x, im2col.conv2d(x, w, b, **parameters)  # and x is kept, lest another gets its place
        return kept[key(x)][1].copy()

    return subject(conv2d=conv2d)


def test_what_answers_from_a_cache_by_shape_is_wrong():
    found = gate.judge(keeping(lambda x: x.shape), CONV)
    assert found.reason == "wrong, not timed: on other data of the same shape"
    assert found.fault
    assert "differ" in found.detail


def judged_after(implementation, spoil=lambda result: result):
    """Judge an implementation, and then a last result that is as it was or spoilt."""
    found = gate.judge(implementation, CONV)
    assert found.passes
    call = gate.prepared(implementation, CONV)
    return gate.after(implementation, CONV, found, call, spoil(call()))


def test_what_is_right_before_the_rounds_and_after_them_passes():
    assert judged_after(CORRECT).passes


@pytest.mark.parametrize("key", [id, lambda x: x.ctypes.data, lambda x: (x.shape, x.__array_interface__["data"][0])])
def test_what_answers_from_a_cache_by_address_is_wrong(key):
    found = judged_after(keeping(key))
    assert found.reason == "wrong, not timed: once its arrays were overwritten in place"
    assert found.fault


@pytest.mark.parametrize("spoil", [np.zeros_like, lambda y: y.astype(np.float64), lambda y: y[:1], lambda y: None])
def test_a_last_result_that_is_wrong_is_found(spoil):
    found = judged_after(CORRECT, spoil)
    assert found.reason == "wrong, not timed: the result changed while it was timed"
    assert found.detail


def test_a_last_result_of_other_bytes_that_is_right_passes():
    """Sums may be added up in another order where memory lies otherwise; the definition judges, and not the bytes."""
    assert judged_after(CORRECT, lambda y: np.nextafter(y, 1, dtype=y.dtype)).passes


@pytest.mark.parametrize("operation", ["conv2d_backward", "max_pool2d", "max_pool2d_backward", "l2_pool2d"])
def test_arrays_are_overwritten_in_every_operation(operation):
    case = replace(CONV if operation.startswith("conv2d") else POOL, operation=operation, bias=False)
    call, found = gate.prepared(CORRECT, case), gate.judge(CORRECT, case)
    assert gate.after(CORRECT, case, found, call, call()).passes
    for mine, new in zip(call.operands, gate.inputs(gate.other(CORRECT, case)).values(), strict=False):
        np.testing.assert_array_equal(mine, new)


def test_fingerprints_are_of_values_shapes_and_types():
    y = np.arange(6.0)
    assert gate.fingerprint(y) == gate.fingerprint(y.copy()) == gate.fingerprint(np.repeat(y, 2)[::2])
    others = [y[::-1], y.reshape(2, 3), y.astype(np.float32), (y, y), np.zeros(0), np.array(1.0), None]
    assert len({gate.fingerprint(each) for each in [y, *others]}) == 8


@pytest.mark.parametrize("message", ["no kernel\nfor 3x3\nor 5x5", "\n\nno kernel\r\nfor 3x3\nor 5x5\n"])
def test_a_reason_is_one_line_and_the_rest_is_detail(message):
    def conv2d(x, w, b, **parameters):
        raise RuntimeError(message)

    found = gate.judge(subject(conv2d=conv2d), CONV)
    assert found.reason == "raised: RuntimeError: no kernel"
    assert found.detail.startswith("for 3x3\nor 5x5\nat ")


def test_what_raises_on_other_data_alone_does_not_pass():
    given = []

    def conv2d(x, w, b, **parameters):
        given.append(x[0, 0, 0, 0])
        if given[0] != x[0, 0, 0, 0]:
            raise ZeroDivisionError("not this one")
        return im2col.conv2d(x, w, b, **parameters)

    assert gate.judge(subject(conv2d=conv2d), CONV).reason == "raised: ZeroDivisionError: not this one"


def test_switches_are_those_of_the_definition():
    case = replace(POOL, operation="max_pool2d_backward")
    assert set(gate.inputs(case)) == {"dy", "switches"}
    np.testing.assert_array_equal(gate.inputs(case)["switches"], truth.inputs(case)["switches"])
