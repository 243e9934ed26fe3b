"""Shapes of convolutions of two images, and of none."""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
try:
    import tensorflow as tf
except ImportError:
    sys.exit(2)

shapes = {}
for images in (2, 0):
    y = tf.nn.conv2d(tf.zeros((images, 5, 5, 1)), tf.zeros((3, 3, 1, 4)), 1, "VALID")
    shapes[images] = tuple(y.shape)
    print(f"{images} images: got {shapes[images]}, want {(images, 3, 3, 4)}")
sys.exit(int(shapes[0] != (0, 3, 3, 4)))
