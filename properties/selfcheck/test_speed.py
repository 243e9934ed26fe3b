"""How fast the suite itself is: examples and comparisons a CPU second of the conv-forward property on small cases.

    pytest properties/selfcheck/test_speed.py --benchmark-only --benchmark-timer=time.process_time

A benchmark, not a timed test: nothing here fails for being slow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from impls import registry
from oracles.case import Case
from oracles.rounding import Arithmetic
from oracles.truth import inputs, truth
from properties.examiner import Examiner, set_under_test
from properties.recipes import EXACT
from properties.strategies import cases
from properties.test_values import test_output_equals_the_definition_exactly as property_of_values

ROOT = Path(__file__).parents[2]
EXAMPLES = 500
SIX = {
    "different": ("loops", "im2col", "im2col-tiled", "fft", "torch-cpu", "examples/c_kernel/conv2d.py:kernel"),
    "as quick as im2col": ("im2col",) * 6,  # which leaves what the suite itself takes
}


def examiner(spec: str) -> Examiner:
    found = Examiner(registry.subject(spec, ROOT), "conv2d")
    found.formats = ("float32",)
    return found


def run(test: Any) -> None:
    settings(max_examples=EXAMPLES, database=None, derandomize=True)(given(case=cases(EXACT, margin=range(4)))(test))()


def test_examples_of_one_implementation(benchmark: Any) -> None:
    pytest.importorskip("pytest_benchmark", reason="pip install -c constraints.txt pytest-benchmark")
    subject = examiner("im2col")
    set_under_test(subject)

    def examined(case: Case) -> None:
        property_of_values.law.one(subject, case)

    def examples() -> None:
        subject.begin(float("inf"))
        truth.cache_clear()
        run(examined)

    benchmark.pedantic(examples, rounds=3, warmup_rounds=1)
    assert subject.tallies["float32"].examples >= EXAMPLES
    if benchmark.stats is not None:
        benchmark.extra_info["examples_per_second"] = EXAMPLES / benchmark.stats.stats.median


@pytest.mark.parametrize("specs", SIX.values(), ids=SIX)
def test_comparisons_when_six_implementations_share_each_case(benchmark: Any, specs: tuple[str, ...]) -> None:
    pytest.importorskip("torch", reason="one of the six is torch")
    six = [examiner(spec) for spec in specs]
    drawn = examiner("torch-cpu")  # without options, so that all six can be asked for what is drawn,
    drawn.arithmetic = Arithmetic("fft")  # and with data on which a transform is exact too
    set_under_test(drawn)
    compared = 0

    def examples() -> None:
        nonlocal compared
        compared = 0
        truth.cache_clear()
        run(all_six)

    def all_six(case: Case) -> None:
        nonlocal compared
        data = inputs(case)
        for subject in six:
            verdict = subject.judge(case, subject.run(case, data))
            assert verdict.agrees, verdict.message
            compared += 1

    benchmark.pedantic(examples, rounds=3, warmup_rounds=1)
    assert compared >= 6 * EXAMPLES
    if benchmark.stats is not None:
        benchmark.extra_info["comparisons_per_second"] = compared / benchmark.stats.stats.median
