"""Floating-point arrays as Python ints times a power of two, so that the definition runs without any rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from oracles.conv import Nested

_WIDE = 2.0**62  # below this a float64 that holds an integer converts to int64 exactly


def integers(array: np.ndarray) -> tuple[Nested, int]:
    """A finite float array -> (nested ints, exponent) with array == ints * 2**exponent, exactly."""
    values = array.astype(np.float64)
    if _whole(values):
        return values.astype(np.int64).tolist(), 0
    fraction, power = np.frexp(values)
    mantissa = (fraction * 2.0**53).astype(np.int64)
    exponent = int(power[mantissa != 0].min()) - 53
    with np.errstate(over="ignore"):  # what grows beyond float64 is not whole, and is shifted as a Python int
        scaled = np.ldexp(values, -exponent)
    if _whole(scaled):
        return scaled.astype(np.int64).tolist(), exponent
    shifts = np.where(mantissa == 0, 0, power - 53 - exponent)
    flat = [int(m) << int(s) for m, s in zip(mantissa.ravel(), shifts.ravel(), strict=True)]
    return nested(flat, array.shape), exponent


def _whole(values: np.ndarray) -> bool:
    with np.errstate(invalid="ignore"):
        return bool((np.abs(values) < _WIDE).all() and (values == np.rint(values)).all())


def floats(numbers: Nested, exponent: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Nested ints -> float64 arrays (value, rest): numbers * 2**exponent, and what rounding it took away."""
    flat = flattened(numbers, len(shape))
    if all(-(2**53) <= number <= 2**53 for number in flat):
        value = np.array(flat, np.float64).reshape(shape)
        return np.ldexp(value, exponent), np.zeros(shape)
    parts = [_split(number, exponent) for number in flat]
    return tuple(np.array(part, np.float64).reshape(shape) for part in zip(*parts, strict=True))  # type: ignore[return-value]


def _split(number: int, exponent: int) -> tuple[float, float]:
    """number * 2**exponent as a float and the float nearest to what that leaves over."""
    value = scaled(number, exponent)
    numerator, denominator = value.as_integer_ratio()
    # number * 2**exponent - value over the common denominator, a power of two
    if exponent >= 0:
        left = (number << exponent) * denominator - numerator
        return value, left / denominator
    left = number * denominator - (numerator << -exponent)
    return value, left / (denominator << -exponent)


def scaled(number: int, exponent: int) -> float:
    """number * 2**exponent, rounded once. Raises OverflowError beyond float64."""
    if exponent >= 0:
        return float(number << exponent)
    return number / (1 << -exponent)  # true division of ints rounds correctly, subnormals included


def flattened(numbers: Nested, depth: int) -> list[Any]:
    """Nested lists of the given depth -> one flat list."""
    for _ in range(depth - 1):
        numbers = [number for inner in numbers for number in inner]
    return numbers


def nested(flat: list[Any], shape: tuple[int, ...]) -> Nested:
    """The inverse of flattened()."""
    for extent in reversed(shape[1:]):
        if extent == 0:
            return []
        flat = [flat[i : i + extent] for i in range(0, len(flat), extent)]
    return flat
