"""Data that change from round to round in one cell: what answers from a cache, or wrongly now and then, is found out.

One cell of the image, or of dy, is halved (integers: negated) before a round, and put right before the next. What is
linear in it, and the maximum where the cell is the greatest of a window, must change where that cell is seen, and
nowhere else.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench import gate
from impls.subject import Subject
from oracles.case import CONVOLUTIONS, Case
from oracles.geometry import Axis

VARIED = ("gauss", "positive", "spread")  # recipes of data that may be halved, and hardly ever tie
TURNED = ("narrow", "wide", "scaled")  # recipes of integers whose sign may be turned where all is linear in them
LINEAR = (*CONVOLUTIONS, "avg_pool2d", "avg_pool2d_backward")
FULL = 3  # results that differ where they should not are judged in full; then, or where a transform rounds all alike,
LOOSE = 1e-3  # of the greatest magnitude is what they may differ by
TRIES = 20

SEEDS = itertools.count()  # what is measured again gets other changes

Place = tuple[int, int, int, int]
Slices = tuple[Any, ...]


class Changed(Exception):  # noqa: N818 - it is a verdict
    """A round's result is not what its data give."""


@dataclass
class Variation:
    """The changes of one call's data, and what each round's result is held against: the result on unchanged data.

    That result is kept, so that what writes to it later is seen. Nothing is changed where the case asks for data of
    which that would make something else. Raises Changed where that result is wrong already, or other bits than those
    `found` right, and wrong.
    """

    subject: Subject
    case: Case
    call: gate.Call
    found: gate.Judged
    place: Place | None = None
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(next(SEEDS)))
    left: int = FULL

    def __post_init__(self) -> None:
        self.name = "dy" if self.case.operation.endswith("_backward") else "x"
        self.number = [*gate.inputs(self.case)].index(self.name)
        self.true = gate.inputs(self.case)[self.name]
        turned = self.case.recipe.split(":")[0] in TURNED and self.case.operation in LINEAR
        self.factor = -1.0 if turned else 0.5
        varied = turned or self.case.recipe in VARIED
        self.varies = varied and self.true.size > 0 and 0 not in self.case.geometry.y_shape
        result = self.call()
        self.early = _all(result)
        self.base = tuple(np.array(each) for each in self.early)
        if not (verdict := gate.once_more(self.subject, self.case, self.found, result)).agrees:
            raise Changed(verdict.message)

    def vary(self) -> None:
        """Put right what was changed, and change another cell; then all is in cache again as after a call."""
        self.restore()
        self.place = self._chosen() if self.varies else None
        if self.place is not None:
            self.call.operands[self.number][self.place] = self.true[self.place] * self.factor
        for operand in self.call.operands:
            if isinstance(operand, np.ndarray):
                operand.max(initial=0)

    def restore(self) -> None:
        """Put right what was changed."""
        if self.place is not None:
            self.call.operands[self.number][self.place] = self.true[self.place]
        self.place = None

    def kept(self) -> gate.Judged:
        """Judge whether the result on unchanged data is still what it was."""
        return gate.kept(self.base, self.early)

    def check(self, result: Any) -> None:
        """Hold a round's result against the one on unchanged data. Raises Changed."""
        results = _all(result)
        if len(results) != len(self.base) or any(
            not isinstance(now, np.ndarray) or (now.shape, now.dtype) != (base.shape, base.dtype)
            for base, now in zip(self.base, results, strict=False)
        ):
            raise Changed("its results have another shape or type")
        if self.place is None:
            seen: list[Slices] = [(slice(0, 0),)] * len(results)
        else:
            seen = self._seen(self.place)
            if np.array_equal(self.base[0][seen[0]], results[0][seen[0]]):
                how = "halved" if self.factor > 0 else "negated"
                raise Changed(f"{self.name}{[*self.place]} was {how}, and the result is the same")
        if not all(map(self._same, self.base, results, seen)):
            self.left -= 1
            verdict = gate.held(self.subject, self.case, result, data=self.data())
            if not verdict.agrees:
                raise Changed(verdict.message)

    def data(self) -> gate.Data:
        """Give the arrays as they should be now."""
        found = dict(gate.inputs(self.case))
        if self.place is not None:
            found[self.name] = self.true.copy()
            found[self.name][self.place] *= self.factor
        return found

    def _same(self, base: np.ndarray, now: np.ndarray, seen: Slices) -> bool:
        """Whether nothing else has changed; by little, where an engine has added up in another order before."""
        kept = base[seen].copy()
        base[seen] = now[seen]
        same = np.array_equal(base, now)
        if not same and base.dtype.kind == "f" and (self.left <= 0 or self.subject.declared.accuracy != "direct"):
            same = bool(np.abs(base - now).max() <= LOOSE * np.abs(base).max())
        base[seen] = kept
        return same

    def _chosen(self) -> Place | None:
        """Choose a cell that some output sees; of a window that is pooled, the greatest. None where that is hard."""
        for _ in range(TRIES):
            n, c, *sides = (int(self.rng.integers(size)) for size in self.true.shape)
            if self.name == "dy":
                return n, c, sides[0], sides[1]
            cells = [_window(axis, int(self.rng.integers(axis.out))) for axis in self._axes]
            window = [(n, c, i, j) for i, j in itertools.product(*cells)]
            if window and self.case.operation in CONVOLUTIONS:
                return window[self.rng.integers(len(window))]
            if window:
                return max(window, key=lambda place: self.true[place])
        return None

    def _seen(self, place: Place) -> list[Slices]:
        """Find where each result may change."""
        n, c, i, j = place
        g, convolution = self.case.geometry, self.case.operation in CONVOLUTIONS
        if self.name == "x":
            spans = (_outputs(axis, cell) for axis, cell in zip(self._axes, (i, j), strict=True))
            channels = _group(c, g.C // g.G, g.K // g.G) if convolution else slice(c, c + 1)
            return [(slice(n, n + 1), channels, *spans)] * len(self.base)
        spans = (_cells(axis, output) for axis, output in zip(self._axes, (i, j), strict=True))
        if not convolution:
            return [(slice(n, n + 1), slice(c, c + 1), *spans)]
        return [(slice(n, n + 1), _group(c, g.K // g.G, g.C // g.G), *spans), (slice(c, c + 1),), (slice(c, c + 1),)]

    @property
    def _axes(self) -> tuple[Axis, Axis]:
        return self.case.geometry.vertical, self.case.geometry.horizontal


def _all(result: Any) -> tuple[Any, ...]:
    """Give what an operation returned without switches that are not told."""
    return tuple(each for each in (result if isinstance(result, (tuple, list)) else (result,)) if each is not None)


def _window(axis: Axis, output: int) -> list[int]:
    """Give the cells of the image that an output sees."""
    cells = (output * axis.stride - axis.pad_before + axis.dilation * tap for tap in range(axis.extent))
    return [cell for cell in cells if 0 <= cell < axis.size]


def _outputs(axis: Axis, cell: int) -> slice:
    """Give the outputs that may see a cell, and those between them."""
    first = -(-(cell + axis.pad_before - axis.reach + 1) // axis.stride)
    return slice(max(0, first), min(axis.out, (cell + axis.pad_before) // axis.stride + 1))


def _cells(axis: Axis, output: int) -> slice:
    """Give the cells from the first to the last that an output sees."""
    first = output * axis.stride - axis.pad_before
    return slice(max(0, first), max(0, min(axis.size, first + axis.reach)))


def _group(channel: int, size: int, others: int) -> slice:
    """Give the channels on the other side of the group that a channel is in."""
    return slice(channel // size * others, (channel // size + 1) * others)
