"""What a user types and what comes back: the exit status, and what is printed and kept."""

# ruff: noqa: E501 - what is printed on one line stands on one line

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from impls import registry
from properties.selfcheck.command_line import (
    CASE,
    FILES,
    PROPERTIES,
    QUICK,
    VALUES,
    command,
    environment,
    fill,
    run,
    verdicts,
)
from reports import ledger


@pytest.fixture
def here(tmp_path):
    return fill(tmp_path)


def test_every_form_of_a_spec_is_accepted(here):
    specs = (
        "im2col",
        "mine.py",
        "./one.py",
        "several.py:Two",
        "several.py:ready",
        "package.kernel",
        "package.kernel:im2col",
    )
    done = run(here, VALUES, *QUICK, *(f"--impl={spec}" for spec in specs), "-k", "exactly")
    assert done.returncode == 0, done.stdout
    agreeing = {spec for (spec, _, _), verdict in verdicts(here).items() if verdict == "agrees"}
    assert agreeing == set(specs)
    assert "7 implementations, 1 property, " in done.stdout


def test_an_implementation_is_listed_with_its_variants(here):
    done = run(here, VALUES, "--list-impls")
    assert done.returncode == 0
    names = [line.split()[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert names[:3] == ["loops", "im2col", "im2col-tiled"]
    assert "torch-cuda+tf32" in names
    assert all(len(line.split()) > 1 for line in done.stdout.splitlines()), done.stdout  # none stands alone
    entry = next(entry for entry in registry.entries() if entry.name == "torch-cuda")
    assert done.stdout.count(f"missing: {entry.missing}") == bool(entry.missing), done.stdout


def test_a_machine_of_ci_draws_new_cases_too_and_takes_a_seed(here):
    done = run(here, VALUES, "--results=results", "--impl=one.py", "--hypothesis-seed=1", variables={"CI": "true"})
    assert done.returncode == 0, done.stdout


def test_one_operation_is_enough(here):
    done = run(here, VALUES, *QUICK, "--impl=one.py")
    assert done.returncode == 0, done.stdout
    assert {key[2] for key, verdict in verdicts(here).items() if verdict == "agrees"} == {"l2_pool2d"}
    assert {verdict for key, verdict in verdicts(here).items() if key[2] != "l2_pool2d"} == {"unsupported"}
    assert "not offered by one.py: " in done.stdout


def test_nothing_checked_is_no_success(here):
    done = run(here, VALUES, *QUICK, "--impl=never.py")
    assert done.returncode == 1
    assert "not yet written (never.py: conv2d)" in done.stdout
    assert "nothing was checked" in done.stdout


def test_a_senseless_answer_of_supports_is_said_in_a_line(here):
    done = run(here, VALUES, *QUICK, "--impl=vague.py", "-k", "exactly", "-q")
    assert done.returncode == 1
    said = "\nvague.py: supports('conv2d', ...) returned False; accepted is None, which means supported, or a string, the reason"
    assert said in done.stdout
    assert "Traceback" not in done.stdout
    assert len(done.stdout.splitlines()) < 35


WRONG = {
    "raise RuntimeError('no kernel image')": ("raised", "the call raised RuntimeError: no kernel image\n  at     {here}/bad.py:3"),
    "raise ValueError('too small')": ("refused what is valid", "this case is valid; if it is not meant to be offered, declare"),
    "return None": ("differs", "y is None where a NumPy array is due"),
    "return right(x, w, b, **p).tolist()": ("differs", "y is a list where a NumPy array is due"),
    "return right(x, w, b, **p)[0]": ("differs", "y has shape (1, 1, 1) where (1, 1, 1, 1) is due"),
    "return right(x, w, b, **p).astype('float16')": ("differs", "y has dtype float16 where float32 is due"),
    "return right(x, w, b, **p) * np.nan": ("differs", "1 of 1 elements of y differ; the worst is y[0, 0, 0, 0]\n  got    nan"),
}  # fmt: skip


@pytest.mark.parametrize("body", WRONG)
def test_what_is_no_result_is_diagnosed(body, here):
    (here / "bad.py").write_text(
        f"import numpy as np\nfrom mine import conv2d as right\ndef conv2d(x, w, b, **p): {body}\n"
    )
    done = run(here, VALUES, *QUICK, "--impl=bad.py", "-k", "exactly and conv2d")
    verdict, said = WRONG[body]
    assert done.returncode == 1, done.stdout
    assert set(verdicts(here).values()) == {verdict}
    assert said.format(here=here) in done.stdout
    assert "see it alone:" in done.stdout
    assert "Traceback" not in done.stdout


LACKS = {
    "from impls.im2col import conv2d_backward\ndef conv2d(x, w, b, stride): pass\n": "lacks.py:2  def conv2d(x, w, b, stride): pass\n",
    "class Mine:\n    def conv2d(self, x, w, b, *, tile, **p): pass\nconv2d = Mine().conv2d\n": "lacks.py:2  def conv2d(self, x",
    "def conv2d(*arrays, **p): pass\ndef supports(operation, stride): pass\n": "lacks.py:2  def supports(operation, stride): pass\n",
    "import math\nconv2d = math.sqrt\n": "",
}


@pytest.mark.parametrize("text", LACKS)
def test_a_keyword_that_a_function_does_not_have_leads_to_its_definition(text, here):
    (here / "lacks.py").write_text(text)
    done = run(here, VALUES, *QUICK, "--impl=lacks.py", "-k", "exactly and conv2d")
    assert done.returncode == 1, done.stdout
    places = re.findall(r"^  at     .*\n", done.stdout, re.MULTILINE)
    assert len(places) == bool(LACKS[text]), done.stdout
    assert all(place.startswith(f"  at     {here}/{LACKS[text]}") for place in places), done.stdout


def test_the_command_of_a_failure_shows_it_again(here):
    first = run(here, VALUES, *QUICK, "--impl=flipped.py", "-k", "exactly and conv2d")
    assert first.returncode == 1
    line = re.search(r"^  pytest (\S+) (--impl=\S+) --case='(.*)'$", first.stdout, re.MULTILINE)
    assert line is not None
    assert Path(line[1].partition("::")[0]) == Path(VALUES)
    again = run(here, line[1], line[2], f"--case={line[3]}", "--results=results")
    assert again.returncode == 1
    error = re.search(r"^  error .*$", first.stdout, re.MULTILINE)[0]
    assert error in again.stdout
    assert ledger.rows(here / "results")[0].case == line[3]
    assert run(here, line[1], "--impl=mine.py", f"--case={line[3]}", "--results=results").returncode == 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (CASE.replace("float32", "float16").replace("24", "11"), "declares no float16"),
        (CASE.replace("i2k2s1p0,0", "i2k2s1p0,1"), "declares no asymmetric_padding"),
        (CASE.replace("i2k2s1p0,0", "i2k2s1p0,1") + " same_upper", "declares no same_padding"),
    ],
)
def test_a_case_that_is_not_offered_is_unsupported(line, reason, here):
    done = run(here, VALUES, *QUICK, "--impl=mine.py", "--impl=im2col", f"--case={line}")
    found = verdicts(here)
    assert {verdict for (spec, *_), verdict in found.items() if spec == "im2col"} == {"agrees"}
    assert {verdict for (spec, *_), verdict in found.items() if spec == "mine.py"} == {"unsupported"}
    assert f"{reason} (mine.py: conv2d)" in done.stdout
    assert done.returncode == 0


def test_a_level_runs_alone(here):
    done = run(here, str(PROPERTIES), *QUICK, "--impl=one.py", "-m", "refusals")
    assert done.returncode == 0, done.stdout
    assert {row.level for row in ledger.rows(here / "results")} == {"refusals"}


def test_a_small_budget_lists_what_was_not_reached(here):
    done = run(here, str(PROPERTIES), *QUICK, "--impl=mine.py", "-m", "values", "--budget=0.1")
    assert "not reached:" in done.stdout
    assert re.search(r"\d+ × the budget was spent \(mine.py: ", done.stdout)
    found = list(verdicts(here).values())
    assert found.count("not reached") > 5
    assert done.returncode == 1


def test_two_workers_find_what_one_process_finds(here):
    chosen = (VALUES, *QUICK, "--impl=mine.py", "--impl=flipped.py", "--impl=one.py")
    alone = run(here, *chosen)
    of_one = verdicts(here)
    shutil.rmtree(here / "results")
    both = run(here, *chosen, "-n", "2")
    assert of_one == verdicts(here)
    assert {*of_one.values()} >= {"agrees", "differs", "unsupported"}
    assert alone.returncode == both.returncode == 1


def test_claims_alone_judge_no_implementation(here):
    claims = str(PROPERTIES / "test_claims.py")
    for workers in ((), ("-n", "2")):
        result = run(here, claims, "--results=results", "-k", "every_kind", *workers)
        assert result.returncode == 0, result.stdout
        assert not (here / "results").exists()


@pytest.mark.parametrize("isolate", ["always", "never"])
def test_nothing_heavy_is_imported_for_a_numpy_file(here, isolate):
    text = FILES["mine.py"] + "\nimport sys, pathlib\nright = conv2d\ndef conv2d(*arrays, **p):\n"
    text += "    pathlib.Path('loaded').write_text('\\n'.join(sys.modules))\n    return right(*arrays, **p)\n"
    (here / "watches.py").write_text(text)
    assert (
        run(here, VALUES, *QUICK, f"--isolate={isolate}", "--impl=watches.py", "-k", "exactly and conv2d").returncode
        == 0
    )
    loaded = {name.partition(".")[0] for name in (here / "loaded").read_text().splitlines()}
    assert "numpy" in loaded
    assert ("hypothesis" in loaded) == (isolate == "never")  # a process of its own has of the suite what it needs
    assert not loaded & {"torch", "scipy", "pandas", "matplotlib", "jinja2", "onnxruntime", "jax"}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_verdicts_reached_survive_the_end_of_a_run(how, here):
    slow = "import time\nfrom impls.im2col import *\ndef prepare_nothing(): pass\n"
    slow += "from impls.im2col import conv2d_backward as right\n"
    slow += "def conv2d_backward(*a, **p):\n    open('reached', 'w').close()\n    time.sleep(60)\n    return right(*a, **p)\n"
    (here / "slow.py").write_text(slow)
    arguments = (VALUES, str(PROPERTIES / "test_gradients.py"), *QUICK, "--impl=slow.py", "-k", "exactly")
    process = subprocess.Popen(command(*arguments), cwd=here, env=environment(here), stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (here / "reached").exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(how)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (2 if how == signal.SIGINT else -signal.SIGKILL), output
    found = verdicts(here)
    assert {operation for (_, _, operation), verdict in found.items() if verdict == "agrees"} >= {
        "conv2d",
        "max_pool2d",
    }
    assert {verdict for (_, _, operation), verdict in found.items() if operation == "conv2d_backward"} == {"no verdict"}
    (last,) = ledger.runs(here / "results")
    assert last.exit_status == (2 if how == signal.SIGINT else None)
    if how == signal.SIGINT:
        assert "properties by implementations" in output
        assert "Traceback" not in output


def test_a_failure_that_is_made_smaller_is_told_at_an_interruption(here):
    wrong = "import time\nfrom impls.im2col import *\nfrom impls.im2col import conv2d as right\n"
    wrong += "def conv2d(*a, **p):\n    y = right(*a, **p)\n    time.sleep(0.2)\n    if y.shape[3] > 2:\n"
    wrong += "        open('failed', 'w').close()\n        y[..., -1] += 1\n    return y\n"
    (here / "wrong.py").write_text(wrong)
    arguments = (VALUES, *QUICK, "--impl=wrong.py", "-k", "exactly and conv2d")
    process = subprocess.Popen(command(*arguments), cwd=here, env=environment(here), stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (here / "failed").exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2, output
    assert "wrong.py: conv2d differs" in output
    assert "a smaller case may fail too" in output
    assert "--case='conv2d float32" in output
    assert "interrupted with a failure found" in output
    (row,) = (row for row in ledger.rows(here / "results") if row.operation == "conv2d" and row.dtype == "float32")
    assert row.verdict == "differs"
