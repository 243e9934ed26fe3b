"""Every test stands in a folder of its own: what lies in the clone, such as .benchmarks, is not drawn by chance."""

import pytest


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
