"""One call after another, and several at once: no answer depends on any call but its own."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from hypothesis import example

from impls.isolation.failures import Failure
from oracles import truth as truths
from oracles.case import BACKWARD, CONVOLUTIONS, FORWARD, Case
from oracles.verdict import Verdict, joined, untold
from properties import probing
from properties.examiner import Examiner, Unsupported, under_test
from properties.laws import law
from properties.neighbours import CHANGES, neighbour, of_other, owed, with_data
from properties.probing import ANY, all_judged, found, judged, probe, varied
from properties.strategies import cases

STAYS = "names the earlier call, or the thread, that an answer depends on"

EVERY = (*FORWARD, *BACKWARD)
REFUSING = tuple(operation for operation in EVERY if operation != "max_pool2d_backward")  # it has no parameters
REAL = ("gauss", "spread", "cancelling", "huge")
LONG = 300  # products, which machines and thread blocks often share
OTHERS = 3  # operations whose invalid calls come before a valid one of another
SMALL: dict[str, Any] = {"extent": (1, 2, 3, 4), "margin": range(6)}
NEAREST = ("row", "column")  # changes that a key of what is kept most often leaves out: they are tried twice as often
SHARING = {
    "own_data": "each with data of its own",
    "one_call": "all with copies of the same data",
    "same_arrays": "all with the very same arrays",
}


def long_sums(case: Case) -> Case:
    """Make one case of four a sum of more than LONG products, of channels, or of filters for the gradients."""
    g = case.geometry
    if case.operation not in CONVOLUTIONS or case.seed % 4 or not g.terms:
        return case
    letter = "C" if case.operation == "conv2d" else "K"
    many = dataclasses.replace(g, **{letter: getattr(g, letter) * (1 + LONG // g.terms)})
    longer = dataclasses.replace(case, geometry=many)
    return longer if owed(under_test(), longer) else case


@law("repeatability", EVERY, cases(REAL, details={"calls": ANY}).map(long_sums), details=("calls",), calls=20)
@example(case=Case.parse("conv2d float32 n1c130k2g1 i5k3s1p1,1d1 i5k3s1p1,1d1 gauss seed=1 calls=20"))
@example(case=Case.parse("conv2d_backward float32 n2c2k130g1 i20k3s1p1,1d1 i20k3s1p1,1d1 gauss seed=1 calls=20"))
@example(case=Case.parse("avg_pool2d float32 n1c2 i33k32s1p0,0d1 i40k32s1p0,0d1 gauss seed=1 calls=20"))
@example(case=Case.parse("l2_pool2d float32 n1c2 i33k32s1p0,0d1 i40k32s1p0,0d1 gauss seed=1 calls=20"))
def test_the_same_call_gives_the_same_bits(subject: Examiner, case: Case) -> None:
    """The same arrays in the same memory give the same bits, twenty times over."""
    if not subject.subject.declared.deterministic:
        raise Unsupported("declares deterministic = False")
    verdict = varied(subject, case, "calls", ("20", "3", "3"), repeated)
    assert verdict.agrees, verdict.message


def repeated(subject: Examiner, case: Case) -> Verdict:
    """Judge the same call made again and again."""
    times = int(case.detail("calls"))
    facts = probe(subject, case, "repeats", note=f"called {times} times on the same arrays", times=times)
    if facts["distinct"] > 1:
        message = f"{facts['distinct']} different results in {times} calls{apart(case, *facts['outputs'])}"
        return found("nondeterministic", message)
    return Verdict(elements=times * sum(np.size(array) for array in facts["outputs"][0]))


@law("repeatability", EVERY, cases(("wide", "narrow"), details={"change": ANY}, **SMALL), details=("change",), calls=27)
def test_answers_do_not_depend_on_earlier_calls(subject: Examiner, case: Case) -> None:
    """Whatever was asked for before, other data, sizes, paddings or formats among it, the next answer is right."""
    verdict = varied(subject, case, "change", [*CHANGES, *NEAREST], in_turn, count=3)
    assert verdict.agrees, verdict.message


def in_turn(subject: Examiner, case: Case) -> Verdict:
    """Judge a sequence of calls, to and fro between the case and its neighbour."""
    other = neighbour(subject, case, case.detail("change"))
    calls = [case, with_data(case, 2), other, case, with_data(other, 2), with_data(case, 2), other, other, case]
    facts = probe(subject, case, "sequence", others=probing.others(subject, calls[1:]))
    return all_judged(subject, calls, facts["outputs"])


@law("repeatability", EVERY, cases(("wide", "narrow"), details={"turn": ANY}, **SMALL), details=("turn",))
def test_the_other_direction_leaves_nothing_behind(subject: Examiner, case: Case) -> None:
    """Gradients are those of what is passed, whatever the forward pass saw before, and the other way round."""
    other = other_direction(case)
    if not subject.subject.offers(other.operation):
        raise Unsupported(f"offers no {other.operation}")
    names = [*truths.inputs(case)]
    turns = ["other data", *(name for name in truths.inputs(other) if name in names)]
    verdict = varied(subject, case, "turn", turns, turned)
    assert verdict.agrees, verdict.message


def turned(subject: Examiner, case: Case) -> Verdict:
    """Judge a call after one of the other direction: on other data, or on the same, one input overwritten since."""
    data, turn, other = truths.inputs(case), case.detail("turn"), other_direction(case)
    if turn == "other data":
        note = f"after {other.operation} on other data of the same shapes"
        facts = probe(subject, case, "after_other", note=note, other=other.operation,
                      first=subject.arguments(with_data(other, 1)))  # fmt: skip
        return judged(subject, case, facts["outputs"], note=note)
    note = f"after {other.operation} on the same arrays, {turn} overwritten in place since"
    old, mine, theirs = data[turn], [*data], [*truths.inputs(other)]
    assert old is not None
    values = probing.turned_round(old)
    facts = probe(subject, case, "after_other", note=note, other=other.operation, first=subject.arguments(other),
                  shared=[[i, theirs.index(name)] for i, name in enumerate(mine) if name in theirs],
                  index=mine.index(turn), values=values)  # fmt: skip
    return judged(subject, case, facts["outputs"], data=data | {turn: values}, note=note)


@law("repeatability", REFUSING, cases(("wide", "narrow"), details={"refused": ANY}, **SMALL), details=("refused",))
def test_the_call_after_a_refusal_is_right(subject: Examiner, case: Case) -> None:
    """Calls that had to be refused, of this operation or another, leave nothing behind: the next valid one is right."""
    verdict = varied(subject, case, "refused", refusable(case), after_refusal, count=2)
    assert verdict.agrees, verdict.message


def other_direction(case: Case) -> Case:
    """Give the gradients of a forward pass, or the forward pass of gradients, on the same geometry."""
    operation = case.operation
    other = operation.removesuffix("_backward") if operation in BACKWARD else f"{operation}_backward"
    return dataclasses.replace(case, operation=other, bias=False, details=())


def after_refusal(subject: Examiner, case: Case) -> Verdict:
    """Judge a valid call after one whose stride, window, padding or bias is not, and after such of other operations."""
    what = case.detail("refused")
    offered = [name for name in REFUSING if name != case.operation and subject.subject.offers(name)]
    some = [offered[(case.seed + i) % len(offered)] for i in range(min(OTHERS, len(offered)))]
    others = [other for name in some if (other := of_other(subject, case, name)) is not None]
    calls = [[other.operation, *invalid(subject, other, refusable(other)[case.seed // 8 % 2])] for other in others]
    note, wrong = f"after a call with an invalid {what}", invalid(subject, case, what)
    try:
        facts = probe(subject, case, "after_refusal", note=note, invalid=wrong, others=calls, quiet=bool(calls))
    except Failure:  # an invalid call of another operation may end the process: its own properties tell of it
        others = []
        facts = probe(subject, case, "after_refusal", note=note, invalid=wrong)
    fate = "returned" if facts["refusal"] == "returned" else "was refused"
    verdict = judged(subject, case, facts["outputs"], note=f"{note}, which {fate}")
    if not others or not verdict.agrees:
        return verdict
    told = f"after invalid calls of {', '.join(other.operation for other in others)}:"
    return joined([verdict, judged(subject, case, facts["again"], note=told)])


def refusable(case: Case) -> tuple[str, ...]:
    """What of a call may be invalid; the first two are tried where another operation's call follows."""
    return ("bias", "stride", "window", "padding") if case.operation == "conv2d" else ("stride", "padding", "window")


def invalid(subject: Examiner, case: Case, what: str) -> tuple[list[Any], dict[str, Any]]:
    """Give the arrays and the parameters of a call of which that is invalid."""
    arrays, parameters = subject.arguments(case)
    wrong = [*arrays]
    if what == "window" and case.operation in CONVOLUTIONS:
        wrong[1] = too_large(arrays[1], case)
    if what == "bias":
        wrong[2] = np.ones(case.geometry.K + 1, arrays[0].dtype)
    return wrong, parameters | spoiled(case, what, parameters)


@law(
    "repeatability", EVERY, cases(("wide", "narrow"), details={"threads": ANY}, **SMALL), details=("threads",), calls=12
)
@example(case=Case.parse("conv2d float32 n1c4k4g1 i32k3s1p1,1d1 i32k3s1p1,1d1 narrow:24 seed=1 threads=own_data"))
@example(case=Case.parse("conv2d float32 n1c4k4g1 i32k3s1p1,1d1 i32k3s1p1,1d1 narrow:24 seed=2 threads=own_data"))
@example(
    case=Case.parse("conv2d_backward float32 n1c3k4g1 i24k3s1p1,1d1 i24k3s1p1,1d1 narrow:24 seed=1 threads=own_data")
)
@example(case=Case.parse("max_pool2d float32 n2c8 i32k3s2p1,1d1 i32k3s2p1,1d1 narrow:24 seed=1 threads=own_data"))
@example(case=Case.parse("avg_pool2d float32 n2c8 i32k3s2p1,1d1 i32k3s2p1,1d1 narrow:24 seed=1 threads=own_data"))
def test_threads_do_not_disturb_each_other(subject: Examiner, case: Case) -> None:
    """Calls from four threads at once give what they give alone: on own data, on shared data, of other shapes."""
    verdict = varied(subject, case, "threads", [*SHARING, *CHANGES], at_once)
    assert verdict.agrees, verdict.message


def at_once(subject: Examiner, case: Case) -> Verdict:
    """Judge twelve calls from four threads."""
    kind = case.detail("threads")
    sets = [case]
    if kind == "own_data":
        sets = [with_data(case, i) for i in range(4)]
    elif kind in CHANGES:
        sets = [case, neighbour(subject, case, kind), with_data(case, 2)]
    note = f"called from four threads at once, {SHARING.get(kind, 'with data and shapes that differ')}"
    others, together = probing.others(subject, sets[1:]), kind == "same_arrays"
    facts = probe(subject, case, "threads", note=note, others=others, count=4, times=3, together=together)
    verdict = joined([judged(subject, one, out) for one, out in zip(sets, facts["outputs"], strict=True)])
    if verdict.agrees and facts["differing"]:
        thread, which, turn = facts["first"]
        note += f", {facts['differing']} of {facts['calls']} calls gave other bits than alone"
        # within the bound it is no disturbance: arrays that lie elsewhere may be summed in another order
        verdict = judged(subject, sets[which], facts["wrong"], note=f"{note}; thread {thread}, turn {turn}:")
        verdict = dataclasses.replace(verdict, data=truths.inputs(sets[which]))
    return verdict


@law("repeatability", EVERY, cases(("wide", "narrow"), **SMALL), calls=20, few=True)
def test_calls_leave_their_process_as_it_was(subject: Examiner, case: Case) -> None:
    """Calls leave modes, settings and random numbers as they were, and no thread, file, process or memory in use."""
    facts = probe(subject, case, "left", note="called again and again on the same arrays")
    told = [f"after a call this is not as it was: {what}" for what in facts["changed"]]
    told += [
        f"{count:,} more {what} are in use after {calls} calls" for what, (count, calls) in facts["growing"].items()
    ]
    seen = sum(np.size(array) for array in facts["outputs"])
    verdict = found("left its process changed", "\n".join(told)) if told else Verdict(elements=seen)
    verdict = subject.hold(case, verdict)
    assert verdict.agrees, verdict.message


def apart(case: Case, one: Any, other: Any) -> str:
    """Tell where two results of one call differ first."""
    for i, (a, b) in enumerate(zip(one, other, strict=True)):
        name = probing.output(case, i)
        if untold(name, a):
            continue
        if a.dtype != b.dtype or a.shape != b.shape:
            return f": {name} of dtype {a.dtype} and shape {a.shape}, then of dtype {b.dtype} and shape {b.shape}"
        differing = (a != b) & ~((a != a) & (b != b))
        if differing.any():
            place = tuple(int(j) for j in np.unravel_index(int(differing.argmax()), a.shape))
            both = f"{name}[{', '.join(map(str, place))}] is {a[place]!r}, then {b[place]!r}"
            return f", in {int(differing.sum())} of {a.size} elements of {name}; {both}"
    return ": they differ in the sign of a zero or in the bits of a NaN"


def spoiled(case: Case, what: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Make parameters that every operation must refuse."""
    if what == "window":
        v, h = case.geometry.vertical, case.geometry.horizontal
        return {"size": (v.padded + 1, h.padded + 1)} if "size" in parameters else {}
    if what == "padding" and not case.same:
        nested = isinstance(parameters["padding"][0], tuple)
        return {"padding": ((-1, -1), (-1, -1)) if nested else (-1, -1)}
    return {"stride": (0, parameters["stride"][1])}


def too_large(w: np.ndarray, case: Case) -> np.ndarray:
    """Make filters larger than the padded image."""
    v, h = case.geometry.vertical, case.geometry.horizontal
    return np.ones((*w.shape[:2], v.padded + 1, h.padded + 1), w.dtype)
