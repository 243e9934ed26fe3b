"""Made-up rows of the experiments, for the tests: as bench/ saves them, with answers that are known beforehand."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np

VARIANTS = ("A", "A-average", "A-l2", "B", "C")
SHAPES = ((3, 2), (3, 4), (5, 2), (5, 4))
COSTS = {"A": 1.0, "A-average": 0.9, "A-l2": 1.1, "B": 1.2, "C": 0.25}  # times of a step, in units of the maximum's
STRIDES = (1, 2, 3, 4, 6, 8)
SIDE = 12  # of a picture


def pool_or_stride(name: str, seconds: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of each entry and its row; an implementation takes so many `seconds` with the maximum at F 3."""
    for F, S in SHAPES:
        for variant in VARIANTS:
            sees = F + (0 if variant == "C" else F - 1 if variant == "B" else S - 1)
            row = {
                "receptive_field": sees, "variant": variant, "F": F, "S": S, "steps": f"conv {F}x{F} S=1, ...",
                "implementation": name, "cpu_seconds": seconds * COSTS[variant] * (F / 3) ** 2, "macs": 10**6 * F * F,
                "parameters": 64 * 64 * F * F, "out_h": 56 // S, "out_w": 56 // S, "out_channels": 64,
            }  # fmt: skip
            yield f"pool-or-stride-{variant}-F{F}-S{S}", row


def strides(name: str, seconds: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of each entry and its row: time falls with the square of the stride."""
    for S in STRIDES:
        row = {"receptive_field": 11 + 2 * S, "S": S, "out": 216 // S + 1, "implementation": name,
               "cpu_seconds": seconds / S**2, "macs": 1.6e9 / S**2, "parameters": 34944}  # fmt: skip
        yield f"stride-{S}", row


def translation() -> Iterator[dict[str, Any]]:
    """A row for each variant, window, stride and shift: a maximum changes half of the outputs, the others all."""
    for S in (2, 3):
        for shift in range(1, S + 2):
            for variant in VARIANTS:
                moves = shift % S != 0
                changed = (0.5 if variant == "A" else 1.0) * moves
                relative = {"A": 0.4, "A-average": 0.3, "A-l2": 0.2, "B": 0.6, "C": 0.8}[variant] * moves
                yield {
                    "variant": variant, "filter": "gabor-0", "F": 3, "S": S, "shift": shift, "outputs": 3844,
                    "changed_fraction": changed, "relative_change": relative, "predicted": changed * 0.9,
                    "holds": True, "differing": 1.0, "damped": True if moves and variant.startswith("A") else None,
                    "implementation": "im2col",
                }  # fmt: skip


def feature_maps(rng: np.random.Generator) -> Iterator[dict[str, Any]]:
    """A photograph of noise, and for each variant a map as it is and a map of the moved photograph."""
    photograph = rng.integers(0, 256, (2 * SIDE, 2 * SIDE))
    yield _picture("input", "", 0, 0, 0, photograph)
    for variant in VARIANTS:
        still = rng.integers(0, 200, (SIDE, SIDE))
        for shift in (0, 1):
            yield _picture(variant, "gabor-0", 3, 2, shift, still + 51 * shift)


def _picture(variant: str, name: str, F: int, S: int, shift: int, grey: np.ndarray) -> dict[str, Any]:
    pixels = base64.b64encode(grey.astype(np.uint8).tobytes()).decode()
    return {
        "variant": variant, "filter": name, "F": F, "S": S, "shift": shift, "height": len(grey), "width": len(grey[0]),
        "pixels": pixels, "low": -1.0, "high": 1.0, "implementation": "im2col",
    }  # fmt: skip
