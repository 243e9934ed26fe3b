"""Names of implementations -> the implementations, loaded when they are asked for and not before.

A SPEC is NAME[+variant...][@VERSION] with a name of `entries()`, or file.py[:object], or package.module[:object].
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from impls import files
from impls.files import HOW_TO_RUN, SpecError
from impls.spelling import meant
from impls.subject import Subject

__all__ = ["Entry", "SpecError", "entries", "listing", "load", "subject"]


@dataclass(frozen=True)
class Entry:
    """An implementation that comes with Poolproof. Its library, where it needs one, is looked for and not imported."""

    name: str
    summary: str
    load: Callable[[Sequence[str]], object] = field(repr=False)  # its variants -> the namespace
    library: str = ""
    variants: Mapping[str, str] = field(default_factory=dict, hash=False)  # each with a summary of its own
    gpu: bool = False
    foreign: bool = False  # an engine, which may crash: it is given a process of its own

    @property
    def names(self) -> dict[str, str]:
        """What it can be asked for by, its variants one by one among them, each with a summary."""
        return {self.name: self.summary, **{f"{self.name}+{name}": told for name, told in self.variants.items()}}

    @property
    def install(self) -> str:
        """The command that would make it available, or "" where none would, or none is needed."""
        absent = self.library and importlib.util.find_spec(self.library) is None
        return f"pip install -c constraints.txt {self.library}" if absent else ""

    @property
    def missing(self) -> str:
        """The reason why it cannot run here, or "" where it can."""
        if self.install:
            return f"{self.library} is not installed"
        if self.gpu and not (any(Path("/dev").glob("nvidia[0-9]*")) or shutil.which("nvidia-smi")):
            return "no NVIDIA GPU here: neither a /dev/nvidia0 nor an nvidia-smi"
        if self.gpu and self.version.endswith("+cpu"):
            return f"{self.library} {self.version} is built for the CPU alone"
        return ""

    @property
    def version(self) -> str:
        """The installed release of its library, or "" where it has none."""
        return importlib.metadata.version(self.library) if self.library else ""


def entries() -> list[Entry]:
    """List what `NAME` can be, from the plainest to the fastest."""
    return list(_ENTRIES)


def listing() -> str:
    """List what `NAME` can be as text: a line for each, and one for what it lacks here."""
    names = {name: (summary, entry) for entry in _ENTRIES for name, summary in entry.names.items()}
    width = max(map(len, names)) + 2
    lines = []
    for name, (summary, entry) in names.items():
        lines.append(f"{name:<{width}}{summary}")
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


def _from_registry(spec: str, name: str, version: str, directory: Path) -> tuple[object, tuple[str, ...]]:
    name, *variants = name.split("+")
    entry = next((entry for entry in _ENTRIES if entry.name == name), None)
    if entry is None:
        raise SpecError(f"{spec}: {_unknown_name(name, directory)}")
    for variant in variants:
        if variant not in entry.variants:
            accepted = " or ".join(f"{name}+{known}" for known in entry.variants) or f"{name} alone"
            raise SpecError(f"{spec}: {name} has no variant {variant!r}; accepted is {accepted}")
    if entry.missing:
        raise SpecError(f"{spec}: {entry.missing}" + (f"; {entry.install}" if entry.install else ""))
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
    names = [entry.name for entry in _ENTRIES]
    scripts = [path.name for path in sorted(directory.glob("*.py"))]
    slip = f"{name}.py" in scripts  # a missing .py is the likeliest of all
    if not slip and name and Path(directory, name).exists():
        return files.no_file(Path(directory, name))
    hint = f" (did you mean {name}.py?)" if slip else meant(name, [*names, *scripts])
    return (
        f"no implementation is called {name!r}{hint}; there are {', '.join(names)}, "
        f"and file.py[:object] and package.module[:object] name your own"
    )


def _module(name: str) -> Callable[[Sequence[str]], object]:
    return lambda variants: importlib.import_module(f"impls.{name}")


def _torch(device: str) -> Callable[[Sequence[str]], object]:
    def load(variants: Sequence[str]) -> object:
        adapter = importlib.import_module("impls.torch_adapter")
        namespace: object = adapter.TorchAdapter(device=device, tf32="tf32" in variants)
        return namespace

    return load


_TF32 = {"tf32": "the same, where float32 operands may be rounded to TF32"}
_ENTRIES = (
    Entry("loops", "one output at a time, as lecture notes write it", _module("loops")),
    Entry("im2col", "windows stretched out into columns, then one matrix product", _module("im2col")),
    Entry("im2col-tiled", "the same, a few rows at a time in a buffer that stays in cache", _module("im2col_tiled")),
    Entry("fft", "a product of spectra, tile by tile where that pays", _module("fft"), "scipy"),
    Entry(
        "separable", "pools alone: down the columns, then across the rows, a chunk in cache at a time", _module("pools")
    ),
    Entry("torch-cpu", "PyTorch's operations on the CPU", _torch("cpu"), "torch", foreign=True),
    Entry(
        "torch-cuda", "PyTorch's operations on an NVIDIA GPU", _torch("cuda"), "torch", _TF32, gpu=True, foreign=True
    ),
)
