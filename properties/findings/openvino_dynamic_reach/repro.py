"""Filters of two cells, ever further apart, and one of 65, on images that they just fit, of either kind of shape."""

import sys

import numpy as np

try:
    try:
        import openvino as ov
        from openvino import opset8
    except ImportError:  # releases before 2025
        import openvino.runtime as ov
        from openvino.runtime import opset8
except ImportError:
    sys.exit(2)

wrong = False
for cells, dilation in ((2, 63), (2, 64), (2, 65), (65, 2)):
    width = dilation * (cells - 1) + 1
    x, w = np.ones((1, 1, 1, width), np.float32), np.ones((1, 1, 1, cells), np.float32)
    for name, shape in (("static", [1, 1, 1, width]), ("dynamic", [-1, -1, -1, -1])):
        image, weights = opset8.parameter(shape, np.float32), opset8.parameter([1, 1, 1, cells], np.float32)
        node = opset8.convolution(image, weights, [1, 1], [0, 0], [0, 0], [1, dilation])
        settings = {"INFERENCE_PRECISION_HINT": "f32"}
        try:
            compiled = ov.Core().compile_model(ov.Model([node], [image, weights], "m"), "CPU", settings)
            got = np.array(compiled([x, w])[0]).ravel().tolist()
        except RuntimeError as error:
            got = str(error).strip().splitlines()[-1][:80]
        wrong |= got != [float(cells)]
        print(f"{cells} cells, dilation {dilation}, {name}: {got}, want {[float(cells)]}")
sys.exit(int(wrong))
