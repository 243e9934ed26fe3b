"""Convolutions of float16 and bfloat16 with windows that lie in the padding beside a small image, or above it."""

import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("torch") is None:
    sys.exit(2)

CALL = """
import sys
import torch

image, filters, stride, padding, dilation = eval(sys.argv[2])
x, w = (torch.ones(shape, dtype=getattr(torch, sys.argv[1])) for shape in (image, filters))
y = torch.nn.functional.conv2d(x, w, None, stride, padding, dilation)
want = torch.nn.functional.conv2d(x.double(), w.double(), None, stride, padding, dilation)
sys.exit(int(not torch.equal(y.double(), want)))
"""
BESIDE = ((1, 1, 1, 1), (1, 1, 1, 1), (1, 2), (0, 5), (1, 2))
ABOVE = ((1, 3, 1, 6), (1, 3, 2, 3), (1, 1), (3, 0), (4, 2))
alone = {**os.environ, "OMP_NUM_THREADS": "1"}
crashed = []
for place, call in (("beside", BESIDE), ("above", ABOVE)):
    for name in ("float32", "float16", "bfloat16"):
        done = subprocess.run([sys.executable, "-c", CALL, name, repr(call)], capture_output=True, env=alone)
        crashed += [name] * (done.returncode < 0)
        ending = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
        print(f"{place}, {name}: {ending}")
print("want status 0 of each")
sys.exit(int(bool(crashed)))
