"""Arrays as they lie in memory: strides, orders of axes and of bytes that are not heeded, or not taken."""

from __future__ import annotations

from numpy.lib.stride_tricks import as_strided

from properties.mutants.laws_by_name import LAYOUTS, UNWRITTEN
from properties.mutants.planting import around

# not heeded


@around("conv2d", "conv2d_backward", "max_pool2d", "l2_pool2d_backward", by=(LAYOUTS,))
def reads_in_the_order_of_memory(correct, x, *arrays, **p):
    """The image is read in the order in which it lies in memory, as if that were C order."""
    return correct(x.ravel("K").reshape(x.shape), *arrays, **p)


@around("conv2d", "avg_pool2d", by=(LAYOUTS,))
def takes_rows_for_dense(correct, x, *arrays, **p):
    """The cells of a row are taken for neighbours in memory."""
    if x.size and min(x.strides) > 0:
        x = as_strided(x, strides=(*x.strides[:3], x.itemsize))
    return correct(x, *arrays, **p)


@around("max_pool2d_backward", "avg_pool2d_backward", by=(LAYOUTS,))
def takes_native_bytes_for_granted(correct, dy, *rest, **p):
    """The bytes of a number are read in the machine's order, whatever the dtype says."""
    return correct(dy.view(dy.dtype.newbyteorder("=")), *rest, **p)


@around("max_pool2d_backward", by=(LAYOUTS,))
def reads_switches_in_the_order_of_memory(correct, dy, switches, x_shape):
    """Switches are read in the order in which they lie in memory, as if that were C order."""
    return correct(dy, switches.ravel("K").reshape(switches.shape), x_shape)


@around("conv2d", "l2_pool2d", by=(LAYOUTS,))
def turns_fortran_arrays_round(correct, x, *arrays, **p):
    """An image in Fortran order is read with its axes reversed."""
    return correct(x.T.reshape(x.shape) if x.flags.f_contiguous else x, *arrays, **p)


@around("conv2d", "conv2d_backward", by=(LAYOUTS,))
def infers_the_layout_of_w_from_that_of_x(correct, x, w, *arrays, **p):
    """Filters are read in C order of their memory where the image is in C order."""
    if x.flags.c_contiguous:
        w = w.ravel("K").reshape(w.shape)
    return correct(x, w, *arrays, **p)


@around("conv2d", "max_pool2d", by=(LAYOUTS,))
def clears_what_lies_behind_a_row(correct, x, *arrays, **p):
    """Where the image is a view of a larger array, cells of that array are written."""
    if x.base is not None and x.base.size > x.size and x.base.ndim == 4:
        x.base[..., -1] = 0
    return correct(x, *arrays, **p)


# not taken


@around("conv2d", "max_pool2d", by=(LAYOUTS,))
def refuses_negative_strides(correct, x, *arrays, **p):
    """An image with a negative stride is refused."""
    if min(x.strides, default=0) < 0:
        raise ValueError("negative strides are not supported")
    return correct(x, *arrays, **p)


@around("conv2d", "avg_pool2d", by=(LAYOUTS,))
def divides_by_a_stride(correct, x, *arrays, **p):
    """Something is divided by the stride of the columns, which is 0 in a broadcast image: it raises."""
    if x.ndim == 4 and x.size:
        _ = x.strides[2] // x.strides[3]
    return correct(x, *arrays, **p)


@around("conv2d", "avg_pool2d", by=(LAYOUTS,))
def takes_the_shortcut_of_a_constant_plane(correct, x, *arrays, **p):
    """Of an image that is broadcast over its plane one output is computed, and used for those at the borders too."""
    result = correct(x, *arrays, **p)
    if x.ndim == 4 and x.size and x.strides[2:] == (0, 0) and min(x.shape[2:]) > 1:
        result[...] = result[:, :, result.shape[2] // 2, result.shape[3] // 2][:, :, None, None]
    return result


@around("l2_pool2d", by=(LAYOUTS,))
def wants_aligned_arrays(correct, x, **p):
    """An image whose numbers are not aligned raises a TypeError."""
    if not x.flags.aligned:
        raise TypeError("unaligned")
    return correct(x, **p)


@around("conv2d", by=(UNWRITTEN,))
def wants_writable_arrays(correct, x, w, b, **p):
    """A weight is written with the value it has, so that filters that are read-only raise a ValueError."""
    w.flat[:1] = w.flat[:1]
    return correct(x, w, b, **p)


@around("conv2d", "max_pool2d", by=(LAYOUTS,))
def takes_channels_last_for_dense(correct, x, *arrays, **p):
    """An image whose channels are neighbours in memory is read as if its rows followed each other without a gap."""
    C, H, W = x.shape[1:]
    if x.size and x.strides[1] == x.itemsize and C > 1 and min(x.strides) > 0:
        x = as_strided(x, strides=(H * W * C * x.itemsize, x.itemsize, W * C * x.itemsize, C * x.itemsize))
    return correct(x, *arrays, **p)
