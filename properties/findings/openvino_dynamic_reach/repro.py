"""A filter of two cells, ever further apart, on an image that it just fits, of static and of dynamic shape."""

import sys

import numpy as np

try:
    import openvino as ov
    from openvino import opset8
except ImportError:
    sys.exit(2)

wrong = False
for dilation in (63, 64, 65):
    x, w = np.ones((1, 1, 1, dilation + 1), np.float32), np.ones((1, 1, 1, 2), np.float32)
    for name, shape in (("static", [1, 1, 1, dilation + 1]), ("dynamic", [-1, -1, -1, -1])):
        image, weights = opset8.parameter(shape, np.float32), opset8.parameter([1, 1, 1, 2], np.float32)
        node = opset8.convolution(image, weights, [1, 1], [0, 0], [0, 0], [1, dilation])
        settings = {"INFERENCE_PRECISION_HINT": "f32"}
        try:
            compiled = ov.Core().compile_model(ov.Model([node], [image, weights], "m"), "CPU", settings)
            got = np.array(compiled([x, w])[0]).ravel().tolist()
        except RuntimeError as error:
            got = str(error).strip().splitlines()[-1][:80]
        wrong |= got != [2.0]
        print(f"dilation {dilation}, {name}: {got}")
print("want [2.0] of each")
sys.exit(int(wrong))
