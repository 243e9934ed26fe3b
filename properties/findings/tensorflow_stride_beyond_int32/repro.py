"""A stride beyond 32 bits, in a process of its own."""

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("tensorflow") is None:
    sys.exit(2)

CALL = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
tf.nn.conv2d(tf.ones((1, 4, 4, 1)), tf.ones((1, 1, 1, 1)), [1, 2**40, 2**40, 1], "SAME")
"""
done = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, errors="replace")
print("got ", f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}")
print("want an InvalidArgumentError, or one output")
sys.exit(int(done.returncode < 0))
