"""Faults of C code, planted: each is found where it is, named, and survived."""
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
import time

import numpy as np
import pytest

from impls.isolation import diagnosis, failures, faulty
from impls.isolation.printed import KEPT
from impls.isolation.process import LEAST, Limits
from impls.isolation.subject import SIDES, IsolatedSubject

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")

X, W = np.ones((1, 2, 5, 5), "f4"), np.ones((3, 2, 1, 1), "f4")
FIRES = {"stride": (2, 2), "padding": (0, 0)}
RESTS = {"stride": (1, 1), "padding": (0, 0)}
HEAP = "it writes outside of memory that it has allocated itself, or frees what is not allocated"
BOUNDS, CHANGED = "wrote or read out of bounds", "changed its input"

# fault -> what it is called, the verdict, and what the diagnosis adds
ENDINGS = {
    "segfault": ("SIGSEGV", "crashed", "it does so wherever its arrays lie in memory"),
    "division": ("SIGFPE", "crashed", None),
    "aborts": ("SIGABRT", "crashed", None),
    "exits": ("Exited", "crashed", None),
    "closes": ("Exited", "crashed", None),
    "leaves_a_child": ("SIGSEGV", "crashed", "it does so wherever its arrays lie in memory"),
    "speaks_of_the_heap": ("Exited", "crashed", None),
    "far_read_x": ("SIGSEGV", BOUNDS, "it reads 2,000,000 bytes past the end of x"),
    "unchecked": (
        "SIGSEGV",
        "crashed",
        "it cannot bear that memory beyond the limit of 512 MiB is refused: with 8 times --memory-limit it passes",
    ),
    "heap": ("SIGABRT", BOUNDS, HEAP),
    "heap_asserts": ("SIGABRT", BOUNDS, HEAP),
    "writes_x": ("SIGSEGV", CHANGED, "it writes its input x"),
    "writes_w": ("SIGSEGV", CHANGED, "it writes its input w"),
    "restores_w": ("SIGSEGV", CHANGED, "it writes its input w, and leaves it as it was"),
    "frees_twice": ("SIGABRT", BOUNDS, HEAP),
    "over_write_w": ("SIGSEGV", BOUNDS, "it writes 4 bytes past the end of w"),
    "far_write": ("SIGSEGV", BOUNDS, "it writes 4 bytes past the end of the result, 80,000 bytes past it"),
}
# fault -> the side of the arrays on which it ends the process, and what the diagnosis says
BESIDE = {
    "over_read_x": ("right", "it reads past the end of x, by at most 4 bytes"),
    "over_read_w": ("right", "it reads past the end of w, by at most 4 bytes"),
    "over_read_y": ("right", "it reads past the end of the result"),
    "under_read_x": ("left", "it reads before the start of x"),
    "under_read_w": ("left", "it reads before the start of w"),
    "over_write": ("right", "it writes 4 bytes past the end of the result"),
    "under_write": ("left", "it writes 4 bytes before the start of the result"),
}
# fault -> what the diagnosis says on the right, where arrays are aligned to their elements
ALIGNED = {
    "aligned_x": "it needs x aligned to 16 bytes; arrays are aligned to their elements, of 4 bytes",
    "aligned_y": "it needs the result aligned to 16 bytes; arrays are aligned to their elements, of 4 bytes",
}
SPEAK_FOR_THEMSELVES = {
    "uninitialised",
    "after_free",
    "now_and_then",
    "each_fourth",
    "sound",
    "loops",
    "memory",
    "spam",
    "endless_spam",
    "unwritten",
}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return faulty.written(tmp_path_factory.mktemp("faulty"))


@pytest.fixture
def having(file):
    def subject(fault, **options):
        return IsolatedSubject(f"faulty.py:{fault}", file.parent, **options)

    return subject


def found(subject: IsolatedSubject, side: str) -> failures.Failure | None:
    """Make the call that fires with the arrays on that side; its failure, well before the limit; then all is well."""
    subject.begin()
    subject.side = side
    began = time.monotonic()
    failure = None
    try:
        subject.call("conv2d", X, W, None, **FIRES)
    except failures.Failure as error:
        failure = error
    assert time.monotonic() - began < Limits.seconds / 2
    y = subject.call("conv2d", X, W, None, **RESTS)
    assert y.shape == (1, 3, 5, 5)
    assert (y == 2).all()
    return failure


LAID_OUT = """
import ctypes
from impls.im2col import conv2d as right

def conv2d(x, w, b, **parameters):
    if not x.flags.c_contiguous:
        start = x.__array_interface__["data"][0]
        end = start + sum((extent - 1) * step for extent, step in zip(x.shape, x.strides)) + x.itemsize
        {}
    return right(x, w, b, **parameters)
"""
AMISS = {
    "ctypes.c_float.from_address(end).value": ("right", "it reads past the end of an array"),
    "ctypes.c_float.from_address(start - 4).value": ("left", "it reads before the start of an array"),
    "ctypes.c_float.from_address(end).value = 7": ("right", "it writes 4 bytes past the end of an input"),
    "ctypes.c_float.from_address(start - 4).value = 7": ("left", "it writes 4 bytes before the start of an input"),
}


@pytest.mark.parametrize("layout", ["fortran", "transposed", "channels_last"])
@pytest.mark.parametrize("does", AMISS)
def test_memory_beside_an_array_that_a_probe_lays_out_is_guarded_too(does, layout, tmp_path):
    (tmp_path / "laid.py").write_text(LAID_OUT.format(does))
    subject, (side, what) = IsolatedSubject("laid.py", tmp_path), AMISS[does]
    subject.side = side
    with pytest.raises(failures.Crashed):
        subject.probe("layout", "conv2d", [X, W, None], RESTS, layout=layout)
    assert diagnosis.cause(subject) == diagnosis.Cause(BOUNDS, what)
    subject.side = next(each for each in SIDES if each != side)
    if does.endswith("7"):
        with pytest.raises(failures.WroteAround, match=what):
            subject.probe("layout", "conv2d", [X, W, None], RESTS, layout=layout)
    else:
        subject.probe("layout", "conv2d", [X, W, None], RESTS, layout=layout)
    subject.probe("layout", "conv2d", [X, W, None], RESTS, layout="contiguous")


def test_every_fault_has_a_test():
    assert {*ENDINGS, *BESIDE, *ALIGNED} | SPEAK_FOR_THEMSELVES == set(faulty.NAMES)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("fault", ENDINGS)
def test_what_ends_the_process_is_told_by_its_kind_and_named(having, fault, side):
    kind, verdict, what = ENDINGS[fault]
    subject = having(fault)
    failure = found(subject, side)
    assert type(failure).__name__ == kind
    cause = diagnosis.cause(subject)
    assert (cause and cause.what) == what
    assert (cause or failure).verdict == verdict  # type: ignore[union-attr]


@pytest.mark.parametrize("fault", BESIDE)
def test_one_element_beside_an_array_is_found_on_one_side_at_least_and_named(having, fault):
    side, what = BESIDE[fault]
    subject = having(fault)
    failure = found(subject, side)
    assert type(failure).__name__ == "SIGSEGV"
    assert diagnosis.cause(subject) == diagnosis.Cause(BOUNDS, what)
    other = found(subject, next(each for each in SIDES if each != side))
    if fault.endswith("write"):  # what is not a guard has a pattern in it
        assert (type(other), str(other)) == (failures.WroteAround, what)
    else:
        assert other is None


@pytest.mark.parametrize("fault", ALIGNED)
def test_what_wants_arrays_aligned_is_not_told_to_read_past_them(having, fault):
    subject = having(fault)
    assert type(found(subject, "right")).__name__ == "SIGSEGV"
    assert diagnosis.cause(subject) == diagnosis.Cause("crashed", ALIGNED[fault])
    assert found(subject, "left") is None


@pytest.mark.parametrize("fault", ["now_and_then", "each_fourth"])
def test_no_cause_is_named_of_what_fails_now_and_then(having, fault):
    subject = having(fault)
    for _ in range(20):
        while (failure := found(subject, "right")) is None:
            pass
        assert type(failure).__name__ == "SIGSEGV"
        assert diagnosis.cause(subject) is None


def test_a_cell_left_unwritten_is_found(having):
    failure = found(having("unwritten"), "right")
    assert isinstance(failure, failures.LeftUnwritten)
    first = "1 of 27 cells of the result were never written, the first at [0, 2, 2, 2]"
    assert str(failure) == f"{first}, or added to before they were set"


def test_the_same_kernel_without_a_fault_passes_on_either_side(having):
    subject = having("sound")
    assert [found(subject, side) for side in SIDES] == [None, None]
    assert diagnosis.cause(subject) is None


def test_what_takes_all_memory_is_told_from_what_crashes(having):
    with pytest.raises(
        failures.OutOfMemory,
        match=r"died of SIGABRT .*, when it had taken [\d,]+ MiB of memory; --memory-limit gives .*\n  said   no",
    ):
        having("memory", limits=Limits(memory=1 << 28)).call("conv2d", X, W, None, **FIRES)


def test_after_a_call_that_took_all_memory_others_have_less_of_it_until_the_next_property_begins(having):
    subject, taken = having("memory", limits=Limits(memory=1 << 28)), []
    for _ in range(2):
        for _ in range(2):
            with pytest.raises(failures.OutOfMemory) as caught:
                subject.call("conv2d", X, W, None, **FIRES)
            taken.append(int(str(caught.value).partition("taken ")[2].partition(" MiB")[0]))
        assert "which is what calls have after one that took all memory" in str(caught.value)
        subject.begin()
    assert min(taken[::2]) - max(taken[1::2]) > 150  # of the 256 MiB, and 32 for the stacks of each core


TAKES = """
import os, threading
import numpy as np
from impls.im2col import conv2d as right
def conv2d(x, *a, **k):
    np.ones(100 << 20, np.uint8).sum()
    return right(x, *a, **k)
def avg_pool2d(x):
    np.ones(400 << 20, np.uint8)
def l2_pool2d(x):
    raise RuntimeError("can't start new thread")
def max_pool2d(x):
    os.write(2, b"conv: no memory")
    os.abort()
"""


def test_the_memory_of_a_call_is_that_of_each_call_that_is_made_at_once(tmp_path):
    (tmp_path / "takes.py").write_text(TAKES)
    subject = IsolatedSubject("takes.py", tmp_path, Limits(memory=200 << 20))
    subject.probe("threads", "conv2d", [X, W, None], RESTS, count=8, times=2)


def test_where_the_limit_of_memory_was_the_reason_the_option_is_named(tmp_path):
    (tmp_path / "takes.py").write_text(TAKES)
    for memory in (200 << 20, 0):
        subject = IsolatedSubject("takes.py", tmp_path, Limits(memory=memory))
        for operation in ("avg_pool2d", "l2_pool2d", "max_pool2d") if memory else ("l2_pool2d", "max_pool2d"):
            with pytest.raises((MemoryError, RuntimeError, failures.Crashed)) as caught:
                subject.call(operation, X)
            assert ("; --memory-limit gives calls more" in str(caught.value)) == (memory > 0)


def test_what_gives_no_answer_is_ended_and_patience_shrinks(having):
    subject = having("loops")
    subject.process.limit = 1.0
    for limit, why in ((1.0, ""), (LEAST, ", which is what calls have after one that hung")):
        said = rf"no answer in {limit:g} s{why}; --call-limit gives a call more\n  at     .*bridges\.py:\d+ in conv2d"
        with pytest.raises(failures.Hung, match=said):
            subject.call("conv2d", X, W, None, **FIRES)
        assert subject.call("conv2d", X, W, None, **RESTS).sum() == 150
    subject.begin()
    assert subject.process.limit == Limits.seconds


def test_what_hangs_in_python_is_told_by_its_line(tmp_path):
    (tmp_path / "spins.py").write_text(
        "def spin():\n    while True:\n        pass\ndef conv2d(x):\n    return spin()\n"
    )
    subject = IsolatedSubject("spins.py", tmp_path)
    subject.process.limit = 0.5
    with pytest.raises(failures.Hung, match=rf"at     {tmp_path}/spins\.py:[23] in spin"):
        subject.call("conv2d", X)


@pytest.mark.parametrize("fault", ["spam", "endless_spam"])
def test_what_is_printed_without_end_is_not_kept_without_end(having, fault):
    subject = having(fault)
    failure = found(subject, "right")
    if fault == "spam":
        assert failure is None
    else:
        assert isinstance(failure, failures.Printed)
        assert failure.verdict == "printed too much"
        assert re.match(r"it printed more than 1 MiB in one call(\n  said   .*spam.*)+$", str(failure))
        assert diagnosis.cause(subject) is None
    assert "spam" in subject.printed()
    assert len(subject.process.printed) <= KEPT


def test_an_over_read_that_is_declared_is_allowed_and_no_more(file):
    text = "from faulty import over_read_x as kernel\nconv2d, over_reads = kernel.conv2d, {}\n"
    for allowed in (4, 0):
        (file.parent / f"declares_{allowed}.py").write_text(text.format(allowed))
        failure = found(IsolatedSubject(f"declares_{allowed}.py", file.parent), "right")
        assert (failure is None) == (allowed > 0)


def test_a_fresh_interpreter_is_told_of_in_the_same_way(having):
    subject = having("segfault", fork=False)
    for _ in range(2):
        with pytest.raises(failures.Crashed, match="the process died of SIGSEGV"):
            subject.call("conv2d", X, W, None, **FIRES)
    assert subject.call("conv2d", X, W, None, **RESTS).sum() == 150


def test_each_kind_of_failure_is_a_class_of_its_own(having):
    kinds = {type(found(having(fault), "right")) for fault in ("segfault", "division", "aborts", "exits", "unwritten")}
    assert len(kinds) == 5
    assert failures.crashed(11) is failures.crashed(11)


def test_an_answer_that_comes_late_is_not_the_next_calls(tmp_path):
    (tmp_path / "slow.py").write_text("import time\ndef out_size(n):\n    time.sleep(0.5)\n    return n\n")
    subject = IsolatedSubject("slow.py", tmp_path)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            subject.call("out_size", 1)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert subject.call("out_size", 2) == 2


def test_its_memory_is_given_back(having):
    subject = having("sound")
    numbers = subject.process.arena.fd, subject.process.results.fd, subject.process.out
    running = subject.process.running
    del subject
    gc.collect()
    assert running.returncode == 0
    for number in numbers:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)
