"""The published proof: all mutants and variants before all properties, as a table and in a few sentences."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import hypothesis
import numpy as np

from impls import processor
from properties import order
from properties.mutants import CLASSES, MUTANTS, matrix
from properties.mutants.variants import VARIANTS
from reports import kills
from reports.rows import LedgerError, utc_now

ROOT = Path(__file__).parents[2]
KINDS = {module.__name__.rpartition(".")[2]: (module.__doc__ or "").split("\n")[0] for module in CLASSES}


def main(arguments: list[str] | None = None) -> int:
    """Run and tell; 1 where a mutant survives or a variant is flagged."""
    parser = argparse.ArgumentParser(prog="python -m properties.mutants", description=__doc__)
    parser.add_argument(
        "--examples",
        type=int,
        default=20,
        help="of each property; of one that must kill a mutant five times as many, where they are "
        "dear a part (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one for each core)")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "mutants.jsonl", help="where the table is kept")
    options = parser.parse_args(arguments)
    begun, started = utc_now(), time.perf_counter()
    found = list[matrix.Look]()
    for look in matrix.looks(options.examples, options.seed, options.jobs):
        found.append(look)
        _progress(len(found), sum(len(function.law.operations) for _, function in order.properties()))
    about = {
        "started": begun, "seconds": round(time.perf_counter() - started, 1), "examples": options.examples,
        "seed": options.seed, "processor": processor.model(),
        "versions": {"numpy": np.__version__, "hypothesis": hypothesis.__version__}, "kinds": KINDS,
    }  # fmt: skip
    table = tabled(found, about)
    for line in kills.summary(table):
        sys.stdout.write(f"{line}\n")
    for variant in table.variants:
        for message in variant.flagged:
            sys.stdout.write(f"{variant.variant}: {message}\n")
    try:
        kills.write(table, options.out)
    except LedgerError as error:
        parser.error(str(error))
    sys.stdout.write(f"{about['seconds']:.0f} s; the table: {options.out}\n")
    return int(bool(table.survivors or any(variant.flagged for variant in table.variants)))


def tabled(found: list[matrix.Look], about: dict[str, object]) -> kills.Table:
    """Make the table of what was found: properties in the order of a run, mutants class by class."""
    laws = {name: function.law for name, function in order.properties()}
    columns = [
        kills.Column(look.property, law.title, law.level, look.operation, look.examples, law.stays)
        for look in found
        for law in [laws[look.property]]
    ]
    rows = [
        kills.Row(
            mutant.name, mutant.kind, mutant.sentence, mutant.operation,
            tuple(map(order.name_of, mutant.laws)),
            {
                look.property: look.kills[mutant.name]
                for look in found
                if look.operation == mutant.operation and mutant.name in look.kills
            },
        )
        for mutant in sorted(MUTANTS, key=lambda mutant: list(KINDS).index(mutant.kind))
    ]  # fmt: skip
    variants = [
        kills.Variant(
            variant.name, variant.sentence, tuple(variant.operations),
            sum(look.examined.get(variant.name, 0) for look in found),
            sum(look.elements.get(variant.name, 0) for look in found),
            tuple(f"{look.property} {look.flagged[variant.name]}" for look in found if variant.name in look.flagged),
        )
        for variant in VARIANTS
    ]  # fmt: skip
    return kills.Table(about, columns, rows, variants)


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done} of {of} properties" + ("\n" if done == of else ""))


if __name__ == "__main__":
    sys.exit(main())
