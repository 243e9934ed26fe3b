"""Max pooling of one cell, windows 2 x 2, a cell of padding on each side, with and without ceil mode."""

import sys

import numpy as np

try:
    import onnx.parser
    from onnx.reference import ReferenceEvaluator
except ImportError:
    sys.exit(2)

shapes = []
for ceil in (0, 1):
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 19]> g (float[1,1,1,1] x) => (float[1,1,H,W] y) '
        f"{{ y = MaxPool<kernel_shape=[2,2], pads=[1,1,1,1], ceil_mode={ceil}>(x) }}"
    )
    (y,) = ReferenceEvaluator(model).run(None, {"x": np.ones((1, 1, 1, 1), np.float32)})
    shapes.append(y.shape[2:])
    print(f"ceil_mode={ceil}: {y.shape[2:]}, {y.ravel().tolist()}")
print("want (2, 2) of both: nothing is left over that could be rounded up")
sys.exit(int(shapes[1] != (2, 2)))
