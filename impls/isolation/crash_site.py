"""Where in native code a process fails or hangs, told by the process as the signal comes. Python 3.9 and Linux.

A handler of signals that is written in Python may wait for ever for the interpreter's lock, where a thread that holds
it waits for the one that failed. So crashes are watched only where a call that failed is made once more to name its
cause, and a process that hangs is asked when it is lost anyway.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import mmap
import os
import platform
import re
import signal
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impls.isolation.guardian import ASKED

CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT)
LINE = re.compile(r"^poolproof-site (\{.*\})\n?", re.MULTILINE)

DEPTH = 64  # frames that are looked at
STACK = 1 << 18  # bytes for the handler, where the thread has none left
NEAR = 1 << 20  # bytes between the stack's end and an access that means it is full
LEFT, FRESH = 1 << 17, 1 << 16  # bytes below which a stack is as good as full, and from which no pointer is null
REGISTERS = {  # in ucontext_t: of the instruction, of the stack, and of x86 how memory was accessed
    "x86_64": (40 + 8 * 16, 40 + 8 * 15, 40 + 8 * 19),
    "aarch64": (440, 432, None),
}
SI_CODE, SI_ADDR = 8, 16
SI_KERNEL = 0x80  # where the address is not told: it is none that memory can have, or not aligned as it must be
SA_SIGINFO, SA_ONSTACK = 0x4, 0x08000000
WRITES = 2  # the bit of x86's error code
DOES = {WRITES: "writes", 0: "reads"}
RESOLVING = 5.0  # seconds that addr2line may take
# what others call, whose caller is more to the point, and what runs all
RUNTIME = r"/(libc|libm|libpthread|libgcc_s|libstdc\+\+|ld-linux[^/]*|libc_malloc_debug)(\.so[^/]*|-[0-9][^/]*)?$"
INTERPRETER = r"/(libffi[^/]*|_ctypes[^/]*|libpython[^/]*|python3?[^/]*)$"

Handler = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class _Action(ctypes.Structure):
    """C's struct sigaction."""

    _fields_ = [("handler", ctypes.c_void_p), ("mask", ctypes.c_ubyte * 128), ("flags", ctypes.c_int),
                ("restorer", ctypes.c_void_p)]  # fmt: skip


class _Stack(ctypes.Structure):
    """C's stack_t."""

    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


class _Symbol(ctypes.Structure):
    """What dladdr tells."""

    _fields_ = [("file", ctypes.c_char_p), ("base", ctypes.c_void_p), ("name", ctypes.c_char_p),
                ("address", ctypes.c_void_p)]  # fmt: skip


# In the process


class Watch:
    """Handlers of signals that tell where the thread is. The handlers that were there before follow.

    near(address) says what array an address lies at, if any, as [name, where, bytes].
    """

    def __init__(self, signals: Any, near: Any = None) -> None:
        self.library, self.near = ctypes.CDLL(None), near
        self.before: dict[int, _Action] = {}
        self.handler = Handler(self._tell)
        if platform.machine() not in REGISTERS or not hasattr(self.library, "backtrace"):
            return
        self.library.backtrace((ctypes.c_void_p * 1)(), 1)  # which loads what it needs at its first call
        self.room = mmap.mmap(-1, STACK)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.room))
        self.library.sigaltstack(ctypes.byref(_Stack(start, 0, STACK)), None)
        action = _Action(ctypes.cast(self.handler, ctypes.c_void_p), flags=SA_SIGINFO | SA_ONSTACK)
        for number in signals:
            self.before[number] = _Action()
            self.library.sigaction(int(number), ctypes.byref(action), ctypes.byref(self.before[number]))

    def end(self) -> None:
        """Put the handlers of before back."""
        for number, before in self.before.items():
            self.library.sigaction(int(number), ctypes.byref(before), None)

    def _tell(self, number: int, info: int, context: int) -> None:
        """Write where it happened; then the instruction is tried again, as before there was a watch."""
        self.library.sigaction(number, ctypes.byref(self.before[number]), None)
        if number == ASKED:  # at once, as what waits may go on after a signal
            faulthandler.dump_traceback(2)
        failed, sp, error = (0 if at is None else _integer(context + at) for at in REGISTERS[platform.machine()])
        told: dict[str, Any] = {"frames": []}
        if number in (signal.SIGSEGV, signal.SIGBUS) and 0 < _integer(info + SI_CODE, 4) < SI_KERNEL:
            address = told["address"] = _integer(info + SI_ADDR)
            told["does"] = (
                "jumps to" if address == failed else DOES.get(error & WRITES, "accesses") if error else "accesses"
            )
            told["full"] = abs(address - sp) < NEAR and _left(sp) < LEFT
            told["near"] = self.near(address) if self.near else None
        _write(told)  # before the stack is walked, which may have been written over
        told["frames"] = self._frames(failed, sp)
        _write(told)

    def _frames(self, failed: int, sp: int) -> list[Any]:
        """Tell of the failing instruction and its callers: [file, address in it, function]."""
        if self._symbol(failed) is None:  # where there is no code: called from what has left its address on the stack
            return [frame for frame in [self._symbol(_integer(sp) - 1)] if frame]
        addresses = (ctypes.c_void_p * DEPTH)()
        found = [address or 0 for address in addresses[: self.library.backtrace(addresses, DEPTH)]]
        callers = found[found.index(failed) + 1 :] if failed in found else []
        every = [failed, *(caller - 1 for caller in callers)]  # an address of return is behind its call
        return [frame for frame in map(self._symbol, every) if frame]

    def _symbol(self, address: int) -> list[Any] | None:
        """Tell of what an address belongs to: [file, address in it, function]."""
        symbol = _Symbol()
        if not self.library.dladdr(ctypes.c_void_p(address), ctypes.byref(symbol)) or not symbol.file:
            return None
        name = symbol.name.decode(errors="replace") if symbol.name else ""
        return [os.fsdecode(symbol.file), address - symbol.base, name]


def _write(told: dict[str, Any]) -> None:
    os.write(2, f"\npoolproof-site {json.dumps(told)}\n".encode())


def _integer(address: int, size: int = 8) -> int:
    return int.from_bytes(ctypes.string_at(address, size), "little", signed=size == 4)


def _left(pointer: int) -> int:
    """Count the bytes that the stack at this address has left, or could yet be given."""
    import resource

    most = resource.getrlimit(resource.RLIMIT_STACK)[0]
    with open("/proc/self/maps") as maps:
        for line in maps:
            begin, end = (int(part, 16) for part in line.split(" ", 1)[0].split("-"))
            if "[stack]" in line and pointer < end:  # which may be far below what it has been given yet
                return max(0, most - (end - pointer)) if most != resource.RLIM_INFINITY else 1 << 62
            if begin - NEAR <= pointer < end:
                return max(0, pointer - begin)
    return 1 << 62


# In the parent


@dataclass(frozen=True)
class Site:
    """Where a process has failed, in words, and what memory beside an array it has touched; "" where it is not told."""

    words: str = ""
    beside: str = ""


def told(printed: bytes) -> Site:
    """Read what a process has told of the place where it failed."""
    lines = LINE.findall(printed.decode(errors="replace"))
    try:
        site = json.loads(lines[-1]) if lines else {"frames": []}
        frames = [(str(file), int(address), str(name)) for file, address, name in site["frames"]]
        words, beside = _access(site) if "address" in site else ("", "")
    except (ValueError, KeyError, TypeError):  # it was not we who wrote it
        return Site()
    others = [
        frame for frame in frames if not re.search(f"{RUNTIME}|{INTERPRETER}", frame[0]) and not _standard(frame[0])
    ]
    parts = [words] if words else []
    if others:
        parts.append(f"in {_place(*others[0])}")
        if re.search(RUNTIME, frames[0][0]):
            parts.append(f"which called {frames[0][2] or Path(frames[0][0]).name}")
    return Site(", ".join(parts), beside)


def _access(site: dict[str, Any]) -> tuple[str, str]:
    """Put into words what was accessed, and what of it lies beside an array."""
    address, does = int(site["address"]), str(site["does"])
    if site["full"]:
        return "its stack is full", ""
    if site["near"]:
        name, where, count = site["near"]
        place = f"{int(count):,} bytes {where} of {name}" if count else f"right {where} of {name}"
        return f"it {does} {place}", "" if where.startswith("after") else f"it {does} {place}"
    return f"it {does} address {address:#x}" + (", a null pointer or near one" if address < FRESH else ""), ""


def _standard(file: str) -> bool:
    """Whether a file is a part of Python's own library."""
    return file.startswith(str(Path(sysconfig.get_path("stdlib")))) and "site-packages" not in file


def _place(file: str, address: int, name: str) -> str:
    """Name a function, its library, and its line where that has debugging information: of inlined ones its author's."""
    command = ["addr2line", "-C", "-f", "-i", "-e", file, hex(address)]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=RESOLVING).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        found = []
    for function, line in zip(found[::2], found[1::2], strict=False):
        line = re.sub(r" \(discriminator.*", "", line)
        if not re.search(r"^\?\?|:\?$|:0$|<artificial>|^/usr/(lib|include)", line):
            known = name if function.startswith("??") else function
            return f"{known} of {Path(file).name}, {line}"
    where = f"{Path(file).name}+{address:#x}"
    known = name or next((function for function in found[:1] if not function.startswith("??")), "")
    return f"{known} of {where}" if known else where
