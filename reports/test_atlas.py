"""The atlas is written and read back whole, told as Markdown, and drawn; what is damaged is said in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reports import __main__, atlas, conventions, page
from reports.conventions import Asked, Atlas, Line
from reports.rows import LedgerError
from reports.test_page import outline, said

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "reports" / "samples" / "atlas.jsonl"
OUTCOMES = {"refused": "It raises.", "not offered": "It has none.", "crashed": "It dies.", "another": "It is told."}
TIE = Asked("Max", "tie", "Which of two.", "max(x=[1, 1])", {"first": "The first.", "last": "The last."}, "first")
ODD = Asked("Lp", "odd", "An odd p.", "lp(p=3)", {"absolute": "A norm.", "signed": "No norm."}, "")
LINES = [
    Line("torch", "2.1", "tie", "first", "[0]"), Line("torch", "2.1", "odd", "signed", "[-1]"),
    Line("jax", "0.4", "tie", "last", "[1]"), Line("jax", "0.4", "odd", "not offered", ""),
    Line("jax", "0.9", "tie", "last", "[1]"), Line("jax", "0.9", "odd", "not offered", ""),
    Line("cv", "4", "tie", "another", "[7]"), Line("cv", "4", "odd", "crashed", "signal 8"),
    Line("cv", "5", "tie", "first", "[0]"), Line("cv", "5", "odd", "refused", "no"),
]  # fmt: skip
MADE = Atlas([TIE, ODD], OUTCOMES, LINES)


def test_an_atlas_is_read_as_it_was_written(tmp_path):
    conventions.write(MADE, tmp_path / "atlas.jsonl")
    assert conventions.read(tmp_path / "atlas.jsonl") == MADE


def test_releases_that_answer_alike_are_one_column():
    assert [column.name for column in MADE.columns] == ["torch 2.1", "jax 0.4, 0.9", "cv 4", "cv 5"]


def test_releases_are_named_where_others_answer_otherwise():
    shares = {answer: MADE.who(lines) for answer, lines in MADE.shares(TIE).items()}
    assert shares == {"first": "torch, cv (5)", "last": "jax", "another": "cv (4)"}
    assert [*MADE.shares(ODD)] == ["signed", "refused", "crashed", "not offered"]


def test_the_summary_counts():
    assert conventions.summary(MADE) == (
        "2 questions, 3 engines, 5 releases; to 2 of the questions they give more than one answer."
    )


def test_markdown_tells_every_answer_and_what_has_no_name(tmp_path, capsys):
    conventions.write(MADE, file := tmp_path / "atlas.jsonl")
    assert conventions.main([str(file), f"--out={tmp_path / 'atlas.md'}"]) == 0
    text = (tmp_path / "atlas.md").read_text()
    for line in ("| **first** | The first. | torch, cv (5) |", "| another | It is told. | cv (4) `[7]` |",
                 "| crashed | It dies. | cv (4) `signal 8` |", "| not offered | It has none. | jax |"):  # fmt: skip
        assert line in text
    file.write_text("")
    assert conventions.main([str(file), f"--out={tmp_path / 'atlas.md'}"]) == 1
    assert "atlas.jsonl: empty" in capsys.readouterr().err


def test_the_page_shows_every_question_engine_and_answer():
    html, unread = page.drawn(None, [], conventions=MADE)
    assert unread == []
    assert "atlas" in outline(html).ids
    section = html[html.index('<h2 id="atlas">') :].partition("</section>")[0]
    text = said(section)
    for word in ("tie", "odd", "torch", "0.4, 0.9", "An odd p.", "lp(p=3)", "No norm."):
        assert word in text
    assert section.count("<td class=") == 2 * 4
    assert "atlas" not in outline(page.drawn(None, [])[0]).ids


def test_a_cell_has_the_tone_of_its_answer():
    tones = [cell.tone for its in atlas.drawn(MADE).themes.values() for entry in its for cell in entry.cells]
    assert tones == ["good", "warn", "warn", "good", "warn", "idle", "bad", "warn"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: "", "atlas.jsonl: empty"),
        (lambda text: "[]\n", "atlas.jsonl:1:"),
        (lambda text: text.replace('"atlas"', '"mutants"', 1), "atlas.jsonl:1: not an atlas"),
        (lambda text: text[:-1], "the last line is cut off"),
        (lambda text: text + text.split("\n")[-2] + "\n", "has 11 lines after the first, and should have 10"),
        (lambda text: text.replace('"sentence"', '"sentences"', 1), ":1: not the questions of an atlas"),
        (lambda text: text.replace('"theme":"Max"', '"theme":7'), ":1: not the questions of an atlas: theme"),
        (lambda text: text.replace('"answers":{"first":"The first."', '"answers":{"first":1'), "answers"),
        (lambda text: text.replace('"got":"[-1]"', '"gets":"[-1]"'), ":3: not an answer"),
        (lambda text: text.replace('"got":"[-1]"', '"got":-1'), ":3: got = -1: a text is accepted"),
        (lambda text: text.replace('"answer":"signed"', '"answer":"sined"'), ":3: the answer 'sined' to 'odd'"),
        (lambda text: text.replace('"question":"odd","answer":"signed"', '"question":"even","answer":"signed"'),
         ":3: the question 'even'"),
        (lambda text: text.replace('"release":"0.9"', '"release":"0.4"'), ":6: a second answer of jax 0.4 to 'tie'"),
    ],
)  # fmt: skip
def test_a_broken_atlas_is_refused_in_a_line_that_names_it(tmp_path, spoil, message):
    conventions.write(MADE, file := tmp_path / "atlas.jsonl")
    file.write_text(spoil(file.read_text()))
    with pytest.raises(LedgerError, match=re.escape(message)) as caught:
        conventions.read(file)
    assert "\n" not in str(caught.value)


def test_an_atlas_that_cannot_be_read_leaves_the_rest_of_the_page(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "atlas.jsonl").write_text("no atlas\n")
    verdicts = SAMPLE.with_name("verdicts.jsonl")
    assert __main__.main([f"--results={verdicts}", "--atlas=atlas.jsonl", "--out=page.html"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert "atlas.jsonl:1:" in said((tmp_path / "page.html").read_text(encoding="utf-8"))


def test_the_sample_is_whole_and_small_and_names_no_folder():
    found = conventions.read(SAMPLE)
    assert len(found.lines) == len(found.questions) * sum(map(len, found.releases.values()))
    text = SAMPLE.read_text(encoding="utf-8")
    assert len(text) < 200_000
    assert not re.search(r"/tmp/|/home/|/work/|/Users/|/io/", text)


def test_the_markdown_and_the_readme_are_drawn_from_the_sample():
    """If not: the command that the file itself names draws it anew."""
    found = conventions.read(SAMPLE)
    assert (ROOT / "properties" / "atlas" / "README.md").read_text(encoding="utf-8") == conventions.as_markdown(found)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert conventions.summary(found) in " ".join(readme.replace("\n> ", " ").split())
