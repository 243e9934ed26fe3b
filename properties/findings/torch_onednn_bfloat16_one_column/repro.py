"""A convolution in bfloat16 with one column of outputs, against the same without oneDNN."""

import sys

import numpy as np

try:
    import torch
except ImportError:
    sys.exit(2)

random = np.random.RandomState(0)
wrong = 0
for N in (3, 6, 12, 24):
    x = torch.tensor(random.randint(-3, 4, (N, 1, 4, 3))).bfloat16()
    w = torch.tensor(random.randint(-3, 4, (4, 1, 2, 2))).bfloat16()  # whole numbers below 256, which bfloat16 holds
    asked = (x, w, None, (1, 2), (1, 0), (1, 2))
    got = torch.nn.functional.conv2d(*asked).float().numpy()
    with torch.backends.mkldnn.flags(enabled=False):
        want = torch.nn.functional.conv2d(*asked).float().numpy()
    print(f"{N} images: {(got != want).sum()} of {got.size} outputs differ; of the last")
    print("got ", got[-1].ravel())
    print("want", want[-1].ravel())
    wrong += not np.array_equal(got, want)
sys.exit(int(wrong > 0))
