"""A convolution of float16 or bfloat16 of an image of one column, with windows that lie in the padding beside it."""

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("tensorflow") is None:
    sys.exit(2)

CALL = """
import sys
import tensorflow as tf

x, w = (tf.ones(shape, sys.argv[1]) for shape in ((1, 5, 1, 4), (1, 1, 4, 4)))
y = tf.nn.conv2d(x, w, [2, 2], [[0, 0], [0, 0], [5, 4], [0, 0]]).numpy()
sys.exit(int((y.astype("float32") != 0).any()))  # all five windows of a row lie beside the column
"""
crashed = []
for name in ("float32", "float16", "bfloat16"):
    done = subprocess.run([sys.executable, "-c", CALL, name], capture_output=True)
    crashed += [name] * (done.returncode < 0)
    print(f"{name}:", f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}")
print("want status 0 of each")
sys.exit(int(bool(crashed)))
