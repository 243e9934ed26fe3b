"""Variants of engines do what they are called: narrow formats round, threads stay few, exact ways are exact."""
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls import loops, registry
from impls.isolation import choice
from impls.whole_numbers import whole

ROOT = Path(__file__).parents[2]
PLAIN: dict[str, Any] = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}


def loaded(spec: str) -> Any:
    """The variant in a process of its own, where its engine is installed."""
    entry = next(entry for entry in registry.entries() if entry.name == spec.partition("+")[0])
    if entry.missing:
        pytest.skip(entry.missing)
    return choice.load(spec, ROOT, "always")


@pytest.mark.parametrize("spec", ["openvino+bfloat16", "jax+bfloat16", "tensorflow+bfloat16"])
def test_bfloat16_is_what_comes_out(spec):
    cell = np.ones((1, 1, 1, 1), np.float32)
    y = loaded(spec).call("conv2d", 255 * cell, 253 * cell, None, **PLAIN)
    assert y.item() == 64512, "64515, in eight bits"


@pytest.mark.parametrize(
    ("spec", "kept", "dtype", "most"),
    [("jax+bfloat16", "bfloat16", np.float32, 2**8), ("tensorflow+float16", "float16", np.float16, 2**11)],
)
def test_gradients_are_added_up_in_the_format_that_is_declared(spec, kept, dtype, most):
    subject, windows = loaded(spec), 4096
    assert subject.declared.accumulator == kept
    dy, where = np.ones((1, 1, 1, windows), dtype), {"size": (1, windows), "stride": (1, 1), "padding": (0, 0)}
    dx = subject.call("avg_pool2d_backward", dy, (1, 1, 1, 2 * windows - 1), **where)
    assert dx[0, 0, 0, windows - 1] * windows == most, "one more is lost there: in float32 they would be 4096"


def test_onnxruntime_keeps_few_sessions_that_have_threads():
    subject, image = loaded("onnxruntime+threads"), np.ones((1, 1, 24, 24), np.float32)
    padding = PLAIN["padding"]
    for size in range(1, 24):
        for stride in range(1, 13):
            y = subject.call("avg_pool2d", image, size=(size, 1), stride=(stride, 1), padding=padding)
            assert (y == 1).all()


def test_onnxruntime_declines_dilation_with_same():
    subject = loaded("onnxruntime+same-padding")
    asked = {"x_shape": (1, 1, 5, 5), **PLAIN, "padding": "same_upper"}
    assert subject.supports("conv2d", **asked) is None
    assert "dilation" in subject.supports("conv2d", **{**asked, "dilation": (1, 2)})


def test_torch_without_onednn_is_exact_on_many_images():
    x, w = whole((64, 1, 1, 2), 1).astype(np.float32) * 2**20 + 1, np.array([[[[3, 5]]]], np.float32)
    y = loaded("torch-cpu+no-onednn").call("conv2d", x, w, None, **{**PLAIN, "padding": (0, 0)})
    assert np.array_equal(y, loops.conv2d(x, w, None, **{**PLAIN, "padding": (0, 0)}))


GRADIENTS = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from impls.engines.paddle import Paddle

paddle, keywords = Paddle(), {"stride": (1, 1), "padding": ((0, 0), (0, 0))}
given = [np.arange(n * n, dtype=np.float32).reshape(1, 1, n, n) for n in (7, 3, 5)]
want = paddle.conv2d_backward(*given, **keywords)
with ThreadPoolExecutor(4) as pool:
    for found in pool.map(lambda _: paddle.conv2d_backward(*given, **keywords), range(800)):
        assert all(map(np.array_equal, found, want))
"""


def test_paddles_gradients_come_from_several_threads():
    entry = next(entry for entry in registry.entries() if entry.name == "paddle")
    if entry.missing:
        pytest.skip(entry.missing)
    assert subprocess.run([sys.executable, "-c", GRADIENTS], cwd=ROOT, check=False).returncode == 0


def test_openvinos_dynamic_models_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="openvino"):
        loaded("openvino+dynamic").call(
            "avg_pool2d", np.ones((1, 1, 1, 1), np.float32), size=(2, 1), stride=(1, 1), padding=PLAIN["padding"]
        )
