"""The oracle gives what the onnx package expects of its nodes, and whatever of them it cannot say is listed here."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from properties.selfcheck import onnx_nodes
from properties.selfcheck.onnx_nodes import Node, NotComparedError

COMPARED = {
    "AveragePool": 16,
    "Conv": 26,
    "ConvTranspose": 12,
    "GlobalAveragePool": 2,
    "GlobalMaxPool": 2,
    "LpPool": 3,
    "MaxPool": 20,
    "MaxUnpool": 2,
}
LISTED = {
    "3 directions; the contract has two": """
        node/averagepool_3d_default
        node/averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False
        node/averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_True
        node/averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False
        node/averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True
        node/averagepool_3d_dilations_small node/convtranspose_3d node/lppool_3d_default
        node/maxpool_3d_default node/maxpool_3d_dilations node/maxpool_3d_dilations_use_ref_impl
        node/maxpool_3d_dilations_use_ref_impl_large
        pytorch-converted/AvgPool3d pytorch-converted/AvgPool3d_stride
        pytorch-converted/AvgPool3d_stride1_pad0_gpu_input pytorch-converted/Conv3d
        pytorch-converted/Conv3d_dilated pytorch-converted/Conv3d_dilated_strided
        pytorch-converted/Conv3d_groups pytorch-converted/Conv3d_no_bias pytorch-converted/Conv3d_stride
        pytorch-converted/Conv3d_stride_padding pytorch-converted/MaxPool3d pytorch-converted/MaxPool3d_stride
        pytorch-converted/MaxPool3d_stride_padding
    """,
    "8-bit integers": """
        node/convinteger_with_padding node/convinteger_without_padding node/qlinearconv
    """,
    "a bias is added to what is a gradient here": """
        pytorch-converted/ConvTranspose2d
    """,
    "a graph of several nodes": """
        node/causal_conv_with_state_b1_c1_degenerate_expanded node/causal_conv_with_state_basic_expanded
        node/causal_conv_with_state_decode_step_expanded node/causal_conv_with_state_fp16_expanded
        node/causal_conv_with_state_kernel_size_one_expanded
        node/causal_conv_with_state_short_input_no_past_state_expanded
        node/causal_conv_with_state_silu_expanded node/causal_conv_with_state_silu_fp16_expanded
        node/causal_conv_with_state_silu_with_past_state_expanded
        node/causal_conv_with_state_swish_alias_expanded
        node/causal_conv_with_state_with_bias_and_past_state_expanded
        node/causal_conv_with_state_with_bias_expanded node/causal_conv_with_state_with_past_state_expanded
        pytorch-converted/AvgPool1d pytorch-converted/AvgPool1d_stride
    """,
    "an operator with a state, in one direction": """
        node/causal_conv_with_state_b1_c1_degenerate node/causal_conv_with_state_basic
        node/causal_conv_with_state_decode_step node/causal_conv_with_state_fp16
        node/causal_conv_with_state_kernel_size_one node/causal_conv_with_state_short_input_no_past_state
        node/causal_conv_with_state_silu node/causal_conv_with_state_silu_fp16
        node/causal_conv_with_state_silu_with_past_state node/causal_conv_with_state_swish_alias
        node/causal_conv_with_state_with_bias node/causal_conv_with_state_with_bias_and_past_state
        node/causal_conv_with_state_with_past_state
    """,
    "p = 3; the contract has p = 2": """
        node/lppool_1d_default node/lppool_2d_pads
    """,
    "p = 4; the contract has p = 2": """
        node/lppool_2d_default node/lppool_2d_same_lower
    """,
    "taps between the cells of the image": """
        node/basic_deform_conv_with_padding node/basic_deform_conv_without_padding
        node/deform_conv_with_mask_bias node/deform_conv_with_multiple_offset_groups
    """,
    "uint8; the contract has floating-point numbers": """
        node/maxpool_2d_uint8
    """,
}


def test_every_node_of_onnx_agrees_or_is_listed_with_its_reason():
    """A release of onnx with other tests is noticed: what is compared is counted, what is not is named."""
    pytest.importorskip("onnx", reason="the tests of its nodes come with the onnx package")
    compared, listed, wrong = Counter(), {}, []
    for node in onnx_nodes.shipped():
        try:
            verdict, _ = onnx_nodes.compared(node)
        except NotComparedError as reason:
            listed.setdefault(str(reason), set()).add(node.name.replace("/test_", "/"))
            continue
        compared[node.operator] += 1
        if not verdict.agrees or not verdict.elements:
            wrong.append(f"{node.name}: {verdict.message}")
    assert not wrong, "\n".join(wrong)
    assert listed == {reason: set(names.split()) for reason, names in LISTED.items()}
    assert compared == COMPARED


def node(operator: str, *arrays: Any, outputs: int = 1, **attributes: Any) -> Node:
    """Make a test of one node by hand: what goes in, and at last what must come out."""
    given = [np.asarray(array, np.int64 if np.asarray(array).dtype == int else np.float32) for array in arrays]
    return Node("by hand", operator, attributes, given[:-outputs], given[-outputs:])


ROW = [[[1.0, 2, 3, 4]]]  # (1, 1, 4)
HALVES = {"kernel_shape": [2], "strides": [2]}


@pytest.mark.parametrize(
    ("tested", "worst"),
    [
        (node("Conv", ROW, [[[1.0, -1]]], [[[-1.0, -1, -2]]]), "y[0, 0, 0, 2]"),
        (node("ConvTranspose", ROW, [[[1.0, -1]]], [[[1.0, 1, 1, 1, -3]]]), "dx[0, 0, 0, 4]"),
        (node("AveragePool", ROW, [[[1.5, 2.5, 3.5000005]]], kernel_shape=[2]), "y[0, 0, 0, 2]"),
        (node("AveragePool", ROW, [[[0.5, 3.5]]], kernel_shape=[2], pads=[1, 0], strides=[3]), "y[0, 0, 0, 0]"),
        (node("LpPool", ROW, [[[5.0**0.5, 13**0.5, 5.000003]]], kernel_shape=[2]), "y[0, 0, 0, 2]"),
        (
            node("MaxPool", ROW, [[[2.0, 4]]], [[[1, 2]]], outputs=2, kernel_shape=[2], strides=[2]),
            "switches[0, 0, 0, 1]",
        ),
        (
            node("MaxUnpool", [[[2.0, 4]]], [[[1, 3]]], [[[0.0, 2, 4, 0]]], **HALVES),
            "dx[0, 0, 0, 2]",
        ),
    ],
    ids=["Conv", "ConvTranspose", "AveragePool", "padding", "LpPool", "MaxPool", "MaxUnpool"],
)
def test_a_wrong_expected_output_is_found(tested, worst):
    """A last digit too many, an index beside the maximum, padding that is counted: the element is named."""
    verdict, _ = onnx_nodes.compared(tested)
    assert not verdict.agrees
    assert worst in verdict.message.split("\n")[0]


def test_indices_over_all_planes_and_down_the_columns_are_translated():
    """ONNX numbers the cells of the whole tensor; with storage_order 1 each plane column by column."""
    x = np.array([[[[1, 5, 2], [3, 4, 0]]] * 2] * 2, np.float32)  # 4 planes of 2 x 3 whose maximum is cell (0, 1)
    y, planes = np.full((2, 2, 1, 1), 5, np.float32), np.arange(4).reshape(2, 2, 1, 1) * 6
    for order, cell in ((0, 1), (1, 2)):
        tested = Node("by hand", "MaxPool", {"kernel_shape": [2, 3], "storage_order": order}, [x], [y, planes + cell])
        verdict, _ = onnx_nodes.compared(tested)
        assert verdict.agrees, verdict.message


@pytest.mark.parametrize(
    ("tested", "reason"),
    [
        (
            node("AveragePool", ROW, [[[0.0]]], kernel_shape=[3], strides=[2], ceil_mode=1, count_include_pad=1),
            "ONNX counts of an overhanging window what the padded image holds, the contract all of it",
        ),
        (node("MaxPool", ROW, [[[0.0]]], kernel_shape=[2], pads=[2, 0]), "padding that is not smaller than the window"),
        (node("MaxPool", [[[1.0]]], [[[0.0]]], kernel_shape=[2], pads=[1, 1], dilations=[2]), "a window wholly in the"),
        (node("Conv", ROW, ROW, [[[0.0]]], kernel_flip=1), "Conv with kernel_flip is not known here"),
        (node("WindowPool", ROW, ROW), "WindowPool is not known here"),
    ],
    ids=["overhanging", "padding", "empty window", "attribute", "operator"],
)
def test_what_onnx_means_otherwise_is_not_compared(tested, reason):
    """The reason says where the two differ; no attribute is passed over."""
    with pytest.raises(NotComparedError, match=reason):
        onnx_nodes.compared(tested)
