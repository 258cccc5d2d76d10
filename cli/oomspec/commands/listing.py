"""`oomspec eras`, `oomspec properties`, `oomspec scenarios`"""

from __future__ import annotations

import click

from oom_spec.eras import all_eras
from oom_spec.properties import PROPERTIES, UNSAID, find_properties
from oom_spec.scenarios import SCENARIOS
from oomspec.output import json_line, wrapped


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def eras(as_json: bool) -> None:
    """List the eras and proposals, with releases and what opened each."""
    for era in all_eras():
        if as_json:
            json_line(
                {
                    "schema": 1,
                    "era": era.id,
                    "aliases": list(era.aliases),
                    "title": era.title,
                    "opened_by": era.opened_by,
                    "standing": era.standing.value,
                    "parent": None if era.parent is None else era.parent.id,
                    "steps": len(era.steps),
                }
            )
            continue
        names = (
            f"  ({', '.join(a for a in era.aliases if a.startswith('v') or not a[0].isdigit() or len(a) > 8)})"
            if era.aliases
            else ""
        )
        click.echo(click.style(era.id, bold=True) + names)
        click.echo(wrapped(era.title))
        click.echo(wrapped(f"{era.standing.value}; {era.opened_by}"))


@click.command()
@click.argument("names", metavar="[PROPERTY]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def properties(names: tuple[str, ...], as_json: bool) -> None:
    """List the properties; with a PROPERTY, show it whole.

    \b
    Examples:
      oomspec properties
      oomspec properties N1s
    """
    unsaid = [name.upper() for name in names if name.upper() in UNSAID] if names else list(UNSAID)
    said = [name for name in names if name.upper() not in UNSAID]
    chosen = [p for name in said for p in find_properties(name)] if names else list(PROPERTIES)
    for subject in chosen:
        if as_json:
            json_line(
                {
                    "schema": 1,
                    "property": subject.id,
                    "name": subject.name,
                    "statement": subject.statement,
                    "source": subject.source,
                    "violation": subject.violation,
                    "not_covered": subject.not_covered,
                    "fairness": list(subject.fairness),
                    "role": subject.role.name.lower(),
                    "event": None if subject.event is None else subject.event.name,
                }
            )
            continue
        click.echo(click.style(f"{subject.id:12}", bold=True) + subject.name)
        click.echo(wrapped(subject.statement))
        if names:
            judged = (
                f"the whole graph: {subject.graph.value}"
                if subject.graph
                else f"steps that announce {subject.event.name}"
                if subject.event
                else "every state"
            )
            for title, text in (
                ("who said it", subject.source),
                ("judged on", judged),
                ("a violation", subject.violation),
                ("not covered", subject.not_covered),
            ):
                click.echo(wrapped(f"{title}: {text}"))
            for text in subject.fairness:
                click.echo(wrapped(f"fairness: {text}"))
    for name in unsaid:
        if as_json:
            json_line({"schema": 1, "property": name, "unsaid": UNSAID[name]})
            continue
        click.echo(click.style(f"{name:12}", bold=True) + "cannot be stated")
        click.echo(wrapped(UNSAID[name]))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def scenarios(as_json: bool) -> None:
    """List the scenarios: the small worlds in which properties are checked."""
    for scenario in SCENARIOS:
        if as_json:
            json_line(
                {
                    "schema": 1,
                    "scenario": scenario.id,
                    "why": scenario.why,
                    "objects": [made.name for made in scenario.objects],
                    "limits": list(scenario.limits),
                    "starts_after": scenario.starts_after_text,
                    "ends": scenario.ends_text,
                    "slow": scenario.slow,
                }
            )
            continue
        click.echo(click.style(f"{scenario.id:18}", bold=True) + ", ".join(made.name for made in scenario.objects))
        click.echo(wrapped(scenario.why))
        if scenario.starts_after_text:
            click.echo(wrapped(f"starts after: {scenario.starts_after_text}"))
        if scenario.ends_text:
            click.echo(wrapped(f"ends when: {scenario.ends_text}"))
