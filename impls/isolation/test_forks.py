"""A call that forks beside other threads, as the C library's check of memory does not stand it."""
# mypy: allow-untyped-defs, allow-untyped-calls

import os
import shutil
import subprocess
import time

import numpy as np
import pytest

from impls.isolation import heap_lock
from impls.isolation.process import Limits
from impls.isolation.subject import IsolatedSubject

X, W, PLAIN = np.ones((1, 2, 5, 5), "f4"), np.ones((3, 2, 1, 1), "f4"), {"stride": (1, 1), "padding": (0, 0)}
C = """
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
void forks(void) {
    pid_t child = fork();
    if (child == 0) { for (int i = 0; i < 100; i++) free(malloc(100 + i)); _exit(0); }
    int status;
    waitpid(child, &status, 0);
}
"""
FILE = """
import ctypes, threading
from impls.im2col import conv2d as right
library = ctypes.CDLL("./libforks.so")
def busy(end):
    while not end.is_set():
        [bytearray(1000) for _ in range(100)]
def conv2d(x, w, b, **parameters):
    end = threading.Event()
    others = [threading.Thread(target=busy, args=(end,)) for _ in range(2)]
    [each.start() for each in others]
    for _ in range(20):
        library.forks()
    end.set()
    [each.join() for each in others]
    return right(x, w, b, **parameters)
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")
def test_a_fork_beside_threads_that_ask_for_memory_is_no_hang(tmp_path, monkeypatch):
    (tmp_path / "forks.c").write_text(C)
    (tmp_path / "forks.py").write_text(FILE)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "libforks.so", "forks.c"], check=True, cwd=tmp_path)
    monkeypatch.chdir(tmp_path)
    subject = IsolatedSubject("forks.py", tmp_path, Limits(seconds=20.0))
    began = time.monotonic()
    y = subject.call("conv2d", X, W, None, **PLAIN)
    assert (y == 2).all()
    assert time.monotonic() - began < 15
    assert (subject.call("conv2d", X, W, None, **PLAIN) == 2).all()


def test_no_child_waits_where_there_is_none():
    assert heap_lock.child_waits(os.getpid()) is None
