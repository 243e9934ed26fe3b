"""Steps of a network with a pool or a stride: what they cost and see, and a photograph's stand-ins that move."""

from __future__ import annotations

import base64
import itertools
import math

import numpy as np
import pytest

from bench import gate, steps, translation
from bench.fakes import CORRECT, subject
from bench.translation import Change
from impls import im2col

SIZES = {"C": 4, "K": 6, "W": 16}


@pytest.mark.parametrize("variant", steps.VARIANTS)
@pytest.mark.parametrize("S", [2, 4])
def test_every_variant_makes_the_image_as_much_smaller(variant, S):
    cases = steps.step(variant, **SIZES, F=3, S=S)
    assert cases[-1].geometry.y_shape == (1, 6, 16 // S, 16 // S)
    for before, after in itertools.pairwise(cases):
        assert before.geometry.y_shape == after.geometry.x_shape


def test_variants_are_those_of_the_question():
    told = {variant: steps.told(steps.step(variant, **SIZES, F=3, S=2)) for variant in steps.VARIANTS}
    assert told == {
        "A": "conv 3x3 S=1, max 2x2 S=2",
        "A-average": "conv 3x3 S=1, avg 2x2 S=2",
        "A-l2": "conv 3x3 S=1, l2 2x2 S=2",
        "B": "conv 3x3 S=1, conv 3x3 S=2",
        "C": "conv 3x3 S=2",
    }


def test_another_variant_is_refused():
    with pytest.raises(ValueError, match="'D' is no variant; there are A, A-average, A-l2, B, C"):
        steps.step("D", **SIZES, F=3, S=2)


def test_parameters_are_weights_and_biases():
    counts = {variant: steps.parameters(steps.step(variant, **SIZES, F=3, S=2)) for variant in ("A", "B", "C")}
    one = 6 * (4 * 9 + 1)
    assert counts == {"A": one, "B": one + 6 * (6 * 9 + 1), "C": one}


@pytest.mark.parametrize("variant", steps.VARIANTS)
@pytest.mark.parametrize(("F", "S"), [(3, 2), (5, 2), (3, 4)])
def test_the_receptive_field_is_as_wide_as_what_one_output_reads(variant, F, S, monkeypatch):
    """One cell after the other is changed, and an output in the middle watched; no filter has a zero in it."""
    cases = steps.step(variant, C=1, K=1, W=24, F=F, S=S)
    image = np.random.default_rng(1).uniform(1, 2, (1, 1, 24, 24)).astype(np.float32)

    def output(x):
        monkeypatch.setitem(gate.inputs(cases[0]), "x", x)
        return steps.chained(CORRECT, cases)()[0, 0, 12 // S, 12 // S]

    before, seen = output(image), []
    for column in range(24):
        for value in (1e3, -1e3):  # one of them is a new maximum
            x = image.copy()
            x[0, 0, :, column] = value
            if output(x) != before:
                seen.append(column)
    assert max(seen) - min(seen) + 1 == steps.receptive_field(cases)


def test_a_chain_is_one_operation_after_the_other():
    first, second = steps.step("A", **SIZES, F=3, S=2)
    data = gate.inputs(first)
    y = im2col.conv2d(*data.values(), **first.parameters())
    expected, _ = im2col.max_pool2d(y, **second.parameters())
    np.testing.assert_array_equal(steps.chained(CORRECT, (first, second))(), expected)


STEP = steps.step("A", C=3, K=4, W=12, F=3, S=2)


def judged_after(implementation, spoil=lambda result: result, rounds=0):
    """Judge a step after its rounds, the last result as it was or spoilt."""
    call = steps.chained(implementation, STEP)
    call()
    for _ in range(rounds):
        call.vary()
    return steps.after(STEP, call, spoil(call()))


def test_a_step_that_is_right_after_the_rounds_passes():
    assert judged_after(CORRECT).passes
    assert judged_after(CORRECT, lambda y: np.nextafter(y, 1, dtype=y.dtype)).passes  # each operation is judged anew


def test_a_step_may_write_each_result_to_the_same_memory():
    kept = {}

    def max_pool2d(x, **parameters):
        y, switches = im2col.max_pool2d(x, **parameters)
        kept.setdefault(y.shape, np.empty_like(y))[...] = y
        return kept[y.shape], switches

    assert judged_after(subject(conv2d=im2col.conv2d, max_pool2d=max_pool2d)).passes


def test_a_step_whose_result_changes_while_it_is_timed_is_wrong():
    calls = []

    def conv2d(x, w, b, **parameters):
        calls.append(1)
        return im2col.conv2d(x, w, b, **parameters) * (1 if len(calls) < 2 else 0)

    found = judged_after(subject(conv2d=conv2d, max_pool2d=im2col.max_pool2d))
    assert found.reason == "wrong, not timed: the result changed while it was timed"
    assert found.fault
    assert found.detail.startswith("wrong, not timed: conv2d, on the result before\n")


def test_a_step_is_judged_on_what_it_was_given():
    """Each operation is right on arrays in C order, and the pool takes all arrays for such."""

    def conv2d(x, w, b, **parameters):
        y = im2col.conv2d(x, w, b, **parameters)
        return np.ascontiguousarray(y.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)

    def max_pool2d(x, **parameters):
        return im2col.max_pool2d(np.ravel(x, order="K").reshape(x.shape), **parameters)

    faulty, cases = subject(conv2d=conv2d, max_pool2d=max_pool2d), steps.step("A", C=2, K=3, W=8, F=3, S=2)
    assert all(gate.judge(faulty, case).passes for case in cases)
    found = steps.judged(cases, steps.chained(faulty, cases))
    assert found.reason == "wrong, not timed: max_pool2d, on the result before"
    assert steps.judged(cases, steps.chained(CORRECT, cases)).passes


def test_a_step_that_answers_from_a_cache_is_wrong():
    kept = {}

    def conv2d(x, w, b, **parameters):
        if x.ctypes.data not in kept:
            kept[x.ctypes.data] = x, im2col.conv2d(x, w, b, **parameters)
        return kept[x.ctypes.data][1]

    found = judged_after(subject(conv2d=conv2d, max_pool2d=im2col.max_pool2d))
    assert found.reason == "wrong, not timed: its image was overwritten in place, and the result is the same"


def test_a_step_that_looks_at_a_few_cells_of_its_image_is_wrong_once_another_has_changed():
    kept = {}

    def conv2d(x, w, b, **parameters):
        key = x.ravel()[::31].tobytes()
        if key not in kept:
            kept[key] = im2col.conv2d(x, w, b, **parameters)
        return kept[key]

    faulty = subject(conv2d=conv2d, max_pool2d=im2col.max_pool2d)
    found = [judged_after(faulty, rounds=rounds).reason for rounds in (1, 2, 3, 4)]
    assert "wrong, not timed: the result changed while it was timed" in found
    assert judged_after(CORRECT, rounds=3).passes


# translation


def still(image, S, shift, variant="C", F=3, filters="random"):
    """Compare a variant on an image and on the image moved."""
    w = translation.kernels(F)[filters]
    outputs = [translation.apply(CORRECT, variant, image, w, S, each) for each in (0, shift)]
    return translation.compare(*outputs, shift // S)


def noise(shape=(3, 180, 300)):
    return np.random.default_rng(3).integers(0, 256, shape).astype(np.float64)


def ramp():
    return np.broadcast_to(np.arange(300.0), (3, 180, 300))


@pytest.mark.parametrize("variant", steps.VARIANTS)
@pytest.mark.parametrize(("S", "shift"), [(2, 2), (2, 4), (3, 3), (4, 8)])
def test_a_shift_by_whole_strides_changes_nothing(variant, S, shift):
    assert still(noise(), S, shift, variant).changed == 0


@pytest.mark.parametrize("variant", steps.VARIANTS)
def test_nothing_changes_where_there_is_nothing_to_see(variant):
    image = np.full((3, 180, 300), 9.0)
    assert still(image, 3, 2, variant) == Change(still(image, 3, 2, variant).outputs, 0.0, 0.0)


@pytest.mark.parametrize("variant", ["C", "B", "A-average", "A-l2"])
def test_everything_changes_on_noise_but_for_maxima(variant):
    assert still(noise(), 3, 1, variant).changed > 0.99


@pytest.mark.parametrize(("S", "shift"), [(2, 1), (3, 1), (3, 2), (4, 1), (4, 3), (4, 5)])
def test_maxima_of_noise_change_as_often_as_chance_says(S, shift):
    """A 1x1 filter leaves pixels of noise alike by chance, and 2r/(S + r) is then no bound but the expectation."""
    image = np.random.default_rng(4).permutation(3 * 180 * 300).reshape(3, 180, 300).astype(np.float64)
    w = np.zeros((1, 3, 1, 1))
    w[0, 0] = 1
    outputs = [translation.apply(CORRECT, "A", image, w, S, each) for each in (0, shift)]
    found = translation.compare(*outputs, shift // S)
    expected = translation.expected("A", S, shift, 1.0)
    r = shift % S
    assert expected == 2 * r / (S + r)
    assert abs(found.changed - expected) < 4 * math.sqrt(expected * (1 - expected) / found.outputs)


@pytest.mark.parametrize(("S", "shift"), [(2, 1), (4, 1), (4, 3)])
def test_every_maximum_of_a_slope_changes(S, shift):
    w = np.zeros((1, 3, 1, 1))
    w[0, 0] = 1
    outputs = [translation.apply(CORRECT, "A", ramp(), w, S, each) for each in (0, shift)]
    assert translation.compare(*outputs, 0).changed == 1


def test_which_windows_differ_comes_from_the_image_alone():
    image = np.zeros((3, 180, 300))
    top, left = translation.CORNER
    image[0, top + 10, left + 21] = 5
    assert translation.seen_to_differ(image, 3, 2, 0) == 0
    windows = len(range(0, translation.SIDE - 2, 2))
    rows = sum(row <= 10 < row + 3 for row in range(0, translation.SIDE - 2, 2))
    columns = sum(column <= 20 < column + 3 or column <= 21 < column + 3 for column in range(0, 126, 2))
    assert translation.seen_to_differ(image, 3, 2, 1) == pytest.approx(rows * columns / windows**2)


@pytest.mark.parametrize(
    ("variant", "shift", "differing", "changed", "true"),
    [
        ("C", 4, 1.0, 0.0, True),
        ("C", 4, 1.0, 0.001, False),  # whole strides, to the last output
        ("C", 1, 0.9, 0.895, True),
        ("C", 1, 0.9, 0.88, False),
        ("C", 1, 0.9, 0.91, False),  # more than can
        ("A", 1, 1.0, 0.45, True),
        ("A", 1, 1.0, 0.39, True),  # 0.4 is expected, within three standard errors
        ("A", 1, 1.0, 0.2, False),
        ("A", 1, 0.5, 0.21, True),
        ("A", 1, 0.5, 0.6, False),
        ("C", 1, 0.0, 0.0, True),
        ("C", 1, 0.0, 0.1, False),
    ],
)
def test_a_prediction_can_fail(variant, shift, differing, changed, true):
    assert translation.holds(variant, 4, shift, differing, Change(900, changed, 0.5)) is true


@pytest.mark.parametrize("F", translation.EXTENTS)
def test_gabors_filters_are_oriented_whole_numbers_without_a_mean(F):
    filters = {angle: translation.gabor(F, angle) for angle in translation.ANGLES}
    for angle, w in filters.items():
        assert w.shape == (F, F)
        assert (w == np.rint(w)).all()
        assert np.abs(w).max() == translation.LARGEST
        assert abs(w.sum()) <= F * F / 2  # what rounding leaves of zero
        np.testing.assert_array_equal(w, w[::-1, ::-1])  # even
        assert angle in (0, 45, 90, 135)
    np.testing.assert_array_equal(filters[0], filters[90].T)
    np.testing.assert_array_equal(filters[45], filters[135][:, ::-1])
    stripes = np.cos(2 * math.pi * (np.arange(F) - (F - 1) / 2) / F)
    assert (filters[0] * stripes).sum() > 2 * abs((filters[90] * stripes).sum())


@pytest.mark.parametrize("F", translation.EXTENTS)
def test_all_sums_are_whole_numbers_that_float64_holds(F):
    largest = 3 * F * F * 255 * translation.LARGEST
    assert 4 * F * F * translation.LARGEST * largest < 2**53  # of B, over four channels
    assert max(translation.STRIDES) ** 2 * largest**2 < 2**53  # of squares


def test_rows_have_every_variant_filter_and_shift():
    found = list(translation.rows(CORRECT, noise(), 3, 2))
    assert len(found) == len(steps.VARIANTS) * 5 * 3
    assert {row["filter"] for row in found} == {"gabor-0", "gabor-45", "gabor-90", "gabor-135", "random"}
    assert {row["shift"] for row in found} == {1, 2, 3}
    assert all(row["holds"] for row in found if row["shift"] == 2 or row["variant"] != "A")
    assert all(type(value) in (str, int, float, bool, type(None)) for row in found for value in row.values())


def test_maps_are_kept_as_pictures_in_one_scale():
    rows = list(translation.feature_maps(CORRECT, noise()))
    assert [(row["variant"], row["shift"]) for row in rows[:3]] == [("input", 0), ("A", 0), ("A", 1)]
    name, F, S, shift = translation.PICTURED
    found = translation.apply(CORRECT, "C", noise(), translation.kernels(F)[name], S, shift)[0, 0]
    kept = rows[-1]
    grey = np.frombuffer(base64.b64decode(kept["pixels"]), np.uint8).reshape(kept["height"], kept["width"])
    step = (kept["high"] - kept["low"]) / 255
    np.testing.assert_allclose(kept["low"] + step * grey, found, atol=step / 2)
    assert (rows[-2]["low"], rows[-2]["high"]) == (kept["low"], kept["high"])


@pytest.mark.parametrize("wrong", [0, 1, 2, 3])
def test_an_implementation_that_is_wrong_at_one_shift_tells_nothing_of_a_photograph(wrong):
    def conv2d(x, w, b, **parameters):
        y = im2col.conv2d(x, w, b, **parameters)
        y[0, 0, 1, 1] += np.array_equal(x[0], translation.crop(noise(), wrong))
        return y

    faulty = subject(conv2d=conv2d, **{each: getattr(im2col, each) for each in steps.POOLS.values()})
    with pytest.raises(gate.Wrong, match=rf"^conv2d float64 .*, at shift {wrong}\n[^\n]* of y"):
        translation.tables(faulty, noise(), 3, 2)


def test_one_memory_for_all_results_changes_no_map():
    kept = np.empty(10**6)

    def conv2d(x, w, b, **parameters):
        y = im2col.conv2d(x, w, b, **parameters)
        same = kept[: y.size].reshape(y.shape)
        same[...] = y
        return same

    reusing = subject(conv2d=conv2d)
    w = translation.kernels(3)["random"]
    one, other = (translation.apply(reusing, "C", noise(), w, 2, shift) for shift in (0, 1))
    assert translation.compare(one, other, 0).changed > 0.5


def test_the_photograph_is_there():
    pytest.importorskip("matplotlib", reason="pip install -c constraints.txt matplotlib")
    pytest.importorskip("PIL", reason="pip install -c constraints.txt pillow")
    image = translation.photograph()
    assert image.shape == (3, 600, 512)
    assert (image == np.rint(image)).all()
    assert (image.min(), image.max()) == (0, 255)
