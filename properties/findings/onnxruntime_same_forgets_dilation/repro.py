"""SAME with stride 1: as many outputs as cells, dilated or not."""

import sys

import numpy as np

try:
    import onnx.parser
    import onnxruntime
except ImportError:
    sys.exit(2)


def run(model, x):
    """What onnxruntime makes of an image, by the model's text."""
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 12]> ' + model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


x = np.arange(1, 6, dtype=np.float32).reshape(1, 1, 1, 5)
(got,) = run(
    "g (float[1,1,1,5] x) => (float[1,1,H,W] y) "
    '{ y = MaxPool<kernel_shape=[1,2], dilations=[1,2], auto_pad="SAME_UPPER">(x) }',
    x,
)
want = [2.0, 3.0, 4.0, 5.0, 4.0]
print("got ", got.ravel().tolist())
print("want", want)
sys.exit(int(got.ravel().tolist() != want))
