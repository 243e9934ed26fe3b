"""What the properties of arrays and repeated calls are made of: declarations heeded, messages, scripts, neighbours."""

from __future__ import annotations

import re

import numpy as np
import pytest

from impls import im2col
from impls.contract import OPERATIONS
from impls.layouts import LAYOUTS, lay
from impls.subject import Subject
from oracles.case import Case
from properties import test_arrays as arrays
from properties import test_repeatability as repeatability
from properties.examiner import Examiner, set_under_test
from properties.mutants.planting import variant
from properties.neighbours import CHANGES, neighbour
from properties.scripts import relaid
from properties.selfcheck.running import examine, mutant


def test_an_implementation_for_contiguous_arrays_owes_no_other_layout() -> None:
    dense = variant(mutant("reads_in_the_order_of_memory", "conv2d").make(), layouts="contiguous")
    assert examine(arrays.test_inputs_are_not_written, dense, "conv2d") is None
    with pytest.raises(AssertionError, match=r"nothing was examined: .*layouts"):
        examine(arrays.test_arrays_lie_in_memory_in_any_way, dense, "conv2d")


def test_an_implementation_may_declare_that_its_bits_change() -> None:
    changing = variant(deterministic=False)
    with pytest.raises(AssertionError, match=r"nothing was examined: .*deterministic"):
        examine(repeatability.test_the_same_call_gives_the_same_bits, changing, "conv2d")
    assert examine(repeatability.test_threads_do_not_disturb_each_other, changing, "conv2d", 20) is None


def test_a_failure_is_told_as_one_layout_of_each_array() -> None:
    faulty = mutant("turns_fortran_arrays_round", "conv2d").make()
    found = examine(arrays.test_arrays_lie_in_memory_in_any_way, faulty, "conv2d", examples=200)
    assert found is not None
    case, verdict = found
    assert case.detail("layout") in ("fortran", "mixed", "broadcast")
    assert Case.parse(str(case)) == case
    assert "x was " in verdict.message
    assert "w was " in verdict.message
    assert "strides (" in verdict.message
    assert verdict.data is not None


def test_a_failure_is_told_with_the_calls_before_it() -> None:
    law = repeatability.test_answers_do_not_depend_on_earlier_calls
    faulty = mutant("keeps_a_plan_for_the_shapes_only", "max_pool2d").make()
    found = examine(law, faulty, "max_pool2d", examples=200)
    assert found is not None
    verdict = found[1]
    assert "of 9 is wrong; these were made, one after the other:" in verdict.message
    assert "call 1: x float" in verdict.message


CASE = Case.parse("conv2d float32 n2c2k2g1 i4k2s1p1,1d1 i5k3s2p1,1d1 narrow:24 seed=3")


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"contiguous", "mixed"}))
@pytest.mark.parametrize("seed", range(4))
def test_a_script_makes_the_layout_again(layout: str, seed: int) -> None:
    case = Case.parse(f"{CASE} layout={layout}".replace("seed=3", f"seed={seed}"))
    array = np.random.default_rng(seed).standard_normal((2, 3, 4, 5)).astype(np.float32)
    view, _ = lay(array, layout, seed)
    names = {"np": np, "x": np.array(view, array.dtype, order="C")}
    (line,) = relaid(case, {"x": array})
    exec(line, names)  # a line of ours
    made = names["x"]
    assert np.array_equal(made, view)
    assert [made.flags[flag] for flag in "CFA"] == [view.flags[flag] for flag in "CFA"]
    assert made.dtype == view.dtype
    assert np.array_equal(np.sign(made.strides), np.sign(view.strides))
    assert np.array_equal(np.argsort(made.strides), np.argsort(view.strides))


def test_a_script_leaves_contiguous_arrays_and_other_details_alone() -> None:
    assert relaid(CASE, {"x": np.ones((1, 1, 2, 2)), "b": None}) == []
    lines = relaid(
        Case.parse(f"{CASE} layout=mixed"), {"x": np.ones((1, 2, 2, 2)), "w": np.ones((1, 2, 2, 2)), "b": None}
    )
    assert all(line.split(" = ")[0] in "xw" for line in lines)


def test_a_neighbour_differs_in_what_its_name_says() -> None:
    examiner = Examiner(Subject("im2col", im2col), "conv2d")
    found = {change: neighbour(examiner, CASE, change) for change in CHANGES}
    assert found["data"] == Case.parse(str(CASE).replace("seed=3", "seed=4"))
    assert found["batch"].geometry.N == 6
    assert found["border"].geometry.vertical.padded == CASE.geometry.vertical.padded
    assert found["border"].geometry.vertical.pad_before == 0
    assert found["turned"].geometry.x_shape == (2, 2, 5, 4)
    assert found["stride"].geometry.horizontal.stride == 1
    assert found["format"].dtype != CASE.dtype
    assert len({str(case) for case in found.values()}) == len(CHANGES)


def test_a_neighbour_keeps_within_what_is_declared() -> None:
    limited = variant(
        limits={"S": [1, 2], "N": [2], "H": [4]}, dtypes=("float32",),
        supports=lambda operation, **p: "pads no more" if p["padding"] == ((0, 0), (0, 0)) else None,
    )  # fmt: skip
    examiner = Examiner(Subject("limited", limited), "conv2d")
    only_data = Case.parse(str(CASE).replace("seed=3", "seed=4"))
    for change in ("batch", "size", "border", "padding", "turned", "format"):
        assert neighbour(examiner, CASE, change) == only_data


@pytest.mark.parametrize("operation", ["conv2d", "l2_pool2d_backward"])
def test_of_what_has_no_other_direction_nothing_is_asked(operation: str) -> None:
    alone = variant(**{name: None for name in OPERATIONS if name not in (operation, "out_size")})
    with pytest.raises(AssertionError, match="nothing was examined"):
        examine(repeatability.test_the_other_direction_leaves_nothing_behind, alone, operation)


@pytest.mark.parametrize(("change", "axis"), [("row", 0), ("column", 1)])
def test_the_nearest_neighbour_has_as_many_outputs_where_a_stride_skips_a_cell(change: str, axis: int) -> None:
    examiner = Examiner(Subject("im2col", im2col), "avg_pool2d")
    set_under_test(examiner)
    for cells in (7, 8, 9):
        case = Case.parse(f"avg_pool2d float32 n1c1 i{cells}k3s3p1,1d1 i{cells}k3s3p1,1d1 narrow:24 seed=3")
        near = neighbour(examiner, case, change)
        sizes = [(g.vertical.size, g.horizontal.size) for g in (case.geometry, near.geometry)]
        assert abs(sizes[0][axis] - sizes[1][axis]) == 1
        assert sizes[0][1 - axis] == sizes[1][1 - axis]
        assert near.geometry.y_shape == case.geometry.y_shape


def test_an_invalid_call_of_another_operation_is_made_before_a_valid_one() -> None:
    law = repeatability.test_the_call_after_a_refusal_is_right
    faulty = mutant("is_upset_by_what_a_convolution_refused", "l2_pool2d").make()
    found = examine(law, faulty, "l2_pool2d", examples=100)
    assert found is not None
    assert re.search(r"after invalid calls of .*conv2d", found[1].message)
