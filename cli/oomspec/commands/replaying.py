"""`oomspec replay`"""

from __future__ import annotations

import sys
from pathlib import Path

import attrs
import click

from oom_spec.diagrams import draw
from oom_spec.eras import find_era
from oom_spec.instances import Instance
from oom_spec.language import SpecError
from oom_spec.matching import Match, match
from oom_spec.properties import PROPERTIES, find_properties
from oom_spec.reading import read_diagram
from oom_spec.scenarios import find_scenario
from oomspec.advising import say_advice
from oomspec.output import counted, json_line, titled, wrapped
from oomspec.recorded import as_diagram

DEFAULT_SCENARIO = "single"


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True))
@click.option("--era", required=True, help="The era that is asked.")
@click.option(
    "--scenario",
    "name",
    metavar="NAME",
    help="The world to replay in.  [default: the one the diagram names, else single]",
)
@click.option(
    "--without", "dropped", metavar="CALL", multiple=True, help="Read the diagram without these calls (repeatable)."
)
@click.option("--diagram", is_flag=True, help="Draw the run that was found, filled-in steps included.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def replay(file: Path, era: str, name: str | None, dropped: tuple[str, ...], diagram: bool, as_json: bool) -> int:
    """Read a race diagram (a mail, a commit message, our own output, JSON or ITF) and ask whether ERA allows it.

    A line that names a call means that it is entered. Steps that the diagram does not name are filled in.

    \b
    Exit status: 0 the era allows the run, 1 it does not, 2 the file cannot be read.
    \b
    Examples:
      oomspec replay race.txt --era v4.12
      oomspec replay mail.txt --era v4.14 --without mmget_not_zero
      oomspec explain v4.12 N2r | oomspec replay - --era v4.14
    """
    chosen = find_era(era)
    say_advice(chosen)
    text = _text(file)
    drawn = as_diagram(text)
    read = read_diagram(drawn)
    read = attrs.evolve(read, calls=tuple(call for call in read.calls if call.name not in dropped))
    scenario = find_scenario(name or read.scenario or DEFAULT_SCENARIO)
    found = match(Instance(chosen, scenario), read, PROPERTIES)
    if as_json:
        json_line(_as_json(found, chosen.id, scenario.id))
    else:
        if drawn != text:
            click.echo(drawn)  # its lines are those that the findings name
        _print(found, titled(chosen), scenario.id)
        if diagram and found.allowed:
            click.echo("\n" + draw(found.run), nl=False)
    return 0 if found.allowed else 1


def _text(file: Path) -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8") if str(file) == "-" else file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(
            f"{file}: not a text file in UTF-8 (byte {error.start}): expected a race diagram or a list of calls"
        ) from None


def _print(found: Match, era: str, scenario: str) -> None:
    if not found.allowed:
        click.echo(f"{era} does not allow this run in {scenario}: {found.reason}")
        for guard in found.guards:
            click.echo(f"    refused by {guard.name}: {guard.value}")
        return
    named = len(found.steps) - found.filled
    size = f"{counted(len(found.steps), 'step')}, {named} named, {found.filled} filled in"
    click.echo(f"{era} allows this run in {scenario}: {size}")
    for each in found.breaks:
        where = f"line {each.line}" if each.line is not None else "the start"
        click.echo(f"    {each.property.id} breaks at {where}")
        click.echo(wrapped(each.property.statement, "        "))
    if not found.breaks:
        click.echo(
            "    nothing breaks in it"
            + (
                ""
                if found.harmless
                else "; but another filling of the same lines breaks " + ", ".join(p.id for p in found.may_break)
            )
        )
    for subject in find_properties("N1s"):
        if any(each.property is subject for each in found.breaks):
            continue
        extension = found.extension(subject)
        if extension is None:
            click.echo(f"    no continuation breaks {subject.id}: all were searched")
        else:
            kills = counted(extension.kills, "kill")
            more = counted(extension.more, "more step")
            click.echo(f"    {more}, {kills} among them, can extend it to a violation of {subject.id}")


def _as_json(found: Match, era: str, scenario: str) -> dict[str, object]:
    extension = found.extension(find_properties("N1s")[0]) if found.allowed else None
    return {
        "schema": 1,
        "era": era,
        "scenario": scenario,
        "allowed": found.allowed,
        "stopped_at": None if found.stopped_at is None else found.stopped_at.line,
        "reason": found.reason,
        "guards": [guard.name for guard in found.guards],
        "steps": [{"action": each.action.id, "lines": list(each.lines)} for each in found.steps],
        "breaks": [{"property": each.property.id, "step": each.step, "line": each.line} for each in found.breaks],
        "harmless": found.harmless,
        "extension": None
        if extension is None
        else {"property": extension.broken.id, "more": extension.more, "kills": extension.kills},
    }
