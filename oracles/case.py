"""One case: operation, number format, geometry, a recipe for the data and a seed. A value, and a line of text."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from oracles.geometry import Geometry

CONVOLUTIONS = ("conv2d", "conv2d_backward")
POOLS = ("max_pool2d", "avg_pool2d", "l2_pool2d")
POOL_GRADIENTS = tuple(f"{pool}_backward" for pool in POOLS)
FORWARD = ("conv2d", *POOLS)
BACKWARD = ("conv2d_backward", *POOL_GRADIENTS)
POOLING = tuple(name for pair in zip(POOLS, POOL_GRADIENTS, strict=True) for name in pair)
OPERATIONS = ("out_size", *CONVOLUTIONS, *POOLING)
FORMATS = ("float32", "float64", "float16", "bfloat16")

_DETAIL = re.compile(r"([a-z_]+)=([\w.:+-]+)")
_RECIPE = re.compile(r"[a-z_]+(:-?\d+)*")
EXAMPLE = "conv2d float32 n1c3k4g1 i7k3s2p1,1d1 i9k3s1p0,0d1 wide:24 seed=17 bias"


class DetailError(ValueError):
    """A case's line does not say what a property needs to know."""


@dataclass(frozen=True)
class Case:
    """What one example of a property is made of; equal cases give equal data, on any machine.

    `same` is "" or "same_upper" or "same_lower": how the padding is spelled in the call, the numbers being in the
    geometry. `details` are a property's own choices, such as layout=transposed.
    """

    operation: str
    dtype: str
    geometry: Geometry
    recipe: str
    seed: int
    bias: bool = False
    include_pad: bool = True
    same: str = ""
    details: tuple[tuple[str, str], ...] = field(default=())

    def __str__(self) -> str:
        words = [self.operation, self.dtype, str(self.geometry), self.recipe, f"seed={self.seed}"]
        words += ["bias"] * self.bias + ["exclude_pad"] * (not self.include_pad) + [self.same] * bool(self.same)
        return " ".join(words + [f"{key}={value}" for key, value in self.details])

    @classmethod
    def parse(cls, line: str) -> Case:
        """The inverse of str(). Raises ValueError naming the word that does not fit, and showing a case that does."""
        words = line.split()
        if len(words) < 7:
            raise ValueError(f"{line!r} is no case; one looks like: {EXAMPLE}")
        operation, dtype, recipe, seed = words[0], words[1], words[5], words[6]
        _expect(operation in OPERATIONS, operation, f"an operation ({', '.join(OPERATIONS)})")
        _expect(dtype in FORMATS, dtype, f"a format ({', '.join(FORMATS)})")
        _expect(_RECIPE.fullmatch(recipe) is not None, recipe, "a recipe, such as wide:24")
        _expect(re.fullmatch(r"seed=\d+", seed) is not None, seed, "a seed, such as seed=17")
        geometry = Geometry.parse(" ".join(words[2:5]))
        pools = operation not in CONVOLUTIONS
        _expect(
            pools != bool(geometry.K), words[2], "a pooling geometry (n1c3)" if pools else "one with filters (n1c3k4g1)"
        )
        case = cls(operation, dtype, geometry, recipe, int(seed[5:]))
        for word in words[7:]:
            found = _DETAIL.fullmatch(word)
            if word == "bias":
                case = replace(case, bias=True)
            elif word == "exclude_pad":
                case = replace(case, include_pad=False)
            elif word in ("same_upper", "same_lower"):
                case = replace(case, same=word)
            else:
                _expect(found is not None, word, "bias, exclude_pad, same_upper, same_lower or key=value")
                case = replace(case, details=(*case.details, (found[1], found[2])))  # type: ignore[index]
        return case

    def detail(self, key: str, among: Collection[str] = ()) -> str:
        """The value of a property's own choice.

        Raises DetailError where the line does not make it, or it is none of those there are.
        """
        for name, value in self.details:
            if name == key and (not among or value in among):
                return value
            if name == key:
                raise DetailError(f"{key}={value}: accepted here are {', '.join(among)}")
        raise DetailError(f"the case {str(self)!r} lacks {key}=..., which this property needs")

    def rng(self, stream: int = 0) -> np.random.Generator:
        """Random numbers of this case's own, as many independent streams as wanted."""
        return np.random.default_rng((self.seed, stream))

    @property
    def needs(self) -> tuple[str, ...]:
        """The options, as implementations declare them, without which it cannot be called."""
        axes = self.geometry.vertical, self.geometry.horizontal
        wanted = {
            "same_padding": bool(self.same),
            "asymmetric_padding": not self.same and any(axis.pad_before != axis.pad_after for axis in axes),
            "ceil_mode": any(axis.ceil for axis in axes),
            "pool_dilation": self.operation in POOLING and any(axis.dilation > 1 for axis in axes),
        }
        return tuple(option for option, needed in wanted.items() if needed)

    def parameters(self, options: frozenset[str] = frozenset()) -> dict[str, Any]:
        """The keyword arguments of the call, as the contract spells them for an implementation with these options."""
        v, h, operation = self.geometry.vertical, self.geometry.horizontal, self.operation
        if operation == "max_pool2d_backward":
            return {}
        found: dict[str, Any] = {"stride": (v.stride, h.stride), "padding": self._padding(options)}
        if operation in CONVOLUTIONS:
            return found | {"dilation": (v.dilation, h.dilation), "groups": self.geometry.G}
        found["size"] = (v.extent, h.extent)
        if operation == "max_pool2d" and "pool_dilation" in options:
            found["dilation"] = (v.dilation, h.dilation)
        if operation.startswith("avg"):
            found["count_include_pad"] = self.include_pad
        if "ceil_mode" in options:
            found["ceil_mode"] = v.ceil
        return found

    def _padding(self, options: frozenset[str]) -> Any:
        v, h = self.geometry.vertical, self.geometry.horizontal
        if self.same:
            return self.same
        if "asymmetric_padding" in options:
            return (v.pad_before, v.pad_after), (h.pad_before, h.pad_after)
        return v.pad_before, h.pad_before


def _expect(holds: bool, word: str, wanted: str) -> None:
    if not holds:
        raise ValueError(f"{word!r} in the case should be {wanted}; a whole case looks like: {EXAMPLE}")
