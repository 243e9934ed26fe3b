"""The child's side needs no more than Python 3.9 and NumPy 1.21: any environment can be the child's."""
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

from impls import places, registry
from impls.isolation.failures import Crashed
from impls.isolation.subject import IsolatedSubject

KERNEL = """
import ctypes
import sys
import numpy as np
from impls import outputs
from impls.bridges import from_nhwc, from_shared_library, from_torch
name = "python %d.%d, numpy %s" % (*sys.version_info[:2], np.__version__)

def conv2d(x, w, b, *, stride, padding, dilation=(1, 1), groups=1):
    if w.shape[2:] != (1, 1):
        raise ValueError("1x1 only")
    y = outputs.unwritten((x.shape[0], w.shape[0], *x.shape[2:]), x.dtype)
    y[...] = np.einsum("nchw,kc->nkhw", x, w[:, :, 0, 0])
    return y

def avg_pool2d(x, *, size, stride):
    ctypes.string_at(0)

def supports(operation, **parameters):
    return None
"""
X, W = np.arange(32, dtype="f4").reshape(1, 2, 4, 4), np.arange(6, dtype="f4").reshape(3, 2, 1, 1)
PARAMETERS = {"stride": (1, 1), "padding": (0, 0)}


@pytest.fixture
def old() -> str:
    """The oldest interpreter here with a NumPy."""
    for name in ("python3.9", "python3.10"):
        python = shutil.which(name)
        if python and subprocess.run([python, "-c", "import numpy"], capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip("no Python 3.9 or 3.10 with NumPy is here")


def test_an_old_interpreter_answers_as_this_one(tmp_path, old):
    (tmp_path / "kernel.py").write_text(KERNEL)
    here, there = registry.subject("kernel.py", tmp_path), IsolatedSubject("kernel.py", tmp_path, python=old)
    assert there.name != here.name
    assert there.declared.dtypes == here.declared.dtypes
    assert there.supports("conv2d") is None
    want = here.call("conv2d", X, W, None, **PARAMETERS)
    assert np.array_equal(there.call("conv2d", X, W, None, **PARAMETERS), want)
    probed: dict[str, dict[str, Any]] = {
        "layout": {"layout": "mixed"},
        "aliasing": {},
        "repeats": {},
        "threads": {"count": 2},
    }
    for name, options in probed.items():
        facts = [subject.probe(name, "conv2d", [X, W, None], PARAMETERS, **options) for subject in (here, there)]
        assert facts[0].keys() == facts[1].keys()
    with pytest.raises(ValueError, match="1x1 only") as refusal:
        there.call("conv2d", X, np.ones((3, 2, 2, 2), "f4"), None, **PARAMETERS)
    assert places.noted(refusal.value) == f'{tmp_path}/kernel.py:11  raise ValueError("1x1 only")'
    with pytest.raises(Crashed, match=rf"SIGSEGV .*\n  at     {tmp_path}/kernel\.py:17 in avg_pool2d"):
        there.call("avg_pool2d", X, size=(1, 1), stride=(1, 1))
