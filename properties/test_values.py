"""Values of the forward operations, held against the definition."""

from __future__ import annotations

from oracles.case import FORWARD, POOLS, Case
from properties.examiner import Examiner
from properties.laws import law
from properties.recipes import BOUNDED, EXACT, ORDERED
from properties.strategies import cases

STAYS = "says in the plainest words what is wrong, and comes first"


@law("values", FORWARD, cases(EXACT), any_case=True)
def test_output_equals_the_definition_exactly(subject: Examiner, case: Case) -> None:
    """Every output is what the definition gives; on integers, to the last bit."""
    verdict = subject.judge(case, subject.run(case))
    assert verdict.agrees, verdict.message


@law("values", FORWARD, cases(BOUNDED), steered=True)
def test_output_equals_the_definition_within_rounding(subject: Examiner, case: Case) -> None:
    """Every output on real data lies within the rounding bound of the definition's."""
    verdict = subject.judge(case, subject.run(case))
    subject.steer(verdict)
    assert verdict.agrees, verdict.message


@law("values", POOLS, cases(ORDERED))
def test_pooling_bears_ties_signs_and_order(subject: Examiner, case: Case) -> None:
    """Pooling is right on tied, all-negative, all-different and signed-zero data."""
    verdict = subject.judge(case, subject.run(case))
    assert verdict.agrees, verdict.message
