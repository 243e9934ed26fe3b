"""Values as JSON, their arrays in shared memory: what is passed to an implementation and what comes back. Python 3.9.

Nothing is pickled. What is no number, text, tuple, list, dict or array comes back as an object of a type of the same
name: enough to say that it is not what was due. So do masked arrays and the like; arrays of objects, as arrays of None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

LONGEST = 10_000  # bits of an int
_PLAIN = frozenset((type(None), bool, int, float, str))


def encoded(value: Any, put: Callable[[Any], Any]) -> Any:
    """Make JSON of a value; `put` takes each array and gives what stands for it."""
    kind = type(value)
    if kind is int and value.bit_length() > LONGEST:
        return {"o": "int"}
    if kind in _PLAIN:
        return value
    if kind is np.ndarray or isinstance(value, np.generic):
        array = np.asarray(value)
        if array.dtype.hasobject or array.dtype.names:
            return {"n": list(array.shape)}
        return {"a" if isinstance(value, np.ndarray) else "s": put(array)}
    if isinstance(value, tuple):
        return {"t": [encoded(item, put) for item in value]}
    if isinstance(value, list):
        return [encoded(item, put) for item in value]
    if isinstance(value, dict):
        return {"d": {str(key): encoded(item, put) for key, item in value.items()}}
    return {"o": kind.__name__}


def decoded(value: Any, get: Callable[[Any], Any]) -> Any:
    """Make the value again; `get` gives the array for what stands for it."""
    if isinstance(value, list):
        return [decoded(item, get) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, inside),) = value.items()
    if kind == "a":
        return get(inside)
    if kind == "s":
        return get(inside)[()]
    if kind == "t":
        return tuple(decoded(item, get) for item in inside)
    if kind == "d":
        return {key: decoded(item, get) for key, item in inside.items()}
    if kind == "n":
        return np.empty(inside, object)
    return type(str(inside), (), {})()
