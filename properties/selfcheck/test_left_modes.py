"""A mode that a call leaves changed is told where results differ: it may be why."""

from __future__ import annotations

import os

import pytest

from properties.selfcheck.command_line import run
from properties.selfcheck.test_isolation import CONV, QUICK, VALUES, failing

ROUNDS = """
import ctypes
from impls.im2col import conv2d as right
mode = ctypes.CDLL("libm.so.6").fesetround
def conv2d(x, w, b, **parameters):
    mode(0xC00)  # toward zero, on x86
    return right(x, w, b, **parameters)
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of the rounding mode is that of x86")
def test_where_results_differ_a_mode_that_a_call_leaves_changed_is_told(tmp_path):
    (tmp_path / "rounds.py").write_text(ROUNDS)
    within = f"{VALUES}::test_output_equals_the_definition_within_rounding"
    run(tmp_path, within, "--impl=rounds.py", *QUICK, *CONV)
    rows = [row for row in failing(tmp_path) if row.verdict == "differs"]
    told = "left   after a call this is not as it was: the processor's floating-point mode: rounding to nearest -> "
    assert rows
    assert all(told in row.message for row in rows)
