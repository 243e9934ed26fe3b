"""Each mutant is caught by each of its properties alone; what is right though unusual passes them all."""

from __future__ import annotations

import importlib
import inspect
import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from properties.mutants import CLASSES, MUTANTS
from properties.mutants.laws_by_name import PREPARED
from properties.mutants.planting import Mutant, Property
from properties.mutants.prepared import with_prepared
from properties.mutants.variants import VARIANTS, Variant
from properties.selfcheck.running import examine

FILES = sorted(Path(__file__).parents[1].glob("test_*.py"))
MODULES = [importlib.import_module(f"properties.{file.stem}") for file in FILES]
LAWS = [law for module in MODULES for law in vars(module).values() if hasattr(law, "law")]
SPOKEN = [(law, operation) for law in LAWS for operation in law.law.operations]

CAUGHT = [(mutant, law) for mutant in MUTANTS for law in mutant.laws]
PASSED = [
    (each, law, operation)
    for each in VARIANTS
    for law in LAWS
    for operation in each.operations
    if operation in law.law.operations and law is not PREPARED  # for none of them prepares filters
]
PART = 4  # one pair in so many is tried, others with each seed; all of them where -k chooses, and by `make mutants`


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the mutants and variants that are tried, by the seed of the run."""
    names = ",".join(metafunc.fixturenames)
    pairs = {"mutant,law": CAUGHT, "each,law,operation": PASSED}.get(names)
    if pairs is not None:
        seed = metafunc.config.getoption("--hypothesis-seed") or 0
        count = len(pairs) if metafunc.config.option.keyword else len(pairs) // PART
        chosen = random.Random(f"{seed} {names}").sample(range(len(pairs)), count)
        its = [pairs[number] for number in sorted(chosen)]
        metafunc.parametrize(names, its, ids=["-".join(_told(part) for part in pair) for pair in its])


def _told(part: Any) -> str:
    return f"{part.kind}-{part}" if isinstance(part, Mutant) else short(part) if hasattr(part, "law") else str(part)


def short(law: Property) -> str:
    return law.__name__.removeprefix("test_")


def test_a_mutant_is_caught_by_each_of_its_properties_alone(mutant: Mutant, law: Property) -> None:
    found = examine(law, mutant.make(), mutant.operation, examples=1000)  # most are found among the first ten
    assert found is not None, f"{law.law.title!r} misses what behaves like: {mutant.sentence}"  # type: ignore[attr-defined]


def test_im2col_passes_with_filters_prepared() -> None:
    """Without them it is under test wherever the properties are run."""
    sound = with_prepared(lambda correct, x, w, b, **p: correct(x, w[0], b, **p))
    assert examine(PREPARED, sound, "conv2d", examples=100) is None


def test_what_is_right_though_unusual_passes(each: Variant, law: Property, operation: str) -> None:
    try:
        found = examine(law, each.make(), operation, examples=30)
    except ModuleNotFoundError as error:
        pytest.skip(f"{each} needs {error.name}")
    except AssertionError as error:
        if not str(error).startswith("nothing was examined"):
            raise
        pytest.skip(str(error))  # numbers of the notes that a transform's bound does not make exact
    assert found is None, f"{found[0]}\n{found[1].message}"


def test_every_property_has_been_seen_to_fail_on_every_operation_that_it_speaks_of() -> None:
    seen = {(law, mutant.operation) for mutant, law in CAUGHT}
    assert [(law.__name__, operation) for law, operation in SPOKEN if (law, operation) not in seen] == []


def test_there_are_mutants_enough_of_every_class() -> None:
    kinds = {module.__name__.rpartition(".")[2] for module in CLASSES}
    assert {mutant.kind for mutant in MUTANTS} == kinds
    assert len({mutant.name for mutant in MUTANTS}) >= 120
    assert len(VARIANTS) >= 12


@pytest.mark.parametrize("module", CLASSES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_class_is_told_in_a_sentence(module: object) -> None:
    first = (inspect.getdoc(module) or "").split("\n")[0]
    assert first.endswith(".")


@pytest.mark.parametrize("mutant", MUTANTS + VARIANTS, ids=str)
def test_what_it_does_is_told_in_a_sentence(mutant: Mutant | Variant) -> None:
    """It stands after the words `behaves like:`."""
    assert mutant.sentence.endswith(".")
    assert not mutant.sentence[:1].islower() or mutant.sentence.startswith(("db ", "dw ", "dx ", "dy ", "x "))


def test_no_two_mutants_of_an_operation_have_one_name_or_one_sentence() -> None:
    for told in ("name", "sentence"):
        all_of_them = sorted((getattr(mutant, told), mutant.operation) for mutant in MUTANTS)
        assert [one for one, other in itertools.pairwise(all_of_them) if one == other] == []


def test_a_mutant_made_anew_has_seen_no_call() -> None:
    mutant = next(each for each in MUTANTS if each.name == "returns_its_buffer")
    one, other = mutant.make(), mutant.make()
    assert one is not other
    assert getattr(one, mutant.operation) is not getattr(other, mutant.operation)
