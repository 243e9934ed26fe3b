"""What is said of convolution and pooling, held against what is computed: claims.toml says true and false rightly."""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from pathlib import Path

import pytest

from impls import im2col
from properties import claims, test_worked_examples, test_worked_gradients
from properties.claims import Claim, ClaimsError
from properties.evidence import counts, images, measured, reach, sizes, values  # noqa: F401 - they enter their decisions
from properties.evidence.examples import EXAMPLES
from properties.evidence.finding import DECISIONS, Finding, complaint, quoted, unfounded
from properties.evidence.kernels import Definitions, Kernels

CLAIMS, OPEN = claims.load()
HERE = "properties/test_claims.py::test_claim_is_found_as_stated"
COMPUTED = [claim for claim in CLAIMS if claim.decided_by.startswith(HERE)]
ELSEWHERE = [claim for claim in CLAIMS if claim.decided_by.startswith("properties/") and claim not in COMPUTED]


@pytest.mark.parametrize("claim", COMPUTED, ids=[claim.id for claim in COMPUTED])
def test_claim_is_found_as_stated(claim: Claim) -> None:
    """By the definitions and by an implementation, or by this alone where the data are large."""
    decision = DECISIONS[claim.id]
    for namespace in (im2col,) if decision.large else (Definitions(), im2col):
        assert not (wrong := complaint(claim, decision.evidence(Kernels(namespace)))), wrong


@pytest.mark.parametrize("claim", ELSEWHERE, ids=[claim.id for claim in ELSEWHERE])
def test_claim_says_what_its_property_does(claim: Claim) -> None:
    """To each number of it, and with a condition only where something is seen to break without one."""
    for namespace in (Definitions(), im2col):
        assert not (wrong := complaint(claim, EXAMPLES[claim.id].evidence(Kernels(namespace)))), wrong


def test_every_claim_is_decided_by_a_test_that_exists() -> None:
    for claim in COMPUTED:
        assert claim.decided_by == f"{HERE}[{claim.id}]"
        assert claim.id in DECISIONS, f"{claim.id}: nothing in properties/evidence decides it"
    for claim in ELSEWHERE:
        file, _, name = claim.decided_by.partition("::")
        module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
        assert hasattr(getattr(module, name, None), "law"), f"{claim.id}: {claim.decided_by} is no property"
        assert claim.decided_by == EXAMPLES[claim.id].node


def test_everything_computed_is_claimed() -> None:
    """Each piece of evidence, and each worked example of the notes."""
    assert set(DECISIONS) - {claim.id for claim in COMPUTED} == set()
    assert set(EXAMPLES) - {claim.id for claim in ELSEWHERE} == set()
    named = {claim.decided_by.partition("::")[2] for claim in ELSEWHERE}
    for module in (test_worked_examples, test_worked_gradients):
        assert {name for name, function in vars(module).items() if hasattr(function, "law")} - named == set()


def test_no_claim_that_a_property_holds_is_called_false() -> None:
    """An implementation is held to the property: so the claim holds, under its condition at least."""
    assert [claim.id for claim in ELSEWHERE if claim.ruling == "false"] == []


def test_claims_are_of_every_kind() -> None:
    """There are false ones among them; and what is said to be faster is held against the clock."""
    assert {claim.ruling for claim in CLAIMS} == set(claims.VERDICTS)
    for claim in CLAIMS:
        if "faster" in claim.claim:
            assert claim.measured_by, claim.id
            assert DECISIONS[claim.id].evidence.__module__ == measured.__name__, claim.id
        elif re.search(r"\b(slower|quicker|takes too long)\b", claim.claim):
            assert "if time goes by" in claim.verdict or "and time goes by" in claim.verdict, claim.id


@pytest.mark.parametrize("claim", CLAIMS, ids=[claim.id for claim in CLAIMS])
def test_another_verdict_would_not_be_found(claim: Claim) -> None:
    """The comparison can fail: with either other verdict, and with no figures in the reason."""
    finding = (DECISIONS if claim in COMPUTED else EXAMPLES)[claim.id].evidence(Kernels(im2col))
    for verdict in {"holds", "holds if so", "false"} - {claim.verdict}:
        changed = replace(claim, verdict=verdict)
        assert changed.ruling == claim.ruling or complaint(changed, finding)
    if any(quoted(figure, claim.why) and not quoted(figure, claim.claim) for figure in finding.figures):
        assert complaint(replace(claim, why="because"), finding)


def test_nothing_seen_is_no_finding() -> None:
    with pytest.raises(ValueError, match="nothing was seen"):
        _ = Finding().verdict


def test_a_condition_must_hold_within_and_fail_without() -> None:
    finding = Finding()
    finding.see(True, within=True)
    assert finding.verdict == "holds"
    finding.see(False, "outside")
    assert (finding.verdict, finding.counterexample) == ("holds if", "outside")
    finding.see(False, within=True)
    assert finding.verdict == "false"


# the loader

WHOLE = """
[[claim]]
id = "one"
claim = "Two is even."
source = "Arithmetic"
verdict = "holds"
why = "2 = 2 * 1"
decided_by = "properties/test_claims.py::test_claim_is_found_as_stated[one]"
"""
BROKEN: dict[str, tuple[str, str, str]] = {  # what is replaced, by what, and the line that says so
    "no TOML": ("[[claim]]", "[[claim]", "toml: no TOML: Expected ']]'"),
    "a table of another name": ("[[claim]]", "[[claims]]", "toml: 'claims' is unknown; accepted are"),
    "not a list": ("[[claim]]", "[claim]", "toml: 'claim' is unknown; accepted are"),
    "a key that is missing": ('source = "Arithmetic"\n', "", "toml:2: one lacks 'source'"),
    "no id": ('id = "one"\n', "", "toml:2: a claim without an id lacks 'id'"),
    "a key misspelled": ("verdict", "verdikt", "toml:2: 'verdikt' is unknown (did you mean verdict?)"),
    "a text that is none": ('"2 = 2 * 1"', "2", "toml:2: why is 2; accepted is a text that is not empty"),
    "an empty text": ('"2 = 2 * 1"', '" "', "toml:2: why is ' '; accepted is a text that is not empty"),
    "another verdict": ('"holds"', '"true"', "toml:2: one: verdict is 'true'; accepted are 'holds', 'holds if ...'"),
    "no condition": ('"holds"', '"holds if"', "toml:2: one: verdict is 'holds if'; accepted are"),
    "no id of ours": ('"one"', '"One two"', "toml:2: id is 'One two'; accepted are words of a-z and 0-9"),
    "no node": ("properties/test_claims.py::", "test_claims.", "toml:2: one: decided_by is 'test_claims.test_claim"),
    "no figure": ('"holds"', '"holds"\nmeasured_by = "sweep"', "toml:2: one: measured_by is 'sweep'; one looks like"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_file_of_claims_is_refused_in_a_line(fault: str, tmp_path: Path) -> None:
    old, new, said = BROKEN[fault]
    assert WHOLE.count(old) >= 1
    file = tmp_path / "toml"
    file.write_text(WHOLE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ClaimsError) as refused:
        claims.load(file)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_open_claim_has_no_verdict() -> None:
    """It is listed with the reason, and with nothing that decides it."""
    text = WHOLE.replace("[[claim]]", "[[open]]").replace('"holds"', '"open"')
    with pytest.raises(ClaimsError, match="'decided_by' is unknown"):
        claims.parse(text, "toml")
    text = text[: text.index("decided_by")]
    assert [each.id for each in claims.parse(text, "toml")[1]] == ["one"]
    with pytest.raises(ClaimsError, match="accepted under"):
        claims.parse(text.replace('"open"', '"false"'), "toml")


def test_two_claims_of_one_id_are_refused() -> None:
    with pytest.raises(ClaimsError, match="two claims have the id 'one'"):
        claims.parse(WHOLE + WHOLE, "toml")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClaimsError, match=r"none\.toml: cannot be read"):
        claims.load(tmp_path / "none.toml")


def test_a_whole_file_is_read() -> None:
    ((claim,), opened) = claims.parse(WHOLE, "toml")
    assert (claim.id, claim.ruling, claim.measured_by, opened) == ("one", "holds", "", [])


def test_figures_are_found_as_numbers_of_their_own() -> None:
    """Not as the beginning, the middle or the end of another."""
    for figure, text, found in [
        ("4", "so 4.", True),
        ("4", "4.5", False),
        ("4", "14", False),
        ("4", "1.4", False),
        ("3,025", "3,025 times", True),
        ("025", "3,025", False),
        ("3x3", "3x3 and", True),
    ]:
        assert quoted(figure, text) == found, (figure, text)


def test_numbers_that_nothing_gives_are_found() -> None:
    """Each that is neither quoted nor notation: names, and formulas in the letters of the field."""
    text = "VGG-16 at stride 2: (W - F)/S + 1 gives 1,024.5 of 7x7x3, and 14."
    assert unfounded(text, ["4"]) == ["2", "1,024.5", "7x7x3", "14"]
    assert unfounded(text, ["stride 2", "gives 1,024.5 of 7x7x3", "14"]) == []
