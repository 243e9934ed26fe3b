"""Why a call failed in its process: it is made again with one protection after another removed, and the cause named.

A cause is named only where the call fails each time with the protection, and passes each time without it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from impls.contract import ARRAYS
from impls.isolation.crash_site import Site
from impls.isolation.failures import Crashed, Failure, Hung, LeftUnwritten, OutOfMemory, Printed, WroteAround
from impls.isolation.made import OTHER
from impls.isolation.memory import PATTERN
from impls.isolation.process import HEAP_LOCKED
from impls.isolation.subject import RESULTS, SIDES, Asked, IsolatedSubject, blame, wrote

BOUNDS = "wrote or read out of bounds"
STACKED = "it writes outside of an array on its stack"
HEAPED = "it writes outside of memory that it has allocated itself, or frees what is not allocated"
STACK = re.compile(r"^  said   \*\*\* stack smashing", re.MULTILINE)
HEAP = re.compile(  # what glibc says, and no one else, before it aborts
    r"^  said   ((free|malloc|calloc|realloc|memalign|munmap_chunk|mremap_chunk|malloc_consolidate)\(\): \w"
    r"|malloc: top chunk is corrupt|malloc_check_get_size: memory corruption|Fatal glibc error: malloc assertion"
    r"|invalid fastbin entry|(un|mis)aligned \w+ chunk detected"
    r"|double free or corruption|corrupted (size vs|double-linked)|memory clobbered"
    r"|\*\*\* (stack smashing|buffer overflow))",
    re.MULTILINE,
)
PATIENCE = 12.0  # seconds for all that is tried: where a process cannot be forked, each failure costs an import
REACHES = tuple(1 << power for power in range(2, 13))  # bytes past an array's end that a read is tried with
ALIGNMENTS = (8, 16, 32, 64)
TELLING = 2.0  # seconds for a call that crashes, and tells where
MORE = 8  # times the limit of memory
TIMES = 5  # that a call is made each way: one that fails once in three times does so all of them in 0.4 %


# what glibc fills memory with, as MALLOC_PERTURB_ has it, before it is written and when it is freed; in half precision
# these are numbers like any others
POISONS = ((0x5A, 0.01, "allocated and never written"), (0xA5, 1e-6, "freed"), (PATTERN, 1e-6, "never written"))
HALVES = tuple(byte * 0x01010101 for byte, _, _ in POISONS)  # of an index of eight bytes


@dataclass(frozen=True)
class Cause:
    """What a failing call does, in words, and the verdict's word for it."""

    verdict: str
    what: str


def cause(subject: IsolatedSubject) -> Cause | None:
    """Name the cause of the subject's last failure; None where there is none, or it does not fail again each time."""
    if subject.failed is None:
        return None
    asked, failure = subject.failed
    if isinstance(failure, Hung | OutOfMemory | Printed | WroteAround | LeftUnwritten):
        return None  # it says by itself what was done
    if type(failure).__name__ == "SIGABRT" and (HEAP_LOCKED in str(failure) or HEAP.search(str(failure))):
        return Cause(BOUNDS, STACKED if STACK.search(str(failure)) else HEAPED)
    with contextlib.suppress(TimeoutError):
        return _found(subject, asked, Call(subject, asked))
    return None


def site(subject: IsolatedSubject) -> Site:
    """Say where in native code the subject's last crash happened, by having it happen again.

    A process that failed in the midst of memory management cannot tell, and hangs.
    """
    if subject.failed is None or not isinstance(subject.failed[1], Crashed | OutOfMemory):
        return Site()
    asked, crash = subject.failed
    limit, subject.process.limit = subject.process.limit, min(subject.process.limit, TELLING)
    try:
        subject.exchange(asked, watched=True)
    except Failure as again:
        return again.site if type(again) is type(crash) else Site()
    finally:
        subject.process.limit = limit
    return Site()


def poison(got: str, dtype: str) -> str:
    """Say what a result holds where it is what memory is filled with, or near it; "" where it is not."""
    if re.fullmatch(r"-?\d+", got):
        value = int(got) % (1 << 64)
        halves = [half for half in (value >> 32, value % (1 << 32)) if half in HALVES]
        if halves:
            return f"half of it was never written: there every byte is 0x{halves[0] % 256:x}"
    number = _number(got)
    if dtype not in ("float32", "float64"):
        return ""
    for byte, near, what in POISONS:
        (filled,) = np.frombuffer(bytes([byte]) * np.dtype(dtype).itemsize, dtype).astype(np.float64)
        if abs(number - filled) <= near * abs(filled):
            return f"it gives back memory that was {what}: there every byte is 0x{byte:x}"
    return ""


def _found(subject: IsolatedSubject, asked: Asked, call: Call) -> Cause | None:
    """Remove one protection after another. Raises TimeoutError where that takes too long."""
    if not call.fails():
        return None
    everything = range(len(asked.arrays))
    try:
        answers = [subject.exchange(asked, at_edge=(), writable=everything) for _ in range(TIMES)]
    except Failure as still:
        loose: dict[str, Any] = {"at_edge": (), "writable": everything}
        if not call.fails(**loose):
            return None
        memory = subject.process.limits.memory
        if memory and all(call.passes_with_more(**loose) and call.fails(**loose) for _ in range(2)):
            told = f"it cannot bear that memory beyond the limit of {memory >> 20:,} MiB is refused"
            return Cause(still.verdict, f"{told}: with {MORE} times --memory-limit it passes")
        if beside := site(subject).beside:  # farther off than an array that lies loose has room around it
            return Cause(BOUNDS, beside)
        wild = type(still).__name__ in ("SIGSEGV", "SIGBUS")
        return Cause(still.verdict, "it does so wherever its arrays lie in memory") if wild else None
    return call.written(answers[0]) or call.kept() or call.misaligned() or call.read()


class Call:
    """A call that fails each time as it was made, and passes where its arrays lie loose and may be written."""

    def __init__(self, subject: IsolatedSubject, asked: Asked) -> None:
        self.subject, self.asked, self.end = subject, asked, time.monotonic() + PATIENCE
        arrays = zip(ARRAYS[asked.operation], asked.arrays, strict=False)
        self.names = [name for name, array in arrays if isinstance(array, np.ndarray)]
        # a probe passes copies that it lays out itself, all of them on one side
        alone = enumerate(self.names) if asked.do == "call" else ()
        self.places = [*alone, (RESULTS, "the result" if asked.do == "call" else "an array")]

    def fails(self, side: str = "", **how: Any) -> bool:
        """Whether the call fails each time."""
        return all(self._failed(side, **how) for _ in range(TIMES))

    def passes(self, side: str = "", *, times: int = TIMES, **how: Any) -> bool:
        """Whether the call passes each time."""
        return not any(self._failed(side, **how) for _ in range(times))

    def passes_with_more(self, **how: Any) -> bool:
        """Whether the call passes once with more memory: it may fill all of that, which takes seconds.

        What it then holds, none that fails afterwards is to be taken to have held, or to be given again.
        """
        passed = self.passes(memory=MORE, times=1, **how)
        self.subject.process.fresh()
        return passed

    def _failed(self, side: str, **how: Any) -> bool:
        if time.monotonic() > self.end:
            raise TimeoutError
        asked = dataclasses.replace(self.asked, side=side or self.asked.side)
        try:
            self.subject.exchange(asked, **how)
        except Failure:
            return True
        return False

    def written(self, answer: dict[str, Any]) -> Cause | None:
        """Name what was seen to be written: around an array that lay loose, or an input."""
        written = [wrote(self.names[number], *where) for number, found in answer["around"].items() for where in found]
        written += [str(blame(*finding)) for finding in answer["wrong"] if finding[0] != "unwritten"]
        if written:
            return Cause(BOUNDS, "; ".join(written))
        if answer["changed"] and self.asked.do == "call":
            return Cause("changed its input", f"it writes its input {_listed(self.names, answer['changed'])}")
        return None

    def kept(self) -> Cause | None:
        """Name the inputs that are written with the values that they have: it passes where they may be written."""
        numbers = range(len(self.names))
        if self.asked.do != "call" or not self.passes(writable=numbers):
            return None
        written = [n for n in numbers if self.fails(at_edge=(), writable=[m for m in numbers if m != n])]
        if not written:
            return None
        return Cause(
            "changed its input", f"it writes its input {_listed(self.names, written)}, and leaves it as it was"
        )

    def misaligned(self) -> Cause | None:
        """Name the array that fails where no guard is near, at an address that is a multiple of few bytes."""
        sizes = {n: array.itemsize for n, array in enumerate(a for a in self.asked.arrays if isinstance(a, np.ndarray))}
        for number, name in self.places:
            size = sizes.get(number, min(sizes.values(), default=ALIGNMENTS[0]))
            if self._at(number, size) or not self.fails(at_edge=(), writable=range(len(sizes)), shift=(number, size)):
                continue
            wanted = next((to for to in ALIGNMENTS if to > size and self._at(number, to)), None)
            if wanted:
                told = (
                    f"it needs {name} aligned to {wanted} bytes; arrays are aligned to their elements, of {size} bytes"
                )
                return Cause(self.subject.failed[1].verdict, told)  # type: ignore[index]
        return None

    def _at(self, number: int, shift: int) -> bool:
        """Whether it passes with that array so many bytes from an address that any alignment has, and loose."""
        return self.passes(at_edge=(), writable=range(len(self.names)), shift=(number, shift))

    def read(self) -> Cause | None:
        """Name the array around which nothing is written, yet memory is touched: what it fails at alone."""
        everything = range(len(self.names))
        for side in (self.asked.side, *(other for other in SIDES if other != self.asked.side)):
            for number, name in self.places:
                edge: dict[str, Any] = {"at_edge": (number,), "writable": everything}
                if not self.fails(side, **edge):
                    continue
                if number == RESULTS and OTHER in site(self.subject).words:  # arrays of its own lie as results do
                    name = OTHER
                if side == "left":
                    return Cause(BOUNDS, f"it reads before the start of {name}")
                reaches = REACHES if number != RESULTS else ()
                far = next((n for n in reaches if self.passes(side, allowed=n, **edge)), None)
                return Cause(BOUNDS, f"it reads past the end of {name}" + (f", by at most {far} bytes" if far else ""))
        return None


def _number(text: str) -> float:
    """Read a number as messages write it; NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _listed(names: Sequence[str], numbers: Sequence[int]) -> str:
    return ", ".join(names[number] for number in numbers)
