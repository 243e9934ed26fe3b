"""The threads of this process: since whose calls they are there, and which compute while nothing is asked of them."""

from __future__ import annotations

import contextlib
import threading
from time import clock_gettime, perf_counter, sleep

from bench import clock

LOOK = 0.25  # seconds to look at threads: what computes by fits and starts is seen in so many
LITTLE = 0.02  # the share of them that a thread may compute: of a time that it is charged to, it is no more


class Background:
    """The threads by number, each with who was called last when it was found; "" where nobody had been called.

    What computes is watched until it ends or comes to rest.
    """

    def __init__(self) -> None:
        self._whose = dict.fromkeys(_threads(), "")
        self._watched: dict[int, tuple[float, float]] = {}  # when it was looked at, and its CPU seconds until then

    def appeared(self, last: str) -> bool:
        """Take down whose threads are new: those of who was called last. Return whether there are any."""
        now = _threads()
        new = now - self._whose.keys()
        self._whose = {thread: self._whose.get(thread, last) for thread in now}
        return bool(new)

    def look(self, patience: float = clock.CALMING) -> None:
        """Find what computes, look after look until nothing does; what does so for as long as that is watched."""
        end = perf_counter() + patience
        while busy := _computing():
            if perf_counter() > end:
                self._watched.update(busy)
                return

    def whose(self) -> str | None:
        """Say who left the first of the threads that are watched and compute still; None where none does."""
        for thread, (then, spent) in [*self._watched.items()]:
            now, used = perf_counter(), _seconds(thread)
            if used is None or (now - then >= LOOK and used - spent < LITTLE * (now - then)):
                del self._watched[thread]
            elif now - then >= LOOK:
                self._watched[thread] = now, used
        return next((self._whose.get(thread, "") for thread in self._watched), None)


def _computing() -> dict[int, tuple[float, float]]:
    """Look at the threads for a while: those that compute, with when that was and their CPU seconds."""
    before = {thread: used for thread in _threads() if (used := _seconds(thread)) is not None}
    if not before:
        return {}
    began = perf_counter()
    sleep(LOOK)
    now = perf_counter()
    after = {thread: _seconds(thread) for thread in before}
    return {
        thread: (now, used)
        for thread, used in after.items()
        if used is not None and used - before[thread] >= LITTLE * (now - began)
    }


def _threads() -> set[int]:
    """Number the threads of this process but for this one; none where the system does not tell."""
    found = {int(thread.name) for thread in clock.TASKS.iterdir()} if clock.TASKS.is_dir() else set()
    return found - {threading.get_native_id()}


def _seconds(thread: int) -> float | None:
    """CPU seconds of a thread, by Linux' clock for its number; None where it has ended."""
    with contextlib.suppress(OSError):
        return clock_gettime((~thread << 3) | 6)  # CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED
    return None
