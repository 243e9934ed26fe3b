"""A sum with a NaN in it is a NaN."""

import sys

import numpy as np

try:
    import cv2
    import onnx.parser
except ImportError:
    sys.exit(2)


def run(model, x):
    """What OpenCV makes of an image, by the model's text."""
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 11]> ' + model)
    network = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    network.setInput(x, "x")
    return network.forward(("y",))[0]


x = np.array([1, np.nan, 3, 4], np.float32).reshape(1, 1, 1, 4)
model = "g (float[1,1,1,4] x) => (float[N,C,H,W] y) <float[1,1,1,2] w = {1, 1}> { y = Conv<kernel_shape=[1,2]>(x, w) }"
got = run(model, x).ravel()
print("got ", got.tolist())
print("want", [float("nan"), float("nan"), 7.0])
sys.exit(int(not np.isnan(got[:2]).all()))
