"""What crashes, hangs or writes around its arrays ends neither a run of the benchmarks nor is timed."""

from __future__ import annotations

import time
from functools import partial

import pytest

from bench import fakes, translation
from bench.layers import BY_NAME
from bench.record import Entry
from bench.rehearsal import Rehearsal
from bench.test_of_runs import BENCH, run, saved
from bench.test_of_steps import noise
from bench.timing import MORE, NotTimed, Timekeeper
from impls import registry
from impls.isolation.subject import IsolatedSubject

LAYER = BY_NAME["cifar10-conv"]
KERNEL = """
import ctypes, os, time
import numpy as np
calls = []
from impls.im2col import avg_pool2d, conv2d_backward, conv2d as right, l2_pool2d, max_pool2d

def conv2d(x, w, b, **parameters):
    if x.shape[2] {when}:
        {does}
    return right(x, w, b, **parameters)
"""
FAULTS = {
    "os.abort()": "raised: SIGABRT: the process died of SIGABRT",
    "os._exit(3)": "raised: Exited: the process ended itself, with status 3",
    "time.sleep(60)": "raised: Hung: there was no answer in 1.",
    "ctypes.c_float.from_address(x.ctypes.data + x.nbytes).value": "raised: SIGSEGV: the process died of SIGSEGV",
    "raise OSError('no device')": "raised: OSError: no device",
}


def written(folder, does, when="> 0"):
    (folder / "mine.py").write_text(KERNEL.format(does=does, when=when))
    return "mine.py"


def rehearsing(spec, folder, too_slow=0.2):
    """Make a keeper that rehearses an implementation, and the subject that it would time here."""
    keeper = Timekeeper(too_slow)
    apart = IsolatedSubject(spec, folder)
    apart.process.limits = type(apart.process.limits)(seconds=1.5)
    keeper.rehearse = Rehearsal({spec: apart})
    return keeper, registry.subject(spec, folder)


@pytest.mark.parametrize("when", ["> 0", "== 32"], ids=["always", "on the whole layer"])
@pytest.mark.parametrize("does", FAULTS)
def test_a_fault_is_a_reason_not_to_time(does, when, tmp_path):
    keeper, subject = rehearsing(written(tmp_path, does, when), tmp_path)
    with pytest.raises(NotTimed) as caught:
        keeper.layer(fakes.Benchmark(), subject, LAYER, "conv2d")
    assert caught.value.fault
    (row,) = keeper.record.not_timed
    assert row["reason"].startswith(FAULTS[does]), row
    keeper.layer(stand_in := fakes.Benchmark(), subject, LAYER, "conv2d_backward")
    assert stand_in.data


@pytest.mark.parametrize("when", ["> 0", "== 128"], ids=["always", "on the whole crop"])
@pytest.mark.parametrize("does", FAULTS)
def test_a_fault_is_a_reason_not_to_measure_what_is_no_time(does, when, tmp_path):
    keeper, subject = rehearsing(written(tmp_path, does, when), tmp_path)
    entry = Entry("experiment", "translation-F3-S2", "conv2d", subject.spec)
    with pytest.raises(NotTimed) as caught:
        keeper.untimed(entry, subject, translation.cases(3, 2), partial(translation.tables, image=noise(), F=3, S=2))
    assert caught.value.fault
    (row,) = keeper.record.not_timed
    assert row["layer"] == "translation-F3-S2"
    assert row["reason"].startswith(FAULTS[does]), row


def test_what_is_wrong_or_too_slow_is_not_measured(tmp_path):
    for does, reason in (("w = -w", "wrong, not timed"), ("time.sleep(0.06)", "too slow, estimated 0.")):
        keeper, subject = rehearsing(written(tmp_path, does), tmp_path, too_slow=0.05)
        entry = Entry("experiment", "translation-F3-S2", "conv2d", subject.spec)
        with pytest.raises(NotTimed):
            keeper.untimed(
                entry, subject, translation.cases(3, 2), partial(translation.tables, image=noise(), F=3, S=2)
            )
        (row,) = keeper.record.not_timed
        assert row["reason"].startswith(reason)


def test_what_is_not_timed_is_called_in_its_own_process_alone(tmp_path):
    keeper, subject = rehearsing(
        written(tmp_path, f"open('{tmp_path}/called', 'a').write(f'{{os.getpid()}} ')"), tmp_path
    )
    entry = Entry("experiment", "translation-F3-S2", "conv2d", subject.spec)
    keeper.untimed(entry, subject, translation.cases(3, 2), partial(translation.tables, image=noise(), F=3, S=2))
    assert set((tmp_path / "called").read_text().split()) == {str(keeper.rehearse.apart[subject.spec].process.worker)}


def test_what_is_right_is_rehearsed_as_often_as_it_is_timed(tmp_path):
    spec = written(tmp_path, f"with open('{tmp_path}/called', 'a') as file: print(os.getpid(), file=file)", "== 32")
    keeper, subject = rehearsing(spec, tmp_path)
    for again in (False, True):
        keeper.layer(stand_in := fakes.Benchmark(), subject, LAYER, "conv2d", again=again)
        assert stand_in.data
    elsewhere = keeper.rehearse.apart[spec].process.worker
    assert (tmp_path / "called").read_text().splitlines().count(str(elsewhere)) >= stand_in.rounds + MORE


def test_what_crashes_in_a_later_call_is_not_timed(tmp_path):
    keeper, subject = rehearsing(written(tmp_path, "calls.append(1); len(calls) < 11 or os.abort()", "== 32"), tmp_path)
    with pytest.raises(NotTimed, match="raised: SIGABRT"):
        keeper.layer(fakes.Benchmark(), subject, LAYER, "conv2d")


def test_what_does_not_come_back_costs_a_few_times_the_limit(tmp_path):
    keeper, subject = rehearsing(written(tmp_path, "time.sleep(60)"), tmp_path)
    began = time.monotonic()
    for layer in ("cifar10-conv", "alexnet-conv5"):
        with pytest.raises(NotTimed):
            keeper.layer(fakes.Benchmark(), subject, BY_NAME[layer], "conv2d")
    assert time.monotonic() - began < 8


def test_what_hangs_is_told_by_the_limit_that_it_had(tmp_path):
    keeper, subject = rehearsing(written(tmp_path, "time.sleep(60)", "== 32"), tmp_path)
    with pytest.raises(NotTimed, match=r"no answer in 1\.8 s; --too-slow gives a call more\n"):
        keeper.layer(fakes.Benchmark(), subject, LAYER, "conv2d")
    keeper, subject = rehearsing(written(tmp_path, "time.sleep(60)"), tmp_path, too_slow=0.1)
    with pytest.raises(NotTimed, match=r"no answer in 1\.5 s; --call-limit gives a call more\n"):  # of all the first
        keeper.layer(fakes.Benchmark(), subject, LAYER, "conv2d")


def test_a_run_goes_on_after_a_crash_and_ends_with_1(tmp_path):
    spec = written(tmp_path, "os.abort()")
    arguments = ("--layers=cifar10-*", f"--impl={spec}", "--impl=im2col", "--benchmark-save=mine")
    said = run(tmp_path, BENCH, *arguments, status=1)
    assert f"{spec} cifar10-conv conv2d: raised: SIGABRT: the process died of SIGABRT" in said
    found = saved(tmp_path, "mine")
    timed = {(each["extra_info"]["layer"], each["extra_info"]["operation"]) for each in found["benchmarks"]
             if each["extra_info"]["implementation"] == spec}  # fmt: skip
    assert timed >= {("cifar10-conv", "conv2d_backward"), ("cifar10-pool", "max_pool2d")}


def test_a_run_goes_on_after_a_crash_in_an_experiment(tmp_path):
    pytest.importorskip("PIL", reason="pip install -c constraints.txt pillow")
    pytest.importorskip("matplotlib", reason="pip install -c constraints.txt matplotlib")
    spec = written(tmp_path, "os.abort()", "== 128")
    arguments = (f"--impl={spec}", "--layers=translation,cifar10-conv", "-k", "7-4 or cifar10", "--benchmark-save=mine")
    said = run(tmp_path, BENCH, *arguments, status=1)
    assert f"{spec} translation-F7-S4 conv2d: raised: SIGABRT: the process died of SIGABRT" in said
    assert "Traceback" not in said
    found = saved(tmp_path, "mine")
    assert {each["extra_info"]["layer"] for each in found["benchmarks"]} == {"cifar10-conv"}
    assert "translation-F7-S4" in {row["layer"] for row in found["poolproof"]["not_timed"]}


def test_a_file_that_ends_the_process_that_imports_it_is_refused_in_a_line(tmp_path):
    (tmp_path / "mine.py").write_text("import os\nos.abort()\n")
    said = run(tmp_path, BENCH, "--layers=cifar10-*", "--impl=mine.py", status=4)
    assert "mine.py: fails to import: the process died of SIGABRT" in said
