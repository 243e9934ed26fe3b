"""The process that an implementation runs in. Python 3.9, NumPy 1.21.

It imports the implementation and, where it may fork, stays a template that never calls it: each worker is forked from
it, and when one dies the template tells of what and forks the next.
"""

from __future__ import annotations

import faulthandler
import json
import math
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from impls import layouts, outputs, places, registry, surroundings
from impls import subject as subjects
from impls.contract import ARRAYS
from impls.isolation import crash_site, framing, wire
from impls.isolation.guardian import ASKED, ASKED_PYTHON, die_with_parent
from impls.isolation.made import OTHER, Made
from impls.isolation.memory import Copies, Ended, Given, NoRoomError, Outputs, Results, own

STACKS = 32 << 20  # bytes that the threads of one core may take for stacks
EXPANSION = 64  # bytes that a call may take for each byte of its arrays: im2col of a 7 by 7 window takes 49
COUNTING = 0.05  # seconds for which a count of threads is taken to hold
ENDING = 0.02  # seconds that a thread which has ended may still be counted


def main() -> None:
    """Serve calls; the arguments are the numbers of the status channel and the two memories, and settings in JSON.

    Each worker gets its channel through the status channel: what an earlier one left unread, none will read.
    """
    status, arrays, results = (int(number) for number in sys.argv[1:4])
    settings = json.loads(sys.argv[4])
    faulthandler.enable()
    faulthandler.register(ASKED_PYTHON)
    tell = socket.socket(fileno=status)
    try:
        worker = Worker(settings, arrays, results)
    except ValueError as error:
        framing.send(tell, {"refused": str(error)})
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, nothing tells how a process ended
    fork = settings["fork"] and may_fork()
    framing.send(tell, {**worker.told(), "fork": fork, "held": own("VmRSS")})
    while True:
        _, descriptors, _, _ = socket.recv_fds(tell, 1, 1)
        if not descriptors:
            return
        channel = socket.socket(fileno=descriptors[0])
        template, pid = os.getpid(), os.fork() if fork else 0
        if pid == 0:
            if fork:
                die_with_parent(signal.SIGKILL, template)
            tell.close()  # which is not for what is written to a wrong descriptor
            worker.serve(channel)
            os._exit(0)
        channel.close()
        _, ended, used = os.wait4(pid, 0)
        framing.send(tell, {"ended": ended, "peak": used.ru_maxrss << 10})


@contextmanager
def streams_kept() -> Iterator[None]:
    """Open again what an import closes of standard input, output and error: else another file gets the number."""
    kept = [os.dup(number) for number in range(3)]
    try:
        yield
    finally:
        for number, copy in enumerate(kept):
            try:
                os.fstat(number)
            except OSError:
                os.dup2(copy, number)
            os.close(copy)


def may_fork() -> bool:
    """Whether what was imported stands it: neither threads nor a GPU in use.

    A library whose threads stand it, as OpenBLAS, ends them at a fork and starts others when it next needs them: the
    threads that there are after a fork count.
    """
    torch = sys.modules.get("torch")
    if threading.active_count() > 1 or (torch is not None and torch.cuda.is_initialized()):
        return False
    trial = os.fork()
    if trial == 0:
        os._exit(0)
    os.waitpid(trial, 0)
    end = time.monotonic() + ENDING
    while len(os.listdir("/proc/self/task")) > 1:
        if time.monotonic() > end:
            return False
        time.sleep(ENDING / 20)
    return True


def text(error: BaseException) -> str:
    """Give what an error says, or "" where its `__str__` fails."""
    try:
        return str(error)
    except Exception:
        return ""


class Worker:
    """An implementation, and the memory that it is given and gives back. Raises ValueError as registry.subject does."""

    def __init__(self, settings: dict[str, Any], arrays: int, results: int) -> None:
        subjects.ended = Ended(settings["ended"]).note
        with streams_kept():
            self.subject = registry.subject(settings["spec"], Path(settings["directory"]))
        self.subject.began = surroundings.lasting(shared=True)
        self.given, self.results = Given(arrays), results
        self.outputs, self.copies = Outputs(), Copies()
        outputs.allocate, outputs.ahead = self.outputs.allocate, self.outputs.ahead
        layouts.place = self.copies.place
        self.made = Made(self.subject.functions)

    def told(self) -> dict[str, Any]:
        """Tell what the parent must know of the implementation."""
        subject = self.subject
        accepted = {name: subject.accepted(name) for name in subject.offered}
        return {
            "name": subject.name,
            "declared": asdict(subject.declared),
            "script": list(subject.script),
            "offered": {name: None if names is None else sorted(names) for name, names in accepted.items()},
            "supports": subject.has_supports,
        }

    def serve(self, channel: socket.socket) -> None:
        """Answer until the parent closes the channel."""
        held, stacks = own("VmData"), (os.cpu_count() or 1) * STACKS
        results, self.threads = Results(self.results), surroundings.threads()
        self.counted, self.running = 0.0, 0
        asked = crash_site.Watch([ASKED])
        framing.send(channel, {"pid": os.getpid()})
        while True:
            message = framing.receive(channel)
            if message is None:
                return
            results.used = 0
            if message["memory"]:
                most = (message["memory"] + stacks) * message["at_once"]
                limit = held + most + EXPANSION * message["bytes"]
                most_there_is = resource.getrlimit(resource.RLIMIT_DATA)[1]  # which only root may raise
                if most_there_is != resource.RLIM_INFINITY:
                    limit = min(limit, most_there_is)
                resource.setrlimit(resource.RLIMIT_DATA, (limit, most_there_is))
            watch = crash_site.Watch(crash_site.CRASHES, self.nearest) if message["watched"] else None
            answer = self.answer(message, results)
            if watch is not None:
                watch.end()
            answer["threads"] = self.started()
            try:
                framing.send(channel, answer)
            except OSError:  # the parent does not wait for it any more, or the channel was closed here
                asked.end()
                return

    def answer(self, message: dict[str, Any], results: Any) -> dict[str, Any]:
        """Make one call and tell what came of it."""
        self.given.begin(message["capacity"], message["writable"])
        for pool in (self.outputs, self.copies, self.made):
            pool.begin(message["side"], message["shift"])
        self.copies.allowed = message["allowed"]
        do, operation = message["do"], message["operation"]
        put = self.put = message["put"]
        self.named = ARRAYS[operation], message["arrays"][0] if do == "call" else []
        arrays, parameters, options = wire.decoded(message["arrays"], lambda number: self.given.get(put[number]))
        try:
            if do == "call":
                found = self.made.call(lambda: self.subject.call(operation, *arrays, **parameters))
            elif do == "reason":
                found = self.subject.reason(operation, parameters)
            else:
                found = self.subject.probe(do, operation, arrays, parameters, **options)
            return {"found": wire.encoded(found, results.put), "wrong": self.findings(found)}
        except NoRoomError as error:
            return {"wrong": [["full", error.args[0], self.started()]]}
        except BaseException as error:
            name, refusal = type(error).__name__, isinstance(error, ValueError)
            said = text(error)[:5000]
            wrong = [finding for finding in self.findings() if finding[0] != "unwritten"]
            return {"raised": [name, refusal, said], "place": places.noted(error), "wrong": wrong}

    def started(self) -> int:
        """Count the threads that calls have started and not ended, as they were a moment ago at most."""
        if time.monotonic() > self.counted + COUNTING:
            self.counted, self.running = time.monotonic(), surroundings.threads() - self.threads
        return self.running

    def nearest(self, address: int) -> list[Any] | None:
        """Say at which array of the call an address lies: [name, where, bytes]."""
        names = [name for name, array in zip(*self.named) if array is not None]  # noqa: B905 - Python 3.9
        for number, offset, dtype, shape in self.put:
            slot = self.given.slots.get(number)
            place = slot and slot.place(address, offset, math.prod(shape) * np.dtype(dtype).itemsize)
            if place:
                return [names[number] if number < len(names) else "an input", *place]
        made = self.made.living + self.made.taken
        for taken, name in ((self.outputs.taken, "the result"), (self.copies.taken, "an array"), (made, OTHER)):
            for slot, offset, size, *_ in taken:
                place = slot.place(address, offset, size)
                if place:
                    return [name, *place]
        return None

    def findings(self, found: Any = None) -> list[Any]:
        """Tell what is wrong with the memory of results, and around the arrays that a probe, or a file, has made."""
        return self.outputs.findings() + self.copies.findings() + self.made.findings(found)
