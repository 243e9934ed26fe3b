"""What calls leave changed or in use is seen, and what they take for a while, or once, is not held against them."""
# mypy: allow-untyped-defs, allow-untyped-calls

import contextlib
import ctypes
import gc
import itertools
import mmap
import os
import random
import re
import threading
import time
import warnings

import numpy as np
import pytest

from impls import surroundings
from impls.isolation.subject import IsolatedSubject
from impls.planted import CORRECT, PARAMETERS, case, faulty, run

TO_NEAREST, TOWARD_ZERO = 0x000, 0xC00  # of <fenv.h> on x86

needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="nothing tells of threads and files here")


def left(does):
    """Run the probe on a kernel that does this before it computes."""

    def fault(conv2d, *arrays, **parameters):
        does(arrays[0])
        return conv2d(*arrays, **parameters)

    return run(faulty(fault), "left")


def test_a_correct_implementation_leaves_nothing():
    facts = run(CORRECT, "left")
    assert facts["changed"] == []
    assert facts["growing"] == {}


@pytest.mark.parametrize(
    ("does", "told"),
    [
        (lambda x: np.seterr(divide="raise"), "NumPy's handling of floating-point errors: divide warn -> raise"),
        (lambda x: np.random.seed(0), "the state of NumPy's random numbers"),  # noqa: NPY002
        (lambda x: random.random(), "the state of Python's random numbers"),
        (lambda x: warnings.simplefilter("ignore"), "Python's filters of warnings"),
    ],
)
def test_a_setting_that_a_call_leaves_changed_is_told(does, told):
    assert left(does)["changed"] == [told]


def test_a_variable_of_the_environment_is_told_by_its_name(monkeypatch):
    monkeypatch.setenv("POOLPROOF_TURN", "0")

    def count(x):
        os.environ["POOLPROOF_TURN"] = str(int(os.environ["POOLPROOF_TURN"]) + 1)

    assert left(count)["changed"] == ["the environment: POOLPROOF_TURN 1 -> 2"]


def test_what_the_first_call_of_all_has_changed_is_told(monkeypatch, tmp_path):
    was = os.getcwd()
    subject = faulty(lambda conv2d, *arrays, **parameters: conv2d(*arrays, **parameters))
    monkeypatch.chdir(tmp_path)
    assert run(subject, "left")["changed"] == [f"the working directory: {was} -> {tmp_path}"]


def test_a_rounding_mode_that_a_call_leaves_is_told():
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL("libm.so.6")
        try:
            if library.fegetround() == TO_NEAREST and library.fesetround(TOWARD_ZERO) == 0:
                library.fesetround(TO_NEAREST)
                changed = left(lambda x: library.fesetround(TOWARD_ZERO))["changed"]
                mode = "the processor's floating-point mode: rounding"
                assert changed == [f"{mode} to nearest -> rounding otherwise than to nearest"]
                return
        finally:
            library.fesetround(TO_NEAREST)
    pytest.skip("the C library cannot set the rounding mode of x86")


def test_memory_that_each_call_keeps_is_told():
    if "bytes of memory" not in surroundings.in_use():
        pytest.skip("the C library does not tell what is allocated")
    kept: list[np.ndarray] = []
    growing = left(lambda x: kept.append(np.array(x)))["growing"]
    assert growing.keys() == {"bytes of memory"}
    more, calls = growing["bytes of memory"]
    assert more >= kept[0].nbytes * calls


@needs_proc
def test_memory_that_each_call_maps_and_malloc_knows_nothing_of_is_told():
    kept: list[mmap.mmap] = []
    growing = left(lambda x: kept.append(mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE)))["growing"]
    assert "bytes of memory that malloc has not given" in growing
    more, calls = growing["bytes of memory that malloc has not given"]
    assert more >= mmap.PAGESIZE * calls


@needs_proc
def test_a_variable_that_c_sets_is_told():
    libc, turns = ctypes.CDLL(None), itertools.count()
    try:
        told = left(lambda x: libc.setenv(b"POOLPROOF_TURN", b"%d" % next(turns), 1))["changed"]
        assert re.fullmatch("the environment: POOLPROOF_TURN \\d+ -> \\d+", *told)
    finally:
        libc.unsetenv(b"POOLPROOF_TURN")


@needs_proc
def test_a_file_that_each_call_leaves_open_is_told():
    opened = []
    try:
        assert left(lambda x: opened.append(os.open(os.devnull, os.O_RDONLY)))["growing"]["open files"] == (16, 16)
    finally:
        for file in opened:
            os.close(file)


def test_a_thread_that_each_call_leaves_running_is_told():
    end = threading.Event()
    try:
        assert left(lambda x: threading.Thread(target=end.wait, daemon=True).start())["growing"]["threads"] == (16, 16)
    finally:
        end.set()


@needs_proc
def test_a_file_that_every_third_call_leaves_open_is_told():
    opened, calls = [], itertools.count()

    def now_and_then(x):
        if next(calls) % 3 == 0:
            opened.append(os.open(os.devnull, os.O_RDONLY))

    try:
        assert "open files" in left(now_and_then)["growing"]
    finally:
        for file in opened:
            os.close(file)


@needs_proc
def test_a_process_that_each_call_leaves_is_told():
    children = []

    def fork(x):
        child = os.fork()
        if child == 0:
            os._exit(0)
        children.append(child)

    try:
        assert left(fork)["growing"]["processes"] == (16, 16)
    finally:
        for child in children:
            os.waitpid(child, 0)


def test_what_ends_by_itself_is_no_fault():
    assert left(lambda x: threading.Thread(target=time.sleep, args=(0.05,)).start())["growing"] == {}


def test_what_waits_for_the_collector_is_no_fault():
    def cycle(x):
        both: list[object] = [np.array(x)]
        both.append(both)

    gc.collect()
    assert left(cycle)["growing"] == {}


def test_what_is_kept_of_some_calls_is_no_fault():
    kept: dict[int, np.ndarray] = {}

    def cache(x):
        if len(kept) == 20:
            kept.clear()
        kept[len(kept)] = np.array(x)

    assert left(cache)["growing"] == {}


def first_call(tmp_path, does):
    """Run the probe on a kernel that does this once, in a process of its own; what it has changed."""
    (tmp_path / "once.py").write_text(ONCE.format(does))
    facts = IsolatedSubject("once.py", tmp_path).probe("left", "conv2d", case(), PARAMETERS)
    return ";".join(facts["changed"])


ONCE = """
import ctypes, os, resource, signal
from impls.im2col import conv2d as right

done = []

def conv2d(x, w, b, **parameters):
    if not done:
        done.append(True)
        {}
    return right(x, w, b, **parameters)
"""
LASTING = {
    "os.close(0)": "where standard input, output and error lead: standard input inode .* -> closed",
    "os.dup2(2, 0)": "where standard input, output and error lead: standard input inode .* -> inode .*",
    "os.nice(3)": "the niceness: -?[0-9]+ -> -?[0-9]+",
    "resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))": r"the resource limits: RLIMIT_NOFILE .* -> \(99, 99\)",
    "signal.signal(signal.SIGSEGV, signal.SIG_IGN)":
        "which signals that end a process are ignored: SIGSEGV False -> True",
    "signal.signal(signal.SIGINT, signal.SIG_IGN)":
        "which signals that end a process are ignored: SIGINT False -> True",
    "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))":
        r"which signals are blocked: SIG\w+ not there -> blocked, .*, and \d+ more",
    "signal.signal(signal.SIGALRM, print); signal.alarm(9)": "which interval timers run: ITIMER_REAL False -> True",
    "signal.setitimer(signal.ITIMER_VIRTUAL, 9)": "which interval timers run: ITIMER_VIRTUAL False -> True",
    "ctypes.CDLL('libm.so.6').feenableexcept(4)":
        "which floating-point exceptions trap: FE_DIVBYZERO False -> True",
}  # fmt: skip


@needs_proc
@pytest.mark.parametrize("does", LASTING)
def test_what_the_first_call_alone_changes_of_how_a_process_stands_is_told(does, tmp_path):
    if "feenableexcept" in does and os.uname().machine != "x86_64":
        pytest.skip("there is no such trap here")
    assert re.fullmatch(LASTING[does], first_call(tmp_path, does))


@needs_proc
def test_what_the_first_call_may_load_or_begin_is_no_fault(tmp_path):
    assert first_call(tmp_path, "signal.signal(signal.SIGPIPE, signal.SIG_IGN), signal.signal(30, print)") == ""
