"""Lp pooling with p = 1 is a sum: over a last window of one cell, that cell."""

import sys

try:
    import torch
except ImportError:
    sys.exit(2)

x = torch.ones(1, 1, 1, 3)
got = torch.nn.functional.lp_pool2d(x, 1.0, (1, 2), (1, 2), ceil_mode=True).flatten().tolist()
want = [2.0, 1.0]
print("got ", got)
print("want", want)
sys.exit(int(got != want))
