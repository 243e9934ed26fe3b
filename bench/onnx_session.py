"""A convolution as ONNX Runtime computes it, on one thread: a model of one node, made for the layer."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from bench import gate
from oracles.case import Case

LIBRARIES = ("onnx", "onnxruntime")
OPSET, IR = 17, 8  # what every release of the last years reads


def offered(case: Case) -> bool:
    """Whether it can be asked for this: a forward convolution in float32, and both libraries."""
    found = all(importlib.util.find_spec(library) for library in LIBRARIES)
    return found and case.operation == "conv2d" and case.dtype == "float32"


def prepared(case: Case) -> Callable[[], Any]:
    """Make the call: filters and bias are the model's own, as they are in use."""
    import onnx
    import onnxruntime

    g, data = case.geometry, gate.inputs(case)
    v, h = g.vertical, g.horizontal
    names = [name for name in ("x", "w", "b") if data[name] is not None]
    node = onnx.helper.make_node(
        "Conv",
        names,
        ["y"],
        strides=[v.stride, h.stride],
        pads=[v.pad_before, h.pad_before, v.pad_after, h.pad_after],
        dilations=[v.dilation, h.dilation],
        group=g.G,
    )
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node],
        "layer",
        [onnx.helper.make_tensor_value_info("x", kind, list(g.x_shape))],
        [onnx.helper.make_tensor_value_info("y", kind, list(g.y_shape))],
        [onnx.numpy_helper.from_array(np.array(data[name]), name) for name in names[1:]],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = {"x": np.array(data["x"])}
    return lambda: session.run(["y"], x)[0]
