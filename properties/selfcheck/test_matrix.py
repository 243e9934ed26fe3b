"""The published proof counts rightly, tells survivors and false alarms, and its sample kills."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from impls import im2col
from properties import order, test_algebra_conv, test_values
from properties.mutants import MUTANTS, __main__, matrix
from properties.mutants.planting import Mutant, variant
from properties.mutants.variants import Variant
from reports import kills

EXACTLY = test_values.test_output_equals_the_definition_exactly
LINEAR = test_algebra_conv.test_convolution_is_linear_in_the_image
SAMPLE = 40


def spoiled_from(first: int) -> Any:
    """Give a convolution that is wrong from its so-and-so-many-th call on."""
    calls = [0]

    def conv2d(x, w, b, *, stride, padding, dilation=(1, 1), groups=1):
        calls[0] += 1
        y = im2col.conv2d(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
        return y.ravel() if calls[0] >= first else y  # an empty one too

    return variant(conv2d=conv2d)


def test_the_same_seed_draws_the_same_cases_and_another_others():
    one, again, other = (matrix.drawn(EXACTLY, "conv2d", 20, seed) for seed in (1, 1, 2))
    assert one == again
    assert len(one) == len(other) == 20
    assert one != other


@pytest.mark.parametrize("first", [1, 3, 7])
def test_examples_are_counted_until_the_first_that_fails(first):
    cases = matrix.drawn(EXACTLY, "conv2d", 20, 0)
    assert matrix.killed(EXACTLY.law, "conv2d", spoiled_from(first), cases) == first


def test_what_holds_in_all_cases_is_not_killed():
    cases = matrix.drawn(EXACTLY, "conv2d", 20, 0)
    assert matrix.killed(EXACTLY.law, "conv2d", im2col, cases) == 0


def test_a_fault_of_a_property_is_not_taken_for_a_kill():
    def broken(subject, case):
        raise AssertionError("a slip of ours")

    law = type("Law", (), {"one": staticmethod(broken)})
    with pytest.raises(AssertionError, match="a slip of ours"):
        matrix.killed(law, "conv2d", im2col, matrix.drawn(EXACTLY, "conv2d", 2, 0))


@pytest.fixture
def small(monkeypatch):
    """Two properties, two mutants of which one is none, and two variants of which one is wrong."""
    alive = Mutant("asleep", "flips", "It sleeps.", "conv2d", (EXACTLY,), lambda: variant())
    flipped = replace(next(each for each in MUTANTS if str(each) == "filter_flipped-conv2d"), laws=(EXACTLY,))
    variants = [
        Variant("plain", "As it is.", ("conv2d",), lambda: variant()),
        Variant("off", "Off by one.", ("conv2d",), lambda: spoiled_from(2)),
    ]
    monkeypatch.setattr(order, "properties", lambda: iter([(order.name_of(EXACTLY), EXACTLY)]))
    for module in (matrix, __main__):
        monkeypatch.setattr(module, "MUTANTS", [alive, flipped])
        monkeypatch.setattr(module, "VARIANTS", variants)
    monkeypatch.setattr(
        matrix,
        "looks",
        lambda examples, seed, jobs: iter([matrix.look(order.name_of(EXACTLY), "conv2d", examples, seed)]),
    )


def test_survivors_and_false_alarms_are_told_and_end_with_1(small, tmp_path, capsys):
    assert __main__.main([f"--out={tmp_path / 'mutants.jsonl'}", "--examples=10"]) == 1
    said = capsys.readouterr().out
    assert "1 of 2 mutants are killed" in said
    assert "Alive: asleep (conv2d)." in said
    assert "wrongly flagged: off" in said
    assert "y has shape" in said
    table = kills.read(tmp_path / "mutants.jsonl")
    assert [[*row.kills] for row in table.rows] == [[], [order.name_of(EXACTLY)]]
    assert [(each.variant, bool(each.flagged), each.elements > 0) for each in table.variants] == [
        ("plain", False, True),
        ("off", True, True),
    ]


def test_a_fair_sample_is_killed_within_a_run_of_the_default_profile(request):
    """Whichever mutants --hypothesis-seed picks, a property kills each within its first hundred examples."""
    seed = int(request.config.getoption("--hypothesis-seed") or 0)
    every = list(order.properties())
    for mutant in random.Random(seed).sample(MUTANTS, SAMPLE):
        laws = [(name, each) for name, each in every if mutant.operation in each.law.operations]
        laws.sort(key=lambda pair: pair[1] not in mutant.laws)  # those that must, first
        assert any(
            matrix.killed(each.law, mutant.operation, mutant.make(), matrix.drawn(each, mutant.operation, 100, seed))
            for _, each in laws
        ), f"{mutant} is alive at seed {seed}"
