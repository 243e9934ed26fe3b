"""The contract: the operations, their signatures, and what an implementation may declare about itself.

An implementation is any namespace (a module, an instance, a `types.SimpleNamespace`) with some of the functions of
`Contract`. What it does not define is reported as unsupported, not as failed. Beside its functions it may carry the
attributes of `Declarations`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from fractions import Fraction
from typing import Any, NamedTuple, Protocol, Union

import numpy as np
from numpy.typing import NDArray

from impls.spelling import meant

Array = NDArray[Any]
Pair = Union[tuple[int, int], list[int]]  # noqa: UP007 (3.9): (vertical, horizontal)

OPERATIONS = (
    "out_size",
    "conv2d",
    "conv2d_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "avg_pool2d",
    "avg_pool2d_backward",
    "l2_pool2d",
    "l2_pool2d_backward",
)

ARRAYS: dict[str, tuple[str, ...]] = {
    "out_size": (),
    "conv2d": ("x", "w", "b"),
    "conv2d_backward": ("x", "w", "dy"),
    "max_pool2d": ("x",),
    "max_pool2d_backward": ("dy", "switches"),
    "avg_pool2d": ("x",),
    "avg_pool2d_backward": ("dy",),
    "l2_pool2d": ("x",),
    "l2_pool2d_backward": ("x", "dy"),
}
"""The arrays of each operation, in order of position. They may come by keyword as well."""


CONVENTIONS = {
    "max_drops_nan": "in max pooling a NaN loses to any number; a window of NaN alone gives NaN or what is below all "
    "numbers, -inf or the lowest finite one, and any switch",
    "max_keeps_first_nan": "in max pooling a NaN wins where it is the first cell of its window, and loses elsewhere",
    "max_orders_nan": "as max_drops_nan, but a window of NaN and numbers gives NaN or one of these, and any switch",
    "max_takes_either_zero": "of -0 and +0 max pooling gives either",
    "takes_any_window": "a window or filter larger than the padded image is refused, or gives an empty output",
    "takes_any_padding": "pooling's padding may be as large as the window or larger; the output has its size",
    "takes_negative_padding": "padding may be negative, and then cuts cells off; the output has its size",
    "takes_empty_image": "an image without rows or columns may be taken, if it is padded; there is nothing but padding",
    "broadcasts_bias": "a bias of one number, shape (1,) or (), may be taken as the same for all filters",
}
"""What an implementation may declare as `conventions`: each takes the place of a rule, and is held to as strictly."""

NAN_RULES = ("max_drops_nan", "max_keeps_first_nan", "max_orders_nan")


class Contract(Protocol):
    """Every function an implementation may offer, as plain functions: NumPy arrays in, NumPy arrays out.

    Letters: N C H W the images, K filters of extent FH x FW, G groups, S stride, P padding, D dilation (1 is dense),
    OH and OW the output: each is floor((W - F_eff + 2P)/S) + 1 with F_eff = D(F-1) + 1. Pairs are
    (vertical, horizontal), tuples and lists alike. An empty batch, N = 0, is legal.

    All arrays of a call share one dtype and the results have it (switches: int64). They come by keyword as well as by
    position, and in any layout that NumPy can make: strided, reversed, broadcast, read-only, byte-swapped. Inputs are
    not written; results share no memory with inputs nor with anything kept for later.

    Every function raises ValueError for image or window sizes, stride or dilation below 1, for negative padding, for a
    window larger than the padded image, and for what its own docstring adds.
    """

    @staticmethod
    def out_size(W: int, F: int, S: int, P: int, dilation: int = 1) -> int:
        """Count the windows of extent F that fit along W cells with P more on either side; drop a ragged remainder."""
        ...

    @staticmethod
    def conv2d(
        x: Array, w: Array, b: Array | None, *, stride: Pair, padding: Pair, dilation: Pair = (1, 1), groups: int = 1
    ) -> Array:
        """Cross-correlate images with filters, as ConvNets do (no filter is flipped).

        x (N, C, H, W), w (K, C/G, FH, FW), b (K,) or None -> y (N, K, OH, OW).
        Raises ValueError for groups that do not divide C and K, a w without C/G channels, a b not of shape (K,).
        """
        ...

    @staticmethod
    def conv2d_backward(
        x: Array, w: Array, dy: Array, *, stride: Pair, padding: Pair, dilation: Pair = (1, 1), groups: int = 1
    ) -> tuple[Array, Array, Array]:
        """Give the gradients of sum(conv2d(x, w, b) * dy) with respect to x, w and b.

        x (N, C, H, W), w (K, C/G, FH, FW), dy (N, K, OH, OW) -> dx, dw, db of the shapes of x, w and (K,).
        Raises ValueError as conv2d does, and for a dy not of the output's shape.
        """
        ...

    @staticmethod
    def max_pool2d(x: Array, *, size: Pair, stride: Pair, padding: Pair = (0, 0)) -> tuple[Array, Array | None]:
        """Take each window's maximum, and its switch: the flat index of the maximum in its H*W plane.

        x (N, C, H, W) -> y, switches, both (N, C, OH, OW). Padding never wins, ties go to the first in row-major order,
        a NaN in a window wins. What has no switches to tell returns None for them. Raises ValueError for padding not
        smaller than the window, as all pooling does.
        """
        ...

    @staticmethod
    def max_pool2d_backward(dy: Array, switches: Array, x_shape: tuple[int, int, int, int]) -> Array:
        """Send each dy to its switch, and add where several meet.

        dy, switches (N, C, OH, OW) -> dx of shape x_shape.
        """
        ...

    @staticmethod
    def avg_pool2d(
        x: Array, *, size: Pair, stride: Pair, padding: Pair = (0, 0), count_include_pad: bool = True
    ) -> Array:
        """Divide each window's sum by all its cells, or by those inside the image if count_include_pad is false.

        x (N, C, H, W) -> y (N, C, OH, OW). With ceil_mode, cells beyond the padding are among all the window's.
        """
        ...

    @staticmethod
    def avg_pool2d_backward(
        dy: Array,
        x_shape: tuple[int, int, int, int],
        *,
        size: Pair,
        stride: Pair,
        padding: Pair = (0, 0),
        count_include_pad: bool = True,
    ) -> Array:
        """Spread each dy evenly over the cells it was averaged from.

        dy (N, C, OH, OW) -> dx of shape x_shape.
        """
        ...

    @staticmethod
    def l2_pool2d(x: Array, *, size: Pair, stride: Pair, padding: Pair = (0, 0)) -> Array:
        """Take the square root of each window's sum of squares.

        x (N, C, H, W) -> y (N, C, OH, OW).
        """
        ...

    @staticmethod
    def l2_pool2d_backward(x: Array, dy: Array, *, size: Pair, stride: Pair, padding: Pair = (0, 0)) -> Array:
        """Spread each dy over its window as x / y; a window of zeros passes nothing on.

        x (N, C, H, W), dy (N, C, OH, OW) -> dx (N, C, H, W).
        """
        ...

    @staticmethod
    def prepare(w: Array, *, stride: Pair, padding: Pair, dilation: Pair = (1, 1), groups: int = 1) -> Any:
        """Transform filters once, if that pays: conv2d with the same keywords then takes the result as its w."""
        ...

    @staticmethod
    def supports(operation: str, **parameters: Any) -> str | None:
        """Return None for keywords that the operation can be asked for, else the reason why not."""
        ...


class Winograd(NamedTuple):
    """F(tile, filter) with its finite interpolation points; the point at infinity is always one more."""

    tile: int
    filter: int
    points: tuple[Fraction, ...]


@dataclass(frozen=True)
class Declarations:
    """What an implementation says about itself; each field is an attribute of the same name that it may carry."""

    name: str = ""
    version: str = ""
    dtypes: tuple[str, ...] = ("float32", "float64")  # ("float32",) where a storage is declared
    storage: str = ""  # "bfloat16", "float16": float32 arrays whose values are all of that format
    accumulator: str = "float32"  # what narrow types are summed in
    deterministic: bool = True
    layouts: str = "any"  # "contiguous": C order, aligned, native, writable
    accuracy: str = "direct"  # chooses the bound: "fft", "tf32", "winograd(4,3;0,1,-1,2,-1/2)", "fft or winograd(...)"
    limits: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)  # {"F": (3,), "S": (1, 2)}
    over_reads: int = 0  # bytes past the end of an input that a kernel may read, as vector loads do; never written
    subnormals: bool = True  # False: numbers smaller than the format's normal ones are taken for 0
    conventions: tuple[str, ...] = ()  # of CONVENTIONS: where its own documentation chooses otherwise, or is silent
    options: tuple[str, ...] = ()  # extras it offers: "asymmetric_padding", "ceil_mode", ...

    @classmethod
    def read(cls, namespace: object) -> Declarations:
        """Read the attributes of a namespace; other attributes are its own affair, unless they look like a slip.

        Raises ValueError naming the attribute, its value, and what would be accepted.
        """
        found = {name: read(getattr(namespace, name)) for name, read in _READERS.items() if hasattr(namespace, name)}
        _expect_no_slip(namespace)
        if found.get("storage") and found.setdefault("dtypes", ("float32",)) != ("float32",):
            raise ValueError(
                f"dtypes = {found['dtypes']!r} with storage = {found['storage']!r}: "
                f"values stored as {found['storage']} come in float32 arrays, so dtypes must be ('float32',)"
            )
        return cls(**found)

    def beyond(self, sizes: Mapping[str, tuple[int, ...]]) -> str:
        """Say which of the declared limits these sizes, by their letters, do not keep; "" where they keep all."""
        for letter, accepted in self.limits.items():
            if not {*sizes.get(letter, ())} <= {*accepted}:
                return f"declares limits[{letter!r}] = {tuple(accepted)}"
        return ""

    def told(self) -> dict[str, str]:
        """Tell what is declared beyond the defaults, by attribute: {"limits": "F 3; S 1, 2", "accuracy": "fft"}."""
        plain = Declarations()
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("name", "version")}
        return {name: _told(value) for name, value in values.items() if value != getattr(plain, name)}


def _expect_no_slip(namespace: object) -> None:
    """Refuse, by ValueError, a name such as limit whose value would make sense as limits: it would go unheeded."""
    for name, value in getattr(namespace, "__dict__", {}).items():
        near = get_close_matches(name, _READERS, n=1, cutoff=0.9)
        if near and name not in _READERS and near[0] not in ("name", "version"):  # any text would do for these two
            try:
                _READERS[near[0]](value)
            except ValueError:
                continue
            raise ValueError(f"{name} = {value!r}: did you mean {near[0]}? If not, call it something less like that")


def _told(value: object) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_told(inner)}" for key, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def parse_winograd(accuracy: str) -> Winograd:
    """Parse "winograd(TILE,F;points...)", e.g. "winograd(4,3;0,1,-1,2,-1/2)".

    Raises ValueError where it is not of that form, or has not TILE + F - 2 distinct points.
    """
    form = re.fullmatch(r"winograd\((\d+),(\d+);([^()]*)\)", accuracy.replace(" ", ""))
    if form is None:
        raise ValueError(f"accuracy = {accuracy!r}: accepted is 'winograd(TILE,F;points)', {_WINOGRAD_EXAMPLE}")
    tile, extent = int(form[1]), int(form[2])
    if tile < 1 or extent < 1:
        raise ValueError(f"accuracy = {accuracy!r}: TILE and F must be at least 1, {_WINOGRAD_EXAMPLE}")
    try:
        points = tuple(Fraction(point) for point in form[3].split(",")) if form[3] else ()
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"accuracy = {accuracy!r}: points are fractions, {_WINOGRAD_EXAMPLE}") from error
    if len(set(points)) != len(points) or len(points) != tile + extent - 2:
        raise ValueError(
            f"accuracy = {accuracy!r}: F({tile},{extent}) has {tile + extent - 2} distinct finite points "
            f"(infinity is understood), not {len(points)} with {len(set(points))} distinct"
        )
    return Winograd(tile, extent, points)


_WINOGRAD_EXAMPLE = "e.g. 'winograd(4,3;0,1,-1,2,-1/2)'"


def _string(attribute: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError(f"{attribute} = {value!r}: accepted is a string")
        return value

    return read


def _one_of(attribute: str, accepted: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in accepted:
            hint = meant(str(value), accepted, repr)
            raise ValueError(f"{attribute} = {value!r}: accepted is one of {', '.join(map(repr, accepted))}{hint}")
        return value

    return read


def _several_of(attribute: str, accepted: tuple[str, ...]) -> Callable[[object], tuple[str, ...]]:
    one = _one_of(attribute, accepted)

    def read(value: object) -> tuple[str, ...]:
        given = {one(item) for item in _listed(attribute, value, accepted)}
        return tuple(name for name in accepted if name in given)

    return read


def _listed(attribute: str, value: object, accepted: tuple[str, ...]) -> Iterable[Any]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"{attribute} = {value!r}: accepted is a list with some of {', '.join(accepted)}")
    return value


def _dtypes(value: object) -> tuple[str, ...]:
    names = []
    for item in _listed("dtypes", value, _DTYPES):
        try:
            names.append(item if isinstance(item, str) else np.dtype(item).name)
        except TypeError:
            names.append(repr(item))
    if not names:
        raise ValueError(f"dtypes = {value!r}: accepted is a list with at least one of {', '.join(_DTYPES)}")
    return _several_of("dtypes", _DTYPES)(names)


def _flag(attribute: str) -> Callable[[object], bool]:
    def read(value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"{attribute} = {value!r}: accepted is True or False")
        return value

    return read


def _count(attribute: str) -> Callable[[object], int]:
    def read(value: object) -> int:
        if type(value) is not int or not 0 <= value <= _MOST_OVER_READ:
            raise ValueError(f"{attribute} = {value!r}: accepted is a number of bytes from 0 to {_MOST_OVER_READ}")
        return value

    return read


def _accuracy(value: object) -> str:
    if isinstance(value, str) and " or " in value:  # one that chooses among transforms
        ways = [_accuracy(way.strip()) for way in value.split(" or ")]
        kinds = [way.split("(")[0] for way in ways]
        if sorted(kinds) != ["fft", "winograd"]:
            raise ValueError(f"accuracy = {value!r}: accepted with 'or' are 'fft' and one 'winograd(TILE,F;points)'")
        return " or ".join(ways)
    if isinstance(value, str) and value.startswith("winograd"):
        parse_winograd(value)
        return value.replace(" ", "")
    return _one_of("accuracy", ("direct", "fft", "tf32", "winograd(TILE,F;points)"))(value)


def _limits(value: object) -> dict[str, tuple[int, ...]]:
    if not isinstance(value, Mapping):
        raise ValueError(f"limits = {value!r}: accepted is a dict of letters, e.g. {{'F': [3], 'S': [1, 2]}}")
    limits = {}
    for letter, allowed in value.items():
        _one_of("a letter of limits", tuple(_LEAST))(letter)
        least = _LEAST[letter]
        values = tuple(allowed) if isinstance(allowed, Iterable) and not isinstance(allowed, str) else ()
        most = _MOST.get(letter, 2**16)
        if not values or any(type(v) is not int or not least <= v <= most for v in values):
            raise ValueError(f"limits[{letter!r}] = {allowed!r}: accepted is a list of integers from {least} to {most}")
        if letter == "N" and not any(values):
            raise ValueError(f"limits['N'] = {allowed!r}: an empty batch shows nothing; accepted has another too")
        limits[letter] = tuple(sorted(set(values)))
    return limits


def _conventions(value: object) -> tuple[str, ...]:
    found = _several_of("conventions", tuple(CONVENTIONS))(value)
    if len({*found} & {*NAN_RULES}) > 1:
        raise ValueError(f"conventions = {value!r}: accepted is one of {', '.join(NAN_RULES)}")
    return found


_MOST_OVER_READ = 4096
_DTYPES = ("float16", "float32", "float64")
_MOST = {"F": 64, "S": 256, "D": 256, "P": 256, "G": 256, "N": 1024}  # what the definition computes in a second or so
_LEAST = {"N": 0, "C": 1, "H": 1, "W": 1, "K": 1, "F": 1, "S": 1, "P": 0, "D": 1, "G": 1}
_READERS: dict[str, Callable[[object], Any]] = {
    "name": _string("name"),
    "version": _string("version"),
    "dtypes": _dtypes,
    "storage": _one_of("storage", ("", "bfloat16", "float16")),
    "accumulator": _one_of("accumulator", ("float16", "bfloat16", "float32", "float64")),
    "deterministic": _flag("deterministic"),
    "subnormals": _flag("subnormals"),
    "conventions": _conventions,
    "layouts": _one_of("layouts", ("any", "contiguous")),
    "accuracy": _accuracy,
    "limits": _limits,
    "over_reads": _count("over_reads"),
    "options": _several_of("options", ("asymmetric_padding", "pool_dilation", "ceil_mode", "same_padding")),
}
