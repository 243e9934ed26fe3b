"""Ask engines in processes of their own, and name the convention of each answer."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from properties.atlas.questions import ANOTHER, CRASHED, HUNG, QUESTIONS, VARIES, Plain, Question
from reports.conventions import Line

ROOT = Path(__file__).parents[2]
LIMIT = 120.0  # seconds for a process
TOLD = 100  # letters of a message
ROUNDED = 12 * 2.0**-24  # of a float32 root: 8 u for 4 ulp, which is what vector libraries promise of a power, and 4 u
# for its exponent, since 1/p is rounded too and moves the root of a sum s by u ln(s) / p


class EngineError(Exception):
    """An engine, or an interpreter, that cannot be asked at all, in one line."""


def releases(python: str = sys.executable) -> dict[str, str]:
    """The release of each engine that an interpreter has. Raises EngineError where it cannot be run."""
    lines, ended = _run(python, [])
    if not lines:
        raise EngineError(f"{python}: {ended}; accepted is a Python of 3.11 or more, with NumPy")
    return dict(lines[0])


def answers(engine: str, release: str, python: str = sys.executable) -> list[Line]:
    """What one engine answers to every question. Raises EngineError where it cannot be imported."""
    found: list[Line] = []
    left = [*QUESTIONS]
    while left:
        lines, ended = _run(python, [engine, *left])
        if not lines:
            raise EngineError(f"{engine} {release}: cannot be asked: {ended}")
        for line in lines[1:]:
            found.append(Line(engine, release, line["question"], *_named(QUESTIONS[line["question"]], line)))
            left.remove(line["question"])
        if left and (not ended or ended.startswith("status 1:")):  # Python's own, of an exception
            raise EngineError(f"{engine} {release}: {left[0]}: no answer: {ended or 'it ended early'}")
        if left:  # the process ended in the first of them
            found.append(Line(engine, release, left.pop(0), HUNG if ended == HUNG else CRASHED, ended))
    return _settled(found, python)


def _settled(lines: list[Line], python: str) -> list[Line]:
    """Ask again what gave no answer that is known: memory that nobody wrote differs in another process."""
    odd = [line for line in lines if line.answer == ANOTHER]
    if not odd:
        return lines
    asked, _ = _run(python, [odd[0].engine, *(line.question for line in odd)])
    again = {line["question"]: _named(QUESTIONS[line["question"]], line) for line in asked[1:]}
    return [
        dataclasses.replace(line, answer=VARIES, got="")
        if line in odd and again.get(line.question) != (line.answer, line.got)
        else line
        for line in lines
    ]


def _run(python: str, asked: list[str]) -> tuple[list[dict[str, Any]], str]:
    """Run the child: its lines, and how it ended, "" where well."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "answers.jsonl"
        out.touch()
        command = [python, "-m", "properties.atlas.child", str(out), *asked]
        try:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=LIMIT)
            ended = "" if done.returncode == 0 else _ended(done)
        except subprocess.TimeoutExpired:
            ended = HUNG
        except OSError as error:
            ended = f"cannot be run ({error.strerror})"
        text = out.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.endswith("}")], ended


def _ended(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"signal {-done.returncode}"
    return f"status {done.returncode}: {brief((done.stderr.strip().splitlines() or [''])[-1])}"


def _named(question: Question, line: dict[str, Any]) -> tuple[str, str]:
    """The name of an answer, and what was got."""
    if "answer" in line:
        return line["answer"], brief(line["got"])
    found = np.frombuffer(bytes.fromhex(line["data"]), line["dtype"]).reshape(line["shape"])
    got = str(Plain(found.shape, tuple(map(float, found.reshape(-1)))))
    return next((each.name for each in question.answers if _alike(found, each.gives, question.signs)), ANOTHER), got


def _alike(found: Any, wanted: Plain, signs: bool) -> bool:
    """Whether a result is what a convention gives; roots are rounded, all else is exact."""
    if found.shape != wanted.shape:
        return False
    values = np.array(wanted.values).reshape(wanted.shape)
    if signs and (np.signbit(found) != np.signbit(values)).any():
        return False
    return bool(np.isclose(found.astype(np.float64), values, rtol=ROUNDED, atol=0, equal_nan=True).all())


def brief(message: str) -> str:
    """The beginning of a message in one line, without folders of the machine or what varies from call to call."""
    words = re.sub(r"0x[0-9a-f]+", "0x", " ".join(message.split()))
    words = re.sub(r"(?<![\w.])(?:[A-Za-z]:)?/[^\s:'\"]*/", "", words)
    return words if len(words) <= TOLD else words[: TOLD - 3] + "..."


def merged(old: Iterable[Line], new: Iterable[Line]) -> list[Line]:
    """New answers in place of old ones of the same engine and release; engine by engine, as the questions stand."""
    new = [*new]
    asked = {(line.engine, line.release) for line in new}
    return [*(line for line in old if (line.engine, line.release) not in asked), *new]
