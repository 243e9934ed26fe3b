"""The parent's hold on the process that an implementation runs in: started, asked, watched, and ended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impls.isolation import crash_site, framing, heap_lock
from impls.isolation.environment import environment
from impls.isolation.failures import Exited, Failure, Garbled, Hung, OutOfMemory, Printed, crashed
from impls.isolation.guardian import ASKED, ASKED_PYTHON
from impls.isolation.memory import Arena, Ended, Results
from impls.isolation.printed import KEPT, folded, words

ROOT = Path(__file__).parents[2]
STARTING, LONGER = 60.0, 3  # seconds for an import, or so many times the limit of a call
FORKING = 10.0  # seconds for a worker of a process that has imported all; one that was stopped makes none
LARGE = 1 << 23  # bytes of arrays for which a call may take as long again
LEAST = 0.1  # seconds to which the limit is lowered after a call that hung,
PATIENCE = 20  # or this many times the slowest good call
LOOKING = 0.5  # seconds between two looks at whether a process waits for the lock of its own heap
SPEAKING = 0.05  # seconds in which a process that hangs tells where
ENDING = 2.0  # seconds in which a process that has closed its channel ends
ALL_ENDING = 10.0  # seconds in which all that it has begun ends
LOUD = 1 << 20  # bytes that a call may print
LESS = 8  # after a call that took all memory, others have so many times less

LACKS_MEMORY = re.compile(
    r"MemoryError|bad_alloc|OutOfMemory|out of memory|can(no|')t allocate|can't start new thread|thread creation failed"
    r"|pthread_create|Resource temporarily unavailable|failed to allocate|alloc\w*( of .*)? failed"
    r"|\b(no|not enough|insufficient)( more)? memory",
    re.IGNORECASE,
)
HEAP_LOCKED = "waits for the lock of its own heap, where an assertion of malloc() has failed"
MANY = 16 + 4 * (os.cpu_count() or 1)  # threads: as many stacks may be why memory is full
MORE_MEMORY = "; --memory-limit gives calls more"
AFTER_ALL_OF_IT = ", which is what calls have after one that took all memory"
MORE_TIME = "; --call-limit gives a call more"
AFTER_A_HANG = f", which is what calls have after one that hung{MORE_TIME}"
# what faulthandler prints
FRAME = re.compile(r'  File "([^"]+)", line (\d+) in (\S+)')
THREAD = re.compile(r"^(Current thread|Thread) 0x.*\n", re.MULTILINE)
CALLERS = {str(ROOT / "impls" / name) for name in ("subject.py", "probes.py", "bridges.py", "outputs.py")}


class Unchecked(Failure):
    """What checks memory has locked the heap of a process that was forked: it is made again, unchecked."""


@dataclass(frozen=True)
class Limits:
    """Seconds for a call on small arrays, and bytes that it may take beyond what is held after the import; 0: any."""

    seconds: float = 10.0
    memory: int = 1 << 29


class Process:
    """A child of one implementation, `told` what it is. Raises ValueError, in its words, where it cannot be loaded.

    It ends with this object, and with the thread that started it.
    """

    def __init__(
        self, spec: str, directory: Path, limits: Limits, *, fork: bool = True, python: str = sys.executable
    ) -> None:
        self.settings: dict[str, Any] = {"spec": spec, "directory": str(directory), "fork": fork}
        self.settings["suite"] = os.getpid()
        self.limits, self.python = limits, python
        self.arena, self.results, self.calls = Arena(), Results(), Ended()
        self.settings["ended"] = self.calls.fd
        weakref.finalize(self, _close, self.arena.fd, self.results.fd, self.calls.fd)
        self.slowest = 0.0
        self.allow(limits.seconds)
        self.starting = max(STARTING, LONGER * limits.seconds)
        self.printed, self.loud, self.at_once = b"", 0, 1
        self.memory, self.checked = limits.memory, True
        self._start()

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send a message and return the answer. Raises a Failure, with a new worker in place of the one that failed."""
        if self.talk is None:
            self._again()
        assert self.talk is not None
        self._listen()
        self.said, self.loud, self.at_once = b"", 0, message["at_once"]
        message["memory"] = self.memory
        began = time.perf_counter()
        try:
            with contextlib.suppress(ConnectionError):  # it is told in the answer
                framing.send(self.talk, message)
            answer = self._answer(self.talk, self.limit * (1 + message["bytes"] / LARGE))
        except Failure as failure:
            if isinstance(failure, Unchecked):
                self.checked = False
                self._again(imported=False)
                return self.ask(message)
            if isinstance(failure, Hung) and (less := max(LEAST, PATIENCE * self.slowest)) < self.limit:
                self.allow(less, AFTER_A_HANG)
            if isinstance(failure, OutOfMemory):
                self.memory = self.limits.memory // LESS
            self._again()
            raise
        except BaseException:  # such as Ctrl-C: an answer that comes late is not the next one's
            self._abandon()
            raise
        self.slowest = max(self.slowest, time.perf_counter() - began)
        self.threads = answer["threads"]
        return answer

    def allow(self, seconds: float, hint: str = MORE_TIME) -> None:
        """Give a call so many seconds from now on; hint: why one that hangs had no more, or what gives it more."""
        self.limit, self.hint = seconds, hint

    def calm(self) -> None:
        """Give calls the whole time limit and memory again, and forget what was printed."""
        self._listen()
        self.allow(self.limits.seconds)
        self.memory = self.limits.memory
        self.printed = b""

    def heard(self) -> str:
        """Tell the end of what the implementation has printed since, equal lines once."""
        self._listen()
        return folded(words(self.printed).splitlines(), more=len(self.printed) >= KEPT)

    def fresh(self) -> None:
        """Put a worker that has not been called in the place of this one."""
        self._again()

    # its life

    def _start(self) -> None:
        """Start the interpreter, and wait until the implementation is imported and a worker ready."""
        self.status, tell = socket.socketpair()
        self.out, printed = os.pipe()
        os.set_blocking(self.out, False)
        passed = (tell.fileno(), self.arena.fd, self.results.fd, self.calls.fd)
        # a file of the user's folder must not stand in for one of the standard library
        code = f"import sys; sys.path[:] = [{str(ROOT)!r}, *filter(None, sys.path)]; "
        self.running: subprocess.Popen[bytes] = subprocess.Popen(
            [self.python, "-u", "-c", f"{code}from impls.isolation.guardian import main; main()",
             *map(str, passed[:3]), json.dumps(self.settings)],
            pass_fds=passed, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed, start_new_session=True,
            env=environment(checked=self.checked), cwd=self.settings["directory"],
        )  # fmt: skip
        tell.close()
        os.close(printed)
        self.talk: socket.socket | None = None
        self.ended, self.worker, self.threads, self.said = True, 0, 0, b""
        self.poll = select.poll()
        self.poll.register(self.out, select.POLLIN)
        self.open = [self.status]
        self.end = weakref.finalize(self, _end, self.running, self.open, self.out)
        try:
            self.poll.register(self.status, select.POLLIN)
            told = self._answer(self.status, self.starting)
            self.poll.unregister(self.status)
            if "refused" in told:
                raise ValueError(told["refused"])
            if "ended" in told:
                raise self._failed(told["ended"], 0)
            self.told = told
            self._worker()
        except BaseException:
            self.end()
            raise

    def _worker(self) -> None:
        """Hand a channel to the process, which puts a worker behind it."""
        self.talk, theirs = socket.socketpair()
        self.open.append(self.talk)
        self.poll.register(self.talk, select.POLLIN)
        with theirs:
            socket.send_fds(self.status, [b"."], [theirs.fileno()])
        self.poll.register(self.status, select.POLLIN)  # a child of a worker that died may hold its channel open
        self.ended, self.worker, self.threads = False, 0, 0
        self.worker = int(self._answer(self.talk, FORKING)["pid"])

    def _abandon(self) -> None:
        """End the worker if it still runs."""
        if self.talk is not None:
            self.poll.unregister(self.talk)
            self.poll.unregister(self.status)
            self.open.remove(self.talk)
            self.talk.close()
            self.talk = None
        if not self.ended and self.worker:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.worker, signal.SIGKILL)
            self._outcome()
        elif not self.ended:
            self.end()

    def _again(self, *, imported: bool = True) -> None:
        """Put a new worker in the place of this one, of what is `imported` where it may be forked."""
        self._abandon()
        if imported and self.told["fork"] and self.running.poll() is None:
            with contextlib.suppress(OSError, Failure):
                self._worker()
                return
        self.end()
        try:
            self._start()
        except ValueError as error:
            raise Exited(f"it could be loaded once, and not again: {error}") from None

    def _outcome(self) -> tuple[int | None, int]:
        """Wait for the worker to end: its wait status, None where it does not end, and the memory that it took."""
        self.status.settimeout(ENDING)
        with contextlib.suppress(OSError, ValueError):
            told = framing.receive(self.status)
            if told is not None:
                self.ended = True
                return int(told["ended"]), told["peak"] - self.told["held"]
        return None, 0

    # what it says

    def _answer(self, channel: socket.socket, seconds: float) -> Any:
        """Wait for a message, so long for each call that is made. Raises a Failure where none comes."""
        began, received, number = time.monotonic(), b"", channel.fileno()
        before, _ = self.calls.get()
        waits: tuple[int, int] | None = None
        child: tuple[int, int] | None = None
        if self.worker:
            with contextlib.suppress(ConnectionError):  # it is told below
                received = framing.early(channel)
        while True:
            try:
                if not framing.missing(received):
                    return framing.read(received)
            except ValueError:
                raise Garbled("it wrote into its channel to the suite") from None
            calls, ended = self.calls.get()
            left = max(began, ended) + seconds - time.monotonic()
            events = self.poll.poll(min(left, LOOKING) * 1000) if left > 0 else ()
            if not events and left > LOOKING:
                waited, waits = waits, heap_lock.waits(self.worker) if self.worker else None
                if waits and waits == waited:
                    raise crashed(signal.SIGABRT)(f"the process {HEAP_LOCKED}{self._last_words()}")
                waited, child = child, heap_lock.child_waits(self.worker) if self.checked and self.worker else None
                if child and child == waited:
                    raise Unchecked
            elif not events and self.calls.get()[1] <= ended:
                after = f", after {calls - before} calls that gave one" if calls > before else ""
                hint = self.hint if self.worker else "; --call-limit gives it more"
                stack, site = self._stack(), crash_site.told(self.said)
                within = f"\n  site   {site.words}" if site.words else ""
                raise Hung(f"there was no answer in {seconds:.3g} s{after}{hint}{stack}{within}")
            for ready, _ in events:
                if ready == self.out:
                    self._listen()
                    if self.worker and self.loud > LOUD * (self.calls.get()[0] - before + self.at_once):
                        raise Printed(f"it printed more than {LOUD >> 20} MiB in one call{self._last_words()}")
                elif ready == number:
                    more = b""
                    with contextlib.suppress(ConnectionError):
                        more = channel.recv(framing.missing(received))
                    if not more:
                        raise self._died(channel)
                    received += more
                elif ready == self.status.fileno() and not received:
                    raise self._died(channel)

    def _died(self, channel: socket.socket) -> Failure:
        """Make the failure of a process that has closed its channel, as it does when it ends."""
        status, grown = (None, 0) if channel is self.status else self._outcome()
        self._listen()
        if status is None:
            return Exited("it closed its channel to the suite")
        return self._failed(status, grown)

    def _failed(self, status: int, grown: int) -> Failure:
        """Make the failure of a process that has ended so, when it had taken so much memory."""
        code = os.waitstatus_to_exitcode(status)
        kind: type[Failure] = crashed(-code) if code < 0 else Exited
        how = f"died of {kind.__name__} ({kind.__doc__})" if code < 0 else f"ended itself, with status {code}"
        if code == 0:
            how += ", or closed its channel to the suite"
        most = self.memory * self.at_once
        if code != 0 and most and grown > most * 3 // 4:
            less = AFTER_ALL_OF_IT if self.memory < self.limits.memory else ""
            kind, how = OutOfMemory, f"{how}, when it had taken {grown >> 20:,} MiB of memory{less}"
        many = code != 0 and self.threads >= MANY
        how += f", {running(self.threads)}" if many else ""
        words = self._where() if code < 0 else self._last_words()
        lacks = kind is OutOfMemory or (most and (many or LACKS_MEMORY.search(words)))
        failure = kind(f"the process {how}{MORE_MEMORY if lacks else ''}{words}")
        failure.site = crash_site.told(self.said)
        return failure

    def _stack(self) -> str:
        """Ask a process that hangs where it is."""
        self._listen()
        if self.worker:
            self._ask_where(self.worker, ASKED)
        if not THREAD.search(
            self.said.decode(errors="replace")
        ):  # it hangs before there is one, or holds Python's lock
            self._ask_where(self.worker or self.running.pid, ASKED_PYTHON)
        return self._where(hangs=True)

    def _ask_where(self, process: int, question: int) -> None:
        """Send a process a signal, and read what it tells."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, question)
        wait, end = SPEAKING, time.monotonic() + SPEAKING
        while time.monotonic() < end and select.select([self.out], [], [], wait)[0]:
            self._listen()
            wait = SPEAKING / 10  # it tells line by line

    def _where(self, *, hangs: bool = False) -> str:
        """Read, from what faulthandler has printed, the innermost line of its author's, else of a library.

        It is of the thread that failed; where a call hangs, of one in which a call was made, if only by a bridge.
        """
        parts = THREAD.split(self.said.decode(errors="replace"))[1:]
        dumps = [(kind, FRAME.findall(dump)) for kind, dump in zip(parts[::2], parts[1::2], strict=True)]
        threads = [frames for kind, frames in dumps if kind == "Current thread"][-1:]
        if hangs:
            threads += [frames for _, frames in dumps if any(file in CALLERS for file, *_ in frames)]
        for ours in (_authors, _shown, *([_bridging] if hangs else [])):
            for frame in (frame for thread in threads for frame in thread if ours(frame[0])):
                return "\n  at     {}:{} in {}".format(*frame) + self._last_words()
        return self._last_words()

    def _last_words(self) -> str:
        """The last two different lines that it has printed, faulthandler's left out."""
        lines = [*dict.fromkeys(reversed(words(self.said).splitlines()))][:2]
        return "".join(f"\n  said   {line[:200]}" for line in reversed(lines))

    def _listen(self) -> None:
        """Take what was printed, and keep its end."""
        if not self.end.alive:
            return
        with contextlib.suppress(BlockingIOError, KeyError):
            more = os.read(self.out, 1 << 17)
            if not more:  # whatever had it open has ended
                self.poll.unregister(self.out)
            self.loud += len(more)
            self.said = (self.said + more)[-KEPT:]
            self.printed = (self.printed + more)[-KEPT:]


def _shown(file: str) -> bool:
    """Whether a line of this file tells where a call is: it is none of ours."""
    return file not in CALLERS and Path(file).is_file() and not Path(file).is_relative_to(ROOT / "impls" / "isolation")


def _authors(file: str) -> bool:
    """Whether a file is the implementation's own."""
    return _shown(file) and "/lib/python3" not in file


def _bridging(file: str) -> bool:
    """Whether a file calls what is no Python: where that hangs there is no other line."""
    return file == str(ROOT / "impls" / "bridges.py")


def running(threads: int) -> str:
    """Tell of threads that may be why a call has failed."""
    return f"when {threads:,} threads that calls had started, and not ended, were running in it"


def _close(*numbers: int) -> None:
    for number in numbers:
        os.close(number)


def _end(running: subprocess.Popen[bytes], sockets: list[socket.socket], out: int) -> None:
    """End the process and all that it has begun."""
    running.terminate()
    try:
        running.wait(ALL_ENDING)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()
    for each in sockets:
        each.close()
    os.close(out)
