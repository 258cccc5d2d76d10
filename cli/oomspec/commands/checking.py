"""`oomspec check`"""

from __future__ import annotations

import time

import click

from oom_smt.cache import open_cache
from oom_smt.matrix import Matrix
from oom_spec.eras import find_era
from oom_spec.language import Era
from oom_spec.manifest import expected_cell
from oom_spec.properties import find_properties
from oom_spec.scenarios import SCENARIOS, find_scenario
from oom_spec.verdicts import Cell, Word
from oomspec.advising import say_advice
from oomspec.output import Seconds, coloured, json_line, progress_bar, status_of, warn, wrapped


@click.command()
@click.argument("era")
@click.argument("properties", metavar="PROPERTY|all...", nargs=-1, required=True)
@click.option(
    "--method",
    type=click.Choice(["auto", "explore", "bounded"]),
    default="auto",
    show_default=True,
    help="auto: the explorer fixes the depth, Z3 confirms; explore: no solver; bounded: Z3 alone.",
)
@click.option("--bound", type=click.IntRange(min=0), help="Depth to which Z3 searches.")
@click.option("--scenario", "scenario_name", metavar="NAME", help="Only this scenario.  [default: all]")
@click.option("--timeout", type=Seconds(), metavar="SECONDS", help="Give up with `unknown` after this time.")
@click.option("--z3-seconds", type=Seconds(), default=10.0, show_default=True, help="Z3's share for one scenario.")
@click.option("--jobs", type=click.IntRange(min=1), help="Worker processes.  [default: all cores]")
@click.option("--no-cache", is_flag=True, help="Compute everything anew, and keep nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each scenario's verdict.")
@click.option("-v", "--verbose", is_flag=True, help="Every scenario, and what checked it.")
def check(
    era: str,
    properties: tuple[str, ...],
    method: str,
    bound: int | None,
    scenario_name: str | None,
    timeout: float | None,
    z3_seconds: float,
    jobs: int | None,
    no_cache: bool,
    as_json: bool,
    verbose: bool,
) -> int:
    """Decide each PROPERTY in ERA, in every scenario that can touch it.

    \b
    Exit status: 0 holds, 1 violated (even where the manifest expects it), 3 unknown.
    \b
    Examples:
      oomspec check v4.12 N1s
      oomspec check v4.14 all --scenario foreign-user
      oomspec check v4.12 N1s --method bounded --bound 20 --scenario marked
    """
    chosen_era = find_era(era)
    say_advice(chosen_era)
    subjects = tuple(dict.fromkeys(p for name in properties for p in find_properties(name)))
    scenarios = [find_scenario(scenario_name)] if scenario_name else [s for s in SCENARIOS if not s.slow]
    table = Matrix(
        [chosen_era],
        subjects,
        scenarios,
        jobs or 0,
        0.0 if method == "explore" else z3_seconds,
        None if no_cache else open_cache(warn),
        None if timeout is None else time.monotonic() + timeout,
        everywhere=scenario_name is not None,
    )
    interrupted = False
    with progress_bar(f"check {chosen_era.id}", says_time_left=True) as progress:
        try:
            table.run_once(progress, explore=method != "bounded", bound=bound)
        except KeyboardInterrupt:
            interrupted = True
    if table.cache is not None:
        table.cache.close()
    cells = list(table.cells().values())
    for cell in cells:
        expected = expected_cell(cell.era, cell.property)
        if as_json:
            for verdict in cell.verdicts:
                json_line(verdict.as_json(None if expected is None else expected.text))
        else:
            _print_cell(chosen_era, cell, verbose)
    for text in table.lost:
        warn(f"lost: {text}")
    if interrupted:
        raise KeyboardInterrupt
    return status_of([cell.word for cell in cells])


def _print_cell(era: Era, cell: Cell, verbose: bool) -> None:
    (subject,) = find_properties(cell.property)
    leading = cell.leading
    text = leading.text if cell.word is leading.word else cell.word.value
    click.echo(f"{cell.property:12}" + coloured(cell.word, text) + _remarks(cell))
    if verbose:
        click.echo(wrapped(subject.statement))
    shown = cell.verdicts if verbose else [v for v in cell.touching if v.word in (Word.VIOLATED, Word.UNKNOWN)]
    for verdict in shown:
        note = f"  ({verdict.reason})" if verdict.reason else ""
        click.echo(f"    {verdict.scenario:18}" + coloured(verdict.word, verdict.text) + note)
        if verbose and verdict.touched:
            click.echo(wrapped("; ".join(verdict.checked_by), "        "))
            for name, depth in verdict.excuses.items():
                click.echo(f"        leans on {name}, first needed at {depth}")
    if leading.lasso is not None:
        from oomspec.drawing import draw_lasso

        click.echo("\n" + draw_lasso(era, leading), nl=False)
    if not verbose and cell.word is Word.PROVED_INSTANCE:
        names = ", ".join(v.scenario for v in cell.touching)
        click.echo(wrapped(f"every reachable state of: {names}"))


def _remarks(cell: Cell) -> str:
    if cell.word is Word.NOT_APPLICABLE:
        return f"  ({cell.leading.reason})"
    if cell.only_by_excuse:
        return f"  only by excuse: {', '.join(cell.excuses)}"
    if cell.word is Word.UNKNOWN and cell.leading.reason:
        return f"  ({cell.leading.reason})"
    if cell.word is Word.VACUOUS:
        return "  (what it speaks of never happens in any scenario that was run)"
    return ""
