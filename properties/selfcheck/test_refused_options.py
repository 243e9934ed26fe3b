"""What cannot be used as a user typed it: exit status 4, and the line that says what is wrong and what would do."""

# ruff: noqa: E501 - what is printed on one line stands on one line

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from properties.selfcheck.command_line import CASE, PROPERTIES, QUICK, VALUES, fill, run
from reports import ledger

LOOKS_LIKE = "one looks like: conv2d float32 n1c3k4g1 i7k3s2p1,1d1 i9k3s1p0,0d1 wide:24 seed=17 bias"
WHOLE = f"a whole case {LOOKS_LIKE[4:]}"


@pytest.fixture
def here(tmp_path):
    return fill(tmp_path)


OPERATIONS = (
    "out_size, conv2d, conv2d_backward, max_pool2d, max_pool2d_backward, avg_pool2d, avg_pool2d_backward, l2_pool2d, "
    "l2_pool2d_backward"
)
REFUSED = {
    "--impl=im2cols": "no implementation is called 'im2cols' (did you mean im2col?); there are loops, im2col, im2col-tiled, ",
    "--impl=mine": "no implementation is called 'mine' (did you mean mine.py?); there are loops, im2col, im2col-tiled, ",
    "--impl=mime.py": "there is no file mime.py in {here} (did you mean mine.py?)",
    "--impl=folder/mine.py": "there is no file mine.py in {here}/folder, which does not exist",
    "--impl=syntax.py": "fails to import: SyntaxError: invalid syntax\n  at {here}/syntax.py:1  def conv2d(:",
    "--impl=raises.py": "fails to import: KeyError: 'KERNEL_LIMIT'\n  at {here}/raises.py:2  limit = int(os.environ[",
    "--impl=lacks.py": "fails to import: ModuleNotFoundError: No module named 'kernels_of_mine'\n  at {here}/lacks.py:1  from",
    "--impl=empty.py": f"it defines none of the operations {OPERATIONS}",
    "--impl=several.py": "did you mean several.py:Two or several.py:ready?",
    "--impl=senseless.py": "dtypes = 'float31': accepted is one of 'float16', 'float32', 'float64' (did you mean 'float32'?)",
    "--impl=number.py": "conv2d = 3: accepted is a function, or None where it is not offered",
    "--impl=mine.py:conv": "it has no object 'conv'; accepted is mine.py alone",
    "--impl=several.py:to": "it has no object 'to' (did you mean Two?); accepted is one of Two, ready\n",
    "--impl=package.kernel.im2co": "an object in it is package.kernel:object (did you mean package.kernel:im2col?)",
    "--impl=notes.txt": "{here}/notes.txt is no .py file; accepted is file.py[:object]",
    "--impl=package": "{here}/package is a folder; accepted is a file in it, file.py[:object]",
    "--impl=package.kernels": "there is no module package.kernels (did you mean package.kernel?), neither in {here} nor among",
    "--impl=im2col@1.0": "im2col is part of Poolproof and has no releases; accepted is im2col",
    "--impl=im2col+tf32": "im2col has no variant 'tf32'; accepted is im2col alone",
    "--budget=-1": "accepted is a number of seconds above 0",
    "--budget=nan": "accepted is a number of seconds above 0",
    "--hypothesis-profile=fast": "there is none of that name; accepted are poolproof, quick, thorough and ci",
    "--call-limit=0": "--call-limit=0: accepted is a number of seconds above 0",
    "--call-limit=inf": "--call-limit=inf: accepted is a number of seconds above 0",
    "--memory-limit=-1": "--memory-limit=-1: accepted is a number of MiB, or 0 for no limit",
    "--case=": f"'' is no case; {LOOKS_LIKE}",
    "--case=conv3d" + CASE[6:]: f"'conv3d' in the case should be an operation ({OPERATIONS}); {WHOLE}",
    "--case=" + CASE.replace("float32", "single"): "'single' in the case should be a format (float32, float64, float16, bfl",
    "--case=" + CASE.replace("k1g1", ""): f"'n1c1' in the case should be one with filters (n1c3k4g1); {WHOLE}",
    "--case=" + CASE.replace("i1k1s1", "i1s1"): "'i1s1p0,0d1' is no axis; one looks like i7k3s2p1,1d1 (image, window, st",
    "--case=" + CASE.replace("i1k1", "i1k3"): "the window spans 3 cells, the padded image only 1",
    "--case=" + CASE.replace("s1p0,0d1 i2", "s0p0,0d1 i2"): "stride is 0; it must be at least 1",
    "--case=" + CASE.replace("n1c1k1g1", "n1c3k2g2"): "2 groups do not divide 3 channels and 2 filters",
    "--case=" + CASE.replace("narrow", "narow"): "'narow' is no recipe; there are narrow, wide, scaled,",
    "--case=" + CASE.replace("narrow:24", "narrow"): "narrow: narrow needs a budget in bits, in float32 from narrow:1 to narrow:24",
    "--case=" + CASE.replace("narrow:24", "wide:25"): "wide:25: wide needs a budget in bits, in float32 from wide:1 to wide:24",
    "--case=" + CASE.replace("narrow:24", "wide:9:1"): "wide:9:1: the budget alone is accepted, and of scaled the exponents",
    "--case=" + CASE.replace("narrow:24", "gauss:9"): "gauss:9: gauss takes no numbers",
    "--case=" + CASE.replace("seed=1", "seed=x"): f"'seed=x' in the case should be a seed, such as seed=17; {WHOLE}",
    "--case=" + CASE + " biased": f"'biased' in the case should be bias, exclude_pad, same_upper, same_lower or key=value; {WHOLE}",
    "--case=max_pool2d float32 n1c1 i1k1s1p1,1d1 i2k2s1p0,0d1 ties:24 seed=1": "is not smaller than its window, as pooling",
}  # fmt: skip


@pytest.mark.parametrize("argument", REFUSED)
def test_what_cannot_be_used_is_said_in_a_line(argument, here):
    done = run(here, VALUES, *QUICK, argument)
    option, _, value = argument.partition("=")
    assert done.returncode == 4, done.stdout
    assert done.stdout.startswith(f"ERROR: {option}"), done.stdout
    if option in ("--impl", "--budget"):
        assert done.stdout.startswith(f"ERROR: {option}={value}:"), done.stdout
    assert REFUSED[argument].format(here=here) in done.stdout
    assert len(done.stdout.strip().splitlines()) <= 2, done.stdout
    assert not (here / "results").exists()


def test_a_seed_beside_a_derandomized_profile_is_refused(here):
    done = run(here, VALUES, *QUICK, "--hypothesis-seed=1")
    assert done.returncode == 4
    assert "ERROR: --hypothesis-seed has no effect on the derandomized profile ci" in done.stdout


def test_a_case_that_no_property_is_about_is_refused(here):
    pool = "out_size float32 n1c1 i2k2s1p0,0d1 i2k2s1p0,0d1 narrow:24 seed=1"
    done = run(here, VALUES, *QUICK, "--impl=mine.py", f"--case={pool}")
    assert done.returncode == 4
    assert "ERROR: --case: none of the 3 properties collected is about such a case\n" in done.stdout


def test_a_level_that_does_not_exist_is_refused(here):
    done = run(here, VALUES, *QUICK, "--impl=mine.py", "-m", "values and not gradient")
    assert done.returncode == 4
    assert "ERROR: -m gradient: there is no such level (did you mean gradients?); accepted are values," in done.stdout


NOT_OF_USE = {  # what a case's line asks for and a property or an implementation lacks
    (" layout=banana", "mine.py"): "layout=banana: accepted here are contiguous, fortran,",
    (" shift=up", "mine.py"): "shift=up: accepted here are 0:1, 1:0,",
    ("", "coarse.py"): "in which integers of narrow:24 are not exact, of 20 bits they are",
}


@pytest.mark.parametrize(("words", "impl"), NOT_OF_USE)
def test_a_case_that_is_of_no_use_is_nobody_s_fault(words, impl, here):
    (here / "coarse.py").write_text('from mine import *\naccuracy = "fft"\n')
    done = run(here, str(PROPERTIES), *QUICK, f"--impl={impl}", f"--case={CASE}{words}")
    assert done.returncode == 1
    assert NOT_OF_USE[words, impl] in " ".join(done.stdout.split()), done.stdout
    assert "nothing was checked" in done.stdout


def test_a_valid_call_that_fails_after_refusals_is_told(here):
    (here / "listed.py").write_text("from mine import conv2d as c\ndef conv2d(*a, **p): return c(*a, **p).tolist()\n")
    done = run(here, str(PROPERTIES / "test_refusals.py"), *QUICK, "--impl=listed.py")
    assert done.returncode == 1
    assert "y is a list where a NumPy array is due" in done.stdout
    assert re.search(r"^  print\(implementation.conv2d\(", done.stdout, re.MULTILINE), done.stdout


def test_started_where_another_configuration_wins_it_refuses_and_names_the_remedy(here):
    (here / "pytest.ini").write_text("[pytest]\naddopts = -ra\n")
    done = run(here, "--impl", "mine.py", VALUES)
    assert done.returncode == 4
    assert (
        f"ERROR: the configuration in force is {here}/pytest.ini, not Poolproof's own. Write --impl=mine.py,"
        in done.stdout
    )
    remedy = re.search(r"name the configuration: pytest (\S+ \S+) \S+ (--impl=mine.py)\n", done.stdout)
    assert remedy is not None
    assert len(done.stdout.strip().splitlines()) == 1
    assert run(here, *remedy[1].split(), VALUES, remedy[2], *QUICK, "-k", "exactly").returncode == 0


def foreign(path: Path, kind: str) -> None:
    """Make a results file that is not ours, or not whole."""
    path.parent.mkdir()
    if kind == "text":
        path.write_text("dear diary, " * 100)
        return
    with ledger.Ledger.open(path.parent):
        pass
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:6000])
        return
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = DELETE")
    pragma = {"newer": "user_version = 99", "another program's": "application_id = 1"}[kind]
    connection.execute(f"PRAGMA {pragma}")
    connection.commit()
    connection.close()


SAID = {
    "text": "truncated, or not a results file (file is not a database), left as it is: move it away, or name",
    "truncated": "truncated, or not a results file (database disk image is malformed), left as it is: move it away, or name",
    "newer": f"of a newer version (schema 99, this one has schema {ledger.SCHEMA}): read it with the version that wrote it, or name",
    "another program's": "an SQLite file of another program (application id 0x1): move it away, or name",
}


@pytest.mark.parametrize("kind", SAID)
def test_a_results_file_that_is_not_ours_is_left_as_it_is(kind, here):
    path = here / "results" / ledger.FILE
    foreign(path, kind)
    before = path.read_bytes()
    done = run(here, VALUES, *QUICK, "--impl=mine.py", "-q")
    assert done.returncode == 4
    assert f"ERROR: {path}: {SAID[kind]} another folder with --results\n" in done.stdout
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]
