"""What of a benchmark file is damaged is said in one line, on stderr and on the page, and the rest is drawn."""

import copy
import re

import pytest

from reports import __main__, made_up, page, translation, translation_figures
from reports.benchmarks import BenchmarkError, load
from reports.test_measured import SECTIONS
from reports.test_page import outline, said


@pytest.fixture(scope="module")
def document():
    return made_up.document()


def told(tmp_path, capsys, content):
    """Draw a file, and return the page and the lines that were said, each of which the page has too."""
    out = tmp_path / "page.html"
    status = __main__.main(["--bench", str(made_up.saved(tmp_path, content)), "--out", str(out)])
    lines = [line.removeprefix("python -m reports: ") for line in capsys.readouterr().err.splitlines()]
    html = out.read_text(encoding="utf-8")
    assert status == bool(lines)
    for line in lines:
        assert f"{line}." in said(html)
    return html, lines


@pytest.mark.parametrize("change", [{"pixels": "??"}, {"width": 10**9}, {"width": 13}])
@pytest.mark.parametrize("row", [0, 1])
def test_a_broken_picture_is_left_out_and_the_others_are_drawn(tmp_path, capsys, document, change, row):
    content = copy.deepcopy(document)
    content["poolproof"]["experiments"]["feature_maps"][row] |= change
    html, (line,) = told(tmp_path, capsys, content)
    which = ["input", "A"][row]
    found = r"1 of 11 pictures of the experiment feature_maps is broken, and not drawn \((.*) at shift 0, '.*'\)"
    assert re.search(found, line)[1] == which
    assert {*SECTIONS} <= {*outline(html).ids}
    part = html[html.index('<h2 id="maps">') :].partition("</section>")[0]
    assert ("photograph</text>" in part) == bool(row)
    assert ("maximum</text>" in part) == (not row)
    assert "stride alone</text>" in part


def test_pictures_that_are_all_broken_have_no_section(tmp_path, capsys, document):
    content = copy.deepcopy(document)
    for row in content["poolproof"]["experiments"]["feature_maps"]:
        row["pixels"] = ""
    html, (line,) = told(tmp_path, capsys, content)
    assert "11 of 11 pictures of the experiment feature_maps are broken" in line
    assert line.endswith("; ...)")
    assert {*SECTIONS} - {*outline(html).ids} == {"maps"}


def test_a_comparison_with_nothing_in_common_says_what_is_damaged(tmp_path, capsys, document):
    content = copy.deepcopy(document)
    for each in content["benchmarks"]:
        each["extra_info"] = {}
    files = [str(made_up.saved(tmp_path, each, name)) for each, name in ((document, "a.json"), (content, "b.json"))]
    assert __main__.main(["compare", *files]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(r"nothing can be compared; .*b\.json: .*entries", line)


@pytest.mark.parametrize("left", [{}, {"implementation": "im2col"}, None])
def test_an_entry_without_its_measurement_is_counted(tmp_path, capsys, document, left):
    content = copy.deepcopy(document)
    content["benchmarks"][3]["extra_info"] = left
    if left:  # what is left of it says whose it is
        del content["benchmarks"][3]["fullname"], content["benchmarks"][3]["group"]
    html, (line,) = told(tmp_path, capsys, content)
    total = len(document["benchmarks"])
    assert f"1 entry of {total} without what was measured, and not drawn: 'test_layer[" in line
    assert {*SECTIONS} <= {*outline(html).ids}


def test_an_entry_that_is_no_object_is_counted(tmp_path, capsys, document):
    content = copy.deepcopy(document)
    content["benchmarks"][3] = 7
    _, (line,) = told(tmp_path, capsys, content)
    assert f"1 entry of {len(document['benchmarks'])} without what was measured, and not drawn: '7'" in line


def test_many_such_entries_are_one_line(tmp_path, capsys, document):
    content = copy.deepcopy(document)
    for each in content["benchmarks"][:5]:
        del each["extra_info"], each["fullname"]  # as an excerpt has them: the group says whose they are
    _, (line,) = told(tmp_path, capsys, content)
    assert re.search(r": 5 entries of \d+ without .*('test_layer.*', ){3}\.\.\.$", line)


def test_a_benchmark_of_others_is_no_damage(tmp_path, capsys, document):
    content = copy.deepcopy(document)
    content["benchmarks"] += [
        {"name": "test_theirs", "fullname": "tests/test_theirs.py::test_theirs", "group": None, "extra_info": {}},
        {"name": "test_other", "group": "layer", "extra_info": {"note": "x"}},
    ]
    assert told(tmp_path, capsys, content)[1] == []


def test_a_whole_file_says_nothing(tmp_path, capsys, document):
    assert told(tmp_path, capsys, document)[1] == []
    assert page.drawn(None, [], load(made_up.saved(tmp_path, document)))[1] == []


def test_the_table_of_the_maps_has_their_differences(tmp_path, document):
    pictures, broken = translation.pictures(load(made_up.saved(tmp_path, document)))
    assert broken == []
    rows = translation.pictures_table(translation.pairs(pictures)).rows
    assert [row[0] for row in rows] == [*translation.VARIANTS]
    for row in rows:  # made up so that each cell of a moved map is 51 of 255 brighter
        assert row[1:3] == ["gabor-0", "im2col"]
        assert row[-4:] == ["12x12", "20.0 %", "20.0 %", "100.0 %"]
    one = pictures[pictures["variant"] == "A"].iloc[0]["image"]
    same = pictures.assign(image=[one] * len(pictures))
    assert translation.pictures_table(translation.pairs(same)).rows[0][-3:] == ["0.0 %", "0.0 %", "0.0 %"]


def test_maps_of_two_sizes_have_no_difference(tmp_path, document):
    content = copy.deepcopy(document)
    row = content["poolproof"]["experiments"]["feature_maps"][1]
    row |= {"height": row["height"] // 2, "width": row["width"] * 2}
    pairs = translation.pairs(translation.pictures(load(made_up.saved(tmp_path, content)))[0])
    assert translation.pictures_table(pairs).rows[0][-3:] == ["", "", ""]
    assert "svg" in translation_figures.maps(pairs[:1], None)["wide"]  # without a difference, no scale


def test_the_differences_have_a_scale(tmp_path, document):
    pairs = translation.pairs(translation.pictures(load(made_up.saved(tmp_path, document)))[0])
    for drawing in translation_figures.maps(pairs, None).values():
        assert "difference, of the range of the map" in drawing
        assert ">20 %<" in drawing


def test_another_s_table_of_maps_is_refused(tmp_path, document):
    content = copy.deepcopy(document)
    del content["poolproof"]["experiments"]["feature_maps"][0]["width"]
    with pytest.raises(BenchmarkError, match="feature_maps"):
        translation.pictures(load(made_up.saved(tmp_path, content | {"poolproof": content["poolproof"] | {
            "experiments": {"feature_maps": [{"variant": "A"}]}}})))  # fmt: skip
