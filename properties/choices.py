"""A strategy that makes something of named choices, each decided by one byte of what is drawn, whatever the others are.

A draw for each choice costs Hypothesis three times as much as one draw of bytes, which it shrinks byte by byte all the
same; and what it draws again and again then differs in many choices, not in one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st

T = TypeVar("T")

_SEED = 2  # bytes


class Choices:
    """What was drawn: a byte for each choice, by name, and a seed."""

    def __init__(self, places: dict[str, int], drawn: bytes) -> None:
        self._places, self._drawn = places, drawn

    @property
    def seed(self) -> int:
        """A number below 65,536."""
        return int.from_bytes(self._drawn[-_SEED:])

    def pick(self, choice: str, values: Sequence[Any]) -> Any:
        """One of at most 256 values; earlier ones are simpler."""
        return values[self._drawn[self._places[choice]] * len(values) >> 8]

    def has(self, choice: str) -> bool:
        """Whether there is something that half of what is made does without."""
        return self._drawn[self._places[choice]] > 127


def made(names: Sequence[str], make: Callable[[Choices], T]) -> st.SearchStrategy[T]:
    """What `make` makes of choices with these names."""
    places, size = {name: place for place, name in enumerate(names)}, len(names) + _SEED
    return st.binary(min_size=size, max_size=size).map(lambda drawn: make(Choices(places, drawn)))


def numbered(names: Sequence[str], make: Callable[[Choices], T], count: int) -> st.SearchStrategy[T]:
    """What `make` makes of `count` sets of choices, the same in each run: Hypothesis ends when it has met them all.

    The seed of each is its number.
    """
    places = {name: place for place, name in enumerate(names)}

    def drawn(number: int) -> bytes:
        return np.random.default_rng(number).bytes(len(names)) + number.to_bytes(_SEED)

    return st.sampled_from(range(count)).map(lambda number: make(Choices(places, drawn(number))))
