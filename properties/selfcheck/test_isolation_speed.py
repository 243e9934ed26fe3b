"""What a process of its own costs: a small call with all checks, a new worker after a crash, and a whole run.

    pytest properties/selfcheck/test_isolation_speed.py --benchmark-only

A benchmark, not a timed test: nothing here fails for being slow. Wall time, since another process does the work.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from impls import registry
from impls.isolation import faulty
from impls.isolation.subject import IsolatedSubject
from properties.selfcheck.command_line import PROPERTIES, run

pytest.importorskip("pytest_benchmark", reason="pip install -c constraints.txt pytest-benchmark")

ROOT = Path(__file__).parents[2]
X, W = np.ones((1, 3, 8, 8), "f4"), np.ones((4, 3, 3, 3), "f4")
PARAMETERS = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")
@pytest.mark.parametrize("isolated", [False, True], ids=["in this process", "isolated"])
def test_a_small_call(benchmark: Any, tmp_path: Path, isolated: bool) -> None:
    faulty.written(tmp_path)
    load = IsolatedSubject if isolated else registry.subject
    subject = load("faulty.py:sound", tmp_path)
    y = benchmark.pedantic(lambda: subject.call("conv2d", X, W, None, **PARAMETERS), rounds=1000, warmup_rounds=20)
    assert (y == 27).all()


@pytest.mark.parametrize("spec", ["im2col", "torch-cpu"])
def test_a_new_worker(benchmark: Any, spec: str) -> None:
    if spec == "torch-cpu":
        pytest.importorskip("torch", reason="what is imported is torch")
    subject = IsolatedSubject(spec, ROOT)

    def again() -> Any:
        subject.process.fresh()
        return subject.call("conv2d", X, W, None, **PARAMETERS)

    assert (benchmark.pedantic(again, rounds=20, warmup_rounds=1) == 27).all()


@pytest.mark.parametrize("isolate", ["never", "always"])
def test_a_run(benchmark: Any, tmp_path: Path, isolate: str) -> None:
    options = (f"--isolate={isolate}", "--results=results", "--hypothesis-profile=ci", "--budget=600")
    files = [str(PROPERTIES / f"test_{name}.py") for name in ("values", "algebra_conv", "arrays", "repeatability")]
    implementation = f"--impl={ROOT / 'examples' / 'numpy_conv.py'}"
    done = benchmark.pedantic(lambda: run(tmp_path, *files, implementation, *options), rounds=1)
    assert done.returncode == 0, done.stdout
