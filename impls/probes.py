"""Experiments that must run beside the implementation, since a copy across a process boundary would hide what they see.

Each is `probe(function, arrays, parameters, **options) -> dict` of arrays and JSON-able facts, called by name through
`run`. "outputs" is the tuple of arrays that a call returned, or a list of such tuples where an experiment makes several
calls. Where a call raises, so does the probe. The implementation sees copies of the caller's arrays, never those.

NumPy 1.21, Python 3.9 and `layouts` are all that this file needs: a child interpreter may be an old one.
"""

from __future__ import annotations

import copy
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from impls import surroundings
from impls.layouts import chosen, lay, plain, poison

Function = Callable[..., Any]
Arrays = Sequence[Any]  # in the signature's order; None (an absent bias) and shapes among them pass as they are
Parameters = Mapping[str, Any]
Facts = dict[str, Any]

THREADS = 4  # that call at once, where no other count is given


def run(
    functions: Mapping[str, Function], name: str, operation: str, arrays: Arrays, parameters: Parameters, **options: Any
) -> Facts:
    """Run the probe of that name on functions[operation]. Raises ValueError for a name that no probe has."""
    if name not in PROBES:
        raise ValueError(f"probe {name!r}: there are {', '.join(PROBES)}")
    if name == "prepared":
        options["prepare"] = functions["prepare"]
    if "other" in options:
        options["other"] = functions[options["other"]]
    if name == "after_refusal":
        options["others"] = [(functions[called], *arguments) for called, *arguments in options.get("others", ())]
    with np.errstate(all="ignore"):
        return PROBES[name](functions[operation], arrays, parameters, **options)


def at_once(name: str, options: Mapping[str, Any]) -> int:
    """Count the calls that the probe of that name makes at once: so many times the memory of one may be in use."""
    return int(options.get("count", THREADS)) if name == "threads" else 1


# --- One call, its arrays laid out in memory as a kernel author may not expect --------------------------------------


def layout(function: Function, arrays: Arrays, parameters: Parameters, *, layout: str, seed: int = 0) -> Facts:
    """Call with arrays in that layout, all or one of them, as `layouts.chosen` says.

    "arrays": plain copies of what was passed; "layouts": one name for each; "changed": indexes of the inputs that
    the call wrote, or whose gaps it wrote, or whose shape it changed.
    """
    layouts = chosen(layout, len(arrays), seed)
    laid = [lay(array, name, seed + i) for i, (array, name) in enumerate(zip(arrays, layouts))]  # noqa: B905 (3.9)
    views, memories = [view for view, _ in laid], [memory for _, memory in laid]
    passed = [plain(view) for view in views]
    before = [(_stamp(view), _stamp(memory)) for view, memory in laid]
    outputs = _outputs(function(*views, **parameters))
    changed = [i for i in range(len(views)) if (_stamp(views[i]), _stamp(memories[i])) != before[i]]
    return {"outputs": outputs, "arrays": passed, "layouts": layouts, "changed": changed}


# --- One call, its arguments passed otherwise ------------------------------------------------------------------------


def by_keyword(
    function: Function, arrays: Arrays, parameters: Parameters, *, names: Sequence[str], lists: bool = True
) -> Facts:
    """Call with the arrays by keyword, and with stride, padding, dilation and size as lists where `lists` is true.

    "changed": the names of parameters that are not as they were.
    """
    pairs = ("size", "stride", "padding", "dilation")
    keywords = {name: _listed(value) if lists and name in pairs else value for name, value in parameters.items()}
    before = copy.deepcopy(keywords)
    own = _own(arrays)
    outputs = _outputs(function(**{name: own[i] for i, name in enumerate(names)}, **keywords))
    return {"outputs": outputs, "changed": [name for name, value in keywords.items() if value != before[name]]}


def shared(function: Function, arrays: Arrays, parameters: Parameters, *, pair: Sequence[int] = (0, 1)) -> Facts:
    """Call with two arrays (x and w) that begin at the same byte: the shorter one is a part of the longer.

    "arrays": plain copies of what was passed, as the shorter one's data have changed; "changed": as in `layout`.
    """
    own = _own(arrays)
    memory = max((own[i] for i in pair), key=np.size).ravel()
    for i in pair:
        own[i] = memory[: own[i].size].reshape(own[i].shape)
    passed, before = _own(own), _stamps(own)
    outputs = _outputs(function(*own, **parameters))
    return {"outputs": outputs, "arrays": passed, "changed": _differing(before, _stamps(own))}


def prepared(
    function: Function, arrays: Arrays, parameters: Parameters, *, prepare: Function, images: Sequence[Any] = ()
) -> Facts:
    """Call conv2d with filters that were prepared once, others after them: on x, on each of `images`, on x again.

    "outputs": of all calls; "changed": indexes of inputs written by preparing or by calling.
    """
    own, others = _own(arrays), _own(images)
    before = _stamps(own)
    x, w, *rest = own
    filters = prepare(w, **parameters)
    beside = prepare(-w, **parameters)  # which is not to be found in the first one's place
    outputs = [_copied(function(image, filters, *rest, **parameters)) for image in [x, *others, x]]
    del beside
    return {"outputs": outputs, "changed": _differing(before, _stamps(own))}


# --- Several calls: what one of them leaves behind --------------------------------------------------------------------


def aliasing(function: Function, arrays: Arrays, parameters: Parameters) -> Facts:
    """Call three times, and write over the first results before the third.

    Pairs of indexes that share memory: "inputs" [output, input], "siblings" [output, output of the same call],
    "earlier" [output, output of the earlier call]. "disturbed": outputs of the third call that the writing changed.
    "writable": a flag for each output (nothing demands it).
    """
    own = _own(arrays)
    first = _outputs(function(*own, **parameters))
    outputs, expected = _copied(first), _stamps(first)
    second = _outputs(function(*own, **parameters))
    repeated = _stamps(second)
    facts = {
        "outputs": outputs,
        "inputs": _overlaps(second, own),
        "siblings": [[i, j] for i, j in _overlaps(second, second) if i < j],
        "earlier": _overlaps(second, first),
        "writable": [isinstance(out, np.ndarray) and bool(out.flags.writeable) for out in first],
    }
    for i, out in enumerate(first):
        if facts["writable"][i]:
            out.fill(poison(out.dtype))
    # on the same memory: elsewhere, aligned otherwise, other last bits would be no fault
    third = _stamps(_outputs(function(*own, **parameters)))
    # an implementation that is not repeatable anyway has not been disturbed by the writing
    facts["disturbed"] = [] if repeated != expected else _differing(expected, third)
    return facts


def kept(function: Function, arrays: Arrays, parameters: Parameters, *, others: Sequence[Any]) -> Facts:
    """Call with this and the `others` (arrays, parameters) in turn, and look at all results again at the end.

    "outputs": of each call, as they were at once; "changed": [call, output] of each that is not the same any more.
    """
    results: list[Any] = []
    outputs: list[Any] = []
    for one, keywords in [(arrays, parameters), *others]:
        results.append(_outputs(function(*_own(one), **keywords)))
        outputs.append(_copied(results[-1]))
    changed = [[c, i] for c in range(len(results)) for i in _differing(_stamps(outputs[c]), _stamps(results[c]))]
    return {"outputs": outputs, "changed": changed}


def sequence(function: Function, arrays: Arrays, parameters: Parameters, *, others: Sequence[Any]) -> Facts:
    """Call with this and the `others` (arrays, parameters) in turn: no answer may depend on the calls before it."""
    calls = [(arrays, parameters), *others]
    return {"outputs": [_copied(function(*_own(one), **keywords)) for one, keywords in calls]}


def in_place(function: Function, arrays: Arrays, parameters: Parameters, *, index: int, values: Any) -> Facts:
    """Call, overwrite the array at `index` with `values` where it lies, and call again: the second must see them."""
    own = _own(arrays)
    first = _copied(function(*own, **parameters))
    own[index][...] = values
    return {"outputs": [first, _copied(function(*own, **parameters))]}


def after_other(
    function: Function,
    arrays: Arrays,
    parameters: Parameters,
    *,
    other: Function,
    first: Any,
    shared: Sequence[Sequence[int]] = (),
    index: int = -1,
    values: Any = None,
) -> Facts:
    """Call the `other` operation with `first` (arrays, parameters), and then this one: it may keep nothing of that.

    shared: pairs [i, j], the array i of this call being the very array j of the other's. The array at `index`, if any,
    is overwritten with `values` where it lies, between the calls.
    """
    own, (before, keywords) = _own(arrays), first
    before = _own(before)
    for i, j in shared:
        before[j] = own[i]
    with suppress(Exception):  # of which its own properties tell
        other(*before, **keywords)
    if index >= 0:
        own[index][...] = values
    return {"outputs": _outputs(function(*own, **parameters))}


def after_refusal(
    function: Function, arrays: Arrays, parameters: Parameters, *, invalid: Any, others: Sequence[Any] = ()
) -> Facts:
    """Call with `invalid` (arrays, parameters), then as it should be; again after `others`, (function, *invalid) each.

    "refusal": "ValueError: ..." or "returned"; "outputs": of the valid call; "again": of the second one, if there is.
    """
    facts = {"refusal": _refused(function, *invalid), "outputs": _outputs(function(*_own(arrays), **parameters))}
    for other in others:
        _refused(*other)
    return {**facts, "again": _outputs(function(*_own(arrays), **parameters)) if others else []}


def _refused(function: Function, arrays: Arrays, parameters: Parameters) -> str:
    """Tell what an invalid call raises, or that it "returned"."""
    try:
        function(*_own(arrays), **parameters)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "returned"


def left(function: Function, arrays: Arrays, parameters: Parameters, *, began: Mapping[str, Any]) -> Facts:
    """Call again and again, and see how the process stands afterwards, and what there is ever more of.

    began: what had been so before the first call of all. "changed": what a call has changed, in words; "growing": of
    what there is more after each call, and how much; "outputs": of one call.
    """
    own = _own(arrays)

    def call() -> Any:
        return function(*own, **parameters)

    result, changed = surroundings.changed_by(call, began)
    return {"outputs": _copied(result), "changed": changed, "growing": surroundings.growing(call)}


def repeats(function: Function, arrays: Arrays, parameters: Parameters, *, times: int = 3) -> Facts:
    """Make the same call again and again, on the same memory.

    "distinct": how many different byte patterns came; "outputs": the first two of them (one, where all agree).
    """
    own = _own(arrays)
    seen: dict[Any, Any] = {}
    for turn in range(times):
        for i, array in enumerate(own):
            if isinstance(array, np.ndarray):  # an input that the last call wrote is another fault, not this one
                np.copyto(array, arrays[i])
        result = _outputs(function(*own, **parameters))
        seen.setdefault(tuple(_stamps(result)), _copied(result))
        sizes = [out.nbytes for out in result if isinstance(out, np.ndarray)]
        del result
        for size in sizes:  # soil the memory just freed: a kernel that leaves cells unwritten will be given some of it
            for block in [np.empty(size, np.uint8) for _ in range(8)]:
                block.fill(0x41 + turn % 64)
    return {"outputs": list(seen.values())[:2], "distinct": len(seen)}


def threads(
    function: Function,
    arrays: Arrays,
    parameters: Parameters,
    *,
    others: Sequence[Any] = (),
    count: int = THREADS,
    times: int = 10,
    together: bool = False,
) -> Facts:
    """Call from `count` threads at once, `times` each; thread i has set i of this and the `others`, in turn.

    Each thread has arrays of its own; `together`, those with the same set have the same arrays. "outputs": of each set,
    called alone when all is over (what is made at a first call is made in the threads); "calls": how many were made;
    "differing": how many of them gave other bytes than alone; "first": [thread, set, turn] of one of those, "wrong":
    its outputs. What one raises, this does.
    """
    calls = [(_own(one), keywords) for one, keywords in [(arrays, parameters), *others]]
    barrier = threading.Barrier(count)
    results: list[Any] = []
    errors: list[BaseException] = []

    def work(thread: int) -> None:
        one, keywords = calls[thread % len(calls)]
        own = one if together else _own(one)
        try:
            with np.errstate(all="ignore"):  # a thread does not inherit it
                for turn in range(times):
                    barrier.wait()
                    result = _outputs(function(*own, **keywords))
                    results.append(([thread, thread % len(calls), turn], _copied(result)))
        except threading.BrokenBarrierError:
            pass  # another thread has raised
        except BaseException as error:
            errors.append(error)
            barrier.abort()

    workers = [threading.Thread(target=work, args=(thread,)) for thread in range(count)]
    with _eager_switching():
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    if errors:
        raise errors[0]
    outputs = [_copied(function(*_own(one), **keywords)) for one, keywords in [(arrays, parameters), *others]]
    expected = [_stamps(out) for out in outputs]
    wrong = [(which, result) for which, result in results if _stamps(result) != expected[which[1]]]
    first, outputs_wrong = wrong[0] if wrong else ([], ())
    return {
        "outputs": outputs,
        "calls": count * times,
        "differing": len(wrong),
        "first": first,
        "wrong": outputs_wrong,
    }


PROBES: dict[str, Callable[..., Facts]] = {
    probe.__name__: probe
    for probe in (
        layout,
        by_keyword,
        shared,
        prepared,
        aliasing,
        kept,
        sequence,
        in_place,
        after_other,
        after_refusal,
        left,
        repeats,
        threads,
    )
}


# --- What the experiments are made of ---------------------------------------------------------------------------------


@contextmanager
def _eager_switching() -> Iterator[None]:
    """Let threads take turns a thousand times as often as usual, so that small calls meet."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(usual / 1000)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _outputs(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)


def _own(arrays: Sequence[Any]) -> list[Any]:
    return [lay(array, "contiguous")[0] for array in arrays]


def _copied(result: Any) -> tuple[Any, ...]:
    """Copy a call's outputs as they are at this moment."""
    return tuple(None if out is None else np.array(out) for out in _outputs(result))  # None: switches that are not told


def _stamp(value: Any) -> Any:
    """Reduce an array to what comparison takes: two stamps are equal where type, shape and every byte are."""
    if value is None:
        return None
    array = np.asarray(value)
    return array.dtype.str, array.shape, array.tobytes()


def _stamps(values: Sequence[Any]) -> list[Any]:
    return [_stamp(value) for value in values]


def _differing(first: Sequence[Any], second: Sequence[Any]) -> list[int]:
    """Indexes where two lists of stamps differ, or where one of them has ended."""
    last = max(len(first), len(second))
    return [i for i in range(last) if i >= len(first) or i >= len(second) or first[i] != second[i]]


def _overlaps(first: Sequence[Any], second: Sequence[Any]) -> list[list[int]]:
    return [
        [i, j]
        for i, a in enumerate(first)
        for j, b in enumerate(second)
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.shares_memory(a, b)
    ]


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, (tuple, list)) else value
