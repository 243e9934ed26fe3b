"""Checksums over every output of a large layer, at little more than the cost of reading it.

A convolution is linear in its filters: with random weights r, sum_k r_k y_k is the convolution with the single filter
sum_k r_k w_k, and likewise for the gradients (R. Freivalds, Probabilistic Machines, 1977). Data of exact recipes are
summed modulo 2**64 with odd 64-bit weights: a single wrong element always shows, several hide with a chance near
2**-64. Real data are summed with weights +-1: errors of at most e_k add up to no more than sum e_k, and, since the
signs know nothing of them, to no more than sqrt(2 log(2M/c) sum e_k**2) in any of M sums but for a chance of c
(Hoeffding).

What the sums made here may themselves be off by is added to the bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np

from oracles import rounding
from oracles.case import Case
from oracles.data import recipe
from oracles.formats import FORMATS
from oracles.geometry import Geometry
from oracles.rounding import DIRECT, Arithmetic
from oracles.tapwise import each_tap
from oracles.verdict import DIFFERS, Verdict

Given = dict[str, np.ndarray]
OURS = FORMATS["float64"].u  # of the sums made here
CHANCE = 1e-12  # of blaming correct sums on real data


class Checksum:
    """What sums over one output of a convolution must be, made of the inputs once, for any number of outputs.

    data holds finite x, w and perhaps b, or x, w and dy.
    """

    def __init__(self, case: Case, data: Given, name: str) -> None:
        self.case, self.data, self.name = case, data, name
        self._sides: dict[tuple[Norm, Norm], tuple[np.ndarray, np.ndarray]] = {}

    def verdict(self, output: np.ndarray, arithmetic: Arithmetic = DIRECT) -> Verdict:
        """Hold one output, of the right shape and dtype, against sums that meet each of its elements."""
        number = FORMATS[self.case.dtype]
        if recipe(self.case).kind != "bounded" and arithmetic.sums(number).digits <= number.digits:
            return self._modular(output, arithmetic)
        return self._bounded(output, arithmetic)

    @cached_property
    def _integers(self) -> tuple[int, np.ndarray, np.ndarray]:
        """Give the exponent of the unit, the weights, and the sums in that unit modulo 2**64."""
        g, name, case = self.case.geometry, self.name, self.case
        powers = {key: spacing(array) for key, array in self.data.items()}
        powers["b"] = power = unit(self.data, name)
        if name == "y":  # products and bias meet in units of 2**power, so x may have to be shifted
            powers["x"] = power - powers["w"]
        integers = {
            key: np.ldexp(each.astype(np.float64), -powers[key]).astype(np.int64) for key, each in self.data.items()
        }
        weights = case.rng(2).integers(-(2**62), 2**62, _folded(g, name)) * 2 + 1
        return power, weights, _folded_sums(g, integers, name, weights)

    def _modular(self, output: np.ndarray, arithmetic: Arithmetic) -> Verdict:
        """Compare integers modulo 2**64."""
        name, (power, weights, sums) = self.name, self._integers
        found = np.ldexp(output.astype(np.float64), -power)
        if arithmetic.transforms:
            found = np.rint(found)
        with np.errstate(invalid="ignore"):
            whole = (np.abs(found) < 2.0**62) & (found == np.rint(found))
        if not whole.all():
            place = np.unravel_index(int(whole.argmin()), whole.shape)
            return _wrong(name, f"{int((~whole).sum())} of {whole.size} elements are no sums of the inputs", place)
        wrong = _fold(found.astype(np.int64), name, self.case.geometry, weights) != sums
        if not wrong.any():
            return Verdict(elements=output.size)
        place = np.unravel_index(int(wrong.argmax()), wrong.shape)
        return _wrong(name, f"{int(wrong.sum())} of {wrong.size} exact sums {OVER[name]} differ", place)

    @cached_property
    def _reals(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Give signs +-1, the float64 sums with them, those of the magnitudes, and the greatest of what is summed."""
        g, name = self.case.geometry, self.name
        real = {key: array.astype(np.float64) for key, array in self.data.items()}
        signs = self.case.rng(2).choice([-1.0, 1.0], _folded(g, name))
        sums = _folded_sums(g, real, name, signs)
        sizes, ones = {key: np.abs(array) for key, array in real.items()}, np.ones(signs.shape)
        total, most = (_folded_sums(g, sizes, name, ones, how) for how in (np.sum, np.max))
        return signs, sums, total, most

    def _bounded(self, output: np.ndarray, arithmetic: Arithmetic) -> Verdict:
        """Compare float64 sums with signs +-1."""
        name, g, number = self.name, self.case.geometry, FORMATS[self.case.dtype]
        signs, sums, total, _ = self._reals
        accumulator, n, count = arithmetic.sums(number), terms(g, name), _folds(g, name)
        parts = [(np.array(count * (n + 2) * number.h), np.array(math.sqrt(count) * (n + 2) * number.h))]
        if recipe(self.case).kind == "bounded":
            parts += self._errors(arithmetic)
        with np.errstate(invalid="ignore", over="ignore"):
            found = output.astype(np.float64)
            error = np.abs(_fold(found, name, g, signs) - sums)
        error = np.where(np.isnan(error), np.inf, error)
        if accumulator.digits > number.digits:  # stored once more: u |y| for each, y being near what was found
            near, ones = number.u / (1 - number.u) * np.abs(found), np.ones(signs.shape)
            parts = [(a * (1 + 3 * number.u), b * (1 + 3 * number.u)) for a, b in parts]
            parts.append((_fold(near, name, g, ones), np.sqrt(_fold(near * near, name, g, ones))))
        likely = math.sqrt(2 * math.log(2 * max(1, error.size) / CHANCE))
        bound = np.minimum(sum(part for part, _ in parts), likely * sum(part for _, part in parts))
        bound = bound + rounding.gamma(n + count + 3, OURS) * total
        with np.errstate(over="ignore", invalid="ignore"):
            ratio = np.where(error == 0, 0.0, error / bound)
        ratio[np.isnan(ratio) | np.isinf(error)] = math.inf  # in a narrow format what is found is part of the bound
        if (ratio <= 1).all():
            return Verdict(ratio=float(ratio.max(initial=0.0)), elements=output.size, bounded=output.size > 0)
        place = np.unravel_index(int(ratio.argmax()), ratio.shape)
        told = f"{int((ratio > 1).sum())} of {ratio.size} sums {OVER[name]} are further off than rounding explains"
        return _wrong(name, told, place, float(ratio[place]))

    def _errors(self, arithmetic: Arithmetic) -> list[tuple[np.ndarray, np.ndarray]]:
        """Bound the errors of the elements of one sum: pairs (sum of the bounds, root of the sum of their squares).

        Where A_k are their magnitudes, sum A_k**2 is at most the greatest of them times their sum.
        """
        name, g, form = self.name, self.case.geometry, arithmetic.sums(FORMATS[self.case.dtype])
        _, _, total, most = self._reals
        n, root, one = terms(g, name), np.sqrt(most * total), np.ones(())
        relative = float(rounding.sums(n, one, form, signs=recipe(self.case).signs))
        if arithmetic.tf32:
            relative = max(relative, float(rounding.tf32(n, one)))
        parts = [(relative * total, relative * root)]
        ways: list[tuple[Norm, Norm, float]] = []
        if arithmetic.fft:
            ways.append((_l2, _l2, float(rounding.fft(rounding.points(g), one, 0.0, form))))
        if arithmetic.winograd is not None and arithmetic.winograd.applies(g):
            # |A^T| (|G||w||G^T| * |B^T||d||B|) |A| <= amplification sum|w| max|d|
            ways.append((_largest, _l1, arithmetic.winograd.growth(g, form.u)))
        for left, right, scale in ways if name != "db" else ():
            if (left, right) not in self._sides:
                sizes = {key: np.abs(array.astype(np.float64)) for key, array in self.data.items()}
                self._sides[left, right] = _norms(g, sizes, name, left, right)
            sides = self._sides[left, right]
            parts.append((scale * sides[0], scale * sides[1]))
        return parts


def terms(g: Geometry, name: str) -> int:
    """Count the products, at most, that are summed for one element of a convolution's output."""
    outputs = g.N * g.vertical.out * g.horizontal.out
    counts = {"y": g.terms, "dx": g.window * max(1, g.K // g.G), "dw": outputs, "db": outputs}
    return counts.get(name, g.window)


def spacing(array: np.ndarray) -> int:
    """Find the exponent of the greatest power of two that divides all elements; 0 where all are zero."""
    fraction, power = np.frexp(array.astype(np.float64))
    mantissa = (fraction * 2.0**53).astype(np.int64)
    if not mantissa.any():
        return 0
    trailing = np.frexp((mantissa & -mantissa).astype(np.float64))[1] - 1
    return int((power - 53 + trailing)[mantissa != 0].min())


def unit(data: Given, name: str) -> int:
    """Find the exponent of a power of two that divides every product of which this output of a convolution is made."""
    operands = {"y": ("x", "w"), "dx": ("w", "dy"), "dw": ("x", "dy"), "db": ("dy",)}[name]
    power = sum(spacing(data[key]) for key in operands)
    return min(power, spacing(data["b"])) if name == "y" and "b" in data and data["b"].any() else power


OVER = {"y": "over all k", "dx": "over all c", "dw": "over the k of a group", "db": "of dy"}


Norm = Callable[[np.ndarray, tuple[int, ...]], np.ndarray]


def _l1(sizes: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return np.asarray(sizes.sum(axes))


def _l2(sizes: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return np.asarray(np.sqrt((sizes * sizes).sum(axes)))


def _largest(sizes: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return np.asarray(sizes.max(axes, initial=0.0))


def _norms(g: Geometry, sizes: Given, name: str, left: Norm, right: Norm) -> tuple[np.ndarray, np.ndarray]:
    """Multiply the norm of an image by the sum, and the root of the sum of squares, of the norms of what is folded."""
    filters = g.K // g.G
    if name == "dw":
        images = left(sizes["x"], (0, 2, 3))[:, None, None]  # (C, 1, 1)
        folded = right(sizes["dy"], (0, 2, 3)).reshape(g.G, filters).repeat(g.C // g.G, 0)[:, None, None]
    else:
        images = left(sizes["x" if name == "y" else "dy"], (1, 2, 3))[:, None, None]  # (N, 1, 1)
        weights = sizes["w"].reshape(g.G, filters, g.C // g.G, -1)
        folded = right(weights, (2, 3) if name == "y" else (1, 3)).reshape(1, 1, 1, -1)
    return images * folded.sum(-1), images * np.sqrt((folded * folded).sum(-1))


def _folded(g: Geometry, name: str) -> tuple[int, int]:
    """Give the shape of the weights: groups, and what is folded in each."""
    return g.G, {"y": g.K // g.G, "dx": g.C // g.G, "dw": g.K // g.G}.get(name, 1)


def _folds(g: Geometry, name: str) -> int:
    """Count the elements of the output in one sum."""
    return {"y": g.K, "dx": g.C, "dw": g.K // g.G}.get(name, 1)


def _fold(output: np.ndarray, name: str, g: Geometry, r: np.ndarray) -> np.ndarray:
    """Sum r times the output: y over k (N, OH, OW), dx over c (N, H, W), dw over a group's k (C, FH, FW), db itself."""
    if name == "db":
        return output
    if name == "dw":
        split = output.reshape(g.G, g.K // g.G, g.C // g.G, *output.shape[2:])
        return np.asarray(np.einsum("gkcyx,gk->gcyx", split, r)).reshape(g.C, *output.shape[2:])
    return np.asarray(np.einsum("ncyx,c->nyx", output, r.ravel()))


def _folded_sums(
    g: Geometry, data: Given, name: str, r: np.ndarray, how: Callable[..., np.ndarray] = np.sum
) -> np.ndarray:
    """Make the same sums out of the inputs; how=np.max takes the greatest of what is folded instead."""
    if name == "db":
        return np.asarray(data["dy"].sum((0, 2, 3)))
    if name == "dw":
        folded = np.asarray(how(_grouped(data["dy"], g) * r[None, :, :, None, None], axis=2))
        found = np.zeros((g.C, *g.w_shape[2:]), data["x"].dtype)
        for fy, fx, oy, ox, iy, ix in each_tap(g):
            x = _grouped(data["x"][:, :, iy, ix], g)
            found[:, fy, fx] = np.einsum("ngcyx,ngyx->gc", x, folded[:, :, oy, ox]).ravel()
        return found
    weights = data["w"].reshape(g.G, g.K // g.G, g.C // g.G, *g.w_shape[2:])
    if name == "dx":
        one = np.asarray(how(weights * r[:, None, :, None, None], axis=2)).reshape(g.K, *g.w_shape[2:])
        found = np.zeros((g.N, *g.x_shape[2:]), one.dtype)
        for fy, fx, oy, ox, iy, ix in each_tap(g):
            found[:, iy, ix] += np.einsum("nkyx,k->nyx", data["dy"][:, :, oy, ox], one[:, fy, fx])
        return found
    one = np.asarray(how(weights * r[:, :, None, None, None], axis=1)).reshape(g.C, *g.w_shape[2:])
    found = np.zeros((g.N, *g.y_shape[2:]), one.dtype)
    for fy, fx, oy, ox, iy, ix in each_tap(g):
        found[:, oy, ox] += np.einsum("ncyx,c->nyx", data["x"][:, :, iy, ix], one[:, fy, fx])
    return found + how(data["b"] * r.ravel()) if "b" in data else found


def _grouped(planes: np.ndarray, g: Geometry) -> np.ndarray:
    """Reshape (N, channels, H, W) to (N, G, channels of a group, H, W)."""
    return planes.reshape(planes.shape[0], g.G, planes.shape[1] // g.G, *planes.shape[2:])


def _wrong(name: str, told: str, place: tuple[np.intp, ...], ratio: float = math.inf) -> Verdict:
    """Say where to look; a sum over filters or channels leaves open which of them it is."""
    where = [str(int(i)) for i in place]
    if name != "db" and len(where) == 3:
        where.insert(0 if name == "dw" else 1, "c" if name == "dx" else "k")
    return Verdict(DIFFERS, f"the checksum of {name} is wrong: {told}; look at {name}[{', '.join(where)}]", ratio)
