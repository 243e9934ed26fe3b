"""python -m bench.race: ours and torch in turns in one process, each goal measured, and told as met or missed.

One thread on both sides; CPU time of the process; the ratio of the medians over some pairs of rounds. torch runs twice
in each round: where it differs from itself, the machine was too busy to tell. A layer is timed once the verdict on it
agrees, with its filters prepared if it is so timed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything that loads NumPy

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from bench import clock, gate, machine, onnx_session, roofs, torch_ways, winners
from bench.duel import PAIRS, duel
from bench.gate import Gate
from bench.goals import ROWS, Part, Row
from bench.outcomes import line, lines, saved
from impls import costs, processor, registry
from impls.subject import Subject
from reports.race import Cell, Goal, Lap

THEIRS = "torch-cpu"
MAP = "winners"  # the row that has no goal: which of ours is the fastest where


class Race:
    """The implementations, the verdicts on them, and how often they run."""

    def __init__(self, pairs: int) -> None:
        self.pairs, self.gate = pairs, Gate()
        self._subjects: dict[str, Subject] = {}

    def subject(self, spec: str) -> Subject:
        """Load an implementation when it is first asked for."""
        if spec not in self._subjects:
            self._subjects[spec] = registry.subject(spec, Path.cwd())
        return self._subjects[spec]

    def run(self, row: Row) -> Goal:
        """Judge and time every part of a row. A fault in one leaves the row without a measurement."""
        laps = []
        for part in row.parts:
            try:
                laps.append(self.lap(part))
            except NotTimed as error:
                return Goal(row.name, row.told, row.goal, reason=f"{part.name}: {error}")
        ours, theirs, again = (
            sum(lap.count * getattr(lap, side) for lap in laps) for side in ("seconds", "theirs", "again")
        )
        return Goal(row.name, row.told, row.goal, theirs / ours, control=again / theirs, laps=tuple(laps))

    def lap(self, part: Part) -> Lap:
        """Time one part. Raises NotTimed where the verdict on either side does not agree."""
        ours, theirs = self.subject(part.ours), self.subject(THEIRS)
        for subject in (ours, theirs):
            found = self.gate.judged(subject, part.case)
            if not found.passes:
                raise NotTimed(f"{subject.name}: {found.reason}")
        judged = self.gate.judged(ours, part.case)
        call, other = contestant(ours, part), gate.prepared(theirs, part.case)
        calls = {"ours": call, "theirs": other, "again": other}
        try:
            others = torch_ways.ways(theirs, part.case, values_only=part.values_only)
        except ValueError as error:
            raise NotTimed(str(error)) from error
        calls |= others
        if onnx_session.offered(part.case):
            calls["onnxruntime"] = session = onnx_session.prepared(part.case)
            if not (verdict := gate.held(theirs, part.case, session())).agrees:
                raise NotTimed(f"onnxruntime: {verdict.message}")
        times = duel(calls, self.pairs)
        medians = {name: timing.median for name, timing in times.items()}
        way = min(others, key=medians.__getitem__, default="")
        extra = max(0, peak(ours, part, judged) - judged.result_bytes)
        return Lap(
            part.name, part.ours, part.count, medians["ours"], medians["theirs"], medians["again"], extra,
            times["ours"].warm_faults, medians.get("onnxruntime"), way, medians.get(way),
        )  # fmt: skip


class NotTimed(Exception):  # noqa: N818 - a reason, most often that something is not offered
    """A part cannot be timed."""


def contestant(subject: Subject, part: Part) -> Callable[[], Any]:
    """Make our call, with prepared filters or without switches if the part asks so, and hold it against the truth.

    Raises NotTimed where that is not offered, or is wrong.
    """
    call = gate.prepared(subject, part.case)
    if part.ready and subject.offers("prepare"):
        filters = subject.call("prepare", call.operands[1], **call.parameters)
        call.operands[1] = filters
    if part.values_only:
        values = getattr(registry.load(subject.spec), "max_pool2d_values", None)
        if values is None:
            raise NotTimed(f"{subject.name} offers no max_pool2d_values")
        x, parameters = call.operands[0], call.parameters
        expected = call()[0]
        if not (values(x, **parameters) == expected).all():
            raise NotTimed(f"{subject.name}: max_pool2d_values differs from max_pool2d")
        return lambda: values(x, **parameters)
    if part.ready and not (verdict := gate.held(subject, part.case, call())).agrees:
        raise NotTimed(f"{subject.name}, filters prepared: {verdict.message}")
    return call


def peak(subject: Subject, part: Part, judged: gate.Judged) -> int:
    """Give the bytes that a call takes, with what was made of its filters where they are prepared."""
    if not part.ready or not subject.offers("prepare"):
        return judged.peak
    call = gate.prepared(subject, part.case)
    filters = call.operands[1]

    def whole() -> Any:
        call.operands[1] = subject.call("prepare", filters, **call.parameters)
        return call()

    return clock.memory(clock.first(whole), clock.first(whole))[0]


def main(arguments: list[str] | None = None) -> int:
    """Run the rows that are asked for; returns 1 where a goal is missed, or nothing could be measured, 0 otherwise."""
    options = _parser().parse_args(arguments)
    if options.pairs < 1:
        _parser().error(f"--pairs: {options.pairs}; accepted are numbers from 1 on")
    names = [row.name for row in ROWS] + [*roofs.NAMES, MAP]
    wanted = [name for name in names if any(fnmatchcase(name, word) for word in options.rows.split(","))]
    if not wanted:
        print(f"--rows={options.rows}: no row fits; there are {', '.join(names)}", file=sys.stderr)
        return 4
    race, outcomes, start = Race(options.pairs), [], time.perf_counter()
    cells: list[Cell] = []
    costs.settle()  # what `auto` chooses by
    for row in ROWS:
        if row.name in wanted:
            outcomes.append(race.run(row))
            print(line(outcomes[-1], 0), flush=True)
    for name in roofs.NAMES:
        if name in wanted:
            for outcome in roofs.run(name, options.pairs):
                outcomes.append(outcome)
                print(line(outcome, 0), flush=True)
    for cell in winners.cells(options.pairs) if MAP in wanted else ():
        cells.append(cell)
        print(winners.told(cell), flush=True)
    described = machine.described({"flags": processor.flags(), "rates": asdict(costs.rates())})
    print(
        f"\n{described['blas']}, torch {described['torch']}, {machine.threads()} thread; {' '.join(described['flags'])}"
    )
    print(f"{options.pairs} pairs, {time.perf_counter() - start:.0f} s\n")
    if outcomes:
        print("\n".join(lines(outcomes)))
    print(f"saved: {saved(outcomes, described, options.results, cells, options.pairs)}")
    return int(any(outcome.verdict in ("missed", "not measured") for outcome in outcomes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.race", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--rows", default="*", metavar="LIST", help="names and patterns of rows, separated by commas (all)"
    )
    parser.add_argument("--pairs", type=int, default=PAIRS, metavar="N", help="rounds of each call (%(default)s)")
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="where the file goes (%(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
