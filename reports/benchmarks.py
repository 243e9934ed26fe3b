"""A saved benchmark file (pytest-benchmark's JSON, with Poolproof's additions) as tidy pandas DataFrames."""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports import entries
from reports.entries import COLUMNS, REFUSED, number_of
from reports.sentences import plural

SCHEMA = 1
PAIR = ["layer", "operation", "who"]  # what both timings of an A/A pair have in common
SAME = 1e-6  # of a time: what rounding may change
FIRST = "first"  # the kind of a timing that is no longer drawn, and has part in an A/A pair
FOLDER = Path(".benchmarks")  # pytest-benchmark's own place
HOW = "make bench, or pytest bench/ --benchmark-save=NAME, writes one"


class BenchmarkError(Exception):
    """A benchmark file that cannot be used, in one line that names the file and the remedy."""


@dataclass(frozen=True)
class Benchmarks:
    """What one file holds.

    `timings` has a line for each entry: what its extra_info says (NaN or "" where it says nothing), `who` (the
    implementation, with its device where that is no CPU), `seconds` (the median), `rounds` and `outliers`. `not_timed`
    has a line for what was refused a time, and why; `experiments` a frame for each table; `damaged` says in lines what
    of the file could not be read.
    """

    path: Path
    timings: pd.DataFrame
    not_timed: pd.DataFrame
    experiments: dict[str, pd.DataFrame] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    commit: dict[str, Any] = field(default_factory=dict)
    date: str = ""
    damaged: tuple[str, ...] = ()

    def of(self, kind: str) -> pd.DataFrame:
        """Return the timings of one kind."""
        return self.timings[self.timings["kind"] == kind]

    def table(self, name: str, texts: Iterable[str], numbers: Iterable[str]) -> pd.DataFrame:
        """Return an experiment's rows with these columns; none where it was not made. Raises BenchmarkError."""
        frame, texts, numbers = self.experiments.get(name), [*texts], [*numbers]
        if frame is None or frame.empty:
            return pd.DataFrame(columns=[*texts, *numbers, "who"])
        if missing := [column for column in (*texts, *numbers) if column not in frame]:
            raise BenchmarkError(f"{self.path}: the experiment {name} lacks {', '.join(missing)}, and is not drawn")
        frame = frame.copy()
        if empty := [column for column in (*texts, *numbers) if frame[column].isna().any()]:
            raise BenchmarkError(f"{self.path}: the experiment {name} has no {', '.join(empty)}, and is not drawn")
        for column in texts:
            frame[column] = [" ".join(str(each).split()) for each in frame[column]]
        if "implementation" in texts:
            frame["who"] = [self.whose(each) for each in frame["implementation"]]
        for column in numbers:
            try:
                frame[column] = [number_of(each, column, f"the experiment {name}") for each in frame[column]]
            except (TypeError, ValueError, OverflowError) as error:
                raise BenchmarkError(f"{self.path}: {error}, and is not drawn") from error
        return frame

    def timed(self, rows: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
        """Give each row of an experiment the raw seconds of its entry, as `rounds`, and their median as its time.

        `names` are those of the entries. `told` is the time that the table has; a row without an entry keeps it.
        """
        entries = self.of("experiment").drop_duplicates(["layer", "implementation"])
        raw = {(each.layer, each.implementation): each.cpu_seconds for each in entries.itertuples()}
        rounds = [raw.get((name, row.implementation), [row.cpu_seconds])
                  for name, row in zip(names, rows.itertuples(), strict=True)]  # fmt: skip
        medians = [float(np.median(each)) for each in rounds]
        return rows.assign(rounds=rounds, told=rows["cpu_seconds"], cpu_seconds=medians)

    @property
    def names(self) -> list[str]:
        """Everyone who was timed, refused, or had a part in an experiment."""
        rows = [frame["implementation"] for frame in self.experiments.values() if "implementation" in frame]
        others = [self.whose(str(name)) for column in (self.not_timed["implementation"], *rows) for name in column]
        return list(dict.fromkeys([*self.timings["who"], *others]))

    def whose(self, implementation: str) -> str:
        """Return who an implementation was timed as, with its device."""
        lines = self.timings["who"][self.timings["implementation"] == implementation]
        return str(lines.iloc[0]) if len(lines) else implementation

    @property
    def layers(self) -> list[str]:
        """The layers by name, as they come: measured or refused."""
        refused = self.not_timed[self.not_timed["kind"] == "layer"]
        return list(dict.fromkeys([*self.of("layer")["layer"], *refused["layer"]]))

    @property
    def baseline(self) -> str:
        """What speed is measured against unless another is named: what was measured twice, or else torch."""
        layers = self.of("layer")["who"]
        twice = self.of("again")["who"]
        for names in (twice[twice.isin(layers)], layers):
            if len(names):
                first = [name for name in names if name.startswith("torch")] or [*names]
                return str(first[0])
        return ""

    def named(self, baseline: str) -> str:
        """Return the baseline of a name. Raises BenchmarkError naming the nearest that was measured."""
        known = list(dict.fromkeys(self.of("layer")["who"]))
        if baseline not in known:
            raise BenchmarkError(f"{self.path}: has no layer timed with {baseline!r}{_meant(baseline, known)}")
        return baseline

    def only(self, texts: Iterable[str]) -> tuple[Benchmarks, list[str]]:
        """Keep the layers that fit lists like "alexnet-*,vgg16-conv1_2", with a line for each word that fits none.

        Sweeps, the roofline and all A/A pairs stay: noise is that of the run. So do all layers where no word fits any.
        """
        words = [word.strip() for text in texts for word in text.split(",")]
        known = self.layers
        fits = {word: {name for name in known if fnmatchcase(name, word)} for word in words}
        said = [f"{self.path}: has no layer {word!r}{_meant(word, known)}" for word in words if not fits[word]]
        keep = set().union(*fits.values()) or {*known}

        def left(frame: pd.DataFrame) -> pd.Series:
            return (frame["kind"] == "layer") & ~frame["layer"].isin(keep)

        pairs = {*self.of("again")[PAIR].itertuples(index=False, name=None)}
        paired = np.array([key in pairs for key in self.timings[PAIR].itertuples(index=False, name=None)], bool)
        timings = self.timings.assign(kind=self.timings["kind"].mask(left(self.timings) & paired, FIRST))
        refused = self.not_timed[~left(self.not_timed)]
        return replace(self, timings=timings[~left(timings)], not_timed=refused), said


def contradicted(rows: pd.DataFrame) -> list[str]:
    """Say in a line in how many rows of an experiment the file has two times that differ; none where they agree."""
    apart = (rows["told"] / rows["cpu_seconds"]).map(lambda ratio: max(ratio, 1 / ratio) - 1)
    if not (differ := int((apart > SAME).sum())):
        return []
    return [
        f"In {differ} of {plural(len(rows), 'row')} the file's table has another time than the rounds of the entry, "
        f"which are drawn: by up to {100 * apart.max():.2g} %."
    ]


def newest(folder: str | os.PathLike[str] = FOLDER) -> Path:
    """Find the file that was saved last, in a folder or below it. Raises BenchmarkError where there is none.

    What is whole and another's is passed over, unless there is nothing else.
    """
    try:
        found = [each for each in Path(folder).rglob("*.json") if each.is_file()]
        found.sort(key=lambda each: (each.stat().st_mtime_ns, each.name), reverse=True)
    except OSError as error:
        raise BenchmarkError(f"{folder}: cannot be read ({error.strerror})") from error
    if not found:
        raise BenchmarkError(f"{folder}: no benchmarks yet: {HOW}")
    return next((each for each in found if not _is_others(each)), found[0])


def _is_others(path: Path) -> bool:
    """Whether a file can be read, and is not a benchmark file of Poolproof's."""
    try:
        return _additions(_parsed(path)) is None
    except BenchmarkError:
        return False


def _additions(content: Any) -> dict[str, Any] | None:
    """Give what Poolproof adds to a benchmark file; None where it is another's."""
    added = content.get("poolproof") if isinstance(content, dict) else None
    return added if isinstance(added, dict) and isinstance(content.get("benchmarks"), list) else None


def load(file: str | os.PathLike[str]) -> Benchmarks:
    """Read a file, or the newest of a folder. Raises BenchmarkError saying in one line what is wrong with it."""
    path = newest(file) if Path(file).is_dir() else Path(file)
    content = _clean(_parsed(path))
    additions = _additions(content)
    if additions is None:
        raise BenchmarkError(f"{path}: no benchmark file of Poolproof's: {HOW}")
    if additions.get("schema") != SCHEMA:
        found = reprlib.repr(additions.get("schema"))
        raise BenchmarkError(f"{path}: schema {found}, and this version reads {SCHEMA}: use the version that wrote it")
    read, lost = entries.entries(content["benchmarks"])
    refused, untimed = entries.refusals(additions.get("not_timed", []))
    frames, unread = entries.tables(additions.get("experiments", {}))
    lost += untimed + unread
    if not read and not refused and not any(map(len, frames.values())):
        raise BenchmarkError(f"{path}: {lost[0] if lost else 'holds no measurement'}: {HOW}")
    damaged = tuple(f"{path}: {each}" for each in lost)
    return Benchmarks(
        path, pd.DataFrame(read, columns=COLUMNS), pd.DataFrame(refused, columns=REFUSED), frames,
        _facts(content.get("machine_info")), _facts(content.get("commit_info")), str(content.get("datetime") or ""),
        damaged,
    )  # fmt: skip


def fact(value: Any) -> str:
    """Write a fact of a machine in a line."""
    if isinstance(value, list):
        return " ".join(filter(None, map(fact, value)))
    if isinstance(value, dict):
        named = value.get("brand_raw") or [value.get("name"), value.get("version")]
        threads = value.get("threads")
        return fact(named) + (f", {plural(threads, 'thread')}" if isinstance(threads, int) else "")
    return " ".join(str(value or "").split())


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BenchmarkError(f"{path}: no such file: {HOW}") from error
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:  # not UTF-8 is a ValueError too
        what = " ".join(str(error).split())
        raise BenchmarkError(f"{path}: truncated, or no JSON ({what}): save the benchmarks again") from error


def _clean(value: Any) -> Any:
    """Make texts fit for a page: a lone surrogate cannot be written, a control character not be seen."""
    if isinstance(value, str):
        text = value.encode("utf-8", "backslashreplace").decode()
        return "".join(each if each.isprintable() or each in "\n\t" else f"\\x{ord(each):02x}" for each in text)
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(each) for key, each in value.items()}
    return value


def _facts(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _meant(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.4)
    if near:
        return f": did you mean {near[0]}?"
    return f": it has {', '.join(known)}" if known else ""
