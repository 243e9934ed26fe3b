"""The call that has to come before a failing one, where that passes in a process of its own."""

from __future__ import annotations

import contextlib
import time

from impls.isolation.subject import IsolatedSubject
from oracles.case import Case
from properties.examiner import Examiner
from properties.laws import Law

PATIENCE = 5.0  # seconds for the search


def culprit(examiner: Examiner, law: Law, case: Case) -> Case | None:
    """Name a case such that this one fails after it, and passes alone.

    Those that were called in this run are halved again and again. None where no single one suffices, or there is no
    process to be had that has seen no call.
    """
    subject, failure, end = examiner.subject, examiner.failure, time.perf_counter() + PATIENCE
    if not isinstance(subject, IsolatedSubject):
        return None
    seen = [each for each in dict.fromkeys(examiner.called) if each != case]
    try:
        while seen and _fails_after(examiner, subject, law, seen, case):
            if len(seen) == 1:
                return seen[0]
            half = len(seen) // 2
            if time.perf_counter() > end:
                return None
            seen = seen[:half] if _fails_after(examiner, subject, law, seen[:half], case) else seen[half:]
        return None
    finally:
        examiner.failure = failure


def _fails_after(examiner: Examiner, subject: IsolatedSubject, law: Law, calls: list[Case], case: Case) -> bool:
    """Whether the property fails on the case in a process that has made these calls and no others."""
    subject.process.fresh()
    for each in calls:
        with contextlib.suppress(Exception, SystemExit):  # of which others tell
            arrays, parameters = examiner.arguments(each)
            subject.call(each.operation, *arrays, **parameters)
    examiner.resume()
    try:
        law.one(examiner, case)
    except AssertionError:
        return True
    return False
