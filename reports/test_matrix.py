"""The matrix says at a glance what was found, and hides nothing."""

import re
from dataclasses import replace

import pytest

from reports.markdown import as_markdown
from reports.matrix import LEVELS, matrix
from reports.rows import VERDICTS
from reports.sentences import command, counts, findings, headline, missed, reasons, thin
from reports.terminal import as_text, closing
from reports.test_ledger import RUN, failing_rows, sample_rows, unchecked

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


@pytest.mark.parametrize("verdict", [each for each in VERDICTS if each not in ("unsupported", "not reached")])
def test_the_worst_verdict_is_shown(verdict):
    mixed = [row(dtype="a"), *(row(dtype=each, verdict=each) for each in (verdict, "unsupported", "not reached"))]
    (only,) = matrix(mixed).groups["values"]
    assert only.cells["mine.py"].verdict == verdict


@pytest.mark.parametrize(("verdict", "sign"), [("unsupported", "–"), ("not reached", "…")])
def test_a_part_that_is_not_checked_leaves_a_sign_and_hides_no_agreement(verdict, sign):
    found = matrix([row(examples=900), unchecked(row(dtype="float64"), verdict, "")])
    text = as_text(found, 100, "utf-8")
    assert line(text, "The output").endswith(f"✓ 900 {sign}")
    assert f"✓ agrees, in so many cases   ✓ {sign} in part {verdict}   {sign} {verdict}" in text
    assert f"| ✓ 900 {sign} |" in as_markdown(found)
    assert not found.lines[0].parts


def test_an_operation_that_was_not_reached_at_all_stands_apart():
    found = matrix([row(examples=900), unchecked(row(operation="l2_pool2d", dtype=""), "not reached", "no time")])
    text = as_text(found, 100, "utf-8")
    assert line(text, "The output").endswith("✓ 900 …")
    assert line(text, "conv2d").endswith("✓ 900")
    assert line(text, "l2_pool2d").endswith("… not reached")


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
    assert "✓ agrees, in so many cases   ✓ – in part unsupported   ✗ fails" in text


@pytest.mark.parametrize("draw", [lambda found: as_text(found, 100, "utf-8"), as_markdown])
def test_what_is_mistrusted_has_its_reason_below(draw):
    thin = row(verdict="mistrusted", reason="in 57 of 100 cases the true outputs are nearly all zero", dtype="float64")
    text = draw(matrix([row(), thin]))
    assert "1 × in 57 of 100 cases the true outputs are nearly all zero (mine.py: conv2d)" in text
    assert "? mistrusted" in text
    assert "mine.py is mistrusted in 1 property" in " ".join(text.split())
    assert "fails in" not in text


def lacking(operation, implementation="mine.py", **changes):
    """Make the row of an operation that is not offered."""
    changes = {"operation": operation, "implementation": implementation, "dtype": ""} | changes
    return unchecked(row(**changes), "unsupported", f"offers no {operation}")


@pytest.mark.parametrize("draw", [lambda found: as_text(found, 120, "utf-8"), as_markdown])
def test_operations_that_nobody_offers_are_told_in_one_sentence(draw):
    pools = [lacking(operation) for operation in ("max_pool2d", "avg_pool2d")]
    alone = [lacking(operation, property=f"p{n}", title="Pooled.") for n in "12" for operation in ("max_pool2d", "l2")]
    text = draw(matrix([row(examples=7), *pools, *alone])).replace("\\", "")
    assert "✓ 7 –" not in text
    assert "✓ 7" in text
    assert "Pooled." not in text
    assert "offers no" not in text
    assert "not offered by mine.py: max_pool2d, avg_pool2d, l2 (2 properties)" in text
    assert "1 implementation, 1 property, 7 cases" in text


def test_what_one_implementation_offers_keeps_its_line():
    pools = [lacking("l2", property="p", title="Pooled."), row(operation="l2", implementation="b", property="p")]
    text = as_text(matrix([row(), row(implementation="b"), *pools]), 100, "utf-8")
    assert line(text, "Pooled.").split() == ["Pooled.", "–", "unsupported", "✓", str(row().examples)]
    assert "not offered by mine.py: l2 (1 property)" in text


def test_a_file_that_offers_nothing_is_told_so():
    text = as_text(matrix([lacking("conv2d"), lacking("l2")]), 100, "utf-8")
    assert text.split("\n\n") == [
        "not offered by mine.py: conv2d, l2 (1 property)",
        "1 implementation, 0 properties, 0 cases, 0 outputs compared: nothing was checked",
    ]


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
        ([row(verdict="hung"), row(operation="o"), row(property="p", verdict="hung"),
          *(row(implementation="b", **its, verdict="crashed") for its in ({}, {"operation": "o"})),
          row(implementation="b", property="p")], ["mine.py fails in 2 properties, b in 1"]),
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


@pytest.mark.parametrize(
    ("few", "cases", "said"),
    [
        (0, 100, ""),
        (12, 48_211, "12 of 48,211 cases (0.02 %) told little: nearly all of their outputs are zero"),
        (1, 1, "1 of 1 case (100 %) told little: nearly all of their outputs are zero"),
        (1_500, 10_000, "1,500 of 10,000 cases (15 %) told little: nearly all of their outputs are zero"),
    ],
)
def test_the_share_of_cases_that_told_little_is_said_at_the_end(few, cases, said):
    rows = [row(examples=cases - few), row(dtype="float64", examples=few, mistrusted=few)]
    assert thin(rows) == said
    lines = closing(rows, RUN, {}, 100, "utf-8", False, stopped=False)
    assert lines[1:] == [said] * bool(said)


def test_the_chance_of_missing_a_wrong_map_is_said_at_the_end():
    rows = [row(integers=30, missed=6.0), row(dtype="float64", integers=10, missed=0.1)]
    (said,) = closing(rows, RUN, {}, 200, "utf-8", False, stopped=False)[1:]
    assert said == missed(rows)
    assert said.startswith(
        "on 40 cases of random integers a wrong linear or bilinear map would be missed with probability 0.15"
    )
