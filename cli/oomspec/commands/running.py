"""`oomspec runs`"""

from __future__ import annotations

import click

from oom_spec.eras import all_eras, find_era
from oom_spec.language.runs import ExpectedRun
from oom_spec.possible import Outcome
from oom_spec.runs import all_runs, decide_runs, find_run, runs_of
from oomspec.output import counted, json_line, progress_bar, titled, wrapped

COLOURS = {"possible": "green", "impossible": "cyan", "unknown": "magenta"}


@click.command()
@click.argument("era", required=False)
@click.option("--draw", "name", metavar="NAME", help="Draw one run of ERA: its name, or a part of it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each run in each era.")
@click.option("-v", "--verbose", is_flag=True, help="What each run consists of, and why it is there.")
def runs(era: str | None, name: str | None, as_json: bool, verbose: bool) -> int:
    """Decide the runs that are written beside the eras: what can happen there, and what cannot.

    A possible run is shown by its shortest form; an impossible one by a search of the whole graph,
    and only if all of it but the last item is possible.

    \b
    Exit status: 0 if all come out as they are written, 1 if one differs, 3 if one is unknown.
    \b
    Examples:
      oomspec runs
      oomspec runs v4.14 -v
      oomspec runs v4.12 --draw B1
    """
    chosen = None if era is None else find_era(era)
    if name is not None:
        if chosen is None:
            raise click.UsageError("--draw needs an ERA: a run may belong to several")
        return _draw(find_run(chosen.id, name), chosen.id)
    pairs = _pairs(None if chosen is None else chosen.id)
    outcomes: list[Outcome] = []
    shown = ""
    with progress_bar("runs") as progress:
        for outcome in decide_runs(pairs):
            outcomes.append(outcome)
            progress(len(outcomes), len(pairs), f"{outcome.era}, {outcome.scenario}")
            if as_json:
                _print_json(outcome)
                continue
            if outcome.era != shown:
                shown = outcome.era
                click.echo(click.style(titled(find_era(shown)), bold=True))
            _print(outcome, verbose)
    differ = [outcome for outcome in outcomes if not outcome.as_written]
    if not as_json:
        words = [outcome.word for outcome in outcomes]
        found = f"{words.count('possible')} possible, {words.count('impossible')} impossible"
        agree = "all as written" if not differ else f"{len(differ)} not as written"
        click.echo(f"{counted(len(words), 'run')}: {found}; {agree}")
    if any(outcome.word != "unknown" for outcome in differ):
        return 1
    return 3 if differ else 0


def _pairs(era: str | None) -> list[tuple[ExpectedRun, str]]:
    """Runs with an era each: era by era, and scenario by scenario within one."""
    if era is not None:
        return [(run, era) for run in sorted(runs_of(era), key=lambda run: run.scenario)]
    for run in all_runs():
        for each in run.eras:
            find_era(each)
    return [pair for each in all_eras() for pair in _pairs(each.id)]


def _print(outcome: Outcome, verbose: bool) -> None:
    run = outcome.run
    colour = COLOURS[outcome.word] if outcome.as_written else "red"
    depth = f"{outcome.depth:4} steps" if outcome.word == "possible" else " " * 10
    click.echo(f"    {click.style(f'{outcome.word:11}', fg=colour)}{depth}  {run.name}  [{run.scenario}]")
    if outcome.remark:
        click.echo(wrapped(f"not as written: {outcome.remark}", " " * 8))
    if verbose:
        click.echo(wrapped(f"{run.why} ({run.source})", " " * 8))
        for item in run.items:
            click.echo(wrapped(f"- {item.text}", " " * 8))


def _draw(run: ExpectedRun, era: str) -> int:
    from oomspec.drawing import draw_actions

    (outcome,) = decide_runs([(run, era)])
    if outcome.word == "possible":
        title = f"{run.name}: possible"
    else:
        reached = f"{len(outcome.came_about)} of {counted(len(run.stages), 'item')}"
        title = f"{run.name}: {outcome.word}; this far it goes, {reached}"
    click.echo(draw_actions(era, run.scenario, [action.id for action in outcome.actions], title), nl=False)
    for stage, step in zip(run.stages, outcome.came_about, strict=False):
        click.echo(f"    after step {step:3}: {stage.item.text}")
    if outcome.remark:
        click.echo(wrapped(f"not as written: {outcome.remark}"))
    if outcome.as_written:
        return 0
    return 3 if outcome.word == "unknown" else 1


def _print_json(outcome: Outcome) -> None:
    run = outcome.run
    json_line(
        {
            "schema": 1,
            "era": outcome.era,
            "scenario": outcome.scenario,
            "run": run.name,
            "items": [item.text for item in run.items],
            "expected": run.expected.value,
            "outcome": outcome.word,
            "as_written": outcome.as_written,
            "remark": outcome.remark,
            "depth": outcome.depth if outcome.word == "possible" else None,
            "came_about": list(outcome.came_about),
            "actions": [action.id for action in outcome.actions],
            "nodes": outcome.nodes,
            "seconds": round(outcome.seconds, 3),
            "why": run.why,
            "source": run.source,
        }
    )
