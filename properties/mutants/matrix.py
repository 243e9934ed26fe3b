"""Every mutant, and every correct variant, before every property: how many examples it takes to kill it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import seed as seeded

from impls import im2col
from impls.subject import Subject
from oracles.case import Case
from properties import order
from properties.examiner import Examiner, set_under_test
from properties.laws import Law
from properties.mutants import MUTANTS
from properties.mutants.variants import VARIANTS

MANY_CALLS = 3  # times as dear are cases of more calls
MORE = 5  # times as many examples are drawn for a property that must kill a mutant


@dataclass
class Look:
    """One property of one operation: after how many examples it killed which mutants, what it held against variants."""

    property: str
    operation: str
    examples: int = 0  # that were run on what it did not kill, and need not
    kills: dict[str, int] = field(default_factory=dict)
    flagged: dict[str, str] = field(default_factory=dict)  # variants, and the message
    elements: dict[str, int] = field(default_factory=dict)  # of variants, compared
    examined: dict[str, int] = field(default_factory=dict)  # examples of variants
    seconds: float = 0.0


def looks(examples: int, seed: int, jobs: int) -> Iterator[Look]:
    """Give what each property of each operation has found, as it is found."""
    every = [(name, operation) for name, function in order.properties() for operation in function.law.operations]
    tasks = [(name, operation, examples, seed) for name, operation in every]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_look, tasks)


def _look(task: tuple[str, str, int, int]) -> Look:
    return look(*task)


def look(name: str, operation: str, examples: int, seed: int) -> Look:
    """Run one property on all mutants and variants of an operation, each on the same cases.

    Mutants that it must kill get MORE times as many, and where cases are dear others get a part of them.
    """
    started = time.perf_counter()
    function = dict(order.properties())[name]
    law: Law = function.law
    dear = order.weight(Path(name.partition("::")[0])) * (MANY_CALLS if law.calls > MANY_CALLS else 1)
    few = max(1, round(examples / dear))
    cases = drawn(function, operation, MORE * examples, seed)
    found = Look(name, operation, min(few, len(cases)))
    for mutant in MUTANTS:
        if mutant.operation == operation:
            must = any(order.name_of(each) == name for each in mutant.laws)
            if needed := killed(law, operation, mutant.make(), cases if must else cases[:few]):
                found.kills[mutant.name] = needed
    for variant in VARIANTS:
        if operation in variant.operations:
            _hold(function, operation, variant, few, seed, found)
    found.seconds = time.perf_counter() - started
    return found


def drawn(function: Any, operation: str, examples: int, seed: int, namespace: object = im2col) -> list[Case]:
    """Give the cases that a run of the property on a sound implementation meets, in order, its @examples first."""
    set_under_test(Examiner(Subject("sound", namespace), operation))
    explicit = getattr(function, "hypothesis_explicit_examples", ())
    found = [case for example in explicit if (case := example.kwargs["case"]).operation == operation]
    chosen = settings(max_examples=examples, database=None, phases=(Phase.generate,), deadline=None)
    run: Any = seeded(seed)(chosen(given(case=function.law.cases)(lambda case: found.append(case))))
    run()
    return found


def killed(law: Law, operation: str, namespace: object, cases: Iterable[Case]) -> int:
    """Say after how many examples the property fails; 0 where it holds on all of them."""
    examiner = Examiner(Subject("mutant", namespace), operation)
    set_under_test(examiner)
    for count, case in enumerate(cases, start=1):
        try:
            law.one(examiner, case)
        except AssertionError:
            if examiner.failure is None:  # a property asserts nothing but verdicts: this is the suite's own fault
                raise
            return count
    return 0


def _hold(function: Any, operation: str, variant: Any, examples: int, seed: int, found: Look) -> None:
    """Run the property on a correct variant, on cases that its own declarations steer."""
    namespace = variant.make()
    cases = drawn(function, operation, examples, seed, namespace)
    examiner = Examiner(Subject(variant.name, namespace), operation)
    set_under_test(examiner)
    try:
        for case in cases:
            function.law.one(examiner, case)
    except AssertionError:
        if examiner.failure is None:
            raise
        found.flagged[variant.name] = f"{examiner.failure[0]}: {examiner.failure[1].message}"
    tallies = examiner.tallies.values()
    found.elements[variant.name] = sum(tally.elements for tally in tallies)
    found.examined[variant.name] = sum(tally.examples for tally in tallies)
