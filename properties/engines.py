"""Every engine and variant that can run here before every property: a process of pytest for each engine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from impls import registry
from impls.entries import Entry

ROOT = Path(__file__).parents[1]
LOGS = ROOT / "results" / "engines"
# A first call may compile, and what was compiled is kept; so of some most is not reached.
ISOLATED = ("--isolate=always", "--call-limit=60", "--memory-limit=4096", "--glance")


def main(jobs: int, names: Sequence[str], options: Sequence[str], *, plain: bool = False) -> int:
    """Run them, so many at once, and tell of each how it ended; 1 where one did not end with 0.

    names: of engines, all where there is none. options: more of pytest's. plain: whether to leave their variants out.
    Raises ValueError for a name that is none.
    """
    engines = [entry for entry in registry.entries() if entry.foreign]
    for name in names:
        if name not in {entry.name for entry in engines}:
            raise ValueError(f"{name}: an engine is accepted: {', '.join(entry.name for entry in engines)}")
    wanted = [entry for entry in engines if not names or entry.name in names]

    def asked(entry: Entry) -> list[str]:
        return [entry.name] if plain else [*entry.names]

    LOGS.mkdir(parents=True, exist_ok=True)
    for entry in wanted:
        if entry.missing:
            _say(f"{entry.name:<16} left out: {entry.missing}")
    there = [entry for entry in wanted if not entry.missing]
    with ThreadPoolExecutor(jobs) as pool:
        ended = list(pool.map(lambda entry: _run(entry, asked(entry), options), there))
    failed = [entry.name for entry, status in zip(there, ended, strict=True) if status]
    _say(
        f"{len(there)} engines, {sum(len(asked(entry)) for entry in there)} with their variants; what they say: {LOGS}"
    )
    _say(f"not as expected: {', '.join(failed)}" if failed else "all as expected")
    return int(bool(failed) or not there)


def _run(entry: Entry, names: Sequence[str], options: Sequence[str]) -> int:
    command = [sys.executable, "-m", "pytest", "properties/", *(f"--impl={name}" for name in names), *ISOLATED]
    begun, log = time.perf_counter(), LOGS / f"{entry.name}.log"
    _say(f"{entry.name:<16} begins: {len(names)} of it")
    with log.open("w", encoding="utf-8") as said:
        done = subprocess.run([*command, "-q", *options], cwd=ROOT, stdout=said, stderr=subprocess.STDOUT, check=False)
    last = [line for line in log.read_text(encoding="utf-8").splitlines() if " in " in line and " passed" in line]
    found = last[-1].strip("= ") if last else f"status {done.returncode}"
    _say(f"{entry.name:<16} {time.perf_counter() - begun:.0f} s: {found}")
    return done.returncode


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
