"""SAME of windows with cells between them: one window of one cell, the first of four."""

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


x, wrong = np.arange(1, 5, dtype=np.float32).reshape(1, 1, 1, 4), 0
for operator, more in (("MaxPool", ""), ("AveragePool", ""), ("LpPool", ", p=2")):
    node = f'{operator}<kernel_shape=[1,1], strides=[1,4], auto_pad="SAME_UPPER"{more}>(x)'
    try:
        got = run(f"g (float[1,1,1,4] x) => (float[1,1,H,W] y) {{ y = {node} }}", x)
    except Exception as error:
        got = f"refused: {error}"
    print(f"{operator}: got {got}, want [1.0]")
    wrong += got != [1.0]
sys.exit(int(wrong > 0))
