"""A convolution in two groups, and its gradients, of a batch of no images, in a process of its own."""

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("mlx") is None:
    sys.exit(2)

CALL = """
import mlx.core as mx
mx.set_default_device(mx.cpu)
x, w = mx.ones((0, 6, 6, 4)), mx.ones((4, 3, 3, 2))
print("outputs", mx.conv2d(x, w, 1, 0, 1, 2).shape, flush=True)
gradients = mx.grad(lambda x, w: mx.conv2d(x, w, 1, 0, 1, 2).sum(), argnums=(0, 1))(x, w)
mx.eval(gradients)
print("gradients", [each.shape for each in gradients])
"""
done = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, errors="replace")
print("got ", *done.stdout.splitlines(), f"signal {-done.returncode}" if done.returncode < 0 else "")
print("want gradients of (0, 6, 6, 4) and (4, 3, 3, 2), or an exception")
sys.exit(int(done.returncode < 0))
