"""A convolution in C, compiled when it is first asked for and called through ctypes.

    pytest properties/ --impl=examples/c_kernel/conv2d.py:kernel

It runs in a process of its own: a kernel that crashes gets a verdict, and the run goes on.
"""

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from impls.bridges import from_shared_library

SOURCE = Path(__file__).with_name("conv2d.c")
COMPILE = ["cc", "-std=c99", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC"]


def built():
    """Compile the source unless that has been done: the library's name tells the source and the command apart."""
    told = hashlib.sha256(SOURCE.read_bytes() + " ".join(COMPILE).encode()).hexdigest()[:12]
    library = SOURCE.parent / "build" / f"conv2d-{told}.so"
    if not library.exists():
        library.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
            fresh = Path(scratch, library.name)
            subprocess.run([*COMPILE, "-o", fresh, SOURCE], check=True)
            os.replace(fresh, library)  # in one step, so that runs at the same time do not see half a library
    return library


kernel = from_shared_library(built(), "conv2d_f32", float64="conv2d_f64")
kernel.name = "c-conv"
