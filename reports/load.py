"""The results as tidy pandas DataFrames, one for each table of the ledger."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable

import pandas as pd

from reports import ledger
from reports.matrix import LEVELS
from reports.rows import VERDICTS, Row


def runs(where: str | os.PathLike[str]) -> pd.DataFrame:
    """Return a line for each run, the oldest first: id, started, finished, command, seed, profile, exit_status, ..."""
    frame = pd.DataFrame([run.to_json() for run in ledger.runs(where)], columns=_names(ledger.Run))
    for name in ("started", "finished"):
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return frame


def verdicts(where: str | os.PathLike[str], run_id: str | None = None) -> pd.DataFrame:
    """Return a line for each row of a run (the latest if unnamed), with the run's id in front."""
    run, rows = ledger.read(where, run_id)
    frame = tidy(rows)
    frame.insert(0, "run", run.id)
    return frame


def tidy(rows: Iterable[Row]) -> pd.DataFrame:
    """Return a line for each row; verdicts are ordered, the worst first, and levels as everywhere."""
    frame = pd.DataFrame([dataclasses.asdict(row) for row in rows], columns=_names(Row))
    levels = [*LEVELS, *sorted({*frame["level"]} - {*LEVELS})]
    frame["verdict"] = pd.Categorical(frame["verdict"], categories=[*VERDICTS], ordered=True)
    frame["level"] = pd.Categorical(frame["level"], categories=levels, ordered=True)
    return frame.astype({"worst_ratio": "float64"})  # None where nothing was measured: NaN


def _names(cls: type) -> list[str]:
    return [each.name for each in dataclasses.fields(cls)]
