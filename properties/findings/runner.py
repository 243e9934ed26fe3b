"""Run a finding's script in a process of its own, and hold what it says against the record."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata

from impls import processor
from properties.findings.records import Finding, release

LIMIT = 300.0  # seconds; a first call may compile
PRESENT, MENDED, MISSING, UNKNOWN = "present", "mended", "not installed", "not recorded"
_STATUS = {1: PRESENT, 0: MENDED, 2: MISSING}


@dataclass(frozen=True)
class Outcome:
    """What one script said: `told` is one of the three words, or why there is none; `printed` its last lines."""

    finding: Finding
    version: str
    told: str
    printed: str

    @property
    def expected(self) -> str:
        """What the record says of this release."""
        if not self.version:
            return MISSING
        if self.elsewhere:
            return UNKNOWN
        present = self.finding.expects(self.version)
        return UNKNOWN if present is None else PRESENT if present else MENDED

    @property
    def elsewhere(self) -> bool:
        """Whether the record speaks of other processors than this one."""
        return bool(self.version) and self.finding.processor not in ("", processor.vendor())

    @property
    def recorded(self) -> bool:
        """Whether the script was run in this very release before; a build such as 2.13.0+cpu is of release 2.13.0."""
        runs = (*self.finding.seen, *self.finding.unseen)
        return bool(self.version) and release(self.version) in map(release, runs)

    @property
    def changed(self) -> bool:
        """Whether the record says something else; a script that lacks more than its engine says nothing."""
        return self.told not in _STATUS.values() or (self.told != MISSING and self.expected not in (self.told, UNKNOWN))


def installed(finding: Finding) -> str:
    """The release that is installed here, or "" where the engine, or what else the script needs, is not."""
    try:
        for name in finding.also:
            metadata.version(name)
        return metadata.version(finding.package)
    except metadata.PackageNotFoundError:
        return ""


def run(finding: Finding, limit: float = LIMIT) -> Outcome:
    """Run the script with this interpreter, if its engine is installed."""
    version = installed(finding)
    if not version:
        return Outcome(finding, "", MISSING, "")
    try:
        done = subprocess.run(
            [sys.executable, str(finding.script)], capture_output=True, text=True, errors="replace", timeout=limit
        )
    except subprocess.TimeoutExpired:
        return Outcome(finding, version, f"no answer in {limit:g} s", "")
    told = _STATUS.get(done.returncode, f"exit status {done.returncode}, accepted are 0, 1 and 2")
    if done.returncode == 1 and "Traceback (most recent call last)" in done.stderr:
        told = "the script itself raised"  # Python's own status of an exception is 1, too
    return Outcome(finding, version, told, (done.stdout + done.stderr).strip())
