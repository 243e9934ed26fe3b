"""Pool or stride: what each costs, how far it sees, and what it makes of a photograph that moves."""

from __future__ import annotations

from functools import partial

import pytest

import conftest as root
from bench import steps, summary, timing, translation
from bench.record import Entry

EXPERIMENTS = {
    "test_pool_or_stride": "pool-or-stride",
    "test_stride": "stride",
    "test_a_photograph_that_moves": "translation",
}

CHANNELS, SIDE = 64, 56


def pytest_generate_tests(metafunc):
    """Run each step in every implementation before the next one."""
    specs = summary.short(list(metafunc.config.stash[root.STATE].subjects))
    sizes = [tuple(each) for each in getattr(metafunc.function, "sizes", [])]
    if "spec" in metafunc.fixturenames:
        names = [name for name in metafunc.fixturenames if name in ("variant", "F", "S")]
        items = [(*size, spec) for size in sizes for spec in specs]
        ids = ["-".join(map(str, (*size, specs[spec]))) for *size, spec in items]
        metafunc.parametrize((*names, "spec"), items, ids=ids)


def sizes(*found):
    """Give a test the sizes that it runs at."""

    def given(test):
        test.sizes = found
        return test

    return given


@sizes(*((variant, F, S) for F in (3, 5) for S in (2, 4) for variant in steps.VARIANTS))
def test_pool_or_stride(benchmark, keeper, subjects, variant, F, S, spec):
    """Time a step of a network, 56x56x64 to 64 filters, that makes the image S times smaller."""
    cases = steps.step(variant, C=CHANNELS, K=CHANNELS, W=SIDE, F=F, S=S)
    benchmark.group = f"pool or stride {variant}"
    row = {"variant": variant, "F": F, "S": S, "steps": steps.told(cases)}
    measured(benchmark, keeper, subjects[spec], "pool_or_stride", f"pool-or-stride-{variant}-F{F}-S{S}", cases, row)


@sizes(*((S,) for S in (1, 2, 3, 4, 6, 8)))
def test_stride(benchmark, keeper, subjects, S, spec):
    """Time AlexNet's conv1 at other strides. The receptive field is that of a 3x3 convolution on top of it."""
    cases = (steps.convolution(3, 96, 227, 11, S, 0),)
    benchmark.group = "stride"
    side = cases[0].geometry.vertical.out
    seen = steps.receptive_field([*cases, steps.convolution(96, 1, side, 3, 1)])
    row = {"S": S, "out": side, "receptive_field": seen}
    measured(benchmark, keeper, subjects[spec], "stride", f"stride-{S}", cases, row)


def measured(benchmark, keeper, subject, table, name, cases, row):
    """Time operations in a row, each judged alone before, and on what the one before gives; keep a row of the table."""
    entry = Entry("experiment", name, "conv2d", subject.spec, "; ".join(map(str, cases)))
    judged, expected = keeper.admitted(entry, subject, list(cases))
    work = [timing.work(case) for case in cases]
    facts = {name: sum(each[name] for each in work) for name in ("macs", "flops")}
    facts["bytes"] = sum(timing.moved(case, found.result_bytes) for case, found in zip(cases, judged, strict=True))
    call = steps.chained(subject, cases)
    try:
        after = partial(steps.after, cases, call)
        found = steps.judged(cases, call)
        call.keep()
    except BaseException as error:
        keeper.fails(entry, error)
    if not found.passes:
        keeper.refuse(entry, found.reason, found.detail, fault=True)
    keeper.rounds(benchmark, entry, call, expected, judged, facts, after, call.vary)
    _, channels, height, width = cases[-1].geometry.y_shape
    keeper.record.add(table, {
        "receptive_field": steps.receptive_field(cases), **row, "implementation": subject.spec,
        "cpu_seconds": keeper.record.times[entry], "macs": facts["macs"], "parameters": steps.parameters(cases),
        "out_h": height, "out_w": width, "out_channels": channels,
    })  # fmt: skip


@pytest.mark.parametrize("S", translation.STRIDES)
@pytest.mark.parametrize("F", translation.EXTENTS)
def test_a_photograph_that_moves(keeper, subjects, F, S):
    """Count the outputs that change when a photograph moves, and hold the count against what was expected."""
    pytest.importorskip("matplotlib", reason="pip install -c constraints.txt matplotlib")
    pytest.importorskip("PIL", reason="pip install -c constraints.txt pillow")
    subject = subjects[summary.baseline(list(subjects))]
    entry = Entry("experiment", f"translation-F{F}-S{S}", "conv2d", subject.spec)
    if subject.declared.accuracy != "direct":
        keeper.refuse(entry, "unsupported: does not add whole numbers of float64 exactly")
    image = translation.photograph()
    found = keeper.untimed(
        entry, subject, translation.cases(F, S), lambda apart: translation.tables(apart, image, F, S)
    )
    for table, rows in found.items():
        for row in rows:
            keeper.record.add(table, row)
