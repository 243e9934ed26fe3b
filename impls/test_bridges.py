"""A bridge changes how arrays are passed and nothing else, and the examples built on bridges keep the contract."""
# mypy: allow-untyped-defs, allow-untyped-calls

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from impls import im2col, registry
from impls.bridges import from_nhwc, from_shared_library, from_torch
from impls.subject import Subject
from impls.whole_numbers import DIVISIBLE, assert_same, whole

CLONE = Path(__file__).parents[1]
EXAMPLES = {
    "numpy": "examples/numpy_conv.py",
    "torch": "examples/torch_function.py:unfolded",
    "nhwc": "examples/nhwc_conv.py:channels_last",
    "c": "examples/c_kernel/conv2d.py:kernel",
}
PARAMETERS: dict[str, Any] = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 1}
POOL: dict[str, Any] = {"size": (3, 2), "stride": (2, 1), "padding": (1, 0)}


def arrays(dtype="float64", N=2, groups=1):
    shapes = (N, 4, 7, 8), (6, 4 // groups, 3, 2), (6,)
    return [whole(shape, seed, dtype=dtype) for seed, shape in enumerate(shapes)]


@pytest.fixture(scope="module", params=EXAMPLES)
def example(request):
    if request.param == "torch":
        pytest.importorskip("torch", reason="torch is not installed")
    return registry.subject(EXAMPLES[request.param], CLONE)


# --- The examples ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("N", [0, 2])
def test_an_example_equals_im2col(example, dtype, groups, N):
    if groups not in example.declared.limits.get("G", (groups,)):
        pytest.skip(f"{example.name} declares G of {example.declared.limits['G']} alone")
    x, w, b = arrays(dtype, N, groups=groups)
    parameters = {**PARAMETERS, "groups": groups}
    y = im2col.conv2d(x, w, b, **parameters)
    assert_same(example.call("conv2d", x, w, b, **parameters), y)
    assert_same(example.call("conv2d", x, w, None, **parameters), im2col.conv2d(x, w, None, **parameters))
    if example.offers("conv2d_backward"):
        assert_same(
            example.call("conv2d_backward", x, w, y, **parameters), im2col.conv2d_backward(x, w, y, **parameters)
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"stride": (0, 1)}, {"stride": (1, -1)}, {"dilation": (1, 0)}, {"padding": (-1, 0)}, {"groups": 0},
        {"groups": 3}, {"w": (6, 3, 3, 2)}, {"w": (6, 4, 0, 2)}, {"w": (6, 4, 10, 2)}, {"w": (6, 4, 3, 8)},
        {"b": (5,)}, {"b": (6, 1)}, {"x": (2, 4, 0, 8)}, {"x": (2, 3, 7, 8)},
    ],
    ids=str,
)  # fmt: skip
def test_an_example_refuses_what_the_contract_refuses(example, wrong):
    given: dict[str, Any] = dict(zip("xwb", arrays(), strict=True))
    given.update({name: np.ones(shape) for name, shape in wrong.items() if name in given})
    parameters: dict[str, Any] = {**PARAMETERS, **{name: value for name, value in wrong.items() if name not in given}}
    with pytest.raises(ValueError):
        example.call("conv2d", *given.values(), **parameters)
    if example.offers("conv2d_backward") and "b" not in wrong:
        with pytest.raises(ValueError):
            example.call("conv2d_backward", given["x"], given["w"], np.ones((2, 6, 4, 10)), **parameters)
    assert_same(example.call("conv2d", *arrays(), **PARAMETERS), im2col.conv2d(*arrays(), **PARAMETERS))


def test_an_example_refuses_a_gradient_of_another_shape(example):
    if not example.offers("conv2d_backward"):
        pytest.skip(f"{example.name} offers no conv2d_backward")
    x, w, _ = arrays()
    with pytest.raises(ValueError, match=r"\(2, 6, 1, 1\)|\[2, 6, 1, 1\]"):
        example.call("conv2d_backward", x, w, np.ones((2, 6, 1, 1)), **PARAMETERS)


@pytest.mark.parametrize("layout", ["negative", "broadcast", "read_only", "misaligned", "byteswapped", "strided"])
def test_an_example_takes_every_layout(example, layout):
    facts = example.probe("layout", "conv2d", arrays(), PARAMETERS, layout=layout)
    assert facts["changed"] == []
    assert_same(facts["outputs"], im2col.conv2d(*facts["arrays"], **PARAMETERS))


def test_an_example_takes_keywords_and_lists_and_keeps_nothing(example):
    facts = example.probe("by_keyword", "conv2d", arrays(), PARAMETERS, names=["x", "w", "b"])
    assert_same(facts["outputs"], (im2col.conv2d(*arrays(), **PARAMETERS),))
    facts = example.probe("aliasing", "conv2d", arrays(), PARAMETERS)
    assert facts["inputs"] == facts["earlier"] == facts["disturbed"] == []


# --- torch -----------------------------------------------------------------------------------------------------------


def test_functions_of_torch_agree_with_im2col():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    F = torch.nn.functional

    def l2_pool2d(x, size, stride, padding):
        return (F.avg_pool2d(x * x, size, stride, padding, divisor_override=1)).sqrt()

    bridge = from_torch(conv2d=F.conv2d, max_pool2d=F.max_pool2d, avg_pool2d=F.avg_pool2d, l2_pool2d=l2_pool2d)
    x, w, b = arrays()
    assert_same(bridge.conv2d(x, w, b, **PARAMETERS), im2col.conv2d(x, w, b, **PARAMETERS))
    assert_same(bridge.max_pool2d(x, **POOL), im2col.max_pool2d(x, **POOL))
    x *= DIVISIBLE
    for counted in (True, False):
        y = im2col.avg_pool2d(x, **POOL, count_include_pad=counted)
        assert_same(bridge.avg_pool2d(x, **POOL, count_include_pad=counted), y)
        assert_same(
            bridge.avg_pool2d_backward(y, x.shape, **POOL, count_include_pad=counted),
            im2col.avg_pool2d_backward(y, x.shape, **POOL, count_include_pad=counted),
        )
    assert not hasattr(bridge, "max_pool2d_backward")
    signs = np.sign(x)
    x[...] = 0
    x[:, :, ::3] = signs[:, :, ::3] * np.resize(
        [3, 4], 8
    )  # every window of POOL has one such row, and 3 beside 4 in it
    y = im2col.l2_pool2d(x, **POOL)
    assert np.all(y == 5)
    dy = whole(y.shape, 4, 2 * 5)  # torch takes the root's derivative as dy / (2 * norm)
    assert_same(bridge.l2_pool2d(x, **POOL), y)
    assert_same(bridge.l2_pool2d_backward(x, dy, **POOL), im2col.l2_pool2d_backward(x, dy, **POOL))


def test_torch_gradients_can_be_left_out_and_are_missed_where_there_are_none():
    torch = pytest.importorskip("torch", reason="torch is not installed")

    def detached(x, w, b, **parameters):
        return torch.nn.functional.conv2d(x, w, b, **parameters).detach()

    assert not hasattr(from_torch(conv2d=detached, gradients=False), "conv2d_backward")
    x, w, b = arrays()
    bridge = from_torch(conv2d=detached)
    with pytest.raises(
        TypeError, match="autograd sees no gradient in this function: make the bridge with gradients=False"
    ):
        bridge.conv2d_backward(x, w, bridge.conv2d(x, w, b, **PARAMETERS), **PARAMETERS)


def test_refusals_of_torch_become_value_errors_and_its_faults_do_not():
    torch = pytest.importorskip("torch", reason="torch is not installed")

    def lacks(*tensors, **parameters):
        raise NotImplementedError("no kernel")

    x, w, b = arrays()
    with pytest.raises(ValueError, match=r"torch: .*stride"):
        from_torch(conv2d=torch.nn.functional.conv2d).conv2d(x, w, b, **{**PARAMETERS, "stride": (0, 0)})
    with pytest.raises(NotImplementedError, match="no kernel"):
        from_torch(conv2d=lacks).conv2d(x, w, b, **PARAMETERS)


def test_a_bridge_refuses_operations_that_it_does_not_know():
    with pytest.raises(ValueError, match=r"conv2 \(did you mean conv2d\?\): accepted is one of conv2d, max_pool2d"):
        from_torch(conv2=abs)
    with pytest.raises(ValueError, match=r"maxpool2d \(did you mean max_pool2d\?\): accepted is one of out_size"):
        from_nhwc(maxpool2d=abs)


# --- NHWC ------------------------------------------------------------------------------------------------------------


def in_nhwc(array):
    return array.transpose(0, 2, 3, 1)


def in_nchw(array):
    return array.transpose(0, 3, 1, 2)


class _ChannelsLast:
    """im2col seen from the other side: arrays in NHWC."""

    name = "channels-last"
    layouts = "contiguous"
    seen: Any = None

    def supports(self, operation, **parameters):
        return "no groups" if parameters.get("groups", 1) > 1 else None

    def conv2d(self, x, w, b, **parameters):
        self.seen = (x.shape, w.shape, x.flags.c_contiguous and w.flags.c_contiguous)
        return in_nhwc(im2col.conv2d(in_nchw(x), w.transpose(3, 2, 0, 1), b, **parameters))

    def conv2d_backward(self, x, w, dy, **parameters):
        dx, dw, db = im2col.conv2d_backward(in_nchw(x), w.transpose(3, 2, 0, 1), in_nchw(dy), **parameters)
        return in_nhwc(dx), dw.transpose(2, 3, 1, 0), db

    def max_pool2d(self, x, **parameters):
        y, switches = im2col.max_pool2d(in_nchw(x), **parameters)
        return in_nhwc(y), in_nhwc(switches)

    def max_pool2d_backward(self, dy, switches, x_shape):
        N, H, W, C = x_shape
        return in_nhwc(im2col.max_pool2d_backward(in_nchw(dy), in_nchw(switches), (N, C, H, W)))

    def avg_pool2d_backward(self, dy, x_shape, **parameters):
        N, H, W, C = x_shape
        return in_nhwc(im2col.avg_pool2d_backward(in_nchw(dy), (N, C, H, W), **parameters))

    def out_size(self, W, F, S, P, dilation=1):
        return im2col.out_size(W, F, S, P, dilation)


def test_an_nhwc_implementation_gets_and_gives_nhwc():
    inner = _ChannelsLast()
    bridge = from_nhwc(inner)
    x, w, b = arrays()
    y = im2col.conv2d(x, w, b, **PARAMETERS)
    assert_same(bridge.conv2d(x, w, b, **PARAMETERS), y)
    assert inner.seen == ((2, 7, 8, 4), (3, 2, 4, 6), True)
    assert_same(bridge.conv2d(x=x, w=w, b=b, **PARAMETERS), y)
    assert_same(bridge.conv2d_backward(x, w, y, **PARAMETERS), im2col.conv2d_backward(x, w, y, **PARAMETERS))
    z, switches = im2col.max_pool2d(x, **POOL)
    assert_same(bridge.max_pool2d(x, **POOL), (z, switches))
    assert_same(bridge.max_pool2d_backward(z, switches, x.shape), im2col.max_pool2d_backward(z, switches, x.shape))
    assert_same(
        bridge.max_pool2d_backward(z, switches=switches, x_shape=x.shape),
        im2col.max_pool2d_backward(z, switches, x.shape),
    )
    z *= DIVISIBLE
    assert_same(bridge.avg_pool2d_backward(z, x.shape, **POOL), im2col.avg_pool2d_backward(z, x.shape, **POOL))
    assert bridge.out_size(7, 3, 2, 1) == 4


def test_an_nhwc_bridge_carries_over_what_is_declared():
    subject = Subject("mine.py:bridge", from_nhwc(_ChannelsLast()))
    assert (subject.name, subject.declared.layouts) == ("channels-last", "contiguous")
    assert subject.supports("conv2d", groups=2) == "no groups"
    assert not subject.offers("l2_pool2d")
    assert not subject.takes("max_pool2d_backward", "size")


def test_an_nhwc_implementation_of_any_layout_gets_views():
    seen = []

    def l2_pool2d(x, **parameters):
        seen.append(x)
        return x

    bridge = from_nhwc(l2_pool2d=l2_pool2d)
    x = arrays()[0]
    bridge.l2_pool2d(x, **POOL)
    assert np.shares_memory(seen[0], x)


def test_a_result_that_is_no_array_passes_as_it_is():
    assert from_nhwc(SimpleNamespace(avg_pool2d=lambda x, **p: None)).avg_pool2d(arrays()[0]) is None


# --- C ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Build a library of one symbol, whose function writes no cell but the first."""
    folder = tmp_path_factory.mktemp("c")
    (folder / "one.c").write_text(
        "void one_cell(const float *x, const float *w, const float *b, float *y) { y[0] = 7; }\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "libone.so", folder / "one.c"], check=True)
    return folder / "libone.so"


def test_cells_that_c_leaves_unwritten_show_as_nan(library):
    kernel = from_shared_library(library, "one_cell")
    y = kernel.conv2d(*arrays("float32"), **PARAMETERS).ravel()
    assert y[0] == 7
    assert np.isnan(y[1:]).all()
    assert Subject("one", kernel).declared.dtypes == ("float32",)


def test_c_is_given_one_dtype_that_it_has(library):
    kernel = from_shared_library(library, "one_cell")
    with pytest.raises(ValueError, match="dtype float64: float32 are accepted"):
        kernel.conv2d(*arrays(), **PARAMETERS)
    with pytest.raises(ValueError, match="one dtype of float16, float32, float64 is accepted"):
        kernel.conv2d(*arrays("float32")[:2], np.zeros(6), **PARAMETERS)
    with pytest.raises(ValueError, match=r"padding \(1, 2\): an integer"):
        kernel.conv2d(*arrays("float32"), **{**PARAMETERS, "padding": ((1, 2), (1, 2))})


def test_a_missing_library_or_symbol_is_named(library, tmp_path):
    with pytest.raises(ValueError, match=r"libnone\.so: cannot be loaded: .*No such file"):
        from_shared_library(tmp_path / "libnone.so", "conv2d")
    with pytest.raises(ValueError, match=r"has no symbol 'two_cells': `nm -D libone\.so` lists those it has"):
        from_shared_library(library, "two_cells")
    with pytest.raises(ValueError, match="no symbol: accepted is from_shared_library"):
        from_shared_library(library)
