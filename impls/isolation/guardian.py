"""The process between the suite and an implementation: when either ends, so does all that the implementation began.

It runs nothing of the implementation's, and imports no NumPy. Processes that lose their parent become its children, in
whatever session they are: none can slip away from it but by a fork at the moment of its end. Python 3.9.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import sys

from impls.isolation import framing

DIE_WITH_PARENT, ADOPT = 1, 36  # PR_SET_PDEATHSIG, for the end of the thread that started this; PR_SET_CHILD_SUBREAPER
# of one that hangs: where it is, in native code too, by a handler that takes Python's lock; and in Python alone
ASKED, ASKED_PYTHON = signal.SIGUSR1, signal.SIGUSR2
WATCHED = (signal.SIGCHLD, signal.SIGTERM, ASKED_PYTHON)


def main() -> None:
    """Start `child.main`, which has the arguments; end all of it when it ends, or at SIGTERM.

    How it ended is told through the status channel, the first argument. ASKED_PYTHON is passed on to it.
    """
    status, suite = int(sys.argv[1]), json.loads(sys.argv[4])["suite"]
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    die_with_parent(signal.SIGTERM, suite)
    ctypes.CDLL(None).prctl(ADOPT, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    guardian, child = os.getpid(), os.fork()
    if child == 0:
        os.setsid()  # so that a signal to its group does not reach the guardian
        die_with_parent(signal.SIGKILL, guardian)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
        from impls.isolation import child as template

        template.main()
        return
    while True:
        number = signal.sigwait(WATCHED)
        if number == ASKED_PYTHON:
            os.kill(child, ASKED_PYTHON)
        elif number == signal.SIGTERM or _ended(child, status):
            end_all()
            os._exit(0)


def die_with_parent(number: int, parent: int) -> None:
    """Have this process sent a signal when its parent ends, or end if that is gone already."""
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def _ended(child: int, status: int) -> bool:
    """Take note of processes that have ended; whether the child has, which is told."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, ended, used = os.wait4(-1, os.WNOHANG)
            if pid == child:
                with contextlib.suppress(OSError):
                    framing.send(socket.socket(fileno=status), {"ended": ended, "peak": used.ru_maxrss << 10})
                return True
            if pid == 0:
                return False
    return False


def end_all() -> None:
    """End all descendants of this process."""
    with contextlib.suppress(ChildProcessError):
        while True:
            for pid in descendants():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)


def descendants() -> set[int]:
    """Find the processes that this one has begun, and those that they have."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{entry}/stat") as stat:
            parents[int(entry)] = int(stat.read().rpartition(")")[2].split()[1])
    family: set[int] = set()
    more = {os.getpid()}
    while more:
        family |= more
        more = {pid for pid, parent in parents.items() if parent in family} - family
    return family - {os.getpid()}
