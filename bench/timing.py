"""One case of one implementation from the estimate to the last round: refused with a reason, or timed."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any, NoReturn, TypeVar

import numpy as np

from bench import clock, gate, machine
from bench.background import Background
from bench.estimate import estimate
from bench.gate import Gate, Judged
from bench.layers import Layer
from bench.record import Entry, Record
from bench.rehearsal import Rehearsal
from bench.settings import Settings
from bench.variation import Changed, Variation
from impls.isolation.failures import Failure
from impls.subject import Subject
from oracles.case import CONVOLUTIONS, Case
from oracles.formats import FORMATS
from oracles.geometry import Geometry

Found = TypeVar("Found")

CHANGED = f"{gate.WRONG}: the result changed while it was timed"
LEFT = "it left its process changed"
COMPUTES_ON = "raised: it computes on after it has returned"
ANOTHERS = "not timed: another thread of this process computes"
TOO_SLOW = 2.0  # seconds
MORE = 8  # calls beside the rounds: of the estimate, the gate and the warm-up, and after the rounds
COLD = 3  # times as long as a warm call may take the one that it is estimated by
WHOLE = 1.5  # times: an estimate that exceeds the limit by less is held against a whole call


class NotTimed(Exception):  # noqa: N818 - most reasons are no errors
    """A case is not timed; `fault` where the implementation is to blame."""

    def __init__(self, reason: str, detail: str = "", fault: bool = False) -> None:
        super().__init__(f"{reason}\n{detail}" if detail else reason)
        self.fault = fault


class Timekeeper:
    """The verdicts and the record of one run; `too_slow` is the most seconds that one call may take.

    `baseline` may take TOO_SLOW if that is more: without its time there is nothing to hold the others against.
    """

    def __init__(self, too_slow: float, baseline: str = "") -> None:
        self.too_slow, self.baseline = too_slow, baseline
        self.gate, self.record, self.rehearse = Gate(), Record(), Rehearsal()
        self.background, self.settings = Background(), Settings()
        self.rests = True  # whether nothing was computing in the background when that was last looked at
        self.most = clock.ROUNDS[1]  # rounds of what was admitted last: as many as were rehearsed
        self.last = ""  # the implementation that was called last
        self._called: set[str] = set()  # implementations
        self._loaded: float = math.inf  # modules, before what was called last was called for the first time
        self._expected: dict[tuple[str, Case], float] = {}
        self._timed: dict[Entry, Any] = {}  # pytest-benchmark's own, to take back what turns out to be wrong

    def begin(self) -> None:
        """Take note of how the process stands, and what computes in it, now that the implementations are imported."""
        self.settings = Settings()
        self.background.look()

    def layer(self, benchmark: Any, subject: Subject, layer: Layer, operation: str, *, again: bool = False) -> None:
        """Time one operation of a layer, or time it again: only what was timed before. Raises NotTimed."""
        case = layer.case(operation)
        entry = Entry(layer.kind, layer.name, operation, subject.spec, str(case), layer.sweep, layer.value)
        if again:
            if entry not in self.record.times:
                raise NotTimed("it was not timed the first time")
            entry = replace(entry, kind="again")
        benchmark.group = f"sweep {layer.sweep} {operation}" if layer.sweep else f"layer {layer.name} {operation}"
        judged, expected = self.admitted(entry, subject, [case])
        facts = work(case) | {"bytes": moved(case, judged[0].result_bytes)}
        if operation in CONVOLUTIONS:
            facts["gemm_seconds"] = gemm_seconds(case.geometry, case.dtype, operation == "conv2d_backward")
        if operation == "conv2d":
            facts["columns_bytes"] = columns_bytes(case)
        call = gate.prepared(subject, case)
        try:
            variation = Variation(subject, case, call, judged[0])
        except Changed as error:
            self.refuse(entry, CHANGED, str(error), fault=True)
        except BaseException as error:
            self.fails(entry, error)

        def after(_: Any) -> Judged:
            variation.restore()
            found = variation.kept()
            return gate.after(subject, case, judged[0], call, call()) if found.passes else found

        self.rounds(benchmark, entry, call, expected, judged, facts, after, variation.vary, variation.check)

    def admitted(self, entry: Entry, subject: Subject, cases: list[Case]) -> tuple[list[Judged], float]:
        """Let the cases of an entry through the gate; the verdicts on them, and about how long they take together.

        Raises NotTimed, and records why.
        """
        self._offered(entry, subject, cases)
        self._undisturbed(entry)
        each = self._affordable(entry, subject, cases)
        expected = sum(each)
        self.most = clock.rounds_for(expected, COLD * clock.SECONDS)
        try:
            for case in cases:
                self.rehearse(subject.spec, case, self.limit(subject.spec), self.most + MORE)
        except BaseException as error:
            self.fails(entry, error)
        judged = [self.gate.judged(subject, case, taken) for case, taken in zip(cases, each, strict=True)]
        for found in judged:
            if not found.passes:
                self.refuse(entry, found.reason, found.detail, fault=found.fault)
        self._unchanged(entry)
        self._undisturbed(entry)
        return judged, expected

    def untimed(self, entry: Entry, subject: Subject, cases: list[Case], measure: Callable[[Subject], Found]) -> Found:
        """Measure what is no time, with calls in the implementation's own process where it has one.

        The cases may together take as long as one call. Raises NotTimed, and records why, which includes gate.Wrong.
        """
        subject = self.rehearse.instead(subject)
        self._offered(entry, subject, cases)
        self._affordable(entry, subject, cases)
        try:
            measured = measure(subject)
        except gate.Wrong as error:
            self.refuse(entry, gate.WRONG, str(error), fault=True)
        except Failure as failure:
            self.fails(entry, self.rehearse.explained(subject.spec, failure))
        except BaseException as error:
            self.fails(entry, error)
        self._unchanged(entry)
        return measured

    def _offered(self, entry: Entry, subject: Subject, cases: list[Case]) -> None:
        """Raise NotTimed, and record why, unless all cases are offered."""
        for case in cases:
            if reason := _declined(subject, case):
                self.refuse(entry, *reason)

    def _affordable(self, entry: Entry, subject: Subject, cases: list[Case]) -> list[float]:
        """Estimate the seconds of each case. Raises NotTimed unless all together are not too slow."""
        limit, self.last = self.limit(subject.spec), subject.spec
        self._loaded = math.inf if subject.spec in self._called else len(sys.modules)
        self._called.add(subject.spec)
        try:
            each = [self._estimated(subject, case) for case in cases]
            if limit < sum(each) < WHOLE * limit:
                each = [self._estimated(subject, case, whole=True) for case in cases]
        except BaseException as error:
            self.fails(entry, error)
        if (expected := sum(each)) > limit:
            self.refuse(entry, f"too slow, estimated {told(expected)}", f"the limit is {told(limit)}")
        return each

    def _unchanged(self, entry: Entry) -> None:
        """Raise NotTimed, and record why, where calls have left settings of this process changed."""
        if found := self._left():
            self.refuse(entry, found.reason, found.detail, fault=found.fault)

    def _left(self) -> Judged | None:
        """Say what the calls have left changed, and put it right."""
        told = self.settings.changed(first=self._loaded < math.inf, loaded=len(sys.modules) > self._loaded)
        return Judged(f"{gate.WRONG}: {LEFT}: {told}") if told else None

    def _undisturbed(self, entry: Entry) -> None:
        """Raise NotTimed, and record why, where something computes in the background.

        What once has not come to rest is given no more time for it.
        """
        found = self._disturbed(entry, clock.CALMING if self.rests else 0.0)
        self.rests = found is None
        if found is not None:
            self.refuse(entry, found.reason, found.detail, fault=found.fault)

    def _disturbed(self, entry: Entry, patience: float) -> Judged | None:
        """Say whose fault it is that something computes in the background: this implementation's, or another's.

        None where nothing does. Threads that are new get a longer look, which sees what computes by fits and starts.
        """
        whose = self.background.whose()
        if whose is None:
            new, calm = self.background.appeared(self.last), clock.calm(patience)
            if calm and not new:
                return None
            self.background.look()
            whose = self.background.whose()
            if whose is None:
                if calm:
                    return None
                whose = self.last
        if whose == entry.implementation:
            return Judged(COMPUTES_ON)
        return Judged(ANOTHERS, f"since {whose} was called" if whose else "since before anything was called")

    def limit(self, spec: str) -> float:
        """Say how many seconds one call of an implementation may take."""
        return max(self.too_slow, TOO_SLOW) if spec == self.baseline else self.too_slow

    def _estimated(self, subject: Subject, case: Case, *, whole: bool = False) -> float:
        key, limit = (subject.spec, case), self.limit(subject.spec)
        if key not in self._expected:
            self._expected[key] = estimate(subject, case, limit, partial(self.rehearse, subject.spec, limit=limit))
        if whole and self._expected[key] >= clock.LONG:  # what is shorter is warmed up, and known by that
            self.rehearse(subject.spec, case, WHOLE * limit)
            self._expected[key] = clock.settled(gate.prepared(subject, case), limit)
        return self._expected[key]

    def rounds(
        self,
        benchmark: Any,
        entry: Entry,
        call: Callable[[], Any],
        expected: float,
        judged: list[Judged],
        facts: dict[str, Any],
        after: Callable[[Any], Judged] | None = None,
        vary: Callable[[], None] = lambda: None,
        check: Callable[[Any], None] = lambda result: None,
    ) -> None:
        """Warm up, time the rounds, write down all that is known; `after` judges the last result.

        Raises NotTimed where it is too slow after all, where a round raises, or where the result is no longer right.
        """
        events = any(found.device != "cpu" for found in judged)
        limit = TOO_SLOW if entry.kind == "roofline" else self.limit(entry.implementation)
        most = clock.NEAR * max(clock.SECONDS, clock.ROUNDS[0] * limit)
        rounds = clock.Rounds(call, events, most, vary, check)
        found, detail = Judged(), "one whole call took as long"
        try:
            expected = self._warmed(call, expected, judged, events, limit)
            if not (slow := expected > limit):
                result = rounds.run(benchmark, min(self.most, clock.rounds_for(expected)))
                if after is not None:  # what BLAS has of several threads looks for work for a while
                    patience = clock.PAUSE if _threads() == 1 else clock.CALMING
                    found = self._disturbed(entry, patience) or after(result)
                    found = self._left() or found
        except clock.Overdue as error:
            slow, expected, detail = True, rounds.spent / len(rounds.cpu), str(error)
        except Changed as error:
            slow, found = False, Judged(CHANGED, str(error))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            slow, found = False, gate.raised(error)
        benchmark.has_error = slow or not found.passes  # then pytest-benchmark saves nothing of it
        if not found.passes:
            self.refuse(entry, found.reason, found.detail, fault=found.fault)
        if slow:
            self.refuse(entry, f"too slow, estimated {told(expected)}", detail)
        self.record.timed(entry, rounds.seconds, rounds.clock)
        self._timed[entry] = benchmark
        ratios = [found.ratio for found in judged if found.ratio is not None]
        benchmark.extra_info.update(
            entry.told(),
            device=next((found.device for found in judged if found.device != "cpu"), "cpu"),
            threads=_threads(),
            gemm_seconds=None,
            columns_bytes=None,
            peak_extra_bytes=max(found.peak for found in judged),
            peak_method=max(judged, key=lambda found: found.peak).method,
            result_bytes=judged[-1].result_bytes,
            verdict="agrees",
            checked=sum(found.checked for found in judged),
            ratio=max(ratios, default=None),
            **rounds.facts(),
        )
        benchmark.extra_info.update(facts)

    def _warmed(
        self, call: Callable[[], Any], expected: float, judged: list[Judged], events: bool, limit: float
    ) -> float:
        """Say how long a call lasts, by a call unless it is long; by another where the first may have had to wait."""
        if expected < clock.LONG:
            expected, _ = clock.lasting(call, events=events)
        if max(expected, *(found.seconds for found in judged)) > limit:
            return clock.settled(call, limit, events=events)
        return expected

    def fails(self, entry: Entry, error: BaseException) -> NoReturn:
        """Record an exception of the implementation's, and raise NotTimed; Ctrl-C is raised."""
        if isinstance(error, KeyboardInterrupt):
            raise error
        found = gate.raised(error)
        self.refuse(entry, found.reason, found.detail, fault=True)

    def refuse(self, entry: Entry, reason: str, detail: str = "", *, fault: bool = False) -> NoReturn:
        """Record that an entry is not timed, and raise NotTimed. What is at fault in its repeat is not timed either.

        What its calls have left changed is told, and put right.
        """
        if left := self._left():
            detail = f"{detail}\n{left.reason}".strip()
        self.record.refused(entry, reason, detail)
        first = replace(entry, kind="layer")
        if fault and entry.kind == "again" and first in self._timed:
            self._timed[first].has_error = True
            del self.record.times[first]
            self.record.refused(first, f"{reason}, in its repeat", detail)
        raise NotTimed(reason, detail, fault)


def _declined(subject: Subject, case: Case) -> tuple[str, str] | None:
    """Say what is not offered, as a reason and its detail; what `supports` raises is left to the gate."""
    try:
        reason = gate.declined(subject, case)
    except Exception:
        return None
    return (f"unsupported: {reason}", "") if reason else None


@cache
def _threads() -> int:
    return machine.threads()


def told(seconds: float) -> str:
    """Write seconds as the saved file has them: two digits and the unit."""
    return f"{float(f'{seconds:.2g}'):g} s"


def work(case: Case) -> dict[str, Any]:
    """Count multiply-adds and floating-point operations.

    A gradient of a convolution has two products, dx and dw, of as many multiply-adds as the forward one. A pool has one
    operation for each tap of each window, and so has its gradient.
    """
    g = case.geometry
    if case.operation in CONVOLUTIONS:
        macs = g.macs * (2 if case.operation == "conv2d_backward" else 1)
        return {"macs": macs, "flops": 2 * macs}
    return {"macs": g.macs, "flops": g.macs}


def moved(case: Case, result_bytes: int) -> int:
    """Count the bytes that must at least be read and written: all arrays of the call, and the results."""
    return sum(array.nbytes for array in gate.inputs(case).values() if array is not None) + result_bytes


def columns_bytes(case: Case) -> int:
    """Bytes of the matrix of columns that the textbook's im2col makes of one image."""
    g = case.geometry
    return np.dtype(FORMATS[case.dtype].array).itemsize * g.C * g.window * math.prod(g.y_shape[2:])


@cache
def gemm_seconds(g: Geometry, dtype: str, backward: bool = False) -> float:
    """Median CPU seconds of the matrix products alone that im2col of this geometry multiplies: no columns are made.

    Backward there are two for each image: dy times columns transposed for dw, and filters transposed times dy for dx.
    """
    filters, outputs = g.K // g.G, math.prod(g.y_shape[2:])
    kind = np.float64 if dtype == "float64" else np.float32  # what narrow types are multiplied in
    rows = np.full((g.G, filters, g.terms), 0.5, kind)
    columns = np.full((g.G, g.terms, outputs), 0.25, kind)  # written, so that each has memory of its own
    y = np.full((g.G, filters, outputs), 0.125, kind)
    dw, dx = (np.empty_like(rows), np.empty_like(columns)) if backward else (rows, columns)

    def products() -> None:
        for _ in range(g.N):
            if backward:
                np.matmul(y, columns.swapaxes(1, 2), out=dw)
                np.matmul(rows.swapaxes(1, 2), y, out=dx)
            else:
                np.matmul(rows, columns, out=y)

    return clock.median_seconds(products)
