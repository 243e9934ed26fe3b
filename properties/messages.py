"""A failure told so that a kernel author can act on it: the case, the worst element, and how to see it again."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from impls.files import HOW_TO_RUN
from oracles import truth as truths
from oracles.case import Case
from oracles.geometry import Axis
from oracles.verdict import Verdict
from properties.examiner import Examiner
from properties.faults import faults, spoiled
from properties.laws import Law
from properties.scripts import relaid

PASTED, LITTLE = 400, 60  # elements of all arrays together that a script spells out, of one call and of two
SEVERAL = {"change", "calls", "refused", "threads", "array", "images"}  # details that no single call can show
WIDTH = 110
GUARDED = re.compile(  # what nothing shows where arrays lie in ordinary memory
    r"^(  cause  )?it writes [\d,]+ bytes|^  cause  it (reads|writes its input|needs .* aligned)|were never written",
    re.MULTILINE,
)


def told(
    examiner: Examiner,
    node: str,
    law: Law,
    case: Case,
    verdict: Verdict,
    *,
    shrunk: bool = True,
    late: bool = False,
    passes: str = "",
    before: Case | None = None,
    options: Sequence[str] = (),
    like: Sequence[object] = (),
) -> str:
    """The whole message of a failed property; `node` is what pytest takes for it, `options` what it needs beside.

    `shrunk`: it was made as small as it would go, unless that came to a `late` end. `passes`: when the case was tried
    again and did not fail; `before`: unless this one was called. `like`: the faults that it behaves like.
    """
    spec = examiner.subject.spec
    again = " ".join(["pytest", shlex.quote(node), f"--impl={shlex.quote(spec)}", *options])
    lines = [
        f"{spec}: {case.operation} {verdict.kind}",
        f"property: {law.title}",
        "",
        verdict.message,
        "",
        *geometry(case),
    ]
    if like:
        lines += ["", "behaves like:", *(f"  {each}" for each in like)]
    if not shrunk:
        lines += [f"not made smaller, as {case.operation} had failed before; alone it would be:", f"  {again}"]
    elif late:
        lines += ["made smaller for as long as there was time: a smaller case may fail too"]
    if passes:
        if before is None:
            lines += ["", f"{passes}, this case passes: what is returned depends on earlier calls, or varies"]
        else:
            lines += ["", f"{passes}, this case passes; it fails after a call of {before.operation} on"]
            lines += [f"  {line}" for line in geometry(before)]
            lines += ["", "see both:", textwrap.indent("\n".join(_both(examiner, before, case, verdict)), "  ")]
        return "\n".join([*lines, "", "run the property again:", f"  {again}"])
    lines += ["", "run this case again:", f"  {again} --case={shlex.quote(str(case))}"]
    lines += ["", "pin it above the property:", f'  @example(case=Case.parse("{case}"))']
    lines += ["", "see it alone:", textwrap.indent("\n".join(script(examiner, case, verdict)), "  ")]
    return "\n".join(lines)


def geometry(case: Case) -> list[str]:
    """The case in words, one line for each axis."""
    g = case.geometry
    head = f"{case.dtype}, {counted(g.N, 'image')} of {counted(g.C, 'channel')}"
    if g.K:
        head += (
            f", {counted(g.K, 'filter')}"
            + (f" in {g.G} groups" if g.G > 1 else "")
            + (", with bias" if case.bias else "")
        )
    return [
        head,
        axis("vertical", g.vertical),
        axis("horizontal", g.horizontal),
        f"data: {case.recipe} seed={case.seed}",
    ]


def axis(name: str, a: Axis) -> str:
    """One axis in words."""
    padding = str(a.pad_before) if a.pad_before == a.pad_after else f"{a.pad_before} before, {a.pad_after} after"
    words = f"  {name:<10} image {a.size}, window {a.extent}, stride {a.stride}, padding {padding}"
    return words + (f", dilation {a.dilation}" if a.dilation > 1 else "") + f" -> {counted(a.out, 'output')}"


def script(examiner: Examiner, case: Case, verdict: Verdict, pasted: int = PASTED) -> list[str]:
    """A few lines that call the implementation on the case's data, with NumPy and nothing of this project."""
    load = list(examiner.subject.script)
    if case.operation == "out_size":
        told_of = re.search(r"out_size\((.*?)\)", verdict.message)
        arguments = [re.sub(r"^\w+=", "", argument) for argument in told_of[1].split(", ")] if told_of else []
        return [*load, f"print(implementation.out_size({', '.join(arguments)}))", *due(verdict)]
    if SEVERAL & dict(case.details).keys() or not verdict.alone:
        return ["# it takes several calls: use the command above"]
    data = dict(verdict.data or truths.inputs(case))
    parameters, refused = examiner.parameters(case), False
    fault = dict(case.details).get("fault")
    if fault in faults(case.operation) and verdict.place is None:  # "any": the valid call after all refusals is wrong
        call, _ = spoiled(examiner, case, fault)
        data, parameters, refused = dict(zip(data, call.arrays, strict=False)), call.parameters, True
    if (verdict.data or refused) and sum(
        array.size for array in data.values() if array is not None
    ) > PASTED:  # which nothing draws again
        return [f"# its arrays are too large to paste, use the command above: {shapes(data)}"]
    arguments = [name if array is not None else "None" for name, array in data.items()]
    if case.operation in ("max_pool2d_backward", "avg_pool2d_backward"):
        arguments.append(repr(case.geometry.x_shape))
    arguments += [f"{name}={value!r}" for name, value in parameters.items()]
    call_ = f"implementation.{case.operation}({', '.join(arguments)})"
    first = load.pop(0).removeprefix("import ") if load and load[0].startswith("import ") else ""
    lines = [
        f"import numpy as np, {first}" if first else "import numpy as np",
        *load,
        *made(case, data, pasted),
        *relaid(case, data),
    ]
    if HOW_TO_RUN in lines[0]:  # once is enough
        lines[1:] = [line.removesuffix(f"  {HOW_TO_RUN}") for line in lines[1:]]
    if verdict.place is None:
        return [*lines, f"print({call_})", *due(verdict)]
    names = {"conv2d_backward": "dx, dw, db", "max_pool2d": "y, switches"}.get(case.operation, verdict.place[0])
    where = ", ".join(map(str, verdict.place[1]))
    return [*lines, f"{names} = {call_}", f"print({verdict.place[0]}[{where}], 'should be', {number(verdict.want)})"]


def _both(examiner: Examiner, before: Case, case: Case, verdict: Verdict) -> list[str]:
    """Call the implementation on one case's data, and then on the other's."""
    first, second = script(examiner, before, Verdict(), LITTLE), script(examiner, case, verdict, LITTLE)
    alike = next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), 0)
    return [*first, *second[alike:]]


def due(verdict: Verdict) -> list[str]:
    """What a script cannot print beside the result: the first line of what is wrong with it, as a comment."""
    guarded = ["# it shows only in guarded memory, which a script has not: use the command above"]
    told = [f"# {verdict.message.splitlines()[0].removesuffix('; when it did:')}"] if verdict.message else []
    return told + guarded * bool(GUARDED.search(verdict.message))


def made(case: Case, data: Mapping[str, np.ndarray | None], pasted: int = PASTED) -> list[str]:
    """The lines that make the arrays of a script: spelled out, or drawn again by Poolproof where they are large."""
    given = {name: array for name, array in data.items() if array is not None}
    if sum(array.size for array in given.values()) <= pasted:
        return [f"{name} = {spelled(array)}" for name, array in given.items()]
    lines = [f"from oracles import case, truth  {HOW_TO_RUN}", f'data = truth.inputs(case.Case.parse("{case}"))']
    return [*lines, *(f'{name} = data["{name}"]' for name in given)]


def spelled(array: np.ndarray) -> str:
    """An array as an expression that gives it back to the last bit, on lines of a bearable length."""
    if not array.ndim:
        return f'np.array({number(array[()])}, "{array.dtype.name}")'
    numbers = ", ".join(number(value) for value in array.ravel())
    text = f'np.array([{numbers}], "{array.dtype.name}").reshape{array.shape}'
    return "\n    ".join(textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False))


def number(value: Any) -> str:
    """A number in as few digits as give it back in its own type; whole ones without a point."""
    if isinstance(value, int | np.integer):
        return str(int(value))
    if not np.isfinite(value):
        return f"{'-' * bool(np.signbit(value))}np.{'nan' if np.isnan(value) else 'inf'}"
    wide = float(value)
    whole = wide.is_integer() and abs(wide) < 1e9 and not (wide == 0 and np.signbit(wide))
    return str(int(wide)) if whole else str(value)


def counted(count: int, what: str) -> str:
    """A number of things: 1 image, 2 images."""
    return f"{count} {what}" + "s" * (count != 1)


def shapes(data: Mapping[str, Any]) -> str:
    """The arrays' names and shapes."""
    return ", ".join(f"{name} {array.shape}" for name, array in data.items() if array is not None)
