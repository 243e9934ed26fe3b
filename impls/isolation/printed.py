"""What a process has printed, made fit to be told: its own words alone, each line once, and for any terminal."""

from __future__ import annotations

import re
from collections import Counter

from impls.isolation import crash_site

KEPT, TOLD = 1 << 16, 2000  # bytes of what is printed that are kept, and characters that are told
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # what a terminal obeys, but for tabs and ends of lines
STACK = re.compile(
    r"Fatal Python error: .*\n?|^(Current thread|Thread 0x|Stack \(most|  File |  <no Python|Extension modules:).*\n?",
    re.MULTILINE,
)


def words(printed: bytes) -> str:
    """Read what was printed, without what faulthandler prints, and nothing in it that a terminal obeys."""
    if len(printed) >= KEPT:  # it begins anywhere in a line
        printed = printed.partition(b"\n")[2] or printed
    return printable(STACK.sub("", crash_site.LINE.sub("", printed.decode(errors="replace"))).strip())


def folded(lines: list[str], *, more: bool) -> str:
    """Tell different lines as they came first, each with how often it came, or if there were more at least; the end."""
    told: list[str] = []
    for line, count in reversed(Counter(filter(str.strip, lines)).items()):
        often = f" ({'at least ' if more else ''}{count:,} times)" if count > 1 else ""
        told.insert(0, f"{line[:TOLD]}{often}")
        if sum(map(len, told)) > TOLD:
            break
    return "\n".join(told)


def printable(text: str) -> str:
    """Spell the characters that a terminal would obey."""
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n"))
