"""Eight depthwise filters, constant in the model, on an image of four channels."""

import sys

import numpy as np

try:
    import onnx.parser
    import onnxruntime
except ImportError:
    sys.exit(2)


def run(channels, constant):
    """What onnxruntime makes of an image of so many channels: the outputs, or the name of an error."""
    filters = "<float[8,1,1,1] w = {1, 2, 3, 4, 5, 6, 7, 8}>" if constant else ""
    inputs = "float[N,C,H,W] x" if constant else "float[N,C,H,W] x, float[K,D,E,F] w"
    text = f'<ir_version: 8, opset_import: ["": 11]> g ({inputs}) => (float[N,K,Y,X] y) {filters} '
    model = onnx.parser.parse_model(text + "{ y = Conv<group=8, kernel_shape=[1,1]>(x, w) }")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    given = {"x": np.ones((1, channels, 1, 1), np.float32)}
    if not constant:
        given["w"] = np.arange(1, 9, dtype=np.float32).reshape(8, 1, 1, 1)
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return session.run(None, given)[0].ravel().tolist()
    except Exception as error:
        return type(error).__name__


for constant in (True, False):
    assert run(8, constant) == [1, 2, 3, 4, 5, 6, 7, 8]  # an image of as many channels
got, want = run(4, constant=True), run(4, constant=False)
print("filters constant", got)
print("filters given   ", want)
sys.exit(int(isinstance(got, list)))
