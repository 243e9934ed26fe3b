"""Windows of cells 1 and 3, and of 2 and 4."""

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


x = np.array([[[[1, 2, 3, 4]]]], np.float32)
(got,) = run("g (float[1,1,1,4] x) => (float[N,C,H,W] y) { y = MaxPool<kernel_shape=[1,2], dilations=[1,2]>(x) }", x)
want = [3.0, 4.0]
print("got ", got.ravel().tolist())
print("want", want)
sys.exit(int(got.ravel().tolist() != want))
