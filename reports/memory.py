"""What im2col costs in memory: the textbook's column matrix beside what each way of doing it was measured to take."""

from __future__ import annotations

import pandas as pd

from reports.benchmarks import Benchmarks
from reports.section import Table, listed, size, time, times


def memory(found: Benchmarks) -> pd.DataFrame:
    """Return the forward convolutions by im2col (by all, where none is called so), with their `workspace`.

    That is the measured peak less the results, which are part of it.
    """
    lines = found.of("layer")
    lines = lines[(lines["operation"] == "conv2d") & (lines["columns_bytes"] > 0) & (lines["peak_extra_bytes"] >= 0)]
    results = lines["result_bytes"].fillna(0)
    lines = lines.assign(workspace=(lines["peak_extra_bytes"] - results).clip(lower=0))
    named = lines[lines["implementation"].str.contains("im2col")]
    return named if len(named) else lines


def caption(lines: pd.DataFrame) -> list[str]:
    """Say what the figure shows: how much less than the textbook's matrix each one takes, and at most."""
    said = []
    for who, its in lines.groupby("who", sort=False):
        most = its.loc[its["workspace"].idxmax()]
        shares = its["workspace"] / its["columns_bytes"]
        least = its.loc[shares.idxmin()]
        said.append(
            f"{who} takes at most {size(most['workspace'])} beside inputs and output ({most['layer']}, where the "
            f"textbook's column matrix has {size(most['columns_bytes'])}): {times(shares.median())} times the column "
            f"matrix in the median, from {times(shares.min())} ({least['layer']}) to {times(shares.max())}."
        )
        shares = (its["gemm_seconds"] / its["seconds"]).dropna()
        if len(shares):
            said.append(
                f"Of its time, the bare matrix product is {100 * shares.median():.0f} % in the median "
                f"({100 * shares.min():.0f} to {100 * shares.max():.0f} %)."
            )
    methods = list(dict.fromkeys(filter(None, lines["peak_method"])))
    if methods:
        said.append(f"Measured by {listed(methods)}.")
    return said


def table(lines: pd.DataFrame) -> Table:
    """Return every layer and implementation."""
    head = ("layer", "implementation", "column matrix", "measured peak", "times the matrix", "result", "time",
            "matrix product alone")  # fmt: skip
    rows = []
    for line in lines.itertuples():
        rows.append([
            line.layer, line.who, size(line.columns_bytes), size(line.workspace),
            times(line.workspace / line.columns_bytes), size(line.result_bytes), time(line.seconds),
            time(line.gemm_seconds),
        ])  # fmt: skip
    return Table(head, rows, 2)
