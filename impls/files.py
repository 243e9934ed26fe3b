"""Implementations from a user's file or package: found, imported as their author would, and asked for by object."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import pkgutil
import runpy
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

from impls.contract import OPERATIONS
from impls.subject import functions

CLONE = Path(__file__).resolve().parents[1]
HOW_TO_RUN = "# of Poolproof: run at the root of its clone, PYTHONPATH=. python script.py"


class SpecError(ValueError):
    """The SPEC of an implementation, or what it names, is not as it should be; the message says what would be."""


def from_file(spec: str, path: Path, name: str | None) -> tuple[object, tuple[str, ...]]:
    """Run a file and return the namespace it makes, or the object `name` in it, and a script that does the same.

    Raises SpecError where there is no such file or object, or where the file raises.
    """
    if not path.is_file():
        raise SpecError(f"{spec}: {no_file(path)}")
    with _importable(path.parent), _warning():
        try:
            found = runpy.run_path(str(path))
        except (Exception, SystemExit) as error:
            raise _failed(spec, "fails to import", error, path.parent) from error
    beside, ours = _imports(path)
    run = f"runpy.run_path({str(path)!r})"
    namespace: object
    if name is None:
        namespace, made = SimpleNamespace(**found), f"types.SimpleNamespace(**{run})"
    else:
        namespace, form = _object(spec, found, name, path.parent)
        made = form.format(f"{run}[{name!r}]")
    modules = ["runpy", *(["sys"] if beside else []), *(["types"] if "SimpleNamespace(" in made else [])]
    script = [f"import {', '.join(modules)}" + (f"  {HOW_TO_RUN}" if ours else "")]
    if beside:
        script.append(f"sys.path.insert(0, {str(path.parent)!r})")
    return namespace, (*script, f"implementation = {made}")


@contextmanager
def _warning() -> Iterator[None]:
    """Warnings of a user's file stay warnings, also where pytest is told to make errors of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        yield


def from_module(spec: str, module: str, name: str | None, directory: Path) -> tuple[object, tuple[str, ...]]:
    """Import a module, which may lie in `directory`, and return it or the object `name` in it, and a script.

    Raises SpecError where there is no such module or object, or where the module raises.
    """
    with _importable(directory), _warning():
        try:
            found = importlib.import_module(module)
        except (Exception, SystemExit) as error:
            if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
                raise SpecError(f"{spec}: {_no_module(module, directory)}") from error
            raise _failed(spec, "fails to import", error, directory) from error
    script = []
    if Path(found.__file__ or "/").is_relative_to(directory) and "site-packages" not in str(found.__file__):
        script = ["import sys", f"sys.path.insert(0, {str(directory)!r})"]
    if name is None:
        return found, (*script, f"import {module} as implementation")
    namespace, form = _object(spec, vars(found), name, directory)
    if form == "{}":
        return namespace, (*script, f"from {module} import {name} as implementation")
    return namespace, (
        *script,
        "import types",
        f"import {module}",
        f"implementation = {form.format(f'{module}.{name}')}",
    )


def no_file(path: Path) -> str:
    """Say that there is no such file, and which one may have been meant."""
    if path.is_dir():
        return f"{path} is a folder; accepted is a file in it, file.py[:object]"
    near = difflib.get_close_matches(path.name, [file.name for file in sorted(path.parent.glob("*.py"))], n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    place = path.parent if path.parent.is_dir() else f"{path.parent}, which does not exist"
    return f"there is no file {path.name} in {place}{hint}"


def better_object(spec: str, namespace: object) -> str:
    """Say what may have been meant by a namespace that offers no operation, or ""."""
    try:
        if functions(namespace):
            return ""
    except ValueError:
        return ""
    if inspect.isroutine(namespace):
        return f"{spec.rpartition(':')[2]} is a function: name what holds it, {spec.rpartition(':')[0]}"
    members = {name: value for name, value in getattr(namespace, "__dict__", {}).items() if not name.startswith("_")}
    offering = _offering(members)
    if offering:
        return f"did you mean {' or '.join(f'{spec}:{name}' for name in offering)}?"
    for name, value in members.items():
        near = difflib.get_close_matches(name, OPERATIONS, n=1, cutoff=0.8)
        if near and callable(value):
            return f"it has {name}: did you mean {near[0]}?"
    return ""


def _object(spec: str, found: Mapping[str, object], name: str, directory: Path) -> tuple[object, str]:
    """Return the namespace that an object of a file is, and how it is made from the object, as a format string."""
    if name not in found:
        public = [known for known in found if not known.startswith("_")]
        names = _offering(found) or [known for known in public if not isinstance(found[known], ModuleType)]
        near = difflib.get_close_matches(name, public, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise SpecError(f"{spec}: it has no object {name!r}{hint}; accepted is one of {', '.join(names) or 'none'}")
    value = found[name]
    if isinstance(value, dict):
        return SimpleNamespace(**value), "types.SimpleNamespace(**{})"
    if not isinstance(value, type):
        return value, "{}"
    try:
        inspect.signature(value).bind()
    except TypeError as error:
        raise SpecError(
            f"{spec}: {name} is a class that needs arguments ({error}); accepted is an object made of it, "
            f"such as one = {name}(...), then {spec.rpartition(':')[0]}:one"
        ) from error
    except ValueError:
        pass  # a class of an extension module shows no signature: try
    try:
        return value(), "{}()"
    except Exception as error:
        raise _failed(spec, "cannot be made", error, directory) from error


def _offering(found: Mapping[str, object]) -> list[str]:
    """Return the names of the objects in a file that offer some operation; modules it has imported do not count."""

    def offers(value: object) -> bool:
        try:
            return bool(functions(SimpleNamespace(**value) if isinstance(value, dict) else value))
        except (TypeError, ValueError):
            return False

    return [
        name
        for name, value in found.items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and offers(value)
    ]


def _no_module(module: str, directory: Path) -> str:
    parent, _, _ = module.rpartition(".")
    places = getattr(sys.modules.get(parent), "__path__", None) if parent else [str(directory)]
    names = [f"{parent}.{known.name}".lstrip(".") for known in pkgutil.iter_modules(places or [str(directory)])]
    near = difflib.get_close_matches(module, names, n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"there is no module {module}{hint}, neither in {directory} nor among the installed packages"


def _failed(spec: str, what: str, error: BaseException, directory: Path) -> SpecError:
    """Name the line of the user's code that an import stopped at, and none of ours."""
    message = f"{spec} {what}: {type(error).__name__}: {error}"
    if isinstance(error, SyntaxError) and error.filename:
        file, number, line = error.filename, error.lineno, (error.text or "").strip()
        message = f"{spec} {what}: {type(error).__name__}: {error.msg}"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        theirs = [
            frame
            for frame in frames
            if Path(frame.filename).is_relative_to(directory) and "site-packages" not in frame.filename
        ]
        others = [
            frame for frame in frames if Path(frame.filename).is_file() and Path(frame.filename) != Path(__file__)
        ]
        if not theirs and not others:
            return SpecError(message)
        last = (theirs or others)[-1]
        file, number, line = last.filename, last.lineno, last.line or ""
    return SpecError(f"{message}\n  {file}, line {number}: {line}")


def _imports(path: Path) -> tuple[bool, bool]:
    """Tell whether a file imports something that lies beside it, and whether it imports something of ours."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    beside = {name for name in names if _beside(name, path.parent)}
    return bool(beside), "impls" in names - beside


def _beside(name: str, directory: Path) -> bool:
    return (directory / f"{name}.py").is_file() or (directory / name).is_dir()


_brought: dict[
    str, Path
] = {}  # module -> the folder it was found in, for what a user's file has imported from beside it


@contextmanager
def _importable(directory: Path) -> Iterator[None]:
    """Import from `directory` first, as `python file.py` would; afterwards last, for what is imported late.

    Two files may each have a `kernel.py` beside them: the second must not be given the first one's.
    """
    importlib.invalidate_caches()
    for module, origin in list(_brought.items()):
        if origin != directory and _beside(module.partition(".")[0], directory):
            sys.modules.pop(module, None)
            del _brought[module]
    before = set(sys.modules)
    sys.path.insert(0, str(directory))
    try:
        yield
    finally:
        sys.path.remove(str(directory))
        if str(directory) not in sys.path:
            sys.path.append(str(directory))
        if directory != CLONE:  # what lies there is ours, and imported once
            for module in set(sys.modules) - before:
                if Path(getattr(sys.modules[module], "__file__", None) or "/").is_relative_to(directory):
                    _brought[module] = directory
