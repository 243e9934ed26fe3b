"""--expected: what is listed may fail, and must; a list that errs is refused."""

from __future__ import annotations

import pytest

from impls import processor
from properties.selfcheck.command_line import CASE, QUICK, VALUES, fill, run, verdicts
from reports import ledger

EXACT = "test_values.py::test_output_equals_the_definition_exactly"
ENTRY = {
    "implementation": "flipped.py",
    "property": EXACT,
    "operation": "conv2d",
    "releases": "",
    "reason": "the filter is flipped by design",
    "link": "https://example.org/1",
}
ONE = f"{VALUES}::{EXACT.partition('::')[2]}"


def listed(folder, *entries):
    """Write a list of failures, and give the option that names it."""
    tables = ["[[expected]]\n" + "".join(f"{key} = {value!r}\n" for key, value in entry.items()) for entry in entries]
    (folder / "known.toml").write_text("\n".join(tables))
    return "--expected=known.toml"


@pytest.mark.parametrize("case", [{}, {"case": CASE}], ids=["searched", "one case"])
def test_a_listed_failure_is_expected(tmp_path, case):
    here = fill(tmp_path)
    done = run(here, ONE, *QUICK, "--impl=flipped.py", listed(here, ENTRY | case))
    assert done.returncode == 0, done.stdout
    assert "1 xfailed" in done.stdout
    assert set(verdicts(here).values()) - {"unsupported"} == {"expected"}
    (row,) = [row for row in ledger.rows(here / "results") if row.verdict == "expected"]
    assert row.reason == "the filter is flipped by design (https://example.org/1)"
    assert row.case, "the case that fails is kept"


def test_what_is_not_listed_fails_as_ever(tmp_path):
    here = fill(tmp_path)
    done = run(here, VALUES, *QUICK, "--impl=flipped.py", listed(here, ENTRY), "-k", "definition")
    assert done.returncode == 1, done.stdout
    assert {"expected", "differs"} <= set(verdicts(here).values())


@pytest.mark.parametrize("case", [{}, {"case": CASE}], ids=["searched", "one case"])
def test_what_passes_again_fails_the_run(tmp_path, case):
    here = fill(tmp_path)
    done = run(here, ONE, *QUICK, "--impl=mine.py", listed(here, ENTRY | {"implementation": "mine.py"} | case))
    assert done.returncode == 1, done.stdout
    assert "passes with conv2d, and is listed as expected to fail" in done.stdout


def test_an_entry_of_what_is_not_offered_fails_the_run(tmp_path):
    here = fill(tmp_path)
    entry = ENTRY | {"implementation": "one.py", "operation": "conv2d"}
    done = run(here, ONE, *QUICK, "--impl=one.py", listed(here, entry))
    assert done.returncode == 1, done.stdout
    assert "was not reached, or is not offered" in done.stdout


PADDED = "conv2d float32 n1c1k1g1 i2k1s1p1,1d1 i2k1s1p1,1d1 narrow:24 seed=1"
KNOWN = ENTRY | {"implementation": "padded.py", "case": PADDED, "region": "one_by_one_padded"}
FAULTY = """
from mine import conv2d as right
def conv2d(x, w, b, **p):
    y = right(x, w, b, **p)
    return y + y.dtype.type(WHERE)
"""


def padded(folder, where="w.shape[2:] == (1, 1) and p['padding'] != (0, 0)"):
    """A folder with a convolution that is wrong where it is said."""
    here = fill(folder)
    (here / "padded.py").write_text(FAULTY.replace("WHERE", where))
    return here


def test_beyond_the_region_of_a_known_fault_nothing_fails(tmp_path):
    here = padded(tmp_path)
    done = run(here, VALUES, *QUICK, "--impl=padded.py", listed(here, KNOWN))
    assert done.returncode == 0, done.stdout
    assert "1 xfailed" in done.stdout
    (row,) = [row for row in ledger.rows(here / "results") if row.verdict == "expected"]
    assert (row.case, row.property.rpartition("/")[2]) == (PADDED, EXACT)
    assert row.examples > row.unsupported > 0
    done = run(here, VALUES, *QUICK, "--impl=padded.py")
    assert done.returncode == 1, done.stdout


DOUBLE = "test_gradients.py::test_double_backward_is_the_adjoint_of_backward"


def test_a_known_fault_is_set_aside_in_the_properties_of_others_that_call_it(tmp_path):
    here = padded(tmp_path)
    (here / "padded.py").write_text((here / "padded.py").read_text() + "from impls.im2col import conv2d_backward\n")
    asked = (VALUES.replace("test_values.py", DOUBLE), *QUICK, "--impl=padded.py")
    done = run(here, *asked, listed(here, KNOWN))
    assert done.returncode == 0, done.stdout
    (row,) = [row for row in ledger.rows(here / "results") if row.dtype == "float32"]
    assert row.examples > 0 < row.unsupported
    assert run(here, *asked).returncode == 1


def test_a_region_that_holds_most_cases_leaves_no_mistrust(tmp_path):
    here = padded(tmp_path, "x.size and (x != x).any()")
    name = "test_specials.py::test_non_finite_values_stay_local"
    case = "conv2d float32 n1c1k1g1 i1k1s1p0,0d1 i2k1s1p0,0d1 nan seed=1"
    entry = KNOWN | {"property": name, "case": case, "region": "non_finite"}
    done = run(here, VALUES.replace("test_values.py", name), *QUICK, "--impl=padded.py", listed(here, entry))
    assert done.returncode == 0, done.stdout


TAINTED = """
from mine import conv2d as right
tainted = []
def conv2d(x, w, b, **p):
    if w.shape[2:] == (1, 1) and p['padding'] != (0, 0):
        tainted.append(1)
    y = right(x, w, b, **p)
    return y + y.dtype.type(len(tainted))
"""


def test_what_a_listed_case_leaves_behind_disturbs_nothing(tmp_path):
    here = fill(tmp_path)
    (here / "padded.py").write_text(TAINTED)
    done = run(here, VALUES, *QUICK, "--impl=padded.py", "--isolate=always", listed(here, KNOWN))
    assert done.returncode == 0, done.stdout


def test_a_failure_beyond_the_region_is_one(tmp_path):
    here = padded(tmp_path, "w.shape[2:] in ((1, 1), (2, 2))")
    done = run(here, ONE, *QUICK, "--impl=padded.py", listed(here, KNOWN))
    assert done.returncode == 1, done.stdout
    assert "padded.py: conv2d differs" in done.stdout


def test_a_region_whose_case_passes_fails_the_run(tmp_path):
    here = padded(tmp_path, "False")
    done = run(here, ONE, *QUICK, "--impl=padded.py", listed(here, KNOWN))
    assert done.returncode == 1, done.stdout
    assert "passes with conv2d, and is listed as expected to fail" in done.stdout


def test_an_entry_may_speak_of_all_variants(tmp_path):
    here = fill(tmp_path)
    done = run(here, ONE, *QUICK, "--impl=flipped.py", listed(here, ENTRY | {"implementation": "flipped.py+*"}))
    assert done.returncode == 0, done.stdout
    assert "1 xfailed" in done.stdout


@pytest.mark.parametrize(("releases", "status"), [(">=1.20, <2", 0), (">=2", 1), ("!=1.25.3", 1)])
def test_an_entry_speaks_of_its_releases_alone(tmp_path, releases, status):
    here = fill(tmp_path)
    (here / "flipped.py").write_text((here / "flipped.py").read_text() + "version = '1.25.3+cpu'\n")
    done = run(here, ONE, *QUICK, "--impl=flipped.py", listed(here, ENTRY | {"releases": releases}))
    assert done.returncode == status, done.stdout


@pytest.mark.parametrize(("maker", "status"), [(processor.vendor(), 0), ("GenuineTest", 1)])
def test_an_entry_speaks_of_the_processors_of_its_maker_alone(tmp_path, maker, status):
    here = fill(tmp_path)
    done = run(here, ONE, *QUICK, "--impl=flipped.py", listed(here, ENTRY | {"processor": maker}))
    assert done.returncode == status, done.stdout


def test_a_case_that_is_asked_for_is_judged_by_itself(tmp_path):
    here = fill(tmp_path)
    done = run(here, ONE, *QUICK, "--impl=flipped.py", listed(here, ENTRY), f"--case={CASE}")
    assert done.returncode == 1, done.stdout
    assert "flipped.py: conv2d differs" in done.stdout


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"implementation": "mine.pi"}, "there is no implementation 'mine.pi'; accepted are"),
        ({"property": "test_values.py::test_no_such"}, "test_values.py has no property 'test_no_such'"),
        ({"property": "values"}, "accepted is a property as in"),
        ({"operation": "conv3d"}, "operation = 'conv3d'; accepted are"),
        ({"releases": "new"}, "releases = 'new'; accepted is such as"),
        ({"case": "conv2d"}, "case: "),
        ({"case": CASE.replace("conv2d", "max_pool2d", 1)}, "case"),
        ({"region": "nowhere", "case": CASE}, "region = 'nowhere'; accepted are one_by_one_padded"),
        ({"region": "one_by_one_padded", "case": CASE}, "region = 'one_by_one_padded' needs a case, which lies in it"),
        ({"region": "one_by_one_padded"}, "needs a case"),
        ({"reason": ""}, "reason = ''; accepted is a text"),
        ({"why": "so"}, "why is unknown; accepted are implementation"),
    ],
)
def test_an_entry_that_matches_nothing_is_an_error(tmp_path, changes, said):
    here = fill(tmp_path)
    done = run(here, ONE, *QUICK, "--impl=flipped.py", listed(here, ENTRY | changes))
    assert done.returncode == 4, done.stdout
    assert "entry 1" in done.stdout
    assert said in done.stdout


def test_a_list_that_is_none_is_an_error(tmp_path):
    here = fill(tmp_path)
    for text, said in (("[[known]]\n", "accepted is a list of [[expected]] tables"), ("= 1", "cannot be read")):
        (here / "known.toml").write_text(text)
        done = run(here, ONE, *QUICK, "--impl=flipped.py", "--expected=known.toml")
        assert (done.returncode, said in done.stdout) == (4, True), done.stdout
    done = run(here, ONE, *QUICK, "--impl=flipped.py", listed(here, ENTRY, ENTRY))
    assert "entry 2 says what entry 1 says" in done.stdout
