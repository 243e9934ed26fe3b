"""The greatest cell is the last of each image: numbers 3 and 7 of the 8 cells."""

import sys

import numpy as np

try:
    import cv2
    import onnx.parser
except ImportError:
    sys.exit(2)


def run(model, x, outputs=("y",)):
    """What OpenCV makes of an image, by the model's text."""
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 12]> ' + model)
    network = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    network.setInput(x, "x")
    return network.forward(outputs)


x = np.arange(8, dtype=np.float32).reshape(2, 1, 2, 2)
_, got = run(
    "g (float[2,1,2,2] x) => (float[N,C,H,W] y, int64[N,C,H,W] i) { y, i = MaxPool<kernel_shape=[2,2]>(x) }",
    x,
    ("y", "i"),
)
want = [3, 7]
print("got ", got.ravel().tolist())
print("want", want)
sys.exit(int(got.ravel().tolist() != want))
