"""What identical code differs by is told from the medians of all its pairs; and more of it makes nothing level."""

import copy

import pytest

from reports import made_up, speed
from reports.benchmarks import load


@pytest.fixture(scope="module")
def document():
    return made_up.document()


def measured_again(tmp_path, document, *others):
    """Save the file with pairs alone whose second timing is made of the first: others[i] of its rounds."""
    content = copy.deepcopy(document)
    infos = [each["extra_info"] for each in content["benchmarks"]]
    second = [info for info in infos if info["kind"] == "again"][: len(others)]
    for info, other in zip(second, others, strict=True):
        (first,) = [each for each in infos if each["kind"] == "layer" and same(each, info)]
        info["cpu_seconds"] = other(first["cpu_seconds"])
    content["benchmarks"] = [
        each for each in content["benchmarks"] if each["extra_info"]["kind"] != "again" or each["extra_info"] in second
    ]
    return load(made_up.saved(tmp_path, content))


def same(one, other):
    return all(one[name] == other[name] for name in ("layer", "operation", "implementation"))


def slower_but_for_the_fastest(factor):
    """All rounds take longer by a factor, and the fastest is faster: so medians and minima part."""
    return lambda seconds: [factor * each for each in seconds[:-1]] + [0.95 * min(seconds)]


def test_medians_that_part_from_the_fastest_rounds_are_noise(tmp_path, document):
    """Both pairs have a shift of exactly 1, and do not agree."""
    found = measured_again(tmp_path, document, slower_but_for_the_fastest(1.012), slower_but_for_the_fastest(1.036))
    held = speed.speed(found, "im2col")
    assert held.floor.pairs == 2
    assert held.floor.percent > 3.6
    assert f"{held.floor.percent:.1f} % up or down in 95 % of repeats, from 2 A/A pairs" in speed.noise(held.floor)


@pytest.mark.parametrize("factor", [1.02, 1.5, 4.0])
def test_the_noisier_the_run_the_less_is_level(tmp_path, document, factor):
    """Only where what identical code differs by is close; else it is said that nothing can be told."""
    apart = [lambda seconds, sign=sign: [each * factor**sign for each in seconds] for sign in (1, -1) * 4]
    held = speed.speed(measured_again(tmp_path, document, *apart), "im2col")
    words = {*held.lines["word"]}
    assert (held.floor.factor > speed.CLOSE) == (factor > 1.1)
    if factor > 1.1:
        assert "level" not in words
        assert speed.UNCLEAR in words
        assert "more than 10 %" in speed.noise(held.floor)
        assert not [said for said in speed.caption(held) if "is level" in said]
