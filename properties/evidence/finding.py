"""What a computation says of a claim: cases in which it holds or does not, and the figures that it is told with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from properties.evidence.kernels import Kernels


class Case(NamedTuple):
    """One case in which a claim was tried; `within`: it meets the condition that the claim is stated with."""

    holds: bool
    within: bool
    told: str


@dataclass
class Finding:
    """What was found of one claim. A claim without a condition has no case within one."""

    seen: list[Case] = field(default_factory=list)
    figures: list[str] = field(default_factory=list)

    def see(self, holds: object, told: str = "", *, within: bool = False) -> None:
        """Enter one case; `told` says which, for the message."""
        self.seen.append(Case(bool(holds), within, told))

    def figure(self, *figures: object) -> None:
        """Enter numbers that the claim's reason must quote: integers with commas, others as they are given."""
        self.figures += [f"{figure:,}" if isinstance(figure, int) else str(figure) for figure in figures]

    @property
    def verdict(self) -> str:
        """Say "holds", "holds if" or "false": whether it holds always, under the condition, or not even there.

        Raises ValueError where nothing was seen.
        """
        if not self.seen:
            raise ValueError("nothing was seen: there is no verdict")
        if all(case.holds for case in self.seen):
            return "holds"
        within = [case.holds for case in self.seen if case.within]
        return "holds if" if within and all(within) else "false"

    @property
    def counterexample(self) -> str:
        """Tell the first case in which the claim does not hold; "" where there is none."""
        return next((case.told or "a case without a name" for case in self.seen if not case.holds), "")


Evidence = Callable[[Kernels], Finding]


class Decision(NamedTuple):
    """How a claim is decided; `large`: on data too large for the definitions, so by an implementation alone."""

    evidence: Evidence
    large: bool


DECISIONS: dict[str, Decision] = {}


def decides(claim: str, *, large: bool = False) -> Callable[[Evidence], Evidence]:
    """Enter a function as what decides a claim of claims.toml, by its id. Raises ValueError for a second one."""

    def enter(evidence: Evidence) -> Evidence:
        if claim in DECISIONS:
            raise ValueError(f"{claim} is decided twice")
        DECISIONS[claim] = Decision(evidence, large)
        return evidence

    return enter
