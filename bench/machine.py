"""What a run was made on: BLAS and its threads, versions, vector instructions, GPU."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from bench import clock

MAPS = Path("/proc/self/maps")
SUFFIXES = ("64_", "")  # NumPy's own build counts with 64-bit integers and says so in its names
PREFIXES = ("scipy_", "")
VECTOR = re.compile(r"sse|ssse|avx|fma|f16c|amx|neon|asimd|sve|rvv|altivec|vsx")


def described(cpu: dict[str, Any]) -> dict[str, Any]:
    """Describe the machine, beyond what pytest-benchmark says; cpu is its own description of the processor."""
    return {
        "blas": blas(),
        "numpy": np.__version__,
        "scipy": version("scipy"),
        "torch": version("torch"),
        "torch_threads": torch_threads(),
        "threads_wanted": {name: os.environ[name] for name in sorted(os.environ) if name.endswith("_NUM_THREADS")},
        "cores": os.cpu_count(),
        "flags": [flag for flag in cpu.get("flags", []) if VECTOR.match(flag)],
        "gpu": "" if clock.gpu() is None else clock.device(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def version(library: str) -> str:
    """Return the release of a library that is loaded, else ""."""
    return str(getattr(sys.modules.get(library), "__version__", ""))


def blas() -> dict[str, Any]:
    """Describe the library that NumPy multiplies matrices with."""
    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[call-overload,index]
    return {"name": built.get("name", ""), "version": built.get("version", ""), "threads": blas_threads()}


def blas_threads() -> int | None:
    """Ask the OpenBLAS that NumPy has loaded for its threads; None where there is none, or nobody to ask."""
    with contextlib.suppress(OSError):
        for path in sorted(set(re.findall(r"/\S*openblas\S*", MAPS.read_text())), key=lambda path: "64_" not in path):
            library = ctypes.CDLL(path)
            for name in (f"{prefix}openblas_get_num_threads{suffix}" for suffix in SUFFIXES for prefix in PREFIXES):
                if hasattr(library, name):
                    return int(getattr(library, name)())
    return None


def torch_threads() -> int | None:
    """Ask torch for its threads, if it is loaded."""
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


def threads() -> int:
    """Give the most threads that a library here computes with."""
    return max(blas_threads() or 1, torch_threads() or 1)
