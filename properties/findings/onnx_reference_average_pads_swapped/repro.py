"""One column of padding before the image: one more output across, none down."""

import sys

import numpy as np

try:
    import onnx.parser
    from onnx.reference import ReferenceEvaluator
except ImportError:
    sys.exit(2)


def run(model, x):
    """What the reference evaluator makes of an image, by the model's text."""
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 11]> ' + model)
    return ReferenceEvaluator(model).run(None, {"x": x})


x = np.ones((1, 1, 3, 2), np.float32)
model = "g (float[1,1,3,2] x) => (float[1,1,H,W] y) { y = AveragePool<kernel_shape=[3,2], pads=[0,1,0,0]>(x) }"
(got,) = run(model, x)
want = [[1.0, 1.0]]
print("got ", got[0, 0].tolist())
print("want", want)
sys.exit(int(got[0, 0].tolist() != want))
