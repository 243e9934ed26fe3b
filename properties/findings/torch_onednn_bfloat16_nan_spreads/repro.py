"""Windows of one column each in bfloat16: a NaN in the second column is in the second output alone."""

import sys

import numpy as np

try:
    import torch
except ImportError:
    sys.exit(2)

x = torch.ones(1, 1, 2, 2, dtype=torch.bfloat16)
x[0, 0, 0, 1] = float("nan")
w = torch.ones(1, 1, 2, 1, dtype=torch.bfloat16)
got = torch.nn.functional.conv2d(x, w).float().numpy().ravel()
with torch.backends.mkldnn.flags(enabled=False):
    want = torch.nn.functional.conv2d(x, w).float().numpy().ravel()
print("got ", got)
print("want", want, "as without oneDNN")
sys.exit(int(not np.array_equal(got, want, equal_nan=True)))
