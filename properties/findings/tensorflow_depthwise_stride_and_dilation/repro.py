"""A stride of 4 and a dilation of 3, which its documentation excludes."""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
try:
    import tensorflow as tf
except ImportError:
    sys.exit(2)

x, weights = tf.ones((1, 6, 1, 1)), tf.ones((3, 1, 1, 1))
try:
    y = tf.nn.depthwise_conv2d(x, weights, [1, 4, 4, 1], "SAME", dilations=[3, 1])
    said, accepted = f"outputs {y.numpy().ravel().tolist()}", True
except (ValueError, tf.errors.InvalidArgumentError) as error:
    said, accepted = f"refused: {str(error)[:70]}", False
print("got ", said)
print("want a refusal: a dilation above 1 goes with strides of 1; 6 cells over a stride of 4 would be 2 outputs")
sys.exit(int(accepted))
