"""A release of an engine has an environment of its own: found, made once, refused with what would be accepted."""
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from impls import registry, releases
from impls.files import SpecError
from impls.isolation import choice

ENTRY = next(entry for entry in registry.entries() if entry.name == "onnxruntime")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Neither the user's cache nor the package index is touched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(
        releases, "_wheels", lambda name, minor: {13: ("1.10.0", "1.9.1"), 10: ("1.9.1", "1.2.0")}.get(minor, ())
    )
    monkeypatch.setattr(
        releases, "interpreters", lambda: (releases.Python("python3.13", 13), releases.Python("python3.10", 10))
    )
    return tmp_path / "poolproof"


def test_environments_lie_in_the_users_cache(cache, monkeypatch):
    assert releases.cache() == cache
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert releases.cache() == Path.home() / ".cache" / "poolproof"


def test_releases_are_listed_the_newest_first_each_with_an_interpreter():
    found = releases.listed(ENTRY)
    assert [(version, python.minor) for version, python in found.items()] == [
        ("1.10.0", 13),
        ("1.9.1", 13),
        ("1.2.0", 10),
    ]


def test_a_release_without_a_wheel_says_which_have_one(cache):
    with pytest.raises(
        SpecError, match=r"no wheel of onnxruntime 7\.0 .*\(3\.13, 3\.10\); accepted are 1\.10\.0, 1\.9\.1"
    ):
        releases.python_with(ENTRY, "7.0")
    assert not list(cache.glob("*/"))


def test_an_engine_that_the_index_does_not_have_is_told(monkeypatch):
    monkeypatch.setattr(releases, "_wheels", lambda name, minor: ())
    with pytest.raises(SpecError, match=r"onnxruntime: the package index has no wheel"):
        releases.listed(ENTRY)


def commands(monkeypatch, *, fails="", warned=""):
    """Let no command run, and note what each was; those that hold a text fail; each import is warned of, if at all."""
    ran: list[list[str]] = []

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        ran.append([*command])
        failing = bool(fails) and fails in " ".join(command)
        said = "first\nlast words\n" if failing else warned * (_wanted(ran, "numpy")[-1:] == ["numpy"])
        return subprocess.CompletedProcess(command, int(failing), "", said)

    monkeypatch.setattr(releases, "_run", run)
    return ran


def test_an_environment_is_made_once(cache, monkeypatch, capfd):
    ran = commands(monkeypatch)
    monkeypatch.setattr(Path, "touch", lambda self: (self.parent.mkdir(), self.write_text("")))
    python = releases.python_with(ENTRY, "1.9.1")
    assert python == str(cache / "onnxruntime-onnxruntime-1.9.1" / "bin" / "python")
    assert "onnxruntime==1.9.1" in ran[1]
    assert "--only-binary=:all:" in ran[1]
    assert "making an environment for it, once" in capfd.readouterr().err
    made = len(ran)
    assert releases.python_with(ENTRY, "1.9.1") == python
    assert len(ran) == made


def test_a_library_built_for_an_older_numpy_gets_one(monkeypatch):
    ran = commands(monkeypatch, fails="import onnxruntime")
    with pytest.raises(SpecError, match=r"onnxruntime==1\.2\.0 cannot be imported by Python 3\.10: last words"):
        releases.python_with(ENTRY, "1.2.0")
    assert any("numpy<2" in command for command in ran)


def test_a_library_that_numpy_2_warns_of_gets_an_older_one(monkeypatch):
    ran = commands(monkeypatch, warned="A module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.0.2\n")
    monkeypatch.setattr(Path, "touch", lambda self: None)
    releases.python_with(ENTRY, "1.9.1")
    assert _wanted(ran, "numpy") == ["numpy", "numpy<2"]


def _wanted(ran, name):
    """What was asked for of a library, in order."""
    return [word for command in ran for word in command if word.startswith(name)]


def test_torch_is_never_taken_at_another_release_than_the_pinned_one(monkeypatch):
    ran = commands(monkeypatch, fails="install")
    with pytest.raises(SpecError, match="cannot be installed"):
        releases.python_with(replace(ENTRY, beside=("torch",)), "1.9.1")
    asked = [word for command in ran for word in command if word.startswith("torch")]
    assert asked
    assert all(word.startswith("torch==") for word in asked)


@pytest.mark.parametrize("spec", ["onnxruntime@1.9.1", "onnxruntime+no-indices@1.9.1"])
def test_a_release_runs_in_its_own_interpreter(cache, spec):
    """Here one without the library, which the child tells."""
    folder = cache / "onnxruntime-onnxruntime-1.9.1"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    (folder / "bin" / "python").chmod(0o755)
    (folder / "ready").touch()
    with pytest.raises(SpecError, match=r"onnxruntime.*@1\.9\.1"):
        choice.load(spec, Path.cwd())


@pytest.mark.parametrize("spec", ["onnxruntime@--help", "onnxruntime@../../x", "onnxruntime@", "loops@1.0"])
def test_what_is_no_release_makes_no_environment(cache, spec):
    with pytest.raises(SpecError):
        choice.load(spec, Path.cwd())
    assert not cache.exists()


def test_an_unknown_variant_is_told_before_anything_is_made(cache):
    with pytest.raises(SpecError, match=r"onnxruntime has no variant 'fast'"):
        choice.load("onnxruntime+fast@1.9.1", Path.cwd())
    assert not cache.exists()


def test_versions_are_ordered_by_their_numbers():
    assert sorted(["1.10.0", "1.9.1", "1.9.1.post2"], key=releases.numbers) == ["1.9.1", "1.9.1.post2", "1.10.0"]
