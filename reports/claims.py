"""What is said of convolution and pooling, and what was found of it: properties/claims.toml, read as data."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.matrix import Matrix, grouped, symbol
from reports.rows import worst
from reports.section import listed
from reports.sentences import plural

FILE = Path(__file__).parent.parent / "properties" / "claims.toml"
EXAMPLES = "test_worked_"  # how the files begin whose properties are numbers worked out by hand
TEXTS = ("id", "claim", "source", "verdict", "why", "decided_by", "measured_by")
NEEDED = ("id", "claim", "verdict")

# what is told first comes first: by the verdict its sign, its colour on the page, and its name
RULINGS = {
    "false": ("✗", "bad", "false"),
    "holds if": ("~", "warn", "true under a condition"),
    "open": ("?", "idle", "open"),
    "holds": ("✓", "good", "true"),
}
# where on the page a measurement stands, by what the file of claims calls it; a layer stands among the layers
MEASURED = {
    "sweep": "growth", "roofline": "roofline", "pool_or_stride": "steps", "pool-or-stride": "steps",
    "stride": "strides", "translation": "translation", "feature_maps": "maps", "memory": "memory",
}  # fmt: skip


class ClaimsError(Exception):
    """A file of claims that cannot be read, in one line."""


@dataclass(frozen=True)
class Claim:
    """A sentence that is true or false: where it was said, the verdict, why, what decides it and what measures it."""

    id: str
    claim: str
    source: str
    verdict: str
    why: str
    decided_by: str = ""
    measured_by: str = ""

    @property
    def ruling(self) -> str:
        """The verdict without its condition."""
        if self.verdict in RULINGS:
            return self.verdict
        return "holds if" if self.verdict.startswith("holds if ") else ""

    @property
    def sign(self) -> str:
        """The sign that stands for the verdict."""
        return RULINGS.get(self.ruling, ("·", "", ""))[0]

    @property
    def tone(self) -> str:
        """The class of the verdict's colour."""
        return RULINGS.get(self.ruling, ("", "idle", ""))[1]

    @property
    def anchor(self) -> str:
        """Where on the page its measurement stands, or ""."""
        if not self.measured_by:
            return ""
        name = self.measured_by.removeprefix("bench:")
        return MEASURED.get(name) or MEASURED.get(name.partition("-")[0]) or "speed"


def read(file: Path | None = None) -> list[Claim]:
    """Return the claims in their order; none where there is no file. Raises ClaimsError naming what is wrong."""
    file = file or FILE
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        what = " ".join(str(error).split())
        raise ClaimsError(f"{file}: cannot be read ({what}): mend it, or take it away") from error
    return [_claim(each, file) for table in content.values() if isinstance(table, list) for each in table]


def _claim(each: Any, file: Path) -> Claim:
    if not isinstance(each, dict) or not all(isinstance(each.get(name, ""), str) for name in TEXTS):
        raise ClaimsError(f"{file}: {each!r:.80} is no claim: it needs the texts {', '.join(NEEDED)}")
    if missing := [name for name in NEEDED if not each.get(name)]:
        raise ClaimsError(f"{file}: the claim {each.get('id') or each.get('claim')!r:.60} lacks {', '.join(missing)}")
    return Claim(**{name: " ".join(each.get(name, "").split()) for name in TEXTS})


def found(claim: Claim, verdicts: Matrix) -> str:
    """Say with a sign what a run found of the property that decides a claim; "" where it was no part of it."""
    name = claim.decided_by.removeprefix("properties/")
    rows = [row for row in verdicts.rows if row.property == name and not row.not_offered()]
    of = {who: worst(row.verdict for row in its) for who, its in grouped(rows, lambda row: row.implementation).items()}
    if not of:
        return ""
    most = worst(of.values())
    whose = [who for who, verdict in of.items() if verdict == most]
    held = f"holds for {plural(len(whose), 'implementation')}"
    return f"{symbol(most)} {held if most == 'agrees' else f'{most}: {listed(whose)}'}"


def groups(claims: Iterable[Claim]) -> dict[str, list[Claim]]:
    """Part claims by their verdict, what is told first coming first."""
    of = grouped(claims, lambda each: each.ruling)
    names = {ruling: name for ruling, (_, _, name) in RULINGS.items()} | {"": "of other verdicts"}
    return {name: of[ruling] for ruling, name in names.items() if ruling in of}


def count(claims: Iterable[Claim]) -> str:
    """Say how many claims there are of each verdict: "106 claims: 5 false, 30 true under a condition and 71 true"."""
    of = groups(claims)
    said = [f"{len(its)} {name}" for name, its in of.items()]
    return f"{plural(sum(map(len, of.values())), 'claim')}: {listed(said)}"
