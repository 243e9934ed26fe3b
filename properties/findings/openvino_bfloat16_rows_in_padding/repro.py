"""A filter 1 x 1 at stride 2 on an image of one cell, in float32 and bfloat16: all three windows lie in the padding."""

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
narrow = [opset8.convert(each, sys.argv[1]) for each in (image, weights)]
node = opset8.convert(opset8.convolution(*narrow, [1, 2], [0, 1], [0, 3], [1, 1]), "f32")
settings = {"INFERENCE_PRECISION_HINT": sys.argv[1], "INFERENCE_NUM_THREADS": 1}
compiled = ov.Core().compile_model(ov.Model([node], [image, weights], "m"), "CPU", settings)
for turn in range(20):
    y = np.array(compiled([x, w])[0]).ravel().tolist()
print(y)
sys.exit(y != [0, 0, 0])
"""
ended = {}
for precision in ("f32", "bf16"):
    done = subprocess.run([sys.executable, "-c", CALL, precision], capture_output=True, text=True)
    ended[precision] = done.returncode
    died = f"died of signal {-done.returncode}" if done.returncode < 0 else ""
    print(precision, done.stdout.strip() or died or done.stderr.strip().splitlines()[-1:])
print("want [0.0, 0.0, 0.0] of both")
if ended["f32"]:
    sys.exit(3)  # neither the fault nor mended
sys.exit(int(ended["bf16"] != 0))
