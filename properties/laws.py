"""The decorator that makes a function of a subject and a case into a property."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import Phase, given, reject, settings
from hypothesis.strategies import SearchStrategy

from oracles.case import Case
from properties.examiner import Examiner
from properties.recipes import possible

LEVELS = ("values", "gradients", "specials", "arrays", "refusals", "repeatability")

CLIMBS = 4  # cases, rather more than Hypothesis spends on where it is steered to: they are drawn besides the others

Property = Callable[[Examiner, Case], None]


@dataclass(frozen=True)
class Law:
    """What the runner knows of a property: where it stands, which operations it speaks of, and how to examine it."""

    title: str
    level: str
    operations: tuple[str, ...]
    details: frozenset[str]
    any_case: bool  # whether it holds of every case of its operations, not only of those it draws
    cases: SearchStrategy[Case]  # what it draws from
    calls: int  # about how many it makes in one case, where they are many
    stays: str  # why it is there although others kill all the mutants that it kills; "" where they do not
    one: Callable[[Examiner, Case], bool]  # a single case; False where it is declared unsupported
    unshrunk: Callable[..., None]  # drawn cases, the first failure reported as it is


def law(
    level: str,
    operations: Sequence[str],
    cases: SearchStrategy[Case],
    *,
    details: Sequence[str] = (),
    any_case: bool = False,
    steered: bool = False,
    calls: int = 1,
    few: bool = False,
) -> Callable[[Property], Callable[..., None]]:
    """Make `function(subject, case)` a property of these operations, run on drawn cases and on any @example below.

    The function asserts verdicts; the first line of its docstring is its title in every table. `details` names what
    it reads by `case.detail`. `any_case`: --case runs it though it was not named. `steered`: it calls `subject.steer`.
    `calls`: about how many it makes in one case, where they are many; `few`: a third of the cases is enough. The
    module's STAYS says why its properties are worth their time though others kill all the mutants that they kill.
    """
    assert level in LEVELS, level

    def decorate(function: Property) -> Callable[..., None]:
        def one(subject: Examiner, case: Case) -> bool:
            # an @example may be of another operation, or of data that are not owed
            recipe = case.recipe.partition(":")[0]
            if case.operation != subject.operation or not possible(
                recipe, case.operation, case.dtype, subject.arithmetic
            ):
                return True
            if subject.late(case):
                return True
            return subject.examine(function, case)

        @functools.wraps(function)
        def examined(subject: Examiner, case: Case) -> None:
            if not one(subject, case):
                reject()  # so that another case is drawn in its place

        drawn = given(case=cases)(examined)
        if steered:
            drawn = settings(max_examples=settings().max_examples + CLIMBS)(drawn)
        if few:
            drawn = settings(max_examples=max(1, settings().max_examples // 3))(drawn)
        quick = settings(phases=(Phase.explicit, Phase.reuse, Phase.generate))(given(case=cases)(examined))
        stays = getattr(sys.modules.get(function.__module__), "STAYS", "")
        title = (inspect.getdoc(function) or "").split("\n")[0]
        found = Law(title, level, tuple(operations), frozenset(details), any_case, cases, calls, stays, one, quick)
        drawn.law = found  # type: ignore[attr-defined]
        marked: Any = pytest.mark.usefixtures("subject")(getattr(pytest.mark, level)(drawn))
        return marked  # type: ignore[no-any-return]

    return decorate
