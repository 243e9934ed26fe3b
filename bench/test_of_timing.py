"""What is timed and what is not, and what is written down of either."""

from __future__ import annotations

import json
import math
import re
import sys
import time

import numpy as np
import pytest

from bench import clock, fakes, gate, layers, summary, timing
from bench.fakes import CORRECT, subject
from bench.layers import BY_NAME
from bench.record import Entry, Record
from bench.timing import NotTimed, Timekeeper
from impls import im2col
from oracles.case import Case

SMALL = BY_NAME["cifar10-conv"]
POINT = BY_NAME["sweep-S-4"]


@pytest.fixture
def keeper():
    return Timekeeper(too_slow=2.0)


@pytest.fixture
def stand_in():
    """Stand in for pytest-benchmark's fixture."""
    return fakes.Benchmark()


def test_what_is_right_is_timed_and_described(keeper, stand_in):
    keeper.layer(stand_in, CORRECT, SMALL, "conv2d")
    found = stand_in.extra_info
    assert stand_in.group == "layer cifar10-conv conv2d"
    assert {key: found[key] for key in ("kind", "layer", "sweep", "value", "operation", "implementation")} == {
        "kind": "layer", "layer": "cifar10-conv", "sweep": "", "value": None, "operation": "conv2d",
        "implementation": "im2col",
    }  # fmt: skip
    assert Case.parse(found["case"]) == SMALL.case("conv2d")
    assert (found["macs"], found["flops"]) == (12 * 27 * 1024, 24 * 27 * 1024)
    assert found["bytes"] == 4 * (3 * 1024 + 12 * 27 + 12 + 12 * 1024)
    assert found["result_bytes"] == 4 * 12 * 1024
    assert found["columns_bytes"] == 4 * 27 * 1024
    assert 0 < found["gemm_seconds"] < 0.1
    assert found["peak_extra_bytes"] > found["result_bytes"] + found["columns_bytes"]
    assert found["verdict"] == "agrees"
    assert found["checked"] > 12 * 1024
    assert 0 < found["ratio"] <= 1
    assert len(found["cpu_seconds"]) == len(found["wall_seconds"]) == stand_in.rounds == len(stand_in.data)
    assert keeper.record.times[next(iter(keeper.record.times))] > 0
    json.dumps(found, allow_nan=False)


def test_a_gradient_has_twice_the_work_and_no_columns(keeper, stand_in):
    keeper.layer(stand_in, CORRECT, SMALL, "conv2d_backward")
    found = stand_in.extra_info
    assert found["macs"] == 2 * SMALL.geometry.macs
    assert 0 < found["gemm_seconds"] < 0.1
    assert found["columns_bytes"] is None


def test_a_pool_has_one_operation_for_each_tap(keeper, stand_in):
    keeper.layer(stand_in, CORRECT, BY_NAME["cifar10-pool"], "max_pool2d")
    found = stand_in.extra_info
    assert found["macs"] == found["flops"] == 12 * 16 * 16 * 4
    assert found["bytes"] == 4 * 12 * 1024 + (4 + 8) * 12 * 256  # an image, maxima and their switches
    assert found["ratio"] is None  # nothing is rounded


def test_a_point_of_a_sweep_says_which(keeper, stand_in):
    keeper.layer(stand_in, CORRECT, POINT, "conv2d")
    found = stand_in.extra_info
    assert stand_in.group == "sweep S conv2d"
    assert (found["kind"], found["sweep"], found["value"], found["layer"]) == ("sweep", "S", 4, "sweep-S-4")


def refused(keeper, implementation, layer=SMALL, operation="conv2d"):
    benchmark = fakes.Benchmark()
    with pytest.raises(NotTimed) as caught:
        keeper.layer(benchmark, implementation, layer, operation)
    assert benchmark.rounds == 0
    assert benchmark.extra_info == {}
    assert keeper.record.times == {}
    (row,) = keeper.record.not_timed
    assert set(row) == {
        "kind", "layer", "sweep", "value", "operation", "implementation", "case", "reason", "detail",
    }  # fmt: skip
    return caught.value, row


def test_what_is_wrong_is_recorded_and_not_timed(keeper):
    reason, row = refused(keeper, subject(conv2d=fakes.flipped))
    assert reason.fault
    assert row["reason"] == "wrong, not timed"
    assert "sampled elements of y differ" in row["detail"]
    assert (row["layer"], row["implementation"], row["kind"]) == ("cifar10-conv", "faulty.py", "layer")


def test_what_raises_is_recorded_and_not_timed(keeper):
    def conv2d(x, w, b, **parameters):
        raise RuntimeError("no kernel")

    reason, row = refused(keeper, subject(conv2d=conv2d))
    assert reason.fault
    assert row["reason"] == "raised: RuntimeError: no kernel"


def test_what_raises_on_the_whole_shape_alone_is_recorded(keeper):
    def conv2d(x, w, b, **parameters):
        if w.shape[0] == 12:
            raise MemoryError("too large")
        return im2col.conv2d(x, w, b, **parameters)

    assert refused(keeper, subject(conv2d=conv2d))[1]["reason"] == "raised: MemoryError: too large"


def test_what_is_not_offered_is_recorded_and_no_fault(keeper):
    reason, row = refused(keeper, subject(conv2d=im2col.conv2d), operation="conv2d_backward")
    assert not reason.fault
    assert row["reason"] == "unsupported: offers no conv2d_backward"


def test_what_is_too_slow_is_estimated_and_never_run():
    shapes = []

    def conv2d(x, w, b, **parameters):
        y = im2col.conv2d(x, w, b, **parameters)
        shapes.append(y.shape)
        end = time.process_time() + y.size * 1e-5  # 10 microseconds for each output, like a loop
        while time.process_time() < end:
            pass
        return y

    keeper = Timekeeper(too_slow=1.0)
    reason, row = refused(keeper, subject(conv2d=conv2d), BY_NAME["alexnet-conv1"])
    assert not reason.fault
    assert row["reason"].startswith("too slow, estimated ")
    estimated = float(row["reason"].split()[-2])
    assert 2.5 < estimated < 3.6  # 290,400 outputs
    assert all(shape[2] < 55 for shape in shapes)


def test_what_turns_out_too_slow_is_recorded_with_the_time_it_took(monkeypatch):
    monkeypatch.setattr(timing, "estimate", lambda subject, case, limit, before: 0.001)

    def conv2d(x, w, b, **parameters):
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
        return im2col.conv2d(x, w, b, **parameters)

    _, row = refused(Timekeeper(too_slow=0.02), subject(conv2d=conv2d))
    reason, _, took = row["reason"].removesuffix(" s").rpartition(" ")
    assert reason == "too slow, estimated"
    assert 0.05 <= float(took) < 0.1  # it looks at the clock now and then
    assert row["detail"] == "one whole call took as long"


def test_what_others_are_held_against_may_take_longer(stand_in):
    slow = sleepy(0.05)
    refused(Timekeeper(too_slow=0.02), slow)
    refused(Timekeeper(too_slow=0.02, baseline=slow.spec), sleepy(2.1))
    keeper = Timekeeper(too_slow=0.02, baseline=slow.spec)
    keeper.layer(stand_in, slow, SMALL, "conv2d")
    assert min(stand_in.data) > 0.05
    assert keeper.record.times


def sleepy(seconds, when=lambda x: True):
    """Make a convolution that takes wall time, and hardly any CPU time."""

    def conv2d(x, w, b, **parameters):
        time.sleep(seconds if when(x) else 0)
        return im2col.conv2d(x, w, b, **parameters)

    return subject(conv2d=conv2d)


def test_what_waits_is_too_slow_by_its_wall_time():
    _, row = refused(Timekeeper(too_slow=0.02), sleepy(0.07))
    assert re.fullmatch(r"too slow, estimated [\d.]+ s", row["reason"])


def test_what_waits_on_the_whole_shape_alone_is_too_slow_by_its_wall_time():
    _, row = refused(Timekeeper(too_slow=0.02), sleepy(0.07, when=lambda x: x.shape == SMALL.geometry.x_shape))
    assert re.fullmatch(r"too slow, estimated [\d.]+ s", row["reason"])


def test_the_rounds_of_what_waits_fit_the_budget_in_wall_time(keeper, stand_in):
    keeper.layer(stand_in, sleepy(0.01), SMALL, "conv2d")
    assert stand_in.rounds <= math.ceil(clock.SECONDS / 0.01)
    assert stand_in.extra_info["clock"] == "wall"
    assert min(stand_in.extra_info["cpu_seconds"]) > 0.01


def later(spoilt, calls=8):
    """Make a convolution that is right for so many calls on the whole shape, and then does something else."""
    made = []

    def conv2d(x, w, b, **parameters):
        made.extend([1] * (x.shape == SMALL.geometry.x_shape))
        y = im2col.conv2d(x, w, b, **parameters)
        return y if len(made) <= calls else spoilt(y)

    return subject(conv2d=conv2d)


def refused_after(keeper, implementation, rounds=True):
    benchmark = fakes.Benchmark()
    with pytest.raises(NotTimed) as caught:
        keeper.layer(benchmark, implementation, SMALL, "conv2d")
    assert (benchmark.rounds > 0) == rounds
    assert benchmark.has_error == rounds  # so that pytest-benchmark saves nothing of it
    assert benchmark.extra_info == {}
    assert keeper.record.times == {}
    (row,) = keeper.record.not_timed
    return caught.value, row


def test_rounds_that_begin_to_wait_end(monkeypatch):
    keeper = Timekeeper(too_slow=0.02)
    monkeypatch.setattr(timing, "estimate", lambda subject, case, limit, before: 0.001)
    reason, row = refused_after(keeper, later(lambda y: time.sleep(0.1) or y))
    assert not reason.fault
    assert re.fullmatch(r"too slow, estimated 0\.\d+ s", row["reason"])
    assert re.fullmatch(r"\d+ rounds lasted 0\.\d+ s", row["detail"])


@pytest.mark.parametrize("spoilt", [np.zeros_like, lambda y: y + 1, lambda y: y[..., ::-1]])
def test_a_result_that_changes_while_it_is_timed_is_wrong(keeper, spoilt):
    reason, row = refused_after(keeper, later(spoilt))
    assert reason.fault
    assert row["reason"] == "wrong, not timed: the result changed while it was timed"
    assert "of y" in row["detail"]


def test_what_raises_while_it_is_timed_is_recorded(keeper):
    reason, row = refused_after(keeper, later(lambda y: y.no_such_thing))
    assert reason.fault
    assert row["reason"] == "raised: AttributeError: 'numpy.ndarray' object has no attribute 'no_such_thing'"


def test_what_spoils_its_arrays_is_wrong_once_it_is_called_again(keeper):
    _, row = refused_after(keeper, subject(conv2d=fakes.greedy))
    assert row["reason"] == "wrong, not timed: the result changed while it was timed"


def test_an_estimate_near_the_limit_is_held_against_a_whole_call(stand_in, monkeypatch):
    monkeypatch.setattr(timing, "estimate", lambda subject, case, limit, before: 1.2 * limit)
    Timekeeper(too_slow=2.0).layer(stand_in, CORRECT, SMALL, "conv2d")
    assert stand_in.rounds >= 5
    monkeypatch.setattr(timing, "estimate", lambda subject, case, limit, before: 1.6 * limit)
    with pytest.raises(NotTimed, match=r"too slow, estimated 3\.2 s"):
        Timekeeper(too_slow=2.0).layer(stand_in, CORRECT, SMALL, "conv2d")


def test_an_implementation_is_not_held_to_what_another_one_found(keeper, stand_in):
    with pytest.raises(NotTimed, match="wrong, not timed"):
        keeper.layer(stand_in, subject(conv2d=fakes.flipped), SMALL, "conv2d")
    keeper.layer(stand_in, CORRECT, SMALL, "conv2d")
    assert stand_in.rounds >= 5


def test_on_a_gpu_the_times_are_those_of_events(keeper, stand_in, monkeypatch):
    cuda = fakes.Cuda(milliseconds=7.0)
    monkeypatch.setitem(sys.modules, "torch", fakes.torch(cuda))
    keeper.layer(stand_in, fakes.on_gpu(cuda), SMALL, "conv2d")
    found = stand_in.extra_info
    assert found["device"] == "cuda:0 Fake 3000"
    assert found["cpu_seconds"] == pytest.approx([0.007] * stand_in.rounds)
    assert stand_in.rounds == math.floor(clock.SECONDS / 0.007)
    assert found["peak_extra_bytes"] == 4096
    assert found["peak_method"] == "allocated on the GPU"


def test_columns_and_products_of_groups():
    depthwise, grouped = BY_NAME["mobilenet-dw-7-1024"], BY_NAME["alexnet-conv2"]
    assert timing.columns_bytes(grouped.case("conv2d")) == 4 * 96 * 25 * 27 * 27
    assert timing.gemm_seconds(depthwise.geometry, "float32") > 0
    forward, backward = (timing.gemm_seconds(grouped.geometry, "float32", each) for each in (False, True))
    assert 1.2 * forward < backward < 8 * forward  # two products for one


def test_doubles_count_twice_the_bytes():
    case = Case.parse("conv2d float64 n1c3k4g1 i7k3s1p1,1d1 i7k3s1p1,1d1 gauss seed=1")
    assert timing.columns_bytes(case) == 8 * 27 * 49
    assert timing.moved(case, 0) == 8 * (147 + 108)


# the record


def test_a_row_that_json_cannot_hold_is_refused():
    record = Record()
    with pytest.raises(ValueError, match="stride: cpu_seconds is nan"):
        record.add("stride", {"S": 1, "cpu_seconds": math.nan})
    with pytest.raises(ValueError, match=r"stride: S is .*; a word, a number, True, False or None is accepted"):
        record.add("stride", {"S": np.int64(1)})
    record.add("stride", {"S": 1, "why": None, "holds": True, "name": "C", "share": 0.5})
    record.refused(entry("mine.py"), "unsupported: not\n  on Fridays\n", "")
    assert record.not_timed[0]["reason"] == "unsupported: not on Fridays"
    assert record.saved()["experiments"] == {
        "stride": [{"S": 1, "why": None, "holds": True, "name": "C", "share": 0.5}]
    }


# the table


def entry(implementation, kind="layer", layer="a", operation="conv2d"):
    return Entry(kind, layer, operation, implementation)


def test_the_table_has_medians_ratios_and_what_was_not_timed():
    record = Record()
    record.timed(entry("im2col"), [0.002, 0.001, 0.009])
    record.refused(entry("loops"), "too slow, estimated 3.4 s", "the limit is 2 s")
    record.timed(entry("fast/mine.py"), [0.0005])
    record.timed(entry("im2col", "again"), [0.0021])
    record.refused(entry("loops", layer="b"), "wrong, not timed", "1 of 9 elements differ\n  got 1")
    record.timed(entry("numpy", "roofline", "matmul-256", "matmul"), [1.0])
    assert summary.lines(record, ["loops", "im2col", "fast/mine.py"]) == [
        "          im2col       loops     mine.py       again",
        "a conv2d       2  slow 3.4 s  0.5 x0.25   2.1 x1.05",
        "b conv2d               WRONG",
        "x: times of im2col, less is faster. again: im2col once more, later in the run.",
        "CPU time.",
        "loops: 1 not timed, too slow",
        "loops b conv2d: wrong, not timed",
    ]


@pytest.mark.parametrize(("clocks", "said"), [(["wall", "wall"], "mine.py"), (["wall", "cpu"], "some of mine.py")])
def test_the_table_says_what_was_timed_by_the_wall(clocks, said):
    record = Record()
    record.timed(entry("im2col"), [0.002])
    for layer, whose in zip("ab", clocks, strict=True):
        record.timed(entry("fast/mine.py", layer=layer), [0.0005], whose)
    told = f"CPU time, but {said}: by the wall's clock, as it waits, or computes elsewhere."
    assert told in summary.lines(record, ["im2col", "fast/mine.py"])


def test_the_baseline_is_im2col_or_the_first():
    assert summary.baseline(["loops", "im2col"]) == "im2col"
    assert summary.baseline(["mine.py", "loops"]) == "mine.py"


def test_every_kind_of_refusal_has_a_word_in_the_table():
    record = Record()
    words = {
        "wrong, not timed": "WRONG",
        "wrong, not timed: the result changed while it was timed": "WRONG",
        "too slow, estimated 12 s": "slow 12 s",
        "unsupported: offers no conv2d": "-",
        "raised: ValueError: no": "raised",
    }
    for number, reason in enumerate(words):
        record.refused(entry("mine.py", layer=str(number)), reason, "")
    lines = summary.lines(record, ["mine.py"])
    assert [line.split(maxsplit=2)[-1] for line in lines[1:6]] == list(words.values())


def test_layers_of_the_command_line_are_all_known_to_the_gate():
    for layer in layers.ALL:
        for operation in layer.operations:
            assert gate.declined(CORRECT, layer.case(operation)) == ""
