"""Where engines differ by choice: the questions, each with its smallest case and the answers that there may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

NAN, INF = math.nan, math.inf
LOWEST = -(2.0**128 - 2.0**104)  # the least finite float32
SMALL = 2.0**-140  # a subnormal float32


class Plain(NamedTuple):
    """An array as its shape (N, C, H, W) and its numbers in C order."""

    shape: tuple[int, ...]
    values: tuple[float, ...]

    def __str__(self) -> str:
        """A row as [1, nan], else the numbers and the shape."""
        row = f"[{', '.join(told(value) for value in self.values)}]"
        return row if self.shape == (1, 1, 1, len(self.values)) else f"{row} of shape {self.shape}"


def row(*values: float) -> Plain:
    """One image of one channel and one line: (1, 1, 1, W)."""
    return Plain((1, 1, 1, len(values)), values)


def told(value: float) -> str:
    """A number as a reader writes it: 1, -0, 0.5, nan, -inf, 2^-140, lowest, greatest."""
    if abs(value) == -LOWEST:
        return "greatest" if value > 0 else "lowest"
    if 0 < abs(value) < 2.0**-126:
        return f"2^{math.log2(value):g}"
    return f"{value:.7g}"


@dataclass(frozen=True)
class Answer:
    """One convention: its name, a sentence, and what it gives in the question's case."""

    name: str
    sentence: str
    gives: Plain


@dataclass(frozen=True)
class Question:
    """What is asked: a call of `operation` with `arguments`, all float32; signs of zeros count where `signs`.

    `contract` names the answer that the contract owes; "" where it leaves the choice open.
    """

    name: str
    sentence: str
    operation: str
    arguments: Mapping[str, Any]
    answers: tuple[Answer, ...]
    contract: str = ""
    signs: bool = False

    @property
    def case(self) -> str:
        """The call as a line of text."""
        return f"{self.operation}({', '.join(f'{name}={value}' for name, value in self.arguments.items())})"


REFUSED, LACKING, CRASHED, HUNG = "refused", "not offered", "crashed", "hung"
NOTHING, VARIES, ANOTHER = "no result", "varies", "another"
OUTCOMES = {  # what may be said beside a question's own answers
    REFUSED: "The engine raises an error, and gives no result.",
    LACKING: "The engine has no such function, or not with these arguments.",
    CRASHED: "The process dies.",
    HUNG: "There is no answer in two minutes.",
    NOTHING: "The engine raises nothing, and gives no array.",
    VARIES: "The same call gives now this, now that.",
    ANOTHER: "The result is none of those that are named; it is told.",
}


def window(F: int, *, S: int = 0, P: int = 0, **more: Any) -> dict[str, Any]:
    """Window F, stride S (1 if not given) and padding P on both sides, along the image's one line."""
    return {"size": (1, F), "stride": (1, S or 1), "padding": (0, P), **more}


_NAMED = (
    ("-inf", "It is -inf, as of a maximum over no cell.", -INF),
    ("lowest", "It is the least finite number.", LOWEST),
    ("zero", "It is 0.", 0.0),
    ("nan", "It is NaN.", NAN),
)


def _starts(before: tuple[float, ...], after: tuple[float, ...] = (), prefix: str = "") -> tuple[Answer, ...]:
    """One answer for each value that a window without cells may have, between those of other windows."""
    return tuple(
        Answer(prefix + name, sentence, row(*before, value, *after, *([value] if after else [])))
        for name, sentence, value in _NAMED
    )


MAX = (
    Question(
        "NaN among numbers", "What max pooling gives for a window that holds a NaN and a number.",
        "max_pool", {"x": row(1, NAN, NAN, 1), **window(2, S=2)},
        (Answer("propagates", "The result is NaN, wherever in the window it stands.", row(NAN, NAN)),
         Answer("ignored", "The result is the number, wherever the NaN stands.", row(1, 1)),
         Answer("first stays", "A NaN counts only where it stands first.", row(1, NAN)),
         Answer("last stays", "A NaN counts only where it stands last.", row(NAN, 1))),
        "propagates",
    ),
    Question(
        "nothing but NaN", "What max pooling gives for a window that holds NaN alone.",
        "max_pool", {"x": row(NAN, NAN), **window(2)}, _starts(()), "nan",
    ),
    Question(
        "nothing but -inf", "What max pooling gives for a window that holds -inf alone.",
        "max_pool", {"x": row(-INF, -INF), **window(2)}, _starts(()), "-inf",
    ),
    Question(
        "zeros of both signs", "Which zero max pooling gives for a window of -0 and +0.",
        "max_pool", {"x": row(-0.0, 0.0, 0.0, -0.0), **window(2, S=2)},
        (Answer("first", "It is the first one.", row(-0.0, 0.0)), Answer("last", "It is the last one.", row(0.0, -0.0)),
         Answer("+0", "It is +0, wherever it stands.", row(0.0, 0.0)),
         Answer("-0", "It is -0, wherever it stands.", row(-0.0, -0.0))),
        "first", signs=True,
    ),
    Question(
        "subnormal maximum", "Whether max pooling gives a subnormal number as it is.",
        "max_pool", {"x": row(0, SMALL), **window(2)},
        (Answer("kept", "It is the number.", row(SMALL)), Answer("flushed", "It is 0.", row(0))), "kept",
    ),
    Question(
        "index of a tie", "Which of two equal maxima the index of max pooling names.",
        "switches", {"x": row(1, 1), **window(2)},
        (Answer("first", "It names the first.", row(0)), Answer("last", "It names the last.", row(1))), "first",
    ),
    Question(
        "numbering", "How the index of max pooling numbers cells, with two images of two channels.",
        "switches",
        {"x": Plain((2, 2, 1, 4), (9, 0, 0, 9, 0, 9, 9, 0) * 2), **window(2, S=2)},
        tuple(Answer(name, sentence, Plain((2, 2, 1, 2), cells)) for name, sentence, cells in (
            ("in the plane", "Row by row, anew in each channel.", (0, 3, 1, 2) * 2),
            ("in the image", "Through the image's channels, anew in each image.", (0, 3, 5, 6) * 2),
            ("in the batch", "Through all channels of all images.", (0, 3, 5, 6, 8, 11, 13, 14)),
            ("channels last", "Through the image, with the channel as the quickest.", (0, 6, 3, 5) * 2),
            ("batch, channels last", "Through the batch, the channel as the quickest.", (0, 6, 3, 5, 8, 14, 11, 13)),
            ("in the window", "Anew in each window.", (0, 1, 1, 0) * 2),
        )),
        "in the plane",
    ),
    Question(
        "index beside padding", "Whether the index of max pooling counts the cells of the padding.",
        "switches", {"x": row(1, 5), **window(3, P=1)},
        (Answer("left out", "It counts in the image.", row(1, 1)),
         Answer("counted", "It counts in the padded image.", row(2, 2))),
        "left out",
    ),
    Question(
        "gradient of a tie", "Where the gradient of max pooling goes when two cells are the maximum.",
        "max_gradient", {"x": row(1, 1), "dy": row(1), **window(2)},
        (Answer("first", "To the first.", row(1, 0)), Answer("last", "To the last.", row(0, 1)),
         Answer("shared", "Half to each.", row(0.5, 0.5)), Answer("each", "All of it to each.", row(1, 1))),
        "first",
    ),
    Question(
        "gradient of NaN", "Where the gradient of max pooling goes when the window holds a NaN.",
        "max_gradient", {"x": row(1, NAN), "dy": row(1), **window(2)},
        (Answer("to the NaN", "To the NaN.", row(0, 1)), Answer("to the number", "To the greatest number.", row(1, 0)),
         Answer("nowhere", "To no cell.", row(0, 0)), Answer("nan", "Every cell gets NaN.", row(NAN, NAN))),
        "to the NaN",
    ),
    Question(
        "maximum of padding", "What max pooling gives for a window wholly in the padding.",
        "max_pool", {"x": row(1), **window(1, P=1)}, _starts((), (1,)), REFUSED,
    ),
    Question(
        "padding beyond half", "Whether max pooling takes a padding of more than half of the window.",
        "max_pool", {"x": row(1), **window(3, P=2)},
        (Answer("taken", "Every window that holds a cell has its maximum.", row(1, 1, 1)),), "taken",
    ),
    Question(
        "window beyond image", "What max pooling gives where the window is larger than the image.",
        "max_pool", {"x": row(1), **window(2)},
        (Answer("empty", "A result without columns.", Plain((1, 1, 1, 0), ())),
         Answer("in part", "The maximum of what there is.", row(1))),
        REFUSED,
    ),
    Question(
        "last window of ceil", "What max pooling in ceil mode does with a last window that starts in the padding.",
        "max_pool", {"x": row(1), **window(2, S=2, P=1, ceil=True)},
        (Answer("dropped", "There is no such window.", row(1)), *_starts((1,), prefix="kept: ")), "dropped",
    ),
    Question(
        "empty batch, pooled", "What max pooling gives for no image at all.",
        "max_pool", {"x": Plain((0, 1, 1, 1), ()), **window(1)},
        (Answer("empty", "No output, of the shape that follows.", Plain((0, 1, 1, 1), ())),), "empty",
    ),
)  # fmt: skip

AVERAGE = (
    Question(
        "average beside padding", "What an average divides by where its window reaches into the padding, if nothing is "
        "said.",
        "avg_pool", {"x": row(3, 3), **window(3, P=1)},
        (Answer("whole window", "By the window's cells, those of the padding among them.", row(2, 2)),
         Answer("image alone", "By the window's cells in the image.", row(3, 3))),
        "whole window",
    ),
    Question(
        "average over the end", "What an average that counts padding divides by in ceil mode, where its window hangs "
        "over the end of an image without padding.",
        "avg_pool", {"x": row(6, 6, 6), **window(2, S=2, ceil=True, include=True)},
        (Answer("whole window", "By all of the window's cells.", row(6, 3)),
         Answer("what is there", "By the cells in the image.", row(6, 6))),
        "whole window",
    ),
    Question(
        "average over padding's end", "What an average that counts padding divides by in ceil mode, where its window "
        "hangs over the end of the padding.",
        "avg_pool", {"x": row(6, 6), **window(3, S=2, P=1, ceil=True, include=True)},
        (Answer("whole window", "By all of the window's cells.", row(4, 2)),
         Answer("what is there", "By the cells in the padded image.", row(4, 3)),
         Answer("image alone", "By the cells in the image.", row(6, 6))),
        "whole window",
    ),
    Question(
        "average of padding", "What an average that leaves padding out gives for a window wholly in it.",
        "avg_pool", {"x": row(1), **window(1, P=1, include=False)}, _starts((), (1,))[2:], REFUSED,
    ),
)  # fmt: skip

NORM = (
    Question(
        "p of 3", "What Lp pooling with p = 3 makes of negative numbers.",
        "lp_pool", {"x": row(-2, 1), "p": 3, **window(2)},
        (Answer("absolute", "The root of the sum of absolute powers, a norm.", row(9 ** (1 / 3))),
         Answer("nan", "Powers with their signs; the root of a negative sum is NaN.", row(NAN)),
         Answer("signed", "Powers with their signs; the root keeps the sum's sign.", row(-(7 ** (1 / 3)))),
         Answer("unsigned sum", "Powers with their signs; the root of the sum's absolute value.", row(7 ** (1 / 3)))),
    ),
    Question(
        "p of 1", "What Lp pooling with p = 1 makes of negative numbers.",
        "lp_pool", {"x": row(-2, 1), "p": 1, **window(2)},
        (Answer("absolute", "The sum of absolute values, a norm.", row(3)),
         Answer("signed", "The sum.", row(-1)), Answer("unsigned sum", "The sum's absolute value.", row(1))),
    ),
    Question(
        "norm's gradient at 0", "What the gradient of L2 pooling is where all cells are 0.",
        "lp_gradient", {"x": row(0, 0), "dy": row(1), "p": 2, **window(2)},
        (Answer("zero", "It is 0.", row(0, 0)), Answer("nan", "It is NaN.", row(NAN, NAN)),
         Answer("inf", "It is infinite.", row(INF, INF))),
        "zero",
    ),
)  # fmt: skip

CONV = (
    Question(
        "SAME's odd cell", "On which side SAME puts one cell of padding; where the name says it, SAME_UPPER is asked.",
        "conv_same", {"x": row(1), "w": row(1, 2), "stride": (1, 1)},
        (Answer("after", "After the image.", row(1)), Answer("before", "Before the image.", row(2))), "after",
    ),
    Question(
        "SAME with a stride", "How much SAME pads where there is a stride.",
        "conv_same", {"x": row(1, 2), "w": row(1, 10, 100), "stride": (1, 2)},
        (Answer("by the stride", "As much as the last window needs.", row(21)),
         Answer("by the window", "As without a stride.", row(210))),
        "by the stride",
    ),
    Question(
        "filter beyond image", "What convolution gives where the filter is larger than the image.",
        "conv", {"x": row(3), "w": row(1, 10), "stride": (1, 1), "padding": (0, 0)},
        (Answer("empty", "A result without columns.", Plain((1, 1, 1, 0), ())),
         Answer("in part", "What the filter's first cells give.", row(3)),
         Answer("swapped", "The image moves over the filter.", row(30, 3)),
         Answer("swapped, turned", "The image moves over the filter, which is not turned.", row(3, 30))),
        REFUSED,
    ),
    Question(
        "infinite weight on padding", "Whether 0 of the padding times an infinite weight is computed.",
        "conv", {"x": row(1), "w": row(INF, 1), "stride": (1, 1), "padding": (0, 1)},
        (Answer("computed", "It is NaN, and so is the sum.", row(NAN, INF)),
         Answer("left out", "The padding has no part in the sum.", row(1, INF))),
    ),
    Question(
        "weight of 0", "Whether a weight of 0 times an infinite cell is computed.",
        "conv", {"x": row(INF), "w": row(0), "stride": (1, 1), "padding": (0, 0)},
        (Answer("computed", "It is NaN.", row(NAN)), Answer("left out", "It is 0.", row(0))), "computed",
    ),
    Question(
        "subnormal product", "Whether convolution gives a subnormal number as it is.",
        "conv", {"x": row(SMALL), "w": row(1), "stride": (1, 1), "padding": (0, 0)},
        (Answer("kept", "It is the number.", row(SMALL)), Answer("flushed", "It is 0.", row(0))), "kept",
    ),
    Question(
        "empty batch, convolved", "What convolution gives for no image at all.",
        "conv", {"x": Plain((0, 1, 1, 1), ()), "w": row(1), "stride": (1, 1), "padding": (0, 0)},
        (Answer("empty", "No output, of the shape that follows.", Plain((0, 1, 1, 1), ())),), "empty",
    ),
)  # fmt: skip

THEMES = {"Max pooling": MAX, "Average pooling": AVERAGE, "Lp pooling": NORM, "Convolution": CONV}
QUESTIONS = {question.name: question for theme in THEMES.values() for question in theme}
