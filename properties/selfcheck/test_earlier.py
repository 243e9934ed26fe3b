"""Where a case fails only after another call, that call is named, and a script makes both."""
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import re
import subprocess
import sys
import textwrap

import pytest

from oracles.case import Case
from properties import earlier
from properties.examiner import Examiner
from properties.selfcheck.command_line import ROOT, VALUES, fill, run
from properties.test_values import test_output_equals_the_definition_exactly as exactly

PLANS = """
from impls.im2col import conv2d as right
plans = {}
def conv2d(x, w, b, *, stride, **p):
    return right(x, w, b, stride=plans.setdefault((x.shape, w.shape), stride), **p)
"""
LINE = "conv2d float32 n1c1k1g1 i{}k1s{}p0,0d1 i1k1s1p0,0d1 narrow:24 seed=1"


@pytest.fixture
def examiner(tmp_path):
    from impls.isolation.subject import IsolatedSubject

    (tmp_path / "plans.py").write_text(PLANS)
    return Examiner(IsolatedSubject("plans.py", tmp_path), "conv2d")


def called(examiner, *cases):
    for case in cases:
        examiner.run(case)


def test_the_one_call_that_suffices_is_found_among_many(examiner):
    culprit, case = Case.parse(LINE.format(5, 2)), Case.parse(LINE.format(5, 1))
    others = [Case.parse(LINE.format(size, 1)) for size in range(6, 30)]
    called(examiner, *others[:17], culprit, *others[17:], case)
    assert earlier.culprit(examiner, exactly.law, case) == culprit


def test_none_is_named_where_none_suffices(examiner):
    case = Case.parse(LINE.format(5, 1))
    called(examiner, *(Case.parse(LINE.format(size, 1)) for size in range(6, 12)))
    assert earlier.culprit(examiner, exactly.law, case) is None


def test_the_message_tells_of_both_calls_and_its_script_makes_them(tmp_path):
    here = fill(tmp_path)
    (here / "plans.py").write_text(PLANS.replace("(x.shape, w.shape)", "w.shape"))
    done = run(here, VALUES, "--impl=plans.py", "-x", "--hypothesis-seed=0")
    told = re.search(r"this case passes; it fails after a call of conv2d on\n((?:  .*\n)+)\nsee both:\n((?:  .*\n)+)",
                     done.stdout)  # fmt: skip
    assert told, done.stdout
    assert told[1].count("  vertical ") == 1
    lines = textwrap.dedent(told[2])
    assert lines.count("implementation.conv2d(") == 2
    script = tmp_path / "both.py"
    script.write_text(lines)
    again = subprocess.run([sys.executable, str(script)], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True,
                           text=True)  # fmt: skip
    assert again.returncode == 0, again.stderr
