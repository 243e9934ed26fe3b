"""What the tests of implementations are given."""

from __future__ import annotations

from typing import Any

import pytest

from impls import registry


@pytest.fixture
def implementation(request: pytest.FixtureRequest) -> Any:
    """The implementation of that name, where its library is installed."""
    (missing,) = (entry.missing for entry in registry.entries() if entry.name == request.param)
    if missing:
        pytest.skip(missing)
    return registry.load(request.param)
