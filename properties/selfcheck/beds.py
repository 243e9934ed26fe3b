"""Faults planted around im2col, each beside the property that must catch it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from impls import im2col
from properties.selfcheck.running import bites, variant

Fault = Callable[..., Any]  # fault(correct, *arrays, **parameters)
Maker = Callable[[], Fault]  # a fresh one, which has seen no call


class Bed:
    """What is planted in one file."""

    def __init__(self) -> None:
        self.planted: list[Any] = []

    def __call__(self, law: Any, *operations: str) -> Callable[[Maker], Maker]:
        """Plant a fault in these operations, for this property to catch."""

        def plant(maker: Maker) -> Maker:
            for operation in operations:
                name = f"{maker.__name__}-{operation}-{law.__name__.removeprefix('test_')}"
                self.planted.append(pytest.param(law, operation, maker, id=name))
            return maker

        return plant


def caught(law: Any, operation: str, maker: Maker) -> Any:
    """Give the case and the verdict with which the property catches the fault. Raises AssertionError if it does not."""
    fault = functools.partial(maker(), getattr(im2col, operation))
    return bites(law, variant(**{operation: fault}), operation)
