"""Where in native code a process fails or hangs, told by the process as the signal comes. Python 3.9 and Linux.

A handler of signals that is written in Python may wait for ever for the interpreter's lock, where a thread that holds
it waits for the one that failed. So crashes are watched only where a call that failed is made once more to name its
cause, and a process that hangs is asked when it is lost anyway.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import platform
import re
import signal
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT)
ASKED = signal.SIGUSR2  # of one that hangs
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
SA_SIGINFO, SA_ONSTACK = 0x4, 0x08000000
WRITES = 2  # the bit of x86's error code
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
    """Handlers of signals that tell where the thread is. The handlers that were there before follow."""

    def __init__(self, signals: Any) -> None:
        self.library = ctypes.CDLL(None)
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
        told: dict[str, Any] = {"signal": number, "frames": self._frames(context)}
        if number in (signal.SIGSEGV, signal.SIGBUS) and _integer(info + SI_CODE, 4) > 0:
            _, stack, error = REGISTERS[platform.machine()]
            told["address"], sp = _integer(info + SI_ADDR), _integer(context + stack)
            told["writes"] = None if error is None else bool(_integer(context + error) & WRITES)
            told["full"] = abs(told["address"] - sp) < NEAR and _left(sp) < LEFT
        os.write(2, f"\npoolproof-site {json.dumps(told)}\n".encode())

    def _frames(self, context: int) -> list[Any]:
        """Tell of the failing instruction and its callers: [file, address in it, function]."""
        failed = _integer(context + REGISTERS[platform.machine()][0])
        addresses = (ctypes.c_void_p * DEPTH)()
        found = [address or 0 for address in addresses[: self.library.backtrace(addresses, DEPTH)]]
        callers = found[found.index(failed) + 1 :] if failed in found else []
        frames = []
        for address in [failed, *(caller - 1 for caller in callers)]:  # an address of return is behind its call
            symbol = _Symbol()
            if self.library.dladdr(ctypes.c_void_p(address), ctypes.byref(symbol)) and symbol.file:
                name = symbol.name.decode(errors="replace") if symbol.name else ""
                frames.append([os.fsdecode(symbol.file), address - symbol.base, name])
        return frames


def _integer(address: int, size: int = 8) -> int:
    return int.from_bytes(ctypes.string_at(address, size), "little", signed=size == 4)


def _left(pointer: int) -> int:
    """Count the bytes that the stack at this address has left, or could yet be given."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            begin, end = (int(part, 16) for part in line.split(" ", 1)[0].split("-"))
            if begin - NEAR <= pointer < end:
                import resource

                most = resource.getrlimit(resource.RLIMIT_STACK)[0] if "[stack]" in line else end - begin
                return max(0, most - (end - pointer)) if most != resource.RLIM_INFINITY else 1 << 62
    return 1 << 62


# In the parent


def told(printed: bytes) -> str:
    """Put into words what a process has told of the place where it failed; "" where it has told of none."""
    lines = LINE.findall(printed.decode(errors="replace"))
    try:
        site = json.loads(lines[-1]) if lines else {"frames": []}
        frames = [(str(file), int(address), str(name)) for file, address, name in site["frames"]]
        words = [_access(site)] if "address" in site else []
    except (ValueError, KeyError, TypeError):  # it was not we who wrote it
        return ""
    others = [
        frame for frame in frames if not re.search(f"{RUNTIME}|{INTERPRETER}", frame[0]) and not _standard(frame[0])
    ]
    if others:
        words.append(f"in {_place(*others[0])}")
        if re.search(RUNTIME, frames[0][0]):
            words.append(f"which called {frames[0][2] or Path(frames[0][0]).name}")
    return ", ".join(words)


def _access(site: dict[str, Any]) -> str:
    address = int(site["address"])
    if site["full"]:
        return "its stack is full"
    how = {True: "it writes to", False: "it reads from"}.get(site["writes"], "it accesses")
    return f"{how} address {address:#x}" + (", a null pointer or near one" if address < FRESH else "")


def _standard(file: str) -> bool:
    """Whether a file is a part of Python's own library."""
    return file.startswith(str(Path(sysconfig.get_path("stdlib")))) and "site-packages" not in file


def _place(file: str, address: int, name: str) -> str:
    """Name a function, its library, and its line where that has debugging information."""
    function, line = name, ""
    try:
        found = subprocess.run(
            ["addr2line", "-C", "-f", "-e", file, hex(address)], capture_output=True, text=True, timeout=RESOLVING
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        found = []
    if len(found) == 2:
        function = name or ("" if found[0].startswith("??") else found[0])
        line = (
            "" if found[1].startswith("??") or found[1].endswith(":?") else re.sub(r" \(discriminator.*", "", found[1])
        )
    where = f"{Path(file).name}, {line}" if line else f"{Path(file).name}+{address:#x}"
    return f"{function} of {where}" if function else where
