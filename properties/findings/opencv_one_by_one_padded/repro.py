"""One cell, and zeros around it, through filters of one tap."""

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


x = np.full((1, 1, 1, 1), 7, np.float32)
worst = 0
for filters in (1, 2, 3, 8):
    y = run(
        f"g (float[1,1,1,1] x) => (float[N,C,H,W] y) <float[{filters},1,1,1] w = {{{', '.join(['1'] * filters)}}}> "
        "{ y = Conv<kernel_shape=[1,1], pads=[2,2,5,5]>(x, w) }",
        x,
    )
    want = np.zeros((1, filters, 8, 8), np.float32)
    want[:, :, 2, 2] = 7
    wrong = int((y != want).sum()) if y.shape == want.shape else want.size
    print(f"{filters} filters: {wrong} of {want.size} outputs otherwise")
    worst = max(worst, wrong)
print("want none")
sys.exit(int(worst > 0))
