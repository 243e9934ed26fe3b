"""A window larger than the image in a model of dynamic shape, on one thread and on two; and the calls after it."""

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("openvino") is None:
    sys.exit(2)

CALLS = """
import sys
import numpy as np
import openvino

try:
    from openvino import opset8
except ImportError:
    from openvino.runtime import opset8


def pooled(window, x):
    image = opset8.parameter([-1] * 4, np.float32)
    node = opset8.avg_pool(image, [1, 1], [0, 0], [0, 0], [window, 1], False)
    settings = {"INFERENCE_NUM_THREADS": int(sys.argv[1])}
    compiled = openvino.Core().compile_model(openvino.Model([node], [image]), "CPU", settings)
    request = compiled.create_infer_request()
    return np.array(request.infer([x])[0])


try:
    print("an output of shape", pooled(2, np.ones((1, 1, 1, 1), np.float32)).shape, end="", flush=True)
except RuntimeError:
    print("refused", end="", flush=True)
for turn in range(8):
    assert (pooled(1, np.ones((1, 1, 6, 5), np.float32)) == 1).all()
"""
said = {}
for threads in (1, 2):
    done = subprocess.run([sys.executable, "-c", CALLS, str(threads)], capture_output=True, text=True, errors="replace")
    said[threads] = f"{done.stdout}, then {f'signal {-done.returncode}' if done.returncode < 0 else 'right answers'}"
    print(f"threads: {threads}; window 2 x 1 of an image 1 x 1: {said[threads]}")
print("want: refused, then right answers, each time")
sys.exit(int(said[1] != said[2]))
