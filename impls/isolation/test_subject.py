"""An implementation in a process of its own is asked, and answers, as one in this process."""
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls import places, registry
from impls.files import SpecError
from impls.isolation.subject import IsolatedSubject
from impls.probes import PROBES
from impls.subject import Subject

ROOT = Path(__file__).parents[2]
PARAMETERS = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
X = np.arange(48, dtype="f4").reshape(1, 3, 4, 4)
W = np.arange(24, dtype="f4").reshape(2, 3, 2, 2)

EVERYTHING = """
import collections
import os
import sys
import numpy as np
from impls import im2col
from impls.im2col import conv2d, conv2d_backward, max_pool2d

name, version, limits, dtypes = "everything", "7", {"F": [3, 1]}, ["float32"]
CUBE = np.arange(24.0).reshape(2, 3, 4)
Pair = collections.namedtuple("Pair", "y switches")

class Odd:
    pass

RESULTS = {
    **{f"of {dtype}": np.arange(6).reshape(2, 3).astype(dtype) for dtype in
       ("f2", "f4", "f8", ">f4", "i1", "i8", "u2", "?", "c8", "S3", "U3", "M8[s]")},
    "fortran": np.asfortranarray(CUBE), "transposed": CUBE.T, "strided": CUBE[:, ::2, 1::2], "reversed": CUBE[::-1],
    "broadcast": np.broadcast_to(CUBE[0], (5, 3, 4)), "empty": np.zeros((0, 4), "f4"), "no axes": np.array(2.5, "f4"),
    "NaN": np.array([np.nan, -0.0, np.inf], "f4"), "large": np.arange(300_000.0),
    "tuple": (CUBE, CUBE[0]), "named tuple": Pair(CUBE, 1), "list": [CUBE, None, 3], "nested": ([1, (2, CUBE)], ()),
    "dict": {"a": CUBE, "b": [None]}, "none": None, "int": 3, "long": 1 << 200, "bool": True, "float": 0.1, "text": "é",
    "NumPy int": np.int64(5), "NumPy float": np.float32(0.1), "NumPy bool": np.bool_(True),
    "masked": np.ma.masked_array(CUBE, CUBE > 3), "own array": CUBE.view(type("Mine", (np.ndarray,), {})),
    "longer": 10**6000,
    "objects": np.array([None, "x"], object), "object": Odd(), "type": Odd, "lone surrogate": "\\ud800",
}

def prepare(w, **parameters):
    return w.copy()

def out_size(what):
    return RESULTS[what]

ERRORS = {
    "ValueError": ValueError("stride 0"), "LinAlgError": np.linalg.LinAlgError("singular"),
    "UnicodeDecodeError": UnicodeDecodeError("utf8", b"x", 0, 1, "no reason"), "KeyError": KeyError("C"),
    "OSError": OSError(2, "no such file"), "TypeError": TypeError("a list"), "AssertionError": AssertionError(),
    "Own": type("Own", (Exception,), {})("of my own"), "SystemExit": SystemExit(3),
    "RuntimeError": RuntimeError("x" * 4000),
}

def avg_pool2d(what):
    raise ERRORS[what]

class Mute(Exception):
    def __str__(self):
        return 1 / 0

UNUSUAL = {"Mute": Mute(), "Escapes": type("Escapes", (Exception,), {})("a \\x1b[31mb\\x00"),
           "ExceptionGroup": ExceptionGroup("several", [ValueError("a")])}

def avg_pool2d_backward(what):
    raise UNUSUAL[what]

def fork():
    return os.fork() and 7

def spam():
    for _ in range(12):
        os.write(1, b"x" * 65536)
    sys.stderr.write("y" * 1000)
    return 5

DOES = {"names": lambda: list(RESULTS), "environment": lambda: dict(os.environ), "fork": fork, "spam": spam}

def l2_pool2d(what):
    return DOES[what]()

def max_pool2d_backward(value):
    return value

def supports(operation, **parameters):
    return parameters.get("reason")
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("theirs") / "everything.py"
    path.write_text(EVERYTHING)
    return path


@pytest.fixture(scope="module")
def here(file):
    return registry.subject(file.name, file.parent)


@pytest.fixture(scope="module", params=[True, False], ids=["forked", "fresh"])
def isolated(request, file):
    return IsolatedSubject(file.name, file.parent, fork=request.param)


def alike(one: Any, other: Any) -> bool:
    """Whether two values are of the same types throughout, arrays of the same dtype, shape and bytes."""
    if isinstance(other, np.ndarray) and type(other) is not np.ndarray:
        return type(one).__name__ == type(other).__name__
    if isinstance(other, np.ndarray) and other.dtype.hasobject:
        return isinstance(one, np.ndarray) and one.dtype == object and one.shape == other.shape
    if isinstance(other, np.ndarray | np.generic):
        same = type(one) is type(other) and (one.dtype, one.shape) == (other.dtype, other.shape)
        return same and one.tobytes() == other.tobytes()
    if isinstance(other, tuple | list):
        same = isinstance(one, tuple if isinstance(other, tuple) else list) and len(one) == len(other)
        return same and all(map(alike, one, other))
    if isinstance(other, dict):
        return isinstance(one, dict) and one.keys() == other.keys() and all(alike(one[k], other[k]) for k in other)
    if isinstance(other, int) and other > 10**4000:
        return type(one).__name__ == "int"
    plain = other is None or isinstance(other, bool | int | float | str)
    return one == other if plain else type(one).__name__ == type(other).__name__


def test_every_kind_of_result_comes_back(here, isolated):
    for what in here.call("l2_pool2d", "names"):
        assert alike(isolated.call("out_size", what), here.call("out_size", what)), what


def test_every_kind_of_argument_arrives(isolated):
    given = [np.arange(6).reshape(2, 3).astype(dtype) for dtype in ("f2", "f4", "f8", ">f4", "i8", "?")]
    more = [given[2].T, given[2][:, ::-2], np.zeros((0, 3)), np.float32(2), np.broadcast_to(1.0, (3, 3)), np.array(4.0)]
    for value in (*given, *more, None, 3, 0.1, "é", (1, [2, (3,)]), {"a": (given[0], 1)}):
        assert alike(isolated.call("max_pool2d_backward", value), value)


@pytest.mark.parametrize(
    "error",
    ["ValueError", "LinAlgError", "UnicodeDecodeError", "KeyError", "OSError", "TypeError", "AssertionError", "Own",
     "SystemExit", "RuntimeError"],
)  # fmt: skip
def test_what_is_raised_is_raised_here(here, isolated, file, error):
    told = []
    for subject in (here, isolated):
        with pytest.raises((Exception, SystemExit)) as caught:
            subject.call("avg_pool2d", error)
        raised = caught.value
        told.append((type(raised).__name__, isinstance(raised, ValueError), str(raised), places.noted(raised)))
    assert told[0] == told[1]
    assert told[1][-1].startswith(f"{file}:")


@pytest.mark.parametrize(
    ("error", "said"),
    [("Mute", ""), ("Escapes", r"a \x1b[31mb\x00"), ("ExceptionGroup", "several (1 sub-exception)")],
)
def test_what_is_raised_and_cannot_be_told_as_it_is_has_its_name(isolated, error, said):
    with pytest.raises(Exception, match=re.escape(said) or "^") as caught:
        isolated.call("avg_pool2d_backward", error)
    assert (type(caught.value).__name__, str(caught.value)) == (error, said)


def test_it_declares_offers_takes_and_supports_the_same(here, isolated):
    assert (isolated.spec, isolated.name, isolated.script) == (here.spec, here.name, here.script)
    assert isolated.declared == here.declared
    assert isolated.offered == here.offered
    for operation in here.offered:
        assert isolated.accepted(operation) == here.accepted(operation)
    assert isolated.supports("conv2d") is None
    assert isolated.supports("conv2d", reason="not yet") == "not yet"
    assert isolated.supports("avg_pool2d_backward") == here.supports("avg_pool2d_backward")
    for subject in (here, isolated):
        with pytest.raises(ValueError, match=r"supports\('conv2d', ...\) returned 3; accepted is None"):
            subject.supports("conv2d", reason=3)
        with pytest.raises(LookupError, match="does not offer l2_pool2d_backward; it offers out_size, conv2d"):
            subject.call("l2_pool2d_backward")


PROBED: dict[str, dict[str, Any]] = {
    "layout": {"layout": "strided"},
    "by_keyword": {"names": ["x", "w", "b"]},
    "prepared": {"images": [X[:, :, :3]]},
    "kept": {"others": [([X[:, :, :3], W, None], PARAMETERS)]},
    "sequence": {"others": [([X[:, :, :3], W, None], PARAMETERS)]},
    "in_place": {"index": 1, "values": -W},
    "after_other": {
        "other": "conv2d",
        "first": ([X, W, None], PARAMETERS),
        "shared": [[0, 0]],
        "index": 0,
        "values": -X,
    },
    "after_refusal": {
        "invalid": ([X, W[:, :2], None], PARAMETERS),
        "others": [["conv2d", [X, W[:, :1], None], PARAMETERS]],
    },
}


@pytest.mark.parametrize("probe", PROBES)
def test_every_probe_tells_the_same(here, isolated, probe):
    told = [s.probe(probe, "conv2d", [X, W, None], PARAMETERS, **PROBED.get(probe, {})) for s in (here, isolated)]
    assert alike(told[1], told[0]), told


def test_what_cannot_be_loaded_is_told_in_the_same_words(tmp_path):
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "empty.py").write_text("")
    for spec in ("broken.py", "empty.py", "absent.py", "im2call", "impls.nothing"):
        with pytest.raises(SpecError) as here:
            registry.subject(spec, tmp_path)
        with pytest.raises(SpecError) as there:
            IsolatedSubject(spec, tmp_path)
        assert str(there.value) == str(here.value)


def test_a_file_that_ends_or_crashes_when_imported_is_told(tmp_path):
    (tmp_path / "ends.py").write_text("import os\nos._exit(5)\n")
    (tmp_path / "crashes.py").write_text("import ctypes\nctypes.string_at(0)\n")
    with pytest.raises(SpecError, match=r"ends\.py fails to import: the process ended itself, with status 5"):
        IsolatedSubject("ends.py", tmp_path)
    with pytest.raises(SpecError, match=r"crashes\.py fails to import: the process died of SIGSEGV"):
        IsolatedSubject("crashes.py", tmp_path)


def test_a_folder_of_the_user_stands_in_for_no_standard_module(tmp_path):
    for module in ("json", "socket", "struct", "memory", "wire", "process"):
        (tmp_path / f"{module}.py").write_text("raise RuntimeError('not this one')\n")
    (tmp_path / "mine.py").write_text("from impls.im2col import conv2d\n")
    assert IsolatedSubject("mine.py", tmp_path).offered == ["conv2d"]


def test_what_is_kept_between_calls_stays(tmp_path):
    (tmp_path / "counts.py").write_text(
        "calls = []\ndef out_size(*sizes):\n    calls.append(1)\n    return len(calls)\n"
    )
    subject = IsolatedSubject("counts.py", tmp_path)
    assert [subject.call("out_size") for _ in range(3)] == [1, 2, 3]
    subject.process.fresh()
    assert subject.call("out_size") == 1


def test_no_secret_of_the_environment_is_passed_on(file, monkeypatch):
    secrets = ("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "MY_API_KEY", "apikey", "DB_PASSWORD", "SSH_AUTH", "COOKIE_JAR",
               "DB_PASS", "MY_JWT", "THE_BEARER", "PGPASSFILE", "SSH_AUTH_SOCK", "PROXY_PWD")  # fmt: skip
    for name in secrets:
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("DATABASE", "postgres://me:hidden@host/base")
    monkeypatch.setenv("DSN", "Server=here;Uid=me;Pwd=hidden")
    for name in ("KEYBOARD", "PWD", "TOKENIZERS_PARALLELISM", "PASSIVE"):
        monkeypatch.setenv(name, "told")
    subject = IsolatedSubject(file.name, file.parent)
    environment = subject.call("l2_pool2d", "environment")
    assert "hidden" not in str(environment)
    assert all(environment[name] == "told" for name in ("KEYBOARD", "PWD", "TOKENIZERS_PARALLELISM", "PASSIVE"))
    assert environment["PATH"] == os.environ["PATH"]
    assert b"hidden" not in Path(f"/proc/{subject.process.running.pid}/environ").read_bytes()


def test_the_same_call_gives_the_same_bits_from_either_process():
    for name in ("im2col", "im2col-tiled", "loops"):
        one, other = registry.subject(name, ROOT), IsolatedSubject(name, ROOT)
        assert alike(other.call("conv2d", X, W, None, **PARAMETERS), one.call("conv2d", X, W, None, **PARAMETERS))


def test_it_is_a_subject_that_calls_when_its_functions_are_called(isolated):
    assert isinstance(isolated, Subject)
    assert re.fullmatch(r"IsolatedSubject\('everything\.py'\)", repr(isolated))


def test_calls_from_a_forked_process_of_the_implementation_answer_once(isolated):
    assert isolated.call("l2_pool2d", "fork") == 7
    assert isolated.call("out_size", "int") == 3


def test_what_is_printed_is_no_answer_and_is_bounded(isolated):
    assert isolated.call("l2_pool2d", "spam") == 5
    assert isolated.call("out_size", "int") == 3
    assert len(isolated.process.said) <= 1 << 16
