"""The index of a NaN that is returned as the maximum, with and without torch.compile."""

import shutil
import sys

try:
    import torch
except ImportError:
    torch = None
if torch is None or shutil.which("g++") is None:  # which torch.compile needs
    sys.exit(2)


def pooled(x):
    """Values and indices."""
    return torch.nn.functional.adaptive_max_pool2d(x, (1, 2), return_indices=True)


x = torch.tensor([1.0, float("nan"), 2.0]).reshape(1, 1, 1, 3)
(values, got), (_, want) = torch.compile(pooled)(x), pooled(x)
print("got ", got.flatten().tolist(), "compiled, of the values", values.flatten().tolist())
print("want", want.flatten().tolist(), "as without")
sys.exit(int(not torch.equal(got, want)))
