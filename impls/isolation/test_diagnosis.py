"""What a diagnosis reads out of a failure: the words of the C library, and what memory was filled with."""
# mypy: allow-untyped-defs, allow-untyped-calls

import numpy as np
import pytest

from impls.isolation import diagnosis, failures
from impls.isolation.memory import PATTERN
from impls.isolation.subject import IsolatedSubject

X, W, PLAIN = np.ones((1, 2, 5, 5), "f4"), np.ones((3, 2, 1, 1), "f4"), {"stride": (1, 1), "padding": (0, 0)}


@pytest.mark.parametrize(
    "said",
    [
        "free(): invalid pointer",
        "malloc(): corrupted top size",
        "double free or corruption (out)",
        "Fatal glibc error: malloc assertion failure in sysmalloc: (old_top == initial_top (av) && old_size == 0)",
        "invalid fastbin entry (free)",
        "malloc(): unaligned tcache chunk detected",
        "free(): unaligned chunk detected in tcache 2",
    ],
)
def test_the_c_library_s_words_for_a_broken_heap_are_known(said):
    assert diagnosis.HEAP.search(f"the process died of SIGABRT (Aborted)\n  said   {said}")
    assert not diagnosis.HEAP.search(f"the process died of SIGABRT (Aborted)\n  said   kernel: {said}")


@pytest.mark.parametrize(
    ("byte", "what"), [(0x5A, "allocated and never written"), (0xA5, "freed"), (PATTERN, "never written")]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_value_that_memory_is_filled_with_is_known_by_its_byte(byte, what, dtype):
    (value,) = np.frombuffer(bytes([byte]) * 8, dtype)[:1]
    assert diagnosis.poison(repr(float(value)), dtype).startswith(f"it gives back memory that was {what}: there every")
    half = int.from_bytes(bytes([byte] * 4 + [0] * 4), "little")
    assert f"0x{byte:x}" in diagnosis.poison(str(half), "float32")


FILE = """
import os, sys
import numpy as np
from impls.im2col import conv2d as right
{}
def conv2d(x, w, b, **parameters):
    return right(x, w, b, **parameters)
"""


@pytest.mark.parametrize("closed", ["os.close(1); os.close(2)", "os.close(0)", "sys.stdout.close()"])
def test_a_stream_that_an_import_closes_is_no_fault_of_a_call(tmp_path, closed):
    (tmp_path / "closes.py").write_text(FILE.format(closed))
    subject = IsolatedSubject("closes.py", tmp_path)
    assert subject.probe("left", "conv2d", (X, W, None), PLAIN)["changed"] == []


ONCE = """
import ctypes, os
from impls.im2col import conv2d as right
def conv2d(x, w, b, **parameters):
    with open("calls", "a+") as calls:
        print(file=calls, flush=True)
        calls.seek(0)
        if len(calls.readlines()) != {}:
            ctypes.string_at(16)
    return right(x, w, b, **parameters)
"""


def test_a_call_that_passes_by_chance_is_not_taken_for_one_that_has_too_little_memory(tmp_path):
    causes = []
    for turn in range(9, 18):  # one of these is the one that has more memory
        folder = tmp_path / str(turn)
        folder.mkdir()
        (folder / "once.py").write_text(ONCE.format(turn))
        subject = IsolatedSubject("once.py", folder)
        with pytest.raises(failures.Crashed):
            subject.call("conv2d", X, W, None, **PLAIN)
        causes.append(diagnosis.cause(subject))
    assert not any("memory beyond" in cause.what for cause in causes if cause)
