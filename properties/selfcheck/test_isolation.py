"""What becomes of a run whose implementation crashes, hangs, or touches what is not its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from impls.isolation import faulty
from oracles.case import Case
from oracles.geometry import Axis
from properties.selfcheck.command_line import PROPERTIES, QUICK, VALUES, command, environment, run
from reports import ledger

needs_a_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")
EXACTLY = f"{VALUES}::test_output_equals_the_definition_exactly"
CONV = ("-k", "conv2d and not backward")
BOUNDS = "wrote or read out of bounds"

# fault -> the verdict, and what the message must say
FOUND = {
    "segfault": ("crashed", "the process died of SIGSEGV (Segmentation fault)"),
    "division": ("crashed", "the process died of SIGFPE (Floating point exception)"),
    "aborts": ("crashed", "the process died of SIGABRT (Aborted)"),
    "exits": ("crashed", "the process ended itself, with status 7"),
    "heap": (BOUNDS, "cause  it writes outside of memory that it has allocated itself"),
    "uninitialised": ("differs", "cause  it gives back memory that was allocated and never written"),
    "after_free": ("differs", "cause  it gives back memory that was freed"),
    "aligned_y": ("crashed", "cause  it needs the result aligned to 16 bytes"),
    "restores_w": ("changed its input", "cause  it writes its input w, and leaves it as it was"),
    "over_read_x": (BOUNDS, "cause  it reads past the end of x, by at most 4 bytes"),
    "under_read_w": (BOUNDS, "cause  it reads before the start of w"),
    "over_write": (BOUNDS, "it writes 4 bytes past the end of the result"),
    "under_write": (BOUNDS, "it writes 4 bytes before the start of the result"),
    "writes_x": ("changed its input", "cause  it writes its input x"),
    "unwritten": (
        "differs",
        "1 of 1 cells of the result were never written, the first at [0, 0, 0, 0], or added to before",
    ),
}
GUARDED = FOUND.keys() - {
    "segfault",
    "division",
    "aborts",
    "exits",
    "heap",
    "uninitialised",
    "after_free",
}  # what shows in guarded memory only
SLOW = {
    "endless_spam": ("printed too much", "it printed more than 1 MiB in one call"),
    "loops": ("hung", "there was no answer in 3 s"),
    "memory": ("crashed", "MiB of memory"),
}
STEPS = ((1, 2), (2, 1))  # the least strides, vertical and horizontal, that are larger than the least window


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """A folder with the faults, built."""
    return faulty.written(tmp_path_factory.mktemp("kernels")).parent


@pytest.fixture
def here(kernels, tmp_path):
    shutil.copy(kernels / "faulty.py", tmp_path)
    return tmp_path


def least(case: Case) -> bool:
    """Whether nothing about a case is larger than it must be for a stride larger than the window."""
    g = case.geometry
    axes = tuple(Axis(1, 1, step) for step in (1, 2))
    return (g.N, g.C, g.K, g.G) == (1, 1, 1, 1) and (g.vertical, g.horizontal) in (axes, axes[::-1])


def failing(directory: Path) -> list[ledger.Row]:
    """The rows of the last run that have a case."""
    return [row for row in ledger.rows(directory / "results") if row.case]


@needs_a_compiler
@pytest.mark.parametrize("fault", FOUND)
def test_a_fault_is_found_named_and_made_as_small_as_can_be_and_the_run_goes_on(here, fault):
    verdict, told = FOUND[fault]
    done = run(here, VALUES, f"--impl=faulty.py:{fault}", *QUICK, *CONV)
    assert done.returncode == 1, done.stdout
    first, second = failing(here)
    assert (first.verdict, second.verdict) == (verdict, verdict)
    assert told in first.message
    assert least(Case.parse(first.case)), first.case
    assert told in done.stdout
    assert "--case=" in first.message
    assert ("it shows only in guarded memory" in first.message) == (fault in GUARDED)


@needs_a_compiler
@pytest.mark.parametrize("fault", SLOW)
def test_what_is_slow_to_fail_is_found_and_named(here, fault):
    """How small it becomes depends on the time that there is: a benchmark tells."""
    verdict, told = SLOW[fault]
    run(here, EXACTLY, f"--impl=faulty.py:{fault}", *QUICK, *CONV)
    (row,) = failing(here)
    assert row.verdict == verdict
    assert told in row.message


@needs_a_compiler
def test_workers_side_by_side_find_the_same(here):
    pytest.importorskip("xdist", reason="pip install -c constraints.txt pytest-xdist")
    chosen = [f"--impl=faulty.py:{fault}" for fault in FOUND]
    done = run(here, VALUES, *chosen, *QUICK, *CONV, "-n2")
    assert done.returncode == 1
    rows = failing(here)
    assert len(rows) == 2 * len(FOUND), done.stdout
    assert {row.implementation.partition(":")[2]: row.verdict for row in rows} == {k: v for k, (v, _) in FOUND.items()}


@needs_a_compiler
def test_what_is_sound_agrees_and_what_it_prints_is_no_matter(here):
    for kernel in ("sound", "spam"):
        done = run(here, EXACTLY, f"--impl=faulty.py:{kernel}", *QUICK, *CONV)
        assert done.returncode == 0, done.stdout
        assert "spam spam" not in done.stdout
        assert len(done.stdout) < 5000


def test_an_implementation_has_the_same_verdicts_in_either_process(tmp_path):
    seen = []
    files = [str(PROPERTIES / f"test_{name}.py") for name in ("values", "arrays", "repeatability")]
    for isolate in ("never", "always"):
        done = run(
            tmp_path, *files, "--impl=im2col", f"--isolate={isolate}", *QUICK, "--budget=600", "-k", "max_pool2d"
        )
        assert done.returncode == 0, done.stdout
        rows = ledger.rows(tmp_path / "results")
        seen.append({row.key(): (row.verdict, row.examples, row.elements, row.worst_ratio) for row in rows})
    assert seen[0] == seen[1]
    assert len(seen[0]) > 40


PRINTS = """
from impls import im2col
def conv2d(x, w, b, **p):
    print("a window of", w.shape[2:])
    return im2col.conv2d(x, w, b, **p) + 1
"""


def test_what_a_failing_implementation_has_printed_is_shown(tmp_path):
    (tmp_path / "prints.py").write_text(PRINTS)
    done = run(tmp_path, EXACTLY, "--impl=prints.py", *QUICK, *CONV)
    assert "printed by prints.py" in done.stdout
    assert "a window of (1, 1)" in done.stdout


VARIES = """
import os
from impls import im2col
def conv2d(x, w, b, **p):
    return im2col.conv2d(x, w, b, **p) + (os.urandom(1)[0] < 128)
"""


@pytest.mark.parametrize("isolate", ["auto", "never"])
def test_what_varies_is_told_as_such_with_how_often(tmp_path, isolate):
    (tmp_path / "varies.py").write_text(VARIES)
    done = run(tmp_path, EXACTLY, "--impl=varies.py", f"--isolate={isolate}", *QUICK, *CONV)
    assert done.returncode == 1
    (row,) = failing(tmp_path)
    assert row.verdict == "nondeterministic"
    often = re.search(r"it failed in (\d+) of 20 further runs; when it did:\n.* elements of y differ", row.message)
    assert often is not None, row.message
    assert 1 <= int(often[1]) <= 19
    assert "Flaky" not in done.stdout


def processes(directory: Path) -> list[int]:
    """The processes whose command names a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended
            if str(directory).encode() in line:
                found.append(int(entry.name))
    return found


SLEEPS = """
import time
def conv2d(x, w, b, **p):
    open("reached", "w").close()
    time.sleep(600)
"""


def until(reached, seconds=30.0):
    """Wait for what a function tells; whether it came about."""
    end = time.monotonic() + seconds
    while not reached() and time.monotonic() < end:
        time.sleep(0.02)
    return reached()


def started(directory: Path, *arguments: str) -> subprocess.Popen[bytes]:
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command(*arguments), cwd=directory, env=environment(directory), **silent)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
@pytest.mark.parametrize("kernel", ["sleeps.py", "faulty.py:loops"])
def test_no_process_outlives_pytest(tmp_path, request, kernel, how):
    (tmp_path / "sleeps.py").write_text(SLEEPS)
    if kernel.startswith("faulty"):
        shutil.copy(request.getfixturevalue("kernels") / "faulty.py", tmp_path)
        (tmp_path / "reached").touch()
    process = started(tmp_path, EXACTLY, f"--impl={tmp_path / kernel}", *QUICK, *CONV)
    try:
        assert until((tmp_path / "reached").exists)
        assert until(lambda: len(processes(tmp_path)) >= 3)  # pytest, the template and the worker
        time.sleep(1.0)
        process.send_signal(how)
        process.wait(30)
        assert until(lambda: not processes(tmp_path), 5.0), processes(tmp_path)
    finally:
        process.kill()


BEGINS = """
import os, subprocess, sys, time
from impls import loops
here = os.path.dirname(__file__)
sleeping = [sys.executable, "-c", "import time; time.sleep(600)", here]
subprocess.Popen(sleeping)
subprocess.Popen(sleeping, start_new_session=True)
if os.fork() == 0:  # of which nobody is the parent
    subprocess.Popen(sleeping, start_new_session=True)
    os._exit(0)
os.wait()
def conv2d(x, *a, **k):
    if os.fork() == 0:
        os.setsid()
        while True: time.sleep(0.01)
    open("reached", "w").close()
    time.sleep(0.2)
    return loops.conv2d(x, *a, **k)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, None], ids=["kill -9", "Ctrl-C", "its end"])
def test_nothing_that_an_implementation_has_begun_outlives_pytest(tmp_path, how):
    (tmp_path / "begins.py").write_text(BEGINS)
    process = started(tmp_path, EXACTLY, f"--impl={tmp_path / 'begins.py'}", *QUICK, *CONV, "--budget=2")
    try:
        assert until((tmp_path / "reached").exists)
        assert len(processes(tmp_path)) >= 8  # pytest, the guardian, the template, the worker, and four of theirs
        if how:
            process.send_signal(how)
        process.wait(60)
        assert until(lambda: not processes(tmp_path), 5.0), processes(tmp_path)
    finally:
        process.kill()


KEEPS = """
import pytest
from hypothesis import settings
from pathlib import Path
from properties.database import Examples

@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    settings.register_profile("kept", settings.get_profile("quick"), database=Examples(Path("examples")))
"""
CRASHES = """
import os
import time
from impls import im2col
def conv2d(x, w, b, *, stride, **p):
    crashes = stride[0] > w.shape[2] or stride[1] > w.shape[3]
    with open("calls", "a") as calls:
        calls.write(f"{crashes} {x.shape} {w.shape} {stride} {p}\\n")
    if crashes:
        time.sleep(0.2)
        os.abort()
    return im2col.conv2d(x, w, b, stride=stride, **p)
"""


def test_after_kill_9_in_the_middle_of_shrinking_the_next_run_starts_with_what_was_saved(tmp_path):
    (tmp_path / "crashes.py").write_text(CRASHES)
    (tmp_path / "keeps.py").write_text(KEEPS)
    calls = tmp_path / "calls"
    arguments = (EXACTLY, "--impl=crashes.py", "-p", "keeps", "--hypothesis-profile=kept", "--results=results", *CONV)

    def crashed() -> list[str]:
        lines = calls.read_text().splitlines() if calls.exists() else []
        return [line for line in lines if line.startswith("True")]

    process = started(tmp_path, *arguments)
    assert until(lambda: len(crashed()) >= 4)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    before = crashed()
    assert until(lambda: not processes(tmp_path), 5.0)
    calls.unlink()
    run(tmp_path, *arguments)
    assert calls.read_text().splitlines()[0] in before, before
    (row,) = failing(tmp_path)
    assert row.verdict == "crashed"
    assert least(Case.parse(row.case))
    calls.unlink()
    run(tmp_path, *arguments)  # which has nothing to make smaller
    assert {*crashed()} == {calls.read_text().splitlines()[0]}


def test_an_example_of_one_kernel_is_not_tried_with_another(tmp_path):
    (tmp_path / "crashes.py").write_text(CRASHES.replace("crashes = ", "crashes = x.shape[1] > 2  # "))
    (tmp_path / "other.py").write_text(CRASHES.replace("crashes = ", "crashes = True  # "))
    (tmp_path / "keeps.py").write_text(KEEPS)
    arguments = (EXACTLY, "-p", "keeps", "--hypothesis-profile=kept", "--results=results", *CONV)
    run(tmp_path, *arguments, "--impl=crashes.py")
    run(tmp_path, *arguments, "--impl=other.py")
    (row,) = failing(tmp_path)
    assert Case.parse(row.case).geometry.C == 1


COMPILES = """
import time
from impls.im2col import avg_pool2d as right
ready = []

def avg_pool2d(x, **p):
    if not ready:
        {}
        ready.append(1)
    return right(x, **p)
"""


@pytest.mark.parametrize(
    ("slow", "option", "told"),
    [
        (
            "time.sleep(1.5)",
            "--call-limit=1",
            "there was no answer in 0.3 s, which is what calls have after one that hung; --call-limit",
        ),
        ("bytearray(200 << 20)", "--memory-limit=50", "the call raised MemoryError"),
    ],
)
def test_limits_are_those_that_are_given(tmp_path, slow, option, told):
    (tmp_path / "mine.py").write_text(COMPILES.format(slow))
    arguments = (VALUES, "--impl=mine.py", *QUICK, "-k", "exactly and avg_pool2d and not backward")
    done = run(tmp_path, *arguments)
    assert done.returncode == 0, done.stdout
    done = run(tmp_path, *arguments, option)
    assert done.returncode == 1, done.stdout
    assert told in done.stdout
    assert f"--impl=mine.py {option} --case=" in done.stdout


def test_benchmarks_do_not_time_a_process_boundary(tmp_path):
    done = run(tmp_path, str(PROPERTIES.parent / "bench"), "--isolate=always", "--impl=im2col")
    assert done.returncode == 4
    assert "--isolate=always: benchmarks time calls in their own process; leave it out" in done.stdout


def test_isolation_is_chosen_by_whose_code_it_is(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import os\nfrom impls.im2col import avg_pool2d\nopen('pids', 'a').write(f'{os.getppid()}\\n')\n"
    )
    arguments = (VALUES, "--impl=mine.py", *QUICK, "-k", "exactly and avg_pool2d and not backward")
    for isolate in ("auto", "never"):
        assert run(tmp_path, *arguments, f"--isolate={isolate}").returncode == 0
    auto, never = (tmp_path / "pids").read_text().split()
    assert int(auto) != os.getpid() == int(never)
