"""`oomspec claims`"""

from __future__ import annotations

import time

import click

from oom_smt.claims import Outcome, WorkerDied, decide_claims
from oom_spec.eras import find_era
from oom_spec.language.errors import UnknownNameError
from oom_spec.manifest import load
from oom_spec.properties.claims import CLAIMS, Claim
from oomspec.output import Seconds, counted, json_line, progress_bar, titled, wrapped


@click.command()
@click.argument("names", metavar="[QUESTION]...", nargs=-1)
@click.option("--jobs", type=click.IntRange(min=1), help="Worker processes.  [default: all cores]")
@click.option(
    "--z3-seconds",
    type=Seconds(),
    default=0.5,
    show_default=True,
    help="Z3's share for one verdict; 0: the explorer alone.",
)
@click.option("--diagrams", is_flag=True, help="Draw the run behind each part that has one.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each part of a claim.")
@click.option("-v", "--verbose", is_flag=True, help="What checked each part.")
def claims(
    names: tuple[str, ...], jobs: int | None, z3_seconds: float, diagrams: bool, as_json: bool, verbose: bool
) -> int:
    """Decide the questions of the mail of 2017-07-25, and the claims in its answers.

    Every part is computed in this run; both sides of an argument are put to the same scenario.

    \b
    Exit status: 0 if every part comes out as the manifest records, 1 if one differs, 3 if one is unknown.
    \b
    Examples:
      oomspec claims
      oomspec claims 3c --diagrams
    """
    chosen = _chosen(names)
    started = time.monotonic()
    with progress_bar("claims") as progress:
        try:
            outcomes = decide_claims(chosen, jobs=jobs or 0, z3_seconds=z3_seconds, progress=progress)
        except WorkerDied:
            click.echo("oomspec: a worker process died: the claims are unknown; try again with `--jobs 1`", err=True)
            return 3
    expected = load()[1]
    wrong = [name for name, outcome in outcomes.items() if outcome.text != expected.get(name)]
    for claim in chosen:
        if as_json:
            _print_json(claim, outcomes)
        else:
            _print(claim, outcomes, verbose, diagrams)
    if not as_json:
        agree = (
            "all as the manifest records" if not wrong else f"{len(wrong)} differ from the manifest: {', '.join(wrong)}"
        )
        size = f"{counted(len(chosen), 'question')} in {counted(len(outcomes), 'part')}"
        click.echo(f"{size}, {time.monotonic() - started:.0f} s: {agree}")
    if any(outcome.text == "unknown" for outcome in outcomes.values()):
        return 3
    return 1 if wrong else 0


def _chosen(names: tuple[str, ...]) -> tuple[Claim, ...]:
    known = {claim.id: claim for claim in CLAIMS}
    for name in names:
        if name not in known:
            raise UnknownNameError(f"unknown question {name!r}: there are {', '.join(known)}")
    return tuple(known[name] for name in names) if names else CLAIMS


def _print(claim: Claim, outcomes: dict[str, Outcome] | object, verbose: bool, diagrams: bool) -> None:
    assert isinstance(outcomes, dict)
    click.echo(click.style(f"({claim.id}) {claim.title}", bold=True))
    click.echo(wrapped(claim.remark))
    for part in claim.parts:
        outcome = outcomes[part.id]
        expected = load()[1].get(part.id)
        colour = "green" if outcome.text == expected else "red"
        click.echo(f"    {click.style(f'{outcome.text:18}', fg=colour)} {titled(find_era(part.era))}, {part.scenario}")
        click.echo(wrapped(part.says, " " * 23))
        if outcome.text != expected:
            click.echo(wrapped(f"expected: {expected}", " " * 23))
        if verbose:
            click.echo(wrapped("; ".join(outcome.checked_by), " " * 23))
        if diagrams and outcome.run:
            from oomspec.drawing import draw_actions

            click.echo(draw_actions(part.era, part.scenario, outcome.run, part.says))
    click.echo()


def _print_json(claim: Claim, outcomes: object) -> None:
    assert isinstance(outcomes, dict)
    for part in claim.parts:
        outcome = outcomes[part.id]
        json_line(
            {
                "schema": 1,
                "question": claim.id,
                "part": part.id,
                "says": part.says,
                "era": part.era,
                "scenario": part.scenario,
                "outcome": outcome.text,
                "expected": load()[1].get(part.id),
                "run": list(outcome.run),
                "checked_by": list(outcome.checked_by),
                "seconds": round(outcome.seconds, 3),
            }
        )
