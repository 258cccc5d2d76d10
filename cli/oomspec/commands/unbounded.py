"""`oomspec matrix --unbounded`: the table of unbounded proofs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import click

from oom_smt.unbounded_matrix import Unbounded, unbounded_matrix
from oom_spec.language.eras import Era
from oom_spec.language.properties import Property
from oom_spec.manifest import expected_cell
from oom_spec.verdicts import Word
from oomspec.output import counted, json_line, progress_bar, wrapped

MARKS = {
    Word.PROVED: "P",
    Word.UNKNOWN: "?",
    Word.NOT_APPLICABLE: ".",
    Word.VACUOUS: "v",
}


def run_unbounded(
    eras: Mapping[str, Era], properties: Sequence[Property], jobs: int, deadline: float | None, *, as_json: bool
) -> int:
    """Decide, print, and compare with the manifest: 0 as expected, 1 otherwise, 3 where the manifest cannot say."""
    started = time.monotonic()
    subjects = [subject for subject in properties if subject.graph is None]
    cells: dict[tuple[str, str], Unbounded] = {}
    interrupted = False
    with progress_bar("matrix --unbounded", says_time_left=True) as progress:
        try:
            for cell in unbounded_matrix(
                eras, subjects, jobs, progress, lambda: deadline is not None and time.monotonic() > deadline
            ):
                cells[cell.era, cell.property] = cell
        except KeyboardInterrupt:
            interrupted = True
    for era in eras.values():
        for subject in subjects:
            reason = "interrupted" if interrupted else "out of time"
            cells.setdefault((era.id, subject.id), Unbounded(era.id, subject.id, Word.UNKNOWN, reason=reason))
    own = {era.id for era in eras.values() if era.file}
    wrong = {key: said for key, cell in cells.items() if (said := _difference(cell)) and cell.era not in own}
    if as_json:
        for key, cell in cells.items():
            json_line({**cell.as_json(), "agrees": key not in wrong, "difference": wrong.get(key, "")})
    else:
        _print(eras, subjects, cells, wrong)
        _summary(cells, wrong, time.monotonic() - started)
    if interrupted:
        raise KeyboardInterrupt
    if any(
        cell.word is Word.UNKNOWN for cell in cells.values() if cell.era in own or (cell.era, cell.property) in wrong
    ):
        return 3
    return 1 if wrong else 0


def _difference(cell: Unbounded) -> str:
    """How a cell differs from the manifest; empty where it agrees."""
    expected = expected_cell(cell.era, cell.property)
    if expected is None:
        return "the manifest has no entry"
    if expected.word is Word.VIOLATED and cell.word is Word.PROVED:
        return "proved, but a scenario violates it"
    wanted = expected.unbounded
    if wanted is None:
        return ""
    return "" if cell.word is wanted else f"{cell.word.value}, expected {wanted.value}"


def _print(
    eras: Mapping[str, Era],
    subjects: Sequence[Property],
    cells: Mapping[tuple[str, str], Unbounded],
    wrong: Mapping[tuple[str, str], str],
) -> None:
    width = max(len(era.id) for era in eras.values())
    click.echo(" " * width + "".join(f" {subject.id:>4}" for subject in subjects))
    for era in eras.values():
        row = f"{era.id:{width}}"
        for subject in subjects:
            cell = cells[era.id, subject.id]
            row += f" {_mark(cell) + '!' * ((era.id, subject.id) in wrong):>{max(4, len(subject.id))}}"
        click.echo(row)
    click.echo(
        "\nP proved, e only by an excuse of N3, ? unknown, x violated in some scenario, v vacuous, . not applicable"
    )
    for (name, reason), names in _unknown(cells).items():
        click.echo(wrapped(f"unknown: {name}, {reason}: {', '.join(names)}", ""))
    for (era_id, name), said in wrong.items():
        reason = cells[era_id, name].reason
        click.echo(f"differs: {era_id} {name}: {said}" + f" ({reason})" * bool(reason))


def _unknown(cells: Mapping[tuple[str, str], Unbounded]) -> dict[tuple[str, str], list[str]]:
    """What holds in every scenario and is not proved, by property and by what is in the way: the eras."""
    found: dict[tuple[str, str], list[str]] = {}
    for (era_id, name), cell in cells.items():
        if _mark(cell) == MARKS[Word.UNKNOWN]:
            found.setdefault((name, cell.reason), []).append(era_id)
    return dict(sorted(found.items()))


def _mark(cell: Unbounded) -> str:
    expected = expected_cell(cell.era, cell.property)
    if cell.word is Word.UNKNOWN and expected is not None and expected.word is Word.VIOLATED:
        return "x"
    return "e" if cell.only_by_excuse else MARKS[cell.word]


def _summary(cells: Mapping[tuple[str, str], Unbounded], wrong: Mapping[tuple[str, str], str], seconds: float) -> None:
    counts = {word: sum(cell.word is word for cell in cells.values()) for word in Word}
    parts = ", ".join(f"{count} {word.value}" for word, count in counts.items() if count)
    agree = "all agree with the manifest" if not wrong else f"{len(wrong)} differ from the manifest"
    click.echo(f"\n{counted(len(cells), 'cell')}, {seconds:.0f} s: {parts}; {agree}")
