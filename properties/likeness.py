"""Which planted faults an implementation behaves like: the same calls go wrong, and in the same way.

The mutants that fail the same property on the same case are tried, beside the implementation, on a battery of further
cases. Those that go wrong where it goes wrong, with the same wrong results, tell a kernel author where to look.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.strategies import SearchStrategy

from impls.subject import Subject
from oracles import truth as truths
from oracles.case import Case
from oracles.data import recipe
from oracles.verdict import Verdict, judge
from properties import order
from properties.examiner import Examiner, Unsupported, set_under_test, under_test
from properties.laws import Law
from properties.strategies import cases

CASES = 32  # of the failed property, and as many of whole numbers
FEW = 6  # of each property of arrays and repeated calls
NEAREST = 3  # mutants that are named
TELLING = 3  # cases that go wrong in one or the other: from so many on it is more than chance that they are alike,
LEAST = 0.5  # if so many are; wrong together, and differently, counts half
BESIDE = 0.75  # of the nearest's score, that another must have to be named beside it
PATIENCE = 5.0  # seconds for the implementation, and as many for the mutants
TOLD_BY_VALUES = ("values", "gradients", "specials")
TOLD_BY_BEHAVIOUR = ("arrays", "repeatability")
COMPARED = ("differs", "raised", "accepted what must be refused", "refused what is valid", "changed its input")

Look = Callable[[Examiner], Any]  # None where all goes right, else how it goes wrong


@dataclass(frozen=True)
class Likeness:
    """A mutant beside an implementation: the cases in which one of them goes wrong, both do, and both do alike."""

    name: str
    sentence: str
    alike: int
    together: int
    wrong: int

    @property
    def score(self) -> float:
        """How near it is: 1 where all that goes wrong goes wrong alike."""
        return (self.alike + self.together) / (2 * self.wrong)

    def __str__(self) -> str:
        how = f"alike in {self.alike} of {self.wrong} cases that go wrong"
        if self.together > self.alike:
            how += f", otherwise in {self.together - self.alike}"
        return f"{self.sentence.rstrip('.')} ({self.name}: {how})"


def told(examiner: Examiner, law: Law, case: Case, verdict: Verdict) -> list[str]:
    """Tell what an implementation behaves like; a hint that cannot be had, whatever it raises, costs nothing else."""
    if verdict.kind not in COMPARED:
        return []
    try:
        return [str(each) for each in nearest(examiner, law, case)]
    except (Exception, SystemExit):
        return []


def nearest(examiner: Examiner, law: Law, case: Case) -> list[Likeness]:
    """Name the mutants that an implementation behaves like which fails the property on this case, the nearest first."""
    from properties.mutants import MUTANTS

    before, found = under_test(), list[Likeness]()
    try:
        looks = [lambda it: _told(it, law, case), *_battery(examiner, law, case)]
        own = _seen(examiner.subject, case.operation, looks)
        end = time.process_time() + PATIENCE  # however busy the machine is, the same ones are tried
        for mutant in MUTANTS:
            if mutant.operation != case.operation or time.process_time() > end:
                continue
            subject = Subject(mutant.name, mutant.make())
            if looks[0](_looked_at(subject, case.operation)) is None:
                continue
            other = _seen(subject, case.operation, looks[: len(own)])
            pairs = [pair for pair in zip(own, other, strict=False) if pair != (None, None)]
            together = [(one, two) for one, two in pairs if one is not None and two is not None]
            alike = sum(_same(*pair) for pair in together)
            like = Likeness(mutant.name, mutant.sentence, alike, len(together), len(pairs))
            if like.wrong >= TELLING and like.alike and like.score >= LEAST:
                found.append(like)
    finally:
        set_under_test(before)
    found.sort(key=lambda each: each.score, reverse=True)
    return [each for each in found if each.score >= BESIDE * found[0].score][:NEAREST]


def _battery(examiner: Examiner, law: Law, case: Case) -> list[Look]:
    """Further cases of the failed property; where values tell more, whole results; where behaviour does, its laws."""
    if law.level in TOLD_BY_BEHAVIOUR:
        laws = (function.law for _, function in order.properties())
        return [
            partial(_any_told, law=each, among=_drawn(each.cases, FEW))
            for each in laws
            if each.level in TOLD_BY_BEHAVIOUR and case.operation in each.operations
        ]
    found: list[Look] = [lambda it, each=each: _told(it, law, each) for each in _drawn(law.cases)]
    if law.level in TOLD_BY_VALUES and case.operation != "out_size":
        found += [lambda it, each=each: _wrong_result(it, each) for each in _drawn(cases())]
    return found


def _drawn(strategy: SearchStrategy[Case], count: int = CASES) -> list[Case]:
    """The same cases each time, as the implementation's own declarations steer them."""
    found: list[Case] = []
    drawing = settings(max_examples=count, database=None, phases=(Phase.generate,), deadline=None)
    run: Any = seeded(0)(drawing(given(case=strategy)(lambda case: found.append(case))))
    run()
    return found


def _seen(subject: Subject, operation: str, looks: Sequence[Look]) -> list[Any]:
    """What came of each call, until time is up."""
    end, found = time.perf_counter() + PATIENCE, list[Any]()
    for look in looks:
        if time.perf_counter() > end:
            break
        found.append(look(_looked_at(subject, operation)))
    return found


def _looked_at(subject: Subject, operation: str) -> Examiner:
    examiner = Examiner(subject, operation)
    set_under_test(examiner)
    return examiner


def _told(examiner: Examiner, law: Law, case: Case) -> Any:
    """How the property fails on a case: in the very same words, where numbers are exact."""
    try:
        law.one(examiner, case)
    except AssertionError:
        if examiner.failure is None:
            raise
        failed, verdict = examiner.failure
        exact = recipe(failed).kind != "bounded" and law.level in (*TOLD_BY_VALUES, "refusals")
        return verdict.kind, verdict.message if exact else ""
    return None


def _any_told(examiner: Examiner, law: Law, among: Sequence[Case]) -> Any:
    """How the property fails on the first of some cases that it fails on."""
    return next(filter(None, (_told(examiner, law, case) for case in among)), None)


def _wrong_result(examiner: Examiner, case: Case) -> Any:
    """The result on whole numbers, if it is wrong; the kind of exception, if it raises one."""
    try:
        arrays, parameters = examiner.arguments(case)
    except Unsupported:
        return None
    try:
        result = examiner.subject.call(case.operation, *arrays, **parameters)
    except (Exception, SystemExit) as error:
        return type(error).__name__
    if judge(truths.truth(case, examiner.arithmetic), result).agrees:
        return None
    return result if isinstance(result, tuple) else (result,)


def _same(one: Any, other: Any) -> bool:
    """Whether two calls that went wrong did so alike."""
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        return all(_equal(*pair) for pair in zip(one, other, strict=True))
    return bool(type(one) is type(other) and one == other)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f" == other.dtype.kind)
    return bool(type(one) is type(other) and one == other)
