"""Arrays as NumPy makes them: in any layout, by keyword, read-only, overlapping; and results that are the caller's own."""

from __future__ import annotations

import dataclasses

import numpy as np

from impls.contract import ARRAYS
from impls.layouts import LAYOUTS
from oracles import truth as truths
from oracles.case import BACKWARD, CONVOLUTIONS, FORWARD, Case
from oracles.formats import FORMATS
from oracles.verdict import DIFFERS, Verdict, form, joined
from properties import probing
from properties.examiner import Examiner, Unsupported
from properties.laws import law
from properties.neighbours import CHANGES, neighbour, with_data
from properties.strategies import cases

EVERY = (*FORWARD, *BACKWARD)
DENSE = ("contiguous", "read_only")
CHANGED = "changed its input"
SMALL = {"extent": (1, 2, 3, 4), "margin": range(6)}


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
        complaint = complaint or form(name, array, shapes[name], dtype)
    agreed = Verdict(elements=sum(np.size(array) for array in outputs))
    verdict = subject.hold(case, probing.found(DIFFERS, complaint) if complaint else agreed)
    assert verdict.agrees, verdict.message


@law("arrays", EVERY, cases(("narrow",), details={"layout": DENSE}, **SMALL), details=("layout",))
def test_inputs_are_not_written(subject: Examiner, case: Case) -> None:
    """A call leaves its arrays as they were, and takes read-only ones."""
    verdict = laid_out(subject, case)
    assert verdict.agrees, verdict.message


@law("arrays", EVERY, cases(("narrow",), details={"layout": LAYOUTS}, **SMALL), details=("layout",))
def test_arrays_lie_in_memory_in_any_way(subject: Examiner, case: Case) -> None:
    """Strided, reversed, transposed, broadcast, misaligned and byte-swapped arrays are read as they stand, not written."""
    if subject.subject.declared.layouts == "contiguous":
        raise Unsupported('declares layouts = "contiguous"')
    verdict = laid_out(subject, case)
    assert verdict.agrees, verdict.message


def laid_out(subject: Examiner, case: Case) -> Verdict:
    """The verdict on a call with the arrays in the case's layout: on its outputs, and on what became of the inputs."""
    layout = case.detail("layout")
    facts = probing.probe(subject, case, "layout", note=f"with {layout} arrays", layout=layout, seed=case.seed)
    data = probing.named(case, facts["arrays"])
    verdict = probing.judged(subject, case, facts["outputs"], data=data)
    if verdict.agrees and facts["changed"]:
        names = " and ".join(list(data)[i] for i in facts["changed"])
        verdict = probing.found(CHANGED, f"the call wrote into {names}, or between its elements, or reshaped it")
    if not verdict.agrees:
        verdict = probing.noted(verdict, probing.layouts_told(case, facts["layouts"]))
    return subject.hold(case, dataclasses.replace(verdict, data=data))


@law("arrays", EVERY, cases(("wide", "narrow"), details={"pairs": ("lists", "tuples")}, **SMALL), details=("pairs",))
def test_arrays_come_by_keyword_and_pairs_as_lists(subject: Examiner, case: Case) -> None:
    """Arrays may be passed by keyword, and stride, padding, dilation and size as lists or as tuples."""
    names = [*ARRAYS[case.operation]]
    if case.operation in ("max_pool2d_backward", "avg_pool2d_backward"):
        names.append("x_shape")
    pairs = case.detail("pairs")
    note = f"with {', '.join(names)} by keyword and {pairs} for pairs"
    facts = probing.probe(subject, case, "by_keyword", note=note, names=names, lists=pairs == "lists")
    verdict = subject.hold(case, probing.judged(subject, case, facts["outputs"], note=note))
    assert verdict.agrees, verdict.message


@law("arrays", CONVOLUTIONS, cases(("narrow",), **SMALL))
def test_image_and_filters_share_memory(subject: Examiner, case: Case) -> None:
    """x and w may begin at the same byte: nothing is written to either, not even for a while."""
    data = probing.alike(truths.inputs(case), ("x", "w"))
    note = "with x and w in the same memory, from its first element on"
    facts = probing.probe(subject, case, "shared", note=note, data=data, pair=(0, 1))
    used = probing.named(case, facts["arrays"])
    verdict = probing.judged(subject, case, facts["outputs"], data=used, note=note)
    if verdict.agrees and facts["changed"]:
        verdict = probing.noted(probing.found(CHANGED, "the call wrote into them"), note)
    verdict = subject.hold(case, verdict)
    assert verdict.agrees, verdict.message


@law("arrays", EVERY, cases(("wide", "narrow"), extent=(1, 2, 3), stride=(1, 2), margin=range(6)))
def test_results_share_no_memory(subject: Examiner, case: Case) -> None:
    """A result is the caller's own: in memory with no input, no other result and nothing that is kept."""
    facts = probing.probe(subject, case, "aliasing")
    verdict = probing.judged(subject, case, facts["outputs"])
    if verdict.agrees:
        names, told = [*truths.inputs(case)], lambda i: probing.output(case, i)
        shared = [f"{told(i)} lies in the memory of the input {names[j]}" for i, j in facts["inputs"]]
        shared += [f"{told(i)} and {told(j)} lie in the same memory" for i, j in facts["siblings"]]
        shared += [f"{told(i)} lies in the memory of an earlier call's {told(j)}" for i, j in facts["earlier"]]
        shared += [f"writing over earlier results changes the next call's {told(i)}" for i in facts["disturbed"]]
        if shared:
            verdict = probing.found(DIFFERS, "\n".join(shared))
    verdict = subject.hold(case, verdict)
    assert verdict.agrees, verdict.message


@law("arrays", EVERY, cases(("wide", "narrow"), details={"change": [*CHANGES]}, **SMALL), details=("change",))
def test_earlier_results_survive_later_calls(subject: Examiner, case: Case) -> None:
    """What a call returned stays as it was through a dozen later ones, of the same shapes and of others."""
    other = neighbour(subject, case, case.detail("change"))
    calls = [with_data(case, i % 3) for i in range(9)] + [other, other, case, other]
    facts = probing.probe(subject, case, "kept", others=probing.others(subject, calls[1:]))
    verdict = probing.all_judged(subject, calls, facts["outputs"])
    if verdict.agrees and facts["changed"]:
        call, index = facts["changed"][0]
        message = (
            f"{probing.output(case, index)} of call {call + 1} was right when it was returned, and is not the same "
            f"after all {len(calls)} calls; {len(facts['changed'])} results have changed"
        )
        verdict = probing.found(DIFFERS, message)
    verdict = subject.hold(case, verdict)
    assert verdict.agrees, verdict.message


@law("arrays", EVERY, cases(("narrow",), details={"array": (1, 0, 2)}, batches=(1, 2, 3), **SMALL), details=("array",))
def test_a_change_in_place_is_seen(subject: Examiner, case: Case) -> None:
    """After new values are written into the weights, or another input, where they lie, the next call uses them."""
    data = truths.inputs(case)
    present = [i for i, array in enumerate(data.values()) if array is not None]
    index = present[int(case.detail("array")) % len(present)]
    name = [*data][index]
    old = data[name]
    assert old is not None
    # switches are those of other data: not every index is one that pooling could have found
    values = truths.inputs(with_data(case, 1))[name] if name == "switches" else probing.turned_round(old)
    note = f"with {name} overwritten in place between two calls"
    facts = probing.probe(subject, case, "in_place", note=note, index=index, values=values)
    first, second = facts["outputs"]
    before = probing.judged(subject, case, first)
    after = probing.judged(subject, case, second, data=data | {name: values}, note=f"{note}, the second is wrong")
    verdict = subject.hold(case, joined([before, after]))
    assert verdict.agrees, verdict.message


@law("arrays", ("conv2d",), cases(("narrow",), details={"images": ("data", "batch", "size")}, **SMALL), details=("images",))
def test_a_prepared_filter_serves_all_images(subject: Examiner, case: Case) -> None:
    """A filter prepared once gives what the plain one gives, on one image after another, of other sizes too."""
    if not subject.subject.offers("prepare"):
        raise Unsupported("offers no prepare")
    data = truths.inputs(case)
    x = data["x"]
    assert x is not None
    other = neighbour(subject, case, case.detail("images"))
    if other.same:  # the padding, a parameter of the preparation, goes with the size
        other = with_data(case, 1)
    most = np.abs(x).max(initial=0)
    image = np.clip(truths.arrays(other)["x"], -most, most)
    facts = probing.probe(subject, case, "prepared", data=data, images=[image])
    verdicts = [
        probing.judged(
            subject, one, outputs, data=data | {"x": cells},
            note=f"with one prepared filter for three images, of shapes {x.shape}, {image.shape}, {x.shape}: {nth} of them",
        )
        for one, outputs, cells, nth in zip(
            (case, other, case), facts["outputs"], (x, image, x), ("the first", "the second", "the third"), strict=True
        )
    ]  # fmt: skip
    verdict = joined(verdicts)
    if verdict.agrees and facts["changed"]:
        names = " and ".join([*data][i] for i in facts["changed"])
        verdict = probing.found(CHANGED, f"{names} was written by prepare or by conv2d with what it returned")
    verdict = subject.hold(case, verdict)
    assert verdict.agrees, verdict.message
