"""Every experiment lets a correct implementation pass, and is seen to catch the fault it is there for."""
# mypy: allow-untyped-defs, allow-untyped-calls

import ast
import itertools
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls import im2col, probes
from impls.layouts import LAYOUTS, lay
from impls.subject import Subject

CORRECT = Subject("im2col", im2col)
PARAMETERS = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}


def case(seed=0, N=2):
    rng = np.random.default_rng(seed)
    shapes = (N, 3, 6, 5), (4, 3, 3, 2), (4,)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def faulty(conv2d, **functions):
    """Make a subject of a conv2d(correct, x, w, b, **parameters) that plants a fault around the correct one."""

    class Namespace:
        def conv2d(self, x, w, b, **parameters):
            return conv2d(im2col.conv2d, x, w, b, **parameters)

    namespace = Namespace()
    for name, function in functions.items():
        setattr(namespace, name, function)
    return Subject("faulty", namespace)


def run(subject, name, arrays=None, **options):
    return subject.probe(name, "conv2d", case() if arrays is None else arrays, PARAMETERS, **options)


def expected(arrays):
    return CORRECT.call("conv2d", *arrays, **PARAMETERS)


def same(a, b):
    return np.array_equal(np.asarray(a), np.asarray(b)) and a.shape == b.shape


# --- layout ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_correct_implementation_passes_in_every_layout(layout):
    facts = run(CORRECT, "layout", layout=layout)
    assert facts["changed"] == []
    np.testing.assert_allclose(facts["outputs"][0], expected(facts["arrays"]), rtol=1e-5, atol=1e-5)
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


def test_broadcast_arrays_are_equal_along_an_axis_that_the_seed_chooses():
    strides = [lay(case()[0], "broadcast", seed)[0].strides.index(0) for seed in range(4)]
    assert strides == [0, 1, 2, 3]


def test_mixed_layouts_follow_the_seed():
    laid = {seed: tuple(run(CORRECT, "layout", layout="mixed", seed=seed)["layouts"]) for seed in (1, 2, 1)}
    assert len(set(laid.values())) == 2
    assert "mixed" not in itertools.chain(*laid.values())


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
        assert not np.allclose(facts["outputs"][0], expected(facts["arrays"]), rtol=1e-5, atol=1e-5)


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


# --- by_keyword, shared, prepared ------------------------------------------------------------------------------------


def test_arrays_by_keyword_and_lists_for_pairs():
    facts = run(CORRECT, "by_keyword", names=["x", "w", "b"])
    assert same(facts["outputs"][0], expected(case()))


def test_a_parameter_of_another_name_is_caught():
    class Namespace:
        def conv2d(self, image, w, b, **parameters):
            return im2col.conv2d(image, w, b, **parameters)

    with pytest.raises(TypeError):
        run(Subject("faulty", Namespace()), "by_keyword", names=["x", "w", "b"])


def test_an_implementation_that_tells_lists_from_tuples_is_caught():
    def wants_tuples(conv2d, x, w, b, *, stride, **parameters):
        return conv2d(x, w, b, stride=(1, 1) if stride == (1, 1) else (2, 2), **parameters)

    subject = faulty(wants_tuples)
    assert not same(run(subject, "by_keyword", names=["x", "w", "b"])["outputs"][0], expected(case()))
    assert same(run(subject, "by_keyword", names=["x", "w", "b"], lists=False)["outputs"][0], expected(case()))


def test_x_and_w_may_share_memory():
    facts = run(CORRECT, "shared")
    x, w, _ = facts["arrays"]
    assert np.array_equal(x.ravel()[: w.size], w.ravel())
    assert same(facts["outputs"][0], expected(facts["arrays"]))
    assert facts["changed"] == []


def test_scratch_work_in_shared_memory_is_caught():
    def scales_in_place(conv2d, x, w, b, **parameters):
        x *= 2
        y = conv2d(x, w, b, **parameters)
        x /= 2
        return y

    facts = run(faulty(scales_in_place), "shared")
    assert not same(facts["outputs"][0], expected(facts["arrays"]))


def test_a_filter_prepared_once_serves_twice():
    facts = run(faulty(lambda conv2d, *arrays, **p: conv2d(*arrays, **p), prepare=lambda w, **p: w.copy()), "prepared")
    assert all(same(outputs[0], expected(case())) for outputs in facts["outputs"])
    assert facts["changed"] == []


def test_a_prepared_filter_used_up_by_its_first_call_is_caught():
    def uses_up(conv2d, x, w, b, **parameters):
        y = conv2d(x, w, b, **parameters)
        w[...] = 0
        return y

    facts = run(faulty(uses_up, prepare=lambda w, **p: w), "prepared")
    assert not same(facts["outputs"][1][0], expected(case()))
    assert facts["changed"] == [1]


def test_a_prepared_filter_that_keeps_to_its_first_image_is_caught():
    def keeps(conv2d, x, w, b, **parameters):
        if isinstance(w, list):
            w.append(x)
            x, w = w[1], w[0]
        return conv2d(x, w, b, **parameters)

    x, w, b = case()
    facts = run(faulty(keeps, prepare=lambda w, **p: [w]), "prepared", images=[2 * x])
    assert [same(o[0], expected([i, w, b])) for o, i in zip(facts["outputs"], (x, 2 * x, x), strict=True)] == [
        True,
        False,
        True,
    ]


# --- several calls ---------------------------------------------------------------------------------------------------


def test_correct_results_share_memory_with_nothing():
    facts = run(CORRECT, "aliasing")
    assert [facts[name] for name in ("inputs", "siblings", "earlier", "disturbed")] == [[], [], [], []]
    assert facts["writable"] == [True]


def test_a_result_that_is_a_view_of_an_input_is_caught():
    facts = run(faulty(lambda conv2d, x, w, b, **p: x[:, :2]), "aliasing")
    assert facts["inputs"] == [[0, 0]]


def test_two_results_in_the_same_memory_are_caught():
    def twins(conv2d, *arrays, **parameters):
        y = conv2d(*arrays, **parameters)
        return y, y[:1]

    assert run(faulty(twins), "aliasing")["siblings"] == [[0, 1]]


def test_a_result_in_an_internal_buffer_is_caught():
    buffer = np.zeros((2, 4, 6, 6), np.float32)

    def buffered(conv2d, *arrays, **parameters):
        buffer[...] = conv2d(*arrays, **parameters)
        return buffer[...]

    assert run(faulty(buffered), "aliasing")["earlier"] == [[0, 0]]
    facts = run(faulty(buffered), "kept", others=[(case(1), PARAMETERS)])
    assert facts["changed"] == [[0, 0]]
    assert same(facts["outputs"][0][0], expected(case()))


def test_results_remembered_without_a_copy_are_caught():
    remembered: dict[Any, Any] = {}

    def remembers(conv2d, *arrays, **parameters):
        key = b"".join(array.tobytes() for array in arrays)
        calls = remembered.setdefault(key, [])
        calls.append(calls[0] if len(calls) > 1 else conv2d(*arrays, **parameters))
        return calls[-1]

    facts = run(faulty(remembers), "aliasing")
    assert facts["earlier"] == []
    assert facts["disturbed"] == [0]


def test_kept_results_of_a_correct_implementation_stay():
    assert run(CORRECT, "kept", others=[(case(1), PARAMETERS)])["changed"] == []


def test_an_answer_that_depends_on_the_calls_before_it_is_caught():
    first_bias = []

    def remembers_bias(conv2d, x, w, b, **parameters):
        first_bias.append(b)
        return conv2d(x, w, first_bias[0], **parameters)

    others = [(case(1), PARAMETERS), (case(), PARAMETERS)]
    assert all(
        same(o[0], expected(case(s)))
        for o, s in zip(run(CORRECT, "sequence", others=others)["outputs"], (0, 1, 0), strict=True)
    )
    facts = run(faulty(remembers_bias), "sequence", others=others)
    assert not same(facts["outputs"][1][0], expected(case(1)))


def test_weights_remembered_by_their_address_are_caught():
    remembered: dict[Any, Any] = {}

    def remembers(conv2d, x, w, b, **parameters):
        return conv2d(x, remembered.setdefault(id(w), w.copy()), b, **parameters)

    x, w, b = case()
    new = [x, 2 * w, b]
    facts = run(CORRECT, "in_place", index=1, values=2 * w)
    assert same(facts["outputs"][1][0], expected(new))
    facts = run(faulty(remembers), "in_place", index=1, values=2 * w)
    assert same(facts["outputs"][0][0], expected([x, w, b]))
    assert not same(facts["outputs"][1][0], expected(new))
    assert same(w, case()[1])


def test_a_refusal_that_leaves_something_behind_is_caught():
    broken: list[bool] = []

    def breaks(conv2d, x, w, b, **parameters):
        try:
            return conv2d(x, w, b, **parameters) + len(broken)
        except ValueError:
            broken.append(True)
            raise

    invalid = (case(), {**PARAMETERS, "stride": (0, 1)})
    facts = run(CORRECT, "after_refusal", invalid=invalid)
    assert facts["refusal"].startswith("ValueError: stride 0")
    assert same(facts["outputs"][0], expected(case()))
    assert not same(run(faulty(breaks), "after_refusal", invalid=invalid)["outputs"][0], expected(case()))


def test_what_is_not_refused_is_told():
    facts = run(faulty(lambda conv2d, x, w, b, **p: np.zeros(1)), "after_refusal", invalid=(case(), {}))
    assert facts["refusal"] == "returned"


def test_a_result_that_changes_between_calls_is_caught():
    count = itertools.count()
    facts = run(CORRECT, "repeats")
    assert facts["distinct"] == len(facts["outputs"]) == 1
    facts = run(faulty(lambda conv2d, *arrays, **p: conv2d(*arrays, **p) + next(count)), "repeats", times=4)
    assert facts["distinct"] == 4
    assert same(facts["outputs"][1][0], facts["outputs"][0][0] + 1)


def test_cells_left_unwritten_are_caught_by_repeating():
    def forgets_a_row(conv2d, *arrays, **parameters):
        right = conv2d(*arrays, **parameters)
        y = np.empty_like(right)
        y[:, :, 1:] = right[:, :, 1:]
        return y

    assert run(faulty(forgets_a_row), "repeats", case(N=16))["distinct"] > 1


def test_an_input_written_by_one_call_is_no_change_of_the_result():
    def writes(conv2d, x, w, b, **parameters):
        y = conv2d(x, w, b, **parameters)
        x += 1
        return y

    assert run(faulty(writes), "repeats")["distinct"] == 1


def test_threads_of_a_correct_implementation_do_not_meet():
    facts = run(CORRECT, "threads", others=[(case(1), PARAMETERS)], count=3, times=5)
    assert (facts["calls"], facts["differing"], facts["first"], facts["wrong"]) == (15, 0, [], ())
    assert [same(o[0], expected(case(s))) for o, s in zip(facts["outputs"], (0, 1), strict=True)] == [True, True]


def test_threads_that_share_a_scratch_buffer_are_caught():
    scratch = np.zeros((4, 3, 3, 2), np.float32)

    def shares(conv2d, x, w, b, **parameters):
        scratch[...] = w
        time.sleep(0.0005)
        return conv2d(x, scratch, b, **parameters)

    facts = run(faulty(shares), "threads", others=[(case(1), PARAMETERS)])
    assert facts["differing"] > 0
    thread, which, _ = facts["first"]
    assert which == thread % 2
    assert not same(facts["wrong"][0], facts["outputs"][which][0])


def test_an_input_written_for_a_while_is_caught_where_threads_have_the_same_arrays():
    def scales_and_back(conv2d, x, w, b, **parameters):
        x *= 2
        time.sleep(0.0005)
        y = conv2d(x, w, 2 * b, **parameters) / 2
        x /= 2
        return y

    assert run(faulty(scales_and_back), "threads")["differing"] == 0
    assert run(faulty(scales_and_back), "threads", together=True)["differing"] > 0


def test_a_list_of_results_is_taken_for_a_tuple():
    def lists(conv2d, *arrays, **parameters):
        y = conv2d(*arrays, **parameters)
        return [y, y[0]]

    outputs = run(faulty(lists), "repeats")["outputs"]
    assert [out.ndim for out in outputs[0]] == [4, 3]


def test_what_a_thread_raises_is_raised():
    def not_in_threads(conv2d, *arrays, **parameters):
        if threading.current_thread() is not threading.main_thread():
            raise OSError("no context in this thread")
        return conv2d(*arrays, **parameters)

    with pytest.raises(OSError, match="no context in this thread"):
        run(faulty(not_in_threads), "threads")


# --- All of them -----------------------------------------------------------------------------------------------------


def test_the_arrays_of_the_caller_are_never_handed_over():
    def destroys(conv2d, x, w, b, **parameters):
        y = conv2d(x, w, b, **parameters)
        for array in (x, w, b):
            array[...] = 0
        return y

    others = [(case(1), PARAMETERS)]
    options: dict[str, Any] = {
        "layout": {"layout": "contiguous"},
        "by_keyword": {"names": ["x", "w", "b"]},
        "kept": {"others": others},
        "sequence": {"others": others},
        "in_place": {"index": 0, "values": 1.0},
        "after_refusal": {"invalid": others[0]},
        "threads": {"others": others},
    }
    for name in probes.PROBES:
        arrays = case()
        run(faulty(destroys, prepare=lambda w, **p: w), name, arrays, **options.get(name, {}))
        assert all(same(a, b) for a, b in zip(arrays, case(), strict=True)), name
        assert all(same(a, b) for a, b in zip(others[0][0], case(1), strict=True)), name


def test_an_unknown_probe_is_refused():
    with pytest.raises(ValueError, match="probe 'layuot': there are layout, by_keyword"):
        run(CORRECT, "layuot")


def test_a_floating_point_warning_in_a_thread_is_no_verdict():
    def divides(conv2d, x, w, b, **parameters):
        return np.zeros(2) / np.zeros(2)

    assert run(faulty(divides), "threads", count=2)["differing"] == 0


@pytest.mark.parametrize("module", ["probes.py", "layouts.py"])
def test_an_old_interpreter_can_read_it(module):
    ast.parse(Path(__file__).with_name(module).read_text(), feature_version=(3, 9))
