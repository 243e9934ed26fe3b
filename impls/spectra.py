"""Discrete Fourier transforms of many small tiles at once, each stage of them one matrix product.

A fast transform does L log L operations, at the pace of short strided loops. A matrix product does L * L of them, at
the pace of the machine: for tiles of less than about a hundred cells it is through first. It can also do for nothing
what a transform cannot: take few of the cells in (a filter is small), leave most of the results out (a tile keeps a
part), and write its rows where the next stage wants them. Frequencies come first, the tiles and channels last:

    real        cells along a row -> (q, re | im), for q = 0 .. L//2: the others are their conjugates
    complex     down the columns  -> (q, l, re | im), for every frequency l
    back        the same two the other way, for the M cells that are wanted

What it costs. The products of length L grow as L; the real transform of an even length has an imaginary part of zeros
at q = L/2, so lengths along rows are odd.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from impls.arguments import Array


def half(L: int) -> int:
    """Count the frequencies of L real cells that are not conjugates of others."""
    return L // 2 + 1


@lru_cache(maxsize=64)
def real(L: int, cells: int, dtype: np.dtype[Any], conjugate: bool = False) -> Array:
    """Transform the first `cells` of L real cells: rows (q, re | im), columns the cells."""
    cosine, sine = _waves(L, half(L), cells)
    return _kept(np.stack([cosine, sine if conjugate else -sine], 1).reshape(2 * half(L), cells), dtype)


@lru_cache(maxsize=64)
def complex_(L: int, cells: int, dtype: np.dtype[Any], conjugate: bool = False) -> Array:
    """Transform the first `cells` of L complex cells: rows (l, re | im), columns (re | im, cells)."""
    cosine, sine = _waves(L, L, cells)
    sine = -sine if conjugate else sine
    rows = np.array([[cosine, sine], [-sine, cosine]])  # (re | im, re | im, l, cells)
    return _kept(rows.transpose(2, 0, 1, 3).reshape(2 * L, 2 * cells), dtype)


@lru_cache(maxsize=64)
def complex_back(L: int, cells: int, dtype: np.dtype[Any]) -> Array:
    """Transform back to the first `cells` of L complex cells: rows (re | im, cells), columns (l, re | im)."""
    cosine, sine = _waves(L, cells, L)
    rows = np.array([[cosine, -sine], [sine, cosine]]) / L  # (re | im, re | im, cells, l)
    return _kept(rows.transpose(0, 2, 3, 1).reshape(2 * cells, 2 * L), dtype)


@lru_cache(maxsize=64)
def real_back(L: int, cells: int, dtype: np.dtype[Any]) -> Array:
    """Transform back to the first `cells` of L real cells: rows (q, re | im), columns the cells."""
    cosine, sine = _waves(L, half(L), cells)
    weight = np.full((half(L), 1), 2.0)  # each stands for its conjugate too,
    weight[[0, -1] if L % 2 == 0 else [0]] = 1  # but for those that are real
    return _kept(np.stack([weight * cosine, -weight * sine], 1).reshape(2 * half(L), cells) / L, dtype)


def _waves(L: int, rows: int, columns: int) -> tuple[Array, Array]:
    """Give cos and sin of 2 pi i j / L, the angle brought below a whole turn while it is an integer."""
    turns = np.outer(np.arange(rows), np.arange(columns)) % L * (2 * np.pi / L)
    return np.cos(turns), np.sin(turns)


def _kept(matrix: Array, dtype: np.dtype[Any]) -> Array:
    """Round a matrix once and let nobody write it: it serves every later call."""
    matrix = np.ascontiguousarray(matrix, dtype)
    matrix.flags.writeable = False
    return matrix
