"""Bisecting finds the release at which a verdict changed, past releases that give none."""

from __future__ import annotations

import pytest

from oracles.case import Case
from properties import __main__ as command
from properties import bisecting
from properties.bisecting import Found, changed, property_for

LINE = "conv2d float32 n1c1k1g1 i3k1s1p0,0d1 i3k1s1p0,0d1 narrow:24 seed=1"


def history(*kinds: str):
    """Releases 0, 1, 2 and so on with these verdicts, and a list of those that were asked."""
    asked: list[str] = []

    def ask(version: str) -> Found:
        asked.append(version)
        return Found(kinds[int(version)])

    return [str(number) for number in range(len(kinds))], ask, asked


@pytest.mark.parametrize("change", range(1, 40))
def test_the_first_release_that_differs_is_found(change):
    versions, ask, asked = history(*["differs"] * change, *["agrees"] * (40 - change))
    step = changed(versions, ask)
    assert step is not None
    assert (step.before, step.after) == (str(change - 1), str(change))
    assert (step.first.kind, step.then.kind) == ("differs", "agrees")
    assert len(asked) == len({*asked}) <= 8


def test_releases_without_a_verdict_are_stepped_over():
    gap = ["not installed", "unsupported"]
    versions, ask, _ = history(*gap, "agrees", "agrees", *gap, "agrees", *gap, "differs", "differs", *gap)
    step = changed(versions, ask)
    assert step is not None
    assert (step.before, step.after) == ("6", "9")


@pytest.mark.parametrize("kinds", [["agrees"] * 5, ["not installed"] * 30, ["differs"]])
def test_nothing_is_found_where_nothing_changed(kinds):
    versions, ask, _ = history(*kinds)
    assert changed(versions, ask) is None


def test_the_property_is_the_one_named_or_the_one_about_such_a_case():
    case = Case.parse(LINE)
    assert property_for(case)[0] == "test_values.py::test_output_equals_the_definition_exactly"
    with pytest.raises(ValueError, match=r"no property of conv2d"):
        property_for(case, "test_nothing")
    assert property_for(Case.parse(f"{LINE} shift=0:1"))[0].startswith("test_translation.py")


def test_a_verdict_is_that_of_the_property(tmp_path):
    case = Case.parse(LINE)
    _, law = property_for(case)
    (tmp_path / "wrong.py").write_text("def conv2d(x, w, b, **parameters):\n    return x * w[0, 0, 0, 0] + 2\n")
    assert bisecting.verdict("im2col", case, law, tmp_path) == Found("agrees")
    assert bisecting.verdict("wrong.py", case, law, tmp_path).kind == "differs"
    assert bisecting.verdict("nothing.py", case, law, tmp_path).kind == "not installed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bisect", "im2col", LINE], "an engine is accepted: torch-cpu"),
        (["bisect", "jax", "conv2d"], "is no case"),
        ([], "COMMAND"),
    ],
)
def test_what_makes_no_sense_is_told(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(arguments)
    assert message in capsys.readouterr().err
