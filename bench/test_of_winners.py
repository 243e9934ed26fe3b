"""The map of winners times what is right and near the fastest, and tells what `auto` chose by its very bits."""

from __future__ import annotations

import itertools
import json

import pytest

from bench import race, winners
from bench.fakes import flipped, subject
from bench.layers import convolution
from impls import im2col

LAYER = convolution("map-3-2-s1", C=2, K=2, W=8, F=3, P=1)


def backwards(x, w, b, **parameters):
    """Convolve rightly, adding channels up in another order, so that other bits come out."""
    return im2col.conv2d(x[:, ::-1], w[:, ::-1], b, **parameters)


RIGHT = subject("im2col-tiled", conv2d=im2col.conv2d)
OTHER = subject("winograd", conv2d=backwards)
WRONG = subject("fft", conv2d=flipped)


@pytest.fixture
def glances(monkeypatch):
    """Let first calls take what a test says, in the order of the algorithms and `auto`."""

    def take(*seconds):
        turns = itertools.cycle(seconds)
        monkeypatch.setattr(winners, "_glance", lambda call: next(turns))

    return take


def measured(auto=RIGHT, **others):
    subjects = {"im2col-tiled": RIGHT, "winograd": OTHER, "fft": WRONG, "auto": auto, **others}
    return winners.cell(LAYER, subjects, 1)


def test_what_is_wrong_is_not_timed_however_fast(glances):
    glances(1.0e-3, 1.1e-3, 1e-9, 1e-3)
    cell = measured()
    assert {*cell.seconds} == {"im2col-tiled", "winograd"}
    assert cell.left_out == {"fft": "wrong, not timed"}
    assert (cell.F, cell.C, cell.S, cell.W, cell.beyond) == (3, 2, 1, 8, {})


def test_auto_is_known_by_its_bits_and_timed_with_the_others(glances):
    glances(1e-3)
    assert measured(auto=OTHER).chosen == "winograd"
    cell = measured()
    assert cell.chosen == "im2col-tiled"
    assert cell.auto > 0
    other = subject("auto", conv2d=flipped)
    assert (measured(auto=other, fft=OTHER).chosen, measured(auto=other, fft=OTHER).auto) == ("", None)


def test_what_is_far_behind_is_left_out_unless_auto_chose_it(glances):
    glances(1e-3, 5e-3, 9e-3, 1e-3)
    cell = measured()
    assert {*cell.seconds} == {"im2col-tiled"}
    assert cell.beyond["winograd"] == winners.FAR
    assert cell.left_out["winograd"] == "over 2 times the fastest"
    assert {*measured(auto=OTHER).seconds} == {"im2col-tiled", "winograd"}


def test_what_takes_long_is_left_out_and_so_is_what_multiplies_columns_as_well(glances):
    glances(winners.LONG * 0.8, winners.LONG * 1.1, 1.0, 1.0)
    cell = measured(fft=RIGHT)
    assert cell.left_out == {"winograd": "over 0.3 s", "fft": "multiplies columns"}
    assert cell.beyond == {"winograd": pytest.approx(1.25)}
    glances(9.0)
    cell = measured()
    assert (cell.seconds, cell.auto) == ({}, None)
    assert winners.told(cell) == "F=3 C=2 S=1: nothing, chose im2col-tiled"


def test_the_map_has_every_filter_channel_and_stride():
    geometries = [layer.geometry for layer in winners.layers()]
    sizes = [(g.vertical.extent, g.C, g.vertical.stride) for g in geometries]
    assert len(sizes) == len({*sizes}) == 70
    assert all(g.C == g.K for g in geometries)


def test_the_race_runs_the_map_where_it_is_asked_for(monkeypatch, tmp_path, capsys):
    cell = winners.Cell("map", 3, 2, 1, 8, {"fft": 1e-3}, chosen="fft", auto=2e-3)
    monkeypatch.setattr(winners, "cells", lambda pairs: [cell])
    assert race.main(["--rows=winners", f"--results={tmp_path}"]) == 0
    assert "F=3 C=2 S=1: fft 1 ms; auto 2 ms, chose fft" in capsys.readouterr().out
    (file,) = tmp_path.glob("race-*.jsonl")
    head, line = map(json.loads, file.read_text().splitlines())
    assert (head["lines"], line["cell"], line["seconds"]) == (1, "map", {"fft": 1e-3})
