"""The choice follows the sizes, and rates that are the least of several; what cannot be measured is done without."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls import arguments, auto, costs, depthwise, fft, im2col_tiled, winograd
from impls.costs import Layer, Rates
from impls.whole_numbers import whole


@pytest.fixture(autouse=True)
def fixed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Rates that are the same everywhere, and a cache directory of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(costs, "measured", Rates)
    costs.rates.cache_clear()
    auto.chosen.cache_clear()
    yield
    costs.rates.cache_clear()
    auto.chosen.cache_clear()


def layer(C: int, K: int, W: int, F: int, S: int = 1, P: int = 0, G: int = 1, **others: Any) -> Layer:
    """A square layer of one image."""
    axis = arguments.axis(W, F, S, (P, P))
    return Layer(1, C, K, axis, axis, G, **others)


@pytest.mark.parametrize(
    ("sizes", "algorithm"),
    [
        (layer(64, 64, 224, 3, P=1), winograd),
        (layer(256, 256, 56, 3, P=1), winograd),
        (layer(256, 256, 56, 3, P=1, backward=True), winograd),
        (layer(512, 512, 14, 3, P=1), im2col_tiled),  # filters take as long as the products
        (layer(512, 512, 14, 3, P=1, ready=True), winograd),
        (layer(3, 64, 224, 3, P=1, ready=True), im2col_tiled),
        (layer(3, 96, 227, 11, S=4, ready=True), winograd),
        (layer(128, 128, 56, 3, S=2, P=1, ready=True), im2col_tiled),
        (layer(256, 64, 56, 1), im2col_tiled),
        (layer(32, 32, 112, 3, P=1, G=32), depthwise),
        (layer(16, 16, 128, 31, P=15, ready=True), fft),
        (layer(3, 3, 128, 15, P=7), fft),
        (layer(64, 64, 64, 15, S=2, P=7), fft),
        (layer(256, 256, 24, 5, P=2), im2col_tiled),  # to fold filters takes longer than what is saved
        (layer(256, 256, 24, 15, P=7), im2col_tiled),
        (layer(256, 256, 24, 11, P=5), im2col_tiled),  # spectra would go to main memory and back
        (layer(4, 4, 8, 3), im2col_tiled),
    ],
)
def test_the_algorithm_follows_the_sizes(sizes: Layer, algorithm: Any) -> None:
    assert auto.chosen(sizes) is algorithm


def test_results_are_those_of_the_algorithm_chosen_to_the_last_bit() -> None:
    keywords: dict[str, Any] = {"stride": [1, 1], "padding": ((1, 1), (0, 2)), "dilation": (1, 1), "groups": 1}
    x, w, b = (whole(shape, 1, dtype="float32") for shape in ((1, 64, 56, 56), (64, 64, 3, 3), (64,)))
    y = auto.conv2d(x, w, b, **keywords)
    assert np.array_equal(y, winograd.conv2d(x, w, b, **keywords))
    for one, other in zip(
        auto.conv2d_backward(x, w, y, **keywords), winograd.conv2d_backward(x, w, y, **keywords), strict=True
    ):
        assert np.array_equal(one, other)
    small, few = x[:, :, :9, :9], w[:4]
    assert np.array_equal(auto.conv2d(small, few, None, **keywords), im2col_tiled.conv2d(small, few, None, **keywords))


def test_a_prepared_filter_is_made_once_for_each_algorithm() -> None:
    keywords: dict[str, Any] = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    x, w = whole((1, 64, 56, 56), 1, dtype="float32"), whole((64, 64, 3, 3), 2, dtype="float32")
    filters = auto.prepare(w, **keywords)
    plain = winograd.conv2d(x, w, None, **keywords)
    w[...] = 0  # what was prepared stays
    assert np.array_equal(auto.conv2d(x, filters, None, **keywords), plain)
    made = dict(filters.made)
    assert np.array_equal(auto.conv2d(x, filters, None, **keywords), plain)
    assert [*made] == [winograd.__name__]
    assert filters.made == made
    assert auto.conv2d(x[:, :, :3, :3], filters, None, **keywords).shape == (1, 64, 3, 3)
    assert filters.made == made  # im2col prepares nothing


# --- Rates -----------------------------------------------------------------------------------------------------------


def test_rates_are_the_least_that_some_processes_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measured() -> Rates:  # the first on a busy machine
        asked.append("measured")
        return Rates(product=0.5, tile=2.0 if len(asked) == 1 else 1.0, cell=len(asked) / 10)

    monkeypatch.setattr(costs, "measured", measured)
    assert costs.rates() == costs.rates() == Rates(product=0.5, tile=2.0, cell=0.1)
    assert len(asked) == 1  # a choice does not change within a process
    for process in range(2, 9):
        costs.rates.cache_clear()
        assert costs.rates() == Rates(product=0.5, tile=1.0, cell=0.1)
        assert len(asked) == min(process, costs.TIMES)
    assert json.loads(costs.cache().read_text())["machine"] == costs.described()
    monkeypatch.setattr(costs, "described", lambda: "another processor")
    costs.settle()
    assert len(asked) == 2 * costs.TIMES


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"machine": 1}', '{"rates": 1}', "nan", '{"rates": {"product": -1.0}}']
)
def test_a_damaged_file_is_measured_anew(text: str) -> None:
    costs.cache().parent.mkdir()
    damaged = text.replace('{"rates"', f'{{"machine": {json.dumps(costs.described())}, "rates"')
    costs.cache().write_text(damaged)
    assert costs.rates() == Rates()
    assert json.loads(costs.cache().read_text())["rates"] == dataclasses.asdict(Rates())


def test_what_cannot_be_measured_or_written_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails() -> Rates:
        raise TimeoutError

    monkeypatch.setattr(costs, "measured", fails)
    assert costs.rates() == Rates()
    assert not costs.cache().exists()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(costs, "measured", lambda: Rates(tile=2.0))
    costs.rates.cache_clear()
    assert costs.rates() == Rates(tile=2.0)


def test_without_a_home_the_rates_are_measured_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(costs, "cache", homeless)
    monkeypatch.setattr(costs, "measured", lambda: Rates(tile=2.0))
    assert costs.rates() == Rates(tile=2.0)


def test_this_machine_has_rates_of_some_picoseconds_to_nanoseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    found = dataclasses.asdict(costs.measured())
    assert all(1e-4 < value < 1e3 for value in found.values()), found
    monkeypatch.setattr(costs, "LIMIT", -1)
    with pytest.raises(TimeoutError, match="could not be measured"):
        costs.measured()
