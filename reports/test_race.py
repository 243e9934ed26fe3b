"""A race's file is read strictly; goals and the map of winners are said from their numbers, and drawn."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reports import __main__, goals, page, race, race_figures, winners
from reports.race import Cell, Goal, Lap, Race
from reports.rows import LedgerError
from reports.test_page import outline, said
from reports.test_samples import RACE, VERDICTS

MACHINE = {"blas": {"name": "openblas", "version": "0.3.31"}, "numpy": "2.4.6", "torch": "2.13.0"}
WON, LOST = Lap("conv1", "auto", 1, 1.0, 2.0, 2.0, 0, 0.0), Lap("conv2", "auto", 1, 2.0, 1.0, 1.0, 0, 0.0)
MET = Goal("net-ready", "a network", 1.2, 1.5, "", 1.01, False, (WON, LOST))
MISSED = Goal("pool", "a pool", 2.0, 1.0, "", 0.9, False, (replace(WON, name="pool1"),))
LIMIT = Goal("growth", "a growth", 1.15, 1.0, "", None, True)
UNKNOWN = Goal("wrong", "what is wrong", 2.0, None, "wrong, not timed", None, False)


def cell(F, C, seconds, chosen, S=1, **others):
    given = {"left_out": {}, "beyond": {}, "auto": None} | others
    return Cell(f"map-{F}-{C}-s{S}", F, C, S, 128, seconds, chosen=chosen, **given)


COLUMNS, FFT, WINOGRAD = "im2col-tiled", "fft", "winograd"
CELLS = [
    cell(1, 16, {COLUMNS: 1.0}, COLUMNS, left_out={FFT: "multiplies columns"}, auto=1.1),
    cell(3, 16, {COLUMNS: 1.5, WINOGRAD: 1.0}, COLUMNS),
    cell(15, 16, {FFT: 1.0}, FFT, left_out={COLUMNS: "over 2 times the fastest"}, beyond={COLUMNS: 2.0}),
    cell(1, 64, {COLUMNS: 1.0, FFT: 1.03}, COLUMNS),
    cell(3, 64, {FFT: 1.0, WINOGRAD: 1.2}, FFT),
    cell(15, 64, {FFT: 1.0, COLUMNS: 1.9}, FFT),
    cell(15, 64, {}, WINOGRAD, S=2, left_out={FFT: "over 0.4 s"}, beyond={FFT: 1.0}),
]
RACED = Race(MACHINE, 5, [MET, MISSED, LIMIT, UNKNOWN], CELLS)


def test_goals_are_told_as_they_came_out():
    text = " ".join(goals.caption(RACED))
    assert "2 of 4 goals met. Missed: pool (1.00 of 2.00)." in text
    assert "Not measured: wrong (wrong, not timed)." in text
    assert "What ours is held against is, against itself in the same rounds, 0.90 to 1.01" in text
    assert "off by more than 5 % in pool, where the machine was busy." in text
    assert "torch is faster on 1 of 3 layers: conv2 0.50." in text
    assert (
        "Medians of 5 rounds in turns, CPU time of one thread; BLAS openblas 0.3.31, numpy 2.4.6, torch 2.13.0." in text
    )


def test_a_steady_race_without_losses_says_so():
    text = " ".join(goals.caption(Race(MACHINE, 5, [replace(MET, laps=(WON,))])))
    assert "1 of 1 goal met. What ours is held against is" in text
    assert "never off by more than 5 %." in text
    assert "torch is faster on none of 1 layer." in text


def test_other_ways_of_torchs_are_told():
    ahead = replace(WON, way="channels last", by_way=WON.seconds / 2)
    text = " ".join(goals.caption(Race(MACHINE, 5, [replace(MET, laps=(ahead,))])))
    assert f"In another way torch is faster on 1 of 1 pool: {WON.name} 0.50 (channels last)." in text
    behind = replace(ahead, by_way=WON.seconds * 2)
    text = " ".join(goals.caption(Race(MACHINE, 5, [replace(MET, laps=(behind,))])))
    assert "No other way of torch's that was tried is faster than ours, on 1 pool." in text
    assert "another way" not in " ".join(goals.caption(RACED))


def test_what_cannot_be_told_for_noise_is_undecided():
    text = " ".join(goals.caption(Race(MACHINE, 5, [replace(MET, control=1.9)])))
    assert f"0 of 1 goal met. Undecided, as the other side differed from itself by more: {MET.row}." in text


def test_a_limit_is_met_from_below():
    assert LIMIT.share == pytest.approx(1.15)
    assert goals.amount(LIMIT) == "1.00, at most 1.15"
    assert MISSED.share == 0.5


def test_of_many_lost_layers_the_worst_are_named():
    laps = tuple(replace(LOST, name=f"c{number}", seconds=2.0 + number) for number in range(9))
    text = " ".join(goals.caption(Race(MACHINE, 5, [replace(MET, laps=laps)])))
    assert "torch is faster on 9 of 9 layers: c8 0.10, c7 0.11, c6 0.12, c5 0.14, c4 0.17, c3 0.20 and 3 more." in text


def test_the_map_says_where_each_algorithm_wins():
    text = " ".join(winners.caption(RACED))
    assert "At S 1, fft is fastest on 3 of 6 (F 15 at C 16; F from 3 at C 64)" in text
    assert "im2col-tiled is fastest on 2 of 6 (F 1 at C 16 and 64)" in text
    assert "winograd is fastest on 1 of 6 (F 3 at C 16)" in text
    assert "At S 2, on 1 nothing was fast enough to be timed." in text
    assert "The second is within 5 % on 1, too near to tell: F 1, C 64, S 1." in text


def test_the_map_says_how_large_the_images_are():
    assert "Images are 128 x 128 at C 16 and 64." in winners.caption(RACED)
    smaller = [replace(each, W=24) if each.C == 64 else each for each in CELLS]
    text = " ".join(winners.caption(replace(RACED, cells=smaller)))
    assert "Images are 128 x 128 at C 16 and 24 x 24 at C 64: what changes from one C to another may be due to" in text


def test_the_map_says_how_well_auto_chose_and_what_it_lost():
    text = " ".join(winners.caption(RACED))
    assert "auto chose the fastest on 5 of 7 layers. What it loses elsewhere is greatest at F 3, C 16, S 1:" in text
    assert "im2col-tiled takes 1.50 times as long as winograd; on 1 its choice was not timed." in text
    assert "Its own call takes 1.10 times as long as what it chose, in the median." in text
    slow = cell(15, 16, {FFT: 1.0}, COLUMNS, left_out={COLUMNS: "over 2 times the fastest"}, beyond={COLUMNS: 2.0})
    assert "im2col-tiled takes over 2 times as long as fft" in " ".join(winners.chosen(Race(MACHINE, 5, [], [slow])))
    assert winners.chosen(Race(MACHINE, 5, [], CELLS[:1]))[0].startswith("auto chose the fastest on 1 of 1 layer. Its")


def test_a_cell_tells_how_far_the_second_is():
    assert [winners.ahead(each) for each in CELLS] == ["", "1.50", "> 2", "1.03", "1.20", "1.90", ""]


def test_filters_are_named_as_a_range_where_they_are_one():
    every = [cell(F, 16, {FFT: 1.0}, FFT) for F in (1, 3, 5, 7)]
    spans = {(0, 1, 2, 3): "all F", (2, 3): "F from 5", (0, 1): "F up to 3", (1, 3): "F 3 and 7", (3,): "F 7"}
    for places, span in spans.items():
        assert winners.where([every[place] for place in places], every) == f"{span} at C 16"


def test_the_page_shows_every_goal_and_every_cell():
    html, unread = page.drawn(None, [], race=RACED)
    assert unread == []
    assert {"race", "winners"} <= {*outline(html).ids}
    text = said(html)
    assert all(goal.told in text for goal in RACED.goals)
    assert all(winners.place(each) in text for each in CELLS)
    for name, drawings in (("race", race_figures.goals(RACED)), ("winners", race_figures.winners(RACED))):
        assert all(drawing in html for drawing in drawings.values()), name
        assert {*drawings} == {"wide", "narrow"}


def test_a_cell_has_its_winner_in_words_and_what_auto_chose_instead():
    for drawing in race_figures.winners(RACED).values():
        text = said(drawing)
        assert text.count("auto: im2col") == 1
        assert text.count("winograd") == 1
        assert "> 2" in text
        assert "alone" in text


def test_a_race_of_goals_or_of_winners_alone_has_one_section():
    for part, absent in ((replace(RACED, cells=[]), "winners"), (replace(RACED, goals=[]), "race")):
        assert absent not in outline(page.drawn(None, [], race=part)[0]).ids
    nothing = replace(RACED, goals=[UNKNOWN], cells=[])
    assert "not measured wrong, not timed" in said(page.drawn(None, [], race=nothing)[0])


BREAKS = {
    "empty": (lambda text: "", "empty"),
    "another file": (lambda text: text.replace('"race"', '"verdicts"', 1), "not a race"),
    "cut off": (lambda text: text[:-1], "the last line is cut off"),
    "a line more": (lambda text: text + text.split("\n")[-2] + "\n", "and should have"),
    "no machine": (lambda text: text.replace('"machine"', '"engine"', 1), "says not what it ran on"),
    "no goal": (lambda text: text.replace('"goal":', '"aim":', 1), ":2: not a line of a race"),
    "a word": (lambda text: text.replace('"seconds":', '"seconds": "x", "old":', 1), ":2: not a line of a race"),
    "below 0": (lambda text: text.replace('"F":', '"F": -', 1), "F is -1; a positive number is accepted"),
    "no times": (lambda text: text.replace('"left_out":{', '"left_out":3,"x":{', 1), "not a line of a race"),
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_damaged_file_is_one_line_that_names_it(tmp_path, how):
    spoil, message = BREAKS[how]
    (file := tmp_path / "race.jsonl").write_text(spoil(RACE.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(LedgerError, match=message) as caught:
        race.read(file)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{file}:")


def test_a_race_that_cannot_be_read_leaves_the_rest_of_the_page(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert __main__.main([f"--results={VERDICTS}", "--race=none.jsonl", "--out=page.html"]) == 1
    assert "none.jsonl: no such file" in capsys.readouterr().err
    assert (tmp_path / "page.html").exists()


def test_the_latest_race_is_drawn_unless_another_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    assert race.newest(__main__.RESULTS) == __main__.RESULTS / "race.jsonl"
    for date in ("20261101-000000", "20261102-000000"):
        (__main__.RESULTS / f"race-{date}.jsonl").write_text(RACE.read_text(encoding="utf-8"), encoding="utf-8")
    assert race.newest(__main__.RESULTS).name == "race-20261102-000000.jsonl"
    assert __main__.main([f"--results={VERDICTS}", "--out=page.html"]) == 0
    assert "race" in outline((tmp_path / "page.html").read_text(encoding="utf-8")).ids


def test_what_is_written_is_read_back(tmp_path):
    race.write(RACED, tmp_path / "race.jsonl")
    assert race.read(tmp_path / "race.jsonl") == RACED
