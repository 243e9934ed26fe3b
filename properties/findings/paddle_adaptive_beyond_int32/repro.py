"""An adaptive pooling to 2**31 outputs a side, in a process of its own."""

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("paddle") is None:
    sys.exit(2)

CALL = """
import paddle
paddle.set_device("cpu")
paddle.nn.functional.adaptive_max_pool2d(paddle.ones([1, 1, 4, 4]), 2**31).numpy()
"""
done = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, errors="replace")
print("got ", f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}")
print("want a refusal")
sys.exit(int(done.returncode < 0))
