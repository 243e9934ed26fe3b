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
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 12]> ' + model)
    return ReferenceEvaluator(model).run(None, {"x": x})


x = np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)
(got,) = run("g (float[1,1,3,3] x) => (float[1,1,H,W] y) { y = MaxPool<kernel_shape=[2,2], pads=[0,1,0,0]>(x) }", x)
want = [[4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]
print("got ", got[0, 0].tolist())
print("want", want)
sys.exit(int(got[0, 0].tolist() != want))
