"""Max pooling of int8 with padding."""

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


x = np.array([[1, 2], [3, 4]], np.int8).reshape(1, 1, 2, 2)
want = [[1, 2, 2], [3, 4, 4], [3, 4, 4]]
try:
    (got,) = run("g (int8[1,1,2,2] x) => (int8[1,1,H,W] y) { y = MaxPool<kernel_shape=[2,2], pads=[1,1,1,1]>(x) }", x)
    got = got[0, 0].tolist()
except (ValueError, TypeError) as error:
    got = repr(error)
print("got ", got)
print("want", want)
sys.exit(int(got != want))
