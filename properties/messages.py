"""A failure told so that a kernel author can act on it: the case, the worst element, and how to see it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from oracles import truth as truths
from oracles.case import Case
from oracles.geometry import Axis
from oracles.verdict import Verdict
from properties.examiner import Examiner
from properties.laws import Law

PASTED = 400  # elements of an array that a script spells out


def told(examiner: Examiner, node: str, law: Law, case: Case, verdict: Verdict) -> str:
    """The whole message of a failed property."""
    spec = examiner.subject.spec
    lines = [f"{spec}: {case.operation} {verdict.kind}", f"property: {law.title}", "", verdict.message, "", *geometry(case)]
    lines += ["", "run this case again:", f"  pytest {node} --impl={shlex.quote(spec)} --case={shlex.quote(str(case))}"]
    lines += ["", "pin it above the property:", f'  @example(case=Case.parse("{case}"))']
    lines += ["", "see it alone:", *(f"  {line}" for line in script(examiner, case, verdict))]
    return "\n".join(lines)


def geometry(case: Case) -> list[str]:
    """The case in words, one line for each axis."""
    g = case.geometry
    head = f"{case.dtype}, {g.N} image(s) of {g.C} channel(s)"
    if g.K:
        head += f", {g.K} filter(s)" + (f" in {g.G} groups" if g.G > 1 else "") + (", with bias" if case.bias else "")
    return [head, axis("vertical", g.vertical), axis("horizontal", g.horizontal), f"data: {case.recipe} seed={case.seed}"]


def axis(name: str, a: Axis) -> str:
    """One axis in words."""
    padding = str(a.pad_before) if a.pad_before == a.pad_after else f"{a.pad_before} before, {a.pad_after} after"
    words = f"  {name:<10} image {a.size}, window {a.extent}, stride {a.stride}, padding {padding}"
    return words + (f", dilation {a.dilation}" if a.dilation > 1 else "") + f" -> {a.out} outputs"


def script(examiner: Examiner, case: Case, verdict: Verdict) -> list[str]:
    """A few lines that call the implementation on the case's data, with NumPy and nothing of this project."""
    data = truths.inputs(case)
    if verdict.data is not None:
        data = dict(verdict.data)
    if sum(array.size for array in data.values() if array is not None) > PASTED:
        return [f"(its arrays are too large to paste: {shapes(data)}; use the command above)"]
    lines = ["import numpy as np", *examiner.subject.script]
    lines += [f"{name} = {spelled(array)}" for name, array in data.items() if array is not None]
    arguments = [name if array is not None else "None" for name, array in data.items()]
    if case.operation in ("max_pool2d_backward", "avg_pool2d_backward"):
        arguments.append(repr(case.geometry.x_shape))
    arguments += [f"{name}={value!r}" for name, value in examiner.parameters(case).items()]
    call = f"implementation.{case.operation}({', '.join(arguments)})"
    if verdict.place is None:
        return [*lines, f"print({call})"]
    names = {"conv2d_backward": "dx, dw, db", "max_pool2d": "y, switches"}.get(case.operation, verdict.place[0])
    where = ", ".join(map(str, verdict.place[1]))
    return [*lines, f"{names} = {call}", f"print({verdict.place[0]}[{where}], 'should be', {verdict.want!r})"]


def spelled(array: np.ndarray) -> str:
    """An array as an expression that gives it back to the last bit."""
    if array.dtype.kind == "i":
        numbers = str(array.ravel().tolist())
    else:
        numbers = str([int(v) if v and v.is_integer() else v for v in array.astype(float).ravel().tolist()])
        numbers = numbers.replace("nan", "np.nan").replace("inf", "np.inf")
    return f'np.array({numbers}, "{array.dtype.name}").reshape{array.shape}'


def shapes(data: Mapping[str, Any]) -> str:
    """The arrays' names and shapes."""
    return ", ".join(f"{name} {array.shape}" for name, array in data.items() if array is not None)
