"""The environment of a process of its own: without secrets, and with what has the C library check memory."""

from __future__ import annotations

import os
import re
from pathlib import Path

from impls.isolation.heap_lock import DEBUGGING

SECRET = re.compile(
    r"TOKEN(?!IZ)|SECRET|PASSW|PASSPHRASE|PASSFILE|CREDENTIAL|COOKIE|(_|API|ACCESS|PRIVATE)_?KEY|_PWD$"
    r"|(^|_)(PASS|JWT|BEARER|PAT|AUTH)(_|$)",
    re.IGNORECASE,
)
LOGIN = re.compile(r"://[^/\s]*:[^/\s]*@|\b(pwd|password)\s*=", re.IGNORECASE)  # in an address, or to a database
FILLING, CHECKING = {"MALLOC_PERTURB_": "165"}, {"MALLOC_CHECK_": "3"}  # glibc's: fill memory, check heaps
LIBRARIES = ("/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64")


def environment(*, checked: bool = True) -> dict[str, str]:
    """Pass on the environment but for what looks like a secret; the C library fills memory, and checks it where asked.

    What checks it does not stand a fork beside other threads: the child may wait for a lock that none will give back.
    """
    passed = {name: value for name, value in os.environ.items() if not SECRET.search(name) and not LOGIN.search(value)}
    if not checked:
        return passed | FILLING
    debugging = next((path for folder in LIBRARIES if Path(path := f"{folder}/{DEBUGGING}").exists()), "")
    preload = " ".join(filter(None, (passed.get("LD_PRELOAD"), debugging)))
    return passed | FILLING | CHECKING | ({"LD_PRELOAD": preload} if preload else {})
