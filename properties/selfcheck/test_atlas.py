"""The atlas: questions are well formed, im2col answers as the contract says, and every end of a process is told."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

from properties.atlas import __main__ as command
from properties.atlas import asking, child, frameworks
from properties.atlas.questions import ANOTHER, CRASHED, LACKING, OUTCOMES, QUESTIONS, REFUSED, THEMES, VARIES, Plain
from reports import conventions
from reports.conventions import Line


@pytest.fixture(scope="module")
def own():
    """What im2col answers."""
    return asking.answers("im2col", asking.releases()["im2col"])


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=lambda each: each.name)
def test_a_question_is_well_formed(question):
    names = [answer.name for answer in question.answers]
    assert len({*names}) == len(names)
    assert not {*names} & {*OUTCOMES}
    assert question.contract in ("", *names, *OUTCOMES)
    assert all(text.endswith(".") for text in (question.sentence, *(each.sentence for each in question.answers)))
    assert hasattr(frameworks.Im2col, question.operation)
    for array in (*question.arguments.values(), *(answer.gives for answer in question.answers)):
        if isinstance(array, Plain):
            assert np.prod(array.shape) == len(array.values)


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=lambda each: each.name)
def test_no_two_answers_give_the_same(question):
    for one, other in itertools.combinations(question.answers, 2):
        found = np.array(one.gives.values).reshape(one.gives.shape)
        assert not asking._alike(found, other.gives, question.signs), (one.name, other.name)


def test_a_name_stands_for_one_question():
    assert len(QUESTIONS) == sum(map(len, THEMES.values()))


def test_poolproof_answers_as_its_contract_says(own):
    assert [line.question for line in own] == [*QUESTIONS]
    for line in own:
        if (owed := QUESTIONS[line.question].contract) and line.answer != LACKING:
            assert line.answer == owed, line
    assert sum(line.answer == LACKING for line in own) == 2  # the contract has no p but 2


def test_what_poolproof_answers_is_what_the_sample_says(own):
    sample = conventions.read(asking.ROOT / "reports" / "samples" / "atlas.jsonl")
    assert [line for line in sample.lines if line.engine == "im2col"] == own


def test_the_sample_has_the_questions_there_are():
    assert conventions.read(asking.ROOT / "reports" / "samples" / "atlas.jsonl").questions == command.asked()


def replaced(monkeypatch, *runs):
    """Let the child's processes say this, one after the other."""
    said = iter(runs)
    monkeypatch.setattr(asking, "_run", lambda python, asked: next(said))


def row(question, *values):
    data = np.array(values, np.float32)
    return {"question": question, "shape": (1, 1, 1, len(values)), "dtype": "<f4", "data": data.tobytes().hex()}


def test_a_crash_is_an_answer_and_the_next_questions_are_asked(monkeypatch):
    first, second, *others = QUESTIONS
    rest = [{"question": name, "answer": REFUSED, "got": ""} for name in others]
    replaced(monkeypatch, ([{}, {"question": first, "answer": LACKING, "got": ""}], "signal 11"), ([{}, *rest], ""))
    found = asking.answers("torch", "1")
    assert [line.question for line in found] == [*QUESTIONS]
    assert found[1] == Line("torch", "1", second, CRASHED, "signal 11")


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (([], "status 1: ModuleNotFoundError"), "torch 1: cannot be asked: status 1: ModuleNotFoundError"),
        (([{}], "status 1: FileNotFoundError: clang"), "NaN among numbers: no answer: status 1: FileNotFoundError"),
        (([{}], ""), "no answer: it ended early"),
    ],
)
def test_what_is_missing_here_is_no_answer_of_the_engine(monkeypatch, run, said):
    replaced(monkeypatch, run)
    with pytest.raises(asking.EngineError, match=said):
        asking.answers("torch", "1")


@pytest.mark.parametrize(("again", "answer"), [(5.0, ANOTHER), (6.0, VARIES)])
def test_what_is_not_known_is_asked_again_in_another_process(monkeypatch, again, answer):
    (first, *others) = QUESTIONS
    rest = [{"question": name, "answer": REFUSED, "got": ""} for name in others]
    replaced(monkeypatch, ([{}, row(first, 5.0), *rest], ""), ([{}, row(first, again)], ""))
    assert asking.answers("torch", "1")[0].answer == answer


class Odd:
    """An engine that does as it is told."""

    def __init__(self, does):
        self.conv = does


def test_what_an_engine_does_is_told_apart():
    count = itertools.count()

    def asked(does):
        return child.ask(Odd(does), "weight of 0", {"x": 1}).get("answer")

    def raising(error):
        def does(x):
            raise error

        return does

    assert asked(lambda x: np.zeros(1)) is None  # an array, which is named elsewhere
    assert asked(lambda x: None) == "no result"
    assert asked(lambda x: np.array(next(count))) == VARIES
    assert asked(raising(RuntimeError("no"))) == REFUSED
    assert asked(raising(frameworks.LackingError("no"))) == LACKING
    with pytest.raises(FileNotFoundError):
        asked(raising(FileNotFoundError("clang")))


def test_a_message_is_brief_and_names_no_folder():
    said = asking.brief("bad:\n /home/me/lib/conv.cc:12 at 0x7ffe12 " + "x" * 200)
    assert said.startswith("bad: conv.cc:12 at 0x xxx")
    assert len(said) == asking.TOLD


def test_answers_of_other_releases_stay_and_those_of_changed_questions_go(monkeypatch, tmp_path, capsys):
    out = tmp_path / "atlas.jsonl"
    first, second, *_ = questions = command.asked()
    changed = conventions.Asked(**{**vars(second), "case": "another"})
    old = [Line("torch", release, each.question, LACKING, "") for release in "12" for each in (first, second)]
    conventions.write(conventions.Atlas([first, changed, *questions[2:]], OUTCOMES, old), out)
    monkeypatch.setattr(asking, "releases", lambda python: {"torch": "2"})
    monkeypatch.setattr(asking, "answers", lambda *_: [Line("torch", "2", first.question, REFUSED, "no")])
    assert command.main([f"--out={out}"]) == 0
    assert [(line.release, line.answer) for line in conventions.read(out).lines] == [("1", LACKING), ("2", REFUSED)]
    assert f"torch 2: {first.question}: refused no" in capsys.readouterr().out


def test_an_engine_that_cannot_be_asked_fails_the_run(monkeypatch, tmp_path, capsys):
    def unasked(*_):
        raise asking.EngineError("torch 2: cannot be asked: signal 4")

    monkeypatch.setattr(asking, "releases", lambda python: {"torch": "2"})
    monkeypatch.setattr(asking, "answers", unasked)
    assert command.main([f"--out={tmp_path / 'atlas.jsonl'}"]) == 1
    assert "cannot be asked: signal 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["torhc"], "torhc: no engine of the atlas; accepted are im2col"), (["--python=no-such-python"], "cannot be run")],
)
def test_a_wrong_name_is_refused(tmp_path, capsys, arguments, said):
    with pytest.raises(SystemExit, match="2"):
        command.main([*arguments, f"--out={tmp_path / 'atlas.jsonl'}"])
    assert said in capsys.readouterr().err


def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path, capsys):
    (out := tmp_path / "atlas.jsonl").write_text("no atlas\n")
    with pytest.raises(SystemExit, match="2"):
        command.main(["im2col", f"--out={out}"])
    assert "atlas.jsonl:1:" in capsys.readouterr().err
    assert out.read_text() == "no atlas\n"


def test_the_interpreter_s_engines_are_found():
    assert {"im2col"} <= {*asking.releases(sys.executable)} <= {*child.ENGINES}
