"""A failure's message tells what is wrong, and brings a command, an @example and a script that show it again."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from impls import registry
from oracles.case import Case
from properties import messages, test_arrays, test_gradients, test_refusals, test_shape, test_switches, test_values
from properties.examiner import Examiner, set_under_test

ROOT = Path(__file__).parents[2]
EXACTLY = test_values.test_output_equals_the_definition_exactly
ROUNDED = test_values.test_output_equals_the_definition_within_rounding
BACKWARD = test_gradients.test_gradient_equals_the_definition_exactly

FLIPPED = (
    (ROOT / "examples/numpy_conv.py").read_text().replace("taps = w[..., fy, fx]", "taps = w[..., -1 - fy, -1 - fx]")
)
LAST = """
import numpy as np

def max_pool2d(x, *, size, stride, padding=(0, 0)):
    N, C, H, W = x.shape
    OH, OW = ((E + 2 * P - F) // S + 1 for E, F, S, P in zip((H, W), size, stride, padding))
    y, switches = np.full((N, C, OH, OW), -np.inf, x.dtype), np.zeros((N, C, OH, OW), np.int64)
    for n, c, oy, ox, fy, fx in np.ndindex(N, C, OH, OW, *size):
        iy, ix = oy * stride[0] - padding[0] + fy, ox * stride[1] - padding[1] + fx
        if 0 <= iy < H and 0 <= ix < W and x[n, c, iy, ix] >= y[n, c, oy, ox]:  # > would keep the first
            y[n, c, oy, ox], switches[n, c, oy, ox] = x[n, c, iy, ix], iy * W + ix
    return y, switches
"""
NINE = """
import numpy as np
dtypes = ("float16", "float32", "float64")

def out_size(W, F, S, P, dilation=1): return 9
def conv2d(x, w, b, *, stride, padding, dilation, groups):
    OH = (x.shape[2] + 2 * padding[0] - dilation[0] * (w.shape[2] - 1) - 1) // stride[0] + 1
    OW = (x.shape[3] + 2 * padding[1] - dilation[1] * (w.shape[3] - 1) - 1) // stride[1] + 1
    return np.full((x.shape[0], w.shape[0], OH, OW), 9.5, x.dtype)
def conv2d_backward(x, w, dy, **p): return np.full_like(x, 9.5), np.full_like(w, 9.5), np.full_like(w[:, 0, 0, 0], 9.5)
def max_pool2d(x, **p): return np.full_like(x, 9.5), np.full(x.shape, 9)
def max_pool2d_backward(dy, switches, x_shape): return np.full(x_shape, 9.5, dy.dtype)
def avg_pool2d(x, **p): return None
def avg_pool2d_backward(dy, x_shape, **p): return np.full(x_shape, 9.5, dy.dtype)
def l2_pool2d(x, **p): raise IndexError("index 3 is out of bounds for axis 0 with size 3")
def l2_pool2d_backward(x, dy, **p): return np.full_like(x, 9.5)
"""


def told(directory: Path, source: str, law, line: str, name: str = "mine.py", **options) -> str:
    """The message that a property has for an implementation in a file, on one case that it fails."""
    (directory / name).write_text(source)
    case = Case.parse(line)
    examiner = Examiner(registry.subject(name, directory), case.operation)
    set_under_test(examiner)
    with pytest.raises(AssertionError):
        law.law.one(examiner, case)
    assert examiner.failure is not None
    return messages.told(examiner, f"properties/test_x.py::{law.__name__}", law.law, *examiner.failure, **options)


def script(text: str) -> str:
    """The lines of a message that can be run by themselves."""
    return re.sub("^  ", "", text.split("see it alone:\n")[1], flags=re.MULTILINE)


def run(directory: Path, text: str, *, ours: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a message's script in another folder, with nothing on the path but where Poolproof is asked for."""
    elsewhere = directory / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "script.py").write_text(script(text))
    isolated = [] if ours else ["-I"]
    return subprocess.run(
        [sys.executable, *isolated, "-B", "script.py"],
        cwd=elsewhere, env={"PYTHONPATH": str(ROOT)} if ours else {}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


FLIPPED_TOLD = """\
mine.py: conv2d differs
property: Every output is what the definition gives; on integers, to the last bit.

1 of 1 elements of y differ; the worst is y[0, 0, 0, 0]
  got    0
  want   24
  error  24; the answer is exact, nothing else will do

float32, 1 image of 1 channel, 1 filter
  vertical   image 1, window 1, stride 1, padding 0 -> 1 output
  horizontal image 2, window 2, stride 1, padding 0 -> 1 output
data: narrow:24 seed=1

run this case again:
  pytest properties/test_x.py::test_output_equals_the_definition_exactly --impl=mine.py \
--case='conv2d float32 n1c1k1g1 i1k1s1p0,0d1 i2k2s1p0,0d1 narrow:24 seed=1'

pin it above the property:
  @example(case=Case.parse("conv2d float32 n1c1k1g1 i1k1s1p0,0d1 i2k2s1p0,0d1 narrow:24 seed=1"))

see it alone:
  import numpy as np, runpy, types
  implementation = types.SimpleNamespace(**runpy.run_path('{path}'))
  x = np.array([7, 5], "float32").reshape(1, 1, 1, 2)
  w = np.array([7, -5], "float32").reshape(1, 1, 1, 2)
  y = implementation.conv2d(x, w, None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)
  print(y[0, 0, 0, 0], 'should be', 24)"""

LAST_TOLD = """\
mine.py: max_pool2d differs
property: Where a maximum occurs twice in a window the switch is the first in row-major order.

1 of 2 elements of switches differ; the worst is switches[0, 0, 0, 1]
  got    2
  want   1
  error  1; the answer is exact, nothing else will do

float32, 1 image of 1 channel
  vertical   image 1, window 1, stride 1, padding 0 -> 1 output
  horizontal image 3, window 2, stride 1, padding 0 -> 2 outputs
data: narrow:24 seed=0

run this case again:
  pytest properties/test_x.py::test_ties_go_to_the_first_maximum --impl=mine.py \
--case='max_pool2d float32 n1c1 i1k1s1p0,0d1 i3k2s1p0,0d1 narrow:24 seed=0'

pin it above the property:
  @example(case=Case.parse("max_pool2d float32 n1c1 i1k1s1p0,0d1 i3k2s1p0,0d1 narrow:24 seed=0"))

see it alone:
  import numpy as np, runpy, types
  implementation = types.SimpleNamespace(**runpy.run_path('{path}'))
  x = np.array([1, -3, -3], "float32").reshape(1, 1, 1, 3)
  y, switches = implementation.max_pool2d(x, stride=(1, 1), padding=(0, 0), size=(1, 2))
  print(switches[0, 0, 0, 1], 'should be', 1)"""

FLIPPED_CASE = "conv2d float32 n1c1k1g1 i1k1s1p0,0d1 i2k2s1p0,0d1 narrow:24 seed=1"
LAST_CASE = "max_pool2d float32 n1c1 i1k1s1p0,0d1 i3k2s1p0,0d1 narrow:24 seed=0"
FIRST = test_switches.test_ties_go_to_the_first_maximum


def test_a_flipped_filter_is_told(tmp_path):
    text = told(tmp_path, FLIPPED, EXACTLY, FLIPPED_CASE)
    assert text == FLIPPED_TOLD.replace("{path}", str(tmp_path / "mine.py"))
    assert run(tmp_path, text).stdout == "0.0 should be 24\n"


def test_a_last_maximum_is_told(tmp_path):
    text = told(tmp_path, LAST, FIRST, LAST_CASE)
    assert text == LAST_TOLD.replace("{path}", str(tmp_path / "mine.py"))
    assert run(tmp_path, text).stdout == "2 should be 1\n"


SHOWN = [
    (EXACTLY, "conv2d float32 n2c4k2g2 i4k3s2p1,1d1 i3k2s1p0,0d2 wide:24 seed=5 bias"),
    (ROUNDED, "conv2d float64 n1c1k1g1 i3k2s1p0,0d1 i3k2s1p0,0d1 gauss seed=1"),
    (ROUNDED, "conv2d float16 n1c1k1g1 i3k2s1p0,0d1 i3k2s1p0,0d1 gauss seed=1 bias"),
    (EXACTLY, "conv2d float32 n1c2k1g1 i3k2s1p0,0d1 i3k2s1p0,0d1 scaled:24:-140:100:0 seed=1"),
    (EXACTLY, "conv2d float32 n1c2k1g1 i3k2s1p0,0d1 i3k2s1p0,0d1 non_finite seed=1"),
    (BACKWARD, "conv2d_backward float64 n1c2k2g1 i3k2s1p1,1d1 i4k3s2p0,0d1 wide:53 seed=2"),
    (BACKWARD, "max_pool2d_backward float32 n1c2 i4k2s1p1,1d1 i3k2s2p0,0d1 wide:24 seed=3"),
    (BACKWARD, "avg_pool2d_backward float32 n1c2 i4k2s1p1,1d1 i3k2s2p0,0d1 wide:24 seed=3 exclude_pad"),
    (BACKWARD, "l2_pool2d_backward float32 n1c2 i4k2s1p1,1d1 i3k2s2p0,0d1 wide:24 seed=3"),
    (
        test_switches.test_each_gradient_goes_to_its_switch_and_nowhere_else,  # which makes its own dy
        "max_pool2d_backward float32 n1c1 i4k2s1p1,1d1 i3k2s2p0,0d1 narrow:24 seed=3",
    ),
    (
        test_arrays.test_arrays_lie_in_memory_in_any_way,
        "conv2d float32 n1c2k1g1 i3k2s1p0,0d1 i3k2s1p0,0d1 narrow:24 seed=1 layout=negative",
    ),
]


@pytest.mark.parametrize(("law", "line"), SHOWN, ids=[line for _, line in SHOWN])
def test_the_script_prints_the_wrong_value_beside_the_right_one(law, line, tmp_path):
    text = told(tmp_path, NINE, law, line)
    done = run(tmp_path, text)
    assert not done.stderr
    got, _, want = done.stdout.strip().partition(" should be ")
    assert got == "9.5"
    assert want == re.search(r"^  want   (.*)$", text, re.MULTILINE)[1] or float(want) == pytest.approx(
        float(re.search(r"^  want   (.*)$", text, re.MULTILINE)[1]), rel=1e-15, nan_ok=True
    )
    assert max(len(line) for line in script(text).splitlines() if "np.array" in line) <= 120


REFUSED = "conv2d float32 n1c1k2g1 i3k2s1p0,0d1 i3k2s1p0,0d1 narrow:24 seed=1 fault="
WITHOUT_PLACE = [
    (EXACTLY, "avg_pool2d float32 n1c1 i3k2s1p0,0d1 i3k2s1p0,0d1 wide:24 seed=1", "None\n", "y is None where a NumPy"),
    (
        test_shape.test_out_size_counts_the_windows,
        f"out_size {LAST_CASE[11:]}",
        "9\n",
        "dilation=1) is 9 where 1 windows fit",
    ),
    (test_refusals.test_out_size_refuses_what_the_operations_refuse, f"out_size {LAST_CASE[11:]}", "9\n", "image_0"),
    (test_refusals.test_invalid_calls_are_refused, REFUSED + "bias_of_one", "[[[[9.5", "a bias of shape (1,) for 2"),
    (test_refusals.test_invalid_calls_are_refused, REFUSED + "bias_a_number", "[[[[9.5", "a bias of shape () for 2"),
]


@pytest.mark.parametrize(("law", "line", "printed", "due"), WITHOUT_PLACE, ids=[line for _, line, *_ in WITHOUT_PLACE])
def test_the_script_makes_the_very_call_and_says_what_is_due(law, line, printed, due, tmp_path):
    text = told(tmp_path, NINE, law, line)
    assert run(tmp_path, text).stdout.startswith(printed)
    assert due in script(text).splitlines()[-1]


def test_the_script_of_what_raised_raises(tmp_path):
    text = told(tmp_path, NINE, EXACTLY, "l2_pool2d float32 n1c1 i3k2s1p0,0d1 i3k2s1p0,0d1 wide:24 seed=1")
    assert "the call raised IndexError: index 3 is out of bounds for axis 0 with size 3" in text
    assert f"at     {tmp_path}/mine.py:1" in text
    assert run(tmp_path, text).stderr.endswith("IndexError: index 3 is out of bounds for axis 0 with size 3\n")


def test_large_arrays_are_drawn_again_by_poolproof(tmp_path):
    text = told(tmp_path, NINE, EXACTLY, "conv2d float32 n3c3k1g1 i13k2s1p0,0d1 i13k2s1p0,0d1 wide:24 seed=1")
    assert "np.array" not in text
    assert "of Poolproof: run at the root of its clone" in text
    done = run(tmp_path, text, ours=True)
    assert done.stdout.startswith("9.5 should be "), done.stderr


def test_an_implementation_finds_what_lies_beside_it(tmp_path):
    (tmp_path / "beside_it.py").write_text(NINE)
    text = told(tmp_path, "from beside_it import conv2d\n", EXACTLY, FLIPPED_CASE)
    assert run(tmp_path, text).stdout == "9.5 should be 24\n"


@pytest.mark.parametrize("line", [FLIPPED_CASE, SHOWN[-1][1], SHOWN[7][1]])
def test_command_and_example_name_the_case(line, tmp_path):
    law = SHOWN[-1][0] if "layout" in line else BACKWARD if "backward" in line else EXACTLY
    text = told(tmp_path, NINE, law, line, name="my file.py")
    command = shlex.split(re.search("^  (pytest .*)$", text, re.MULTILINE)[1])
    assert command == ["pytest", f"properties/test_x.py::{law.__name__}", "--impl=my file.py", f"--case={line}"]
    found = re.search(r'^  @example\(case=Case\.parse\("(.*)"\)\)$', text, re.MULTILINE)
    assert Case.parse(found[1]) == Case.parse(line)


def test_a_case_that_was_not_made_smaller_says_so(tmp_path):
    text = told(tmp_path, NINE, EXACTLY, FLIPPED_CASE, shrunk=False)
    assert "not made smaller, as conv2d had failed before; alone it would be:\n  pytest properties/test_x.py" in text


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
def test_arrays_are_spelled_to_the_last_bit(dtype):
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 2**63, 150).astype(np.uint64).view(np.uint8)
    array = bits.view(dtype)[:300].reshape(2, 3, -1) if dtype != "int64" else rng.integers(-9, 2**62, (2, 3, 5))
    array = np.concatenate([array, np.zeros_like(array[:1]), -np.zeros_like(array[:1])])
    text = messages.spelled(array)
    back = eval(text, {"np": np})  # a text of our own making
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    same = (back.view(f"i{array.itemsize}") == array.view(f"i{array.itemsize}")) | (np.isnan(array) & np.isnan(back))
    assert same.all()
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_empty_arrays_are_spelled(dtype):
    array = np.zeros((0, 2, 3, 1), dtype)
    assert eval(messages.spelled(array), {"np": np}).shape == array.shape
