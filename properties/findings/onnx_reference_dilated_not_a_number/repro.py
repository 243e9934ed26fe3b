"""Sums of cells 1 and 3, and of 2 and 4, where cell 2 is infinite."""

import sys

import numpy as np

try:
    import onnx.parser
    from onnx.reference import ReferenceEvaluator
except ImportError:
    sys.exit(2)


def run(model, x):
    """What the reference evaluator makes of an image, by the model's text."""
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 12]> ' + model)
    return ReferenceEvaluator(model).run(None, {"x": x})


x = np.array([1, np.inf, 3, 4], np.float32).reshape(1, 1, 1, 4)
model = (
    "g (float[1,1,1,4] x) => (float[N,C,H,W] y) <float[1,1,1,2] w = {1, 1}> "
    "{ y = Conv<kernel_shape=[1,2], dilations=[1,2]>(x, w) }"
)
got = run(model, x)[0].ravel().tolist()
want = [4.0, float("inf")]
print("got ", got)
print("want", want)
sys.exit(int(got != want))
