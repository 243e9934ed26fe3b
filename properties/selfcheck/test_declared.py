"""What an implementation declares is heeded by every case, those that stand above a property among them."""

from __future__ import annotations

import pytest

from impls import im2col
from impls.subject import Subject
from oracles.case import CONVOLUTIONS, Case
from oracles.data import RECIPES
from properties import order, test_switches
from properties.examiner import Examiner, set_under_test
from properties.mutants.planting import variant

EXPLICIT = [
    (name, function, example.kwargs["case"])
    for name, function in order.properties()
    for example in getattr(function, "hypothesis_explicit_examples", ())
]


def test_some_properties_have_cases_of_their_own() -> None:
    assert len(EXPLICIT) >= 3


@pytest.mark.parametrize("what", ["limits", "declares no float"])
def test_a_case_that_is_written_down_is_not_run_where_it_is_declared_unsupported(what) -> None:
    def refused(*arrays, **parameters):
        raise NotImplementedError

    for name, function, case in EXPLICIT:
        other = "float32" if case.dtype == "float64" else "float64"
        declared = {"limits": {"F": [2], "S": [1]}} if what == "limits" else {"dtypes": (other,)}
        sparing = variant(im2col, **{case.operation: refused}, **({"options": ()} | declared))
        examiner = Examiner(Subject("sparing", sparing), case.operation)
        set_under_test(examiner)
        assert not function.law.one(examiner, case), name
        (reason,) = examiner.tallies[case.dtype].unsupported
        assert what in reason


def test_examples_of_special_values_are_not_owed_by_a_transform() -> None:
    special = [
        (function, case) for _, function, case in EXPLICIT if RECIPES[case.recipe.split(":")[0]].kind == "special"
    ]
    assert special
    for function, case in special:
        for accuracy, examined in (("fft", False), ("direct", True)):
            if case.operation in CONVOLUTIONS:
                examiner = Examiner(Subject("way", variant(im2col, accuracy=accuracy)), case.operation)
                set_under_test(examiner)
                assert function.law.one(examiner, case)
                assert bool(examiner.tallies) == examined


def test_of_limits_it_says_which() -> None:
    examiner = Examiner(Subject("sparing", variant(im2col, limits={"F": [3]}, options=("ceil_mode",))), "conv2d")
    pools = (case for _, _, case in EXPLICIT if case.operation == "max_pool2d")
    case = next(case for case in pools if {*case.geometry.sizes["F"]} != {3})
    assert examiner.declined(case) == "declares limits['F'] = (3,)"


def silent(x, **parameters):
    return im2col.max_pool2d(x, **parameters)[0], None


def test_max_pooling_that_tells_no_switches_is_judged_by_its_maxima() -> None:
    case = Case.parse("max_pool2d float32 n1c2 i5k2s1p0,0d1 i6k3s2p1,1d1 narrow:24 seed=1")
    for name, function in order.properties():
        law = function.law
        if "max_pool2d" not in law.operations or law.details or not law.any_case:
            continue
        examiner = Examiner(Subject("silent", variant(im2col, max_pool2d=silent)), "max_pool2d")
        set_under_test(examiner)
        assert law.one(examiner, case), name
        wrong = variant(im2col, max_pool2d=lambda x, **p: (-silent(x, **p)[0], None))
        examiner = Examiner(Subject("wrong", wrong), "max_pool2d")
        set_under_test(examiner)
        with pytest.raises(AssertionError, match="elements of y differ"):
            law.one(examiner, case)


def test_what_speaks_of_switches_is_unsupported_where_none_are_told() -> None:
    case = Case.parse("max_pool2d float32 n1c2 i5k2s1p0,0d1 i6k3s2p1,1d1 narrow:24 seed=1")
    examiner = Examiner(Subject("silent", variant(im2col, max_pool2d=silent)), "max_pool2d")
    set_under_test(examiner)
    assert not test_switches.test_switch_lies_in_its_window.law.one(examiner, case)
    assert examiner.tallies["float32"].unsupported == {"tells no switches": 1}
