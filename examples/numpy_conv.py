"""A convolution in NumPy with its gradients, as a first kernel may look. It imports nothing of Poolproof.

    pytest properties/ --impl=examples/numpy_conv.py

The trick is old: there are few cells in a window, so loop over those, and let NumPy do all windows at once.
"""

import numpy as np

name = "numpy-conv"


def conv2d(x, w, b, *, stride, padding, dilation=(1, 1), groups=1):
    """x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> y (N, K, OH, OW)."""
    image, shape = _checked(x, w, stride, padding, dilation, groups)
    if b is not None and b.shape != (w.shape[0],):
        raise ValueError(f"bias shape {b.shape}: ({w.shape[0]},) is accepted")
    y = np.zeros((x.shape[0], groups, w.shape[0] // groups, *shape), image.dtype)
    for fy, fx, cells in _cells(w, shape, stride, dilation):
        taps = w[..., fy, fx].reshape(groups, -1, w.shape[1])
        y += np.einsum("ngcyx,gkc->ngkyx", _grouped(image[cells], groups), taps)
    y = y.reshape(x.shape[0], w.shape[0], *shape)
    return y if b is None else y + b.astype(y.dtype)[:, None, None]


def conv2d_backward(x, w, dy, *, stride, padding, dilation=(1, 1), groups=1):
    """dy (N, K, OH, OW) -> dx, dw, db of the shapes of x, w and (K,)."""
    image, shape = _checked(x, w, stride, padding, dilation, groups)
    if dy.shape != (x.shape[0], w.shape[0], *shape):
        raise ValueError(f"dy shape {dy.shape}: {(x.shape[0], w.shape[0], *shape)} is accepted")
    dimage, dw, dy_grouped = np.zeros_like(image), np.zeros(w.shape, image.dtype), _grouped(dy, groups)
    for fy, fx, cells in _cells(w, shape, stride, dilation):
        taps = w[..., fy, fx].reshape(groups, -1, w.shape[1])
        dw[..., fy, fx] = np.einsum("ngkyx,ngcyx->gkc", dy_grouped, _grouped(image[cells], groups)).reshape(w.shape[:2])
        # windows overlap: what one cell gets from several is added up
        dimage[cells] += np.einsum("ngkyx,gkc->ngcyx", dy_grouped, taps).reshape(dimage[cells].shape)
    top, left = padding
    dx = dimage[:, :, top : top + x.shape[2], left : left + x.shape[3]].copy()
    return dx, dw, dy.sum(axis=(0, 2, 3), dtype=image.dtype)


def _checked(x, w, stride, padding, dilation, groups):
    """Refuse what does not fit; give the padded image, in native byte order, and the output's shape (OH, OW)."""
    if min(*stride, *dilation, *x.shape[2:], *w.shape[2:], groups) < 1 or min(padding) < 0:
        raise ValueError(
            f"image {x.shape[2:]}, window {w.shape[2:]}, stride {stride}, dilation {dilation}, groups {groups}, "
            f"padding {padding}: at least 1 is accepted, of padding at least 0"
        )
    if x.shape[1] % groups or w.shape[0] % groups or w.shape[1] != x.shape[1] // groups:
        raise ValueError(f"{x.shape[1]} channels, {groups} groups, filters {w.shape}: (K, C/G, FH, FW) is accepted")
    sizes = zip(x.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    shape = tuple((W + 2 * P - D * (F - 1) - 1) // S + 1 for W, F, S, P, D in sizes)
    if min(shape) < 1:
        raise ValueError(f"window {w.shape[2:]}, dilation {dilation}: no more than image and padding is accepted")
    around = ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2)
    return np.pad(x.astype(x.dtype.newbyteorder("=")), around), shape


def _cells(w, shape, stride, dilation):
    """Go through the cells (fy, fx) of the window, each with the slice of the image that all windows see there."""
    for fy, fx in np.ndindex(w.shape[2:]):
        top, left = fy * dilation[0], fx * dilation[1]
        bottom, right = top + (shape[0] - 1) * stride[0] + 1, left + (shape[1] - 1) * stride[1] + 1
        yield fy, fx, (slice(None), slice(None), slice(top, bottom, stride[0]), slice(left, right, stride[1]))


def _grouped(array, groups):
    """Split the channels: (N, G*C, H, W) -> (N, G, C, H, W)."""
    N, C, H, W = array.shape
    return array.reshape(N, groups, C // groups, H, W)
