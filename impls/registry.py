"""Names of implementations -> the implementations, loaded when they are asked for and not before.

A SPEC is NAME[+variant...][@VERSION] with a name of `entries()`, or file.py[:object], or package.module[:object].
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from impls import files
from impls.entries import ENTRIES, Entry
from impls.files import HOW_TO_RUN, SpecError
from impls.spelling import meant
from impls.subject import Subject

VERSION = re.compile(r"\d[\w.]*")  # a release, and no option or path

__all__ = ["Entry", "SpecError", "entries", "listing", "load", "subject"]


def entries() -> list[Entry]:
    """List what `NAME` can be, from the plainest to the fastest."""
    return list(ENTRIES)


def listing() -> str:
    """List what `NAME` can be as text: a line for each, and one for what it lacks here, its variants too."""
    width = max(len(name) for entry in ENTRIES for name in entry.names) + 2
    lines = []
    for entry in ENTRIES:
        lines += [f"{name:<{width}}{summary}" for name, summary in entry.names.items()]
        if entry.missing:
            remedy = f"; {entry.install}" if entry.install else ""
            lines.append(f"{'':<{width}}missing: {entry.missing}{remedy}")
    return "\n".join(lines) + "\n"


def load(spec: str, directory: Path | None = None) -> Any:
    """Load the implementation that a SPEC names; paths and packages are looked for from `directory` (here).

    Raises SpecError saying what is wrong with the spec, or with what it names.
    """
    return _resolve(spec, directory or Path.cwd())[0]


def subject(spec: str, directory: Path) -> Subject:
    """Load the implementation that a SPEC names, as a Subject.

    Raises SpecError as `load` does, and where it offers no operation or declares what makes no sense.
    """
    namespace, script = _resolve(spec, directory)
    try:
        return Subject(spec, namespace, script)
    except ValueError as error:
        hint = files.better_object(spec, namespace)
        raise SpecError(f"{spec}: {error}" + (f"; {hint}" if hint else "")) from error
    except Exception as error:  # from an attribute that is made when it is read
        raise files.failed(spec, "cannot be read", error) from error


def _resolve(spec: str, directory: Path) -> tuple[object, tuple[str, ...]]:
    """Return the namespace that a spec names and the lines of a script that load it."""
    file = files.FILE.fullmatch(spec)
    if file is not None:
        return files.from_file(spec, Path(directory, Path(file[1]).expanduser()).resolve(), file[2])
    if "/" in spec or "\\" in spec:
        path = Path(directory, spec.partition(":")[0])
        raise SpecError(f"{spec}: {files.no_file(path)}")
    name, _, version = spec.partition("@")
    module = re.fullmatch(r"(\w+(?:\.\w+)*)(?::(.*))?", spec)
    if module is not None and ("." in spec or ":" in spec):
        return files.from_module(spec, module[1], module[2], directory)
    return _from_registry(spec, name, version, directory)


def release_elsewhere(spec: str, directory: Path | None = None) -> tuple[Entry, str] | None:
    """Give the engine and the release that a SPEC asks for, where that is not the one installed here, else None.

    Raises SpecError where there is no such implementation or variant.
    """
    name, _, version = spec.partition("@")
    entry, _ = _entry(spec, name, directory or Path.cwd())
    if not entry.foreign or not VERSION.fullmatch(version) or entry.without_gpu:
        return None
    installed = "" if entry.install else entry.version
    return None if version in (installed, installed.partition("+")[0]) else (entry, version)


def _entry(spec: str, name: str, directory: Path) -> tuple[Entry, list[str]]:
    """Find the entry of that name, and the variants that are asked for."""
    name, *variants = name.split("+")
    entry = next((entry for entry in ENTRIES if entry.name == name), None)
    if entry is None:
        raise SpecError(f"{spec}: {_unknown_name(name, directory)}")
    for variant in variants:
        if variant not in entry.variants:
            accepted = " or ".join(f"{name}+{known}" for known in entry.variants) or f"{name} alone"
            raise SpecError(f"{spec}: {name} has no variant {variant!r}; accepted is {accepted}")
    return entry, variants


def _from_registry(spec: str, name: str, version: str, directory: Path) -> tuple[object, tuple[str, ...]]:
    entry, variants = _entry(spec, name, directory)
    if entry.missing:
        remedy = f"; {entry.install}" if entry.install else ""
        apart = (
            f", or ask for a release: {spec}@RELEASE has an environment of its own"
            if remedy and "@" not in spec
            else ""
        )
        raise SpecError(f"{spec}: {entry.missing}{remedy}{apart if entry.foreign else ''}")
    if "@" in spec:
        _hold_version(spec, entry, version)
    try:
        namespace = entry.load(variants)
    except Exception as error:
        raise SpecError(f"{spec}: {type(error).__name__}: {error}") from error
    return namespace, (f"from impls import registry  {HOW_TO_RUN}", f"implementation = registry.load({spec!r})")


def _hold_version(spec: str, entry: Entry, version: str) -> None:
    """Refuse a release that is not the installed one; "2.13.0" means "2.13.0+cpu" as well."""
    if not entry.library:
        raise SpecError(f"{spec}: {entry.name} is part of Poolproof and has no releases; accepted is {entry.name}")
    if version not in (entry.version, entry.version.partition("+")[0]):
        raise SpecError(
            f"{spec}: {entry.library} {entry.version} is installed here; another release needs an environment "
            f"of its own, where {entry.library}=={version or 'VERSION'} is installed"
        )


def _unknown_name(name: str, directory: Path) -> str:
    names = [entry.name for entry in ENTRIES]
    scripts = [path.name for path in sorted(directory.glob("*.py"))]
    slip = f"{name}.py" in scripts  # a missing .py is the likeliest of all
    if not slip and name and Path(directory, name).exists():
        return files.no_file(Path(directory, name))
    hint = f" (did you mean {name}.py?)" if slip else meant(name, [*names, *scripts])
    return (
        f"no implementation is called {name!r}{hint}; there are {', '.join(names)}, "
        f"and file.py[:object] and package.module[:object] name your own"
    )
