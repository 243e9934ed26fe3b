"""The tests of single nodes that the onnx package ships, each put to the oracle: what agrees, and what is not compared.

`python -m properties.selfcheck.onnx_nodes` prints a line for each: compared, or the reason why it cannot be. Where ONNX
and the contract say the same differently, it is translated: an index counts over all planes of a tensor, or down the
columns; a convolution over one direction is one over an image of a single row; ConvTranspose is the gradient of a
convolution by its image, MaxUnpool that of a max pooling. Where they mean different things, nothing is compared.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from oracles import truth as truths
from oracles.case import Case
from oracles.formats import FORMATS
from oracles.geometry import Axis, Geometry
from oracles.verdict import Verdict, equal, judge

WINDOWED = re.compile("conv|pool", re.IGNORECASE)  # the operators, and the files in which onnx keeps their tests
WORK = 10**7  # multiply-adds beyond which a single image is taken: some seconds of the plain loops
ROUNDED = {"node/test_averagepool_2d_ceil_last_window_starts_on_pad": 4}  # numbers written down with few decimals


@dataclass(frozen=True)
class Node:
    """One test: an operator with its attributes, what goes in, and what must come out."""

    name: str
    operator: str
    attributes: Mapping[str, Any]
    inputs: Sequence[np.ndarray]
    outputs: Sequence[np.ndarray]


class NotComparedError(Exception):
    """Neither the contract nor the oracle can say what this test says; the reason is the message."""


@dataclass
class Question:
    """What the oracle is asked in place of a node: a case on given data, and the outputs that its truths must bear."""

    operation: str
    geometry: Geometry
    data: dict[str, np.ndarray | None]
    outputs: list[np.ndarray]
    include_pad: bool = True
    notes: list[str] = field(default_factory=list)

    def verdict(self, decimals: int | None = None) -> Verdict:
        """Hold the outputs that onnx expects against the oracle's truth, as those of an implementation.

        Where all numbers were written down with so many decimals, inputs and outputs are each off by half of the last
        one at most, and an average of inputs by no more than they are.
        """
        dtype = self.outputs[0].dtype
        case = Case(self.operation, dtype.name, self.geometry, self.recipe, 0, include_pad=self.include_pad)
        found = truths.judged(case, self.data)[: len(self.outputs)]
        if decimals is not None:
            (truth,), (output,) = found, self.outputs
            assert all((array == np.round(array, decimals)).all() for array in (self.data["x"], output))
            return equal(truth.name, output.astype(np.float64), truth.value, 10.0**-decimals)
        return judge(found, self.outputs if len(found) > 1 else self.outputs[0])

    def shortened(self) -> Question:
        """Itself, with its first image alone where the plain loops would take too long over all of them."""
        g = self.geometry
        if g.macs <= WORK or g.N < 2:
            return self
        first = {name: array if name in ("w", "b") else array[:1] for name, array in self.data.items()}
        notes = [*self.notes, f"the first of {g.N} images"]
        outputs = [output[:1] for output in self.outputs]
        return replace(self, geometry=replace(g, N=1), data=first, outputs=outputs, notes=notes)

    @property
    def recipe(self) -> str:
        """What may be concluded: whole numbers within their budget are exact, of others nothing is known."""
        g, arrays = self.geometry, {name: array for name, array in self.data.items() if array is not None}
        whole = all((array == np.rint(array)).all() for array in arrays.values())
        most = {"b": 0.0} | {name: float(np.abs(array).max(initial=0)) for name, array in arrays.items()}
        sums = {
            "conv2d": lambda: g.terms * most["x"] * most["w"] + most["b"],
            "conv2d_backward": lambda: g.window * (g.K // g.G) * most["w"] * most["dy"],
            "max_pool2d_backward": lambda: g.overlap * most["dy"],
        }
        largest = sums.get(self.operation, lambda: g.window * most["x"])()
        digits = FORMATS[self.outputs[0].dtype.name].digits
        return f"wide:{digits}" if whole and largest <= 2**digits else "huge"  # real, its signs not known to be random


# Reading


def shipped() -> list[Node]:
    """Every test of a graph with such an operator in the installed onnx, by name."""
    return sorted([*_computed(), *_stored()], key=lambda node: node.name)


def _computed() -> Iterator[Node]:
    """Those of the folder `node`, which the package computes as it is imported.

    Their random numbers are NumPy's global ones, unseeded: they are made the same here each time.
    """
    from onnx.backend.test.case import node as folder

    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    try:
        for module in pkgutil.iter_modules(folder.__path__):
            if WINDOWED.search(module.name):
                importlib.import_module(f"{folder.__name__}.{module.name}")
    finally:
        np.random.set_state(state)  # noqa: NPY002
    for test in folder._NodeTestCases:
        for inputs, outputs in test.data_sets:
            yield from _of_graph(f"node/{test.name}", test.model.graph, list(inputs), list(outputs))


def _stored() -> Iterator[Node]:
    """Those in files: layers of torch, with what torch returned when they were exported."""
    import onnx
    from onnx.backend.test.loader import DATA_DIR

    def array(path: Path) -> np.ndarray:
        return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))

    for path in sorted(Path(DATA_DIR).glob("*/*/model.onnx")):
        graph = onnx.load(path).graph
        if not any(WINDOWED.search(node.op_type) for node in graph.node):
            continue
        weights = [onnx.numpy_helper.to_array(each) for each in graph.initializer]
        for folder in sorted(path.parent.glob("test_data_set_*")):
            inputs, outputs = ([*map(array, sorted(folder.glob(f"{kind}_*.pb")))] for kind in ("input", "output"))
            yield from _of_graph(f"{path.parts[-3]}/{path.parts[-2]}", graph, inputs + weights, outputs)


def _of_graph(name: str, graph: Any, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> Iterator[Node]:
    import onnx

    operators = [node.op_type for node in graph.node]
    if any(map(WINDOWED.search, operators)):
        attributes = {each.name: onnx.helper.get_attribute_value(each) for each in graph.node[0].attribute}
        texts = {key: value.decode() for key, value in attributes.items() if isinstance(value, bytes)}
        yield Node(name, "+".join(operators), attributes | texts, inputs, outputs)


# Translating


def asked(node: Node) -> Question:
    """Translate a test. Raises NotComparedError with the reason where neither contract nor oracle can express it."""
    if node.operator in OTHERS:
        raise NotComparedError(OTHERS[node.operator])
    if "+" in node.operator:
        raise NotComparedError("a graph of several nodes")
    if node.operator not in TRANSLATIONS:
        raise NotComparedError(f"{node.operator} is not known here")
    translate, known = TRANSLATIONS[node.operator]
    unknown = sorted({*node.attributes} - {*SHARED, *known})
    if unknown:
        raise NotComparedError(f"{node.operator} with {', '.join(unknown)} is not known here")
    directions = node.outputs[0].ndim - 2
    if directions not in (1, 2):
        raise NotComparedError(f"{directions} directions; the contract has two")
    dtype = node.outputs[0].dtype.name
    if dtype not in FORMATS:
        raise NotComparedError(f"{dtype}; the contract has floating-point numbers")
    found = translate(node)
    if directions == 1:
        found.notes.append("an image of one row")
    return found


def _convolution(node: Node) -> Question:
    x, w, *b = map(_planar, node.inputs)
    g = Geometry(*x.shape[:2], *_axes(node, x.shape[2:], w.shape[2:]), w.shape[0], node.attributes.get("group", 1))
    return Question("conv2d", g, {"x": x, "w": w, "b": b[0] if b else None}, [_planar(node.outputs[0])])


def _transposed(node: Node) -> Question:
    """Each input cell is a dy, which the filter sends back to the image."""
    dy, w, *b = map(_planar, node.inputs)
    if b:
        raise NotComparedError("a bias is added to what is a gradient here")
    dx = _planar(node.outputs[0])
    axes = _axes(node, dx.shape[2:], w.shape[2:], dy.shape[2:])
    g = Geometry(*dx.shape[:2], *axes, w.shape[0], node.attributes.get("group", 1))
    return Question("conv2d_backward", g, {"x": np.zeros_like(dx), "w": w, "dy": dy}, [dx], notes=["a gradient"])


def _pooling(operation: str, node: Node) -> Question:
    """A pool over windows, or, where the operator has none, over the whole image."""
    x, outputs = _planar(node.inputs[0]), [*map(_planar, node.outputs)]
    if node.operator.startswith("Global"):
        g = Geometry(*x.shape[:2], *(Axis(size, size) for size in x.shape[2:]))
    else:
        g = Geometry(*x.shape[:2], *_axes(node, x.shape[2:], _window(node)))
    for axis in (g.vertical, g.horizontal):
        if max(axis.pad_before, axis.pad_after) >= axis.extent:
            raise NotComparedError("padding that is not smaller than the window; the contract refuses it")
    if g.empty_windows:
        raise NotComparedError("a window wholly in the padding")
    return Question(operation, g, {"x": x}, outputs)


def _maximum(node: Node) -> Question:
    """Pool by the maximum; an index of ONNX counts over all planes of the tensor, by rows, or else down the columns."""
    found = _pooling("max_pool2d", node)
    if len(found.outputs) > 1:
        (height, width), index = found.geometry.x_shape[2:], _within_planes(found.outputs[1], found.geometry.x_shape)
        if node.attributes.get("storage_order", 0):
            index = index % height * width + index // height
            found.notes.append("indices go down the columns")
        found.outputs[1] = index
    return found


def _average(node: Node) -> Question:
    found = _pooling("avg_pool2d", node)
    found.include_pad = bool(node.attributes.get("count_include_pad", 0))
    axes = found.geometry.vertical, found.geometry.horizontal
    if found.include_pad and any(a.starts[-1] + a.reach > a.size + a.pad_after for a in axes):
        raise NotComparedError(
            "ONNX counts of an overhanging window what the padded image holds, the contract all of it"
        )
    return _dense_in_the_contract(found)


def _norm(node: Node) -> Question:
    if (p := node.attributes.get("p", 2)) != 2:
        raise NotComparedError(f"p = {p}; the contract has p = 2")
    return _dense_in_the_contract(_pooling("l2_pool2d", node))


def _dense_in_the_contract(found: Question) -> Question:
    if max(found.geometry.vertical.dilation, found.geometry.horizontal.dilation) > 1:
        found.notes.append("dilated, by the oracle; the contract dilates the maximum alone")
    return found


def _unpooled(node: Node) -> Question:
    """Each input cell is a dy, which goes where its index says; the index counts in the least image that fits."""
    dy, index = map(_planar, node.inputs[:2])
    dx = _planar(node.outputs[0])
    axes = _axes(node, dx.shape[2:], _window(node))
    least = [
        (n - 1) * a.stride + a.extent - a.pad_before - a.pad_after for n, a in zip(dy.shape[2:], axes, strict=True)
    ]
    index = _within_planes(index, (*dx.shape[:2], *least))
    switches = index // least[1] * dx.shape[3] + index % least[1]
    data = {"dy": dy, "switches": switches}
    return Question("max_pool2d_backward", Geometry(*dx.shape[:2], *axes), data, [dx], notes=["a gradient"])


def _planar(array: np.ndarray) -> np.ndarray:
    """(N, C, W) -> (N, C, 1, W); all else stays."""
    return array[:, :, None] if array.ndim == 3 else array


def _within_planes(index: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Indices (N, C, OH, OW) into a tensor (N, C, H, W) -> indices into a plane of it."""
    planes = np.arange(shape[0] * shape[1]).reshape(*shape[:2], 1, 1)
    return index - planes * (shape[2] * shape[3])


def _window(node: Node) -> list[int]:
    extents = node.attributes["kernel_shape"]
    return [1] * (2 - len(extents)) + list(extents)


def _axes(node: Node, image: Sequence[int], window: Sequence[int], outputs: Sequence[int] = ()) -> list[Axis]:
    """Both axes of an image under a window; where ConvTranspose names no padding, it is what gives `outputs`."""
    given, directions = node.attributes, node.outputs[0].ndim - 2
    missing = [1] * (2 - directions)  # in front of the only direction
    strides, dilations = (missing + list(given.get(key, [1] * directions)) for key in ("strides", "dilations"))
    pads = list(given.get("pads", [0] * 2 * directions))
    before, after = ([0] * len(missing) + part for part in (pads[:directions], pads[directions:]))
    auto, ceil = given.get("auto_pad", "NOTSET"), bool(given.get("ceil_mode", 0))
    axes = []
    for i in range(2):
        size, extent, stride, dilation = image[i], window[i], strides[i], dilations[i]
        if outputs and "pads" not in given:
            total = max(0, stride * (outputs[i] - 1) + dilation * (extent - 1) + 1 - size)
            less, more = total // 2, total - total // 2
            before[i], after[i] = (less, more) if auto == "SAME_UPPER" else (more, less)
        elif auto.startswith("SAME"):
            axes.append(Axis.same(size, extent, stride, dilation, auto.lower()))
            continue
        axes.append(Axis(size, extent, stride, dilation, before[i], after[i], ceil))
    return axes


SHARED = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")
TRANSLATIONS: dict[str, tuple[Callable[[Node], Question], tuple[str, ...]]] = {  # and the attributes of its own
    "Conv": (_convolution, ("group",)),
    "ConvTranspose": (_transposed, ("group", "output_padding", "output_shape")),
    "MaxPool": (_maximum, ("ceil_mode", "storage_order")),
    "MaxUnpool": (_unpooled, ()),
    "AveragePool": (_average, ("ceil_mode", "count_include_pad")),
    "LpPool": (_norm, ("ceil_mode", "p")),
    "GlobalAveragePool": (partial(_pooling, "avg_pool2d"), ()),
    "GlobalMaxPool": (partial(_pooling, "max_pool2d"), ()),
}
OTHERS = {
    "CausalConvWithState": "an operator with a state, in one direction",
    "ConvInteger": "8-bit integers",
    "DeformConv": "taps between the cells of the image",
    "QLinearConv": "8-bit integers",
}


# Telling


def compared(node: Node) -> tuple[Verdict, str]:
    """The verdict on one test, and what is to be known of it. Raises NotComparedError with the reason."""
    question = asked(node).shortened()
    decimals = ROUNDED.get(node.name)
    notes = [*question.notes, *([] if decimals is None else [f"written with {decimals} decimals in onnx"])]
    return question.verdict(decimals), "; ".join(notes)


def main() -> None:
    """Print a line for each test, those that cannot be compared last, by reason."""
    told, listed = [], []
    for node in shipped():
        operator = "(several)" if "+" in node.operator else node.operator
        try:
            verdict, note = compared(node)
        except NotComparedError as reason:
            listed.append((str(reason), node.name, operator))
            continue
        found = [f"{verdict.elements} elements"] if verdict.agrees else verdict.message.split("\n")[:1]
        told.append((verdict.kind, operator, node.name, "; ".join(found + [note] * bool(note))))
    lines = sorted(told) + [("not compared", operator, name, reason) for reason, name, operator in sorted(listed)]
    for kind, operator, name, text in lines:
        sys.stdout.write(f"{kind:12}  {operator:19}  {name}: {text}\n")
    for kind, count in Counter(line[0] for line in lines).items():
        sys.stdout.write(f"{kind}: {count}\n")


if __name__ == "__main__":
    main()
