"""What has threads when it is imported is not forked: their locks would be held, and their work never done."""
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import shutil
import subprocess

import pytest

from impls.isolation import failures
from impls.isolation.subject import IsolatedSubject

needs_a_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")

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
