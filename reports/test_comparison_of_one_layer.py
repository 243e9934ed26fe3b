"""Two files that have one layer in common: no group hides it, and none stands in for it."""

import copy

import pytest

from reports import made_up
from reports.test_comparison import run, without


@pytest.fixture(scope="module")
def document():
    return made_up.document()


def alone(document, layer):
    """One implementation on one layer, what it was timed again in, and the roofs."""
    return without(
        document,
        lambda info: (
            info["kind"] != "roofline"
            and (info["kind"] not in ("layer", "again") or info["layer"] != layer or info["implementation"] != "im2col")
        ),
    )


def test_the_only_layer_that_is_wrong_now_ends_with_1(tmp_path, capsys, document):
    before = alone(document, "alexnet-conv3")
    after = without(before, lambda info: info["kind"] != "roofline" and info["operation"] == "conv2d")
    gone = next(each["extra_info"] for each in before["benchmarks"] if each["extra_info"]["kind"] == "layer")
    row = {name: gone[name] for name in ("kind", "layer", "operation", "implementation", "case")}
    after["benchmarks"] = [each for each in after["benchmarks"] if each["extra_info"]["kind"] == "roofline"]
    after["poolproof"] = after["poolproof"] | {"not_timed": [row | {"reason": "wrong: y differs", "detail": ""}]}
    assert run(tmp_path, before, after) == 1
    assert "lost" in capsys.readouterr().out


def test_a_copy_that_a_cache_holds_now_hides_nothing(tmp_path, capsys, document):
    before = alone(document, "alexnet-conv3")
    after = copy.deepcopy(before)
    copies = [
        each["extra_info"]["layer"] for each in after["benchmarks"] if each["extra_info"]["layer"].startswith("copy")
    ]
    for each in after["benchmarks"]:
        info = each["extra_info"]
        slower = 2.0 if info["kind"] in ("layer", "again") or info["layer"] == copies[0] else 1.0
        info["cpu_seconds"] = [slower * seconds for seconds in info["cpu_seconds"]]
    status = run(tmp_path, before, after)
    assert status == 1, capsys.readouterr().out


def test_noise_that_hides_half_as_much_again_of_the_only_layer_ends_with_2(tmp_path, document):
    before = alone(document, "alexnet-conv3")
    after = copy.deepcopy(before)
    for each in after["benchmarks"]:
        if each["extra_info"]["kind"] == "again":
            each["extra_info"]["cpu_seconds"] = [1.6 * seconds for seconds in each["extra_info"]["cpu_seconds"]]
    assert (run(tmp_path, before, before), run(tmp_path, before, after)) == (0, 2)
