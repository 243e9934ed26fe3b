"""Averages of ones are ones: with oneDNN's tensors and without."""

import sys

try:
    import torch
except ImportError:
    sys.exit(2)


x = torch.ones(1, 1, 1, 3)
want = torch.nn.functional.avg_pool2d(x, (1, 2), (1, 2), ceil_mode=True)
got = torch.nn.functional.avg_pool2d(x.to_mkldnn(), (1, 2), (1, 2), ceil_mode=True).to_dense()
print("got ", got.flatten().tolist())
print("want", want.flatten().tolist())
sys.exit(int(not torch.equal(got, want)))
