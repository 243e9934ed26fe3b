"""Arrays that a file of the user's makes with NumPy and hands to native code: here memset and memmove of ctypes."""
# mypy: allow-untyped-defs, allow-untyped-calls

import numpy as np
import pytest

from impls.isolation import diagnosis, failures
from impls.isolation.subject import SIDES, IsolatedSubject

X, W, PLAIN = np.ones((1, 2, 5, 5), "f4"), np.ones((3, 2, 1, 1), "f4"), {"stride": (1, 1), "padding": (0, 0)}
BOUNDS = "wrote or read out of bounds"
FILE = """
import ctypes
import numpy as np
from impls.im2col import conv2d as right

kept = {{}}

def conv2d(x, w, b, **parameters):
    y = right(x, w, b, **parameters)
    made = np.{maker}
    made[...] = y
    start, end = made.ctypes.data, made.ctypes.data + made.nbytes
    {does}
    return made
"""
MAKERS = ("empty(y.shape, y.dtype)", "zeros_like(y)", "full(y.shape, 1, y.dtype)")


def written(tmp_path, does, maker=MAKERS[0]):
    (tmp_path / "made.py").write_text(FILE.format(does=does, maker=maker))
    return IsolatedSubject("made.py", tmp_path)


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize(
    ("does", "what"),
    [
        ("ctypes.memset(end, 0, 4)", "it writes 4 bytes past the end of the result"),
        ("ctypes.memset(start - 8, 0, 8)", "it writes 8 bytes before the start of the result"),
        ("made = made.reshape(-1); ctypes.memset(end, 0, 4)", "it writes 4 bytes past the end of the result"),
        ("ctypes.memset(end, 0, 4); made = y", "it writes 4 bytes past the end of an array that it has made"),
    ],
)
def test_what_is_written_around_them_is_named(tmp_path, does, what, maker):
    subject = written(tmp_path, does, maker)
    for side in SIDES:
        subject.side = side
        with pytest.raises((failures.WroteAround, failures.Crashed)) as caught:
            subject.call("conv2d", X, W, None, **PLAIN)
        if isinstance(caught.value, failures.WroteAround):
            assert str(caught.value) == what
        else:
            assert diagnosis.cause(subject) == diagnosis.Cause(BOUNDS, what)


def test_memory_behind_them_is_not_read_unseen(tmp_path):
    subject = written(tmp_path, "ctypes.memmove(ctypes.create_string_buffer(8), end - 4, 8)")
    subject.side = "right"
    with pytest.raises(failures.Crashed):
        subject.call("conv2d", X, W, None, **PLAIN)
    told = "it reads past the end of an array that it has made"
    assert diagnosis.cause(subject) == diagnosis.Cause(BOUNDS, told)


def test_cells_that_were_never_written_are_named(tmp_path):
    subject = written(tmp_path, "made = np.empty(y.shape, y.dtype); made[:, :, :4] = 1")
    with pytest.raises(failures.LeftUnwritten, match=r"15 of 75 cells of the result were never .* at \[0, 0, 4, 0\]"):
        subject.call("conv2d", X, W, None, **PLAIN)


@pytest.mark.parametrize(
    "does",
    [
        "made = np.empty((2, *y.shape), y.dtype)[1]; made[...] = y",  # a part of one, the rest of which is not written
        "np.empty(y.shape, y.dtype)",
        "kept[y.shape] = made",
        "kept.setdefault('all', []).extend(np.empty(1 << 10) for _ in range(100))",
        "made = np.concatenate([made.astype(complex).real]).astype(y.dtype)",
        "made = np.empty(made.shape, 'c8'); made[...] = y; made = made.real.copy()",
    ],
)
def test_what_is_no_fault_is_none(tmp_path, does):
    subject, want = written(tmp_path, does), np.full((1, 3, 5, 5), 2, "f4")
    for _ in range(3):
        assert (subject.call("conv2d", X, W, None, **PLAIN) == want).all()


def test_an_array_that_is_kept_stays_as_it_is(tmp_path):
    subject = written(tmp_path, "made = kept.setdefault('first', made).copy()")
    for value in (2, 3, 4):
        y = subject.call("conv2d", X, np.full_like(W, value / 2), None, **PLAIN)
        assert (y == 2).all()  # of the first call, as the file has it


def test_between_calls_numpy_is_as_it_was(tmp_path):
    text = FILE.format(maker=MAKERS[0], does="pass") + "\nbefore = np.empty\n"
    text += "def supports(operation, **parameters):\n    return np.empty is before\n"
    (tmp_path / "made.py").write_text(text)
    subject = IsolatedSubject("made.py", tmp_path)
    assert (subject.call("conv2d", X, W, None, **PLAIN) == 2).all()
    assert subject.reason("conv2d", {}) is True


@pytest.mark.parametrize(
    "copy",
    ["array(x, order='C')", "copy(x)", "ascontiguousarray(x[:, ::-1])", "require(x[::1, ::-1], requirements='C')"],
)
def test_memory_behind_a_copy_of_an_input_is_not_read_unseen(tmp_path, copy):
    read = f"its = np.{copy}; ctypes.string_at(its.ctypes.data + its.nbytes, 4)"
    subject = written(tmp_path, read)
    with pytest.raises(failures.Crashed):
        subject.call("conv2d", X, W, None, **PLAIN)
    told = "it reads past the end of an array that it has made"
    assert diagnosis.cause(subject) == diagnosis.Cause(BOUNDS, told)


def test_what_is_as_it_is_wanted_is_not_copied(tmp_path):
    same = "assert np.ascontiguousarray(made) is made; assert np.require(made, 'f4', 'C') is made"
    assert (written(tmp_path, same).call("conv2d", X, W, None, **PLAIN) == 2).all()
