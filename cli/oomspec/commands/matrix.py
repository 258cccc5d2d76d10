"""`oomspec matrix`"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import click

from oom_smt.cache import open_cache
from oom_smt.matrix import Matrix
from oom_spec.applicability import irrelevant
from oom_spec.eras import all_eras, find_era
from oom_spec.language.eras import Era
from oom_spec.language.scenarios import Scenario
from oom_spec.manifest import as_toml, differences, expected_cell
from oom_spec.properties import PROPERTIES, find_properties
from oom_spec.scenarios import SCENARIOS
from oom_spec.verdicts import Cell, Word
from oomspec.advising import say_advice
from oomspec.output import Seconds, counted, json_line, progress_bar, warn
from oomspec.tables import Cells, Wrong, compact_table, legend, scenario_tables, wide_lines


@click.command()
@click.argument("eras", metavar="[ERA]...", nargs=-1)
@click.option("--era", "more_eras", metavar="ERA", multiple=True, help="Only these eras (repeatable).")
@click.option("--property", "properties", metavar="ID", multiple=True, help="Only these properties (repeatable).")
@click.option("--wide", is_flag=True, help="Verdicts in words, one line per cell.")
@click.option("--scenarios", "by_scenario", is_flag=True, help="Each property's verdicts scenario by scenario.")
@click.option("--slow", is_flag=True, help="Also the scenarios with more than about 10^5 states, in a table apart.")
@click.option("--unbounded", is_flag=True, help="Proofs for runs of every length in worlds of any size instead.")
@click.option("--jobs", type=click.IntRange(min=1), help="Worker processes.  [default: all cores]")
@click.option("--timeout", type=Seconds(), metavar="SECONDS", help="Leave the rest `unknown` after this time.")
@click.option(
    "--z3-seconds",
    type=Seconds(),
    default=0.1,
    show_default=True,
    help="Z3's share for one scenario of one era; 0: the explorer alone.",
)
@click.option("--no-cache", is_flag=True, help="Compute everything anew, and keep nothing.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Also write a JUnit report.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    hidden=True,
    help="Write the computed verdicts in the form of the manifest.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each cell, or each verdict.")
def matrix(
    eras: tuple[str, ...],
    more_eras: tuple[str, ...],
    properties: tuple[str, ...],
    wide: bool,
    by_scenario: bool,
    slow: bool,
    unbounded: bool,
    jobs: int | None,
    timeout: float | None,
    z3_seconds: float,
    no_cache: bool,
    junit: Path | None,
    record: Path | None,
    as_json: bool,
) -> int:
    """Decide every ERA (all, unless named) against every property, beside the recorded expectation.

    What an earlier run of the same sources found is taken from the cache, in $OOMSPEC_CACHE or ~/.cache/oomspec. Ctrl-C
    prints what is done; the next run goes on from there.

    \b
    Exit status: 0 only if every cell agrees with the manifest, 1 if one differs, 3 if one is unknown. A user's own
    era has no entry there, and no say in it.
    \b
    Examples:
      oomspec matrix
      oomspec matrix v4.12 v4.14 --property N1 --property S1
      oomspec matrix --property N1s --scenarios
      oomspec matrix --unbounded
    """
    started = time.monotonic()
    names = (*eras, *more_eras)
    chosen = list(dict.fromkeys(find_era(name) for name in names)) if names else list(all_eras())
    ids = [era.id for era in chosen]
    for era in chosen:
        if ids.count(era.id) > 1:
            raise click.UsageError(f"two of the eras have the id {era.id!r}: give one of the files another id")
    say_advice(*chosen)
    subjects = list(dict.fromkeys(p for name in properties for p in find_properties(name))) or list(PROPERTIES)
    if unbounded:
        if slow or by_scenario or wide or junit or record:
            raise click.UsageError("--unbounded has one table and no scenarios: leave out what is about these")
        from oomspec.commands.unbounded import run_unbounded

        by_name = {era.file or era.id: era for era in chosen}
        limit = None if timeout is None else started + timeout
        return run_unbounded(by_name, subjects, jobs or os.cpu_count() or 1, limit, as_json=as_json)
    scenarios = [s for s in SCENARIOS if slow or not s.slow]
    for report in (junit, record):
        if report is not None:
            report.touch()  # refused now rather than after minutes of work
    deadline = None if timeout is None else started + timeout
    store = None if no_cache else open_cache(warn)
    table = Matrix(chosen, subjects, scenarios, jobs or 0, z3_seconds, store, deadline)
    interrupted = False
    with progress_bar("matrix", says_time_left=True) as progress:
        try:
            table.run(progress)
        except KeyboardInterrupt:
            interrupted = True
    if store is not None:
        store.close()
    cells = table.cells()
    wrong = {key: found for key, cell in cells.items() if (found := _differences(cell, chosen))}
    if as_json:
        _print_json(cells, wrong, scenarios, by_scenario)
    else:
        _print(table, cells, wrong, wide, by_scenario)
        _summary(table, cells, wrong, seconds=time.monotonic() - started)
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


def _differences(cell: Cell, eras: Sequence[Era]) -> list[str]:
    """How a cell differs from the manifest, which has nothing to say of a user's own era."""
    expected = expected_cell(cell.era, cell.property)
    if expected is None and any(era.file for era in eras if era.id == cell.era):
        return []
    return differences(cell, expected)


# -- JSON ------------------------------------------------------------------------------------


def _print_json(cells: Cells, wrong: Wrong, scenarios: Sequence[Scenario], by_scenario: bool) -> None:
    slow = {scenario.id for scenario in scenarios if scenario.slow}
    for key, cell in cells.items():
        if not by_scenario:
            json_line(_cell_json(cell, wrong.get(key, []), slow))
            continue
        expected = expected_cell(*key)
        for verdict in cell.verdicts:
            found = verdict.as_json(None if expected is None else expected.text)
            json_line({**found, "slow": verdict.scenario in slow})


def _cell_json(cell: Cell, wrong: Sequence[str], slow: set[str]) -> dict[str, object]:
    expected = expected_cell(cell.era, cell.property)
    found: dict[str, object] = cell.leading.as_json(None if expected is None else expected.text)
    found["verdict"] = cell.word.value
    found["violated_in"] = cell.violated_in
    found["only_by_excuse"] = cell.only_by_excuse
    found["scenarios"] = [v.scenario for v in cell.touching]
    found["depends_on_scenario"] = cell.depends_on_scenario
    found["by_scenario"] = {v.scenario: v.text for v in cell.touching}
    found["slow_scenarios"] = [v.scenario for v in cell.verdicts if v.scenario in slow]
    found["known"] = "" if expected is None else expected.known
    found["agrees"] = not wrong
    found["differences"] = list(wrong)
    return found


# -- tables ----------------------------------------------------------------------------------


def _print(table: Matrix, cells: Cells, wrong: Wrong, wide: bool, by_scenario: bool) -> None:
    parts = [("", False)]
    if any(scenario.slow for scenario in table.scenarios):
        parts.append(("the slow scenarios", True))
    for heading, slow in parts:
        if heading:
            click.echo(f"\n{heading}:")
        _print_part(table, wrong, slow, wide, by_scenario)
    for (era, name), found in wrong.items():
        for text in found:
            if ": unknown" not in text:
                click.echo(f"differs: {era} {name}: {text}")
    for line in _unknown(cells):
        click.echo(line)
    for text in table.lost:
        click.echo(f"lost: {text}")


def _unknown(cells: Cells) -> Iterator[str]:
    """What is not known, a line for each era and reason: after Ctrl-C there may be hundreds of scenarios."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for (era, _), cell in cells.items():
        for verdict in cell.verdicts:
            if verdict.word is Word.UNKNOWN:
                found.setdefault((era, verdict.reason), {})[verdict.scenario] = None
    for (era, reason), scenarios in found.items():
        where = ", ".join(scenarios) if len(scenarios) <= 6 else counted(len(scenarios), "scenario")
        yield f"unknown: {era} in {where}: {reason}"


def _print_part(table: Matrix, wrong: Wrong, slow: bool, wide: bool, by_scenario: bool) -> None:
    cells = table.cells(slow=slow)
    scenarios = [scenario for scenario in table.scenarios if scenario.slow == slow]
    names = {scenario.id for scenario in scenarios}
    flagged = {key: kept for key, found in wrong.items() if (kept := _of(found, names, main=not slow))}
    if wide:
        lines = wide_lines(table.eras, cells, by_scenario=by_scenario)
    elif by_scenario:
        lines = scenario_tables(table.eras, table.properties, scenarios, cells)
    else:
        lines = compact_table(table.eras, table.properties, cells, flagged)
    for line in lines:
        click.echo(line)
    if not wide:
        click.echo()
        for line in legend(by_scenario=by_scenario):
            click.echo(line)


def _of(found: Sequence[str], scenarios: set[str], *, main: bool) -> list[str]:
    """The differences in these scenarios; those of a whole cell belong to the main table."""
    kept = []
    for text in found:
        name, colon, _ = text.partition(": ")
        if name in scenarios or (main and not colon):
            kept.append(text)
    return kept


def _summary(table: Matrix, cells: Cells, wrong: Wrong, *, seconds: float) -> None:
    counts = {word: sum(cell.word is word for cell in cells.values()) for word in Word}
    parts = [f"{count} {word.value}" for word, count in counts.items() if count]
    own = sum(1 for era in table.eras if era.file)
    if own == len(table.eras):
        agree = "the manifest has nothing to say of a user's own era"
    else:
        agree = "all agree with the manifest" if not wrong else f"{len(wrong)} differ from the manifest"
    total = table.computed + table.from_cache
    remarks = [f"{counted(len(cells), 'cell')} in {counted(len(table.scenarios), 'scenario')}", f"{seconds:.0f} s"]
    if table.cache is not None:
        remarks.append(f"{table.from_cache} of {counted(total, 'result')} from the cache")
    left_out = sum(bool(irrelevant(era, scenario)) for era in table.eras for scenario in table.scenarios)
    if left_out:
        remarks.append(f"{counted(left_out, 'pair')} of era and scenario left out as nothing new")
    click.echo(f"\n{', '.join(remarks)}: {', '.join(parts)}; {agree}")


# -- JUnit -----------------------------------------------------------------------------------


def _junit(cells: Cells, wrong: Mapping[tuple[str, str], list[str]]) -> str:
    unknown = sum(cell.word is Word.UNKNOWN for cell in cells.values())
    failures = sum(cells[key].word is not Word.UNKNOWN for key in wrong)
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<testsuite name="oomspec matrix" tests="{len(cells)}" failures="{failures}" errors="{unknown}">',
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
