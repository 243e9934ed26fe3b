"""Convolutions of bfloat16 whose padding adds no output to a row, beside the same of float32, on one thread."""

import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("tensorflow") is None:
    sys.exit(2)

CALL = """
import sys
import numpy as np
import tensorflow as tf

wrong = False
for width, stride, before, behind in ((9, 5, 3, 0), (11, 7, 3, 3)):
    x, w = np.ones((1, 2, width, 2), np.float32), np.ones((1, 4, 2, 1), np.float32)
    padding = [[0, 0], [0, 0], [before, behind], [0, 0]]
    want = tf.nn.conv2d(x, w, (1, stride), padding).numpy().ravel()
    half = tf.nn.conv2d(tf.cast(x, tf.bfloat16), tf.cast(w, tf.bfloat16), (1, stride), padding)
    got = tf.cast(half, tf.float32).numpy().ravel()
    print(f"padding {before} and {behind}: got {got.tolist()}, want {want.tolist()}", flush=True)
    wrong |= bool((got != want).any())
sys.exit(3 * wrong)
"""
settings = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1"}
done = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, env=settings)
print(done.stdout.strip())
if done.returncode not in (0, 3):
    print(f"the process ended with {done.returncode}: {done.stderr.strip()[-200:]}")
sys.exit(int(done.returncode == 3 or done.returncode < 0))
