"""A convolution of float16 of an image of one column, with 32 channels and with 40; glibc fills memory that is new."""

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

random, channels = np.random.RandomState(0), int(sys.argv[1])
x = random.randint(-2, 3, (1, 5, 1, channels)).astype(np.float32)
w = random.randint(-2, 3, (2, 1, channels, 1)).astype(np.float32)
want = tf.nn.conv2d(x, w, 1, "VALID").numpy().ravel()
got = tf.nn.conv2d(x.astype(np.float16), w.astype(np.float16), 1, "VALID").numpy().ravel()
print(f"got {got.tolist()}, want {want.tolist()}")
sys.exit(int((got != want).any()))
"""
wrong = 0
filled = {**os.environ, "MALLOC_PERTURB_": "165", "TF_CPP_MIN_LOG_LEVEL": "3"}
for channels in (32, 40):
    done = subprocess.run([sys.executable, "-c", CALL, str(channels)], capture_output=True, text=True, env=filled)
    wrong += done.returncode != 0
    print(f"{channels} channels: {done.stdout.strip() or done.returncode}")
sys.exit(int(wrong > 0))
