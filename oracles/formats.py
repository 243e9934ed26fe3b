"""Number formats: significand, range, and rounding of float64 values into them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Format:
    """A binary floating-point format. `digits` counts the significand's bits, the hidden one included.

    Source: IEEE 754-2019, table 3.5; bfloat16 is float32 without its last 16 bits.
    """

    name: str
    array: str  # the NumPy dtype that holds it
    digits: int
    least: int  # exponent of the smallest subnormal
    largest: float

    @property
    def u(self) -> float:
        """Unit roundoff: half the distance from 1 to the next larger number."""
        return 2.0**-self.digits

    @property
    def h(self) -> float:
        """The smallest subnormal."""
        return 2.0**self.least

    @property
    def narrow(self) -> bool:
        """Whether sums are kept in a wider format unless declared otherwise."""
        return self.digits < 24

    def rounded(self, values: np.ndarray) -> np.ndarray:
        """Float64 values -> the nearest of this format (ties to even), in the dtype that holds it."""
        if self.name != "bfloat16":
            with np.errstate(over="ignore"):
                return values.astype(self.array)
        with np.errstate(over="ignore"):
            single = values.astype(np.float32)  # rounding twice is harmless for what recipes draw: at most 24 bits
        bits = np.ascontiguousarray(single).view(np.uint32).astype(np.uint64)
        kept = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32)
        return np.where(np.isfinite(single), kept.view(np.float32).reshape(single.shape), single)


FORMATS = {
    "float16": Format("float16", "float16", 11, -24, 65504.0),
    "bfloat16": Format("bfloat16", "float32", 8, -133, float.fromhex("0x1.fep127")),
    "float32": Format("float32", "float32", 24, -149, float.fromhex("0x1.fffffep127")),
    "float64": Format("float64", "float64", 53, -1074, float.fromhex("0x1.fffffffffffffp1023")),
}
