"""A convolution of one channel with one column of outputs: image and filters channels last, and as torch has them."""

import sys

import numpy as np

try:
    import torch
except ImportError:
    sys.exit(2)

random = np.random.RandomState(0)
x = torch.tensor(random.randint(-3, 4, (16, 4, 4, 1)).astype(np.float32)).permute(0, 3, 1, 2)
w = torch.tensor(random.randint(-3, 4, (1, 3, 1, 3)).astype(np.float32)).permute(3, 2, 0, 1)
plain = [torch.empty(each.shape).copy_(each) for each in (x, w)]
got = torch.nn.functional.conv2d(x, w, stride=(1, 3)).numpy()
want = torch.nn.functional.conv2d(*plain, stride=(1, 3)).numpy()
with torch.backends.mkldnn.flags(enabled=False):
    without = torch.nn.functional.conv2d(x, w, stride=(1, 3)).numpy()
print(f"{(got != want).sum()} of {got.size} outputs differ by the layout, {(want != without).sum()} by oneDNN alone")
print("got ", got[-1].ravel())
print("want", want[-1].ravel())
sys.exit(int(not np.array_equal(got, want)))
