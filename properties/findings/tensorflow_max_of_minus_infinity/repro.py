"""The maximum of four minus infinities, with the index and without."""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
try:
    import tensorflow as tf
except ImportError:
    sys.exit(2)

got = {}
for dtype in (tf.float32, tf.float64):
    x = tf.fill((1, 2, 2, 1), tf.constant(-float("inf"), dtype))
    got[dtype.name] = float(tf.nn.max_pool2d(x, 2, 2, "VALID").numpy().item())
    with_index = tf.nn.max_pool_with_argmax(x, 2, 2, "VALID")[0].numpy().item()
    print(f"{dtype.name}: got {got[dtype.name]}, with the index {with_index}")
print("want -inf each time")
sys.exit(int(any(value != -float("inf") for value in got.values())))
