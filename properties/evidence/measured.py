"""Claims on time: operations are counted, and what was timed is read from the sample of measurements kept in git."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from properties.evidence.finding import Finding, decides
from properties.evidence.kernels import Kernels
from properties.worked import layer

SAMPLE = Path(__file__).parents[2] / "reports" / "samples" / "bench.json"
POOLED = {"max": "A", "average": "A-average", "L2": "A-l2"}  # bench/steps.py has these steps of a network, B and C

Row = dict[str, Any]


@cache
def sampled() -> dict[str, list[Row]]:
    """Give the tables of the experiments by name."""
    tables: dict[str, list[Row]] = json.loads(SAMPLE.read_text(encoding="utf-8"))["poolproof"]["experiments"]
    return tables


def table(name: str) -> list[Row]:
    """Give the rows of an experiment."""
    return sampled()[name]


def timed(variant: str) -> dict[str, float]:
    """Give the seconds that a variant of the step took in each cell: by implementation, F and S, told in words."""
    rows = [row for row in table("pool_or_stride") if row["variant"] == variant]
    return {f"{row['implementation']}, F={row['F']}, S={row['S']}": row["cpu_seconds"] for row in rows}


def share(cells: Sequence[bool]) -> str:
    """Say in how many cells something is so, in a word that outlives the next recording."""
    part = sum(cells) / len(cells)
    return "in all" if part == 1 else "in most" if part > 0.5 else "in some" if part else "in none"


def multiplies_matrices(cell: str) -> bool:
    """Tell whether a cell is of an implementation whose convolution is a matrix product."""
    return not cell.startswith(("loops", "fft"))


def pool_against_convolution(finding: Finding) -> None:
    """Enter the cells in which max pooling came, or did not come, sooner to an end than a convolution of its stride.

    A is a convolution with a pool of S x S behind it, B the same one with a convolution at stride S behind it, from the
    same image to as many outputs: whatever tells them apart in time is the pool and the second convolution.
    """
    second = timed("B")
    for cell, seconds in timed(POOLED["max"]).items():
        finding.see(seconds < second[cell], f"{cell}: {1000 * seconds:.2f} ms and {1000 * second[cell]:.2f} ms")
    with_max, with_average = timed(POOLED["max"]), timed(POOLED["average"])
    longer = [seconds > second[cell] for cell, seconds in with_max.items() if multiplies_matrices(cell)]
    shorter = [seconds < second[cell] for cell, seconds in with_average.items() if multiplies_matrices(cell)]
    others = [seconds < second[cell] for cell, seconds in with_max.items() if not multiplies_matrices(cell)]
    finding.figure(f"longer {share(longer)}", f"shorter {share(shorter)}", f"pooling is shorter {share(others)}")


@decides("pooling-cheaper-than-convolution")
def pool_cheaper(k: Kernels) -> Finding:
    """Compare the comparisons of a pool with the multiply-adds of a convolution alike, and both in time."""
    finding = Finding()
    for W, C, F, S in product((5, 8, 56), (1, 2, 3, 64), (1, 2, 3), (1, 2, 3)):
        convolution, pool = (layer(W, C, F=F, S=S, P=F // 2, K=K) for K in (C, 0))
        finding.see(pool.macs < convolution.macs, f"{pool}: {pool.macs} and {convolution.macs}", within=C > 1)
    pool_against_convolution(finding)
    convolution, pool = (layer(56, 64, F=3, S=2, P=1, K=K) for K in (64, 0))
    finding.figure(pool.macs, convolution.macs, convolution.macs // pool.macs)
    return finding


@decides("pooling-cheaper-than-a-second-convolution")
def second_convolution(k: Kernels) -> Finding:
    """Compare, behind the same convolution at stride 1, a pooling by S with a convolution at stride S."""
    finding = Finding()
    for C, F, S in product((1, 2, 3, 64), (1, 3, 5), (2, 3, 4)):
        pooled, strided = layer(12, C, F=S, S=S, K=0), layer(12, C, F=F, S=S, P=F // 2, K=C)
        assert pooled.y_shape == strided.y_shape  # the same volume comes out
        told = f"C={C}, F={F}, S={S}: {pooled.macs} and {strided.macs}"
        finding.see(pooled.macs < strided.macs, told, within=S * S < C * F * F)
    pool_against_convolution(finding)
    first, pooled = layer(56, 64, F=3, P=1, K=64).macs, layer(56, 64, F=2, S=2, K=0).macs
    finding.figure(first + pooled, first + layer(56, 64, F=3, S=2, P=1, K=64).macs)
    return finding


@decides("stride-cheaper-than-pooling-after-stride-1")
def stride_cheaper(k: Kernels) -> Finding:
    """Compare a convolution at stride 2 with one at stride 1 and a pooling by 2, in work and in time.

    Less time is less by a tenth: an FFT gives all outputs at once, at any stride, and the pool behind it costs as good
    as nothing beside it.
    """
    finding = Finding()
    for W, C, F in product(range(2, 13), (1, 3, 64), (1, 3, 5)):
        dense, strided = (layer(W, C, F=F, S=S, P=F // 2, K=4) for S in (1, 2))
        pool = layer(W, 4, F=2, S=2, K=0)
        work = strided.macs, dense.macs + pool.macs
        finding.see(work[0] < work[1], f"{strided}: {work[0]} and {work[1]}", within=True)
    for name, variant in POOLED.items():
        pooled = timed(variant)
        for cell, seconds in timed("C").items():
            if cell.endswith("S=2"):
                told = f"{cell}, {name}: {seconds / pooled[cell]:.2f} of the time"
                finding.see(seconds < 0.9 * pooled[cell], told, within=not cell.startswith("fft"))
    dense, strided = (layer(56, 64, F=3, S=S, P=1, K=64).macs for S in (1, 2))
    finding.figure(dense, layer(56, 64, F=2, S=2, K=0).macs, strided)
    return finding


@decides("stride-2-is-a-quarter")
def quarter(k: Kernels) -> Finding:
    """Count the multiply-adds at stride 1 and at stride 2."""
    finding = Finding()
    for W, F, P in product(range(1, 13), (1, 2, 3, 5), (0, 1, 2)):
        if F <= W + 2 * P:
            dense, strided = (layer(W, 3, F=F, S=S, P=P, K=4) for S in (1, 2))
            told = f"{strided}: {strided.macs} of {dense.macs}"
            finding.see(4 * strided.macs == dense.macs, told, within=dense.horizontal.out % 2 == 0)
    places = [layer(7, 1, F=1, S=S).macs for S in (1, 2)]
    finding.figure(f"{places[1]} of {places[0]}")
    return finding
