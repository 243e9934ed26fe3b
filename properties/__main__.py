"""What is asked of properties beside running them: all engines at once; which release of one changed a verdict."""

from __future__ import annotations

import argparse
import os
import sys

from properties import bisecting, engines


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and run what it asks for; 2 where that makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m properties", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    bisect = commands.add_parser("bisect", help=bisecting.__doc__, description=bisecting.__doc__)
    bisect.add_argument("engine", metavar="ENGINE", help="a name of --list-impls, with its variants")
    bisect.add_argument("case", metavar="CASE", help="the line that a failure ends with")
    bisect.add_argument("property", metavar="PROPERTY", nargs="?", default="", help="its name; as a failure spells it")
    bisect.add_argument("--since", metavar="VERSION", default="", help="no release before this one")
    bisect.add_argument("--until", metavar="VERSION", default="", help="no release after this one")
    every = commands.add_parser("engines", help=engines.__doc__, description=engines.__doc__)
    every.add_argument("engines", metavar="ENGINE", nargs="*", help="names of --list-impls (default: all)")
    every.add_argument("--jobs", type=int, default=os.cpu_count(), help="engines at once (default: one for each core)")
    every.add_argument("--plain", action="store_true", help="engines as they are, without their variants")
    options, others = parser.parse_known_args(arguments)
    if others and options.command != "engines":
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    try:
        if options.command == "engines":
            return engines.main(options.jobs, options.engines, others, plain=options.plain)
        return bisecting.main(options.engine, options.case, options.property, options.since, options.until)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
