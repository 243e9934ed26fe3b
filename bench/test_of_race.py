"""A race is fair: calls in turns, nothing wrong is timed, networks are sums, goals are told as they came out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench import gate, goals, layers, onnx_session, race, roofs, torch_ways
from bench.duel import Timing, duel
from bench.fakes import CONV, CORRECT, flipped, subject
from bench.goals import ROWS, Part, Row
from bench.outcomes import line, lines, saved
from bench.race import Race
from impls import im2col, registry
from reports.race import Goal, Lap

FAULTY = subject("faulty.py", conv2d=flipped)


def started(**subjects):
    """A race of one pair among the given implementations."""
    found = Race(1)
    found._subjects.update({spec.replace("_", "-"): each for spec, each in subjects.items()})
    return found


def ticking(step):
    """A clock that goes on by `step` each time it is read, and by 1 for each call of the function."""
    state = SimpleNamespace(now=0.0, calls=[])

    def call(name):
        state.calls.append(name)
        state.now += 1

    def clock():
        state.now += step
        return state.now

    return state, call, clock


def test_calls_take_turns_in_an_order_that_rotates():
    state, call, clock = ticking(0.0)
    times = duel({name: lambda name=name: call(name) for name in "abc"}, 3, clock)
    warm = 2 * 3
    assert state.calls[:warm] == ["a", "a", "b", "b", "c", "c"]
    assert state.calls[warm::2] == [*"abc", *"bca", *"cab"]  # each of them once more before, to be warm
    assert {name: timing.seconds for name, timing in times.items()} == {name: [1.0] * 3 for name in "abc"}


def test_short_calls_are_made_several_times_in_a_round(monkeypatch):
    monkeypatch.setattr("bench.duel.SHORT", 4.0)
    state, call, clock = ticking(0.0)
    (timing,) = duel({"a": lambda: call("a")}, 2, clock).values()
    assert len(state.calls) == 2 + 2 * (1 + 4)
    assert timing.seconds == [1.0, 1.0]


def test_a_timing_tells_its_medians():
    timing = Timing([3.0, 1.0, 2.0], [0.0, 0.0, 9.0])
    assert (timing.median, timing.warm_faults) == (2.0, 0.0)


def test_a_network_is_the_sum_of_its_layers_as_often_as_it_has_each(monkeypatch):
    laps = iter([Lap("a", "x", 1, 1.0, 3.0, 3.0, 0, 0), Lap("b", "x", 3, 2.0, 1.0, 1.0, 0, 0)])
    monkeypatch.setattr(Race, "lap", lambda self, part: next(laps))
    outcome = Race(1).run(Row("r", "a row", 0.9, (Part("a", CONV), Part("b", CONV, 3))))
    assert (outcome.measured, outcome.control, outcome.verdict) == (6 / 7, 1.0, "missed")
    assert [lap.ratio for lap in outcome.laps] == [3.0, 0.5]


def test_what_is_right_is_timed_and_what_is_wrong_is_not():
    row = Row("r", "a row", 1e-9, (Part("conv", CONV),))
    outcome = started(auto=CORRECT, torch_cpu=CORRECT).run(row)
    assert (outcome.verdict, outcome.reason, len(outcome.laps)) == ("met", "", 1)
    for wrong in ({"auto": FAULTY, "torch_cpu": CORRECT}, {"auto": CORRECT, "torch_cpu": FAULTY}):
        outcome = started(**wrong).run(row)
        assert (outcome.verdict, outcome.measured, outcome.laps) == ("not measured", None, ())
        assert outcome.reason == "conv: faulty.py: wrong, not timed"


def test_prepared_filters_are_judged_as_well():
    def prepare(w, **parameters):
        return [w[..., ::-1, ::-1]]

    def conv2d(x, w, b, **parameters):
        return im2col.conv2d(x, w[0] if isinstance(w, list) else w, b, **parameters)

    ours = subject("ours.py", conv2d=conv2d, prepare=prepare)
    row = Row("r", "a row", 1.0, (Part("conv", CONV, ready=True),))
    outcome = started(auto=ours, torch_cpu=CORRECT).run(row)
    assert outcome.verdict == "not measured"
    assert "ours.py, filters prepared" in outcome.reason
    assert started(auto=ours, torch_cpu=CORRECT).run(replace(row, parts=(Part("conv", CONV),))).measured is not None


def test_a_goal_may_be_a_limit():
    assert Goal("r", "told", 1.15, 1.1, at_most=True).verdict == "met"
    assert Goal("r", "told", 1.15, 1.2, at_most=True).verdict == "missed"
    assert Goal("r", "told", 1.15, 1.1).verdict == "missed"
    assert Goal("r", "told", 1.15).verdict == "not measured"


def test_the_table_tells_goals_and_layers_that_are_lost():
    laps = (Lap("one", "auto", 1, 1.0, 2.0, 2.0, 3 << 20, 7.0), Lap("two", "auto", 1, 1.0, 0.5, 0.5, 0, 0.0))
    outcomes = [
        Goal("won", "a row", 1.0, 1.25, control=1.01, laps=laps),
        Goal("lost", "another", 2.0, 1.0, control=1.2),
        Goal("none", "third", 2.0, reason="offers nothing"),
    ]
    told = "\n".join(lines(outcomes))
    assert "(itself 1.20, on a busy machine)" in told
    assert "1.25  met  (torch/torch 1.01; extra memory 3.0 MB, page faults 7)" in told
    assert "not measured: offers nothing" in told
    assert "lost: two x0.50" in told
    assert "goals: 1 of 3 met; missed: lost" in told
    assert line(Goal("r", "limit", 1.15, 1.1, at_most=True), 0) == "limit  <=  1.15      1.10  met"


def test_the_file_holds_the_machine_and_every_goal(tmp_path):
    path = saved([Goal("r", "a row", 1.0, 1.25)], {"flags": ["avx2"]}, tmp_path / "new", pairs=5)
    first, second = map(json.loads, path.read_text().splitlines())
    assert first == {"poolproof": "race", "schema": 2, "lines": 1, "pairs": 5, "machine": {"flags": ["avx2"]}}
    assert (second["row"], second["goal"], second["measured"]) == ("r", 1.0, 1.25)


def test_rows_are_those_of_the_networks_and_of_implementations_there_are():
    counts = {row.name: sum(part.count for part in row.parts) for row in ROWS}
    assert (counts["vgg16-ready"], counts["vgg16-training"], counts["resnet50-ready"], counts["depthwise"]) == (
        13,
        26,
        53,
        13,
    )
    names = [row.name for row in ROWS] + list(roofs.NAMES)
    assert len(set(names)) == len(names)
    known = {entry.name for entry in registry.entries()}
    assert {part.ours for row in ROWS for part in row.parts} <= known
    assert all(name in {layer.name for layer, _ in goals.over_product()} for name in ("alexnet-conv1", "vgg16-conv3_2"))


def test_no_pairs_at_all_are_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        race.main(["--pairs=0"])
    assert "--pairs: 0; accepted are numbers from 1 on" in capsys.readouterr().err


def test_an_unknown_row_is_refused_with_those_there_are(capsys):
    assert race.main(["--rows=nothing"]) == 4
    assert "--rows=nothing: no row fits; there are vgg16-ready, vgg16, " in capsys.readouterr().err


def test_rows_that_are_asked_for_are_run_and_the_status_tells_of_goals(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(
        Race, "run", lambda self, row: Goal(row.name, row.told, row.goal, row.goal - (row.name == "vgg16"))
    )
    monkeypatch.setitem(roofs.RUNS, "small-call", lambda pairs: [Goal("small-call", "small", 25, 5.0, at_most=True)])
    assert race.main(["--rows=vgg16-ready,small*", f"--results={tmp_path}"]) == 0
    assert "goals: 2 of 2 met" in capsys.readouterr().out
    assert race.main(["--rows=vgg16*", f"--results={tmp_path}"]) == 1
    assert "missed: vgg16\n" in capsys.readouterr().out


def test_goals_of_ours_alone_are_measured(monkeypatch):
    monkeypatch.setattr(roofs, "LARGE", goals.LARGE[:0])
    (found,) = roofs.run("small-call", 1)
    assert found.at_most
    assert found.measured is not None
    assert [*roofs.run("threads", 1)] == []


def test_what_is_wrong_leaves_the_rest_to_be_measured_and_is_told_by_the_status(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(registry, "load", lambda spec: SimpleNamespace(conv2d=lambda x, w, b, **k: None, spec=spec))
    (found,) = roofs.run("small-call", 1)
    assert found.verdict == "not measured"
    assert "im2col-tiled conv2d float32" in found.reason
    monkeypatch.setattr(Race, "run", lambda self, row: Goal(row.name, row.told, row.goal, row.goal))
    assert race.main(["--rows=vgg16,small*", f"--results={tmp_path}"]) == 1
    assert "goals: 1 of 2 met; missed: none; not measured: small-call\n" in capsys.readouterr().out
    assert len([*tmp_path.iterdir()]) == 1


@pytest.mark.parametrize(
    ("measured", "verdict"), [(1.3, "met"), (1.1, "undecided"), (0.9, "undecided"), (0.7, "missed")]
)
def test_what_is_nearer_to_its_goal_than_torch_to_itself_is_undecided(measured, verdict):
    assert Goal("r", "told", 1.0, measured, control=1.2).verdict == verdict
    assert "undecided: r" in "\n".join(lines([Goal("r", "told", 1.0, 1.1, control=1.2)]))


def test_filters_that_were_prepared_count_as_memory():
    def prepare(w, **parameters):
        return np.zeros(10**6), w

    def conv2d(x, w, b, **parameters):
        return im2col.conv2d(x, w[1] if isinstance(w, tuple) else w, b, **parameters)

    found = subject("ours.py", conv2d=conv2d, prepare=prepare)
    judged = gate.judge(found, CONV)
    assert race.peak(found, Part("conv", CONV), judged) == judged.peak < 10**6
    assert race.peak(found, Part("conv", CONV, ready=True), judged) >= 8 * 10**6


@pytest.mark.parametrize("name", ["vgg16-pool1", "average-2x2", "l2-2x2", "resnet50-global", "alexnet-pool1"])
def test_pools_are_raced_against_the_fastest_way_of_torchs(name):
    layer = next(layer for layer in layers.POOLS if layer.name == name)
    found = torch_ways.ways(registry.subject("torch-cpu", Path.cwd()), layer.case(layer.forward))
    assert "channels last" in found
    assert ("adaptive_avg_pool2d" in found) == (name == "resnet50-global")
    assert torch_ways.ways(CORRECT, CONV) == {}


@pytest.mark.parametrize("values_only", [False, True])
def test_a_way_of_torchs_that_is_wrong_is_refused(monkeypatch, values_only):
    layer = next(layer for layer in layers.POOLS if layer.name == "cifar10-pool")
    turns = iter(range(9))

    def pool(case, values_only):
        return lambda x: x[:, :, ::2, ::2] + next(turns)  # no maximum, and another each time

    monkeypatch.setattr(torch_ways, "_pool", pool)
    with pytest.raises(ValueError, match="torch, channels last: its values are wrong"):
        torch_ways.ways(CORRECT, layer.case(layer.forward), values_only=values_only)


def test_a_way_of_torchs_that_is_faster_is_told():
    lap = Lap("a", "auto", 1, 1.0, 3.0, 3.0, 0, 0.0, None, "channels last", 0.5)
    assert "against torch's channels last 0.50" in line(Goal("r", "a row", 1.0, 3.0, laps=(lap,)), 0)


def test_onnx_runtime_runs_beside_where_it_has_such_a_call():
    laps = (Lap("a", "auto", 2, 1.0, 3.0, 3.0, 0, 0.0, 4.0), Lap("b", "auto", 1, 1.0, 1.0, 1.0, 0, 0.0, 6.0))
    assert "torch/onnxruntime 0.50" in line(Goal("r", "a row", 1.0, 1.25, laps=laps), 0)
    some = (laps[0], replace(laps[1], onnxruntime=None))
    assert "onnxruntime" not in line(Goal("r", "a row", 1.0, 1.25, laps=some), 0)
    assert not onnx_session.offered(replace(CONV, dtype="float64"))
    assert not onnx_session.offered(replace(CONV, operation="conv2d_backward"))


def test_onnx_runtime_computes_the_layer():
    for library in onnx_session.LIBRARIES:
        pytest.importorskip(library, reason=f"{library} is not installed")
    assert onnx_session.offered(CONV)
    assert gate.held(CORRECT, CONV, onnx_session.prepared(CONV)()).agrees
