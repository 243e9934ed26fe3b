"""What decides a claim is seen to decide otherwise where kernels, sizes, layers or what was timed are others."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from impls import im2col
from oracles import layers
from properties.claims import VERDICTS, Claim, load
from properties.evidence import counts, images, measured, reach, sizes, values  # noqa: F401 - they enter their decisions
from properties.evidence.examples import EXAMPLES
from properties.evidence.finding import DECISIONS, NOTATION, complaint
from properties.evidence.kernels import Kernels
from properties.mutants.planting import variant
from properties.network import descent
from properties.selfcheck.claim_faults import FAULTS

# which fault turns which verdict: where few faults can, or where the data are large

TURNED = {
    "pooling-cheaper-than-convolution": ("pools_take_no_time", "holds"),
    "pooling-cheaper-than-a-second-convolution": ("pools_take_no_time", "holds"),
    "stride-cheaper-than-pooling-after-stride-1": ("everything_takes_as_long", "false"),
    "stride-2-is-a-quarter": ("work_is_done_wherever_a_window_fits", "false"),
    "larger-stride-less-work": ("work_is_done_wherever_a_window_fits", "false"),
    "larger-stride-less-memory": ("takes_every_stride_for_1", "false"),
    "larger-stride-less-overlap": ("gives_ones_for_dx", "false"),
    "larger-stride-fewer-fields-for-a-cell": ("gives_ones_for_dx", "false"),
    "convolutions-do-most-of-the-work": ("work_is_the_number_of_weights", "false"),
    "images-make-it-cheaper": ("work_is_that_of_one_channel", "false"),
    "neurons-share-no-weights": ("scores_see_one_number_each", "false"),
    "im2col-takes-memory": ("columns_are_the_image", "false"),
    "im2col-repeats-pixels": ("columns_are_the_image", "false"),
    "weight-gradient-is-flipped": ("flips_dy", "holds"),
    "pooling-comes-last": ("the_network_ends_in_its_pool", "holds"),
    "pooling-behind-the-non-linearity": ("gives_maxima_for_averages", "false"),
    "larger-stride-translation-invariance": ("averages_over_the_stride", "holds"),
    "maps-are-sensitive-to-location": ("sees_no_more_than_the_mean", "false"),
    "pooling-translation-invariance": ("no_pool_makes_a_change_smaller", "false"),
    "larger-windows-destroy-more": ("windows_of_two_are_black", "false"),
    "pooling-reduces-variance": ("gives_maxima_for_averages", "false"),
}


def said(claim: str, namespace: object) -> tuple[str, ...]:
    """Give the verdict and the figures on a claim, or the name of the error that it ends in."""
    try:
        with np.errstate(all="ignore"):
            finding = DECISIONS[claim].evidence(Kernels(namespace))
        return finding.verdict, *finding.figures
    except (ArithmeticError, AssertionError, IndexError, RuntimeWarning, ValueError) as error:
        return (type(error).__name__,)


@functools.cache
def right(claim: str) -> tuple[str, ...]:
    """Give what is said of a claim without a fault."""
    return said(claim, im2col)


@pytest.mark.parametrize("claim", DECISIONS)
def test_a_claim_is_decided_by_what_is_computed(claim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least one fault turns its verdict into another one: an error, or other figures, would not show that."""
    verdict = right(claim)[0]
    assert verdict in VERDICTS
    fault, turned = TURNED.get(claim, ("", ""))
    for plant in [FAULTS[fault]] if fault else FAULTS.values():
        with monkeypatch.context() as patch:
            found = said(claim, plant(patch))[0]
        if found != verdict and found in VERDICTS:
            assert turned in (found, "")
            return
    pytest.fail(f"{claim}: {verdict!r} under {fault or f'all of {len(FAULTS)} faults'}")


def falsified(claim: Claim) -> Iterator[Claim]:
    """Change the last digit of each number of a claim, its condition and its reason; notation stays."""
    for part in ("claim", "verdict", "why"):
        text = getattr(claim, part)
        notation = {place for found in NOTATION.finditer(text) for place in range(*found.span())}
        for digit in re.finditer(r"\d(?![\d,.]*\d)", text):
            if digit.start() not in notation:
                other = "8" if digit[0] == "9" else str(int(digit[0]) + 1)
                yield replace(claim, **{part: text[: digit.start()] + other + text[digit.end() :]})


CLAIMS = load()[0]


@pytest.mark.parametrize("claim", CLAIMS, ids=[claim.id for claim in CLAIMS])
def test_no_number_of_a_claim_can_be_another(claim: Claim) -> None:
    """Whatever decides it: a computation, a property or a worked example of the notes."""
    finding = {**DECISIONS, **EXAMPLES}[claim.id].evidence(Kernels(im2col))
    assert not complaint(claim, finding)
    assert [other for other in falsified(claim) if not complaint(other, finding)] == []


def test_some_hundred_numbers_are_falsified() -> None:
    assert sum(len([*falsified(claim)]) for claim in CLAIMS) > 700


@pytest.mark.parametrize("claim", ["pooling-cheaper-than-convolution", "pooling-cheaper-than-a-second-convolution"])
def test_what_was_timed_is_told_of_a_claim(claim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Had the sample other times, other words would be asked for."""
    of_all = "the step with max pooling is longer in none of the sample's cells and shorter in all"
    assert of_all not in right(claim)
    assert of_all in said(claim, FAULTS["pools_take_no_time"](monkeypatch))


def test_times_are_told_apart_by_what_identical_code_differs_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """The noisier the file, and the more cells, the farther apart; and never by less than a tenth."""
    found = {}
    for noise in (0.001, 0.05, 0.2):
        monkeypatch.setattr(measured, "pairs", lambda noise=noise: [1 + noise, 1 / (1 + noise)] * 4)
        found[noise] = [measured.told_apart(cells) for cells in (1, 20, 72)]
        assert found[noise] == sorted(found[noise])
    assert found[0.001] == [1.1] * 3
    assert 1.1 < found[0.05][0] < found[0.2][0]
    monkeypatch.setattr(measured, "pairs", list)
    assert measured.told_apart(72) == 1.1


def test_in_a_noisy_file_time_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No claim on time holds by what noise alone may show."""
    monkeypatch.setattr(measured, "pairs", lambda: [2.0, 0.5] * 4)
    for claim in ("stride-cheaper-than-pooling-after-stride-1", "pooling-cheaper-than-a-second-convolution"):
        assert said(claim, im2col)[0] == "false"


def test_a_step_that_is_too_long_raises_the_loss() -> None:
    """As the claim says that descent trains if steps are short: the property that decides it takes no others."""
    unpadded = functools.partial(im2col.max_pool2d, padding=(0, 0))
    network = layers.Network(variant(max_pool2d=unpadded))
    for rate, lowers in ((2.0**-6, True), (64.0, False)):
        before, after = descent(network, np.random.default_rng(7), ("w1", "b1"), steps=1, rate=rate)
        assert (after < before) == lowers


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_changes_some_claim(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be none."""
    for claim in sorted(DECISIONS, key=lambda name: DECISIONS[name].large):
        expected = right(claim)
        with monkeypatch.context() as patch:
            if said(claim, FAULTS[fault](patch)) != expected:
                return
    pytest.fail(f"{fault} changes nothing")
