"""Averages of ones are ones, in either opset."""

import sys

import numpy as np

try:
    import onnx.parser
    import onnxruntime
except ImportError:
    sys.exit(2)


def run(opset, x):
    """Averages of windows of two, with padding that counts and none that is there."""
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]> g (float[1,1,1,3] x) => (float[1,1,H,W] y) '
        "{ y = AveragePool<kernel_shape=[1,2], strides=[1,2], ceil_mode=1, count_include_pad=1>(x) }"
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


x = np.ones((1, 1, 1, 3), np.float32)
said = {opset: run(opset, x)[0].ravel().tolist() for opset in (11, 19)}
print("got ", said)
print("want [1.0, 1.0] of both")
sys.exit(int(said[11] != said[19]))
