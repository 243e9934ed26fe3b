"""The gradients of a convolution of an image 3 x 4 with one filter 2 x 2, stride 2, in a process of its own."""

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("jax") is None:
    sys.exit(2)

CALL = """
import os
os.environ["JAX_PLATFORMS"] = "cpu"
import jax
import numpy as np
from jax import lax
x, w = np.ones((1, 1, 3, 4), np.float32), np.ones((1, 1, 2, 2), np.float32)
y, pull = jax.vjp(lambda x, w: lax.conv_general_dilated(x, w, (2, 2), ((0, 0), (1, 1))), x, w)
dx, dw = map(np.asarray, pull(np.ones(y.shape, np.float32)))
assert dx.ravel().tolist() == [1.0] * 8 + [0.0] * 4
assert dw.ravel().tolist() == [2.0] * 4
"""
done = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True)
print("got ", f"exit status {done.returncode}", *done.stderr.strip().splitlines()[:1])
print("want exit status 0, and the gradients of ones")
sys.exit(int(done.returncode < 0))
