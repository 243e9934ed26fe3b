"""Bridges: what speaks torch, NHWC or C, made into a namespace of the contract."""

from __future__ import annotations

import ctypes
import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from impls import arguments, outputs
from impls.contract import OPERATIONS, Array, Contract, Declarations, Pair
from impls.spelling import meant

if TYPE_CHECKING:
    import torch

Function = Callable[..., Any]


def from_torch(*, device: str = "cpu", gradients: bool = True, **operations: Function) -> SimpleNamespace:
    """Make a namespace of functions of torch tensors.

    For instance from_torch(conv2d=mine, max_pool2d=F.max_pool2d). They get tensors on `device`, and are called as those
    of torch.nn.functional are:
    conv2d(x, w, b, stride=, padding=, dilation=, groups=), max_pool2d(x, size, stride=, padding=, return_indices=True),
    avg_pool2d(x, size, stride=, padding=, count_include_pad=), l2_pool2d(x, size, stride=, padding=).
    Autograd supplies conv2d_backward, avg_pool2d_backward and l2_pool2d_backward, unless `gradients` is false. torch's
    refusals, RuntimeErrors, become ValueErrors; nothing is checked in their stead. Declarations are attributes to set
    on the result. Raises ValueError for any other operation.
    """
    _only(operations, ("conv2d", "max_pool2d", "avg_pool2d", "l2_pool2d"))
    import torch

    def tensor(array: Array) -> torch.Tensor:
        # always a copy: torch takes no reversed, byte-swapped or read-only array
        return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C")).to(device)

    def array(result: torch.Tensor) -> Array:
        cells: Array = result.detach().cpu().numpy()
        return cells

    def gradient(y: torch.Tensor, dy: Array, *inputs: torch.Tensor) -> tuple[Array, ...]:
        if not y.requires_grad:
            raise TypeError("autograd sees no gradient in this function: make the bridge with gradients=False")
        return tuple(array(found) for found in torch.autograd.grad(y, inputs, tensor(dy)))

    def conv2d(x: Array, w: Array, b: Array | None, **parameters: Any) -> Array:
        return array(operations["conv2d"](tensor(x), tensor(w), None if b is None else tensor(b), **parameters))

    def conv2d_backward(x: Array, w: Array, dy: Array, **parameters: Any) -> tuple[Array, ...]:
        inputs = [tensor(given).requires_grad_() for given in (x, w, np.zeros(w.shape[0], w.dtype))]
        return gradient(operations["conv2d"](*inputs, **parameters), dy, *inputs)

    def max_pool2d(x: Array, *, size: Pair, **parameters: Any) -> tuple[Array, Array]:
        y, switches = operations["max_pool2d"](tensor(x), size, return_indices=True, **parameters)
        return array(y), array(switches)

    def avg_pool2d(x: Array, *, size: Pair, **parameters: Any) -> Array:
        return array(operations["avg_pool2d"](tensor(x), size, **parameters))

    def avg_pool2d_backward(dy: Array, x_shape: Sequence[int], *, size: Pair, **parameters: Any) -> Array:
        image = tensor(np.zeros(x_shape, dy.dtype)).requires_grad_()  # whatever the image, its gradient is the same
        return gradient(operations["avg_pool2d"](image, size, **parameters), dy, image)[0]

    def l2_pool2d(x: Array, *, size: Pair, **parameters: Any) -> Array:
        return array(operations["l2_pool2d"](tensor(x), size, **parameters))

    def l2_pool2d_backward(x: Array, dy: Array, *, size: Pair, **parameters: Any) -> Array:
        image = tensor(x).requires_grad_()
        return gradient(operations["l2_pool2d"](image, size, **parameters), dy, image)[0]

    def refusing(function: Function) -> Function:
        theirs = operations[function.__name__.removesuffix("_backward")]

        @wraps(theirs)  # what is asked about the operation, its parameters and its place, is theirs to tell
        def call(*arrays: Any, **parameters: Any) -> Any:
            try:
                return function(*arrays, **parameters)
            except (torch.OutOfMemoryError, NotImplementedError):
                raise  # RuntimeErrors too, but no refusals
            except RuntimeError as refusal:
                raise ValueError(f"torch: {refusal}") from refusal

        return call

    bridged: list[Any] = [conv2d, max_pool2d, avg_pool2d, l2_pool2d]
    if gradients:
        bridged += [conv2d_backward, avg_pool2d_backward, l2_pool2d_backward]
    offered = {f.__name__: refusing(f) for f in bridged if f.__name__.removesuffix("_backward") in operations}
    return SimpleNamespace(version=f"torch {torch.__version__}", **offered)


def from_nhwc(implementation: object = None, /, **operations: Function) -> SimpleNamespace:
    """Make a namespace of one whose arrays are NHWC, or of single operations such as conv2d=mine.

    Images and gradients are (N, H, W, C), filters (FH, FW, C/G, K), x_shape (N, H, W, C); a switch is the flat index
    into the H*W plane; all else is the contract's. Arrays are passed as transposed views, or as contiguous copies where
    the implementation declares layouts = "contiguous". Its declarations and `supports` are carried over, not `prepare`.
    Raises ValueError for an operation that is not in the contract.
    """
    _only(operations, OPERATIONS)
    attributes = [*(field.name for field in fields(Declarations)), "supports"]
    namespace = SimpleNamespace(
        **{name: getattr(implementation, name) for name in attributes if hasattr(implementation, name)}
    )
    contiguous = getattr(implementation, "layouts", "any") == "contiguous"

    def given(name: str, value: Any) -> Any:
        if name == "x_shape":
            return tuple(value[axis] for axis in _TO_NHWC["x"])
        if name not in _TO_NHWC:
            return value
        view = value.transpose(_TO_NHWC[name])
        return np.ascontiguousarray(view) if contiguous else view

    def bridged(operation: str, function: Function) -> Function:
        names = list(inspect.signature(getattr(Contract, operation)).parameters)
        results = _RESULTS.get(operation, ("y",))

        @wraps(function)
        def call(*arrays: Any, **parameters: Any) -> Any:
            positional = [given(names[i], value) for i, value in enumerate(arrays)]
            found = function(*positional, **{name: given(name, value) for name, value in parameters.items()})
            if not isinstance(found, tuple):
                return found.transpose(_TO_NCHW[results[0]]) if isinstance(found, np.ndarray) else found
            if len(found) != len(results):
                return found  # which is judged
            return tuple(out.transpose(_TO_NCHW[name]) for out, name in zip(found, results))  # noqa: B905 (3.9)

        return call

    for operation in OPERATIONS:
        function = operations.get(operation) or getattr(implementation, operation, None)
        if function is not None:
            setattr(namespace, operation, bridged(operation, function))
    return namespace


_TO_NHWC = {"x": (0, 2, 3, 1), "dy": (0, 2, 3, 1), "switches": (0, 2, 3, 1), "w": (2, 3, 1, 0)}
_TO_NCHW = {"y": (0, 3, 1, 2), "dx": (0, 3, 1, 2), "switches": (0, 3, 1, 2), "dw": (3, 2, 0, 1), "db": (0,)}
_RESULTS = {"conv2d_backward": ("dx", "dw", "db"), "max_pool2d": ("y", "switches")}


def from_shared_library(path: str | Path, float32: str = "", *, float64: str = "") -> SimpleNamespace:
    """Make a namespace of a convolution in C, named by its symbol in the library, one for each dtype.

    void conv2d(const T *x, const T *w, const T *b, T *y, int64_t n, int64_t c, int64_t h, int64_t w_, int64_t k,
                int64_t fh, int64_t fw, int64_t sh, int64_t sw, int64_t ph, int64_t pw, int64_t dh, int64_t dw,
                int64_t groups);

    T is float or double; x (n, c, h, w_), w (k, c/groups, fh, fw) and y (n, k, oh, ow) are dense, b (k) may be NULL.
    C refuses nothing: the bridge raises ValueError for what the contract refuses, makes dense, aligned, native copies
    where they are needed, and fills y with NaN, so that cells left unwritten show.
    Raises ValueError where there is no such library or symbol.
    """
    symbols = {name: symbol for name, symbol in (("float32", float32), ("float64", float64)) if symbol}
    if not symbols:
        raise ValueError("no symbol: accepted is from_shared_library(path, 'conv2d_f32', float64='conv2d_f64'), or one")
    library = Path(path).resolve()  # a bare name would be looked for in the system's folders
    try:
        loaded = ctypes.CDLL(str(library))
    except OSError as error:
        raise ValueError(f"{library}: cannot be loaded: {error}") from error
    functions = {name: _symbol(loaded, library, symbol) for name, symbol in symbols.items()}

    def conv2d(
        x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Pair, dilation: Pair = (1, 1), groups: int = 1
    ) -> Array:
        ph, pw = arguments.pair(padding, "padding", 0)  # the C function knows no other padding
        rows, columns, G = arguments.convolution(
            x, w, stride=stride, padding=(ph, pw), dilation=dilation, groups=groups
        )
        N, C, H, W = x.shape
        K, _, FH, FW = w.shape
        arguments.bias(b, K)
        dtype = arguments.common_dtype(x=x, w=w, b=b)
        if dtype.name not in functions:
            raise ValueError(f"dtype {dtype}: {' and '.join(functions)} are accepted")
        dense = [None if given is None else np.require(given, dtype, ["C", "A"]) for given in (x, w, b)]
        y = outputs.unwritten((N, K, rows.outputs, columns.outputs), dtype)
        functions[dtype.name](
            *(None if given is None else given.ctypes.data for given in dense), y.ctypes.data,
            N, C, H, W, K, FH, FW, rows.stride, columns.stride, ph, pw, rows.dilation, columns.dilation, G,
        )  # fmt: skip
        return y

    return SimpleNamespace(name=library.name, dtypes=tuple(symbols), conv2d=conv2d)


def _symbol(loaded: ctypes.CDLL, library: Path, symbol: str) -> Function:
    try:
        function = getattr(loaded, symbol)
    except AttributeError as error:
        raise ValueError(
            f'{library} has no symbol {symbol!r}: `nm -D {library.name}` lists those it has; C++ needs extern "C"'
        ) from error
    function.argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_int64] * 14
    function.restype = None
    callable_: Function = function
    return callable_


def _only(operations: dict[str, Function], accepted: Sequence[str]) -> None:
    """Refuse, by ValueError, operations that a bridge does not know."""
    for operation in operations:
        if operation not in accepted:
            raise ValueError(f"{operation}{meant(operation, accepted)}: accepted is one of {', '.join(accepted)}")
