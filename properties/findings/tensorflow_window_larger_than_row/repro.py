"""A window that does not fit, with a stride as large, in a process of its own."""

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("tensorflow") is None:
    sys.exit(2)

CALL = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
tf.nn.max_pool1d(tf.ones((16, 19, 18)), 58486, 49657, "VALID")
"""
done = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, errors="replace")
print("got ", f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}")
print("want no outputs, or a refusal")
sys.exit(int(done.returncode < 0))
