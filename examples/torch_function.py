"""A convolution of one's own in PyTorch; autograd supplies the gradients, and the bridge the NumPy arrays.

    pytest properties/ --impl=examples/torch_function.py:unfolded

For a GPU, write from_torch(device="cuda", ...); for a kernel that rounds its operands, unfolded.accuracy = "tf32".
"""

import torch
from torch.nn import functional

from impls.bridges import from_torch


def conv2d(x, w, b, stride, padding, dilation, groups):
    """Stretch the windows out into columns, multiply once, fold back: x (N, C, H, W) -> (N, K, OH, OW)."""
    if min(*stride, *dilation, groups) < 1 or min(padding) < 0:
        raise ValueError(f"stride {stride}, dilation {dilation}, groups {groups}, padding {padding}: below the least")
    if x.shape[1] % groups or w.shape[0] % groups or w.shape[1] != x.shape[1] // groups:
        raise ValueError(
            f"{x.shape[1]} channels, {groups} groups, filters {tuple(w.shape)}: (K, C/G, FH, FW) is accepted"
        )
    if b is not None and b.shape != (w.shape[0],):
        raise ValueError(f"bias shape {tuple(b.shape)}: ({w.shape[0]},) is accepted")
    N, K = x.shape[0], w.shape[0]
    OH, OW = (
        (W + 2 * P - D * (extent - 1) - 1) // S + 1
        for W, extent, S, P, D in zip(x.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    )
    columns = functional.unfold(x, w.shape[2:], dilation, padding, stride)  # (N, C*FH*FW, OH*OW)
    columns = columns.view(N, groups, w[0].numel(), OH * OW)
    y = torch.einsum("gkt,ngtp->ngkp", w.reshape(groups, K // groups, -1), columns).reshape(N, K, OH, OW)
    return y if b is None else y + b[:, None, None]


unfolded = from_torch(conv2d=conv2d)
unfolded.name = "torch-unfolded"
