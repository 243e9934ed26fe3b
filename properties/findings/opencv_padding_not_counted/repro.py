"""A one, and a zero after it that counts."""

import sys

import numpy as np

try:
    import cv2
    import onnx.parser
except ImportError:
    sys.exit(2)


def run(model, x, outputs=("y",)):
    """What OpenCV makes of an image, by the model's text."""
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 11]> ' + model)
    network = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    network.setInput(x, "x")
    return network.forward(outputs)


x = np.ones((1, 1, 1, 2), np.float32)
(got,) = run(
    "g (float[1,1,1,2] x) => (float[N,C,H,W] y) "
    "{ y = AveragePool<kernel_shape=[1,2], strides=[1,1], pads=[0,0,0,1], count_include_pad=1>(x) }",
    x,
)
want = [1.0, 0.5]
print("got ", got.ravel().tolist())
print("want", want)
sys.exit(int(got.ravel().tolist() != want))
