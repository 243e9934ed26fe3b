"""The page draws what a benchmark file has, says what it has not, and is harmless whatever stands in it."""

import copy
import json
import os
import re
from pathlib import Path

import pytest

from reports import __main__, made_up, page
from reports.benchmarks import load
from reports.test_ledger import RUN, failing_rows, sample_rows, spoiled, written
from reports.test_page import outline, reported, said

SECTIONS = ("speed", "growth", "roofline", "memory", "steps", "strides", "translation", "maps")


@pytest.fixture(scope="module")
def document():
    return made_up.document()


@pytest.fixture(scope="module")
def found(tmp_path_factory, document):
    return load(made_up.saved(tmp_path_factory.mktemp("bench"), document))


@pytest.fixture(scope="module")
def drawn(found):
    return page.render(RUN, [*failing_rows()], found)


@pytest.fixture
def folder(tmp_path):
    """A clone with results and benchmarks, in which one stands."""
    written(tmp_path / "results")
    made_up.saved(tmp_path / ".benchmarks", made_up.document(whole=False))
    return tmp_path


def run(*arguments):
    status = __main__.main([*map(str, arguments)])
    file = Path("report/index.html")
    return status, file.read_text(encoding="utf-8") if file.exists() else ""


def test_every_section_is_there_with_its_figure_and_its_table(drawn):
    ids = outline(drawn).ids
    assert [each for each in ids if each in SECTIONS] == [*SECTIONS]
    parts = {
        name: drawn[drawn.index(f'<h2 id="{name}">') :].partition("</section>")[0] for name in (*SECTIONS, "errors")
    }
    for name, part in parts.items():
        assert part.count("<svg") == 2, name  # wide and narrow
        assert part.count('role="img" aria-label="') == 2
        assert "<figcaption><p>" in part
        assert "The numbers" in part, name
        assert len(re.findall(r"aria-label=\"[^\"]{40,}\"", part)) >= 2
    assert "Not in this file" not in said(drawn)


def test_tags_nest_ids_are_unique_and_links_lead_somewhere(drawn):
    read = outline(drawn)
    assert len(read.ids) == len({*read.ids})
    assert {*read.targets} <= {*read.ids}


def test_nothing_is_loaded_and_nothing_is_run(drawn):
    for tag, attributes in outline(drawn).tags:
        assert tag not in {"script", "iframe", "img", "object", "embed", "base", "form"}
        for name in ("href", "xlink:href", "src"):
            assert attributes.get(name, "#")[0] == "#" or attributes[name].startswith("data:image/")
    assert not re.search(r"url\((?!#)|@import", drawn)


def test_figures_take_their_colours_from_the_page(drawn):
    figures = re.findall(r"<svg.*?</svg>", drawn, re.DOTALL)
    assert len(figures) > 16
    for each in figures[1:]:
        assert not re.search(r"#010[123][0-9a-f]{2}", each)
        assert not re.search(r"(fill|stroke): ?#(?!none)", each)


def test_the_same_file_gives_the_same_page(found, drawn):
    assert page.render(RUN, [*failing_rows()], found) == drawn


def test_cells_have_their_numbers_and_what_has_no_time_its_sign(found):
    html = page.render(RUN, [*sample_rows()], found)
    part = html[html.index('<h2 id="speed">') :].partition('<div class="narrow"')[0]
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", part)
    lines = found.of("layer")
    lines = lines[(lines["layer"] == "large-31") & (lines["operation"] == "conv2d")]
    times = dict(zip(lines["who"], lines["seconds"], strict=True))
    assert f"{times['im2col'] / times['torch-cpu']:.2f}" in texts
    assert texts.count("✗") == 1
    assert texts.count("…") == 16
    assert not [each for each in texts if re.fullmatch(r"≈ 0\.[0-4]\d", each)]  # half as fast is not level


def test_a_gpu_is_drawn_beside_the_others_with_its_name(tmp_path, document):
    content = copy.deepcopy(document)
    for each in content["benchmarks"]:
        if each["extra_info"]["implementation"] == "torch-cpu":
            each["extra_info"] |= {"implementation": "torch-cuda", "device": "cuda:0 NVIDIA H200"}
    text = said(page.render(RUN, [*sample_rows()], load(made_up.saved(tmp_path, content))))
    assert "torch-cuda on NVIDIA H200 is" in text
    assert "Times on cuda:0 NVIDIA H200 are those of its own events; all others are CPU time." in text
    assert "torch-cuda" not in text[text.index("What NumPy allows here") : text.index("What im2col costs")]


ABSENT = {
    "roofline": ("the roofline", {"roofline"}),
    "sweep": ("sweeps", {"growth"}),
    "again": ("", set()),
    "layer": ("layers, the roofline, im2col's memory", {"speed", "roofline", "memory"}),
}


@pytest.mark.parametrize("kind", ABSENT)
def test_what_a_file_lacks_is_said_and_the_rest_is_drawn(tmp_path, document, kind):
    content = copy.deepcopy(document)
    content["benchmarks"] = [each for each in content["benchmarks"] if each["extra_info"]["kind"] != kind]
    if kind == "layer":
        content["poolproof"]["not_timed"] = []
    html = page.render(RUN, [*sample_rows()], load(made_up.saved(tmp_path, content)))
    words, gone = ABSENT[kind]
    assert {each for each in SECTIONS if each not in outline(html).ids} == gone
    assert (f"Not in this file: {words}." if words else "Without an A/A run") in said(html)


def test_without_experiments_their_sections_are_left_out(tmp_path, document):
    content = copy.deepcopy(document)
    content["poolproof"]["experiments"] = {}
    html = page.render(RUN, [], load(made_up.saved(tmp_path, content)))
    assert [each for each in outline(html).ids if each in SECTIONS] == [*SECTIONS[:4]]
    assert "Not in this file: pool or stride, strides, a photograph that moves, its feature maps." in said(html)


def test_an_experiment_that_is_not_known_is_shown_as_it_is(tmp_path, document):
    content = copy.deepcopy(document)
    content["poolproof"]["experiments"]["padding_cost"] = [{"P": 1, "<b>": "0.5"}, {"P": 2}]
    assert "Padding cost As measured. P<b> 1 0.5 2" in said(
        page.render(RUN, [], load(made_up.saved(tmp_path, content)))
    )


def test_an_experiment_that_cannot_be_read_is_said_in_a_line(tmp_path, document):
    content = copy.deepcopy(document)
    for row in content["poolproof"]["experiments"]["stride"]:
        del row["S"]
    html, lines = page.drawn(RUN, [], load(made_up.saved(tmp_path, content)))
    assert lines[0].endswith("the experiment stride lacks S, and is not drawn")
    assert lines[0] in said(html)
    assert {*SECTIONS} - {*outline(html).ids} == {"strides"}


def test_what_others_wrote_is_text(tmp_path, document):
    evil = '"><script>alert(1)</script><b>$x$</b></style>&amp;{{ 7 * 7 }}'
    content = json.loads(json.dumps(document).replace("torch-cpu", json.dumps(evil)[1:-1]))
    info = content["benchmarks"][0]["extra_info"]
    content["machine_info"] = dict.fromkeys(("cpu", "blas", "numpy", "flags", "gpu", "python_version"), evil)
    content["datetime"] = content["commit_info"]["id"] = evil
    for row in content["poolproof"]["not_timed"]:
        row |= {"layer": evil, "reason": evil, "detail": evil}
    for row in content["poolproof"]["experiments"]["translation"]:
        row |= {"variant": evil, "filter": evil}
    content["poolproof"]["experiments"][evil] = [{evil: evil}]
    found = load(made_up.saved(tmp_path, content))
    html = page.render(None, [], found, notices=[evil])
    assert info["implementation"] == evil
    assert "<script" not in html
    assert "<b>$x$" not in html
    assert "".join(outline(html).text).count(evil) > 30


def test_the_newest_benchmarks_are_drawn_without_being_named(folder):
    status, html = run()
    assert status == 0
    assert "Speed, layer by layer" in said(html)
    assert "im2col 0.1.0 12 agree" in said(html)
    assert "the baseline of speed" in said(html)


def test_without_benchmarks_the_page_says_how_to_get_some(folder):
    next(Path(".benchmarks").rglob("*.json")).unlink()
    status, html = run()
    assert status == 0
    assert "No benchmarks here: make bench, or pytest bench/ --benchmark-save=NAME, writes one." in said(html)


def test_without_results_the_benchmarks_are_drawn(folder, capsys):
    for each in Path("results").iterdir():
        each.unlink()
    status, html = run()
    assert (status, capsys.readouterr().err) == (0, "")
    assert "timed, and no verdicts here" in said(html)
    assert "57 timings of 4 implementations (57 of layers)" in said(html)


def test_the_headline_counts_neither_the_roofline_nor_what_was_measured_again(found, document):
    kinds = [each["extra_info"]["kind"] for each in document["benchmarks"]]
    layers, sweeps, steps = (kinds.count(kind) for kind in ("layer", "sweep", "experiment"))
    assert layers + sweeps + steps < len(kinds)
    counted = f"{layers + sweeps + steps} timings of 4 implementations"
    parts = f"({layers} of layers, {sweeps} of sweeps, {steps} of steps)"
    assert f"{counted} {parts}" in said(page.render(None, [], found))


def test_without_anything_there_is_no_page(folder, capsys):
    next(Path(".benchmarks").rglob("*.json")).unlink()
    for each in Path("results").iterdir():
        each.unlink()
    assert run() == (1, "")
    assert "no results yet: run pytest properties/" in capsys.readouterr().err


BROKEN = {"truncated": lambda text: text[:5000], "foreign": lambda _: '{"benchmarks": []}', "empty": lambda _: ""}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("named", [True, False])
def test_a_broken_benchmark_file_gets_one_line_and_the_verdicts_are_drawn(folder, capsys, how, named):
    file = next(Path(".benchmarks").rglob("*.json"))
    file.write_text(BROKEN[how](file.read_text()))
    status, html = run(*(["--bench", file] if named else []))
    error = capsys.readouterr().err
    assert (status, error.count("\n")) == (1, 1)
    assert error.startswith(f"python -m reports: {file}: ")
    assert error[len("python -m reports: ") :].strip() in said(html)
    assert "all agree" in said(html)


@pytest.mark.parametrize("how", ["truncated", "text"])
def test_broken_results_get_one_line_and_the_benchmarks_are_drawn(folder, capsys, how):
    for each in Path("results").iterdir():
        each.unlink()
    spoiled(folder / "results", how)
    status, html = run()
    error = capsys.readouterr().err
    assert (status, error.count("\n")) == (1, 1)
    assert "verdicts.sqlite: truncated, or not a results file" in error
    assert "Speed, layer by layer" in said(html)


def test_layers_and_a_baseline_are_chosen(folder, capsys):
    status, html = run("--layers=alexnet-*,large-31", "--baseline=torch-cpu")
    assert status == 0
    assert "against torch-cpu" in said(html)
    assert "vgg16-conv1_2" not in html
    status, html = run("--layers=alexnet-*,lage-31", "--baseline=torchcpu")
    error = capsys.readouterr().err
    assert status == 1
    assert re.search(r"has no layer 'lage-31': did you mean large-31\?\n", error)
    assert re.search(r"has no layer timed with 'torchcpu': did you mean torch-cpu\?\n", error)
    assert "against im2col" in said(html)


def test_an_empty_folder_that_is_named_gets_one_line(folder, capsys):
    Path("empty").mkdir()
    status, html = run("--bench", "empty")
    assert status == 1
    assert capsys.readouterr().err.startswith("python -m reports: empty: no benchmarks yet: ")
    assert "all agree" in said(html)


def test_compare_is_a_command_of_its_own(folder):
    file = next(Path(".benchmarks").rglob("*.json"))
    done = reported("compare", file, file, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 slower, 0 faster" in done.stdout


def test_a_missing_library_gets_the_line_that_installs_it(folder):
    Path("pandas.py").write_text("raise ModuleNotFoundError(\"No module named 'pandas'\", name='pandas')")
    done = reported("compare", "a", "b", cwd=folder)
    install = "pip install -c constraints.txt jinja2 matplotlib pandas"
    assert (done.returncode, done.stderr) == (1, f"python -m reports: the comparison needs pandas: {install}\n")
    done = reported(cwd=folder)
    assert (done.returncode, done.stderr) == (1, f"python -m reports: the page needs pandas: {install}\n")


def test_the_newest_is_the_one_that_was_saved_last(folder, document):
    content = copy.deepcopy(document)
    content["datetime"] = "2020-01-01T00:00:00+00:00"
    os.utime(made_up.saved(folder / ".benchmarks", content, "0009_old.json"), (1, 1))
    assert "saved20 November 2026" in said(run()[1]).replace("saved ", "saved")


def test_what_was_wrong_stands_in_the_headline_of_benchmarks_alone(tmp_path, document):
    content = copy.deepcopy(document)
    refused = content["poolproof"]["not_timed"]
    (fault,) = (each for each in refused if "wrong" in each["reason"])
    refused += [
        fault | {"kind": "experiment", "layer": f"translation-F{F}-S2", "reason": "raised: Hung: no"} for F in (3, 5)
    ]
    html = page.render(None, [], load(made_up.saved(tmp_path, content)))
    assert "im2col+textbook is wrong or raises in 3 places, not timed there; in experiments raised: Hung: no" in said(
        html
    )
    content["poolproof"]["not_timed"] = [each for each in refused if not each["reason"].startswith(("wrong", "raised"))]
    assert "is wrong or raises" not in said(page.render(None, [], load(made_up.saved(tmp_path, content))))


def test_many_implementations_with_any_name_are_drawn(tmp_path, document):
    content = copy.deepcopy(document)
    names = [
        "_mine.py",
        "package.module.of.a.long.name:Kernel",
        "$x$<b>&amp;",
        "onnxruntime+no-indices@1.20.1",
        "卷积.py",
    ]
    for each in [each for each in content["benchmarks"] if each["extra_info"]["implementation"] == "torch-cpu"]:
        for name in names:
            content["benchmarks"].append(each | {"extra_info": each["extra_info"] | {"implementation": name}})
    rows = content["poolproof"]["experiments"]["stride"]
    rows += [row | {"implementation": "never-timed"} for row in rows if row["implementation"] == "im2col"]
    html = page.render(None, [], load(made_up.saved(tmp_path, content)))
    assert {*SECTIONS} <= {*outline(html).ids}
    for name in (*names[2:], "never-timed"):
        assert name in "".join(outline(html).text)
