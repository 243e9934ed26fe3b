"""The contract's operations, each a model of one ONNX node, for engines that run ONNX models. Python 3.9."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from impls.engines.calls import OVERHANGING, SAME, Array, Padding, Pair, around, overhangs, plain


class Node(NamedTuple):
    """One node: its operator, its inputs and outputs by name, its attributes as sorted pairs. Equal nodes are alike."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[tuple[str, Any], ...]

    def model(self, dtype: str, opset: int, constants: Mapping[str, Array] | None = None) -> bytes:
        """Write a model of this node alone, `constants` among its inputs stored in it."""
        import onnx
        from onnx import helper, numpy_helper

        held = constants or {}
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        sizes = {name: [None] * (1 if name == "b" else 4) for name in (*self.inputs, *self.outputs)}
        told = {
            name: helper.make_tensor_value_info(name, onnx.TensorProto.INT64 if name == "switches" else kind, shape)
            for name, shape in sizes.items()
        }
        graph = helper.make_graph(
            [helper.make_node(self.operator, self.inputs, self.outputs, **dict(self.attributes))],
            "one_node",
            [told[name] for name in self.inputs if name not in held],
            [told[name] for name in self.outputs],
            [numpy_helper.from_array(array, name) for name, array in held.items()],
        )
        # The least version that has the opset: an engine refuses models from the future.
        version = helper.find_min_ir_version_for([helper.make_opsetid("", opset)], ignore_unknown=True)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=version)
        written: bytes = model.SerializeToString()
        return written


def laid(padding: Padding, **pairs: Any) -> dict[str, Any]:
    """Spell a call's keywords as the attributes of a node; a pair that is not given is left out."""
    found = {name: [*value] if isinstance(value, (tuple, list)) else value for name, value in pairs.items()}
    if isinstance(padding, str):
        return found | {"auto_pad": SAME.get(padding, padding)}
    (top, bottom), (left, right) = around(padding)
    return found | {"pads": [top, left, bottom, right]}


class OnnxNodes:
    """A namespace of the contract for an engine that says how it runs a node, by `run`."""

    dtypes: tuple[str, ...] = ("float32",)
    options: tuple[str, ...] = ("asymmetric_padding", "pool_dilation", "ceil_mode")
    indices = True  # whether max pooling is asked for its optional output

    def run(self, node: Node, arrays: list[Array]) -> list[Array]:
        """Run the node on its inputs, in order, and give its outputs. Raises ValueError where the engine refuses."""
        raise NotImplementedError

    def supports(self, operation: str, *, ceil_mode: bool = False, **parameters: Any) -> str | None:
        """Return the reason why an answer would be another than the contract's, or None."""
        averages = operation == "avg_pool2d" and parameters.get("count_include_pad", True) and ceil_mode
        if averages and overhangs(*(parameters[name] for name in ("x_shape", "size", "stride", "padding"))):
            return OVERHANGING
        return None

    def conv2d(
        self, x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Padding, dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Array:  # fmt: skip
        """Conv: x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> (N, K, OH, OW)."""
        attributes = laid(padding, strides=stride, dilations=dilation, group=groups, kernel_shape=w.shape[2:])
        arrays = {"x": x, "w": w} if b is None else {"x": x, "w": w, "b": b}
        return self._one("Conv", attributes, arrays)

    def max_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), dilation: Pair = (1, 1),
        ceil_mode: bool = False,
    ) -> tuple[Array, Array | None]:  # fmt: skip
        """MaxPool: x (N, C, H, W) -> y, switches (N, C, OH, OW). ONNX numbers the cells of all planes together."""
        attributes = laid(padding, kernel_shape=size, strides=stride, dilations=dilation, ceil_mode=int(ceil_mode))
        if not self.indices:
            return self._one("MaxPool", attributes, {"x": x}), None
        y, cells = self.run(_node("MaxPool", ("x",), ("y", "switches"), attributes), [plain(x)])
        return y, cells % (x.shape[2] * x.shape[3])

    def avg_pool2d(
        self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0), count_include_pad: bool = True,
        ceil_mode: bool = False,
    ) -> Array:  # fmt: skip
        """AveragePool: x (N, C, H, W) -> (N, C, OH, OW)."""
        counted = {"count_include_pad": int(count_include_pad), "ceil_mode": int(ceil_mode)}
        return self._one("AveragePool", laid(padding, kernel_shape=size, strides=stride, **counted), {"x": x})

    def l2_pool2d(self, x: Array, *, size: Pair, stride: Pair, padding: Padding = (0, 0)) -> Array:
        """LpPool with p = 2: x (N, C, H, W) -> (N, C, OH, OW)."""
        return self._one("LpPool", laid(padding, kernel_shape=size, strides=stride, p=2), {"x": x})

    def _one(self, operator: str, attributes: dict[str, Any], arrays: dict[str, Array]) -> Array:
        (y,) = self.run(_node(operator, tuple(arrays), ("y",), attributes), [*map(plain, arrays.values())])
        return y


def _node(operator: str, inputs: tuple[str, ...], outputs: tuple[str, ...], attributes: dict[str, Any]) -> Node:
    fixed = {name: tuple(value) if isinstance(value, list) else value for name, value in attributes.items()}
    return Node(operator, inputs, outputs, tuple(sorted(fixed.items())))
