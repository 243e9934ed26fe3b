"""Laws of the gradients: what they have to do with one another on related inputs. No oracle is asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from oracles.case import BACKWARD, Case
from properties.derived import (
    CHOICES,
    INTEGERS,
    Data,
    another,
    answers,
    exact,
    held,
    integers,
    present,
    shuffled,
    summed,
    tolerance,
    two_groups,
    with_axes,
)
from properties.examiner import Examiner
from properties.laws import law
from properties.strategies import PADDINGS, cases

STAYS = "asks no oracle: what an oracle and an implementation get wrong alike shows here"

CONV = ("conv2d_backward",)


@law("gradients", BACKWARD, cases(INTEGERS))
def test_gradients_are_linear_in_dy(subject: Examiner, case: Case) -> None:
    """Gradients are linear in dy."""
    plain = exact(subject, case, slack=2)  # |u + 2v| <= 3A
    data = integers(plain)
    first, second = present(data, "dy"), another(plain, data, "dy")
    together = {**data, "dy": first + 2 * second}
    got = answers(subject, case, together)
    one, two = answers(subject, case, data, plain), answers(subject, case, {**data, "dy": second}, plain)
    want = {name: one[name] + 2 * two[name] for name in one}
    within = summed(*6 * [tolerance(subject, case, data)])
    verdict = held(subject, case, "dx(dy + 2dy') = dx(dy) + 2 dx(dy'), so dw, db", got, want, together, within)
    assert verdict.agrees, verdict.message


@law("gradients", CONV, cases(INTEGERS))
def test_each_gradient_of_a_convolution_needs_one_operand(subject: Examiner, case: Case) -> None:
    """The gradient of the image does not depend on the image, that of the filter not on the filter, db on neither."""
    plain = exact(subject, case)
    data = integers(plain)
    x, w = another(plain, data, "x"), another(plain, data, "w", stream=2)
    got = answers(subject, case, data)
    moved, reweighed = (answers(subject, case, {**data, **other}, plain) for other in ({"x": x}, {"w": w}))
    want = {"dx": moved["dx"], "dw": reweighed["dw"], "db": moved["db"]}
    verdict = held(subject, case, "dx(x, w) = dx(x', w), dw(x, w) = dw(x, w')", got, want, data)
    assert verdict.agrees, verdict.message


@law("gradients", CONV, cases(INTEGERS).map(two_groups))
def test_gradients_of_groups_are_separate(subject: Examiner, case: Case) -> None:
    """The gradients of a grouped convolution are those of one convolution for each group."""
    plain, g = exact(subject, case), case.geometry
    data = integers(plain)
    part = replace(plain, geometry=replace(g, C=g.C // g.G, K=g.K // g.G, G=1))
    parts = []
    for group in range(g.G):
        channels, filters = (slice(group * n // g.G, (group + 1) * n // g.G) for n in (g.C, g.K))
        x, w, dy = (present(data, name) for name in ("x", "w", "dy"))
        given: Data = {"x": x[:, channels], "w": w[filters], "dy": dy[:, filters]}
        parts.append(answers(subject, case, given, part))
    want = {name: np.concatenate([found[name] for found in parts], int(name == "dx")) for name in ("dx", "dw", "db")}
    got = answers(subject, case, data)
    verdict = held(subject, case, "dx, dw, db = concatenate(those of each group alone)", got, want, data)
    assert verdict.agrees, verdict.message


@law("gradients", CONV, cases(INTEGERS))
def test_permuting_filters_permutes_their_gradients(subject: Examiner, case: Case) -> None:
    """Filters in another order have their gradients in that order, and the image has the same one."""
    plain, g = exact(subject, case), case.geometry
    data = integers(plain)
    order = shuffled(case.rng(CHOICES), g.G, g.K // g.G)
    reordered = {**data, "w": present(data, "w")[order], "dy": present(data, "dy")[:, order]}
    found = answers(subject, case, data, plain)
    want = {"dx": found["dx"], "dw": found["dw"][order], "db": found["db"][order]}
    got = answers(subject, case, reordered)
    verdict = held(subject, case, f"dw(w[order]) = dw(w)[order], order {order}", got, want, reordered)
    assert verdict.agrees, verdict.message


@law("gradients", CONV, cases(INTEGERS, extent=(2, 3, 4), dilation=(2, 3), padding=PADDINGS))
def test_gradients_of_a_dilated_filter_are_those_at_its_taps(subject: Examiner, case: Case) -> None:
    """A dilated filter has the gradients that the same filter with zeros between has at its taps."""
    v, h = case.geometry.vertical, case.geometry.horizontal
    dense = with_axes(case, *(replace(axis, extent=axis.reach, dilation=1) for axis in (v, h)))
    data = integers(exact(subject, case, dense))
    w = np.zeros(dense.geometry.w_shape, present(data, "w").dtype)
    w[:, :, :: v.dilation, :: h.dilation] = data["w"]
    want = answers(subject, case, {**data, "w": w}, dense)
    want["dw"] = want["dw"][:, :, :: v.dilation, :: h.dilation]
    got = answers(subject, case, data)
    verdict = held(subject, case, "dw(dilation D) = dw(with D-1 zeros between)[::D, ::D]", got, want, data)
    assert verdict.agrees, verdict.message


@law("gradients", CONV, cases(INTEGERS, padding=(1, 2, 3, 5, 0)))
def test_gradients_of_padding_are_cut_off(subject: Examiner, case: Case) -> None:
    """With zeros around the image for padding, dw and db are the same, and dx is the same inside."""
    v, h = case.geometry.vertical, case.geometry.horizontal
    larger = with_axes(case, *(replace(axis, size=axis.padded, pad_before=0, pad_after=0) for axis in (v, h)))
    data = integers(exact(subject, case, larger))
    sides = (0, 0), (0, 0), (v.pad_before, v.pad_after), (h.pad_before, h.pad_after)
    want = answers(subject, case, {**data, "x": np.pad(present(data, "x"), sides)}, larger)
    rows, columns = (slice(axis.pad_before, axis.pad_before + axis.size) for axis in (v, h))
    want["dx"] = want["dx"][:, :, rows, columns]
    got = answers(subject, case, data)
    verdict = held(subject, case, "dx(x, P) = dx(x with P zeros around it, 0) inside", got, want, data)
    assert verdict.agrees, verdict.message
