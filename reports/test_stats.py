"""Intervals hold the truth as often as they say, slopes are found, and noise is not taken for change."""

import math

import numpy as np
import pytest

from reports import stats
from reports.stats import (
    Interval,
    Ratio,
    differs,
    fences,
    noise_floor,
    outliers,
    power_law,
    ratio_of_medians,
    shift,
    student,
)


@pytest.mark.parametrize(
    ("probability", "dof", "quantile"),
    [(0.975, 1, 12.7062), (0.975, 2, 4.3027), (0.975, 4, 2.7764), (0.95, 5, 2.0150), (0.995, 10, 3.1693),
     (0.975, 30, 2.0423), (0.999, 3, 10.2145), (0.5, 7, 0.0), (0.025, 6, -2.4469)],
)  # fmt: skip
def test_students_quantiles_are_those_of_the_tables(probability, dof, quantile):
    assert student(probability, dof) == pytest.approx(quantile, abs=1e-4)


def test_students_quantiles_are_those_of_scipy():
    theirs = pytest.importorskip("scipy.stats", reason="pip install -c constraints.txt scipy").t.ppf
    for dof in (1, 2, 3, 8, 15, 100):
        for probability in (0.001, 0.4, 0.9, 0.99999):
            assert student(probability, dof) == pytest.approx(theirs(probability, dof), rel=1e-6)


DRAWN = {
    "bell": lambda rng, n: np.exp(0.05 * rng.standard_normal(n)),
    "skewed": lambda rng, n: 1 + 0.05 * rng.exponential(size=n),
    "spiked": lambda rng, n: (1 + 0.02 * rng.exponential(size=n)) * np.where(rng.random(n) < 0.1, 2, 1),
    "coarse": lambda rng, n: np.round(1 + 0.05 * rng.exponential(size=n), 2),  # a clock that ticks
}


@pytest.mark.parametrize("rounds", [5, 10, 25, 200])
@pytest.mark.parametrize("kind", DRAWN)
def test_the_interval_of_a_ratio_holds_the_truth_in_95_of_100_experiments(kind, rounds):
    rng = np.random.default_rng(3)
    found = [ratio_of_medians(1.7 * DRAWN[kind](rng, rounds), DRAWN[kind](rng, rounds)) for _ in range(400)]
    share = np.mean([each.low <= 1.7 * (1 + 1e-9) and each.high >= 1.7 * (1 - 1e-9) for each in found])
    assert share >= 0.92  # 95 in 100, less three standard errors of 400 experiments
    assert share <= 0.985 or kind in ("coarse", "spiked") or rounds < 25  # and no wider than need be


def test_the_ratio_is_that_of_the_medians_and_repeats():
    above, below = [3.0, 9.0, 4.0, 5.0, 100.0], [1.0, 2.0, 2.5, 3.0, 2.0, 7.0]
    found = ratio_of_medians(above, below)
    assert found.value == 5.0 / 2.25
    assert found == ratio_of_medians(above, below)
    assert found.low <= found.value <= found.high
    inverse = ratio_of_medians(below, above)
    assert (inverse.low, inverse.high) == pytest.approx((1 / found.high, 1 / found.low), rel=0.2)


def test_the_interval_does_not_shrink_where_both_sides_are_the_same_numbers():
    seconds = np.random.default_rng(0).lognormal(size=40)
    found = ratio_of_medians(seconds, seconds)
    assert found.value == 1
    assert found.low < 0.9
    assert found.high > 1.1


def test_resampled_medians_are_those_of_resamples():
    seconds = np.random.default_rng(1).lognormal(size=30)
    for n in (29, 30):
        ours = stats._resampled_medians(seconds[:n], 0)
        plain = np.median(np.random.default_rng(3).choice(seconds[:n], (stats.RESAMPLES, n)), axis=1)
        for part in (0.025, 0.25, 0.5, 0.75, 0.975):
            assert np.quantile(ours, part) == pytest.approx(np.quantile(plain, part), rel=0.05)


def test_the_interval_of_a_mean_of_ratios_holds_the_truth():
    rng = np.random.default_rng(4)
    true = [0.5, 2.0, 3.0]
    held = 0
    for _ in range(300):
        ratios = [ratio_of_medians(each * DRAWN["skewed"](rng, 20), DRAWN["skewed"](rng, 20)) for each in true]
        found = stats.mean_ratio(ratios)
        held += found.low <= 3 ** (1 / 3) <= found.high
        assert found.high / found.low < ratios[0].high / ratios[0].low * 1.5
    assert 0.91 <= held / 300 <= 0.99
    assert math.isnan(stats.mean_ratio([Interval(1.0), Interval(2.0, 1.0, 3.0)]).low)


def aa(rng, pairs, shared, own, rounds=8):
    """Measure identical code twice, pair by pair: what is shared moves all of them, what is its own one of them."""
    moves = np.exp(shared * rng.standard_normal() + own * rng.standard_normal(pairs))
    return [ratio_of_medians(each * DRAWN["skewed"](rng, rounds), DRAWN["skewed"](rng, rounds)) for each in moves]


@pytest.mark.parametrize(("shared", "own"), [(0.0, 0.05), (0.01, 0.05), (0.05, 0.05)])
def test_the_interval_of_a_mean_of_identical_code_holds_1(shared, own):
    """By rounds alone it does not, as runs vary by more than rounds do; with the floor of other A/A pairs it does."""
    rng, held, alone = np.random.default_rng(6), 0, 0
    for _ in range(100):
        floor = noise_floor([each.value for each in aa(rng, 30, shared, own)])
        found = aa(rng, 40, shared, own)
        held += stats.mean_ratio(found, floor).holds(1)
        alone += stats.mean_ratio(found).holds(1)
    assert held >= 95 - 3 * math.sqrt(100 * 0.95 * 0.05)
    assert alone <= 80


@pytest.mark.parametrize("shared", [0.0, 0.3, 10.0])
def test_the_mean_of_the_pairs_that_a_floor_is_made_of_is_1(shared):
    """Whatever they share: the mean of logarithms is no more than the root of their mean square."""
    rng = np.random.default_rng(8)
    for pairs in (1, 2, 5, 60):
        found = aa(rng, pairs, shared, 0.01)
        assert stats.mean_ratio(found, noise_floor([each.value for each in found])).holds(1)


def test_the_interval_of_a_mean_is_no_narrower_than_the_floor():
    ratios, floor = [Interval(2.0, 1.9, 2.1), Interval(1.6, 1.5, 1.7)], noise_floor([1.03, 0.98, 1.01, 0.96])
    found, alone = stats.mean_ratio(ratios, floor), stats.mean_ratio(ratios)
    assert found.value == alone.value == pytest.approx(3.2**0.5)
    widths = [math.log(each.high / each.value) for each in (found, alone)]
    assert widths[0] ** 2 == pytest.approx(widths[1] ** 2 + math.log(floor.factor) ** 2)
    assert math.isnan(stats.mean_ratio([Interval(1.0)], floor).low)


@pytest.mark.parametrize("kind", DRAWN)
@pytest.mark.parametrize(("rounds", "others"), [(2, 2), (3, 3), (3, 50), (4, 6)])
def test_few_rounds_have_a_wide_interval_that_holds_the_truth(kind, rounds, others):
    rng = np.random.default_rng(9)
    found = [ratio_of_medians(1.7 * DRAWN[kind](rng, rounds), DRAWN[kind](rng, others)) for _ in range(400)]
    assert np.mean([each.low <= 1.7 * (1 + 1e-9) and each.high >= 1.7 * (1 - 1e-9) for each in found]) >= 0.93


def test_one_round_has_no_interval_and_is_held_against_the_floor():
    found = ratio_of_medians([2.0], [1.0] * 50)
    assert (found.value, math.isnan(found.low)) == (2.0, True)
    assert found.holds(1)
    assert math.isnan(ratio_of_medians([0.0, 1.0, 1.0], [1.0] * 3).low)
    assert differs(found, noise_floor([1.01, 0.99]))
    assert not differs(ratio_of_medians([1.01], [1.0]), noise_floor([1.01, 0.99]))
    assert not differs(found, None)


def test_both_sides_are_drawn_apart():
    first, second = (stats._median_ranks(25, stream)[0] for stream in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.06


@pytest.mark.parametrize("exponent", [-2.0, 0.0, 1.0, 1.58, 2.0])
def test_a_slope_is_found_and_its_interval_holds_the_exponent(exponent):
    rng = np.random.default_rng(5)
    values = np.array([8, 12, 16, 24, 32, 48, 64])
    held = 0
    for _ in range(300):
        seconds = 3e-6 * values**exponent * np.exp(0.05 * rng.standard_normal(len(values)))
        found = power_law(values, seconds)
        assert found.exponent.value == pytest.approx(exponent, abs=0.2)
        held += found.exponent.low <= exponent <= found.exponent.high
    assert 0.91 <= held / 300 <= 0.985


def test_a_slope_without_scatter_is_exact():
    found = power_law([1, 2, 3, 4, 6, 8], [5e-3 / each**2 for each in (1, 2, 3, 4, 6, 8)])
    assert found.exponent.value == pytest.approx(-2)
    assert found.exponent.high - found.exponent.low < 1e-6
    assert found.at(5) == pytest.approx(5e-3 / 25)


@pytest.mark.parametrize("values", [(1, 2, 3, 4, 8), (2, 4, 6, 8, 10, 12), (1, 1, 1, 1, 1, 8)])
def test_few_sizes_or_near_ones_have_no_slope(values):
    assert power_law(values, [1.0] * len(values)) is None


@pytest.mark.parametrize("pairs", [1, 3, 10])
def test_the_floor_is_exceeded_by_one_of_20_repeats(pairs):
    rng = np.random.default_rng(7)
    exceeded = 0
    for _ in range(3000):
        *known, following = np.exp(0.03 * rng.standard_normal(pairs + 1))
        exceeded += not noise_floor(known).holds(following)
    assert exceeded / 3000 == pytest.approx(0.05, abs=0.013)


def test_many_comparisons_share_the_chance():
    rng = np.random.default_rng(8)
    flagged = 0
    for _ in range(1000):
        pairs, others = np.exp(0.03 * rng.standard_normal(12)), np.exp(0.03 * rng.standard_normal(60))
        floor = noise_floor(pairs, comparisons=60)
        flagged += not all(map(floor.holds, others))
    assert flagged / 1000 <= 0.07


def test_no_pairs_have_no_floor_and_equal_pairs_one_of_0():
    assert noise_floor([]) is None
    assert noise_floor([1.0, 1.0]).percent == 0


def test_a_ratio_differs_when_it_is_beyond_its_interval_and_beyond_the_floor():
    floor = noise_floor([1.01, 0.99, 1.01, 0.99])
    assert floor.percent == pytest.approx(2.8, abs=0.1)
    assert differs(Ratio(1.2, 1.1, 1.3, 1.2), floor)
    assert differs(Ratio(0.8, 0.7, 0.9, 0.8), floor)
    assert not differs(Ratio(1.2, 0.9, 1.3, 1.2), floor)  # its own rounds vary as much
    assert not differs(Ratio(1.02, 1.01, 1.03, 1.02), floor)  # and here identical code does
    assert not differs(Ratio(1.2, 1.1, 1.3, 1.01), floor)  # the fastest rounds are as fast as ever
    assert differs(Ratio(1.02, 1.01, 1.03, 1.02), None)


def test_a_shift_is_what_medians_and_fastest_rounds_agree_on():
    quiet, busy = [1.0, 1.1, 1.2, 1.1, 1.0], [1.0, 1.4, 1.6, 1.5, 1.3]
    assert shift(busy, quiet) == 1.0
    assert ratio_of_medians(busy, quiet).value == pytest.approx(1.4 / 1.1)
    slower = [1.2 * each for each in quiet]
    assert shift(slower, quiet) == pytest.approx(1.2)
    assert shift(quiet, slower) == pytest.approx(1 / 1.2)
    assert shift([1.1 * each for each in busy], quiet) == pytest.approx(1.1)
    assert shift([0.9, 2.0, 2.0], [1.0, 1.0, 1.0]) == 1.0  # they part
    assert shift([2.0, 2.0, 2.0, 1.0], [1.0] * 3) == pytest.approx(2.0)  # of as many rounds
    assert shift([0.0, 2.0, 2.0], [1.0] * 3) == 2.0


def test_fences_are_tukeys_from_the_raw_rounds():
    seconds = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 40.0]
    assert fences(seconds) == (3.25 - 1.5 * 4.5, 7.75 + 1.5 * 4.5)
    assert outliers(seconds) == 1
    assert outliers([1.0]) == 0


def test_a_widened_interval_holds_the_truth_of_repeats_which_one_of_rounds_does_not():
    rng = np.random.default_rng(31)

    def run():
        return np.exp(0.03 * rng.standard_normal()) * (1 + 0.01 * rng.exponential(size=20))

    floor = stats.noise_floor(stats.shift(run(), run()) for _ in range(100))
    ratios = [stats.ratio_of_medians(run(), run()) for _ in range(300)]
    assert sum(each.holds(1) for each in ratios) < 150
    assert sum(stats.widened(each, floor).holds(1) for each in ratios) >= 276
    assert all(stats.widened(each, None) is each for each in ratios)
    assert not stats.widened(stats.Interval(2.0), floor).low > 0  # unknown limits stay unknown
