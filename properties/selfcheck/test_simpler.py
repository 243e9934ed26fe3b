"""What fails is told in the simplest case, also where stride and size have to become smaller at once."""
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import pytest

from impls import im2col
from impls.subject import Subject
from oracles.case import Case
from oracles.verdict import Verdict
from properties.examiner import Examiner
from properties.selfcheck.command_line import VALUES, fill, run
from properties.simpler import candidates, simplify

LAST_OF_THREE = """
from mine import conv2d as right
def conv2d(x, w, b, **p):
    y = right(x, w, b, **p)
    y[..., 2:] += y.shape[3] == 3
    return y
"""


@pytest.mark.parametrize("seed", range(3))
def test_a_row_of_three_outputs_ends_at_three_cells(tmp_path, seed):
    here = fill(tmp_path)
    (here / "last.py").write_text(LAST_OF_THREE)
    asked = f"{VALUES}::test_output_equals_the_definition_exactly"
    done = run(here, asked, "--impl=last.py", "--isolate=never", f"--hypothesis-seed={seed}")
    assert "vertical   image 1, window 1, stride 1, padding 0 -> 1 output\n" in done.stdout, done.stdout
    assert "horizontal image 3, window 1, stride 1, padding 0 -> 3 outputs\n" in done.stdout, done.stdout


CASE = "conv2d float32 n1c1k1g1 {} i1k1s1p0,0d1 narrow:24 seed=1"


@pytest.mark.parametrize(
    ("axis", "simplest"),
    [
        ("i7k1s3p0,0d1", "i3k1s1p0,0d1"),
        ("i5k1s3p1,0d1", "i2k1s1p0,0d1"),
        ("i9k2s2p1,1d3", "i5k2s1p0,0d1"),
        ("i5k2s2p0,0d1", "i3k2s1p0,0d1"),
    ],
)
def test_the_simplest_candidate_has_as_many_outputs(axis, simplest):
    examiner = Examiner(Subject("im2col", im2col), "conv2d")
    cell, first, *_ = map(str, candidates(examiner, Case.parse(CASE.format(axis))))
    assert (cell, first) == (CASE.format("i1k1s1p0,0d1"), CASE.format(simplest))


def test_what_is_simplest_has_no_candidates():
    examiner = Examiner(Subject("im2col", im2col), "conv2d")
    assert list(candidates(examiner, Case.parse(CASE.format("i1k1s1p0,0d1")))) == []


def test_a_case_that_fails_otherwise_is_not_taken():
    examiner = Examiner(Subject("im2col", im2col), "conv2d")
    case = Case.parse(CASE.format("i7k1s3p0,0d1"))

    def one(subject, asked):
        subject.hold(asked, Verdict("differs" if asked == case else "raised", "", 1.0))
        raise AssertionError

    with pytest.raises(AssertionError):
        one(examiner, case)
    simplify(one, examiner)
    assert examiner.failure[0] == case


@pytest.mark.parametrize(
    ("line", "fails", "least"),
    [
        ("n2c4k4g2 i3k1s1p0,0d1 i3k1s1p0,0d1", lambda g: g.K > 1, "n1c1k2g1 i1k1s1p0,0d1 i1k1s1p0,0d1"),
        ("n3c6k3g3 i1k1s1p0,0d1 i1k1s1p0,0d1", lambda g: g.N > 1 and g.C > 1, "n2c2k1g1 i1k1s1p0,0d1 i1k1s1p0,0d1"),
        ("n1c1k1g1 i1k1s1p0,0d1 i1k1s1p1,1d1", lambda g: g.horizontal.out == 3, "n1c1k1g1 i1k1s1p0,0d1 i3k1s1p0,0d1"),
        (
            "n1c1k1g1 i8k1s1p0,0d1 i9k1s1p0,0d1",
            lambda g: g.vertical.out * g.horizontal.out > 64,
            "n1c1k1g1 i1k1s1p0,0d1 i65k1s1p0,0d1",
        ),
        (
            "n1c1k1g1 i302k3s1p0,0d1 i301k2s1p0,0d1",
            lambda g: g.vertical.out * g.horizontal.out > 1 << 16,
            "n1c1k1g1 i1k1s1p0,0d1 i65537k1s1p0,0d1",
        ),
        ("n3c2k5g1 i1k1s1p0,0d1 i1k1s1p0,0d1", lambda g: g.N * g.K > 8, "n1c1k9g1 i1k1s1p0,0d1 i1k1s1p0,0d1"),
        ("n1c9k3g3 i1k1s1p0,0d1 i1k1s1p0,0d1", lambda g: g.N * g.C > 8, "n1c9k1g1 i1k1s1p0,0d1 i1k1s1p0,0d1"),
        (
            "n1c1k2g1 i1k1s1p0,0d1 i33k1s1p0,0d1",
            lambda g: g.K * g.horizontal.out > 64,
            "n1c1k1g1 i1k1s1p0,0d1 i65k1s1p0,0d1",
        ),
        (
            "n1c1k1g1 i1k1s1p0,0d1 i19k4s2p0,0d6",
            lambda g: g.horizontal.size > 17 and g.horizontal.stride > 1,
            "n1c1k1g1 i1k1s1p0,0d1 i18k1s2p0,0d1",
        ),
        (
            "n1c1k1g1 i1k2s2p1,1d1 i1k1s1p0,0d1",
            lambda g: g.vertical.ragged > 0,
            "n1c1k1g1 i2k1s2p0,0d1 i1k1s1p0,0d1",
        ),
    ],
)
def test_counts_become_one_groups_too_and_cells_come_before_padding(line, fails, least):
    examiner = Examiner(Subject("im2col", im2col), "conv2d")

    def one(subject, case):
        if fails(case.geometry):
            subject.hold(case, Verdict("differs", "", 1.0))
            raise AssertionError

    with pytest.raises(AssertionError):
        one(examiner, Case.parse(f"conv2d float32 {line} narrow:24 seed=1"))
    simplify(one, examiner)
    assert str(examiner.failure[0]).startswith(f"conv2d float32 {least} ")
