"""A padding with which the number of outputs is beyond all 64-bit numbers."""

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("torch") is None:
    sys.exit(2)

CALL = """
import torch
torch.nn.functional.conv2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 1, 1), padding=2**61)
"""
done = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, errors="replace")
print("got ", f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}")
print("want a refusal, as for a padding of 2**62")
sys.exit(int(done.returncode < 0))
