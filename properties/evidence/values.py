"""Claims on what layers compute: what is linear and what is not, what may be exchanged, and the gradients of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise, product

import numpy as np

from oracles.layers import Definition, Network, relu, relu_backward
from properties.evidence.finding import Finding, decides, row, volume
from properties.evidence.kernels import Array, Kernels, whole
from properties.worked import column_matrix, layer

Map = Callable[[Array], Array]


def pools(k: Kernels) -> dict[str, Map]:
    """Give the three pools of 2x2 at stride 2."""
    return {
        "maximum": lambda x: k.max(x, 2, 2),
        "average": lambda x: k.average(x, 2, 2),
        "L2 norm": lambda x: k.l2(x, 2, 2),
    }


def additive(f: Map) -> bool:
    """Tell whether f(x + y) = f(x) + f(y) on some images of integers."""
    images = [whole(seed, 1, 2, 6, 6) for seed in range(6)]
    return all(np.array_equal(f(x + y), f(x) + f(y)) for x, y in pairwise(images))


@decides("convolution-is-linear")
def linear(k: Kernels) -> Finding:
    """Add two images before a layer and behind it, with a bias and without."""
    finding, w = Finding(), whole(11, 3, 2, 3, 3)
    finding.see(additive(lambda x: k.conv(x, w)), "without bias", within=True)
    finding.see(additive(lambda x: k.conv(x, w, np.zeros(3))), "with a bias of 0", within=True)
    finding.see(additive(lambda x: k.conv(x, w, np.array([1.0, 2.0, 3.0]))), "with a bias")
    finding.see(additive(lambda x: k.conv(x, w, S=2, P=1)), "with stride and padding", within=True)
    finding.given("the bias is 0")
    return finding


@decides("layer-is-a-convolution")
def flips(k: Kernels) -> Finding:
    """Compare with NumPy's convolve, which flips the filter as mathematicians do."""
    finding, x = Finding(), np.array([1.0, 2, -1, 1, -3])

    def correlated(w: Array, S: int = 1) -> Array:
        return k.conv(x[None, None, None], w[None, None, None], S=S)[0, 0, 0]

    for numbers in ((1.0, 0, -1), (1.0, 2, 1), (3.0, 1, -5)):
        w, told = np.array(numbers), str(numbers)
        convolved = np.convolve(x, w, "valid")
        finding.see(np.array_equal(correlated(w), convolved), told, within=numbers == numbers[::-1])
        finding.see(np.array_equal(correlated(w[::-1]), convolved), f"{told}, flipped first", within=True)
        finding.see(np.array_equal(correlated(w[::-1], S=2), convolved), f"{told}, flipped first, at stride 2")
    w = np.array([1.0, 0, -1])
    finding.figure(f"{row(x)} under {row(w)} is {row(correlated(w))} in the layer")
    finding.figure(f"and {row(np.convolve(x, w, 'valid'))} convolved")
    finding.given("if S = 1", "at stride 2 it gives every second number alone")
    return finding


@decides("linear-layers-collapse")
def collapse(k: Kernels) -> Finding:
    """Convolve twice, and once with one filter laid out over the other: at strides, with biases, padded or not."""
    finding = Finding()
    x, w, v = whole(27, 1, 2, 9, 9), whole(28, 3, 2, 3, 3), whole(29, 2, 3, 3, 3)
    b, c = whole(30, 3), whole(31, 2)
    for S, then, P, behind in product((1, 2), (1, 2), (0, 1), (0, 1)):
        twice = k.conv(k.conv(x, w, b, S, P), v, c, then, behind)
        F = 3 + 2 * S  # the cells that the second sees through the first
        both = np.zeros((2, 2, F, F))
        for fy, fx in np.ndindex(3, 3):
            both[:, :, S * fy : S * fy + 3, S * fx : S * fx + 3] += np.einsum("km,mcyx->kcyx", v[:, :, fy, fx], w)
        offset = c + v.sum((2, 3)) @ b
        once = k.conv(x, both, offset, S * then, P + S * behind)
        told = f"S={S} and {then}, P={P} and {behind}"
        finding.see(np.array_equal(twice, once), told, within=behind == 0)
    finding.figure(f"two of 3x3 at stride 1 are one of {3 + 2}x{3 + 2}")
    return finding


@decides("average-pooling-is-linear")
def average(k: Kernels) -> Finding:
    """Add two images before averaging and behind it."""
    finding = Finding()
    finding.see(additive(pools(k)["average"]), "2x2 at stride 2")
    finding.see(additive(lambda x: k.average(x, 4, 1)), "4x4 at stride 1")
    return finding


@decides("pooling-is-non-linear")
def non_linear(k: Kernels) -> Finding:
    """Add two images before each pool and behind it."""
    finding = Finding()
    for name, pool in pools(k).items():
        finding.see(not additive(pool), f"the {name} is linear", within=name != "average")
    finding.see(not additive(lambda x: k.l2(x, 1, 1)), "the L2 norm of one cell is linear", within=True)
    finding.see(not additive(lambda x: k.max(x, 1, 1)), "the maximum of one cell is linear")
    x, y = (np.array(cells, np.float64).reshape(1, 1, 2, 2) for cells in ((1, 0, 0, 0), (0, 1, 1, 1)))
    one, other, both = (k.max(image, 2, 2).item() for image in (x, y, x + y))
    finding.figure(f"{row(x)} and {row(y)} have the maxima {one:g} and {other:g}")
    finding.figure(f"their sum has {both:g}, not {one + other:g}")
    return finding


@decides("only-max-pooling-is-non-linear")
def only_max(k: Kernels) -> Finding:
    """Look for a pool that is neither the maximum nor linear."""
    finding = Finding()
    for name, pool in pools(k).items():
        finding.see(name == "maximum" or additive(pool), f"the {name} is not linear")
    x, y = (np.array(cells, np.float64).reshape(1, 1, 2, 2) for cells in ((3, 0, 0, 0), (0, 4, 0, 0)))
    one, other, both = (k.l2(image, 2, 2).item() for image in (x, y, x + y))
    finding.figure(f"{row(x)} and {row(y)} have the norms {one:g} and {other:g}, their sum {both:g}")
    return finding


@decides("activations-are-non-linear-already")
def activations(k: Kernels) -> Finding:
    """Add two images before ReLU and behind it."""
    finding = Finding()
    finding.see(not additive(relu), "ReLU is linear")
    one = np.ones((1, 1, 1, 1))
    finding.figure(f"ReLU of 1 and of -1 add up to {(relu(one) + relu(-one)).item():g}")
    finding.figure(f"ReLU of their sum is {relu(one - one).item():g}")
    return finding


@decides("relu-zeroes-negatives")
def zeroes(k: Kernels) -> Finding:
    """Compare ReLU with the activations it was given, one by one."""
    finding = Finding()
    for value in whole(12, 40).tolist():
        finding.see(relu(np.array([value])).tolist() == [value if value > 0 else 0.0], f"{value}")
    finding.figure(f"sets negative activations to {relu(np.array([-1.0])).item():g}")
    return finding


@decides("relu-commutes-with-max-pooling")
def commutes_with_max(k: Kernels) -> Finding:
    """Take ReLU before the maximum and after it."""
    finding = Finding()
    for seed in range(8):
        x = whole(seed, 1, 2, 6, 6) - 5.0
        finding.see(np.array_equal(k.max(relu(x), 3, 2), relu(k.max(x, 3, 2))), f"image {seed}")
        finding.see(np.array_equal(k.max(relu(x), 2, 2), relu(k.max(x, 2, 2))), f"image {seed}")
    return finding


@decides("pooling-behind-the-non-linearity")
def behind(k: Kernels) -> Finding:
    """Take ReLU before each pool and behind it, and see whether the results differ: of each window of four alone."""
    finding = Finding()
    for cells, (name, pool) in product(product((-3.0, -1.0, 0.0, 2.0), repeat=4), pools(k).items()):
        x = np.array(cells).reshape(1, 1, 2, 2)
        differs = not np.array_equal(pool(relu(x)), relu(pool(x)))
        within = name != "maximum" and min(cells) < 0 < max(cells)
        finding.see(differs, f"the {name} of {cells}", within=within)
    x = np.array([3.0, -1, -1, -1]).reshape(1, 1, 2, 2)
    first, last = (
        [y.item() for y in ys] for ys in zip(*((p(relu(x)), relu(p(x))) for p in pools(k).values()), strict=True)
    )
    finding.figure(f"{row(x)}: with ReLU first the average is {first[1]:.3g}, with ReLU last {last[1]:.3g}")
    finding.figure(f"the L2 norm {first[2]:.3g} and {last[2]:.3g}; the maximum {first[0]:.3g} and {last[0]:.3g}")
    return finding


@decides("strided-convolution-replaces-pooling")
def replaces(k: Kernels) -> Finding:
    """Convolve with 1/4 at stride 2 for the average; what no convolution can do, turns no sign with its image."""
    finding, x = Finding(), whole(13, 1, 1, 6, 6)
    quarter = np.full((1, 1, 2, 2), 0.25)
    for name, pool in pools(k).items():
        odd = np.array_equal(pool(-x), -pool(x))  # as every convolution without bias is
        finding.see(odd, f"the {name} of the negative image", within=name == "average")
        if odd:
            finding.see(np.array_equal(k.conv(x, quarter, S=2), pool(x)), f"1/4 for the {name}", within=True)
    for P, counted in product((0, 1), (True, False)):
        averaged = k.average(x, 2, 2, P, counted=counted)
        told = f"averages padded by {P}, which {'counts' if counted else 'does not count'}"
        finding.see(np.array_equal(k.conv(x, quarter, S=2, P=P), averaged), told, within=counted or P == 0)
    w = whole(14, 1, 1, 3, 3)
    spread = np.zeros((1, 1, 4, 4))
    for fy, fx in np.ndindex(2, 2):
        spread[:, :, fy : fy + 3, fx : fx + 3] += w / 4
    finding.see(np.array_equal(k.average(k.conv(x, w), 2, 2), k.conv(x, spread, S=2)), "both in one", within=True)
    size = "x".join(map(str, spread.shape[2:]))
    finding.figure(f"a 3x3 convolution with averaging by 2 behind it is one of {size} at stride 2")
    finding.given("Filters of 1/4")
    return finding


@decides("smaller-stride-more-detail")
def detail(k: Kernels) -> Finding:
    """Look for what a larger stride gives among what a smaller one gives, and for images that only this tells apart."""
    finding = Finding()
    x, w = whole(15, 1, 1, 7, 7), whole(16, 2, 1, 3, 3)
    numbered, one = np.arange(49.0).reshape(1, 1, 7, 7), np.ones((1, 1, 1, 1))
    for S in (2, 3, 4):
        finding.see(np.array_equal(k.conv(x, w, S=S), k.conv(x, w)[:, :, ::S, ::S]), f"S={S}", within=True)
        for less in range(1, S):
            seen = {*k.conv(numbered, one, S=S).ravel()} < {*k.conv(numbered, one, S=less).ravel()}
            finding.see(seen, f"S={less} does not see all that S={S} sees", within=S % less == 0)
    few = [k.conv(x[:, :, :3, :3], w[:1], S=S).size for S in (1, 2)]
    finding.see(few[1] < few[0], f"of 3x3 cells {few[1]} output at stride 2, {few[0]} at stride 1")
    other = x.copy()
    other[0, 0, 0, 0], other[0, 0, 0, 1] = x[0, 0, 0, 1] + 2, x[0, 0, 0, 0] - 2  # the sum of the window stays
    ones = np.ones((1, 1, 2, 2))
    finding.see(np.array_equal(k.conv(x, ones, S=2), k.conv(other, ones, S=2)), "told apart at stride 2", within=True)
    finding.see(not np.array_equal(k.conv(x, ones), k.conv(other, ones)), "not told apart at stride 1", within=True)
    dense, strided = (k.conv(x, w[:1], S=S).size for S in (1, 2))
    finding.figure(f"The {strided} outputs at stride 2 are among the {dense} at stride 1")
    finding.given("stride 3 sees cells that stride 2 leaves out", "3x3 cells have a single window of 3x3")
    return finding


@decides("layers-are-differentiable")
def differentiable(k: Kernels) -> Finding:
    """Move one cell up and down by 1 and compare the two slopes: at a kink they differ."""
    finding = Finding()
    window = {"a tie": (4.0, 4, 1, 0), "one maximum": (4.0, 9, 1, 0)}
    up = np.array([1.0, 0, 0, 0]).reshape(1, 1, 2, 2)
    for name, cells in window.items():
        x = np.array(cells).reshape(1, 1, 2, 2)
        slopes = [(k.max(x + up, 2, 2) - k.max(x, 2, 2)).item(), (k.max(x, 2, 2) - k.max(x - up, 2, 2)).item()]
        finding.see(slopes[0] == slopes[1], f"the maximum at {name}: {slopes}", within=name == "one maximum")
        linear_ = [(k.conv(x + d * up, x) - k.conv(x, x)).item() * d for d in (1.0, -1.0)]
        finding.see(linear_[0] == linear_[1], "a convolution", within=True)
        if name == "a tie":
            finding.figure(f"slopes of {slopes[0]:g} upwards and {slopes[1]:g} downwards")
    step = 2.0**-10
    for cells in ((0.0, 0, 0, 0), (3.0, 4, 0, 0), (0.0, 4, 0, 0)):
        x = np.array(cells).reshape(1, 1, 2, 2)
        norms = [k.l2(x + d * step * up, 2, 2).item() for d in (-1, 0, 1)]
        slopes = [(norms[1] - norms[0]) / step, (norms[2] - norms[1]) / step]
        alike = abs(slopes[1] - slopes[0]) < step  # f'' = 1/4 at most, but where the norm is 0
        finding.see(alike, f"the norm of {cells}: slopes {slopes}", within=any(cells))
        if not any(cells):
            finding.figure(f"A norm of 0 has slopes of {slopes[1]:g} and {slopes[0]:g}")
    for value in (-3.0, 0.0, 3.0):
        at, over, under = (relu(np.array([value + step])).item() for step in (0.0, 1.0, -1.0))
        finding.see(over - at == at - under, f"ReLU at {value}", within=value != 0)
    finding.given("so has ReLU at 0", "norm is at 0")
    return finding


@decides("relu-lets-gradients-through")
def vanishing(k: Kernels) -> Finding:
    """Send a gradient of 1 back through ten activations in a row: ReLU, the sigmoid, tanh."""
    finding = Finding()
    for z in (-2.0, -0.5, 0.5, 2.0):
        chain = {"ReLU": relu_backward(np.array([z]), np.array([1.0])).item() ** 10}
        sigmoid = 1 / (1 + math.exp(-z))
        chain |= {"sigmoid": (sigmoid * (1 - sigmoid)) ** 10, "tanh": (1 - math.tanh(z) ** 2) ** 10}
        for name in ("sigmoid", "tanh"):
            finding.see(chain["ReLU"] > chain[name], f"at {z}: {chain}", within=z > 0)
    finding.figure(f"at most {0.25**10:.1e}".replace("e-0", "e-"))
    return finding


@decides("weight-gradient-is-flipped")
def weight_gradient(k: Kernels) -> Finding:
    """Convolve the image with dy, flipped and as it is, and compare with dw."""
    finding = Finding()
    x, w, dy = whole(17, 1, 1, 6, 6), whole(18, 1, 1, 3, 3), whole(19, 1, 1, 4, 4)
    dw = k.gradients(x, w, dy)[1]
    finding.see(np.array_equal(dw, k.conv(x, dy[:, :, ::-1, ::-1])), "it is not dy flipped")
    as_it_comes = np.array_equal(dw, k.conv(x, dy))
    finding.see(not as_it_comes, "it is dy as it comes")
    finding.figure("correlated with dy" if as_it_comes else "neither")
    return finding


@decides("one-cell-on-one-channel-scales")
def scales(k: Kernels) -> Finding:
    """Convolve one channel, and three, with filters of one cell."""
    finding = Finding()
    x = whole(20, 1, 1, 4, 4)
    for S, P, b in product((1, 2), (0, 1), (None, np.zeros(1), np.ones(1))):
        scaled = np.array_equal(k.conv(x, np.full((1, 1, 1, 1), 3.0), b, S, P), 3 * x)
        finding.see(scaled, f"S={S}, P={P}, b={b}", within=S == 1 and P == 0 and (b is None or b.item() == 0))
    x, w = whole(21, 1, 3, 32, 32), np.array([1.0, 3, 5]).reshape(1, 3, 1, 1)
    summed = x[0, 0] + 3 * x[0, 1] + 5 * x[0, 2]
    finding.see(np.array_equal(k.conv(x, w)[0, 0], summed), "three channels", within=True)
    finding.figure(f"on {volume(x)} each output is a sum of {w.size} products")
    finding.given("a 1x1 convolution", "if S = 1, P = 0")
    return finding


@decides("im2col-serves-pooling")
def im2col_pools(k: Kernels) -> Finding:
    """Reduce each column of the column matrix by a maximum, a mean, a norm: of a channel, of two, of a padded image."""
    finding = Finding()
    g, both, padded = layer(9, 1, F=3, S=2), layer(9, 2, F=3, S=2), layer(11, 1, F=3, S=2)
    x = whole(22, *both.x_shape, most=31)
    for c in (0, 1):
        columns, one = column_matrix(x[:, c : c + 1], g), x[:, c : c + 1]
        reduced = {"maximum": columns.max(0), "average": columns.sum(0) / 9, "norm": np.sqrt((columns**2).sum(0))}
        found = {"maximum": k.max(one, 3, 2), "average": k.average(one, 3, 2), "norm": k.l2(one, 3, 2)}
        for name, y in found.items():
            finding.see(np.array_equal(y.ravel(), reduced[name]), f"the {name} of channel {c}", within=True)
    mixed = column_matrix(x, both).max(0)
    finding.see(all(np.array_equal(y.ravel(), mixed) for y in k.max(x, 3, 2)[0]), "the maximum over two channels")
    dark = -np.abs(x[:, :1])
    zeros = column_matrix(np.pad(dark, ((0, 0), (0, 0), (1, 1), (1, 1))), padded).max(0)
    finding.see(np.array_equal(k.max(dark, 3, 2, 1).ravel(), zeros), "the maximum of a dark image, padded by 1")
    finding.figure(f"a column of {both.C} channels")
    return finding


@decides("pooling-comes-last")
def last(k: Kernels) -> Finding:
    """Run the small network for CIFAR-10: which of its layers gives the scores, and whether a pooling could."""
    finding, network = Finding(), Network(Definition())
    numbers = network.whole_numbers(np.random.default_rng(1))
    stages = network.stages(numbers["x"], numbers)
    finding.see(list(stages)[-1] == "pool", f"the last layer is {list(stages)[-1]}")
    whole_plane = k.max(stages["relu"].astype(np.float64), 32, 32)
    finding.see(whole_plane.shape[1] == network.classes, f"pooling leaves {whole_plane.shape[1]} channels")
    finding.figure(f"keeps the {whole_plane.shape[1]} channels and cannot make {network.classes} scores")
    return finding
