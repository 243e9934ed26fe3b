"""What was reached is never lost, and a file that is not ours is never touched."""

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random

import pytest

from reports import nearness
from reports.ledger import FILE, VERDICTS, Ledger, LedgerError, Row, Run, export, import_run, read, rows, runs
from reports.rows import SCHEMA, worst

ROOT = Path(__file__).parent.parent
RUN = Run(
    "20261120-131500-a1b2", "2026-11-20T13:15:00+00:00", "pytest properties/", 2**70, "default",
    machine={"processor": "AMD EPYC 9B14", "cores": 2, "python": "3.11.7", "platform": "Linux-6.8-x86_64-glibc2.36"},
    versions={"hypothesis": "6.170.15", "numpy": "2.4.6", "pytest": "9.2.0", "torch": "2.13.0"},
    implementations=[
        {"spec": "im2col", "name": "im2col", "version": "0.1.0", "declarations": {}, "missing": ""},
        {"spec": "fft", "name": "fft", "version": "0.1.0", "declarations": {"accuracy": "fft"}, "missing": ""},
        {"spec": "torch-cpu", "name": "torch-cpu", "version": "2.13.0",
         "declarations": {"deterministic": "True", "options": "pool_dilation, ceil_mode"}, "missing": ""},
        {"spec": "mine.py", "name": "mine", "version": "",
         "declarations": {"limits": "F 3; S 1, 2; G 1", "dtypes": "float32"}, "missing": ""},
        {"spec": "torch-cuda", "name": "torch-cuda", "version": "2.13.0", "declarations": {},
         "missing": "torch sees no CUDA device (torch 2.13.0+cpu): a build of torch with CUDA and a GPU are needed"},
    ],
)  # fmt: skip
PROPERTIES = """
values        test_shape.py::test_shape_is_the_count_of_windows        The output has one place for each window position.
values        test_values.py::test_output_equals_the_definition        Every output is the sum of its window's products, to within rounding.
values        test_algebra.py::test_convolution_is_linear_in_x         Convolution is linear in x.
values        test_algebra.py::test_groups_are_separate_convolutions   A grouped convolution is its groups, each by itself.
values        test_translation.py::test_shifts_shift_the_output        A shift of the image by a multiple of the stride shifts the output, away from the borders.
gradients     test_gradients.py::test_gradients_equal_the_definition   dx, dw and db are the sums that the definition gives, to within rounding.
gradients     test_gradients.py::test_backward_is_the_adjoint          <y, A x> = <A' y, x>, exactly in integers.
specials      test_specials.py::test_nan_stays_in_its_windows          A NaN reaches exactly the outputs whose windows hold it.
specials      test_specials.py::test_subnormals_are_kept               No value that the format holds is clipped or flushed.
arrays        test_arrays.py::test_layouts_give_the_same_values        Strided, reversed, Fortran and read-only arrays are read right.
refusals      test_refusals.py::test_a_larger_filter_is_refused        A filter larger than the padded input is refused.
repeatability test_repeat.py::test_the_same_call_gives_the_same_bits   The same call twice gives the same bits.
"""  # noqa: E501
FORWARD = ("conv2d", "max_pool2d", "avg_pool2d", "l2_pool2d")
CASE = "conv2d n1c1k2 i5k3s2p1,0 i4k3s1p1,1 g1 float32 odd-integers seed=1077"
MESSAGE = f"""\
mine.py, conv2d float32: 4 of 12 outputs differ; the worst is 5.2e+06 times what rounding explains
  y[0, 1, 2, 0]   got 14.0   want -3.0   differs by 17.0, bound 3.3e-06

  case      {CASE}
  run it    pytest properties/ --impl=mine.py --case='{CASE}'
"""


def sample_rows(implementations=("im2col", "loops", "fft", "torch-cpu"), seed=0):
    """Make up a run in which all agree: every property, on all its operations, in two dtypes."""
    random = Random(seed)
    for line in PROPERTIES.strip().splitlines():
        level, name, title = line.split(maxsplit=2)
        suffix = "_backward" if level == "gradients" else ""
        operations = ["conv2d"] if "algebra" in name else [operation + suffix for operation in FORWARD]
        for operation, dtype, implementation in product(operations, ("float32", "float64"), implementations):
            row = Row(name, title, level, operation, dtype, implementation, "agrees", examples=random.randint(100, 160))
            row = replace(row, elements=random.randint(2_000, 90_000), seconds=random.uniform(0.1, 1.4))
            if "definition" in name:
                largest = 0 if operation == "max_pool2d" else 0.02 if implementation == "fft" else 0.3
                near = {0: "", 0.02: "-40:3 -9:70 -6:20", 0.3: "exact:20 -5:9 -4:60 -3:12"}[largest]
                row = replace(row, worst_ratio=largest * random.uniform(0.4, 1.2), nearness=near)
            if implementation == "fft" and "subnormals" in name:
                row = unchecked(row, "unsupported", 'not owed by accuracy "fft"')
            yield row


def failing_rows():
    """Make up a run of a kernel in progress: wrong strides, no gradients, a crash, and a property not reached."""
    for row in sample_rows(("im2col", "fft", "torch-cpu", "mine.py")):
        if row.implementation != "mine.py":
            yield row
        elif row.dtype == "float64":
            yield unchecked(row, "unsupported", "declares dtypes float32")
        elif row.level == "gradients" or row.operation == "l2_pool2d":
            yield unchecked(row, "unsupported", f"has no {row.operation}")
        elif row.operation == "conv2d" and "equals_the_definition" in row.property:
            wrong = replace(row, verdict="differs", reason="4 of 12 outputs", examples=17, worst_ratio=5.2e6)
            yield replace(wrong, message=MESSAGE, case=CASE)
        elif row.operation == "conv2d" and "larger_filter" in row.property:
            died = replace(row, verdict="crashed", reason="SIGSEGV", case="conv2d n1c1k1 i2k3s1 i2k3s1 g1 float32")
            yield replace(died, message="mine.py, conv2d float32: died of SIGSEGV, owed is a ValueError", examples=3)
        elif row.operation == "max_pool2d" and "nan" in row.property:
            yield replace(row, verdict="expected", reason="NaN is ignored by design, see the kernel's README")
        elif "same_bits" in row.property:
            yield unchecked(row, "not reached", "the budget of 60 s was spent")
        else:
            yield row


def unchecked(row, verdict, reason):
    return replace(row, verdict=verdict, reason=reason, examples=0, elements=0, worst_ratio=None, seconds=0)


def written(folder, content=None, run=RUN):
    with Ledger.open(folder) as ledger:
        ledger.begin(run)
        ledger.add(run.id, sample_rows() if content is None else content)
        ledger.finish(run.id, 0)
    return folder / FILE


def test_what_is_written_is_read_back(tmp_path):
    rows_ = [*failing_rows()]
    written(tmp_path, rows_)
    assert rows(tmp_path) == rows_
    (run,) = runs(tmp_path)
    assert run.finished
    assert replace(run, finished=None, exit_status=None) == RUN


def test_the_latest_run_is_read_unless_another_is_named(tmp_path):
    written(tmp_path, run=replace(RUN, id="later", started="2026-11-21T00:00:00+00:00"))
    written(tmp_path, [*failing_rows()], run=replace(RUN, id="earlier", started="2026-11-19T00:00:00+00:00"))
    assert [run.id for run in runs(tmp_path)] == ["earlier", "later"]
    assert read(tmp_path)[0].id == "later"
    assert rows(tmp_path, "earlier") == [*failing_rows()]
    with pytest.raises(LedgerError, match=r"holds no run 'latter' among its 2: did you mean later\?"):
        rows(tmp_path, "latter")


def test_a_row_that_is_added_again_is_replaced(tmp_path):
    row = next(sample_rows())
    written(tmp_path, [row, replace(row, verdict="hung")])
    assert rows(tmp_path) == [replace(row, verdict="hung")]


def test_a_row_travels_as_json_even_with_an_infinite_ratio():
    row = replace(next(failing_rows()), worst_ratio=math.inf)
    assert Row.from_json(json.loads(json.dumps(row.to_json(), allow_nan=False))) == row
    assert replace(row, worst_ratio=math.nan).worst_ratio == math.inf


def test_numpy_numbers_become_pythons():
    np = pytest.importorskip("numpy")
    row = replace(next(sample_rows()), examples=np.int64(3), worst_ratio=np.float32(0.5), seconds=np.float64(1))
    assert [type(each) for each in (row.examples, row.worst_ratio, row.seconds)] == [int, float, float]


def test_a_verdict_outside_the_vocabulary_is_refused():
    with pytest.raises(ValueError, match=r"verdict 'fine' is none of: wrote or read out of bounds, crashed"):
        replace(next(sample_rows()), verdict="fine")


@pytest.mark.parametrize("text", ["exact", "-5", "-5:0", "-5:-3", "-5:3 -5:4", "exact:1 exact:1", "-5:3,-4:7", "1.5:3"])
def test_nearness_that_counts_nothing_is_refused(text):
    with pytest.raises(ValueError, match=r"accepted are counts of powers of two, such as 'exact:12 -5:3 -4:7'"):
        replace(next(sample_rows()), nearness=text)


def test_nearness_is_written_as_it_is_read():
    text = "exact:12 -24:1 -5:3 -4:7 0:2 13:1"
    counts = nearness.counted(text)
    assert counts == {None: 12, -24: 1, -5: 3, -4: 7, 0: 2, 13: 1}
    assert nearness.written(dict(reversed(counts.items()))) == text
    assert nearness.written({-3: 0}) == nearness.written(nearness.counted("")) == ""
    assert nearness.added([text, "", "-5:4 -3:1"]) == counts + nearness.counted("-5:4 -3:1")


def test_a_field_of_a_wrong_type_is_named():
    with pytest.raises(TypeError, match=r"reason must be text, got 3"):
        replace(next(sample_rows()), reason=3)


def test_a_fault_outranks_agreement_and_agreement_outranks_unsupported():
    assert worst(["agrees", "differs", "unsupported"]) == "differs"
    assert worst(["unsupported", "not reached", "agrees"]) == "agrees"
    assert worst(reversed(VERDICTS)) == "wrote or read out of bounds"


def test_a_lone_surrogate_in_a_message_does_not_stop_the_run(tmp_path):
    written(tmp_path, [replace(next(sample_rows()), message="got \udcff\0 <b>")])
    assert rows(tmp_path)[0].message == "got \\udcff\0 <b>"


def test_rows_of_a_run_that_was_never_begun_are_refused(tmp_path):
    with Ledger.open(tmp_path) as ledger, pytest.raises(LedgerError, match="holds no run x: begin it before"):
        ledger.add("x", sample_rows())


def test_a_run_begins_once(tmp_path):
    written(tmp_path)
    with Ledger.open(tmp_path) as ledger, pytest.raises(LedgerError, match=f"already holds a run {RUN.id}"):
        ledger.begin(RUN)


def test_no_results_yet_says_how_to_get_some(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(LedgerError, match=r"verdicts.sqlite: no results yet: run pytest properties/"):
            runs(folder)
    Ledger.open(tmp_path).close()
    assert runs(tmp_path) == []
    with pytest.raises(LedgerError, match="no results yet"):
        read(tmp_path)


def test_a_file_in_place_of_the_folder_is_told_from_no_results(tmp_path):
    file = tmp_path / "bench.json"
    file.write_text("{}")
    with pytest.raises(LedgerError, match=r"bench\.json: a file: the folder of verdicts\.sqlite is wanted"):
        read(file)


def spoiled(folder, how):
    """Make a results file unusable in one way."""
    path = written(folder)
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:20_000])
    elif how == "text":
        path.write_text("verdicts, as text\n" * 100)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute(f"PRAGMA {how}")
        connection.close()
    return path


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("truncated", r"truncated, or not a results file \(.*\), left as it is: move it away, or name another"),
        ("text", r"truncated, or not a results file \(file is not a database\)"),
        ("application_id = 7", r"an SQLite file of another program \(application id 0x7\)"),
        ("user_version = 9", r"of a newer version \(schema 9, this one has schema 4\): read it with the version that"),
        ("user_version = 2", r"of an older version \(schema 2, this one has schema 4\)"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_left_as_it_is(tmp_path, how, said):
    path = spoiled(tmp_path, how)
    before = path.read_bytes()
    for use in (runs, rows, Ledger.open):
        with pytest.raises(LedgerError, match=r"verdicts\.sqlite: " + said) as caught:
            use(tmp_path)
        assert "\n" not in str(caught.value)
        assert path.read_bytes() == before


def test_another_programs_database_is_not_written_to(tmp_path):
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(LedgerError, match="of another program"):
        Ledger.open(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_stored_verdict_that_is_unknown_is_named(tmp_path):
    with sqlite3.connect(written(tmp_path)) as connection:
        connection.execute("UPDATE verdict SET verdict = 'splendid'")
    connection.close()
    with pytest.raises(LedgerError, match=r"holds what this version cannot read \(verdict 'splendid' is none of"):
        rows(tmp_path)


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "results").write_text("")
    with pytest.raises(LedgerError, match=r"results: cannot hold results \(File exists\)"):
        Ledger.open(tmp_path / "results")
    with pytest.raises(LedgerError, match="no results yet"):
        runs(tmp_path / "results")


WRITER = """
import dataclasses, sys
from reports.ledger import Ledger
from reports.test_ledger import RUN, sample_rows
folder, name, count = sys.argv[1:]
with Ledger.open(folder) as ledger:
    ledger.begin(dataclasses.replace(RUN, id=name))
    for number in range(int(count)):
        ledger.add(name, [dataclasses.replace(next(sample_rows()), operation=f"conv{number}")])
        print(number, flush=True)
"""


def writer(folder, name, count):
    command = [sys.executable, "-c", WRITER, str(folder), name, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_killed_run_keeps_what_it_had_reached(tmp_path):
    with writer(tmp_path, "killed", 1_000_000) as process:
        reached = [int(process.stdout.readline()) for _ in range(50)]
        process.send_signal(signal.SIGKILL)
    run, found = read(tmp_path, "killed")
    assert run.finished is None
    assert {row.operation for row in found} >= {f"conv{number}" for number in reached}
    written(tmp_path)  # and the file is as good as before


def test_runs_that_write_at_the_same_time_lose_nothing(tmp_path):
    writers = [writer(tmp_path, f"run{number}", 100) for number in range(4)]
    for process in writers:
        process.communicate(timeout=60)
    assert [process.returncode for process in writers] == [0] * 4
    assert [len(rows(tmp_path, f"run{number}")) for number in range(4)] == [100] * 4


def test_results_are_read_while_a_run_writes(tmp_path):
    with Ledger.open(tmp_path) as ledger:
        ledger.begin(RUN)
        ledger.add(RUN.id, [next(sample_rows())])
        assert len(rows(tmp_path)) == 1
        ledger.add(RUN.id, sample_rows())
        assert len(rows(tmp_path)) == len([*sample_rows()])


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs the right to become another user")
def test_results_are_read_from_a_folder_without_write_permission():
    with tempfile.TemporaryDirectory() as folder:  # not tmp_path: its parents let nobody else in
        written(Path(folder))
        Path(folder).chmod(0o555)
        script = f"import os, reports.ledger as it; os.setuid(65534); print(len(it.rows({folder!r})))"
        found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stdout.strip() == str(len([*sample_rows()])), found.stderr


def test_an_export_is_read_back_and_imported_once(tmp_path):
    written(tmp_path / "here", [*failing_rows()])
    export(tmp_path / "here", None, tmp_path / "sample.jsonl")
    assert read(tmp_path / "sample.jsonl") == read(tmp_path / "here")
    import_run(tmp_path / "sample.jsonl", tmp_path / "there")
    assert read(tmp_path / "there") == read(tmp_path / "here")
    with pytest.raises(LedgerError, match=f"already holds the run {RUN.id} of"):
        import_run(tmp_path / "sample.jsonl", tmp_path / "there")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text[:-40], r":97: the last line is cut off"),
        (lambda text: text[: text[:-1].rindex("\n") + 1], r": has 95 lines after the first, and should have 96"),
        (lambda text: "", r": empty"),
        (lambda text: text.replace(f'"schema":{SCHEMA}', '"schema":2'), r":1: schema 2, and this version reads 4"),
        (lambda text: text.replace('"poolproof":"verdicts"', '"x":1'), r":1: not an export of verdicts"),
        (lambda text: text.replace('"id":', '"name":', 1), r":1: not a run: unknown name"),
        (lambda text: text.replace('"seconds":', '"seconds":NaN, "s":', 1), r":2: .*NaN is no JSON number"),
        (lambda text: text.replace('"seconds":', '"seconds":1e999, "s":', 1), r":2: .*1e999 is no JSON number"),
        (lambda text: text.replace('"seconds":', '"sekunden":', 1), r":2: not a row: unknown sekunden"),
        (lambda text: text.replace('"level":"values",', "", 1), r":2: not a row: lacks level"),
        (lambda text: text.replace('"level":"values"', '"level":"values", "level":""', 1), r":2: .*appears twice"),
        (lambda text: text.replace('"verdict":"agrees"', '"verdict":"okay"', 1), r":2: not a row: verdict 'okay'"),
        (lambda text: text.replace('"examples":', '"examples":"many", "seconds":', 1), r":2: .*appears twice"),
        (lambda text: text.replace('"reason":""', '"reason":null', 1), r":2: not a row: reason must be text"),
        (lambda text: text.replace("\n", "\n[]\n", 1), r":2: not a JSON object: \[\]"),
        (lambda text: text.replace("\n{", "\n" + "[" * 100_000 + "\n{", 1), r":2: not a line of JSON"),
        (lambda text: text.replace('"dtype":"float32"', '"dtype":"float64"', 1), r":4: a second row of test_shape"),
    ],
)  # fmt: skip
def test_an_export_is_read_strictly(tmp_path, spoil, said):
    written(tmp_path, [*sample_rows(("im2col", "fft"))][:96])
    export(tmp_path, RUN.id, tmp_path / "sample.jsonl")
    text = (tmp_path / "sample.jsonl").read_text()
    (tmp_path / "sample.jsonl").write_text(spoil(text))
    with pytest.raises(LedgerError, match=r"sample\.jsonl" + said):
        import_run(tmp_path / "sample.jsonl", tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_an_absent_export_is_named(tmp_path):
    with pytest.raises(LedgerError, match=r"none.jsonl: no such file: write one with `python -m reports --export"):
        read(tmp_path / "none.jsonl")


def test_a_thousand_commits_take_little_time(tmp_path):
    with Ledger.open(tmp_path) as ledger:
        ledger.begin(RUN)
        start = time.perf_counter()
        for row in sample_rows():
            ledger.add(RUN.id, [row])
        assert time.perf_counter() - start < 5
