"""What allows no conclusion: a pair that disagrees with itself, noisy rounds, another processor. None hides a thing."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports import made_up, stats
from reports.benchmarks import load
from reports.comparison import DRIFT, HALF_AGAIN, compare
from reports.comparison_text import as_text
from reports.made_slower import slowed, timed, words

SAMPLE = load(Path(__file__).parent / "samples" / "bench.json")
TWICE = [(each.layer, each.operation, each.who) for each in SAMPLE.of("again").itertuples()]


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    return load(made_up.saved(tmp_path_factory.mktemp("bench"), made_up.document()))


def test_a_disturbed_pair_hides_no_other_timing():
    after = slowed(SAMPLE, 1.3, kind="layer", layer="vgg16-conv1_2", operation="conv2d", who="im2col")
    after = slowed(after, 1.7, kind="layer", layer="vgg16-conv3_2", operation="conv2d", who="torch-cpu")
    found = compare(SAMPLE, after)
    both = {("vgg16-conv1_2", "conv2d", "im2col"), ("vgg16-conv3_2", "conv2d", "torch-cpu")}
    assert {(each.layer, each.operation, each.who) for each in found.undecided} == both
    assert found.status == 2
    said = as_text(found)
    assert re.search(
        r"no conclusion on 2 timings in doubt, slower beyond 1\.\d\d or in most of the rounds: slower, or", said
    )
    assert "warning: 1 A/A pair of 18 disturbed, identical code that took" in said
    assert ": im2col vgg16-conv1_2 conv2d (0.75 times in the second file): save" in said


@pytest.mark.parametrize("its", TWICE, ids="-".join)
def test_the_pair_of_a_layer_does_not_hide_that_the_layer_became_slower(its):
    layer, operation, who = its
    found = compare(SAMPLE, slowed(SAMPLE, 1.3, kind="layer", layer=layer, operation=operation, who=who))
    assert words(found) == {(layer, operation, who): "slower?"}
    assert found.status == 2
    assert [each.partition(" (")[0] for each in found.disturbed] == [f"{who} {layer} {operation}"]


def test_what_is_slower_in_both_of_its_timings_is_slower():
    layer, operation, who = TWICE[1]
    found = compare(SAMPLE, slowed(SAMPLE, 1.3, layer=layer, operation=operation, who=who))
    assert words(found) == {(layer, operation, who): "slower"}
    assert (found.status, found.disturbed) == (1, [])


def test_a_change_that_noisy_rounds_hide_is_in_doubt(once):
    which = {"kind": "layer", "layer": "large-31", "operation": "conv2d_backward", "who": "torch-cpu"}
    before = timed(once, lambda seconds: [*np.linspace(1.0, 3.0, len(seconds))], **which)
    assert words(compare(before, before)) == {}
    found = compare(before, slowed(before, 1.3, **which))
    assert words(found) == {("large-31", "conv2d_backward", "torch-cpu"): "slower?"}
    assert found.status == 2


def test_doubt_begins_where_the_verdict_does_at_the_latest(once):
    which = {"kind": "layer", "layer": "alexnet-conv3", "operation": "conv2d", "who": "torch-cpu"}
    limits = compare(once, once)
    assert limits.floor.factor <= limits.robust.factor <= limits.far.factor
    assert words(compare(once, slowed(once, 0.998 * limits.floor.factor, **which))) == {}
    for limit, word in ((limits.floor, "slower?"), (limits.far, "slower")):
        assert [*words(compare(once, slowed(once, 1.002 * limit.factor, **which))).values()] == [word]
    sample = compare(SAMPLE, SAMPLE)
    assert sample.floor.factor <= sample.robust.factor <= sample.far.factor


def test_half_as_long_again_is_in_doubt_however_noisy_the_machine_is(once):
    rng = np.random.default_rng(3)
    which = {"kind": "layer", "layer": "alexnet-conv3", "operation": "conv2d", "who": "torch-cpu"}
    noisy = timed(once, lambda seconds: [*(math.exp(0.3 * rng.standard_t(3)) * np.array(seconds))], kind="again")
    found = compare(noisy, slowed(noisy, 1.52, **which))
    assert found.floor.factor == HALF_AGAIN < found.robust.factor
    assert words(found) == {("alexnet-conv3", "conv2d", "torch-cpu"): "slower?"}
    assert found.status == 2


def test_pairs_that_agree_by_chance_do_not_make_of_a_drift_a_regression(once):
    only = (once.timings["layer"] == "alexnet-conv3") & (once.timings["who"] == "im2col")
    before = replace(once, timings=once.timings[only & (once.timings["operation"] == "conv2d")])
    before = timed(before, sorted, kind="layer")
    before = timed(before, lambda _: before.of("layer")["cpu_seconds"].iloc[0], kind="again")
    assert compare(before, slowed(before, DRIFT - 0.02, layer="alexnet-conv3")).status == 0
    assert compare(before, slowed(before, DRIFT + 0.02, layer="alexnet-conv3")).status == 1


def test_a_robust_floor_heeds_the_median_alone_and_a_far_one_the_greatest():
    rng = np.random.default_rng(7)
    shifts = [*np.exp(0.01 * rng.standard_t(3, size=40))]
    one = [*shifts, 3.0]
    assert stats.disturbed(one, 0.0, 0.025, 400) == [40]
    assert stats.disturbed(shifts, 0.0, 0.025, 400) == []
    before, after = (stats.robust_floor(each, rate=0.025, comparisons=400) for each in (shifts, one))
    assert after.percent == pytest.approx(before.percent, rel=0.1)
    assert stats.far_floor(one, after).factor == pytest.approx(9.0)
    assert stats.far_floor(shifts, before) == before
    assert stats.robust_floor([]) is None
    assert stats.disturbed([2.0], 0.0, 0.025, 1) == []


def test_few_pairs_of_identical_code_are_taken_for_disturbed():
    rng = np.random.default_rng(8)
    runs = [np.exp(0.01 * rng.standard_t(3, size=18)) for _ in range(200)]
    assert sum(bool(stats.disturbed(run, 0.0, 0.025, 400, DRIFT)) for run in runs) <= 4


def machine(found, **facts):
    return replace(found, machine=found.machine | facts)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"cpu": {"brand_raw": "Intel Xeon"}}, "processor: AMD EPYC 9B14 before, Intel Xeon after"),
        ({"blas": {"name": "openblas", "threads": 8}}, "threads of BLAS: 1 before, 8 after"),
        ({"torch_threads": 2}, "threads of torch: 1 before, 2 after"),
    ],
)
def test_times_of_another_processor_or_number_of_threads_allow_no_conclusion(once, facts, said):
    before = machine(once, torch_threads=1)
    slower = slowed(before, 1.8, layer="large-31", who="torch-cpu")
    found = compare(before, machine(slower, **facts))
    assert f"\nno conclusion on times: {said}: times of the same code differ by that" in as_text(found)
    assert (found.status, compare(before, machine(before, **facts)).status) == (2, 2)
    assert compare(before, slower).status == 1


def test_what_is_wrong_on_another_processor_is_wrong(once):
    gone = once.timings.iloc[[0]]
    row = gone[["kind", "layer", "operation", "implementation", "case"]].assign(reason="wrong, not timed", detail="")
    after = replace(once, timings=once.timings.iloc[1:], not_timed=pd.concat([once.not_timed, row]))
    assert compare(once, machine(after, cpu={"brand_raw": "Intel Xeon"})).status == 1


@pytest.mark.parametrize("facts", [{"cpu": None}, {"blas": None}, {"blas": "openblas"}, {"numpy": "3.0"}])
def test_what_one_file_does_not_tell_and_another_library_leave_times_comparable(once, facts):
    found = compare(once, machine(once, **facts))
    assert (found.status, found.elsewhere) == (0, [])
    assert "differs: " in as_text(found)


def test_that_the_second_file_is_the_older_one_is_said(once):
    older = replace(once, date="2026-11-19T20:30:00+01:00")
    said = "the second file is the older one: 2026-11-20 17:00:00+00:00 before, 2026-11-19 20:30:00+01:00 after"
    assert said in as_text(compare(once, older))
    for before, after in ((older, once), (once, once), (once, replace(once, date="")), (once, replace(once, date="x"))):
        assert "older" not in as_text(compare(before, after))
