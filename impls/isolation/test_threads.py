"""Threads: what has some when it is imported is not forked, as their work would never be done; each has its place."""
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest

from impls.files import SpecError
from impls.isolation import failures, process
from impls.isolation.process import Limits
from impls.isolation.subject import IsolatedSubject

needs_a_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")

X = np.ones((1, 1, 3, 3), "f4")

POOL = """
#include <pthread.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int asked, answered;

static void *work(void *unused)
{
    pthread_mutex_lock(&lock);
    for (;;) {
        while (asked == answered)
            pthread_cond_wait(&changed, &lock);
        answered = asked;
        pthread_cond_broadcast(&changed);
    }
    return unused;
}

__attribute__((constructor)) static void start(void)
{
    pthread_t thread;
    pthread_create(&thread, 0, work, 0);
}

int ask(void)
{
    pthread_mutex_lock(&lock);
    asked++;
    pthread_cond_broadcast(&changed);
    while (asked != answered)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return answered;
}
"""
KERNEL = """
import ctypes
library = ctypes.CDLL("./libpool.so")

def out_size(n):
    if n < 0:
        ctypes.string_at(0)
    return library.ask()
"""


@needs_a_compiler
def test_threads_of_a_library_that_are_started_at_import_answer(tmp_path):
    (tmp_path / "pool.c").write_text(POOL)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "libpool.so", "pool.c", "-lpthread"], cwd=tmp_path, check=True)
    (tmp_path / "pooled.py").write_text(KERNEL)
    subject = IsolatedSubject("pooled.py", tmp_path)
    subject.process.limit = 3.0
    assert not subject.process.told["fork"]
    assert [subject.call("out_size", n) for n in range(3)] == [1, 2, 3]
    with pytest.raises(failures.Crashed, match="SIGSEGV"):
        subject.call("out_size", -1)
    assert subject.call("out_size", 0) == 1


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("module", ["numpy", "torch", "scipy.linalg"])
def test_what_has_no_thread_after_a_fork_is_forked(tmp_path, monkeypatch, module, threads):
    pytest.importorskip(module, reason=f"what is imported is {module}")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, str(threads))
    (tmp_path / "mine.py").write_text(
        f"import os\nimport numpy as np\nimport {module}\n"
        "def out_size(n):\n    np.ones((n, n)) @ np.ones((n, n))\n    return os.getppid()\n"
    )
    subject = IsolatedSubject("mine.py", tmp_path)
    assert subject.process.told["fork"]
    parents = []
    for _ in range(2):
        parents.append(subject.call("out_size", 500))
        subject.process.fresh()
    assert parents[0] == parents[1]


def test_torch_that_has_computed_at_import_answers(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="the threads are torch's")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    (tmp_path / "warm.py").write_text(
        "import torch\ntorch.set_num_threads(2)\n"
        "def out_size(n):\n    return int(torch.ones(n, n).exp().gt(2).sum())\nout_size(500)\n"
    )
    subject = IsolatedSubject("warm.py", tmp_path)
    subject.process.limit = 5.0
    assert subject.call("out_size", 500) == 250_000


def test_an_end_is_told_where_the_implementation_ignores_that_its_children_end(tmp_path):
    (tmp_path / "ignores.py").write_text(
        "import os, signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\ndef out_size(n):\n    os._exit(n)\n"
    )
    with pytest.raises(failures.Exited, match="ended itself, with status 5"):
        IsolatedSubject("ignores.py", tmp_path).call("out_size", 5)


def test_threads_of_python_that_are_started_at_import_stay(tmp_path):
    (tmp_path / "threads.py").write_text(
        "import os, threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "def out_size(n):\n    return len(os.listdir('/proc/self/task'))\n"
    )
    assert IsolatedSubject("threads.py", tmp_path).call("out_size", 5) >= 2


WAITS = """
import ctypes, threading, time
def wait():
    time.sleep(600)
threading.Thread(target=wait, daemon=True).start()
def conv2d(x, *a, **k):
    if threading.current_thread() is not threading.main_thread():
        while True:
            pass
def avg_pool2d(x):
    ctypes.string_at(0)
def max_pool2d(x):
    ctypes.CDLL(None).pause()
"""


def test_the_place_is_that_of_the_thread_that_fails(tmp_path):
    (tmp_path / "waits.py").write_text(WAITS)
    subject = IsolatedSubject("waits.py", tmp_path)
    with pytest.raises(failures.Crashed, match=r"waits\.py:11 in avg_pool2d"):
        subject.call("avg_pool2d", X)
    subject.process.limit = 0.5
    with pytest.raises(failures.Hung, match=r"waits\.py:13 in max_pool2d"):
        subject.call("max_pool2d", X)
    subject.process.limit = 0.5
    with pytest.raises(failures.Hung, match=r"waits\.py:[89] in conv2d"):
        subject.probe("threads", "conv2d", [X], {})


def test_an_import_that_hangs_is_told_with_its_line(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "STARTING", 1.5)
    (tmp_path / "hangs.py").write_text("import time\ntime.sleep(600)\n")
    with pytest.raises(SpecError, match=r"no answer in 1\.5 s; --call-limit gives it more\n  at     .*hangs\.py:2 in"):
        IsolatedSubject("hangs.py", tmp_path, Limits(seconds=0.1))


def test_nothing_that_a_terminal_obeys_is_told_of_what_is_printed(tmp_path):
    (tmp_path / "prints.py").write_text(
        "import os\ndef out_size():\n    os.write(1, bytes(range(256)))\n    os.abort()\n"
    )
    subject = IsolatedSubject("prints.py", tmp_path)
    with pytest.raises(failures.Crashed) as caught:
        subject.call("out_size")
    for told in (str(caught.value), subject.printed()):
        assert r"\x00\x01" in told
        assert r"\x1b" in told
        assert not any(ord(character) < 32 and character not in "\t\n" for character in told)


LEAVES = """
import os, resource, threading
from impls import outputs

threading.stack_size(1 << 20)

def out_size(n):
    for _ in range(n):
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    return n

def conv2d(x):
    resource.setrlimit(resource.RLIMIT_DATA, (1 << 20, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    return outputs.unwritten(x.shape, x.dtype)

def avg_pool2d(x):
    os.abort()
"""


@pytest.mark.parametrize("threads", [1, process.MANY])
def test_threads_that_calls_have_left_are_told_where_memory_is_full_or_a_call_crashes(threads, tmp_path):
    (tmp_path / "leaves.py").write_text(LEAVES)
    subject = IsolatedSubject("leaves.py", tmp_path)
    told = re.escape(f", {process.running(threads)}") if threads > 1 else ""
    for operation, kind, words in (
        ("conv2d", failures.OutOfMemory, "the process had no memory left for 4,096 bytes"),
        ("avg_pool2d", failures.Crashed, r"the process died of SIGABRT \(Aborted\)"),
    ):
        subject.call("out_size", threads)
        with pytest.raises(kind, match=f"^{words}{told}(; --memory-limit gives calls more)?(\n|$)"):
            subject.call(operation, X)
        subject.process.fresh()
