"""The gradient of average pooling in ceil mode, with and without torch.compile."""

import shutil
import sys

try:
    import torch
except ImportError:
    torch = None
if torch is None or shutil.which("g++") is None:  # which torch.compile needs
    sys.exit(2)


def pooled(x):
    """Windows of 3: the last one covers two cells."""
    return torch.nn.functional.avg_pool2d(x, (1, 3), (1, 3), ceil_mode=True)


def gradient(function):
    """The gradient of the sum of the outputs."""
    x = torch.arange(5.0).reshape(1, 1, 1, 5).requires_grad_()
    function(x).sum().backward()
    return x.grad.flatten()


got, want = gradient(torch.compile(pooled)), gradient(pooled)
print("got ", got.tolist(), "compiled")
print("want", want.tolist(), "as without")
sys.exit(int(not torch.allclose(got, want)))
