"""Findings: each record parses, each script stands alone, and what a script says is what its record says."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from impls import processor
from properties.findings import __main__ as command
from properties.findings import records, runner

FINDINGS = records.all_of_them()
MODULES = {  # what a distribution is imported as
    "jaxlib": {"jax"},
    "keras": {"keras"},
    "onnxruntime": {"onnxruntime"},
    "opencv-python-headless": {"cv2"},
    "paddlepaddle": {"paddle"},
    "tensorflow-cpu": {"tensorflow"},
}


def names(finding: records.Finding) -> set[str]:
    """What the script may import beside NumPy and the standard library."""
    return set().union(*(MODULES.get(each, {each}) for each in (finding.package, *finding.also)))


def imported(script: str) -> set[str]:
    """The packages that a script imports, those of the code that it hands to a process of its own among them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
        elif (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Constant)
            and "\nimport " in str(node.value.value)
        ):
            found |= imported(str(node.value.value))
    return found


def test_there_are_as_many_as_were_promised():
    current = [each for each in FINDINGS if each.current]
    assert len(current) >= 25
    assert len(FINDINGS) - len(current) >= 10
    assert len({each.title for each in FINDINGS}) == len(FINDINGS)


def test_the_readme_counts_what_the_records_say():
    quoted = (Path(__file__).parents[2] / "README.md").read_text().replace("\n> ", " ")
    assert command.counts(FINDINGS) in quoted


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda each: each.name)
def test_a_script_needs_its_engine_and_numpy_alone(finding):
    text = finding.script.read_text()
    assert imported(text) - set(sys.stdlib_module_names) <= names(finding) | {"numpy"}
    assert ast.get_docstring(ast.parse(text)), "it says in a sentence what it computes"
    assert text.count("sys.exit(2)") == 1, "status 2 where the engine is not there"


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda each: each.name)
def test_a_record_is_complete(finding):
    assert finding.thread != finding.source
    assert not set(finding.seen) & set(finding.unseen)
    if not finding.current:
        assert finding.unseen, "a finding of the past names the release that mended it"


@pytest.mark.parametrize("finding", [each for each in FINDINGS if runner.installed(each)], ids=lambda each: each.name)
def test_what_is_installed_behaves_as_recorded(finding):
    outcome = runner.run(finding)
    if outcome.told == runner.MISSING:
        pytest.skip("its script needs a C++ compiler, and there is none here")
    if outcome.elsewhere:
        pytest.skip(f"it is recorded of processors by {finding.processor}")
    assert not outcome.changed, f"{command.line(outcome)}\n{outcome.printed}"


def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, **changes: object) -> records.Finding:
    """A finding in a folder of its own, of pytest, which is always installed."""
    version = runner.metadata.version("pytest")
    fields = {
        "title": "It is wrong", "engine": "pytest", "package": "pytest", "also": [], "operation": "conv2d",
        "kind": "wrong value", "seen": [version], "unseen": [], "case": "1 x 1", "got": "1", "want": "2",
        "documentation": "It says 2", "source": "https://example.org/doc", "rate": "", "thread": "",
    }  # fmt: skip
    folder = tmp_path / "made_up"
    folder.mkdir(exist_ok=True)
    lines = [
        f"{key} = {[*value] if isinstance(value, list) else repr(value)}\n" for key, value in (fields | changes).items()
    ]
    (folder / "record.toml").write_text("".join(lines))
    (folder / "repro.py").write_text(script)
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    return records.read(folder)


@pytest.mark.parametrize(
    ("script", "told", "changed"),
    [
        ("import sys; sys.exit(1)", "present", False),
        ("", "mended", True),
        ("import sys; sys.exit(2)", "not installed", False),
        ("import sys; sys.exit(3)", "exit status 3, accepted are 0, 1 and 2", True),
        ("import os; os.abort()", "exit status -6, accepted are 0, 1 and 2", True),
        ("1 / 0", "the script itself raised", True),
        ("while True: pass", "no answer in 1 s", True),
    ],
)
def test_every_end_of_a_script_is_told(tmp_path, monkeypatch, script, told, changed):
    outcome = runner.run(made(tmp_path, monkeypatch, script), limit=1 if "while" in script else 60)
    assert (outcome.told, outcome.changed) == (told, changed)


def test_what_is_recorded_of_other_processors_is_no_change(tmp_path, monkeypatch, capsys):
    made(tmp_path, monkeypatch, "", processor="GenuineTest")
    assert command.main([]) == 0
    assert "mended (the record is of processors by GenuineTest)" in capsys.readouterr().out
    monkeypatch.setattr(processor, "vendor", lambda: "GenuineTest")
    assert command.main([]) == 1


def test_the_command_exits_with_1_where_something_changed(tmp_path, monkeypatch, capsys):
    made(tmp_path, monkeypatch, "print('all is well')")
    assert command.main([]) == 1
    assert "CHANGED: the record says present" in capsys.readouterr().out
    made(tmp_path, monkeypatch, "import sys; sys.exit(1)")
    assert command.main(["made_up"]) == 0


def test_an_engine_that_is_not_installed_changes_nothing(tmp_path, monkeypatch, capsys):
    made(tmp_path, monkeypatch, "1 / 0", package="no-such-distribution")
    assert command.main([]) == 0
    assert "not installed" in capsys.readouterr().out


def test_a_wrong_name_is_refused(tmp_path, monkeypatch, capsys):
    made(tmp_path, monkeypatch, "")
    with pytest.raises(SystemExit, match="2"):
        command.main(["made_down"])
    assert "accepted are made_up" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "odd"}, "kind = 'odd'; accepted are wrong value"),
        ({"seen": ["new"]}, "release 'new': accepted are numbers with points"),
        ({"seen": []}, "seen is empty"),
        ({"thread": "somewhere"}, "accepted is an address"),
        ({"rates": "1"}, "rates is unknown"),
        ({"title": 1}, "title = 1; accepted is a text"),
    ],
)
def test_a_record_that_is_wrong_is_refused(tmp_path, monkeypatch, changes, said):
    with pytest.raises(records.RecordError, match=said):
        made(tmp_path, monkeypatch, "", **changes)


@pytest.mark.parametrize(
    ("version", "present"), [("1.1", None), ("1.2", True), ("1.9", True), ("1.10.1", False), ("2.0+cpu", False)]
)
def test_a_release_in_between_is_as_the_one_below_it(tmp_path, monkeypatch, version, present):
    finding = made(tmp_path, monkeypatch, "", seen=["1.2"], unseen=["1.10"])
    assert finding.expects(version) is present
    assert not finding.current
