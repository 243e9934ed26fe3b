"""Findings: what is wrong in an engine, each with a record and a script that shows it.

Standard library only: a finding can be told without any engine.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
KINDS = {
    "wrong value": "an output is not the number that its documentation defines",
    "wrong shape": "an output has another shape than its documentation defines, or than its own inference says",
    "contradiction": "two of the engine's own ways to the same result disagree",
    "crash": "the process dies, or memory that is not the call's own is touched",
    "accepted": "it answers where its documentation says that it refuses",
    "refused": "it refuses where its documentation says that it answers",
}
OPERATIONS = ("conv2d", "conv2d_backward", "max_pool2d", "max_pool2d_backward", "avg_pool2d", "avg_pool2d_backward",
              "lp_pool2d", "lp_pool2d_backward", "max_unpool2d", "conv_transpose2d")  # fmt: skip


class RecordError(Exception):
    """A record that cannot be used, in one line that names the file and what would be accepted."""


@dataclass(frozen=True)
class Finding:
    """One root cause in one engine.

    `seen` are the releases of `package` in which the script was run and met the fault, `unseen` those in which it was
    run and did not; `also` names what else the script imports, such as the format that the engine reads. `rate` says
    how often random cases meet it, `thread` where it is known: "" where that is not known. `processor` is the vendor of
    the processors that it was met on, in the letters of CPUID, where others have it not or were not looked at.
    """

    name: str
    title: str
    engine: str
    package: str
    also: tuple[str, ...]
    operation: str
    kind: str
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    case: str
    got: str
    want: str
    documentation: str
    source: str
    rate: str
    thread: str
    processor: str = ""

    @property
    def script(self) -> Path:
        """The script: it exits with 1 where the fault is present, 0 where it is mended, 2 without the engine."""
        return FOLDER / self.name / "repro.py"

    @property
    def current(self) -> bool:
        """Whether the latest release that it was run in has it."""
        return max(map(release, self.seen)) > max(map(release, self.unseen), default=())

    def expects(self, version: str) -> bool | None:
        """Whether this release has the fault, as the nearest release at or below it; None where none is recorded.

        A release above all that are recorded is taken to be as the last of them, until it is run.
        """
        known = {release(each): True for each in self.seen} | {release(each): False for each in self.unseen}
        below = [each for each in known if each <= release(version)]
        return known[max(below)] if below else None


def release(version: str) -> tuple[int, ...]:
    """A release as numbers that compare: 2.10.1 is after 2.9; a suffix such as +cpu or rc1 says nothing."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    if numbers is None:
        raise ValueError(f"release {version!r}: accepted are numbers with points, such as 2.10.1")
    return tuple(int(part) for part in numbers[0].split("."))


def read(folder: Path) -> Finding:
    """The record of one folder. Raises RecordError naming the file, the field and what would be accepted."""
    path = folder / "record.toml"
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read ({error})") from error
    fields = {each.name: each.default is dataclasses.MISSING for each in dataclasses.fields(Finding)}
    del fields["name"]
    needed = {field for field, must in fields.items() if must}
    if wrong := sorted((content.keys() - fields) | (needed - content.keys())):
        what = "unknown" if wrong[0] in content else "missing"
        raise RecordError(f"{path}: {wrong[0]} is {what}; a record has {', '.join(sorted(fields))}")
    for field, value in content.items():
        _check(path, field, value)
    return Finding(name=folder.name, **{k: tuple(v) if isinstance(v, list) else v for k, v in content.items()})


def all_of_them() -> list[Finding]:
    """Every finding, by name."""
    return [read(path.parent) for path in sorted(FOLDER.glob("*/record.toml"))]


_LISTS = ("also", "seen", "unseen")
_MAY_BE_EMPTY = ("also", "unseen", "rate", "thread", "processor")
_CHOICES: dict[str, Any] = {"kind": tuple(KINDS), "operation": OPERATIONS}


def _check(path: Path, field: str, value: Any) -> None:
    texts = value if field in _LISTS else [value]
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise RecordError(
            f"{path}: {field} = {value!r}; accepted is {'a list of texts' if field in _LISTS else 'a text'}"
        )
    if not value and field not in _MAY_BE_EMPTY:
        raise RecordError(f"{path}: {field} is empty")
    if field in _CHOICES and value not in _CHOICES[field]:
        raise RecordError(f"{path}: {field} = {value!r}; accepted are {', '.join(_CHOICES[field])}")
    if field in ("source", "thread") and value and not value.startswith("https://"):
        raise RecordError(f"{path}: {field} = {value!r}; accepted is an address that begins with https://")
    if field in ("seen", "unseen"):
        for each in value:
            try:
                release(each)
            except ValueError as error:
                raise RecordError(f"{path}: {field}: {error}") from error
