"""What a run leaves unfinished, the next one makes smaller; what is as small as it goes is tried as it is."""

from __future__ import annotations

import random

import pytest
from hypothesis import core, given, settings
from hypothesis import strategies as st

from properties.database import Examples, stamp, whose


@pytest.fixture(autouse=True)
def no_seed(monkeypatch):
    """Under --hypothesis-seed, Hypothesis leaves the database alone; without, it draws from a generator of its own."""
    monkeypatch.setattr("hypothesis.core.global_force_seed", None)
    core.threadlocal._hypothesis_global_random = random.Random(1)


class Killed(BaseException):
    """Stands for the end of the process."""


def examined(kept: Examples, *, ends: int = 10**9) -> list[int]:
    """Look for a number above 99; give those that were tried. The run is cut off at the one that fails `ends` times."""
    tried: list[int] = []

    @settings(database=kept, max_examples=500, derandomize=False)
    @given(st.integers(0, 10**6))
    def small(number):
        tried.append(number)
        if sum(each > 99 for each in tried) > ends:
            raise Killed
        assert number < 100

    with pytest.raises((AssertionError, Killed)):
        small()
    return tried


def test_what_was_cut_off_is_made_smaller_the_next_time_and_then_tried_as_it_is(tmp_path):
    first = examined(Examples(tmp_path), ends=3)
    kept = Examples(tmp_path)
    second = examined(kept)
    assert first[-1] > 100
    assert second[0] in first
    assert second[0] > 100
    assert 100 in second
    kept.finish(smallest=True)
    assert {*examined(Examples(tmp_path))} == {100}


def test_what_had_no_more_time_is_made_smaller_too(tmp_path):
    kept = Examples(tmp_path)
    examined(kept)
    kept.finish(smallest=False)
    assert {*examined(kept)} > {100}


def test_an_example_that_no_longer_fails_is_forgotten(tmp_path):
    kept = Examples(tmp_path)
    for key in (b"key", b"other"):
        kept.save(key, b"value")
    kept.delete(b"key.secondary", b"value")
    assert not [*kept.fetch(b"key")]
    assert not [*kept.fetch(b"key.secondary")]
    assert [*kept.fetch(b"other.secondary")] == [b"value"]
    kept.finish(smallest=True)
    assert [*kept.fetch(b"other")] == [b"value"]
    assert not [*kept.fetch(b"other.secondary")]


def test_a_new_failure_makes_what_was_finished_unfinished(tmp_path):
    kept = Examples(tmp_path)
    kept.save(b"key", b"small")
    kept.finish(smallest=True)
    kept.save(b"key", b"another")
    assert not [*kept.fetch(b"key")]
    assert {*kept.fetch(b"key.secondary")} == {b"small", b"another"}


def test_what_a_property_is_steered_to_is_not_kept(tmp_path):
    """It would be tried again in place of a tenth of the next run's cases."""
    kept = Examples(tmp_path)
    kept.save(b"key.pareto", b"near the bound")
    assert not [*kept.fetch(b"key.pareto")]
    assert not [*tmp_path.iterdir()]


def test_what_was_finished_is_made_smaller_once_the_files_are_others(tmp_path):
    (tmp_path / "mine.py").write_text("x = 1")
    kept = Examples(tmp_path / "kept")
    kept.stamp = stamp("mine.py:kernel", tmp_path)
    kept.save(b"key", b"small")
    kept.finish(smallest=True)
    assert [*kept.fetch(b"key")] == [b"small"]
    (tmp_path / "mine.so").write_bytes(b"compiled anew")
    kept.stamp = stamp("mine.py:kernel", tmp_path)
    assert not [*kept.fetch(b"key")]
    assert [*kept.fetch(b"key.secondary")] == [b"small"]
    assert stamp("im2col", tmp_path) == stamp("torch-cpu", tmp_path) == b""


def test_implementations_are_told_apart_by_their_files(tmp_path):
    names = ["mine.py", "mine.py:kernel", "a/mine.py", "im2col", "im2col+textbook", "numpy:convolve"]
    assert len({whose(name, tmp_path) for name in names}) == len(names)
    assert whose("../a/mine.py:k", tmp_path / "b") == whose("a/mine.py:k", tmp_path)
    assert whose(str(tmp_path / "mine.py"), tmp_path / "elsewhere") == whose("mine.py", tmp_path)
