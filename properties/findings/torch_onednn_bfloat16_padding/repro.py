"""The gradient of a filter in bfloat16 whose outer columns meet nothing but padding: it is 0 there."""

import sys

import numpy as np

try:
    import torch
except ImportError:
    sys.exit(2)

x = torch.ones(1, 1, 4, 1, dtype=torch.bfloat16)
wrong, worst = 0, None
for _ in range(20):
    used = [torch.full((size,), 1e15) for size in (16, 64, 256, 1024, 4096)]  # memory that is then given back
    del used
    w = torch.ones(1, 1, 3, 3, dtype=torch.bfloat16, requires_grad=True)
    torch.nn.functional.conv2d(x, w, None, (1, 2), (1, 1)).sum().backward()
    gradient = w.grad.float().numpy()[0, 0]
    if not np.array_equal(gradient, [[0, 3, 0], [0, 4, 0], [0, 3, 0]]):
        wrong, worst = wrong + 1, gradient
print(f"wrong in {wrong} of 20 calls")
print("got ", worst if wrong else gradient)
print("want [[0 3 0] [0 4 0] [0 3 0]]")
sys.exit(int(wrong > 0))
