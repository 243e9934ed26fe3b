"""Refusals: what must be refused is, with a ValueError, and the next valid call is right."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from hypothesis import example

from impls.isolation.failures import Failure
from oracles import truth as truths
from oracles.case import OPERATIONS, Case
from oracles.truth import Truth
from oracles.verdict import Verdict, form, judge
from properties.examiner import Examiner, Unsupported
from properties.faults import Call, faults, open_by, out_size_faults, spoiled
from properties.laws import law
from properties.probing import ANY, noted, varied
from properties.strategies import cases

STAYS = "names what was accepted"

TWO = "float32 n2c4k4g2 i4k3s1p0,0d1 i5k3s1p0,0d1 narrow:24 seed=1"  # two of all that NumPy would repeat one of
REFUSING = tuple(name for name in OPERATIONS if name not in ("out_size", "max_pool2d_backward"))


@law("refusals", REFUSING, cases(("narrow",), details={"fault": ANY}, batches=(1, 2)), details=("fault",))
@example(case=Case.parse(f"conv2d_backward {TWO} fault=dy_of_one_image"))
@example(case=Case.parse(f"conv2d_backward {TWO} fault=dy_of_one_filter"))
@example(case=Case.parse(f"conv2d_backward {TWO} fault=w_of_one_channel"))
@example(case=Case.parse(f"conv2d {TWO} fault=w_of_one_channel"))
def test_invalid_calls_are_refused(subject: Examiner, case: Case) -> None:
    """What makes no sense raises ValueError, and after it the next valid call is right."""
    verdict = varied(subject, case, "fault", list(faults(case.operation)), refused, count=4)
    assert verdict.agrees, verdict.message
    verdict = subject.judge(case, subject.run(case))
    assert verdict.agrees, f"after a refusal: {verdict.message}"


def refused(subject: Examiner, case: Case) -> Verdict:
    """The verdict on the call with the fault that the case names."""
    call, what = spoiled(subject, case, case.detail("fault"))
    if what is None:
        return Verdict()
    convention = open_by(case.detail("fault"))
    if convention not in subject.subject.declared.conventions:
        return refusal(subject, case.operation, what, call.arrays, call.parameters)
    return refused_or_right(subject, what, call, convention)


def refused_or_right(subject: Examiner, what: str, call: Call, convention: str) -> Verdict:
    """The verdict on a call that need not be refused, as is declared: what is answered must be right.

    Raises Unsupported where it is answered, and has its size, but has no meaning beyond that.
    """
    operation = call.case.operation
    try:
        result = subject.subject.call(operation, *call.arrays, **call.parameters)
    except ValueError:
        return Verdict(elements=1)
    except Failure as failure:
        return Verdict(failure.verdict, f"{what}: {failure}\na ValueError is due, or an answer", math.inf)
    except Exception as error:
        said = f"{what} raised {type(error).__name__}: {error}; a ValueError is due, or an answer"
        return Verdict("raised", said, math.inf)
    name, shape = ("dx" if operation.endswith("_backward") else "y"), call.shape()
    y = result[0] if operation == "max_pool2d" and isinstance(result, tuple) else result
    complaint = "" if shape is None else form(name, y, shape, call.dtype)
    if complaint:
        verdict = Verdict("accepted what must be refused", complaint, math.inf)
    elif operation == "conv2d" and y.size and convention in ("broadcasts_bias", "takes_empty_image"):
        verdict = judge(meant(subject, call), y)
    elif shape is None or y.size:
        raise Unsupported(f"not owed: declares {convention}")
    else:
        verdict = Verdict(elements=1)
    return noted(verdict, f"{what} was accepted, as {convention} declares, and not answered rightly")


def meant(subject: Examiner, call: Call) -> tuple[Truth, ...]:
    """The outputs of a convolution that has one bias for all, or reads nothing but padding."""
    x, w, b = call.arrays
    case = dataclasses.replace(call.case, details=(), bias=b is not None)
    bias = None if b is None else np.full(w.shape[0], 1, x.dtype) * np.ravel(b)
    if x.size:
        return truths.judged(case, {"x": x, "w": w, "b": bias}, subject.arithmetic)
    value = np.zeros(call.shape()) if bias is None else np.broadcast_to(bias[:, None, None], call.shape())  # type: ignore[arg-type]
    return (Truth("y", value.astype(np.float64), np.zeros(value.shape), None, truths.FORMATS[case.dtype]),)


@law("refusals", ("out_size",), cases(("narrow",)))
def test_out_size_refuses_what_the_operations_refuse(subject: Examiner, case: Case) -> None:
    """out_size raises ValueError for sizes, strides and dilations below 1, negative padding, too large a window."""
    for name, arguments in out_size_faults(case).items():
        spelled = ", ".join(f"{key}={value}" for key, value in zip("WFSPD", arguments, strict=True))
        what = f"out_size({spelled}), {name}"
        verdict = subject.hold(case, refusal(subject, "out_size", what, arguments[:4], {"dilation": arguments[4]}))
        assert verdict.agrees, verdict.message


def refusal(subject: Examiner, operation: str, what: str, arrays: object, parameters: dict[str, object]) -> Verdict:
    """The verdict on a call that must raise ValueError."""
    try:
        result = subject.subject.call(operation, *arrays, **parameters)  # type: ignore[misc]
    except ValueError:
        return Verdict(elements=1)
    except Failure as failure:
        return Verdict(failure.verdict, f"{what}: {failure}\na ValueError is due", math.inf)
    except Exception as error:
        said = f"{what} raised {type(error).__name__}: {error}; a ValueError is due"
        return Verdict("raised", said, math.inf)
    given = f"{type(result).__name__} {result!r}" if not isinstance(result, np.ndarray) else f"shape {result.shape}"
    return Verdict(
        "accepted what must be refused", f"{what} was accepted and gave {given[:200]}; a ValueError is due", math.inf
    )
