"""What must not pass for level: some rounds slower, some timings, a drift of the machine, a fault that is new."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reports import made_up
from reports.benchmarks import load
from reports.comparison import compare
from reports.comparison_text import as_text
from reports.made_slower import slowed, timed, words

TIMED = ("layer", "sweep", "experiment")


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    return load(made_up.saved(tmp_path_factory.mktemp("bench"), made_up.document()))


def refused(found, reason, gone=(), **facts):
    """Take timings out, and add a refusal: of the first of them, or of what these facts name."""
    lines = found.timings
    first = lines.loc[gone[0]] if len(gone) else lines.iloc[0]
    row = {name: first[name] for name in ("kind", "layer", "operation", "implementation", "case")}
    row = row | {"reason": reason, "detail": "", "sweep": "", "value": None} | facts
    return replace(
        found, timings=lines.drop(index=[*gone]), not_timed=pd.concat([found.not_timed, pd.DataFrame([row])])
    )


def test_most_rounds_slower_and_the_fastest_not_is_in_doubt(once):
    after = timed(once, lambda seconds: [min(seconds), *(3 * each for each in sorted(seconds)[1:])], who="im2col")
    told = compare(once, after)
    its = [each for each in told.changes if each.who == "im2col" and each.kind == "layer"]
    assert {each.word for each in its} == {"slower?"}
    assert (told.status, len(told.undecided) >= len(its)) == (2, True)
    assert as_text(told).startswith("cannot say whether anything became slower (exit status 2): ")
    some = timed(
        once, lambda seconds: [*sorted(seconds)[:-2], *(3 * each for each in sorted(seconds)[-2:])], who="im2col"
    )
    assert words(compare(once, some)) == {}


def test_what_is_damaged_in_the_first_file_is_missing(once):
    found = compare(replace(once, damaged=("a.json: 1 entry of 9 damaged: a median of 0 seconds",)), once)
    assert found.status == 2
    assert "missing  damaged in a.json: 1 entry of 9 damaged" in as_text(found)


@pytest.mark.parametrize("reason", ["wrong, not timed", "raised: SIGSEGV: the process died"])
def test_what_is_wrong_now_is_told_whatever_the_first_file_has(once, reason):
    slow = refused(once, "too slow, estimated 3 s", layer="large-15", implementation="loops")
    new = refused(once, reason, layer="large-15", implementation="loops")
    for before, status in ((slow, 1), (once, 1), (new, 0)):
        found = compare(before, new)
        assert found.status == status
        said = f"lost     loops  large-15 conv2d: {reason}, was not timed"
        assert (said in as_text(found)) == (status == 1)
    assert compare(once, slow).status == 0
    assert compare(once, refused(once, "unsupported: offers no conv2d", implementation="new.py")).status == 0


def test_what_was_not_tried_since_something_else_computed_is_no_fault(once):
    gone = refused(once, "not timed: another thread of this process computes", gone=[0])
    found = compare(once, gone)
    assert (found.status, found.faults, found.refused) == (2, 0, [])
    assert "missing  torch-cpu  alexnet-conv1 conv2d: not timed: another thread" in as_text(found)


@pytest.mark.parametrize("drift", [1 / 1.09, 1.0, 1.09])
def test_a_drift_of_the_machine_neither_hides_nor_makes_a_change(once, drift):
    after = slowed(once, drift, device="cpu")
    assert compare(once, after).status == 0
    found = compare(once, slowed(after, 1.28, who="torch-cpu"))
    assert "torch-cpu" in {each.who for each in found.groups_of("slower")}
    single = slowed(after, 1.6, layer="alexnet-conv3", operation="conv2d", who="torch-cpu")
    assert words(compare(once, single))["alexnet-conv3", "conv2d", "torch-cpu"] == "slower"


def test_more_timings_in_doubt_than_noise_makes_end_with_2(once):
    rng = np.random.default_rng(5)
    before = timed(once, lambda seconds: [*(np.array(seconds) * math.exp(0.02 * rng.standard_normal()))], device="cpu")
    lines = before.timings[(before.timings["who"] == "torch-cpu") & before.timings["kind"].isin(TIMED)]
    for up, down, status in ((9, 0, 2), (5, 4, 0), (0, 9, 0)):
        after = before
        for place, line in enumerate(lines.iloc[: up + down].itertuples()):
            factor = 1.25 if place < up else 1 / 1.25
            after = slowed(after, factor, kind=line.kind, layer=line.layer, operation=line.operation, who=line.who)
        found = compare(before, after)
        assert [*words(found).values()].count("slower?") == up
        assert (found.status, [*found.leaning]) == (status, ["torch-cpu"] * (status == 2))
        assert (f"no conclusion on torch-cpu: {up} of its timings in doubt took longer" in as_text(found)) == (
            status == 2
        )


def test_what_became_faster_is_no_noise(once):
    rng = np.random.default_rng(6)
    before = timed(once, lambda seconds: [*(np.array(seconds) * math.exp(0.01 * rng.standard_normal()))], device="cpu")
    after = before
    lines = before.timings[(before.timings["who"] == "torch-cpu") & before.timings["kind"].isin(TIMED)]
    for line in lines.iloc[::2].itertuples():
        after = slowed(after, 1 / 3, kind=line.kind, layer=line.layer, operation=line.operation, who=line.who)
    found = compare(before, after)
    assert (found.status, found.blind) == (0, [])
    assert {each.word for each in found.changes if each.who == "torch-cpu"} == {"faster", "level"}
    assert as_text(found).startswith("nothing became slower (exit status 0), and some faster\n")


def test_more_memory_and_other_settings_are_told(once):
    lines = once.timings.copy()
    lines["peak_extra_bytes"] = lines["peak_extra_bytes"].where(lines.index != 1, 3e8)
    after = replace(once, timings=lines, machine=once.machine | {"python_version": "3.12.1", "flags": "avx2"})
    found = compare(once, after)
    said = as_text(found)
    assert found.status == 0
    assert "1 call with more memory beside the result: im2col alexnet-conv1 conv2d, " in said
    assert "MB before and 300.0 MB now" in said
    assert "flags of the processor differ: avx512f gone, none new" in said
    assert "python version differs: 3.11.7 before, 3.12.1 after" in said
    more = replace(once, timings=once.timings.assign(threads=2))
    assert compare(once, more).status == 2
    assert "threads of a timing: 1 before, 2 after" in as_text(compare(once, more))


def test_the_verdict_stands_first_and_the_limits_are_explained_when_asked(once):
    found = compare(once, slowed(once, 2.0, layer="alexnet-conv3", who="torch-cpu"))
    said = as_text(found)
    assert said.startswith("slower, or wrong (exit status 1): ")
    assert said.splitlines()[1].startswith("before   /")
    assert "272e1fdd64" in said
    assert "Student" not in said
    assert "Student" in as_text(found, explained=True)
    assert "both files are the same one" in as_text(compare(once, once))


def walled(found, factor=1.0, **which):
    """Add the wall's time of each round, so many times the CPU's of those that are so."""
    chosen = np.logical_and.reduce([found.timings[name] == value for name, value in which.items()] or [True])
    lines = found.timings.assign(wall_seconds=[
        [1.01 * (factor if its else 1.0) * each for each in seconds]
        for seconds, its in zip(found.timings["cpu_seconds"], np.broadcast_to(chosen, len(found.timings)), strict=True)
    ])  # fmt: skip
    return replace(found, timings=lines)


def test_what_waits_now_is_compared_by_the_wall(once):
    which = {"layer": "alexnet-conv3", "operation": "conv2d", "who": "torch-cpu", "kind": "layer"}
    lines = once.timings
    its = np.logical_and.reduce([lines[name] == value for name, value in which.items()])
    waiting = replace(once, timings=slowed(once, 3.0, **which).timings.assign(clock=np.where(its, "wall", "cpu")))
    found = compare(walled(once), walled(waiting))
    assert words(found) == {("alexnet-conv3", "conv2d", "torch-cpu"): "slower"}
    assert (found.status, found.missing) == (1, [])
    assert compare(once, waiting).status == 2
    assert "of another clock" in as_text(compare(once, waiting))


def test_on_several_threads_times_are_those_of_the_wall(once):
    two = replace(once, timings=once.timings.assign(threads=2))
    which = {"layer": "alexnet-conv3", "operation": "conv2d", "who": "torch-cpu"}
    assert words(compare(walled(two), walled(two, 2.0, **which))) == {
        ("alexnet-conv3", "conv2d", "torch-cpu"): "slower"
    }
    assert words(compare(walled(once), walled(once, 2.0, **which))) == {}
