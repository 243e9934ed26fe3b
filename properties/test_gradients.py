"""Gradients: held against the definition, and against the forward operation by identities that need no step size."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np

from oracles import truth as truths
from oracles.case import BACKWARD, CONVOLUTIONS, POOLS, Case
from oracles.data import NARROW
from oracles.verdict import Verdict, judge
from properties.examiner import Examiner, Unsupported
from properties.laws import law
from properties.recipes import BOUNDED, EXACT
from properties.strategies import cases

STAYS = "says in the plainest words what is wrong; the identities ask no oracle"

NONE = Fraction(2) ** 4000  # stands for an inner product that there is not: no result of any format comes near
LINEAR = ("conv2d_backward", "avg_pool2d_backward")
Inputs = dict[str, np.ndarray | None]


@law("gradients", BACKWARD, cases(EXACT), any_case=True)
def test_gradient_equals_the_definition_exactly(subject: Examiner, case: Case) -> None:
    """Every gradient is what the chain rule gives; on integers, to the last bit."""
    verdict = subject.judge(case, subject.run(case))
    assert verdict.agrees, verdict.message


@law("gradients", BACKWARD, cases(BOUNDED), steered=True)
def test_gradient_equals_the_definition_within_rounding(subject: Examiner, case: Case) -> None:
    """Every gradient on real data lies within the rounding bound of the chain rule's."""
    verdict = subject.judge(case, subject.run(case))
    subject.steer(verdict)
    assert verdict.agrees, verdict.message


@law("gradients", BACKWARD, cases(("narrow",)))
def test_backward_is_the_adjoint_of_forward(subject: Examiner, case: Case) -> None:
    """<x, dx> equals <y, dy>, and for filters <w, dw> too: all operations are homogeneous of degree one."""
    forward, data = forward_of(subject, case)
    gradients = tuple_of(subject.run(case, backward_inputs(case, data)))
    y = tuple_of(subject.run(forward, forward_inputs(case, data)))[0]
    slack = slack_of(subject, forward, forward_inputs(case, data), {"y": data["dy"]})
    slack += slack_of(subject, case, backward_inputs(case, data), {"dx": data["x"], "dw": data.get("w")})
    want = dot(subject.rounding_units(forward, y), data["dy"])
    pairs = [("<x, dx>", data["x"], gradients[0])]
    if case.operation == "conv2d_backward":
        pairs.append(("<w, dw>", data["w"], gradients[1]))
    for name, operand, gradient in pairs:
        found = same_number(name, dot(operand, subject.rounding_units(case, gradient)), want, slack)
        verdict = subject.hold(case, found if found.agrees else halved(subject, found, forward, data, y))
        assert verdict.agrees, verdict.message


@law("gradients", LINEAR, cases(("narrow",)))
def test_gradient_is_the_directional_derivative(subject: Examiner, case: Case) -> None:
    """<y(x + v) - y(x), dy> equals <v, dx>, for filters and biases likewise; a linear map needs no step size."""
    forward, data = forward_of(subject, case)
    base = tuple_of(subject.run(forward, forward_inputs(case, data)))[0]
    gradients = dict(zip(("x", "w", "b"), tuple_of(subject.run(case, backward_inputs(case, data))), strict=False))
    for name, gradient in gradients.items():
        direction = small(case, np.zeros(case.geometry.K) if name == "b" else data[name], case.dtype)
        moved = dict(data) | {name: direction if name == "b" else plus(data[name], direction)}
        ahead = tuple_of(subject.run(dataclasses.replace(forward, bias=name == "b"), forward_inputs(case, moved)))[0]
        here, there = (dot(subject.rounding_units(forward, y), data["dy"]) for y in (base, ahead))
        difference = NONE if NONE in (here, there) else there - here
        slack = sum(slack_of(subject, forward, forward_inputs(case, d), {"y": data["dy"]}) for d in (data, moved))
        slack += slack_of(subject, case, backward_inputs(case, data), {f"d{name}": direction})
        got = dot(direction, subject.rounding_units(case, gradient))
        found = same_number(f"<v, d{name}>", got, difference, slack)
        verdict = subject.hold(case, found if found.agrees else halved(subject, found, forward, data, base))
        assert verdict.agrees, verdict.message


@law("gradients", ("max_pool2d_backward",), cases(("distinct",)))
def test_gradient_of_max_pooling_is_the_directional_derivative(subject: Examiner, case: Case) -> None:
    """Moving each cell by less than half the least difference moves the maxima by <v, dx>."""
    forward, data = forward_of(subject, case)
    spaced = case.rng(2).permutation(data["x"].size).reshape(data["x"].shape) * 4.0  # no move of 1 changes the order
    x = spaced.astype(data["x"].dtype)
    if data["x"].size * 4 > 2 ** truths.FORMATS[case.dtype].digits:
        raise Unsupported(f"{case.dtype} has too few integers for an image of so many cells")
    direction = small(case, x, case.dtype)
    found = truths.switches(case, x)
    dx = subject.run(case, {"dy": data["dy"], "switches": found})
    moved = tuple_of(subject.run(forward, {"x": plus(x, direction)}))[0]
    base = tuple_of(subject.run(forward, {"x": x}))[0]
    slack = slack_of(subject, case, {"dy": data["dy"], "switches": found}, {"dx": direction})
    here, there = dot(base, data["dy"]), dot(moved, data["dy"])
    want = NONE if NONE in (here, there) else there - here
    verdict = subject.hold(case, same_number("<v, dx>", dot(direction, dx), want, slack))
    assert verdict.agrees, verdict.message


@law("gradients", ("conv2d_backward",), cases(("narrow",)))
def test_double_backward_is_the_adjoint_of_backward(subject: Examiner, case: Case) -> None:
    """For any u, whatever x was, <u, dx(w, dy)> equals <y(u, w), dy> and <w, dw(u, dy)>: double backward."""
    forward, data = forward_of(subject, case)
    other = truths.inputs(case, stream=1)
    u, v = other["x"], other["w"]
    dx, dw, _ = tuple_of(subject.run(case, backward_inputs(case, data)))
    _, dw_of_u, _ = tuple_of(subject.run(case, backward_inputs(case, dict(data) | {"x": u, "w": v})))
    y_of_u = tuple_of(subject.run(forward, forward_inputs(case, dict(data) | {"x": u})))[0]
    y_of_v = tuple_of(subject.run(forward, forward_inputs(case, dict(data) | {"w": v})))[0]
    round_ = subject.rounding_units
    ones = {"dx": np.ones_like(u), "dw": np.ones_like(v)}  # |operands| are at most NARROW
    slack = NARROW * slack_of(subject, case, backward_inputs(case, data), ones)
    slack += NARROW * slack_of(subject, case, backward_inputs(case, dict(data) | {"x": u, "w": v}), ones)
    for mixed in (dict(data) | {"x": u}, dict(data) | {"w": v}):
        slack += slack_of(subject, forward, forward_inputs(case, mixed), {"y": data["dy"]})
    for name, got, want in (
        ("<u, dx(w, dy)> against <w, dw(u, dy)>", dot(u, round_(case, dx)), dot(data["w"], round_(case, dw_of_u))),
        ("<u, dx(w, dy)> against <y(u, w), dy>", dot(u, round_(case, dx)), dot(round_(forward, y_of_u), data["dy"])),
        ("<v, dw(x, dy)> against <y(x, v), dy>", dot(v, round_(case, dw)), dot(round_(forward, y_of_v), data["dy"])),
    ):
        verdict = subject.hold(case, same_number(name, got, want, slack))
        assert verdict.agrees, verdict.message


def forward_of(subject: Examiner, case: Case) -> tuple[Case, Inputs]:
    """The forward operation's case, and inputs for both directions. Raises Unsupported where it is not offered."""
    operation = case.operation.removesuffix("_backward")
    forward = dataclasses.replace(case, operation=operation)
    data: Inputs = dict(truths.arrays(case))
    if operation in POOLS:
        data |= {"x": truths.arrays(dataclasses.replace(case, operation="l2_pool2d_backward"))["x"]}
    subject.require(operation, forward, subject.parameters(forward))
    return forward, data


def halved(subject: Examiner, found: Verdict, forward: Case, data: Inputs, y: np.ndarray) -> Verdict:
    """Add to what is wrong of both directions together which of them the definition blames."""
    truth = truths.judged(forward, forward_inputs(forward, data), subject.arithmetic)
    which = judge(truth[:1], y)
    told = "is as the definition has it" if which.agrees else "is what differs from the definition here"
    return dataclasses.replace(found, message=f"{found.message}\n  {forward.operation} {told}")


def forward_inputs(case: Case, data: Inputs) -> Inputs:
    """What the forward operation takes of them."""
    if case.operation in CONVOLUTIONS:
        return {"x": data["x"], "w": data["w"], "b": data.get("b")}
    return {"x": data["x"]}


def backward_inputs(case: Case, data: Inputs) -> Inputs:
    """What the gradient takes of them."""
    if case.operation == "conv2d_backward":
        return {"x": data["x"], "w": data["w"], "dy": data["dy"]}
    if case.operation == "max_pool2d_backward":
        assert data["x"] is not None
        return {"dy": data["dy"], "switches": truths.switches(case, data["x"])}
    if case.operation == "l2_pool2d_backward":
        return {"x": data["x"], "dy": data["dy"]}
    return {"dy": data["dy"]}


def tuple_of(result: object) -> tuple[np.ndarray, ...]:
    """The outputs as a tuple, one or several."""
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)  # type: ignore[return-value]


def dot(a: np.ndarray | None, b: np.ndarray | None) -> Fraction:
    """The inner product without any rounding; of arrays that differ in shape or are not finite, NONE."""
    assert a is not None
    assert b is not None
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return NONE
    pairs = zip(a.astype(np.float64).ravel().tolist(), b.astype(np.float64).ravel().tolist(), strict=True)
    return sum((Fraction(p) * Fraction(q) for p, q in pairs), Fraction(0))


def small(case: Case, like: np.ndarray | None, dtype: str) -> np.ndarray:
    """A direction of -1 and 1, so that a sum of two keeps within the budget of narrow data."""
    assert like is not None
    return truths.FORMATS[dtype].rounded(case.rng(3).choice([-1.0, 1.0], like.shape))


def plus(a: np.ndarray | None, b: np.ndarray) -> np.ndarray:
    """The sum in the arrays' own type."""
    assert a is not None
    return (a + b).astype(a.dtype)


def slack_of(subject: Examiner, case: Case, data: Inputs, weights: Inputs) -> Fraction:
    """How far an inner product with these weights may be off, by the bounds of the outputs; 0 on exact data."""
    total = Fraction(0)
    for truth in truths.judged(case, data, subject.arithmetic):
        weight = weights.get(truth.name)
        bound = truth.bound
        if bound is None and truth.form.narrow:  # exact, but rounded once where it is stored
            bound = truth.form.u * np.abs(truth.value)
        if case.operation in CONVOLUTIONS and subject.arithmetic.transforms:
            bound = None  # these are rounded to the integers they stand for
        if bound is not None and weight is not None:
            total += Fraction(float((np.abs(weight.astype(np.float64)) * bound).sum()) * (1 + 2.0**-40))
    return total


def same_number(name: str, got: Fraction, want: Fraction, slack: Fraction) -> Verdict:
    """The verdict on one number."""
    if NONE in (got, want):
        return Verdict("differs", f"{name} cannot be formed: a result has a wrong shape or is not finite", math.inf)
    off = abs(got - want)
    if off <= slack:
        return Verdict(ratio=float(off / slack) if slack else 0.0, elements=1, bounded=slack > 0)
    allowed = f"; {as_float(slack):.6g} would be rounding" if slack else "; on integers it must not differ"
    return Verdict("differs", f"{name} is {as_float(got):.17g} where {as_float(want):.17g} is due{allowed}", math.inf)


def as_float(number: Fraction) -> float:
    """A number for a message; one that no float64 holds, as inner products of huge results are, is infinite there."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
