"""What laws of algebra and worked examples tell of a failure, and what they decline."""

from __future__ import annotations

from fractions import Fraction

import pytest

from impls import im2col
from oracles import truth as truths
from oracles.case import Case
from properties import (
    test_algebra_conv,
    test_algebra_gradients,
    test_algebra_pool,
    test_algebra_symmetry,
    test_gradients,
    test_translation,
    test_worked_examples,
    test_worked_gradients,
    worked,
)
from properties.examiner import Spent
from properties.mutants import MUTANTS
from properties.mutants.laws_by_name import COLUMNS, TRAINED
from properties.mutants.planting import Mutant, Property, variant
from properties.selfcheck.running import examine

ALGEBRA = (test_algebra_conv, test_algebra_gradients, test_algebra_pool, test_algebra_symmetry, test_translation)
NOTES = (test_worked_examples, test_worked_gradients)


def planted(*modules: object) -> list[object]:
    """Give each property of these modules the first mutants of each operation that it catches."""
    names = {module.__name__ for module in modules}  # type: ignore[attr-defined]
    seen: dict[tuple[Property, str], Mutant] = {}
    for mutant in MUTANTS:
        for law in mutant.laws:
            if law.__module__ in names:
                seen.setdefault((law, mutant.operation), mutant)
    return [pytest.param(law, m, id=f"{law.__name__[5:]}-{m}") for (law, _), m in seen.items()]


@pytest.mark.parametrize(("law", "mutant"), planted(*ALGEBRA))
def test_a_law_of_algebra_tells_which_elements_differ(law: Property, mutant: Mutant) -> None:
    """A value, not merely a shape: that may be what is met first."""
    messages = []
    for seed in range(3):
        found = examine(law, mutant.make(), mutant.operation, examples=1000, seed=seed)
        assert found is not None
        assert found[1].kind == "differs", found[1].message
        messages.append(found[1].message)
        if "elements of" in found[1].message:
            break
    assert "elements of" in messages[-1], messages


@pytest.mark.parametrize(("law", "mutant"), planted(*NOTES))
def test_a_worked_example_tells_its_row_and_its_source(law: Property, mutant: Mutant) -> None:
    found = examine(law, mutant.make(), mutant.operation)
    assert found is not None
    assert "CS231n" in found[1].message or "Beginner's Guide" in found[1].message or found[1].kind != "differs"


def test_a_transposed_reading_differs_at_every_listed_place_off_the_diagonal() -> None:
    """Else the example could not tell it from the right one: V[i, j, k] is not V[j, i, k]."""
    line = "conv2d float32 n1c4k2g1 i11k5s2p0,0d1 i11k5s2p0,0d1 narrow:24 seed=7 bias volume=11x11x4"
    y = truths.truth(Case.parse(line))[0].value[0]
    for i, j, k in test_worked_examples.LISTED:
        assert i == j or y[k, j, i] != y[k, i, j]


def test_a_layer_that_would_take_too_long_is_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of it is timed first, and no failure is made of its slowness."""
    monkeypatch.setattr(worked, "PATIENCE", 0.0)
    with pytest.raises(Spent):
        examine(COLUMNS, im2col, "conv2d")


def test_a_network_that_lacks_its_pools_is_declined():
    alone = variant(max_pool2d=None, max_pool2d_backward=None)
    with pytest.raises(AssertionError, match="the network also needs max_pool2d"):  # nothing was examined
        examine(TRAINED, alone, "conv2d_backward", examples=3)


def test_an_inner_product_beyond_all_floats_is_told_as_infinite():
    found = test_gradients.same_number("<x, dx>", Fraction(-(10**400)), Fraction(3), Fraction(0))
    assert found.message == "<x, dx> is -inf where 3 is due; on integers it must not differ"
