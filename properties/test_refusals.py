"""Refusals: what must be refused is, with a ValueError, and the next valid call is right."""

from __future__ import annotations

import math

import numpy as np

from impls.isolation.failures import Failure
from oracles.case import OPERATIONS, Case
from oracles.verdict import Verdict
from properties.examiner import Examiner
from properties.faults import faults, out_size_faults, spoiled
from properties.laws import law
from properties.probing import ANY, varied
from properties.strategies import cases

STAYS = "names what was accepted"

REFUSING = tuple(name for name in OPERATIONS if name not in ("out_size", "max_pool2d_backward"))


@law("refusals", REFUSING, cases(("narrow",), details={"fault": ANY}, batches=(1, 2)), details=("fault",))
def test_invalid_calls_are_refused(subject: Examiner, case: Case) -> None:
    """What makes no sense raises ValueError, and after it the next valid call is right."""
    verdict = varied(subject, case, "fault", list(faults(case.operation)), refused, count=4)
    assert verdict.agrees, verdict.message
    verdict = subject.judge(case, subject.run(case))
    assert verdict.agrees, f"after a refusal: {verdict.message}"


def refused(subject: Examiner, case: Case) -> Verdict:
    """The verdict on the call with the fault that the case names."""
    call, what = spoiled(subject, case, case.detail("fault"))
    return Verdict() if what is None else refusal(subject, case.operation, what, call.arrays, call.parameters)


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
