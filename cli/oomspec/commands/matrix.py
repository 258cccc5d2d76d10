"""`oomspec matrix`"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import click

from oom_smt.matrix import Matrix
from oom_spec.eras import all_eras, find_era
from oom_spec.language.eras import Era
from oom_spec.language.properties import Property
from oom_spec.manifest import as_toml, differences, expected_cell
from oom_spec.properties import PROPERTIES, find_properties
from oom_spec.scenarios import SCENARIOS
from oom_spec.verdicts import Cell, Word
from oomspec.output import SYMBOLS, Seconds, coloured, counted, json_line, progress_bar, titled

Cells = Mapping[tuple[str, str], Cell]


@click.command()
@click.argument("eras", metavar="[ERA]...", nargs=-1)
@click.option("--property", "properties", metavar="ID", multiple=True, help="Only these properties (repeatable).")
@click.option("--wide", is_flag=True, help="Verdicts in words, one line per cell.")
@click.option("--slow", is_flag=True, help="Also the scenarios with more than about 10^5 states.")
@click.option("--jobs", type=click.IntRange(min=1), help="Worker processes.  [default: all cores]")
@click.option(
    "--z3-seconds",
    type=Seconds(),
    default=0.5,
    show_default=True,
    help="Z3's share for one scenario of one era; 0: the explorer alone.",
)
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Also write a JUnit report.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    hidden=True,
    help="Write the computed verdicts in the form of the manifest.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each cell.")
def matrix(
    eras: tuple[str, ...],
    properties: tuple[str, ...],
    wide: bool,
    slow: bool,
    jobs: int | None,
    z3_seconds: float,
    junit: Path | None,
    record: Path | None,
    as_json: bool,
) -> int:
    """Decide every ERA (all, unless named) against every property, beside the recorded expectation.

    \b
    Exit status: 0 only if every cell agrees with the manifest, 1 if one differs, 3 if one is unknown.
    \b
    Examples:
      oomspec matrix
      oomspec matrix v4.12 v4.14 --property N1 --property S1
    """
    chosen = [find_era(name) for name in eras] if eras else list(all_eras())
    subjects = [p for name in properties for p in find_properties(name)] if properties else list(PROPERTIES)
    scenarios = [s for s in SCENARIOS if slow or not s.slow]
    for report in (junit, record):
        if report is not None:
            report.touch()  # refused now rather than after minutes of work
    started = time.monotonic()
    table = Matrix(chosen, subjects, scenarios, jobs or 0, z3_seconds)
    interrupted = False
    with progress_bar("matrix") as progress:
        try:
            table.run(progress)
        except KeyboardInterrupt:
            interrupted = True
    cells = table.cells()
    wrong = {key: found for key, cell in cells.items() if (found := differences(cell, expected_cell(*key)))}
    if as_json:
        for key, cell in cells.items():
            json_line(_cell_json(cell, wrong.get(key, [])))
    else:
        _print(chosen, subjects, cells, wrong, wide)
        for text in table.lost:
            click.echo(f"lost: {text}")
        _summary(cells, wrong, scenarios=len(scenarios), seconds=time.monotonic() - started)
    if junit is not None:
        junit.write_text(_junit(cells, wrong), "utf-8")
    if record is not None:
        from oom_smt.claims import decide_claims

        parts = {name: outcome.text for name, outcome in decide_claims(z3_seconds=0).items()}
        record.write_text(as_toml(cells, parts), "utf-8")
    if interrupted:
        raise KeyboardInterrupt
    unknown = any(v.word is Word.UNKNOWN for cell in cells.values() for v in cell.verdicts)
    if unknown or table.lost:
        return 3
    return 1 if wrong else 0


def _cell_json(cell: Cell, wrong: Sequence[str]) -> dict[str, object]:
    expected = expected_cell(cell.era, cell.property)
    found: dict[str, object] = cell.leading.as_json(None if expected is None else expected.text)
    found["verdict"] = cell.word.value
    found["violated_in"] = cell.violated_in
    found["only_by_excuse"] = cell.only_by_excuse
    found["scenarios"] = [v.scenario for v in cell.touching]
    found["known"] = "" if expected is None else expected.known
    found["agrees"] = not wrong
    found["differences"] = list(wrong)
    return found


def _print(
    eras: Sequence[Era],
    subjects: Sequence[Property],
    cells: Cells,
    wrong: Mapping[tuple[str, str], list[str]],
    wide: bool,
) -> None:
    if wide:
        for (era, name), cell in cells.items():
            where = ", ".join(f"{s} {d}" for s, d in sorted(cell.violated_in.items(), key=lambda item: item[1]))
            excuse = f"  only by excuse: {', '.join(cell.excuses)}" if cell.only_by_excuse else ""
            known = (entry.known if (entry := expected_cell(era, name)) is not None else "") if where else ""
            click.echo(
                f"{era:28} {name:12} "
                + coloured(cell.word, f"{cell.word.value:16}" if where or excuse else cell.word.value)
                + f"{where}{excuse}"
                + (f"  [{known}]" if known else "")
            )
    else:
        _print_compact(eras, subjects, cells, wrong)
    for (era, name), found in wrong.items():
        for text in found:
            click.echo(f"differs: {era} {name}: {text}")


def _print_compact(
    eras: Sequence[Era], subjects: Sequence[Property], cells: Cells, wrong: Mapping[tuple[str, str], list[str]]
) -> None:
    widths = {p.id: max(len(p.id), 4) for p in subjects}
    left = max(len(titled(era)) for era in eras)
    click.echo((" " * left + "  " + " ".join(f"{p.id:{widths[p.id]}}" for p in subjects)).rstrip())
    for era in eras:
        row = []
        for subject in subjects:
            cell = cells[era.id, subject.id]
            depth = str(cell.leading.depth) if cell.word is Word.VIOLATED else "e" if cell.only_by_excuse else ""
            flag = "!" if (era.id, subject.id) in wrong else ""
            text = SYMBOLS[cell.word][0] + depth + flag
            padding = "" if subject is subjects[-1] else " " * (widths[subject.id] - len(text))
            row.append(coloured(cell.word, text) + padding)
        click.echo(f"{titled(era):{left}}  " + " ".join(row))
    click.echo()
    click.echo("+ every reachable state visited   +e only with an N3 excuse   Xn violated, shortest run n steps")
    click.echo("- not applicable   0 vacuous   ? unknown   ! differs from the manifest")


def _summary(cells: Cells, wrong: Mapping[tuple[str, str], list[str]], *, scenarios: int, seconds: float) -> None:
    counts = {word: sum(cell.word is word for cell in cells.values()) for word in Word}
    parts = [f"{count} {word.value}" for word, count in counts.items() if count]
    agree = "all agree with the manifest" if not wrong else f"{len(wrong)} differ from the manifest"
    click.echo(
        f"\n{counted(len(cells), 'cell')} in {scenarios} scenarios, {seconds:.0f} s: {', '.join(parts)}; {agree}"
    )


def _junit(cells: Cells, wrong: Mapping[tuple[str, str], list[str]]) -> str:
    unknown = sum(cell.word is Word.UNKNOWN for cell in cells.values())
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<testsuite name="oomspec matrix" tests="{len(cells)}" failures="{len(wrong)}" errors="{unknown}">',
    ]
    for key, cell in cells.items():
        name = quoteattr(f"{cell.property}: {cell.word.value}")
        lines.append(f'  <testcase classname={quoteattr(cell.era)} name={name} time="{cell.leading.seconds:.3f}">')
        if cell.word is Word.UNKNOWN:
            lines.append(f"    <error message={quoteattr(cell.leading.reason)}/>")
        elif key in wrong:
            lines.append(f"    <failure message={quoteattr('; '.join(wrong[key]))}/>")
        lines.append("  </testcase>")
    return "\n".join([*lines, "</testsuite>", ""])
