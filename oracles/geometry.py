"""Shapes and index arithmetic of a 2-D window operation. Nothing else computes sizes.

The field's letters, used everywhere in this project:

    N images    C channels    H, W height and width of an image    K filters    G groups
    F extent of the window    S stride    P padding    D dilation (1 = dense)    OH, OW output

and of the loops: n k c oy ox (output) fy fx (window) iy ix (image). Source: CS231n, "Convolutional Layer".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from math import gcd

_AXIS = re.compile(r"i(\d+)k(\d+)s(\d+)p(\d+),(\d+)d(\d+)(c?)")
_GEOMETRY = re.compile(r"n(\d+)c(\d+)(?:k(\d+)g(\d+))?")


@dataclass(frozen=True)
class Axis:
    """One direction of a window operation: an image of `size` cells, read through windows of `extent` taps.

    `ceil` asks for one window more where a ragged remainder is left, unless that window would begin in the
    padding behind the image (torch and ONNX call this ceil_mode). Raises ValueError where no window fits.
    """

    size: int
    extent: int
    stride: int = 1
    dilation: int = 1
    pad_before: int = 0
    pad_after: int = 0
    ceil: bool = False

    def __post_init__(self) -> None:
        for name, least in (("size", 1), ("extent", 1), ("stride", 1), ("dilation", 1), ("pad_before", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        if self.pad_after < 0:
            raise ValueError(f"pad_after is {self.pad_after}; it must be at least 0")
        if self.reach > self.padded:
            raise ValueError(f"the window spans {self.reach} cells, the padded image only {self.padded}")

    @property
    def reach(self) -> int:
        """Cells from a window's first tap to its last, both counted: D(F-1)+1."""
        return self.dilation * (self.extent - 1) + 1

    @property
    def padded(self) -> int:
        """Cells of the image with its padding."""
        return self.pad_before + self.size + self.pad_after

    @cached_property
    def starts(self) -> range:
        """The image coordinate of each window's first tap, by counting: every start from which the window fits."""
        fits = range(-self.pad_before, self.size + self.pad_after - self.reach + 1, self.stride)
        beyond = fits[-1] + self.stride  # floor: a ragged last window is dropped
        if self.ceil and self.ragged and beyond < self.size:
            return range(fits.start, beyond + 1, self.stride)
        return fits

    @property
    def ragged(self) -> int:
        """Padded cells behind the last whole window."""
        return (self.padded - self.reach) % self.stride

    @property
    def out(self) -> int:
        """How many windows there are."""
        return len(self.starts)

    def taps(self, o: int) -> tuple[tuple[int, int], ...]:
        """The taps (f, i) of window `o` that lie inside the image; the others are padding."""
        start = self.starts[o]
        pairs = zip(range(self.extent), range(start, start + self.reach, self.dilation), strict=True)
        return tuple((f, i) for f, i in pairs if 0 <= i < self.size)

    @cached_property
    def windows(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """The taps of every window in order."""
        return tuple(self.taps(o) for o in range(self.out))

    @property
    def overlap(self) -> int:
        """At most so many windows hold one cell: ceil(F/S), and more where steps of D and S meet in the same cells."""
        return -(-self.extent // (self.stride // gcd(self.stride, self.dilation)))

    def strict(self) -> Axis:
        """Itself where the windows fit without remainder. Raises ValueError where they do not."""
        if self.ragged:
            steps = self.padded - self.reach
            raise ValueError(f"stride {self.stride} does not fit: ({steps})/{self.stride} leaves {self.ragged} over")
        return self

    def filled(self) -> Axis:
        """The padded fit: zeros behind the image until the stride leaves no remainder."""
        return replace(self, pad_after=self.pad_after + (self.stride - self.ragged) % self.stride)

    @classmethod
    def same(cls, size: int, extent: int, stride: int, dilation: int, side: str) -> Axis:
        """The axis whose output has ceil(size/stride) cells; an odd cell of padding goes to `side` upper or lower.

        Source: ONNX Conv-11, auto_pad (SAME_UPPER: the extra padding at the end; SAME_LOWER: at the beginning).
        Raises ValueError for another side.
        """
        if side not in ("same_upper", "same_lower"):
            raise ValueError(f"side is {side!r}; it must be same_upper or same_lower")
        out = -(-size // stride)
        total = max(0, (out - 1) * stride + dilation * (extent - 1) + 1 - size)
        less, more = total // 2, total - total // 2
        before, after = (less, more) if side == "same_upper" else (more, less)
        return cls(size, extent, stride, dilation, before, after)

    def __str__(self) -> str:
        text = f"i{self.size}k{self.extent}s{self.stride}p{self.pad_before},{self.pad_after}d{self.dilation}"
        return text + ("c" if self.ceil else "")

    @classmethod
    def parse(cls, text: str) -> Axis:
        """The inverse of str(). Raises ValueError showing the text and an example."""
        found = _AXIS.fullmatch(text)
        if found is None:
            raise ValueError(
                f"{text!r} is no axis; one looks like i7k3s2p1,1d1 (image, window, stride, padding, dilation)"
            )
        size, extent, stride, before, after, dilation = map(int, found.groups()[:6])
        return cls(size, extent, stride, dilation, before, after, bool(found[7]))


@dataclass(frozen=True)
class Geometry:
    """The sizes of one window operation; K is 0 for pooling, which has as many outputs as channels.

    Raises ValueError where the groups do not divide channels and filters.
    """

    N: int
    C: int
    vertical: Axis
    horizontal: Axis
    K: int = 0
    G: int = 1

    def __post_init__(self) -> None:
        if self.N < 0 or self.C < 1 or self.K < 0:
            raise ValueError(
                f"n{self.N} c{self.C} k{self.K}: images and filters cannot be negative, channels at least 1"
            )
        if self.G != 1 and not self.K:
            raise ValueError(f"{self.G} groups of no filters: pooling has none")
        if self.G < 1 or self.C % self.G or self.K % self.G:
            raise ValueError(f"{self.G} groups do not divide {self.C} channels and {self.K} filters")
        if self.vertical.ceil != self.horizontal.ceil:
            raise ValueError(f"{self.vertical} {self.horizontal}: either both axes round up (c) or none does")

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """Every size by its letter, down and across; P before and behind; K and G only where there are filters."""
        axes = self.vertical, self.horizontal
        found: dict[str, tuple[int, ...]] = {"N": (self.N,), "C": (self.C,), "H": (axes[0].size,), "W": (axes[1].size,)}
        found |= {"F": tuple(a.extent for a in axes), "S": tuple(a.stride for a in axes)}
        found |= {"D": tuple(a.dilation for a in axes)}
        found |= {"P": tuple(p for a in axes for p in (a.pad_before, a.pad_after))}
        return found | ({"K": (self.K,), "G": (self.G,)} if self.K else {})

    @property
    def x_shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W)."""
        return self.N, self.C, self.vertical.size, self.horizontal.size

    @property
    def w_shape(self) -> tuple[int, int, int, int]:
        """(K, C/G, FH, FW)."""
        return self.K, self.C // self.G, self.vertical.extent, self.horizontal.extent

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        """(N, K, OH, OW), with C for K where the operation pools."""
        return self.N, self.K or self.C, self.vertical.out, self.horizontal.out

    @property
    def window(self) -> int:
        """Taps of one window in one plane: FH*FW."""
        return self.vertical.extent * self.horizontal.extent

    @property
    def overlap(self) -> int:
        """At most so many windows hold one cell: ceil(FH/sh) ceil(FW/sw) where they are dense."""
        return self.vertical.overlap * self.horizontal.overlap

    @property
    def terms(self) -> int:
        """Products summed for one output of a convolution, padding counted: C/G*FH*FW."""
        return self.C // self.G * self.window

    @property
    def macs(self) -> int:
        """Multiply-adds of a forward convolution, or comparisons of a pooling, padding counted."""
        n, k, oh, ow = self.y_shape
        return n * k * oh * ow * (self.terms if self.K else self.window)

    @property
    def flops(self) -> int:
        """Floating-point operations of a forward convolution: two for each multiply-add."""
        return 2 * self.macs

    def bytes(self, itemsize: int) -> int:
        """Bytes that a forward operation must at least read and write."""
        cells = [_product(self.x_shape), _product(self.y_shape), _product(self.w_shape) if self.K else 0]
        return itemsize * sum(cells)

    @property
    def empty_windows(self) -> bool:
        """Whether some window lies wholly in the padding."""
        return not all(self.vertical.windows) or not all(self.horizontal.windows)

    def __str__(self) -> str:
        head = f"n{self.N}c{self.C}" + (f"k{self.K}g{self.G}" if self.K else "")
        return f"{head} {self.vertical} {self.horizontal}"

    @classmethod
    def parse(cls, text: str) -> Geometry:
        """The inverse of str(). Raises ValueError showing the text and an example."""
        head, *axes = text.split() or [""]
        found = _GEOMETRY.fullmatch(head)
        if found is None or len(axes) != 2:
            raise ValueError(f"{text!r} is no geometry; one looks like n1c3k4g1 i7k3s2p1,1d1 i9k3s1p0,0d1")
        vertical, horizontal = map(Axis.parse, axes)
        return cls(int(found[1]), int(found[2]), vertical, horizontal, int(found[3] or 0), int(found[4] or 1))


def _product(shape: tuple[int, ...]) -> int:
    total = 1
    for extent in shape:
        total *= extent
    return total
