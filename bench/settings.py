"""What a call has no business to leave changed, since those who are called next would bear it: noted, put right, told.

As the property has it that asks whether calls leave their process as it was; and what makes others slower or faster.
"""

from __future__ import annotations

import ctypes
import gc
import locale
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from impls import blas, surroundings

ENVIRONMENT = "the environment"
PYTEST = "PYTEST_CURRENT_TEST"  # a variable that changes from test to test
SEEN = (*surroundings.LASTING, "which interval timers run", "NumPy's handling of floating-point errors", ENVIRONMENT)
DEFAULT = ctypes.c_void_p(-1)  # FE_DFL_ENV of glibc's <fenv.h>

Change = Callable[[Any], Any]


class Settings:
    """How the process stood when nothing had been called yet, and what is not so any more."""

    def __init__(self) -> None:
        self._before = noted()

    def changed(self, *, first: bool = False, loaded: bool = False) -> str:
        """Tell what has changed, and put it right; "" where nothing has. What cannot be put right is the rule from now.

        What `first` calls add to the environment stands: libraries that begin to work do so, and CUDA is one. Where
        modules were `loaded` late, so does what they set there.
        """
        now = noted()
        before = {**now, **self._before}
        if first or loaded:
            before[ENVIRONMENT] = {**now[ENVIRONMENT], **({} if loaded else before[ENVIRONMENT])}
        told = surroundings.differing(before, {**before, **now})
        if told:
            restore({what: was for what, was in before.items() if now.get(what, was) != was})
            before |= noted()
        self._before = before
        return "; ".join(told)


def noted() -> dict[str, Any]:
    """Give how the process stands, each setting by what it is called in a message."""
    found = surroundings.settings()
    found = {what: found[what] for what in SEEN}
    found[ENVIRONMENT].pop(PYTEST, None)
    for what, (get, _) in _own().items():
        with suppress(AttributeError, OSError):  # what this Python, this system or this torch does not tell
            found[what] = get()
    return found


def restore(before: Mapping[str, Any]) -> None:
    """Put settings right, as far as that can be done."""
    own = _own()
    for what, was in before.items():
        put = own[what][1] if what in own else RESTORE.get(what)
        if put is not None:
            with suppress(OSError, ValueError, locale.Error):  # then it stays
                put(was)


def _own() -> dict[str, tuple[Callable[[], Any], Change]]:
    """Give what makes others slower or faster, how to ask for it and how to set it."""
    torch = sys.modules.get("torch")
    found: dict[str, tuple[Callable[[], Any], Change]] = {
        "how often Python collects garbage": (gc.get_threshold, lambda was: gc.set_threshold(*was)),
        "how long Python lets a thread compute": (  # microseconds, however the processor rounds
            lambda: int(sys.getswitchinterval() * 1e6 + 0.5),
            lambda was: sys.setswitchinterval(was / 1e6),
        ),
        "which cores may be used": (lambda: [*os.sched_getaffinity(0)], lambda was: os.sched_setaffinity(0, was)),
        "the threads of BLAS": (blas.threads, blas.set_threads),
    }
    if torch is not None:
        found |= {
            "the threads of torch": (lambda: torch.get_num_threads(), lambda was: torch.set_num_threads(was)),
            "whether torch records gradients": (
                lambda: torch.is_grad_enabled(),
                lambda was: torch.set_grad_enabled(was),
            ),
            "torch's default type": (
                lambda: str(torch.get_default_dtype()),
                lambda was: torch.set_default_dtype(getattr(torch, was.partition(".")[2])),
            ),
        }
    return found


def _arithmetic(_: Any) -> None:
    """Round to nearest, keep subnormal numbers, trap nothing: as every process begins."""
    with suppress(AttributeError):
        ctypes.CDLL("libm.so.6").fesetenv(DEFAULT)


def _environment(was: dict[str, str]) -> None:
    now = surroundings.settings()[ENVIRONMENT]
    for name in now.keys() - was.keys() - {PYTEST}:
        os.environ.pop(name, None)
        os.unsetenv(name)  # what C has set is not in os.environ
    os.environ.update({name: value for name, value in was.items() if now.get(name) != value})


def _limits(was: dict[str, tuple[int, int]]) -> None:
    for name, limits in was.items():
        resource.setrlimit(getattr(resource, name), limits)


def _blocked(was: dict[str, str]) -> None:
    signals = [each for each in signal.valid_signals() if getattr(each, "name", f"signal {each}") in was]
    signal.pthread_sigmask(signal.SIG_SETMASK, signals)


def _ignored(was: dict[str, bool]) -> None:
    for name, ignored in was.items():
        if not ignored and signal.getsignal(signal.Signals[name]) == signal.SIG_IGN:
            by_default = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
            signal.signal(signal.Signals[name], by_default)


def _timers(was: dict[str, bool]) -> None:
    for name, ran in was.items():
        if not ran:
            signal.setitimer(getattr(signal, name), 0)


RESTORE: dict[str, Change] = {
    "the processor's floating-point mode": _arithmetic,
    "which floating-point exceptions trap": _arithmetic,
    "the working directory": os.chdir,
    "the mask of new files": lambda was: os.umask(int(was, 8)),
    "whether Python collects garbage": lambda was: gc.enable() if was else gc.disable(),
    "the locale": lambda was: locale.setlocale(locale.LC_ALL, was),
    "which signals are blocked": _blocked,
    "which signals that end a process are ignored": _ignored,
    "the resource limits": _limits,
    "the niceness": lambda was: os.setpriority(os.PRIO_PROCESS, 0, was),
    "which interval timers run": _timers,
    "NumPy's handling of floating-point errors": lambda was: np.seterr(**was),
    ENVIRONMENT: _environment,
}
