"""Which release of an engine changed a verdict: one case, asked of release after release."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from impls import registry, releases
from impls.files import SpecError
from impls.isolation import choice
from oracles.case import Case
from properties import order
from properties.examiner import Examiner, set_under_test
from properties.laws import Law

NEAR = 6  # releases on either side that are tried where one gives no verdict


class Found(NamedTuple):
    """A verdict of one release: its kind, and what was got, where that tells more."""

    kind: str
    told: str = ""

    @property
    def counts(self) -> bool:
        """Whether it says anything of the engine."""
        return self.kind not in ("unsupported", "not installed")


class Changed(NamedTuple):
    """Two releases next to each other that differ, the earlier first."""

    before: str
    first: Found
    after: str
    then: Found


def property_for(case: Case, name: str = "") -> tuple[str, Law]:
    """Find the property of that name, or the first that is about such a case. Raises ValueError where there is none."""
    found = [(each, function.law) for each, function in order.properties() if case.operation in function.law.operations]
    details = {key for key, _ in case.details}
    for each, law in found:
        named = name and name in (each, each.partition("::")[2])
        if named or (not name and law.details == details and (law.any_case or details)):
            return each, law
    raise ValueError(f"{name or case}: no property of {case.operation} is called so or about such a case")


def verdict(spec: str, case: Case, law: Law, directory: Path) -> Found:
    """Ask one implementation for its verdict on a case."""
    try:
        subject = choice.load(spec, directory)
    except SpecError as error:
        return Found("not installed", str(error).splitlines()[0])
    if not subject.offers(case.operation):
        return Found("unsupported", f"offers no {case.operation}")
    examiner = Examiner(subject, case.operation)
    set_under_test(examiner)
    examiner.begin(math.inf)
    try:
        supported = law.one(examiner, case)
    except AssertionError:
        assert examiner.failure is not None
        found = examiner.failure[1]
        return Found(found.kind, " ".join(line.strip() for line in found.message.splitlines()[:3]))
    if not supported:
        return Found("unsupported", "; ".join(next(iter(examiner.tallies.values())).unsupported))
    return Found("agrees")


def changed(versions: Sequence[str], ask: Callable[[str], Found]) -> Changed | None:
    """Halve the releases, the oldest first, until two neighbours differ; None where the first and the last agree.

    One that gives no verdict is left out: a neighbour is asked in its place.
    """
    asked: dict[str, Found] = {}

    def answer(places: Sequence[int]) -> int | None:
        for place in places:
            version = versions[place]
            if version not in asked:
                asked[version] = ask(version)
            if asked[version].counts:
                return place
        return None

    low, high = answer(range(len(versions))[:NEAR]), answer(range(len(versions))[: -NEAR - 1 : -1])
    if low is None or high is None or asked[versions[low]].kind == asked[versions[high]].kind:
        return None
    while True:
        middle = (low + high) // 2
        between = sorted(range(low + 1, high), key=lambda place: abs(place - middle))[:NEAR]
        found = answer(between)
        if found is None:
            return Changed(versions[low], asked[versions[low]], versions[high], asked[versions[high]])
        if asked[versions[found]].kind == asked[versions[low]].kind:
            low = found
        else:
            high = found


def main(engine: str, line: str, name: str = "", since: str = "", until: str = "") -> int:
    """Bisect and tell each verdict; 0 where a release is found, 1 where none changed it. Raises ValueError."""
    case = Case.parse(line)
    known, law = property_for(case, name)
    entry = next((entry for entry in registry.entries() if entry.name == engine.partition("+")[0]), None)
    if entry is None or not entry.foreign:
        engines = ", ".join(entry.name for entry in registry.entries() if entry.foreign)
        raise ValueError(f"{engine}: an engine is accepted: {engines}")
    least, most = releases.numbers(since or "0"), releases.numbers(until or "99999")
    versions = [each for each in reversed(releases.listed(entry)) if least <= releases.numbers(each) <= most]
    if not versions:
        raise ValueError(f"{engine}: no release from {since or 'the first'} to {until or 'the last'} has a wheel here")
    _say(f"{known}\n{case}\n{len(versions)} releases of {entry.distribution}, {versions[0]} to {versions[-1]}")

    def ask(version: str) -> Found:
        found = verdict(f"{engine}@{version}", case, law, Path.cwd())
        _say(f"  {version:<12} {found.kind}{f': {found.told}' if found.told else ''}")
        return found

    step = changed(versions, ask)
    if step is None:
        _say("the verdict is the same in the first and in the last release that give one")
        return 1
    _say(f"{entry.distribution} {step.after} changed it: {step.first.kind} until {step.before}, then {step.then.kind}")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
