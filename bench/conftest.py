"""How benchmarks are run: which layers, in which order, what is refused, and what is saved and told at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Libraries read it when they are loaded, so it comes before anything that loads NumPy. What the user sets, stands.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

import conftest as root
from bench import layers, machine, summary
from bench.layers import Layer
from bench.rehearsal import Rehearsal
from bench.timing import TOO_SLOW, NotTimed, Timekeeper
from impls.subject import Subject

KEEPER = pytest.StashKey[Timekeeper]()
ENOUGH = 30  # timings of the baseline in a module, each made again; of more, every third shows the noise
CHOSEN = pytest.StashKey[frozenset[str]]()  # names of layers and experiments

Bench = Callable[[], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the benchmarks; `pytest bench/ --help` shows them under Poolproof's name."""
    group = parser.getgroup("poolproof", "Poolproof")
    group.addoption(
        "--layers", action="append", default=[], metavar="LIST",
        help="which layers to time, repeatable: names and patterns, separated by commas, such as alexnet-*,sweep-W-* "
        "(default: all)",
    )  # fmt: skip
    group.addoption(
        "--too-slow", type=float, default=TOO_SLOW, metavar="SECONDS",
        help="what is estimated to take longer for one call, in CPU or wall time, is not timed (default: %(default)s); "
        f"what others are compared with may take {TOO_SLOW:g}",
    )  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Look up --layers; keep raw timings in the saved file; leave the table to `summary`."""
    too_slow, lists = config.getoption("too_slow", TOO_SLOW), config.getoption("layers", [])
    if not too_slow > 0:  # nan is not
        raise pytest.UsageError(f"--too-slow={too_slow:g}: accepted is a number of seconds above 0")
    if lists and config.option.case is not None:
        raise pytest.UsageError("--layers and --case name two different things to time: leave out one of the two")
    try:
        config.stash[CHOSEN] = layers.chosen(lists)
    except layers.UnknownLayerError as error:
        raise pytest.UsageError(f"--layers: {error}") from None
    if not config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError("bench/ needs pytest-benchmark: pip install -c constraints.txt pytest-benchmark")
    if config.getoption("dist", "no") != "no" and any(_times(path) for path in _named(config)):
        raise pytest.UsageError("-n: benchmarks are timed in one process, one after another; leave it out")
    config.option.benchmark_save_data = True  # raw timings, which --benchmark-save alone would drop
    if not config.option.benchmark_verbose:
        config.option.benchmark_quiet = True  # its table has a row for each of a thousand
    config.stash[KEEPER] = Timekeeper(too_slow)


def pytest_ignore_collect(collection_path: Any, config: pytest.Config) -> bool | None:
    """`pytest bench/` times implementations; tests of the benchmarks themselves run when they are named."""
    tests = collection_path.parent == root.ROOT / "bench" and collection_path.name.startswith("test_of_")
    return True if tests and collection_path not in _named(config) else None


def _named(config: pytest.Config) -> list[Path]:
    """Give the files and folders on the command line."""
    here = config.invocation_params.dir
    return [Path(os.path.normpath(here / str(each).split("::")[0])) for each in config.args]


def _times(path: Path) -> bool:
    """Whether what is named holds benchmarks, and not tests of the benchmarks alone."""
    folder = root.ROOT / "bench"
    return path == folder or (path.parent == folder and not path.name.startswith("test_of_"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every layer of a module, its operations, and within each every implementation; then the baseline again."""
    if "timed" not in metafunc.fixturenames:
        return
    specs = list(metafunc.config.stash[root.STATE].subjects)
    found = _chosen(metafunc)
    first = [(layer, operation, spec, "") for layer in found for operation in layer.operations for spec in specs]
    baseline = summary.baseline(specs)
    again = [(*each, "again") for *each, _ in first if each[2] == baseline and not each[0].sweep]
    again = again[:: 3 if len(again) > ENOUGH else 1]  # of three, so that forward and backward take turns
    items = [(layer.name, operation, spec, when) for layer, operation, spec, when in [*first, *again]]
    names = summary.short(specs)
    ids = ["-".join(filter(None, (layer, operation, names[spec], when))) for layer, operation, spec, when in items]
    metafunc.parametrize(("layer", "operation", "spec", "when"), items, ids=ids)


def _chosen(metafunc: pytest.Metafunc) -> list[Layer]:
    """The module's layers that are chosen; with --case that case alone, in the module of its operation."""
    case = metafunc.config.stash[root.STATE].case
    if case is None:
        return [layer for layer in metafunc.module.LAYERS if layer.name in metafunc.config.stash[CHOSEN]]
    return [layers.of_case(case)] if case.operation in metafunc.module.OPERATIONS else []


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the modules of which no layer is chosen, and, with --case, the experiments."""
    chosen = config.stash[CHOSEN] if config.stash[root.STATE].case is None else frozenset()
    idle = [item for item in items if isinstance(item, pytest.Function) and _idle(item, chosen)]
    if idle:
        config.hook.pytest_deselected(items=idle)
        items[:] = [item for item in items if item not in idle]


def _idle(item: pytest.Function, chosen: frozenset[str]) -> bool:
    experiment = getattr(item.module, "EXPERIMENTS", {}).get(item.originalname)
    if experiment is not None:
        return experiment not in chosen
    return "timed" in item.fixturenames and not isinstance(item.callspec.params["layer"], str)


@pytest.fixture(scope="session")
def keeper(request: pytest.FixtureRequest, subjects: dict[str, Subject]) -> Timekeeper:
    """The verdicts and the record of this run."""
    found = request.config.stash[KEEPER]
    found.rehearse = Rehearsal(request.config.stash[root.STATE].apart)
    found.begin()
    if len(subjects) > 1:
        found.baseline = summary.baseline(list(subjects))
    return found


@pytest.fixture(scope="session")
def subjects(request: pytest.FixtureRequest) -> dict[str, Subject]:
    """The implementations chosen by --impl."""
    return request.config.stash[root.STATE].subjects


@pytest.fixture
def benchmark(benchmark: Any) -> Iterator[Any]:
    """pytest-benchmark's own, which is not to warn where a case is not timed."""
    yield benchmark
    benchmark.skipped = True


@pytest.fixture
def timed(
    request: pytest.FixtureRequest,
    benchmark: Any,
    keeper: Timekeeper,
    subjects: dict[str, Subject],
    layer: str,
    operation: str,
    spec: str,
    when: str,
) -> Bench:
    """Time what the parameters name; a test calls it."""
    case = request.config.stash[root.STATE].case
    found = layers.BY_NAME[layer] if case is None else layers.of_case(case)
    return lambda: keeper.layer(benchmark, subjects[spec], found, operation, again=when == "again")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    """Turn what is not timed into a skip, or into a failure where the implementation is to blame."""
    try:
        return (yield)
    except NotTimed as error:
        reason = error
    if reason.fault:
        pytest.fail(f"{pyfuncitem.name}: {reason}", pytrace=False)
    pytest.skip(str(reason).partition("\n")[0])


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Add BLAS, threads, versions, vector instructions and the GPU."""
    machine_info.update(machine.described(machine_info.get("cpu", {})))


def pytest_benchmark_update_json(config: pytest.Config, output_json: dict[str, Any]) -> None:
    """Add what was not timed, and the experiments."""
    output_json["poolproof"] = config.stash[KEEPER].record.saved()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table of medians."""
    keeper, state = config.stash.get(KEEPER, None), config.stash.get(root.STATE, None)
    if keeper is None or state is None or not (keeper.record.times or keeper.record.not_timed):
        return
    terminalreporter.section("milliseconds of one call")
    for line in summary.lines(keeper.record, list(state.subjects)):
        terminalreporter.write_line(line)
    for name, reason in state.missing.items():
        terminalreporter.write_line(f"{name} was not timed: {reason}")
    if (wanted := machine.threads()) != 1:
        terminalreporter.write_line(f"not one thread but {wanted}: CPU times add up what all of them take")
