"""Claims on images: what moves when they move, and what pooling keeps of them. Some are tried on a photograph."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, pairwise, product

import numpy as np

from oracles.layers import relu
from properties.evidence.finding import Finding, decides, row
from properties.evidence.kernels import Array, Kernels, whole
from properties.evidence.measured import table
from properties.photograph import pixels

FILTERS = whole(23, 8, 3, 3, 3)  # eight filters of random signs
WAVE = np.ones((1, 3, 3, 1)) * np.array([-1.0, 2, -1])  # upright: what moves sideways, it sees most of


def shifted() -> tuple[Array, Array]:
    """Cut 194x194 cells out of the photograph, and once more one pixel further to the right; grey is 0."""
    x = pixels().astype(np.float64) - 128
    return x[:, :, 16:210, 16:210], x[:, :, 16:210, 17:211]


def change(one: Array, other: Array) -> float:
    """Give |other - one|^2 / |one|^2."""
    return float(((other - one) ** 2).sum() / (one**2).sum())


def changed(pool: Callable[[Array, int, int], Array], F: int, one: Array, other: Array) -> float:
    """Give the change behind a pool of F x F at stride F, over all places where its windows may begin."""
    places = [(pool(one[:, :, y:, x:], F, F), pool(other[:, :, y:, x:], F, F)) for y, x in np.ndindex(F, F)]
    still, moved = (np.concatenate([place[i].ravel() for place in places]) for i in (0, 1))
    return change(still, moved)


def rows_and_noise() -> Array:
    """Draw an image of dark rows, all alike, between rows of noise: neighbours in a column have nothing in common."""
    noise = whole(25, 1, 1, 24, 25, most=1)
    noise[:, :, ::2] = -9
    return noise


def percent(share: float) -> str:
    """Write a share as a percentage: without decimals, which decoders of JPEG may differ in."""
    return f"{100 * share:.0f} %"


@decides("maps-are-sensitive-to-location", large=True)
def sensitive(k: Kernels) -> Finding:
    """Move the photograph by one pixel, and compare its maps: they change, and not when they are moved back."""
    finding = Finding()
    one, other = (k.conv(x, FILTERS) for x in shifted())
    finding.see(change(one, other) > 0.01, "hardly changed")
    finding.see(np.array_equal(one[:, :, :, 1:], other[:, :, :, :-1]), "not moved along")
    finding.figure(f"the maps change by {percent(change(one, other))} of their energy")
    return finding


@decides("larger-stride-translation-invariance", large=True)
def stride_invariance(k: Kernels) -> Finding:
    """Move the photograph by one pixel and compare its maps at strides 1 to 4, from every place the stride may begin.

    The S*S maps at stride S are together the map at stride 1: so their changes, weighted, average to its change, and
    not all of them can be less.
    """
    finding = Finding()
    images = shifted()
    dense = [k.conv(x, FILTERS)[:, :, :192, :192] for x in images]
    for S in (2, 3, 4):
        moved, energy = 0.0, 0.0
        places = []
        for top, left in np.ndindex(S, S):
            one, other = (k.conv(x[:, :, top:, left:], FILTERS, S=S)[:, :, : 192 // S, : 192 // S] for x in images)
            places.append(change(one, other))
            moved, energy = moved + ((other - one) ** 2).sum(), energy + (one**2).sum()
        finding.see(max(places) < change(*dense), f"S={S}: up to {percent(max(places))}")
        finding.see(moved / energy < change(*dense), f"S={S}: {percent(moved / energy)} over all places")
        finding.figure(percent(moved / energy))
    finding.figure(f"by {percent(change(*dense))} of their energy at stride 1")
    finding.given("by just as much at strides 2, 3 and 4 over all places", "a part of the one at stride 1")
    return finding


@decides("pooling-translation-invariance", large=True)
def pooling_invariance(k: Kernels) -> Finding:
    """Move the photograph by one pixel, and compare its maps before pooling and behind it.

    Pooled from every place where the windows may begin, since one grid of them may by chance miss what moves. Then what
    the page draws: the sample's pools, each against the stride alone; and an image that is no photograph.
    """
    finding = Finding()
    found = {}
    for name, w in {"random": FILTERS, "wave": WAVE}.items():
        signed = [k.conv(x, w) for x in shifted()]
        for kind, maps in (("signed", signed), ("ReLU", [relu(y) for y in signed])):
            found[name, kind] = change(*maps)
            for F, (pool, of) in product((2, 3, 4), {"max": k.max, "average": k.average, "L2": k.l2}.items()):
                pooled = changed(of, F, *maps)
                told = f"{name}, {kind}, {pool} {F}x{F}: {percent(pooled)} for {percent(found[name, kind])}"
                finding.see(0 < pooled < found[name, kind], told, within=True)
                if F == 2:
                    found[name, kind, pool] = pooled
    for line in table("translation"):
        if line["damped"] is not None:
            told = "{variant}, {filter}, F={F}, S={S}, shift {shift}".format(**line)
            finding.see(line["damped"], told, within=line["shift"] == 1)
            if not line["damped"]:
                what = "averaging" if line["variant"] == "A-average" else line["variant"]
                finding.figure("{what} {S}x{S} responses to a wave, moved by {shift}".format(what=what, **line))
    striped = [rows_and_noise()[..., left : left + 24] for left in (0, 1)]
    finding.see(changed(k.max, 2, *striped) < change(*striped), "dark rows between rows of noise")
    before, largest, mean = (percent(found["random", "ReLU", *pool]) for pool in ((), ("max",), ("average",)))
    finding.figure(f"by {before} of their energy before, by {largest} behind max pooling by 2")
    finding.figure(f"by {mean} behind average pooling")
    before, largest, mean = (percent(found["wave", "signed", *pool]) for pool in ((), ("max",), ("average",)))
    finding.figure(f"it is {before}, {largest} and {mean}")
    finding.figure(f"change by {percent(change(*striped))} and their maxima by {percent(changed(k.max, 2, *striped))}")
    return finding


@decides("small-shifts-are-not-seen")
def small_shifts(k: Kernels) -> Finding:
    """Move rows of six cells by one or two, with what comes in at the border, and compare their maxima.

    Where no two cells are equal, the condition is more than enough: without it some maximum is another one.
    """
    finding = Finding()
    rng = np.random.default_rng(26)
    for F, step in product((1, 2, 3), (1, 2)):
        for _ in range(40):
            cells = rng.permutation(6 + step).astype(np.float64)
            alike = np.array_equal(*(k.max(x[None, None, None].repeat(F, 2), F, F) for x in (cells[:6], cells[step:])))
            kept = True  # each maximum stays, and nothing greater moves in
            for left in range(0, 6, F):
                before, after = cells[left : left + F], cells[left + step : left + step + F]
                kept &= before.max() in after and not (after > before.max()).any()
            finding.see(alike, f"F={F}: {cells[:6]} moved to {cells[step:]}", within=kept)
            finding.see(alike == kept, f"F={F}: {cells[:6]} moved to {cells[step:]}", within=True)
    cells = np.array([1.0, 5, 9, 10, -1])
    before, after = (k.max(x[None, None, None].repeat(2, 2), 2, 2).ravel() for x in (cells[:4], cells[1:]))
    finding.see(np.array_equal(before, after), f"{cells[:4]} moved to {cells[1:]}")
    still, moved = (f"({w:g}, {x:g} | {y:g}, {z:g})" for w, x, y, z in (cells[:4], cells[1:]))
    finding.figure(f"with windows of 2, {still} moved by one cell is {moved}")
    finding.figure(f"{' and '.join(f'{y:g}' for y in before if y in cells[1:])} have stayed")
    finding.figure(f"the outputs go from {row(before)} to {row(after)}")
    return finding


@decides("larger-windows-destroy-more", large=True)
def destroys(k: Kernels) -> Finding:
    """Pool an image, enlarge it again cell by cell, and measure the root mean square of what is lost.

    A photograph, and blocks of 3x3 cells, each even: windows of that size lose nothing of them, smaller ones do.
    """
    finding, photograph = Finding(), pixels()[:, :, :216, :216].astype(np.float64)
    images = {"photograph": photograph, "noise": whole(32, 1, 2, 24, 24), "flat": np.ones((1, 1, 24, 24))}
    images["blocks"] = whole(33, 1, 2, 8, 8).repeat(3, 2).repeat(3, 3)
    for (image, x), (name, pool) in product(images.items(), {"max": k.max, "average": k.average}.items()):
        lost = {}
        for F in (2, 3, 4, 6, 8):
            back = pool(x, F, F).repeat(F, 2).repeat(F, 3)
            lost[F] = float(np.sqrt(((back - x) ** 2).mean()))
        for less, more in combinations(lost, 2):
            told = f"{name} of the {image}: {lost[less]:.1f} with {less}x{less}, {lost[more]:.1f} with {more}x{more}"
            finding.see(lost[more] >= lost[less], told, within=more % less == 0)
        if (image, name) == ("photograph", "max"):
            finding.figure(f"by {lost[2]:.0f} grey levels with 2x2, {lost[3]:.0f} with 3x3, {lost[8]:.0f} with 8x8")
        if (image, name) == ("blocks", "max"):
            finding.figure(f"of even blocks of 3x3 it is {lost[2]:.1f} with 2x2 and {lost[3]:.0f} with 3x3")
    return finding


@decides("map-shows-where-its-feature-is")
def shows(k: Kernels) -> Finding:
    """Lay a filter's own pattern anywhere on a dark image, or on one of some bright cells, and find the largest output.

    A patch answers with no more than the product of the two roots of energy, and with as much only where it is a
    multiple of the pattern (Cauchy and Schwarz).
    """
    finding = Finding()
    w = np.array([[1.0, 2], [3, 4]]).reshape(1, 1, 2, 2)
    energy = float((w**2).sum())
    rng = np.random.default_rng(34)
    for top, left in [*np.ndindex(5, 5)] * 6:
        x = rng.integers(0, 6, (1, 1, 6, 6)) * (rng.random((1, 1, 6, 6)) < 0.2 * rng.integers(0, 3))
        x[0, 0, top : top + 2, left : left + 2] = w
        patches = {(y, x_): x[0, 0, y : y + 2, x_ : x_ + 2] for y, x_ in np.ndindex(5, 5) if (y, x_) != (top, left)}
        within = all((patch**2).sum() <= energy and (patch != w).any() for patch in patches.values())
        y = k.conv(x.astype(np.float64), w)[0, 0]
        largest = [place for place in np.ndindex(5, 5) if y[place] == y.max()]
        finding.see(largest == [(top, left)], f"at {top}, {left}: largest at {largest}", within=within)
    flat, dot = np.zeros((1, 1, 6, 6)), np.zeros((1, 1, 6, 6))
    flat[0, 0, 3:, 3:], dot[0, 0, 4, 4] = 9, 8
    for told, x in (("a flat patch of 9", flat), ("a single 8, though its sum is less,", dot)):
        x[0, 0, :2, :2] = w
        y = k.conv(x, w)
        finding.see(y[0, 0, 0, 0] == y.max(), f"{y[0, 0, 0, 0]:g} beside {y.max():g}")
        own = f"The pattern (1, 2; 3, 4), of energy {energy:g}, answers itself with {y[0, 0, 0, 0]:g}"
        finding.figure(own, f"{told} with {y.max():g}")
    return finding


@decides("max-pooling-tells-presence")
def presence(k: Kernels) -> Finding:
    """Compare a maximum with a threshold, and each cell of the window: all windows of four cells of 0 to 3."""
    finding = Finding()
    for cells in product(range(4), repeat=4):
        found = k.max(np.array(cells, np.float64).reshape(1, 1, 2, 2), 2, 2).item()
        for least in (1, 2, 3):
            finding.see((found >= least) == any(cell >= least for cell in cells), f"{least} or more among {cells}")
    one = np.array([1.0, 0, 0, 0]).reshape(1, 1, 2, 2)
    finding.figure(f"that is 1 gives {k.max(one, 2, 2).item():g}", f"average of {k.average(one, 2, 2).item():g}")
    return finding


@decides("max-pooling-keeps-sharp-features")
def sharp(k: Kernels) -> Finding:
    """Draw lines of one pixel, bright on dark and dark on bright, wherever they may be, and measure what is left.

    All sets of lines in eight columns, no two side by side.
    """
    finding, left = Finding(), {}
    for lines in product((0, 1), repeat=8):
        if not any(lines) or any(one and other for one, other in pairwise(lines)):
            continue
        everywhere = all(any(lines[at : at + 2]) for at in range(0, 8, 2))
        for line in (255.0, 0.0):
            row = np.where(lines, line, 255 - line)
            contrast = np.ptp(k.max(np.broadcast_to(row, (1, 1, 8, 8)).copy(), 2, 2))
            told = f"lines of {line:g} at {lines}: contrast {contrast:g}"
            finding.see(contrast == 255, told, within=line > 0 and not everywhere)
            left[lines, line] = contrast
    one, stripes = (0, 0, 0, 1, 0, 0, 0, 0), (1, 0) * 4
    row = np.where(one, 255.0, 0)
    average = np.ptp(k.average(np.broadcast_to(row, (1, 1, 8, 8)).copy(), 2, 2))
    bright, dark = (left[one, line] for line in (255.0, 0.0))
    finding.figure(f"a contrast of 255 it keeps {bright:g} where the line is bright, and {dark:g} where it is dark")
    finding.figure(f"The average keeps {average:g}")
    finding.figure(f"leave {left[stripes, 255.0]:g}")
    return finding


@decides("average-pooling-keeps-smooth-features")
def smooth(k: Kernels) -> Finding:
    """Average a slope, whose value is known in the middle of each window, and stripes of one pixel."""
    finding = Finding()
    down, across = np.indices((8, 8)).astype(np.float64)
    slope, stripes = 3 * down + across, 255 * (across % 2)
    centres = (slope[::2, ::2] + slope[1::2, 1::2]) / 2
    finding.see(np.array_equal(k.average(slope[None, None], 2, 2)[0, 0], centres), "a slope")
    finding.see(np.ptp(k.average(stripes[None, None], 2, 2)) == 0, "stripes are left")
    off = k.max(slope[None, None], 2, 2)[0, 0] - centres
    assert np.ptp(off) == 0  # the maximum of a slope is in the window's corner
    finding.figure(f"{off[0, 0]:g} too high", f"an even {k.average(stripes[None, None], 2, 2).max():g}")
    return finding


@decides("pooling-reduces-variance", large=True)
def variance(k: Kernels) -> Finding:
    """Pool by 2x2 what has a variance: all images of eight cells that are 0 or 1, independent numbers, a photograph."""
    finding = Finding()
    rng, size = np.random.default_rng(24), (1, 1, 1024, 1024)
    noise = rng.standard_normal(size)
    tried = {"normal": noise, "ReLU of normal": relu(noise), "exponential": rng.exponential(size=size)}
    tried["photograph"] = pixels()[:, :1, :226, :226].astype(np.float64)
    left = {}
    for data, x in tried.items():
        left[data] = x.var()
        for name, pool in (("average", k.average), ("max", k.max), ("L2", k.l2)):
            left[data, name] = pool(x, 2, 2).var()
            told = f"{name} of {data}: {left[data]:.3g}, then {left[data, name]:.3g}"
            finding.see(left[data, name] < left[data], told, within=name == "average")
    for cells in product((0.0, 1.0), repeat=8):
        x = np.array(cells).reshape(1, 1, 2, 4)
        flat = np.ptp(x[..., :2]) == np.ptp(x[..., 2:]) == 0
        for name, pool in (("average", k.average), ("max", k.max)):
            told = f"{name} of {cells}: {x.var():.3g}, then {pool(x, 2, 2).var():.3g}"
            finding.see(pool(x, 2, 2).var() < x.var(), told, within=name == "average" and not flat)
    ragged = np.zeros((1, 1, 5, 5))
    ragged[..., :2, :2] = 1
    finding.see(k.average(ragged, 2, 2).var() < ragged.var(), "2x2 bright cells of 5x5")
    told = {
        "normal": "of variance {:.2f}: averages of four have {:.2f}, maxima {:.2f}, L2 norms {:.2f}",
        "ReLU of normal": "behind ReLU {:.2f} becomes {:.2f}, {:.2f} and {:.2f}",
        "exponential": "of variance {0:.1f} maxima have {2:.1f}, L2 norms {3:.1f}",
    }
    for data, words in told.items():
        finding.figure(words.format(left[data], *(left[data, name] for name in ("average", "max", "L2"))))
    finding.figure(f"{ragged.var():.2f} becomes {k.average(ragged, 2, 2).var():.2f}")
    finding.given("2x2 bright cells of 5x5")
    return finding
