"""A padding that 32 bits hold, and with the image do, in a process of its own."""

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("tensorflow") is None:
    sys.exit(2)

CALL = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
padding = [[0, 0], [2**31 - 8, 0], [0, 0], [0, 0]]
tf.nn.conv2d(tf.ones((1, 4, 4, 1)), tf.ones((1, 1, 1, 1)), [1, 2**30, 2**30, 1], padding)
"""
done = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, errors="replace")
print("got ", f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}")
print("want two outputs down, or an InvalidArgumentError")
sys.exit(int(done.returncode < 0))
