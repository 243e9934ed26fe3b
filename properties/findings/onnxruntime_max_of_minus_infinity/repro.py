"""The maximum of four minus infinities, with and without the indices."""

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


x = np.full((1, 1, 2, 2), -np.inf, np.float32)
(alone,) = run("g (float[1,1,2,2] x) => (float[1,1,H,W] y) { y = MaxPool<kernel_shape=[2,2]>(x) }", x)
both = run("g (float[1,1,2,2] x) => (float[1,1,H,W] y, int64[1,1,H,W] i) { y, i = MaxPool<kernel_shape=[2,2]>(x) }", x)
print("got ", alone.item())
print("want", -np.inf, "and with the indices it is", both[0].item())
sys.exit(int(alone.item() != -np.inf))
