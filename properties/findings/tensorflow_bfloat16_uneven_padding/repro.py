"""A convolution of bfloat16 with more padding before a row than behind it, beside the same of float32."""

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

x, w = np.ones((1, 2, 9, 2), np.float32), np.ones((1, 4, 2, 1), np.float32)
padding = [[0, 0], [0, 0], [3, 0], [0, 0]]
want = tf.nn.conv2d(x, w, (1, 5), padding).numpy().ravel()
for _ in range(20):
    got = tf.cast(tf.nn.conv2d(tf.cast(x, tf.bfloat16), tf.cast(w, tf.bfloat16), (1, 5), padding), tf.float32)
    wrong = (got.numpy().ravel() != want).any()
    if wrong:
        break
print(f"got {got.numpy().ravel().tolist()}, want {want.tolist()}")
sys.exit(int(wrong))
"""
quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
done = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, env=quiet)
print(done.stdout.strip() or f"the process ended with {done.returncode}")
sys.exit(int(done.returncode != 0))
