"""One cell has no dilation: the same answer is due, whatever it says."""

import sys

import numpy as np

try:
    import onnx.parser
    import onnxruntime
except ImportError:
    sys.exit(2)


def run(model, x):
    """What onnxruntime makes of an image, by the model's text."""
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 12]> ' + model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


x = np.arange(3, dtype=np.float32).reshape(1, 1, 1, 3)
said = []
for dilation in (1, 2):
    model = (
        "g (float[1,1,1,3] x) => (float[1,1,H,W] y) { y = MaxPool<kernel_shape=[1,1], strides=[1,3], "
        f'dilations=[{dilation},{dilation}], auto_pad="SAME_UPPER">(x) }}'
    )
    try:
        said.append(str(run(model, x)[0].ravel().tolist()))
    except Exception as error:
        said.append(f"refused: {str(error)[-40:]}")
    print(f"dilation {dilation}: {said[-1]}")
sys.exit(int(said[0] != said[1]))
