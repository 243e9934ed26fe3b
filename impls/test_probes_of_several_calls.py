"""What a call leaves behind for the next, or does to one in another thread, is caught."""
# mypy: allow-untyped-defs, allow-untyped-calls

import itertools
import threading
import time
from typing import Any

import numpy as np
import pytest

from impls.planted import CORRECT, PARAMETERS, case, expected, faulty, run, same


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


def test_what_another_operation_has_refused_may_leave_nothing_behind_either():
    upset: list[bool] = []

    def l2_pool2d(*arrays, **parameters):
        upset.append(True)
        raise ValueError("never")

    def conv2d(right, x, w, b, **parameters):
        return right(x, w, b, **parameters) + len(upset)

    subject = faulty(conv2d, l2_pool2d=l2_pool2d)
    invalid = (case(), {**PARAMETERS, "stride": (0, 1)})
    facts = run(subject, "after_refusal", invalid=invalid, others=[["l2_pool2d", case()[:1], {}]])
    assert same(facts["outputs"][0], expected(case()))
    assert not same(facts["again"][0], expected(case()))
    assert run(CORRECT, "after_refusal", invalid=invalid)["again"] == []


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
    shape = expected(case(N=16)).shape

    def forgets_a_row(conv2d, *arrays, **parameters):
        y = np.empty(shape, np.float32)  # before the call: what that frees holds the same each time
        y[:, :, 1:] = conv2d(*arrays, **parameters)[:, :, 1:]
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


def test_what_a_thread_raises_is_raised():
    def not_in_threads(conv2d, *arrays, **parameters):
        if threading.current_thread() is not threading.main_thread():
            raise OSError("no context in this thread")
        return conv2d(*arrays, **parameters)

    with pytest.raises(OSError, match="no context in this thread"):
        run(faulty(not_in_threads), "threads")


def test_a_floating_point_warning_in_a_thread_is_no_verdict():
    def divides(conv2d, x, w, b, **parameters):
        return np.zeros(2) / np.zeros(2)

    assert run(faulty(divides), "threads", count=2)["differing"] == 0


def test_what_is_kept_of_the_other_operation_is_caught():
    kept: dict[int, Any] = {}

    def uses(conv2d, x, *arrays, **parameters):
        same, image = kept.get(id(x), (None, x))
        return conv2d(image if same is x else x, *arrays, **parameters)

    def keeps(x, w, dy, **parameters):
        kept[id(x)] = x, x.copy()

    x, w, b = case()
    options: dict[str, Any] = {"other": "conv2d_backward", "first": ((x, w, b), PARAMETERS)}
    subject = faulty(uses, conv2d_backward=keeps)
    (y,) = run(subject, "after_other", **options)["outputs"]  # with other arrays
    assert same(y, expected((x, w, b)))
    options |= {"shared": [[0, 0]], "index": 0, "values": -x}
    for each, image in ((CORRECT, -x), (subject, x)):
        (y,) = run(each, "after_other", **options)["outputs"]
        assert same(y, expected((image, w, b)))


def test_an_error_of_the_other_operation_is_its_own_affair():
    def fails(x, w, dy, **parameters):
        raise RuntimeError

    subject = faulty(lambda conv2d, *arrays, **parameters: conv2d(*arrays, **parameters), conv2d_backward=fails)
    (y,) = run(subject, "after_other", other="conv2d_backward", first=(case(), PARAMETERS))["outputs"]
    assert same(y, expected(case()))
