"""The greatest of each cell and its neighbours, in models of static and of dynamic shape."""

import sys

import numpy as np

try:
    import openvino as ov
    from openvino import opset8
except ImportError:
    sys.exit(2)

x = np.arange(1, 5, dtype=np.float32).reshape(1, 1, 1, 4)
said, want = {}, [[2, 3, 4, 4], [1, 2, 3, 3]]
for name, shape in (("static", [1, 1, 1, 4]), ("dynamic", [-1, -1, -1, -1])):
    image = opset8.parameter(shape, np.float32)
    node = opset8.max_pool(image, [1, 1], [1, 1], [0, 0], [0, 0], [1, 3], auto_pad="same_upper", axis=2)
    model = ov.Model(node.outputs(), [image], "m")
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled([x])
    said[name] = [np.array(found[i]).ravel().astype(int).tolist() for i in range(2)]
    print(f"{name} shape: got {said[name][0]}, indices {said[name][1]}")
print("want", want[0], "indices", want[1], "each time")
sys.exit(int(said["dynamic"] != want))
