"""What a user types and what comes back: exit status, table, and the saved file against its schema."""

from __future__ import annotations

import base64
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from oracles.case import Case

ROOT = Path(__file__).parents[1]
BENCH = str(ROOT / "bench")

FILES = {
    "flipped.py": "from impls import im2col\n"
    "def conv2d(x, w, b, **p): return im2col.conv2d(x, w[..., ::-1, ::-1], b, **p)\n"
    "def max_pool2d(x, **p): return im2col.max_pool2d(x, **p)\n",
    "sleepy.py": "import time\nfrom impls import im2col\n"
    "def conv2d(x, w, b, **p):\n"
    "    y = im2col.conv2d(x, w, b, **p)\n"
    "    end = time.process_time() + 1e-4 * y.size\n"
    "    while time.process_time() < end: pass\n"
    "    return y\n",
    "raises.py": "def conv2d(x, w, b, **p): raise RuntimeError('no kernel\\nfor this')\n",
    "waits.py": "import time\nfrom impls import im2col\n"
    "def conv2d(x, w, b, **p):\n"
    "    time.sleep(0.25)\n"
    "    return im2col.conv2d(x, w, b, **p)\n",
    "later.py": "from impls import im2col\ncalls = {}\n"
    "def conv2d(x, w, b, **p):\n"
    "    shapes = x.shape, w.shape\n"
    "    calls[shapes] = calls.get(shapes, 0) + 1\n"
    "    return im2col.conv2d(x, w, b, **p) * (calls[shapes] < 9)\n",
}

ENTRY = {
    "kind": str, "layer": str, "sweep": str, "value": (int, type(None)), "operation": str, "implementation": str,
    "case": str,
}  # fmt: skip
TIMED = ENTRY | {
    "device": str, "threads": int, "macs": int, "flops": int, "bytes": int, "cpu_seconds": list,
    "wall_seconds": list, "clock": str, "minor_faults": int, "major_faults": int, "peak_extra_bytes": int,
    "peak_method": str, "result_bytes": int, "gemm_seconds": (float, type(None)), "columns_bytes": (int, type(None)),
    "verdict": str, "checked": int, "ratio": (float, type(None)),
}  # fmt: skip
KINDS = {"layer", "sweep", "roofline", "again", "experiment"}
TABLES = {
    "pool_or_stride": {
        "variant": str, "F": int, "S": int, "steps": str, "implementation": str, "cpu_seconds": float, "macs": int,
        "parameters": int, "out_h": int, "out_w": int, "out_channels": int, "receptive_field": int,
    },
    "stride": {
        "S": int, "out": int, "implementation": str, "cpu_seconds": float, "macs": int, "parameters": int,
        "out_h": int, "out_w": int, "out_channels": int, "receptive_field": int,
    },
    "translation": {
        "variant": str, "filter": str, "F": int, "S": int, "shift": int, "outputs": int, "changed_fraction": float,
        "relative_change": float, "predicted": float, "holds": bool, "differing": float,
        "damped": (bool, type(None)), "implementation": str,
    },
    "feature_maps": {
        "variant": str, "filter": str, "F": int, "S": int, "shift": int, "height": int, "width": int, "low": float,
        "high": float, "pixels": str, "implementation": str,
    },
}  # fmt: skip


def check(saved: dict) -> None:
    """Hold a saved file against the schema. Raises AssertionError naming what does not fit."""
    machine = saved["machine_info"]
    assert set(machine["blas"]) == {"name", "version", "threads"}
    assert {"numpy", "scipy", "torch", "flags", "gpu", "date"} <= set(machine)
    for bench in saved["benchmarks"]:
        info, data = bench["extra_info"], bench["stats"]["data"]
        fits(info, TIMED, bench["fullname"])
        assert info["kind"] in KINDS
        assert info["verdict"] == "agrees"
        assert 3 <= len(info["cpu_seconds"]) == len(data) == bench["stats"]["rounds"] <= 200
        assert all(seconds > 0 for seconds in data)
        assert all(wall <= whole for wall, whole in zip(info["wall_seconds"], data, strict=True))
        assert (info["sweep"] == "") == (info["value"] is None)
        assert info["kind"] != "sweep" or info["layer"] == f"sweep-{info['sweep']}-{info['value']}"
        assert bench["group"].split()[0] in ("layer", "sweep", "roofline", "pool", "stride")
        if info["kind"] in ("layer", "sweep", "again"):
            case = Case.parse(info["case"])
            assert case.operation == info["operation"]
            assert (info["gemm_seconds"] is not None) == (info["operation"] in ("conv2d", "conv2d_backward"))
        assert all(not isinstance(value, (dict, list)) for value in (bench["params"] or {}).values())
        assert "0x" not in json.dumps(bench["params"])  # no address of an object
    ours = saved["poolproof"]
    assert ours["schema"] == 1
    for row in ours["not_timed"]:
        fits(row, ENTRY | {"reason": str, "detail": str}, row["layer"])
        assert row["reason"].startswith(("wrong, not timed", "too slow, estimated ", "unsupported: ", "raised: "))
    for table, rows in ours["experiments"].items():
        for row in rows:
            fits(row, TABLES[table], table)


def fits(row: dict, kinds: dict, where: str) -> None:
    assert set(row) == set(kinds), (where, set(row) ^ set(kinds))
    for name, kind in kinds.items():
        assert isinstance(row[name], kind), (where, name, row[name])
        assert isinstance(row[name], bool) <= (kind is bool or kind == (bool, type(None))), (where, name)
        assert not isinstance(row[name], float) or math.isfinite(row[name]), (where, name)


@pytest.fixture
def here(tmp_path):
    """A folder with a user's files, far from the clone."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def run(directory: Path, *arguments: str, status: int) -> str:
    """Start pytest in a folder, and give what it said."""
    environment = {"HOME": str(directory), "PATH": os.environ["PATH"], "COLUMNS": "120"}
    found = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", *arguments], cwd=directory, env=environment, text=True, timeout=300,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert found.returncode == status, found.stdout
    return found.stdout


def saved(directory: Path, name: str) -> dict:
    (path,) = (directory / ".benchmarks").glob(f"*/0001_{name}.json")
    found = json.loads(path.read_text())
    check(found)
    return found


def test_a_run_saves_what_was_timed_and_what_was_not(here):
    said = run(
        here, BENCH, "--layers=cifar10-conv,cifar10-pool,sweep-S-8,roofline", "--too-slow=0.2", "--benchmark-save=mine",
        *(f"--impl={each}" for each in ("im2col", *FILES)), status=1,
    )  # fmt: skip
    found = saved(here, "mine")
    timed = {
        (info["kind"], info["layer"], info["operation"], info["implementation"])
        for info in (bench["extra_info"] for bench in found["benchmarks"])
    }
    assert {each for each in timed if each[0] != "roofline"} == {
        ("layer", "cifar10-conv", "conv2d", "im2col"),
        ("layer", "cifar10-conv", "conv2d_backward", "im2col"),
        ("again", "cifar10-conv", "conv2d", "im2col"),
        ("again", "cifar10-conv", "conv2d_backward", "im2col"),
        ("layer", "cifar10-pool", "max_pool2d", "im2col"),
        ("layer", "cifar10-pool", "max_pool2d", "flipped.py"),
        ("layer", "cifar10-pool", "max_pool2d_backward", "im2col"),
        ("again", "cifar10-pool", "max_pool2d", "im2col"),
        ("again", "cifar10-pool", "max_pool2d_backward", "im2col"),
        ("sweep", "sweep-S-8", "conv2d", "im2col"),
        ("sweep", "sweep-S-8", "conv2d", "sleepy.py"),
        ("sweep", "sweep-S-8", "conv2d_backward", "im2col"),
    }
    assert {each[1].split("-")[0] for each in timed if each[0] == "roofline"} == {"matmul", "copy"}
    reasons = {
        (row["layer"], row["operation"], row["implementation"]): row["reason"]
        for row in found["poolproof"]["not_timed"]
    }
    assert reasons["cifar10-conv", "conv2d", "flipped.py"] == "wrong, not timed"
    assert reasons["sweep-S-8", "conv2d", "flipped.py"] == "wrong, not timed"
    assert reasons["cifar10-conv", "conv2d", "raises.py"] == "raised: RuntimeError: no kernel"
    assert reasons["cifar10-conv", "conv2d", "sleepy.py"].startswith("too slow, estimated 1.")
    assert reasons["cifar10-conv", "conv2d", "waits.py"].startswith("too slow, estimated 0.")
    assert reasons["cifar10-conv", "conv2d", "later.py"] == "wrong, not timed: the result changed while it was timed"
    assert reasons["cifar10-conv", "conv2d_backward", "sleepy.py"] == "unsupported: offers no conv2d_backward"
    assert "sampled elements of y differ" in said
    assert "x: times of im2col, less is faster" in said
    assert found["machine_info"]["blas"]["threads"] in (1, None)
    assert found["machine_info"]["threads_wanted"]["OMP_NUM_THREADS"] == "1"


def test_steps_and_a_photograph_are_measured(here):
    pytest.importorskip("PIL", reason="pip install -c constraints.txt pillow")
    pytest.importorskip("matplotlib", reason="pip install -c constraints.txt matplotlib")
    run(
        here, f"{BENCH}/test_pool_or_stride.py", "--impl=im2col", "--benchmark-json=mine.json", "-k",
        "test_pool_or_stride or test_stride or 5-2", status=0,
    )  # fmt: skip
    found = json.loads((here / "mine.json").read_text())
    check(found)
    tables = found["poolproof"]["experiments"]
    steps = {row["variant"]: row for row in tables["pool_or_stride"] if (row["F"], row["S"]) == (3, 2)}
    assert set(steps) == {"A", "A-average", "A-l2", "B", "C"}
    assert {name: row["receptive_field"] for name, row in steps.items()} == {
        "A": 4, "A-average": 4, "A-l2": 4, "B": 5, "C": 3,
    }  # fmt: skip
    assert {(row["out_h"], row["out_w"], row["out_channels"]) for row in steps.values()} == {(28, 28, 64)}
    assert steps["A"]["macs"] == 56 * 56 * 64 * 64 * 9 + 28 * 28 * 64 * 4
    assert steps["B"]["macs"] == (56 * 56 + 28 * 28) * 64 * 64 * 9
    assert [(row["S"], row["out"], row["receptive_field"]) for row in tables["stride"]] == [
        (S, (227 - 11) // S + 1, 11 + 2 * S) for S in (1, 2, 3, 4, 6, 8)
    ]
    assert all(row["holds"] for row in tables["translation"] if row["shift"] % row["S"] == 0)
    pictures = tables["feature_maps"]
    assert [(row["variant"], row["shift"]) for row in pictures] == [
        ("input", 0), *((variant, shift) for variant in ("A", "A-average", "A-l2", "B", "C") for shift in (0, 1))
    ]  # fmt: skip
    assert all(len(base64.b64decode(row["pixels"])) == row["height"] * row["width"] for row in pictures)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--layers=alexnet-conv17"], "--layers: no layer is called 'alexnet-conv17' (did you mean alexnet-conv1?);"),
        (["--layers="], "--layers: no layer is called '';"),
        (["--too-slow=0"], "--too-slow=0: accepted is a number of seconds above 0"),
        (["--too-slow=nan"], "--too-slow=nan: accepted is a number of seconds above 0"),
        (
            ["--layers=large-7", "--case=conv2d float32 n1c1k1g1 i1k1s1p0,0d1 i2k2s1p0,0d1 narrow:24 seed=1"],
            "--layers and --case name two different things to time: leave out one of the two",
        ),
        (["-n", "2"], "-n: benchmarks are timed in one process, one after another; leave it out"),
        (["-p", "no:benchmark"], "bench/ needs pytest-benchmark: pip install -c constraints.txt pytest-benchmark"),
    ],
)
def test_what_cannot_be_asked_for_is_told_in_a_line(here, arguments, line):
    said = run(here, BENCH, "--impl=im2col", *arguments, status=4)
    (error,) = (each for each in said.splitlines() if each.strip())
    assert error.startswith(f"ERROR: {line}")


def test_one_case_is_timed_by_its_line(here):
    case = "avg_pool2d_backward float64 n2c3 i9k3s2p1,1d1 i7k3s1p0,0d1 gauss seed=17 exclude_pad"
    run(here, BENCH, "--impl=im2col", f"--case={case}", "--benchmark-json=mine.json", status=0)
    found = json.loads((here / "mine.json").read_text())
    check(found)
    assert [(each["extra_info"]["kind"], each["extra_info"]["case"]) for each in found["benchmarks"]] == [
        ("layer", case),
        ("again", case),
    ]


def test_the_tests_of_the_benchmarks_are_no_benchmarks(here):
    listed = run(here, BENCH, "--impl=im2col", "--collect-only", "-q", status=0)
    assert "test_of_" not in listed
    for name in ("test_conv_speed", "test_pool_speed", "test_scaling", "test_roofline", "test_pool_or_stride"):
        assert f"{name}.py::" in listed
    listed = run(here, f"{BENCH}/test_of_layers.py", "--impl=im2col", "--collect-only", "-q", status=0)
    assert "test_of_layers.py::" in listed
