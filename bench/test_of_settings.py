"""What calls leave changed is told of the implementation that did it, and put right for those that come after it."""

from __future__ import annotations

import ctypes
import gc
import locale
import os
import re
import resource
import signal
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from bench import fakes, gate, settings
from bench.fakes import CORRECT, subject
from bench.layers import BY_NAME
from bench.record import Entry
from bench.settings import Settings
from bench.test_of_runs import BENCH, run
from bench.timing import NotTimed, Timekeeper
from impls import blas, im2col

SMALL = BY_NAME["cifar10-conv"]
LEFT = "wrong, not timed: it left its process changed: "


@pytest.fixture(autouse=True)
def put_right():
    """Leave the process as it was, whatever a test finds."""
    before = settings.noted()
    yield
    settings.restore(before)


def rounding():
    """Round toward zero from now on, where the C library of x86 can be told."""
    ctypes.CDLL("libm.so.6").fesetround(0xC00)


def limit():
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (4096, most))


DOES = {
    "whether Python collects garbage: True -> False": gc.disable,
    "how often Python collects garbage": lambda: gc.set_threshold(5, 5, 5),
    "how long Python lets a thread compute: 5000 -> 500000": lambda: sys.setswitchinterval(0.5),
    "the environment: POOLPROOF_LEFT not there -> 1": lambda: os.environ.update(POOLPROOF_LEFT="1"),
    "the environment: PATH .* -> not there": lambda: os.environ.pop("PATH"),
    "the working directory: .* -> /": lambda: os.chdir("/"),
    "the mask of new files: .* -> 0177": lambda: os.umask(0o177),
    "NumPy's handling of floating-point errors: divide .* -> raise": lambda: np.seterr(divide="raise"),
    "the resource limits: RLIMIT_CORE .* -> .*": limit,
    "which signals are blocked: SIGUSR1 not there -> blocked": lambda: signal.pthread_sigmask(
        signal.SIG_BLOCK, [signal.SIGUSR1]
    ),
    "which interval timers run: ITIMER_REAL False -> True": lambda: signal.setitimer(signal.ITIMER_REAL, 1000),
    "which signals that end a process are ignored: SIGBUS False -> True": lambda: signal.signal(
        signal.SIGBUS, signal.SIG_IGN
    ),
    "the environment: POOLPROOF_C not there -> 1": lambda: ctypes.CDLL(None).setenv(b"POOLPROOF_C", b"1", 1),
    "which cores may be used": lambda: os.sched_setaffinity(0, [*os.sched_getaffinity(0)][:1]),
    "the threads of BLAS: .* -> 3": lambda: blas.set_threads(3),
    "the processor's floating-point mode: rounding to nearest -> rounding otherwise than to nearest": rounding,
}


def possible(what):
    """Whether it can be done on this machine."""
    cores = len(os.sched_getaffinity(0)) > 1 or "cores" not in what
    libraries = "BLAS" not in what or blas._function("openblas_set_num_threads") is not None
    return cores and libraries and ("processor" not in what or os.uname().machine == "x86_64")


@pytest.mark.parametrize("what", [each for each in DOES if possible(each)])
def test_what_has_changed_is_told_once_and_put_right(what):
    before, found = settings.noted(), Settings()
    assert found.changed() == ""
    DOES[what]()
    told = found.changed()
    assert re.fullmatch(what, told), told
    assert settings.noted() == before
    assert found.changed() == ""


def test_the_locale_is_put_right():
    found, was = Settings(), locale.setlocale(locale.LC_ALL)
    other = "C" if was != "C" else "C.UTF-8"
    try:
        locale.setlocale(locale.LC_ALL, other)
    except locale.Error:
        pytest.skip(f"there is no locale {other}")
    assert found.changed().startswith("the locale: ")
    assert locale.setlocale(locale.LC_ALL) == was


def test_what_cannot_be_put_right_is_told_once(monkeypatch):
    found = Settings()
    monkeypatch.setitem(settings.RESTORE, "whether Python collects garbage", lambda was: None)
    gc.disable()
    try:
        assert found.changed().startswith("whether Python collects garbage")
        assert found.changed() == ""
    finally:
        gc.enable()


def test_what_first_calls_add_to_the_environment_stands_and_what_they_change_there_does_not(monkeypatch):
    monkeypatch.setenv("POOLPROOF_LEFT", "0")
    found = Settings()
    os.environ.update(POOLPROOF_LEFT="1", POOLPROOF_MORE="1")
    assert found.changed(first=True) == "the environment: POOLPROOF_LEFT 0 -> 1"
    assert (os.environ["POOLPROOF_LEFT"], os.environ["POOLPROOF_MORE"]) == ("0", "1")
    assert found.changed() == ""


def test_ctrl_c_interrupts_again():
    handler = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        found = Settings()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert found.changed() == "which signals that end a process are ignored: SIGINT False -> True"
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, handler)


def test_what_a_library_that_is_loaded_late_sets_in_the_environment_stands():
    found = Settings()
    os.environ["POOLPROOF_LEFT"] = "1"
    assert found.changed(loaded=True) == ""
    assert os.environ["POOLPROOF_LEFT"] == "1"
    del os.environ["POOLPROOF_LEFT"]
    assert found.changed() == "the environment: POOLPROOF_LEFT 1 -> not there"
    gc.disable()
    assert found.changed(loaded=True).startswith("whether Python collects garbage")


def test_the_threads_of_torch_are_put_right_and_a_torch_that_is_loaded_late_is_no_change(monkeypatch):
    threads = [1]
    torch = SimpleNamespace(get_num_threads=lambda: threads[0], set_num_threads=lambda count: threads.append(count))
    found = Settings()
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert found.changed() == ""
    threads[0] = 2
    assert found.changed() == "the threads of torch: 1 -> 2"
    assert threads == [2, 1]


def changing(does, when=lambda calls: True):
    """Make a convolution that leaves something behind."""
    calls = []

    def conv2d(x, w, b, **parameters):
        calls.append(1)
        if when(len(calls)):
            does()
        return im2col.conv2d(x, w, b, **parameters)

    return subject(conv2d=conv2d)


def refused(keeper, implementation):
    with pytest.raises(NotTimed) as caught:
        keeper.layer(fakes.Benchmark(), implementation, SMALL, "conv2d")
    assert caught.value.fault
    assert keeper.record.times == {}
    return keeper.record.not_timed[-1]


@pytest.mark.parametrize("from_call", [0, 8, 12], ids=["from the first call", "later", "while it is timed"])
def test_who_leaves_the_process_changed_is_not_timed_and_others_are(from_call):
    keeper = Timekeeper(too_slow=2.0)
    row = refused(keeper, changing(gc.disable, lambda calls: calls >= from_call))
    assert row["reason"] == f"{LEFT}whether Python collects garbage: True -> False"
    assert gc.isenabled()
    keeper.layer(stand_in := fakes.Benchmark(), CORRECT, SMALL, "conv2d")
    assert stand_in.data


def test_what_is_refused_for_another_reason_leaves_nothing_either():
    def conv2d(x, w, b, **parameters):
        gc.disable()
        raise RuntimeError("no kernel")

    row = refused(Timekeeper(too_slow=2.0), subject(conv2d=conv2d))
    assert row["reason"] == "raised: RuntimeError: no kernel"
    assert row["detail"].endswith(f"\n{LEFT}whether Python collects garbage: True -> False")
    assert gc.isenabled()


def test_what_is_measured_and_no_time_leaves_nothing_either():
    keeper, case = Timekeeper(too_slow=2.0), SMALL.case("conv2d")
    entry = Entry("experiment", "translation-F3-S2", "conv2d", "faulty.py")
    with pytest.raises(NotTimed, match="it left its process changed"):
        keeper.untimed(entry, changing(gc.disable), [case], lambda mine: gate.prepared(mine, case)())
    assert gc.isenabled()


def test_what_a_first_call_loads_is_no_fault(monkeypatch):
    def load():
        os.environ["POOLPROOF_LEFT"] = sys.modules.setdefault("poolproof_left", sys).__name__

    monkeypatch.setenv("POOLPROOF_LEFT", "0")
    try:
        keeper = Timekeeper(too_slow=2.0)
        keeper.layer(stand_in := fakes.Benchmark(), changing(load), SMALL, "conv2d")
        assert stand_in.data
    finally:
        sys.modules.pop("poolproof_left", None)


def test_what_a_file_sets_when_it_is_imported_is_no_fault_of_whoever_is_called_first(tmp_path):
    text = "import gc, os\nfrom impls.im2col import *\ngc.disable()\nos.environ['POOLPROOF_LEFT'] = '1'\n"
    (tmp_path / "mine.py").write_text(text)
    run(tmp_path, BENCH, "--layers=cifar10-fc", "--impl=im2col", "--impl=mine.py", status=0)
