"""An index beyond the image, in a process of its own."""

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("tensorflow") is None:
    sys.exit(2)

CALL = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
index = tf.fill((1, 2, 2, 1), tf.constant(10**9, tf.int64))
tf.raw_ops.MaxPoolGradWithArgmax(
    input=tf.ones((1, 4, 4, 1)), grad=tf.ones((1, 2, 2, 1)), argmax=index,
    ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME",
)
"""
done = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, errors="replace")
print("got ", f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}")
print("want an InvalidArgumentError")
sys.exit(int(done.returncode < 0))
