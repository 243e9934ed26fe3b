"""Twelve depthwise filters, constant in the model, on an image of four channels."""

import sys

import numpy as np

try:
    import onnx.parser
    import onnxruntime
except ImportError:
    sys.exit(2)


def run(constant):
    """What onnxruntime makes of the image, its filters constant or given: the outputs, or the name of an error."""
    weights = ", ".join(str(n) for n in range(1, 13))
    filters = f"<float[12,1,1,1] w = {{{weights}}}>" if constant else ""
    inputs = "float[N,C,H,W] x" if constant else "float[N,C,H,W] x, float[K,D,E,F] w"
    text = f'<ir_version: 8, opset_import: ["": 11]> g ({inputs}) => (float[N,K,Y,X] y) {filters} '
    model = onnx.parser.parse_model(text + "{ y = Conv<group=12, kernel_shape=[1,1]>(x, w) }")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    given = {"x": np.ones((1, 4, 1, 1), np.float32)}
    if not constant:
        given["w"] = np.arange(1, 13, dtype=np.float32).reshape(12, 1, 1, 1)
    try:
        return session.run(None, given)[0].ravel().tolist()
    except Exception as error:
        return type(error).__name__


got, want = run(constant=True), run(constant=False)
print("filters constant", got)
print("filters given   ", want)
sys.exit(int(isinstance(got, list)))
