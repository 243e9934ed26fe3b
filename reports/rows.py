"""What is recorded: the verdicts by name, the row and the run. These names are the schema of every stored file.

Standard library only, since conftest.py imports it before the first example.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reports import nearness

SCHEMA = 4  # raised whenever a name below changes

# Worst first. Agreement outranks what was not reached or is not offered: where one dtype agrees, the fold agrees, and
# says that a part is open.
VERDICTS = {
    "wrote or read out of bounds": "it touched memory that is not its own",
    "crashed": "its process died; the reason names the signal",
    "hung": "it gave no answer in time",
    "changed its input": "an array that it was given held other values after the call",
    "differs": "an output lies farther from the definition than rounding can explain",
    "accepted what must be refused": "it answered where the contract owes a ValueError",
    "refused what is valid": "it raised ValueError where the contract owes an answer",
    "raised": "it raised something else where the contract owes an answer",
    "nondeterministic": "the same call gave other bits",
    "left its process changed": "after a call a mode was another, or a thread, a file or memory stayed in use",
    "printed too much": "a call printed so much that nothing else in a log is found",
    "no verdict": "it was planned, and the run or its process ended before it answered",
    "mistrusted": "nothing differs, yet the evidence is too thin to call it agreement",
    "expected": "it fails, and the user has listed it with a reason",
    "agrees": "it was checked in so many cases, and held in each",
    "not reached": "it was left out: the budget was spent, or a failure came first",
    "unsupported": "it declares that it does not offer this",
}
PASSES = frozenset({"agrees", "unsupported", "expected", "not reached"})
_SEVERITY = {name: rank for rank, name in enumerate(VERDICTS)}


class LedgerError(Exception):
    """A results file that cannot be used, in one line that names the file and the remedy."""


def fails(verdict: str) -> bool:
    """Whether this verdict makes the exit status 1."""
    return verdict not in PASSES


def worst(verdicts: Iterable[str]) -> str:
    """Choose the most severe of some verdicts."""
    return min(verdicts, key=_SEVERITY.__getitem__)


def severity(verdict: str) -> int:
    """Rank a verdict, the worst 0; what is no verdict comes last."""
    return _SEVERITY.get(verdict, len(_SEVERITY))


def utc_now() -> str:
    """Write the time as ISO 8601 in UTC, to the second: these strings sort by time."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def new_id() -> str:
    """Name a run: names sort by time, and runs that start in the same second still differ."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@dataclass(frozen=True)
class Row:
    """What was found of one implementation in one property, operation and dtype.

    `dtype` is "" where a row speaks of the operation as a whole: not offered, not reached, or planned and unanswered.
    `worst_ratio` is the largest error in units of its bound: None where nothing is measured, inf where the bound is 0.
    `nearness` counts the cases that have a bound by their largest error, as reports/nearness.py writes it; `mistrusted`
    the cases on random data whose true outputs are nearly all zero; `integers` the cases on random integers of what is
    linear or bilinear, and `missed` adds up how likely at most each of them misses a wrong map.
    `case` is the (shrunk) case's line. NumPy numbers become Python's, so that a row can travel between processes.
    """

    property: str
    title: str
    level: str
    operation: str
    dtype: str
    implementation: str
    verdict: str
    reason: str = ""
    examples: int = 0
    elements: int = 0
    unsupported: int = 0
    mistrusted: int = 0
    integers: int = 0
    missed: float = 0.0
    worst_ratio: float | None = None
    nearness: str = ""
    case: str = ""
    message: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        for name in _TEXTS:
            object.__setattr__(self, name, _text(name, getattr(self, name)))
        for name in ("examples", "elements", "unsupported", "mistrusted", "integers"):
            object.__setattr__(self, name, operator.index(getattr(self, name)))
        for name in ("missed", "seconds"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if self.worst_ratio is not None:
            ratio = float(self.worst_ratio)
            # NaN compares with nothing and would vanish from every maximum
            object.__setattr__(self, "worst_ratio", math.inf if math.isnan(ratio) else ratio)
        nearness.counted(self.nearness)
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict {self.verdict!r} is none of: {', '.join(VERDICTS)}")

    def key(self) -> tuple[str, str, str, str]:
        """Name what identifies a row within its run."""
        return self.property, self.operation, self.dtype, self.implementation

    def check(self) -> tuple[str, str, str]:
        """Name what is planned, and answered by one row or more: a property of an operation of an implementation."""
        return self.property, self.operation, self.implementation

    def not_offered(self) -> bool:
        """Whether the implementation lacks the whole operation, not only a dtype or some geometries of it."""
        return self.verdict == "unsupported" and not self.dtype

    def cut_short(self) -> bool:
        """Whether it agrees in fewer cases than were wanted: the reason says why."""
        return self.verdict == "agrees" and bool(self.reason)

    def to_json(self) -> dict[str, Any]:
        """Return a dict of JSON's own types; an infinite ratio is the string "inf", as JSON has no infinity."""
        content = dataclasses.asdict(self)
        return content | {"worst_ratio": "inf"} if self.worst_ratio == math.inf else content

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Row:
        """Invert `to_json`. Raises ValueError or TypeError naming what is unknown, missing or wrong."""
        _expect_fields(cls, content)
        return cls(**content | {"worst_ratio": math.inf} if content.get("worst_ratio") == "inf" else content)


def unanswered(identity: str, title: str, level: str, operation: str, implementation: str) -> Row:
    """Return the row that stands for a planned check until there is a verdict; `identity` is the property's."""
    reason = "the run or its process ended before it answered"
    return Row(identity, title, level, operation, "", implementation, "no verdict", reason)


_TEXTS = tuple(each.name for each in dataclasses.fields(Row) if each.type == "str")


@dataclass(frozen=True)
class Run:
    """One invocation: when, how, on what machine, of which implementations.

    `machine` has processor, cores, python, platform; `versions` the libraries. Each of `implementations` has spec (what
    rows call it), name, version, declarations (name -> text) and missing (why it could not be loaded, or "").
    `finished` is None where the run was cut off. `planned` counts the checks that it set out to make, each of one
    property, operation and implementation; None where that was not entered.
    """

    id: str
    started: str
    command: str
    seed: int | str | None
    profile: str
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    implementations: list[dict[str, Any]] = field(default_factory=list)
    finished: str | None = None
    exit_status: int | None = None
    planned: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a dict of JSON's own types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Run:
        """Invert `to_json`. Raises ValueError naming what is unknown or missing, TypeError what is of a wrong type."""
        _expect_fields(cls, content)
        run = cls(**content)
        for name, kind in _KINDS.items():
            if not isinstance(getattr(run, name), kind):
                raise TypeError(f"{name} must be {kind.__name__}, got {getattr(run, name)!r}")
        if not all(isinstance(each, dict) for each in run.implementations):
            raise TypeError(f"implementations must be objects, got {run.implementations!r}")
        return run


_KINDS = {
    "id": str,
    "started": str,
    "command": str,
    "profile": str,
    "machine": dict,
    "versions": dict,
    "implementations": list,
}


def _expect_fields(cls: type, content: dict[str, Any]) -> None:
    if not isinstance(content, dict):
        raise TypeError(f"an object is needed, got {content!r}")
    known = {each.name: each for each in dataclasses.fields(cls)}
    if unknown := [name for name in content if name not in known]:
        raise ValueError(f"unknown {', '.join(unknown)}")
    absent = dataclasses.MISSING
    needed = [name for name, each in known.items() if each.default is absent and each.default_factory is absent]
    if missing := [name for name in needed if name not in content]:
        raise ValueError(f"lacks {', '.join(missing)}")


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, got {value!r}")
    return value.encode("utf-8", "backslashreplace").decode()  # a lone surrogate has no place in a file
