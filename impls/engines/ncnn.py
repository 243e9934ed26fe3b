"""ncnn on the CPU: a network of one layer for each call, on one image. Python 3.9."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from impls.engines.calls import Array, Padding, Pair, around, plain, refusing

# What ncnn calls its parameters, by number: (horizontal, vertical) of each pair.
WINDOW, DILATION, STRIDE = (1, 11), (2, 12), (3, 13)
POOLED = {"size": (1, 11), "stride": (2, 12)}
WINOGRAD = "winograd(6,3;0,1,-1,2,-2,1/2,-1/2)"  # the largest of the three that it chooses from
MAGIC, FLOAT32 = 7767517, bytes(4)  # what a text of layers begins with, and stored weights in float32


class Ncnn:
    """A namespace of the contract; a layer takes one image, and pooling tells no switches."""

    dtypes = ("float32",)
    limits: ClassVar[dict[str, list[int]]] = {"N": [1]}
    options = ("asymmetric_padding",)
    conventions = ("max_orders_nan", "max_takes_either_zero", "takes_any_padding")

    def __init__(self, variants: Sequence[str] = ()) -> None:
        import ncnn

        self.engine, self.version = ncnn, ncnn.__version__
        self.name = "+".join(["ncnn", *variants])
        self.threads = 4 if "threads" in variants else 1
        narrow = ("use_fp16_storage", "use_fp16_arithmetic", "use_fp16_packed", "use_bf16_storage", "use_bf16_packed")
        self.accuracy = "direct" if "no-winograd" in variants else WINOGRAD
        self.settings = {
            **dict.fromkeys(narrow, False),  # of itself it takes float16 where the processor has it
            "use_winograd_convolution": "no-winograd" not in variants,
            "use_packing_layout": "unpacked" not in variants,
        }

    @refusing("ncnn")
    def conv2d(
        self, x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Array:  # fmt: skip
        """Convolution, or ConvolutionDepthWise in groups: x (1, C, H, W), w (K, C/G, FH, FW) -> (1, K, OH, OW)."""
        (top, bottom), (left, right) = around(padding)
        numbers = {0: len(w), 4: left, 14: top, 15: right, 16: bottom, 5: int(b is not None), 6: w.size, 7: groups}
        for pair, places in ((w.shape[2:], WINDOW), (dilation, DILATION), (stride, STRIDE)):
            numbers.update(zip(places, reversed(pair)))  # noqa: B905 (3.9)
        weights = [w.reshape(-1)] if b is None else [w.reshape(-1), b]
        return self._run("ConvolutionDepthWise" if groups > 1 else "Convolution", numbers, weights, x)

    @refusing("ncnn")
    def max_pool2d(self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0)) -> tuple[Array, None]:
        """Pooling of type 0: x (1, C, H, W) -> y (1, C, OH, OW), and no switches."""
        return self._run("Pooling", {0: 0, **windows(size, stride, padding)}, [], x), None

    @refusing("ncnn")
    def avg_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), count_include_pad: bool = True
    ) -> Array:
        """Pooling of type 1: x (1, C, H, W) -> (1, C, OH, OW)."""
        return self._run("Pooling", {0: 1, 6: int(count_include_pad), **windows(size, stride, padding)}, [], x)

    def _run(self, kind: str, numbers: dict[int, int], weights: list[Array], x: Array) -> Array:
        told = " ".join(f"{place}={int(number)}" for place, number in numbers.items())
        network = self.engine.Net()
        network.opt.num_threads, network.opt.use_vulkan_compute = self.threads, False
        for name, value in self.settings.items():
            setattr(network.opt, name, value)
        answers = [network.load_param_mem(f"{MAGIC}\n2 2\nInput in 0 1 x\n{kind} layer 1 1 x y {told}\n")]
        with tempfile.NamedTemporaryFile() as stored:
            stored.write(b"".join([FLOAT32] * bool(weights) + [plain(array).tobytes() for array in weights]))
            stored.flush()
            answers.append(network.load_model(stored.name))
        extractor = network.create_extractor()
        # A copy, whose channels lie apart as ncnn wants them: on arrays as NumPy has them it reads past their ends.
        image = plain(x[0])  # which lives as long as the one that is copied: ncnn holds no reference to it
        answers.append(extractor.input("x", self.engine.Mat(image).clone()))
        answer, y = extractor.extract("y")
        if any([*answers, answer]):
            raise ValueError(f"ncnn: {kind} {told} answers {[*answers, answer]}")
        return np.array(y)[None]


def windows(size: Pair, stride: Pair, padding: Padding) -> dict[int, int]:
    """Number the parameters of a pooling layer; mode 1 drops a ragged last window."""
    (top, bottom), (left, right) = around(padding)
    numbers = {3: left, 13: top, 14: right, 15: bottom, 5: 1}
    for pair, name in ((size, "size"), (stride, "stride")):
        numbers.update(zip(POOLED[name], reversed(pair)))  # noqa: B905 (3.9)
    return numbers
