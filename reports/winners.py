"""What the map of winners shows, in words and as a table: where each algorithm is fastest, and what `auto` chose."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median

from reports.matrix import grouped
from reports.race import NOISE, Cell, Race
from reports.section import Table, listed, time, times
from reports.sentences import plural


def algorithms(race: Race) -> list[str]:
    """Name the algorithms in the order in which they are drawn."""
    return list(dict.fromkeys(name for cell in race.cells for name in sorted({**cell.seconds, **cell.left_out})))


def strides(race: Race) -> dict[int, list[Cell]]:
    """Part the cells by stride."""
    return dict(sorted(grouped(race.cells, lambda cell: cell.S).items()))


def caption(race: Race) -> list[str]:
    """Say where each algorithm wins, stride by stride, how near the second is, and how well `auto` chose."""
    said = []
    for S, cells in strides(race).items():
        wins = grouped([cell for cell in cells if cell.winner], lambda cell: cell.winner)
        ranked = sorted(wins.items(), key=lambda pair: -len(pair[1]))
        parts = [f"{name} is fastest on {len(its)} of {len(cells)} ({where(its, cells)})" for name, its in ranked]
        late = len(cells) - sum(map(len, wins.values()))
        parts += [f"on {late} nothing was fast enough to be timed"] if late else []
        said.append(f"At S {S}, {'; '.join(parts)}.")
    close = [cell for cell in race.cells if cell.close]
    if close:
        places = listed(place(cell) for cell in close)
        said.append(f"The second is within {NOISE * 100:g} % on {len(close)}, too near to tell: {places}.")
    return [*said, *_images(race), *chosen(race)]


def _images(race: Race) -> list[str]:
    """Say how large the images are: where they shrink as C grows, a crossover along C may be one along their size."""
    of = {W: sorted({cell.C for cell in its}) for W, its in grouped(race.cells, lambda cell: cell.W).items()}
    sizes = listed(f"{W} x {W} at C {listed(map(str, C))}" for W, C in of.items())
    warning = ": what changes from one C to another may be due to that" if len(of) > 1 else ""
    return [f"Images are {sizes}{warning}."]


def where(its: Iterable[Cell], cells: Iterable[Cell]) -> str:
    """Say for which F at which C: F from 5 at C 16 and 64; all F at C 1."""
    every = grouped(cells, lambda cell: cell.C)
    spans: dict[str, list[str]] = {}
    for C, won in sorted(grouped(its, lambda cell: cell.C).items()):
        all_of = sorted({cell.F for cell in every[C]})
        spans.setdefault(_span(sorted(cell.F for cell in won), all_of), []).append(str(C))
    return "; ".join(f"{span} at C {listed(of)}" for span, of in spans.items())


def _span(won: list[int], all_of: list[int]) -> str:
    if won == all_of:
        return "all F"
    if len(won) > 1 and won == all_of[-len(won) :]:
        return f"F from {won[0]}"
    if len(won) > 1 and won == all_of[: len(won)]:
        return f"F up to {won[-1]}"
    return f"F {listed(map(str, won))}"


def chosen(race: Race) -> list[str]:
    """Say how often `auto` chose the fastest, what the others cost, and what choosing costs."""
    known = [cell for cell in race.cells if not math.isnan(cell.loss)]
    if not known:
        return []
    right = [cell for cell in known if cell.chosen == cell.winner]
    said = f"auto chose the fastest on {len(right)} of {plural(len(race.cells), 'layer')}"
    worst = max(known, key=lambda cell: cell.loss)
    if len(right) < len(known):
        near = sum(1 < cell.loss <= 1 + NOISE for cell in known)
        said += f", and one within {NOISE * 100:g} % of it on {near} more" if near else ""
        most = times(worst.loss) if worst.chosen in worst.seconds else f"over {worst.loss:.2g}"
        said += (
            f". What it loses elsewhere is greatest at {place(worst)}: {worst.chosen} takes {most} times as long as "
            f"{worst.winner}"
        )
    unknown = len(race.cells) - len(known)
    said += f"; on {unknown} its choice was not timed" if unknown else ""
    timed = [cell for cell in known if cell.chosen in cell.seconds]
    own = [cell.auto / cell.seconds[cell.chosen] for cell in timed if cell.auto is not None]
    cost = f" Its own call takes {times(median(own))} times as long as what it chose, in the median." if own else ""
    return [f"{said}.{cost}"]


def place(cell: Cell) -> str:
    """Name a layer: F 5, C 16, S 1."""
    return f"F {cell.F}, C {cell.C}, S {cell.S}"


def ahead(cell: Cell) -> str:
    """Write how many times as long the second takes: 1.93, over 2, or nothing where there is no second."""
    if not cell.winner or math.isinf(cell.margin):
        return ""
    return f"> {cell.margin:.2g}" if cell.bounded else times(cell.margin)


def table(race: Race) -> Table:
    """List every layer with the times of all algorithms, or why one has none."""
    names = algorithms(race)
    rows = []
    for cell in race.cells:
        own = {name: time(seconds) for name, seconds in cell.seconds.items()}
        rows.append([
            place(cell), cell.winner or "none", cell.chosen or "another",
            *(own.get(name) or cell.left_out.get(name, "") for name in names),
            f"{cell.W}", ahead(cell), times(cell.loss), "" if cell.auto is None else time(cell.auto),
        ])  # fmt: skip
    head = ("layer", "fastest", "auto chose", *names, "image", "second over first", "choice over first", "auto")
    return Table(head, rows, 3)
