"""`oomspec mutate`"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

import click

from oom_smt.mutants import MOST, Campaign, Judged, store_path
from oom_spec.eras import all_eras, find_era
from oom_spec.language.eras import Era
from oom_spec.language.errors import SpecError
from oom_spec.mutating import Mutation
from oom_spec.noticing import Strength
from oom_spec.reporting import Progress
from oom_spec.scenarios import SCENARIOS, find_scenario
from oom_spec.survivors import reason_for
from oomspec.output import Seconds, counted, json_line, progress_bar, titled, wrapped


@click.command()
@click.argument("era")
@click.option("--all-steps", is_flag=True, help="Mutate every step of ERA, not only those that it introduced.")
@click.option("--step", "text", metavar="TEXT", default="", help="Only steps whose id contains TEXT.")
@click.option("--scenario", "names", metavar="NAME", multiple=True, help="Only in these scenarios (repeatable).")
@click.option("--thorough", is_flag=True, help="Try every scenario that shows a mutant, not the smallest eight only.")
@click.option("--elsewhere", metavar="ERA", help="Also try in this era what ERA itself does not notice.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Worker processes.")
@click.option("--timeout", type=Seconds(), help="Stop after so many seconds; a later run goes on from there.")
@click.option("--fresh", is_flag=True, help="Judge every mutant again, whatever an earlier run has kept.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each mutant.")
@click.option("-v", "--verbose", is_flag=True, help="List the killed ones too.")
def mutate(
    era: str,
    all_steps: bool,
    text: str,
    names: tuple[str, ...],
    thorough: bool,
    elsewhere: str | None,
    jobs: int,
    timeout: float | None,
    fresh: bool,
    as_json: bool,
    verbose: bool,
) -> int:
    """Change each step of ERA (`all`: every era) in every small way, and say what notices it.

    Each distinct step is mutated in the era that introduced it: every guard dropped and negated, every
    assignment, release and event dropped, every adjacent pair that carries a lock or a flag exchanged.
    A mutant is killed where the verdict or the depth of a property changes in some scenario, or where
    the outcomes of a call overlap or leave a gap. Survivors need a recorded reason.

    \b
    Exit status: 0 every mutant is killed, changes behaviour, or has a reason; 1 a survivor without a
    reason, or a recorded one that is killed; 3 unfinished.
    \b
    Examples:
      oomspec mutate v4.12
      oomspec mutate v4.14 --step exit_mmap -v
      oomspec mutate all --jobs 4 --timeout 600
    """
    chosen = list(all_eras()) if era.lower() == "all" else [find_era(era)]
    scenarios = [find_scenario(name) for name in names] or list(SCENARIOS)
    late = [scenario.id for scenario in scenarios if names and scenario.starts_after is not None]
    if late:
        raise SpecError(f"scenario {late[0]} starts in mid-protocol: name the one that it is a part of")
    other = find_era(elsewhere).id if elsewhere else ""
    deadline = None if timeout is None else time.monotonic() + timeout
    campaigns: list[Campaign] = []
    interrupted = False
    with progress_bar("mutate") as progress:
        for each in chosen:
            campaign = Campaign(
                each,
                scenarios,
                steps=each.steps if all_steps else None,
                only=_only(text),
                elsewhere=other,
                most=0 if thorough else MOST,
                jobs=jobs,
                deadline=deadline,
                store=store_path(),
                fresh=fresh,
            )
            campaigns.append(campaign)
            if interrupted or (deadline is not None and time.monotonic() >= deadline):
                continue
            try:
                campaign.run(_timed(progress))
            except KeyboardInterrupt:
                interrupted = True
    asked = [campaign for campaign in campaigns if campaign.mutations()]
    if not asked:
        what = f"no step of it that contains {text!r}" if text else "introduces no step: `--all-steps` mutates all"
        raise SpecError(f"{chosen[0].id if len(chosen) == 1 else 'all eras'}: nothing to mutate, {what}")
    for campaign in asked:
        if as_json:
            _print_json(campaign)
        else:
            _print(campaign, verbose)
    statuses = {campaign.status for campaign in asked}
    return 1 if 1 in statuses else 3 if 3 in statuses or interrupted else 0


def _only(text: str) -> Callable[[Mutation], bool]:
    return lambda mutation: any(text in step for step in mutation.steps)


def _timed(progress: Progress) -> Progress:
    """With the time left, from the pace since the first mutant; what an earlier run has kept is no part of it."""
    began: list[tuple[int, float]] = []

    def report(done: int, total: int, text: str) -> None:
        now = time.monotonic()
        if not began or done == began[0][0]:
            began[:] = [(done, now)]
        fresh = done - began[0][0]
        left = f"{(now - began[0][1]) / fresh * (total - done):.0f} s left, " if fresh else ""
        progress(done, total, left + text)

    return report


# -- printing --------------------------------------------------------------------------------


def _print_json(campaign: Campaign) -> None:
    for judged in campaign.judged.values():
        reason = reason_for(judged.mutation.id, judged.era)
        json_line({**judged.as_json(), "reason": None if reason is None or judged.killed else reason.text})
    for mutation in campaign.unfinished:
        json_line({"schema": 1, "era": campaign.era.id, "mutation": mutation.id, "fate": "unknown"})


def _print(campaign: Campaign, verbose: bool) -> None:
    judged = list(campaign.judged.values())
    steps = {step for each in judged for step in each.mutation.steps}
    killed = [each for each in judged if each.killed]
    unnoticed = [each for each in judged if not each.killed and not each.survived]
    click.echo(f"{_heading(campaign.era)}: {counted(len(judged), 'mutant')} of {counted(len(steps), 'step')}")
    _print_killed(killed, verbose)
    click.echo(f"  changes behaviour, no property notices  {len(unnoticed)}")
    for each in unnoticed:
        assert each.notice is not None
        click.echo(f"    {each.mutation.id}")
        click.echo(f"        {each.notice.scenario}: {each.notice.how}{_where(each)}")
        _print_reason(each)
    survivors = campaign.survivors()
    click.echo(f"  survived  {len(survivors)}")
    for each, reason in survivors:
        click.echo(f"    {each.mutation.id}" + ("" if each.taken else "  (no scenario takes the step)"))
        if reason is None:
            click.echo(click.style("        no reason recorded", fg="red", bold=True))
        else:
            _print_reason(each)
    for each in campaign.outdated():
        click.echo(f"  recorded as a survivor, but killed: {each.mutation.id}: {_how(each)}")
    left = campaign.unfinished
    if left:
        click.echo(f"  not finished  {len(left)}: the next run goes on from here")


def _heading(era: Era) -> str:
    return click.style(titled(era), bold=True)


def _print_killed(killed: Sequence[Judged], verbose: bool) -> None:
    click.echo(f"  killed  {len(killed)}")
    for strength in (Strength.VERDICT, Strength.OUTCOMES, Strength.TEST):
        notices = [each.notice for each in killed if each.notice is not None and each.notice.strength is strength]
        if notices:
            tally = Counter(notice.killer for notice in notices)
            by = ", ".join(f"{name} {count}" for name, count in tally.most_common())
            click.echo(f"    {len(notices):4}  {strength.value}:")
            click.echo(wrapped(by, "          "))
    for each in killed if verbose else ():
        click.echo(f"    {each.mutation.id}")
        click.echo(f"        {_how(each)}{_where(each)}")


def _how(judged: Judged) -> str:
    notice = judged.notice
    assert notice is not None
    return f"{notice.killer}{f' in {notice.scenario}' if notice.scenario else ''}: {notice.how}"


def _where(judged: Judged) -> str:
    return f" (in {judged.shown_in}, which has the same step)" if judged.shown_in else ""


def _print_reason(judged: Judged) -> None:
    reason = reason_for(judged.mutation.id, judged.era)
    if reason is not None:
        click.echo(wrapped(reason.text, "        "))
