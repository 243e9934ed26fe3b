"""Which implementations get a process of their own."""

from __future__ import annotations

import sys
from pathlib import Path

from impls import registry
from impls.files import FILE, SpecError
from impls.subject import Subject

HOW = ("auto", "always", "never")


def load(spec: str, directory: Path, how: str = "auto") -> Subject:
    """Load what a SPEC names as a Subject, in a process of its own or in this one.

    "auto" isolates what is not the project's own NumPy code: files and modules of the user, and engines. Raises
    SpecError as registry.subject does, and for "always" where the system is not Linux.
    """
    name = spec.partition("@")[0].partition("+")[0]
    entry = next((entry for entry in registry.entries() if entry.name == name), None)
    on_linux = sys.platform == "linux"
    if how == "always" and not on_linux:
        raise SpecError(f"{spec}: only on Linux can it have a process of its own")
    if how == "never" or not on_linux or (how == "auto" and _ours(spec, entry)):
        return registry.subject(spec, directory)
    if entry is not None and entry.missing:
        return registry.subject(spec, directory)  # which says what is missing
    from impls.isolation.subject import IsolatedSubject

    if entry is not None and entry.gpu:  # its driver stands no fork, and reserves more memory than there is
        return IsolatedSubject(spec, directory, fork=False, memory=0)
    return IsolatedSubject(spec, directory)


def _ours(spec: str, entry: registry.Entry | None) -> bool:
    if entry is not None:
        return not entry.foreign
    if FILE.fullmatch(spec) or "." in spec or ":" in spec:
        return spec.startswith("impls.") and "_adapter" not in spec
    return True  # a name that there is not
