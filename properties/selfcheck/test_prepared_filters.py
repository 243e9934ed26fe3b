"""Prepared filters: what prepare writes is told as such."""

from __future__ import annotations

from properties.mutants.laws_by_name import PREPARED
from properties.selfcheck.running import examine, mutant


def test_a_filter_flipped_in_place_by_prepare_is_a_changed_input() -> None:
    found = examine(PREPARED, mutant("flipped_in_place_by_prepare", "conv2d").make(), "conv2d", 200)
    assert found is not None
    assert found[1].kind == "changed its input"
