"""`oomspec campaign`"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oomspec.output import json_line, progress_bar

if TYPE_CHECKING:
    from oom_conformance.reports import Outcome
    from oom_spec.language import Era, Scenario

DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)?")
UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
DEFAULT_SECONDS = 60.0
SHOWN = 10
"""Failures that are written out; the reports have all."""
HINT = "to keep it as a test: --emit-test FILE"


def _duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """A time such as 90, 90s, 10m or 2h, in seconds."""
    if value is None:
        return None
    found = DURATION.fullmatch(value)
    if found is None or not float(found[1]):
        raise click.BadParameter(f"{value!r} is no time: write 90s, 10m or 2h", ctx, param)
    return float(found[1]) * UNITS[found[2] or ""]


PATH = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--era", "eras", metavar="ERA", multiple=True, help="Only these eras (repeatable).  [default: all]")
@click.option(
    "--scenario",
    "scenarios",
    metavar="NAME",
    multiple=True,
    help="Only these scenarios (repeatable).  [default: all that are not slow]",
)
@click.option("--implementation", metavar="NAME", help="package.module:Class, '!command' or an entry point.")
@click.option("--time", "seconds", callback=_duration, metavar="TIME", help="For everything: 90s, 10m.  [default: 1m]")
@click.option("--examples", type=click.IntRange(min=1), help="Instead: runs for each era in each scenario.")
@click.option("--jobs", type=click.IntRange(min=1), help="Worker processes.  [default: all cores]")
@click.option("--executor", metavar="ADDRESS", help="A dask scheduler, such as tcp://host:8786.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Another one, other schedules.")
@click.option("--limit", callback=_duration, default="60s", metavar="TIME", help="After it, one hangs.  [default: 60s]")
@click.option(
    "--floor",
    type=click.FloatRange(0, 100),
    default=100.0,
    show_default=True,
    help="Percentage of the reachable steps that each era must reach.",
)
@click.option(
    "--pair-floor",
    type=click.FloatRange(0, 100),
    default=0.0,
    show_default=True,
    help="The same for pairs of steps of different actors.",
)
@click.option("--store", "store_path", type=PATH, metavar="FILE", help="Where results are kept.  [default: the cache]")
@click.option("--fresh", is_flag=True, help="Forget what is recorded of this campaign.")
@click.option("--html", type=PATH, metavar="FILE", help="Also write a page.")
@click.option("--junit", type=PATH, metavar="FILE", help="Also write a JUnit report.")
@click.option("--emit-test", type=PATH, metavar="FILE", help="Write the first failing run as a pytest file of its own.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: eras, findings, a summary.")
def campaign(
    eras: tuple[str, ...],
    scenarios: tuple[str, ...],
    implementation: str | None,
    seconds: float | None,
    examples: int | None,
    jobs: int | None,
    executor: str | None,
    seed: int,
    limit: float,
    floor: float,
    pair_floor: float,
    store_path: Path | None,
    fresh: bool,
    html: Path | None,
    junit: Path | None,
    emit_test: Path | None,
    as_json: bool,
) -> int:
    """Try random schedules against an implementation, in every era and scenario.

    Each finished part is recorded at once. Broken off, by Ctrl-C or worse, the same command goes on from there.

    \b
    Exit status: 0 clean, 1 a fault or a race that should not be, or coverage under the floor,
    3 something is not known: a part was lost, out of time or broken off.
    \b
    Examples:
      oomspec campaign --time 10m
      oomspec campaign --era v4.14 --implementation my.module:Machine --examples 2000
      oomspec campaign --time 8h --executor tcp://host:8786 --html campaign.html
      oomspec campaign --implementation my.module:Machine --emit-test test_found.py
    """
    if seconds is not None and examples is not None:
        raise click.UsageError("--time and --examples exclude each other: take one")
    if executor is not None and jobs is not None:
        raise click.UsageError("--jobs is about processes here, --executor about a cluster: take one")
    if emit_test is not None:
        _check_can_be_written(emit_test)
    from oom_conformance.campaigns import Campaign
    from oom_conformance.reports import summarise
    from oom_conformance.store import default_path, open_store
    from oomspec.advising import say_advice

    chosen = _eras(eras)
    say_advice(*chosen)
    worlds = _scenarios(scenarios)
    for report in (html, junit):
        if report is not None:
            report.touch()  # refused now rather than after hours of work
    if store_path is None:
        store_path = default_path()
        store_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open_store(store_path) as store:
        tried = Campaign(
            chosen,
            worlds,
            store,
            implementation or "",
            seed=seed,
            examples=examples,
            seconds=None if examples is not None else seconds or DEFAULT_SECONDS,
            jobs=jobs or os.cpu_count() or 1,
            executor=executor,
            limit=limit,
        )
        if fresh:
            store.forget(tried.id)
        with progress_bar("campaign", says_time_left=examples is None) as progress:
            tried.run(progress)
        outcome = summarise(tried, floor=floor, pair_floor=pair_floor)
    _write(outcome, html, junit)
    if emit_test is not None:
        _emit(outcome, emit_test)
    if as_json:
        from oom_conformance.reports import as_json as objects

        for each in objects(outcome):
            json_line(each)
    else:
        _print(outcome, hint=emit_test is None)
    if outcome.interrupted:
        click.echo(
            f"oomspec: interrupted: {outcome.done + outcome.already} shards are recorded in {outcome.store}; "
            "the same command goes on from there",
            err=True,
        )
    return outcome.status


def _eras(names: tuple[str, ...]) -> list[Era]:
    from oom_spec.eras import all_eras, find_era

    chosen = list(dict.fromkeys(find_era(name) for name in names)) if names else list(all_eras())
    ids = [era.id for era in chosen]
    for era in chosen:
        if ids.count(era.id) > 1:
            raise click.UsageError(f"two of the eras have the id {era.id!r}: give one of the files another id")
    return chosen


def _scenarios(names: tuple[str, ...]) -> list[Scenario]:
    from oom_spec.scenarios import SCENARIOS, find_scenario

    if names:
        return list(dict.fromkeys(find_scenario(name) for name in names))
    return [scenario for scenario in SCENARIOS if not scenario.slow]


def _write(outcome: Outcome, html: Path | None, junit: Path | None) -> None:
    from oom_conformance.reports import as_html, as_junit

    if html is not None:
        html.write_text(as_html(outcome), "utf-8")
    if junit is not None:
        junit.write_text(as_junit(outcome), "utf-8")


def _check_can_be_written(path: Path) -> None:
    """Refused now rather than after hours of work; the file is not made, as perhaps nothing fails."""
    if not path.absolute().parent.is_dir():
        raise click.UsageError(f"--emit-test {path}: there is no such folder")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise click.UsageError(f"--emit-test {path}: it cannot be written")


def _emit(outcome: Outcome, path: Path) -> None:
    """Write the first failing run as a test, and say so on standard error."""
    from oom_conformance.reports import emitted

    text = emitted(outcome)
    if text is not None:
        path.write_text(text, "utf-8")
        said = f"the first failing run is written as a test to {path}"
    elif outcome.troubles:
        said = f"no schedule is known of what failed: no test is written to {path}"
    else:
        said = f"nothing failed: no test is written to {path}"
    click.echo(f"oomspec: {said}", err=True)


def _say(hint: bool) -> bool:
    """Say once, below what would be written, how it is kept; whether it is still to be said."""
    if hint:
        click.echo(HINT)
    return False


def _print(outcome: Outcome, *, hint: bool) -> None:
    """The report; ``hint``: say how a failing run is kept as a test."""
    from oom_conformance.reports import (
        by_race,
        drawn,
        lines_of,
        lines_of_trouble,
        place_of,
        remarks,
        summary_line,
        table,
        title_of,
    )

    for line in table(outcome):
        click.echo(line)
    groups = by_race(outcome.failing)
    for group in groups[:SHOWN]:
        click.echo(f"\n{group[0].kind}: {group[0].race}")
        for line in (*lines_of(group[0]), *drawn(outcome, group[0]), "", place_of(group)):
            click.echo(line)
        hint = _say(hint)
    if len(groups) > SHOWN:
        click.echo(f"\nand {len(groups) - SHOWN} more: --html FILE and --json have all")
    shown = [each for each in outcome.troubles if each.schedule][:SHOWN]
    for trouble in shown:
        click.echo(f"\n{title_of(trouble)}")
        for line in (*lines_of_trouble(trouble), *drawn(outcome, trouble), *([""] if hint else [])):
            click.echo(line)
        hint = _say(hint)
    click.echo()
    for line in remarks(outcome, shown):
        click.echo(line)
    click.echo(summary_line(outcome))
