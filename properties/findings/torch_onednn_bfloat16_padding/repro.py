"""The gradient of a filter in bfloat16 whose outer columns meet nothing but padding: it is 0 there.

Of one channel, which shows it on some processors, and of 16, which show it on others. glibc fills memory before it is
given out (MALLOC_PERTURB_), so that what is not written shows each time.
"""

import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("torch") is None:
    sys.exit(2)

CALL = """
import sys
import numpy as np
import torch

for channels in (1, 16):
    x = torch.ones(1, channels, 4, 1, dtype=torch.bfloat16)
    for turn in range(20):
        w = torch.ones(1, channels, 3, 3, dtype=torch.bfloat16, requires_grad=True)
        torch.nn.functional.conv2d(x, w, None, (1, 2), (1, 1)).sum().backward()
        gradient = w.grad.float().numpy()[0, -1]
        if not np.array_equal(gradient, [[0, 3, 0], [0, 4, 0], [0, 3, 0]]):
            print(f"{channels} channels: {gradient.tolist()}")
            sys.exit(1)
"""
filled = {**os.environ, "MALLOC_PERTURB_": "165", "OMP_NUM_THREADS": "1"}
done = subprocess.run([sys.executable, "-c", CALL], capture_output=True, text=True, env=filled)
print("got ", done.stdout.strip())
print("want [[0, 3, 0], [0, 4, 0], [0, 3, 0]]")
sys.exit(done.returncode)
