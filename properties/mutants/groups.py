"""Groups and channels: which filter reads which channels, and where its outputs go."""

from __future__ import annotations

import numpy as np

from properties.mutants.laws_by_name import (
    BACKWARD,
    CHANNELS,
    CHANNELS_BACK,
    GRADIENTS,
    GROUPS,
    GROUPS_BACK,
    IDENTITIES,
    POOLS,
    VALUES,
)
from properties.mutants.planting import around
from properties.mutants.results import changed

# forward


@around("conv2d", by=VALUES)
def groups_and_filters_exchanged(correct, x, w, b, *, groups, **p):
    """Outputs are written by the number in the group first, and then by the group."""
    y = correct(x, w, b, groups=groups, **p)
    return y.reshape(len(y), groups, len(w) // groups, *y.shape[2:]).swapaxes(1, 2).reshape(y.shape)


@around("conv2d", by=(GROUPS,))
def groups_interleaved(correct, x, w, b, **p):
    """Filter k belongs to group k modulo G, not to group k // (K/G)."""
    order = np.argsort(np.arange(len(w)) % p["groups"], kind="stable")
    y = correct(x, w[order], b[order] if b is not None and len(b) == len(w) else b, **p)
    return y[:, np.argsort(order)]


@around("conv2d", by=VALUES)
def every_group_reads_the_first_channels(correct, x, w, b, *, groups, **p):
    """Every group reads the channels of the first."""
    first = x[:, : x.shape[1] // groups]
    return correct(np.concatenate([first] * groups, axis=1), w, b, groups=groups, **p)


@around("conv2d", by=VALUES)
def depthwise_filter_reads_channel_k_modulo_c(correct, x, w, b, *, groups, **p):
    """In a depthwise convolution with several filters to a channel, filter k reads channel k modulo C."""
    K, C = w.shape[0], x.shape[1]
    if groups != C or K % C:
        return correct(x, w, b, groups=groups, **p)
    return correct(x[:, np.arange(K) % C], w, b, groups=K, **p)  # channel k // (K/C) is right


@around(*POOLS, by=(CHANNELS,))
def last_channel_is_the_first(correct, x, **p):
    """The last channel is pooled from where the first one lies."""
    x = x.copy()
    x[:, -1:] = x[:, :1]
    return correct(x, **p)


# backward


@around("conv2d_backward", by=(*GRADIENTS, *IDENTITIES))
def groups_and_filters_of_dw_exchanged(correct, x, w, dy, *, groups, **p):
    """dw is read by the group first and written by the number in the group first."""
    dx, dw, db = correct(x, w, dy, groups=groups, **p)
    return dx, dw.reshape(groups, -1, *w.shape[1:]).swapaxes(0, 1).reshape(w.shape), db


@around("conv2d_backward", by=(GROUPS_BACK,))
def gradients_of_the_first_group(correct, x, w, dy, **p):
    """dw is calculated for the filters of the first group alone."""
    dx, dw, db = correct(x, w, dy, **p)
    dw[dw.shape[0] // p["groups"] :] = 0
    return dx, dw, db


@around(*BACKWARD[1:], by=(CHANNELS_BACK,))
def last_channel_gets_the_gradients_of_the_first(correct, *arrays, **p):
    """The gradients of the first channel are written to the last one too."""

    def repeated(dx):
        dx[:, -1:] = dx[:, :1]
        return dx

    return changed(correct(*arrays, **p), repeated)
