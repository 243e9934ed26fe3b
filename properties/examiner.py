"""An implementation and one of its operations under examination: the calls, and what they are held against.

The tally counts what was examined, so that agreement can be told from not having looked.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
from hypothesis import currently_in_test_context, target

from impls import places
from impls.isolation.failures import Failure
from impls.subject import Subject
from oracles import chance
from oracles import truth as truths
from oracles.case import CONVOLUTIONS, Case
from oracles.data import recipe
from oracles.formats import FORMATS
from oracles.rounding import DIRECT, Arithmetic, exact_bits
from oracles.truth import Truth
from oracles.verdict import MISTRUSTED, Verdict, joined, judge, thin

FEW = 4  # a property that was hardly looked at is worth more than one that was not
KNOWN_FAULT = "known fault"  # how the reason of a case begins that an entry of an --expected file sets aside
SHRINKING = 10.0  # seconds spent on making a failure small
RANDOM = ("narrow", "wide", "scaled", "gauss", "positive", "spread", "cancelling", "huge", "distinct", "ramp")


class Unsupported(Exception):  # noqa: N818 - it is no error
    """The implementation says that it does not do this case; the reason is the message."""


class Spent(BaseException):
    """The property's share of the budget is spent, and nothing has failed."""


class Raised(AssertionError):  # noqa: N818
    """The implementation raised where it owes a result; the verdict is already counted."""


class Known(Protocol):
    """A fault that is listed, and the region of cases in which it shows."""

    def sets_aside(self, case: Case, data: dict[str, np.ndarray | None] | None = None) -> bool:
        """Whether the case lies in its region, by its geometry or by the data given."""

    def told(self) -> str:
        """What it is, and where it is told."""


@dataclass
class Tally:
    """What one property found of one implementation, operation and format."""

    examples: int = 0
    elements: int = 0
    mistrusted: int = 0  # cases
    integers: int = 0  # cases on random integers, of what is linear or bilinear,
    missed: float = 0.0  # and their chances of missing a wrong map, added up
    ratio: float = 0.0
    nearness: Counter[int | None] = field(default_factory=Counter)  # cases with a bound, by powers of two; None: exact
    unsupported: dict[str, int] = field(default_factory=dict)

    def count(self, found: Verdict) -> None:
        """Count a case, by all that was found of it."""
        self.examples += 1
        self.mistrusted += found.kind == MISTRUSTED
        if found.missed is not None:
            self.integers += 1
            self.missed += found.missed
        if found.bounded and math.isfinite(found.ratio):
            self.nearness[power(found.ratio)] += 1


def power(ratio: float) -> int | None:
    """The power of two at or next below a ratio, -24 to 24; None where there is no error."""
    return max(-24, min(24, math.frexp(ratio)[1] - 1)) if ratio else None


CALLED = 400  # cases that are remembered
_called: WeakKeyDictionary[Subject, deque[Case]] = WeakKeyDictionary()  # in this run


class Examiner:
    """What a property gets: one operation of one subject, to be called and judged.

    A property asks for results with `run` and for verdicts with `judge`, `expect_refusal` or `hold`, and asserts them.
    """

    def __init__(self, subject: Subject, operation: str) -> None:
        self.subject, self.operation = subject, operation
        self.options = frozenset(subject.declared.options)
        self.called = _called.setdefault(subject, deque(maxlen=CALLED))
        self._taken: dict[str, frozenset[str]] = {}  # of these, what an operation has a parameter for
        declared = subject.declared
        self.normal = not declared.subnormals
        self.arithmetic = Arithmetic(declared.accuracy, declared.accumulator, declared.conventions)
        formats = (declared.storage,) if declared.storage else declared.dtypes
        self.formats = tuple(sorted(formats, key=("float32", "float64", "float16", "bfloat16").index))  # simplest first
        self.known: Sequence[Known] = ()  # faults whose cases are not asked for
        self.begin(float("inf"))

    def __repr__(self) -> str:
        return f"<{self.subject.spec} {self.operation}>"

    def begin(self, seconds: float) -> None:
        """Forget what was counted, and start the clock: examples beyond these seconds are not reached."""
        self.tallies: dict[str, Tally] = {}
        self.failure: tuple[Case, Verdict] | None = None
        self.hurried = False  # whether the time was up before a failure was as small as it would go
        self._found = Verdict()  # of the case that is examined, so far
        self._failed: set[Case] = set()
        self._known: dict[Case, tuple[AssertionError, tuple[Case, Verdict]]] = {}
        self.subject.begin()
        self._spared = FEW if seconds > 0 else 0  # cases that are examined even when the time is up
        self._end = time.perf_counter() + seconds

    def late(self, case: Case) -> bool:
        """Whether the time for shrinking a failure is up, unless this very case failed: what was found stays found.

        Raises Spent where nothing failed, the time is up, and a few cases were examined.
        """
        if time.perf_counter() < self._end or case in self._failed:
            return False
        if self.failure is not None:
            self.hurried = True
            return True
        self._spared -= 1
        if self._spared >= 0:
            return False
        raise Spent

    def resume(self) -> None:
        """Give time again for a case that failed: what was found is to be found once more, not remembered."""
        self._end = math.inf
        self._known.clear()

    def option(self, name: str, operation: str = "") -> bool:
        """Whether the operation takes what this declared option adds."""
        parameter = {"ceil_mode": "ceil_mode", "pool_dilation": "dilation"}.get(name)
        operation = operation or self.operation
        if operation == "out_size" or (name == "pool_dilation" and operation != "max_pool2d"):
            return False  # out_size takes one number for both sides; only max pooling is dilated
        return name in self.options and (parameter is None or self.subject.takes(operation, parameter))

    def declined(self, case: Case) -> str:
        """What the implementation declares that it does not offer of a case drawn for any; "" where it offers all."""
        if case.dtype not in self.formats:
            return f"declares no {case.dtype}"
        for option in case.needs:
            if case.operation != "out_size" and not self.option(option, case.operation):
                return f"declares no {option}"
        return self.subject.declared.beyond(case.geometry.sizes)

    # calls

    def run(self, case: Case, data: dict[str, np.ndarray | None] | None = None) -> Any:
        """The operation's result on the case's data, or on the data given.

        Raises Unsupported where the implementation says so; what it raises itself becomes a verdict.
        """
        arrays, parameters = self.arguments(case, data)
        with self.answering(case):
            return self.subject.call(case.operation, *arrays, **parameters)

    @contextlib.contextmanager
    def answering(self, case: Case) -> Iterator[None]:
        """Around a call that must succeed: what it raises becomes a verdict, and Raised."""
        try:
            yield
        except (Exception, SystemExit) as error:  # an implementation may call exit()
            verdict = self.hold(case, raised(error))
            raise Raised(verdict.message) from error

    def arguments(
        self, case: Case, data: dict[str, np.ndarray | None] | None = None
    ) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments of the call. Raises Unsupported where the implementation says so."""
        if data is None:
            data = truths.inputs(case)
        parameters = self.parameters(case)
        self.require(case.operation, case, parameters)
        self._set_aside(case, data)
        self.called.append(case)
        arrays: list[Any] = list(data.values())
        if case.operation in ("max_pool2d_backward", "avg_pool2d_backward"):
            arrays.append(case.geometry.x_shape)
        return arrays, parameters

    def parameters(self, case: Case) -> dict[str, Any]:
        """The keyword arguments, as this implementation's options spell them."""
        if case.operation not in self._taken:
            self._taken[case.operation] = frozenset(name for name in self.options if self.option(name, case.operation))
        return case.parameters(self._taken[case.operation])

    def require(self, operation: str, case: Case, parameters: dict[str, Any]) -> None:
        """Raise Unsupported where the implementation does not offer this operation with these parameters."""
        if not self.subject.offers(operation):
            raise Unsupported(f"offers no {operation}")
        reason = self.subject.supports(operation, **parameters, x_shape=case.geometry.x_shape, dtype=case.dtype)
        if reason:
            raise Unsupported(reason)
        self._set_aside(case)

    def _set_aside(self, case: Case, data: dict[str, np.ndarray | None] | None = None) -> None:
        """Raise Unsupported where a known fault shows in the case, by its geometry or by the data given."""
        for known in self.known:
            if known.sets_aside(case, data):
                raise Unsupported(f"{KNOWN_FAULT}: {known.told()}")

    def expect_exact(self, case: Case) -> None:
        """Raise Unsupported where the case's integers, drawn for another, are too large for this arithmetic."""
        if self.arithmetic == DIRECT or recipe(case).kind != "exact":
            return
        number = FORMATS[case.dtype]
        bits = exact_bits(case.operation, case.geometry, number, self.arithmetic)
        if int(case.recipe.split(":")[1]) > bits:
            raise Unsupported(
                f"declares an arithmetic in which integers of {case.recipe} are not exact, of {bits} bits they are"
            )

    # verdicts

    def judge(self, case: Case, result: Any, expected: Sequence[Truth] | None = None) -> Verdict:
        """The verdict on a result of `run`, counted; held against the case's truth unless another is given."""
        missed = None
        if expected is None:
            self.expect_exact(case)
            expected, missed = truths.truth(case, self.arithmetic), chance.of_missing(case)
        verdict, cells = judge(expected, result), math.prod(case.geometry.y_shape)
        if verdict.agrees and missed is not None:
            verdict = dataclasses.replace(verdict, missed=missed)
        if verdict.agrees and case.geometry.N and case.recipe.split(":")[0] in RANDOM and thin(expected, cells):
            verdict = dataclasses.replace(verdict, kind=MISTRUSTED)
        return self.hold(case, verdict)

    def hold(self, case: Case, verdict: Verdict) -> Verdict:
        """Count a verdict that the property reached by itself, and return it."""
        tally = self.tallies.setdefault(case.dtype, Tally())
        if not verdict.agrees:
            if self.failure is None:
                self._end = time.perf_counter() + SHRINKING
                tally.count(verdict)
            self._failed.add(case)
            self.failure = case, verdict
        elif self.failure is None:  # while a failure is shrunk, nothing is counted
            tally.elements += verdict.elements
            tally.ratio = max(tally.ratio, verdict.ratio)
            self._found = joined((self._found, verdict))
        return verdict

    def steer(self, verdict: Verdict) -> None:
        """Lead Hypothesis towards errors near their bounds: it tries other data where the largest so far was seen."""
        if verdict.bounded and math.isfinite(verdict.ratio) and currently_in_test_context():
            target(verdict.ratio, label="error in units of the bound")

    def rounding_units(self, case: Case, result: np.ndarray) -> np.ndarray:
        """Results on exact data as the integers they stand for: a transform's are rounded to the nearest."""
        if self.arithmetic.transforms and case.operation in CONVOLUTIONS and recipe(case).kind == "exact":
            return np.rint(result)
        return result

    def examine(self, law: Callable[[Examiner, Case], None], case: Case) -> bool:
        """Run a property on a case and count the case. False where the implementation says that it is unsupported.

        A case that has failed is not run again where that is dear: many of Hypothesis' draws are the same case.
        """
        if case in self._known:
            error, failure = self._known[case]
            if isinstance(error.__cause__, Failure) or time.perf_counter() >= self._end:
                self.failure = failure
                raise error
        self.subject.begin(case.seed)
        self._found = Verdict()
        try:
            if reason := self.declined(case):  # an @example is the same for all
                raise Unsupported(reason)
            with np.errstate(all="ignore"):  # a law may be given infinities to compute with
                law(self, case)
        except Unsupported as reason:
            if self.failure is None:
                reasons = self.tallies.setdefault(case.dtype, Tally()).unsupported
                reasons[str(reason)] = reasons.get(str(reason), 0) + 1
            return False
        except AssertionError as error:
            if self.failure is not None:
                self._known[case] = error, self.failure
            raise
        if self.failure is None:
            self.tallies.setdefault(case.dtype, Tally()).count(self._found)
        return True


def raised(error: BaseException) -> Verdict:
    """The verdict on an exception where a result is due: a ValueError is a refusal, a Failure has its own."""
    if isinstance(error, Failure):
        return Verdict(error.verdict, str(error), math.inf)
    place = places.noted(error)
    where = f"\n  at     {place}" if place else ""
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    kind = "refused what is valid" if isinstance(error, ValueError) else "raised"
    hint = (
        ""
        if kind == "raised"
        else "\n  this case is valid; if it is not meant to be offered, declare it by limits or supports()"
    )
    return Verdict(kind, f"the call raised {said}{where}{hint}", math.inf)


_under_test: ContextVar[Examiner] = ContextVar("under_test")


def under_test() -> Examiner:
    """The examiner whose property is running: strategies draw what its implementation declares."""
    return _under_test.get()


def set_under_test(examiner: Examiner) -> None:
    """Called by the fixture before each property."""
    _under_test.set(examiner)
