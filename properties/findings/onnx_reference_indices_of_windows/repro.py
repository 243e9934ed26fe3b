"""The greatest of nine cells is the last, whatever the stride."""

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


x = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
got = {}
for stride in (1, 2):
    model = (
        "g (float[1,1,3,3] x) => (float[1,1,H,W] y, int64[1,1,H,W] i) "
        f"{{ y, i = MaxPool<kernel_shape=[3,3], strides=[{stride},{stride}]>(x) }}"
    )
    got[stride] = run(model, x)[1].ravel().tolist()
    print(f"stride {stride}: index {got[stride]}")
print("want [8] each time")
sys.exit(int(got[1] != [8]))
