"""A regression is flagged, and the same code twice is not: as rarely as is said."""

import copy
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from reports import __main__, made_up
from reports.benchmarks import load
from reports.comparison import compare
from reports.comparison_text import as_text


@pytest.fixture(scope="module")
def document():
    return made_up.document()


@pytest.fixture(scope="module")
def once(tmp_path_factory, document):
    return load(made_up.saved(tmp_path_factory.mktemp("bench"), document))


def measured(found, rng, between=0.01, within=0.02, slower=None):
    """Measure a made-up file again: each entry varies as a whole, and each of its rounds."""
    lines = found.timings.copy()
    seconds = []
    for line in lines.itertuples():
        base = line.seconds * np.exp(between * rng.standard_normal()) * (slower or {}).get((line.who, line.layer), 1.0)
        seconds.append([*(base * (1 + within * rng.exponential(size=line.rounds)))])
    lines["cpu_seconds"], lines["seconds"] = seconds, [float(np.median(each)) for each in seconds]
    return replace(found, timings=lines)


def test_the_same_code_twice_is_flagged_in_no_more_than_5_of_100_runs(once):
    rng = np.random.default_rng(1)
    flagged = 0
    for _ in range(60):
        found = compare(measured(once, rng), measured(once, rng))
        flagged += any(each.word in ("slower", "faster") for each in (*found.changes, *found.groups))
    assert len(found.changes) > 100
    assert flagged <= 7  # 60 times 5 in 100 is 3; more than 7 has a chance of 1 in 100


def test_a_regression_of_half_in_one_layer_is_flagged(once):
    rng = np.random.default_rng(2)
    missed = 0
    for _ in range(25):
        found = compare(measured(once, rng), measured(once, rng, slower={("im2col", "alexnet-conv3"): 1.8}))
        slower = {(each.who, each.layer, each.operation) for each in found.of("slower")}
        missed += not {("im2col", "alexnet-conv3", operation) for operation in ("conv2d", "conv2d_backward")} <= slower
        assert found.regressed == bool(slower)
    assert missed == 0


def test_a_noisy_machine_flags_no_more_and_sees_less(once):
    rng = np.random.default_rng(3)
    found = compare(measured(once, rng, between=0.2), measured(once, rng, between=0.2))
    assert found.far.percent > 100
    assert not found.regressed
    assert "im2col" in found.blind
    assert "warning: noise is so large that 15 % more in all timings of torch-cpu, im2col" in as_text(found)


def shifted(found, rng, noise, run=0.0, slower=None):
    """Measure again with noise of any kind: a shift of each entry by itself, and one of the whole run."""
    lines = found.timings.copy()
    shifts = [run + noise(rng) + math.log((slower or {}).get(who, 1.0)) for who in lines["who"]]
    both = zip(lines["cpu_seconds"], shifts, strict=True)
    lines["cpu_seconds"] = [[each * math.exp(shift) for each in seconds] for seconds, shift in both]
    lines["seconds"] = [float(np.median(each)) for each in lines["cpu_seconds"]]
    return replace(found, timings=lines)


def heavy(rng):
    return 0.01 * rng.standard_t(3)  # as runs of make bench were seen to have


def test_noise_with_heavy_tails_raises_few_false_alarms(once):
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(80):
        runs = [shifted(once, rng, heavy, run=0.02 * rng.standard_normal()) for _ in range(2)]
        found = compare(*runs)
        alarms += found.status == 1
    assert alarms <= 9  # 80 times 5 in 100 is 4; more than 9 has a chance of 1 in 100


def test_an_implementation_slower_by_15_in_100_is_found(once):
    rng = np.random.default_rng(6)
    for _ in range(10):
        found = compare(shifted(once, rng, heavy), shifted(once, rng, heavy, slower={"im2col": 1.15}))
        assert found.status == 1
        assert ("im2col", "") in [(each.who, each.operation) for each in found.groups_of("slower")]
        assert re.search(r"^slower   im2col +all of \d+ timings +1\.1\d times \(1\.", as_text(found), re.M)
        assert {each.who for each in found.groups_of("slower")} == {"im2col"}


def without(document, gone):
    content = copy.deepcopy(document)
    content["benchmarks"] = [each for each in content["benchmarks"] if not gone(each["extra_info"])]
    return content


def test_what_is_gone_is_said_and_ends_with_2(tmp_path, capsys, document):
    content = without(document, lambda info: info["implementation"] == "im2col+textbook")
    assert run(tmp_path, document, content) == 2
    assert re.search(r"^missing  im2col\+textbook: gone from the second file, with all of its 15 timings$",
                     capsys.readouterr().out, re.M)  # fmt: skip
    content = without(document, lambda info: info["kind"] == "layer" and info["layer"].startswith("vgg16-conv"))
    assert run(tmp_path, document, content) == 2
    said = "missing  im2col: 4 timings of the first file, neither timed nor refused in the second: vgg16-conv1_2 conv2d"
    assert said in capsys.readouterr().out
    assert run(tmp_path, content, document) == 0


def test_an_entry_that_lost_its_facts_is_missing(tmp_path, capsys, document):
    content = copy.deepcopy(document)
    content["benchmarks"][0]["extra_info"] = {}
    assert run(tmp_path, document, content) == 2
    out = capsys.readouterr().out
    assert "missing  torch-cpu: 1 timing of the first file" in out
    assert re.search(r"missing  damaged in .*b.json: 1 entry of \d+ without what was measured", out)


def test_a_disturbed_pair_of_runs_is_warned_of(tmp_path, capsys, document):
    content = copy.deepcopy(document)
    for each in content["benchmarks"]:
        if each["extra_info"]["kind"] == "again":
            each["extra_info"]["cpu_seconds"] = [1.3 * seconds for seconds in each["extra_info"]["cpu_seconds"]]
    assert run(tmp_path, document, content) == 2  # 1.25 times as much would not be found either
    assert "warning: noise is so large that 15 % more in all timings of" in capsys.readouterr().out


def test_a_change_of_the_clock_is_named_and_its_times_are_not_compared(tmp_path, capsys, document):
    content = copy.deepcopy(document)
    for each in content["benchmarks"][:9]:
        if each["extra_info"]["implementation"] == "im2col":
            each["extra_info"] |= {"clock": "wall", "cpu_seconds": [3 * s for s in each["extra_info"]["cpu_seconds"]]}
    assert run(tmp_path, document, content) == 2
    out = capsys.readouterr().out
    said = "missing  im2col: 3 timings of another clock, cpu time before and wall time now: alexnet-conv1 conv2d, ..."
    assert said in out
    assert "0 slower, 0 faster" in out
    assert run(tmp_path, content, content) == 0


def test_columns_of_slower_and_faster_are_aligned(once):
    rng = np.random.default_rng(8)
    changed = {("fft", "large-31"): 3, ("im2col+textbook", "alexnet-conv3"): 1 / 3}
    lines = as_text(compare(measured(once, rng), measured(once, rng, slower=changed))).splitlines()
    places = {line.index("ms  ") for line in lines if re.match(r"(slower|faster)\S* .* -> ", line)}
    assert len(places) == 1


def run(tmp_path, before, after, *more):
    paths = [str(made_up.saved(tmp_path, each, f"{name}.json")) for name, each in (("a", before), ("b", after))]
    return __main__.main(["compare", *paths, *more])


def test_the_exit_status_says_whether_something_became_slower(tmp_path, capsys, document):
    same, slower = made_up.document(1), made_up.document(2, slower={("im2col", "alexnet-conv3"): 1.4})
    assert run(tmp_path, document, same) == 0
    assert "0 slower, 0 faster" in capsys.readouterr().out
    assert run(tmp_path, document, slower) == 1
    out = capsys.readouterr().out
    assert re.search(r"^slower   im2col  alexnet-conv3 conv2d +3\.\d+ ms -> 5\.\d+ ms  1\.\d\d times \(1\.", out, re.M)
    assert "2 slower, 0 faster" in out
    assert run(tmp_path, slower, document) == 0
    assert "0 slower, 2 faster" in capsys.readouterr().out
    assert run(tmp_path, document, document, "--all") == 0
    assert capsys.readouterr().out.count("level ") > 100


def test_the_numbers_that_are_said_are_those_of_the_files(once):
    rng = np.random.default_rng(4)
    before, after = measured(once, rng), measured(once, rng, slower={("fft", "large-31"): 3})
    first = compare(before, after).of("slower")[0]
    assert (first.who, first.layer) == ("fft", "large-31")
    seconds = []
    for found in (before, after):
        its = found.of("layer")
        its = its[(its["layer"] == "large-31") & (its["who"] == "fft") & (its["operation"] == first.operation)]
        seconds.append(np.median(its["cpu_seconds"].iloc[0]))
    ratio = seconds[1] / seconds[0]
    assert first.ratio.value == pytest.approx(ratio)
    assert f"{ratio:.2f} times" in as_text(compare(before, after))


def test_what_is_refused_now_is_a_regression(tmp_path, capsys, document):
    content = copy.deepcopy(document)
    gone = content["benchmarks"].pop(0)["extra_info"]
    wrong = {name: gone[name] for name in ("kind", "layer", "sweep", "operation", "implementation", "case")}
    content["poolproof"]["not_timed"].append(wrong | {"reason": "wrong, not timed", "detail": "all differ"})
    assert run(tmp_path, document, content) == 1
    out = capsys.readouterr().out
    assert "lost     torch-cpu  alexnet-conv1 conv2d: wrong, not timed" in out
    assert "missing" not in out
    assert run(tmp_path, content, document) == 0
    assert "1 only in the second file" in capsys.readouterr().out


@pytest.mark.parametrize(("estimated", "status"), [("0.004", 2), ("0.5", 1)])
def test_too_slow_by_an_estimate_is_a_regression_where_it_is_so_by_far(tmp_path, capsys, document, estimated, status):
    content = copy.deepcopy(document)
    gone = content["benchmarks"].pop(0)["extra_info"]
    slow = {name: gone[name] for name in ("kind", "layer", "sweep", "operation", "implementation", "case")}
    content["poolproof"]["not_timed"].append(slow | {"reason": f"too slow, estimated {estimated} s"})
    assert run(tmp_path, document, content) == status
    out = capsys.readouterr().out
    assert f"torch-cpu  alexnet-conv1 conv2d: too slow, estimated {estimated} s, was 2.1" in out
    assert ("lost " in out) == (status == 1)
    assert ("slower? " in out) == (status == 2)


def test_a_measured_call_that_is_too_slow_now_is_lost(tmp_path, capsys, document):
    content = copy.deepcopy(document)
    gone = content["benchmarks"].pop(0)["extra_info"]
    slow = {name: gone[name] for name in ("kind", "layer", "sweep", "operation", "implementation", "case")}
    slow |= {"reason": "too slow, estimated 0.008 s", "detail": "one whole call took as long"}
    content["poolproof"]["not_timed"].append(slow)
    assert run(tmp_path, document, content) == 1
    assert "lost     torch-cpu  alexnet-conv1 conv2d: too slow, estimated 0.008 s" in capsys.readouterr().out


def test_a_busy_machine_is_no_regression(once):
    lines = once.timings.copy()
    busy = [[seconds[0], *(1.5 * each for each in seconds[1:])] for seconds in map(sorted, lines["cpu_seconds"])]
    lines["cpu_seconds"], lines["seconds"] = busy, [float(np.median(each)) for each in busy]
    lines = lines[~lines["kind"].isin(("again", "roofline"))]
    found = compare(once, replace(once, timings=lines))
    assert found.changes[0].ratio.value > 1.3
    assert not found.regressed


def test_another_machine_and_other_cases_are_said(tmp_path, capsys, document):
    content = copy.deepcopy(document)
    content["machine_info"]["numpy"] = "3.0"
    content["benchmarks"][0]["extra_info"]["case"] = "another"
    assert run(tmp_path, document, content) == 2
    out = capsys.readouterr().out
    assert "numpy differs: 2.4.6 before, 3.0 after" in out
    assert "missing  1 timing of other cases under the same name: alexnet-conv1 conv2d" in out
    assert "names its processor" not in out


def test_a_machine_that_neither_file_names_is_said_to_be_unknown(tmp_path, capsys, document):
    content = copy.deepcopy(document)
    del content["machine_info"]
    run(tmp_path, content, content)
    assert "neither file names its processor: one machine, or two" in capsys.readouterr().out


def test_the_machine_itself_is_held_against_itself(tmp_path, capsys, document):
    content = copy.deepcopy(document)
    for each in content["benchmarks"]:
        each["extra_info"]["cpu_seconds"] = [1.3 * seconds for seconds in each["extra_info"]["cpu_seconds"]]
    assert run(tmp_path, document, content) == 2  # all is slower, matrix products and copies as well: who knows why
    out = capsys.readouterr().out
    assert out.startswith("cannot say whether anything became slower (exit status 2): other conditions")
    assert "\nno conclusion on times: the machine itself took 1.30 times as long, in the median of its " in out
    assert "the machine itself, time now over time before: matmul-256 1.30" in out
    assert run(tmp_path, content, document) == 2
    assert "\nno conclusion on times: the machine itself took 0.77 times as long" in capsys.readouterr().out


def drifted(document, factor, kinds=("roofline",), implementation=None):
    content = copy.deepcopy(document)
    for each in (each["extra_info"] for each in content["benchmarks"]):
        if each["kind"] in kinds and implementation in (None, each["implementation"]):
            each["cpu_seconds"] = [factor * seconds for seconds in each["cpu_seconds"]]
    return content


@pytest.mark.parametrize(("factor", "status"), [(1.5, 2), (1.12, 2), (1.08, 0), (1.0, 0), (0.93, 0), (0.88, 2)])
def test_a_machine_that_drifts_beyond_the_limit_allows_no_conclusion(tmp_path, capsys, document, factor, status):
    assert run(tmp_path, document, drifted(document, factor)) == status
    assert ("\nno conclusion on times: " in capsys.readouterr().out) == (status == 2)


def test_what_is_wrong_now_is_a_regression_on_any_machine(tmp_path, capsys, document):
    for reason, status in (("wrong, not timed", 1), ("raised: MemoryError: no", 1), ("too slow, estimated 9 s", 2)):
        content = drifted(document, 1.5)
        gone = content["benchmarks"].pop(0)["extra_info"]
        row = {name: gone[name] for name in ("kind", "layer", "sweep", "operation", "implementation", "case")}
        content["poolproof"]["not_timed"].append(row | {"reason": reason})
        assert run(tmp_path, document, content) == status
        out = capsys.readouterr().out
        assert "\nno conclusion on times: " in out
        assert f"lost     torch-cpu  alexnet-conv1 conv2d: {reason}" in out


def test_a_gpu_is_held_against_itself(tmp_path, capsys, document):
    both = copy.deepcopy(document)
    for each in copy.deepcopy([each for each in both["benchmarks"] if each["extra_info"]["kind"] == "roofline"]):
        each["extra_info"]["implementation"] = "torch"
        both["benchmarks"].append(each)
    assert run(tmp_path, both, both) == 0
    assert run(tmp_path, both, drifted(both, 1.4, implementation="torch")) == 2
    out = capsys.readouterr().out
    assert "the machine itself took 1.40 times as long" in out
    assert re.search(r"matmul-256 1\.00, .*matmul-256 torch 1\.40", out)


def without_roofline(document, products=True):
    content = without(document, lambda info: info["kind"] == "roofline")
    for each in content["benchmarks"] if not products else ():
        each["extra_info"].pop("gemm_seconds", None)
    return content


def test_without_a_roofline_the_products_of_layers_tell_whether_the_machine_changed(tmp_path, capsys, document):
    before = without_roofline(document)
    assert run(tmp_path, before, before) == 0
    assert "the machine itself, time now over time before: 1.00 in the median of 12 products" in capsys.readouterr().out
    after = drifted(before, 1.3, kinds=("layer", "again", "sweep", "experiment"))
    for each in after["benchmarks"]:
        if "gemm_seconds" in each["extra_info"]:
            each["extra_info"]["gemm_seconds"] *= 1.3
    assert run(tmp_path, before, after) == 2
    assert "\nno conclusion on times: the machine itself took 1.30 times as long" in capsys.readouterr().out


def test_where_nothing_tells_of_the_machine_all_that_is_slower_may_be_due_to_it(tmp_path, capsys, document):
    before = without_roofline(document, products=False)
    assert run(tmp_path, before, before) == 0
    assert "whether the machine itself changed is not known" in capsys.readouterr().out
    kinds = ("layer", "again", "sweep", "experiment")
    assert run(tmp_path, before, drifted(before, 1.3, kinds)) == 2
    assert "\nno conclusion on times: all implementations took longer" in capsys.readouterr().out
    assert run(tmp_path, before, drifted(before, 1.3, kinds, "im2col")) == 1


def test_experiments_are_compared_and_other_kinds_are_counted(tmp_path, capsys, document):
    slower = drifted(document, 2.0, kinds=("experiment",))
    assert run(tmp_path, document, slower) == 1
    out = capsys.readouterr().out
    steps = sum(each["extra_info"]["kind"] == "experiment" for each in document["benchmarks"])
    assert steps > 40
    assert f"{steps} slower, 0 faster" in out
    assert re.search(r"^slower   torch-cpu  pool-or-stride-A-F3-S2 conv2d +1\.5\d ms -> ", out, re.M)
    other = copy.deepcopy(document)
    for each in other["benchmarks"][:3]:
        each["extra_info"]["kind"] = "odd"
    assert run(tmp_path, document, other) == 2
    assert "3 left out, of other kinds: odd" in capsys.readouterr().out


def test_what_cannot_be_compared_gets_one_line(tmp_path, capsys, document):
    def refused(content):
        status = run(tmp_path, document, content)
        out, error = capsys.readouterr()
        assert (status, out, error.count("\n")) == (2, "", 1)
        return error

    assert "no file of" not in refused({})
    assert "no benchmark file of Poolproof's" in refused({})
    no_pairs = copy.deepcopy(document)
    no_pairs["benchmarks"] = [each for each in no_pairs["benchmarks"] if each["extra_info"]["kind"] == "sweep"]
    other = copy.deepcopy(no_pairs)
    for each in other["benchmarks"]:
        each["extra_info"]["layer"] += "-other"
    assert "has no entry in common with" in refused(other)
    paths = [str(made_up.saved(tmp_path, no_pairs, f"{name}.json")) for name in "cd"]
    assert __main__.main(["compare", *paths]) == 2
    assert "no A/A run in either" in capsys.readouterr().err
    assert __main__.main(["compare", str(tmp_path / "x.json"), paths[0]]) == 2
    assert "x.json: no such file" in capsys.readouterr().err


def test_two_files_are_needed(capsys):
    with pytest.raises(SystemExit) as caught:
        __main__.main(["compare", "a.json"])
    assert caught.value.code == 2
    assert "the following arguments are required: B" in capsys.readouterr().err
