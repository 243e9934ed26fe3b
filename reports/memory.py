"""What im2col costs in memory: the textbook's column matrix beside what each way of doing it was measured to take."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from oracles.case import Case
from reports.benchmarks import Benchmarks
from reports.section import Table, listed, size, time, times
from reports.sentences import plural

GOAL, GOAL_ELSEWHERE = 0.90, 0.80  # of the bare matrix product's speed: of many channels at stride 1, and elsewhere
MANY = 64  # channels that a filter sees
LEAST = 1e3  # bytes: the axis begins there
TILED, TILE, FEWEST = "im2col-tiled", 1 << 20, 256  # who aims at a tile of so many bytes, or columns
BESIDE = 1 << 17  # bytes that a call takes besides: its objects, and the buffers of copies


def memory(found: Benchmarks) -> pd.DataFrame:
    """Return the forward convolutions by im2col (by all, where none is called so), with their `workspace`.

    That is the measured peak less the results, which are part of it. `share` is the speed in units of the bare matrix
    product's, `backward` that of the gradient in units of its two, `goal` the share that is aimed at, and `limit` the
    bytes that are, NaN of those with no such goal.
    """
    every = found.of("layer")
    lines = every[(every["operation"] == "conv2d") & (every["columns_bytes"] > 0) & (every["peak_extra_bytes"] >= 0)]
    results = lines["result_bytes"].fillna(0)
    lines = lines.assign(
        workspace=(lines["peak_extra_bytes"] - results).clip(lower=0),
        share=lines["gemm_seconds"] / lines["seconds"],
        backward=_backward(every, lines),
        goal=[goal(case) for case in lines["case"]],
        limit=[limit(case) if who == TILED else math.nan
               for case, who in zip(lines["case"], lines["implementation"], strict=True)],
    )  # fmt: skip
    named = lines[lines["implementation"].str.contains("im2col")]
    return named if len(named) else lines


def _backward(every: pd.DataFrame, lines: pd.DataFrame) -> list[float]:
    """Find the gradients of these layers: the share of their two products in their time, NaN where there is none."""
    gradients = every[every["operation"] == "conv2d_backward"]
    keys = zip(gradients["layer"], gradients["who"], strict=True)
    shares = dict(zip(keys, gradients["gemm_seconds"] / gradients["seconds"], strict=True))
    return [shares.get(key, math.nan) for key in zip(lines["layer"], lines["who"], strict=True)]


def goal(case: str) -> float:
    """Return the share of the bare matrix product's speed that is aimed at in a case; NaN where that is not known."""
    try:
        geometry = Case.parse(case).geometry
    except ValueError:
        return math.nan
    dense = geometry.C // geometry.G >= MANY and geometry.vertical.stride == geometry.horizontal.stride == 1
    return GOAL if dense else GOAL_ELSEWHERE


def limit(case: str) -> float:
    """Return the bytes of the largest tile that is aimed at in a case, and of its strip; NaN where that is not known.

    A tile has 1 MB of columns, or 256 of them and the rest of their last row; a strip is the rows of the padded image
    under it.
    """
    try:
        parsed = Case.parse(case)
    except ValueError:
        return math.nan
    geometry, size = parsed.geometry, np.dtype(parsed.dtype).itemsize
    down, across = geometry.vertical, geometry.horizontal
    column = size * geometry.C * down.extent * across.extent  # of all groups
    if not min(down.out, across.out, column):
        return math.nan
    rows = min(down.out, max(TILE // (column * across.out), math.ceil(FEWEST / across.out)))
    fewest = min(math.ceil(FEWEST / across.out), down.out) * across.out
    under = min((rows - 1) * down.stride + (down.extent - 1) * down.dilation + 1, down.padded)
    return max(TILE, fewest * column) + size * geometry.C * under * across.padded


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
            f"matrix in the median, from {times(shares.min())} ({least['layer']}) to {times(shares.max())}; more than "
            f"the column matrix in {int((shares.round(2) > 1).sum())} of {plural(len(its), 'layer')}."
        )
        shares = its["share"].dropna()
        if len(shares):
            said.append(
                f"Of its time, the bare matrix product is {100 * shares.median():.0f} % in the median "
                f"({100 * shares.min():.0f} to {100 * shares.max():.0f} %)."
            )
    said += _limited(lines)
    met, backward = _aimed(lines, "share"), _aimed(lines, "backward")
    if met:
        said.append(
            f"The goal is {GOAL:.2f} of the bare matrix product's speed in layers of {MANY} channels and more at "
            f"stride 1, and {GOAL_ELSEWHERE:.2f} elsewhere: {met}."
        )
    said += _missed(lines)
    if backward:
        said.append(f"Backward, of the speed of the two products: {backward}.")
    if few := int((lines["workspace"] < LEAST).sum()):
        said.append(f"← {plural(few, 'mark')} left of the axis: less than {size(LEAST)}.")
    methods = list(dict.fromkeys(filter(None, lines["peak_method"])))
    if methods:
        said.append(f"Measured by {listed(methods)}.")
    return said


def _aimed(lines: pd.DataFrame, share: str) -> str:
    """Say who meets the goal where, and where it is missed by most."""
    said = []
    for who, its in lines.dropna(subset=[share, "goal"]).groupby("who", sort=False):
        met = its[share] >= its["goal"]
        if met.all():
            said.append(f"{who} meets it in all of {plural(len(met), 'layer')}")
            continue
        worst = its.loc[(its[share] / its["goal"]).idxmin()]
        said.append(
            f"{who} meets it in {int(met.sum())} of {plural(len(met), 'layer')} and misses it in {int((~met).sum())}, "
            f"by most in {worst['layer']} ({_down(worst[share])} for {worst['goal']:.2f})"
        )
    return "; ".join(said)


def _limited(lines: pd.DataFrame) -> list[str]:
    """Say where the goal for memory is met, and where it is missed by most."""
    its = lines.dropna(subset=["limit"])
    if not len(its):
        return []
    over = its["workspace"] - its["limit"]
    said = (
        f"{TILED}'s goal for memory is at most {size(TILE)} of columns, or {FEWEST} columns and the rest of their last "
        f"row if these are more, and a strip of the padded image: it meets it in {int((over <= 0).sum())} of "
        f"{plural(len(its), 'layer')}"
    )
    if (over > 0).any():
        worst = its.loc[over.idxmax()]
        near, far = int(((over > 0) & (over <= BESIDE)).sum()), int((over > BESIDE).sum())
        said += (
            f", misses it by at most {size(BESIDE)}, as a call's own objects and buffers take, in {near} and by more "
            f"in {far}, by most in {worst['layer']} ({size(worst['workspace'])} for {size(worst['limit'])})"
        )
    return [said + "."]


def _missed(lines: pd.DataFrame) -> list[str]:
    """Name a whole class of layers that misses the goal for speed: those of one channel to a filter."""
    its = lines.dropna(subset=["share", "goal"])
    its = its[[_depthwise(case) for case in its["case"]]]
    said = []
    for who, of in its.groupby("who", sort=False):
        if len(of) > 1 and (of["share"] < of["goal"]).all():
            low, high = _down(of["share"].min()), _down(of["share"].max())
            said.append(f"{who} misses it in every depthwise layer: in all {len(of)}, at {low} to {high}.")
    return said


def _depthwise(case: str) -> bool:
    try:
        geometry = Case.parse(case).geometry
    except ValueError:
        return False
    return geometry.C == geometry.G > 1


def _down(share: float) -> str:
    """Write a share to two decimals, never rounded up to a goal that it misses; "" where there is none."""
    if math.isnan(share):
        return ""
    return times(math.floor(100 * share) / 100) if share >= 0.1 else times(share)


def table(lines: pd.DataFrame) -> Table:
    """Return every layer and implementation."""
    head = ("layer", "implementation", "column matrix", "measured peak", "times the matrix", "result", "time",
            "matrix product alone", "goal for memory", "of its speed", "backward, of its two", "goal")  # fmt: skip
    rows = []
    for line in lines.itertuples():
        rows.append([
            line.layer, line.who, size(line.columns_bytes), size(line.workspace),
            times(line.workspace / line.columns_bytes), size(line.result_bytes), time(line.seconds),
            time(line.gemm_seconds), size(line.limit), _down(line.share), _down(line.backward),
            "" if math.isnan(line.goal) else f"{line.goal:.2f}",
        ])  # fmt: skip
    return Table(head, rows, 2)
