"""Arrays as NumPy makes them, in any layout, read-only, overlapping; and results that are the caller's own."""

from __future__ import annotations

import dataclasses

import numpy as np

from impls.contract import ARRAYS
from impls.layouts import LAYOUTS
from oracles import truth as truths
from oracles.case import BACKWARD, FORWARD, Case
from oracles.formats import FORMATS
from oracles.verdict import DIFFERS, Verdict, form, joined, untold
from properties import probing
from properties.examiner import Examiner, Unsupported, under_test
from properties.laws import law
from properties.neighbours import CHANGES, neighbour, with_data
from properties.probing import ANY, all_judged, found, judged, noted, probe, varied
from properties.strategies import cases

STAYS = "names the layout, or the array that was written"

EVERY = (*FORWARD, *BACKWARD)
CHANGED = "changed its input"
SEVERAL = (1, 2, 2, 3)  # images: one alone shows no mistake in how they follow each other
SMALL = {"extent": (1, 2, 3, 4), "margin": range(6)}


def plain(case: Case) -> Case:
    """The case with one channel, one filter and one group, where the implementation takes that."""
    g, limits = case.geometry, under_test().subject.declared.limits
    if not all(1 in limits.get(letter, (1,)) for letter in "CKG"):
        return case
    return dataclasses.replace(case, geometry=dataclasses.replace(g, C=1, K=min(g.K, 1), G=1))


@law("arrays", EVERY, cases(("narrow",)))
def test_results_have_the_dtype_of_the_arrays(subject: Examiner, case: Case) -> None:
    """Results are NumPy arrays of the inputs' dtype, switches int64; those of an empty batch too."""
    result, g = subject.run(case), case.geometry
    dtypes = {"switches": np.dtype(np.int64)}
    shapes = {"y": g.y_shape, "switches": g.y_shape, "dx": g.x_shape, "dw": g.w_shape, "db": (g.K,)}
    names = probing.OUTPUTS.get(case.operation, (probing.output(case, 0),))
    outputs = result if len(names) > 1 and isinstance(result, (tuple, list)) else (result,)
    complaint = "" if len(outputs) == len(names) else f"returned one result where {len(names)} are due: {names}"
    for name, array in zip(names, outputs, strict=False):
        dtype = dtypes.get(name, np.dtype(FORMATS[case.dtype].array))
        complaint = complaint or ("" if untold(name, array) else form(name, array, shapes[name], dtype))
    agreed = Verdict(elements=sum(np.size(array) for array in outputs))
    verdict = subject.hold(case, found(DIFFERS, complaint) if complaint else agreed)
    assert verdict.agrees, verdict.message


@law("arrays", EVERY, cases(("narrow",), details={"layout": ANY}, **SMALL), details=("layout",))
def test_inputs_are_not_written(subject: Examiner, case: Case) -> None:
    """A call leaves its arrays as they were, and takes read-only ones unless contiguous, writable ones are declared."""
    layouts = ("contiguous", "read_only") if subject.subject.declared.layouts == "any" else ("contiguous",)
    verdict = varied(subject, case, "layout", layouts, laid_out, count=len(layouts))
    assert verdict.agrees, verdict.message


@law(
    "arrays", EVERY, cases(("narrow",), details={"layout": ANY}, batches=SEVERAL, **SMALL), details=("layout",), calls=8
)
def test_arrays_lie_in_memory_in_any_way(subject: Examiner, case: Case) -> None:
    """Strided, reversed, transposed, broadcast, misaligned and byte-swapped arrays are read as they stand."""
    if subject.subject.declared.layouts == "contiguous":
        raise Unsupported('declares layouts = "contiguous"')
    verdict = varied(subject, case, "layout", LAYOUTS, laid_out, count=8)
    assert verdict.agrees, verdict.message


def laid_out(subject: Examiner, case: Case) -> Verdict:
    """Judge a call with the arrays in the case's layout: its outputs, and what became of the inputs."""
    layout = case.detail("layout")
    facts = probe(subject, case, "layout", note=f"with {layout} arrays", layout=layout, seed=case.seed)
    data = probing.named(case, facts["arrays"])
    outputs = facts["outputs"]
    if any(order == "byteswapped" for order in facts["layouts"]):  # then either byte order will do
        outputs = [out.astype(out.dtype.newbyteorder("=")) if type(out) is np.ndarray else out for out in outputs]
    verdict = judged(subject, case, outputs, data=data)
    if verdict.agrees and facts["changed"]:
        names = " and ".join(list(data)[i] for i in facts["changed"])
        verdict = found(CHANGED, f"the call wrote into {names}, or between its elements, or reshaped it")
    if not verdict.agrees:
        verdict = dataclasses.replace(noted(verdict, probing.layouts_told(case, facts["layouts"])), data=data)
    return verdict


@law("arrays", EVERY, cases(("wide", "narrow"), details={"pairs": ANY}, **SMALL), details=("pairs",))
def test_arrays_come_by_keyword_and_pairs_as_lists(subject: Examiner, case: Case) -> None:
    """Arrays may be passed by keyword, and stride, padding, dilation and size as lists or as tuples."""
    verdict = varied(subject, case, "pairs", ("lists", "tuples"), by_keyword, count=2)
    assert verdict.agrees, verdict.message


def by_keyword(subject: Examiner, case: Case) -> Verdict:
    """Judge a call with every argument by keyword."""
    names, pairs = [*ARRAYS[case.operation]], case.detail("pairs")
    if case.operation in ("max_pool2d_backward", "avg_pool2d_backward"):
        names.append("x_shape")
    note = f"with {', '.join(names)} by keyword and {pairs} for pairs"
    facts = probe(subject, case, "by_keyword", note=note, names=names, lists=pairs == "lists")
    verdict = judged(subject, case, facts["outputs"], note=note)
    if verdict.agrees and facts["changed"]:
        verdict = noted(found(CHANGED, f"the call wrote into the list that was passed as {facts['changed'][0]}"), note)
    return verdict


SHARING = {
    "conv2d": ("x+w",),
    "conv2d_backward": ("x+w", "x+dy", "w+dy"),
    "l2_pool2d_backward": ("x+dy",),
}


@law("arrays", tuple(SHARING), cases(("narrow",), details={"pair": ANY}, **SMALL), details=("pair",))
def test_two_arrays_share_memory(subject: Examiner, case: Case) -> None:
    """Two arrays of a call may lie in the same memory: nothing is written to either, not even for a while."""
    verdict = varied(subject, case, "pair", SHARING[case.operation], in_one_memory)
    assert verdict.agrees, verdict.message


def in_one_memory(subject: Examiner, case: Case) -> Verdict:
    """Judge a call of which two arrays begin at the same byte."""
    names = case.detail("pair").split("+")
    data = probing.alike(truths.inputs(case), names)
    note = f"with {names[0]} and {names[1]} in the same memory, from its first element on"
    places = [list(data).index(name) for name in names]
    facts = probe(subject, case, "shared", note=note, data=data, pair=places)
    used = probing.named(case, facts["arrays"])
    verdict = judged(subject, case, facts["outputs"], data=used, note=note)
    if verdict.agrees and facts["changed"]:
        verdict = noted(found(CHANGED, "the call wrote into them"), note)
    return verdict


@law("arrays", EVERY, cases(("wide", "narrow"), extent=(1, 2, 3), stride=(1, 2), margin=range(6)))
def test_results_share_no_memory(subject: Examiner, case: Case) -> None:
    """A result is the caller's own: in memory with no input, no other result and nothing that is kept."""
    verdict = subject.hold(case, owned(subject, case))
    assert verdict.agrees, verdict.message


@law("arrays", EVERY, cases(("narrow",), extent=(1,), stride=(1,), padding=(0,), dilation=(1,), bias=False).map(plain))
def test_a_result_that_equals_an_input_is_a_copy(subject: Examiner, case: Case) -> None:
    """Where a filter of a single 1, or a window of one cell, gives the image back, it gives a copy."""
    data = truths.inputs(case)
    if data.get("w") is not None:
        data["w"] = np.ones_like(data["w"])
    verdict = subject.hold(case, owned(subject, case, data))
    assert verdict.agrees, verdict.message


def owned(subject: Examiner, case: Case, data: probing.Data | None = None) -> Verdict:
    """Judge a call, on the case's data or on the data given, and where its results lie."""
    facts = probe(subject, case, "aliasing", data=data)
    verdict = judged(subject, case, facts["outputs"], data=data)
    if verdict.agrees:
        names, told = [*truths.inputs(case)], lambda i: probing.output(case, i)
        shared = [f"{told(i)} lies in the memory of the input {names[j]}" for i, j in facts["inputs"]]
        shared += [f"{told(i)} and {told(j)} lie in the same memory" for i, j in facts["siblings"]]
        shared += [f"{told(i)} lies in the memory of an earlier call's {told(j)}" for i, j in facts["earlier"]]
        if subject.subject.declared.deterministic:  # elsewhere the bits may change of themselves
            shared += [f"writing over earlier results changes the next call's {told(i)}" for i in facts["disturbed"]]
        if shared:
            alone = bool(facts["inputs"] or facts["siblings"])
            verdict = dataclasses.replace(found(DIFFERS, "\n".join(shared)), data=data, alone=alone)
    return verdict


@law("arrays", EVERY, cases(("wide", "narrow"), details={"change": ANY}, **SMALL), details=("change",))
def test_earlier_results_survive_later_calls(subject: Examiner, case: Case) -> None:
    """What a call returned stays as it was through a dozen later ones, of the same shapes and of others."""
    verdict = varied(subject, case, "change", [*CHANGES], kept)
    assert verdict.agrees, verdict.message


def kept(subject: Examiner, case: Case) -> Verdict:
    """Judge thirteen calls whose results are looked at again at the end."""
    other = neighbour(subject, case, case.detail("change"))
    calls = [with_data(case, i % 3) for i in range(9)] + [other, with_data(other, 2), case, other]
    facts = probe(subject, case, "kept", others=probing.others(subject, calls[1:]))
    verdict = all_judged(subject, calls, facts["outputs"])
    if verdict.agrees and facts["changed"]:
        call, index = facts["changed"][0]
        message = (
            f"{probing.output(case, index)} of call {call + 1} was right when it was returned, and is not the same "
            f"after all {len(calls)} calls; {len(facts['changed'])} results have changed"
        )
        verdict = found(DIFFERS, message)
    return verdict


@law(
    "arrays", EVERY, cases(("narrow",), details={"array": ANY}, batches=(1, 2, 3), **SMALL), details=("array",)
)  # fmt: skip
def test_a_change_in_place_is_seen(subject: Examiner, case: Case) -> None:
    """After new values are written into the weights, or another input, where they lie, the next call uses them."""
    names = [name for name, array in truths.inputs(case).items() if array is not None]
    verdict = varied(subject, case, "array", names, overwritten, count=min(2, len(names)))
    assert verdict.agrees, verdict.message


def overwritten(subject: Examiner, case: Case) -> Verdict:
    """Judge two calls, between which one input is overwritten."""
    data, name = truths.inputs(case), case.detail("array")
    old = data.get(name)
    if old is None:
        return Verdict()
    if name == "switches":  # those of other data: not every index is one that pooling could have found
        values, what = truths.inputs(with_data(case, 1))[name], name
    elif case.seed % 2 or not old.size:
        values, what = probing.turned_round(old), name
    else:  # one element, which a look at the first or at a few of them misses
        place = int(case.rng(1).integers(old.size))
        values, what = old.copy(), f"{name}.flat[{place}]"
        values.flat[place] *= -1
    note = f"with {what} overwritten in place between two calls"
    facts = probe(subject, case, "in_place", note=note, index=[*data].index(name), values=values)
    first, second = facts["outputs"]
    before = judged(subject, case, first)
    after = judged(subject, case, second, data=data | {name: values}, note=f"{note}, the second is wrong")
    return joined([before, after])


@law("arrays", ("conv2d",), cases(("narrow",), details={"images": ANY}, **SMALL), details=("images",))
def test_a_prepared_filter_serves_all_images(subject: Examiner, case: Case) -> None:
    """A filter prepared once gives what the plain one gives, on one image after another, of other sizes too."""
    if not subject.subject.offers("prepare"):
        raise Unsupported("offers no prepare")
    verdict = varied(subject, case, "images", ("data", "batch", "size"), prepared)
    assert verdict.agrees, verdict.message


def prepared(subject: Examiner, case: Case) -> Verdict:
    """Judge three calls with one prepared filter, the second on other images."""
    data = truths.inputs(case)
    x = data["x"]
    assert x is not None
    other = neighbour(subject, case, case.detail("images"))
    if other.same:  # the padding, a parameter of the preparation, goes with the size
        other = with_data(case, 1)
    most = np.abs(x).max(initial=0)
    image = np.clip(truths.arrays(other)["x"], -most, most)
    facts = probe(subject, case, "prepared", images=[image])
    verdicts = []
    for i, (one, cells) in enumerate(((case, x), (other, image), (case, x))):
        shapes = f"{x.shape}, {image.shape}, {x.shape}"
        note = f"with one prepared filter, call {i + 1} of 3 is wrong; the images had shapes {shapes}"
        verdicts.append(judged(subject, one, facts["outputs"][i], data=data | {"x": cells}, note=note))
    verdict = joined(verdicts)
    if verdict.agrees and facts["changed"]:
        names = " and ".join([*data][i] for i in facts["changed"])
        verdict = found(CHANGED, f"{names} was written by prepare, or by conv2d with what it returned")
    return verdict
