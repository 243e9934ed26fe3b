"""What our own implementations accept: arguments checked, pairs made ints, padding resolved, windows counted."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Union

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Pair = Sequence[int]
Padding = Union[Sequence[int], Sequence[Sequence[int]], str]  # noqa: UP007 (3.9)

FLOATS = "efd"  # the codes of float16, float32, float64
PAIRS = tuple, list


class Axis(NamedTuple):
    """One axis of a window operation: window o begins at cell o * stride - before of the image, in `outputs` places."""

    image: int
    window: int
    stride: int
    before: int
    dilation: int
    outputs: int

    @property
    def extent(self) -> int:
        """Cells from the first to the last of one window, F_eff = D(F-1)+1."""
        return self.dilation * (self.window - 1) + 1

    @property
    def reach(self) -> int:
        """Cells from the first window's first to the last window's last, a ragged remainder left out."""
        return (self.outputs - 1) * self.stride + self.extent

    @property
    def is_identity(self) -> bool:
        """Whether each output sees one cell, its own."""
        return self.window == self.stride == 1 and self.before == 0 and self.outputs == self.image


def integer(value: object, name: str, least: int) -> int:
    """Give `value` as an int. Raises ValueError unless it is an integer, NumPy's included, of at least `least`."""
    if type(value) is int and value >= least:  # what it nearly always is; a small call has thirty of them
        return value
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"{name} {value!r}: an integer of at least {least} is accepted") from None
    if number < least:
        raise ValueError(f"{name} {number}: at least {least} is accepted")
    return number


def pair(value: object, name: str, least: int) -> tuple[int, int]:
    """Give (vertical, horizontal) as ints. Raises ValueError unless it is two integers >= `least`."""
    if not isinstance(value, PAIRS) or len(value) != 2:
        raise ValueError(f"{name} {value!r}: a tuple or list (vertical, horizontal) is accepted")
    return integer(value[0], name, least), integer(value[1], name, least)


def out_size(W: int, F: int, S: int, P: int, dilation: int = 1) -> int:
    """Count the outputs along one axis, floor((W - F_eff + 2P)/S) + 1: a ragged remainder is dropped.

    Raises ValueError naming the value. Source: CS231n, "Spatial arrangement"; Dumoulin & Visin 2016, section 5.1.
    """
    before = integer(P, "padding", 0)
    return axis(W, F, S, (before, before), dilation).outputs


def axis(
    image: int, window: int, stride: int, padding: tuple[int, int] | str, dilation: int = 1, ceil_mode: bool = False
) -> Axis:
    """Count the windows along one axis. Raises ValueError naming the value.

    `padding` is (before, after), "same_upper" or "same_lower".
    """
    W = integer(image, "image size", 1)
    F = integer(window, "window size", 1)
    S = integer(stride, "stride", 1)
    D = integer(dilation, "dilation", 1)
    extent = D * (F - 1) + 1
    before, after = same(W, extent, S, padding) if isinstance(padding, str) else padding
    return _laid(W, F, S, before, after, D, ceil_mode)


@lru_cache(maxsize=4096)
def _laid(W: int, F: int, S: int, before: int, after: int, D: int, ceil_mode: bool) -> Axis:
    extent = D * (F - 1) + 1
    room = before + W + after - extent
    if room < 0:
        raise ValueError(
            f"window size {F}, dilation {D}: {extent} cells do not fit the padded image; "
            f"at most {before} + {W} + {after} = {before + W + after} are accepted"
        )
    outputs = room // S + 1
    # A last window that would start in the padding after the image is dropped again: torch's and ONNX's rule.
    if ceil_mode and room % S and outputs * S < before + W:
        outputs += 1
    return Axis(W, F, S, before, D, outputs)


def same(W: int, extent: int, S: int, padding: str) -> tuple[int, int]:
    """Pad for ceil(W/S) windows: (before, after), an odd cell after in "same_upper", before in "same_lower".

    Raises ValueError for any other text. Source: ONNX Conv-11, attribute auto_pad.
    """
    if padding not in ("same_upper", "same_lower"):
        raise ValueError(f'padding {padding!r}: "same_upper" and "same_lower" are accepted')
    total = max(0, (-(-W // S) - 1) * S + extent - W)
    less, more = total // 2, total - total // 2
    return (less, more) if padding == "same_upper" else (more, less)


def sides(padding: object) -> tuple[tuple[int, int] | str, tuple[int, int] | str]:
    """Give each axis its own padding, (before, after) or ONNX's word for it. Raises ValueError."""
    if isinstance(padding, str):
        return padding, padding
    if not isinstance(padding, PAIRS) or len(padding) != 2:
        raise ValueError(
            f"padding {padding!r}: (vertical, horizontal), ((top, bottom), (left, right)), "
            f'"same_upper" and "same_lower" are accepted'
        )
    if isinstance(padding[0], PAIRS):
        return pair(padding[0], "padding", 0), pair(padding[1], "padding", 0)
    vertical, horizontal = pair(padding, "padding", 0)
    return (vertical, vertical), (horizontal, horizontal)


def axes(
    shape: Sequence[int],
    window: tuple[int, int],
    stride: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> tuple[Axis, Axis]:
    """Lay windows over images of `shape` (N, C, H, W): the vertical axis, the horizontal one. Raises ValueError."""
    strides, dilations = pair(stride, "stride", 1), pair(dilation, "dilation", 1)
    top_bottom, left_right = sides(padding)
    return (
        axis(shape[2], window[0], strides[0], top_bottom, dilations[0], ceil_mode),
        axis(shape[3], window[1], strides[1], left_right, dilations[1], ceil_mode),
    )


def convolution(
    x: Array, w: Array, *, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> tuple[Axis, Axis, int]:
    """Lay filters over images: the vertical axis, the horizontal one, and the number of groups as an int.

    x (N, C, H, W), w (K, C/G, FH, FW). Raises ValueError for whatever does not fit together.
    """
    dimensions(x=x, w=w)
    C, K, G = x.shape[1], w.shape[0], integer(groups, "groups", 1)
    if C % G or K % G:
        raise ValueError(f"groups {G}: a divisor of the {C} channels and of the {K} filters is accepted")
    if w.shape[1] != C // G:
        raise ValueError(f"filter channels {w.shape[1]}: C/G = {C}/{G} = {C // G} is accepted")
    return *axes(x.shape, (w.shape[2], w.shape[3]), stride, padding, dilation), G


def pooling(
    shape: Sequence[int],
    *,
    size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> tuple[Axis, Axis]:
    """Lay pooling windows over images of `shape` (N, C, H, W). Raises ValueError, also if padding could hold a window.

    The padding is held against the window's size, not its dilated extent. Source: ONNX MaxPool-12.
    """
    if len(shape) != 4:
        raise ValueError(f"x shape {tuple(shape)}: (N, C, H, W) is accepted")
    window = pair(size, "window size", 1)
    for name, F, around in zip(("vertical", "horizontal"), window, sides(padding)):  # noqa: B905 (3.9)
        if not isinstance(around, str) and max(around) >= F:
            raise ValueError(f"{name} padding {max(around)}: less than the window size {F} is accepted in pooling")
    return axes(shape, window, stride, padding, dilation, ceil_mode)


def bias(b: Array | None, K: int) -> None:
    """Refuse, by ValueError, a bias that is not of shape (K,)."""
    if b is not None and b.shape != (K,):
        raise ValueError(f"bias shape {b.shape}: ({K},), one number for each filter, is accepted")


def gradient(dy: Array, N: int, K: int, vertical: Axis, horizontal: Axis, name: str = "dy") -> None:
    """Refuse, by ValueError, a dy (or switches) that is not of the output's shape."""
    wanted = (N, K, vertical.outputs, horizontal.outputs)
    if dy.shape != wanted:
        raise ValueError(f"{name} shape {dy.shape}: the output's shape {wanted} is accepted")


def switches_of(dy: Array, switches: Array, x_shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Give x's shape as ints if dy and switches (N, C, OH, OW) fit it; -1 marks a window without a cell in the image.

    Raises ValueError naming the value.
    """
    N, C, H, W = switches_fit(dy, switches, x_shape)
    switches_in(switches, H * W)
    return N, C, H, W


def switches_fit(dy: Array, switches: Array, x_shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Give x's shape as ints if the shapes of dy and switches fit it, whatever their values. Raises ValueError."""
    N, C, H, W = image_shape(x_shape)
    if dy.ndim != 4 or dy.shape[:2] != (N, C) or switches.shape != dy.shape:
        raise ValueError(f"dy shape {dy.shape}, switches shape {switches.shape}: ({N}, {C}, OH, OW) twice is accepted")
    if switches.dtype.kind != "i":
        raise ValueError(f"switches of dtype {switches.dtype}: signed integers are accepted")
    return N, C, H, W


def switches_in(switches: Array, cells: int) -> None:
    """Refuse, by ValueError, switches that are neither cells of a plane nor -1."""
    if switches.size and not -1 <= switches.min() <= switches.max() < cells:
        raise ValueError(f"switches {switches.min()} to {switches.max()}: 0 to H*W - 1 = {cells - 1} are accepted")


def image_shape(x_shape: Sequence[int]) -> tuple[int, int, int, int]:
    """Give (N, C, H, W) as ints. Raises ValueError unless there are four; N and C may be 0, H and W not."""
    if len(x_shape) != 4:
        raise ValueError(f"x_shape {tuple(x_shape)}: (N, C, H, W) is accepted")
    N, C, H, W = x_shape
    N, C = integer(N, "batch size", 0), integer(C, "channels", 0)
    return N, C, integer(H, "image size", 1), integer(W, "image size", 1)


def dimensions(**arrays: Array) -> None:
    """Refuse, by ValueError, an array that is not four-dimensional."""
    for name, array in arrays.items():
        if array.ndim != 4:
            raise ValueError(f"{name} shape {array.shape}: four dimensions are accepted")


def common_dtype(**arrays: Array | None) -> np.dtype[Any]:
    """Find the one floating dtype of all arrays of a call, in native byte order. Raises ValueError if there is none."""
    dtypes = {}
    for name, array in arrays.items():
        if isinstance(array, np.ndarray):
            dtypes[name] = array.dtype if array.dtype.isnative else array.dtype.newbyteorder("=")
        elif array is not None:
            raise ValueError(f"{name} is a {type(array).__name__}: a NumPy array is accepted")
    first, *others = dtypes.values()
    if first.char not in FLOATS or others.count(first) < len(others):
        told = ", ".join(f"{name} {dtype}" for name, dtype in dtypes.items())
        raise ValueError(f"{told}: one dtype of float16, float32, float64 is accepted for all")
    return first


def wide(array: Array) -> Array:
    """Give the array in native byte order and in the type sums run in: float32 for float16, else its own."""
    if array.dtype.char in "fd" and array.dtype.isnative:
        return array
    native = array.dtype.newbyteorder("=")
    return array.astype(np.float32 if native == np.float16 else native, copy=False)
