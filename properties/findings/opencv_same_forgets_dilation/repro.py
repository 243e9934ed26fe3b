"""Two cells of padding in all, one before and one after."""

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


x = np.arange(1, 6, dtype=np.float32).reshape(1, 1, 1, 5)
(got,) = run(
    "g (float[1,1,1,5] x) => (float[N,C,H,W] y) <float[1,1,1,2] w = {1, 10}> "
    '{ y = Conv<kernel_shape=[1,2], dilations=[1,2], auto_pad="SAME_UPPER">(x, w) }',
    x,
)
want = [20.0, 31.0, 42.0, 53.0, 4.0]
print("got ", got.ravel().tolist())
print("want", want)
sys.exit(int(got.ravel().tolist() != want))
