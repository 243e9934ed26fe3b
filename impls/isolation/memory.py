"""Memory that two processes share, each array of it at the edge of pages that nobody may touch. Python 3.9 and Linux.

An array lies in a slot. In the child's address space a slot has a guard before and behind it: an array that ends where
its slot ends ("right") makes a read or write one element past its end a fault, one that begins where its slot begins
("left") the same before its start. "loose" leaves room on both sides, with a pattern in it that tells whether it was
written.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import math
import mmap
import os
import time
from typing import Any

import numpy as np

PAGE = mmap.PAGESIZE
GUARD = 1 << 26  # bytes on each side of a slot: an access so far out still meets it
SLACK = 1 << 16  # bytes on each side of an array that lies loose
PATTERN = 0xA9  # no byte that glibc fills memory with
SPARE, SPARE_SIZE = 64, 1 << 24  # slots of one size that are kept for later results, and how large they may be in all

PROT_NONE, PROT_READ, PROT_WRITE = 0, 1, 2
_SHARED, _PRIVATE, _FIXED, _ANONYMOUS, _NORESERVE = 0x01, 0x02, 0x10, 0x20, 0x4000

ALLOW_SEALING, ADD_SEALS, SEAL_SHRINK = 2, 1033, 2  # MFD_, F_ and F_, which Python 3.9 has no names for

Descriptor = list[Any]  # [slot, offset, dtype, shape]


def memory_file(name: str) -> int:
    """Open a file of memory that can grow and not shrink: where it is mapped, an access beyond its end is a SIGBUS."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | ALLOW_SEALING)
    fcntl.fcntl(fd, ADD_SEALS, SEAL_SHRINK)
    return fd


class Arena:
    """The parent's side: slots for what is passed, one array in each, in one file of memory."""

    def __init__(self) -> None:
        self.fd = memory_file("poolproof-arrays")
        self.count, self.capacity = 4, 16 * PAGE
        self._map()

    def _map(self) -> None:
        os.ftruncate(self.fd, self.count * self.capacity)
        self.bytes = np.frombuffer(mmap.mmap(self.fd, self.count * self.capacity), np.uint8)

    def reserve(self, count: int, largest: int) -> None:
        """Make room for so many arrays of at most so many bytes."""
        needed = largest + 2 * SLACK
        if count > self.count or needed > self.capacity:
            self.count = max(self.count, 1 << (count - 1).bit_length())
            while self.capacity < needed:
                self.capacity *= 2
            self._map()

    def put(self, slot: int, array: Any, side: str, allowance: int = 0, shift: int = 0) -> Descriptor:
        """Copy an array into a slot, on that side of it.

        `allowance` bytes behind it may be read; `shift`: where it lies loose, that many bytes further.
        """
        dense = np.ascontiguousarray(array)
        size = dense.nbytes
        allowance = -(-allowance // (array.itemsize or 1)) * array.itemsize  # so that elements stay aligned
        offset = {"right": self.capacity - size - allowance, "left": 0, "loose": SLACK + shift}[side]
        begin = slot * self.capacity
        if side == "loose":
            self.bytes[begin : begin + self.capacity] = PATTERN
        if size:
            self.bytes[begin + offset : begin + offset + size] = dense.reshape(-1).view(np.uint8)
        return [slot, offset, array.dtype.str, list(array.shape)]

    def written_around(self, descriptor: Descriptor) -> list[Any]:
        """Tell where the pattern around a loose array was written: [side, bytes from the array, how many bytes]."""
        slot, offset, dtype, shape = descriptor
        size = math.prod(shape) * np.dtype(dtype).itemsize
        return _written(self.bytes[slot * self.capacity : (slot + 1) * self.capacity], offset, size)

    def holds(self, descriptor: Descriptor, array: Any) -> bool:
        """Whether an array's bytes are still what was put there."""
        slot, offset = descriptor[:2]
        begin = slot * self.capacity + offset
        dense = np.ascontiguousarray(array)
        return not dense.nbytes or bool(
            (self.bytes[begin : begin + dense.nbytes] == dense.reshape(-1).view(np.uint8)).all()
        )


def _written(room: Any, offset: int, size: int) -> list[Any]:
    """Tell where the pattern around the bytes of an array was written: ["before" or "past", bytes from it, bytes]."""
    found = []
    for side, part in (("before", room[:offset]), ("past", room[offset + size :])):
        other = part != PATTERN
        if other.any():
            first = int(other.argmax())
            found.append([side, offset - first if side == "before" else first, int(other.sum())])
    return found


class Ended:
    """How many calls have ended in the child, and when the last one did by the clock that both sides share."""

    def __init__(self, fd: int = -1) -> None:
        self.fd = memory_file("poolproof-ended") if fd < 0 else fd
        if fd < 0:
            os.ftruncate(self.fd, PAGE)
        self.cells = memoryview(mmap.mmap(self.fd, PAGE)).cast("d")
        os.lseek(self.fd, PAGE, os.SEEK_SET)  # what a kernel writes to a wrong descriptor does not lie there

    def note(self) -> None:
        """Note that a call has ended now."""
        self.cells[0] += 1
        self.cells[1] = time.monotonic()

    def get(self) -> tuple[int, float]:
        """Give their number, and the time."""
        return int(self.cells[0]), self.cells[1]


class Results:
    """A file of memory that the child writes results into and the parent copies them from; the child makes it grow."""

    def __init__(self, fd: int = -1) -> None:
        self.fd = memory_file("poolproof-results") if fd < 0 else fd
        self.used = 0
        self._map(os.fstat(self.fd).st_size or 16 * PAGE)

    def _map(self, size: int) -> None:
        if os.fstat(self.fd).st_size < size:
            os.ftruncate(self.fd, size)
        self.bytes = np.frombuffer(mmap.mmap(self.fd, size), np.uint8)
        self.size = size  # now that there is so much

    def put(self, array: Any) -> list[Any]:
        """Append an array; a message gives its [offset, dtype, shape] on."""
        dense = np.ascontiguousarray(array)
        begin, end = self.used, self.used + dense.nbytes
        if end > self.size:
            size = self.size
            while size < end:
                size *= 2
            self._map(size)
        if dense.nbytes:
            self.bytes[begin:end] = dense.reshape(-1).view(np.uint8)
        self.used = -(-end // 64) * 64
        return [begin, array.dtype.str, list(array.shape)]

    def get(self, descriptor: list[Any]) -> Any:
        """Copy an array out."""
        offset, dtype, shape = descriptor
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if offset + size > self.size:
            self._map(os.fstat(self.fd).st_size)
        return self.bytes[offset : offset + size].copy().view(dtype).reshape(shape)


# --- the child's side -------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def _libc() -> Any:
    libc: Any = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return libc


def own(kind: str) -> int:
    """Give the bytes of memory that this process has: "VmRSS" in use, "VmData" of its own, as RLIMIT_DATA counts."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith(kind))


class NoRoomError(MemoryError):
    """There is no memory, or no range of addresses, for a slot of so many bytes."""


class Slot:
    """Pages between two guards, of a file of memory or of the process's own."""

    def __init__(self, capacity: int, fd: int = -1, offset: int = 0) -> None:
        self.libc, self.capacity = _libc(), capacity
        self.reserved = self.libc.mmap(None, capacity + 2 * GUARD, PROT_NONE, _PRIVATE | _ANONYMOUS | _NORESERVE, -1, 0)
        flags = _FIXED | (_SHARED if fd >= 0 else _PRIVATE | _ANONYMOUS)
        self.protection = PROT_READ | PROT_WRITE
        self.base = self.libc.mmap(self.reserved + GUARD, capacity, self.protection, flags, fd, offset)
        if self.base != self.reserved + GUARD:
            raise NoRoomError(capacity)
        self.buffer: Any = (ctypes.c_char * capacity).from_address(self.base)
        self.bytes = self.array(0, np.uint8, (capacity,))

    def place(self, address: int, offset: int, size: int) -> list[Any] | None:
        """Say where an address lies to an array of so many bytes in the slot; None if not in the slot or its guards."""
        if not self.reserved <= address < self.reserved + self.capacity + 2 * GUARD:
            return None
        before, past = self.base + offset - address, address - self.base - offset - size
        if before > 0:
            return ["before the start", before]
        return ["past the end", past] if past >= 0 else ["after the start", -before]

    def protect(self, protection: int) -> None:
        """Let the pages be read, or read and written."""
        if protection != self.protection:
            self.libc.mprotect(self.base, self.capacity, protection)
            self.protection = protection

    def array(self, offset: int, dtype: Any, shape: Any) -> Any:
        """Give an array in the slot."""
        return np.ndarray(tuple(shape), np.dtype(dtype), self.buffer, offset)

    def release(self) -> None:
        """Give the pages and their guards back."""
        self.libc.munmap(self.reserved, self.capacity + 2 * GUARD)


class Given:
    """The child's view of an Arena: its slots, mapped as they are first asked for."""

    def __init__(self, fd: int) -> None:
        self.fd, self.capacity, self.slots = fd, 0, {}  # type: ignore[var-annotated]

    def begin(self, capacity: int, writable: Any) -> None:
        """Follow the parent, whose slots may have grown; their arrays are to be read, the writable ones written too."""
        if capacity != self.capacity:
            for slot in self.slots.values():
                slot.release()
            self.capacity, self.slots = capacity, {}
        self.writable = writable

    def get(self, descriptor: Descriptor) -> Any:
        """Give an array that the parent has put."""
        number, offset, dtype, shape = descriptor
        slot = self.slots.get(number)
        if slot is None:
            slot = self.slots[number] = Slot(self.capacity, self.fd, number * self.capacity)
        slot.protect(PROT_READ | PROT_WRITE if number in self.writable else PROT_READ)
        return slot.array(offset, dtype, shape)


class Pool:
    """Slots of the child's own, with a pattern around what lies in them.

    What is taken is given back by `begin`, not before: results may be kept as long as a message is served.
    """

    def __init__(self) -> None:
        self.side, self.shift, self.taken, self.free = "right", 0, [], {}  # type: ignore[var-annotated]

    def begin(self, side: str, shift: int) -> None:
        """Start a message, whose arrays lie on that side of their slots, or loose and so many bytes further."""
        for slot, *_ in self.taken:
            kept = self.free.setdefault(slot.capacity, [])
            if len(kept) < min(SPARE, SPARE_SIZE // slot.capacity):
                kept.append(slot)
            else:
                slot.release()
        self.side, self.shift, self.taken = side, shift, []

    def take(self, size: int, allowance: int = 0) -> Any:
        """Give a slot and the place in it for so many bytes; `allowance` bytes behind them may be read."""
        slack = SLACK if self.side == "loose" else 0
        capacity = PAGE
        while capacity < size + allowance + 2 * slack:
            capacity *= 2
        try:
            slot = self.free[capacity].pop()  # in one step, as several threads may ask
        except LookupError:
            slot = Slot(capacity)
        offset = {"right": capacity - size - allowance, "left": 0, "loose": slack + self.shift}[self.side]
        slot.bytes[:] = PATTERN
        return slot, offset


class Outputs(Pool):
    """Guarded, poisoned arrays for results that foreign code writes, and what is wrong with them afterwards."""

    def allocate(self, shape: Any, dtype: Any) -> Any:
        """Give an array of poison at a guard."""
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        slot, offset = self.take(size)
        poisoned(slot, offset, size, dtype)
        self.taken.append((slot, offset, size, dtype, tuple(shape)))
        return slot.array(offset, dtype, shape)

    def ahead(self, call: Any, times: int) -> Any:
        """Make a call, and take slots for the results of so many calls more: what they take is none of the calls'."""
        before = len(self.taken)
        result = call()
        for slot, *_ in self.taken[before:]:
            self.free.setdefault(slot.capacity, []).extend(Slot(slot.capacity) for _ in range(times))
        return result

    def findings(self) -> list[Any]:
        """Tell what was written around, and what was left unwritten: [kind, number, facts...] for each."""
        found = []
        for number, (slot, offset, size, dtype, shape) in enumerate(self.taken):
            found += [[kind, number, *facts] for kind, *facts in around(slot, offset, size)]
            found += [["unwritten", number, *facts] for facts in unwritten(slot.array(offset, dtype, shape))]
        return found


class Copies(Pool):
    """Guarded memory for the arrays that a probe copies and lays out, of which `allowed` bytes behind may be read."""

    allowed = 0

    def place(self, size: int) -> Any:
        """Give so many bytes at a guard."""
        slot, offset = self.take(size, -(-self.allowed // 16) * 16 if self.side == "right" else 0)
        self.taken.append((slot, offset, size))
        return slot.array(offset, np.uint8, (size,))

    def findings(self) -> list[Any]:
        """Tell what was written around them: ["around", side, facts...] for each."""
        return [["around", *found] for slot, *where in self.taken for found in around(slot, *where)]


def poison(dtype: Any) -> int:
    """Give the bits of an element that no computation gives: a NaN with a payload, or the pattern throughout."""
    if dtype.kind == "f":
        return {2: 0x7E5A, 4: 0x7FC0DEAD, 8: 0x7FF8DEADDEADDEAD}[dtype.itemsize]
    return int.from_bytes(bytes([PATTERN]) * dtype.itemsize, "little")


def poisoned(slot: Slot, offset: int, size: int, dtype: Any) -> None:
    """Fill so many bytes of a slot with poison."""
    slot.bytes[offset : offset + size].view(_unsigned(dtype))[:] = poison(dtype)


def around(slot: Slot, offset: int, size: int) -> list[Any]:
    """Tell where the pattern around an array in a slot was written: ["before" or "past", bytes from it, bytes]."""
    return _written(slot.bytes, offset, size)


def unwritten(array: Any) -> list[Any]:
    """Tell how many cells of an array still are poison, of how many, and the first; nothing where none is."""
    left = array.view(_unsigned(array.dtype)) == poison(array.dtype)
    first = np.unravel_index(int(left.argmax()), left.shape) if left.any() else ()
    return [[int(left.sum()), int(left.size), [int(i) for i in first]]] if left.any() else []


def _unsigned(dtype: Any) -> str:
    return f"u{dtype.itemsize}"
