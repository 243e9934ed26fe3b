"""What pooling and strides make of a photograph that moves sideways by a few pixels, and what is expected of it.

One step (see `steps`) is applied to a crop of a photograph, and to the crop that begins `shift` pixels further right.
Whole strides are undone: output o of the second is held against output o + shift // S of the first, so that windows
differ by r = shift mod S pixels. No padding. Pixels, filters and sums are whole numbers below 2**53 in float64:
"changed" means that the number is another one, and owes nothing to rounding.

Expected, and written down before anything was measured. D is the fraction of outputs in whose receptive field at least
one pixel is another one; it comes from the photograph alone.

1.  r = 0: nothing changes in any variant, since each window sees the same pixels. Predicted 0, exactly.
2.  C, B, average, L2: an output changes if and only if its receptive field does, but for coincidences. Predicted D;
    holds if at most D change (anything else is impossible) and at least D - 1/100.
3.  Maximum: the two windows see S (S + r) responses together, S (S - r) of them both. If all were alike by chance, the
    greatest could be any of them, and the maximum would stay where it is one of the shared: 2r / (S + r) change.
    Responses to a photograph are not alike: they rise and fall across a window, and the greatest stands at its edge
    more often, where it soon leaves. Predicted is the least, 2r / (S + r) of D; holds if no fewer change, beyond three
    standard errors, and no more than D.
4.  By how much (root mean square of the change, over that of the outputs): less with any pool than with C, since a pool
    looks at S x S neighbours of which most stay. `damped` says whether it is so.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from bench import gate, steps
from impls.subject import Subject
from oracles.case import Case

SIDE = 128
CORNER = 40, 142  # row and column: her face
EXTENTS, STRIDES = (3, 5, 7), (2, 3, 4)
ANGLES = (0, 45, 90, 135)  # degrees; 0 answers to upright stripes, which a shift sideways moves most
LARGEST = 127  # of a filter's weights
PICTURED = "gabor-0", 5, 2, 1  # filter, F, S and shift of the maps that are kept as pictures
COINCIDENCE = 0.01  # of outputs may stay although their receptive field changes

Kernels = dict[str, np.ndarray]


def photograph() -> np.ndarray:
    """Return Matplotlib's photograph of Grace Hopper: (3, 600, 512), whole numbers 0 to 255.

    Raises ImportError where Matplotlib or Pillow is missing.
    """
    from matplotlib import cbook
    from PIL import Image

    with cbook.get_sample_data("grace_hopper.jpg") as file, Image.open(file) as image:
        return np.asarray(image).transpose(2, 0, 1).astype(np.float64)


def kernels(F: int) -> Kernels:
    """Make the named filters (K, 3, F, F) of whole numbers: Gabor's at four angles, and four drawn at random."""
    found = {f"gabor-{angle}": gabor(F, angle)[None, None].repeat(3, axis=1) for angle in ANGLES}
    return found | {"random": odd(np.random.default_rng((F, 1)), (4, 3, F, F))}


def gabor(F: int, angle: float) -> np.ndarray:
    """Make a wave of period F under a bell of F / 3, without its mean, as whole numbers (F, F)."""
    y, x = np.mgrid[:F, :F] - (F - 1) / 2
    turned = x * math.cos(math.radians(angle)) + y * math.sin(math.radians(angle))
    wave = np.exp(-(x * x + y * y) / (2 * (F / 3) ** 2)) * np.cos(2 * math.pi * turned / F)
    wave -= wave.mean()
    return np.rint(wave * LARGEST / np.abs(wave).max())


def odd(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw odd integers up to 127."""
    return 2.0 * rng.integers(-(LARGEST + 1) // 2, (LARGEST + 1) // 2, shape) + 1


@dataclass(frozen=True)
class Change:
    """What a shift did: how many outputs there are, and what part of them changed, and by how much."""

    outputs: int
    changed: float
    relative: float


def cases(F: int, S: int) -> list[Case]:
    """List the operations of all variants at one F and S, each once."""
    return [*dict.fromkeys(case for variant in steps.VARIANTS for case in _stages(variant, 3, 4, SIDE, F, S))]


def tables(subject: Subject, image: np.ndarray, F: int, S: int) -> dict[str, list[dict[str, Any]]]:
    """Measure at one F and S: rows by table. Raises gate.Wrong where a result is not what the definition says."""
    found = {"translation": [*rows(subject, image, F, S)]}
    if not all(row["holds"] for row in found["translation"] if row["shift"] % S == 0):
        raise gate.Wrong("a shift by whole strides changed something")
    if PICTURED[1:3] == (F, S):
        found["feature_maps"] = [*feature_maps(subject, image)]
    return found


def rows(subject: Subject, image: np.ndarray, F: int, S: int) -> Iterator[dict[str, Any]]:
    """Measure every variant, filter and shift at one F and S: rows of the table `translation`."""
    for name, w in kernels(F).items():
        still = {variant: apply(subject, variant, image, w, S, 0) for variant in steps.VARIANTS}
        for shift in range(1, S + 2):
            found = {}
            for variant in steps.VARIANTS:
                moved = apply(subject, variant, image, w, S, shift)
                found[variant] = compare(still[variant], moved, shift // S)
            for variant, change in found.items():
                differing = seen_to_differ(image, receptive_field(variant, F, S), S, shift % S)
                predicted = expected(variant, S, shift, differing)
                yield {
                    "variant": variant, "filter": name, "F": F, "S": S, "shift": shift, "outputs": change.outputs,
                    "changed_fraction": round(change.changed, 6), "relative_change": round(change.relative, 6),
                    "predicted": round(predicted, 6), "holds": holds(variant, S, shift, differing, change),
                    "differing": round(differing, 6),
                    "damped": change.relative < found["C"].relative if variant in steps.POOLS and shift % S else None,
                    "implementation": subject.spec,
                }  # fmt: skip


def feature_maps(subject: Subject, image: np.ndarray) -> Iterator[dict[str, Any]]:
    """Draw one filter's map in every variant, of the crop as it is and moved: rows of the table `feature_maps`.

    `pixels` are bytes in base64, 0 for `low` and 255 for `high`, which both maps of a variant share.
    """
    name, F, S, shift = PICTURED
    row = {"filter": name, "F": F, "S": S, "implementation": subject.spec}
    yield {"variant": "input", **row, "shift": 0, **_pixels(crop(image, 0).mean(axis=0), 0.0, 255.0)}
    for variant in steps.VARIANTS:
        maps = {each: apply(subject, variant, image, kernels(F)[name], S, each)[0, 0] for each in (0, shift)}
        low, high = (float(extreme([*maps.values()])) for extreme in (np.min, np.max))
        for each, plane in maps.items():
            yield {"variant": variant, **row, "shift": each, **_pixels(plane, low, high)}


def _pixels(plane: np.ndarray, low: float, high: float) -> dict[str, Any]:
    grey = np.rint(255 * (plane - low) / ((high - low) or 1.0)).astype(np.uint8)
    pixels = base64.b64encode(grey.tobytes()).decode()
    return {"height": plane.shape[0], "width": plane.shape[1], "low": low, "high": high, "pixels": pixels}


def expected(variant: str, S: int, shift: int, differing: float) -> float:
    """Predict the fraction of outputs that change; of the maximum, the least."""
    r = shift % S
    if r == 0:
        return 0.0
    return differing * (2 * r / (S + r) if variant == "A" else 1.0)


def holds(variant: str, S: int, shift: int, differing: float, change: Change) -> bool:
    """Tell whether the prediction came true."""
    predicted = expected(variant, S, shift, differing)
    if predicted == 0 or change.changed > differing:
        return change.changed == predicted
    if variant == "A":
        return change.changed >= predicted - 3 * math.sqrt(predicted * (1 - predicted) / change.outputs)
    return change.changed >= predicted - COINCIDENCE


def receptive_field(variant: str, F: int, S: int) -> int:
    """Count the pixels along one side that one output sees."""
    return steps.receptive_field(_stages(variant, 3, 1, SIDE, F, S))


def seen_to_differ(image: np.ndarray, reach: int, S: int, r: int) -> float:
    """Give the fraction of windows of `reach` pixels, at stride S, in which some pixel is not that r further right."""
    if r == 0:
        return 0.0
    here, there = (crop(image, shift) for shift in (0, r))
    differs = (here != there).any(axis=0)
    return float(sliding_window_view(differs, (reach, reach))[::S, ::S].any(axis=(2, 3)).mean())


def crop(image: np.ndarray, shift: int) -> np.ndarray:
    """Cut a square (C, SIDE, SIDE) out of an image (C, H, W), `shift` pixels right of where it is."""
    top, left = CORNER
    return image[:, top : top + SIDE, left + shift : left + shift + SIDE]


def compare(still: np.ndarray, moved: np.ndarray, steps_right: int) -> Change:
    """Hold outputs against those that look at the same place but for less than a stride."""
    before, after = still[..., steps_right:], moved[..., : moved.shape[-1] - steps_right]
    size = math.sqrt(float((before**2).mean()))
    relative = math.sqrt(float(((after - before) ** 2).mean())) / size if size else 0.0
    return Change(before.size, float((after != before).mean()), relative)


def apply(subject: Subject, variant: str, image: np.ndarray, w: np.ndarray, S: int, shift: int) -> np.ndarray:
    """Run a variant on a crop. Raises gate.Wrong where a result is not what the definition says."""
    x, F = crop(image, shift)[None], w.shape[-1]
    filters = [w, odd(np.random.default_rng((F, 2)), (w.shape[0], w.shape[0], F, F))]
    for case in _stages(variant, 3, w.shape[0], SIDE, F, S):
        data = {"x": np.ascontiguousarray(x)}
        if case.operation == "conv2d":
            data |= {"w": filters.pop(0), "b": None}
        result = subject.call(case.operation, *data.values(), **case.parameters(gate.options(subject, case.operation)))
        if not (verdict := gate.held(subject, case, result, gate.FEW, data)).agrees:
            raise gate.Wrong(f"{case}, at shift {shift}\n{verdict.message}")
        x = np.array(steps.first(result))  # the next call may have the same memory to write to
    return x


def _stages(variant: str, C: int, K: int, W: int, F: int, S: int) -> tuple[Case, ...]:
    """Give the operations of a variant without padding, in float64 and on data whose sums are exact."""
    first = steps.convolution(C, K, W, F, S if variant == "C" else 1, 0)
    cases = [first]
    side = first.geometry.vertical.out
    if variant == "B":
        cases.append(steps.convolution(K, K, side, F, S, 0))
    elif variant != "C":
        cases.append(steps.step(variant, C=K, K=K, W=side, F=1, S=S)[1])
    return tuple(replace(case, dtype="float64", recipe="wide:53", bias=False) for case in cases)
