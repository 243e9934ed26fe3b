"""The probability that a verdict states for random integers to miss a wrong map holds, and stands in the results."""

from __future__ import annotations

import numpy as np
import pytest

from impls import im2col
from impls.subject import Subject
from oracles import chance
from oracles.case import Case
from oracles.data import arrays
from properties.examiner import Examiner
from properties.selfcheck.command_line import QUICK, VALUES, run
from reports import ledger
from reports.rows import Row
from reports.sentences import missed

SMALL = "conv2d float32 n1c1k1g1 i2k2s1p0,0d1 i2k2s1p0,0d1 {} seed={}"
DRAWS = 1500


def frequency(recipe, difference):
    """How often a map that differs by this polynomial gives the same output, over many seeds."""
    found = 0
    for seed in range(DRAWS):
        data = arrays(Case.parse(SMALL.format(recipe, seed)))
        found += difference(data["x"].ravel(), data["w"].ravel()) == 0
    return found / DRAWS


@pytest.mark.parametrize(
    "difference",
    [
        lambda x, w: x[0] * (w[0] - w[1]),  # a tap read twice
        lambda x, w: (x[0] - x[1]) * w[0],  # a cell read twice
        lambda x, w: (x[0] - x[1]) * (w[0] - w[1]),  # both at once: the worst that there can be
        lambda x, w: x[0] * w[1] - x[1] * w[0],  # two taps exchanged
    ],
    ids=["a tap", "a cell", "both", "exchanged"],
)
@pytest.mark.parametrize("recipe", ["narrow:24", "narrow:6", "wide:6"])
def test_a_wrong_map_is_missed_no_more_often_than_is_stated(difference, recipe):
    stated = np.mean([chance.of_missing(Case.parse(SMALL.format(recipe, seed))) for seed in range(DRAWS)])
    assert frequency(recipe, difference) <= stated + 3 * 0.5 / DRAWS**0.5


def test_the_worst_map_comes_near_to_what_is_stated():
    """Else the figure would be no bound but a guess far on the safe side."""
    stated = np.mean([chance.of_missing(Case.parse(SMALL.format("narrow:24", seed))) for seed in range(DRAWS)])
    assert frequency("narrow:24", lambda x, w: (x[0] - x[1]) * (w[0] - w[1])) > 0.8 * stated


@pytest.mark.parametrize(
    "line",
    [
        "conv2d float32 n1c1k1g1 i3k2s1p0,0d1 i3k2s1p0,0d1 gauss seed=1",  # real numbers
        "conv2d float32 n1c1k1g1 i3k2s1p0,0d1 i3k2s1p0,0d1 same:20 seed=1",  # not drawn independently
        "conv2d float32 n0c1k1g1 i3k2s1p0,0d1 i3k2s1p0,0d1 wide:20 seed=1",  # nothing put in
        "conv2d float32 n1c64k1g1 i3k3s1p0,0d1 i3k3s1p0,0d1 wide:8 seed=1",  # more terms than ones that fit
        "max_pool2d float32 n1c1 i3k2s1p0,0d1 i3k2s1p0,0d1 wide:20 seed=1",  # no linear map
    ],
)
def test_nothing_is_stated_where_the_bound_does_not_hold(line):
    assert chance.of_missing(Case.parse(line)) is None


def test_each_operation_counts_its_own_operands():
    line = "{} float32 n1c1{} i3k2s1p0,0d1 i3k2s1p0,0d1 narrow:24 seed=3"
    filters = {"conv2d": "k1g1", "conv2d_backward": "k1g1"}
    found = {name: chance.of_missing(Case.parse(line.format(name, filters.get(name, "")))) for name in chance.FACTORS}
    assert found["avg_pool2d"] == found["avg_pool2d_backward"] == 1 / 8  # the odd numbers from -7 to 7
    assert found["conv2d"] in (1 / 8 + 1 / 8, 1 / 2 + 1 / 8)  # as the budget is split: 1 and -1, or all eight
    assert 2 / 8 <= found["conv2d_backward"] <= 1


def test_an_examiner_states_it_with_the_verdict_and_counts_it():
    case, examiner = Case.parse(SMALL.format("narrow:24", 1)), Examiner(Subject("im2col", im2col), "conv2d")
    verdicts = []

    def law(examiner, case):
        verdicts.append(examiner.judge(case, examiner.run(case)))

    assert examiner.examine(law, case)
    assert verdicts[0].missed == 2 / 8
    tally = examiner.tallies["float32"]
    assert (tally.integers, tally.missed) == (1, 2 / 8)


def test_a_run_says_it_at_its_end_and_keeps_it(tmp_path):
    result = run(tmp_path, VALUES, *QUICK, "--impl=im2col", "-k", "exactly")
    rows = ledger.rows(tmp_path / "results")
    assert sum(row.integers for row in rows) > 50
    assert 0 < sum(row.missed for row in rows) < sum(row.integers for row in rows)
    assert missed(rows) in " ".join(result.stdout.split())


def test_the_sentence_counts_cases_and_gives_their_mean():
    common = ("p", "It holds.", "values", "conv2d")
    rows = [Row(*common, "float32", "a", "agrees", integers=3, missed=0.3), Row(*common, "float64", "a", "agrees")]
    assert missed(rows).startswith("on 3 cases of random integers")
    assert "probability 0.1 at most" in missed(rows)
    assert missed(rows[1:]) == ""
