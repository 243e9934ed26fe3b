"""The gradient of pooling with a window larger than the image: there are no outputs, and it is 0.

glibc fills memory before it is given out (MALLOC_PERTURB_), so that what is not written shows each time.
"""

import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("tensorflow") is None:
    sys.exit(2)

CALL = """
import sys
import tensorflow as tf

x = tf.ones((1, 4, 4, 1))
with tf.GradientTape() as tape:
    tape.watch(x)
    y = getattr(tf.nn, sys.argv[1])(x, [5, 1], [1, 1], "VALID")
assert y.shape == (1, 0, 4, 1)
gradient = tape.gradient(y, x).numpy()
print(gradient.ravel()[:4].tolist())
sys.exit(int(gradient.any()))
"""
wrong = []
for name in ("avg_pool2d", "max_pool2d"):
    filled = {**os.environ, "MALLOC_PERTURB_": "165", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", CALL, name], capture_output=True, text=True, env=filled)
    wrong += [name] * (done.returncode != 0)
    print(f"{name}: {done.stdout.strip()}, status {done.returncode}")
print("want zeros of both")
sys.exit(int(bool(wrong)))
