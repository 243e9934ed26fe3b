"""The list of layers against what was published of the networks."""

from __future__ import annotations

from collections import Counter

import pytest

from bench import layers
from bench.layers import ALEXNET, BY_NAME, CIFAR10, LARGE, MOBILENET, POOLS, RESNET50, SWEEPS, VGG16
from impls import im2col
from oracles.case import Case


def total(network, what):
    """Add up a quantity over all layers of a network, as often as it has each."""
    return sum(layer.count * what(layer) for layer in network)


def macs(layer):
    return layer.geometry.macs


def parameters(layer):
    return layer.parameters


def shape(name):
    n, c, h, w = BY_NAME[name].geometry.y_shape
    assert n == 1
    return h, w, c


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("alexnet-conv1", (55, 55, 96)),
        ("alexnet-conv2", (27, 27, 256)),
        ("alexnet-conv3", (13, 13, 384)),
        ("alexnet-conv4", (13, 13, 384)),
        ("alexnet-conv5", (13, 13, 256)),
        ("alexnet-pool1", (27, 27, 96)),
        ("vgg16-conv1_2", (224, 224, 64)),
        ("vgg16-pool1", (112, 112, 64)),
        ("vgg16-conv5_1", (14, 14, 512)),
        ("resnet50-conv1", (112, 112, 64)),
        ("resnet50-pool1", (56, 56, 64)),
        ("resnet50-56-3x3-128-128-s2", (28, 28, 128)),
        ("resnet50-14-1x1-1024-2048-s2", (7, 7, 2048)),
        ("resnet50-global", (1, 1, 2048)),
        ("mobilenet-dw-14-512-s2", (7, 7, 512)),
        ("cifar10-conv", (32, 32, 12)),
        ("cifar10-pool", (16, 16, 12)),
        ("cifar10-fc", (1, 1, 10)),
        ("large-31", (128, 128, 8)),
    ],
)
def test_outputs_have_the_published_size(name, published):
    assert shape(name) == published


def test_alexnets_first_layer_is_that_of_the_notes():
    layer = ALEXNET[0]
    assert layer.geometry.x_shape == (1, 3, 227, 227)
    assert layer.geometry.macs == 290_400 * 363
    assert layer.parameters == 34_944


def test_alexnet_has_666_million_multiply_adds_in_its_convolutions():
    assert round(total(ALEXNET, macs) / 1e6) == 666
    assert [layer.geometry.G for layer in ALEXNET] == [1, 2, 1, 2, 2]
    assert total(ALEXNET, parameters) == 2_334_080


def test_vgg16_has_15_3_billion_multiply_adds_in_13_convolutions():
    assert total(VGG16, lambda layer: 1) == 13
    assert round(total(VGG16, macs) / 1e9, 1) == 15.3
    assert total(VGG16, parameters) == 14_714_688


def test_resnet50_has_4_1_billion_multiply_adds_and_25_5_million_parameters():
    assert total(RESNET50, lambda layer: 1) == 53
    assert round(total(RESNET50, macs) / 1e9, 2) == 4.09
    normalisation, classifier = 53_120, 2048 * 1000 + 1000
    assert total(RESNET50, parameters) + normalisation + classifier == 25_557_032


def test_resnet50_has_every_distinct_shape_once_and_counted():
    """The network walked block by block, by table 1 of the paper, gives the same shapes as often."""
    found = Counter([(3, 64, 224, 7, 2)])
    channels, side = 64, 56
    for blocks, width, stride in ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)):
        for block in range(blocks):
            step = stride if block == 0 else 1
            found[channels, width, side, 1, 1] += 1
            found[width, width, side, 3, step] += 1
            if block == 0:
                found[channels, 4 * width, side, 1, step] += 1
            side //= step
            found[width, 4 * width, side, 1, 1] += 1
            channels = 4 * width
    listed = {
        (layer.geometry.C, layer.geometry.K, v.size, v.extent, v.stride): layer.count
        for layer in RESNET50
        for v in [layer.geometry.vertical]
    }
    assert listed == dict(found)
    assert len(RESNET50) == len(listed) == 23


def test_mobilenets_depthwise_layers_have_their_published_share():
    """3.06 % of 569 million multiply-adds, says its table 2."""
    assert total(MOBILENET, lambda layer: 1) == 13
    assert round(100 * total(MOBILENET, macs) / 569e6, 2) == 3.06
    assert all(layer.geometry.G == layer.geometry.C == layer.geometry.K for layer in MOBILENET)


def test_large_windows_and_the_small_network():
    assert [(v.extent, v.size) for layer in LARGE for v in [layer.geometry.vertical]] == [
        (7, 128),
        (15, 128),
        (31, 128),
    ]
    assert [layer.geometry.w_shape for layer in CIFAR10] == [(12, 3, 3, 3), (10, 12, 16, 16)]


def test_pools_are_plain_overlapping_average_l2_and_global():
    plain, overlapping = BY_NAME["vgg16-pool1"].geometry, BY_NAME["alexnet-pool1"].geometry
    assert (plain.x_shape, plain.vertical.extent, plain.vertical.stride) == ((1, 64, 224, 224), 2, 2)
    assert (overlapping.vertical.extent, overlapping.vertical.stride) == (3, 2)
    assert {layer.forward for layer in POOLS} == {"max_pool2d", "avg_pool2d", "l2_pool2d"}


def test_names_are_not_given_twice_and_each_case_can_be_read_back():
    names = [name for layer in layers.ALL for name in (layer.name, *layer.also)] + list(layers.EXPERIMENTS)
    assert len(names) == len(set(names))
    for layer in layers.ALL:
        for operation in layer.operations:
            case = layer.case(operation)
            assert Case.parse(str(case)) == case


@pytest.mark.parametrize("letter", layers.SIZES)
def test_a_sweep_spans_eightfold_in_six_sizes_and_varies_one_letter(letter):
    points = [layer for layer in SWEEPS if layer.sweep == letter]
    sizes = [layer.value for layer in points]
    assert len(sizes) >= 6
    assert max(sizes) >= 8 * min(sizes)
    for layer in points:
        g, v = layer.geometry, layer.geometry.vertical
        found = {"N": g.N, "C": g.C, "K": g.K, "W": v.size, "F": v.extent, "S": v.stride}
        assert found == layers.BASE | {letter: layer.value}
        assert v == g.horizontal


def test_sweeps_meet_at_the_base():
    same = [layer.name for layer in SWEEPS if layer.value == layers.BASE[layer.sweep]]
    assert same == ["sweep-W-32", "sweep-F-3", "sweep-S-1", "sweep-C-32", "sweep-N-1"]
    assert len({BY_NAME[name].geometry for name in same}) == 1


@pytest.mark.parametrize(
    ("lists", "names"),
    [
        (["alexnet-conv1"], {"alexnet-conv1"}),
        (["vgg16-conv3_3"], {"vgg16-conv3_2"}),  # a name of the same shape
        (["sweep-N-[12], translation"], {"sweep-N-1", "sweep-N-2", "translation"}),
        (["large-*,stride", "roofline"], {"large-7", "large-15", "large-31", "stride", "roofline"}),
    ],
)
def test_layers_are_chosen_by_names_and_patterns(lists, names):
    assert layers.chosen(lists) == names


def test_without_a_list_all_is_chosen():
    assert layers.chosen([]) == {*BY_NAME, *layers.EXPERIMENTS}


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("alexnet-conv17", r"\(did you mean alexnet-conv1\?\)"),
        ("alexnet", r"\(did you mean alexnet\*\?\)"),
        ("ALEXNET-conv1", r"\(did you mean alexnet-conv1\?\)"),
        ("VGG16-*", r"\(did you mean vgg16-\*\?\)"),
        ("vgg-conv1_1", r"\(did you mean vgg16-conv1_1\?\)"),
        ("resnext-*", "accepted are names and patterns"),
        ("", "no layer is called ''"),
    ],
)
def test_an_unknown_layer_is_told_with_what_was_meant(word, hint):
    with pytest.raises(layers.UnknownLayerError, match=hint):
        layers.chosen([f"alexnet-conv1,{word}"])


def test_a_case_of_the_command_line_is_a_layer_with_that_case_alone():
    case = Case.parse("conv2d_backward float64 n1c3k4g1 i7k3s2p1,1d1 i9k3s1p0,0d1 wide:24 seed=17")
    layer = layers.of_case(case)
    assert layer.operations == ("conv2d_backward",)
    assert layer.case("conv2d_backward") is case


def test_every_layer_fits_the_implementation_that_is_the_baseline():
    for layer in layers.ALL:
        v = layer.geometry.vertical
        assert im2col.out_size(v.size, v.extent, v.stride, v.pad_before) == v.out
