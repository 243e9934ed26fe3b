"""A filter 1 x 2 on an image of one cell with three cells of padding after it, of static and of dynamic shape.

glibc fills memory before it is given out (MALLOC_PERTURB_), so that what is not written shows each time.
"""

import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("openvino") is None:
    sys.exit(2)

CALL = """
import sys
import numpy as np
import openvino as ov
try:
    from openvino import opset8
except ImportError:
    from openvino.runtime import opset8

x, w = np.ones((1, 1, 1, 1), np.float32), np.ones((1, 1, 1, 2), np.float32)
for name, shape in (("static", [1, 1, 1, 1]), ("dynamic", [-1, -1, -1, -1])):
    image, weights = opset8.parameter(shape, np.float32), opset8.parameter([1, 1, 1, 2], np.float32)
    node = opset8.convolution(image, weights, [1, 1], [0, 0], [0, 3], [1, 1])
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = ov.Core().compile_model(ov.Model([node], [image, weights], "m"), "CPU", settings)
    found = [np.array(compiled([x, w])[0]).ravel().tolist() for turn in range(20)]
    y = next((each for each in found if each != [1, 0, 0]), found[0])
    print(name, y)
sys.exit(4 if y != [1, 0, 0] else 0)
"""
filled = {**os.environ, "MALLOC_PERTURB_": "165"}
done = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, env=filled)
print(done.stdout.strip(), *done.stderr.strip().splitlines()[-1:], sep="\n")
print("want [1.0, 0.0, 0.0]: the second window and the third hold nothing but padding")
sys.exit({0: 0, 4: 1}.get(done.returncode, 3))  # 3: neither the fault nor mended
