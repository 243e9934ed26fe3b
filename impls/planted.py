"""A correct subject and faulty ones for the tests of the probes: faults are planted around im2col's convolution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from impls import im2col
from impls.subject import Subject
from impls.whole_numbers import whole

CORRECT = Subject("im2col", im2col)
PARAMETERS = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}


def case(seed: int = 0, N: int = 2) -> list[np.ndarray]:
    """Make x, w and b of whole numbers in float32."""
    shapes = (N, 3, 6, 5), (4, 3, 3, 2), (4,)
    return [whole(shape, 3 * seed + i, dtype="float32") for i, shape in enumerate(shapes)]


def faulty(conv2d: Callable[..., Any], **functions: Callable[..., Any]) -> Subject:
    """Make a subject of a conv2d(correct, x, w, b, **parameters) that plants a fault around the correct one."""

    class Namespace:
        def conv2d(self, x: Any, w: Any, b: Any, **parameters: Any) -> Any:
            return conv2d(im2col.conv2d, x, w, b, **parameters)

    namespace = Namespace()
    for name, function in functions.items():
        setattr(namespace, name, function)
    return Subject("faulty", namespace)


def run(subject: Subject, name: str, arrays: Sequence[Any] | None = None, **options: Any) -> dict[str, Any]:
    """Run the probe of that name on a convolution."""
    return subject.probe(name, "conv2d", case() if arrays is None else arrays, PARAMETERS, **options)


def expected(arrays: Sequence[Any]) -> Any:
    """Give the right answer."""
    return CORRECT.call("conv2d", *arrays, **PARAMETERS)


def same(a: Any, b: Any) -> bool:
    """Tell whether two results are equal, to the last bit and in shape."""
    return a.shape == b.shape and np.array_equal(np.asarray(a), np.asarray(b))
