"""The page is drawn from the results that are kept in git, and these are small."""

import json
import re
from pathlib import Path

import pytest

from reports import __main__, claims, excerpt, kills, made_up, picture, steps, strides, translation
from reports.benchmarks import contradicted, load
from reports.test_measured import SECTIONS
from reports.test_page import outline, said

SAMPLES = Path(__file__).parent / "samples"
VERDICTS, BENCH, MUTANTS = (SAMPLES / name for name in ("verdicts.jsonl", "bench.json", "mutants.jsonl"))
ATLAS, RACE = SAMPLES / "atlas.jsonl", SAMPLES / "race.jsonl"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    page = tmp_path_factory.mktemp("page") / "index.html"
    files = {"results": VERDICTS, "bench": BENCH, "mutants": MUTANTS, "atlas": ATLAS, "race": RACE, "out": page}
    assert __main__.main([f"--{name}={file}" for name, file in files.items()]) == 0
    return page.read_text(encoding="utf-8")


def test_the_page_of_the_samples_has_all_sections(drawn):
    ids = outline(drawn).ids
    others = ("failures", "matrix", "errors", "examples", "mutants", "kills", "atlas", "race", "winners")
    assert [each for each in (*SECTIONS[:-1], *others) if each not in ids] == []
    assert len(re.findall("<figcaption>", drawn)) >= 8
    assert "mine.py fails in" in said(drawn)


def test_what_claims_say_was_measured_is_on_the_page(drawn):
    measured = {each.id: each for each in claims.read() if each.anchor}
    assert len(measured) >= 9
    ids, of = outline(drawn).ids, load(BENCH)
    names = {*of.layers, *(f"sweep-{axis}" for axis in of.of("sweep")["sweep"]), *claims.MEASURED}
    for claim in measured.values():
        assert claim.anchor in ids, claim.id
        assert (claim.measured_by or claim.decided_by).removeprefix("bench:") in names, claim.id


def test_the_samples_name_no_folder_of_the_machine_that_made_them():
    for file in (VERDICTS, BENCH, MUTANTS, RACE):
        assert not re.search(r"/tmp/|/home/|/work/|/Users/", file.read_text(encoding="utf-8"))


def test_the_readme_quotes_the_stored_proof():
    """The rate that README names is that of the table that is kept, whose command stands beside it."""
    readme = (SAMPLES.parents[1] / "README.md").read_text(encoding="utf-8")
    for sentence in kills.summary(kills.read(MUTANTS)):
        assert sentence in " ".join(readme.replace("\n> ", " ").split()), sentence


def test_every_mutant_is_killed_and_every_property_kills_one_or_says_why_it_stays():
    table = kills.read(MUTANTS)
    assert table.survivors == []
    assert [each.variant for each in table.variants if each.flagged] == []
    assert [column for column in table.columns if not table.alone_in(column) and not column.stays] == []
    killers = {name for row in table.rows for name in row.kills}
    assert {column.property for column in table.columns} == killers


def test_the_samples_are_small():
    for file in (VERDICTS, BENCH, MUTANTS, RACE):
        text = file.read_text(encoding="utf-8")
        assert text.count("\n") < 1000
        assert len(text) < 550_000


def test_the_readme_s_picture_is_drawn_from_the_samples(tmp_path):
    drawn = tmp_path / "matrix.svg"
    assert picture.main([f"--results={VERDICTS}", f"--out={drawn}"]) == 0
    assert drawn.read_bytes() == (VERDICTS.parent.parent / "matrix.svg").read_bytes()


def test_no_time_stands_in_the_sample_twice_and_otherwise():
    """Neither does it in an excerpt, whose entries have lost some rounds."""
    found = load(BENCH)
    assert contradicted(steps.steps(found).lines) + contradicted(strides.strides(found).lines) == []


def test_what_the_sample_says_of_a_moving_photograph_follows_from_its_fractions():
    lines = translation.translation(load(BENCH))
    assert len(lines) > 200
    assert not any(lines["told"])


def test_a_sample_compares_with_itself(capsys):
    assert __main__.main(["compare", str(BENCH), str(BENCH)]) == 0
    assert "0 slower, 0 faster" in capsys.readouterr().out


def test_an_excerpt_keeps_what_is_asked_for(tmp_path, capsys):
    file, out = made_up.saved(tmp_path), tmp_path / "small.json"
    assert excerpt.main([str(file), "--layers=alexnet-*,large-31", "--rounds=6", f"--out={out}"]) == 0
    whole, part = load(file), load(out)
    assert part.layers == ["alexnet-conv1", "alexnet-conv3", "large-31"]
    assert {*part.of("sweep")["sweep"]} == {"W", "F", "S", "C"}
    assert len(part.of("roofline")) == len(whole.of("roofline"))
    assert {*part.timings["rounds"]} == {6}
    assert contradicted(steps.steps(part).lines) + contradicted(strides.strides(part).lines) == []
    assert len(out.read_text().splitlines()) == len(part.timings) + 2
    assert json.loads(out.read_text())["machine_info"]["cpu"] == {"brand_raw": "AMD EPYC 9B14"}
    assert excerpt.main([str(tmp_path / "x.json"), f"--out={out}"]) == 1
    assert "x.json: no such file" in capsys.readouterr().err
