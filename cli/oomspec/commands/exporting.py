"""`oomspec export`"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from oom_spec.aiger import FALSE, as_binary, as_text
from oom_spec.diagrams import draw
from oom_spec.eras import find_era
from oom_spec.hardware import circuit_of, unfit
from oom_spec.instances import Instance
from oom_spec.language import Property, SpecError
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario
from oom_spec.traces import to_json
from oom_spec.witnesses import run_in
from oomspec.advising import say_advice
from oomspec.output import counted, json_line, titled, warn

FORMS = {".aag": as_text, ".aig": as_binary}
"""How a file is written, by the end of its name."""


@click.group()
def export() -> None:
    """Write an era in a scenario as input for another tool, and read back what it found.

    \b
    Examples:
      oomspec export aiger v4.12 marked N2r -o n2r.aig
      oomspec export witness v4.12 marked N2r n2r.cex
    """


@export.command()
@click.argument("era")
@click.argument("scenario")
@click.argument("properties", metavar="PROPERTY|all...", nargs=-1, required=True)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="The file to write: .aag is ASCII, .aig is binary.  [default: ASCII, on standard output]",
)
@click.option("--json", "as_json", is_flag=True, help="Say what was written as one JSON object; needs --output.")
def aiger(era: str, scenario: str, properties: tuple[str, ...], output: Path | None, as_json: bool) -> int:
    """Write ERA in SCENARIO as a circuit in AIGER 1.9, with a bad state per PROPERTY, for a hardware model checker.

    The latches are the state, the inputs choose the path to take; comments in the file say what each means.
    A property that does not apply, or that speaks of the whole graph (L1, ...), has no bad state.

    \b
    Examples:
      oomspec export aiger v4.15 single N2x -o n2x.aig
      berkeley-abc -c "read_aiger n2x.aig; pdr"            Property proved
      oomspec export aiger v4.12 marked N2r -o n2r.aig
      berkeley-abc -c "read_aiger n2r.aig; bmc3"           the frame of a shortest violation
      berkeley-abc -c "read_aiger n2r.aig; bmc3; write_cex -a n2r.cex"
    """
    if output is not None and output.suffix not in FORMS:
        raise SpecError(f"{output}: which form? End the name in .aag (ASCII) or .aig (binary, which ABC reads)")
    if as_json and output is None:
        raise SpecError("--json says what was written to a file: name one with --output FILE")
    chosen = find_era(era)
    say_advice(chosen)
    instance = Instance(chosen, find_scenario(scenario))
    subjects = _exported(instance, properties)
    circuit = circuit_of(instance, subjects)
    never = [name for name, literal in circuit.bad if literal == FALSE]
    if never:
        warn(f"constantly false in {scenario}, so nothing is left to prove: {', '.join(never)}")
    if output is None:
        click.echo(as_text(circuit), nl=False)
        return 0
    _write(output, FORMS[output.suffix](circuit))
    if as_json:
        json_line(
            {
                "schema": 1,
                "era": chosen.id,
                "scenario": scenario,
                "file": str(output),
                "bad": [name for name, _ in circuit.bad],
                "inputs": len(circuit.inputs),
                "latches": len(circuit.latches),
                "gates": len(circuit.gates),
            }
        )
        return 0
    size = f"{len(circuit.inputs)} inputs, {len(circuit.latches)} latches, {counted(len(circuit.gates), 'gate')}"
    click.echo(f"wrote {output}: {titled(chosen)} in {scenario}, {size}")
    for number, (name, _) in enumerate(circuit.bad):
        click.echo(f"    bad state {number}: {name}")
    return 0


@export.command()
@click.argument("era")
@click.argument("scenario")
@click.argument("name_of_property", metavar="PROPERTY")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True))
@click.option("--whole", is_flag=True, help="Draw also what leads to a scenario that starts in mid-protocol.")
@click.option("--json", "as_json", is_flag=True, help="The run as one JSON object.")
def witness(era: str, scenario: str, name_of_property: str, file: Path, whole: bool, as_json: bool) -> int:
    """Draw the witness FILE of a model checker, found in the circuit of ERA in SCENARIO, as a race.

    Every step is taken by the plain steps, and PROPERTY must fail at the end. FILE is `-` for standard input.

    \b
    Example:
      oomspec export aiger v4.12 marked N2r -o n2r.aig
      berkeley-abc -c "read_aiger n2r.aig; pdr; write_cex -a n2r.cex"
      oomspec export witness v4.12 marked N2r n2r.cex
    """
    chosen = find_era(era)
    say_advice(chosen)
    subjects = find_properties(name_of_property)
    if len(subjects) != 1:
        raise SpecError(f"{name_of_property!r} means {', '.join(p.id for p in subjects)}: name one of them")
    try:
        text = sys.stdin.buffer.read().decode("ascii") if str(file) == "-" else file.read_text("ascii")
    except UnicodeDecodeError:
        raise SpecError(f"{file}: this is no witness but a binary file: expected what `write_cex -a` writes") from None
    run = run_in(Instance(chosen, find_scenario(scenario)), subjects[0], text)
    if as_json:
        json_line(json.loads(to_json(run)))
    else:
        click.echo(draw(run, whole=whole), nl=False)
    return 0


def _exported(instance: Instance, names: tuple[str, ...]) -> list[Property]:
    """What ``names`` mean; members of a family that are unfit are left out aloud, a single property is an error."""
    found: dict[str, Property] = {}
    for name in names:
        subjects = find_properties(name)
        fit = [subject for subject in subjects if not unfit(instance, subject)]
        if not fit:
            raise SpecError("; ".join(unfit(instance, subject) for subject in subjects))
        missing = [subject.id for subject in subjects if subject not in fit]
        if missing:
            warn(f"left out, for they have no bad state here: {', '.join(missing)}")
        found.update((subject.id, subject) for subject in fit)
    return list(found.values())


def _write(file: Path, content: bytes) -> None:
    """Write a file; one that cannot be written whole is not left behind."""
    try:
        with file.open("wb") as opened:
            try:
                opened.write(content)
                opened.flush()
            except OSError:
                if file.is_file():
                    file.unlink()
                raise
    except OSError as error:
        raise SpecError(f"{file}: {error.strerror or error}") from None
