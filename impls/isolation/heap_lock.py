"""A process that waits for the lock of its own heap.

glibc's library that checks memory holds its lock where one of its assertions fails, and what tells of that asks for
memory: the process waits for itself for ever. It has a corrupted heap, and would else be taken for one that hangs.
"""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path

DEBUGGING = "libc_malloc_debug.so.0"  # where glibc 2.34 and later keep MALLOC_CHECK_
FUTEX = {"x86_64": 202, "aarch64": 98}  # the number of the system call that waits for a lock


def waits(process: int) -> tuple[int, int] | None:
    """Tell for which lock of the heap a process waits, and how long it has computed; None where it does not."""
    with suppress(OSError, ValueError, IndexError):
        folder = Path(f"/proc/{process}")
        regions = [line.split(" ", 1)[0] for line in (folder / "maps").read_text().splitlines() if DEBUGGING in line]
        held = [tuple(int(end, 16) for end in region.split("-")) for region in regions]
        for task in os.listdir(folder / "task"):
            call = (folder / "task" / task / "syscall").read_text().split()
            if call[0] == str(FUTEX.get(platform.machine())):
                lock = int(call[1], 16)
                if any(start <= lock < end for start, end in held):
                    return lock, sum(map(int, (folder / "stat").read_text().rpartition(")")[2].split()[11:13]))
    return None


def child_waits(process: int) -> tuple[int, int] | None:
    """Tell the same of a process that this one has forked, or that such a one has.

    The lock is not given back where another thread held it at the fork: the library that checks memory lacks what glibc
    does then for its own.
    """
    with suppress(OSError):
        for task in os.listdir(f"/proc/{process}/task"):
            for child in Path(f"/proc/{process}/task/{task}/children").read_text().split():
                found = waits(int(child)) or child_waits(int(child))
                if found:
                    return found
    return None
