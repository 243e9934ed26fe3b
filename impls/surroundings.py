"""What a call has no business to change: how its process stands, and how much of it is in use.

NumPy 1.21 and Python 3.9 are all that this file needs: a child interpreter may be an old one.
"""

from __future__ import annotations

import ctypes
import gc
import locale
import os
import random
import resource
import signal
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from statistics import median
from typing import Any

import numpy as np

from impls import outputs

REGULAR = 2  # times the least of some equal numbers of calls: what the usual one keeps of memory
ENDING = 0.3  # seconds that what calls have begun may take to end
MEMORY, MAPPED = "bytes of memory", "bytes of memory that malloc has not given"
LEAST = {MEMORY: 200, MAPPED: 8 * resource.getpagesize()}  # that is taken for more; 1 of all else
HALF = 2.0**-53  # of the last place of 1
TO_NEAREST = (1 + 2.0**-53, 1 + 3 * 2.0**-53, -1 - 2.0**-53)  # as Python's compiler has rounded them
LAST_OF_LONG = np.finfo(np.longdouble).eps  # where long numbers have registers of their own, they have a mode, too
IGNORED = "which signals are ignored"
STATUS = {  # what Linux tells in a process's status
    "Umask": "the mask of new files",
    "SigIgn": IGNORED,
    "SigCgt": "which signals have a handler",
}
ENDS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP")
EXCEPTIONS = (
    "FE_INVALID",
    *(("FE_DENORMAL",) if os.uname().machine == "x86_64" else ()),
    "FE_DIVBYZERO",
    "FE_OVERFLOW",
    "FE_UNDERFLOW",
    "FE_INEXACT",
)  # fmt: skip - the bits of <fenv.h>
TIMERS = ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")
STREAMS = ("standard input", "standard output", "standard error")
MEMORY_LIMIT = "RLIMIT_DATA"  # which the suite sets for each call
LASTING = (  # what nothing that is loaded late may change either
    "the processor's floating-point mode",
    "the working directory",
    "the mask of new files",
    "whether Python collects garbage",
    "the locale",
    "which floating-point exceptions trap",
    "which signals are blocked",
    "which signals that end a process are ignored",
    "the resource limits",
    "the niceness",
)
SHARED = (  # nor these: where the suite runs in the same process, pytest may change them from property to property
    "where standard input, output and error lead",
    "which interval timers run",
)


def floating_point() -> str:
    """Say how this thread's processor rounds, and whether it flushes subnormal numbers to zero."""
    sums = 1.0 + HALF, 1.0 + 3 * HALF, -1.0 - HALF
    rounds = "to nearest" if sums == TO_NEAREST else "otherwise than to nearest"
    flushes = ", subnormal numbers flushed to zero" if sys.float_info.min * 0.5 == 0 else ""
    shortened = ", long numbers cut short" if np.longdouble(1) + LAST_OF_LONG == 1 else ""
    return f"rounding {rounds}{flushes}{shortened}"


def lasting(*, shared: bool = False) -> dict[str, Any]:
    """Give those of the settings that no call may change, not even the first; `shared`: those too that pytest may."""
    found = settings()
    return {what: found[what] for what in (*LASTING, *(SHARED if shared else ()))}


def settings() -> dict[str, Any]:
    """Give what stays as it is unless someone changes it, each by what it is called in a message."""
    found: dict[str, Any] = {
        "the processor's floating-point mode": floating_point(),
        "NumPy's handling of floating-point errors": np.geterr(),
        "the state of NumPy's random numbers": _digest(np.random.get_state()),  # noqa: NPY002 - the one that all share
        "the state of Python's random numbers": _digest(random.getstate()),
        "Python's filters of warnings": [*warnings.filters],
        "the working directory": os.getcwd(),
        "the environment": _environment(),
        "the locale": locale.setlocale(locale.LC_ALL),
        "whether Python collects garbage": gc.isenabled(),
        "Python's limit of recursion": sys.getrecursionlimit(),
        "where Python prints": (id(sys.stdout), id(sys.stderr)),
        "where standard input, output and error lead": {name: _file(number) for number, name in enumerate(STREAMS)},
        "which floating-point exceptions trap": _trapping(),
        "which interval timers run": {name: any(signal.getitimer(getattr(signal, name))) for name in TIMERS},
        "the resource limits": _limits(),
        "the niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "which signals are blocked": dict.fromkeys(
            map(_signal, signal.pthread_sigmask(signal.SIG_BLOCK, ())), "blocked"
        ),
    }
    status = _status()
    found.update((what, status.get(name, "")) for name, what in STATUS.items())
    ignored = int(found[IGNORED] or "0", 16)
    found["which signals that end a process are ignored"] = {
        name: bool(ignored >> (getattr(signal, name) - 1) & 1) for name in ENDS
    }
    return found


def changed_by(call: Callable[[], Any], began: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Return what a call returns, and tell what it has changed: in that call, or since it all `began`.

    What another call before it loads and starts is no fault of either.
    """
    first = lasting(shared=True)
    with _warnings_as_they_come():
        call()
    with _warnings_as_they_come():
        np.random.random_sample()  # noqa: NPY002 - so that what the other one has seeded is not what is seen
        random.random()
        before = settings()
        result = call()
        return result, differing({**before, **first, **began}, settings())


def growing(call: Callable[[], Any]) -> dict[str, tuple[int, int]]:
    """Tell of what there is ever more: how much more after how many calls.

    A first look is short, and sees too much: what waits for the collector, or for its own end, and what is kept of
    some calls. A second one has calls enough to tell, of threads fewer, as their stacks would soon fill the memory.
    """
    for _ in range(8):  # NumPy keeps a few small blocks that were freed, and hands them out before it asks for more
        outputs.ahead(call, 1)
    steps = _steps(call, 4, 2)
    suspects = {what for what, more in steps.items() if max(more) >= LEAST.get(what, 2) // 2}
    if not suspects:
        return {}
    found = _growing(call, 4, 4) if suspects - {MEMORY, MAPPED} else {}
    return {what: more for what, more in found.items() if what not in (MEMORY, MAPPED)} or _growing(call, 8, 8)


def _growing(call: Callable[[], Any], calls: int, times: int) -> dict[str, tuple[int, int]]:
    """Tell of what there is more after so many calls, each of so many times in a row."""
    steps = _steps(call, calls, times, settle=True)
    found = {what: more for what, more in steps.items() if min(more) >= LEAST.get(what, 1)}
    # what each call keeps is as much each time; what a library keeps of its own comes by fits and starts
    found = {what: more for what, more in found.items() if what not in LEAST or median(more) <= REGULAR * min(more)}
    return {what: (sum(more), times * calls) for what, more in found.items()}


def _steps(call: Callable[[], Any], calls: int, times: int, *, settle: bool = False) -> dict[str, list[int]]:
    """Measure how much more there is of each after so many calls, time after time."""
    outputs.ahead(call, times * calls)
    if settle:
        gc.collect()
    used = [in_use()]
    for _ in range(times):
        for _ in range(calls):
            call()
        if settle:
            gc.collect()
        used.append(in_use())
    if settle:
        end = time.monotonic() + ENDING
        while time.monotonic() < end and in_use()["threads"] > used[0]["threads"]:
            time.sleep(ENDING / 10)
        used[-1] = in_use()
    return {what: [used[i + 1][what] - used[i][what] for i in range(times)] for what in used[0]}


@contextmanager
def _warnings_as_they_come() -> Iterator[None]:
    """Let no setting be the one that a call would leave."""
    with warnings.catch_warnings(record=True), np.errstate(all="warn"):
        warnings.simplefilter("always")
        yield


def differing(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Tell what is not as it was."""
    told = []
    for what, was in before.items():
        now = after[what]
        if now == was:
            continue
        if isinstance(was, dict):
            names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
            what += ": " + ", ".join(f"{name} {was.get(name, 'not there')!s:.40} -> {now.get(name, 'not there')!s:.40}"
                                     for name in names[:3])  # fmt: skip
            what += f", and {len(names) - 3} more" if len(names) > 3 else ""
        elif isinstance(was, (str, bool, int)) and not what.startswith("the state"):
            what += f": {was} -> {now}"
        told.append(what)
    return told


def threads() -> int:
    """Count the threads of this process, quickly; where Linux does not tell, those that Python knows."""
    with suppress(OSError):
        return os.stat("/proc/self/task").st_nlink - 2  # a directory for each, and . and ..
    return threading.active_count()


def in_use() -> dict[str, int]:
    """Count what a process may have ever more of, each by what it is called in a message."""
    found = {"threads": threading.active_count()}
    with suppress(OSError):
        tasks = os.listdir("/proc/self/task")
        found["threads"] = len(tasks)
        found["open files"] = len(os.listdir("/proc/self/fd"))
        found["processes"] = sum(len(_read(f"/proc/self/task/{task}/children").split()) for task in tasks)
    allocated = _allocated()
    if allocated is not None:
        found[MEMORY] = allocated[0]
        data = _read("/proc/self/statm").split()  # in pages; the sixth number is what a process has of its own
        found[MAPPED] = int(data[5]) * resource.getpagesize() - allocated[1] if len(data) > 5 else 0
    return found


class _Mallinfo(ctypes.Structure):
    """What glibc's mallinfo2 returns."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
    )]  # fmt: skip


def _allocated() -> tuple[int, int] | None:
    """Count the bytes that malloc has given out, and those that it holds; None where the C library does not tell."""
    told = _mallinfo()
    if told is None:
        return None
    found = told()
    return int(found.uordblks + found.hblkhd), int(found.arena + found.hblkhd)


@cache
def _mallinfo() -> Any:
    library = ctypes.CDLL(None)
    if not hasattr(library, "dlvsym"):
        return None
    library.dlvsym.restype = ctypes.c_void_p
    # by its version, as the one of the library that checks memory is hidden from whom asks for none
    address = library.dlvsym(None, b"mallinfo2", b"GLIBC_2.33")
    return ctypes.CFUNCTYPE(_Mallinfo)(address) if address else None


def _environment() -> dict[str, str]:
    """Give the environment as C has it, where C's `setenv` shows as well as Python's."""
    entries = _environ()
    if entries is None:
        return dict(os.environ)
    found, place = {}, 0
    while entries and (entry := entries[place]) is not None:  # there is no list where all was cleared
        name, _, value = os.fsdecode(entry).partition("=")
        found[name] = value
        place += 1
    return found


@cache
def _environ() -> Any:
    with suppress(OSError, ValueError):
        return ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
    return None


def _trapping() -> dict[str, bool]:
    """Tell which exceptions of floating-point arithmetic end in a SIGFPE in this thread, where the C library tells."""
    library = _math()
    if not hasattr(library, "fegetexcept"):
        return {}
    mask = library.fegetexcept()
    return {name: bool(mask >> bit & 1) for bit, name in enumerate(EXCEPTIONS)}


@cache
def _math() -> Any:
    with suppress(OSError):
        return ctypes.CDLL("libm.so.6")
    return None


def _limits() -> dict[str, tuple[int, int]]:
    """Give the soft and the hard limit of each resource."""
    names = [name for name in dir(resource) if name.startswith("RLIMIT_") and name != MEMORY_LIMIT]
    return {name: resource.getrlimit(getattr(resource, name)) for name in names}


def _signal(number: int) -> str:
    """Name a signal; a real-time one has no name."""
    return getattr(number, "name", f"signal {number}")


def _file(number: int) -> str:
    """Tell which file, pipe or terminal a descriptor leads to."""
    try:
        file = os.fstat(number)
    except OSError:
        return "closed"
    return f"inode {file.st_ino} of device {file.st_dev}"


def _status() -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in _read("/proc/self/status").splitlines() if ":\t" in line)


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:  # not Linux, or a thread that has ended
        return ""


def _digest(state: Any) -> int:
    return zlib.crc32(repr([part.tobytes() if isinstance(part, np.ndarray) else part for part in state]).encode())
