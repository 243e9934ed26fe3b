"""What the race runs for: rows of layers, each with the ratio that is aimed at.

A ratio is how many times as long theirs takes as ours: above 1, ours is faster.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bench.layers import ALEXNET, MOBILENET, POOLS, RECIPE, RESNET50, SEED, VGG16, Layer, convolution
from oracles.case import Case

FORWARD, BACKWARD = "conv2d", "conv2d_backward"


@dataclass(frozen=True)
class Part:
    """One call of a row: `count` times in it, filters prepared ahead or not, by that implementation of ours."""

    name: str
    case: Case
    count: int = 1
    ready: bool = False
    ours: str = "auto"
    values_only: bool = False  # maxima without switches


@dataclass(frozen=True)
class Row:
    """A goal, and the parts whose times are added up on both sides."""

    name: str
    told: str
    goal: float
    parts: tuple[Part, ...]


def _parts(
    layers: Iterable[Layer], *operations: str, ready: bool = False, ours: str = "auto", dtype: str = "float32"
) -> tuple[Part, ...]:
    found = []
    for layer in layers:
        for operation in operations or layer.operations:
            case = replace(layer.case(operation), dtype=dtype)
            found.append(Part(f"{layer.name} {operation}", case, layer.count, ready, ours))
    return tuple(found)


def _large(F: int, C: int) -> Layer:
    return convolution(f"large-{F}-{C}", C=C, K=C, W=128, F=F, P=F // 2)


def _pool(name: str) -> Layer:
    return next(layer for layer in POOLS if layer.name == name)


def _values(layer: Layer) -> tuple[Part, ...]:
    return tuple(replace(part, values_only=True) for part in _parts([layer], layer.forward))


_CONV1 = ALEXNET[:1]
_DENSE = tuple(layer for layer in VGG16 if layer.name in ("vgg16-conv3_2", "vgg16-conv4_2"))
_THREES = tuple(layer for layer in RESNET50 if "-3x3-" in layer.name and not layer.name.endswith("-s2"))
_STRIDED = convolution("strided-first", C=3, K=64, W=224, F=7, S=2, P=3)

ROWS = (
    Row("vgg16-ready", "VGG-16, 13 layers forward, filters ready", 1.7, _parts(VGG16, FORWARD, ready=True)),
    Row("vgg16", "VGG-16, 13 layers forward, filters transformed in the call", 1.35, _parts(VGG16, FORWARD)),
    Row("vgg16-training", "VGG-16, 13 layers forward and backward", 1.4, _parts(VGG16)),
    Row("alexnet-ready", "AlexNet, 5 layers forward, filters ready", 1.1, _parts(ALEXNET, FORWARD, ready=True)),
    Row("resnet50-ready", "ResNet-50, 53 convolutions, filters ready", 1.0, _parts(RESNET50, FORWARD, ready=True)),
    Row("cs231n", "CS231n's 227x227x3, 96 filters 11x11 S=4, forward", 1.0, _parts(_CONV1, FORWARD, ready=True)),
    Row("cs231n-training", "the same, forward and backward", 1.7, _parts(_CONV1)),
    Row("7x7", "7x7 filters on 128x128, 64 channels", 2.0, _parts([_large(7, 64)], FORWARD, ready=True)),
    Row("15x15", "15x15 filters on 128x128, 16 channels", 2.4, _parts([_large(15, 16)], FORWARD, ready=True)),
    Row("31x31", "31x31 filters on 128x128, 16 channels", 15.0, _parts([_large(31, 16)], FORWARD, ready=True)),
    Row("max-2x2-values", "max pool 2x2 S=2, no switches", 6.0, _values(_pool("vgg16-pool1"))),
    Row("max-2x2", "max pool 2x2 S=2, with switches", 3.0, _parts([_pool("vgg16-pool1")], "max_pool2d")),
    Row("max-2x2-training", "max pool 2x2 S=2, forward and backward", 2.0, _parts([_pool("vgg16-pool1")])),
    Row("max-3x3-training", "max pool 3x3 S=2, forward and backward", 1.5, _parts([_pool("alexnet-pool1")])),
    Row("average-2x2", "average pool 2x2 S=2", 2.4, _parts([_pool("average-2x2")], "avg_pool2d")),
    Row("l2-2x2", "L2 pool 2x2 S=2", 4.0, _parts([_pool("l2-2x2")], "l2_pool2d")),
    Row("global", "average pool over 7x7, 2048 channels", 1.2, _parts([_pool("resnet50-global")], "avg_pool2d")),
    Row("depthwise", "MobileNet, 13 depthwise 3x3 forward", 0.6, _parts(MOBILENET, FORWARD, ready=True)),
    Row(
        "float64-im2col", "float64, im2col-tiled, stride 1 and 2", 0.95,
        _parts((*_DENSE[:1], *_THREES[:2], _STRIDED), FORWARD, ours="im2col-tiled", dtype="float64"),
    ),
    Row(
        "float64-winograd", "float64, 3x3 S=1, filters ready", 2.3,
        _parts((*_DENSE[:1], *_THREES[:2]), FORWARD, ready=True, ours="winograd", dtype="float64"),
    ),
)  # fmt: skip


def over_product() -> tuple[tuple[Layer, float], ...]:
    """Give the layers whose tiled im2col is held against the bare matrix product, and the share that is aimed at."""
    named = {layer.name: layer for layer in (*ALEXNET, *VGG16, *RESNET50)}
    dense = ("vgg16-conv2_2", "vgg16-conv3_2", "vgg16-conv4_2", "vgg16-conv5_1", "resnet50-28-3x3-128-128")
    others = ("alexnet-conv1", "alexnet-conv2", "vgg16-conv1_1", "resnet50-conv1", "resnet50-56-3x3-128-128-s2")
    return (*((named[name], 0.9) for name in dense), *((named[name], 0.8) for name in others))


def growths() -> dict[str, tuple[Layer, ...]]:
    """Give the sweeps along which tiled im2col's time for a multiply-add is to stay the same within 15 %."""
    return {
        "W": tuple(convolution(f"W={W}", C=32, K=32, W=W, F=3, P=1) for W in (64, 96, 128, 192, 256)),
        "N": tuple(convolution(f"N={N}", C=32, K=32, W=32, F=3, P=1, N=N) for N in (4, 8, 16, 32, 64)),
        "F": tuple(convolution(f"F={F}", C=32, K=32, W=64, F=F, P=F // 2) for F in (3, 5, 7, 9)),
    }


def spectra() -> tuple[Layer, Layer]:
    """Give the layers with the smallest filters and the largest whose times with ready spectra are compared."""
    return _large(3, 16), _large(31, 16)


LARGE = tuple(layer for layer in VGG16 if layer.name in ("vgg16-conv2_2", "vgg16-conv3_2", "vgg16-conv4_2"))
SMALL = Case(FORWARD, "float32", convolution("small", C=2, K=2, W=8, F=3).geometry, RECIPE, SEED)
