"""The page is complete, harmless and drawn from the results file alone."""

import math
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reports import __main__, load, page, sources
from reports.ledger import FILE, Ledger
from reports.test_ledger import CASE, RUN, failing_rows, sample_rows, spoiled, written

ROOT = Path(__file__).parent.parent
VOID = {"meta", "link", "br", "rect", "path", "use"}


class Outline(HTMLParser):
    """Collect tags, ids and links, and complain where tags do not nest."""

    def __init__(self):
        super().__init__()
        self.tags, self.ids, self.targets, self.open, self.text = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        """Note a tag and what it refers to."""
        self.text.append(" " if tag in {"td", "dd"} else "")
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value for name, value in attributes if name == "id"]
        self.targets += [value[1:] for name, value in attributes if name == "href" and value.startswith("#")]

    def handle_startendtag(self, tag, attributes):
        """Note a tag without content, as SVG has them."""
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        """Refuse what does not nest."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Note text."""
        self.text.append(data)


def outline(html):
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert not parser.open
    return parser


def said(html):
    return " ".join("".join(outline(html).text).split())


@pytest.fixture(scope="module")
def passing():
    return page.render(replace(RUN, finished=RUN.started, exit_status=0), [*sample_rows()])


@pytest.fixture(scope="module")
def failing():
    return page.render(RUN, [*failing_rows()])


def test_the_heading_states_the_verdict(passing, failing):
    assert "4 implementations, 12 properties, 42,565 cases, 14.6 million outputs compared: all agree" in said(passing)
    assert "mine.py fails in 2 properties im2col, fft and torch-cpu agree, 1 failure expected" in said(failing)


def test_tags_nest_ids_are_unique_and_links_lead_somewhere(passing, failing):
    for html in (passing, failing):
        found = outline(html)
        assert len(found.ids) == len({*found.ids})
        assert {*found.targets} <= {*found.ids}
        assert sum(tag == "h1" for tag, _ in found.tags) == 1


def test_nothing_is_loaded_and_nothing_is_run(failing):
    for tag, attributes in outline(failing).tags:
        assert tag not in {"script", "iframe", "img", "object", "embed", "base", "form"}
        assert not [name for name in attributes if name.startswith("on") or name == "src"]
        assert attributes.get("href", "#")[0] == "#" or attributes["href"].startswith("data:")
    assert not re.search(r"url\((?!#)|@import", failing)
    assert "default-src 'none'" in failing


def test_what_others_wrote_is_text():
    evil = '"><script>alert(1)</script><b>bold</b></pre></style>&amp;'
    texts = ("reason", "case", "message", "title", "property", "level", "operation", "dtype", "implementation")
    row = replace(next(failing_rows()), verdict="differs", worst_ratio=math.inf, **dict.fromkeys(texts, evil))
    loaded = {"spec": evil, "name": evil, "version": evil, "declarations": {evil: evil}, "missing": ""}
    missing = {"spec": "x", "name": evil, "version": evil, "declarations": {}, "missing": evil}
    run = replace(RUN, machine={evil: evil}, versions={evil: evil}, implementations=[loaded, missing])
    run = replace(run, **dict.fromkeys(("id", "command", "profile", "started", "seed"), evil))
    html = page.render(run, [row, replace(row, dtype="b", verdict="unsupported")])
    assert "script" not in {tag for tag, _ in outline(html).tags}
    assert "<script" not in html
    assert "<b>bold" not in html
    assert "".join(outline(html).text).count(evil) > 20


def test_a_failure_has_its_message_and_its_command(failing):
    assert f"pytest properties/ --impl=mine.py --case='{CASE}'" in said(failing)
    assert "y[0, 1, 2, 0] got 14.0 want -3.0" in said(failing)
    assert "mine.py crashed conv2d float32 A filter larger than the padded input is refused." in said(failing)


def test_verdicts_read_without_colour(failing):
    text = said(failing)
    for sign in ("✓agrees, 275", "✗differs", "✗crashed", "–unsupported", "…not reached", "·expected"):
        assert sign in text


def test_a_cell_says_what_is_behind_it(failing):
    titles = [attributes["title"] for tag, attributes in outline(failing).tags if tag == "td" and "title" in attributes]
    wrong = next(title for title in titles if title.startswith("differs"))
    assert "largest error 5.2e+06 of its bound" in wrong
    assert "float32: differs\nfloat64: unsupported" in wrong


def test_reasons_declarations_and_missing_implementations_are_shown(failing):
    text = said(failing)
    assert "the budget of 60 s was spent mine.py conv2d, max_pool2d, avg_pool2d 3" in text
    assert "limits F 3; S 1, 2; G 1" in text
    assert "torch-cuda not loaded torch sees no CUDA device" in text


def test_what_is_mistrusted_and_what_is_not_offered_are_told():
    row = next(sample_rows(("mine.py",)))
    thin = replace(row, verdict="mistrusted", reason="in 57 of 100 cases the true outputs are nearly all zero")
    pool = replace(row, operation="l2_pool2d", property="p", title="Pooled.", dtype="", verdict="unsupported")
    text = said(page.render(RUN, [thin, pool]))
    assert "?mistrusted reasonofinchecks in 57 of 100 cases the true outputs are nearly all zero mine.py" in text
    assert "Not offered by mine.py: l2_pool2d (1 property)." in text
    assert "Pooled." not in text


def test_a_part_that_is_not_checked_has_its_sign_in_the_legend():
    row = next(sample_rows(("mine.py",)))
    left = [replace(row, dtype=each, verdict=each, examples=0) for each in ("unsupported", "not reached")]
    text = said(page.render(RUN, [replace(row, examples=900), *left]))
    assert "✓agrees, 900 – …" in text
    assert "– after a number: in part unsupported … after a number: in part not reached" in text


def test_a_run_that_was_cut_off_says_so(passing, failing):
    assert "This run was cut off" in said(failing)
    assert "This run was cut off" not in said(passing)


def test_counts_of_verdicts_are_good_grammar(failing):
    assert page.told(Counter({"agrees": 2, "differs": 11, "unsupported": 10})) == "2 agree · 11 differ · 10 unsupported"
    assert page.told(Counter({"agrees": 1, "differs": 1, "crashed": 2})) == "1 agrees · 1 differs · 2 crashed"
    assert "6 agree · 1 crashed · 1 differs ·" in said(failing)


@pytest.mark.parametrize(("seed", "text"), [("", "random"), (None, "random"), ("0", "0"), ("17", "17")])
def test_a_run_says_its_seed_or_that_it_was_random(seed, text):
    assert f"seed {text} profile" in re.sub(
        r"profile", " profile", said(page.render(replace(RUN, seed=seed), []))
    ).replace("  ", " ")


@pytest.mark.parametrize("count", [2, 3, 7])
def test_a_matrix_wider_than_a_phone_says_that_it_scrolls(count):
    html = page.render(RUN, [row for number in range(count) for row in sample_rows([f"engine{number}"])])
    assert (f"{count} implementations: scroll the table sideways" in said(html)) == (count > 2)
    classes = [attributes.get("class", "") for tag, attributes in outline(html).tags if tag == "div"]
    assert ("scroll sideways many" in classes) == (count > 6)
    assert ("scroll sideways" in classes) == (count <= 6)
    assert re.search(r"\.sideways::after \{[^}]*position: sticky; right: 0;[^}]*linear-gradient\(to left", html)


def test_the_name_of_an_implementation_breaks_between_words_only(passing):
    (style,) = re.findall(r"\.columns \.name \{([^}]*)\}", passing)
    assert "overflow-wrap: break-word" in style  # as anywhere, it would make each letter a word, and with flex break it
    assert "flex" not in style


def test_worked_examples_have_their_source():
    name = "test_worked_examples.py::test_seven_cells_hold_five_windows_or_three"
    row = replace(next(sample_rows(("im2col",))), property=name, title="7x7 through 3x3.", operation="out_size")
    html = page.render(RUN, [row, replace(row, property="test_worked_examples.py::test_of_nothing", title="Other.")])
    part = html[html.index('<h2 id="examples">') :].partition("</section>")[0]
    assert '<th scope="col">source</th>' in part
    assert '7x7 through 3x3.</th><td class="source">CS231n, &#34;Spatial arrangement&#34;</td>' in part
    assert 'Other.</th><td class="source"></td>' in part
    assert html.count('<h2 id="examples">') == 1


def test_every_worked_example_of_the_clone_names_a_source(tmp_path):
    found = sources.sources()
    tests = [f"{file.name}::{name}" for file in (ROOT / "properties").glob("test_worked_*.py")
             for name in re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)]  # fmt: skip
    assert len(tests) > 10
    assert {*found} == {*tests}
    assert not [text for text in found.values() if text.endswith(".") or "\n" in text or not text]


def test_what_cannot_be_read_has_no_source(tmp_path):
    (tmp_path / "test_worked_a.py").write_text("def test_x(:\n")
    (tmp_path / "test_worked_b.py").write_bytes(b"\xff\xfe")
    (tmp_path / "test_worked_c.py").write_text(
        'def test_y():\n    """Yes.\n\n    More. Source: A,\n    "B".\n\n    Not this.\n    """\n\n'
        'def test_z():\n    """No."""\n'
    )
    assert sources.sources(tmp_path) == {"test_worked_c.py::test_y": 'A, "B"'}
    assert sources.sources(tmp_path / "absent") == {}


def test_the_page_says_how_many_cases_told_little(failing):
    rows = [replace(row, mistrusted=row.examples // 50) for row in failing_rows()]
    few, cases = sum(row.mistrusted for row in rows), sum(row.examples for row in rows)
    assert re.search(rf"{few:,} of {cases:,} cases \([\d.]+ %\) told little: ", said(page.render(RUN, rows)))
    assert "told little" not in said(failing)


def test_no_rows_make_a_page():
    html = page.render(RUN, [])
    assert "no verdicts: nothing was checked" in said(html)
    assert "<svg viewBox" in html


@pytest.mark.parametrize("ratio", [0.0, 0.4, 1.0, 3e7, math.inf, 1e300])
def test_every_error_has_its_place_in_the_figure(ratio):
    html = page.render(RUN, [replace(next(sample_rows()), worst_ratio=ratio)])
    assert html.count("<figure>") == 1
    assert "nan" not in html[html.index("<figure>") : html.index("</figure>")].lower()


@pytest.mark.parametrize("name", ["$x$", "$", "_mine.py", "卷积.py", "a<b>"])
def test_every_name_can_be_drawn(name):
    html = page.render(RUN, [replace(next(sample_rows()), implementation=name, operation=name, worst_ratio=0.5)])
    assert name in "".join(outline(html[html.index("<figure>") : html.index("</figure>") + 9]).text)


def test_the_same_results_give_the_same_page(failing):
    assert page.render(RUN, [*failing_rows()]) == failing


def test_a_page_of_many_rows_is_drawn():
    rows = [row for number in range(15) for row in sample_rows([f"engine{number}"])]
    assert "15 implementations" in said(page.render(RUN, rows))


def test_frames_are_tidy(tmp_path):
    written(tmp_path, [*failing_rows()])
    frame = load.verdicts(tmp_path)
    assert len(frame) == len([*failing_rows()])
    assert frame["verdict"].min() == "crashed"
    assert frame.groupby("implementation", observed=True)["examples"].sum()["mine.py"] == 2819
    assert frame["worst_ratio"].dtype == "float64"
    assert str(load.runs(tmp_path)["started"].dt.tz) == "UTC"


def reported(*arguments, cwd):
    command = [sys.executable, "-m", "reports", *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(cwd)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_command_line_draws_the_page_and_prints_where(tmp_path):
    written(tmp_path / "results")
    done = reported(cwd=tmp_path)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, str(Path("report/index.html")), "")
    done = reported("--markdown", "matrix.md", "--export", "sample.jsonl", "--out", "page.html", cwd=tmp_path)
    assert (done.returncode, done.stdout.split()) == (0, ["matrix.md", "sample.jsonl", "page.html"])
    again = __main__.main(["--results", str(tmp_path / "sample.jsonl"), "--out", str(tmp_path / "again.html")])
    assert again == 0
    assert (tmp_path / "again.html").read_bytes() == (tmp_path / "report/index.html").read_bytes()


def test_a_named_run_is_drawn(tmp_path, capsys):
    written(tmp_path)
    written(tmp_path, [*failing_rows()], replace(RUN, id="other", started="2026-11-19T00:00:00+00:00"))
    assert __main__.main(["--results", str(tmp_path), "--run", "other", "--out", str(tmp_path / "a.html")]) == 0
    assert "mine.py fails" in (tmp_path / "a.html").read_text(encoding="utf-8")
    assert __main__.main(["--results", str(tmp_path), "--run", "othr", "--out", str(tmp_path / "a.html")]) == 1
    assert "holds no run 'othr' among its 2: did you mean other?" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["absent", "empty", "truncated", "text", "user_version = 9", "application_id = 9"])
def test_a_results_file_that_cannot_be_read_gets_one_line(tmp_path, capsys, how):
    if how == "empty":
        Ledger.open(tmp_path).close()
    elif how != "absent":
        spoiled(tmp_path, how)
    assert __main__.main(["--results", str(tmp_path), "--out", str(tmp_path / "page.html")]) == 1
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert FILE in error
    assert not (tmp_path / "page.html").exists()


def test_a_page_that_cannot_be_written_gets_one_line(tmp_path, capsys):
    written(tmp_path)
    assert __main__.main(["--results", str(tmp_path), "--out", str(tmp_path / FILE / "page.html")]) == 1
    assert re.fullmatch(r"python -m reports: .*cannot be written \(.*\): name another file\n", capsys.readouterr().err)
    before = [*tmp_path.parent.iterdir()]
    assert __main__.main(["--results", str(tmp_path), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"python -m reports: {tmp_path}: is a folder: name a file\n"
    assert [*tmp_path.parent.iterdir()] == before


@pytest.fixture
def bare(tmp_path):
    """Write results into a folder from which jinja2 is not found."""
    written(tmp_path / "results")
    (tmp_path / "jinja2.py").write_text("raise ModuleNotFoundError(\"No module named 'jinja2'\", name='jinja2')")
    return tmp_path


@pytest.mark.parametrize("asked", [(), ("--out", "page.html"), ("--markdown", "matrix.md", "--out", "page.html")])
def test_a_missing_library_gets_the_line_that_installs_it(asked, bare):
    done = reported(*asked, cwd=bare)
    assert done.returncode == 1
    install = "pip install -c constraints.txt jinja2 matplotlib pandas"
    assert done.stderr == f"python -m reports: the page needs jinja2: {install}\n"
    assert (bare / "matrix.md").exists() == ("--markdown" in asked)


def test_what_needs_no_library_is_written_without(bare):
    done = reported("--markdown", "matrix.md", "--export", "sample.jsonl", cwd=bare)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["matrix.md", "sample.jsonl"], "")
    assert (bare / "matrix.md").exists()
    assert (bare / "sample.jsonl").exists()
    assert not (bare / "report").exists()
