"""A faulty implementation is told to behave like the planted fault that it has; one like none is told nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from impls import im2col, loops
from impls.subject import Subject
from properties import likeness, test_gradients, test_refusals, test_repeatability, test_specials, test_values
from properties.examiner import Examiner, set_under_test
from properties.mutants.planting import variant
from properties.selfcheck.running import examine

EXACTLY = test_values.test_output_equals_the_definition_exactly
GRADIENT = test_gradients.test_gradient_equals_the_definition_exactly


def nearest(law: Any, faulty: Any, operation: str, base: Any = im2col) -> list[likeness.Likeness]:
    """Find a failing case of a faulty implementation, and what it behaves like."""
    namespace = variant(base, **{operation: faulty})
    found = examine(law, namespace, operation, 300, shrink=True)
    assert found is not None
    examiner = Examiner(Subject("mine", namespace), operation)
    set_under_test(examiner)
    return likeness.nearest(examiner, law.law, found[0])


def flips(x, w, b, *, stride, padding, dilation=(1, 1), groups=1):
    return loops.conv2d(x, w[..., ::-1, ::-1], b, stride=stride, padding=padding, dilation=dilation, groups=groups)


def crosses(x, w, b, *, stride, padding, dilation=(1, 1), groups=1):
    return loops.conv2d(x, w, b, stride=stride[::-1], padding=padding, dilation=dilation, groups=groups)


def loses_nan(x, *, size, stride, padding=(0, 0), count_include_pad=True, ceil_mode=False):
    p = {"size": size, "stride": stride, "padding": padding, "count_include_pad": count_include_pad}
    return im2col.avg_pool2d(np.nan_to_num(x), ceil_mode=ceil_mode, **p)


def turns_dw(x, w, dy, *, stride, padding, dilation=(1, 1), groups=1):
    p = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    dx, dw, db = im2col.conv2d_backward(x, w, dy, **p)
    return dx, dw[..., ::-1, ::-1].copy(), db


def takes_any_stride(x, *, size, stride, padding=(0, 0)):
    return im2col.l2_pool2d(x, size=size, stride=tuple(max(1, each) for each in stride), padding=padding)


@pytest.mark.parametrize(
    ("law", "faulty", "operation", "base", "name"),
    [
        (EXACTLY, flips, "conv2d", loops, "filter_flipped"),
        (EXACTLY, crosses, "conv2d", loops, "strides_swapped"),
        (GRADIENT, turns_dw, "conv2d_backward", im2col, "dw_flipped"),
        (test_specials.test_non_finite_values_stay_local, loses_nan, "avg_pool2d", im2col, "nan_made_a_number"),
        (
            test_refusals.test_invalid_calls_are_refused,
            takes_any_stride,
            "l2_pool2d",
            variant(im2col, options=()),
            "stride_zero_taken_for_one",
        ),
    ],
)
def test_it_behaves_like_the_fault_that_it_has(law, faulty, operation, base, name):
    found = nearest(law, faulty, operation, base)
    assert name in [each.name for each in found]
    assert found == sorted(found, key=lambda each: each.score, reverse=True)
    assert len(found) <= likeness.NEAREST


def test_a_call_that_depends_on_others_is_told_too():
    seen = {}

    def keeps_the_first_stride(x, w, b, *, stride, padding, dilation=(1, 1), groups=1):
        stride = seen.setdefault((x.shape, w.shape), stride)
        return im2col.conv2d(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)

    law = test_repeatability.test_answers_do_not_depend_on_earlier_calls
    assert nearest(law, keeps_the_first_stride, "conv2d")


def test_what_is_like_no_planted_fault_is_said_to_be_like_none():
    def shouts(x, w, b, *, stride, padding, dilation=(1, 1), groups=1):
        y = im2col.conv2d(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
        return y + y.dtype.type(1234)

    assert nearest(EXACTLY, shouts, "conv2d") == []


def test_the_examiner_under_test_is_another_s_no_longer():
    examiner = Examiner(Subject("mine", variant(conv2d=flips)), "conv2d")
    set_under_test(examiner)
    found = examine(EXACTLY, variant(conv2d=flips), "conv2d", 100)
    set_under_test(examiner)
    likeness.nearest(examiner, EXACTLY.law, found[0])
    assert likeness.under_test() is examiner


def test_a_likeness_is_told_in_a_line():
    told = str(likeness.Likeness("filter_flipped", "Filters are turned round.", 35, 35, 36))
    assert told == "Filters are turned round (filter_flipped: alike in 35 of 36 cases that go wrong)"
    told = str(likeness.Likeness("nan_lost", "NaN is lost.", 3, 8, 9))
    assert told == "NaN is lost (nan_lost: alike in 3 of 9 cases that go wrong, otherwise in 5)"
