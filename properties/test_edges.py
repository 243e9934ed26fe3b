"""Sizes one after another, past where tiles, vectors, unrolled loops and narrow counters end, in thin cases."""

from __future__ import annotations

from dataclasses import replace

from oracles import truth as truths
from oracles.case import BACKWARD, CONVOLUTIONS, FORWARD, Case
from oracles.geometry import Axis, Geometry
from oracles.verdict import Verdict, judge
from properties.examiner import Examiner, Raised, Unsupported
from properties.laws import law
from properties.neighbours import owed, respelled
from properties.strategies import cases

STAYS = "every size one after another: where a tile ends is not known beforehand"

SIZES = (
    *range(1, 37),
    *(16 * tile + more for tile in range(3, 9) for more in (-1, 0, 1)),
    *(64 * tile + more for tile in (3, 4) for more in (-1, 0, 1)),
)
LETTERS = {
    "OW": "W",
    "OH": "H",
    "C": "C",
    "K": "K",
    "N": "N",
    "T": "CKF",  # terms of a sum
}  # what is sized, and its letters in limits
LONG = 65  # outputs of a gradient that sums as many filters
AT_ONCE, TIMES = 8, 2  # sizes of one drawn case, and how often all of them meet each size
ALONG = ("any", *(f"{name}{size}" for name in LETTERS for size in SIZES))
NUMBER = -(-TIMES * len(LETTERS) * len(SIZES) // AT_ONCE)


def biased(case: Case) -> Case:
    """Add a bias: where the last of many sums is forgotten, it may be all that is."""
    return replace(case, bias=case.operation == "conv2d")


THIN = cases(
    ("narrow", "wide"), extent=(1, 2, 3), margin=(0,), batches=(1, 2), details={"along": ("any",)}, count=NUMBER
).map(biased)


@law("values", FORWARD, THIN, details=("along",))
def test_outputs_are_right_at_every_size(subject: Examiner, case: Case) -> None:
    """At each number of outputs, channels, filters, images and terms past a hundred, outputs are the definition's."""
    swept(subject, case)


@law("gradients", BACKWARD, THIN, details=("along",))
def test_gradients_are_right_at_every_size(subject: Examiner, case: Case) -> None:
    """At each number of outputs, channels, filters, images and terms past a hundred, so is every gradient."""
    swept(subject, case)


def swept(subject: Examiner, case: Case) -> None:
    """Examine the case at several sizes, or at the one that it names or has failed at before."""
    along = case.detail("along", ALONG)
    if along == "any" and subject.failure is not None:
        along = subject.failure[0].detail("along")
    for name in chosen(subject, case) if along == "any" else [along]:
        one = sized(subject, case, name)
        if not owed(subject, replace(one, details=())):
            continue
        verdict = examined(subject, one)
        if not verdict.agrees and along == "any":
            one, verdict = least(subject, case, one, verdict)
        if not verdict.agrees:
            subject.hold(case, verdict)  # as it was drawn, it fails too
        verdict = subject.hold(one, verdict)
        assert verdict.agrees, verdict.message


def chosen(subject: Examiner, case: Case) -> list[str]:
    """Choose sizes by the case's number, so that all cases together meet all that there are."""
    limits = subject.subject.declared.limits
    names = [name for name, letters in LETTERS.items() if not any(letter in limits for letter in letters)]
    names = [name for name in names if name != "K" or case.operation in CONVOLUTIONS]
    if not names:
        raise Unsupported("its limits leave no size free")
    every = [f"{name}{size}" for size in SIZES for name in names]
    return [every[(case.seed + i * NUMBER) % len(every)] for i in range(AT_ONCE)]


def sized(subject: Examiner, case: Case, name: str) -> Case:
    """Give the case one size, as OW65 or C17 names it, and few of all else. Done twice, it is done once."""
    letter, size, g = name.rstrip("0123456789"), int(name.lstrip("NCKOHWT")), case.geometry
    filters = g.G if g.K else 0
    counts = {"N": 1, "C": g.G, "K": filters}
    if letter == "T":
        case, geometry = replace(case, same=""), summing(case, size)
    elif letter in counts:
        counts[letter] = size * (1 if letter == "N" else g.G)
        geometry = replace(g, **counts)
    else:
        axes = {"vertical": g.vertical, "horizontal": g.horizontal}
        which = "vertical" if letter == "OH" else "horizontal"
        geometry = Geometry(1, g.G, **axes | {which: holding(axes[which], size, case.same)}, K=filters, G=g.G)
    return replace(respelled(subject, case, geometry), details=(("along", name),))


def summing(case: Case, terms: int) -> Geometry:
    """Sum so many terms in each output: channels under a window of one cell, or cells of a window one row high.

    Of the gradients of a convolution these are filters, for dx, and as many outputs, for dw, up to LONG.
    """
    G, (down, across) = case.geometry.G, (axis.stride for axis in (case.geometry.vertical, case.geometry.horizontal))
    one, two = Axis(1, 1, down), Axis(1 + across, 1, across)
    if case.operation not in CONVOLUTIONS:
        return Geometry(1, 1, one, Axis(terms + across, terms, across))
    if case.operation == "conv2d":
        return Geometry(1, terms * G, one, two, G, G)
    return Geometry(1, G, one, Axis((terms - 1) * across + 1, 1, across) if terms <= LONG else two, terms * G, G)


def holding(axis: Axis, outputs: int, same: str) -> Axis:
    """Make an axis as large as so many windows need, and the cells behind the last that the stride leaves over."""
    if same:
        return Axis.same(outputs * axis.stride, axis.extent, axis.stride, axis.dilation, same)
    needed = (outputs - 1) * axis.stride + axis.reach - axis.pad_before - axis.pad_after
    return replace(axis, size=max(1, needed + (0 if axis.ceil else axis.ragged)))


def examined(subject: Examiner, one: Case) -> Verdict:
    """Judge a call, without counting it."""
    plain = replace(one, details=())  # whose truth is computed once
    try:
        subject.expect_exact(plain)
        return judge(truths.truth(plain, subject.arithmetic), subject.run(plain))
    except Raised:
        assert subject.failure is not None
        return subject.failure[1]


def least(subject: Examiner, case: Case, one: Case, verdict: Verdict) -> tuple[Case, Verdict]:
    """Find the least size, of those that the failing one is among, at which the case fails."""
    letter = one.detail("along").rstrip("0123456789")
    for size in SIZES:
        smaller = sized(subject, case, f"{letter}{size}")
        if smaller == one:
            break
        found = examined(subject, smaller) if owed(subject, replace(smaller, details=())) else Verdict()
        if not found.agrees:
            return smaller, found
    return one, verdict
