"""A NaN under a filter of a single one: the image comes back, in float32, in bfloat16 and without a hint."""

import sys

import numpy as np

try:
    import openvino as ov
    from openvino import opset8
except ImportError:
    sys.exit(2)

x, w = np.ones((1, 1, 1, 4), np.float32), np.ones((1, 1, 1, 1), np.float32)
x[..., 1] = np.nan
got = {}
for precision in ("f32", "bf16", None):
    image, weights = opset8.parameter([1, 1, 1, 4], np.float32), opset8.parameter([1, 1, 1, 1], np.float32)
    node = opset8.convolution(image, weights, [1, 1], [0, 0], [0, 0], [1, 1])
    settings = {"INFERENCE_PRECISION_HINT": precision} if precision else {}
    compiled = ov.Core().compile_model(ov.Model([node], [image, weights], "m"), "CPU", settings)
    got[precision] = np.array(compiled([x, w])[0]).ravel()
    print(f"{precision or 'no hint':<7} {got[precision].tolist()}")
print("want    [1.0, nan, 1.0, 1.0] of each")
sys.exit(int(np.isnan(got["bf16"]).sum() != 1))
