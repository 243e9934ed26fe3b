"""ONNX Runtime on the CPU: a session for each node, kept for the next call that is alike. Python 3.9."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from impls.engines.calls import Array, refusing
from impls.engines.onnx_nodes import Node, OnnxNodes

KEPT = 256  # sessions, each for all images that its filters or windows fit
THREADED = 8  # of those that have threads of their own: with hundreds of threads a process comes to a stop


class OnnxRuntime(OnnxNodes):
    """A namespace of the contract; the variants are those of `impls/entries.py`."""

    def __init__(self, variants: Sequence[str] = ()) -> None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)  # what it refuses it raises as well
        self.engine, self.version = onnxruntime, onnxruntime.__version__
        self.name = "+".join(["onnxruntime", *variants])
        self.opset = 18 if tuple(map(int, self.version.split(".")[:2])) >= (1, 14) else 11
        self.indices = "no-indices" not in variants
        ties = ("max_keeps_first_nan",) if self.indices else ("max_orders_nan", "max_takes_either_zero")
        self.conventions = (*ties, "takes_any_window", "takes_empty_image")
        if "same-padding" in variants:
            self.options += ("same_padding",)
        self.constant = "constant-filters" in variants
        self.options_of_sessions = onnxruntime.SessionOptions()
        kept = THREADED if "threads" in variants else KEPT
        self.options_of_sessions.intra_op_num_threads = 4 if "threads" in variants else 1
        if "unoptimized" in variants:
            self.options_of_sessions.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if "float64" in variants:  # of the four operators it has only this one for them
            self.dtypes = ("float64",)
            for operation in ("conv2d", "avg_pool2d", "l2_pool2d"):
                setattr(self, operation, None)
        self.session = lru_cache(kept)(lambda node, dtype: self._made(node.model(dtype, self.opset)))

    def supports(self, operation: str, *, padding: Any = (0, 0), **parameters: Any) -> str | None:
        """Return the reason why ONNX Runtime has no such answer, or another one, or None."""
        if operation == "conv2d" and isinstance(padding, str) and max(parameters["dilation"]) > 1:
            return "its Conv takes no dilation with SAME"
        return super().supports(operation, padding=padding, **parameters)

    @refusing("onnxruntime")
    def run(self, node: Node, arrays: list[Array]) -> list[Array]:
        """Run the node; filters that are constant, as in a network that is deployed, are laid out once."""
        given = dict(zip(node.inputs, arrays))  # noqa: B905 (3.9)
        dtype = arrays[0].dtype.name
        if self.constant and "w" in given:
            weights = {name: given.pop(name) for name in node.inputs[1:]}
            return list(self._made(node.model(dtype, self.opset, weights)).run(None, given))
        return list(self.session(node, dtype).run(None, given))

    def _made(self, model: bytes) -> Any:
        return self.engine.InferenceSession(model, self.options_of_sessions, providers=["CPUExecutionProvider"])
