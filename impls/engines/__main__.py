"""The options that ask for every engine and variant that can run here: `--impl=SPEC`, one a line."""

from __future__ import annotations

import sys

from impls import registry


def main() -> None:
    """Print the options; engines that are missing are told on standard error."""
    for entry in registry.entries():
        if entry.foreign and entry.missing:
            sys.stderr.write(f"left out: {entry.name}, as {entry.missing}\n")
        elif entry.foreign:
            sys.stdout.write("".join(f"--impl={name}\n" for name in entry.names))


if __name__ == "__main__":
    main()
