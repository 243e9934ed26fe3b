"""What one entry of a benchmark file says, and one row of an experiment: checked, so that what is drawn is sound."""

from __future__ import annotations

import math
import reprlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd

from reports import stats
from reports.sentences import plural

CPU = "cpu"
CLOCKS = (CPU, "wall")  # what cpu_seconds hold; older files do not say, and hold CPU time
# what an entry's extra_info holds: texts, numbers, and the raw seconds
NEEDED = ("kind", "layer", "operation", "implementation", "cpu_seconds")
KINDS = ("layer", "again", "sweep", "roofline", "experiment")  # of an entry; its group begins so
TEXTS = ("kind", "layer", "sweep", "operation", "implementation", "case", "device", "verdict", "peak_method", "clock")
NUMBERS = (
    "value", "threads", "macs", "flops", "bytes", "minor_faults", "major_faults", "peak_extra_bytes", "result_bytes",
    "gemm_seconds", "columns_bytes", "checked", "ratio",
)  # fmt: skip
COLUMNS = (*TEXTS, *NUMBERS, "cpu_seconds", "wall_seconds", "who", "seconds", "rounds", "outliers")
REFUSED = ("kind", "layer", "sweep", "value", "operation", "implementation", "case", "reason", "detail")
WHICH = ("kind", "layer", "operation", "who")  # one entry has one time
LEAST, MOST = 1e-12, 1e18  # of any number that is not 0: what lies beyond was not measured
SHORTEST = 1e-12  # seconds

# of each experiment that is drawn: numbers above 0, numbers of at least 0
EXPERIMENTS = {
    "pool_or_stride": (("F", "S", "cpu_seconds"), ("receptive_field", "macs", "parameters")),
    "stride": (("S", "out", "receptive_field", "cpu_seconds", "macs"), ()),
    "translation": (("F", "S", "shift"), ("outputs", "changed_fraction", "relative_change", "predicted")),
    "feature_maps": ((), ("F", "S", "shift")),
}
MAY_LACK = ("holds", "damped")  # of a row, for what there is nothing to say


def entries(content: list[Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Read the entries, and say in lines which are not drawn, and why: each line names some of them."""
    found: dict[tuple, dict[str, Any]] = {}
    wrong: dict[str, list[str]] = {}
    first: dict[str, str] = {}
    total = 0
    lines = []
    for number, each in enumerate(content, start=1):
        if _is_lost(each):
            total += 1
            wrong.setdefault("without what was measured", []).append(_name(each))
        if not _is_read(each):
            continue
        total += 1
        try:
            lines.append((number, each, _entry(each)))
        except (TypeError, ValueError, OverflowError) as error:
            what = str(error).partition(", got")[0]  # what varies from one to the next is said of the first
            wrong.setdefault(first.setdefault(what, str(error)), []).append(_name(each))
    _whose(line for _, _, line in lines)
    for _, each, line in lines:
        which = tuple(line[name] for name in WHICH)
        if line["kind"] not in KINDS:
            wrong.setdefault(f"of an unknown kind, {reprlib.repr(line['kind'])}", []).append(_name(each))
        elif which in found:
            wrong.setdefault("twice in it, of which the first is drawn", []).append(_name(each))
            continue
        found[which] = line
    return [*found.values()], [_counted(len(names), total, why, names) for why, names in wrong.items()]


def _counted(count: int, total: int, why: str, names: list[str]) -> str:
    which = ", ".join(f"{name!r:.90}" for name in names[:3]) + ", ..." * (len(names) > 3)
    return f"{plural(count, 'entry', 'entries')} of {total} {why}, and not drawn: {which}"


def _name(entry: Any) -> str:
    return str(entry.get("name", "")) if isinstance(entry, dict) else reprlib.repr(entry)


def tables(given: Any) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Read all experiments, and say in lines what of them cannot be read."""
    if not isinstance(given, dict):
        return {}, [f"experiments must be a JSON object, got {reprlib.repr(given)}, and none is drawn"]
    found, said = {}, []
    for name, its in given.items():
        if isinstance(its, list):
            found[name], lines = _rows(name, its)
            said += lines
        else:
            said.append(f"the experiment {name} must be a list, got {reprlib.repr(its)}, and is not drawn")
    return found, said


def _rows(name: str, given: list[Any]) -> tuple[pd.DataFrame, list[str]]:
    """Read the rows of an experiment, without those in which a number is not one, with a line on these."""
    counts = Counter(
        column for row in given if isinstance(row, dict) for column, value in row.items() if value is not None
    )
    known = {column for column, count in counts.items() if 2 * count > len(given)} - {*MAY_LACK}
    kept, wrong = [], []
    for number, row in enumerate(given, start=1):
        try:
            _check(name, row, known)
            kept.append(row)
        except (TypeError, ValueError, OverflowError) as error:
            wrong.append(f"row {number}, {error}")
    return pd.DataFrame(kept), _unread(wrong, plural(len(given), "row"), f"the experiment {name}")


def _check(name: str, row: Any, known: set[str]) -> None:
    """Check a row of an experiment, most of whose rows know these columns. Raises TypeError, ValueError."""
    above, least = EXPERIMENTS.get(name, ((), ()))
    for column, value in expect(row, dict, "which").items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            _sound(float(value), column)
        if column in (*above, *least) and number_of(value, column) < 0:
            raise ValueError(f"{column} must be at least 0, got {reprlib.repr(value)}")
        if column in above and value == 0:
            raise ValueError(f"{column} must be above 0, got {reprlib.repr(value)}")
    for column in sorted(known) if name in EXPERIMENTS else ():
        if row.get(column) is None:
            raise ValueError(f"{column} is {'null' if column in row else 'missing'}")


def _unread(wrong: list[str], total: str, of: str) -> list[str]:
    """Say in a line, if any, what of a list cannot be read."""
    which = "; ".join(wrong[:2]) + "; ..." * (len(wrong) > 2)
    told = (
        f"{len(wrong)} of {total} of {of} cannot be read, and {'is' if len(wrong) == 1 else 'are'} not drawn ({which})"
    )
    return [told] if wrong else []


def _is_read(entry: Any) -> bool:
    """Whether an entry is a measurement of Poolproof's: a file may hold other benchmarks as well."""
    info = entry.get("extra_info") if isinstance(entry, dict) else None
    return isinstance(info, dict) and "kind" in info


def _is_lost(entry: Any) -> bool:
    """Whether an entry was written by Poolproof, and what was measured is gone from it, or it is none of anyone's."""
    if not isinstance(entry, dict) or _is_read(entry):
        return not isinstance(entry, dict)
    info, group = entry.get("extra_info"), str(entry.get("group") or "").split()
    named = isinstance(info, dict) and any(name in info for name in NEEDED)
    return named or str(entry.get("fullname")).startswith("bench/") or (len(group) > 1 and group[0] in KINDS)


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    where, info = "damaged", entry["extra_info"]
    if missing := [name for name in NEEDED if name not in info]:
        raise ValueError(f"without {', '.join(missing)}")
    line: dict[str, Any] = {name: text_of(info.get(name), name, where) for name in TEXTS}
    line |= {name: number_of(info.get(name), name, where) for name in NUMBERS}
    for name in ("layer", "operation", "implementation"):
        if not line[name]:
            raise ValueError(f"{where}: {name} is empty")
    for name in NUMBERS:
        if line[name] < 0:
            raise ValueError(f"{where}: {name} must be at least 0, got {line[name]:g}")
        _sound(line[name], f"{where}: {name}")
    if line["gemm_seconds"] == 0 or line["columns_bytes"] == 0 or (line["kind"] == "sweep" and line["value"] == 0):
        raise ValueError(f"{where}: gemm_seconds, columns_bytes and the value of a sweep must be above 0")
    line["device"], line["clock"] = line["device"] or CPU, line["clock"] or CPU
    if line["clock"] not in CLOCKS:
        raise ValueError(f"{where}: clock must be {' or '.join(CLOCKS)}, got {reprlib.repr(line['clock'])}")
    line["cpu_seconds"] = seconds = _seconds(info["cpu_seconds"], "cpu_seconds", where)
    line["wall_seconds"] = _seconds(info["wall_seconds"], "wall_seconds", where) if "wall_seconds" in info else []
    median = float(pd.Series(seconds).median())
    if not median > 0:
        raise ValueError(f"{where}: a median of 0 seconds: its clock is too coarse")
    if median < SHORTEST:
        raise ValueError(f"{where}: a median of {median:g} seconds")
    return line | {"seconds": median, "rounds": len(seconds), "outliers": stats.outliers(seconds)}


def _sound(value: float, name: str) -> None:
    """Refuse a number that nobody measured. Raises ValueError naming it."""
    if value and not math.isnan(value) and not LEAST <= abs(value) <= MOST:
        raise ValueError(f"{name} must be 0 or {LEAST:g} to {MOST:g}, got {value:g}")


def _whose(entries: Iterable[dict[str, Any]]) -> None:
    """Say who was timed: the implementation, where it is no CPU its device, and its threads where they differ."""
    entries = [*entries]
    several = len({line["threads"] for line in entries if line["threads"] > 0}) > 1
    for line in entries:
        device = line["device"].partition(" ")[2] or line["device"]
        said = [device] * (line["device"] != CPU)
        said += [f"{line['threads']:g} threads"] * (several and line["threads"] > 0)
        line["who"] = " on ".join(filter(None, [line["implementation"], ", ".join(said)]))


def refusals(given: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """Read what has no time, and why, and say in a line what of it cannot be read."""
    if not isinstance(given, list):
        return [], [f"not_timed must be a list, got {reprlib.repr(given)}, and is not drawn"]
    found, wrong = [], []
    for number, line in enumerate(given, start=1):
        try:
            expect(line, dict, "which")
            texts = {name: text_of(line.get(name), name) for name in REFUSED if name != "value"}
            found.append(texts | {"value": number_of(line.get("value"), "value")})
        except (TypeError, ValueError, OverflowError) as error:
            wrong.append(f"number {number}, {error}")
    return found, _unread(wrong, plural(len(given), "entry", "entries"), "not_timed")


def text_of(value: Any, name: str, where: str = "") -> str:
    """Read a text. Raises TypeError naming it."""
    if value is not None and not isinstance(value, str):
        named = f"{where}: {name}" if where else name
        raise TypeError(f"{named} must be text, got {reprlib.repr(value)}")
    return value if name == "detail" and value else " ".join((value or "").split())


def number_of(value: Any, name: str, where: str = "") -> float:
    """Read a number, NaN of none. Raises TypeError naming it."""
    if value is None or value == "":
        return math.nan
    named = f"{where}: {name}" if where else name
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{named} must be a number, got {reprlib.repr(value)}")
    if not -MOST <= value <= MOST:
        raise ValueError(f"{named} must be at most {MOST:g}, got {'a greater one' if value == value else 'NaN'}")
    return float(value)


def _seconds(value: Any, name: str, where: str) -> list[float]:
    if not isinstance(value, list) or not value:
        raise TypeError(f"{where}: {name} must be a list of numbers, got {reprlib.repr(value)}")
    seconds = [number_of(each, name, where) for each in value]
    if not all(each >= 0 for each in seconds):  # NaN, which stands for null, is not
        raise ValueError(f"{where}: {name} must be numbers of at least 0, got {reprlib.repr(value)}")
    return seconds


def expect(value: Any, kind: type, what: str) -> Any:
    """Return a value of a kind. Raises TypeError naming what it should be."""
    if not isinstance(value, kind):
        wanted = "JSON object" if kind is dict else "list"
        raise TypeError(f"{what} must be a {wanted}, got {reprlib.repr(value)}")
    return value
