"""`python -m properties.findings [NAME ...]`: run the scripts whose engine is installed, and say what has changed.

Exit status 0 where each says what its record says of the installed release, 1 where one does not, 2 for a wrong name.
"""

from __future__ import annotations

import argparse
import sys

from properties.findings import records, runner


def main(arguments: list[str] | None = None) -> int:
    """Run and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m properties.findings", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a finding's folder (default: all)")
    parser.add_argument("--counts", action="store_true", help="count the records, and run nothing")
    options = parser.parse_args(arguments)
    findings = records.all_of_them()
    if options.counts:
        sys.stdout.write(counts(findings) + "\n")
        return 0
    known = {finding.name: finding for finding in findings}
    for name in options.names:
        if name not in known:
            parser.error(f"{name}: there is no such finding; accepted are {', '.join(known)}")
    changed = 0
    for name in options.names or known:
        outcome = runner.run(known[name])
        changed += outcome.changed
        sys.stdout.write(line(outcome) + "\n")
        if outcome.changed or (options.names and outcome.printed):
            sys.stdout.write("".join(f"    {each}\n" for each in outcome.printed.splitlines()[-12:]))
        sys.stdout.flush()
    return 1 if changed else 0


def line(outcome: runner.Outcome) -> str:
    """One outcome in a line: the name, the release, what was found, and what the record says where that differs."""
    release = f"{outcome.finding.package} {outcome.version}".strip()
    said = f"{outcome.finding.name}: {release}: {outcome.told}"
    if outcome.changed:
        return f"{said} (CHANGED: the record says {outcome.expected})"
    if outcome.elsewhere:
        return f"{said} (the record is of processors by {outcome.finding.processor})"
    return said if outcome.recorded or not outcome.version else f"{said} (a release that was not run before)"


def counts(findings: list[records.Finding]) -> str:
    """How many findings there are, in how many engines, as a sentence for the README."""
    current = [each for each in findings if each.current]
    past = [each for each in findings if not each.current]
    engines = sorted({each.engine for each in findings}, key=str.lower)
    return (
        f"{len(current)} findings in the latest releases that were looked at, and {len(past)} in earlier ones that a "
        f"later release has mended, in {len(engines)} engines: {', '.join(engines)}."
    )


if __name__ == "__main__":
    sys.exit(main())
