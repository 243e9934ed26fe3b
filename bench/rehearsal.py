"""A call made in a process of its own before it is made here: what crashes or hangs is a reason not to time it."""

from __future__ import annotations

from collections.abc import Mapping

from bench import gate
from impls.isolation import diagnosis
from impls.isolation.failures import Failure
from impls.isolation.subject import IsolatedSubject
from impls.subject import Subject
from oracles.case import Case

LONGER = 4  # times as long as a case may last, and SPARE seconds, may it take in a process of its own
SPARE = 1.0
MORE_TIME = "; --too-slow gives a call more"


class Rehearsal:
    """The implementations that have a process of their own, by specification; all others are not rehearsed."""

    def __init__(self, apart: Mapping[str, IsolatedSubject] | None = None) -> None:
        self.apart = apart or {}
        self._done: dict[tuple[str, Case, int], Exception | None] = {}
        self._begun: set[str] = set()
        self._later: dict[str, Failure] = {}  # of what died in a call, and not in the first one alike

    def __call__(self, spec: str, case: Case, limit: float, times: int = 1) -> None:
        """Make the call so many times, if that was not done before, in a case that should last `limit` seconds at most.

        Raises a Failure where there is no answer or memory shows a fault, and what the implementation raises.
        """
        subject = self.apart.get(spec)
        if subject is None:
            return
        key = spec, case, times
        if spec in self._later:  # its calls here may have come as far as the one that it died in
            raise self._later[spec]
        if key not in self._done or times > 1:  # what is timed again is called as often again
            self._done[key] = self._found(subject, case, limit, times)
        if (error := self._done[key]) is not None:
            raise error

    def _found(self, subject: IsolatedSubject, case: Case, limit: float, times: int) -> Exception | None:
        subject.begin(case.seed)
        subject.process.allow(LONGER * limit + SPARE, MORE_TIME)
        if subject.spec not in self._begun:  # a first call may have to compile
            self._begun.add(subject.spec)
            if (seconds := subject.process.limits.seconds) > subject.process.limit:
                subject.process.allow(seconds)
        made = 0
        try:
            call = gate.prepared(subject, case)
            for made in range(times):  # noqa: B007 - it is told below
                call()
        except Failure as error:
            failure = self.explained(subject.spec, error)
            if made:
                self._later[subject.spec] = failure
            return failure
        except Exception as error:
            return error
        return None

    def instead(self, subject: Subject) -> Subject:
        """Give the implementation in its own process, where it has one, for calls that are not timed."""
        return self.apart.get(subject.spec, subject)

    def explained(self, spec: str, failure: Failure) -> Failure:
        """Add the cause to the failure of the last call in an implementation's process, where it is found."""
        if not (cause := diagnosis.cause(self.apart[spec])):
            return failure
        first, *others = str(failure).split("\n")
        return type(failure)("\n".join([f"{first}: {cause.what}", *others]))
