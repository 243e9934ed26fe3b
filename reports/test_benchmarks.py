"""A benchmark file is read into tidy frames, or refused in one line; nothing of it is trusted."""

import copy
import json
import os
import re
from statistics import median

import pytest

from reports import entries as read
from reports import made_up, speed
from reports.benchmarks import BenchmarkError, load, newest


@pytest.fixture(scope="module")
def document():
    return made_up.document()


@pytest.fixture
def found(tmp_path, document):
    return load(made_up.saved(tmp_path, document))


def entries(document, **wanted):
    infos = [each["extra_info"] for each in document["benchmarks"]]
    return [info for info in infos if all(info[name] == value for name, value in wanted.items())]


def test_every_entry_becomes_a_line(found, document):
    assert len(found.timings) == len(document["benchmarks"])
    assert list(found.timings.columns) == list(read.COLUMNS)
    for line, each in zip(found.timings.itertuples(), document["benchmarks"], strict=True):
        info = each["extra_info"]
        assert (line.kind, line.layer, line.implementation) == (info["kind"], info["layer"], info["implementation"])
        assert line.seconds == median(info["cpu_seconds"])
        assert line.rounds == len(info["cpu_seconds"])
    assert len(found.not_timed) == len(document["poolproof"]["not_timed"])
    assert found.layers == [*made_up.LAYERS]
    assert found.baseline == made_up.BASELINE
    assert found.machine["blas"]["name"] == "openblas"


def test_what_an_entry_does_not_say_is_not_known(tmp_path, document):
    content = copy.deepcopy(document)
    for name in (*read.NUMBERS, "clock", "sweep", "case", "device", "verdict"):
        content["benchmarks"][0]["extra_info"].pop(name, None)
    first = load(made_up.saved(tmp_path, content)).timings.iloc[0]
    assert first[list(read.NUMBERS)].isna().all()
    assert (first["device"], first["case"], first["who"]) == ("cpu", "", first["implementation"])


def test_a_gpu_is_named_and_so_are_threads_where_they_differ(tmp_path, document):
    content = copy.deepcopy(document)
    content["benchmarks"][1]["extra_info"]["device"] = "cuda:0 NVIDIA H200"
    assert load(made_up.saved(tmp_path, content)).timings["who"][1] == "im2col on NVIDIA H200"
    for each in content["benchmarks"]:
        each["extra_info"]["threads"] = 2
    assert load(made_up.saved(tmp_path, content)).timings["who"][0] == "torch-cpu"
    content["benchmarks"][0]["extra_info"]["threads"] = 4
    names = load(made_up.saved(tmp_path, content)).timings["who"]
    assert names[0] == "torch-cpu on 4 threads"
    assert names[1] == "im2col on NVIDIA H200, 2 threads"


def test_benchmarks_of_others_in_the_same_file_are_left_alone(tmp_path, document):
    content = copy.deepcopy(document)
    content["benchmarks"].append({"name": "test_theirs", "stats": {}, "extra_info": {}})
    assert len(load(made_up.saved(tmp_path, content)).timings) == len(document["benchmarks"])


def test_the_newest_file_of_a_folder_is_read(tmp_path, document):
    older, newer = (made_up.saved(tmp_path, document, name) for name in ("0002_b.json", "0001_a.json"))
    os.utime(older, (1, 1))
    assert newest(tmp_path) == newer
    assert load(tmp_path).path == newer


def test_an_empty_folder_says_how_to_get_benchmarks(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(
            BenchmarkError, match=r"no benchmarks yet: make bench, or pytest bench/ --benchmark-save=NAME, writes one"
        ):
            newest(folder)


def changed(**changes):
    def spoil(content):
        content["benchmarks"][2]["extra_info"] |= changes

    return spoil


def without(*names):
    def spoil(content):
        for name in names:
            del content["benchmarks"][2]["extra_info"][name]

    return spoil


def additions(**changes):
    def spoil(content):
        content["poolproof"] |= changes

    return spoil


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda content: content.pop("poolproof"), "no benchmark file of Poolproof's"),
        (lambda content: content.update(benchmarks={}), "no benchmark file of Poolproof's"),
        (additions(schema=9), "schema 9, and this version reads 1: use the version that wrote it"),
        (additions(schema="1" * 99), "schema '1111"),
        (without("cpu_seconds", "kind", "layer"), None),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said_in_one_line(tmp_path, document, spoil, said):
    content = copy.deepcopy(document)
    spoil(content)
    path = made_up.saved(tmp_path, content)
    if said is None:
        assert len(load(path).timings) == len(document["benchmarks"]) - 1  # not ours
        return
    with pytest.raises(BenchmarkError, match=said) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(path))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without("cpu_seconds"), "without cpu_seconds, and not drawn"),
        (changed(cpu_seconds=[]), r"damaged: cpu_seconds must be a list of numbers, got \[\]"),
        (changed(cpu_seconds="fast"), "damaged: cpu_seconds must be a list of numbers, got 'fast'"),
        (changed(cpu_seconds=[1, "x"]), "damaged: cpu_seconds must be a number, got 'x'"),
        (changed(cpu_seconds=[1, None]), "damaged: cpu_seconds must be numbers of at least 0"),
        (changed(cpu_seconds=[1, -1]), "damaged: cpu_seconds must be numbers of at least 0"),
        (changed(cpu_seconds=[1, float("nan")]), r"damaged: cpu_seconds must be at most 1e\+18, got NaN"),
        (changed(cpu_seconds=[0, 0, 1]), "damaged: a median of 0 seconds"),
        (changed(macs=10**400), r"macs must be at most 1e\+18, got a greater one"),
        (changed(macs=True), "damaged: macs must be a number, got True"),
        (changed(layer=["x"]), r"damaged: layer must be text, got \['x'\]"),
        (changed(cpu_seconds=[5e-324]), "damaged: a median of 4.9.*e-324 seconds"),
        (changed(cpu_seconds=[1e308]), r"cpu_seconds must be at most 1e\+18, got a greater one"),
        (changed(bytes=5e-324), r"bytes must be 0 or 1e-12 to 1e\+18, got 4\.9"),
        (changed(macs=-5), "damaged: macs must be at least 0, got -5"),
        (changed(ratio=-1), "damaged: ratio must be at least 0, got -1"),
        (changed(gemm_seconds=0), "must be above 0"),
        (changed(clock="sun"), "damaged: clock must be cpu or wall, got 'sun'"),
        (changed(layer=""), "damaged: layer is empty"),
    ],
)  # fmt: skip
def test_a_damaged_entry_is_named_and_the_others_are_read(tmp_path, document, spoil, said):
    content = copy.deepcopy(document)
    spoil(content)
    total = len(document["benchmarks"])
    found = load(made_up.saved(tmp_path, content))
    assert len(found.timings) == total - 1
    (line,) = found.damaged
    assert re.search(said, line)
    assert f"1 entry of {total} " in line
    assert line.endswith(f", and not drawn: {content['benchmarks'][2]['name']!r}")


def test_what_is_in_a_file_twice_is_read_once(tmp_path, document):
    content = copy.deepcopy(document)
    content["benchmarks"] += copy.deepcopy(content["benchmarks"][:2])
    content["benchmarks"][-1]["extra_info"]["cpu_seconds"] = [1e-3]
    found = load(made_up.saved(tmp_path, content))
    assert len(found.timings) == len(document["benchmarks"])
    assert found.timings["seconds"][1] != 1e-3
    assert "2 entries of" in found.damaged[0]
    assert "twice in it, of which the first is drawn" in found.damaged[0]


def test_a_kind_of_which_nothing_is_known_is_named(tmp_path, document):
    content = copy.deepcopy(document)
    content["benchmarks"][4]["extra_info"]["kind"] = "zebra"
    (line,) = load(made_up.saved(tmp_path, content)).damaged
    assert f"1 entry of {len(document['benchmarks'])} of an unknown kind, 'zebra', and not drawn" in line


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        ("pool_or_stride", {"receptive_field": None}, "receptive_field is null"),
        ("pool_or_stride", {"cpu_seconds": 1e308}, "cpu_seconds must be 0 or 1e-12 to 1e+18"),
        ("stride", {"S": 0}, "S must be above 0, got 0"),
        ("translation", {"predicted": -1}, "predicted must be at least 0, got -1"),
        ("translation", {"shift": "two"}, "shift must be a number, got 'two'"),
    ],
)
def test_a_damaged_row_is_named_and_the_others_are_read(tmp_path, document, table, change, said):
    content = copy.deepcopy(document)
    rows = content["poolproof"]["experiments"][table]
    rows[3] |= change
    found = load(made_up.saved(tmp_path, content))
    assert len(found.experiments[table]) == len(rows) - 1
    (line,) = found.damaged
    assert f": 1 of {len(rows)} rows of the experiment {table} cannot be read, and is not drawn (row 4, {said}" in line


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (additions(not_timed={}), "not_timed must be a list, got {}, and is not drawn"),
        (
            additions(not_timed=[3]),
            "1 of 1 entry of not_timed cannot be read, and is not drawn (number 1, which must be",
        ),
        (additions(not_timed=[{"reason": 3}]), "not drawn (number 1, reason must be text, got 3)"),
        (additions(experiments=None), "experiments must be a JSON object, got None, and none is drawn"),
        (additions(experiments={"x": 3}), "the experiment x must be a list, got 3, and is not drawn"),
        (additions(experiments={"x": [3]}), "(row 1, which must be a JSON object, got 3)"),
    ],
)
def test_a_damaged_part_is_named_and_the_rest_is_read(tmp_path, document, spoil, said):
    content = copy.deepcopy(document)
    spoil(content)
    found = load(made_up.saved(tmp_path, content))
    (line,) = found.damaged
    assert said in line
    assert len(found.timings) == len(load(made_up.saved(tmp_path, document)).timings)


def test_a_row_that_lacks_a_number_is_left_out_and_the_others_are_read(tmp_path, document):
    content = copy.deepcopy(document)
    rows = content["poolproof"]["experiments"]["translation"]
    rows[0] = {"a": 1}
    found = load(made_up.saved(tmp_path, content))
    assert len(found.experiments["translation"]) == len(rows) - 1
    assert "(row 1, F is missing)" in found.damaged[0]


def test_another_s_newer_file_is_passed_over(tmp_path, document):
    ours, others = made_up.saved(tmp_path, document), tmp_path / "package.json"
    os.utime(ours, (1, 1))
    others.write_text('{"name": "another"}')
    assert newest(tmp_path) == ours
    others.write_text('{"name": ')  # which was perhaps a benchmark
    assert newest(tmp_path) == others
    ours.unlink()
    assert newest(tmp_path) == others


def test_a_column_that_is_null_throughout_is_no_number(tmp_path, document):
    content = copy.deepcopy(document)
    for row in content["poolproof"]["experiments"]["stride"]:
        row["macs"] = None
    with pytest.raises(BenchmarkError, match="the experiment stride has no macs, and is not drawn"):
        load(made_up.saved(tmp_path, content)).table("stride", (), ("macs",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "truncated, or no JSON"),
        ("verdicts, as text\n" * 100, "truncated, or no JSON"),
        ("[" * 100_000, "truncated, or no JSON"),
        ("[]", "no benchmark file of Poolproof's"),
        ('{"benchmarks": [], "machine_info": {}}', "no benchmark file of Poolproof's"),
        ('{"benchmarks": [], "poolproof": {"schema": 1}}', "holds no measurement"),
    ],
)
def test_another_file_is_refused(tmp_path, text, said):
    path = tmp_path / "0001_x.json"
    path.write_text(text)
    with pytest.raises(BenchmarkError, match=said):
        load(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, document, share):
    path = made_up.saved(tmp_path, document)
    text = path.read_text()
    path.write_text(text[: int(share * len(text))])
    with pytest.raises(BenchmarkError, match=r"truncated, or no JSON \(.*\): save the benchmarks again"):
        load(path)


def test_bytes_and_absent_files_are_refused(tmp_path):
    (tmp_path / "x.json").write_bytes(bytes(range(128, 256)))
    with pytest.raises(BenchmarkError, match="truncated, or no JSON"):
        load(tmp_path / "x.json")
    with pytest.raises(BenchmarkError, match="no such file: make bench"):
        load(tmp_path / "y.json")


def test_layers_are_chosen_by_name_and_pattern(found):
    some, said = found.only(["alexnet-*,large-31", "vgg16-pool1"])
    assert (some.layers, said) == (["alexnet-conv1", "alexnet-conv3", "large-31", "vgg16-pool1"], [])
    assert len(some.of("layer")) < len(found.of("layer"))
    assert {*some.of("layer")["layer"]} == {*some.layers}
    assert len(some.of("sweep")) == len(found.of("sweep"))


def test_the_a_a_pairs_of_layers_that_are_not_drawn_tell_noise_all_the_same(found):
    one, _ = found.only(["alexnet-conv1"])
    assert (len(one.of("again")), one.baseline) == (len(made_up.LAYERS), found.baseline)
    assert speed.speed(one, "im2col").floor == speed.speed(found, "im2col").floor


def test_an_unknown_layer_is_named_with_the_nearest_and_the_others_stay(found):
    some, said = found.only(["alexnet-konv3,alexnet-conv1"])
    assert some.layers == ["alexnet-conv1"]
    assert said == [f"{found.path}: has no layer 'alexnet-konv3': did you mean alexnet-conv3?"]
    some, said = found.only(["%%"])
    assert some.layers == found.layers
    assert said[0].endswith(f"has no layer '%%': it has {', '.join(found.layers)}")


def test_an_unknown_baseline_is_named_with_the_nearest(found):
    assert found.named("fft") == "fft"
    with pytest.raises(BenchmarkError, match=r"has no layer timed with 'torch-gpu': did you mean torch-cpu\?"):
        found.named("torch-gpu")


def test_without_an_a_a_run_the_baseline_is_torch(tmp_path, document):
    content = copy.deepcopy(document)
    content["benchmarks"] = [each for each in content["benchmarks"] if each["extra_info"]["kind"] != "again"]
    assert load(made_up.saved(tmp_path, content)).baseline == "torch-cpu"


def test_what_cannot_be_written_or_seen_is_spelled_out(tmp_path, document):
    content = copy.deepcopy(document)
    content["benchmarks"][0]["extra_info"]["implementation"] = "\udcff\0 x\ny"
    content["poolproof"]["not_timed"][0]["detail"] = "two\nlines"
    found = load(made_up.saved(tmp_path, content))
    assert found.timings["implementation"][0] == "\\udcff\\x00 x y"
    assert found.not_timed["detail"][0] == "two\nlines"


def test_a_table_of_an_experiment_is_read_by_its_columns(found):
    assert len(found.table("stride", ("implementation",), ("S",))) == 12
    assert found.table("none", ("a",), ("b",)).empty
    with pytest.raises(BenchmarkError, match="the experiment stride lacks F, and is not drawn"):
        found.table("stride", ("implementation",), ("F",))
    with pytest.raises(BenchmarkError, match="the experiment stride: implementation must be a number, got 'im2col'"):
        found.table("stride", (), ("implementation",))


def test_the_made_up_file_is_json(document):
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert len(entries(document, kind="again")) == len(made_up.LAYERS)
