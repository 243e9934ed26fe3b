"""Indices of the maxima of minus infinities, with and without torch.compile."""

import shutil
import sys

try:
    import torch
except ImportError:
    torch = None
if torch is None or shutil.which("g++") is None:  # which torch.compile needs
    sys.exit(2)


def indices(x):
    """Where the maxima lie."""
    return torch.nn.functional.max_pool2d(x, 2, 2, 1, return_indices=True)[1]


x = torch.full((1, 1, 2, 2), float("-inf"))
got, want = torch.compile(indices)(x), indices(x)
print("got ", got.flatten().tolist(), "compiled")
print("want", want.flatten().tolist(), "as without")
sys.exit(int(not torch.equal(got, want)))
