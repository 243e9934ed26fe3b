"""What an implementation declares is heeded by every case, those that stand above a property among them."""

from __future__ import annotations

import pytest

from impls import im2col
from impls.subject import Subject
from properties import order
from properties.examiner import Examiner, set_under_test
from properties.mutants.planting import variant

EXPLICIT = [
    (name, function, example.kwargs["case"])
    for name, function in order.properties()
    for example in getattr(function, "hypothesis_explicit_examples", ())
]


def test_some_properties_have_cases_of_their_own() -> None:
    assert len(EXPLICIT) >= 3


@pytest.mark.parametrize(
    ("declared", "what"),
    [
        ({"limits": {"F": [2], "S": [1]}}, "limits"),
        ({"dtypes": ("float64",)}, "float32"),
    ],
)
def test_a_case_that_is_written_down_is_not_run_where_it_is_declared_unsupported(declared, what) -> None:
    def refused(*arrays, **parameters):
        raise NotImplementedError

    for name, function, case in EXPLICIT:
        sparing = variant(im2col, **{case.operation: refused}, **({"options": ()} | declared))
        examiner = Examiner(Subject("sparing", sparing), case.operation)
        set_under_test(examiner)
        assert not function.law.one(examiner, case), name
        (reason,) = examiner.tallies[case.dtype].unsupported
        assert what in reason


def test_of_limits_it_says_which() -> None:
    examiner = Examiner(Subject("sparing", variant(im2col, limits={"F": [3]}, options=("ceil_mode",))), "conv2d")
    _, _, case = next(each for each in EXPLICIT if each[2].operation == "max_pool2d")
    assert examiner.declined(case) == "declares limits['F'] = (3,)"
