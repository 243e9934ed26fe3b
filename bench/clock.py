"""How a call is measured: CPU and wall time, page faults, peak memory, and events where a GPU computes."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import re
import resource
import statistics
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time, sleep  # by name: what an implementation puts in their place tells no time
from typing import Any

Call = Callable[[], Any]

SECONDS = 0.06  # for the rounds of one case, as `lasting` counts them
ROUNDS = 5, 100  # at least and at most
LONG = 0.1  # seconds; a call that takes longer is not traced, which would make a loop in Python five times slower, and
# needs no further one to be warm
NEAR = 3  # times: so much longer than a limit a call may take once, and is called again: it may have had to wait
COARSE = 2**21  # bytes; allocators take pages ahead and the kernel counts them in batches: less growth says nothing
SHARED = 2**24  # bytes; what a process takes once for all calls to come, such as the buffers of BLAS, is less

WAITS, IDLE = 2e-5, 0.2  # seconds, and of the CPU time, beyond which a call waits that lasts longer by the wall's clock
CALM, BUSY = 0.003, 0.2  # seconds to look whether this process computes by itself, and the share of them that says so
HUNGRY, LITTLE = 0.05, 0.05  # the same where a thread waits for a core: on a busy machine it gets a small share
PAUSE, CALMING = 0.05, 1.0  # seconds between such looks, and in all

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
QUEUE, TASKS = Path("/proc/thread-self/schedstat"), Path("/proc/self/task")


@dataclass(frozen=True)
class First:
    """What the first call of a shape told: its result, how long it lasted, memory in bytes, how found, where it ran."""

    result: Any
    seconds: float
    peak: int
    method: str
    device: str = "cpu"


def first(call: Call, expected: float = 0.0) -> First:
    """Run a call and watch its memory: all that it allocates beyond what is held before, results included.

    NumPy's memory is traced. What is not, such as torch's or a C library's, shows as growth of the resident memory; and
    so does all of it where the call is expected to take long. The call has a thread of its own, so that buffers which
    an implementation keeps for each thread are counted too. Whether a GPU computed is known by memory taken there.
    """
    cuda = gpu()
    if cuda is not None:
        if cuda.is_initialized():  # else there is nothing to reset, and torch says so by an exception
            cuda.reset_peak_memory_stats()
        held = cuda.memory_allocated()
    before = _forget_peak()
    tracing = expected < LONG or not before
    with _tracing() if tracing else contextlib.nullcontext(lambda: 0) as traced:
        taken, result = _in_a_thread_of_its_own(lambda: lasting(call))
        peak = traced()
    grown = _resident("VmHWM") - before if before else 0
    if cuda is not None and (used := cuda.max_memory_allocated() - held) > 0:
        return First(result, taken, used, "allocated on the GPU", device())
    size = sum(getattr(each, "nbytes", 0) for each in (result if isinstance(result, (tuple, list)) else (result,)))
    if grown > peak + COARSE or peak < size or not tracing:
        return First(result, taken, max(grown, size), "growth of resident memory, the results at least")
    return First(result, taken, peak, "traced allocations")


def memory(one: First, two: First) -> tuple[int, str]:
    """Say how many bytes a call takes, from the first of a shape and the next, and how that was found.

    What grew once by less than SHARED, and not again, was taken by the process: a heap for the thread, the buffers of
    BLAS. More than that is the implementation's, which may keep it for the calls to come.
    """
    less = min((one, two), key=lambda each: each.peak)
    found = less if one.peak - less.peak < SHARED else one
    return found.peak, found.method


def device() -> str:
    """Name the GPU that torch computes on, as the saved file has it; cpu where there is none."""
    cuda = gpu()
    if cuda is None:
        return "cpu"
    number = cuda.current_device()
    return f"cuda:{number} {cuda.get_device_name(number)}"


def gpu() -> Any:
    """Return torch.cuda where torch is loaded and has a GPU, else None. Nothing is imported for it."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return cuda if cuda is not None and cuda.is_available() else None


def _in_a_thread_of_its_own(call: Call) -> Any:
    """Return what a call returns, or raise what it raises, in a thread that ends with it."""
    found: list[Any] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            found.append(call())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return found[0]


@contextlib.contextmanager
def _tracing() -> Iterator[Callable[[], int]]:
    """Trace allocations, unless that is on already; the function given tells the peak in bytes beyond the start."""
    ours = not tracemalloc.is_tracing()
    if ours:
        tracemalloc.start()
    tracemalloc.reset_peak()
    start = tracemalloc.get_traced_memory()[0]
    try:
        yield lambda: tracemalloc.get_traced_memory()[1] - start
    finally:
        if ours:
            tracemalloc.stop()


def _forget_peak() -> int:
    """Give freed memory back to the system and let its record of the peak begin anew; return the bytes resident now.

    0 where that cannot be done (it is Linux' own).
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
        CLEAR.write_text("5")
    except (OSError, AttributeError):
        return 0
    return _resident("VmRSS")


def _resident(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def seconds(call: Call, *, events: bool = False) -> tuple[float, Any]:
    """Time one call: seconds of CPU time of the whole process, or between two events on the GPU; and its result."""
    if events:
        cuda = gpu()
        start, end = (cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        result = call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000, result
    start = process_time()
    result = call()
    return process_time() - start, result


def lasting(call: Call, *, events: bool = False) -> tuple[float, Any]:
    """Time one call as limits and budgets count it: `seconds`, or wall time where that is more; and its result.

    What sleeps, waits for a disk or computes in another process spends the user's time, and hardly any CPU time here.
    Waiting for a core that others use does not count: a busy machine makes no call longer.
    """
    queued, start = _queued(), perf_counter()
    taken, result = seconds(call, events=events)
    return max(taken, perf_counter() - start - (_queued() - queued)), result


def _queued() -> float:
    """Seconds that this thread has waited for a core, so far; 0 where the system does not tell."""
    try:
        file = os.open(QUEUE, os.O_RDONLY)  # without a buffer, which would be traced
    except OSError:
        return 0.0
    try:
        return int(os.read(file, 100).split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
    finally:
        os.close(file)


def settled(call: Call, limit: float, *, events: bool = False) -> float:
    """Say how long a call lasts: the less of two, where the first is beyond the limit by no more than NEAR times."""
    once, _ = lasting(call, events=events)
    return min(once, lasting(call, events=events)[0]) if limit < once < NEAR * limit else once


def calm(patience: float = CALMING) -> bool:
    """Whether this process computes nothing while nothing is asked of it; threads of BLAS get time to go to sleep."""
    end = perf_counter() + patience
    while True:
        share, late = _resting(CALM)
        if share < BUSY and (late or _hungry()):
            share = _resting(HUNGRY)[0] * BUSY / LITTLE
        if share < BUSY:
            return True
        if perf_counter() > end:
            return False
        sleep(PAUSE)


def _resting(seconds: float) -> tuple[float, bool]:
    """Sleep; the share of the time that this process computed meanwhile, and whether it woke up late."""
    began, before = perf_counter(), process_time()
    sleep(seconds)
    used, lasted = process_time() - before, perf_counter() - began
    return used / seconds, lasted > 2 * seconds  # late: a thread that holds Python's lock may have got no core


def _hungry() -> bool:
    """Whether another thread of this process would compute now, and may only wait for a core."""
    for thread in TASKS.iterdir() if TASKS.is_dir() else ():
        with contextlib.suppress(OSError):  # it has ended
            state = (thread / "stat").read_bytes().rpartition(b")")[2].split()[0]
            if state == b"R" and int(thread.name) != threading.get_native_id():
                return True
    return False


def rounds_for(expected: float, budget: float = SECONDS) -> int:
    """Count the rounds that fit the budget, within the limits."""
    least, most = ROUNDS
    return max(least, min(most, int(budget / max(expected, 1e-9))))


class Overdue(Exception):  # noqa: N818 - a slow call is no error
    """The rounds of a case lasted far longer than was to be expected."""


@dataclass
class Rounds:
    """The rounds of one case, for `benchmark.pedantic`: what is measured beside the wall time that it takes itself.

    `most` is the wall time that they may last together; the one that exceeds it is the last. `vary` changes the data
    before each round, and `check` gets its result: neither is timed.
    """

    call: Call
    events: bool = False
    most: float = math.inf
    vary: Callable[[], None] = lambda: None
    check: Callable[[Any], None] = lambda result: None
    spent: float = 0.0
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    minor: list[int] = field(default_factory=list)
    major: list[int] = field(default_factory=list)
    result: Any = None

    def setup(self) -> None:
        """Drop the result before, so that freeing it is not timed, and count page faults from here."""
        self.result = None
        self.vary()
        self._before = resource.getrusage(resource.RUSAGE_SELF)
        self._queued, self._start = _queued(), perf_counter()

    def target(self) -> None:
        """Run the call once."""
        start = perf_counter()
        taken, self.result = seconds(self.call, events=self.events)
        self.wall.append(perf_counter() - start)
        self.cpu.append(round(taken, 9))

    def teardown(self) -> None:
        """Count the page faults of the round, and its wall time. Raises Overdue where that is more than there was."""
        self.spent += perf_counter() - self._start
        self.wall[-1] = max(0.0, round(self.wall[-1] - (_queued() - self._queued), 9))
        after = resource.getrusage(resource.RUSAGE_SELF)
        self.minor.append(after.ru_minflt - self._before.ru_minflt)
        self.major.append(after.ru_majflt - self._before.ru_majflt)
        self.check(self.result)
        if self.spent > self.most:
            raise Overdue(f"{len(self.cpu)} rounds lasted {self.spent:.2g} s")

    def run(self, benchmark: Any, rounds: int) -> Any:
        """Run so many rounds under pytest-benchmark, and return the result of the last. Raises Overdue."""
        benchmark.pedantic(self.target, setup=self.setup, teardown=self.teardown, rounds=rounds)
        if not self.minor:  # --benchmark-disable: one call, and no teardown
            self.teardown()
        result, self.result = self.result, None
        return result

    @property
    def clock(self) -> str:
        """Say by which clock the rounds are told: the wall's where they wait, or compute in another process."""
        waits = statistics.median(self.wall) - statistics.median(self.cpu)
        return "wall" if not self.events and waits > max(WAITS, IDLE * statistics.median(self.cpu)) else "cpu"

    @property
    def seconds(self) -> list[float]:
        """What each round lasted, by that clock."""
        return self.wall if self.clock == "wall" else self.cpu

    def facts(self) -> dict[str, Any]:
        """Give the entries of the saved file: by the clock that tells, and by the wall's, where lost threads show."""
        return {
            "cpu_seconds": self.seconds,
            "wall_seconds": self.wall,
            "clock": self.clock,
            "minor_faults": int(statistics.median(self.minor)),
            "major_faults": int(statistics.median(self.major)),
        }


def median_seconds(call: Call, budget: float = SECONDS / 2) -> float:
    """Find the median CPU time of a call that needs no benchmark of its own."""
    warm, _ = seconds(call)
    return statistics.median(seconds(call)[0] for _ in range(max(3, rounds_for(warm, budget) // 2)))
