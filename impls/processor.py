"""The processor, as it names itself, and what else of the machine results may depend on. Standard library only."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

CPUINFO = Path("/proc/cpuinfo")


def model() -> str:
    """Its name, such as "AMD EPYC 9354"; its architecture, such as "arm64", where the system tells no more."""
    return _told("model name") or platform.processor() or platform.machine()


def vendor() -> str:
    """Who made it, in the twelve letters of its CPUID, such as "GenuineIntel"; "" where the system does not tell."""
    return _told("vendor_id")


def flags() -> list[str]:
    """The extensions of its instruction set, such as "avx512_bf16", by Linux' names; none where it does not tell."""
    return (_told("flags") or _told("Features")).split()


def machine() -> dict[str, Any]:
    """Describe the machine: processor, cores, Python and platform."""
    return {
        "processor": model(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def _told(field: str) -> str:
    """One field of the first of its cores."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == field), "")
