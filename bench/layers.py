"""Layers by name, as cases: those of real networks, large filters, pools, and sweeps over one size at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from impls.spelling import meant
from oracles.case import Case
from oracles.geometry import Axis, Geometry

# Independent normal numbers: nothing denormal, nothing that a kernel could skip, and a bound for each output.
RECIPE, SEED = "gauss", 1


@dataclass(frozen=True)
class Layer:
    """One geometry with a name. `count`: how often its network has this very shape; `also`: under which other names.

    `sweep` is the letter that varies and `value` its size; "" and None where the layer belongs to no sweep. `asked` is
    the case of --case.
    """

    name: str
    forward: str
    geometry: Geometry
    bias: bool = False
    count: int = 1
    also: tuple[str, ...] = ()
    sweep: str = ""
    value: int | None = None
    asked: Case | None = None

    @property
    def operations(self) -> tuple[str, ...]:
        """The operation and its gradient; of a case that was asked for, its own alone."""
        return (self.forward, f"{self.forward}_backward") if self.asked is None else (self.asked.operation,)

    @property
    def kind(self) -> str:
        """What the saved file calls it: layer or sweep."""
        return "sweep" if self.sweep else "layer"

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        g = self.geometry
        return g.K * (g.terms + self.bias)

    def case(self, operation: str) -> Case:
        """What is timed: the data are drawn from it, and the verdict is about it."""
        bias = self.bias and operation == "conv2d"
        return self.asked or Case(operation, "float32", self.geometry, RECIPE, SEED, bias=bias)


def convolution(
    name: str,
    *,
    C: int,
    K: int,
    W: int,
    F: int,
    S: int = 1,
    P: int = 0,
    G: int = 1,
    N: int = 1,
    bias: bool = False,
    count: int = 1,
    also: tuple[str, ...] = (),
    value: int | None = None,
) -> Layer:
    """Make a square convolution; one whose name is a letter belongs to that letter's sweep."""
    axis = Axis(W, F, S, 1, P, P)
    geometry = Geometry(N, C, axis, axis, K, G)
    if value is not None:
        return Layer(f"sweep-{name}-{value}", "conv2d", geometry, bias, sweep=name, value=value)
    return Layer(name, "conv2d", geometry, bias, count, also)


def pooling(name: str, kind: str, *, C: int, W: int, F: int, S: int, P: int = 0) -> Layer:
    """Make a square pooling; kind is max, avg or l2."""
    axis = Axis(W, F, S, 1, P, P)
    return Layer(name, f"{kind}_pool2d", Geometry(1, C, axis, axis))


# A. Krizhevsky, I. Sutskever, G. Hinton 2012, figure 2: conv2, conv4 and conv5 in two groups. conv1 as in CS231n,
# "Convolutional Layer": images of 227, not 224.
ALEXNET = (
    convolution("alexnet-conv1", C=3, K=96, W=227, F=11, S=4, bias=True),
    convolution("alexnet-conv2", C=96, K=256, W=27, F=5, P=2, G=2, bias=True),
    convolution("alexnet-conv3", C=256, K=384, W=13, F=3, P=1, bias=True),
    convolution("alexnet-conv4", C=384, K=384, W=13, F=3, P=1, G=2, bias=True),
    convolution("alexnet-conv5", C=384, K=256, W=13, F=3, P=1, G=2, bias=True),
)


def _vgg(name: str, C: int, K: int, W: int, *also: str) -> Layer:
    others = tuple(f"vgg16-{each}" for each in also)
    return convolution(f"vgg16-{name}", C=C, K=K, W=W, F=3, P=1, bias=True, count=1 + len(also), also=others)


# K. Simonyan, A. Zisserman 2014, table 1, column D: 13 convolutions, of 9 shapes.
VGG16 = (
    _vgg("conv1_1", 3, 64, 224),
    _vgg("conv1_2", 64, 64, 224),
    _vgg("conv2_1", 64, 128, 112),
    _vgg("conv2_2", 128, 128, 112),
    _vgg("conv3_1", 128, 256, 56),
    _vgg("conv3_2", 256, 256, 56, "conv3_3"),
    _vgg("conv4_1", 256, 512, 28),
    _vgg("conv4_2", 512, 512, 28, "conv4_3"),
    _vgg("conv5_1", 512, 512, 14, "conv5_2", "conv5_3"),
)


def _resnet(W: int, F: int, C: int, K: int, count: int, S: int = 1) -> Layer:
    name = f"resnet50-{W}-{F}x{F}-{C}-{K}" + (f"-s{S}" if S > 1 else "")
    return convolution(name, C=C, K=K, W=W, F=F, S=S, P=F // 2, count=count)


# K. He, X. Zhang, S. Ren, J. Sun 2015, table 1: 53 convolutions, of 23 shapes. The stride stands at the 3x3 filters, as
# in the version that most engines are measured with (torchvision's, MLPerf's).
RESNET50 = (
    convolution("resnet50-conv1", C=3, K=64, W=224, F=7, S=2, P=3),
    *(_resnet(56, 1, 64, 64, 1), _resnet(56, 3, 64, 64, 3), _resnet(56, 1, 64, 256, 4), _resnet(56, 1, 256, 64, 2)),
    *(_resnet(56, 1, 256, 128, 1), _resnet(56, 3, 128, 128, 1, S=2), _resnet(56, 1, 256, 512, 1, S=2)),
    *(_resnet(28, 1, 128, 512, 4), _resnet(28, 1, 512, 128, 3), _resnet(28, 3, 128, 128, 3)),
    *(_resnet(28, 1, 512, 256, 1), _resnet(28, 3, 256, 256, 1, S=2), _resnet(28, 1, 512, 1024, 1, S=2)),
    *(_resnet(14, 1, 256, 1024, 6), _resnet(14, 1, 1024, 256, 5), _resnet(14, 3, 256, 256, 5)),
    *(_resnet(14, 1, 1024, 512, 1), _resnet(14, 3, 512, 512, 1, S=2), _resnet(14, 1, 1024, 2048, 1, S=2)),
    *(_resnet(7, 1, 512, 2048, 3), _resnet(7, 1, 2048, 512, 2), _resnet(7, 3, 512, 512, 2)),
)


def _depthwise(W: int, C: int, count: int = 1, S: int = 1) -> Layer:
    name = f"mobilenet-dw-{W}-{C}" + (f"-s{S}" if S > 1 else "")
    return convolution(name, C=C, K=C, W=W, F=3, S=S, P=1, G=C, count=count)


# A. Howard et al. 2017, table 1: 13 depthwise convolutions, of 9 shapes.
MOBILENET = (
    *(_depthwise(112, 32), _depthwise(112, 64, S=2), _depthwise(56, 128), _depthwise(56, 128, S=2)),
    *(_depthwise(28, 256), _depthwise(28, 256, S=2), _depthwise(14, 512, 5), _depthwise(14, 512, S=2)),
    _depthwise(7, 1024),
)

LARGE = tuple(convolution(f"large-{F}", C=8, K=8, W=128, F=F, P=F // 2) for F in (7, 15, 31))

# CS231n, "Architecture Overview": INPUT - CONV - RELU - POOL - FC on 32x32x3, with 12 filters. FC is a convolution
# whose window is all of its 16x16x12, as "Converting FC layers to CONV layers" has it.
CIFAR10 = (
    convolution("cifar10-conv", C=3, K=12, W=32, F=3, P=1, bias=True),
    convolution("cifar10-fc", C=12, K=10, W=16, F=16, bias=True),
)

POOLS = (
    pooling("vgg16-pool1", "max", C=64, W=224, F=2, S=2),  # the notes' example: 224x224x64 -> 112x112x64
    pooling("alexnet-pool1", "max", C=96, W=55, F=3, S=2),  # overlapping
    pooling("resnet50-pool1", "max", C=64, W=112, F=3, S=2, P=1),
    pooling("cifar10-pool", "max", C=12, W=32, F=2, S=2),
    pooling("average-2x2", "avg", C=64, W=224, F=2, S=2),
    pooling("average-3x3", "avg", C=96, W=55, F=3, S=2),
    pooling("resnet50-global", "avg", C=2048, W=7, F=7, S=7),
    pooling("l2-2x2", "l2", C=64, W=224, F=2, S=2),
    pooling("l2-3x3", "l2", C=96, W=55, F=3, S=2),
)

CONVOLUTIONS = (*ALEXNET, *VGG16, *RESNET50, *MOBILENET, *LARGE, *CIFAR10)

# One letter varies, the others stay: N1 C32 K32 W32 F3 S1 and as much padding as keeps the size at stride 1.
SIZES = {
    "W": (16, 24, 32, 48, 64, 96, 128),
    "F": (1, 3, 5, 7, 9, 11),
    "S": (1, 2, 3, 4, 6, 8),
    "C": (16, 24, 32, 48, 64, 96, 128),
    "N": (1, 2, 3, 4, 6, 8),
}
BASE = {"N": 1, "C": 32, "K": 32, "W": 32, "F": 3, "S": 1}


def _swept(letter: str, value: int) -> Layer:
    sizes = BASE | {letter: value}
    return convolution(letter, **sizes, P=sizes["F"] // 2, value=value)


SWEEPS = tuple(_swept(letter, value) for letter, values in SIZES.items() for value in values)

EXPERIMENTS = {
    "roofline": "a matrix product and a copy, as fast as this machine does them",
    "pool-or-stride": "the same step of a network with pooling, and with strides in its place",
    "stride": "what a stride does to size, cost and receptive field",
    "translation": "what pooling and strides make of a photograph that moves by a few pixels",
}
ALL = (*CONVOLUTIONS, *POOLS, *SWEEPS)
BY_NAME = {layer.name: layer for layer in ALL}


class UnknownLayerError(ValueError):
    """A name or a pattern that fits no layer; the message says what would be accepted."""


def chosen(texts: Iterable[str]) -> frozenset[str]:
    """Names of the layers and experiments that fit lists like "alexnet-*,vgg16-conv1_2"; all where there is no list.

    Raises UnknownLayerError for a word that fits none.
    """
    words = [word.strip() for text in texts for word in text.split(",")]
    if not words:
        return frozenset([*BY_NAME, *EXPERIMENTS])
    names = {name: layer.name for layer in ALL for name in (layer.name, *layer.also)}
    names |= {name: name for name in EXPERIMENTS}
    found = set()
    for word in words:
        fits = {name for known, name in names.items() if fnmatchcase(known, word)}
        if not fits:
            raise UnknownLayerError(_unknown(word, names))
        found |= fits
    return frozenset(found)


def _unknown(word: str, names: Iterable[str]) -> str:
    families = sorted({f"{name.split('-')[0]}-*" for name in BY_NAME})
    begun = any(name.startswith(word) for name in names) if word else False
    hint = f" (did you mean {word}*?)" if begun else meant(word, [*names, *families])
    return (
        f"no layer is called {word!r}{hint}; accepted are names and patterns, separated by commas: "
        f"{', '.join([*families, *EXPERIMENTS])}"
    )


def of_case(case: Case) -> Layer:
    """Make a layer, by the name of case, of the line that --case asks for."""
    return Layer("case", case.operation.removesuffix("_backward"), case.geometry, case.bias, asked=case)
