"""Where an output is not finite: of a NaN or an infinity every element is seen, at little more than reading all.

A product with one is one, since 0 * inf is NaN, and so is a sum that it is a term of. So an element is finite where
none of its terms holds one. Data are small whole numbers beside them, whose sums no format overflows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from oracles.case import Case
from oracles.checksum import terms
from oracles.data import NARROW, recipe
from oracles.formats import FORMATS
from oracles.geometry import Geometry
from oracles.tapwise import each_tap
from oracles.verdict import DIFFERS, Verdict

Arrays = Mapping[str, np.ndarray | None]
Lost = dict[str, np.ndarray]


def pattern(case: Case, data: Arrays, name: str) -> np.ndarray | None:
    """Tell which elements of an output are not finite, as the output is shaped; None where that is not known here.

    Known are convolutions and their gradients, averages and theirs, and L2 pooling, on data of a special recipe.
    """
    g, rule = case.geometry, _RULES.get((case.operation, name))
    largest = FORMATS[case.dtype].largest / 4
    if rule is None or recipe(case).kind != "special" or (terms(g, name) + 1) * NARROW**2 > largest:
        return None
    if case.operation.startswith("avg") and not case.include_pad and _reads_padding_alone(g):
        return None
    lost = {key: ~np.isfinite(array) for key, array in data.items() if array is not None}
    return None if "w" in lost and lost["w"].any() else rule(lost, g)


def verdict(name: str, output: np.ndarray, lost: np.ndarray, owed: np.ndarray | None = None) -> Verdict:
    """Hold an output against the pattern of what is not finite in it; `owed`: in these alone, along its first axis."""
    wrong = np.isfinite(output) == lost
    if owed is not None:
        wrong[~owed] = False
    if not wrong.any():
        return Verdict()
    place = np.unravel_index(int(wrong.argmax()), wrong.shape)
    where = f"{name}[{', '.join(str(int(i)) for i in place)}]"
    spreads, hides = (int((wrong & which).sum()) for which in (~lost, lost))
    told = [f"{spreads} of {name} that no NaN and no infinity reaches {'are' if spreads > 1 else 'is'} not finite"]
    told = told * bool(spreads) + [f"{hides} that one reaches {'are' if hides > 1 else 'is'} finite"] * bool(hides)
    return Verdict(DIFFERS, f"{'; '.join(told)}\n  got {output[place]} at {where}", math.inf)


def _reads_padding_alone(g: Geometry) -> bool:
    return any(not taps for axis in (g.vertical, g.horizontal) for taps in axis.windows)


def _windows(cells: np.ndarray, g: Geometry) -> np.ndarray:
    """Spread cells (N, C, H, W) to the outputs whose windows hold them: (N, C, OH, OW)."""
    found = np.zeros((*cells.shape[:2], g.vertical.out, g.horizontal.out), bool)
    for _, _, oy, ox, iy, ix in each_tap(g):
        found[:, :, oy, ox] |= cells[:, :, iy, ix]
    return found


def _cells(outputs: np.ndarray, g: Geometry) -> np.ndarray:
    """Spread outputs (N, C, OH, OW) to the cells that their windows hold: (N, C, H, W)."""
    found = np.zeros((*outputs.shape[:2], g.vertical.size, g.horizontal.size), bool)
    for _, _, oy, ox, iy, ix in each_tap(g):
        found[:, :, iy, ix] |= outputs[:, :, oy, ox]
    return found


def _any_of_group(array: np.ndarray, G: int) -> np.ndarray:
    """Join the channels of each group of (N, C, H, W): (N, G, H, W)."""
    N, C, *plane = array.shape
    return np.asarray(array.reshape(N, G, C // G, *plane).any(axis=2))


def _y(lost: Lost, g: Geometry) -> np.ndarray:
    y = np.repeat(_windows(_any_of_group(lost["x"], g.G), g), g.K // g.G, axis=1)
    return y | lost["b"][:, None, None] if "b" in lost else y


def _dx(lost: Lost, g: Geometry) -> np.ndarray:
    return np.repeat(_cells(_any_of_group(lost["dy"], g.G), g), g.C // g.G, axis=1)


def _dw(lost: Lost, g: Geometry) -> np.ndarray:
    dw = np.zeros((g.G, g.K // g.G, g.C // g.G, g.vertical.extent, g.horizontal.extent), bool)
    for fy, fx, oy, ox, iy, ix in each_tap(g):
        of_x = lost["x"][:, :, iy, ix].any(axis=(0, 2, 3)).reshape(g.G, 1, -1)
        of_dy = lost["dy"][:, :, oy, ox].any(axis=(0, 2, 3)).reshape(g.G, -1, 1)
        dw[..., fy, fx] = of_x | of_dy
    return dw.reshape(g.w_shape)


def _db(lost: Lost, g: Geometry) -> np.ndarray:
    return np.asarray(lost["dy"].any(axis=(0, 2, 3)))


_RULES: dict[tuple[str, str], Callable[[Lost, Geometry], np.ndarray]] = {
    ("conv2d", "y"): _y,
    ("conv2d_backward", "dx"): _dx,
    ("conv2d_backward", "dw"): _dw,
    ("conv2d_backward", "db"): _db,
    ("avg_pool2d", "y"): lambda lost, g: _windows(lost["x"], g),
    ("avg_pool2d_backward", "dx"): lambda lost, g: _cells(lost["dy"], g),
    ("l2_pool2d", "y"): lambda lost, g: _windows(lost["x"], g),
}
