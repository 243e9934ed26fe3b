"""Conventions that are declared: what keeps to them agrees, what breaks them is caught, and without them they fail."""

from __future__ import annotations

import types

import numpy as np
import pytest

from impls import im2col
from impls.subject import Subject
from oracles.case import Case
from properties import test_specials
from properties.examiner import Examiner, Unsupported, set_under_test
from properties.faults import faults
from properties.mutants.planting import copy_of_im2col, variant
from properties.mutants.specials import maximum
from properties.test_refusals import refused

LOWEST = np.finfo(np.float32).min
LAW = test_specials.test_max_pooling_keeps_the_sign_of_zero_and_the_ends_of_the_range.law
SHAPE = "n2c2 i7k2s2p1,1d1 i6k3s1p1,1d1"


def pooling(wins, start=-np.inf):
    """Max pooling by another rule of which cell wins."""
    copy = copy_of_im2col()
    maximum(copy, wins, start)
    return copy.max_pool2d


KEEPS_FIRST = pooling(lambda row, best, switch: (row > best) | (switch < 0))
DROPS = pooling(lambda row, best, switch: (row > best) | (switch < 0) | (np.isnan(best) & ~np.isnan(row)))
TAKES_LAST = pooling(lambda row, best, switch: ~(row <= best))  # as vector instructions compare


def below_all(x, **parameters):
    """NaN loses, and a window of NaN alone gives the lowest number, with a switch that is none."""
    y, switches = DROPS(x, **parameters)
    return np.where(np.isnan(y), LOWEST, y), np.where(np.isnan(y), -1, switches)


def no_zero_of_its_own(x, **parameters):
    y, switches = im2col.max_pool2d(x, **parameters)
    return y + np.zeros((), y.dtype), switches  # of -0 that makes 0


def spreading(x, **parameters):
    """A NaN anywhere makes the first window NaN."""
    y, switches = DROPS(x, **parameters)
    if np.isnan(x).any():
        y[0, 0, 0, 0] = np.nan
    return y, switches


def negated(x, **parameters):
    y, switches = im2col.max_pool2d(x, **parameters)
    return -y, switches


def agrees(function, recipe, *conventions):
    """Whether a property of special values holds of max pooling with these declarations, on a dozen cases."""
    declared = variant(im2col, max_pool2d=function, conventions=conventions)
    examiner = Examiner(Subject("declared", declared), "max_pool2d")
    set_under_test(examiner)
    try:
        for seed in range(12):
            assert LAW.one(examiner, Case.parse(f"max_pool2d float32 {SHAPE} {recipe} seed={seed}"))
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize(
    ("function", "recipe", "convention"),
    [
        (DROPS, "nan", "max_drops_nan"),
        (below_all, "nan", "max_drops_nan"),
        (KEEPS_FIRST, "nan", "max_keeps_first_nan"),
        (TAKES_LAST, "nan", "max_orders_nan"),
        (DROPS, "nan", "max_orders_nan"),
        (no_zero_of_its_own, "zeros", "max_takes_either_zero"),
    ],
)
def test_what_keeps_to_a_convention_agrees_where_it_is_declared_and_nowhere_else(function, recipe, convention):
    assert agrees(function, recipe, convention)
    assert not agrees(function, recipe)


@pytest.mark.parametrize(
    ("function", "recipe", "convention"),
    [
        (im2col.max_pool2d, "nan", "max_drops_nan"),
        (KEEPS_FIRST, "nan", "max_drops_nan"),
        (spreading, "nan", "max_drops_nan"),
        (spreading, "nan", "max_orders_nan"),
        (DROPS, "nan", "max_keeps_first_nan"),
        (negated, "ties:24", "max_takes_either_zero"),
        (no_zero_of_its_own, "zeros", "max_drops_nan"),
        (lambda x, **p: (below_all(x, **p)[0], below_all(x, **p)[1] * 0), "nan", "max_drops_nan"),
    ],
)  # fmt: skip
def test_what_breaks_a_convention_is_caught(function, recipe, convention):
    assert not agrees(function, recipe, convention)


# what need not be refused


def lenient(**windows):
    """Average pooling that pads with zeros by itself, and takes whatever windows there are."""

    def avg_pool2d(x, *, size, stride, padding=(0, 0), count_include_pad=True, **_):
        spread = [(side, side) if isinstance(side, int) else side for side in padding]
        x = np.pad(x, ((0, 0), (0, 0), *spread))
        room = [max(windows.get("least", 0), (x.shape[2 + i] - size[i]) // stride[i] + 1) for i in (0, 1)]
        y = np.zeros((*x.shape[:2], *room), x.dtype)
        for oy, ox in np.ndindex(*room):
            rows, columns = (slice(o * s, o * s + f) for o, s, f in zip((oy, ox), stride, size, strict=True))
            y[:, :, oy, ox] = x[:, :, rows, columns].sum((2, 3)) / (size[0] * size[1])
        return y

    return avg_pool2d


def broadcasting(x, w, b, **parameters):
    return im2col.conv2d(x, w, None if b is None else np.broadcast_to(b, w.shape[:1]), **parameters)


def verdict(namespace, operation, geometry, fault):
    """What is said of a call with this fault."""
    examiner = Examiner(Subject("declared", namespace), operation)
    set_under_test(examiner)
    assert fault in faults(operation)
    return refused(examiner, Case.parse(f"{operation} float32 {geometry} narrow:24 seed=1 fault={fault}"))


POOL = "n1c2 i5k2s2p0,0d1 i6k3s1p1,1d1"
CONV = "n1c2k4g1 i5k2s2p0,0d1 i6k3s1p1,1d1"


def declaring(*conventions, **functions):
    return types.SimpleNamespace(conventions=conventions, options=("asymmetric_padding",), **functions)


def test_a_window_that_does_not_fit_gives_nothing_where_it_need_not_be_refused():
    fault = "window_too_large_vertical"
    assert verdict(declaring("takes_any_window", avg_pool2d=lenient()), "avg_pool2d", POOL, fault).agrees
    found = verdict(declaring("takes_any_window", avg_pool2d=lenient(least=1)), "avg_pool2d", POOL, fault)
    assert found.kind == "accepted what must be refused"
    assert "as takes_any_window declares, and not answered rightly\ny has shape (1, 2, 1, 6)" in found.message
    assert not verdict(declaring(avg_pool2d=lenient()), "avg_pool2d", POOL, fault).agrees
    assert verdict(declaring("takes_any_window", avg_pool2d=im2col.avg_pool2d), "avg_pool2d", POOL, fault).agrees


def test_padding_of_any_size_gives_as_many_outputs_and_more_is_not_owed():
    fault = "padding_larger_than_window_horizontal"
    with pytest.raises(Unsupported, match="not owed: declares takes_any_padding"):
        verdict(declaring("takes_any_padding", avg_pool2d=lenient()), "avg_pool2d", POOL, fault)
    cut = declaring("takes_any_padding", avg_pool2d=lambda x, **p: lenient()(x, **p)[..., 1:])
    assert "y has shape" in verdict(cut, "avg_pool2d", POOL, fault).message


@pytest.mark.parametrize("fault", ["bias_of_one", "bias_a_number"])
def test_one_bias_for_all_is_what_it_says(fault):
    assert verdict(declaring("broadcasts_bias", conv2d=broadcasting), "conv2d", CONV, fault).agrees
    assert not verdict(declaring(conv2d=broadcasting), "conv2d", CONV, fault).agrees
    forgotten = declaring("broadcasts_bias", conv2d=lambda x, w, b, **p: im2col.conv2d(x, w, None, **p))
    assert "elements of y differ" in verdict(forgotten, "conv2d", CONV, fault).message


def test_an_image_of_nothing_gives_what_its_padding_gives():
    def of_padding(value):
        def conv2d(x, w, b, *, stride, padding, dilation=(1, 1), groups=1):
            wide = np.pad(x, ((0, 0), (0, 0), *padding))
            return im2col.conv2d(wide, w, b, stride=stride, padding=((0, 0), (0, 0))) + x.dtype.type(value)

        return declaring("takes_empty_image", conv2d=conv2d)

    geometry, fault = "n1c2k3g1 i5k2s2p2,2d1 i6k3s1p1,1d1", "empty_image_vertical"
    assert verdict(of_padding(0), "conv2d", geometry, fault).agrees
    assert "elements of y differ" in verdict(of_padding(1), "conv2d", geometry, fault).message


def test_other_faults_are_refused_as_ever():
    sloppy = declaring("takes_any_window", "takes_any_padding", avg_pool2d=lambda x, **p: lenient()(x, **p))
    assert verdict(sloppy, "avg_pool2d", POOL, "size_-1_vertical").kind == "accepted what must be refused"
