"""What is counted of cases: how near they come to their bound, and how few of them say little."""

from __future__ import annotations

import contextlib
import importlib
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import seed as seeded

from impls import im2col
from impls.subject import Subject
from oracles.case import Case
from oracles.truth import truth
from oracles.verdict import thin
from properties import test_sizes, test_values
from properties.examiner import Examiner, Spent, Tally, power, set_under_test
from properties.laws import CLIMBS, Law
from properties.mutants.planting import variant
from properties.selfcheck.command_line import QUICK, VALUES, run
from properties.strategies import cases
from reports import ledger
from reports.nearness import counted as counted_text

FOLDER = Path(__file__).parents[1]
MODULES = sorted(path.stem for path in FOLDER.glob("test_*.py") if path.stem != "test_claims")
MOST = 0.02  # of the cases of a property
FIRST, MORE = 20, 600  # cases of each property and operation; of those that have a thin one, more
SECONDS = 5.0  # for them: images of 2**24 cells take long
GAUSS = "conv2d {} n1c2k2g1 i6k3s1p1,1d1 i6k3s1p1,1d1 gauss seed={}"
WITHIN = test_values.test_output_equals_the_definition_within_rounding


def counted(law: Law, operation: str, most: int, seed: int) -> Tally:
    """All that a property counts of im2col on so many drawn cases, over all formats."""
    examiner = Examiner(Subject("under_test", im2col), operation)
    set_under_test(examiner)
    examiner.begin(SECONDS)

    def examined(case: Case) -> None:
        law.one(examiner, case)

    chosen = settings(max_examples=most, database=None, phases=(Phase.generate,), deadline=None)
    with contextlib.suppress(Spent):
        seeded(seed)(chosen(given(case=law.cases)(examined)))()
    assert examiner.failure is None, examiner.failure
    return summed(examiner)


def summed(examiner: Examiner) -> Tally:
    total = Tally()
    for tally in examiner.tallies.values():
        total.examples += tally.examples
        total.mistrusted += tally.mistrusted
        total.nearness += tally.nearness
    return total


def laws(module: str) -> list[tuple[Law, str]]:
    """The properties of a file, each with each of its operations that im2col offers."""
    content = vars(importlib.import_module(f"properties.{module}"))
    here = (each for each in content.values() if getattr(each, "__module__", "") == f"properties.{module}")
    found: list[Law] = [each.law for each in here if hasattr(each, "law")]
    return [(law, operation) for law in found for operation in law.operations if hasattr(im2col, operation)]


# cases that say little


@pytest.mark.parametrize("module", MODULES)
def test_of_few_cases_nearly_all_outputs_are_zero(module):
    """With im2col less than 2 in 100 of a property's cases are thin, on each of its operations."""
    for seed, (law, operation) in enumerate(laws(module)):
        found = counted(law, operation, FIRST, seed)
        if found.mistrusted:
            more = counted(law, operation, MORE, seed + 1)
            few, cases_ = found.mistrusted + more.mistrusted, found.examples + more.examples
            assert few < MOST * cases_, f"{law.title} {operation}: {few} of {cases_}"


def test_few_convolutions_see_nothing_but_padding():
    """Their outputs are all zero: that was so in 2.3 of 100, before most such images were made larger."""
    drawn: list[Case] = []
    set_under_test(Examiner(Subject("under_test", im2col), "conv2d"))

    def keep(case: Case) -> None:
        drawn.append(case)

    chosen = settings(max_examples=3000, database=None, phases=(Phase.generate,), deadline=None)
    seeded(0)(chosen(given(case=cases(("narrow",), batches=(1, 2)))(keep)))()
    few = sum(thin(truth(case), math.prod(case.geometry.y_shape)) for case in drawn)
    assert 0 < few < MOST * len(drawn)


def test_a_case_is_thin_once_however_often_it_is_judged():
    """A row speaks of cases: several verdicts on one of them are one."""
    case = Case.parse("conv2d float32 n1c1k1g1 i1k1s1p0,0d1 i1k1s1p1,1d1 narrow:24 seed=0")
    dark = Case.parse("conv2d float32 n1c1k1g1 i1k1s3p1,1d1 i1k1s3p1,1d1 narrow:24 seed=0")
    examiner = Examiner(Subject("under_test", im2col), "conv2d")

    def twice(subject: Examiner, case: Case) -> None:
        for _ in range(2):
            assert subject.judge(case, subject.run(case)).agrees

    assert [examiner.examine(twice, each) for each in (case, dark)] == [True, True]
    assert (summed(examiner).mistrusted, summed(examiner).examples) == (1, 2)


# how near cases come to their bound


@pytest.mark.parametrize(
    ("ratio", "found"),
    [(0.0, None), (1.0, 0), (0.999, -1), (0.5, -1), (0.4999, -2), (1e-300, -24), (3.0, 1), (1e300, 24)],
)
def test_a_ratio_is_counted_at_the_power_of_two_below_it(ratio, found):
    assert power(ratio) == found


def off(by: float) -> Any:
    """An implementation whose every output is off by so many of its bounds, in float64."""

    def conv2d(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, **p: Any) -> np.ndarray:
        y = im2col.conv2d(x.astype(np.float64), w.astype(np.float64), None, **p)
        sizes = im2col.conv2d(np.abs(x).astype(np.float64), np.abs(w).astype(np.float64), None, **p)
        return (y + by * min(19 * 2.0**-53, 4 * math.sqrt(19) * 2.0**-53) * sizes).astype(x.dtype)

    return variant(conv2d=conv2d)


@pytest.mark.parametrize(("by", "found"), [(0.3, {-2: 3}), (0.7, {-1: 3})])
def test_cases_with_a_bound_are_counted_by_their_largest_error(by, found):
    examiner = Examiner(Subject("under_test", off(by)), "conv2d")
    for seed in range(3):
        assert WITHIN.law.one(examiner, Case.parse(GAUSS.format("float64", seed)))
    assert summed(examiner).nearness == found


def test_cases_without_any_error_are_counted_apart_and_those_without_a_bound_not_at_all():
    examiner = Examiner(Subject("under_test", im2col), "avg_pool2d")
    copied = "avg_pool2d float64 n1c1 i2k1s1p0,0d1 i2k1s1p0,0d1 {} seed=0"
    for recipe in ("gauss", "narrow:53"):
        assert WITHIN.law.one(examiner, Case.parse(copied.format(recipe)))
    assert summed(examiner).nearness == {None: 1}
    examiner = Examiner(Subject("under_test", im2col), "max_pool2d")
    assert WITHIN.law.one(examiner, Case.parse(copied.format("gauss").replace("avg", "max")))
    assert summed(examiner).nearness == {}


def test_the_case_that_fails_is_counted_where_it_lies():
    examiner = Examiner(Subject("under_test", off(5.0)), "conv2d")
    for seed in (0, 1):  # the second while the first is made smaller
        with pytest.raises(AssertionError):
            WITHIN.law.one(examiner, Case.parse(GAUSS.format("float64", seed)))
    assert (summed(examiner).nearness, summed(examiner).examples) == ({2: 1}, 1)


def test_a_run_writes_both_down(tmp_path):
    """The row of a failure has its error too, and the last lines say how few cases told little."""
    (tmp_path / "half.py").write_text(
        "import numpy as np\nfrom impls import im2col\ndtypes = ('float32',)\n"
        "def conv2d(x, w, b, **p): return im2col.conv2d(x.astype(np.float16).astype(x.dtype), w, b, **p)\n"
        "l2_pool2d = im2col.l2_pool2d\n"
    )
    done = run(tmp_path, f"{VALUES}::{WITHIN.__name__}", "--impl=half.py", *QUICK)
    (wrong,), (right,) = (
        [row for row in ledger.rows(tmp_path / "results") if row.operation == operation and row.dtype]
        for operation in ("conv2d", "l2_pool2d")
    )
    assert (wrong.verdict, right.verdict) == ("differs", "agrees"), done.stdout
    assert wrong.worst_ratio > 1
    assert max(power for power in counted_text(wrong.nearness) if power is not None) >= 0
    assert right.examples == 100 + CLIMBS
    assert 80 <= counted_text(right.nearness).total() < right.examples  # not those without an image


# steering


def steered(namespace: object, seed: int, *phases: Phase, operation: str = "conv2d") -> list[Case]:
    """The cases that the property of bounded data tries, of 25 and what steering adds."""
    examiner, tried = Examiner(Subject("under_test", namespace), operation), []
    set_under_test(examiner)

    def examined(case: Case) -> None:
        tried.append(case)
        WITHIN.law.one(examiner, case)

    chosen = settings(max_examples=25 + CLIMBS, database=None, phases=(Phase.generate, *phases), deadline=None)
    seeded(seed)(chosen(given(case=WITHIN.law.cases)(examined)))()
    return tried


def test_hypothesis_is_steered_once_a_case_and_never_outside_of_it(monkeypatch):
    told: list[tuple[float, str]] = []
    monkeypatch.setattr("properties.examiner.target", lambda ratio, label: told.append((ratio, label)))
    WITHIN.law.one(Examiner(Subject("under_test", im2col), "conv2d"), Case.parse(GAUSS.format("float64", 0)))
    assert told == []
    steered(im2col, 0, operation="max_pool2d")  # whose outputs have no bound
    assert told == []
    tried = steered(im2col, 0)
    assert 0 < len(told) <= len(tried)
    assert all(math.isfinite(ratio) and label == "error in units of the bound" for ratio, label in told)


def test_what_steering_takes_is_tried_besides_the_others():
    """Other data where the error was largest, and yet in most runs as many geometries as without steering."""
    as_many = 0
    for seed in range(8):
        tried = steered(im2col, seed, Phase.target)
        geometries = Counter(each.geometry for each in tried)
        assert len(tried) == 25 + CLIMBS
        assert max(geometries.values()) > 1
        as_many += len(geometries) >= 25
    assert as_many >= 6  # a climb that goes on for long has taken nine of them


@pytest.mark.parametrize(
    ("line", "rounded"),
    [
        ("avg_pool2d float32 n1c1 i8k4s1p0,0d1 i8k2s1p0,0d1 gauss seed=0 exclude_pad", False),
        ("avg_pool2d float32 n1c1 i8k4s1p1,1d1 i8k2s1p0,0d1 gauss seed=0", False),
        ("avg_pool2d float32 n1c1 i8k4s1p1,1d1 i8k2s1p0,0d1 gauss seed=0 exclude_pad", True),  # by 6, at the border
        ("avg_pool2d float32 n1c1 i8k3s1p0,0d1 i8k2s1p0,0d1 gauss seed=0", True),
        ("conv2d float32 n1c1k1g1 i8k3s1p0,0d1 i8k2s1p0,0d1 gauss seed=0", False),
    ],
)
def test_a_rounded_reciprocal_is_borne_where_it_is_not_exact(line: str, rounded: bool) -> None:
    assert test_sizes.reciprocal(Case.parse(line)) == rounded
