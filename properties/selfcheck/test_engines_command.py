"""All engines at once: a process for each, a line for how it ended, and a status that tells whether all ended well."""

from __future__ import annotations

import subprocess

import pytest

from impls.entries import Entry
from properties import __main__ as command
from properties import engines


def entry(name: str, library: str = "") -> Entry:
    return Entry(name, "one", lambda variants: object(), library, {"wide": "the same, wide"}, foreign=True)


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """Two engines and one that is missing; no process runs, each is noted and ends as its engine is called."""
    commands: list[list[str]] = []

    def run(line, *, stdout, **_):
        commands.append(line)
        stdout.write("== 3 passed, 1 skipped in 0.10s ==\n")
        return subprocess.CompletedProcess(line, int("--impl=wrong" in line))

    there = [entry("right"), entry("wrong"), entry("absent", "no_such_library")]
    monkeypatch.setattr(engines.registry, "entries", lambda: there)
    monkeypatch.setattr(engines.subprocess, "run", run)
    monkeypatch.setattr(engines, "LOGS", tmp_path / "engines")
    return commands


def test_each_engine_has_a_process_with_its_variants_and_a_line(ran, capsys, tmp_path):
    assert command.main(["engines", "--jobs=1", "--budget=5"]) == 1
    assert [[word for word in line if word.startswith("--impl")] for line in ran] == [
        ["--impl=right", "--impl=right+wide"],
        ["--impl=wrong", "--impl=wrong+wide"],
    ]
    assert all("--budget=5" in line and "--isolate=always" in line for line in ran)
    said = capsys.readouterr().out
    assert "absent           left out: no_such_library is not installed" in said
    assert "right            0 s: 3 passed, 1 skipped in 0.10s" in said
    assert said.endswith("not as expected: wrong\n")
    assert (tmp_path / "engines" / "right.log").exists()


def test_those_that_are_named_are_run(ran, capsys):
    assert command.main(["engines", "right"]) == 0
    assert len(ran) == 1
    assert capsys.readouterr().out.endswith("all as expected\n")


def test_engines_may_be_run_without_their_variants(ran):
    assert command.main(["engines", "right", "--plain"]) == 0
    assert [word for word in ran[0] if word.startswith("--impl")] == ["--impl=right"]


def test_nothing_run_is_no_success(ran):
    assert command.main(["engines", "absent"]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["engines", "rigth"], "rigth: an engine is accepted: right, wrong, absent"),
        (["bisect", "right", "conv2d", "--budget=5"], "unrecognized arguments: --budget=5"),
    ],
)
def test_what_makes_no_sense_is_told(ran, arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(arguments)
    assert message in capsys.readouterr().err
