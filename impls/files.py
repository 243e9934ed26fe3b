"""Implementations from a user's file or package: found, imported as their author would, and asked for by object."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

from impls import places
from impls.contract import OPERATIONS
from impls.spelling import meant
from impls.subject import functions

CLONE = Path(__file__).resolve().parents[1]
HOW_TO_RUN = "# of Poolproof: run at the root of its clone, PYTHONPATH=. python script.py"
FILE = re.compile(r"(.+\.py)(?::(.*))?")  # file.py[:object]

_MOST, _WIDEST = 3, 300  # lines shown of what an error says, and characters of each


class SpecError(ValueError):
    """The SPEC of an implementation, or what it names, is not as it should be; the message says what would be."""


def from_file(spec: str, path: Path, name: str | None) -> tuple[object, tuple[str, ...]]:
    """Run a file and return the namespace it makes, or the object `name` in it, and a script that does the same.

    Raises SpecError where there is no such file or object, or where the file raises.
    """
    if not path.is_file():
        raise SpecError(f"{spec}: {no_file(path)}")
    called = _module_name(path)
    with _importable(path.parent), _warning():
        try:
            found = vars(_module(path, called))
        except (Exception, SystemExit) as error:
            raise failed(spec, "fails to import", error, str(path)) from error
    beside, ours = _imports(path)
    run = f"runpy.run_path({str(path)!r})"
    namespace: object
    if name is None:
        namespace, made = SimpleNamespace(**found), f"types.SimpleNamespace(**{run})"
    else:
        namespace, form = _object(spec, found, name)
        made = form.format(f"{run}[{name!r}]")
    modules = ["runpy", *(["sys"] if beside else []), *(["types"] if "SimpleNamespace(" in made else [])]
    script = [f"import {', '.join(modules)}" + (f"  {HOW_TO_RUN}" if ours else "")]
    if beside:
        script.append(f"sys.path.insert(0, {str(path.parent)!r})")
    return namespace, (*script, f"implementation = {made}")


def _module(path: Path, name: str) -> ModuleType:
    """Run a file as a module of that name, and keep no bytecode: a file that is changed is run as it is."""
    module = ModuleType(name)
    module.__file__, module.__spec__ = str(path), importlib.util.spec_from_file_location(name, path)
    before, sys.modules[name] = sys.modules.get(name), module
    try:
        exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), vars(module))
    except BaseException:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise
    return module


def _module_name(path: Path) -> str:
    """Name the module that a file becomes: as it is called, unless another module is called so."""
    stem = path.stem
    if not stem.isidentifier():
        return f"implementation_{re.sub(r'[^0-9a-zA-Z_]', '_', stem)}"
    try:
        known = sys.modules.get(stem)
        origin = getattr(known, "__file__", "") if known else getattr(importlib.util.find_spec(stem), "origin", None)
    except (ImportError, ValueError):  # a module that has no spec, such as __main__
        origin = ""
    return stem if origin is None or Path(origin or "/") == path else f"implementation_{stem}"


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
                raise SpecError(f"{spec}: {_no_module(module, str(error.name), directory)}") from error
            raise failed(spec, "fails to import", error) from error
    script = []
    if Path(found.__file__ or "/").is_relative_to(directory) and "site-packages" not in str(found.__file__):
        script = ["import sys", f"sys.path.insert(0, {str(directory)!r})"]
    if name is None:
        return found, (*script, f"import {module} as implementation")
    namespace, form = _object(spec, vars(found), name)
    if form == "{}":
        return namespace, (*script, f"from {module} import {name} as implementation")
    return namespace, (
        *script,
        "import types",
        f"import {module}",
        f"implementation = {form.format(f'{module}.{name}')}",
    )


def no_file(path: Path) -> str:
    """Say that there is no such file, or none of Python's, and which one may have been meant."""
    if path.is_dir():
        return f"{path} is a folder; accepted is a file in it, file.py[:object]"
    if path.is_file():
        return f"{path} is no .py file; accepted is file.py[:object]"
    hint = meant(path.name, (file.name for file in sorted(path.parent.glob("*.py"))))
    place = path.parent if path.parent.is_dir() else f"{path.parent}, which does not exist"
    return f"there is no file {path.name} in {place}{hint}"


def better_object(spec: str, namespace: object) -> str:
    """Say what may have been meant by a namespace that offers no operation, or ""."""
    holder, name = _parted(spec)
    if inspect.isroutine(namespace):
        wanted = holder if name in OPERATIONS else f"{holder}, and give it the name of an operation"
        return f"{name} is a function: name what holds it, {wanted}"
    try:
        if functions(namespace):
            return ""
    except Exception:  # an object may raise whatever it likes when its attributes are read
        return ""
    offering = _offering(getattr(namespace, "__dict__", {}))
    if offering and name:
        inner = offering[0]
        return f"its {inner} offers some: give that a name of its own in {holder}, then {holder}:{inner}"
    if offering:
        return f"did you mean {' or '.join(f'{spec}:{inner}' for inner in offering)}?"
    for member in dir(namespace):
        value = inspect.getattr_static(namespace, member, None)  # which runs nothing of the user's
        if callable(value) and not member.startswith("_") and (hint := meant(member, OPERATIONS, cutoff=0.8)):
            return f"it has {member}{hint}"
    return ""


def _parted(spec: str) -> tuple[str, str]:
    """Part a spec into the file or module and the object in it, "" where it names none."""
    file = FILE.fullmatch(spec)
    holder, _, name = (file[1], ":", file[2]) if file else spec.partition(":")
    return holder, name or ""


def _object(spec: str, found: Mapping[str, object], name: str) -> tuple[object, str]:
    """Return the namespace that an object of a file is, and how it is made from the object, as a format string."""
    if name not in found:
        hint = meant(name, _offering(found, modules=True))
        raise SpecError(f"{spec}: it has no object {name!r}{hint}{_accepted(spec, found)}")
    value = found[name]
    if isinstance(value, dict):
        return SimpleNamespace(**value), "types.SimpleNamespace(**{})"
    if not isinstance(value, type):
        return value, "{}"
    if lacking := _lacking(value):
        raise SpecError(
            f"{spec}: {name} is a class that needs arguments ({lacking}); accepted is an object made of it, "
            f"such as one = {name}(...), then {_parted(spec)[0]}:one"
        )
    try:
        return value(), "{}()"
    except Exception as error:
        raise failed(spec, "cannot be made", error, places.of_function(value)) from error


def _accepted(spec: str, found: Mapping[str, object]) -> str:
    """Say which objects of a file offer some operation, and whether the file does so by itself."""
    names, itself = ", ".join(_offering(found)), f"{_parted(spec)[0]} alone" if _offers(dict(found)) else ""
    if names and itself:
        return f"; accepted is one of {names}, or {itself}"
    if names:
        return f"; accepted is one of {names}"
    return f"; accepted is {itself}" if itself else ", and none that offers an operation"


def _offering(found: Mapping[str, object], modules: bool = False) -> list[str]:
    """Return the names of the objects in a file that can be used, since they offer some operation.

    A class that needs arguments cannot be; modules that the file has imported are left out unless asked for.
    """
    return [
        name
        for name, value in found.items()
        if not name.startswith("_") and (modules or not isinstance(value, ModuleType)) and _offers(value)
    ]


def _offers(value: object) -> bool:
    try:
        offered = functions(SimpleNamespace(**value) if isinstance(value, dict) else value)
    except Exception:  # an object may raise whatever it likes when its attributes are read
        return False
    return bool(offered) and not (isinstance(value, type) and _lacking(value))


def _lacking(made: type) -> str:
    """Say which argument a class cannot be called without, or ""."""
    try:
        inspect.signature(made).bind()
    except TypeError as error:
        return str(error)
    except ValueError:
        pass  # a class of an extension module shows no signature: try
    return ""


def _no_module(module: str, absent: str, directory: Path) -> str:
    """Say which part of a module's name leads nowhere, and what may have been meant."""
    if Path(directory, module).is_file():
        return no_file(Path(directory, module))
    parent, _, last = absent.rpartition(".")
    holder = sys.modules.get(parent)
    if holder is not None and not hasattr(holder, "__path__"):
        hint = meant(last, _offering(vars(holder), modules=True), lambda name: f"{parent}:{name}")
        return f"{parent} is a module and no package; an object in it is {parent}:object{hint}"
    within = holder.__path__ if holder is not None else [str(directory)]
    names = (f"{parent}.{known.name}".lstrip(".") for known in pkgutil.iter_modules(within))
    return f"there is no module {absent}{meant(absent, names)}, neither in {directory} nor among the installed packages"


def failed(spec: str, what: str, error: BaseException, place: str = "") -> SpecError:
    """Say what the user's code raised, and at which of its lines; `place` where no line of it can be told."""
    said = error.msg if isinstance(error, SyntaxError) and error.filename else str(error)
    lines = [line if len(line) <= _WIDEST else f"{line[:_WIDEST]} ..." for line in said.strip().splitlines()]
    shown = [*lines[:_MOST], "..."] if len(lines) > _MOST else lines
    message = ": ".join([f"{spec} {what}", type(error).__name__, *["\n  ".join(shown)] * bool(shown)])
    place = places.of_error(error) or place
    return SpecError(f"{message}\n  at {place}" if place else message)


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


# module -> the folder it was found in, for what a user's file has imported from beside it
_brought: dict[str, Path] = {}


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
