"""Claims on sizes: what is counted is held against what is said, and against the outputs of kernels."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np

from oracles.geometry import Axis
from oracles.layers import relu
from properties.evidence.finding import Finding, decides, volume
from properties.evidence.kernels import Kernels, whole
from properties.worked import fits, quotient

AXES = [
    Axis(W, F, S, 1, P, P)
    for W, F, S, P in product(range(1, 13), (1, 2, 3, 4, 5), (1, 2, 3, 4), (0, 1, 2))
    if F <= W + 2 * P
]


def outputs(k: Kernels, axis: Axis) -> int:
    """Let a kernel convolve a square image of ones, and count its outputs along one side."""
    x, w = np.ones((1, 1, axis.size, axis.size)), np.ones((1, 1, axis.extent, axis.extent))
    y = k.conv(x, w, S=axis.stride, P=axis.pad_before, D=axis.dilation)
    return int(y.shape[2])


@decides("size-formula")
def formula(k: Kernels) -> Finding:
    """Compare (W - F + 2P)/S + 1 with the windows that are counted."""
    finding = Finding()
    for axis in AXES:
        finding.see(quotient(axis) == axis.out, f"{axis}: {quotient(axis)} and {axis.out}", within=fits(axis))
    for axis in AXES[:: len(AXES) // 12]:
        finding.see(outputs(k, axis) == axis.out, f"{axis}", within=True)
    dilated = Axis(7, 3, 1, 2)
    finding.see(quotient(dilated) == outputs(k, dilated), f"{dilated}: {quotient(dilated)} and {dilated.out}")
    none = (1 - 5) // 2 + 1  # an Axis, on which no window fits, is refused
    finding.see(none == 0, f"one cell under F=5 at stride 2: {none}, where 0 windows fit")
    ten = Axis(10, 3, 2)
    finding.figure(
        f"W = 10, F = 3, S = 2 gives {float(quotient(ten))}, and {ten.out} windows fit",
        f"under F = 5, S = 2 gives {none}",
    )
    finding.given("if D = 1")
    sizes = {axis.size for axis in AXES}
    finding.figure(f"On {len(AXES)} axes, from {min(sizes)} to {max(sizes)} cells")
    finding.figure(f"7 cells under F = 3 give {quotient(dilated)}, and at D = 2 they hold {dilated.out}")
    return finding


@decides("pool-size-formula")
def pool_formula(k: Kernels) -> Finding:
    """Compare (W - F)/S + 1 with the outputs of the three pools."""
    finding = Finding()
    for axis in (Axis(8, 2, 2), Axis(9, 3, 2), Axis(7, 3, 2), Axis(7, 2, 2), Axis(10, 3, 3)):
        x = whole(1, 1, 2, axis.size, axis.size)
        for y in (
            k.max(x, axis.extent, axis.stride),
            k.average(x, axis.extent, axis.stride),
            k.l2(x, axis.extent, axis.stride),
        ):
            finding.see(y.shape == (1, 2, *2 * (quotient(axis),)), f"{axis} gives {y.shape}", within=fits(axis))
    four = whole(1, 1, 2, 4, 4)
    for P in (0, 1):
        for y in (k.max(four, 2, 2, P), k.average(four, 2, 2, P)):
            finding.see(y.shape == (1, 2, 2, 2), f"4 cells padded by {P} give {y.shape}", within=P == 0)
    seven = Axis(7, 2, 2)
    finding.figure(f"7 cells under F = 2, S = 2 would be {float(quotient(seven))}, and are {outputs(k, seven)}")
    bare, padded = quotient(Axis(4, 2, 2)), k.max(four, 2, 2, 1).shape[2]
    finding.figure(f"4 cells under them are {bare}, and padded by 1 are {padded}")
    finding.given("if D = 1, P = 0")
    return finding


@decides("stride-without-fit")
def stride_without_fit(k: Kernels) -> Finding:
    """Give kernels a stride that leaves a remainder: the strict fit refuses it, they may not."""
    finding = Finding()
    for axis in (Axis(7, 3, 3), Axis(5, 3, 3, 1, 1, 1), Axis(10, 3, 2)):
        finding.see(not fits(axis), f"{axis} fits", within=True)
        finding.see(outputs(k, axis) != axis.out, f"{axis} gives {axis.out} outputs")
    finding.figure(f"7 cells give {outputs(k, Axis(7, 3, 3))} windows of 3 at stride 3")
    finding.figure(f"10 cells {outputs(k, Axis(10, 3, 2))} windows at stride 2")
    return finding


@decides("larger-stride-smaller-output")
def larger_stride(k: Kernels) -> Finding:
    """Compare the outputs of each stride with those of the next: fewer, or at least not more."""
    finding = Finding()
    for W, F in product(range(5, 13), (2, 3, 4)):
        for one, two in pairwise(Axis(W, F, S) for S in (1, 2, 3, 4, 5)):
            told = f"W={W}, F={F}: {one.out} outputs at S={one.stride}, {two.out} at S={two.stride}"
            finding.see(two.out < one.out, told)
            finding.see(two.out <= one.out, told, within=True)
    finding.see(outputs(k, Axis(7, 3, 4)) <= outputs(k, Axis(7, 3, 3)), within=True)
    finding.figure(f"7 cells hold {outputs(k, Axis(7, 3, 3))} windows at S = 3 and at S = 4, F = 3")
    return finding


@decides("stride-2-halves-as-pooling")
def stride_two(k: Kernels) -> Finding:
    """Compare the size after stride 2 with that after stride 1 and pooling 2x2."""
    finding = Finding()
    for W, F, P in product(range(4, 13), (1, 2, 3), (0, 1)):
        dense = Axis(W, F, 1, 1, P, P).out
        pooled, strided = Axis(dense, 2, 2).out, Axis(W, F, 2, 1, P, P).out
        finding.see(pooled == strided, f"W={W}, F={F}, P={P}: {pooled} and {strided}", within=dense % 2 == 0)
    x, w = whole(2, 1, 1, 7, 7), whole(3, 1, 1, 3, 3)
    dense, pooled, strided = (y.shape[2] for y in (k.conv(x, w), k.max(k.conv(x, w), 2, 2), k.conv(x, w, S=2)))
    finding.figure(f"7 cells under F = 3 give {dense} at stride 1; pooling leaves {pooled} of them")
    finding.figure(f"stride 2 gives {strided}")
    finding.given("Stride 2 reduces the size as pooling by 2 after stride 1 does", "if stride 1 leaves an even size")
    return finding


@decides("half-padding-keeps-size")
def half_padding(k: Kernels) -> Finding:
    """Pad by (F - 1)/2, rounded down or up where F is even, and compare the sizes."""
    finding = Finding()
    for W, F in product((5, 7, 8), range(1, 6)):
        for P in {(F - 1) // 2, F // 2}:
            axis = Axis(W, F, 1, 1, P, P)
            finding.see(outputs(k, axis) == W, f"W={W}, F={F}, P={P} gives {axis.out}", within=F % 2 == 1)
    dilated = outputs(k, Axis(7, 3, 1, 2, 1, 1))
    finding.see(dilated == 7, f"W=7, F=3, P=1, D=2 gives {dilated}")
    less, more = (outputs(k, Axis(7, 4, 1, 1, P, P)) for P in (1, 2))
    finding.figure(f"For F = 4 the half is {(4 - 1) / 2}: 7 cells become {less} with P = 1 and {more} with P = 2")
    finding.figure(f"At D = 2 it takes F - 1: 7 cells under F = 3 become {dilated} with P = 1")
    finding.given("At stride 1 padding", "if F is odd and D = 1")
    return finding


@decides("padding-sets-the-size")
def padding_sets_size(k: Kernels) -> Finding:
    """Look for a padding of 7 cells under F = 3 for every output from 4 to 9: alike on both sides, or not.

    Then of other axes, for all sizes from that without padding to four more.
    """
    finding = Finding()
    alike = {outputs(k, Axis(7, 3, 1, 1, P, P)) for P in range(3)}
    apart = {Axis(7, 3, 1, 1, before, after).out for before in range(3) for after in range(3)}
    for size in range(4, 10):
        finding.see(size in alike, f"no padding on both sides gives {size}")
        finding.see(size in apart, f"no padding gives {size}", within=size >= 5)
    for W, F, S, D in product((1, 2, 5, 6), (1, 2, 3, 4), (1, 2, 3), (1, 2)):
        reach = D * (F - 1) + 1
        least = Axis(W, F, S, D).out if reach <= W else 1
        few = {Axis(W, F, S, D, 0, after).out for after in range(reach + 4 * S) if reach <= W + after}
        finding.see(few >= {*range(least, least + 4)}, f"W={W}, F={F}, S={S}, D={D}: only {few}", within=True)
    few_alike, last = sorted(alike)[:-1], max(alike)
    finding.figure(f"7 cells under F = 3 reach {', '.join(map(str, few_alike))} and {last} with as much on either side")
    finding.figure(f"{' and '.join(map(str, sorted(apart - alike)))} only with one cell more on one side")
    finding.figure(*(f"{size} they do not reach" for size in range(4, 10) if size not in apart))
    return finding


@decides("unpadded-layers-shrink")
def unpadded(k: Kernels) -> Finding:
    """Stack convolutions without padding on 32 cells."""
    finding = Finding()
    for F in (1, 3, 5):
        sizes = [32]
        while sizes[-1] >= F and len(sizes) < 9:
            sizes.append(Axis(sizes[-1], F).out)
        finding.see(all(after < before for before, after in pairwise(sizes)), f"F={F}: {sizes}", within=F > 1)
    for W, F, S, D in product(range(1, 9), (1, 2, 3, 4), (1, 2, 3), (1, 2)):
        if D * (F - 1) < W:
            axis = Axis(W, F, S, D)
            finding.see(axis.out < W, f"{axis}: {axis.out} of {W}", within=F > 1)
    image = np.ones((1, 3, 32, 32))
    numbers = k.conv(image, np.ones((12, 3, 5, 5))).size
    finding.figure(f"{volume(image)} under 12 filters of 5x5 has {image.size:,} numbers, then {numbers:,}")
    x = np.ones((1, 1, 32, 32))
    layers = 0
    while x.shape[2] >= 5:
        x, layers = k.conv(x, np.full((1, 1, 5, 5), 0.04)), layers + 1
    finding.figure(f"32 cells under F = 5 are {x.shape[2]}x{x.shape[3]} after {layers} layers")
    finding.given("if F > 1", "keeps the size at stride 1")
    return finding


@decides("alexnet-224-does-not-fit")
def alexnet_224(k: Kernels) -> Finding:
    """Divide as the formula does."""
    finding = Finding()
    axis = Axis(224, 11, 4)
    finding.see(not fits(axis), "224 fits")
    finding.see(axis.out != 55, "224 give 55, rounded down")
    finding.see(fits(Axis(227, 11, 4)), "227 does not fit")
    finding.figure(f"(224 - 11)/4 + 1 = {float(quotient(axis))}, which rounded down is {axis.out}, not 55")
    finding.figure(f"with 227 it is {Axis(227, 11, 4).out}")
    finding.given("224x224")
    return finding


@decides("alexnet-three-more-pixels")
def alexnet_three(k: Kernels) -> Finding:
    """Pad 224 cells by 3 on both sides, or by 3 in all."""
    finding = Finding()
    finding.see(fits(Axis(224, 11, 4, 1, 3, 3)), "3 on both sides")
    for before in range(4):
        finding.see(Axis(224, 11, 4, 1, before, 3 - before).strict().out == 55, f"{before} in front", within=True)
    two, three = (Axis(224, 11, 4, 1, P, P) for P in (2, 3))
    finding.figure(
        f"3 on either side give {float(quotient(three))}, which is {three.out} only where it is rounded down"
    )
    finding.figure(f"as 2 on either side are with {float(quotient(two))}")
    apart = {Axis(224, 11, 4, 1, before, 3 - before).strict().out for before in (0, 1, 3)}
    finding.figure(*(f"With 1 before and 2 behind, or 3 on one side alone, it is {out}" for out in apart))
    finding.given("A padding of 3", "224x224", "3 in all, not 3 on either side")
    return finding


@decides("depth-is-the-number-of-filters")
def depth(k: Kernels) -> Finding:
    """Count the maps that some filters give."""
    finding = Finding()
    for C, K, G in ((3, 1, 1), (4, 2, 1), (4, 6, 2), (3, 12, 1)):
        maps = k.conv(whole(1, 1, C, 5, 5), whole(2, K, C // G, 3, 3), G=G).shape[1]
        finding.see(maps == K, f"{K} filters in {G} groups give {maps} maps")
    finding.figure(f"{K} filters give {maps} maps")
    return finding


@decides("relu-keeps-the-size")
def relu_size(k: Kernels) -> Finding:
    """Compare shapes before and after."""
    finding = Finding()
    maps = k.conv(whole(1, 1, 3, 8, 8), whole(2, 12, 3, 3, 3), P=1)
    finding.see(relu(maps).shape == maps.shape == (1, 12, 8, 8))
    return finding


@decides("filter-walks-in-rows")
def walks(k: Kernels) -> Finding:
    """Read an image, whose cells are numbered, through a filter of one 1: the outputs tell where it stood."""
    finding = Finding()
    x = np.arange(49.0).reshape(1, 1, 7, 7)
    for S in (1, 2, 3):
        places = k.conv(x, np.ones((1, 1, 1, 1)), S=S).ravel().tolist()
        finding.see(places == [7 * iy + ix for iy in range(0, 7, S) for ix in range(0, 7, S)], f"S={S}: {places}")
    finding.given("A filter of one 1")
    return finding


@decides("pooling-discards-three-quarters")
def discards(k: Kernels) -> Finding:
    """Count what 2x2 at stride 2 leaves of even and of odd images."""
    finding = Finding()
    for H, W in ((4, 4), (8, 6), (5, 8), (7, 7)):
        cells = k.max(whole(1, 1, 1, H, W), 2, 2).size
        left = cells / (H * W)
        finding.see(left == 0.25, f"{H}x{W}: {left:.1%} are left", within=H % 2 == W % 2 == 0)
    finding.figure(f"of {H}x{W}, {cells} of {H * W} are left, and {100 * (1 - left):.1f} % discarded")
    finding.given("2x2 at stride 2 discards 75 %")
    return finding


@decides("larger-stride-less-overlap")
def overlap(k: Kernels) -> Finding:
    """Count the cells that two neighbouring windows share, at each stride and at one more: dx of one output each."""
    finding = Finding()

    def shared(F: int, S: int, D: int = 1) -> int:
        side = D * (F - 1) + 1 + S
        x, w = np.ones((1, 1, side, side)), np.ones((1, 1, F, F))
        fields = [k.gradients(x, w, np.eye(4)[place].reshape(1, 1, 2, 2), S=S, D=D)[0] for place in (0, 1)]
        return int((fields[0] * fields[1]).sum())

    for F, S, D in product(range(1, 6), range(1, 6), (1, 2)):
        cells = shared(F, S, D), shared(F, S + 1, D)
        told = f"F={F}, S={S}, D={D}: {cells[0]} cells, then {cells[1]}"
        finding.see(cells[1] < cells[0], told, within=D == 1 and S < F)
    one, two, three = (shared(3, S) for S in (1, 2, 3))
    finding.figure(
        f"under F = 3 they share {one} cells at stride 1, {two} at stride 2, and {three} at stride 3 or more"
    )
    finding.figure(f"At D = 2 they share {shared(3, 1, 2)} at stride 1 and {shared(3, 2, 2)} at stride 2")
    finding.given("if D = 1")
    return finding


@decides("larger-stride-fewer-fields-for-a-cell")
def fields_of_a_cell(k: Kernels) -> Finding:
    """Count the windows that hold a cell, at each stride and at one more: dx of ones under ones."""
    finding = Finding()

    def most(W: int, F: int, S: int, D: int = 1) -> int:
        return int(k.holding(W, F, S, D=D).max())

    for W, F, S in product((5, 7, 11), (1, 2, 3, 5), (1, 2, 3, 4)):
        one, two = Axis(W, F, S), Axis(W, F, S + 1)
        held = most(W, F, S), most(W, F, S + 1)
        room = one.overlap <= one.out  # as many windows beside one another as may hold one cell
        told = f"W={W}, F={F}, S={S}: {held[0]} windows, then {held[1]}"
        finding.see(held[1] < held[0], told, within=room and two.overlap < one.overlap)
    dilated = [most(11, 3, S, 2) for S in (1, 2)]
    finding.see(dilated[1] < dilated[0], f"W=11, F=3, D=2: {dilated} windows at strides 1 and 2")
    finding.figure(*(f"At D = 2 under F = 3 it is in up to {held} at strides 1 and 2" for held in dilated))
    ones, twos, threes = (most(9, 3, S) for S in (1, 2, 3))
    finding.figure(f"Under F = 3 a cell is in up to {ones} windows at stride 1, in {twos} at stride 2")
    finding.figure(f"in {threes} at stride 3")
    finding.given("if D = 1")
    finding.figure(*(f"Under F = 5 it is in {held} at S = 3 and at S = 4" for held in {most(11, 5, 3), most(11, 5, 4)}))
    return finding
