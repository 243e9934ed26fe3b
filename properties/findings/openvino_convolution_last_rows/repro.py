"""A one in the image, and a one in the filter: a one in one output, where the two meet."""

import sys

import numpy as np

try:
    import openvino as ov
    from openvino import opset8
except ImportError:
    sys.exit(2)

x, w = np.eye(6, dtype=np.float32).reshape(6, 1, 2, 3), np.eye(6, dtype=np.float32).reshape(6, 1, 3, 2)
image, weights = opset8.parameter([6, 1, 2, 3], np.float32), opset8.parameter([6, 1, 3, 2], np.float32)
node = opset8.convolution(image, weights, [1, 2], [2, 0], [2, 0], [1, 1])
compiled = ov.Core().compile_model(ov.Model([node], [image, weights], "m"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
got = np.array(compiled([x, w])[0])

padded, want = np.pad(x, ((0, 0), (0, 0), (2, 2), (0, 0))), np.zeros((6, 6, 4, 1), np.float32)
for fy, fx in np.ndindex(3, 2):
    want += padded[:, :, fy : fy + 4, fx : fx + 1] * w[:, 0, fy, fx].reshape(1, 6, 1, 1)
print("got ", got[0, 0, :, 0].tolist(), f"and {int((got != want).sum())} of {want.size} outputs otherwise")
print("want", want[0, 0, :, 0].tolist())
sys.exit(int(not np.array_equal(got, want)))
