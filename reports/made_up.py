"""Made-up benchmark files for the tests: seeded, small, and with answers that are known beforehand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from oracles.case import Case
from reports import made_up_experiments as rows

LAYERS = {
    "alexnet-conv1": ("conv2d", "n1c3k96g1 i227k11s4p0,0d1 i227k11s4p0,0d1"),
    "alexnet-conv3": ("conv2d", "n1c256k384g1 i13k3s1p1,1d1 i13k3s1p1,1d1"),
    "vgg16-conv1_2": ("conv2d", "n1c64k64g1 i224k3s1p1,1d1 i224k3s1p1,1d1"),
    "vgg16-conv4_2": ("conv2d", "n1c512k512g1 i28k3s1p1,1d1 i28k3s1p1,1d1"),
    "resnet50-56-1x1-256-64": ("conv2d", "n1c256k64g1 i56k1s1p0,0d1 i56k1s1p0,0d1"),
    "large-31": ("conv2d", "n1c8k8g1 i128k31s1p15,15d1 i128k31s1p15,15d1"),
    "vgg16-pool1": ("max_pool2d", "n1c64 i224k2s2p0,0d1 i224k2s2p0,0d1"),
    "average-3x3": ("avg_pool2d", "n1c96 i55k3s2p0,0d1 i55k3s2p0,0d1"),
}
SIZES = {
    "W": (8, 12, 16, 24, 32, 48, 64),
    "F": (1, 3, 5, 7, 9, 11),
    "S": (1, 2, 3, 4, 6, 8),
    "C": (8, 12, 16, 24, 32, 64),
}
BASE = {"C": 16, "W": 32, "F": 3, "S": 1}
BASELINE = "im2col"  # measured a second time
RATES = {"torch-cpu": 50e9, "im2col": 40e9, "im2col+textbook": 25e9, "fft": 10e9}  # multiply-adds a second
BETTER = {("torch-cpu", "resnet50-56-1x1-256-64"): 0.6, ("torch-cpu", "vgg16-pool1"): 0.2, ("fft", "large-31"): 40.0}
EXPONENTS = {"W": 2.0, "F": 2.0, "S": -2.0, "C": 1.0}
PEAK, BANDWIDTH = 100e9, 25e9  # operations and bytes a second


def document(
    seed: int = 0,
    rounds: int = 12,
    within: float = 0.01,
    between: float = 0.004,
    slower: Mapping[tuple[str, str], float] | None = None,
    whole: bool = True,
) -> dict[str, Any]:
    """Make up a file; less than the `whole` is layers alone.

    Rounds vary by the fraction `within`, each entry as a whole by `between`. `slower` multiplies the times of an
    (implementation, layer). Every implementation has its rate, so that each ratio and each exponent is known; `fft`
    takes no strides, and the loops are too slow.
    """
    rng = np.random.default_rng(seed)
    entries, refused = [], []

    def timed(kind: str, layer: str, operation: str, name: str, line: str, **more: Any) -> None:
        case = Case.parse(f"{operation} float32 {line} gauss seed=1")
        macs = case.geometry.macs * (2 if operation.endswith("_backward") else 1)
        seconds = macs / RATES[name] / BETTER.get((name, layer), 1.0) * (slower or {}).get((name, layer), 1.0)
        entries.append(entry(rng, kind, layer, operation, name, seconds, rounds, within, between) | {
            "case": str(case), "macs": macs, "flops": 2 * macs, "bytes": case.geometry.bytes(4), **more,
        })  # fmt: skip

    for layer, (forward, line) in LAYERS.items():
        for operation in (forward, f"{forward}_backward"):
            for name in RATES:
                if name == "fft" and ("s2" in line or "s4" in line):
                    refused.append(_refused(layer, operation, name, line) | {"reason": "unsupported: strides above 1"})
                elif layer == "large-31" and name == "im2col+textbook" and operation == "conv2d_backward":
                    wrong = {"reason": "wrong, not timed", "detail": "12 of 96 outputs differ"}
                    refused.append(_refused(layer, operation, name, line) | wrong)
                else:
                    timed("layer", layer, operation, name, line, **_memory(line, forward, name))
            refused.append(_refused(layer, operation, "loops", line) | {"reason": "too slow, estimated 3.4 s"})
    for layer, (operation, line) in LAYERS.items():
        timed("again", layer, operation, BASELINE, line)
    for letter, values in SIZES.items() if whole else ():
        for value in values:
            for name in ("torch-cpu", "im2col"):
                swept = {"sweep": letter, "value": value}
                timed("sweep", f"sweep-{letter}-{value}", "conv2d", name, _swept(letter, value), **swept)
    for n in (256, 512, 1024) if whole else ():
        done = {"flops": 2 * n**3, "macs": n**3, "bytes": 3 * 4 * n * n}
        named = ("roofline", f"matmul-{n}", "matmul", "numpy")
        entries.append(entry(rng, *named, done["flops"] / PEAK, rounds, within, between / 4) | done)
    for megabytes, rate in ((1, 4 * BANDWIDTH), (64, BANDWIDTH)) if whole else ():
        moved = {"flops": 0, "macs": 0, "bytes": 2 * megabytes * 10**6}
        named = ("roofline", f"copy-{megabytes}MB", "copy", "numpy")
        entries.append(entry(rng, *named, moved["bytes"] / rate, rounds, within, between / 4) | moved)
    experiments: dict[str, list[dict[str, Any]]] = {"pool_or_stride": [], "stride": []}
    for table, made in (("pool_or_stride", rows.pool_or_stride), ("stride", rows.strides)):
        for name, seconds in (("im2col", 2e-3), ("torch-cpu", 1.5e-3)) if whole else ():
            for layer, row in made(name, seconds):
                info = entry(rng, "experiment", layer, "conv2d", name, row["cpu_seconds"], rounds, within, between)
                entries.append(info | {"macs": row["macs"]})
                experiments[table].append(row | {"cpu_seconds": float(np.median(info["cpu_seconds"]))})
    experiments |= {"translation": [*rows.translation()], "feature_maps": [*rows.feature_maps(rng)]}
    return {
        "machine_info": {
            "python_version": "3.11.7", "numpy": "2.4.6", "torch": "2.13.0+cpu", "flags": "avx2 avx512f", "gpu": "",
            "cpu": {"brand_raw": "AMD EPYC 9B14"}, "blas": {"name": "openblas", "version": "0.3.31", "threads": 1},
        },
        "commit_info": {"id": "272e1fdd64997a9742338585a5a127d6ebce4a0c", "dirty": False},
        "datetime": "2026-11-20T17:00:00+00:00",
        "version": "5.2.3",
        "benchmarks": [_as_saved(each) for each in entries],
        "poolproof": {"schema": 1, "not_timed": refused, "experiments": experiments},
    }  # fmt: skip


def times_as_fast(name: str, layer: str) -> float:
    """Return the true ratio to the baseline."""
    return RATES[name] / RATES[BASELINE] * BETTER.get((name, layer), 1.0) / BETTER.get((BASELINE, layer), 1.0)


def entry(
    rng: np.random.Generator, kind: str, layer: str, operation: str, name: str, seconds: float, rounds: int,
    within: float, between: float,
) -> dict[str, Any]:  # fmt: skip
    """Make up the extra_info of one entry."""
    drawn = seconds * np.exp(between * rng.standard_normal()) * (1 + within * rng.exponential(size=rounds))
    return {
        "kind": kind, "layer": layer, "sweep": "", "operation": operation, "implementation": name, "case": "",
        "device": "cpu", "threads": 1, "cpu_seconds": [float(each) for each in drawn], "minor_faults": 0,
        "major_faults": 0, "result_bytes": 4096, "verdict": "agrees", "checked": 4096, "ratio": 0.25,
    }  # fmt: skip


def saved(folder: Path, content: Mapping[str, Any] | None = None, name: str = "0001_made-up.json") -> Path:
    """Write a file as pytest-benchmark would: below a folder for the machine."""
    path = folder / "Linux-CPython-3.11-64bit" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document() if content is None else content))
    return path


def _as_saved(info: dict[str, Any]) -> dict[str, Any]:
    name = f"test_{info['kind']}[{info['layer']}-{info['operation']}-{info['implementation']}]"
    data = info["cpu_seconds"]
    stats = {"median": float(np.median(data)), "rounds": len(data), "data": data}
    return {"name": name, "fullname": f"bench/test_speed.py::{name}", "group": f"{info['kind']} {info['layer']}",
            "stats": stats, "extra_info": info}  # fmt: skip


def _refused(layer: str, operation: str, name: str, line: str) -> dict[str, Any]:
    return {"kind": "layer", "layer": layer, "sweep": "", "value": None, "operation": operation, "implementation": name,
            "case": f"{operation} float32 {line} gauss seed=1", "reason": "", "detail": ""}  # fmt: skip


def _memory(line: str, operation: str, name: str) -> dict[str, Any]:
    if not operation.startswith("conv2d"):
        return {}
    geometry = Case.parse(f"conv2d float32 {line} gauss seed=1").geometry
    if operation == "conv2d_backward":
        return {"gemm_seconds": 2 * geometry.macs / 48e9}
    columns = 4 * geometry.terms * geometry.vertical.out * geometry.horizontal.out
    peak = {"im2col": min(columns, 2**20), "im2col+textbook": columns}.get(name, 0)
    return {"columns_bytes": columns, "peak_extra_bytes": peak + 4096, "peak_method": "tracemalloc",
            "gemm_seconds": geometry.macs / 44e9}  # fmt: skip


def _swept(letter: str, value: int) -> str:
    sizes = BASE | {letter: value}
    axis = "i{W}k{F}s{S}p{P},{P}d1".format(**sizes, P=sizes["F"] // 2)
    return f"n1c{sizes['C']}k16g1 {axis} {axis}"
