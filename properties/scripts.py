"""NumPy expressions that bring an array of a script into the layout that a case was run with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from impls.layouts import chosen, repeated
from oracles.case import Case

RELAID = {
    "fortran": "np.asfortranarray({a})",
    "transposed": "np.ascontiguousarray({a}.swapaxes(-1, -2)).swapaxes(-1, -2)",
    "channels_last": "np.ascontiguousarray({a}.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)",
    "channels_last_crop": "np.pad({a}.transpose(0, 2, 3, 1), [(0, 0), (1, 1), (1, 2), (0, 0)])[:, 1:-1, 1:-2]"
    ".transpose(0, 3, 1, 2)",
    "strided": "np.kron({a}, np.ones([2] * {a}.ndim, {a}.dtype))[(slice(None, None, 2),) * {a}.ndim]",
    "negative": "np.flip(np.flip({a}).copy())",
    "offset": "np.pad({a}, 1)[(slice(1, -1),) * {a}.ndim]",
    "broadcast": "np.broadcast_to({a}[{first}], {a}.shape)",
    "read_only": "np.broadcast_to({a}, {a}.shape)",
    "misaligned": 'np.frombuffer(bytearray(b" " + {a}.tobytes()), {a}.dtype, offset=1).reshape({a}.shape)',
    "byteswapped": "{a}.astype({a}.dtype.newbyteorder())",
}


def relaid(case: Case, data: Mapping[str, np.ndarray | None]) -> list[str]:
    """Write the lines that a script needs after its arrays are made: none where the case has no detail layout=...

    data are the arrays of the script, by name, in the order of the call.
    """
    layout = dict(case.details).get("layout", "contiguous")
    names = layouts_of(layout, case.seed, data)
    lines = []
    for i, (name, array) in enumerate(data.items()):
        expression = RELAID.get(names[i], "")
        if array is None or not expression or (array.ndim < 2 and names[i] in ("transposed", "channels_last")):
            continue
        if names[i] == "channels_last_crop" and array.ndim != 4:
            expression = RELAID["offset"]
        axes = repeated(array, case.seed + i)
        if names[i] == "broadcast" and not axes:
            continue
        first = ", ".join(":1" if axis in axes else ":" for axis in range(array.ndim))
        lines.append(f"{name} = {expression.format(a=name, first=first)}  # {names[i]}")
    return lines


def layouts_of(layout: str, seed: int, data: Mapping[str, np.ndarray | None]) -> list[str]:
    """Name the layout of each array, as the probe chooses it: its own for each where they are mixed."""
    return chosen(layout, len(data), seed)
