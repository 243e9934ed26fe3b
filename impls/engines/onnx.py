"""The reference evaluator of the onnx package, which defines its operators in NumPy. Python 3.9."""

from __future__ import annotations

from collections.abc import Sequence

from impls.engines.calls import Array, refusing
from impls.engines.onnx_nodes import Node, OnnxNodes


class OnnxReference(OnnxNodes):
    """A namespace of the contract."""

    dtypes = ("float32", "float64")
    conventions = ("max_orders_nan", "max_takes_either_zero", "takes_any_window", "takes_any_padding")

    def __init__(self, variants: Sequence[str] = ()) -> None:
        import onnx
        from onnx.reference import ReferenceEvaluator

        self.evaluator, self.version = ReferenceEvaluator, onnx.__version__
        self.name = "+".join(["onnx-reference", *variants])
        self.opset = min(22, onnx.defs.onnx_opset_version())
        self.indices = "no-indices" not in variants
        if "same-padding" in variants:
            self.options += ("same_padding",)

    @refusing("onnx")
    def run(self, node: Node, arrays: list[Array]) -> list[Array]:
        """Evaluate the model of the node."""
        evaluator = self.evaluator(node.model(arrays[0].dtype.name, self.opset))
        return list(evaluator.run(None, dict(zip(node.inputs, arrays))))  # noqa: B905 (3.9)
