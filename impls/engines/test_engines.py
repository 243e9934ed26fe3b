"""Each engine that is installed answers through its adapter, says what it declines, and refuses by ValueError."""
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls import loops, registry
from impls.engines.calls import around, plain, refusing
from impls.isolation import choice
from impls.whole_numbers import DIVISIBLE, whole

ROOT = Path(__file__).parents[2]
ENGINES = [entry for entry in registry.entries() if entry.foreign]
CONVOLUTION: dict[str, Any] = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
POOLING: dict[str, Any] = {"size": (2, 3), "stride": (2, 2), "padding": (0, 0)}
CELLS, OVERLAP = 6, 2  # of such a window, and windows that hold a cell


@pytest.fixture(params=ENGINES, ids=lambda entry: entry.name, scope="module")
def subject(request: pytest.FixtureRequest) -> Any:
    """The engine in a process of its own: a dozen of them in one would get in each other's way."""
    if request.param.missing:
        pytest.skip(request.param.missing)
    return choice.load(request.param.name, ROOT, "always")


def given(subject, shape, seed):
    """Whole numbers in a format that the engine takes, small enough for float16."""
    return whole(shape, seed).astype(subject.declared.dtypes[0])


def supported(subject, operation, **parameters):
    if not subject.offers(operation) or subject.supports(operation, x_shape=(1, 2, 6, 7), **parameters):
        pytest.skip(f"{subject.spec} offers no {operation}, or not so")


def spelled(subject, keywords):
    """The keywords as the engine's options spell them."""
    asymmetric = "asymmetric_padding" in subject.declared.options
    return {**keywords, "padding": ((0, 0), (0, 0))} if asymmetric else keywords


def test_convolutions_are_those_of_the_loops(subject):
    keywords = spelled(subject, CONVOLUTION)
    supported(subject, "conv2d", **keywords)
    x, w, b = given(subject, (1, 2, 6, 7), 1), given(subject, (3, 2, 3, 2), 2), given(subject, (3,), 3)
    for bias in (b, None):
        y = subject.call("conv2d", x, w, bias, **keywords)
        assert np.array_equal(y, loops.conv2d(x, w, bias, **CONVOLUTION))
    if subject.offers("conv2d_backward"):
        dy = given(subject, y.shape, 4)
        found = subject.call("conv2d_backward", x, w, dy, **keywords)
        for got, want in zip(found, loops.conv2d_backward(x, w, dy, **CONVOLUTION), strict=True):
            assert np.array_equal(got, want)


def test_maxima_are_those_of_the_loops(subject):
    keywords = spelled(subject, POOLING)
    supported(subject, "max_pool2d", **keywords)
    x = given(subject, (1, 2, 6, 7), 5)
    y, switches = subject.call("max_pool2d", x, **keywords)
    want = loops.max_pool2d(x, **POOLING)
    assert np.array_equal(y, want[0])
    assert switches is None or np.array_equal(switches, want[1])


@pytest.mark.parametrize("operation", ["avg_pool2d", "l2_pool2d"])
def test_averages_and_norms_are_those_of_the_loops(subject, operation):
    keywords = spelled(subject, POOLING)
    supported(subject, operation, **keywords)
    of, back = getattr(loops, operation), getattr(loops, f"{operation}_backward")
    x, average = given(subject, (1, 2, 6, 7), 6), operation == "avg_pool2d"
    y = subject.call(operation, x, **keywords)
    assert close(y, of(x, **POOLING), CELLS + 1 if average else CELLS / 2 + 3, of(np.abs(x), **POOLING))
    if subject.offers(f"{operation}_backward"):
        dy = (given(subject, y.shape, 7) * DIVISIBLE).astype(x.dtype)
        arrays, magnitudes = ((dy, x.shape), (abs(dy), x.shape)) if average else ((x, dy), (abs(x), abs(dy)))
        dx = subject.call(f"{operation}_backward", *arrays, **keywords)
        roundings = OVERLAP + 2 if average else CELLS / 2 + 5 + OVERLAP
        assert close(dx, back(*arrays, **POOLING), roundings, back(*magnitudes, **POOLING))


def close(got, want, roundings, magnitudes):
    """Whether two sums differ by what so many roundings on both sides make of their magnitudes.

    How many there are stands, for each operation, in oracles/rounding.py.
    """
    units = np.finfo(want.dtype).eps * magnitudes.astype(np.float64)  # twice the unit roundoff, for two sides
    return bool((np.abs(got.astype(np.float64) - want.astype(np.float64)) <= roundings * units).all())


def test_it_says_which_release_it_is(subject):
    assert subject.name == subject.spec
    assert subject.declared.version


@pytest.mark.parametrize("entry", ENGINES, ids=lambda entry: entry.name)
def test_an_adapter_is_short_and_imports_its_engine_only_when_it_is_made(entry):
    module = inspect.getclosurevars(entry.load).nonlocals.get("module", "torch")
    lines = (Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 310
    script = f"import sys; import impls.engines.{module}; sys.exit({entry.library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_paddings_are_spelled_out():
    assert around((1, 2)) == around([[1, 1], (2, 2)]) == ((1, 1), (2, 2))


def test_plain_arrays_are_passed_as_they_are_and_others_copied():
    array = np.arange(6.0).reshape(2, 3)
    assert np.shares_memory(plain(array), array)
    for other in (array.T, array[:, ::-1], array.astype(">f8")):
        assert plain(other).flags.c_contiguous
        assert plain(other).dtype.isnative
        assert np.array_equal(plain(other), other)


@pytest.mark.parametrize(
    ("error", "raised", "said"),
    [(KeyError("k"), ValueError, "engine: KeyError: 'k'"), (MemoryError("none left"), MemoryError, "none left")],
)
def test_what_an_engine_raises_is_a_refusal_but_for_a_lack_of_memory(error, raised, said):
    @refusing("engine")
    def call() -> None:
        raise error

    with pytest.raises(raised, match=said):
        call()


def test_the_shortest_adapter_is_shown_as_it_stands():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"```python\n{(Path(__file__).parent / 'onnx.py').read_text(encoding='utf-8')}```" in page
