"""`oomspec explain`"""

from __future__ import annotations

import json

import click

from oom_spec.applicability import irrelevant, why_not
from oom_spec.diagrams import draw, svg
from oom_spec.eras import find_era
from oom_spec.instances import Instance
from oom_spec.language import Era, Property, Scenario, SpecError
from oom_spec.properties import find_properties
from oom_spec.racing import Race, look
from oom_spec.replay_tests import to_pytest
from oom_spec.scenarios import SCENARIOS, find_scenario
from oom_spec.traces import Run, to_itf, to_json
from oomspec.advising import say_advice
from oomspec.output import json_line, titled

FORMS = ["text", "json", "itf", "svg", "pytest"]


@click.command()
@click.argument("era")
@click.argument("name_of_property", metavar="PROPERTY")
@click.option("--as", "form", type=click.Choice(FORMS), default="text", show_default=True, help="What to print.")
@click.option("--scenario", "name", metavar="NAME", help="Only this scenario.  [default: where the race is shortest]")
@click.option("--excuse", is_flag=True, help="The shortest run that only an excuse (N3) covers.")
@click.option("--whole", is_flag=True, help="Draw also what leads to a scenario that starts in mid-protocol.")
@click.option("--json", "as_json", is_flag=True, help="As `--as json`, on one line.")
@click.option("--race-only", is_flag=True, help="Leave out the steps that no other thread can notice.")
def explain(
    era: str,
    name_of_property: str,
    form: str,
    name: str | None,
    excuse: bool,
    whole: bool,
    as_json: bool,
    race_only: bool,
) -> int:
    """Draw the shortest race that breaks PROPERTY in ERA, in the form of kernel commit messages.

    \b
    Exit status: 0 drawn, or it holds (which is said); 3 if the search was cut short.
    \b
    Examples:
      oomspec explain v4.12 N1s
      oomspec explain v4.14 S1 --scenario foreign-user --as svg > race.svg
      oomspec explain hocko-2017-07-24 N2r --excuse
    """
    chosen = find_era(era)
    say_advice(chosen)
    subjects = find_properties(name_of_property)
    if len(subjects) != 1:
        raise SpecError(f"{name_of_property!r} means {', '.join(p.id for p in subjects)}: name one of them")
    subject = subjects[0]
    reason = why_not(chosen, subject)
    if reason:
        _say(chosen, subject, "not-applicable", f"does not apply to {titled(chosen)}: {reason}", form, as_json)
        return 0
    scenarios = [find_scenario(name)] if name else [s for s in SCENARIOS if not s.slow and not irrelevant(chosen, s)]
    found, truncated = _shortest(chosen, subject, scenarios, excuse)
    if found is None:
        if truncated:
            _say(chosen, subject, "unknown", f"in {titled(chosen)}: unknown, the search was cut short", form, as_json)
            return 3
        what = "needs no excuse" if excuse else "holds"
        where = f"in {scenarios[0].id}" if len(scenarios) == 1 else f"in all {len(scenarios)} scenarios"
        text = f"{what} in {titled(chosen)}: every reachable state was visited {where}"
        _say(chosen, subject, "proved-instance", text, form, as_json)
        return 0
    run = found.run
    if as_json:
        json_line(json.loads(to_json(run)))
        return 0
    click.echo(_rendered(run, found.exploration.instance, form, whole=whole, race_only=race_only), nl=False)
    return 0


def _say(era: Era, subject: Property, verdict: str, text: str, form: str, as_json: bool) -> None:
    """Say that there is nothing to draw; on standard error where standard output is to be a file of another form."""
    if as_json:
        json_line({"schema": 1, "era": era.id, "property": subject.id, "verdict": verdict, "reason": text})
    else:
        click.echo(f"{subject.id} {text}", err=form != "text")


def _shortest(era: Era, subject: Property, scenarios: list[Scenario], excuse: bool) -> tuple[Race | None, bool]:
    best: Race | None = None
    truncated = False
    for scenario in scenarios:
        limit = None if best is None else best.hit.depth
        looked = look(Instance(era, scenario), subject, excuse=excuse, depth_limit=limit)
        if looked.race is not None and (best is None or looked.race.hit.depth < best.hit.depth):
            best = looked.race
        truncated = truncated or looked.cut_short
    return best, truncated


def _rendered(run: Run, instance: Instance, form: str, *, whole: bool, race_only: bool) -> str:
    if form == "json":
        return to_json(run)
    if form == "itf":
        return to_itf(run, instance)
    if form == "svg":
        return svg(run, whole=whole, race_only=race_only)
    if form == "pytest":
        return to_pytest(run)
    return draw(run, whole=whole, race_only=race_only)
