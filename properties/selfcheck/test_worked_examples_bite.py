"""Each worked example is seen to fail, alone and on every operation that it speaks of, for a fault that people make."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from impls import im2col
from oracles import truth as truths
from oracles.case import POOLS, Case
from properties import test_worked_examples as forward
from properties import test_worked_gradients as backward
from properties import worked
from properties.examiner import Spent
from properties.selfcheck.running import examine, variant

Array = np.ndarray
Fault = Callable[..., Any]  # fault(correct, *arrays, **parameters)

LAWS = [law for module in (forward, backward) for law in vars(module).values() if hasattr(law, "law")]
SPOKEN = [(law, operation) for law in LAWS for operation in law.law.operations]
PLANTED: list[tuple[Fault, Any, str]] = []  # what is wrong, who catches it, in which operation

SEVEN = forward.test_seven_cells_hold_five_windows_or_three
NEURONS = forward.test_a_row_of_neurons_gives_the_notes_numbers
TEN = forward.test_ten_cells_do_not_hold_four_and_a_half_windows
ALEXNET = forward.test_227_cells_fit_alexnets_first_layer_and_224_do_not
COLUMNS = forward.test_alexnets_first_layer_is_one_matrix_product
WEIGHTS = forward.test_a_neuron_has_as_many_weights_as_its_window_has_cells
VOLUME = forward.test_the_activation_maps_are_indexed_by_width_height_and_depth
HALF = forward.test_padding_by_half_a_filter_keeps_the_size
THREE = forward.test_three_filters_make_28x28x3_of_32x32x3_and_keep_it_with_padding
QUARTER = forward.test_pooling_224x224x64_by_two_keeps_a_quarter
OVERLAP = forward.test_windows_of_three_at_stride_two_overlap
FORWARD = forward.test_the_small_network_has_the_notes_volumes
SHARED = backward.test_shared_filters_have_34944_parameters
SUM = backward.test_a_shared_gradient_is_the_sum_of_the_unshared_ones
FLIPPED = backward.test_the_backward_pass_is_a_convolution
PEAK = backward.test_gradients_of_overlapping_windows_add
BACKWARD = backward.test_the_small_network_has_the_definitions_gradients
TRAINED = backward.test_gradient_descent_lowers_the_loss


def planted(operations: tuple[str, ...], *laws: Any) -> Callable[[Fault], Fault]:
    """Plant a fault in each of these operations, for each of these laws to catch."""

    def plant(fault: Fault) -> Fault:
        PLANTED.extend((fault, law, operation) for law in laws for operation in operations)
        return fault

    return plant


# sizes


@planted(("out_size",), SEVEN, TEN, ALEXNET)
def rounds_up(correct, W, F, S, P, dilation=1):
    return -(-(W - F + 2 * P) // S) + 1


@planted(("out_size",), HALF, THREE)
def counts_one_side_of_the_padding(correct, W, F, S, P, dilation=1):
    return correct(W, F, S, P) if not P else (W - F + P) // S + 1


@planted(("out_size",), SEVEN, TEN, ALEXNET)
def refuses_a_remainder(correct, W, F, S, P, dilation=1):
    if (W - F + 2 * P) % S:
        raise ValueError(f"{W} cells do not hold a whole number of windows")
    return correct(W, F, S, P)


@planted(("out_size",), SEVEN, TEN, HALF, THREE, ALEXNET)
def forgets_to_add_one(correct, W, F, S, P, dilation=1):
    return correct(W, F, S, P) - 1


@planted(POOLS, SEVEN)
def pools_the_ragged_rest_as_well(correct, x, **p):
    return correct(x, **(p | {"ceil_mode": True}))


@planted(("conv2d",), SEVEN, TEN, ALEXNET)
def reads_zeros_behind_the_ragged_rest(correct, x, w, b, **p):
    room = [W - F for W, F in zip(x.shape[2:], w.shape[2:], strict=True)]
    behind = [-over % S for over, S in zip(room, p["stride"], strict=True)]
    return correct(np.pad(x, ((0, 0), (0, 0), *((0, more) for more in behind))), w, b, **p)


@planted(("conv2d",), TEN, ALEXNET)
def drops_the_remainder_in_front(correct, x, w, b, **p):
    over = [
        (W - F + sum(P)) % S for W, F, S, P in zip(x.shape[2:], w.shape[2:], p["stride"], p["padding"], strict=True)
    ]
    return correct(x[:, :, over[0] :, over[1] :], w, b, **p)


@planted(("conv2d",), NEURONS, ALEXNET, HALF, THREE, FORWARD)
def pads_in_front_only(correct, x, w, b, **p):
    return correct(x, w, b, **(p | {"padding": tuple((sum(sides), 0) for sides in p["padding"])}))


@planted(("conv2d",), NEURONS, HALF, THREE, FORWARD)
def repeats_the_border_for_padding(correct, x, w, b, **p):
    sides = p["padding"]
    return correct(np.pad(x, ((0, 0), (0, 0), *sides), "edge"), w, b, **(p | {"padding": ((0, 0), (0, 0))}))


# values


@planted(("conv2d",), NEURONS, SEVEN, COLUMNS, VOLUME, THREE, FORWARD)
def flips_its_filters(correct, x, w, b, **p):
    return correct(x, w[:, :, ::-1, ::-1], b, **p)


@planted(("conv2d",), VOLUME, COLUMNS, FORWARD)
def reads_the_image_transposed(correct, x, w, b, **p):
    return correct(x.swapaxes(2, 3), w, b, **p)


@planted(("conv2d",), VOLUME)
def lays_its_outputs_out_transposed(correct, x, w, b, **p):
    return correct(x, w, b, **p).swapaxes(2, 3).copy()


@planted(("conv2d",), VOLUME, COLUMNS, FORWARD, THREE)
def adds_the_first_bias_to_all(correct, x, w, b, **p):
    return correct(x, w, None if b is None else np.repeat(b[:1], len(b)), **p)


@planted(("conv2d",), WEIGHTS, VOLUME, COLUMNS)
def forgets_the_bias(correct, x, w, b, **p):
    return correct(x, w, None, **p)


@planted(("conv2d",), WEIGHTS, COLUMNS)
def leaves_the_last_cell_of_the_window_out(correct, x, w, b, **p):
    w = w.copy()
    w[:, -1, -1, -1] = 0
    return correct(x, w, b, **p)


@planted(("conv2d",), WEIGHTS)
def sums_only_so_many_terms(correct, x, w, b, **p):
    flat = w.reshape(len(w), -1).copy()
    flat[:, 65_536:] = 0
    return correct(x, flat.reshape(w.shape), b, **p)


@planted(("conv2d",), COLUMNS, FORWARD)
def lays_filters_last(correct, x, w, b, **p):
    y = correct(x, w, b, **p)
    return np.ascontiguousarray(y.transpose(0, 2, 3, 1)).reshape(y.shape)


@planted(POOLS, QUARTER)
def pools_one_cell_further_on(correct, x, **p):
    return correct(np.roll(x, -1, 3), **p)


@planted(POOLS, QUARTER, SEVEN)
def repeats_the_last_output(correct, x, **p):
    found = correct(x, **p)
    for y in found if isinstance(found, tuple) else (found,):
        y[..., -1] = y[..., -2]
    return found


@planted(("max_pool2d",), OVERLAP, SEVEN)
def lets_no_windows_overlap(correct, x, **p):
    size = tuple(min(F, S) for F, S in zip(p["size"], p["stride"], strict=True))
    y, switches = correct(x, **(p | {"size": size}))
    OH, OW = ((W - F) // S + 1 for W, F, S in zip(x.shape[2:], p["size"], p["stride"], strict=True))
    return y[:, :, :OH, :OW].copy(), switches[:, :, :OH, :OW].copy()


@planted(("max_pool2d",), OVERLAP, FORWARD)
def gives_an_average_for_the_maximum(correct, x, **p):
    return im2col.avg_pool2d(x, **{name: p[name] for name in ("size", "stride")}), correct(x, **p)[1]


@planted(("max_pool2d",), FORWARD)
def numbers_switches_by_column(correct, x, **p):
    y, switches = correct(x, **p)
    rows, columns = np.divmod(switches, x.shape[3])
    return y, columns * x.shape[2] + rows


# gradients

CONV = ("conv2d_backward",)


@planted(CONV, FLIPPED, BACKWARD, SHARED)
def sends_dy_back_through_unflipped_filters(correct, x, w, dy, **p):
    return correct(x, w[:, :, ::-1, ::-1], dy, **p)[0], *correct(x, w, dy, **p)[1:]


@planted(CONV, FLIPPED, BACKWARD, SHARED, SUM)
def flips_the_gradient_of_the_filters(correct, x, w, dy, **p):
    dx, dw, db = correct(x, w, dy, **p)
    return dx, dw[:, :, ::-1, ::-1].copy(), db


@planted(CONV, FLIPPED)
def packs_dy_without_the_zeros_of_the_stride(correct, x, w, dy, **p):
    dx, dw, db = correct(x, w, dy, **p)
    if max(p["stride"]) == 1:
        return dx, dw, db
    dense = (W - F + 1 + sum(P) for W, F, P in zip(x.shape[2:], w.shape[2:], p["padding"], strict=True))
    packed = np.zeros((*dy.shape[:2], *dense), dy.dtype)
    packed[:, :, : dy.shape[2], : dy.shape[3]] = dy
    return correct(x, w, packed, **(p | {"stride": (1, 1)}))[0], dw, db


@planted(CONV, SUM, SHARED, BACKWARD)
def averages_over_the_places(correct, x, w, dy, **p):
    dx, dw, db = correct(x, w, dy, **p)
    return dx, dw / dw.dtype.type(max(2, dy[0, 0].size)), db


@planted(CONV, SHARED, BACKWARD, SUM)
def keeps_the_last_gradient_for_the_sum(correct, x, w, dy, **p):
    dx, dw, _ = correct(x, w, dy, **p)
    return dx, dw, dy[-1, :, -1, -1].copy()


@planted(CONV, SHARED)
def gives_a_gradient_for_each_place(correct, x, w, dy, **p):
    dx, dw, db = correct(x, w, dy, **p)
    return dx, np.repeat(dw[None], dy[0, 0].size, 0), db


@planted(CONV, TRAINED, BACKWARD)
def points_uphill(correct, x, w, dy, **p):
    dx, dw, db = correct(x, w, dy, **p)
    return dx, -dw, -db


@planted(CONV, TRAINED, BACKWARD)
def has_no_gradient_for_the_filters(correct, x, w, dy, **p):
    dx, dw, db = correct(x, w, dy, **p)
    return dx, np.zeros_like(dw), np.zeros_like(db)


@planted(("max_pool2d_backward",), PEAK)
def overwrites_where_gradients_meet(correct, dy, switches, x_shape):
    dx = correct(dy, switches, x_shape)
    n, c, *_ = np.indices(dy.shape)
    dx[n, c, switches // x_shape[3], switches % x_shape[3]] = dy
    return dx


@planted(("max_pool2d_backward",), BACKWARD, PEAK)
def spreads_dy_over_the_window(correct, dy, switches, x_shape):
    dx = correct(dy, switches, x_shape)
    return (dx + np.roll(dx, 1, 3)) / dx.dtype.type(2)


CAUGHT = [pytest.param(*case, id=f"{case[0].__name__}-{case[2]}-{case[1].__name__[5:]}") for case in PLANTED]


@pytest.mark.parametrize(("fault", "law", "operation"), CAUGHT)
def test_a_fault_is_caught_by_a_worked_example(fault: Fault, law: Any, operation: str) -> None:
    """The message has the row of the notes, and its source."""
    faulty = functools.partial(fault, getattr(im2col, operation))
    found = examine(law, variant(**{operation: faulty}), operation)
    assert found is not None, f"{law.law.title!r} misses it"
    assert "CS231n" in found[1].message or "Beginner's Guide" in found[1].message or found[1].kind != "differs"


@pytest.mark.parametrize(("law", "operation"), SPOKEN, ids=[f"{law.__name__[5:]}-{o}" for law, o in SPOKEN])
def test_a_sound_implementation_has_the_notes_numbers(law: Any, operation: str) -> None:
    assert examine(law, im2col, operation) is None


def test_every_worked_example_has_been_seen_to_fail_on_every_operation() -> None:
    seen = {(law, operation) for _, law, operation in PLANTED}
    assert [(law.__name__, operation) for law, operation in SPOKEN if (law, operation) not in seen] == []


def test_a_transposed_reading_differs_at_every_listed_place_off_the_diagonal() -> None:
    """Else the example could not tell it from the right one: V[i, j, k] is not V[j, i, k]."""
    line = "conv2d float32 n1c4k2g1 i11k5s2p0,0d1 i11k5s2p0,0d1 narrow:24 seed=7 bias volume=11x11x4"
    y = truths.truth(Case.parse(line))[0].value[0]
    for i, j, k in forward.LISTED:
        assert i == j or y[k, j, i] != y[k, i, j]


def test_a_layer_that_would_take_too_long_is_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of it is timed first, and no failure is made of its slowness."""
    monkeypatch.setattr(worked, "PATIENCE", 0.0)
    with pytest.raises(Spent):
        examine(COLUMNS, im2col, "conv2d")


def test_a_network_that_lacks_its_pools_is_declined():
    law = backward.test_gradient_descent_lowers_the_loss
    alone = variant(max_pool2d=None, max_pool2d_backward=None)
    with pytest.raises(AssertionError, match="the network also needs max_pool2d"):  # nothing was examined
        examine(law, alone, "conv2d_backward", examples=3)
