"""What was planned and never answered is seen wherever a run is shown, and is never taken for agreement."""

import re
import time
from dataclasses import replace

import pytest

from reports import __main__, load, page, picture
from reports.ledger import Ledger, export, fails, read, unanswered
from reports.markdown import as_markdown
from reports.matrix import FEW, matrix
from reports.sentences import findings, headline
from reports.terminal import as_text
from reports.test_ledger import RUN, sample_rows
from reports.test_page import said

COMPLETE = replace(RUN, finished=RUN.started, exit_status=1)


def planned(rows):
    """Stand in for rows as a run does before it has any."""
    return list(
        {row.check(): unanswered(row.property, row.title, row.level, *row.check()[1:]) for row in rows}.values()
    )


@pytest.fixture
def rows():
    """Make up a run of two implementations that agree in every operation of every property."""
    made = [row for row in sample_rows(("loops", "fft")) if row.level == "values" and "algebra" not in row.property]
    return sorted(made, key=lambda row: (row.property, row.operation, row.implementation == "fft"))  # dtypes together


@pytest.fixture
def holed(rows):
    """Take the rows of a single check out of it."""
    hole = ("test_values.py::test_output_equals_the_definition", "avg_pool2d", "fft")
    return [row for row in rows if row.check() != hole]


DRAWN = {
    "text": lambda rows, run: as_text(matrix(rows, run), 200, "utf-8"),
    "markdown": lambda rows, run: as_markdown(matrix(rows, run)).replace("\\", ""),
    "page": lambda rows, run: said(page.render(run or COMPLETE, rows)),
    "picture": lambda rows, run: picture.draw(run or COMPLETE, rows),
}


@pytest.mark.parametrize("how", DRAWN)
def test_a_missing_verdict_is_told_and_nobody_says_that_all_agree(how, rows, holed):
    assert "all agree" in DRAWN[how](rows, None)
    text = DRAWN[how](holed, None)
    assert "1 verdict of fft missing" in text
    assert "loops agrees" in text
    assert "all agree" not in text


def test_a_line_does_not_fold_over_what_is_missing(holed):
    text = as_text(matrix(holed), 110, "utf-8")
    whole, first, second = re.search(r"\n(  Every output.*)\n(.*)\n(.*)\n", text).groups()
    assert whole.split()[-3:] == ["!", "no", "verdict"]
    assert re.fullmatch(r" +avg_pool2d +✓ \d+ +! no verdict", first)
    assert re.fullmatch(r" +conv2d, l2_pool2d, max_pool2d +✓ \d+ +✓ \d+", second)
    assert "! no verdict" in text.split("\n\n")[1]  # the legend
    assert "1 × the run or its process ended before it answered (fft: avg_pool2d)" in text


@pytest.mark.parametrize("how", DRAWN)
def test_one_implementation_alone_lacks_what_was_planned(how, rows):
    alone = [row for row in rows if row.implementation == "fft"]
    answered = [row for row in alone if row.operation != "avg_pool2d"]
    kept = [row for row in planned(alone) if row.operation == "avg_pool2d"]
    text = DRAWN[how]([*kept, *answered], replace(COMPLETE, planned=12))
    assert f"{len(kept)} verdicts missing" in text
    assert "fft agrees in the rest" in text


def test_the_page_marks_what_is_missing_and_makes_no_failure_of_it(holed):
    html = page.render(COMPLETE, holed)
    text = said(html)
    assert '<strong class="warn">1 verdict of fft missing</strong>' in html
    assert "!no verdict" in text
    assert "no verdict: it was planned, and the run or its process ended before it answered" in text
    assert "What fails" not in text
    assert "loops agrees, fft agrees in the rest" in text


def test_the_picture_has_a_mark_of_its_own_for_it(rows, holed):
    assert 'class="missing"' not in picture.draw(COMPLETE, rows)
    drawn = picture.draw(COMPLETE, holed)
    assert drawn.count('<path class="missing"') == 2  # and once in the legend
    assert "no verdict: the run or its process ended" in drawn


def test_the_picture_is_as_wide_as_its_words(holed):
    width = int(re.search(r' width="(\d+)" role', picture.draw(COMPLETE, holed))[1])
    assert width >= 6 * max(len(headline(matrix(holed)).partition(": ")[0]), 40)


def test_failures_come_first_and_what_is_missing_is_none_of_them(holed):
    wrong = [replace(row, verdict="differs") if row.operation == "conv2d" else row for row in holed]
    found = matrix(wrong)
    assert not any(row.verdict == "no verdict" for row in found.failures)
    assert findings(found)[1] == "1 verdict of fft missing"
    assert fails("no verdict")  # of the exit status


def test_nothing_at_all_came_back(rows):
    found = matrix(planned(rows), COMPLETE)
    assert findings(found) == ["24 verdicts of loops and fft missing", "nothing was checked"]
    assert "2 implementations, 0 properties, 0 cases" in headline(found)


def test_what_was_no_part_of_the_run_is_blank(rows):
    chosen = [row for row in rows if row.implementation == "loops" or row.operation == "conv2d"]
    chosen = [row for row in chosen if "groups" not in row.property or row.implementation == "loops"]
    found = matrix(chosen, replace(COMPLETE, planned=15))
    assert findings(found) == ["all agree"]
    only = [row for row in rows if row.implementation == "loops" or "shape" in row.property]
    text = as_text(matrix(only, replace(COMPLETE, planned=15)), 100, "utf-8")
    assert "blank: no part of this run" in text
    assert "no verdict" not in text
    assert "blank: no part of this run" in said(page.render(replace(COMPLETE, planned=15), only))


def test_many_properties_without_any_verdict_are_one_line():
    rows = [*sample_rows(("fft",))]
    values = dict.fromkeys(row.property for row in rows if row.level == "values")
    assert len(values) > FEW + 1
    kept = [row for row in rows if row.property == next(iter(values))]
    left = [row for row in planned(rows) if row.property not in {row.property for row in kept}]
    text = as_text(matrix([*kept, *left], replace(COMPLETE, planned=99)), 100, "utf-8")
    assert re.search(rf"\n  {len(values) - 1} more properties +! no verdict\n", text)
    assert re.search(r"\n  dx, dw and db are .* +! no verdict\n", text)  # one of a few: by its title


# the results file


def test_what_is_planned_becomes_what_is_found_and_keeps_its_place(tmp_path, rows):
    with Ledger.open(tmp_path) as ledger:
        ledger.begin(RUN)
        ledger.plan(RUN.id, planned(rows))
        last, first = rows[-2:], rows[:2]
        ledger.add(RUN.id, last)
        ledger.add(RUN.id, first)
        run, found = ledger.read(RUN.id)
    assert run.planned == len(planned(rows)) == 24
    assert [row.check() for row in found[:24]] == [row.check() for row in planned(rows)]
    assert {row.check() for row in found if row.verdict == "no verdict"} == {row.check() for row in rows[2:-2]}
    assert [row for row in found if row.verdict == "agrees"] == [
        first[0],
        last[0],
        last[1],
        first[1],
    ]  # a second dtype follows
    assert read(tmp_path) == (run, found)


def test_a_plan_that_comes_late_or_twice_forgets_no_verdict(tmp_path, rows):
    with Ledger.open(tmp_path) as ledger:
        ledger.begin(RUN)
        ledger.add(RUN.id, rows[:2])
        ledger.plan(RUN.id, planned(rows))
        ledger.plan(RUN.id, planned(rows))
        run, found = ledger.read(RUN.id)
    assert run.planned == 24
    assert found[:2] == rows[:2]
    assert len(found) == 2 + 23


def test_a_run_without_a_plan_says_so(tmp_path, rows):
    with Ledger.open(tmp_path) as ledger:
        ledger.begin(RUN)
        ledger.add(RUN.id, rows)
    assert read(tmp_path)[0].planned is None


def test_a_cut_off_run_is_drawn_with_what_it_had_planned(tmp_path, capsys, rows):
    with Ledger.open(tmp_path) as ledger:
        ledger.begin(RUN)
        ledger.plan(RUN.id, planned(rows))
        ledger.add(RUN.id, rows[:2])
    files = {name: tmp_path / name for name in ("page.html", "matrix.md", "run.jsonl", "picture.svg")}
    chosen = ["--out", "page.html", "--markdown", "matrix.md", "--export", "run.jsonl"]
    assert __main__.main(["--results", str(tmp_path), *(str(files.get(each, each)) for each in chosen)]) == 0
    assert picture.main(["--results", str(tmp_path), "--out", str(files["picture.svg"])]) == 0
    for name in ("page.html", "matrix.md", "picture.svg"):
        assert "23 verdicts of loops and fft missing" in files[name].read_text(encoding="utf-8")
    assert "23 of 24 checks have no verdict" in said(files["page.html"].read_text(encoding="utf-8"))
    assert read(files["run.jsonl"]) == read(tmp_path)
    export(tmp_path, None, files["run.jsonl"])
    frame = load.verdicts(tmp_path)
    assert (frame["verdict"] == "no verdict").sum() == 23
    assert load.runs(tmp_path)["planned"].tolist() == [24]


def test_a_thousand_planned_checks_take_little_time(tmp_path):
    checks = [unanswered(f"p{n}", "t", "values", f"o{m}", "i") for n in range(100) for m in range(10)]
    with Ledger.open(tmp_path) as ledger:
        ledger.begin(RUN)
        start = time.perf_counter()
        ledger.plan(RUN.id, checks)
        assert time.perf_counter() - start < 0.5
