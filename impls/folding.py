"""Larger filters and strides folded into channels: any dense convolution as one of 3 x 3 filters at stride 1.

At stride S a filter sees, with its taps p, p + S, ..., every S-th cell of the image from p on: S * S images of a phase
each, with filters of ceil(F / S) taps at stride 1. Of these taps three at a time make a block, which sees the image
moved on by three. So tap S * (3 * block + t) + phase of an axis is tap t of a channel (phase, block), and what lies
beyond the filter is 0. Nothing is copied for it: the images are views.

AlexNet's first layer, 11 x 11 at stride 4, is 3 x 3 with 48 channels in place of 3. A 5 x 5 filter is four of 3 x 3,
whose tiles cost 9 multiplications an output in place of 25.

Signal processing calls it a polyphase decomposition, and deep learning space to depth.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from impls.arguments import Array, Axis

TAPS = 3  # of a block, in one direction


class Source(NamedTuple):
    """Channels of planes (N, C, H, W) whose cell (0, 0) is cell (down, across) of what a convolution sees."""

    planes: Array
    down: int
    across: int


class Fold(NamedTuple):
    """An axis, by what its strides and taps become: phases, blocks of three taps."""

    axis: Axis

    @property
    def phases(self) -> int:
        """As many as the stride."""
        return self.axis.stride

    @property
    def blocks(self) -> int:
        """As many as cover the taps of a phase."""
        return -(-self.axis.window // (self.axis.stride * TAPS))

    @property
    def taps(self) -> int:
        """All, those beyond the filter included."""
        return self.phases * self.blocks * TAPS

    def first(self, phase: int) -> int:
        """Give the image's first cell of a phase."""
        return (phase - self.axis.before) % self.axis.stride

    def place(self, phase: int) -> int:
        """Give the place of that cell among those that the phase's filter sees, padding included."""
        return (self.first(phase) + self.axis.before - phase) // self.axis.stride


def folds(axis: Axis) -> bool:
    """Tell whether it pays at all: a dense filter with three taps in a phase, or a larger one."""
    return axis.dilation == 1 and axis.window > (TAPS - 1) * axis.stride


def sources(x: Array, down: Fold, across: Fold) -> list[Source]:
    """List the views of x (N, C, H, W) that the folded filters see, by phase and block, down and across."""
    found = []
    for p, q in np.ndindex(down.phases, across.phases):
        planes = x[:, :, down.first(p) :: down.phases, across.first(q) :: across.phases]
        top, left = down.place(p), across.place(q)
        for i, j in np.ndindex(down.blocks, across.blocks):
            found.append(Source(planes, top - TAPS * i, left - TAPS * j))
    return found


def filters(w: Array, down: Fold, across: Fold) -> Array:
    """Fold filters w (K, C, FH, FW) into (K, phases * blocks * C, 3, 3), in the order of `sources`."""
    K, C, FH, FW = w.shape
    if (FH, FW) == (down.taps, across.taps) == (TAPS, TAPS):
        return w
    whole = np.zeros((K, C, down.taps, across.taps), w.dtype)
    whole[:, :, :FH, :FW] = w
    split = whole.reshape(K, C, down.blocks, TAPS, down.phases, across.blocks, TAPS, across.phases)
    return split.transpose(0, 4, 7, 2, 5, 1, 3, 6).reshape(K, -1, TAPS, TAPS)


def unfold(folded: Array, down: Fold, across: Fold, out: Array) -> None:
    """Write gradients of folded filters (K, phases * blocks * C, 3, 3) to those of the filters, out (K, C, FH, FW)."""
    K, C, FH, FW = out.shape
    split = folded.reshape(K, down.phases, across.phases, down.blocks, across.blocks, C, TAPS, TAPS)
    whole = split.transpose(0, 5, 3, 6, 1, 4, 7, 2).reshape(K, C, down.taps, across.taps)
    out[...] = whole[:, :, :FH, :FW]


# --- The gradient of the image ---------------------------------------------------------------------------------------


def span(fold: Fold) -> range:
    """Find the cells of a phase, padding included, between which all of the image's lie, whatever the phase."""
    stop = [fold.place(p) + len(range(fold.first(p), fold.axis.image, fold.phases)) for p in range(fold.phases)]
    return range(min(map(fold.place, range(fold.phases))), max(stop))


def seen_by_image(dy: Array, down: Fold, across: Fold) -> list[Source]:
    """List the views of dy (N, K, OH, OW) that filters turned round see from the cells of `span`, by block."""
    top, left = (fold.blocks * TAPS - 1 - span(fold).start for fold in (down, across))
    blocks = np.ndindex(down.blocks, across.blocks)
    return [Source(dy, top - TAPS * i, left - TAPS * j) for i, j in blocks]


def turned_filters(w: Array, down: Fold, across: Fold) -> Array:
    """Fold filters w (K, C, FH, FW), turned round, into (phases * C, blocks * K, 3, 3)."""
    K, C, FH, FW = w.shape
    whole = np.zeros((K, C, down.taps, across.taps), w.dtype)
    whole[:, :, :FH, :FW] = w
    split = whole.reshape(K, C, down.blocks * TAPS, down.phases, across.blocks * TAPS, across.phases)
    turned = split[:, :, ::-1, :, ::-1].reshape(
        K, C, down.blocks, TAPS, down.phases, across.blocks, TAPS, across.phases
    )
    shape = down.phases * across.phases * C, down.blocks * across.blocks * K, TAPS, TAPS
    return turned.transpose(4, 7, 1, 2, 5, 0, 3, 6).reshape(shape)


def interleave(phases: Array, down: Fold, across: Fold, out: Array) -> None:
    """Write images of each phase (N, phases * C, OH, OW), over the cells of `span`, to out (N, C, H, W)."""
    N, C = out.shape[:2]
    split = phases.reshape(N, down.phases, across.phases, C, *phases.shape[2:])
    for p, q in np.ndindex(down.phases, across.phases):
        place = out[:, :, down.first(p) :: down.phases, across.first(q) :: across.phases]
        y, x = down.place(p) - span(down).start, across.place(q) - span(across).start
        place[...] = split[:, p, q, :, y : y + place.shape[2], x : x + place.shape[3]]
