"""A stride of no cells, in a process of its own for each operator."""

import importlib.util
import subprocess
import sys

if not all(map(importlib.util.find_spec, ("cv2", "onnx"))):
    sys.exit(2)

CALL = """
import sys
import cv2
import numpy as np
import onnx.parser
model = onnx.parser.parse_model(
    '<ir_version: 8, opset_import: ["": 11]> g (float[1,1,2,2] x) => (float[N,C,H,W] y) '
    '<float[1,1,1,1] w = {1}> { y = ' + sys.argv[1] + ' }'
)
network = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
network.setInput(np.ones((1, 1, 2, 2), np.float32), "x")
network.forward(("y",))
"""
crashes = 0
for node in ("Conv<{}>(x, w)", "MaxPool<{}>(x)", "AveragePool<{}>(x)"):
    node = node.format("kernel_shape=[1,1], strides=[0,0]")
    done = subprocess.run([sys.executable, "-c", CALL, node], capture_output=True, text=True, errors="replace")
    crashes += done.returncode < 0
    print(f"{node}:", f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}")
print("want a refusal each time")
sys.exit(int(crashes > 0))
