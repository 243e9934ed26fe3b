"""How runtimes of stored networks are asked: a network of one layer each. NumPy beside them, and onnx to write it."""
# ruff: noqa: D102 (what each operation is, properties/atlas/questions.py says)

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np

from properties.atlas.frameworks import Array, LackingError, Pair

OPSET = 18


class Nodes:
    """The operations as one ONNX node each; `run` is the engine's."""

    opset = OPSET

    def run(self, model: bytes, arrays: dict[str, Array], outputs: list[str]) -> list[Any]:
        """Run a model on named arrays, and give the named outputs."""
        raise NotImplementedError

    def conv(self, x: Array, w: Array, stride: Pair, padding: Pair) -> Array:
        return self.node("Conv", {"x": x, "w": w}, **laid(w.shape[2:], stride, padding))

    def conv_same(self, x: Array, w: Array, stride: Pair) -> Array:
        return self.node("Conv", {"x": x, "w": w}, kernel_shape=w.shape[2:], strides=stride, auto_pad="SAME_UPPER")

    def max_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, ceil: bool = False) -> Array:
        return self.node("MaxPool", {"x": x}, **laid(size, stride, padding), ceil_mode=int(ceil))

    def switches(self, x: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
        return self.node("MaxPool", {"x": x}, ["y", "switches"], **laid(size, stride, padding))

    def avg_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, **asked: bool) -> Array:
        said = {{"ceil": "ceil_mode", "include": "count_include_pad"}[name]: int(asked[name]) for name in asked}
        return self.node("AveragePool", {"x": x}, **laid(size, stride, padding), **said)

    def lp_pool(self, x: Array, p: int, size: Pair, stride: Pair, padding: Pair) -> Array:
        return self.node("LpPool", {"x": x}, **laid(size, stride, padding), p=p)

    def node(self, operator: str, arrays: dict[str, Array], outputs: Any = ("y",), **attributes: Any) -> Array:
        """Write the model of a node with its weights stored in it, run it, and give its last output."""
        from onnx import TensorProto, helper, numpy_helper

        def told(name: str, shape: Any) -> Any:
            kind = TensorProto.INT64 if name == "switches" else TensorProto.FLOAT
            return helper.make_tensor_value_info(name, kind, shape)

        graph = helper.make_graph(
            [helper.make_node(operator, [*arrays], [*outputs], **attributes)], "one_node",
            [told("x", arrays["x"].shape)], [told(name, [None] * 4) for name in outputs],
            [numpy_helper.from_array(arrays["w"], "w")] if "w" in arrays else [],
        )  # fmt: skip
        opsets = [helper.make_opsetid("", self.opset)]
        version = helper.find_min_ir_version_for(opsets)
        model = helper.make_model(graph, opset_imports=opsets, ir_version=version)
        return np.asarray(self.run(model.SerializeToString(), {"x": arrays["x"]}, [*outputs])[-1])


class OnnxRuntime(Nodes):
    """ONNX Runtime on the CPU."""

    def __init__(self) -> None:
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)  # what it refuses it raises as well
        self.session = onnxruntime.InferenceSession

    def run(self, model: bytes, arrays: dict[str, Array], outputs: list[str]) -> list[Any]:
        """Run a session."""
        return list(self.session(model, providers=["CPUExecutionProvider"]).run(outputs, arrays))


class OnnxReference(Nodes):
    """The onnx package's reference evaluator."""

    def __init__(self) -> None:
        from onnx.reference import ReferenceEvaluator

        self.evaluator = ReferenceEvaluator

    def run(self, model: bytes, arrays: dict[str, Array], outputs: list[str]) -> list[Any]:
        """Evaluate."""
        import onnx

        return list(self.evaluator(onnx.load_model_from_string(model)).run(outputs, arrays))


class OpenCv(Nodes):
    """OpenCV's dnn module."""

    opset = 11
    lp_pool = None  # type: ignore[assignment]  # it has no such layer

    def __init__(self) -> None:
        import cv2

        self.engine = cv2

    def run(self, model: bytes, arrays: dict[str, Array], outputs: list[str]) -> list[Any]:
        """Read the network, and run it."""
        network = self.engine.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
        network.setInput(arrays["x"], "x")
        return [np.array(found) for found in network.forward(outputs)]


class OpenVino:
    """OpenVINO on the CPU, in float32. It has no Lp pooling; of its two ways to round up this is the one named ceil."""

    def __init__(self) -> None:
        import openvino

        try:
            from openvino import opset8 as opset
        except ImportError:
            from openvino.runtime import opset8 as opset
        self.engine, self.opset, self.core = openvino, opset, openvino.Core()

    def conv(self, x: Array, w: Array, stride: Pair, padding: Pair) -> Array:
        image, weights = self.opset.parameter([*x.shape], np.float32), self.opset.constant(w)
        return self.run(self.opset.convolution(image, weights, stride, padding, padding, (1, 1)), image, x)[0]

    def conv_same(self, x: Array, w: Array, stride: Pair) -> Array:
        image, weights = self.opset.parameter([*x.shape], np.float32), self.opset.constant(w)
        node = self.opset.convolution(image, weights, stride, (0, 0), (0, 0), (1, 1), auto_pad="same_upper")
        return self.run(node, image, x)[0]

    def max_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, ceil: bool = False) -> Array:
        return self.pooled(x, size, stride, padding, ceil)[0]

    def switches(self, x: Array, size: Pair, stride: Pair, padding: Pair) -> Array:
        return self.pooled(x, size, stride, padding)[1]

    def pooled(self, x: Array, size: Pair, stride: Pair, padding: Pair, ceil: bool = False) -> Any:
        image = self.opset.parameter([*x.shape], np.float32)
        rounding = "ceil" if ceil else "floor"
        node = self.opset.max_pool(image, stride, (1, 1), padding, padding, size, rounding_type=rounding)
        return self.run(node, image, x)

    def avg_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, **asked: bool) -> Array:
        if "include" not in asked:
            raise LackingError("the divisor has no default")
        image = self.opset.parameter([*x.shape], np.float32)
        rounding = "ceil" if asked.get("ceil") else "floor"
        node = self.opset.avg_pool(image, stride, padding, padding, size, not asked["include"], rounding)
        return self.run(node, image, x)[0]

    def run(self, node: Any, image: Any, x: Array) -> Any:
        """Compile the model of a node, and run it: all its outputs."""
        model = self.engine.Model(node.outputs(), [image])
        found = self.core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([x])
        return [np.array(found[i]) for i in range(len(node.outputs()))]


class Ncnn:
    """ncnn on the CPU, in float32: one image at a time. It has neither indices nor Lp pooling."""

    def __init__(self) -> None:
        import ncnn

        self.engine = ncnn

    def conv(self, x: Array, w: Array, stride: Pair, padding: Pair) -> Array:
        return self.conved(x, w, stride, {4: padding[1], 14: padding[0]})

    def conv_same(self, x: Array, w: Array, stride: Pair) -> Array:
        return self.conved(x, w, stride, dict.fromkeys((4, 14, 15, 16), -233))  # as ncnn writes SAME_UPPER

    def conved(self, x: Array, w: Array, stride: Pair, padding: dict[int, int]) -> Array:
        (FH, FW), (sh, sw) = w.shape[2:], stride
        return self.run("Convolution", {0: len(w), 1: FW, 11: FH, 3: sw, 13: sh, 5: 0, 6: w.size, **padding}, x, w)

    def max_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, ceil: bool = False) -> Array:
        return self.run("Pooling", {0: 0, **self.laid(size, stride, padding, ceil)}, x)

    def avg_pool(self, x: Array, size: Pair, stride: Pair, padding: Pair, **asked: bool) -> Array:
        said = {6: int(asked["include"])} if "include" in asked else {}
        return self.run("Pooling", {0: 1, **self.laid(size, stride, padding, asked.get("ceil", False)), **said}, x)

    @staticmethod
    def laid(size: Any, stride: Pair, padding: Pair, ceil: bool) -> dict[int, int]:
        """A window's numbers; its pad_mode 0 rounds up, 1 rounds down."""
        sides = {3: padding[1], 13: padding[0], 14: padding[1], 15: padding[0]}
        return {1: size[1], 11: size[0], 2: stride[1], 12: stride[0], **sides, 5: 0 if ceil else 1}

    def run(self, kind: str, numbers: dict[int, int], x: Array, w: Array | None = None) -> Array:
        """Load a network of one layer, and run it; any answer but 0 is a refusal."""
        if len(x) != 1:
            raise LackingError("one image at a time")
        network = self.engine.Net()
        for name in ("use_fp16_storage", "use_fp16_arithmetic", "use_fp16_packed", "use_bf16_storage"):
            setattr(network.opt, name, False)
        said = " ".join(f"{place}={number}" for place, number in numbers.items())
        answers = [network.load_param_mem(f"7767517\n2 2\nInput in 0 1 x\n{kind} layer 1 1 x y {said}\n")]
        handle, path = tempfile.mkstemp()
        with os.fdopen(handle, "wb") as stored:
            stored.write(b"" if w is None else bytes(4) + w.tobytes())
        answers.append(network.load_model(path))
        os.remove(path)
        extractor = network.create_extractor()
        answers.append(extractor.input("x", self.engine.Mat(x[0]).clone()))
        answer, y = extractor.extract("y")
        if any([*answers, answer]):
            raise ValueError(f"ncnn answers {[*answers, answer]}")
        return np.array(y)[None]


def laid(size: Any, stride: Pair, padding: Pair) -> dict[str, Any]:
    """A window as the attributes of a node."""
    return {"kernel_shape": size, "strides": stride, "pads": (*padding, *padding)}
