"""Real input: a photograph through AlexNet's first convolution and its pooling, in every implementation.

227x227x3 -> conv1, 96 filters 11x11, stride 4 -> 55x55x96 -> ReLU -> pool1, 3x3, stride 2 -> 27x27x96, and back.
Source: A. Krizhevsky, I. Sutskever, G. Hinton, ImageNet Classification with Deep Convolutional Neural Networks, 2012.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls import im2col, registry
from impls.subject import Subject
from oracles import sampled
from oracles.case import CONVOLUTIONS, Case
from oracles.rounding import DIRECT, Arithmetic
from properties.photograph import pixels

ROOT = Path(__file__).parents[2]
# what comes with the suite, and torch; other engines have processes of their own
NAMES = [entry.name for entry in registry.entries() if not entry.foreign or entry.library == "torch"]
PLACES = 500

# The recipe only chooses the bound. The filters and dy are independent with random signs, so products with a
# photograph are as well; and no bound of a pool asks for signs.
CONV1 = "n1c3k96g1 i227k11s4p0,0d1 i227k11s4p0,0d1 gauss seed=1"
POOL1 = "n1c96 i55k3s2p0,0d1 i55k3s2p0,0d1 gauss seed=1"

Arrays = dict[str, np.ndarray | None]
Stage = tuple[Case, Arrays, Any]


def case(operation: str) -> Case:
    """Give the case of an operation of the two layers."""
    asked = Case.parse(f"{operation} float32 {CONV1 if operation in CONVOLUTIONS else POOL1}")
    return replace(asked, bias=operation == "conv2d")


def photograph() -> np.ndarray:
    """Scale the pixels to -1 to 1."""
    return (pixels() / 127.5 - 1).astype(np.float32)


def normal(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Independent normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def real_numbers() -> Arrays:
    """Give what conv1 gets."""
    return {"x": photograph(), "w": normal((96, 3, 11, 11), 2), "b": normal((96,), 3)}


def whole_numbers() -> Arrays:
    """Pixels as they are, and filters so small that every sum fits 24 bits: 363 * 255 * 127 + 127 < 2**24."""
    rng = np.random.default_rng(4)
    w, b = (rng.integers(-64, 64, shape) * 2 + 1 for shape in ((96, 3, 11, 11), (96,)))
    return {"x": pixels().astype(np.float32), "w": w.astype(np.float32), "b": b.astype(np.float32)}


def subject(name: str) -> Subject:
    """Load an implementation of the registry, or skip the test with the reason why it cannot run."""
    try:
        return registry.subject(name, ROOT)
    except registry.SpecError as reason:
        pytest.skip(str(reason))


def arithmetic(of: Subject) -> Arithmetic:
    """How it says that it computes."""
    return Arithmetic(of.declared.accuracy, of.declared.accumulator)


def stages(of: Subject, given: Arrays) -> Iterator[Stage]:
    """Each operation it offers, with its case, its data and its result; what one layer gives, the next one gets."""

    def stage(operation: str, *shape: tuple[int, ...], **data: np.ndarray | None) -> Stage:
        asked = case(operation)
        return asked, data, of.call(operation, *data.values(), *shape, **asked.parameters())

    if of.offers("conv2d"):
        yield (conv1 := stage("conv2d", **given))
        yield stage("conv2d_backward", x=given["x"], w=given["w"], dy=normal((1, 96, 55, 55), 5))
    else:  # pools alone
        conv1 = right()["conv2d"]
    x, dy = np.maximum(conv1[2], 0), normal((1, 96, 27, 27), 6)
    yield (pool1 := stage("max_pool2d", x=x))
    yield stage("max_pool2d_backward", x.shape, dy=dy, switches=pool1[2][1])
    yield stage("avg_pool2d", x=x)
    yield stage("avg_pool2d_backward", x.shape, dy=dy)
    yield stage("l2_pool2d", x=x)
    yield stage("l2_pool2d_backward", x=x, dy=dy)


EXACT = replace(case("conv2d"), recipe="wide:24")


@pytest.mark.parametrize("name", NAMES)
def test_a_photograph_goes_through_conv1_and_pool1_and_back(name):
    """Each result lies within its own bound at 500 outputs, corners and borders among them, and in the checksum."""
    implementation = subject(name)
    shapes = {}
    for asked, data, result in stages(implementation, real_numbers()):
        found = sampled.verdict(asked, data, result, count=PLACES, arithmetic=arithmetic(implementation))
        assert found.agrees, f"{asked}\n{found.message}"
        first = result[0] if isinstance(result, tuple) else result
        assert found.elements >= first.size, asked  # the checksum looked at all
        shapes[asked.operation] = first.shape
    convolutions = {"conv2d": (1, 96, 55, 55), "conv2d_backward": (1, 3, 227, 227)}
    assert np.prod(convolutions["conv2d"]) == 290_400
    assert shapes == {
        **(convolutions if implementation.offers("conv2d") else {}),
        **dict.fromkeys(("max_pool2d", "avg_pool2d", "l2_pool2d"), (1, 96, 27, 27)),
        **dict.fromkeys(("max_pool2d_backward", "avg_pool2d_backward", "l2_pool2d_backward"), (1, 96, 55, 55)),
    }


@pytest.mark.parametrize("name", NAMES)
def test_conv1_of_whole_pixels_is_exact(name):
    """Pixels from 0 to 255 and filters of small integers leave no room for rounding: every output is the sum itself."""
    implementation = subject(name)
    if not implementation.offers("conv2d"):
        pytest.skip(f"{name} has pools alone")
    if arithmetic(implementation) != DIRECT:
        pytest.skip(f"{name} declares {implementation.declared.accuracy}: exact data would have to be smaller")
    data = whole_numbers()
    y = implementation.call("conv2d", *data.values(), **EXACT.parameters())
    found = sampled.verdict(EXACT, data, y, count=PLACES)
    assert found.agrees, found.message
    assert found.ratio == 0


# it can fail


@cache
def right() -> dict[str, Stage]:
    """All stages of one implementation that is right, to be spoiled in copies."""
    return {stage[0].operation: stage for stage in stages(Subject("im2col", im2col), real_numbers())}


def convolved(data: Arrays, **changed: np.ndarray | None) -> np.ndarray:
    """im2col's conv1, some of its inputs replaced."""
    return im2col.conv2d(*(data | changed).values(), **case("conv2d").parameters())


def spoiled(output: np.ndarray, place: tuple[int, ...], by: float) -> np.ndarray:
    wrong = output.copy()
    wrong[place] += wrong.dtype.type(by)
    return wrong


@pytest.mark.parametrize("seed", range(10))
def test_one_output_of_290400_that_is_off_by_one_is_caught(seed):
    """On whole pixels the checksum leaves no single output out, wherever it lies."""
    data = whole_numbers()
    y = convolved(data)
    place = tuple(int(i) for i in np.random.default_rng(seed).integers(0, y.shape))
    found = sampled.whole(EXACT, data, "y", spoiled(y, place, 1))
    assert not found.agrees
    assert f"look at y[0, k, {place[2]}, {place[3]}]" in found.message


@pytest.mark.parametrize(
    ("operation", "name", "bounds"),
    [
        ("conv2d", "y", 120),  # a sum over 96 filters forgives 83 bounds, by Hoeffding's inequality
        ("conv2d_backward", "dx", 4),  # a sum over 3 channels
        ("conv2d_backward", "dw", 120),
        ("conv2d_backward", "db", 2),
        ("max_pool2d", "y", 1),
        ("max_pool2d", "switches", 1),
        ("max_pool2d_backward", "dx", 2),
        ("avg_pool2d", "y", 2),
        ("avg_pool2d_backward", "dx", 2),
        ("l2_pool2d", "y", 2),
        ("l2_pool2d_backward", "dx", 2),
    ],
)
def test_an_element_that_is_a_few_bounds_off_anywhere_is_caught(operation, name, bounds):
    """The checksum finds it, beyond the samples: at twenty places, none of them chosen by the oracle."""
    asked, data, result = right()[operation]
    outputs = dict(zip(sampled.outputs(operation), result if isinstance(result, tuple) else (result,), strict=True))
    output, rng = outputs[name], np.random.default_rng(7)
    assert sampled.whole(asked, data, name, output).agrees
    for _ in range(20):
        place = np.array([rng.integers(0, output.shape)])
        expected = sampled.at(asked, data, name, place)
        last = 1.0 if name == "switches" else 2.0**-22 * abs(float(expected.value[0])) or 1.0  # the last digits
        bound = last if expected.bound is None else max(last, float(expected.bound[0]))
        wrong = spoiled(output, tuple(place[0]), rng.choice([-1, 1]) * (bounds + 1) * bound)
        assert not sampled.whole(asked, data, name, wrong).agrees, (place, bound)


FAULTS = {
    "filters flipped": lambda y, data: convolved(data, w=data["w"][..., ::-1, ::-1]),
    "red and blue exchanged": lambda y, data: convolved(data, w=data["w"][:, ::-1]),
    "bias forgotten": lambda y, data: convolved(data, b=None),
    "last column repeated": lambda y, data: np.where(np.arange(55) < 54, y, y[..., 53:54]),
    "kept in float16": lambda y, data: y.astype(np.float16).astype(np.float32),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_conv1_is_caught_by_samples_and_by_the_checksum(fault):
    """Each of the two finds it alone."""
    asked, data, y = right()["conv2d"]
    wrong = FAULTS[fault](y, data)
    assert "sampled elements of y differ" in sampled.verdict(asked, data, wrong, count=PLACES).message
    assert "the checksum of y is wrong" in sampled.whole(asked, data, "y", wrong).message
