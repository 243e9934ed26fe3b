"""Faults of certain sizes: what a tile, a vector or a byte leaves over, long sums, fast paths, large parameters."""

from __future__ import annotations

import numpy as np

from properties.mutants.laws_by_name import (
    BACKWARD,
    CHANNELS_PERMUTED,
    COMMON,
    COMMON_BACK,
    COMMON_LOCAL,
    COMPOSED,
    COUNT,
    EDGES,
    EDGES_BACK,
    FAR,
    FAR_BACK,
    FILTERS_PERMUTED,
    FILTERS_PERMUTED_BACK,
    FORWARD,
    LARGE,
    LARGE_BACK,
    LARGE_FIRST,
    LARGE_LOCAL,
    POOLS,
    SHARING,
    SHIFTED,
    STEPS,
    TRANSPOSED,
    TRANSPOSED_BACK,
    VALUES,
    WEIGHTS,
)
from properties.mutants.planting import around
from properties.mutants.results import bfloat16, changed, first, named, sides

# what is left over


@around("conv2d", by=VALUES)
def columns_in_fours_without_the_rest(correct, *arrays, **p):
    """Columns of outputs are computed four at a time, and the rest is left 0."""
    y = correct(*arrays, **p)
    y[..., y.shape[3] // 4 * 4 :] = 0
    return y


@around("conv2d", by=(EDGES,))
def last_of_257_columns_without_bias(correct, x, w, b, **p):
    """Columns of outputs come in tiles of 256, and a last tile of one column is given no bias."""
    y = correct(x, w, b, **p)
    if b is not None and y.shape[3] > 256 and y.shape[3] % 256 == 1:
        y[..., -1] = correct(x, w, None, **p)[..., -1]
    return y


@around("conv2d", by=(FILTERS_PERMUTED,))
def odd_filter_left_out(correct, x, w, b, **p):
    """Filters are taken two at a time, and the outputs of an odd last one are left 0."""
    y = correct(x, w, b, **p)
    y[:, y.shape[1] // 2 * 2 :] = 0
    return y


@around("conv2d", by=(CHANNELS_PERMUTED,))
def odd_channel_left_out(correct, x, w, b, **p):
    """Channels of filters are taken two at a time, and an odd last one is left out."""
    w = w.copy()
    w[:, w.shape[1] // 2 * 2 :] = 0
    return correct(x, w, b, **p)


@around(*FORWARD, by=(TRANSPOSED,))
def odd_column_never_read(correct, x, *arrays, **p):
    """Columns of the image are read two at a time, and an odd last one is taken for zeros."""
    x = x.copy()
    x[..., x.shape[3] // 2 * 2 :] = 0
    return correct(x, *arrays, **p)


@around("conv2d_backward", by=(FILTERS_PERMUTED_BACK,))
def odd_filter_sends_nothing_back(correct, x, w, dy, **p):
    """Filters are taken two at a time, and an odd last one sends no gradient back to the image."""
    _, dw, db = correct(x, w, dy, **p)
    w = w.copy()
    w[len(w) // 2 * 2 :] = 0
    return correct(x, w, dy, **p)[0], dw, db


@around(*BACKWARD, by=(TRANSPOSED_BACK,))
def odd_column_gets_no_gradient(correct, *arrays, **p):
    """Columns of the image are taken two at a time, and an odd last one gets no gradient."""
    result = correct(*arrays, **p)
    dx = first(result)
    dx[..., dx.shape[3] // 2 * 2 :] = 0
    return result


@around(*FORWARD, by=(SHIFTED,))
def columns_beyond_a_tile_are_late(correct, *arrays, **p):
    """Beyond the fourth column every output is that of the column before."""

    def late(y):
        y[..., 4:] = y[..., 3:-1].copy()
        return y

    return changed(correct(*arrays, **p), late)


@around("conv2d", by=(EDGES,))
def leaves_out_the_filters_behind_the_last_sixteen(correct, x, w, b, **p):
    """Filters are taken in sixteens, and the outputs of those left over are 0."""
    y = correct(x, w, b, **p)
    if w.shape[0] > 16 and w.shape[0] % 16:
        y[:, -(w.shape[0] % 16) :] = 0.0
    return y


@around("conv2d_backward", by=(LARGE_BACK,))
def loses_the_channels_behind_the_last_sixteen(correct, x, w, dy, **p):
    """Channels are taken in sixteens, and dw of those left over is 0."""
    dx, dw, db = correct(x, w, dy, **p)
    if w.shape[1] > 16 and w.shape[1] % 16:
        dw[:, -(w.shape[1] % 16) :] = 0.0
    return dx, dw, db


@around(*FORWARD, by=(EDGES,))
def spoils_a_last_column_that_a_tile_leaves_alone(correct, *arrays, **p):
    """The last column of outputs is wrong where tiles of 64 leave it over alone."""

    def spoiled(y):
        if y.shape[3] > 1 and y.shape[3] % 64 == 1:
            y[..., -1] += 1.0
        return y

    return changed(correct(*arrays, **p), spoiled)


@around("conv2d_backward", by=(EDGES_BACK,))
def loses_the_last_row_but_every_eighth(correct, x, w, dy, **p):
    """The last row of dy is left out of dw where eights leave seven rows over."""
    dx, dw, db = correct(x, w, dy, **p)
    if dy.shape[2] > 8 and dy.shape[2] % 8 == 7:
        dw -= np.einsum("nkyx->k", dy[:, :, -1:])[:, None, None, None]
    return dx, dw, db


@around(*SHARING, "max_pool2d_backward", by=(LARGE_BACK,))
def forgets_the_column_that_a_tile_leaves_alone(correct, *arrays, **p):
    """The last column of a large image gets no gradient where tiles of eight leave it over alone."""
    dx = correct(*arrays, **p)
    if dx.shape[3] > 16 and dx.shape[3] % 8 == 1:
        dx[..., -1] = 0.0
    return dx


# too many


@around("conv2d", by=(COMPOSED,))
def large_filters_cut(correct, x, w, b, **p):
    """The loop over the rows of a filter is unrolled for three, and the others are left out."""
    w = w.copy()
    w[:, :, 3:] = 0
    return correct(x, w, b, **p)


@around("conv2d", by=(WEIGHTS,))
def sums_only_so_many_terms(correct, x, w, b, **p):
    """A sum has at most 65,536 terms, and the others are left out."""
    flat = w.reshape(len(w), -1).copy()
    flat[:, 65_536:] = 0
    return correct(x, flat.reshape(w.shape), b, **p)


@around("conv2d", by=(LARGE,))
def truncates_to_bfloat16_in_sums_of_two_hundred(correct, x, w, *rest, **p):
    """In sums of more than 200 terms the image is cut to the 8 bits of bfloat16."""
    return correct(bfloat16(x) if w[:1].size > 200 else x, w, *rest, **p)


@around("conv2d", by=(LARGE,))
def forgets_dilations_beyond_eight(correct, *a, **p):
    """The outputs of a dilation of more than 8 across are 0."""
    return correct(*a, **p) * (p["dilation"][1] <= 8)


@around(*FORWARD, by=(LARGE,))
def forgets_the_last_row_behind_much_padding(correct, *arrays, **p):
    """The last row of outputs is wrong where more than 8 rows are padded above."""
    padding = sides(p["padding"])

    def forgotten(y):
        if padding is not None and padding[0][0] > 8:
            y[:, :, -1] = 17.0
        return y

    return changed(correct(*arrays, **p), forgotten)


@around(*BACKWARD, by=(EDGES_BACK,))
def forgets_images_whose_number_a_byte_does_not_hold(correct, *arrays, **p):
    """The images behind the 127th get no gradient."""
    found = correct(*arrays, **p)
    first(found)[127:] = 0.0
    return found


@around("out_size", by=(COUNT,))
def size_of_sixteen_bits(correct, W, F, S, P, dilation=1):
    """The size is kept in 16 bits."""
    return correct(W, F, S, P, dilation) % 2**16


@around("out_size", by=(STEPS,))
def size_by_the_reciprocal_of_the_stride(correct, W, F, S, P, dilation=1):
    """The quotient is a product with 1/S in floating point, which falls short of a whole number at some strides."""
    correct(W, F, S, P, dilation)
    return int((W - dilation * (F - 1) - 1 + 2 * P) * (1 / S)) + 1


# fast paths of common layers


@around("conv2d", by=(COMMON,))
def has_a_fast_path_that_loses_a_corner(correct, x, w, *rest, **p):
    """The path for 3x3 at stride 1 and channels in eights leaves the first output 0."""
    y = correct(x, w, *rest, **p)
    if w.shape[2:] == (3, 3) and tuple(p["stride"]) == (1, 1) and w.shape[1] % 8 == 0:
        y[..., :1, :1] = 0.0
    return y


@around("conv2d", by=(COMMON,))
def has_a_path_for_stems_that_moves_the_last_row(correct, x, w, *rest, **p):
    """The path for 7x7 at stride 2 reads the last row of outputs one cell further up where the height is odd."""
    y = correct(x, w, *rest, **p)
    if w.shape[2:] == (7, 7) and tuple(p["stride"]) == (2, 2) and x.shape[2] % 2:
        y[:, :, -1:] = correct(np.roll(x, 1, 2), w, *rest, **p)[:, :, -1:]
    return y


@around("conv2d", by=(COMMON,))
def has_a_depthwise_path_without_the_last_channel(correct, x, w, *rest, **p):
    """The path for depthwise convolutions of eight channels and more leaves the last channel 0."""
    y = correct(x, w, *rest, **p)
    if p["groups"] == x.shape[1] >= 8:
        y[:, -1] = 0.0
    return y


@around("conv2d_backward", by=(COMMON_BACK,))
def adds_up_gradients_of_points_four_at_a_time(correct, x, w, dy, **p):
    """The path for 1x1 adds up dw over four columns at a time, and gets those left over wrong."""
    dx, dw, db = correct(x, w, dy, **p)
    if w.shape[2:] == (1, 1) and dy.shape[3] % 4:
        dw[..., 0, 0] -= np.einsum("nkyx->k", dy[..., -(dy.shape[3] % 4) :])[:, None]
    return dx, dw, db


@around(*POOLS, by=(COMMON,))
def pools_two_by_two_in_pairs_of_columns(correct, x, *, size, **p):
    """The path for 2x2 at stride 2 has two outputs at a time, and gets an odd last one wrong."""

    def odd_one_wrong(y):
        if tuple(size) == (2, 2) == tuple(p["stride"]) and y.shape[3] % 2 and y.shape[3] > 4:
            y[..., -1] = 0.5
        return y

    return changed(correct(x, size=size, **p), odd_one_wrong)


@around(*SHARING, "max_pool2d_backward", by=(COMMON_BACK,))
def unpools_two_by_two_in_pairs_of_columns(correct, *arrays, **p):
    """The path for 2x2 at stride 2 has two columns of dy at a time, and loses an odd last one."""
    dx, columns = correct(*arrays, **p), named(correct, arrays, p)["dy"].shape[3]
    if dx.shape[3] // columns == 2 and columns % 2 and columns > 4:
        dx[..., -2:] = 0.0
    return dx


@around("conv2d", "avg_pool2d", "l2_pool2d", by=(COMMON_LOCAL,))
def takes_nan_for_zero_where_channels_are_many(correct, *arrays, **p):
    """The path for channels in eights masks NaN."""
    y = correct(*arrays, **p)
    return np.nan_to_num(y, nan=0.0, posinf=np.inf, neginf=-np.inf) if y.shape[1] % 8 == 0 else y


@around("conv2d", by=(EDGES,))
def drops_a_last_block_of_one_product(correct, x, w, b, **p):
    """Sums are made in blocks of 64 products, and the last one is left out where it would hold a single one."""
    y = correct(x, w, b, **p)
    terms = w[0].size
    if terms < 64 or terms % 64 != 1:
        return y
    last = np.zeros_like(w)
    last[:, -1, -1, -1] = w[:, -1, -1, -1]
    return y - correct(x, last, None, **p)


# large windows


@around("avg_pool2d", "avg_pool2d_backward", by=(EDGES, EDGES_BACK))
def counts_cells_in_a_byte(correct, *arrays, size, **p):
    """The cells that are in the image are counted in a signed byte: of 128 there are -128, and of 256 none."""
    y, cells = correct(*arrays, size=size, **p), size[0] * size[1]
    if p.get("count_include_pad", True) or cells < 128:
        return y
    with np.errstate(all="ignore"):
        return (y * (cells / np.float64((cells + 128) % 256 - 128))).astype(y.dtype)


@around("conv2d", "avg_pool2d", "l2_pool2d", by=(LARGE_LOCAL,))
def sums_wide_windows_by_differences(correct, x, *arrays, **p):
    """Windows eight cells wide and more are differences of running sums, in which NaN and infinities stay for good."""
    y = correct(x, *arrays, **p)
    window = p["size"] if "size" in p else arrays[0].shape[2:]
    if window[1] >= 8 and not np.isfinite(x).all():
        y[..., -1][~np.isfinite(y).all(3)] = np.nan
    return y


@around("max_pool2d", by=(LARGE_FIRST,))
def doubles_wide_windows_from_the_right(correct, x, *, size, **p):
    """Windows eight cells wide and more are doubled from the right, and their last maximum wins."""
    y, switches = correct(x, size=size, **p)
    if size[1] >= 8:
        N, C, H, W = x.shape
        planes, places = x.reshape(N, C, H * W), switches.reshape(N, C, -1)
        right = np.minimum(places + 1, H * W - 1)
        same = (places >= 0) & (places % W < W - 1) & (np.take_along_axis(planes, right, 2) == y.reshape(N, C, -1))
        switches = np.where(same, right, places).reshape(switches.shape)
    return y, switches


# numbers that an index type does not hold


@around("conv2d", "conv2d_backward", by=(FAR, FAR_BACK))
def dilated_offsets_in_a_byte(correct, x, w, *rest, **p):
    """How far a tap lies from the first is kept in a byte: one that is 256 cells or more away is taken for another."""
    if p["dilation"][0] * (w.shape[2] - 1) >= 256:
        w = np.roll(w, 1, 2)
    return correct(x, w, *rest, **p)


@around(*FORWARD, *BACKWARD, by=(FAR, FAR_BACK))
def sizes_in_16_bits(correct, *arrays, **p):
    """Places are kept in 16 bits: what lies at the 65,536th row, column, image or channel is read from the start."""

    def wrapped(array):
        for axis, size in enumerate(array.shape):
            array = np.take(array, np.arange(size) % 2**16, axis)
        return array

    return correct(*(wrapped(each) if isinstance(each, np.ndarray) else each for each in arrays), **p)


@around("conv2d", by=(FAR,))
def offset_in_float32(correct, x, w, b, **p):
    """The place of a cell in its plane is kept in float32, which has no odd numbers beyond 2**24."""
    if x.shape[2] * x.shape[3] > 2**24:
        x = x.copy()
        tail = x.reshape(*x.shape[:2], -1)[..., 2**24 :]
        tail[..., 1::2] = tail[..., : tail.shape[2] // 2 * 2 : 2]
    return correct(x, w, b, **p)
