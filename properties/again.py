"""A case that failed, tried again: whether it fails each time, never, only after other calls, or now and then."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import tempfile
import time

import pytest

import conftest as root
from impls.isolation import diagnosis
from impls.isolation.process import Limits
from impls.isolation.subject import IsolatedSubject
from oracles.case import Case
from oracles.verdict import Verdict
from properties.examiner import Examiner
from properties.laws import Law

TIMES = 20  # that a failing case is tried again,
PATIENCE = 2.0  # or for so many seconds,
FEW = 5  # or so often, if that does not take twice as long
HANGING = 0.3  # of --call-limit, after which a small case that was taken to hang does
ALONE = "in a process of its own"
STARTING = 20.0  # seconds for a failing case there
NONDETERMINISTIC = "nondeterministic"


def tried(item: pytest.Function, examiner: Examiner, law: Law, *, flaky: bool, alone: bool) -> tuple[Verdict, str]:
    """Try the case that failed again: its verdict, and when it passed, or "" where it always fails.

    `flaky`: it passed when Hypothesis tried it again. `alone`: what was called before it matters.
    """
    assert examiner.failure is not None
    case, verdict = examiner.failure
    isolated = isinstance(examiner.subject, IsolatedSubject)
    if isinstance(examiner.subject, IsolatedSubject) and alone:
        process = examiner.subject.process
        process.fresh()
        process.limit = max(process.limit, HANGING * process.limits.seconds)
        process.memory = process.limits.memory
    found = _runs(examiner, law, case)
    examiner.failure = case, verdict
    runs = [each is not None for each in found]
    if isolated:
        verdict = next((each for each in found if each), verdict)  # with the whole time limit
    if _varies(runs):
        often = (
            f"the same call does not always give the same: it failed in {runs.count(True)} of {len(runs)} further runs"
        )
        return dataclasses.replace(
            verdict, kind=NONDETERMINISTIC, message=f"{often}; when it did:\n{verdict.message}"
        ), ""
    if flaky and not all(runs):
        passed = runs.count(False)
        return verdict, f"tried again {len(runs)} times" if passed == len(runs) else f"the first {passed} times"
    if not alone:
        return verdict, ""
    passes = not runs[0] if isolated else _passes_alone(item, examiner.subject.spec, case)
    return verdict, ALONE if passes else ""


def diagnosed(examiner: Examiner, verdict: Verdict) -> Verdict:
    """Name the cause of a failure in a process of its own, which may give the verdict another word."""
    if not isinstance(examiner.subject, IsolatedSubject):
        return verdict
    cause, site = diagnosis.cause(examiner.subject), diagnosis.site(examiner.subject)
    if cause is None and verdict.kind in ("differs", NONDETERMINISTIC) and (changed := _changed(examiner)):
        verdict = dataclasses.replace(
            verdict, message=f"{verdict.message}\n  left   after a call this is not as it was: {changed}"
        )
    if site.words:
        verdict = dataclasses.replace(verdict, message=f"{verdict.message}\n  site   {site.words}")
    if cause is None:
        got = re.search(r"^  got +(\S+)$", verdict.message, re.MULTILINE)
        found = diagnosis.poison(got[1], examiner.failure[0].dtype) if got and examiner.failure else ""
        return dataclasses.replace(verdict, message=f"{verdict.message}\n  cause  {found}") if found else verdict
    kind = verdict.kind if verdict.kind == NONDETERMINISTIC else cause.verdict
    return dataclasses.replace(verdict, kind=kind, message=f"{verdict.message}\n  cause  {cause.what}")


def _changed(examiner: Examiner) -> str:
    """Say what calls like the one that failed leave changed in their process: a mode may be why the next one fails."""
    if examiner.failure is None:
        return ""
    case, called = examiner.failure[0], [*examiner.called]
    try:
        facts = examiner.subject.probe("left", case.operation, *examiner.arguments(case))
    except Exception:  # it may raise, or its process may die: that has been told
        return ""
    finally:
        examiner.called.clear()
        examiner.called.extend(called)
    return "; ".join(facts["changed"])


def _runs(examiner: Examiner, law: Law, case: Case) -> list[Verdict | None]:
    """Try a case again and again: for each time, the verdict if it failed."""
    end, found = time.perf_counter() + PATIENCE, list[Verdict | None]()
    while len(found) < 2 or time.perf_counter() < (end if len(found) >= FEW else end + PATIENCE):
        examiner.resume()
        try:
            law.one(examiner, case)
            found.append(None)
        except AssertionError:
            found.append(examiner.failure[1])  # type: ignore[index]
        if len(found) >= TIMES and not _begins_to_fail([each is not None for each in found]):
            break
    return found


def _begins_to_fail(runs: list[bool]) -> bool:
    """Whether the last few alone fail, so that more would tell whether it fails from there on."""
    return 0 < runs.count(True) < FEW and not _varies(runs)


def _varies(runs: list[bool]) -> bool:
    """Whether some fail and some do not, in another order than that all fail from one of them on."""
    return any(runs) and runs != sorted(runs)


def options(config: pytest.Config) -> list[str]:
    """Give the options of processes that are not as usual: what is run again needs them too."""
    usual, given = Limits(), config.option
    texts = {
        f"--isolate={given.isolate}": given.isolate != "auto",
        f"--call-limit={given.call_limit:g}": given.call_limit != usual.seconds,
        f"--memory-limit={given.memory_limit}": given.memory_limit << 20 != usual.memory,
    }
    return [text for text, needed in texts.items() if needed]


def _passes_alone(item: pytest.Function, spec: str, case: Case) -> bool:
    """Whether a case that failed passes where nothing was called before it."""
    config = item.config
    settings = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    with tempfile.TemporaryDirectory() as elsewhere:
        command = [
            sys.executable, "-m", "pytest", "-c", str(root.ROOT / "pyproject.toml"),
            f"{item.path}::{item.originalname}", f"--impl={spec}", f"--case={case}", f"--results={elsewhere}",
            *options(config),
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command,
                cwd=config.invocation_params.dir,
                env=settings,
                capture_output=True,
                timeout=STARTING,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0
