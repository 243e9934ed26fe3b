"""The faults of faulty.c, built, and written as a file of the user: each is an implementation of its own in it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("faulty.c")
NAMES = tuple(
    "".join(found)
    for found in re.findall(r"^(?:FAULT\((\w+),|void (\w+)\(PARAMETERS\)$)", SOURCE.read_text(), re.MULTILINE)
)


def written(directory: Path) -> Path:
    """Compile the faults, and write a faulty.py beside them: faulty.py:segfault is one. Needs a C compiler."""
    library, file = directory / "libfaulty.so", directory / "faulty.py"
    subprocess.run(["cc", "-std=c99", "-O1", "-g", "-w", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
    lines = [f"{name} = from_shared_library({str(library)!r}, {name!r})" for name in NAMES]
    file.write_text("\n".join(["from impls.bridges import from_shared_library", *lines, ""]))
    return file
