"""Three filters of one tap each: the middle one gives the image, the others padding."""

import os
import sys

import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
try:
    import tensorflow as tf
except ImportError:
    sys.exit(2)

x = np.zeros((2, 2, 1, 1), np.float32)
x[0, 0, 0, 0] = x[1, 1, 0, 0] = 1
weights = np.eye(3, dtype=np.float32).reshape(1, 3, 1, 3)
got = tf.nn.conv2d(x, weights, [1, 1, 3, 1], [[0, 0], [0, 0], [1, 1], [0, 0]]).numpy()[..., 1].ravel().tolist()
want = [1.0, 0.0, 0.0, 1.0]
print("got ", got)
print("want", want)
sys.exit(int(got != want))
