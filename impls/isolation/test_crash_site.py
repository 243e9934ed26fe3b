"""Where in C a call crashes or hangs is told: the function, its library, its line, and what was accessed."""
# mypy: allow-untyped-defs, allow-untyped-calls

import json
import platform
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

from impls.isolation import crash_site, diagnosis, failures, faulty
from impls.isolation.process import Limits
from impls.isolation.subject import IsolatedSubject

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None or platform.machine() not in crash_site.REGISTERS,
    reason="there is no C compiler here, or a processor whose registers are not known",
)

X, W = np.ones((1, 1, 5, 5), "f4"), np.ones((1, 1, 1, 1), "f4")
FIRES = {"stride": (2, 2), "padding": (0, 0)}

DEEP = """
static float deep(const float *x, long n)
{
    volatile float pad[512];
    pad[0] = x[0];
    return pad[0] + (n < 0 ? 0 : deep(x, n + 1));
}
void bottomless(const float *x, const float *w, const float *b, float *y) { y[0] = deep(x, 0); }
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return faulty.written(tmp_path_factory.mktemp("faulty"))


def site(subject):
    """Tell where the call that fires fails."""
    with pytest.raises((failures.Crashed, failures.OutOfMemory)):
        subject.call("conv2d", X, W, None, **FIRES)
    return diagnosis.site(subject).words


def placed(fault):
    """Tell where in faulty.c a fault stands, where the lines of code can be told at all."""
    lines = faulty.SOURCE.read_text().splitlines()
    number = next(i for i, line in enumerate(lines, 1) if line.startswith(f"FAULT({fault},"))
    line = re.escape(f", {faulty.SOURCE}:{number}") if shutil.which("addr2line") else r"\+0x[0-9a-f]+"
    return rf"in {fault} of libfaulty\.so{line}"


@pytest.mark.parametrize(
    ("fault", "does"),
    [
        ("segfault", r"it (writes|accesses) address 0x0, a null pointer or near one, "),
        ("over_read_x", "it (reads|accesses) right past the end of x, "),
        ("over_write", "it (writes|accesses) right past the end of the result, "),
        ("division", ""),
    ],
)
def test_a_crash_is_placed_in_its_function_and_line(file, fault, does):
    if fault == "division" and platform.machine() != "x86_64":
        pytest.skip("a division by zero is no fault of this processor")
    assert re.fullmatch(does + placed(fault), site(IsolatedSubject(f"faulty.py:{fault}", file.parent)))


def test_what_the_c_library_was_called_for_is_placed_at_its_caller(file):
    assert re.fullmatch(f"{placed('aborts')}, which called .+", site(IsolatedSubject("faulty.py:aborts", file.parent)))


def test_a_crash_for_want_of_memory_is_placed(file):
    assert " of libfaulty.so" in site(IsolatedSubject("faulty.py:memory", file.parent, Limits(memory=1 << 26)))


def test_a_crash_is_placed_where_more_memory_was_tried_before(file):
    subject = IsolatedSubject("faulty.py:unchecked", file.parent, Limits(memory=1 << 28))
    site(subject)
    told = "it cannot bear that memory beyond the limit of 256 MiB is refused: with 8 times --memory-limit it passes"
    assert diagnosis.cause(subject) == diagnosis.Cause("crashed", told)
    assert placed("unchecked").split(" of ")[0] in diagnosis.site(subject).words


def test_a_stack_that_is_full_is_told(tmp_path):
    (tmp_path / "deep.c").write_text(DEEP)
    subprocess.run(["cc", "-O0", "-shared", "-fPIC", "-o", "libdeep.so", "deep.c"], cwd=tmp_path, check=True)
    library = str(tmp_path / "libdeep.so")
    (tmp_path / "deep.py").write_text(
        f"from impls.bridges import from_shared_library\nkernel = from_shared_library({library!r}, 'bottomless')\n"
    )
    assert site(IsolatedSubject("deep.py:kernel", tmp_path)).startswith("its stack is full, in deep of libdeep.so")


def test_a_hang_is_placed_in_its_function_and_line(file):
    subject = IsolatedSubject("faulty.py:loops", file.parent, Limits(seconds=1))
    with pytest.raises(failures.Hung, match=rf"\n  site   {placed('loops')}"):
        subject.call("conv2d", X, W, None, **FIRES)


def test_a_crash_in_the_midst_of_memory_management_costs_no_more_than_its_time(file):
    subject = IsolatedSubject("faulty.py:heap", file.parent)
    with pytest.raises(failures.Crashed):
        subject.call("conv2d", X, W, None, **FIRES)
    began = time.monotonic()
    told = diagnosis.site(subject).words
    assert told == "" or "in heap of libfaulty.so" in told
    assert time.monotonic() - began < 2 * diagnosis.TELLING
    assert subject.process.limit == Limits.seconds


def test_what_is_no_crash_has_no_place(file):
    subject = IsolatedSubject("faulty.py:exits", file.parent)
    with pytest.raises(failures.Exited):
        subject.call("conv2d", X, W, None, **FIRES)
    assert diagnosis.site(subject) == crash_site.Site()


@pytest.mark.parametrize(
    "line",
    ["", "poolproof-site {", "poolproof-site {}", 'poolproof-site {"frames": 3}', 'poolproof-site {"frames": [[]]}'],
)
def test_what_someone_else_has_printed_is_no_place(line):
    assert crash_site.told(line.encode()) == crash_site.Site()


def test_lines_are_those_that_were_told_last_and_are_not_shown_as_printed():
    told = {"signal": signal.SIGSEGV, "frames": [["/nowhere/libkernel.so", 64, "conv"]]}
    printed = f"hello\npoolproof-site {json.dumps(told)}\n"
    assert crash_site.told(printed.encode()).words == "in conv of libkernel.so+0x40"
    assert crash_site.LINE.sub("", printed) == "hello\n"
