"""OpenVINO on the CPU: a compiled model for each operation and shape. Python 3.9."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from impls.engines.calls import OVERHANGING, SAME, Array, Padding, Pair, around, biases, overhangs, plain, refusing

KEPT = 8  # compiled models, each of which has threads


class OpenVino:
    """A namespace of the contract; OpenVINO has no L2 pooling, no gradients, and computes in float32 at most."""

    dtypes = ("float32",)
    accumulator, subnormals = "float32", True
    conventions = ("max_drops_nan", "takes_any_padding", "takes_empty_image")
    options: tuple[str, ...] = ("asymmetric_padding", "pool_dilation", "ceil_mode", "same_padding")

    def __init__(self, variants: Sequence[str] = ()) -> None:
        import openvino

        try:
            from openvino import opset14 as opset
        except ImportError:  # before 2024.2; its ceil keeps a last window that starts in the padding
            from openvino.runtime import opset8 as opset

            self.options = tuple(option for option in self.options if option != "ceil_mode")
        self.version = openvino.__version__
        self.name = "+".join(["openvino", *variants])
        self.opset, self.core, self.engine = opset, openvino.Core(), openvino
        self.static = "dynamic" not in variants
        # Of itself it takes bfloat16 where the processor has it.
        # On one thread it loses the errors of models without static shapes: properties/findings has that.
        threads = 4 if "threads" in variants else 1 if self.static else 2
        self.settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
        self.narrow = "bfloat16" in variants
        if self.narrow:
            self.settings["INFERENCE_PRECISION_HINT"], self.storage = "bf16", "bfloat16"
            self.accumulator = "bfloat16"  # biases are added to what is rounded
            self.subnormals = False  # those of bfloat16 are taken for 0
        self.compiled = lru_cache(KEPT)(self._compiled)

    def supports(
        self, operation: str, *, x_shape: Sequence[int], ceil_mode: bool = False, **parameters: Any
    ) -> str | None:
        """Return the reason why OpenVINO has no such answer, or another one, or None."""
        if x_shape[0] == 0 and operation != "conv2d":
            return "its pooling takes no empty batch"
        averages = operation == "avg_pool2d" and parameters.get("count_include_pad", True) and ceil_mode
        if averages and overhangs(x_shape, *(parameters[name] for name in ("size", "stride", "padding"))):
            return OVERHANGING
        return None

    @refusing("openvino")
    def conv2d(
        self, x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Array:  # fmt: skip
        """Convolution or GroupConvolution: x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> (N, K, OH, OW)."""
        K, rest, grouped = w.shape[0], w.shape[1:], groups > 1
        filters = w.reshape(groups, K // groups, *rest) if grouped and K % groups == 0 else w
        arrays = [x, filters] if b is None else [x, filters, biases(b, K).reshape(1, K, 1, 1)]
        return self._run("group_convolution" if grouped else "convolution", arrays, laid(stride, padding, dilation))[0]

    @refusing("openvino")
    def max_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), dilation: Pair = (1, 1),
        ceil_mode: bool = False,
    ) -> tuple[Array, Array]:  # fmt: skip
        """MaxPool: x (N, C, H, W) -> y, switches (N, C, OH, OW), numbered from axis 2 on."""
        more = {"kernel_shape": tuple(size), "rounding_type": "ceil_torch" if ceil_mode else "floor"}
        told = {"index_element_type": "i64", "axis": 2}
        pooled = self._run("max_pool", [x], {**laid(stride, padding, dilation), **more, **told})
        return pooled[0], pooled[1]

    @refusing("openvino")
    def avg_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), count_include_pad: bool = True,
        ceil_mode: bool = False,
    ) -> Array:  # fmt: skip
        """AvgPool: x (N, C, H, W) -> (N, C, OH, OW)."""
        more = {"kernel_shape": tuple(size), "rounding_type": "ceil_torch" if ceil_mode else "floor"}
        return self._run("avg_pool", [x], {**laid(stride, padding), **more, "exclude_pad": not count_include_pad})[0]

    def _run(self, operator: str, arrays: list[Array], attributes: dict[str, Any]) -> list[Array]:
        given = [*map(plain, arrays)]
        shapes = tuple(array.shape for array in given)
        if not self.static:
            shapes = tuple((-1,) * len(shape) if i == 0 else shape for i, shape in enumerate(shapes))
        request = self.compiled(operator, shapes, tuple(sorted(attributes.items()))).create_infer_request()
        found = request.infer(given)
        return [np.array(found[i]) for i in range(len(found))]

    def _compiled(self, operator: str, shapes: tuple[tuple[int, ...], ...], attributes: tuple[Any, ...]) -> Any:
        inputs = [self.opset.parameter([*shape], np.float32) for shape in shapes]
        make: Callable[..., Any] = getattr(self.opset, operator)
        # Between layers a network in bfloat16 keeps it; its last output alone would be float32. A maximum is both.
        narrow = self.narrow and operator != "max_pool"
        given = [self.opset.convert(each, "bf16") for each in inputs] if narrow else inputs
        node = make(*given[:2], **dict(attributes))
        outputs = node.outputs()
        if len(inputs) == 3:
            outputs = [self.opset.add(node, given[2]).output(0)]
        if narrow:
            outputs[0] = self.opset.convert(outputs[0], "f32").output(0)
        return self.core.compile_model(self.engine.Model(outputs, inputs), "CPU", self.settings)


def laid(stride: Pair, padding: Padding, dilation: Pair | None = None) -> dict[str, Any]:
    """Spell a call's keywords as the attributes of a node."""
    found: dict[str, Any] = {"strides": tuple(stride), "pads_begin": (0, 0), "pads_end": (0, 0)}
    if dilation is not None:
        found["dilations"] = tuple(dilation)
    if isinstance(padding, str):
        return {**found, "auto_pad": SAME[padding].lower()}
    (top, bottom), (left, right) = around(padding)
    return {**found, "pads_begin": (top, left), "pads_end": (bottom, right)}
