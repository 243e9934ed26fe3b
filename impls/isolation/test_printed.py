"""What is shown of what a process has printed."""
# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from impls.isolation.printed import KEPT, TOLD, folded, words


def test_equal_lines_are_told_once_with_how_often():
    lines = ["conv: no memory", "a", "", "conv: no memory", "b"] + 1200 * ["a"]
    assert folded(lines, more=False) == "conv: no memory (2 times)\na (1,201 times)\nb"
    assert folded(lines[:3], more=True) == "conv: no memory\na"
    assert folded(["a", "a"], more=True) == "a (at least 2 times)"
    assert folded([], more=False) == ""


def test_of_many_lines_the_last_are_told_and_none_is_cut():
    lines = [f"line {i} of many" for i in range(1000)]
    told = folded(lines, more=False).splitlines()
    assert told == lines[-len(told) :]
    assert TOLD < sum(map(len, told)) < TOLD + 20
    assert len(folded(["x" * 10 * TOLD], more=False)) == TOLD


def test_what_was_kept_begins_with_a_whole_line():
    assert words(b"x" * (KEPT - 4) + b"\nend") == "end"
    assert words(b"begins\nend\x1b") == "begins\nend\\x1b"
