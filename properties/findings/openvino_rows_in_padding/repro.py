"""A filter 1 x 1 at stride 2 on an image of one cell, without a bias and with one: all windows lie in the padding."""

import importlib.util
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

x = w = np.ones((1, 1, 1, 1), np.float32)
image, weights = opset8.parameter([1, 1, 1, 1], np.float32), opset8.parameter([1, 1, 1, 1], np.float32)
node = opset8.convolution(image, weights, [1, 2], [0, 1], [0, 3], [1, 1])
biased = sys.argv[1] == "biased"
if biased:
    node = opset8.add(node, opset8.constant(np.full((1, 1, 1, 1), 5, np.float32)))
settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
compiled = ov.Core().compile_model(ov.Model([node], [image, weights], "m"), "CPU", settings)
for turn in range(20):
    y = np.array(compiled([x, w])[0]).ravel().tolist()
print(y)
sys.exit(4 if y != [5.0 * biased] * 3 else 0)
"""
ended = {}
for which in ("plain", "biased"):
    done = subprocess.run([sys.executable, "-c", CALL, which], capture_output=True, text=True)
    ended[which] = done.returncode
    died = f"died of signal {-done.returncode}" if done.returncode < 0 else done.stderr.strip()[-200:]
    print(which, done.stdout.strip() or died)
print("want  [0.0, 0.0, 0.0] and [5.0, 5.0, 5.0]")
if ended["biased"] < 0:
    sys.exit(1)
sys.exit(3 if any(ended.values()) else 0)  # 3: neither the fault nor mended
