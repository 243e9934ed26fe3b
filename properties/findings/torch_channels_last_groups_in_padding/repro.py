"""A channels-last convolution in two groups, with a bias, whose windows lie beside an image of one column."""

import importlib.util
import subprocess
import sys

if importlib.util.find_spec("torch") is None:
    sys.exit(2)

CALL = """
import sys
import torch

x, w = torch.ones(1, 2, 2, 1), torch.ones(4, 1, 2, 1)
if sys.argv[1] == "channels_last":
    x, w = (each.contiguous(memory_format=torch.channels_last) for each in (x, w))
y = torch.nn.functional.conv2d(x, w, torch.ones(4), (1, 2), (0, 1), (1, 2), 2)
assert y.flatten().tolist() == [1.0] * 8
"""
status = {}
for layout in ("contiguous", "channels_last"):
    done = subprocess.run([sys.executable, "-c", CALL, layout], capture_output=True, text=True)
    status[layout] = done.returncode
    print(f"{layout}: status {done.returncode}", *done.stderr.strip().splitlines()[-1:])
print("want status 0 of both: the outputs are the bias")
sys.exit(1 if status["channels_last"] < 0 else 3 if any(status.values()) else 0)  # 3: neither the fault nor mended
