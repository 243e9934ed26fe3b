"""All mutants, from one module for each class of fault: `MUTANTS` is complete once this is imported."""

from properties.mutants import (
    accumulation,
    aliasing,
    axes,
    bias,
    borders,
    combinations,
    flips,
    gradients,
    groups,
    indexing,
    layouts,
    nondeterminism,
    precision,
    refusals,
    shape,
    sizes,
    specials,
    state,
    switches,
)
from properties.mutants.planting import MUTANTS

CLASSES = (
    shape,
    refusals,
    indexing,
    axes,
    borders,
    accumulation,
    groups,
    flips,
    bias,
    precision,
    specials,
    switches,
    sizes,
    state,
    aliasing,
    layouts,
    nondeterminism,
    gradients,
    combinations,
)

__all__ = ["CLASSES", "MUTANTS"]
