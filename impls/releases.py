"""Releases of engines: each in an environment of its own, made once, and kept in a folder of the user's cache."""

from __future__ import annotations

import fcntl
import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from impls.entries import Entry
from impls.files import SpecError

OLDEST, NEWEST = 9, 14  # Python 3.x, for which adapters are written
ROOT = Path(__file__).parents[1]
BUILT_FOR_NUMPY_1 = "compiled using NumPy 1.x"  # what NumPy 2 says, and then lets the import go on
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input")


class Python(NamedTuple):
    """An interpreter that can make environments."""

    path: str
    minor: int


def python_with(entry: Entry, version: str) -> str:
    """Give the interpreter of an environment with this release of an engine's library, made where there is none yet.

    Raises SpecError where no interpreter here has a wheel of it, or where it cannot be installed or imported.
    """
    folder = cache() / f"{entry.name}-{entry.distribution}-{version}"
    python = folder / "bin" / "python"
    if (folder / "ready").exists():
        return str(python)
    with _alone(folder):
        if not (folder / "ready").exists():  # another process may have made it meanwhile
            _say(f"{entry.distribution} {version}: making an environment for it, once, in {folder}")
            try:
                _make(entry, version, folder, python)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    return str(python)


def cache() -> Path:
    """Give the folder in which environments are kept: XDG_CACHE_HOME's, or ~/.cache's, poolproof."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "poolproof"


def listed(entry: Entry) -> dict[str, Python]:
    """List the releases of which there is a wheel for an interpreter here, the newest first; no release candidates.

    Raises SpecError where the index cannot be asked, or has none.
    """
    found: dict[str, Python] = {}
    for python in interpreters():
        for version in _wheels(entry.distribution, python.minor):
            found.setdefault(version, python)
    if not found:
        raise SpecError(f"{entry.distribution}: the package index has no wheel for the interpreters here ({_told()})")
    return {version: found[version] for version in sorted(found, key=numbers, reverse=True)}


def numbers(version: str) -> tuple[int, ...]:
    """Give the numbers of a version, by which releases are ordered."""
    return tuple(map(int, re.findall(r"\d+", version)))


@functools.cache
def interpreters() -> tuple[Python, ...]:
    """Find the interpreters here, this one first, one for each minor version, the newest first."""
    minors = range(NEWEST, OLDEST - 1, -1)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    paths = [shutil.which(f"python3.{minor}") for minor in minors]
    paths += [str(path) for minor in minors for path in sorted(pyenv.glob(f"3.{minor}.*/bin/python"), reverse=True)]
    found = {sys.version_info.minor: Python(sys.executable, sys.version_info.minor)}
    for path in filter(None, paths):
        # A version manager may have put a name on the path that starts nothing.
        told = _run(path, "-c", "import ensurepip, sys, venv; print(sys.version_info.minor)")
        if told.returncode == 0 and int(told.stdout) not in found:
            found[int(told.stdout)] = Python(path, int(told.stdout))
    first, *others = found.values()
    return (first, *sorted(others, key=lambda python: -python.minor))


@functools.cache
def _wheels(distribution: str, minor: int) -> tuple[str, ...]:
    """Ask the index for the releases that have a wheel for an interpreter."""
    asked = ("--only-binary=:all:", f"--python-version=3.{minor}")
    answer = _run(sys.executable, *PIP, "index", "versions", distribution, *asked)
    versions = re.search(r"^Available versions: (.*)$", answer.stdout, flags=re.MULTILINE)
    return tuple(versions[1].split(", ")) if versions else ()


def _make(entry: Entry, version: str, folder: Path, python: Path) -> None:
    wheels = listed(entry)
    if version not in wheels:
        near = ", ".join([*wheels][:8])
        raise SpecError(
            f"{entry.name}@{version}: there is no wheel of {entry.distribution} {version} for the interpreters here "
            f"({_told()}); accepted are {near}{', ...' if len(wheels) > 8 else ''}"
        )
    _done(_run(wheels[version].path, "-m", "venv", str(folder)), f"no environment can be made in {folder}")
    release = f"{entry.distribution}=={version}"
    # A library that was built for NumPy 1 may not say so, and crash later, or answer wrongly.
    for numpy in ("numpy", "numpy<2"):
        installed = _install(python, release, numpy, *entry.beside)
        imported = _run(str(python), "-c", f"import {', '.join(filter(None, (entry.library, *entry.beside)))}")
        if installed.returncode == imported.returncode == 0 and BUILT_FOR_NUMPY_1 not in imported.stderr:
            (folder / "ready").touch()
            return
    _done(installed, f"{release} cannot be installed with Python 3.{wheels[version].minor}")
    _done(imported, f"{release} cannot be imported by Python 3.{wheels[version].minor}")


def _install(python: Path, *requirements: str) -> subprocess.CompletedProcess[str]:
    """Install wheels, those that the suite pins at its own releases where that is possible."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE))
    pinned = [f"{name}=={pins[name]}" if name in pins and name != "numpy" else name for name in requirements]
    command = (*PIP, "install", "--quiet", "--only-binary=:all:")
    done = _run(str(python), *command, *pinned)
    loose = [name for name in requirements if name in pins and name != "numpy"]
    # Of torch no other release is taken in the place of the pinned one: it may be gigabytes, for a GPU.
    return done if done.returncode == 0 or not loose or "torch" in loose else _run(str(python), *command, *requirements)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def _done(process: subprocess.CompletedProcess[str], otherwise: str) -> None:
    """Raise SpecError with the last words of a command that failed."""
    if process.returncode != 0:
        said = [line for line in (process.stdout + process.stderr).splitlines() if line.strip()]
        raise SpecError(f"{otherwise}: {said[-1] if said else f'status {process.returncode}'}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time make an environment."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _told() -> str:
    return ", ".join(f"3.{python.minor}" for python in interpreters())


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
