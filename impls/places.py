"""Places in source files, told as file:line and the line: where an error was raised, where a function is defined."""

from __future__ import annotations

import inspect
import linecache
import re
import sysconfig
import traceback
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import CodeType
from typing import Any

# What calls an implementation or imports it: no fault of an implementation lies there.
_CALLERS = frozenset(str(Path(__file__).with_name(f"{name}.py")) for name in ("bridges", "files", "probes", "subject"))
_STANDARD = Path(sysconfig.get_path("stdlib"))
_PACKAGES = {"site-packages", "dist-packages"}
_NOTE = "see "
_WIDEST = 160  # of a line of source


def of_error(error: BaseException) -> str:
    """Tell where an error was raised: the innermost line of its author's code, else of an installed package.

    An error raised by our own calling code is placed where its cause was; "" where no line can be shown.
    """
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_file():
        return _told(error.filename, error.lineno or 1)
    lines = [(frame.f_code.co_filename, number) for frame, number in traceback.walk_tb(error.__traceback__)]
    shown = [(file, number) for file, number in lines if _shown(file)]
    if not shown:
        return of_error(error.__cause__) if error.__cause__ is not None else ""
    authors = [(file, number) for file, number in shown if not _installed(file)]
    return _told(*(authors or shown)[-1])


def of_function(function: Callable[..., Any]) -> str:
    """Tell where a function, a method, a class or what can be called otherwise is defined: the line of its `def`.

    Decorators made with `functools.wraps` are seen through. "" for what has no source: a builtin, a function of C.
    """
    try:
        code = _code(function)
    except Exception:  # an object may raise whatever it likes when its attributes are read
        return ""
    if code is None or not _shown(code.co_filename):
        return ""
    linecache.checkcache(code.co_filename)
    numbers = range(code.co_firstlineno, len(linecache.getlines(code.co_filename)) + 1)
    if code.co_name != "<lambda>":  # the first line is that of the first decorator
        for number in numbers:
            if re.match(r"\s*(async\s+)?def\s", linecache.getline(code.co_filename, number)):
                return _told(code.co_filename, number)
    return _told(code.co_filename, code.co_firstlineno)


def note(error: BaseException, function: Callable[..., Any]) -> None:
    """Note on an error where it was raised, or where the function is defined if the call never got inside it.

    It is text, and stays with the error: a traceback does not leave its process.
    """
    place = of_error(error) or of_function(function)
    if place and _NOTE + place not in getattr(error, "__notes__", ()):  # one error may be raised again and again
        put(error, place)


def put(error: BaseException, place: str) -> None:
    """Note a place on an error: what `add_note` does, which Python 3.9 lacks."""
    error.__notes__ = [*getattr(error, "__notes__", ()), _NOTE + place]


def noted(error: BaseException) -> str:
    """Read where an error was raised, as `note` has told it last, or ""."""
    told = [text for text in getattr(error, "__notes__", ()) if text.startswith(_NOTE)]
    return told[-1].removeprefix(_NOTE) if told else ""


def _code(function: Any) -> CodeType | None:
    function = inspect.unwrap(function)
    if isinstance(function, partial):
        return _code(function.func)
    if isinstance(function, type):
        return _code(function.__init__)  # type: ignore[misc]
    if not inspect.isroutine(function):
        return _code(type(function).__call__)
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else None


@cache
def _shown(file: str) -> bool:
    """Tell whether a line of this file helps: it is there, and neither calling code of ours nor Python's own."""
    if file in _CALLERS or not Path(file).is_file():
        return False
    return _installed(file) or not Path(file).is_relative_to(_STANDARD)


@cache
def _installed(file: str) -> bool:
    return not _PACKAGES.isdisjoint(Path(file).parts)


def _told(file: str, number: int) -> str:
    linecache.checkcache(file)
    line = linecache.getline(file, number).strip()
    return f"{file}:{number}  {line if len(line) <= _WIDEST else line[:_WIDEST] + ' ...'}".rstrip()
