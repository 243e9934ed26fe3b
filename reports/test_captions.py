"""Every number that a caption says is found again from the file alone, with nothing of the code that drew it."""

import json
import math
import re
from dataclasses import replace
from statistics import geometric_mean, linear_regression, mean, median

import numpy as np
import pytest

from reports import benchmarks, errors, made_up, memory, nearness, roofline, scaling, speed, steps, strides, translation
from reports.test_ledger import failing_rows, sample_rows


@pytest.fixture(scope="module")
def document():
    return json.loads(json.dumps(made_up.document()))


@pytest.fixture(scope="module")
def found(tmp_path_factory, document):
    return benchmarks.load(made_up.saved(tmp_path_factory.mktemp("bench"), document))


@pytest.fixture(scope="module")
def infos(document):
    return [each["extra_info"] for each in document["benchmarks"]]


def medians(infos, **wanted):
    """The median of each entry of a kind, by layer, operation and implementation."""
    chosen = [info for info in infos if all(info[name] == value for name, value in wanted.items())]
    return {(each["layer"], each["operation"], each["implementation"]): median(each["cpu_seconds"]) for each in chosen}


def sentence(said, start):
    return next(each for each in said if each.startswith(start))


def numbers(text):
    """The numbers of a sentence, those within a name left out."""
    return [float(each.replace(",", "")) for each in re.findall(r"(?<![\w.-])\d[\d,]*\.?\d*(?![\w-]|x)", text)]


@pytest.mark.parametrize("baseline", ["im2col", "torch-cpu"])
def test_speed(found, infos, baseline):
    times = medians(infos, kind="layer")
    said = speed.caption(speed.speed(found, baseline))
    for name in made_up.RATES:
        if name == baseline:
            continue
        ratios = {(layer, operation): times[layer, operation, baseline] / seconds
                  for (layer, operation, who), seconds in times.items() if who == name}  # fmt: skip
        text = sentence(said, f"{name} is ")
        least, most = min(ratios, key=ratios.get), max(ratios, key=ratios.get)
        assert f"of {len(ratios)} timings against {baseline}: " in text
        said_mean, low, high = map(
            float, re.search(r": (\S+) \[(\S+), (\S+)\] times as fast in the geo", text).groups()
        )
        assert said_mean == round(geometric_mean(ratios.values()), 2)
        assert low <= said_mean <= high
        held = speed.speed(found, baseline)
        mean = speed.means(held)[name]
        assert (
            1 < mean.high / mean.low / held.floor.factor**2 < 1.01
        )  # of many timings too, runs differ by what noise is
        assert f"from {ratios[least]:.2f} ({least[0]}, {least[1]})" in text
        assert text.endswith(f"to {ratios[most]:{'.2f' if ratios[most] < 9.95 else '.1f'}} ({most[0]}, {most[1]}).")
        true = [made_up.times_as_fast(name, layer) / made_up.times_as_fast(baseline, layer) for layer, _ in ratios]
        faster, slower = sum(each > 1.05 for each in true), sum(each < 0.95 for each in true)
        counted = [f"faster in {faster}"] * bool(faster) + [f"slower in {slower}"] * bool(slower)
        assert text.startswith(f"{name} is {' and '.join(counted)} of")


def test_noise(found, infos):
    logs = []
    for each in infos:
        if each["kind"] == "again":
            same = [info for info in infos if info["kind"] == "layer" and info["layer"] == each["layer"]]
            (first,) = [info["cpu_seconds"] for info in same
                        if (info["operation"], info["implementation"]) == (each["operation"], "im2col")]  # fmt: skip
            logs.append(math.log(median(each["cpu_seconds"]) / median(first)))
    reach = 2.3060 * math.sqrt(mean(each**2 for each in logs))  # Student's quantile, two-sided 95 %, of 8 pairs
    text = sentence(speed.caption(speed.speed(found, "im2col")), "Level")
    assert f": {100 * (math.exp(reach) - 1):.1f} % up or down in 95 % of repeats, from 8 A/A pairs." in text


def test_what_has_no_time_is_counted(found):
    said = speed.caption(speed.speed(found, "im2col"))
    assert "✗ wrong, so not timed: im2col+textbook in 1." in said
    assert "… too slow to be timed: loops in 16." in said
    strides = sum("s2" in line or "s4" in line for _, line in made_up.LAYERS.values())
    assert f"– unsupported: fft in {2 * strides}." in said


def test_growth(found, infos):
    held = 0
    for letter, values in made_up.SIZES.items():
        for name in ("torch-cpu", "im2col"):
            its = [each for each in infos if each["sweep"] == letter and each["implementation"] == name]
            assert [each["value"] for each in its] == [*values]
            logs = [math.log(value) for value in values]
            slope = linear_regression(logs, [math.log(median(each["cpu_seconds"])) for each in its]).slope
            work = linear_regression(logs, [math.log(each["macs"]) for each in its]).slope
            (ours,) = [each for each in scaling.growths(found) if (each.letter, each.who) == (letter, name)]
            assert ours.slope.exponent.value == pytest.approx(slope)
            assert ours.expected == pytest.approx(work)
            assert work == pytest.approx(made_up.EXPONENTS[letter], abs=0.06)
            assert abs(slope - work) < 0.02
            narrow = ours.slope.exponent.high - ours.slope.exponent.low <= 0.3
            held += narrow and ours.slope.exponent.low <= work <= ours.slope.exponent.high
    said = scaling.caption(scaling.growths(found))
    assert f"to within a 95 % interval of at most ±0.15, in {held} of 8 fits" in said[0]
    assert held >= 4


def test_an_interval_in_which_much_lies_says_nothing_of_growth(found):
    lines = found.timings.copy()
    swept = (lines["sweep"] == "W") & (lines["implementation"] == "im2col")
    bent = [1 if number % 2 else 1.6 for number in range(int(swept.sum()))]
    lines.loc[swept, "seconds"] = lines.loc[swept, "seconds"] * bent
    growths = scaling.growths(benchmarks.Benchmarks(found.path, lines, found.not_timed))
    (wide,) = [each for each in growths if (each.who, each.letter) == ("im2col", "W")]
    assert wide.wide
    assert wide.slope.exponent.holds(wide.expected)
    assert wide.slope.exponent.high - wide.slope.exponent.low > 0.3
    assert not wide.as_expected
    assert "W (im2col)" in next(each for each in scaling.caption(growths) if "the interval is too wide to tell" in each)


def test_growth_names_what_lies_farthest_off(found):
    lines = found.timings.copy()
    swept = (lines["sweep"] == "W") & (lines["implementation"] == "im2col")
    lines.loc[swept, "seconds"] = lines.loc[swept, "value"] ** 1.25
    few = (lines["sweep"] == "C") & (lines["implementation"] == "im2col") & (lines["value"] < 12)
    text = " ".join(scaling.caption(scaling.growths(benchmarks.Benchmarks(found.path, lines[~few], found.not_timed))))
    assert re.search(r"Less than they do in \d: .*im2col in W \(1\.25 against 2\.00\)", text)
    assert "Not fitted: im2col in C (5 sizes spanning 5.33x: no slope); a slope takes 6 sizes spanning 8x." in text


def test_roofline(found, infos):
    said = roofline.caption(roofline.roofline(found))
    peak = max(each["flops"] / median(each["cpu_seconds"]) for each in infos if each["operation"] == "matmul")
    (memory_,) = [each for each in infos if each["layer"] == "copy-64MB"]
    bandwidth = memory_["bytes"] / median(memory_["cpu_seconds"])
    assert numbers(said[0])[:3] == pytest.approx([peak / 1e9, bandwidth / 1e9, peak / bandwidth], rel=0.01)
    for start, pools in (("Of the roof, convolutions", False), ("Of the roof, pools", True)):
        for name in ("im2col", "im2col+textbook", "torch-cpu"):
            shares = []
            for each in infos:
                if each["kind"] == "layer" and each["implementation"] == name and "backward" not in each["operation"]:
                    roof = min(peak, bandwidth * each["flops"] / each["bytes"])
                    share = each["flops"] / median(each["cpu_seconds"]) / roof
                    shares += [share] * ((each["operation"] != "conv2d") == pools)
            extent = f"({100 * min(shares):.0f} % to {100 * max(shares):.0f} %)"
            assert f"{name} {100 * median(shares):.0f} % {extent}" in sentence(said, start)
    assert sentence(said, "Above the roof").endswith("the cache: fft, im2col, im2col+textbook and torch-cpu.")


def test_memory(found, infos):
    said = memory.caption(memory.memory(found))
    for name in ("im2col", "im2col+textbook"):
        its = [each for each in infos if each["kind"] == "layer" and each["operation"] == "conv2d"]
        its = [each for each in its if each["implementation"] == name]
        taken = {each["layer"]: each["peak_extra_bytes"] - each["result_bytes"] for each in its}
        shares = [taken[each["layer"]] / each["columns_bytes"] for each in its]
        text = sentence(said, f"{name} takes")
        most = max(taken.values()) / 1e6
        assert f"at most {most:.2f} MB" in text or f"at most {most:.0f} MB" in text
        assert f"{median(shares):.2f} times the column matrix in the median" in text
        more = sum(round(each, 2) > 1 for each in shares)
        assert text.endswith(f"to {max(shares):.2f}; more than the column matrix in {more} of {len(shares)} layers.")
        products = [each["gemm_seconds"] / median(each["cpu_seconds"]) for each in its]
        following = said[said.index(text) + 1]
        assert numbers(following) == [round(100 * each) for each in (median(products), min(products), max(products))]


def test_the_goal_for_memory_is_a_tile_and_its_strip():
    def case(line):
        return f"conv2d float32 {line} gauss seed=1"

    columns, strip = (
        256 * 4 * 512 * 9,
        4 * 512 * 30 * 12,
    )  # 28 columns to a row: 256 end in the tenth, of 12 with padding
    assert memory.limit(case("n1c512k512g1 i28k3s1p1,1d1 i28k3s1p1,1d1")) == columns * 280 // 256 + strip
    assert memory.limit(case("n1c3k64g1 i224k3s1p1,1d1 i224k3s1p1,1d1")) == 2**20 + 4 * 3 * 226 * 45  # 43 rows of 1 MB
    assert math.isnan(memory.limit("garbage"))


def test_memory_is_held_against_the_goal_of_who_has_one(tmp_path, document):
    content = json.loads(json.dumps(document).replace("im2col+textbook", "im2col-tiled"))
    said = memory.caption(memory.memory(benchmarks.load(made_up.saved(tmp_path, content))))
    text = sentence(said, "im2col-tiled's goal for memory")
    assert "it meets it in 1 of 6 layers, misses it by at most 131 kB, as a call's own objects and buffers" in text
    assert "take, in 0 and by more in 5, by most in large-31 (" in text
    for each in content["benchmarks"]:
        info = each["extra_info"]
        if "peak_extra_bytes" in info:
            info["peak_extra_bytes"] = info["result_bytes"] + 1000
    said = memory.caption(memory.memory(benchmarks.load(made_up.saved(tmp_path, content))))
    assert sentence(said, "im2col-tiled's goal for memory").endswith("it meets it in 6 of 6 layers.")


def test_a_class_of_layers_that_misses_the_goal_is_named(tmp_path, document):
    content = json.loads(json.dumps(document))
    for each in content["benchmarks"]:
        info = each["extra_info"]
        if info["kind"] == "layer" and info["layer"].startswith("vgg16-conv"):
            info["case"] = info["case"].replace("g1 ", "g64 " if "conv1" in info["layer"] else "g512 ")
            info["gemm_seconds"] = np.median(info["cpu_seconds"]) / 4
    said = memory.caption(memory.memory(benchmarks.load(made_up.saved(tmp_path, content))))
    assert "im2col misses it in every depthwise layer: in all 2, at 0.25 to 0.25." in said


def test_pool_or_stride(found, document):
    said = steps.caption(steps.steps(found))
    rows = document["poolproof"]["experiments"]["pool_or_stride"]
    words = {"A-average": "an average", "A-l2": "an L2 norm", "B": "two convolutions", "C": "a stride alone"}
    for name in ("im2col", "torch-cpu"):
        of = {(row["variant"], row["F"], row["S"]): row["cpu_seconds"] for row in rows if row["implementation"] == name}
        for variant, word in words.items():
            ratios = [seconds / of["A", F, S] for (each, F, S), seconds in of.items() if each == variant]
            extent = f"({min(ratios):.2f} to {max(ratios):.2f})"
            assert f"with {word} {geometric_mean(ratios):.2f} {extent}" in sentence(said, f"In {name}")
    assert "4, 5 and 3 at F 3, S 2" in said[-1]


def test_a_table_that_contradicts_its_entries_is_named_and_the_entries_are_drawn(tmp_path, found, document):
    content = json.loads(json.dumps(document))
    for name in ("pool_or_stride", "stride"):
        content["poolproof"]["experiments"][name][0]["cpu_seconds"] *= 1.5
    other = benchmarks.load(made_up.saved(tmp_path, content))
    for before, after, caption in (
        (steps.steps(found), steps.steps(other), steps.caption),
        (strides.strides(found), strides.strides(other), strides.caption),
    ):
        assert after.lines["cpu_seconds"].equals(before.lines["cpu_seconds"])
        count = len(after.lines)
        said = f"In 1 of {count} rows the file's table has another time than the rounds of the entry, which are drawn: "
        assert caption(after) == [*caption(before), f"{said}by up to 50 %."]


def test_translation(found, document):
    said = " ".join(translation.caption(translation.translation(found)))
    rows = document["poolproof"]["experiments"]["translation"]
    whole = [row for row in rows if row["shift"] % row["S"] == 0]
    assert f"A shift by whole strides changes nothing in any of {len(whole)} measurements." in said
    ragged = [row for row in rows if row not in whole]
    for variant, word in translation.VARIANTS.items():
        its = [row for row in ragged if row["variant"] == variant]
        assert f"{100 * mean(row['changed_fraction'] for row in its):.0f} % with {word}" in said
        assert f"{mean(row['relative_change'] for row in its):.2f} with {word}" in said
    pools = [row for row in ragged if row["damped"] is not None]
    assert f"than a stride alone in {len(pools)} of {len(pools)} comparisons" in said
    assert f"came true in {len(rows)} of {len(rows)}." in said


def test_a_prediction_that_failed_is_named(tmp_path, document):
    content = json.loads(json.dumps(document))
    content["poolproof"]["experiments"]["translation"][7]["holds"] = False
    content["poolproof"]["experiments"]["translation"][5]["changed_fraction"] = 0.25  # a shift by a whole stride
    said = translation.caption(translation.translation(benchmarks.load(made_up.saved(tmp_path, content))))
    assert said[0] == "A shift by whole strides changes something in 1 of 10 measurements."
    assert said[-2].endswith("came true in 34 of 35, not with A, gabor-0, F 3, S 2, shift 2.")
    assert said[-1] == "The file says otherwise of 2 predictions than follows from its fractions, as told here."


def test_what_came_true_follows_from_the_fractions_of_the_file(tmp_path, document):
    """Whatever the file says of it: fewer outputs, more than can change, and a pool that changes more than a stride."""
    content = json.loads(json.dumps(document))
    rows = content["poolproof"]["experiments"]["translation"]
    rows[0] |= {"changed_fraction": 0.40}  # of a maximum, by chance 0.45
    rows[1] |= {"changed_fraction": 0.88, "relative_change": 0.9}
    rows[3] |= {"differing": 0.95}
    rows[4] |= {"differing": "most"}  # whatever that is, it forbids nothing
    lines = translation.translation(benchmarks.load(made_up.saved(tmp_path, content)))
    assert [*lines["holds"][:5]] == [False, False, True, False, True]
    assert [*lines["damped"][:5]] == [True, False, True, None, None]
    said = translation.caption(lines)
    assert "came true in 32 of 35, not with A, gabor-0" in said[-2]
    assert said[-1].startswith("The file says otherwise of 3 predictions and 1 comparison than follows")
    for row in rows:
        row |= {"holds": False, "damped": not row["damped"] if row["damped"] is not None else None}
    other = translation.caption(translation.translation(benchmarks.load(made_up.saved(tmp_path, content))))
    assert other[:-1] == said[:-1]


def test_errors():
    rows = [*sample_rows()]
    text = " ".join(errors.caption(errors.ratios(rows), rows))
    most = max((row.worst_ratio, row.implementation, row.operation) for row in rows if row.worst_ratio is not None)
    nearest = f"The nearest to it is {most[1]} in {most[2]}, with {most[0]:.2g} of the bound."
    assert f"Nothing that was measured exceeds its bound. {nearest}" in text
    counts = [nearness.counted(row.nearness) for row in rows]
    cases, exact = sum(each.total() for each in counts), sum(each[None] for each in counts)
    assert f"The bars are the {cases:,} cases that have a bound" in text
    assert f" (1/1,024 and less in one); {exact:,} of them have no error at all." in text
    halves = "Half of those with an error stay below 1/256 for fft and 1/8 for im2col, loops and torch-cpu."
    assert halves in text
    rows = [*failing_rows()]
    text = " ".join(errors.caption(errors.ratios(rows), rows))
    assert text.startswith("Beyond the bound, and so not explained by rounding: mine.py in conv2d (5.2e+06 times).")
    assert "Not drawn" not in text
    rows = [replace(row, worst_ratio=None) if row.verdict == "differs" else row for row in rows]
    text = errors.caption(errors.ratios(rows), rows)[-1]
    assert text == "Not drawn is what differs where nothing but the exact answer will do: mine.py in conv2d."


@pytest.mark.parametrize(
    ("value", "text"), [(0.994, "0.994"), (0.99996, "0.999"), (1.0, "1"), (1.04, "1"), (0.5, "0.5")]
)
def test_an_error_within_the_bound_is_never_written_as_the_bound(value, text):
    assert errors.ratio(value) == text


def test_intervals_in_tables_are_of_repeats_where_they_can_be(found):
    held = speed.speed(found, "im2col")
    assert speed.table(held).head[6] == "95 % interval, of repeats"
    assert speed.table(replace(held, floor=None)).head[6] == "95 % interval, of rounds alone"
    both = zip(speed.table(held).rows, speed.table(replace(held, floor=None)).rows, strict=True)
    widths = [[[float(each) for each in row[6].split(" to ")] for row in rows] for rows in both if rows[0][6]]
    assert all(high - low >= high_ - low_ for (low, high), (low_, high_) in widths)
    assert any(high - low > high_ - low_ for (low, high), (low_, high_) in widths)


def test_the_maximum_has_no_interval_against_itself(found):
    rows = steps.table(steps.steps(found, speed.speed(found, "im2col").floor)).rows
    assert {row[7] for row in rows if row[0] == "A"} == {""}
    assert all(row[7] for row in rows if row[0] != "A")


def test_times_of_a_wall_clock_are_told(tmp_path, document):
    content = json.loads(json.dumps(document))
    for each in content["benchmarks"][:9]:
        if each["extra_info"]["implementation"] == "im2col":
            each["extra_info"]["clock"] = "wall"
    held = speed.speed(benchmarks.load(made_up.saved(tmp_path, content)), "im2col")
    said = sentence(speed.caption(held), "Times of im2col")
    assert said == "Times of im2col are wall times in 3 of 16 timings, since it waits or computes elsewhere."
    assert [row[3].endswith(" (wall)") for row in speed.table(held).rows if row[2] == "im2col"].count(True) == 3


def test_the_table_of_errors_counts_every_case():
    row = next(sample_rows(("im2col",)))
    near = ["exact:5 -24:1 -7:2 -6:3", "-1:4", "exact:1 -6:3", "3:1"]
    rows = [replace(row, dtype=str(number), worst_ratio=9.0, nearness=text) for number, text in enumerate(near)]
    found = errors.table(errors.ratios(rows), errors.nearness(rows))
    steps = ["below 1/64", "below 1/32", "below 1/16", "below 1/8", "below 1/4", "below 1/2", "below 1", "1 or more"]
    assert list(found.head) == ["operation", "implementation", "largest", "no error", *steps]
    assert found.rows == [[row.operation, "im2col", "✗ 9", "6", "3", "6", "", "", "", "", "4", "1"]]
    bare = [replace(each, nearness="", worst_ratio=0.5) for each in rows]
    assert errors.table(errors.ratios(bare), errors.nearness(bare)).rows == [[row.operation, "im2col", "0.5"]]
    assert "bars" not in " ".join(errors.caption(errors.ratios(bare), bare))
