"""What a computation says of a claim: cases in which it holds or does not, and the figures that it is told with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from properties.claims import Claim
from properties.evidence.kernels import Array, Kernels

# numbers that are no figures: in names, and in formulas of the letters of the field
NOTATION = re.compile(
    r"VGG-16|CIFAR-10|\bL2\b|im2col|max\(0, x\)"
    r"|\((?:W - F|W - F \+ 2P)\)/S \+ 1|W \+ 2P|\(F - 1\)/2|\b[FS] - 1\b"
)


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
    settings: list[str] = field(default_factory=list)

    def see(self, holds: object, told: str = "", *, within: bool = False) -> None:
        """Enter one case; `told` says which, for the message."""
        self.seen.append(Case(bool(holds), within, told))

    def figure(self, *figures: object) -> None:
        """Enter numbers that the claim must quote: integers with commas, others as they are given."""
        self.figures += [f"{figure:,}" if isinstance(figure, int) else str(figure) for figure in figures]

    def given(self, *settings: str) -> None:
        """Enter what was tried, which no computation gives and the claim must quote as well: "at stride 2"."""
        self.settings += settings

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


def volume(x: Array) -> str:
    """Write the size of x (N, C, H, W) as the notes do: "32x32x3"."""
    return f"{x.shape[2]}x{x.shape[3]}x{x.shape[1]}"


def row(numbers: Array) -> str:
    """Write an array in one line: "(1, 0, -1)"."""
    return f"({', '.join(f'{number:g}' for number in numbers.ravel())})"


def complaint(claim: Claim, finding: Finding) -> str:
    """Say what a claim states and a computation does not find; "" where they agree, to each number."""
    if finding.verdict != claim.ruling:
        example = f", for instance {finding.counterexample}" if finding.counterexample else ""
        return f"{claim.id}: claims.toml says {claim.verdict!r}, found is {finding.verdict!r}{example}"
    text = f"{claim.claim} {claim.verdict} {claim.why}"
    quotes = [*finding.figures, *finding.settings]
    if missing := [quote for quote in quotes if not quoted(quote, text)]:
        return f"{claim.id}: the claim lacks {', '.join(missing)}: {text}"
    if numbers := unfounded(text, quotes):
        return f"{claim.id}: nothing that was computed gives {', '.join(numbers)}: {text}"
    return ""


def quoted(figure: str, text: str) -> bool:
    """Tell whether a text has a number, and not only as a part of another."""
    return re.search(_alone(figure), text) is not None


def unfounded(text: str, quotes: Iterable[str]) -> list[str]:
    """List the numbers of a text that are neither among what may be quoted nor notation."""
    for quote in sorted(quotes, key=len, reverse=True):
        text = re.sub(_alone(quote), " ", text)
    return re.findall(r"\d[\d,.x]*(?<=\w)", NOTATION.sub(" ", text))


def _alone(figure: str) -> str:
    return rf"(?<![\d.,x]){re.escape(figure)}(?![\dx%]|[.,]\d)"


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
