"""Convolutions as people build them from scipy.signal: plane by plane, in one of its three ways. Python 3.9."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from impls.engines.calls import Array, Pair, biases, refusing


class SciPy:
    """A namespace of the contract; scipy.signal has neither strides nor dilation nor groups, and pads in its own way.

    Correlation is convolution with the filter turned round, which is how the two that only convolve are asked.
    """

    conventions = ("takes_any_window",)
    limits: ClassVar[dict[str, list[int]]] = {"S": [1], "P": [0], "D": [1], "G": [1]}

    def __init__(self, variants: Sequence[str] = ()) -> None:
        import scipy
        from scipy import signal

        self.version = scipy.__version__
        self.name = "+".join(["scipy-signal", *variants])
        self.accuracy = "fft" if variants else "direct"
        convolve = {"fft": signal.fftconvolve, "oaconvolve": signal.oaconvolve}.get("".join(variants))
        self.correlate = signal.correlate2d
        self.convolve = signal.convolve2d
        if convolve:
            self.convolve = convolve
            self.correlate = lambda image, window, mode: convolve(image, window[::-1, ::-1], mode)

    def supports(self, operation: str, *, x_shape: Sequence[int], **_: Any) -> str | None:
        """Return the reason why there is no such answer, or None."""
        return None if x_shape[0] else "it is asked plane by plane, and there is none"

    @refusing("scipy")
    def conv2d(
        self, x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Pair, dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Array:  # fmt: skip
        """Add up a correlation for each channel: x (N, C, H, W), w (K, C, FH, FW), b (K,) or None -> (N, K, OH, OW)."""
        bare(stride, padding, dilation, groups)
        y = [[added(self.correlate, image, window, "valid") for window in w] for image in x]
        found: Array = np.array(y) if b is None else np.array(y) + biases(b, len(w))[:, None, None]
        return found

    @refusing("scipy")
    def conv2d_backward(
        self, x: Array, w: Array, dy: Array, *, stride: Pair, padding: Pair, dilation: Pair = (1, 1), groups: int = 1
    ) -> tuple[Array, Array, Array]:
        """Convolve dy with the filters in full, and correlate x with dy: -> dx, dw, db, of the shapes of x, w, (K,)."""
        bare(stride, padding, dilation, groups)
        channels, filters = range(w.shape[1]), range(w.shape[0])
        dx = [[added(self.convolve, image, w[:, c], "full") for c in channels] for image in dy]
        dw = [[added(self.correlate, x[:, c], dy[:, k], "valid") for c in channels] for k in filters]
        return np.array(dx), np.array(dw), dy.sum((0, 2, 3))


def added(function: Any, images: Array, windows: Array, mode: str) -> Array:
    """Add up what a function of two planes gives: images (M, H, W), windows (M, FH, FW) -> one plane."""
    if len(images) != len(windows):
        raise ValueError(f"{len(images)} images and {len(windows)} windows: as many are accepted")
    planes: Array = sum(function(image, window, mode) for image, window in zip(images, windows))  # noqa: B905 (3.9)
    return planes


def bare(stride: Pair, padding: Pair, dilation: Pair, groups: int) -> None:
    """Refuse, by ValueError, what scipy.signal has no word for."""
    told = {"stride": (stride, 1), "padding": (padding, 0), "dilation": (dilation, 1), "groups": ((groups,), 1)}
    for name, (given, accepted) in told.items():
        if any(value != accepted for value in given):
            raise ValueError(f"{name} {given}: {accepted} alone is accepted")
