"""Failures that are known: an --expected file says of each which, in which releases, why, and where it is told.

A failure that is listed is *expected*, and does not fail the run. What is listed and passes fails it, so that the list
tells what is so now.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet  # pytest itself needs it
from packaging.version import InvalidVersion

from impls import processor
from impls.isolation.subject import IsolatedSubject
from oracles import truth as truths
from oracles.case import OPERATIONS, Case
from properties import regions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import pytest

    from properties.examiner import Examiner

FOLDER = Path(__file__).parent
EVERY_VARIANT = (
    "+*"  # behind an implementation's name: it and those of its variants that offer the operation, and the case
)


@dataclass(frozen=True)
class Entry:
    """One failure: `property` as in the table of verdicts, `releases` such as ">=1.20, <1.31" ("" for any).

    With a `case`, a line such as --case takes, the property is run on it alone; without one it is searched as ever, and
    must be found to fail in each run. With a case and a `region`, of those in `properties.regions`, the case must fail
    first, and then this property is searched beyond the region, and so is every other that calls the operation.
    `processor` is the vendor of the processors of which alone it speaks, in the letters of CPUID, as Linux tells them.
    """

    implementation: str
    property: str
    operation: str
    releases: str
    reason: str
    link: str
    case: str = ""
    region: str = ""
    processor: str = ""

    def concerns(self, property_: str, examiner: Examiner) -> bool:
        """Whether this check is the one that is listed, in the release that is under test."""
        return (self.property, self.operation) == (property_, examiner.operation) and self.touches(examiner)

    def touches(self, examiner: Examiner) -> bool:
        """Whether it speaks of the implementation, in the release that is under test, on this processor."""
        if self.processor not in ("", processor.vendor()):
            return False
        subject = examiner.subject
        spec = subject.spec.partition("@")[0]
        names = {subject.spec, spec, subject.name}
        if subject.offers(self.operation) and not (self.case and examiner.declined(Case.parse(self.case))):
            names.add(spec.partition("+")[0] + EVERY_VARIANT)
        if self.implementation not in names:
            return False
        if not self.releases:
            return True
        try:
            return SpecifierSet(self.releases).contains(subject.declared.version or "", prereleases=True)
        except InvalidVersion:  # it says none, or none that compares: a range says nothing of it
            return False

    def sets_aside(self, case: Case, data: regions.Data | None = None) -> bool:
        """Whether the case, on these data, lies in the region that it names."""
        return (
            bool(self.region)
            and case.operation == self.operation
            and regions.holds(self.region, Case.parse(self.case), case, data)
        )

    def told(self) -> str:
        """The reason of the row: why, and where it is told."""
        return f"{self.reason} ({self.link})"


class ExpectedError(Exception):
    """A file that cannot be used, in one line that names it, the entry and what would be accepted."""


def read(path: Path, implementations: Collection[str]) -> list[Entry]:
    """The entries of a file. `implementations` are those under test, and those that come with the suite.

    Raises ExpectedError where it cannot be read, where a field is missing, unknown or wrong, and where an entry names
    an implementation, a property or a case that there is not: such an entry would match nothing.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExpectedError(f"{path}: cannot be read ({error})") from error
    listed = content.get("expected", [])
    if set(content) - {"expected"} or not isinstance(listed, list) or not all(isinstance(e, dict) for e in listed):
        raise ExpectedError(f"{path}: accepted is a list of [[expected]] tables, and nothing else")
    entries: list[Entry] = []
    for number, fields in enumerate(listed, 1):
        where = f"{path}: entry {number}"
        entries.append(_entry(where, fields))
        _match(where, entries[-1], implementations)
    keys = [
        (each.implementation, each.property, each.operation, each.releases, each.region and each.case)
        for each in entries
    ]
    for number, key in enumerate(keys, 1):
        if key in keys[: number - 1]:
            raise ExpectedError(f"{path}: entry {number} says what entry {keys.index(key) + 1} says: leave out one")
    return entries


def _entry(where: str, fields: dict[str, Any]) -> Entry:
    known = {each.name: each.default is dataclasses.MISSING for each in dataclasses.fields(Entry)}
    needed = [name for name, must in known.items() if must]
    if unknown := [name for name in fields if name not in known]:
        raise ExpectedError(f"{where}: {unknown[0]} is unknown; accepted are {', '.join(known)}")
    if missing := [name for name in needed if name not in fields]:
        raise ExpectedError(f"{where}: {missing[0]} is missing; needed are {', '.join(needed)}")
    for name, value in fields.items():
        if not isinstance(value, str) or not (value or name in ("releases", "case", "region", "processor")):
            raise ExpectedError(f"{where}: {name} = {value!r}; accepted is a text")
    return Entry(**fields)


def _match(where: str, entry: Entry, implementations: Collection[str]) -> None:
    """Refuse what could match nothing, whatever is collected."""
    if entry.implementation.removesuffix(EVERY_VARIANT) not in implementations:
        accepted = ", ".join(sorted(implementations))
        raise ExpectedError(f"{where}: there is no implementation {entry.implementation!r}; accepted are {accepted}")
    file, _, name = entry.property.partition("::")
    module = FOLDER / file
    if not re.fullmatch(r"test_\w+\.py", file) or not module.is_file():
        raise ExpectedError(f"{where}: {entry.property}: accepted is a property as in `test_values.py::test_its_name`")
    if f"\ndef {name}(" not in module.read_text(encoding="utf-8"):
        raise ExpectedError(f"{where}: {file} has no property {name!r}")
    if entry.operation not in OPERATIONS:
        raise ExpectedError(f"{where}: operation = {entry.operation!r}; accepted are {', '.join(OPERATIONS)}")
    try:
        SpecifierSet(entry.releases)
    except InvalidSpecifier:
        raise ExpectedError(f"{where}: releases = {entry.releases!r}; accepted is such as '>=1.20, <1.31'") from None
    try:
        case = Case.parse(entry.case) if entry.case else None
    except ValueError as error:
        raise ExpectedError(f"{where}: case: {error}") from error
    if case is not None and case.operation != entry.operation:
        raise ExpectedError(f"{where}: the case is of {case.operation}, the entry of {entry.operation}")
    if entry.region and entry.region not in regions.ACCEPTED:
        raise ExpectedError(f"{where}: region = {entry.region!r}; accepted are {', '.join(regions.ACCEPTED)}")
    if entry.region and (case is None or not any(entry.sets_aside(case, data) for data in (None, truths.inputs(case)))):
        raise ExpectedError(f"{where}: region = {entry.region!r} needs a case, which lies in it")


def listed(entries: list[Entry], property_: str, examiner: Examiner) -> list[Entry]:
    """The entries that speak of this check: one, or several with regions."""
    found = [entry for entry in entries if entry.concerns(property_, examiner)]
    return [entry for entry in found if not entry.region][:1] or found


def known(entries: list[Entry], examiner: Examiner) -> list[Entry]:
    """The entries whose regions are set aside in all properties that call their operations."""
    return [entry for entry in entries if entry.region and entry.touches(examiner)]


def mended(entries: list[Entry], one: Callable[[Examiner, Case], bool], examiner: Examiner) -> Entry | None:
    """Run the property on the cases that are listed with a region; the last entry whose case does not fail, or None.

    What a fault leaves behind in its process, such as memory that is not the call's own, is no part of what follows.
    """
    found, examiner.known = None, ()
    for entry in entries:
        if entry.region:
            examiner.begin(math.inf)
            with contextlib.suppress(AssertionError):
                one(examiner, Case.parse(entry.case))
            found = entry if examiner.failure is None else found
            if isinstance(examiner.subject, IsolatedSubject):
                examiner.subject.process.fresh()
    return found


def held_to(
    entry: Entry, passing: Entry | None, examiner: Examiner, report: pytest.TestReport, found: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """A failure that is listed is expected; what is listed and does not fail is a failure of the list.

    passing: the entry with a region whose case passed. found: the rows of the report, which are given back so changed.
    """
    entry = passing or entry
    if entry.region and not passing and report.failed:
        return found  # beyond the region
    if not passing and (entry.region or (examiner.failure is not None and report.failed)):
        report.outcome, report.wasxfail = "skipped", entry.told()  # type: ignore[attr-defined]
        told = {"verdict": "expected", "reason": entry.told()} | ({"case": entry.case} if entry.region else {})
        failing = Case.parse(entry.case).dtype if entry.region else str(examiner.failure[0].dtype)  # type: ignore[index]
        return [row | told if row["dtype"] in (failing, "") else row for row in found]
    if passing or not report.failed:
        how = "passes" if passing or report.passed else "was not reached, or is not offered"
        report.outcome = "failed"
        report.longrepr = (
            f"{examiner.subject.spec}: {entry.property} {how} with {entry.operation}, and is listed as expected to "
            f"fail ({entry.told()}): take it out of the list, or give a case that fails, as case = '...'"
        )
    return found
