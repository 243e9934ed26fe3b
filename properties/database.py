"""Failing examples from run to run: what was not made as small as it goes is made smaller the next time.

Hypothesis takes an example that it has kept for the smallest, and does not shrink it again. A run that was killed, or
had no more time, has left others; they are kept apart here as long as nobody says that they are `finished`, for the
files that are under test: once these are changed, an example may be far from the smallest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase

SECONDARY, PARETO, FINISHED = b".secondary", b".pareto", b".finished"  # Hypothesis' own corpora of a key, and ours


class Examples(ExampleDatabase):
    """A folder of examples by key, in which Hypothesis finds as its primary ones those that are as small as they go."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.kept = DirectoryBasedExampleDatabase(folder)
        self.saved: set[bytes] = set()  # keys of examples that are being made smaller
        self.stamp = b""  # of what is under test

    def save(self, key: bytes, value: bytes) -> None:
        """Keep an example, which may not be the smallest yet."""
        if key.endswith(PARETO):  # what a property was steered to: it would be tried again in place of other cases
            return
        if not key.endswith(SECONDARY) and key not in self.saved:
            self.saved.add(key)
            for stamp in [*self.kept.fetch(key + FINISHED)]:
                self.kept.delete(key + FINISHED, stamp)
        self.kept.save(key, value)

    def fetch(self, key: bytes) -> Iterable[bytes]:
        """Give the examples of a key; those that could be smaller as secondary ones, which Hypothesis shrinks."""
        yield from self.kept.fetch(key) if key.endswith(SECONDARY) or self._is_finished(key) else ()
        if key.endswith(SECONDARY) and not self._is_finished(primary := key.removesuffix(SECONDARY)):
            yield from self.kept.fetch(primary)

    def delete(self, key: bytes, value: bytes) -> None:
        """Forget an example that no longer fails."""
        self.kept.delete(key, value)
        if key.endswith(SECONDARY) and not self._is_finished(primary := key.removesuffix(SECONDARY)):
            self.kept.delete(primary, value)

    def finish(self, *, smallest: bool) -> None:
        """Take note that a property has ended, and whether what it has saved is as small as it goes."""
        for key in self.saved if smallest else ():
            self.kept.save(key + FINISHED, self.stamp)
        self.saved.clear()

    def _is_finished(self, key: bytes) -> bool:
        return self.stamp in self.kept.fetch(key + FINISHED)


def whose(spec: str, directory: Path) -> str:
    """Name an implementation by its file, wherever it is named from, else as it was named."""
    file = directory / spec.partition(".py")[0] if ".py" in spec else None
    return spec if file is None else str(file.resolve()) + spec[spec.index(".py") :]


def stamp(spec: str, directory: Path) -> bytes:
    """Tell a state of an implementation's file, and of what lies beside it, from another; the same for all others."""
    if ".py" not in spec:
        return b""
    folder = (directory / spec.partition(".py")[0]).parent
    files = [each for end in ("*.py", "*.so") for each in sorted(folder.glob(end))]
    told = [f"{each.name} {(state := each.stat()).st_mtime_ns} {state.st_size}" for each in files if each.is_file()]
    return hashlib.sha256("\n".join(told).encode()).digest()
