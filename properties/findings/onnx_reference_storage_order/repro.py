"""Indices column by column: the cell of row 1 and column 2 of three rows is number 7."""

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


x = np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)
_, got = run(
    "g (float[1,1,3,3] x) => (float[1,1,H,W] y, int64[1,1,H,W] i) "
    "{ y, i = MaxPool<kernel_shape=[2,2], storage_order=1>(x) }",
    x,
)
want = [4, 7, 5, 8]
print("got ", got.ravel().tolist())
print("want", want)
sys.exit(int(got.ravel().tolist() != want))
