"""Run one property on one implementation inside a test, without the runner: a property must be seen to fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import seed as seeded
from hypothesis.errors import Flaky

from impls.subject import Subject
from oracles.case import Case
from oracles.verdict import Verdict
from properties.examiner import Examiner, set_under_test
from properties.laws import Law
from properties.mutants import MUTANTS
from properties.mutants.planting import Mutant


def examine(
    property_: Callable[..., None],
    namespace: object,
    operation: str,
    examples: int = 100,
    seed: int = 0,
    *,
    shrink: bool = False,
) -> tuple[Case, Verdict] | None:
    """Run a property on drawn cases of one operation; give the failing case and its verdict, or None where it holds.

    Raises AssertionError where nothing was examined: every case was declared unsupported.
    """
    law: Law = property_.law  # type: ignore[attr-defined]
    assert operation in law.operations, f"{operation} is none of {', '.join(law.operations)}"
    examiner = Examiner(Subject("under_test", namespace), operation)
    set_under_test(examiner)

    def examined(case: Case) -> None:
        law.one(examiner, case)

    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    chosen = settings(max_examples=examples, database=None, phases=phases, deadline=None)
    run: Any = chosen(given(case=law.cases)(examined))
    try:
        seeded(seed)(run)()
    except (AssertionError, Flaky):  # what depends on earlier calls or on threads may come and go
        if examiner.failure is None:  # a property asserts nothing but verdicts: this is the suite's own fault
            raise
    if examiner.failure is None:
        reasons = {reason for tally in examiner.tallies.values() for reason in tally.unsupported}
        assert any(tally.examples for tally in examiner.tallies.values()), f"nothing was examined: {reasons}"
    return examiner.failure


def mutant(name: str, operation: str) -> Mutant:
    """Find a mutant by its name. Raises StopIteration where there is none."""
    return next(each for each in MUTANTS if (each.name, each.operation) == (name, operation))
