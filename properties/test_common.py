"""The layers that networks are made of, for which kernels have fast paths: square, dense, channels in eights."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example
from hypothesis.strategies import SearchStrategy

from oracles.case import BACKWARD, CONVOLUTIONS, FORWARD, Case
from oracles.geometry import Axis, Geometry
from properties.choices import Choices, made
from properties.examiner import Examiner, under_test
from properties.laws import law
from properties.recipes import EXACT, SELDOM, possible, spelled
from properties.test_sizes import judged_by_samples

STAYS = "the layers that people run, for which kernels have paths of their own"

CHANNELS = (4, 8, 16, 32, 3, 1, 64)
OUTPUTS = (4, 8, 2, 7, 14, 16, 28, 32)
WINDOWS = ((3, 1), (1, 1), (3, 2), (2, 2), (3, 1), (5, 1), (7, 2), (1, 2))  # extent and stride
DEPTHWISE = ((3, 1), (3, 2), (5, 1), (5, 2), (7, 1))
WORK, CELLS = 400_000, 4_200  # multiply-adds and outputs of a call at most
LARGE, CELLS_SEEN = (38, 56), 20_000  # outputs of an axis, and of a call, of which only what is finite is held
SUMS = ("conv2d", "avg_pool2d", "l2_pool2d")
SUMS_BACKWARD = ("conv2d_backward", "avg_pool2d_backward")
RECIPES = ("wide", "narrow", "gauss", "scaled", "huge", "spread")
CHOICES = ("window", "padded", "depthwise", "C", "K", "N", "OH", "OW", "square", "rest", "dtype", "recipe", "bias")


def common_cases(
    recipes: Sequence[str] = RECIPES, counts: Sequence[int] = OUTPUTS, cells: int = CELLS
) -> SearchStrategy[Case]:
    """A layer as networks have them, with as many channels, filters and outputs as a call has time for."""

    def case(choices: Choices) -> Case:
        examiner, pick = under_test(), choices.pick
        operation, limits = examiner.operation, examiner.subject.declared.limits

        def allowed(letter: str, values: tuple[int, ...]) -> list[int]:
            if letter not in limits:
                return list(values)
            return [value for value in values if value in limits[letter]] or list(limits[letter])

        apart = operation in CONVOLUTIONS and choices.has("depthwise") and choices.has("square")
        extent, stride = pick("window", DEPTHWISE if apart else WINDOWS)
        extent = extent if extent in allowed("F", (extent,)) else pick("window", allowed("F", (3, 1)))
        stride = stride if stride in allowed("S", (stride,)) else pick("window", allowed("S", (1, 2)))
        same = (extent - 1) // 2 if choices.has("padded") else 0
        padding = same if same in allowed("P", (same,)) else allowed("P", (0,))[0]
        if operation not in CONVOLUTIONS:
            padding = min(padding, extent - 1)
        dilation = allowed("D", (1,))[0] if operation in CONVOLUTIONS else 1
        C, K, G = pick("C", allowed("C", CHANNELS)), pick("K", allowed("K", CHANNELS)), 1
        if operation not in CONVOLUTIONS:
            K = 0
        elif apart and C in allowed("G", (C,)) and C in allowed("K", (C,)):
            K = G = C
        elif 1 not in allowed("G", (1,)):
            G = allowed("G", (1,))[0]
            C, K = G * C, G * K
        rows = pick("OH", counts)
        outputs = [rows, rows if choices.has("square") else pick("OW", counts)]
        N = pick("N", allowed("N", (1, 2, 4)))
        work = N * max(K, 1) * C // G * extent * extent
        outputs = _within(outputs, min(cells // max(1, N * (K or C)), WORK // max(1, work)))
        axes = [
            _axis(count, extent, stride, dilation, padding, choices.has("rest"), limits.get(letter, ()))
            for letter, count in zip("HW", outputs, strict=True)
        ]
        geometry = Geometry(N, C, *axes, K, G)
        dtype, seed = pick("dtype", examiner.formats), choices.seed
        usable = [name for name in recipes if possible(name, operation, dtype, examiner.arithmetic)]
        if dtype == "float64":  # at whose ends the sampled oracle's own halves of products leave the range
            usable = [name for name in usable if name != "scaled"]
        name, normal = pick("recipe", usable or EXACT[:1]), examiner.normal
        recipe = spelled(name, operation, dtype, geometry, examiner.arithmetic, seed, normal=normal)
        return Case(operation, dtype, geometry, recipe, seed, bias=operation == "conv2d" and choices.has("bias"))

    return made(CHOICES, case)


def _within(outputs: list[int], most: int) -> list[int]:
    """Halve the larger side until there are no more outputs than that."""
    while outputs[0] * outputs[1] > max(1, most) and max(outputs) > 1:
        larger = outputs.index(max(outputs))
        outputs[larger] = -(-outputs[larger] // 2)
    return outputs


def _axis(
    outputs: int, extent: int, stride: int, dilation: int, padding: int, rest: bool, sizes: tuple[int, ...]
) -> Axis:
    """An axis of so many windows, with or without what a stride may leave over."""
    reach = dilation * (extent - 1) + 1
    size = max(1, (outputs - 1) * stride + reach - 2 * padding + rest * (stride - 1))
    fitting = sorted(each for each in sizes if each + 2 * padding >= reach)
    size = min(fitting, key=lambda each: abs(each - size)) if fitting else size
    return Axis(size, extent, stride, dilation, padding, padding)


@law("values", FORWARD, common_cases())
def test_common_layers_equal_the_definition(subject: Examiner, case: Case) -> None:
    """Layers as networks have them, channels in fours and eights: chosen outputs are right, checksums cover all."""
    verdict = judged_by_samples(subject, case)
    assert verdict.agrees, verdict.message


@law("gradients", BACKWARD, common_cases())
def test_gradients_of_common_layers_equal_the_definition(subject: Examiner, case: Case) -> None:
    """Gradients of layers as networks have them: chosen elements are right, checksums cover all."""
    verdict = judged_by_samples(subject, case)
    assert verdict.agrees, verdict.message


@law("specials", (*SUMS, *SUMS_BACKWARD), common_cases(SELDOM, (*OUTPUTS, *LARGE), CELLS_SEEN))
@example(case=Case.parse("conv2d_backward float32 n1c8k8g8 i40k3s1p0,0d1 i40k3s1p0,0d1 lone seed=13"))
def test_non_finite_values_stay_local_in_common_layers(subject: Examiner, case: Case) -> None:
    """In layers as networks have them a NaN or an infinity reaches exactly what it is a term of."""
    verdict = judged_by_samples(subject, case)
    assert verdict.agrees, verdict.message
