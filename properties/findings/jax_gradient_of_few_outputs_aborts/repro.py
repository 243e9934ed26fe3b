"""The gradient of an image 3 x 4 under one filter 2 x 2 at stride 2, in a process of its own."""

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
y, pull = jax.vjp(lambda x: lax.conv_general_dilated(x, w, (2, 2), ((0, 0), (1, 1))), x)
assert np.asarray(pull(np.ones(y.shape, np.float32))[0]).ravel().tolist() == [1.0] * 8 + [0.0] * 4
"""
done = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, errors="replace")
lines = done.stderr.strip().splitlines()
print("got ", f"exit status {done.returncode}", *([line for line in lines if "Check failed" in line] or lines[-1:])[:1])
print("want exit status 0, and the gradient of ones")
sys.exit(1 if done.returncode < 0 else 3 if done.returncode else 0)  # 3: neither the fault nor mended
