"""The oracle against torch on small random cases of each operation: forward, and backward through autograd.

1,000 of each; 5,000 with --hypothesis-profile=thorough.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
from hypothesis import settings

from oracles import truth as truths
from oracles.case import CONVOLUTIONS, OPERATIONS, Case
from oracles.data import arrays
from oracles.geometry import Axis, Geometry
from oracles.rounding import DIRECT
from oracles.verdict import Verdict, judge
from properties.choices import Choices
from properties.recipes import BOUNDED, EXACT, ORDERED, spelled
from properties.selfcheck.torch_answers import answer

CASES = {"quick": 250, "thorough": 5000}  # of each operation, in these profiles
FIELDS = ("extent", "stride", "dilation", "before", "after", "uneven", "margin")
CHOICES = ("dtype", "real", "recipe", "extra", "ceil", *"GNCK", *(f"{name} {side}" for name in FIELDS for side in "HW"))


def cases(operation: str, seed: int | str) -> Iterator[Case]:
    """Endless cases of an operation, others for each seed; Hypothesis would take as long again to draw them."""
    rng = random.Random(f"{operation} {seed}")
    places = {name: place for place, name in enumerate(CHOICES)}
    while True:
        yield case(operation, Choices(places, rng.randbytes(len(places) + 2)))


def case(operation: str, choices: Choices) -> Case:
    """Make a case, as small as the plain loops want it; half of them of whole numbers, half of real ones."""
    pick, has, convolves = choices.pick, choices.has, operation in CONVOLUTIONS
    ceil = not convolves and has("ceil")
    axes = [axis(choices, side, ceil, pool=not convolves) for side in "HW"]
    groups = pick("G", (1, 1, 2)) if convolves else 1
    filters = groups * pick("K", (1, 2)) if convolves else 0
    g = Geometry(pick("N", (1, 1, 2, 2, 0)), groups * pick("C", (1, 2)), axes[0], axes[1], filters, groups)
    whole = ORDERED if operation.startswith("max") else EXACT
    dtype = pick("dtype", ("float32", "float64"))
    recipe = spelled(pick("recipe", BOUNDED if has("real") else whole), operation, dtype, g, DIRECT, choices.seed)
    bias, include_pad = operation == "conv2d" and has("extra"), not (operation.startswith("avg") and has("extra"))
    return Case(operation, dtype, g, recipe, choices.seed, bias, include_pad)


def axis(choices: Choices, side: str, ceil: bool, *, pool: bool) -> Axis:
    """Make an axis whose windows fit, none of a pool's lying wholly in the padding; half of them padded unevenly."""
    extent, stride = (choices.pick(f"{name} {side}", (1, 2, 3, 4)) for name in ("extent", "stride"))
    step = choices.pick(f"dilation {side}", (1, 1, 2, 3)) if extent > 1 else 1
    before, after = (choices.pick(f"{name} {side}", range(extent if pool else 4)) for name in ("before", "after"))
    after = after if choices.has(f"uneven {side}") else before
    least = max(1, step if pool else 1, step * (extent - 1) + 1 - before - after)
    return Axis(least + choices.pick(f"margin {side}", range(5)), extent, stride, step, before, after, ceil)


def held(case: Case) -> Verdict:
    """Hold what torch answers against the oracle's truth."""
    data = arrays(case)
    if case.operation == "conv2d" and not case.bias:
        del data["b"]
    asked: dict[str, np.ndarray | None] = dict(data)
    if case.operation == "max_pool2d_backward":
        asked["switches"] = truths.switches(case, data["x"])
    return judge(truths.judged(case, asked), answer(case, data))


@pytest.mark.parametrize("operation", OPERATIONS[1:])
def test_torch_is_right_by_the_oracle(operation, pytestconfig):
    """Exactly on whole numbers, switches among them, and within the derived bound on others."""
    pytest.importorskip("torch", reason="the oracle is held against torch here")
    seed = pytestconfig.getoption("hypothesis_seed", None)  # make test takes others in each commit
    drawn = cases(operation, secrets.randbits(32) if seed is None else seed)
    verdicts = [(case, held(case)) for case in islice(drawn, CASES.get(settings.get_current_profile_name(), 1000))]
    wrong = [(case, verdict) for case, verdict in verdicts if not verdict.agrees]
    least, verdict = min(wrong, key=lambda pair: pair[0].geometry.macs, default=(None, Verdict()))
    assert not wrong, f"{len(wrong)} of {len(verdicts)} cases differ, the smallest is {least}\n{verdict.message}"
