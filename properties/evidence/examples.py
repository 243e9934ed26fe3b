"""Claims that a property or a worked example decides: what its rows give, and what breaks without its condition."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NamedTuple

import numpy as np

from oracles.geometry import Axis, Geometry
from oracles.layers import Definition, Network
from properties import (
    test_algebra_conv,
    test_algebra_pool,
    test_algebra_symmetry,
    test_switches,
    test_translation,
    test_values,
)
from properties import test_worked_examples as worked
from properties import test_worked_gradients as gradients
from properties.evidence.counts import CONV1, learned
from properties.evidence.finding import Evidence, Finding, row
from properties.evidence.kernels import Kernels, whole
from properties.network import descent, stage, volumes
from properties.worked import FOUR, SEED, fits, quotient

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


Tell = Callable[[Finding, Kernels], None]


class Example(NamedTuple):
    """A property, by its pytest node, and what it says of a claim."""

    node: str
    evidence: Evidence


EXAMPLES: dict[str, Example] = {}


def restates(claim: str, by: Callable[..., None]) -> Callable[[Tell], Tell]:
    """Enter a function that tells what the property `by` says of a claim, by its id.

    The property holds each implementation to it: so the claim is true of all cases that it draws. The function enters
    the figures of its rows and, of a claim with a condition, what is seen without this.
    """

    def enter(tell: Tell) -> Tell:
        def evidence(k: Kernels) -> Finding:
            finding = Finding()
            finding.see(True, "what the property draws", within=True)
            tell(finding, k)
            return finding

        if claim in EXAMPLES:
            raise ValueError(f"{claim} is restated twice")
        EXAMPLES[claim] = Example(f"{by.__module__.replace('.', '/')}.py::{by.__name__}", evidence)
        return tell

    return enter


def square(side: int, *depth: int) -> str:
    """Write a square plane, or a volume: "32x32x3"."""
    return "x".join(map(str, (side, side, *depth)))


def before(g: Geometry) -> str:
    """Write the volume that goes into a layer."""
    return square(g.horizontal.size, g.C)


def behind(g: Geometry) -> str:
    """Write the volume that comes out of a layer."""
    return square(g.horizontal.out, g.K or g.C)


def divided(axis: Axis) -> str:
    """Write the formula of the size without padding, and what it gives."""
    return f"({axis.size} - {axis.extent})/{axis.stride} + 1 = {quotient(axis)}"


def only(rows: dict[str, Geometry]) -> Geometry:
    """Give the only row of an example."""
    (g,) = rows.values()
    return g


# sizes


@restates("seven-by-seven", worked.test_seven_cells_hold_five_windows_or_three)
def seven(finding: Finding, k: Kernels) -> None:
    """Three strides, of which the last does not fit."""
    one, two, three = (g.horizontal for g in worked.SEVEN.values())
    finding.figure(f"A {square(one.size)} image under a {square(one.extent)} filter gives {square(one.out)} outputs")
    finding.figure(f"at stride {one.stride}, {square(two.out)} at stride {two.stride}")
    finding.figure(*(f"does not fit stride {axis.stride}" for axis in (one, two, three) if not fits(axis)))
    finding.figure(divided(one), divided(two), f"stride {three.stride} leaves {three.ragged} cell over")
    finding.figure(f"gives {square(three.out)}")


@restates("row-of-neurons", worked.test_a_row_of_neurons_gives_the_notes_numbers)
def row_of_neurons(finding: Finding, k: Kernels) -> None:
    """Correlate the row, padded by 1, with the weights."""
    axes = {name: g.horizontal for name, g in worked.row_of_neurons().items() if name.startswith("row")}
    one, two, three = axes.values()
    x, w = np.array(worked.ROW), np.array(worked.NEURON)
    y = np.correlate(np.pad(x, one.pad_before), w, "valid")
    assert (len(y), len(y[:: two.stride])) == (one.out, two.out)
    finding.figure(f"{WORDS[len(x)].capitalize()} inputs padded by {one.pad_before} under the weights {row(w)} give")
    finding.figure(f"{one.out} outputs at stride 1 and {two.out} at stride {two.stride}")
    finding.figure(f"{row(x)} gives {row(y)}", f"at stride {two.stride}")
    finding.figure(f"{three.padded - three.extent} is not divisible by {three.stride}")


@restates("remedies-of-a-misfit", worked.test_ten_cells_do_not_hold_four_and_a_half_windows)
def remedies(finding: Finding, k: Kernels) -> None:
    """The strict fit, the cropped image, the padded one."""
    axis = only(worked.TEN).horizontal
    finding.figure(f"{axis.size} cells, F = {axis.extent}, S = {axis.stride}: the strict fit is an error")
    filled = axis.filled()
    finding.figure(f"{axis.size - axis.ragged} cells hold {axis.out} windows, {filled.padded} hold {filled.out}")
    finding.figure(f"the {axis.out} are the same numbers")


@restates("same-padding-example", worked.test_padding_by_half_a_filter_keeps_the_size)
def half(finding: Finding, k: Kernels) -> None:
    """Odd filters, each padded by half of it."""
    three, five, *_, last = (g.horizontal for g in worked.HALVES.values() if g.horizontal.extent > 1)
    finding.figure(f"F = {three.extent}, S = {three.stride}, P = {three.pad_before}, D = {three.dilation}")
    finding.figure(f"{three.size} cells stay {three.out} with F = {three.extent} and P = {three.pad_before}")
    finding.figure(f"{five.size} stay {five.out} with F = {five.extent} and P = {five.pad_before}")
    finding.figure(f"on to F = {last.extent}")


@restates("three-filters", worked.test_three_filters_make_28x28x3_of_32x32x3_and_keep_it_with_padding)
def three_filters(finding: Finding, k: Kernels) -> None:
    """Without padding, and with it."""
    bare, padded = worked.THREE.values()
    one, two = bare.horizontal, padded.horizontal
    finding.figure(f"{WORDS[bare.K].capitalize()} {square(one.extent)} filters make {behind(bare)} of {before(bare)}")
    finding.figure(f"with a padding of {two.pad_before} the image is read as {square(two.padded, padded.C)}")
    finding.figure(f"the output is {behind(padded)}")
    finding.figure(f"{one.size} - {one.extent} + 1 = {one.out}", f"{two.size} + {2 * two.pad_before} = {two.padded}")
    finding.figure(f"{two.padded} - {two.extent} + 1 = {two.out}")


@restates("alexnet-227", worked.test_227_cells_fit_alexnets_first_layer_and_224_do_not)
def alexnet(finding: Finding, k: Kernels) -> None:
    """The axis of the example, under all filters of the layer."""
    axis = worked.ALEXNET["227"].horizontal
    assert axis == CONV1.horizontal
    finding.figure(f"turns {before(CONV1)} into {behind(CONV1)}", divided(axis), f"each of {CONV1.K} filters")


@restates("volumes-of-a-small-network", worked.test_the_small_network_has_the_notes_volumes)
def small_network(finding: Finding, k: Kernels) -> None:
    """Its stages, run by the definitions."""
    found = volumes()
    conv, pool = (stage(operation) for operation in ("conv2d", "max_pool2d"))
    planes = [square(found[name].shape[2], found[name].shape[1]) for name in ("conv", "relu", "pool")]
    scores = found["scores"].shape[1]
    finding.figure(f"goes {', '.join([before(conv), *planes, f'1x1x{scores}'])}.")
    finding.figure(f"{conv.K} filters of {square(conv.horizontal.extent)} with P = {conv.horizontal.pad_before}")
    finding.figure(f"a maximum of {square(pool.horizontal.extent)} at stride {pool.horizontal.stride}")
    finding.figure(f"{scores} scores of {found['pool'].size:,} numbers")


@restates("pooling-224x224x64", worked.test_pooling_224x224x64_by_two_keeps_a_quarter)
def quarter(finding: Finding, k: Kernels) -> None:
    """The whole volume."""
    g = worked.volume("max_pool2d")
    axis, y_shape = g.horizontal, (g.C, g.vertical.out, g.horizontal.out)
    finding.figure(
        f"Pooling {before(g)} by {square(axis.extent)} at stride {axis.stride} gives {square(axis.out, g.C)}"
    )
    finding.figure(f"each output of {g.window} numbers", divided(axis))
    finding.figure(f"{prod(y_shape):,} of {prod(g.x_shape):,} numbers are left")


@restates("three-by-two-overlaps", worked.test_windows_of_three_at_stride_two_overlap)
def overlapping(finding: Finding, k: Kernels) -> None:
    """Count the windows that hold the peak."""
    three, two = worked.OVERLAP.values()
    settings = [f"F = {g.horizontal.extent}, S = {g.horizontal.stride}" for g in (three, two)]
    held = [int(k.holding(g.horizontal.size, g.horizontal.extent, g.horizontal.stride)[2, 2]) for g in (three, two)]
    finding.figure(f"overlap with {settings[0]}, and with {settings[1]} they do not")
    finding.figure(f"the maximum of {WORDS[held[0]]} windows in one case, of {WORDS[held[1]]} in the other")


# parameters


@restates("fully-connected-weights", worked.test_a_neuron_has_as_many_weights_as_its_window_has_cells)
def full_weights(finding: Finding, k: Kernels) -> None:
    """The rows whose filter is as large as the image."""
    one, two = (g for g in worked.WEIGHTS.values() if g.horizontal.extent == g.horizontal.size)
    finding.figure(f"{one.terms:,} weights on {before(one)}, and {two.terms:,} on {before(two)}")


@restates("local-weights", worked.test_a_neuron_has_as_many_weights_as_its_window_has_cells)
def local_weights(finding: Finding, k: Kernels) -> None:
    """The first two rows; and ones under ones, with a bias of 1."""
    one, two, *_ = worked.WEIGHTS.values()
    F = [g.horizontal.extent for g in (one, two)]
    finding.figure(f"{one.terms} weights and a bias under F = {F[0]} on {before(one)}")
    finding.figure(f"{two.terms} under F = {F[1]} on {before(two)}")
    finding.figure(*(f"{f}*{f}*{g.C} = {g.terms}" for f, g in zip(F, (one, two), strict=True)))
    ones = [np.ones((1, g.C, f, f)) for f, g in zip(F, (one, two), strict=True)]
    sums = [k.conv(x, x, np.ones(1)).item() for x in ones]
    finding.figure(f"a bias of 1 give {sums[0]:g} and {sums[1]:g}")


@restates("shared-parameters", gradients.test_shared_filters_have_34944_parameters)
def shared_parameters(finding: Finding, k: Kernels) -> None:
    """The layer with weights for each neuron, and for each filter."""
    g, neurons = CONV1, prod(CONV1.y_shape)
    side, F, weights = g.horizontal.out, g.horizontal.extent, prod(g.w_shape)
    finding.figure(f"{neurons:,} neurons of {g.terms} weights and a bias, {neurons * (g.terms + 1):,} parameters")
    finding.figure(f"shared, {weights:,} weights and {g.K} biases", f"{side}*{side}*{g.K} * {g.terms + 1}")
    finding.figure(f"{g.K}*{F}*{F}*{g.C} + {g.K} = {learned(g):,}")


# what is computed


@restates("activation-maps", worked.test_the_activation_maps_are_indexed_by_width_height_and_depth)
def activation_maps(finding: Finding, k: Kernels) -> None:
    """The last element that is listed, and how many are."""
    g, (i, j, filter_) = only(worked.VOLUME), worked.LISTED[-1]
    left, top = g.horizontal.starts[i], g.vertical.starts[j]
    window = f"X[{left}:{left + g.horizontal.extent}, {top}:{top + g.vertical.extent}, :]"
    finding.figure(f"the example of {before(g)}")
    finding.figure(f"V[{i}, {j}, {filter_}] = sum({window} * W{filter_}) + b{filter_}")
    finding.figure(f"All {WORDS[len(worked.LISTED)]} elements")


@restates("product-of-matrices", worked.test_alexnets_first_layer_is_one_matrix_product)
def matrix_product(finding: Finding, k: Kernels) -> None:
    """The shapes of both matrices, and of their product."""
    g = only(worked.COLUMNS)
    places = g.vertical.out * g.horizontal.out
    finding.figure(f"[{g.K} x {g.terms}] times [{g.terms} x {places}]")
    finding.figure(f"All {g.K * places:,} outputs", f"the [{g.K} x {places}] that it gives")


@restates("one-cell-is-a-dot-product", test_algebra_conv.test_a_filter_of_one_cell_is_a_matrix_product)
def one_cell(finding: Finding, k: Kernels) -> None:
    """Compare with a matrix product over all channels, where there are two groups."""
    x, w = whole(1, 1, 4, 3, 3), whole(2, 2, 2, 1, 1)
    spread = np.zeros((2, 4))
    spread[:, :2] = w[:, :, 0, 0]  # as if the second filter saw what the first does
    finding.see(np.array_equal(k.conv(x, w, G=2), np.einsum("kc,ncyx->nkyx", spread, x)), "two groups")
    finding.given("A 1x1 convolution")


@restates("width-and-height-alike", test_algebra_symmetry.test_transposed_images_and_filters_give_transposed_outputs)
@restates("sum-of-products", test_values.test_output_equals_the_definition_exactly)
@restates("pools-as-named", test_values.test_output_equals_the_definition_exactly)
@restates("bias-is-an-offset", test_algebra_conv.test_the_bias_is_added_to_each_output_of_its_filter)
@restates("l2-pooling", test_algebra_pool.test_l2_pooling_is_the_root_of_convolved_squares)
@restates("slices-are-pooled-alone", test_algebra_symmetry.test_channels_are_pooled_one_by_one)
@restates("one-score-function", gradients.test_the_small_network_has_the_definitions_gradients)
def no_numbers(finding: Finding, k: Kernels) -> None:
    """There are no numbers in them."""


# gradients, and what moves


@restates("backward-is-a-flipped-convolution", gradients.test_the_backward_pass_is_a_convolution)
def flipped(finding: Finding, k: Kernels) -> None:
    """Convolve dy with the flipped filter, with no zeros between its cells, at stride 2; then too few around them."""
    x, w = whole(1, 1, 1, 7, 7), whole(2, 1, 1, 3, 3)
    for S, P in ((2, 2), (1, 1)):
        side = Axis(7, 3, S).out
        dy = whole(3, 1, 1, side, side)
        dx = k.gradients(x, w, dy, S=S)[0]
        finding.see(np.array_equal(k.conv(dy, w[:, :, ::-1, ::-1], P=P), dx), f"S={S}, {P} zeros around, none between")
    finding.given("At stride 1 there are none between them")


@restates("shared-gradient-is-a-sum", gradients.test_a_shared_gradient_is_the_sum_of_the_unshared_ones)
def summed(finding: Finding, k: Kernels) -> None:
    """Count the places."""
    g = only(gradients.SUMMED)
    finding.figure(f"Over {g.vertical.out * g.horizontal.out} places of the example of {before(g)}")


@restates("maximum-routes-its-gradient", test_switches.test_each_gradient_goes_to_its_switch_and_nowhere_else)
def routed(finding: Finding, k: Kernels) -> None:
    """Send one dy back, and see what all other cells get."""
    x = whole(1, 1, 1, 4, 4)
    dx = k.routed(np.eye(4)[1].reshape(1, 1, 2, 2), k.switched(x, 2, 2)[1], x.shape)
    finding.figure(*(f"all else stays {cell:g}" for cell in {*dx[dx != 1]}))


@restates("overlapping-gradients-add", gradients.test_gradients_of_overlapping_windows_add)
def added(finding: Finding, k: Kernels) -> None:
    """A peak in the middle, and a gradient for each of its windows."""
    axis = gradients.PEAKS["F-3"].horizontal
    x = np.zeros((1, 1, axis.size, axis.size))
    x[0, 0, 2, 2] = 5
    dy = np.array(FOUR, np.float64).reshape(1, 1, axis.out, axis.out)
    peak = k.routed(dy, k.switched(x, axis.extent, axis.stride)[1], x.shape)[0, 0, 2, 2]
    finding.figure(f"A peak in {WORDS[len(FOUR)]} windows gets {' + '.join(map(str, FOUR))} = {peak:g}")


@restates("descent-trains", gradients.test_gradient_descent_lowers_the_loss)
def descends(finding: Finding, k: Kernels) -> None:
    """Take one step that is too long."""
    rate = 64.0
    first, last = descent(Network(Definition()), np.random.default_rng(SEED), ("w1", "b1"), steps=1, rate=rate)
    finding.see(last < first, f"a step of {rate:g} times the gradient: from {first:.3g} to {last:.3g}")
    finding.figure(f"{WORDS[gradients.STEPS].capitalize()} short steps", f"One of {rate:g} times their gradient")


@restates("features-move-along", test_translation.test_outputs_move_with_the_image)
def moved(finding: Finding, k: Kernels) -> None:
    """Move by less than a stride, and look at the border as well."""
    x, w = whole(1, 1, 1, 9, 10), whole(2, 1, 1, 3, 3)
    still, shifted = (k.conv(x[..., left : left + 9], w, S=2) for left in (1, 0))
    finding.see(np.array_equal(still[..., :-1], shifted[..., 1:]), "moved by one pixel at stride 2")
