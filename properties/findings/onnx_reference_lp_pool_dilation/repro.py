"""Sums of cells 1 and 3, 2 and 4, 3 and 5."""

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


x = np.arange(1, 6, dtype=np.float32).reshape(1, 1, 1, 5)
(got,) = run(
    "g (float[1,1,1,5] x) => (float[1,1,H,W] y) { y = LpPool<p=1, kernel_shape=[1,2], dilations=[1,2]>(x) }", x
)
want = [4.0, 6.0, 8.0]
print("got ", got.ravel().tolist())
print("want", want)
sys.exit(int(got.ravel().tolist() != want))
