"""A saved benchmark file (pytest-benchmark's JSON, with Poolproof's additions) as tidy pandas DataFrames."""

from __future__ import annotations

import json
import math
import os
import reprlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from reports import stats
from reports.sentences import plural

SCHEMA = 1
FOLDER = Path(".benchmarks")  # pytest-benchmark's own place
CPU = "cpu"
HOW = "make bench, or pytest bench/ --benchmark-save=NAME, writes one"

# what an entry's extra_info holds: texts, numbers, and the raw seconds
NEEDED = ("kind", "layer", "operation", "implementation", "cpu_seconds")
KINDS = ("layer", "again", "sweep", "roofline", "experiment")  # how the group of an entry begins
TEXTS = ("kind", "layer", "sweep", "operation", "implementation", "case", "device", "verdict", "peak_method")
NUMBERS = (
    "value", "threads", "macs", "flops", "bytes", "minor_faults", "major_faults", "peak_extra_bytes", "result_bytes",
    "gemm_seconds", "columns_bytes", "checked", "ratio",
)  # fmt: skip
COLUMNS = (*TEXTS, *NUMBERS, "cpu_seconds", "who", "seconds", "rounds", "outliers")
REFUSED = ("kind", "layer", "sweep", "value", "operation", "implementation", "case", "reason", "detail")


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
        for column in texts:
            frame[column] = [" ".join(str(each).split()) for each in frame[column]]
        if "implementation" in texts:
            frame["who"] = [self.whose(each) for each in frame["implementation"]]
        for column in numbers:
            try:
                frame[column] = [_number(each, column, f"the experiment {name}") for each in frame[column]]
            except (TypeError, ValueError, OverflowError) as error:
                raise BenchmarkError(f"{self.path}: {error}, and is not drawn") from error
        return frame

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
        for names in (self.of("again")["who"], self.of("layer")["who"]):
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

        Sweeps and the roofline stay; so do all layers where no word fits any.
        """
        words = [word.strip() for text in texts for word in text.split(",")]
        known = self.layers
        fits = {word: {name for name in known if fnmatchcase(name, word)} for word in words}
        said = [f"{self.path}: has no layer {word!r}{_meant(word, known)}" for word in words if not fits[word]]
        keep = set().union(*fits.values()) or {*known}

        def kept(frame: pd.DataFrame) -> pd.DataFrame:
            return frame[~frame["kind"].isin(("layer", "again")) | frame["layer"].isin(keep)]

        return replace(self, timings=kept(self.timings), not_timed=kept(self.not_timed)), said


def newest(folder: str | os.PathLike[str] = FOLDER) -> Path:
    """Find the file that was saved last, in a folder or below it. Raises BenchmarkError where there is none."""
    try:
        found = [each for each in Path(folder).rglob("*.json") if each.is_file()]
        if found:
            return max(found, key=lambda each: (each.stat().st_mtime_ns, each.name))
    except OSError as error:
        raise BenchmarkError(f"{folder}: cannot be read ({error.strerror})") from error
    raise BenchmarkError(f"{folder}: no benchmarks yet: {HOW}, or name a file with --bench")


def load(file: str | os.PathLike[str]) -> Benchmarks:
    """Read a file, or the newest of a folder. Raises BenchmarkError saying in one line what is wrong with it."""
    path = newest(file) if Path(file).is_dir() else Path(file)
    content = _clean(_parsed(path))
    additions = content.get("poolproof") if isinstance(content, dict) else None
    if not isinstance(additions, dict) or not isinstance(content.get("benchmarks"), list):
        raise BenchmarkError(f"{path}: no benchmark file of Poolproof's: {HOW}")
    if additions.get("schema") != SCHEMA:
        found = reprlib.repr(additions.get("schema"))
        raise BenchmarkError(f"{path}: schema {found}, and this version reads {SCHEMA}: use the version that wrote it")
    try:
        entries = [_entry(number, each) for number, each in enumerate(content["benchmarks"]) if _is_read(each)]
        lost = [f"{each.get('name', '')!r:.90}" for each in content["benchmarks"] if _is_lost(each)]
        _name(entries)
        refused = [_refused(each) for each in _expect(additions.get("not_timed", []), list, "not_timed")]
        tables = _expect(additions.get("experiments", {}), dict, "experiments")
        frames = {name: _table(name, rows) for name, rows in tables.items()}
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise BenchmarkError(f"{path}: {error}: save the benchmarks again, or name another file") from error
    damaged = ()
    if lost:
        which = ", ".join(lost[:3]) + ", ..." * (len(lost) > 3)
        what = f"{plural(len(lost), 'entry', 'entries')} of {len(lost) + len(entries)} without what was measured"
        damaged = (f"{path}: {what}, and not drawn: {which}",)
    if not entries and not refused and not frames:
        raise BenchmarkError(f"{path}: holds no measurement: {HOW}")
    return Benchmarks(
        path, pd.DataFrame(entries, columns=COLUMNS), pd.DataFrame(refused, columns=REFUSED), frames,
        _facts(content.get("machine_info")), _facts(content.get("commit_info")), str(content.get("datetime") or ""),
        damaged,
    )  # fmt: skip


def fact(value: Any) -> str:
    """Write a fact of a machine in a line."""
    if isinstance(value, list):
        return " ".join(map(fact, value))
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


def _is_read(entry: Any) -> bool:
    """Whether an entry is a measurement of Poolproof's: a file may hold other benchmarks as well."""
    info = entry.get("extra_info") if isinstance(entry, dict) else None
    return isinstance(info, dict) and "kind" in info


def _is_lost(entry: Any) -> bool:
    """Whether an entry was written by Poolproof, and what was measured is gone from it."""
    if not isinstance(entry, dict) or _is_read(entry):
        return False
    info, group = entry.get("extra_info"), str(entry.get("group") or "").split()
    named = isinstance(info, dict) and any(name in info for name in NEEDED)
    return named or str(entry.get("fullname")).startswith("bench/") or (len(group) > 1 and group[0] in KINDS)


def _entry(number: int, entry: dict[str, Any]) -> dict[str, Any]:
    where, info = f"benchmark {number + 1}", entry["extra_info"]
    if missing := [name for name in NEEDED if name not in info]:
        raise ValueError(f"{where} lacks {', '.join(missing)}")
    line: dict[str, Any] = {name: _text(info.get(name), name, where) for name in TEXTS}
    line |= {name: _number(info.get(name), name, where) for name in NUMBERS}
    line["device"] = line["device"] or CPU
    line["cpu_seconds"] = seconds = _seconds(info["cpu_seconds"], where)
    median = float(pd.Series(seconds).median())
    if not median > 0:
        raise ValueError(f"{where} has a median of 0 seconds: its clock is too coarse")
    return line | {"seconds": median, "rounds": len(seconds), "outliers": stats.outliers(seconds)}


def _name(entries: list[dict[str, Any]]) -> None:
    """Say who was timed: the implementation, where it is no CPU its device, and its threads where they differ."""
    several = len({line["threads"] for line in entries if line["threads"] > 0}) > 1
    for line in entries:
        device = line["device"].partition(" ")[2] or line["device"]
        said = [device] * (line["device"] != CPU)
        said += [f"{line['threads']:g} threads"] * (several and line["threads"] > 0)
        line["who"] = " on ".join(filter(None, [line["implementation"], ", ".join(said)]))


def _refused(line: Any) -> dict[str, Any]:
    where = "an entry of not_timed"
    _expect(line, dict, where)
    found: dict[str, Any] = {name: _text(line.get(name), name, where) for name in REFUSED if name != "value"}
    return found | {"value": _number(line.get("value"), "value", where)}


def _table(name: str, rows: Any) -> pd.DataFrame:
    _expect(rows, list, f"the experiment {name}")
    return pd.DataFrame([_expect(row, dict, f"a row of the experiment {name}") for row in rows])


def _text(value: Any, name: str, where: str) -> str:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{where}: {name} must be text, got {reprlib.repr(value)}")
    return value if name == "detail" and value else " ".join((value or "").split())


def _number(value: Any, name: str, where: str) -> float:
    if value is None or value == "":
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{where}: {name} must be a number, got {reprlib.repr(value)}")
    return float(value)


def _seconds(value: Any, where: str) -> list[float]:
    if not isinstance(value, list) or not value:
        raise TypeError(f"{where}: cpu_seconds must be a list of numbers, got {reprlib.repr(value)}")
    seconds = [_number(each, "cpu_seconds", where) for each in value]
    if not all(each >= 0 for each in seconds):  # NaN, which stands for null, is not
        raise ValueError(f"{where}: cpu_seconds must be numbers of at least 0, got {reprlib.repr(value)}")
    return seconds


def _expect(value: Any, kind: type, what: str) -> Any:
    if not isinstance(value, kind):
        wanted = "JSON object" if kind is dict else "list"
        raise TypeError(f"{what} must be a {wanted}, got {reprlib.repr(value)}")
    return value


def _facts(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _meant(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.4)
    if near:
        return f": did you mean {near[0]}?"
    return f": it has {', '.join(known)}" if known else ""
