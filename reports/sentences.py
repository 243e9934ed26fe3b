"""What was done and what was found, in words. Standard library only."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from reports.matrix import Matrix, distinct, grouped
from reports.rows import Row

EXPLAINED = ("no verdict", "mistrusted", "expected", "not reached", "unsupported")  # verdicts that owe a reason


@dataclass(frozen=True)
class Reason:
    """Why a verdict is neither agreement nor a failure: once, with how many rows of which implementations."""

    verdict: str
    text: str
    count: int
    implementations: tuple[str, ...]
    operations: tuple[str, ...]

    def __str__(self) -> str:
        operations = self.operations if len(self.operations) <= 4 else [f"{len(self.operations)} operations"]
        return f"{self.count:,} × {self.text} ({', '.join(self.implementations)}: {', '.join(operations)})"


def reasons(matrix: Matrix, verdict: str) -> list[Reason]:
    """Return each distinct reason of a verdict, the most frequent first; operations not offered stand by themselves."""
    of_verdict = [row for row in matrix.rows if row.verdict == verdict and not row.not_offered()]
    found = grouped(of_verdict, lambda row: " ".join(row.reason.split()) or "no reason given")
    folded = [
        Reason(verdict, text, len(rows), distinct(rows, "implementation"), distinct(rows, "operation"))
        for text, rows in found.items()
    ]
    return sorted(folded, key=lambda reason: -reason.count)


def not_offered(matrix: Matrix) -> list[str]:
    """Say which operations an implementation does not offer, and how many properties are of these alone."""
    found = grouped((row for row in matrix.rows if row.not_offered()), lambda row: row.implementation)
    offered = grouped((row for row in matrix.rows if not row.not_offered()), lambda row: row.implementation)
    said: dict[str, list[str]] = {}
    for name, rows in found.items():
        alone = {row.property for row in rows} - {row.property for row in offered.get(name, ())}
        count = f" ({plural(len(alone), 'property', 'properties')})" if alone else ""
        said.setdefault(", ".join(distinct(rows, "operation")) + count, []).append(name)
    return [f"not offered by {_listed(names)}: {operations}" for operations, names in said.items()]


def counts(matrix: Matrix) -> str:
    """Say what was done: "4 implementations, 61 properties, 48,231 cases, 3.1 million outputs compared"."""
    answered = {row.property for row in matrix.rows if row.verdict != "no verdict" and not row.not_offered()}
    said = [
        plural(len(matrix.implementations), "implementation"),
        plural(len(answered), "property", "properties"),
        plural(sum(row.examples for row in matrix.rows), "case"),
        plural(sum(row.elements for row in matrix.rows), "output") + " compared",
    ]
    return ", ".join(said)


def findings(matrix: Matrix) -> list[str]:
    """Say what was found, in clauses: which fail, what is missing, which agree, what is open; or "all agree"."""
    failing = _properties(row for row in matrix.failures if row.verdict != "mistrusted")
    doubted = _properties(row for row in matrix.failures if row.verdict == "mistrusted")
    agreeing = {row.implementation for row in matrix.rows if row.verdict == "agrees"} - {*failing, *doubted}
    incomplete = {row.implementation for row in matrix.missing}
    everyone = matrix.implementations
    said = []
    if failing:
        (first, count), *others = failing.most_common()
        and_others = "".join(f", {name} in {count:,}" for name, count in others)
        said.append(f"{first} fails in {plural(count, 'property', 'properties')}{and_others}")
    said += [f"{name} is mistrusted in {plural(count, 'property', 'properties')}" for name, count in doubted.items()]
    if incomplete:
        of = f" of {_some(everyone, incomplete)}" if len(everyone) > 1 else ""
        said.append(f"{plural(len(matrix.missing), 'verdict')}{of} missing")
    if whole := agreeing - incomplete:
        named = "all" if len(whole) == len(everyone) > 1 else _some(everyone, whole)
        said.append(f"{named} agree{'s' if len(whole) == 1 else ''}")
    if partly := agreeing & incomplete:
        said.append(f"{_some(everyone, partly)} agree{'s' if len(partly) == 1 else ''} in the rest")
    if (rest := {*everyone} - {*failing, *doubted} - agreeing) or not matrix.rows:
        said.append("nothing was checked" + (f" of {_some(everyone, rest)}" if agreeing or failing else ""))
    if expected := sum(row.verdict == "expected" for row in matrix.rows):
        said.append(f"{plural(expected, 'failure')} expected")
    if left := sum(row.verdict == "not reached" for row in matrix.rows):
        said.append(f"{plural(left, 'check')} not reached")
    if cut := len({row.check() for row in matrix.rows if row.cut_short()}):
        said.append(f"{plural(cut, 'check')} cut short")
    return said


def _properties(rows: Iterable[Row]) -> Counter[str]:
    """Count the properties of each implementation that the rows are about."""
    return Counter(name for name, _ in dict.fromkeys((row.implementation, row.property) for row in rows))


def thin(rows: Iterable[Row]) -> str:
    """Say of how many cases the evidence is thin: "12 of 48,211 cases (0.02 %) told little: ..."; nothing of none."""
    few, cases = 0, 0
    for row in rows:
        few, cases = few + row.mistrusted, cases + row.examples
    if not few:
        return ""
    share = float(f"{100 * few / cases:.1g}") if few < cases / 10 else round(100 * few / cases)
    return f"{few:,} of {plural(cases, 'case')} ({share:g} %) told little: nearly all of their outputs are zero"


def missed(rows: Iterable[Row]) -> str:
    """Say how likely random integers are to miss a wrong map, in the mean over the cases; nothing of none."""
    chances, cases = 0.0, 0
    for row in rows:
        chances, cases = chances + row.missed, cases + row.integers
    if not cases:
        return ""
    return (
        f"on {plural(cases, 'case')} of random integers a wrong linear or bilinear map would be missed "
        f"with probability {chances / cases:.2g} at most, in the mean over the cases (1/S_x + 1/S_w)"
    )


def headline(matrix: Matrix) -> str:
    """Say in one sentence what was done and what was found."""
    return f"{counts(matrix)}: {'; '.join(findings(matrix))}" if matrix.rows else "no verdicts: nothing was checked"


def command(row: Row) -> str:
    """Return the line that runs a row's case again."""
    where = shlex.quote(f"properties/{row.property}")
    case = f" --case={shlex.quote(row.case)}" if row.case else ""
    return f"pytest {where} --impl={shlex.quote(row.implementation)}{case}"


def plural(count: int, one: str, many: str = "") -> str:
    """Count in words that can be read: "1 case", "48,231 cases", "3.1 million cases"."""
    if count < 1_000_000:
        number = f"{count:,}"
    else:
        number = f"{count / 1e6:.1f} million" if count < 999_950_000 else f"{count / 1e9:.1f} billion"
    return f"{number} {one if count == 1 else many or one + 's'}"


def _some(everyone: tuple[str, ...], chosen: Collection[str]) -> str:
    """Name the chosen in their order, or count them where they are many."""
    return _listed([name for name in everyone if name in chosen]) if len(chosen) <= 3 else str(len(chosen))


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
