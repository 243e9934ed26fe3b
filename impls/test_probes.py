"""An experiment lets what is correct pass, catches the fault it is there for, and leaves the caller's arrays alone."""
# mypy: allow-untyped-defs, allow-untyped-calls

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls import im2col, probes
from impls.planted import CORRECT, PARAMETERS, case, expected, faulty, run, same
from impls.subject import Subject


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


def test_a_list_of_results_is_taken_for_a_tuple():
    def lists(conv2d, *arrays, **parameters):
        y = conv2d(*arrays, **parameters)
        return [y, y[0]]

    outputs = run(faulty(lists), "repeats")["outputs"]
    assert [out.ndim for out in outputs[0]] == [4, 3]


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
        "after_other": {"other": "conv2d", "first": others[0]},
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


@pytest.mark.parametrize("module", ["probes.py", "layouts.py"])
def test_an_old_interpreter_can_read_it(module):
    ast.parse(Path(__file__).with_name(module).read_text(), feature_version=(3, 9))
