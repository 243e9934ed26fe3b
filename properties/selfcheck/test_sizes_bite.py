"""The properties of large sizes catch, alone, what hides beyond the small ones, and excuse what is right."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from impls import im2col
from properties import test_arrays as arrays
from properties import test_common as common
from properties import test_edges as edges
from properties import test_sizes as sizes
from properties.selfcheck.beds import Bed, Fault, caught
from properties.selfcheck.command_line import QUICK, run
from properties.selfcheck.running import examine, variant

planted = Bed()
EDGES, EDGES_BACK = edges.test_outputs_are_right_at_every_size, edges.test_gradients_are_right_at_every_size
OUTPUTS, GRADIENTS = sizes.test_large_outputs_equal_the_definition, sizes.test_large_gradients_equal_the_definition


@planted(OUTPUTS, "conv2d")
def forgets_dilations_beyond_eight() -> Fault:
    return lambda correct, *a, **p: correct(*a, **p) * (p["dilation"][1] <= 8)


@planted(OUTPUTS, "conv2d", "avg_pool2d", "max_pool2d", "l2_pool2d")
def forgets_the_last_row_behind_much_padding() -> Fault:
    def fault(correct, *arrays, **p):
        found = correct(*arrays, **p)
        y = found[0] if isinstance(found, tuple) else found
        if p["padding"][0] > 8:
            y[:, :, -1] = 17.0
        return found

    return fault


@planted(OUTPUTS, "conv2d")
def truncates_to_bfloat16_in_sums_of_two_hundred() -> Fault:
    def fault(correct, x, w, *rest, **p):
        if x.dtype == np.float32 and w[0].size > 200:
            x = (np.ascontiguousarray(x).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        return correct(x, w, *rest, **p)

    return fault


@planted(GRADIENTS, "conv2d_backward")
def loses_the_channels_behind_the_last_sixteen() -> Fault:
    def fault(correct, x, w, dy, **p):
        dx, dw, db = correct(x, w, dy, **p)
        if w.shape[1] > 16 and w.shape[1] % 16:
            dw[:, -(w.shape[1] % 16) :] = 0.0
        return dx, dw, db

    return fault


@planted(common.test_common_layers_equal_the_definition, "conv2d")
def has_a_fast_path_that_loses_a_corner() -> Fault:
    def fault(correct, x, w, *rest, **p):
        y = correct(x, w, *rest, **p)
        if w.shape[2:] == (3, 3) and tuple(p["stride"]) == (1, 1) and w.shape[1] % 8 == 0:
            y[..., :1, :1] = 0.0
        return y

    return fault


@planted(common.test_common_layers_equal_the_definition, "conv2d")
def has_a_depthwise_path_without_the_last_channel() -> Fault:
    def fault(correct, x, w, *rest, **p):
        y = correct(x, w, *rest, **p)
        if p["groups"] == x.shape[1] >= 8:
            y[:, -1] = 0.0
        return y

    return fault


@planted(common.test_gradients_of_common_layers_equal_the_definition, "conv2d_backward")
def adds_up_gradients_of_points_four_at_a_time() -> Fault:
    def fault(correct, x, w, dy, **p):
        dx, dw, db = correct(x, w, dy, **p)
        if w.shape[2:] == (1, 1) and dy.shape[3] % 4:
            dw[..., 0, 0] -= np.einsum("nkyx->k", dy[..., -(dy.shape[3] % 4) :])[:, None]
        return dx, dw, db

    return fault


@planted(common.test_common_layers_equal_the_definition, "max_pool2d", "avg_pool2d", "l2_pool2d")
def pools_two_by_two_in_pairs_of_columns() -> Fault:
    def fault(correct, x, *, size, **p):
        found = correct(x, size=size, **p)
        y = found[0] if isinstance(found, tuple) else found
        if tuple(size) == (2, 2) and tuple(p["stride"]) == (2, 2) and y.shape[3] % 2 and y.shape[3] > 4:
            y[..., -1] = 0.5
        return found

    return fault


@planted(EDGES, "conv2d", "avg_pool2d", "max_pool2d", "l2_pool2d")
def spoils_a_last_column_that_a_tile_leaves_alone() -> Fault:
    def fault(correct, *arrays, **p):
        found = correct(*arrays, **p)
        y = found[0] if isinstance(found, tuple) else found
        if y.shape[3] > 1 and y.shape[3] % 64 == 1:
            y[..., -1] += 1.0
        return found

    return fault


@planted(EDGES, "conv2d")
def leaves_out_the_filters_behind_the_last_sixteen() -> Fault:
    def fault(correct, x, w, b, **p):
        y = correct(x, w, b, **p)
        if w.shape[0] > 16 and w.shape[0] % 16:
            y[:, -(w.shape[0] % 16) :] = 0.0
        return y

    return fault


@planted(EDGES_BACK, "conv2d_backward", "avg_pool2d_backward", "l2_pool2d_backward", "max_pool2d_backward")
def forgets_images_whose_number_a_byte_does_not_hold() -> Fault:
    def fault(correct, first, *rest, **p):
        found = correct(first, *rest, **p)
        if first.shape[0] > 127:
            dx = found[0] if isinstance(found, tuple) else found
            dx[127:] = 0.0
        return found

    return fault


@planted(EDGES_BACK, "conv2d_backward")
def loses_the_last_row_but_every_eighth() -> Fault:
    def fault(correct, x, w, dy, **p):
        dx, dw, db = correct(x, w, dy, **p)
        if dy.shape[2] > 8 and dy.shape[2] % 8 == 7:
            dw -= np.einsum("nkyx->k", dy[:, :, -1:])[:, None, None, None]
        return dx, dw, db

    return fault


@planted(arrays.test_a_result_that_equals_an_input_is_a_copy, "conv2d")
def returns_the_image_itself_for_a_filter_of_one() -> Fault:
    def fault(correct, x, w, b, **p):
        identity = w.shape == (1, 1, 1, 1) and w[0, 0, 0, 0] == 1 and b is None
        plain = p["stride"] == (1, 1) and not np.any(p["padding"])
        return x if identity and plain else correct(x, w, b, **p)

    return fault


@planted(arrays.test_a_result_that_equals_an_input_is_a_copy, "avg_pool2d", "avg_pool2d_backward")
def returns_what_it_was_given_for_windows_of_a_cell() -> Fault:
    def fault(correct, x, *rest, **p):
        plain = p["size"] == (1, 1) and p["stride"] == (1, 1) and not np.any(p["padding"])
        return x if plain else correct(x, *rest, **p)

    return fault


@pytest.mark.parametrize(("law", "operation", "maker"), planted.planted)
def test_a_fault_is_caught(law, operation, maker):
    caught(law, operation, maker)


STATISTICS = (
    sizes.test_rounding_errors_have_the_variance_of_correct_rounding,
    sizes.test_rounding_errors_point_in_no_direction,
)


@pytest.mark.parametrize("law", STATISTICS)
def test_an_average_may_be_a_product_with_the_reciprocal_of_the_count(law):
    def averages(x: Any, *, size, stride, padding=(0, 0), count_include_pad=True):
        rows, columns = im2col.arguments.pooling(x.shape, size=size, stride=stride, padding=padding)
        counts = im2col.counts(rows, columns, count_include_pad).astype(x.dtype)
        return im2col.column_sums(x, rows, columns) * (x.dtype.type(1) / counts)

    assert examine(law, variant(avg_pool2d=averages, options=(), dtypes=("float32", "float64")), "avg_pool2d") is None


@pytest.mark.parametrize("law", STATISTICS)
def test_a_truncated_average_is_not_excused(law):
    def averages(x: Any, *, size, stride, padding=(0, 0), count_include_pad=True):
        total = np.zeros((), x.dtype)
        rows, columns = im2col.arguments.pooling(x.shape, size=size, stride=stride, padding=padding)
        sums = np.zeros((*x.shape[:2], rows.outputs, columns.outputs), x.dtype)
        for tap in im2col.taps(rows, columns):
            exact = sums.astype(np.longdouble)
            exact[..., *tap.outputs] += x[..., *tap.cells]
            nearest = exact.astype(x.dtype)
            beyond = np.abs(nearest) > np.abs(exact)
            sums = np.where(beyond, np.nextafter(nearest, total), nearest)
        return (sums / im2col.counts(rows, columns, count_include_pad)).astype(x.dtype)

    found = examine(law, variant(avg_pool2d=averages, options=()), "avg_pool2d")
    assert found is not None


def test_the_script_of_a_large_failure_shows_the_element_that_is_told(tmp_path):
    (tmp_path / "tail.py").write_text(
        "from impls import im2col\n"
        "def conv2d(x, w, b, **p):\n"
        "    y = im2col.conv2d(x, w, b, **p)\n"
        "    y[..., y.shape[3] // 8 * 8 :] += 2 * (y.shape[3] > 60)\n"
        "    return y\n"
    )
    law = f"{sizes.__file__}::test_large_outputs_equal_the_definition"
    case = "conv2d float32 n9c1k1g1 i8k1s1p0,0d1 i63k1s1p0,0d1 wide:24 seed=1"  # the samples have every corner
    done = run(tmp_path, law, "--impl=tail.py", f"--case={case}", *QUICK)
    told = re.search(r"the worst is y\[([\d, ]+)\]", done.stdout)
    shown = re.search(r"print\(y\[([\d, ]+)\], 'should be', (\S+)\)", done.stdout)
    want = re.search(r"^  want   (\S+)$", done.stdout, re.MULTILINE)
    assert told is not None, done.stdout
    assert shown is not None, done.stdout
    assert want is not None, done.stdout
    assert told[1] == shown[1]
    assert float(want[1]) == float(shown[2])
    assert done.stdout.count("# of Poolproof: run at") == 1
