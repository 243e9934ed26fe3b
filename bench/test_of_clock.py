"""What is measured of a call, on calls of which it is known; and the GPU's part on a fake one."""

from __future__ import annotations

import mmap
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest

from bench import clock, fakes, machine

MB = 2**20


def busy(seconds):
    """Spend CPU time."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_cpu_time_is_that_of_work_and_not_of_waiting():
    worked, _ = clock.seconds(lambda: busy(0.02))
    waited, _ = clock.seconds(lambda: time.sleep(0.05))
    assert 0.02 <= worked < 0.04
    assert waited < 0.02


def test_what_an_implementation_puts_in_place_of_pythons_clocks_tells_no_time(monkeypatch):
    for name in ("process_time", "perf_counter", "sleep"):
        monkeypatch.setattr(time, name, lambda *_: 0.0)
    rounds = clock.Rounds(lambda: sum(range(10**6)))
    rounds.run(fakes.Benchmark(), 3)
    assert min(rounds.cpu) > 0
    assert min(rounds.wall) > 0
    assert rounds.spent > 0
    assert clock.lasting(lambda: sum(range(10**6)))[0] > 0


@pytest.mark.parametrize(("wall", "told"), [([0.011, 0.012], "cpu"), ([0.021, 0.022], "wall")])
def test_both_clocks_are_kept_of_every_round(wall, told):
    facts = clock.Rounds(lambda: None, cpu=[0.01, 0.01], wall=wall, minor=[0], major=[0]).facts()
    assert facts["clock"] == told
    assert facts["wall_seconds"] == wall
    assert facts["cpu_seconds"] == (wall if told == "wall" else [0.01, 0.01])


def test_a_call_lasts_its_cpu_time_or_its_wall_time_whichever_is_more():
    assert 0.05 <= clock.lasting(lambda: time.sleep(0.05))[0] < 0.1
    assert 0.02 <= clock.lasting(lambda: busy(0.02))[0] < 0.04
    assert clock.lasting(lambda: 42)[1] == 42


def test_waiting_for_a_core_is_not_counted(monkeypatch, tmp_path):
    queue = tmp_path / "schedstat"
    queue.write_text("5 1000000000 2\n")
    monkeypatch.setattr(clock, "QUEUE", queue)

    def call():
        time.sleep(0.06)
        queue.write_text("5 1040000000 2\n")  # 40 milliseconds of them in the queue

    assert 0.02 <= clock.lasting(call)[0] < 0.05
    for text in ("", "nothing"):
        queue.write_text(text)
        assert clock.lasting(lambda: time.sleep(0.01))[0] >= 0.01
    monkeypatch.setattr(clock, "QUEUE", tmp_path / "absent")
    assert clock.lasting(lambda: time.sleep(0.01))[0] >= 0.01


@pytest.mark.parametrize(
    ("lasts", "calls", "settled"), [([1, 9], 1, 1), ([3, 1], 2, 1), ([5, 4], 2, 4), ([4, 5], 2, 4), ([7, 1], 1, 7)]
)
def test_a_first_call_that_is_too_long_by_a_little_gets_a_second(monkeypatch, lasts, calls, settled):
    made = []
    monkeypatch.setattr(clock, "lasting", lambda call, events: (lasts[call()], None))
    assert clock.settled(lambda: made.append(1) or len(made) - 1, 2) == settled
    assert len(made) == calls


def test_rounds_that_last_too_long_end():
    benchmark = fakes.Benchmark()
    with pytest.raises(clock.Overdue, match=r"3 rounds lasted 0\.0\d+ s"):
        clock.Rounds(lambda: time.sleep(0.02), most=0.05).run(benchmark, 100)


def test_the_result_comes_with_the_time():
    assert clock.seconds(lambda: 42)[1] == 42


@pytest.mark.parametrize(("expected", "rounds"), [(0, 100), (1e-6, 100), (0.002, 30), (0.02, 5), (1.5, 5)])
def test_rounds_fit_the_budget_within_limits(expected, rounds):
    assert clock.rounds_for(expected) == rounds


def test_peak_memory_is_all_that_a_call_allocates():
    def call():
        scratch = np.ones(3 * MB // 8)
        return np.ones(MB // 8) + scratch.sum()

    found = clock.first(call)
    assert found.result.nbytes == MB
    assert 4 * MB <= found.peak < 5.1 * MB
    assert found.method == "traced allocations"
    assert found.device == "cpu"
    assert not tracemalloc.is_tracing()


def test_memory_that_python_does_not_see_shows_as_growth():
    import ctypes

    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]

    def call():
        block = library.malloc(64 * MB)
        library.memset(block, 1, 64 * MB)
        library.free(block)

    for expected in (0.0, 1.0):
        found = clock.first(call, expected)
        assert found.method == "growth of resident memory, the results at least"
        assert 60 * MB < found.peak < 80 * MB


def test_a_small_result_that_is_not_traced_counts_as_what_it_is():
    made = np.ones(1000)  # as if by a library
    found = clock.first(lambda: made)
    assert found.peak >= 8000
    assert found.method == "growth of resident memory, the results at least"


def test_buffers_that_are_kept_for_each_thread_are_counted():
    kept = threading.local()

    def call():
        if not hasattr(kept, "buffer"):
            kept.buffer = np.ones(MB // 8)
        return kept.buffer.sum()

    call()
    assert clock.first(call).peak >= MB


@pytest.mark.parametrize(
    ("once", "again", "bytes_"),
    [(3 * MB, 2 * MB, 2 * MB), (2 * MB, 3 * MB, 2 * MB), (100 * MB, 2 * MB, 100 * MB)],
    ids=["the process' own", "by chance", "kept by the implementation"],
)
def test_what_a_process_takes_once_is_no_memory_of_a_call(once, again, bytes_):
    one, two = (clock.First(None, 0.0, size, f"found {size}") for size in (once, again))
    assert clock.memory(one, two) == (bytes_, f"found {bytes_}")


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
def test_what_a_first_call_raises_is_raised(error):
    def call():
        raise error

    with pytest.raises(type(error)) as caught:
        clock.first(call)
    assert caught.value is error


def test_tracing_that_is_on_already_stays_on():
    tracemalloc.start()
    try:
        assert clock.first(lambda: np.ones(MB)).peak >= 8 * MB
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


def test_rounds_keep_cpu_times_and_page_faults():
    benchmark, calls = fakes.Benchmark(), []

    def call():
        calls.append(1)
        fresh = np.frombuffer(mmap.mmap(-1, 32 * MB), np.uint8)  # no allocator hands these pages out again
        fresh[:] = 1
        return fresh

    rounds = clock.Rounds(call)
    assert rounds.run(benchmark, 7).nbytes == 32 * MB
    facts = rounds.facts()
    assert len(calls) == len(facts["cpu_seconds"]) == len(benchmark.data) == 7
    assert all(0 < cpu < 1 for cpu in facts["cpu_seconds"])
    assert facts["minor_faults"] >= 8  # of pages, or huge ones
    assert facts["major_faults"] >= 0
    assert rounds.result is None


def test_a_benchmark_that_is_disabled_runs_once():
    class Disabled(fakes.Benchmark):
        def pedantic(self, target, *, setup, teardown, rounds):
            setup()
            target()

    rounds = clock.Rounds(lambda: 1)
    rounds.run(Disabled(), 100)
    assert len(rounds.facts()["cpu_seconds"]) == 1


def test_a_median_needs_three_rounds_or_more():
    calls = []
    assert clock.median_seconds(lambda: calls.append(busy(0.01)), budget=0.001) >= 0.01
    assert len(calls) >= 4


# a GPU


@pytest.fixture
def cuda(monkeypatch):
    found = fakes.Cuda(milliseconds=7.0)
    monkeypatch.setitem(sys.modules, "torch", fakes.torch(found))
    return found


def test_without_torch_there_is_no_gpu(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert clock.gpu() is None
    assert clock.device() == "cpu"


def test_time_on_a_gpu_is_that_between_events(cuda):
    taken, result = clock.seconds(lambda: cuda.compute(1) or "done", events=True)
    assert taken == pytest.approx(0.007)
    assert result == "done"
    assert cuda.events == 2


def test_who_computes_on_the_gpu_is_known_by_its_memory(cuda):
    for size in (4096, 2048):  # the first of them initializes it
        found = clock.first(lambda size=size: cuda.compute(size))
        assert (found.device, found.peak, found.method) == ("cuda:0 Fake 3000", size, "allocated on the GPU")


def test_who_does_not_is_measured_on_the_cpu(cuda):
    found = clock.first(lambda: np.ones(MB))
    assert found.device == "cpu"
    assert found.peak >= 8 * MB


def test_without_a_record_of_the_system_all_is_traced(monkeypatch):
    monkeypatch.setattr(clock, "CLEAR", clock.Path("/nowhere/clear_refs"))
    for expected in (0.0, 1.0):
        found = clock.first(lambda: np.ones(MB), expected)
        assert found.method == "traced allocations"
        assert 8 * MB <= found.peak < 9 * MB


def test_the_machine_is_described(cuda):
    found = machine.described({"flags": ["fpu", "avx2", "sse4_2", "avx512f", "fma", "syscall"]})
    assert set(found["blas"]) == {"name", "version", "threads"}
    assert found["numpy"] == np.__version__
    assert found["torch"] == "9.9"
    assert found["flags"] == ["avx2", "sse4_2", "avx512f", "fma"]
    assert found["gpu"] == "cuda:0 Fake 3000"
    assert found["date"].endswith("+00:00")
    assert machine.threads() >= 1
