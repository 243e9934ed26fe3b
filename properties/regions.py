"""Regions of cases in which a known fault shows, by name: an entry of an --expected file sets one aside.

A region is as narrow as the fault's cause is understood, and never a list of cases that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from oracles.case import Case

Data = Mapping[str, np.ndarray | None]


@dataclass(frozen=True)
class Region:
    """A region in words, and which cases lie in it, by their geometry, or by their data where these are given."""

    told: str
    holds: Callable[[Case], bool] = lambda case: False
    holds_data: Callable[[Case, Data], bool] = lambda case, data: False


def _one_by_one_padded(case: Case) -> bool:
    sizes = case.geometry.sizes
    return {*sizes["F"]} == {1} and any(sizes["P"])


def _one_column(case: Case) -> bool:
    g = case.geometry
    return g.C == 1 and g.horizontal.out == 1


def _one_column_of_wide_windows(case: Case) -> bool:
    horizontal = case.geometry.horizontal
    return horizontal.out == 1 and horizontal.extent > 1


def _columns_in_padding(case: Case) -> bool:
    horizontal = case.geometry.horizontal
    return {f for window in horizontal.windows for f, _ in window} != {*range(horizontal.extent)}


def _evenly_dilated(case: Case) -> bool:
    v, h = case.geometry.vertical, case.geometry.horizontal
    return v.dilation == h.dilation > 1 and v.extent == h.extent


def _windows_in_padding(case: Case) -> bool:
    return not all(case.geometry.vertical.windows + case.geometry.horizontal.windows)


def _stride_1_unlike(case: Case) -> bool:
    g = case.geometry
    return {*g.sizes["S"]} == {1} and g.vertical.pad_after != g.horizontal.pad_before


def _one_line_of_wide_windows(case: Case) -> bool:
    return any(axis.out == 1 and axis.extent > 1 for axis in (case.geometry.vertical, case.geometry.horizontal))


def _one_line_of_many_channels(case: Case) -> bool:
    g = case.geometry
    return g.C // g.G > 32 and 1 in (g.vertical.size, g.horizontal.size)


def _not_plain_and_ragged(case: Case) -> bool:
    g = case.geometry
    axes = (g.vertical, g.horizontal)
    plain = g.G == 1 and all(axis.dilation == 1 for axis in axes)
    return not plain and any(axis.ragged > axis.pad_after for axis in axes)


def _reaches_far(case: Case) -> bool:
    axes = (case.geometry.vertical, case.geometry.horizontal)
    return any(axis.extent <= 64 and axis.reach > 64 + axis.pad_before + axis.pad_after for axis in axes)


def _padding_undone(case: Case) -> bool:
    axis = case.geometry.horizontal
    return axis.out >= 2 and axis.pad_before >= 2 and axis.size == (axis.out - 1) * axis.stride + axis.reach


def _uneven_padding(case: Case) -> bool:
    return any(axis.pad_before != axis.pad_after for axis in (case.geometry.vertical, case.geometry.horizontal))


def _same_and_ragged(case: Case) -> bool:
    return bool(case.same) and any(axis.ragged for axis in (case.geometry.vertical, case.geometry.horizontal))


def _same_padded_before(case: Case) -> bool:
    return bool(case.same) and any(axis.pad_before for axis in (case.geometry.vertical, case.geometry.horizontal))


def _same_and_other_dilation(case: Case) -> bool:
    return bool(case.same) and ("change", "dilation") in case.details


def _halved_beside_few_outputs(case: Case) -> bool:
    v, h = case.geometry.vertical, case.geometry.horizontal
    return any(
        (a.extent, a.stride, a.pad_before, a.pad_after, a.dilation, a.ragged) == (2, 2, 1, 1, 1, 0) and b.out < b.extent
        for a, b in ((v, h), (h, v))
    )


def _non_finite(case: Case, data: Data) -> bool:
    return any(not np.isfinite(array).all() for array in data.values() if array is not None)


def _non_finite_and_unseen(case: Case, data: Data) -> bool:
    x = data.get("x")
    if x is None:
        return False
    rows, columns = (
        {i for window in axis.windows for _, i in window} for axis in (case.geometry.vertical, case.geometry.horizontal)
    )
    unseen = np.ones(x.shape[2:], bool)
    unseen[np.ix_(sorted(rows), sorted(columns))] = False
    return bool((unseen & ~np.isfinite(x)).any())


def _grouped_non_finite(case: Case, data: Data) -> bool:
    return case.geometry.G > 1 and _non_finite(case, data)


def _nan_and_padding(case: Case, data: Data) -> bool:
    return any(case.geometry.sizes["P"]) and any(np.isnan(array).any() for array in data.values() if array is not None)


def _windows(below: Callable[[np.ndarray, float], np.ndarray]) -> Callable[[Case, Data], bool]:
    """Whether some window holds nothing but such cells."""

    def holds(case: Case, data: Data) -> bool:
        x = data.get("x")
        if x is None:
            return False
        with np.errstate(all="ignore"):
            low = below(x, float(np.finfo(x.dtype).max))
        if not low.any():
            return False
        for rows in case.geometry.vertical.windows:
            lines = low[:, :, [iy for _, iy in rows]].all(2)
            for columns in case.geometry.horizontal.windows:
                if rows and columns and lines[:, :, [ix for _, ix in columns]].all(2).any():
                    return True
        return False

    return holds


REGIONS = {
    "one_by_one_padded": Region("filters of 1 x 1 with padding", _one_by_one_padded),
    "one_column_of_one_channel": Region("one channel, and one column of outputs", _one_column),
    "one_column_of_wide_windows": Region(
        "one column of outputs, of windows of several columns", _one_column_of_wide_windows
    ),
    "one_line_of_wide_windows": Region(
        "one row or column of outputs, of windows of several rows or columns", _one_line_of_wide_windows
    ),
    "one_line_of_many_channels": Region(
        "an image of one row or column, and more than 32 channels in a group", _one_line_of_many_channels
    ),
    "columns_in_padding": Region("columns of the filters that meet nothing but padding", _columns_in_padding),
    "reaches_far": Region("a filter of up to 64 cells that reaches over more and the padding", _reaches_far),
    "padding_undone": Region("rows with as many outputs as without their padding", _padding_undone),
    "windows_in_padding": Region("windows that hold no cell of the image", _windows_in_padding),
    "evenly_dilated": Region("square filters with one dilation, above 1, along both axes", _evenly_dilated),
    "stride_1": Region("a stride of 1 along both axes", lambda case: {*case.geometry.sizes["S"]} == {1}),
    "stride_1_padded_unlike": Region(
        "a stride of 1 along both axes, and another padding below the image than to its left", _stride_1_unlike
    ),
    "halved_beside_few_outputs": Region(
        "windows of 2, stride 2 and padding 1 along one axis, and fewer outputs than cells of a window along the other",
        _halved_beside_few_outputs,
    ),
    "ceil_mode": Region("sizes that are rounded up", lambda case: case.geometry.vertical.ceil),
    "float64": Region("float64", lambda case: case.dtype == "float64"),
    "uneven_padding": Region("other padding before the image than after it", _uneven_padding),
    "not_plain_and_ragged": Region(
        "groups or a dilation, and cells of the image after the last window", _not_plain_and_ragged
    ),
    "same_and_ragged": Region("SAME, and cells of the image after the last window", _same_and_ragged),
    "same_and_other_dilation": Region("SAME, in calls of which one has another dilation", _same_and_other_dilation),
    "same_lower": Region("SAME_LOWER", lambda case: case.same == "same_lower"),
    "same_padded_before": Region("SAME, and padding before the image", _same_padded_before),
    "non_finite": Region("a NaN or an infinity among the inputs", holds_data=_non_finite),
    "non_finite_and_unseen": Region(
        "a NaN or an infinity in a cell that no window holds", holds_data=_non_finite_and_unseen
    ),
    "grouped_non_finite": Region("groups, and a NaN or an infinity among the inputs", holds_data=_grouped_non_finite),
    "nan_and_padding": Region("a NaN among the inputs, and padding", holds_data=_nan_and_padding),
    "windows_of_minus_infinity": Region(
        "a window that holds -inf, and nothing but that and NaN",
        holds_data=_windows(lambda x, most: np.isneginf(x) | np.isnan(x)),
    ),
    "windows_of_zeros": Region("a window that holds zeros alone", holds_data=_windows(lambda x, most: x == 0)),
    "windows_of_nan": Region("a window that holds NaN alone", holds_data=_windows(lambda x, most: np.isnan(x))),
    "windows_below_float32": Region(
        "a window that holds nothing above the lowest float32",
        holds_data=_windows(lambda x, most: ~(x > np.finfo(np.float32).min)),
    ),
    "windows_of_the_lowest": Region(
        "a window that holds nothing above the format's lowest number",
        holds_data=_windows(lambda x, most: ~(x > -most)),
    ),
}
SAME_DETAIL, ANY_DETAIL = "same_detail", "any_detail"
ACCEPTED = (*REGIONS, SAME_DETAIL, ANY_DETAIL)


def holds(region: str, listed: Case, case: Case, data: Data | None = None) -> bool:
    """Whether a case, on these data, lies in the region of the case that is listed.

    In `same_detail` lie those with the same detail, such as one fault of a call that must be refused, on either axis;
    in `any_detail` those with any detail of that name, such as every such fault.
    """
    if region in (SAME_DETAIL, ANY_DETAIL):
        if not case.details or [key for key, _ in case.details] != [key for key, _ in listed.details]:
            return False
        return region == ANY_DETAIL or _either_axis(case) == _either_axis(listed)
    if data is not None:
        return REGIONS[region].holds_data(case, data)
    return REGIONS[region].holds(case)


def _either_axis(case: Case) -> list[tuple[str, str]]:
    return [(key, value.removesuffix("_vertical").removesuffix("_horizontal")) for key, value in case.details]
