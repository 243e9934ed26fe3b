"""A convolution for channels-last arrays, as many back ends lay them out; the bridge turns the axes.

    pytest properties/ --impl=examples/nhwc_conv.py:channels_last

Here x is (N, H, W, C), w (FH, FW, C/G, K), y (N, OH, OW, K): one matrix product for each cell of the window.
"""

from types import SimpleNamespace

import numpy as np

from impls.bridges import from_nhwc


def conv2d(x, w, b, *, stride, padding, dilation=(1, 1), groups=1):
    FH, FW, _, K = w.shape
    if min(*stride, *dilation, FH, FW, *x.shape[1:3]) < 1 or min(padding) < 0:
        raise ValueError(f"window {FH, FW}, stride {stride}, dilation {dilation}, padding {padding}: below the least")
    if groups != 1 or w.shape[2] != x.shape[3]:
        raise ValueError(
            f"{groups} groups, filters of {w.shape[2]} channels: 1 and the image's {x.shape[3]} are accepted"
        )
    if b is not None and b.shape != (K,):
        raise ValueError(f"bias shape {b.shape}: ({K},) is accepted")
    sizes = zip(x.shape[1:3], (FH, FW), stride, padding, dilation, strict=True)
    OH, OW = ((W + 2 * P - D * (F - 1) - 1) // S + 1 for W, F, S, P, D in sizes)
    if min(OH, OW) < 1:
        raise ValueError(f"window {FH, FW}, dilation {dilation}: no more than image and padding is accepted")
    image = np.pad(x.astype(x.dtype.newbyteorder("=")), ((0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)))
    y = np.zeros((x.shape[0], OH, OW, K), image.dtype)
    for fy, fx in np.ndindex(FH, FW):
        rows = slice(fy * dilation[0], fy * dilation[0] + (OH - 1) * stride[0] + 1, stride[0])
        columns = slice(fx * dilation[1], fx * dilation[1] + (OW - 1) * stride[1] + 1, stride[1])
        y += image[:, rows, columns] @ w[fy, fx]
    return y if b is None else y + b.astype(y.dtype)


# It knows no groups, and says so: the suite then draws none.
channels_last = from_nhwc(SimpleNamespace(conv2d=conv2d, name="nhwc-conv", limits={"G": [1]}))
