"""One cell of padding in all, which SAME_LOWER puts before the image."""

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


x = np.arange(1, 4, dtype=np.float32).reshape(1, 1, 1, 3)
(got,) = run(
    'g (float[1,1,1,3] x) => (float[N,C,H,W] y) { y = MaxPool<kernel_shape=[1,2], auto_pad="SAME_LOWER">(x) }', x
)
want = [1.0, 2.0, 3.0]
print("got ", got.ravel().tolist())
print("want", want)
sys.exit(int(got.ravel().tolist() != want))
