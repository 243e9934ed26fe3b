"""What two saved runs do not share: refused or gone, of another clock, case, machine or library; told line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from reports.benchmarks import Benchmarks, fact
from reports.section import listed, time
from reports.sentences import plural

Timings = dict[tuple, Any]  # by kind, layer, operation and who: a line of Benchmarks.timings
ROUGHLY = 5  # times: estimates from a smaller case were seen to be off by 3
NEARLY = 2  # times: so far a measured call, and not an estimate, may be beyond what it took before, and be in doubt
SLOW = "too slow"  # how reasons begin: of what is right, and takes longer than a benchmark may,
BESIDE = "not timed"  # and of what was not tried, since something else computed
FAULTS = ("wrong", "raised")  # of what is no implementation, whether it was timed before or not
FACTS = ("cpu", "cores", "flags", "blas", "numpy", "scipy", "torch", "gpu", "python_version")
MORE = 1.5, 1 << 20  # times as much memory, and bytes beyond it, that are told


class Refused(NamedTuple):
    """What is refused a time now: for being wrong, or slow (`lost`), by a little (`doubtful`), or for no fault of it.

    `faults`: so many of the lost ones are not slow, but wrong, raised an error or are not offered. `told`: whose
    timings of the first file these are.
    """

    lost: list[str]
    doubtful: list[str]
    missing: list[str]
    faults: int
    told: set[tuple]


def refused(old: Timings, before: Benchmarks, after: Benchmarks) -> Refused:
    """Tell what was timed and is refused a time now, and what is wrong now and was not so before."""
    timed = {
        (kind, layer, operation, line.implementation): (key, line)
        for key, line in old.items()
        for kind, layer, operation, _ in (key,)
    }
    known = {_which(line) for line in before.not_timed.itertuples() if line.reason.startswith(FAULTS)}
    found, faults = Refused([], [], [], 0, set()), 0
    for line in after.not_timed.itertuples():
        key, was = timed.get(_which(line), (None, None))
        fault = line.reason.startswith(FAULTS) and _which(line) not in known
        if was is None and not fault:
            continue
        where = f"{line.implementation}  {line.layer} {line.operation}: {line.reason}"
        if was is None:
            found.lost.append(f"{where}, was not timed")
            faults += 1
            continue
        said = f"{where}, was {time(was.seconds)}"
        found.told.add(key)
        if line.reason.startswith(SLOW):
            (found.doubtful if _near(line, was.seconds) else found.lost).append(said)
        elif line.reason.startswith(BESIDE):
            found.missing.append(said)
        else:
            found.lost.append(said)
            faults += 1
    return found._replace(faults=faults)


def _which(line: Any) -> tuple[str, str, str, str]:
    return line.kind, line.layer, line.operation, line.implementation


def _near(line: Any, before: float) -> bool:
    """Whether it was estimated to be too slow by so little that an estimate may err."""
    estimated = re.search(r"estimated ([\d.]+) s", line.reason)
    measured = any(word in str(line.detail) for word in ("whole call", "rounds lasted"))
    return estimated is not None and float(estimated[1]) < (NEARLY if measured else ROUGHLY) * before


def missing(gone: list[tuple], new: Timings, before: Benchmarks, after: Benchmarks) -> list[str]:
    """Name what the second file neither timed nor refused, implementation by implementation, and what is damaged."""
    still = {key[3] for key in new}
    said = []
    for who in dict.fromkeys(key[3] for key in gone):
        its = [f"{layer} {operation}" for _, layer, operation, whose in gone if whose == who]
        which = listed(its[:3]) if len(its) <= 3 else f"{', '.join(its[:3])}, ..."
        said.append(
            f"{who}: {plural(len(its), 'timing')} of the first file, neither timed nor refused in the second: {which}"
            if who in still else f"{who}: gone from the second file, with all of its {plural(len(its), 'timing')}"
        )  # fmt: skip
    return said + [f"damaged in {each}" for found in (before, after) for each in found.damaged]


def clocks(same: list[tuple], old: Timings, new: Timings) -> list[str]:
    """Name what one file has by another clock than the other: its times cannot be compared."""
    whose: dict[tuple[str, str, str], list[tuple]] = {}
    for key in same:
        was, now = old[key].clock, new[key].clock
        if was != now:
            whose.setdefault((key[3], was, now), []).append(key)
    return [
        f"{who}: {plural(len(keys), 'timing')} of another clock, {was} time before and {now} time now: "
        f"{keys[0][1]} {keys[0][2]}{', ...' if len(keys) > 1 else ''}"
        for (who, was, now), keys in whose.items()
    ]


def exchanged(old: Timings, new: Timings) -> list[str]:
    """Name what stands for another case in the second file."""
    other = [key for key in new if key in old and new[key].case != old[key].case]
    if not other:
        return []
    return [f"{plural(len(other), 'timing')} of other cases under the same name: {other[0][1]} {other[0][2]}"]


def elsewhere(before: Benchmarks, after: Benchmarks) -> list[str]:
    """Name what both files tell of where they were made, and differently: the processor, and numbers of threads."""
    was, now = (_settings(found) for found in (before, after))
    return [f"{name}: {was[name]} before, {now[name]} after" for name in was if now.get(name, was[name]) != was[name]]


def _settings(found: Benchmarks) -> dict[str, str]:
    machine, blas = found.machine, found.machine.get("blas")
    threads = {"BLAS": blas.get("threads") if isinstance(blas, dict) else None, "torch": machine.get("torch_threads")}
    told = {f"threads of {name}": str(n) for name, n in threads.items() if isinstance(n, int)}
    if counts := sorted({int(each) for each in found.timings["threads"].dropna()}):
        told["threads of a timing"] = listed([*map(str, counts)])
    return told | ({"processor": cpu} if (cpu := fact(machine.get("cpu"))) else {})


def remarks(before: Benchmarks, after: Benchmarks, old: Timings, new: Timings, kinds: tuple[str, ...]) -> list[str]:
    """Say what is worth knowing of both files, and decides nothing."""
    said = [*_order(before, after), *_memory(old, new)]
    if alone := [key for key in new if key not in old]:
        said.append(f"{len(alone)} only in the second file")
    unknown = [kind for found in (before, after) for kind in found.timings["kind"] if kind not in kinds]
    if unknown:
        said.append(f"{len(unknown)} left out, of other kinds: {', '.join(dict.fromkeys(unknown))}")
    return [*said, *_facts(before, after)]


def _facts(before: Benchmarks, after: Benchmarks) -> Iterator[str]:
    for name in FACTS:
        was, now = (fact(found.machine.get(name)) for found in (before, after))
        called = name.replace("_", " ")
        if was != now and name == "flags":
            lost, won = ({*one.split()} - {*other.split()} for one, other in ((was, now), (now, was)))
            gone, more = (listed(sorted(each)) or "none" for each in (lost, won))
            yield f"flags of the processor differ: {gone} gone, {more} new"
        elif was != now:
            yield f"{called} differs: {was or 'none'} before, {now or 'none'} after"
        elif name == "cpu" and not was:
            yield "neither file names its processor: one machine, or two"


def _order(before: Benchmarks, after: Benchmarks) -> list[str]:
    """Say that the second file is the older one, or the same."""
    if before.path == after.path and before.date == after.date:
        return ["both files are the same one"]
    try:
        dates = [datetime.fromisoformat(found.date) for found in (before, after)]
    except ValueError:
        return []
    was, now = (each if each.tzinfo else each.replace(tzinfo=UTC) for each in dates)
    if was <= now:
        return []
    first, second = (each.isoformat(" ", "seconds") for each in (was, now))
    return [f"the second file is the older one: {first} before, {second} after: what is slower here became faster"]


def _memory(old: Timings, new: Timings) -> list[str]:
    """Name what takes more memory beside its result than it did."""
    factor, least = MORE
    more = [
        f"{key[3]} {key[1]} {key[2]}, {_size(old[key])} before and {_size(new[key])} now"
        for key in new
        if key in old and new[key].peak_extra_bytes > max(factor * old[key].peak_extra_bytes,
                                                          old[key].peak_extra_bytes + least)
    ]  # fmt: skip
    if not more:
        return []
    return [f"{plural(len(more), 'call')} with more memory beside the result: {'; '.join(more[:3])}"
            f"{'; ...' if len(more) > 3 else ''}"]  # fmt: skip


def _size(line: Any) -> str:
    return f"{line.peak_extra_bytes / 1e6:.1f} MB"
