"""Ways of a process to end, or to go on, that are none of a fault's: forks, stops, channels and memory cut off."""
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from impls.isolation import failures
from impls.isolation.process import Limits
from impls.isolation.subject import IsolatedSubject
from impls.isolation.test_faults import FIRES, RESTS, W, X


def test_what_can_be_loaded_only_once_is_told(tmp_path):
    (tmp_path / "once.py").write_text("import os\nos.mkdir('made')\ndef out_size(n):\n    os._exit(n)\n")
    subject = IsolatedSubject("once.py", tmp_path, fork=False)
    for _ in range(2):
        with pytest.raises(failures.Exited, match=r"loaded once, and not again: once\.py fails to import"):
            subject.call("out_size", 3)
    subject.begin()


UNUSUAL = """
import os, signal
def out_size(n):
    os.kill(os.getpid(), 40)
def conv2d(x):
    for number in range(3, 30):
        try:
            os.write(number, b"hello world hello")
        except OSError:
            pass
    return x
def avg_pool2d(x):
    for number in range(3, 30):
        try:
            os.write(number, b"\\x01\\x00\\x00\\x003")
        except OSError:
            pass
    return x
"""


@pytest.mark.parametrize("fork", [True, False], ids=["forked", "fresh"])
def test_no_unusual_end_is_a_refusal(tmp_path, fork):
    (tmp_path / "unusual.py").write_text(UNUSUAL)
    subject = IsolatedSubject("unusual.py", tmp_path, fork=fork)
    for _ in range(2):
        with pytest.raises(failures.Crashed, match=r"the process died of signal 40 \(Real-time signal 6\)"):
            subject.call("out_size", 3)
        for operation in ("conv2d", "avg_pool2d"):
            with pytest.raises(failures.Garbled, match="it wrote into its channel to the suite"):
                subject.call(operation, X)


def test_an_answer_that_cannot_be_read_is_no_refusal(tmp_path):
    (tmp_path / "mine.py").write_text("def out_size(n):\n    return n\n")
    subject = IsolatedSubject("mine.py", tmp_path)
    with pytest.raises(failures.Garbled, match="its answer cannot be read: TypeError"):
        subject._found({"found": {"a": [0, "nothing", [1]]}})


def test_memory_that_is_shared_cannot_be_cut_off(tmp_path):
    (tmp_path / "cuts.py").write_text(
        "import contextlib, os\n"
        "def out_size(n):\n"
        "    for number in range(3, 30):\n"
        "        with contextlib.suppress(OSError):\n"
        "            os.ftruncate(number, 0)\n"
        "    return n\n"
        "def conv2d(x):\n    return x\n"
    )
    subject = IsolatedSubject("cuts.py", tmp_path)
    assert subject.call("out_size", 3) == 3
    for shared in (subject.process.arena, subject.process.results):
        assert os.fstat(shared.fd).st_size == len(shared.bytes)
    large = np.ones((300, 300))
    assert (subject.call("conv2d", large) == large).all()


FORKS = """
import os, time
import numpy as np
from impls.im2col import conv2d as right

def conv2d(x, w, b, *, stride, **p):
    if stride[1] > w.shape[3] and os.fork() == 0:
        time.sleep(0.3)
        return np.full((64, 64), 7.0, x.dtype)
    return right(x, w, b, stride=stride, **p)
"""


def test_a_child_that_returns_from_a_call_writes_into_no_results(tmp_path):
    (tmp_path / "forks.py").write_text(FORKS)
    subject = IsolatedSubject("forks.py", tmp_path)
    subject.call("conv2d", X, W, None, **FIRES)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        assert (subject.call("conv2d", X, W, None, **RESTS) == 2).all()


SLOW = """
import time
from impls.im2col import conv2d as right

calls = []

def conv2d(x, w, b, **p):
    calls.append(1)
    time.sleep(0.4 if len(calls) % 6 else 60)
    return right(x, w, b, **p)
"""


def test_each_call_of_several_has_the_time_of_one(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    subject = IsolatedSubject("slow.py", tmp_path, Limits(seconds=1.0))
    assert subject.probe("repeats", "conv2d", (X, W, None), RESTS, times=5)["distinct"] == 1
    subject.process.fresh()
    began = time.monotonic()
    with pytest.raises(failures.Hung, match="there was no answer in 1 s, after 5 calls that gave one; --call-limit"):
        subject.probe("repeats", "conv2d", (X, W, None), RESTS, times=20)
    assert 3.0 < time.monotonic() - began < 5.0


def test_a_child_that_returns_from_a_call_makes_no_further_ones(tmp_path):
    (tmp_path / "forks.py").write_text(FORKS.replace("time.sleep(0.3)", "pass"))
    subject = IsolatedSubject("forks.py", tmp_path)
    calls = [[(X, W, None), FIRES]] * 30  # of which each would double the processes
    facts = subject.probe("sequence", "conv2d", (X, W, None), FIRES, others=calls)
    assert len(facts["outputs"]) == 31
    growing = subject.probe("left", "conv2d", (X, W, None), FIRES)["growing"]
    assert growing["processes"] == (16, 16)


PRINTS = """
from impls.im2col import conv2d as right

def conv2d(x, w, b, **p):
    print("x" * 300_000)
    return right(x, w, b, **p)
"""


def test_what_several_calls_print_is_held_against_each(tmp_path):
    (tmp_path / "prints.py").write_text(PRINTS)
    subject = IsolatedSubject("prints.py", tmp_path)
    assert subject.probe("repeats", "conv2d", (X, W, None), RESTS, times=8)["distinct"] == 1
    for _ in range(8):
        subject.call("conv2d", X, W, None, **RESTS)


STOPS = """
import os, signal
from impls.im2col import conv2d as right

def conv2d(x, w, b, *, stride, **p):
    if stride[1] > w.shape[3]:
        os.kill(os.getppid(), signal.SIGSTOP)
        os.abort()
    return right(x, w, b, stride=stride, **p)
"""


def test_a_kernel_that_stops_the_process_it_was_forked_from_is_told_as_a_crash(tmp_path, monkeypatch):
    monkeypatch.setattr("impls.isolation.process.FORKING", 1.0)
    (tmp_path / "stops.py").write_text(STOPS)
    subject = IsolatedSubject("stops.py", tmp_path)
    began = time.monotonic()
    with pytest.raises(failures.Failure):
        subject.call("conv2d", X, W, None, **FIRES)
    assert time.monotonic() - began < 20
    assert (subject.call("conv2d", X, W, None, **RESTS) == 2).all()
