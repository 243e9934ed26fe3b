"""Claims on receptive fields: which cells of the image an output depends on, found by changing each of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from oracles import layers
from properties.evidence.finding import Finding, decides
from properties.evidence.kernels import Array, Kernels, whole

Layer = Callable[[Array], Array]


def field(layer: Layer, x: Array, *place: int) -> Array:
    """Mark the cells (C, H, W) of an image that the output at a place (k, oy, ox) depends on, by large changes."""
    cells = x[0].size
    changed = np.repeat(x, 2 * cells, 0).reshape(2 * cells, cells)
    changed[np.arange(cells), np.arange(cells)] += 1000
    changed[cells + np.arange(cells), np.arange(cells)] -= 1000
    y, before = layer(changed.reshape(-1, *x.shape[1:])), layer(x)
    moved = y[(slice(None), *place)] != before[(0, *place)]
    marked: Array = moved.reshape(2, *x.shape[1:]).any(0)
    return marked


def side(marked: Array) -> int:
    """Measure the square that holds all marked cells."""
    rows, columns = np.nonzero(marked.any(0))
    assert np.ptp(rows) == np.ptp(columns)
    return int(np.ptp(rows)) + 1


def ones(K: int, C: int, F: int) -> Array:
    """Make filters of ones, under which every cell counts."""
    return np.ones((K, C, F, F))


@decides("field-is-the-filter-size")
def filter_size(k: Kernels) -> Finding:
    """Measure the fields of dense and of dilated filters."""
    finding = Finding()
    x = whole(1, 1, 1, 9, 9)
    for F, D in ((1, 1), (3, 1), (5, 1), (3, 2)):
        found = side(field(lambda a, F=F, D=D: k.conv(a, ones(1, 1, F), D=D), x, 0, 1, 1))
        finding.see(found == F, f"F={F}, D={D}: {found} cells", within=D == 1)
    corner = side(field(lambda a: k.conv(a, ones(1, 1, 3), P=1), x, 0, 0, 0))
    finding.see(corner == 3, f"F=3, P=1, in the corner: {corner} cells")
    finding.figure(f"With dilation {D} a {F}x{F} filter reaches over {found}x{found} cells")
    finding.figure(f"in a corner that is padded by 1 it sees {corner}x{corner}")
    finding.given("if D = 1")
    return finding


@decides("depth-column-shares-its-field")
def column(k: Kernels) -> Finding:
    """Mark the fields of all filters at one place."""
    finding = Finding()
    x, w = whole(2, 1, 3, 7, 7), whole(3, 5, 3, 3, 3)
    want = np.zeros((3, 7, 7), bool)
    want[:, 2:5, 4:7] = True
    for filter_ in range(5):
        found = field(lambda a: k.conv(a, w, S=2), x, filter_, 1, 2)
        finding.see(np.array_equal(found, want), f"filter {filter_}", within=True)
    x, w = whole(2, 1, 4, 3, 3), whole(3, 4, 2, 3, 3)
    fields = [field(lambda a: k.conv(a, w, G=2), x, filter_, 0, 0) for filter_ in range(4)]
    others = sum(not np.array_equal(found, fields[0]) for found in fields)
    finding.see(others == 0, f"4 filters in 2 groups: {others} see other cells than the first")
    finding.figure(f"Five filters of 3x3x3 at one place depend on the same {int(want.sum())} cells")
    return finding


@decides("full-along-the-depth")
def full_depth(k: Kernels) -> Finding:
    """Mark the channels that an output depends on, without groups and with two."""
    finding = Finding()
    x = whole(4, 1, 4, 5, 5)
    for G in (1, 2):
        found = field(lambda a, G=G: k.conv(a, ones(2, 4 // G, 3), G=G), x, 0, 1, 1)
        channels = int(found.any((1, 2)).sum())
        finding.see(channels == 4, f"{G} groups: {channels} of 4 channels", within=G == 1)
        finding.see(found[0].sum() == 9, f"{G} groups: {found[0].sum()} cells", within=G == 1)
    finding.figure(f"sees {channels} of 4 channels")
    return finding


@decides("fully-connected-sees-all")
def connected(k: Kernels) -> Finding:
    """Mark what a score depends on, and give the same score by a filter as large as the image."""
    finding = Finding()
    x, w = whole(5, 1, 2, 4, 4), whole(6, 3, 2, 4, 4)
    b = whole(7, 3)
    scores = layers.fully_connected(x, w.reshape(3, -1), b)
    finding.see(np.array_equal(k.conv(x, w, b).reshape(1, 3), scores), "a filter as large as the image")
    for score in range(3):
        marked = field(lambda a: layers.fully_connected(a, w.reshape(3, -1), b)[:, :, None, None], x, score, 0, 0)
        finding.see(marked.all(), f"score {score}")
    finding.figure(f"Each of {x.size} numbers")
    return finding


@decides("relu-leaves-the-field-alone")
def relu_field(k: Kernels) -> Finding:
    """Mark the fields before ReLU and after it: of an output that is on, and of one that is off."""
    finding, w = Finding(), whole(8, 1, 1, 3, 3)

    def convolved(a: Array) -> Array:
        return k.conv(a, w)

    for seed in range(4):
        x = whole(seed, 1, 1, 6, 6)
        before = field(convolved, x, 0, 1, 2)
        after = field(lambda a: layers.relu(convolved(a)), x, 0, 1, 2)
        finding.see(np.array_equal(before, after), f"image {seed}: {before.sum()} cells, then {after.sum()}")
    finding.figure(f"the same {int(before.sum())} cells")
    finding.given("makes it 0")
    return finding


@decides("pooling-summarises-a-larger-section")
def section(k: Kernels) -> Finding:
    """Measure the field of a convolution, and of a pooling behind it."""
    finding = Finding()
    x = whole(9, 1, 1, 8, 8)
    for pool in (k.max, k.average, k.l2):
        alone = side(field(lambda a: k.conv(a, ones(1, 1, 3)), x, 0, 1, 1))
        behind = side(field(lambda a, pool=pool: pool(k.conv(a, ones(1, 1, 3)), 2, 2), x, 0, 1, 1))
        finding.see(behind > alone, f"{alone} cells, then {behind}")
    finding.figure(f"behind a 3x3 convolution depends on {alone}x{alone} cells")
    finding.figure(f"behind pooling by 2 as well on {behind}x{behind}")
    return finding


@decides("early-stride-widens-the-field")
def early_stride(k: Kernels) -> Finding:
    """Measure the fields of a layer and of the one behind it, at strides 1, 2 and 3 of the first."""
    finding, first, second = Finding(), [], []
    x = whole(10, 1, 1, 13, 13)
    for S in (1, 2, 3):
        first.append(side(field(lambda a, S=S: k.conv(a, ones(1, 1, 3), S=S), x, 0, 1, 1)))
        second.append(side(field(lambda a, S=S: k.conv(k.conv(a, ones(1, 1, 3), S=S), ones(1, 1, 3)), x, 0, 0, 0)))
    finding.see(first[0] < first[1] < first[2], f"of the layer itself: {first}")
    finding.see(second[0] < second[1] < second[2], f"of the layer behind: {second}", within=True)
    cell = ones(1, 1, 1)
    third = [side(field(lambda a, S=S: k.conv(k.conv(a, ones(1, 1, 3), S=S), cell), x, 0, 0, 0)) for S in (1, 2, 3)]
    finding.see(third[0] < third[1] < third[2], f"of a 1x1 layer behind: {third}")
    finding.figure(*(f"Its own field stays {cells}x{cells}" for cells in first))
    one, two, three = (f"{cells}x{cells}" for cells in second)
    finding.figure(f"That of a second 3x3 layer is {one}, {two} and {three} for strides 1, 2 and 3 of the first")
    finding.figure(*(f"That of a 1x1 layer behind it stays {cells}x{cells}" for cells in third))
    finding.given("and F > 1 in one of them")
    return finding


@decides("padding-keeps-the-border")
def border(k: Kernels) -> Finding:
    """Count the windows that hold the corner and the middle, without padding and with it."""
    finding = Finding()
    for F, S, D in product((1, 2, 3), (1, 2), (1, 2)):
        corners = [int(k.holding(7, F, S, P, D)[0, 0]) for P in (0, 1)]
        told = f"F={F}, S={S}, D={D}: the corner in {corners} windows"
        finding.see(corners[1] > corners[0], told, within=S == D == 1 and F > 1)
    corners = [int(k.holding(7, 3, P=P)[0, 0]) for P in (0, 1)]
    middle = {int(k.holding(7, 3, P=P)[3, 3]) for P in (0, 1)}
    strided = {int(k.holding(7, 3, S=2, P=P)[0, 0]) for P in (0, 1)}
    lost = [int(k.holding(7, 1, S=2, P=P)[0, 0]) for P in (1, 0)]
    finding.given("if S = 1, D = 1 and F > 1")
    finding.figure(f"Under F = 3 a corner is in {corners[0]} window, with P = 1 in {corners[1]}")
    finding.figure(*(f"a cell in the middle is in {held} either way" for held in middle))
    finding.figure(*(f"At S = 2 it is in {held} either way" for held in strided))
    finding.figure(f"under F = 1, S = 2, P = 1 in {lost[0]}, where it was in {lost[1]}")
    return finding
