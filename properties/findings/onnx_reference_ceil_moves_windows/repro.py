"""The second window begins at the last cell: its average is that cell."""

import sys

import numpy as np

try:
    import onnx.parser
    from onnx.reference import ReferenceEvaluator
except ImportError:
    sys.exit(2)


def run(model, x):
    """What the reference evaluator makes of an image, by the model's text."""
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 19]> ' + model)
    return ReferenceEvaluator(model).run(None, {"x": x})


x = np.arange(1, 5, dtype=np.float32).reshape(1, 1, 1, 4)
(got,) = run(
    "g (float[1,1,1,4] x) => (float[1,1,H,W] y) "
    "{ y = AveragePool<kernel_shape=[1,2], dilations=[1,2], strides=[1,3], ceil_mode=1>(x) }",
    x,
)
want = [2.0, 4.0]
print("got ", got.ravel().tolist())
print("want", want)
sys.exit(int(got.ravel().tolist() != want))
