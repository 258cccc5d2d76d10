"""Tables of verdicts: era by property, and for one property era by scenario, in blocks that fit the page."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import click

from oom_spec.language.eras import Era
from oom_spec.language.properties import Property
from oom_spec.language.scenarios import Scenario
from oom_spec.manifest import expected_cell
from oom_spec.verdicts import Cell, Verdict, Word
from oomspec.output import SYMBOLS, coloured, in_blocks, titled, width_of_page

Cells = Mapping[tuple[str, str], Cell]
"""By (era id, property id)."""
Wrong = Mapping[tuple[str, str], Sequence[str]]
"""How cells differ from the manifest."""

NARROWEST = 4
"""Room for ``X43!``."""


def family(subject: Property) -> str:
    """What properties are grouped by: ``N`` no needless kill, ``S`` safety, ``L`` liveness; the rest by its role."""
    letter = subject.id[0]
    return letter if letter.isupper() and subject.id[1:2].isdigit() else subject.role.name


def symbol(cell: Cell) -> str:
    """The verdict of a cell in a few characters: ``X43``; ``x43`` where other scenarios are free of it; ``+e``."""
    if cell.word is Word.VIOLATED:
        return f"{'x' if cell.depends_on_scenario else SYMBOLS[cell.word][0]}{cell.leading.depth}"
    return SYMBOLS[cell.word][0] + ("e" if cell.only_by_excuse else "")


def legend(*, by_scenario: bool) -> list[str]:
    """What the symbols mean."""
    if by_scenario:
        return [
            "+ every reachable state visited   +e only with an N3 excuse   Xn violated, shortest run n steps",
            ". what it speaks of never happens there   : starts in mid-protocol, so only a violation counts",
            "- not applicable   ? unknown   (blank) not run: it says nothing new of the era",
        ]
    return [
        "+ every reachable state visited   +e only with an N3 excuse   Xn violated, shortest run n steps",
        "xn violated in some scenarios only; --scenarios shows which",
        "- not applicable   0 vacuous   ? unknown   ! differs from the manifest",
    ]


def compact_table(eras: Sequence[Era], subjects: Sequence[Property], cells: Cells, wrong: Wrong) -> Iterator[str]:
    """One row per era, one column per property."""
    texts = {
        (era.id, p.id): symbol(cells[era.id, p.id]) + ("!" if (era.id, p.id) in wrong else "")
        for era in eras
        for p in subjects
    }
    words = {key: cells[key].word for key in texts}
    heads = [[p.id] for p in subjects]
    yield from _table(eras, heads, [family(p) for p in subjects], [p.id for p in subjects], texts, words)


def scenario_tables(
    eras: Sequence[Era], subjects: Sequence[Property], scenarios: Sequence[Scenario], cells: Cells
) -> Iterator[str]:
    """For each property one row per era, one column per scenario that is run in some of them."""
    for subject in subjects:
        if subject is not subjects[0]:
            yield ""
        if len(subjects) > 1:
            yield click.style(f"{subject.id}  {subject.name}", bold=True)
        texts: dict[tuple[str, str], str] = {}
        words: dict[tuple[str, str], Word] = {}
        for era in eras:
            for verdict in cells[era.id, subject.id].verdicts:
                texts[era.id, verdict.scenario] = _in_scenario(verdict)
                words[era.id, verdict.scenario] = verdict.word if verdict.touched else Word.NOT_APPLICABLE
        run = [s for s in scenarios if any((era.id, s.id) in texts for era in eras)]
        heads = [_broken(s.id) for s in run]
        yield from _table(eras, heads, [""] * len(run), [s.id for s in run], texts, words)


def _in_scenario(verdict: Verdict) -> str:
    if verdict.word is Word.VIOLATED:
        return f"{SYMBOLS[verdict.word][0]}{verdict.depth}"
    if verdict.word in (Word.PROVED_INSTANCE, Word.PROVED, Word.BOUNDED) and not verdict.touched:
        return ":" if verdict.reason.startswith("it starts in mid-protocol") else "."
    return SYMBOLS[verdict.word][0] + ("e" if verdict.strict is Word.VIOLATED else "")


def _broken(name: str) -> list[str]:
    """A scenario's name over several lines, broken at its hyphens."""
    parts = name.split("-")
    return [part + "-" for part in parts[:-1]] + parts[-1:]


def _table(
    eras: Sequence[Era],
    heads: Sequence[Sequence[str]],
    families: Sequence[str],
    columns: Sequence[str],
    texts: Mapping[tuple[str, str], str],
    words: Mapping[tuple[str, str], Word],
) -> Iterator[str]:
    left = max((len(titled(era)) for era in eras), default=0)
    widths = [
        max([NARROWEST, *map(len, head), *(len(texts.get((era.id, column), "")) for era in eras)])
        for head, column in zip(heads, columns, strict=True)
    ]
    for number, block in enumerate(in_blocks(widths, families, width_of_page() - left - 1)):
        if number:
            yield ""
        gaps = [2] + [3 if families[b] != families[a] else 1 for a, b in itertools.pairwise(block)]
        tall = max(len(heads[column]) for column in block)
        for line in range(tall):
            parts = []
            for gap, column in zip(gaps, block, strict=True):
                head = ["" for _ in range(tall - len(heads[column]))] + list(heads[column])
                parts.append(" " * gap + f"{head[line]:{widths[column]}}")
            yield (" " * left + "".join(parts)).rstrip()
        for era in eras:
            row = f"{titled(era):{left}}"
            blank = ""
            for gap, column in zip(gaps, block, strict=True):
                text = texts.get((era.id, columns[column]), "")
                if text:
                    row += blank + " " * gap + coloured(words[era.id, columns[column]], text)
                    blank = " " * (widths[column] - len(text))
                else:
                    blank += " " * (gap + widths[column])
            yield row.rstrip()


def wide_lines(eras: Sequence[Era], cells: Cells, *, by_scenario: bool) -> Iterator[str]:
    """Verdicts in words: one line per cell, or per cell and scenario."""
    left = max([27, *(len(era.id) for era in eras)]) + 1
    for (era, name), cell in cells.items():
        if by_scenario:
            for verdict in cell.verdicts:
                note = f"  ({verdict.reason})" if verdict.reason else ""
                text = coloured(verdict.word, verdict.text)
                yield f"{era:{left}} {name:12} {verdict.scenario:18} {text}{note}"
            continue
        where = ", ".join(f"{s} {d}" for s, d in sorted(cell.violated_in.items(), key=lambda item: item[1]))
        excuse = f"  only by excuse: {', '.join(cell.excuses)}" if cell.only_by_excuse else ""
        known = (entry.known if (entry := expected_cell(era, name)) is not None else "") if where else ""
        yield (
            f"{era:{left}} {name:12} "
            + coloured(cell.word, f"{cell.word.value:16}" if where or excuse else cell.word.value)
            + f"{where}{excuse}"
            + (f"  [{known}]" if known else "")
        )
