"""An index far before the output, in a process of its own."""

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("paddle") is None:
    sys.exit(2)

CALL = """
import paddle
paddle.set_device("cpu")
index = paddle.full([1, 1, 1, 1], -2000000000, "int32")
print(paddle.nn.functional.max_unpool2d(paddle.ones([1, 1, 1, 1]), index, 2).numpy())
"""
done = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, errors="replace")
print("got ", f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}")
print("want a refusal, as for an index beyond the output")
sys.exit(int(done.returncode < 0))
