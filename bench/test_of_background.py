"""Who is told of a thread that computes behind one's back: the implementation that left it, and nobody else."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench import fakes
from bench.background import Background
from bench.fakes import CORRECT, subject
from bench.layers import BY_NAME
from bench.timing import ANOTHERS, COMPUTES_ON, NotTimed, Timekeeper
from impls import im2col

SMALL, POOL = BY_NAME["cifar10-conv"], BY_NAME["cifar10-pool"]


class Thread:
    """A thread that computes a millisecond in every seven, which no short look sees for sure; or always, or never."""

    def __init__(self, pause=0.006, lasts=60.0):
        self.stop, self.pause, self.lasts = threading.Event(), pause, lasts
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        """Compute by fits and starts."""
        end = time.perf_counter() + self.lasts
        while not self.stop.wait(self.pause) and time.perf_counter() < end:
            work = time.thread_time() + 0.001
            while time.thread_time() < work:
                pass

    def start(self):
        """Begin, once."""
        if self.thread.ident is None:
            self.thread.start()

    def end(self):
        """End, for the system too, which takes a moment longer."""
        self.stop.set()
        if self.thread.is_alive():
            self.thread.join()
            time.sleep(0.05)


@pytest.fixture
def thread(request):
    """Give a thread that ends with the test."""
    found = Thread(**getattr(request, "param", {}))
    yield found
    found.end()


def leaving(thread, when=lambda x: True):
    """Make an implementation whose calls leave a thread."""

    def conv2d(x, w, b, **parameters):
        if when(x):
            thread.start()
        return im2col.conv2d(x, w, b, **parameters)

    return subject(conv2d=conv2d, max_pool2d=im2col.max_pool2d)


def refused(keeper, implementation, layer=SMALL, operation="conv2d"):
    with pytest.raises(NotTimed) as caught:
        keeper.layer(fakes.Benchmark(), implementation, layer, operation)
    row = keeper.record.not_timed[-1]
    assert caught.value.fault == (row["reason"] == COMPUTES_ON)
    return row


def timed(keeper, implementation, layer=SMALL, operation="conv2d"):
    keeper.layer(stand_in := fakes.Benchmark(), implementation, layer, operation)
    assert stand_in.data


def test_a_thread_that_computes_by_fits_and_starts_is_told_of_who_left_it_alone(thread):
    keeper, faulty = Timekeeper(too_slow=2.0), leaving(thread)
    timed(keeper, CORRECT)
    assert refused(keeper, faulty)["reason"] == COMPUTES_ON
    row = refused(keeper, CORRECT, POOL, "max_pool2d")
    assert (row["reason"], row["detail"]) == (ANOTHERS, "since faulty.py was called")
    assert refused(keeper, faulty, POOL, "max_pool2d")["reason"] == COMPUTES_ON
    assert refused(keeper, faulty, SMALL, "conv2d_backward")["reason"] == "unsupported: offers no conv2d_backward"
    thread.end()
    timed(keeper, CORRECT)


def test_a_thread_of_what_was_too_slow_is_told_of_it_as_well(thread):
    keeper, faulty = Timekeeper(too_slow=1e-9, baseline="im2col"), leaving(thread)
    timed(keeper, CORRECT)
    assert refused(keeper, faulty)["reason"].startswith("too slow")
    assert refused(keeper, CORRECT, POOL, "max_pool2d")["reason"] == ANOTHERS
    assert refused(keeper, faulty, POOL, "max_pool2d")["reason"] == COMPUTES_ON


def test_a_thread_that_begins_while_it_is_timed_is_found(thread):
    calls = []
    faulty = leaving(thread, lambda x: x.shape == SMALL.geometry.x_shape and calls.append(1) is None and len(calls) > 9)
    keeper = Timekeeper(too_slow=2.0)
    assert refused(keeper, faulty)["reason"] == COMPUTES_ON
    assert keeper.record.times == {}


def test_a_thread_that_is_there_before_anything_is_called_is_nobodys_fault(thread):
    thread.start()
    keeper = Timekeeper(too_slow=2.0)
    keeper.background.look()
    row = refused(keeper, CORRECT)
    assert (row["reason"], row["detail"]) == (ANOTHERS, "since before anything was called")


@pytest.mark.parametrize("thread", [{"lasts": 1.5, "pause": 0}], indirect=True)
def test_what_computes_on_for_a_while_is_no_reason_not_to_time_others(thread):
    keeper = Timekeeper(too_slow=2.0)
    assert refused(keeper, leaving(thread))["reason"] == COMPUTES_ON
    timed(keeper, CORRECT)


@pytest.mark.parametrize("thread", [{"lasts": 0.5}, {"pause": 60}], indirect=True, ids=["that ends", "that waits"])
def test_a_thread_that_comes_to_rest_is_no_fault(thread):
    keeper = Timekeeper(too_slow=2.0)
    timed(keeper, leaving(thread))
    timed(keeper, CORRECT)


def test_threads_that_wait_for_work_are_no_fault():
    keeper = Timekeeper(too_slow=2.0)
    with ThreadPoolExecutor(3) as pool:

        def conv2d(x, w, b, **parameters):
            return pool.submit(im2col.conv2d, x, w, b, **parameters).result()

        timed(keeper, subject(conv2d=conv2d))
        timed(keeper, CORRECT)


def test_threads_belong_to_who_was_called_last():
    found = Background()
    assert not found.appeared("first")
    for name in ("first", "second"):
        (each := Thread(pause=0)).start()
        assert found.appeared(name)
        assert not found.appeared("another")
        found.look(patience=0)
        assert found.whose() == name
        each.end()
        assert found.whose() is None
