"""Ones, with a row and a column of zeros after them that count."""

import sys

import numpy as np

try:
    import onnx.parser
    import onnxruntime
except ImportError:
    sys.exit(2)


def run(model, x):
    """What onnxruntime makes of an image, by the model's text."""
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 19]> ' + model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


x = np.ones((1, 1, 2, 2), np.float32)
(got,) = run(
    "g (float[1,1,2,2] x) => (float[1,1,H,W] y) "
    "{ y = AveragePool<kernel_shape=[2,2], pads=[0,0,1,1], count_include_pad=1>(x) }",
    x,
)
want = [1.0, 0.5, 0.5, 0.25]
print("got ", got.ravel().tolist())
print("want", want)
sys.exit(int(got.ravel().tolist() != want))
