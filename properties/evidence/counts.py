"""Claims on parameters and on work: counted from geometries, since what is measured varies from machine to machine."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from itertools import product
from math import prod

import numpy as np

from impls.contract import Contract
from oracles import layers
from oracles.geometry import Axis, Geometry
from properties.evidence.finding import Finding, decides, volume
from properties.evidence.kernels import Kernels, whole
from properties.worked import column_matrix, layer

CONV1 = layer(227, 3, F=11, S=4, K=96)  # of AlexNet
CIFAR = layer(32, 3, F=3, P=1, K=12)
VASTLY, VIABLE = 1000, 8  # times as many parameters, and as much work
SMALL = [layer(W, C, F=F, S=S) for W, C, F, S in product(range(1, 9), (1, 2), range(1, 7), range(1, 6)) if F <= W]


def learned(g: Geometry) -> int:
    """Count the weights and biases of a layer, shared by all places; a pool has none."""
    return prod(g.w_shape) + g.K if g.K else 0


def connected(inputs: int, outputs: int) -> Geometry:
    """Describe a fully connected layer, as a filter of one cell over so many channels."""
    return layer(1, inputs, F=1, K=outputs)


def vgg16(*, pooled: bool) -> Iterator[Geometry]:
    """Give VGG-16's convolutions, and its pools unless they are left out: 3x3 filters, padded by 1.

    Source: K. Simonyan, A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, 2014.
    """
    side, depth = 224, 3
    for filters, repeated in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeated):
            yield layer(side, depth, F=3, P=1, K=filters)
            depth = filters
        if pooled:
            yield layer(side, depth, F=2, S=2, K=0)
            side //= 2


@decides("sharing-saves-parameters")
def sharing(k: Kernels) -> Finding:
    """Compare one set of weights for each filter with one for each output: a thousand times as many."""
    finding = Finding()
    for g in (CONV1, CIFAR, next(vgg16(pooled=True)), layer(32, 3, F=1), layer(31, 3, F=1), *SMALL):
        unshared, places = prod(g.y_shape) * (g.terms + 1), g.vertical.out * g.horizontal.out
        finding.see(VASTLY * learned(g) < unshared, f"{g}: {learned(g)} of {unshared}", within=places > VASTLY)
        finding.see(places * learned(g) == unshared, f"{g}: not once for each place", within=True)
    unshared, side = prod(CONV1.y_shape) * (CONV1.terms + 1), CONV1.horizontal.out
    finding.figure(f"{learned(CONV1):,} for {unshared:,} in AlexNet's first layer")
    finding.figure(f"{unshared // learned(CONV1):,} times fewer, once for each of {side}x{side} places")
    finding.figure(f"more than {VASTLY:,} places share a filter", f"Vastly is taken for {VASTLY:,} times")
    return finding


@decides("images-make-it-cheaper")
def local(k: Kernels) -> Finding:
    """Compare the multiply-adds of neurons that see a window with those of as many that see the whole image."""
    finding = Finding()
    for W, F, S, P in product(range(1, 8), range(1, 8), (1, 2, 3), (0, 1, 2)):
        if F <= W + 2 * P:
            g = layer(W, 3, F=F, S=S, P=P, K=4)
            full = connected(prod(g.x_shape), prod(g.y_shape)).macs
            finding.see(g.macs < full, f"{g}: {g.macs} and {full}", within=F < W)
    full = connected(prod(CONV1.x_shape), prod(CONV1.y_shape)).macs
    finding.figure(
        CONV1.macs, full, f"{full / CONV1.macs:.0f}", prod(CONV1.y_shape) * CONV1.terms // prod(CONV1.w_shape)
    )
    return finding


@decides("neurons-share-no-weights")
def unshared(k: Kernels) -> Finding:
    """Change each weight of a fully connected layer and look for the scores that move; then one of a convolution."""
    finding = Finding()
    x, w, b = whole(1, 1, 6), whole(2, 3, 6), whole(3, 3)
    before = layers.fully_connected(x, w, b)
    for m, i in np.ndindex(3, 6):
        other = w.copy()
        other[m, i] += 2
        moved = (layers.fully_connected(x, other, b) != before)[0].tolist()
        finding.see(moved == [score == m for score in range(3)], f"weight {i} of score {m} moves {moved}")
    image, filters = np.ones((1, 1, 6, 6)), whole(4, 2, 1, 3, 3)
    other = filters.copy()
    other[0, 0, 0, 0] += 2
    moved = k.conv(image, other) != k.conv(image, filters)
    finding.figure(f"all {int(moved[0, 0].sum())} outputs of its map, on 6x6 cells under F = 3")
    return finding


@decides("pooling-saves-parameters")
def pooling_saves(k: Kernels) -> Finding:
    """Compare the parameters of what follows, with the pooling and without: a convolution, a fully connected layer."""
    finding = Finding()
    before, after = learned(layer(32, 12, F=3, P=1, K=12)), learned(layer(16, 12, F=3, P=1, K=12))
    finding.see(after < before, f"a convolution has {before} parameters, and {after} behind a pooling")
    x = whole(1, 1, 12, 32, 32)
    pooled, kept = k.max(x, 2, 2), k.max(x, 3, 1, 1)
    one, other, same = (learned(connected(inputs, 10)) for inputs in (x.size, pooled.size, kept.size))
    finding.see(other < one, f"{other} of {one}", within=True)
    finding.see(same < one, f"{same} of {one} behind pooling at stride 1")
    finding.figure(f"scores of {volume(x)} have {one:,} parameters, of {volume(pooled)} {other:,}")
    finding.figure(*(f"A convolution that follows has {parameters:,} either way" for parameters in (before, after)))
    finding.figure(f"pooling by 3x3 at stride 1, padded by 1, leaves all {kept.size:,} numbers")
    return finding


@decides("pooling-and-relu-have-no-parameters")
def without_parameters(k: Kernels) -> Finding:
    """Look for weights among what the operations are given."""
    finding = Finding()
    finding.see(learned(layer(32, 12, F=2, S=2, K=0)) == 0, "a pool's geometry")
    for operation in (Contract.max_pool2d, Contract.avg_pool2d, Contract.l2_pool2d, layers.relu):
        finding.see({"w", "b"}.isdisjoint(inspect.signature(operation).parameters), operation.__name__)
    for operation in (Contract.conv2d, layers.fully_connected):
        finding.see({"w", "b"} <= set(inspect.signature(operation).parameters), operation.__name__)
    return finding


@decides("relu-has-no-hyperparameters")
def hyperparameters(k: Kernels) -> Finding:
    """Look for sizes, strides and paddings among what the operations are given."""
    finding = Finding()
    finding.see(list(inspect.signature(layers.relu).parameters) == ["x"], "relu")
    for operation in (Contract.conv2d, Contract.max_pool2d):
        finding.see({"stride", "padding"} <= set(inspect.signature(operation).parameters), operation.__name__)
    return finding


@decides("convolutions-do-most-of-the-work")
def heaviest(k: Kernels) -> Finding:
    """Compare the multiply-adds of convolutions with those of all other layers; a pool's are the cells it looks at."""
    finding = Finding()
    rest = layer(32, 12, F=2, S=2, K=0).macs + connected(3072, 10).macs
    finding.see(CIFAR.macs > rest, f"{CIFAR.macs} and {rest}")
    stages = list(vgg16(pooled=True))
    convolutions = sum(g.macs for g in stages if g.K)
    pools = sum(g.macs for g in stages if not g.K)
    others = [connected(*sizes).macs for sizes in ((7 * 7 * 512, 4096), (4096, 4096), (4096, 1000))]
    finding.see(convolutions > pools + sum(others), f"{convolutions} and {pools + sum(others)}")
    finding.figure(f"{CIFAR.macs:,} multiply-adds in the convolution of the small network")
    finding.figure(f"{connected(3072, 10).macs:,} in its last layer", f"{convolutions:,} and {sum(others):,} in VGG-16")
    finding.figure(f"100 scores of 32x32x12, without a pool, take {connected(32 * 32 * 12, 100).macs:,}")
    return finding


@decides("larger-stride-less-memory")
def less_memory(k: Kernels) -> Finding:
    """Compare the outputs of kernels at each stride with those at one stride more."""
    finding = Finding()
    for W, F in product((5, 7, 8), (1, 2, 3, 4)):
        x, w = whole(1, 1, 1, W, W), whole(2, 1, 1, F, F)
        for S in (1, 2, 3, 4):
            cells = [k.conv(x, w, S=each).size for each in (S, S + 1)]
            fewer = Axis(W, F, S + 1).out < Axis(W, F, S).out
            finding.see(cells[1] < cells[0], f"W={W}, F={F}, S={S}: {cells[0]} cells, then {cells[1]}", within=fewer)
    x, w = whole(1, 1, 1, 16, 16), whole(2, 3, 1, 3, 3)
    one, two, four = (k.conv(x, w, S=S, P=1).size for S in (1, 2, 4))
    finding.figure(f"maps of 16x16 have {one} cells, {two} at stride 2 and {four} at stride 4")
    sides = {k.conv(whole(1, 1, 1, 7, 7), whole(2, 1, 1, 3, 3), S=S).shape[2] for S in (3, 4)}
    finding.figure(*(f"7x7 cells under F = 3 leave {side}x{side} at stride 3 and at stride 4" for side in sides))
    return finding


@decides("down-sampling-keeps-times-viable")
def viable(k: Kernels) -> Finding:
    """Count the multiply-adds of networks with their pools and without: more than eight times as many.

    The small network, VGG-16, and stacks of 3x3 convolutions of other depths, each halved before some of them.
    """
    finding = Finding()
    shallow = [CIFAR.macs + connected(inputs, 10).macs for inputs in (12 * 16 * 16, 12 * 32 * 32)]
    deep = [sum(g.macs for g in vgg16(pooled=pooled) if g.K) for pooled in (True, False)]
    finding.see(shallow[1] > VIABLE * shallow[0], f"the small network: {shallow[1] / shallow[0]:.3g} times")
    behind = sum(g.macs for g in vgg16(pooled=True) if g.K and g.horizontal.size <= 224 // 4)
    finding.see(deep[1] > VIABLE * deep[0], f"VGG-16: {deep[1] / deep[0]:.3g} times", within=2 * behind > deep[0])
    for halved, K in product(product((False, True), repeat=3), (8, 32)):
        work, late, side = [0, 0], 0, 64
        for pools in (False, *halved):
            side //= 1 + pools
            macs = [layer(W, K, F=3, P=1, K=K).macs for W in (side, 64)]
            work = [work[0] + macs[0], work[1] + macs[1]]
            late += macs[0] * (side <= 64 // 4)
            K *= 2 + 2 * pools
        told = f"halved before layers 2 to 4: {halved}: {work[1] / work[0]:.3g} times"
        finding.see(work[1] > VIABLE * work[0], told, within=2 * late > work[0])
    larger, smaller = (layer(W, 8, F=3, P=1, K=8).macs for W in (64, 64 // 4))
    finding.figure(f"behind two poolings by 2 has {larger // smaller} times", f"more than {VIABLE} times as many")
    finding.figure(f"without its five poolings has {deep[1] / deep[0]:.0f} times")
    finding.figure(f"the small network, with one, {shallow[1] / shallow[0]:.2f} times")
    return finding


@decides("im2col-takes-memory")
def im2col_memory(k: Kernels) -> Finding:
    """Compare the numbers in the column matrix with those in the image, for all small geometries."""
    finding = Finding()
    for g in (CONV1, *SMALL):
        cells, pixels = column_matrix(np.zeros(g.x_shape), g).size, prod(g.x_shape)
        more = g.vertical.out * g.horizontal.out * g.window > g.vertical.size * g.horizontal.size
        finding.see(cells > pixels, f"{g}: {cells} of {pixels}", within=more)
    columns, pixels = column_matrix(np.zeros(CONV1.x_shape), CONV1).size, prod(CONV1.x_shape)
    finding.figure(f"{columns:,} numbers for an image of {pixels:,}, {columns / pixels:.1f} times as many")
    few = layer(4, 1, F=3, S=2)
    columns = column_matrix(np.zeros(few.x_shape), few).size
    finding.figure(f"4x4 cells under F = 3, S = 2 hold a single window, {columns} numbers for {prod(few.x_shape)}")
    return finding


@decides("im2col-repeats-pixels")
def im2col_repeats(k: Kernels) -> Finding:
    """Number the cells of an image, and count how often each number is in its columns, for all small geometries.

    Padded and dilated ones as well, whose columns hold what the windows of their axes do.
    """
    finding = Finding()
    for g in (layer(16, 1, F=11, S=4), *(small for small in SMALL if small.C == 1)):
        axis = g.horizontal
        columns = column_matrix(np.arange(prod(g.x_shape)).reshape(g.x_shape), g)
        most = int(np.bincount(columns.ravel()).max())
        finding.see(most > 1, f"{g}: at most {most} times", within=axis.stride < axis.extent and axis.out > 1)
        finding.see(most == min(axis.overlap, axis.out) ** 2, f"{g}: {most} times", within=True)
    for W, F, S, P, D in product(range(1, 7), (1, 2, 3, 4), (1, 2, 3), (0, 1, 2, 3), (1, 2)):
        if D * (F - 1) < W + 2 * P:
            axis = Axis(W, F, S, D, P, P)
            held = Counter(cell for window in axis.windows for _, cell in window)
            most = max(held.values(), default=0)
            within = D == 1 and P < F and S < F and axis.out > 1
            finding.see(most > 1, f"{axis}: at most {most} times", within=within)
    finding.figure(f"In up to {Axis(227, 11, 4).overlap ** 2} of them with F = 11, S = 4: ceil(11/4)")
    finding.given("if D = 1", "At D = 2 two windows of F = 3 that are neighbours, on 6 cells")
    finding.given("those of F = 3, S = 2 on one pixel that is padded by 3")
    return finding


@decides("switches-save-work")
def switches(k: Kernels) -> Finding:
    """Route gradients by switches and by searching each window again: the same, and the work of both counted."""
    finding = Finding()
    x, dy = whole(4, 1, 1, 8, 8, most=99), whole(5, 1, 1, 4, 4)
    _, found = k.switched(x, 2, 2)
    searched = np.zeros_like(x)
    for oy, ox in np.ndindex(4, 4):
        block = x[0, 0, 2 * oy : 2 * oy + 2, 2 * ox : 2 * ox + 2]
        fy, fx = divmod(int(block.argmax()), 2)
        searched[0, 0, 2 * oy + fy, 2 * ox + fx] += dy[0, 0, oy, ox]
    finding.see(np.array_equal(k.routed(dy, found, x.shape), searched), "routed elsewhere")
    pool = layer(224, 64, F=2, S=2, K=0)
    finding.see(prod(pool.y_shape) < pool.macs)
    finding.figure(f"{prod(pool.y_shape):,} additions", f"look at {pool.macs:,} cells")
    finding.given("224x224x64 pooled by 2x2")
    return finding
