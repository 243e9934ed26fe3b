"""The table of mutants is written and read back whole, said in sentences, and drawn."""

from __future__ import annotations

import pytest

from reports import __main__, kills, mutants, page
from reports.kills import Column, Row, Table, Variant
from reports.rows import LedgerError
from reports.test_page import outline, said

EXACTLY, SHAPE, LATE = "test_values.py::test_exactly", "test_shape.py::test_shape", "test_sizes.py::test_large"
COLUMNS = [
    Column(EXACTLY, "Every output is exact.", "values", "conv2d", 100),
    Column(SHAPE, "The shape is right.", "values", "conv2d", 100),
    Column(LATE, "Large outputs are right.", "values", "conv2d", 60),
    Column(EXACTLY, "Every output is exact.", "values", "avg_pool2d", 100),
]
ROWS = [
    Row("flipped", "flips", "The filter is flipped.", "conv2d", (EXACTLY,), {EXACTLY: 1, LATE: 2}),
    Row("rounded_up", "shape", "Sizes are rounded up.", "conv2d", (SHAPE,), {SHAPE: 7}),
    Row("last_tile", "sizes", "The last tile is left out.", "conv2d", (LATE,), {LATE: 40}),
    Row("cut", "precision", "The average is cut.", "avg_pool2d", (EXACTLY,), {EXACTLY: 3}),
]
ALIVE = Row("asleep", "state", "It is right but on Sundays.", "avg_pool2d", (EXACTLY,), {})
VARIANTS = [Variant("reversed_sums", "Sums run backwards.", ("conv2d",), 200, 9000, ())]
TABLE = Table({"examples": 100, "seed": 0, "seconds": 12.5}, COLUMNS, ROWS, VARIANTS)


def test_a_table_is_read_as_it_was_written(tmp_path):
    kills.write(TABLE, tmp_path / "mutants.jsonl")
    assert kills.read(tmp_path / "mutants.jsonl") == TABLE


def test_examples_are_counted_alone_and_in_the_order_of_a_run():
    assert [row.alone for row in ROWS] == [1, 7, 40, 3]
    assert [TABLE.in_order(row) for row in ROWS] == [1, 107, 240, 3]
    assert (ALIVE.alone, TABLE.in_order(ALIVE)) == (None, None)


def test_a_percentile_is_one_of_the_values():
    assert kills.percentile(range(1, 101), 0.95) == 95
    assert kills.percentile([7], 0.95) == 7
    assert kills.percentile([1, 2, 3], 0.95) == 3


def test_what_only_one_property_kills_is_its_own():
    assert [row.mutant for row in TABLE.alone_in(COLUMNS[2])] == ["last_tile"]
    assert [row.mutant for row in TABLE.alone_in(COLUMNS[0])] == []


def test_the_summary_says_what_is_killed_and_after_how_many_examples():
    text = " ".join(kills.summary(TABLE))
    assert "4 of 4 mutants are killed" in text
    assert "needs 5 examples in the median and 40 at the 95th percentile" in text
    assert "needs 55 examples in the median and 240 at the 95th percentile" in text
    assert "9,000 elements compared, none is flagged" in text
    assert "Alive" not in text


def test_the_summary_names_survivors_and_what_was_wrongly_flagged():
    flagged = Variant("pairwise", "Sums in pairs.", ("conv2d",), 1, 1, ("test_values.py: y differs",))
    text = " ".join(kills.summary(Table({}, COLUMNS, [*ROWS, ALIVE], [flagged])))
    assert "4 of 5 mutants are killed" in text
    assert "Alive: asleep (avg_pool2d)." in text
    assert "wrongly flagged: pairwise" in text


def test_the_summary_names_properties_that_did_not_kill_what_they_must():
    slow = Row("slow", "flips", "Slow.", "conv2d", (EXACTLY, SHAPE), {EXACTLY: 2})
    assert f"slow (conv2d) by {SHAPE}" in " ".join(kills.summary(Table({}, COLUMNS, [slow])))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: "", "empty"),
        (lambda text: text.replace('"mutants"', '"verdicts"', 1), "not a table of mutants"),
        (lambda text: text[:-1], "the last line is cut off"),
        (lambda text: text + text.split("\n")[-2] + "\n", "and should have"),
        (lambda text: text.replace('"kind":"flips",', ""), "not a line of this table"),
        (lambda text: text.replace('{"mutant":"flipped"', '{"moment":"flipped"'), "not a line of this table"),
    ],
)
def test_a_broken_table_is_refused_in_a_line_that_names_it(tmp_path, spoil, message):
    kills.write(TABLE, file := tmp_path / "mutants.jsonl")
    file.write_text(spoil(file.read_text()))
    with pytest.raises(LedgerError, match=message):
        kills.read(file)


def test_classes_meet_files_of_properties():
    found = mutants.meetings(TABLE)
    assert found["flips"]["values"] == mutants.Meeting(1, 1)
    assert found["flips"]["shape"] == mutants.Meeting(0, 1)
    assert found["precision"]["sizes"] == mutants.Meeting(0, 0)


def test_the_page_shows_every_mutant_and_every_property():
    html, unread = page.drawn(None, [], faults=Table(TABLE.about, COLUMNS, [*ROWS, ALIVE], VARIANTS))
    text = said(html)
    assert unread == []
    assert {"mutants", "kills"} <= {*outline(html).ids}
    assert all(row.mutant.replace("_", " ") in text for row in [*ROWS, ALIVE])
    assert all(column.title in text for column in COLUMNS)
    assert "4 of 5 mutants are killed" in text


def test_a_table_that_cannot_be_read_leaves_the_rest_of_the_page(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mutants.jsonl").write_text("no table\n")
    sample = page.Path(page.__file__).parent / "samples" / "verdicts.jsonl"
    assert __main__.main([f"--results={sample}", "--mutants=mutants.jsonl", "--out=page.html"]) == 1
    assert "mutants.jsonl:1:" in capsys.readouterr().err
    assert (tmp_path / "page.html").exists()
