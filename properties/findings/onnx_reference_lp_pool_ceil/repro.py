"""Lp pooling with p = 1 is a sum: over a last window of one cell, that cell."""

import sys

import numpy as np

try:
    import onnx.parser
    from onnx.reference import ReferenceEvaluator
except ImportError:
    sys.exit(2)


def run(model, x):
    """What the reference evaluator makes of an image, by the model's text."""
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 18]> ' + model)
    return ReferenceEvaluator(model).run(None, {"x": x})


x = np.array([1, 2], np.float32).reshape(1, 1, 1, 2)
(got,) = run(
    "g (float[1,1,1,2] x) => (float[1,1,H,W] y) "
    "{ y = LpPool<p=1, kernel_shape=[1,2], strides=[1,2], pads=[0,1,0,0], ceil_mode=1>(x) }",
    x,
)
want = [1.0, 2.0]
print("got ", got.ravel().tolist())
print("want", want)
sys.exit(int(got.ravel().tolist() != want))
