"""A layout is what its name says, and an implementation that stumbles over one is caught."""
# mypy: allow-untyped-defs, allow-untyped-calls

import itertools
import warnings

import numpy as np
import pytest

from impls.layouts import LAYOUTS, chosen, lay
from impls.planted import CORRECT, case, expected, faulty, run, same


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_correct_implementation_passes_in_every_layout(layout):
    facts = run(CORRECT, "layout", layout=layout)
    assert facts["changed"] == []
    assert same(facts["outputs"][0], expected(facts["arrays"]))
    assert len(facts["layouts"]) == 3


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"mixed", "broadcast"}))
def test_a_layout_holds_the_same_values(layout):
    for array in (case()[0], np.arange(24).reshape(1, 2, 3, 4), np.zeros((0, 3, 4, 4), np.float32), np.ones(3)):
        view, _ = lay(array, layout)
        assert same(view, array)


@pytest.mark.parametrize(
    ("layout", "seen"),
    [
        ("contiguous", lambda a: a.flags.c_contiguous),
        ("fortran", lambda a: a.flags.f_contiguous),
        ("transposed", lambda a: a.strides[-2] == a.itemsize),
        ("channels_last", lambda a: a.strides[1] == a.itemsize),
        ("channels_last_crop", lambda a: a.strides[1] == a.itemsize and a.strides[2] > a.shape[3] * a.strides[3]),
        ("strided", lambda a: a.strides[-1] == 2 * a.itemsize),
        ("negative", lambda a: max(a.strides) < 0),
        ("offset", lambda a: not a.flags.c_contiguous and a.strides[-1] == a.itemsize),
        ("broadcast", lambda a: 0 in a.strides and a.flags.writeable),
        ("read_only", lambda a: not a.flags.writeable),
        ("misaligned", lambda a: not a.flags.aligned),
        ("byteswapped", lambda a: not a.dtype.isnative),
    ],
)
def test_a_layout_is_what_its_name_says(layout, seen):
    assert seen(lay(case()[0], layout)[0])


def test_broadcast_arrays_are_equal_along_axes_that_the_seed_chooses():
    x = case()[0]
    laid = [lay(x, "broadcast", seed)[0] for seed in range(6)]
    zeros = [[axis for axis, step in enumerate(array.strides) if step == 0] for array in laid]
    assert zeros == [[0], [1], [2], [3], [2, 3], [0, 1, 2, 3]]
    assert all(
        same(array, np.broadcast_to(array[tuple(slice(0, 1) for _ in array.shape)], x.shape)) for array in laid[5:]
    )


def test_mixed_layouts_follow_the_seed():
    laid = {seed: tuple(run(CORRECT, "layout", layout="mixed", seed=seed)["layouts"]) for seed in (1, 2, 1)}
    assert len(set(laid.values())) == 2
    assert "mixed" not in itertools.chain(*laid.values())


def test_a_layout_is_that_of_all_arrays_or_of_a_single_one():
    found = {tuple(chosen("byteswapped", 3, seed)) for seed in range(40)}
    alone = {tuple("byteswapped" if i == j else "contiguous" for j in range(3)) for i in range(3)}
    assert found == alone | {("byteswapped",) * 3}


def test_an_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="layout 'diagonal': there are contiguous, fortran"):
        run(CORRECT, "layout", layout="diagonal")


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"contiguous", "read_only", "mixed"}))
def test_an_implementation_that_takes_every_array_for_dense_native_memory_is_caught(layout):
    def from_first_byte(array):
        """Read as a C kernel would, from the pointer on; in what lies before it for negative strides."""
        memory = array
        while memory.base is not None:
            memory = memory.base
        start = array.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
        raw = np.frombuffer(memory.tobytes("A") + bytes(array.nbytes), np.uint8)
        return np.frombuffer(raw[start : start + array.nbytes].tobytes(), np.float32).reshape(array.shape)

    def naive(conv2d, x, w, b, **parameters):
        if not x.flags.aligned:
            raise TypeError("misaligned")  # what a kernel does on a machine that cannot
        return conv2d(from_first_byte(x), w, b, **parameters)

    try:
        facts = run(faulty(naive), "layout", layout=layout)
    except TypeError:
        assert layout == "misaligned"
    else:
        assert not same(facts["outputs"][0], expected(facts["arrays"]))


def test_a_written_input_is_caught():
    def writes(conv2d, x, w, b, **parameters):
        y = conv2d(x, w, b, **parameters)
        w *= 2
        return y

    assert run(faulty(writes), "layout", layout="contiguous")["changed"] == [1]


def test_a_write_between_the_cells_of_an_input_is_caught():
    def writes_past(conv2d, x, w, b, **parameters):
        memory = x.base
        if memory is not None:
            memory[..., -1] = 0
        return conv2d(x, w, b, **parameters)

    assert run(faulty(writes_past), "layout", layout="offset")["changed"] == [0]


def test_an_input_reshaped_where_it_is_is_caught():
    def reshapes(conv2d, x, w, b, **parameters):
        y = conv2d(x, w, b, **parameters)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer NumPy advises against it
            b.shape = (4, 1)
        return y

    assert run(faulty(reshapes), "layout", layout="contiguous")["changed"] == [2]


def test_an_absent_bias_and_a_shape_pass_as_they_are():
    assert run(CORRECT, "layout", [*case()[:2], None], layout="strided")["arrays"][2] is None
    dy = np.ones((1, 1, 2, 2))
    facts = CORRECT.probe(
        "layout", "avg_pool2d_backward", [dy, (1, 1, 4, 4)], {"size": (2, 2), "stride": (2, 2)}, layout="fortran"
    )
    assert facts["outputs"][0].sum() == dy.sum()
