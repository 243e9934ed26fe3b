"""Filters turned round: convolved where they are to be correlated, or the other way round."""

from __future__ import annotations

from properties.mutants.laws_by_name import (
    COLUMNS,
    FLIPPED,
    GRADIENTS,
    IDENTITIES,
    NETWORK,
    NETWORK_BACK,
    NEURONS,
    RANGE,
    SEVEN,
    SHARED_FILTERS,
    SINGLE_ONE,
    SUM,
    THREE,
    VALUES,
    VOLUME,
)
from properties.mutants.planting import around


@around("conv2d", by=(*VALUES, RANGE, SINGLE_ONE, NEURONS, SEVEN, COLUMNS, VOLUME, THREE, NETWORK))
def filter_flipped(correct, x, w, b, **p):
    """Filters are turned round, as in a convolution of mathematics."""
    return correct(x, w[..., ::-1, ::-1], b, **p)


@around("conv2d", by=VALUES)
def filter_flipped_across(correct, x, w, b, **p):
    """Filters are mirrored from left to right."""
    return correct(x, w[..., ::-1], b, **p)


@around("conv2d_backward", by=(*GRADIENTS, *IDENTITIES, FLIPPED, NETWORK_BACK, SHARED_FILTERS))
def dx_by_the_flipped_filter(correct, x, w, dy, **p):
    """dx is taken through filters that are turned round."""
    _, dw, db = correct(x, w, dy, **p)
    return correct(x, w[..., ::-1, ::-1], dy, **p)[0], dw, db


@around("conv2d_backward", by=(*GRADIENTS, *IDENTITIES, FLIPPED, NETWORK_BACK, SHARED_FILTERS, SUM))
def dw_flipped(correct, x, w, dy, **p):
    """dw is turned round."""
    dx, dw, db = correct(x, w, dy, **p)
    return dx, dw[..., ::-1, ::-1].copy(), db
