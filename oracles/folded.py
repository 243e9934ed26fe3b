"""A filter that is large or strided as one of r x r at stride 1: the same sums, with other channels.

Tap f = S (r b + t) + p of an axis is tap t of block b in phase p: it reads, from output o, cell o + t of the image's
cells S (u + r b) + p, u = 0, 1, ..., padding counted. So there is a channel for each phase, block and channel, and the
filter is 0 where r b + t lies beyond the phase's taps. Backwards each phase of the image is a convolution of dy, moved
by r b, with taps in reverse. `margin` cells more are kept on either side: tiles may begin that much earlier, or end
later.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from oracles.geometry import Axis, Geometry


@dataclass(frozen=True)
class Line:
    """One axis, folded for filters of r taps."""

    axis: Axis
    r: int
    margin: int

    @property
    def phases(self) -> int:
        """As many as the stride."""
        return self.axis.stride

    @cached_property
    def blocks(self) -> int:
        """As many as hold all taps of a phase."""
        return -(-self.axis.extent // (self.r * self.phases))

    @property
    def plain(self) -> bool:
        """Whether there is nothing to fold."""
        return self.phases == self.blocks == 1 and self.axis.extent == self.r

    def reads(self, p: int, b: int) -> list[int]:
        """List the image's cells, some of them outside, that tap 0 of block b in phase p reads, from -margin on."""
        count = self.axis.out + self.r - 1 + 2 * self.margin
        return [
            self.phases * (u + self.r * b) + p - self.axis.pad_before for u in range(-self.margin, count - self.margin)
        ]

    def tap(self, p: int, b: int, t: int) -> int | None:
        """Find the filter's tap there, if it has one."""
        f = self.phases * (self.r * b + t) + p
        return f if f < self.axis.extent else None

    def place(self, f: int) -> tuple[int, int, int]:
        """Find the phase, the block and the tap of it that the filter's tap f is."""
        q, p = divmod(f, self.phases)
        return p, *divmod(q, self.r)

    def cell(self, i: int) -> tuple[int, int]:
        """Find the phase of the image's cell i, and which of its places that is."""
        u, p = divmod(i + self.axis.pad_before, self.phases)
        return p, u - self.places.start

    @property
    def places(self) -> range:
        """Of the image's cells within their phase, padding counted."""
        before, S = self.axis.pad_before, self.phases
        return range(before // S, (before + self.axis.size - 1) // S + 1)

    def sent(self, b: int) -> list[int]:
        """List the outputs, some of them outside, that tap r-1 of block b brings to the places, from -margin on."""
        first, count = self.places.start - self.r * b - self.r + 1, len(self.places) + self.r - 1 + 2 * self.margin
        return [first - self.margin + i for i in range(count)]


@dataclass(frozen=True)
class Folded:
    """A geometry folded for filters of r x r."""

    vertical: Line
    horizontal: Line

    @classmethod
    def of(cls, g: Geometry, r: int, margin: int = 0) -> Folded:
        """Fold both axes."""
        return cls(Line(g.vertical, r, margin), Line(g.horizontal, r, margin))

    @property
    def plain(self) -> bool:
        """Whether there is nothing to fold."""
        return self.vertical.plain and self.horizontal.plain

    @property
    def phases(self) -> list[tuple[int, int]]:
        """Of both axes."""
        return [*np.ndindex(self.vertical.phases, self.horizontal.phases)]

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """Of both axes."""
        return [*np.ndindex(self.vertical.blocks, self.horizontal.blocks)]

    def x(self, x: np.ndarray, groups: int) -> np.ndarray:
        """Fold x (N, C, H, W): (N, phases * blocks * C, ...), groups outermost."""
        return _grouped([self.channel(x, phase, block) for phase in self.phases for block in self.blocks], groups)

    def channel(self, x: np.ndarray, phase: tuple[int, int], block: tuple[int, int]) -> np.ndarray:
        """Give what one block in one phase reads of x (N, C, H, W): (N, C, ...)."""
        return _picked(x, self.vertical.reads(phase[0], block[0]), self.horizontal.reads(phase[1], block[1]))

    def w(self, w: np.ndarray) -> np.ndarray:
        """Fold w (K, c, FH, FW): (K, phases * blocks * c, r, r)."""
        parts = [self._taps(w, phase, block) for phase in self.phases for block in self.blocks]
        return np.concatenate(parts, 1)

    def dw(self, folded: np.ndarray) -> np.ndarray:
        """Invert `w`, for its gradient: (K, phases * blocks * c, r, r) -> (K, c, FH, FW)."""
        count, r = len(self.phases) * len(self.blocks), self.vertical.r
        parts = iter(np.split(folded, count, 1))
        found = np.zeros(
            (len(folded), folded.shape[1] // count, self.vertical.axis.extent, self.horizontal.axis.extent)
        )
        for p, q in self.phases:
            for i, j in self.blocks:
                part = next(parts)
                for t, s in np.ndindex(r, r):
                    fy, fx = self.vertical.tap(p, i, t), self.horizontal.tap(q, j, s)
                    if fy is not None and fx is not None:
                        found[:, :, fy, fx] = part[:, :, t, s]
        return found

    def dy(self, dy: np.ndarray, groups: int) -> np.ndarray:
        """Move dy (N, K, OH, OW) to where the blocks of filters turned round read it: (N, blocks * K, ...)."""
        parts = [_picked(dy, self.vertical.sent(i), self.horizontal.sent(j)) for i, j in self.blocks]
        return _grouped(parts, groups)

    def turned(self, w: np.ndarray, groups: int) -> np.ndarray:
        """Fold w (K, c, FH, FW), turned round: (groups, phases * c, blocks * K / groups, r, r)."""
        K, c = w.shape[:2]
        rows = []
        for phase in self.phases:
            parts = [self._taps(w, phase, block)[:, :, ::-1, ::-1] for block in self.blocks]
            whole = np.stack(parts).reshape(len(parts), groups, K // groups, c, *parts[0].shape[2:])
            rows.append(whole.transpose(1, 3, 0, 2, 4, 5).reshape(groups, c, -1, *parts[0].shape[2:]))
        return np.concatenate(rows, 1)

    def dx(self, folded: np.ndarray, groups: int) -> np.ndarray:
        """Give the image's cells what its phases have: (N, groups * phases * c, ...), by place -> (N, C, H, W)."""
        V, H = self.vertical, self.horizontal
        (N, channels), sides = folded.shape[:2], folded.shape[2:]
        c = channels // (groups * V.phases * H.phases)  # told, since an empty batch leaves it open
        split = folded.reshape(N, groups, V.phases, H.phases, c, *sides)
        found = np.zeros((N, groups, c, V.axis.size, H.axis.size))
        for iy in range(V.axis.size):
            for ix in range(H.axis.size):
                (p, u), (q, v) = V.cell(iy), H.cell(ix)
                found[..., iy, ix] = split[:, :, p, q, :, u, v]
        return found.reshape(N, groups * c, V.axis.size, H.axis.size)

    def _taps(self, w: np.ndarray, phase: tuple[int, int], block: tuple[int, int]) -> np.ndarray:
        r = self.vertical.r
        found = np.zeros((*w.shape[:2], r, r))
        for t, s in np.ndindex(r, r):
            fy, fx = self.vertical.tap(phase[0], block[0], t), self.horizontal.tap(phase[1], block[1], s)
            if fy is not None and fx is not None:
                found[:, :, t, s] = w[:, :, fy, fx]
        return found


def _picked(planes: np.ndarray, rows: list[int], columns: list[int]) -> np.ndarray:
    """Pick rows and columns of planes (N, C, H, W); those outside are 0."""
    found = np.zeros((*planes.shape[:2], len(rows), len(columns)))
    down = [(a, i) for a, i in enumerate(rows) if 0 <= i < planes.shape[2]]
    across = [(b, i) for b, i in enumerate(columns) if 0 <= i < planes.shape[3]]
    if down and across:
        (a, y), (b, x) = (np.array(pairs).T for pairs in (down, across))
        found[:, :, a[:, None], b] = planes[:, :, y[:, None], x]
    return found


def _grouped(parts: list[np.ndarray], groups: int) -> np.ndarray:
    """Stack channels of parts (N, C, ...), a group's all together: (N, parts * C, ...)."""
    N, C, *sides = parts[0].shape
    whole = np.stack(parts, 1).reshape(N, len(parts), groups, C // groups, *sides)
    return whole.swapaxes(1, 2).reshape(N, len(parts) * C, *sides)
