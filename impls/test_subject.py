"""A subject tells what it offers, takes and supports, and where what it raises comes from."""
# mypy: allow-untyped-defs, allow-untyped-calls

import ctypes
import functools
import math
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from impls import places
from impls.bridges import from_nhwc, from_torch
from impls.subject import Subject


def subject_of(**attributes):
    return Subject("mine.py", SimpleNamespace(**attributes))


def test_a_subject_tells_what_it_offers_and_takes():
    def conv2d(x, w, b, *, stride, padding): ...

    subject = subject_of(conv2d=conv2d, avg_pool2d=lambda x, **p: x, l2_pool2d=None, out_size=divmod)
    assert [subject.offers(o) for o in ("conv2d", "avg_pool2d", "l2_pool2d", "prepare")] == [True, True, False, False]
    assert [subject.takes("conv2d", p) for p in ("stride", "groups")] == [True, False]
    assert subject.takes("avg_pool2d", "ceil_mode")


def test_what_cannot_be_inspected_is_trusted_to_take_everything():
    class Opaque:
        __signature__ = "none"

        def __call__(self, *arrays, **parameters): ...

    assert subject_of(conv2d=Opaque()).takes("conv2d", "groups")


def test_an_operation_must_be_a_function():
    with pytest.raises(ValueError, match="conv2d = 3: accepted is a function, or None where it is not offered"):
        subject_of(conv2d=3)


def test_supports_must_be_a_function():
    with pytest.raises(ValueError, match="supports = True: accepted is a function"):
        subject_of(avg_pool2d=abs, supports=True)


def test_the_reasons_of_supports_are_passed_on():
    def supports(operation, **parameters):
        return "3x3 only" if parameters.get("size") == (2, 2) else None

    subject = subject_of(avg_pool2d=abs, supports=supports)
    assert subject.supports("avg_pool2d", size=(2, 2)) == "3x3 only"
    assert subject.supports("avg_pool2d", size=(3, 3)) is None
    assert subject.supports("conv2d") == "mine.py does not offer conv2d"
    assert subject_of(conv2d=abs).supports("conv2d", groups=7) is None


@pytest.mark.parametrize("returned", [True, False, "", 0])
def test_supports_must_give_none_or_a_reason(returned):
    subject = subject_of(conv2d=abs, supports=lambda operation, **p: returned)
    with pytest.raises(ValueError, match=f"returned {returned!r}; accepted is None.* or a string, the reason why not"):
        subject.supports("conv2d")


@pytest.mark.parametrize(
    "ask",
    [
        lambda subject: subject.call("l2_pool2d"),
        lambda subject: subject.probe("repeats", "l2_pool2d", [], {}),
        lambda subject: subject.probe("prepared", "conv2d", [], {}),
        lambda subject: subject.takes("prepare", "w"),
    ],
    ids=["call", "probe", "prepared", "takes"],
)
def test_what_is_not_offered_cannot_be_called(ask):
    with pytest.raises(LookupError, match=r"mine\.py does not offer .*; it offers conv2d"):
        ask(subject_of(conv2d=abs))


def test_what_the_implementation_raises_is_raised():
    def refuses(x):
        raise ValueError("stride 0")

    with pytest.raises(ValueError, match="stride 0"):
        subject_of(conv2d=refuses).call("conv2d", 1)


def test_floating_point_warnings_are_no_verdict_and_others_are_only_shown():
    def warns(x):
        warnings.warn("mean of empty slice", RuntimeWarning, stacklevel=1)
        warnings.warn("to be removed", DeprecationWarning, stacklevel=1)
        return np.float32(x) / np.zeros(1, np.float32)

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("error")
        before = list(warnings.filters)
        assert np.isinf(subject_of(conv2d=warns).call("conv2d", 1.0))
        assert warnings.filters == before
        with np.errstate(all="raise"):
            assert np.isinf(subject_of(conv2d=warns).probe("repeats", "conv2d", [1.0], {})["outputs"][0][0])
        assert warnings.filters == before
        with pytest.raises(RuntimeWarning, match="ours"):
            warnings.warn("ours", RuntimeWarning, stacklevel=1)
    assert {str(warning.message) for warning in shown} == {"to be removed"}


def test_calls_that_overlap_in_threads_leave_the_warning_filters_as_they_were():
    both = threading.Barrier(2)
    subject = subject_of(conv2d=lambda x: both.wait(5))
    before = list(warnings.filters)
    threads = [threading.Thread(target=subject.call, args=("conv2d", i)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


# --- Where what it raises comes from ---------------------------------------------------------------------------------


def plain(x, w): ...


def passed_on(function):
    @functools.wraps(function)
    def call(*arrays, **parameters):
        return function(*arrays, **parameters)

    return call


@functools.cache
@passed_on
def decorated(x, w): ...


class _Kernel:
    def __init__(self, x=None, w=None): ...

    def method(self, x, w): ...

    @staticmethod
    def static(x, w): ...

    @classmethod
    def of_class(cls, x, w): ...

    def __call__(self, x, w): ...


named = lambda x, w: None  # noqa: E731


def source(line):
    """Find the one line of this file that begins so, and tell its place."""
    lines = Path(__file__).read_text().splitlines()
    (number,) = (number for number, text in enumerate(lines, 1) if text.strip().startswith(line))
    return f"{__file__}:{number}  {lines[number - 1].strip()}"


def noted(function, *arrays, error=TypeError, **parameters):
    """Call a function as a subject's, and return the place that is noted on what it raises."""
    with pytest.raises(error) as raised:
        subject_of(conv2d=function).call("conv2d", *arrays, **parameters)
    return places.noted(raised.value)


@pytest.mark.parametrize(
    ("function", "line"),
    [
        (plain, "def plain(x, w)"),
        (_Kernel().method, "def method("),
        (_Kernel.static, "def static("),
        (_Kernel.of_class, "def of_class("),
        (_Kernel(), "def __call__(self, x, w)"),
        (_Kernel, "def __init__("),
        (functools.partial(plain, 1), "def plain(x, w)"),
        (functools.partial(_Kernel(), w=1), "def __call__(self, x, w)"),
        (named, "named = lambda"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_keyword_that_a_function_does_not_have_leads_to_its_definition(function, line):
    assert noted(function, 0, stride=(1, 1)) == source(line)
    assert noted(from_nhwc(conv2d=function).conv2d, stride=(1, 1)) == source(line)


def test_a_keyword_that_is_missing_leads_to_the_definition():
    def conv2d(x, *, tile): ...

    assert noted(conv2d, 0) == source("def conv2d(x, *, tile)")


def test_the_line_of_a_definition_is_that_of_def_and_not_of_a_decorator():
    assert places.of_function(decorated) == source("def decorated(")
    assert noted(decorated, stride=1) == source("return function(*arrays, **parameters)")  # its wrapper got that far


@pytest.mark.parametrize(
    "function", [math.sqrt, np.add, ctypes.CDLL(None).abs, functools.partial(math.sqrt), "abc".join, dict, int]
)
def test_what_has_no_source_leads_nowhere(function):
    assert places.of_function(function) == ""
    assert noted(function, object(), object(), stride=2, error=Exception) == ""


def test_what_a_function_raises_leads_to_its_own_line():
    def conv2d(x):
        raise OSError("no kernel image")

    def calls_numpy(x):
        return np.linalg.inv(x)

    assert noted(conv2d, 0, error=OSError) == source('raise OSError("no kernel image")')
    singular = source("return np.linalg.inv(x)")
    assert noted(calls_numpy, np.zeros((2, 2)), error=np.linalg.LinAlgError) == singular


def test_what_torch_refuses_leads_to_the_line_that_asked_it():
    torch = pytest.importorskip("torch", reason="torch is not installed")

    def conv2d(x, w, b, stride):
        return torch.conv2d(x, w, b, stride)

    refusal = source("return torch.conv2d(x, w, b, stride)")
    bridge, x = from_torch(conv2d=conv2d), np.ones((1, 1, 1, 1))
    assert noted(bridge.conv2d, x, x, None, stride=(0, 0), error=ValueError) == refusal
    assert noted(bridge.conv2d, x, x, None, tile=2) == source("def conv2d(x, w, b, stride)")
    assert noted(bridge.conv2d_backward, x, x, x, tile=2) == source("def conv2d(x, w, b, stride)")
    assert not Subject("bridge", bridge).takes("conv2d", "tile")


def test_a_probe_leads_to_the_function_that_it_called():
    def prepare(w): ...

    subject = subject_of(conv2d=plain, prepare=prepare)
    for probe, line in (("repeats", "def plain(x, w)"), ("threads", "def plain(x, w)"), ("prepared", "def prepare(w)")):
        with pytest.raises(TypeError) as raised:
            subject.probe(probe, "conv2d", [0, 0], {"stride": (1, 1)})
        assert places.noted(raised.value) == source(line), probe


def test_supports_leads_to_its_definition_too():
    def supports(operation, stride): ...

    with pytest.raises(TypeError) as raised:
        subject_of(conv2d=plain, supports=supports).supports("conv2d", padding=(0, 0))
    assert places.noted(raised.value) == source("def supports(operation, stride)")


def test_an_error_that_is_raised_again_and_again_is_noted_once():
    refusal = ValueError("too small")

    def conv2d(x):
        raise refusal

    for _ in range(3):
        assert noted(conv2d, 0, error=ValueError) == source("raise refusal")
    assert len(refusal.__notes__) == 1


def test_what_was_never_called_has_no_note():
    assert places.noted(ValueError("stride 0")) == ""


def test_the_files_that_call_are_there():
    assert all(Path(file).is_file() for file in places._CALLERS)
