"""OpenCV's dnn module on the CPU: a network of one ONNX node for each call, its filters stored in it. Python 3.9."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from impls.engines.calls import IN_PADDING, Array, refusing, starts_in_padding
from impls.engines.onnx_nodes import Node, OnnxNodes

OPSET = 11


class OpenCv(OnnxNodes):
    """A namespace of the contract; OpenCV's max pooling knows no dilation."""

    options = ("asymmetric_padding", "ceil_mode")
    subnormals = False
    l2_pool2d = None  # type: ignore[assignment]  # nor has it LpPool

    def __init__(self, variants: Sequence[str] = ()) -> None:
        import cv2

        self.engine, self.version = cv2, cv2.__version__
        self.name = "+".join(["opencv", *variants])
        self.indices = "no-indices" not in variants
        nan = ("max_drops_nan",) if self.indices else ("max_orders_nan", "max_takes_either_zero")
        self.conventions = (*nan, "takes_any_padding")
        cv2.setNumThreads(4 if "threads" in variants else 1)
        self.winograd = "no-winograd" not in variants

    def supports(self, operation: str, *, ceil_mode: bool = False, **parameters: Any) -> str | None:
        """Return the reason why OpenCV has no such answer, or another one, or None."""
        if parameters["x_shape"][0] == 0:
            return "it takes no empty batch"
        line = [parameters[name] for name in ("x_shape", "size", "stride", "padding") if ceil_mode]
        if ceil_mode and starts_in_padding(*line):
            return IN_PADDING
        return super().supports(operation, ceil_mode=ceil_mode, **parameters)

    @refusing("opencv")
    def run(self, node: Node, arrays: list[Array]) -> list[Array]:
        """Read the network, and run it."""
        weights = dict(zip(node.inputs[1:], arrays[1:]))  # noqa: B905 (3.9)
        model = node.model("float32", OPSET, weights)
        network = self.engine.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
        network.enableWinograd(self.winograd)
        network.setInput(arrays[0], "x")
        found = network.forward([*node.outputs])
        # It counts cells in floating numbers.
        return [np.array(array, np.int64 if i else np.float32) for i, array in enumerate(found)]
