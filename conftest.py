"""Command line, Hypothesis profiles, the implementations under test, and the writing of results."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import InvalidArgument

from impls import processor
from properties.database import Examples

if TYPE_CHECKING:
    from impls.isolation.process import Limits
    from impls.subject import Subject
    from oracles.case import Case
    from reports.ledger import Ledger, Row, Run

ROOT = Path(__file__).parent
LEVELS = "values, gradients, specials, arrays, refusals and repeatability, with and, or, not"
LAYERS = 1 << 33  # bytes that a call on a whole layer may take
MOST_WORK = 10**8  # of a case of --case: some seconds of the plain loops

# A case's own line reproduces it, in any release of Hypothesis: blobs would not. A slow call is no flaw here. What
# Hypothesis presets where it sees CI, the same cases in every run among it, is for the profile "ci" alone.
settings.register_profile(
    "poolproof",
    max_examples=100,
    derandomize=False,
    deadline=None,
    print_blob=False,
    report_multiple_bugs=False,
    database=Examples(ROOT / ".hypothesis" / "examples"),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink),
    suppress_health_check=(
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
        HealthCheck.filter_too_much,  # a case that is declared unsupported is drawn anew, and counted
    ),
)
settings.register_profile("quick", settings.get_profile("poolproof"), max_examples=25)
settings.register_profile("thorough", settings.get_profile("poolproof"), max_examples=2000)
settings.register_profile("ci", settings.get_profile("poolproof"), derandomize=True, database=None)
settings.load_profile("poolproof")


class State:
    """What one run knows: the subjects, the case to repeat, and the ledger that the controller writes."""

    def __init__(self) -> None:
        self.subjects: dict[str, Subject] = {}
        self.apart: dict[str, Subject] = {}  # in a process of their own, beside subjects that are timed here
        self.limits: Limits | None = None  # of a call in a process of its own
        self.missing: dict[str, str] = {}
        self.case: Case | None = None
        self.ledger: Ledger | None = None
        self.run: Run | None = None
        self.rows: list[Row] = []
        self.planned = False  # whether what is planned was handed over


STATE = pytest.StashKey[State]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the suite; `pytest properties/ --help` shows them under its name."""
    group = parser.getgroup("poolproof", "Poolproof")
    group.addoption(
        "--impl", action="append", default=[], metavar="SPEC",
        help="what to test, repeatable: a name of --list-impls, file.py[:object] or package.module[:object] "
        "(default: what comes with the suite, and torch; other engines when named)",
    )  # fmt: skip
    group.addoption("--list-impls", action="store_true", help="list the implementations that come with the suite")
    group.addoption(
        "--isolate", choices=("auto", "always", "never"), default="auto",
        help="which implementations run in a process of their own, where a crash is a verdict (default: auto: "
        "those that do not come with the suite, and engines)",
    )  # fmt: skip
    group.addoption(
        "--call-limit", type=float, default=10.0, metavar="SECONDS",
        help="a call that gives no answer for so long, in a process of its own, hangs; give more where a first call "
        "compiles (default: %(default)s)",
    )  # fmt: skip
    group.addoption(
        "--memory-limit", type=int, default=512, metavar="MIB",
        help="what calls on small arrays may take in a process of its own, beyond what the import took; 0 is no limit "
        "(default: %(default)s)",
    )  # fmt: skip
    group.addoption("--case", metavar="LINE", help="run exactly this case, the line that a failure ends with")
    group.addoption(
        "--budget", type=float, default=60.0, metavar="SECONDS",
        help="time for each implementation, shared out over the properties (default: %(default)s)",
    )  # fmt: skip
    group.addoption("--glance", action="store_true", help="a short look: what is not reached or offered is no failure")
    group.addoption("--results", metavar="DIR", help="where verdicts are kept (default: results/ of the clone)")


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """--list-impls answers and ends."""
    if config.option.list_impls:
        _refuse_foreign_configuration(config)
        from impls import registry

        sys.stdout.write(registry.listing())
        return 0
    return None


def pytest_configure(config: pytest.Config) -> None:
    """Resolve --impl, --case and --results; whatever is wrong with them is a usage error of one line."""
    _refuse_foreign_configuration(config)
    config.stash[STATE] = state = State()
    _check_profile(config)
    _check_markers(config)
    if not config.option.budget > 0:  # nan is not
        raise pytest.UsageError(f"--budget={config.option.budget:g}: accepted is a number of seconds above 0")
    from impls import registry
    from impls.isolation import choice

    state.limits = _limits(config)
    timed = hasattr(config.option, "layers")  # bench/ times calls in this process, once they were made in another,
    if timed and state.limits.memory:  # and its layers are large
        state.limits = dataclasses.replace(state.limits, memory=max(state.limits.memory, LAYERS))
    if timed and config.option.isolate == "always":
        raise pytest.UsageError("--isolate=always: benchmarks time calls in their own process; leave it out")
    isolate = "never" if timed else config.option.isolate
    try:
        for spec in config.option.impl:
            if timed and config.option.isolate == "auto" and choice.is_the_user_s(spec):
                state.apart[spec] = choice.load(spec, config.invocation_params.dir, limits=state.limits)
            state.subjects[spec] = choice.load(spec, config.invocation_params.dir, isolate, state.limits)
        if config.option.case is not None:  # samples the definition, and takes a case of any size
            state.case = _parsed(config.option.case, math.inf if timed else MOST_WORK)
    except registry.SpecError as error:
        raise pytest.UsageError(f"--impl={spec}: {str(error).removeprefix(spec).lstrip(': ')}") from None
    except ValueError as error:
        raise pytest.UsageError(f"--case: {error}") from None
    if not config.option.impl:
        _all_that_can_run(state, isolate)


def _limits(config: pytest.Config) -> Limits:
    from impls.isolation.process import Limits

    seconds, memory = config.option.call_limit, config.option.memory_limit
    if not 0 < seconds < float("inf"):
        raise pytest.UsageError(f"--call-limit={seconds:g}: accepted is a number of seconds above 0")
    if memory < 0:
        raise pytest.UsageError(f"--memory-limit={memory}: accepted is a number of MiB, or 0 for no limit")
    return Limits(seconds, memory << 20)


def _check_profile(config: pytest.Config) -> None:
    """Hypothesis loads its profile after this hook, and would not say in a line what is wrong with it."""
    name = config.getoption("hypothesis_profile", None) or settings.get_current_profile_name()
    try:
        profile = settings.get_profile(name)
    except InvalidArgument:
        accepted = "poolproof, quick, thorough and ci"
        raise pytest.UsageError(
            f"--hypothesis-profile={name}: there is none of that name; accepted are {accepted}"
        ) from None
    if config.getoption("hypothesis_seed", None) is not None and profile.derandomize:
        raise pytest.UsageError(
            f"--hypothesis-seed has no effect on the derandomized profile {name}: leave out one of the two"
        )


def _check_markers(config: pytest.Config) -> None:
    """An unknown word of -m would leave out everything, without a word."""
    from impls.spelling import meant

    known = [re.split(r"[:(]", line)[0].strip() for line in config.getini("markers")]
    for word in re.findall(r"[^\W\d]\w*", config.option.markexpr):
        if word not in (*known, "and", "or", "not", "True", "False"):
            raise pytest.UsageError(f"-m {word}: there is no such level{meant(word, known)}; accepted are {LEVELS}")


def _parsed(line: str, most: float) -> Case:
    """The case of --case. Raises ValueError where it does not parse, or is one that the contract refuses."""
    from oracles.case import POOLING, Case
    from oracles.data import check_numbers

    case = Case.parse(line)
    check_numbers(case)
    if case.geometry.macs > most:
        raise ValueError(f"{case.geometry.macs:,} multiply-adds; at most {most:,} are run by the definition")
    for axis in (case.geometry.vertical, case.geometry.horizontal) if case.operation in POOLING else ():
        if max(axis.pad_before, axis.pad_after) >= axis.extent and not case.same:
            raise ValueError(f"the padding of {str(axis)!r} is not smaller than its window, as pooling wants it")
    return case


def _all_that_can_run(state: State, isolate: str) -> None:
    from impls import registry
    from impls.isolation import choice

    for entry in registry.entries():
        if entry.foreign and entry.library != "torch":  # `make engines` judges it
            continue
        if entry.missing:
            state.missing[entry.name] = entry.missing
        else:
            state.subjects[entry.name] = choice.load(entry.name, ROOT, isolate, state.limits)


def _refuse_foreign_configuration(config: pytest.Config) -> None:
    """Another project's configuration may win where an option's value is taken for a path: `--impl mine.py`."""
    if config.inipath is None or config.inipath.resolve() != (ROOT / "pyproject.toml").resolve():
        command = f"pytest -c {shlex.quote(str(ROOT / 'pyproject.toml'))} {shlex.quote(str(ROOT / 'properties'))}"
        raise pytest.UsageError(
            f"the configuration in force is {config.inipath or 'none'}, not Poolproof's own. "
            f"Write --impl=mine.py, with an equals sign; or name the configuration: {command} --impl=mine.py"
        )


def results_directory(config: pytest.Config) -> Path:
    """Where verdicts are kept; a relative --results counts from where pytest was started."""
    if config.option.results is None:
        return ROOT / "results"
    return Path(config.invocation_params.dir, config.option.results)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin a run in the ledger if anything collected is a property; a worker leaves that to the controller."""
    config = session.config
    worker = hasattr(config, "workerinput") or config.option.collectonly
    if not worker and any(hasattr(getattr(item, "function", None), "law") for item in session.items):
        _begin(config)
        _plan(config.stash[STATE], _checks(session.items))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """The controller collects nothing itself: it begins the run when the first worker has collected properties."""
    laws = re.compile(r"properties/test_(?!claims\.py)")  # claims judge no implementation
    if node.config.stash[STATE].ledger is None and any(map(laws.match, ids)):
        _begin(node.config)


def _checks(items: list[pytest.Item]) -> list[Row]:
    """What is collected, as rows that stand for it until there is a verdict."""
    from reports.ledger import unanswered

    checks = []
    for item in items:
        if isinstance(item, pytest.Function) and (law := getattr(item.function, "law", None)) is not None:
            operation, spec = item.callspec.params["subject"]
            name = f"{item.path.name}::{item.originalname}"
            if item.config.stash[STATE].subjects[spec].offers(operation):
                checks.append(unanswered(name, law.title, law.level, operation, spec))
    return checks


def _plan(state: State, checks: list[Row]) -> None:
    """Enter what is planned, once: every worker collects the same."""
    if state.ledger is not None and state.run is not None and not state.planned:
        state.ledger.plan(state.run.id, checks)
        state.planned = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A worker tells the controller what is planned with its first report, before it calls anything."""
    report = yield
    state = item.config.stash[STATE]
    if hasattr(item.config, "workerinput") and not state.planned:
        report.poolproof_planned = [row.to_json() for row in _checks(item.session.items)]
        state.planned = True
    return report


def _begin(config: pytest.Config) -> None:
    from reports.ledger import Ledger, LedgerError, Run, new_id, utc_now

    state = config.stash[STATE]
    seed = config.getoption("hypothesis_seed", None)
    run = Run(
        id=new_id(),
        started=utc_now(),
        command=shlex.join(["pytest", *map(str, config.invocation_params.args)]),
        seed="" if seed is None else str(seed),
        profile=settings.get_current_profile_name(),
        machine=processor.machine(),
        versions=_versions(),
        implementations=[_described(subject) for subject in state.subjects.values()]
        + [{"spec": name, "name": name, "missing": reason} for name, reason in state.missing.items()],
    )
    try:
        state.ledger = Ledger.open(results_directory(config))
        state.ledger.begin(run)
    except LedgerError as error:
        raise pytest.UsageError(str(error)) from None
    state.run = run


def _versions() -> dict[str, str]:
    found = {}
    for name in ("numpy", "scipy", "torch", "hypothesis", "pytest"):
        version = getattr(sys.modules.get(name), "__version__", None)  # of what is loaded: nothing is imported for it
        if version is not None:
            found[name] = str(version)
    return found


def _described(subject: Subject) -> dict[str, Any]:
    declared = subject.declared
    return {
        "spec": subject.spec,
        "name": subject.name,
        "version": declared.version or "",
        "declarations": declared.told(),
    }


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the rows of a report, whichever process made it, at once: a killed run loses nothing that was reached."""
    config = _CONTROLLER.get("config")
    planned, found = getattr(report, "poolproof_planned", None), getattr(report, "poolproof_rows", None)
    if config is None or not (planned or found):
        return
    from reports.ledger import Row

    state = config.stash[STATE]
    if planned:
        _plan(state, [Row.from_json(row) for row in planned])
    if found and state.ledger is not None and state.run is not None:
        state.ledger.add(state.run.id, [Row.from_json(row) for row in found])


_CONTROLLER: dict[str, pytest.Config] = {}


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember whose reports are logged: the hook that logs them is not told."""
    if not hasattr(session.config, "workerinput"):
        _CONTROLLER["config"] = session.config


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run that checked nothing, or less than half, or found what is no agreement, does not end with 0."""
    state = session.config.stash.get(STATE, None)
    if state is None or state.ledger is None or state.run is None:
        return
    from reports.ledger import fails

    state.run, state.rows = state.ledger.read(state.run.id)
    checked = sum(row.examples > 0 for row in state.rows)
    short = sum(row.verdict == "not reached" for row in state.rows) > checked and not session.config.option.glance
    if exitstatus == 0 and (short or not checked or any(fails(row.verdict) for row in state.rows)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    state.ledger.finish(state.run.id, int(session.exitstatus))
    state.ledger.close()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the matrix."""
    state = config.stash.get(STATE, None)
    if state is None or all(row.verdict == "no verdict" for row in state.rows):
        return
    from reports.terminal import closing

    terminalreporter.section("properties by implementations")
    encoding = getattr(sys.stdout, "encoding", None)
    with contextlib.suppress(ValueError, OSError):
        encoding = encoding or sys.__stdout__.encoding  # type: ignore[union-attr]
    stopped = bool(config.option.maxfail and terminalreporter.stats.get("failed"))
    width, colour = terminalreporter._tw.fullwidth, terminalreporter._tw.hasmarkup
    for line in closing(state.rows, state.run, state.missing, width, encoding, colour, stopped=stopped):
        terminalreporter.write_line(line)
    if state.ledger is not None:
        terminalreporter.write_line(f"verdicts: {state.ledger.path}")
        terminalreporter.write_line(f"page: {_page(config)}")


def _page(config: pytest.Config) -> str:
    """The command that draws the page of this run, from where pytest was started."""
    command = "python -m reports"
    if config.option.results is not None:
        command += f" --results={shlex.quote(str(results_directory(config).resolve()))}"
    here = config.invocation_params.dir.resolve() == ROOT.resolve()
    return command if here else f"(cd {shlex.quote(str(ROOT))} && {command})"
