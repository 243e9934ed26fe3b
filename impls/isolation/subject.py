"""A Subject whose implementation runs in a process of its own, asked in the same words as one in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from impls import places, probes
from impls.contract import Declarations
from impls.files import SpecError
from impls.isolation import failures, wire
from impls.isolation.printed import printable
from impls.isolation.process import LACKS_MEMORY, MANY, MORE_MEMORY, Limits, Process, running
from impls.subject import Subject

SIDES = ("right", "left")
RESULTS = -1  # among the numbers of the arrays that are passed


@dataclass(frozen=True)
class Asked:
    """What was asked: a call, or a probe by its name, with the side on which its arrays lay."""

    do: str
    operation: str
    arrays: Sequence[Any]
    parameters: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    side: str = "right"


class IsolatedSubject(Subject):
    """An implementation under test in a process of its own.

    fork: whether workers may be forked from a process that has imported it; else each is a fresh interpreter. python:
    the interpreter. Raises SpecError, in the words of the child,
    where it cannot be loaded. `call` and `probe` raise what the implementation raises, a Failure where the process
    gives no answer or its memory shows a fault, and LookupError as Subject does.
    """

    def __init__(
        self, spec: str, directory: Path, limits: Limits | None = None, *, fork: bool = True,
        python: str = sys.executable,
    ) -> None:  # fmt: skip
        try:
            self.process = Process(spec, directory, limits or Limits(), fork=fork, python=python)
        except ValueError as error:
            raise SpecError(str(error)) from None
        except failures.Failure as failure:
            raise SpecError(f"{spec} fails to import: {failure}") from failure
        told = self.process.told
        self.spec, self.name, self.script = spec, told["name"], tuple(told["script"])
        self.declared = _declared(told["declared"])
        self.has_supports = told["supports"]
        self._accepted = {name: None if names is None else frozenset(names) for name, names in told["offered"].items()}
        self._functions = {name: self._calling(name) for name in told["offered"]}
        self.side = SIDES[0]
        self.failed: tuple[Asked, failures.Failure] | None = None

    def __repr__(self) -> str:
        return f"IsolatedSubject({self.spec!r})"

    def begin(self, seed: int | None = None) -> None:
        """Take note that a property begins, or a case: its seed chooses the side on which arrays touch their guards."""
        if seed is None:
            self.process.calm()
            self.failed = None
        else:
            self.side = SIDES[seed // 2 % 2]

    def printed(self) -> str:
        """Tell what it has printed since the property began, as far as it is told."""
        return self.process.heard()

    def reason(self, operation: str, parameters: dict[str, Any]) -> Any:
        """Return what the implementation's own `supports` returns."""
        return self._ask(Asked("reason", operation, (), parameters))

    def call(self, operation: str, *arrays: Any, **parameters: Any) -> Any:
        """Call the operation and return what it returns; what it raises is raised."""
        self._function(operation)
        return self._ask(Asked("call", operation, arrays, parameters, side=self.side))

    def probe(
        self, name: str, operation: str, arrays: Sequence[Any], parameters: dict[str, Any], **options: Any
    ) -> dict[str, Any]:
        """Run an experiment of `impls.probes` in the implementation's process."""
        self._function(operation)
        if name == "prepared":
            self._function("prepare")
        if name == "left" and self.process.told["fork"]:
            self.process.fresh()  # in which nothing is left yet, and all the memory there is
        facts: dict[str, Any] = self._ask(Asked(name, operation, arrays, parameters, options, self.side))
        return facts

    def exchange(
        self,
        asked: Asked,
        *,
        at_edge: Container[int] | None = None,
        writable: Container[int] = (),
        allowed: int | None = None,
        shift: tuple[int, int] = (RESULTS, 0),
        memory: int = 1,
        watched: bool = False,
    ) -> dict[str, Any]:
        """Have the child do what is asked, and return its answer, with what has become of the inputs' memory.

        at_edge: all arrays but these lie loose; RESULTS is one. allowed: bytes past an array's end that may be read.
        writable: the inputs that may be written. shift: the number of an array that lies loose, and by how many bytes
        it lies further. memory: so many times its limit may be taken. watched: where it crashes, the failure has a
        site. "around": of each input that lies loose, what was written around it; "changed": which inputs were written.
        Raises a Failure.
        """
        held: list[np.ndarray] = []
        everything = [list(asked.arrays), asked.parameters, asked.options]
        encoded = wire.encoded(everything, lambda array: held.append(array) or len(held) - 1)  # type: ignore[func-returns-value]
        arena, allowed = self.process.arena, self.declared.over_reads if allowed is None else allowed
        arena.reserve(len(held), max((array.nbytes for array in held), default=0))
        side_of = {n: asked.side if at_edge is None or n in at_edge else "loose" for n in (RESULTS, *range(len(held)))}
        put = [
            arena.put(
                number,
                array,
                side_of[number],
                allowed if side_of[number] == "right" else 0,
                shift[1] if number == shift[0] else 0,
            )
            for number, array in enumerate(held)
        ]
        answer = self.process.ask(
            {
                "at_once": memory * probes.at_once(asked.do, asked.options),
                "do": asked.do, "operation": asked.operation, "capacity": arena.capacity,
                "writable": [number for number in range(len(held)) if number in writable],
                "side": side_of[RESULTS], "shift": shift[1] if shift[0] == RESULTS else 0,
                "allowed": allowed, "watched": watched, "arrays": encoded, "put": put,
                "bytes": sum(array.nbytes for array in held),
            }
        )  # fmt: skip
        written = [number for number in range(len(held)) if number in writable]
        loose = [number for number in written if side_of[number] == "loose"]
        answer["around"] = {number: found for number in loose if (found := arena.written_around(put[number]))}
        answer["changed"] = [number for number in written if not arena.holds(put[number], held[number])]
        return answer

    def _ask(self, asked: Asked) -> Any:
        try:
            answer = self.exchange(asked)
            for finding in answer["wrong"]:
                raise blame(*finding)
            if "raised" not in answer:
                return self._found(answer)
        except failures.Failure as failure:
            self.failed = asked, failure
            raise
        name, refusal, said = answer["raised"]
        if self.process.limits.memory and LACKS_MEMORY.search(f"{name}: {said}"):
            said += MORE_MEMORY
        error = failures.raised(printable(name), refusal)(printable(said))
        if answer["place"]:
            places.put(error, answer["place"])
        raise error

    def _found(self, answer: dict[str, Any]) -> Any:
        """Read what was returned. Raises Garbled where that cannot be: a ValueError of ours is no refusal."""
        try:
            return wire.decoded(answer["found"], self.process.results.get)
        except Exception as error:
            raise failures.Garbled(f"its answer cannot be read: {type(error).__name__}: {error}") from error

    def _calling(self, operation: str) -> Callable[..., Any]:
        return lambda *arrays, **parameters: self.call(operation, *arrays, **parameters)


def _declared(told: dict[str, Any]) -> Declarations:
    """Make declarations of what JSON has made of them."""
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    values["limits"] = {letter: tuple(allowed) for letter, allowed in told["limits"].items()}
    return Declarations(**values)


def blame(kind: str, number: Any, *facts: Any) -> failures.Failure:
    """Make the failure that the child has found in the memory of a result, or around an input that a probe laid out.

    "full": there was none for a slot of so many bytes, when so many more threads ran than before the first call.
    """
    if kind == "full":
        threads = f", {running(facts[0])}" if facts[0] >= MANY else ""
        return failures.OutOfMemory(f"the process had no memory left for {number:,} bytes{threads}{MORE_MEMORY}")
    if kind == "around":
        return failures.WroteAround(wrote("an input", number, *facts))
    result = number if isinstance(number, str) else "the result" if number == 0 else f"result {number + 1}"
    if kind == "unwritten":
        count, total, first = facts
        where = ", ".join(map(str, first))
        return failures.LeftUnwritten(
            f"{count} of {total} cells of {result} were never written, the first at [{where}], "
            "or added to before they were set"
        )
    distance, count = facts
    return failures.WroteAround(wrote(result, kind, distance, count))


def wrote(what: str, kind: str, distance: int, count: int) -> str:
    """Tell of bytes that were written around an array."""
    if kind == "before":
        far = "" if distance == count else f", the first of them {distance:,} bytes before it"
        return f"it writes {count:,} bytes before the start of {what}{far}"
    return f"it writes {count:,} bytes past the end of {what}" + (f", {distance:,} bytes past it" if distance else "")
