"""What a user types and what comes back: the exit status, and the line that says what is wrong and what would do."""

# ruff: noqa: E501 - what is printed on one line stands on one line

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from impls import registry
from reports import ledger

ROOT = Path(__file__).parents[2]
PROPERTIES = ROOT / "properties"
VALUES = str(PROPERTIES / "test_values.py")
QUICK = ("--results=results", "--hypothesis-profile=ci")
CASE = "conv2d float32 n1c1k1g1 i1k1s1p0,0d1 i2k2s1p0,0d1 narrow:24 seed=1"
LOOKS_LIKE = "one looks like: conv2d float32 n1c3k4g1 i7k3s2p1,1d1 i9k3s1p0,0d1 wide:24 seed=17 bias"
WHOLE = f"a whole case {LOOKS_LIKE[4:]}"

FILES = {
    "mine.py": (ROOT / "examples/numpy_conv.py").read_text(),
    "flipped.py": "from mine import conv2d as right\ndef conv2d(x, w, b, **p): return right(x, w[..., ::-1, ::-1], b, **p)\n",
    "one.py": "from impls.im2col import l2_pool2d\n",
    "several.py": "from impls import im2col\nfrom mine import conv2d as c\nclass Two:\n    conv2d = staticmethod(c)\nready = Two()\n",
    "package/__init__.py": "",
    "package/kernel.py": "from impls import im2col\nfrom impls.im2col import avg_pool2d\n",
    "notes.txt": "to do\n",
    "syntax.py": "def conv2d(:\n",
    "raises.py": "import os\nlimit = int(os.environ['KERNEL_LIMIT'])\n",
    "lacks.py": "from kernels_of_mine import conv2d\n",
    "empty.py": "answer = 42\n",
    "senseless.py": "from impls.im2col import conv2d\ndtypes = ['float31']\n",
    "number.py": "conv2d = 3\n",
    "never.py": "from impls.im2col import conv2d\ndef supports(operation, **p): return 'not yet written'\n",
    "vague.py": "from impls.im2col import conv2d\ndef supports(operation, **p): return False\n",
}


@pytest.fixture
def here(tmp_path):
    """A folder with a user's files, far from the clone."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def run(directory: Path, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """Start pytest in a folder, with an environment that brings nothing along."""
    return subprocess.run(
        command(*arguments), cwd=directory, env=environment(directory), text=True, timeout=120,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,
    )  # fmt: skip


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-B", "-m", "pytest", *arguments]


def environment(directory: Path) -> dict[str, str]:
    return {"HOME": str(directory), "PATH": "/usr/bin:/bin", "COLUMNS": "100"}


def verdicts(directory: Path) -> dict[tuple[str, str, str], str]:
    """The worst verdict on each implementation, property and operation of the last run."""
    found: dict[tuple[str, str, str], str] = {}
    for row in ledger.rows(directory / "results"):
        key = (row.implementation, row.property.partition("::")[2], row.operation)
        found[key] = ledger_worst(found.get(key, row.verdict), row.verdict)
    return found


def ledger_worst(one: str, other: str) -> str:
    return min(one, other, key=list(ledger.VERDICTS).index)


# what cannot be used: exit status 4, and the line

OPERATIONS = (
    "out_size, conv2d, conv2d_backward, max_pool2d, max_pool2d_backward, avg_pool2d, avg_pool2d_backward, l2_pool2d, "
    "l2_pool2d_backward"
)
REFUSED = {
    "--impl=im2cols": "no implementation is called 'im2cols' (did you mean im2col?); there are loops, im2col, im2col-tiled, fft,",
    "--impl=mine": "no implementation is called 'mine' (did you mean mine.py?); there are loops, im2col, im2col-tiled, fft,",
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
    "--impl=several.py:to": "it has no object 'to'; accepted is one of Two, ready\n",
    "--impl=package.kernel.im2co": "an object in it is package.kernel:object (did you mean package.kernel:im2col?)",
    "--impl=notes.txt": "{here}/notes.txt is no .py file; accepted is file.py[:object]",
    "--impl=package": "{here}/package is a folder; accepted is a file in it, file.py[:object]",
    "--impl=package.kernels": "there is no module package.kernels (did you mean package.kernel?), neither in {here} nor among",
    "--impl=im2col@1.0": "im2col is part of Poolproof and has no releases; accepted is im2col",
    "--impl=im2col+tf32": "im2col has no variant 'tf32'; accepted is im2col alone",
    "--budget=-1": "accepted is a number of seconds above 0",
    "--budget=nan": "accepted is a number of seconds above 0",
    "--hypothesis-profile=fast": "there is none of that name; accepted are poolproof, quick, thorough and ci",
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


# what can be used


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
    assert done.stdout.count(f"missing: {entry.missing}") == 2 * bool(entry.missing), done.stdout


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
