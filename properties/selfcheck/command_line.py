"""A user's folder and command: pytest is started anew, far from the clone, with an environment that brings nothing."""

# ruff: noqa: E501 - what is printed on one line stands on one line

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from reports import ledger

ROOT = Path(__file__).parents[2]
PROPERTIES = ROOT / "properties"
VALUES = str(PROPERTIES / "test_values.py")
QUICK = ("--results=results", "--hypothesis-profile=ci")
CASE = "conv2d float32 n1c1k1g1 i1k1s1p0,0d1 i2k2s1p0,0d1 narrow:24 seed=1"

FILES = {
    "mine.py": (ROOT / "examples/numpy_conv.py").read_text(),
    "flipped.py": "from mine import conv2d as right\ndef conv2d(x, w, b, **p): return right(x, w[..., ::-1, ::-1], b, **p)\n",
    "one.py": "from impls.im2col import l2_pool2d\n",
    "several.py": "from impls import im2col\nfrom mine import conv2d as c\nclass Two:\n    conv2d = staticmethod(c)\nready = Two()\n",
    "package/__init__.py": "",
    "package/kernel.py": "from impls import im2col\nfrom impls.im2col import avg_pool2d\n",
    "notes.txt": "to do\n",
    "syntax.py": "def conv2d(:\n",
    "raises.py": "import os\nlimit = int(os.environ['KERNEL_LIMIT'])\n",
    "lacks.py": "from kernels_of_mine import conv2d\n",
    "empty.py": "answer = 42\n",
    "senseless.py": "from impls.im2col import conv2d\ndtypes = ['float31']\n",
    "number.py": "conv2d = 3\n",
    "never.py": "from impls.im2col import conv2d\ndef supports(operation, **p): return 'not yet written'\n",
    "vague.py": "from impls.im2col import conv2d\ndef supports(operation, **p): return False\n",
}


def fill(folder: Path) -> Path:
    """A folder with a user's files, far from the clone."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def run(directory: Path, *arguments: str, variables: dict[str, str] | None = None, **options):
    """Start pytest in a folder, with an environment that brings nothing along but the variables given."""
    return subprocess.run(
        command(*arguments), cwd=directory, env=environment(directory) | (variables or {}), text=True, timeout=120,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options,
    )  # fmt: skip


def command(*arguments: str) -> list[str]:
    """Give the command line of pytest, in this interpreter."""
    return [sys.executable, "-B", "-m", "pytest", *arguments]


def environment(directory: Path) -> dict[str, str]:
    """Give all that a run inherits."""
    return {"HOME": str(directory), "PATH": "/usr/bin:/bin", "COLUMNS": "100"}


def verdicts(directory: Path) -> dict[tuple[str, str, str], str]:
    """The worst verdict on each implementation, property and operation of the last run."""
    found: dict[tuple[str, str, str], str] = {}
    for row in ledger.rows(directory / "results"):
        key = (row.implementation, row.property.partition("::")[2], row.operation)
        found[key] = min(found.get(key, row.verdict), row.verdict, key=list(ledger.VERDICTS).index)
    return found
