"""What the runner does with its own faults, with Ctrl-C, with results that come and go, and with later failures."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from properties.selfcheck.command_line import QUICK, VALUES, fill, run
from reports import ledger

EXACTLY = f"{VALUES}::test_output_equals_the_definition_exactly"
FILES = {
    "each_twentieth.py": """
from impls import im2col
calls = []
def conv2d(x, w, b, **p):
    calls.append(1)
    return im2col.conv2d(x, w, b, **p) + (len(calls) % 20 == 0)
""",
    "counts.py": """
from impls import im2col
calls = 0
def conv2d(x, w, b, **p):
    global calls
    calls += 1
    return im2col.conv2d(x, w, b, **p) + (30 <= calls < 33)  # one of which has an image
""",
    "flipped.py": """
from impls import im2col
def conv2d(x, w, b, **p): return im2col.conv2d(x, w[:, :, ::-1, ::-1], b, **p)
""",
    "interrupted.py": """
import gc
from impls import im2col
calls = 0
def once(phase, info):
    gc.callbacks.remove(once)
    raise KeyboardInterrupt
def conv2d(x, w, b, **p):
    global calls
    calls += 1
    if calls == 150:  # in the second property
        gc.callbacks.append(once)
        gc.collect()
    return im2col.conv2d(x, w, b, **p)
""",
    "never_even.py": """
from impls import im2col
def conv2d(x, w, b, **p): return im2col.conv2d(x, w, b, **p)
def supports(operation, **p): return None if p["stride"][0] % 2 else "even strides are to come"
""",
    "stale.py": """
import numpy as np
from impls import im2col
seen = 0
def conv2d(x, w, b, **p):
    global seen
    y = im2col.conv2d(x, w, b, **p) + (seen > 2)
    seen += 1
    return y
""",
    "broken.py": """
def pytest_collection_finish(session):
    import properties.examiner
    def judge(expected, result): return {}["no such key"]
    properties.examiner.judge = judge
""",
}


@pytest.fixture
def here(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_fault_of_ours_is_not_charged_to_the_implementation(here):
    done = run(here, EXACTLY, "--impl=im2col", "-k", "conv2d", "-p", "broken", *QUICK)
    assert done.returncode == 1
    assert "a fault of Poolproof, not of im2col: KeyError: 'no such key'" in done.stdout
    assert "im2col differs" not in done.stdout
    (row,) = ledger.rows(here / "results")
    assert (row.verdict, row.message) == ("not reached", "")


def test_the_page_is_drawn_by_the_command_that_is_told(here):
    pytest.importorskip("jinja2", reason="pip install -c constraints.txt jinja2 matplotlib pandas")
    done = run(here, EXACTLY, "--impl=flipped.py", *QUICK)
    (command,) = re.findall(r"^page: (.*)$", done.stdout, re.MULTILINE)
    command = command.replace("python", sys.executable).removesuffix(")") + f" --out={here / 'page.html'})"
    subprocess.run(command, shell=True, cwd=here, check=True, capture_output=True)
    assert "flipped.py" in (here / "page.html").read_text()


def test_what_does_not_happen_again_is_said_to_come_and_go(here):
    done = run(here, EXACTLY, "--impl=counts.py", *QUICK)
    assert done.returncode == 1
    assert "counts.py: conv2d differs" in done.stdout
    assert "tried again 20 times, this case passes: what is returned depends on earlier calls, or varies" in done.stdout
    assert "--case=" not in done.stdout


def test_what_fails_in_each_twentieth_call_is_said_to_vary_with_how_often(here):
    done = run(here, EXACTLY, "--impl=each_twentieth.py", *QUICK)
    assert "each_twentieth.py: conv2d nondeterministic" in done.stdout
    assert "it failed in 1 of 21 further runs" in done.stdout


def test_what_fails_after_other_calls_alone_is_said_to_depend_on_them(here):
    done = run(here, EXACTLY, "--impl=stale.py", *QUICK)
    assert done.returncode == 1
    assert "in a process of its own, this case passes: what is returned depends on earlier calls" in done.stdout
    assert "--case=" not in done.stdout


def test_an_interrupt_that_python_cannot_raise_ends_the_run(here):
    done = run(here, VALUES, "--impl=interrupted.py", "--isolate=never", *QUICK)
    assert done.returncode == 2, done.stdout
    assert "KeyboardInterrupt" in done.stdout
    assert {row.verdict for row in ledger.rows(here / "results") if row.examples} == {"agrees"}


def test_a_hundred_cases_are_examined_beside_those_that_are_declined(here):
    done = run(here, EXACTLY, "--impl=never_even.py", *QUICK)
    assert done.returncode == 0, done.stdout
    rows = [row for row in ledger.rows(here / "results") if row.examples]
    assert sum(row.examples for row in rows) == 100
    assert 60 < sum(row.unsupported for row in rows) < 140


def test_a_later_failure_of_an_operation_is_told_in_brief(here):
    done = run(here, VALUES, "--impl=flipped.py", *QUICK)
    assert done.stdout.count("flipped.py: conv2d differs") == 2
    assert done.stdout.count("not made smaller, as conv2d had failed before") == 1
    assert done.stdout.count("see it alone:") == 1


DECLINING = """
from mine import conv2d
def supports(operation, *, stride, **_):
    return None if tuple(stride) == (1, 1) else "strides are to come"
"""


@pytest.mark.parametrize(("glance", "status"), [((), 1), (("--glance",), 0)])
def test_what_is_mostly_declined_is_mistrusted_but_at_a_glance(tmp_path, glance, status):
    here = fill(tmp_path)
    (here / "declining.py").write_text(DECLINING)
    one = f"{VALUES}::test_output_equals_the_definition_exactly"
    done = run(here, one, *QUICK, "--impl=declining.py", *glance)
    assert done.returncode == status, done.stdout
    assert ("cases are declared unsupported" in done.stdout) == (not glance)
