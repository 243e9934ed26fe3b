"""Claims and worked examples are shown with what decided them, and a broken file of claims stops nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from reports import claims, made_up, page, speed, stats, steps, translation
from reports import strides as strides_of
from reports.benchmarks import load
from reports.claims import FILE, Claim, ClaimsError, read
from reports.matrix import matrix
from reports.test_ledger import RUN, failing_rows, sample_rows
from reports.test_page import outline, said

SAMPLE = Path(__file__).parent / "samples" / "bench.json"
TEXT = """
[[claim]]
id = "same-padding"
claim = "P = (F - 1)/2 keeps the size when S = 1."
source = "CS231n, Convolutional Layer"
verdict = "holds if F is odd"
why = "For even F\\n there is no such P."
decided_by = "properties/test_shape.py::test_shape_is_the_count_of_windows"

[[claim]]
id = "flip"
claim = "A ConvNet flips its filters <b>."
source = ""
verdict = "false"
why = "Mathematicians do."
decided_by = "properties/test_values.py::test_output_equals_the_definition"
measured_by = "bench:sweep-S"

[[claim]]
id = "windows"
claim = "A window sees F x F cells."
verdict = "holds"
decided_by = "properties/test_of_nothing.py::test"

[[open]]
id = "discarded"
claim = "Pools will be discarded."
verdict = "open"
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "claims.toml"
    path.write_text(TEXT, encoding="utf-8")
    monkeypatch.setattr(claims, "FILE", path)
    return path


def test_claims_are_read_in_their_order(file):
    first, second, third, fourth = read(file)
    assert first.why == "For even F there is no such P."
    assert [each.sign for each in (first, second, third, fourth)] == ["~", "✗", "✓", "?"]
    assert [each.anchor for each in (first, second)] == ["", "growth"]
    assert fourth == Claim("discarded", "Pools will be discarded.", "", "open", "")
    assert claims.count(read(file)) == "4 claims: 1 false, 1 true under a condition, 1 open and 1 true"


@pytest.mark.parametrize(
    ("name", "anchor"),
    [("sweep-W", "growth"), ("pool_or_stride", "steps"), ("stride", "strides"), ("vgg16-pool1", "speed")],
)
def test_a_measurement_has_its_place_on_the_page(name, anchor):
    assert Claim("x", "x", "", "holds", "", measured_by=f"bench:{name}").anchor == anchor
    assert Claim("x", "x", "", "holds", "", decided_by="properties/test_x.py::test").anchor == ""


def test_what_decides_a_claim_says_what_was_found_of_it(file):
    first, second, third, _ = read(file)
    verdicts = matrix([*sample_rows()], RUN)
    assert [claims.found(each, verdicts) for each in (first, third)] == ["✓ holds for 4 implementations", ""]
    assert claims.found(second, matrix([*failing_rows()], RUN)) == "✗ differs: mine.py"


def test_the_page_shows_claims_and_escapes_them(file, tmp_path):
    measured = load(made_up.saved(tmp_path))
    html = page.render(RUN, [*sample_rows()], measured)
    text = said(html)
    assert "4 claims: 1 false, 1 true under a condition, 1 open and 1 true." in text
    assert "A ConvNet flips its filters <b>." in text
    assert "test_shape.py::test_shape_is_the_count_of_windows in this run: ✓ holds for 4 implementations" in text
    assert text.index("A ConvNet flips") < text.index("(F - 1)/2") < text.index("A window sees")  # what is false first
    assert html.count('href="#growth">measured above') == 1
    assert "measured above" not in page.render(RUN, [])


def test_the_claims_of_the_clone_can_be_read():
    assert not FILE.exists() or len(read(FILE)) > 50


def test_what_claims_say_of_measured_times_is_what_the_figure_shows():
    """Read as the page reads the sample: the words must be found anew where it is recorded anew."""
    sample = load(SAMPLE)
    frame = steps.steps(sample).lines
    of = frame.pivot_table(index=["who", "F", "S"], columns="variant", values="cpu_seconds")
    said = {each.id: each for each in read()}

    def apart(cells):
        return max(speed.CLOSE, stats.noise_floor(speed.again(sample)["ratio"], comparisons=cells).factor)

    both = of.dropna(subset=["A", "B"])  # of loops the layers at stride 1 take too long
    assert len(set(both.index.get_level_values("who"))) >= 6
    for name, verdict, strides in (
        ("pooling-cheaper-than-convolution", "false", (2, 4)),
        ("pooling-cheaper-than-a-second-convolution", "holds if the two can be told apart from noise", (2,)),
    ):
        assert said[name].verdict == verdict
        cells = both[both.index.get_level_values("S").isin(strides)]
        count = 3 * len(cells)
        assert f"{100 * (apart(count) - 1):.0f} % with {count} cells to look at" in said[name].why
        slower = False
        for variant, words in (("A", "the step with max"), ("A-average", "that with average"), ("A-l2", "")):
            longer = cells[variant] > apart(count) * cells["B"]
            shorter = cells["B"] > apart(count) * cells[variant]
            slower |= longer.any()
            counted = f"{words} pooling is longer {share(longer)} of the sample's cells and shorter {share(shorter)}"
            assert not words or counted in said[name].why
        assert slower == (verdict == "false")
    less = both.xs(2, level="S")
    assert said["stride-cheaper-than-pooling-after-stride-1"].verdict == "holds"
    for pooled in ("A", "A-average", "A-l2"):
        assert (apart(3 * len(less)) * less["C"] < less[pooled]).all()
    assert said["larger-stride-less-work"].ruling == "holds if"
    layer = strides_of.strides(sample).lines.pivot_table(index="who", columns="S", values="cpu_seconds")
    assert len(layer) >= 6
    assert (apart(len(layer)) * layer[4] < layer[2]).all()


def share(cells):
    return "in all" if cells.all() else "in some" if cells.any() else "in none"


def test_what_claims_say_of_shifts_is_what_the_figure_shows():
    lines = translation.translation(load(SAMPLE))
    claim = next(each for each in read() if each.id == "pooling-translation-invariance")
    assert claim.verdict == "holds if the photograph of this project moves by one pixel"
    assert lines[lines["shift"] == 1]["damped"].dropna().all()
    assert "averaging 4x4 responses to a wave, moved by 3, gives no less change than a stride alone" in claim.why
    worse = lines[(lines["damped"].astype(object) == False)]  # noqa: E712 - None is neither
    assert {(each.variant, each.S, each.shift) for each in worse.itertuples()} == {("A-average", 4, 3)}
    assert worse["filter"].str.startswith("gabor").all()


def test_without_claims_there_is_no_section(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "FILE", tmp_path / "absent.toml")
    assert read(claims.FILE) == []
    assert "claims" not in outline(page.render(RUN, [*sample_rows()])).ids


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[claim]\n", "cannot be read"),
        ('[[claim]]\nid = "x"\n', "the claim 'x' lacks claim, verdict"),
        ('[[claim]]\nid = 3\nclaim = "x"\nverdict = "x"\n', "is no claim"),
        ("claim = [3]\n", "3 is no claim"),
    ],
)
def test_broken_claims_are_said_in_one_line_and_the_rest_is_drawn(file, text, words):
    file.write_text(text)
    with pytest.raises(ClaimsError, match=words) as caught:
        read(file)
    assert "\n" not in str(caught.value)
    text = said(page.render(RUN, [*sample_rows()]))
    assert "all agree" in text
    assert str(caught.value) in text


def test_worked_examples_stand_by_themselves(file):
    rows = [*sample_rows(("im2col", "mine.py"))]
    name = "test_worked_examples.py::test_the_size_of_alexnets_first_layer"
    example = replace(rows[0], property=name, title="227 cells, 11, 4 and 0 make 55.", operation="out_size")
    html = page.render(RUN, [*rows, example, replace(example, implementation="mine.py", verdict="differs")])
    part = html[html.index('<h2 id="examples">') :].partition("</section>")[0]
    assert "227 cells, 11, 4 and 0 make 55." in part
    assert part.count("<td") == 2
    assert "differs" in part
    assert "examples" not in outline(page.render(RUN, rows)).ids
