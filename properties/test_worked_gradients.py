"""Worked examples of the course notes on the way back: what gradients are made of, and that they train a network."""

from __future__ import annotations

from itertools import pairwise
from math import inf, prod

import numpy as np

from oracles import conv
from oracles import truth as truths
from oracles.case import Case
from oracles.geometry import Axis, Geometry
from oracles.layers import Network
from oracles.verdict import Verdict
from properties.derived import answers, exact, held, integers, present
from properties.examiner import Examiner
from properties.network import Theirs, descent, recorded, same_numbers, stage
from properties.worked import SEED, agreed, defined, judged, layer, peak, rounded, worked

STAYS = "numbers of the course notes, which a reader can follow by hand"

CONV = ("conv2d_backward",)


IMAGES = {f"{W}x{W}x3": layer(W, 3, F=11, S=4, K=96) for W in (11, 15)}


@worked("gradients", CONV, "shared", IMAGES)
def test_shared_filters_have_34944_parameters(subject: Examiner, case: Case) -> None:
    """Whatever the image, 96 filters of 11x11x3 learn 34,848 weights and 96 biases; not shared, 105,705,600.

    Source: CS231n, "Parameter Sharing".
    """
    conv1 = layer(227, 3, F=11, S=4, K=96)
    neurons = prod(conv1.y_shape)
    assert (neurons, conv1.terms, neurons * (conv1.terms + 1)) == (290_400, 363, 105_705_600)
    assert case.geometry.w_shape == conv1.w_shape
    assert (prod(case.geometry.w_shape), case.geometry.K) == (34_848, 96)
    told = '96 filters of 11x11x3: 34,848 + 96 = 34,944 parameters (CS231n, "Parameter Sharing")'
    defined(subject, case, told)


SUMMED = {"11x11x4": layer(11, 4, F=5, S=2, K=2)}


@worked("gradients", CONV, "sum", SUMMED)
def test_a_shared_gradient_is_the_sum_of_the_unshared_ones(subject: Examiner, case: Case) -> None:
    """The gradient of a shared filter is the sum of what its neurons, each with weights of its own, would have.

    A locally connected neuron has dy times its window. Source: CS231n, "Parameter Sharing".
    """
    g, data = case.geometry, integers(exact(subject, case))
    x, dy = present(data, "x").astype(np.float64), present(data, "dy")
    got = answers(subject, case, data)
    weights, biases = np.zeros(g.w_shape), np.zeros(g.K)
    for oy, top in enumerate(g.vertical.starts):
        for ox, left in enumerate(g.horizontal.starts):
            alone = np.zeros_like(dy)
            alone[:, :, oy, ox] = dy[:, :, oy, ox]
            d = dy[0, :, oy, ox].astype(np.float64)
            own = {"dw": d[:, None, None, None] * x[:, :, top : top + 5, left : left + 5], "db": d}
            own = {name: rounded(case, array) for name, array in own.items()}
            told = f'dy times the window at ({oy}, {ox}) is the gradient of its neuron (CS231n, "Parameter Sharing")'
            unshared = answers(subject, case, {**data, "dy": alone})
            verdict = held(subject, case, told, unshared, own, {**data, "dy": alone})
            assert verdict.agrees, verdict.message
            weights, biases = weights + own["dw"], biases + own["db"]
    want = {"dw": rounded(case, weights), "db": rounded(case, biases)}
    told = 'dw = the sum of the unshared gradients (CS231n, "Parameter Sharing")'
    verdict = held(subject, case, told, got, want, data)
    assert verdict.agrees, verdict.message


FLIPPED = {
    "P-0": layer(6, 2, F=3, K=3),
    "P-1": layer(7, 2, F=3, P=1, K=3),
    "stride-2": layer(11, 2, F=5, S=2, K=2),
    "ragged": layer(8, 1, F=3, S=2, P=1, K=2),
}


@worked("gradients", CONV, "flipped", FLIPPED)
def test_the_backward_pass_is_a_convolution(subject: Examiner, case: Case) -> None:
    """dx is dy, S - 1 zeros between its cells, convolved with spatially flipped filters; dw is x convolved with dy.

    Source: CS231n, "Convolutional Layer", Backpropagation.
    """
    g, data = case.geometry, integers(exact(subject, case))
    x, w, dy = (present(data, name).astype(np.int64) for name in ("x", "w", "dy"))
    F, S, P = g.horizontal.extent, g.horizontal.stride, g.horizontal.pad_before
    spread = np.zeros((1, g.K, *[(g.horizontal.out - 1) * S + 1] * 2), np.int64)
    spread[:, :, ::S, ::S] = dy
    back = Axis(spread.shape[2], F, 1, 1, F - 1 - P, F - 1 - P + g.horizontal.ragged)
    flipped = w[:, :, ::-1, ::-1].swapaxes(0, 1)  # each channel's filters, one for each output
    dx = conv.conv2d(spread.tolist(), flipped.tolist(), [0] * g.C, Geometry(1, g.K, back, back, g.C))
    seen = Axis(g.horizontal.size, g.horizontal.out, 1, S, P, P)
    images, outputs = x.swapaxes(0, 1).tolist(), dy.swapaxes(0, 1).tolist()  # channels as images, dy as filters
    dw = conv.conv2d(images, outputs, [0] * g.K, Geometry(g.C, 1, seen, seen, g.K))
    want = {"dx": rounded(case, dx), "dw": rounded(case, dw).swapaxes(0, 1)[:, :, :F, :F]}
    told = 'dx = dy * flipped w, dw = x * dy (CS231n, "Convolutional Layer", Backpropagation)'
    verdict = held(subject, case, told, answers(subject, case, data), want, data)
    assert verdict.agrees, verdict.message


PEAKS = {"F-3": layer(5, 1, F=3, S=2), "F-2": layer(4, 1, F=2, S=2)}


@worked("gradients", ("max_pool2d_backward",), "peak", PEAKS)
def test_gradients_of_overlapping_windows_add(subject: Examiner, case: Case) -> None:
    """F=3, S=2 overlaps: a peak that is the maximum of four windows receives the gradients 1 + 2 + 4 + 8.

    With F=2 it receives that of its own window. Source: CS231n, "Pooling Layer".
    """
    told, data = peak(case)
    assert truths.judged(case, data)[0].value[0, 0, 2, 2] == {4: 15, 1: 8}[case.geometry.overlap]
    judged(subject, case, data, told)


@worked("gradients", (*CONV, "max_pool2d_backward"), "backward", {"32x32x3": stage})
def test_the_small_network_has_the_definitions_gradients(subject: Examiner, case: Case) -> None:
    """Backward through the network 32x32x3 - 32x32x12 - 32x32x12 - 16x16x12 - 1x1x10, each number exactly.

    Source: CS231n, "Architecture Overview".
    """
    given, want = recorded()[case.operation]
    assert want["dx"].shape == {"conv2d_backward": (1, 3, 32, 32)}.get(case.operation, (1, 12, 32, 32))
    same_numbers(subject, case, given, want)


STEPS = 3
TRAINED = {"conv": (("w1", "b1"), 2.0**-6), "conv-and-fc": (("w1", "b1", "w2", "b2"), 2.0**-10)}


@worked("gradients", CONV, "trained", dict.fromkeys(TRAINED, stage(*CONV)))
def test_gradient_descent_lowers_the_loss(subject: Examiner, case: Case) -> None:
    """Three steps of gradient descent on the small network lower its loss each time, of CONV alone or of CONV and FC.

    Source: CS231n, "Architecture Overview".
    """
    theirs, (names, rate) = Theirs(subject, case), TRAINED[case.detail("trained", TRAINED)]
    losses = descent(Network(theirs), np.random.default_rng(SEED), names, steps=STEPS, rate=rate)  # type: ignore[arg-type]
    falls = all(after < before for before, after in pairwise(losses))
    found = f"the loss goes {', '.join(f'{loss:.3g}' for loss in losses)} where each step should lower it"
    verdict = Verdict() if falls else Verdict("differs", found, inf, data=theirs.given)
    agreed(subject, case, verdict, f'training {", ".join(names)} (CS231n, "Architecture Overview")')
