"""Which implementations get a process of their own."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from impls import registry
from impls.files import FILE, SpecError
from impls.subject import Subject

if TYPE_CHECKING:
    from impls.isolation.process import Limits

HOW = ("auto", "always", "never")


def load(spec: str, directory: Path, how: str = "auto", limits: Limits | None = None) -> Subject:
    """Load what a SPEC names as a Subject, in a process of its own, where calls have limits, or in this one.

    "auto" isolates what is not the project's own NumPy code: files and modules of the user, and engines. Raises
    SpecError as registry.subject does, and for "always" where the system is not Linux.
    """
    entry = _entry(spec)
    on_linux = sys.platform == "linux"
    if how == "always" and not on_linux:
        raise SpecError(f"{spec}: only on Linux can it have a process of its own")
    if how == "never" or not on_linux or (how == "auto" and _ours(spec, entry)):
        return registry.subject(spec, directory)
    python, release = sys.executable, entry and registry.release_elsewhere(spec)
    if release:
        from impls import releases

        python = releases.python_with(*release)
    elif entry is not None and entry.missing:
        return registry.subject(spec, directory)  # which says what is missing
    from impls.isolation.process import Limits
    from impls.isolation.subject import IsolatedSubject

    if entry is not None and entry.gpu:  # its driver stands no fork, and reserves more memory than there is
        limits = dataclasses.replace(limits or Limits(), memory=0)
        return IsolatedSubject(spec, directory, limits, fork=False, python=python)
    return IsolatedSubject(spec, directory, limits, python=python)


def is_the_user_s(spec: str) -> bool:
    """Whether a SPEC names a file or a module that does not come with the project."""
    entry = _entry(spec)
    return entry is None and not _ours(spec, entry)


def _entry(spec: str) -> registry.Entry | None:
    name = spec.partition("@")[0].partition("+")[0]
    return next((entry for entry in registry.entries() if entry.name == name), None)


def _ours(spec: str, entry: registry.Entry | None) -> bool:
    if entry is not None:
        return not entry.foreign
    if FILE.fullmatch(spec) or "." in spec or ":" in spec:
        return spec.startswith("impls.") and not spec.startswith("impls.engines.")
    return True  # a name that there is not
