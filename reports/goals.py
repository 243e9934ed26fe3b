"""What a race shows of its goals, in words and as a table: which are met, how steady the machine was, what is lost."""

from __future__ import annotations

from reports.race import NOISE, VERDICTS, Goal, Lap, Race
from reports.section import Table, listed, times
from reports.sentences import plural

FEW = 6  # lost layers that a sentence names


def caption(race: Race) -> list[str]:
    """Say which goals are met, and on which layers torch is faster."""
    of = {verdict: [goal for goal in race.goals if goal.verdict == verdict] for verdict in VERDICTS}
    unmeasured = of["not measured"]
    said = [f"{len(of['met'])} of {plural(len(race.goals), 'goal')} met."]
    if of["missed"]:
        said.append(f"Missed: {listed(f'{race.called(goal)} ({amount(goal)})' for goal in of['missed'])}.")
    if of["undecided"]:
        doubtful = listed(goal.row for goal in of["undecided"])
        said.append(f"Undecided, as the other side differed from itself by more: {doubtful}.")
    if unmeasured:
        said.append(f"Not measured: {listed(f'{goal.row} ({goal.reason})' for goal in unmeasured)}.")
    return [" ".join(said), *_control(race), _lost(race), *_ways(race), _how(race)]


def _control(race: Race) -> list[str]:
    controls = [goal.control for goal in race.goals if goal.control is not None]
    if not controls:
        return []
    least, most = times(min(controls)), times(max(controls))
    said = f"What ours is held against is, against itself in the same rounds, {least} to {most}"
    noisy = [goal.row for goal in race.goals if goal.noisy]
    if not noisy:
        return [f"{said}: never off by more than {NOISE * 100:g} %."]
    return [f"{said}, off by more than {NOISE * 100:g} % in {listed(noisy)}, where the machine was busy."]


def lost(race: Race) -> dict[str, Lap]:
    """Find the layers in which torch is faster, the worst first; of one in several goals the last."""
    found = {lap.name: lap for goal in race.goals for lap in goal.lost}
    return dict(sorted(found.items(), key=lambda pair: pair[1].ratio))


def _lost(race: Race) -> str:
    found = lost(race)
    layers = len({lap.name for goal in race.goals for lap in goal.laps})
    if not found:
        return f"torch is faster on none of {plural(layers, 'layer')}."
    named = [f"{name} {times(lap.ratio)}" for name, lap in found.items()]
    more = [f"{len(named) - FEW} more"] if len(named) > FEW else []
    return f"torch is faster on {len(named)} of {plural(layers, 'layer')}: {listed([*named[:FEW], *more])}."


def _ways(race: Race) -> list[str]:
    """Say where another way of torch's is faster than ours, though its usual one may not be."""
    found = {lap.name: lap for goal in race.goals for lap in goal.laps if lap.by_way is not None}
    ahead = {name: lap for name, lap in found.items() if lap.by_way is not None and lap.by_way < lap.seconds}
    if not found:
        return []
    if not ahead:
        return [f"No other way of torch's that was tried is faster than ours, on {plural(len(found), 'pool')}."]
    named = listed(f"{name} {times(lap.by_way / lap.seconds)} ({lap.way})" for name, lap in ahead.items())
    return [f"In another way torch is faster on {len(ahead)} of {plural(len(found), 'pool')}: {named}."]


def _how(race: Race) -> str:
    blas = race.machine.get("blas") or {}
    names = {"BLAS": " ".join(str(blas.get(each) or "") for each in ("name", "version")).strip()}
    names |= {each: str(race.machine.get(each) or "") for each in ("numpy", "torch")}
    on = ", ".join(f"{name} {version}" for name, version in names.items() if version)
    return f"Medians of {plural(race.pairs, 'round')} in turns, CPU time of one thread; {on}."


def amount(goal: Goal) -> str:
    """Write what was measured, and what was aimed at: 1.32 of 1.70."""
    found = "nothing" if goal.measured is None else times(goal.measured)
    return f"{found}, at most {times(goal.goal)}" if goal.at_most else f"{found} of {times(goal.goal)}"


def table(race: Race) -> Table:
    """List every goal, with the layers of it that are lost."""
    rows = []
    for goal in race.goals:
        behind = listed(f"{lap.name} {times(lap.ratio)}" for lap in goal.lost)
        verdict = goal.verdict + (", on a busy machine" if goal.noisy else "")
        rows.append([
            goal.row, goal.told, verdict, goal.reason or behind,
            ("at most " if goal.at_most else "") + times(goal.goal),
            "" if goal.measured is None else times(goal.measured),
            "" if goal.control is None else times(goal.control),
            f"{max(lap.extra_bytes for lap in goal.laps) / 2**20:.1f}" if goal.laps else "",
            f"{sum(lap.faults for lap in goal.laps):.0f}" if goal.laps else "",
        ])  # fmt: skip
    head = (
        "row", "what is raced", "verdict", "layers that are lost, times as fast", "goal", "measured", "control",
        "extra memory, MB", "page faults",
    )  # fmt: skip
    return Table(head, rows, 4)
