"""SAME of a window of three cells at stride 2: four outputs of seven cells, wherever an odd cell of padding goes."""

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
    return ReferenceEvaluator(model).run(None, {"x": x})[0].ravel().tolist()


x, wrong = np.arange(1, 8, dtype=np.float32).reshape(1, 1, 1, 7), 0
for side in ("SAME_UPPER", "SAME_LOWER"):
    node = f'MaxPool<kernel_shape=[1,3], strides=[1,2], auto_pad="{side}">(x)'
    got = run(f"g (float[1,1,1,7] x) => (float[1,1,H,W] y) {{ y = {node} }}", x)
    print(f"{side}: got {got}, want [2.0, 4.0, 6.0, 7.0]")
    wrong += got != [2.0, 4.0, 6.0, 7.0]
sys.exit(int(wrong > 0))
