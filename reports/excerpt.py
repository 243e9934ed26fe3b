"""python -m reports.excerpt FILE: a small part of a benchmark file, as a sample that is kept in git."""

from __future__ import annotations

import argparse
import json
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import median
from typing import Any

from reports.benchmarks import BenchmarkError, load

SWEEPS = ("W", "F", "S", "C")
NAMES = {"pool_or_stride": "pool-or-stride-{variant}-F{F}-S{S}", "stride": "stride-{S}"}  # of a row's entry
FACTS = ("python_version", "machine", "system", "blas", "numpy", "scipy", "torch", "flags", "gpu", "date", "cores")


def excerpt(content: dict[str, Any], layers: list[str], rounds: int) -> dict[str, Any]:
    """Keep some layers, forward sweeps but over N, the roofline, the experiments; of each entry the first rounds."""

    def kept(entry: dict[str, Any]) -> bool:
        if entry["kind"] in ("layer", "again"):
            return any(fnmatchcase(entry["layer"], pattern) for pattern in layers)
        return entry["kind"] != "sweep" or (entry["sweep"] in SWEEPS and entry["operation"] == "conv2d")

    entries = []
    for each in content["benchmarks"]:
        info = each.get("extra_info", {})
        if "kind" in info and kept(info):
            fewer = {name: info[name][:rounds] for name in ("cpu_seconds", "wall_seconds") if name in info}
            named = {name: each[name] for name in ("name", "group")}
            entries.append(named | {"extra_info": info | fewer})
    additions = content["poolproof"]
    tables = additions.get("experiments", {})
    # one size of the filter, one at each angle, and those at random
    experiments = tables | {"translation": [row for row in tables.get("translation", []) if row["F"] == 3]}
    medians = {(each["layer"], each["implementation"]): median(each["cpu_seconds"])
               for each in (entry["extra_info"] for entry in entries) if each["kind"] == "experiment"}  # fmt: skip
    for table, name in NAMES.items():
        experiments[table] = [
            row | {"cpu_seconds": medians.get((name.format(**row), row["implementation"]), row["cpu_seconds"])}
            for row in tables.get(table, [])
        ]
    refused = [each | {"detail": each["detail"][:400]} for each in additions["not_timed"] if kept(each)]
    machine = {name: content["machine_info"][name] for name in FACTS if name in content["machine_info"]}
    brand = content["machine_info"].get("cpu", {}).get("brand_raw", "")
    return {
        "machine_info": machine | {"cpu": {"brand_raw": brand}},
        "commit_info": {name: content["commit_info"].get(name) for name in ("id", "dirty")},
        "datetime": content["datetime"],
        "version": content["version"],
        "benchmarks": entries,
        "poolproof": additions | {"not_timed": refused, "experiments": experiments},
    }


def as_text(content: dict[str, Any]) -> str:
    """Write it as JSON with a line for each entry, so that a change of one is a change of a line."""
    entries = ",\n".join(json.dumps(each, ensure_ascii=False) for each in content["benchmarks"])
    head = json.dumps({name: value for name, value in content.items() if name != "benchmarks"}, ensure_ascii=False)
    return f'{head[:-1]}, "benchmarks": [\n{entries}\n]}}\n'


def main(arguments: list[str] | None = None) -> int:
    """Write the excerpt; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m reports.excerpt", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path, metavar="FILE", help="a saved benchmark file")
    parser.add_argument("--layers", default="*", metavar="LIST", help="names and patterns, separated by commas")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="of each entry (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where it is written")
    options = parser.parse_args(arguments)
    try:
        load(options.file)
        content = excerpt(json.loads(options.file.read_text("utf-8")), options.layers.split(","), options.rounds)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(as_text(content), encoding="utf-8", newline="\n")
        load(options.out)
    except BenchmarkError as error:
        print(f"python -m reports.excerpt: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"python -m reports.excerpt: {error.filename}: {error.strerror}: name another file", file=sys.stderr)
        return 1
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
