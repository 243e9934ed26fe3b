"""How properties are run: which implementation and operation, for how long, and what is written of each."""

from __future__ import annotations

import _thread
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.errors import Flaky, Unsatisfiable

import conftest as root
from impls import places
from impls.subject import Subject
from oracles.case import Case, DetailError
from properties import again, earlier, expected, likeness, messages, order
from properties.database import Examples, stamp, whose
from properties.examiner import KNOWN_FAULT, Examiner, Spent, Tally, set_under_test
from properties.laws import Law
from properties.simpler import simplify

EXAMINER = pytest.StashKey[Examiner]()
BUDGET = pytest.StashKey["Budget"]()
UNSHRUNK = pytest.StashKey[bool]()
CUT_SHORT = pytest.StashKey[bool]()
EXPECTED = pytest.StashKey[list[expected.Entry]]()
INTERRUPTED = "interrupted with a failure found"
MENDED = pytest.StashKey["expected.Entry | None"]()


class Budget:
    """Seconds left to each implementation, and the weight of the properties still to come, of this process."""

    def __init__(self, seconds: float, waiting: dict[str, float]) -> None:
        self.total = seconds
        self.left = dict.fromkeys(waiting, seconds)
        self.all, self.waiting = dict(waiting), waiting
        self.failing: set[tuple[str, str]] = set()  # implementation and operation

    def share(self, name: str, weight: float = 1.0) -> float:
        """Seconds for the next property: twice its share by weight, and a quarter of what those before have left over.

        Next to none when all is spent, which still gives it a few cases; none at all when half as much again is.
        """
        left, waiting = self.left[name], max(weight, self.waiting[name])
        least = 1e-9 if left > -self.total / 2 else 0.0
        saved = max(0.0, left - self.total * waiting / max(1.0, self.all[name]))
        return max(least, 2 * left * weight / waiting + saved / 4)

    def spend(self, name: str, seconds: float, weight: float = 1.0) -> None:
        """Book what a property took."""
        self.left[name] -= seconds
        self.waiting[name] -= weight


def pytest_addoption(parser: pytest.Parser) -> None:
    """One more option of the suite's: `pytest properties/ --help` shows it below the others."""
    parser.getgroup("poolproof", "Poolproof").addoption(
        "--expected", metavar="FILE",
        help="failures that are known, a TOML list: they do not fail the run, and what is listed and passes does",
    )  # fmt: skip


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Read --expected, once the implementations are loaded; what is wrong with it is a usage error of one line."""
    config.stash[EXPECTED] = []
    file = config.getoption("expected", None)
    if file is None:
        return
    from impls import registry

    state = config.stash[root.STATE]
    under_test = [name for spec, each in state.subjects.items() for name in (spec, spec.partition("@")[0], each.name)]
    names = {*under_test, *(name for entry in registry.entries() for name in entry.names)}
    try:
        config.stash[EXPECTED] = expected.read(config.invocation_params.dir / file, names)
    except expected.ExpectedError as error:
        raise pytest.UsageError(f"--expected: {error}") from None


def pytest_sessionstart() -> None:
    """Let no Ctrl-C be lost: it may land where Python can only report it, such as in Hypothesis' callback of gc."""
    report = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            threading.Timer(0.05, _thread.interrupt_main).start()  # once the callback has returned
        else:
            report(unraisable)

    sys.unraisablehook = hook


def pytest_ignore_collect(collection_path: Any, config: pytest.Config) -> bool | None:
    """`pytest properties/` judges implementations; the suite's tests of itself, and claims, run when named."""
    unasked = ("selfcheck", "mutants", "test_claims.py")
    if collection_path.name in unasked and collection_path.parent == root.ROOT / "properties":
        named = [config.invocation_params.dir / str(argument).split("::")[0] for argument in config.args]
        if not any(collection_path in (path, *path.parents) for path in named):
            return True
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every operation of a property, and within it every implementation."""
    law: Law | None = getattr(metafunc.function, "law", None)
    if law is None:
        return
    state = metafunc.config.stash[root.STATE]
    names = {spec: _short(spec, state.subjects) for spec in state.subjects}
    pairs = [
        (operation, spec)
        for operation in law.operations
        for spec in state.subjects
        if _wanted(law, operation, metafunc.config)
    ]
    ids = [f"{operation}-{names[spec]}" for operation, spec in pairs]
    metafunc.parametrize("subject", pairs, indirect=True, ids=ids, scope="session")


def _wanted(law: Law, operation: str, config: pytest.Config) -> bool:
    """Whether --case, if there is one, is for this property: named on the command line, or true of any case."""
    case = config.stash[root.STATE].case
    if case is None:
        return True
    named = law.any_case or law.details or any("::" in str(argument) for argument in config.args)
    return bool(named) and case.operation == operation and law.details == {key for key, _ in case.details}


def _short(spec: str, among: dict[str, Subject]) -> str:
    """The specification without its folder, where that names it still."""
    short = spec.replace("\\", "/").rsplit("/", 1)[-1]
    return short if sum(other.replace("\\", "/").rsplit("/", 1)[-1] == short for other in among) == 1 else spec


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Count what each implementation has before it; leave out properties that have nothing to do with --case."""
    waiting = dict.fromkeys(config.stash[root.STATE].subjects, 0.0)
    idle = []
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item.function, "law"):
            pair = item.callspec.params["subject"]
            if isinstance(pair, tuple):
                operation, spec = pair
                offered = config.stash[root.STATE].subjects[spec].offers(operation)
                waiting[spec] += order.weight(item.path) if offered else 0.0
            else:
                idle.append(item)
    items.sort(key=lambda item: order.rank(item.path))
    if idle:
        config.hook.pytest_deselected(items=idle)
        items[:] = [item for item in items if item not in idle]
        if not items and not hasattr(config, "workerinput"):
            raise pytest.UsageError(f"--case: none of the {len(idle)} properties collected is about such a case")
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))  # they share the work, and the time for it
    config.stash[BUDGET] = Budget(config.option.budget / workers, {k: n / workers for k, n in waiting.items()})


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest) -> Examiner:
    """One operation of one implementation, ready to be examined."""
    operation, spec = request.param
    examiner = Examiner(request.config.stash[root.STATE].subjects[spec], operation)
    set_under_test(examiner)
    return examiner


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a property: within its share of the budget, unshrunk after a first failure, or on the one case asked for."""
    law: Law | None = getattr(pyfuncitem.function, "law", None)
    if law is None:
        return None
    examiner: Examiner = pyfuncitem.funcargs["subject"]
    config = pyfuncitem.config
    budget, spec = config.stash[BUDGET], examiner.subject.spec
    pyfuncitem.stash[EXAMINER] = examiner
    weight = order.weight(pyfuncitem.path)
    started = time.perf_counter()
    case, entries = config.stash[root.STATE].case, _listed(pyfuncitem, examiner)
    if case is None:
        mended = expected.mended(entries, law.one, examiner)
        pyfuncitem.stash[MENDED] = mended
        examiner.known = expected.known(config.stash[EXPECTED], examiner)
    _keep_apart(pyfuncitem, spec)
    examiner.begin(budget.share(spec, weight))
    if not examiner.subject.offers(examiner.operation):
        pytest.skip(f"{spec} offers no {examiner.operation}")
    try:
        if case is not None and (reason := examiner.declined(case)):
            examiner.tallies[case.dtype] = Tally(unsupported={reason: 1})
            pytest.skip(f"{spec} {reason}")
        elif case is not None:
            _examine_one(law, examiner, case)
        elif entries and entries[0].case and not entries[0].region:
            _examine_one(law, examiner, Case.parse(entries[0].case))
        elif (spec, examiner.operation) in budget.failing:
            pyfuncitem.stash[UNSHRUNK] = True
            law.unshrunk(subject=examiner)
        else:
            _searched(pyfuncitem, law, examiner)
    except Spent:
        pyfuncitem.stash[CUT_SHORT] = True
        if not examiner.tallies:
            pytest.skip(f"not reached: the budget of {spec} was spent")
    except Unsatisfiable:  # Hypothesis' word for it that no case was answered
        pytest.skip(f"{spec}: every case is declared unsupported")
    except KeyboardInterrupt:
        if examiner.failure is None:
            raise
        pyfuncitem.session.shouldstop, examiner.hurried = INTERRUPTED, True
        raise AssertionError from None  # a failure that was found is told, as small as it is by now
    finally:
        budget.spend(spec, time.perf_counter() - started, weight)
        if examiner.failure is not None:
            budget.failing.add((spec, examiner.operation))
    return True


def _searched(item: pytest.Function, law: Law, examiner: Examiner) -> None:
    """Search for a failure, and make it simpler than Hypothesis does."""
    try:
        item.obj(subject=examiner)
    except AssertionError:
        simplify(law.one, examiner)
        raise


def _keep_apart(item: pytest.Function, spec: str) -> None:
    """Let failing examples be kept for this implementation and operation alone, in the state in which its files are."""
    kept, directory = settings.default.database, item.config.invocation_params.dir
    if kept is not None:  # where draws are derived from the property alone, all implementations have the same
        operation = item.funcargs["subject"].operation
        digest = f"{operation} {whose(spec, directory)}".encode()
        item.obj.hypothesis.inner_test._hypothesis_internal_add_digest = digest
    if isinstance(kept, Examples):
        kept.stamp = stamp(spec, directory)


def _identity(item: pytest.Function) -> str:
    """The property, as the table of verdicts names it."""
    return f"{item.path.name}::{item.originalname}"


def _listed(item: pytest.Function, examiner: Examiner) -> list[expected.Entry]:
    return expected.listed(item.config.stash[EXPECTED], _identity(item), examiner)


def _examine_one(law: Law, examiner: Examiner, case: Case) -> None:
    """Run a property on the case that --case asks for; skip it where the line asks for what the property lacks."""
    try:
        law.one(examiner, case)
    except DetailError as error:
        examiner.tallies[case.dtype] = Tally(unsupported={str(error): 1})
        pytest.skip(f"--case: {error}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Turn what was found into rows, and a failure into a diagnosis."""
    report = yield
    if call.when == "call" and EXAMINER in item.stash:
        assert isinstance(item, pytest.Function)
        examiner, law = item.stash[EXAMINER], item.function.law
        kept = settings.default.database
        if isinstance(kept, Examples):
            kept.finish(smallest=not examiner.hurried and UNSHRUNK not in item.stash and not _suites_own(call))
        printed = examiner.subject.printed()  # before more is asked of it, for a diagnosis
        found = _rows(item, examiner, law, call)
        if report.failed and examiner.failure is not None and not _suites_own(call):
            report.longrepr = _brief(found[0]["message"]) if UNSHRUNK in item.stash else found[0]["message"]
        elif report.failed and (complaint := _senseless_supports(examiner, call)):
            report.longrepr = complaint
            found = [row | {"verdict": "raised", "message": complaint} for row in found[:1]]
        elif report.failed:
            reason = f"a fault of Poolproof, not of {examiner.subject.spec}: {call.excinfo.exconly()}"
            report.sections.insert(0, ("whose fault", reason))
            found = [row | {"verdict": "not reached", "reason": reason} for row in found[:1]]
        if (entries := _listed(item, examiner)) and item.config.stash[root.STATE].case is None:
            found = expected.held_to(entries[0], item.stash.get(MENDED, None), examiner, report, found)
        if report.failed and printed:
            report.sections.append((f"printed by {examiner.subject.spec}", printed))
        report.poolproof_rows = found
    return report  # type: ignore[return-value]


def _suites_own(call: pytest.CallInfo[None]) -> bool:
    """Whether an exception is neither an assertion nor Hypothesis' word that a failure came and went."""
    return call.excinfo is not None and not isinstance(call.excinfo.value, (AssertionError, Flaky))


def _brief(message: str) -> str:
    """A later failure of an operation, as far as its command: the first one has the rest."""
    return message.partition("\n\npin it above the property:")[0]


def _senseless_supports(examiner: Examiner, call: pytest.CallInfo[None]) -> str:
    """What is wrong with the implementation's own `supports`, if that is what a property stumbled over."""
    assert call.excinfo is not None
    frames = traceback.extract_tb(call.excinfo.value.__traceback__)
    within = [i for i, frame in enumerate(frames) if frame.name == "supports" and frame.filename.endswith("subject.py")]
    if not within:
        return ""
    error, spec = call.excinfo.value, examiner.subject.spec
    if within[0] == len(frames) - 1:
        return str(error)
    place = places.noted(error)
    return f"{spec}: supports() raised {error!r}" + (f"\n  at     {place}" if place else "")


def _rows(item: pytest.Function, examiner: Examiner, law: Law, call: pytest.CallInfo[None]) -> list[dict[str, Any]]:
    """One row for each format, the one that failed first."""
    from reports import nearness
    from reports.ledger import Row

    name = _identity(item)
    common = {"property": name, "title": law.title, "level": law.level, "operation": examiner.operation}
    common |= {"implementation": examiner.subject.spec, "seconds": call.duration}
    if not examiner.subject.offers(examiner.operation):
        reason = f"offers no {examiner.operation}"
        return [Row(**common, dtype="", verdict="unsupported", reason=reason).to_json()]
    rows = []
    failure = examiner.failure
    for dtype, tally in (examiner.tallies or {"": Tally()}).items():
        counts: dict[str, Any] = {
            "dtype": dtype, "examples": tally.examples, "elements": tally.elements, "mistrusted": tally.mistrusted,
            "unsupported": sum(tally.unsupported.values()), "worst_ratio": tally.ratio or None,
            "nearness": nearness.written(tally.nearness), "integers": tally.integers, "missed": tally.missed,
        }  # fmt: skip
        if failure is not None and failure[0].dtype == dtype:
            case, verdict = failure
            if math.isfinite(verdict.ratio):  # of an exact answer it says nothing
                counts["worst_ratio"] = max(tally.ratio, verdict.ratio) or None
            shrunk, late, passes = UNSHRUNK not in item.stash, examiner.hurried, ""
            flaky = call.excinfo is not None and isinstance(call.excinfo.value, Flaky)
            stopped = item.session.shouldstop == INTERRUPTED
            if (shrunk or flaky) and not stopped:
                alone = item.config.stash[root.STATE].case is None  # else nothing was called before it
                verdict, passes = again.tried(item, examiner, law, flaky=flaky, alone=alone)
            verdict = again.diagnosed(examiner, verdict)
            try:
                how = {"shrunk": shrunk, "late": late, "passes": passes, "options": again.options(item.config)}
                how["before"] = earlier.culprit(examiner, law, case) if passes == again.ALONE else None
                how["like"] = likeness.told(examiner, law, case, verdict) if shrunk and not stopped else ()
                text = messages.told(examiner, _where(item), law, case, verdict, **how)
            except Exception as error:  # a verdict is worth more than what is told of it
                text = f"{verdict.message}\n\nno more can be told of {case}, a fault of Poolproof: {error!r}"
            row = Row(**common, **counts, verdict=verdict.kind, case=str(case), message=text)
            rows.insert(0, row.to_json())
        else:
            verdict_, reason = _summed(
                tally, examiner, cut_short=CUT_SHORT in item.stash, glance=item.config.option.glance
            )
            if verdict_ == "agrees" and CUT_SHORT in item.stash:
                reason = "the budget was spent"
            rows.append(Row(**common, **counts, verdict=verdict_, reason=reason).to_json())
    return rows


def _where(item: pytest.Function) -> str:
    """The property as pytest takes it from where it was started: from outside the clone, by its whole path."""
    start = item.config.invocation_params.dir
    path = item.path.relative_to(start) if item.path.is_relative_to(start) else item.path
    return f"{path.as_posix()}::{item.originalname}"


def _summed(tally: Tally, examiner: Examiner, *, cut_short: bool, glance: bool) -> tuple[str, str]:
    """The verdict on one format where nothing failed, and its reason. Thin evidence is looked for over all formats."""
    if examiner.failure is not None:
        return "not reached", f"the search ended at a failure in {examiner.failure[0].dtype}"
    reasons = "; ".join(sorted(tally.unsupported, key=tally.unsupported.__getitem__, reverse=True)[:3])
    if not tally.examples:
        return ("unsupported", reasons) if reasons else ("not reached", "the budget was spent")
    tallies = examiner.tallies.values()
    declared = [pair for each in tallies for pair in each.unsupported.items()]
    known = sum(number for told, number in declared if told.startswith(KNOWN_FAULT))
    declined = sum(number for _, number in declared) - known
    examples, mistrusted = (sum(getattr(each, name) for each in tallies) for name in ("examples", "mistrusted"))
    drawn = declined + examples + known
    if not glance and 2 * declined - drawn > 3 * math.sqrt(drawn):  # more than half of what is drawn, beyond chance
        told = f"{declined} of {drawn} cases are declared unsupported: {reasons}"
        return "mistrusted", f"{told}; declared as limits they would not be drawn"
    chance = 3 * math.sqrt(examples) if cut_short else 0  # a few cases, which is marked as well
    if 2 * mistrusted - examples > chance:
        return "mistrusted", f"in {mistrusted} of {examples} cases the true outputs are nearly all zero"
    return "agrees", ""
