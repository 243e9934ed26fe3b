"""The matrix says at a glance what was found, and hides nothing."""

import re
from dataclasses import replace

import pytest

from reports.matrix import LEVELS, as_markdown, as_text, command, counts, findings, headline, matrix, reasons
from reports.rows import VERDICTS
from reports.test_ledger import failing_rows, sample_rows, unchecked

ESCAPE = re.compile(r"\x1b\[\d*m")


def row(**changes):
    return replace(next(sample_rows(("mine.py",))), **changes)


def line(text, start):
    """Find the line of a drawing that starts so."""
    return next(each for each in text.splitlines() if each.strip().startswith(start))


def test_levels_stand_in_their_order_and_unknown_ones_last():
    groups = matrix([row(property="x", level="new"), *reversed([*sample_rows()])]).groups
    assert (*groups,) == (*LEVELS, "new")


def test_examples_are_summed_over_dtypes_and_operations():
    (only,) = matrix([row(dtype="float32", examples=100), row(dtype="float64", examples=12)]).groups["values"]
    assert only.cells["mine.py"].label == "112"


@pytest.mark.parametrize("verdict", [verdict for verdict in VERDICTS if verdict != "unsupported"])
def test_the_worst_verdict_is_shown(verdict):
    mixed = [row(dtype="a"), row(dtype="b", verdict=verdict), row(dtype="c", verdict="unsupported")]
    (only,) = matrix(mixed).groups["values"]
    assert only.cells["mine.py"].verdict == verdict


def test_a_part_that_is_unsupported_leaves_a_dash():
    (only,) = matrix([row(examples=3), row(dtype="float64", verdict="unsupported", examples=0)]).groups["values"]
    assert only.cells["mine.py"].label == "3 –"
    assert not only.parts


def test_operations_stand_apart_where_their_verdicts_differ():
    operations = {"conv2d": "differs", "max_pool2d": "agrees", "avg_pool2d": "agrees", "l2_pool2d": "unsupported"}
    (only,) = matrix(row(operation=name, verdict=verdict) for name, verdict in operations.items()).groups["values"]
    assert [part.operations for part in only.parts] == [("conv2d",), ("max_pool2d", "avg_pool2d"), ("l2_pool2d",)]


@pytest.mark.parametrize("width", [80, 100, 130, 160])
@pytest.mark.parametrize("names", [["mine.py"], ["im2col", "fft"], [f"engine{number}+variant" for number in range(14)]])
def test_no_line_is_wider_than_the_terminal_and_every_implementation_has_its_column(width, names):
    text = as_text(matrix(sample_rows(names)), width, "utf-8")
    assert max(map(len, text.splitlines())) <= width
    assert all(name in text for name in names)


def test_a_failing_matrix_fits_too():
    longest = replace(row(), verdict="wrote or read out of bounds", implementation="a/very/long/path/to/mine.py:kernel")
    text = as_text(matrix([*failing_rows(), longest]), 100, "utf-8")
    assert max(map(len, text.splitlines())) <= 100
    assert "✗ out of bounds" in text
    assert "…h/to/mine.py:kernel"[-17:] in text


def test_a_terminal_without_our_signs_gets_ascii():
    for encoding in ("ascii", "latin-1", "no such encoding"):
        text = as_text(matrix(failing_rows()), 100, encoding)
        assert text.isascii()
        assert "x differs" in text
        assert "- unsupported" in text


def test_colour_adds_nothing_but_colour():
    plain = as_text(matrix(failing_rows()), 120, "utf-8")
    painted = as_text(matrix(failing_rows()), 120, "utf-8", color=True)
    assert painted != plain
    assert re.sub(r" +$", "", ESCAPE.sub("", painted), flags=re.MULTILINE) == plain


def test_the_terminal_shows_counts_verdicts_and_reasons():
    text = as_text(matrix(failing_rows()), 110, "utf-8")
    assert line(text, "Every output is").endswith("✗ differs")
    assert line(text, "The same call").endswith("… not reached")
    assert line(text, "Convolution is linear").endswith("✓ 275    ✓ 260          ✓ 250      ✓ 119 –")
    assert "3 × the budget of 60 s was spent (mine.py: conv2d, max_pool2d, avg_pool2d)" in text
    assert "42 × declares dtypes float32 (mine.py: 8 operations)" in text
    assert "✓ agrees, in so many cases, a dash: in part unsupported   ✗ fails" in text


def test_what_has_no_verdict_is_blank_and_the_legend_says_so():
    text = as_text(matrix([row(), row(implementation="other", property="test_x.py::test_y", title="Y.")]), 100, "utf-8")
    assert line(text, "Y.").split() == ["Y.", "✓", str(row().examples)]
    assert "blank: the run ended before a verdict" in text


def test_each_reason_is_given_once_with_its_count():
    rows = [unchecked(row(dtype=dtype), "unsupported", "has no  conv2d\n") for dtype in "abc"]
    (reason,) = reasons(matrix(rows), "unsupported")
    assert (reason.text, reason.count, reason.implementations) == ("has no conv2d", 3, ("mine.py",))
    (reason,) = reasons(matrix([unchecked(row(), "not reached", "")]), "not reached")
    assert reason.text == "no reason given"


def test_the_headline_counts_and_judges():
    assert headline(matrix(sample_rows())) == (
        "4 implementations, 12 properties, 42,565 cases, 14.6 million outputs compared: all agree"
    )
    assert counts(matrix([row(examples=1, elements=1)])) == "1 implementation, 1 property, 1 case, 1 output compared"


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([], ["nothing was checked"]),
        ([row()], ["mine.py agrees"]),
        ([row(verdict="unsupported")], ["nothing was checked"]),
        ([row(), row(implementation="b")], ["all agree"]),
        ([row(), row(implementation="b", verdict="hung")], ["b fails in 1 property", "mine.py agrees"]),
        ([row(verdict="hung"), row(dtype="b", verdict="raised")], ["mine.py fails in 1 property"]),
        ([row(verdict="hung"), row(property="p", verdict="hung"), row(implementation="b", verdict="crashed")],
         ["mine.py fails in 2 properties, b in 1"]),
        ([row(), row(implementation="b", verdict="unsupported")], ["mine.py agrees", "nothing was checked of b"]),
        ([row(), row(dtype="b", verdict="expected"), row(dtype="c", verdict="not reached")],
         ["mine.py agrees", "1 failure expected", "1 check not reached"]),
        ([row(implementation=name) for name in "abcd"] + [row(verdict="differs")],
         ["mine.py fails in 1 property", "4 agree"]),
    ],
)  # fmt: skip
def test_what_was_found_is_said_in_words(rows, found):
    assert findings(matrix(rows)) == found


def test_the_command_runs_the_case_again():
    assert command(row(case="conv2d i5k3s2p1")) == (
        "pytest properties/test_shape.py::test_shape_is_the_count_of_windows --impl=mine.py --case='conv2d i5k3s2p1'"
    )
    assert command(row(implementation="my file.py:f")) == (
        "pytest properties/test_shape.py::test_shape_is_the_count_of_windows --impl='my file.py:f'"
    )


def test_failures_come_worst_first():
    assert [each.verdict for each in matrix(failing_rows()).failures] == ["crashed", "differs"]


def test_markdown_has_the_matrix_the_failures_and_the_reasons():
    text = as_markdown(matrix(failing_rows()))
    assert "| Convolution is linear in x. | ✓ 275 | ✓ 260 | ✓ 250 | ✓ 119 – |" in text
    assert "mine.py conv2d float32: differs. Every output is" in text
    assert "pytest properties/ --impl=mine.py --case='conv2d n1c1k2" in text
    assert "<details><summary>unsupported: 66</summary>" in text
    widths = {each.count("|") for each in text.splitlines() if each.startswith("|")}
    assert widths == {6}


def test_markdown_escapes_what_others_wrote():
    text = as_markdown(matrix([row(title="a | b <b> *c*", message="```\n</details>", verdict="differs")]))
    assert r"a \| b &lt;b&gt; \*c\*" in text
    assert "````text\n```\n</details>" in text


def test_markdown_of_many_failures_says_how_many_are_left():
    rows = [row(dtype=f"d{number}", verdict="differs") for number in range(50)]
    assert as_markdown(matrix(rows)).count("```text") == 20
    assert "and 30 more." in as_markdown(matrix(rows))


def test_no_rows_make_no_matrix():
    assert as_text(matrix([]), 100) == "no verdicts: nothing was checked"
    assert as_markdown(matrix([])) == "## no verdicts: nothing was checked\n"
