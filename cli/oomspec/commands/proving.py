"""`oomspec proof`"""

from __future__ import annotations

import click

from oom_smt.proving import Invariant, Proof, find_invariant, prove
from oom_spec.eras import find_era
from oom_spec.language.errors import SpecError
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario
from oom_spec.verdicts import Word
from oomspec.output import coloured, json_line, progress_bar, status_of, wrapped

THEOREM = (
    "In every run of every length, with any number of processes, threads, allocating contexts and pages, and any retry "
    "limit, that starts with objects as some scenario starts them:"
)


EXCUSED = " Or one of the excuses of N3 holds."


@click.command()
@click.argument("era")
@click.argument("properties", metavar="PROPERTY|all...", nargs=-1, required=True)
@click.option(
    "--scenario", "names", metavar="NAME", multiple=True, help="Guess lemmas in these worlds only (repeatable)."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each property.")
@click.option("-v", "--verbose", is_flag=True, help="All lemmas that hold, and candidates that do not.")
def proof(era: str, properties: tuple[str, ...], names: tuple[str, ...], as_json: bool, verbose: bool) -> int:
    """Prove each PROPERTY in ERA for runs of every length in worlds of any size, and say what the proof rests on.

    Lemmas are guessed from the reachable states of small worlds, and kept if they are inductive in worlds
    of any size. What cannot be proved with them is `unknown`, not violated: the step that is named may only
    break it from a state that no run reaches.

    \b
    Exit status: 0 proved, 3 unknown.
    \b
    Examples:
      oomspec proof v4.15 S9
      oomspec proof v4.15 S5r S10 --scenario single --scenario threads
    """
    chosen = find_era(era)
    subjects = tuple(dict.fromkeys(p for name in properties for p in find_properties(name)))
    graphs = [subject.id for subject in subjects if subject.graph is not None]
    if graphs and len(graphs) == len(subjects):
        raise SpecError(f"{graphs[0]} is a question about the whole graph: `oomspec check` answers it for a scenario")
    scenarios = [find_scenario(name) for name in names] or None
    with progress_bar(f"proof {chosen.id}") as progress:
        invariant = find_invariant(chosen, scenarios, progress)
        proofs = [prove(invariant, subject, support=True) for subject in subjects if subject.graph is None]
    for each in proofs:
        if as_json:
            json_line(_as_json(invariant, each))
        else:
            _print(invariant, each)
    if verbose and not as_json:
        _print_lemmas(invariant)
    return status_of([each.word for each in proofs])


def _print(invariant: Invariant, found: Proof) -> None:
    subject = found.subject
    click.echo(f"{invariant.era.id} {subject.id:12}" + coloured(found.word, found.word.value) + _remark(found))
    if found.word is Word.PROVED:
        click.echo(wrapped(THEOREM))
        click.echo(wrapped(subject.statement + EXCUSED * found.only_by_excuse, "      "))
        _print_support(found)
    for each in found.breaks:
        click.echo(f"    not shown: {each}")
    if found.breaks:
        click.echo(wrapped(f"{len(invariant.lemmas)} lemmas hold; they allow a state from which this happens."))


def _remark(found: Proof) -> str:
    if found.only_by_excuse:
        return "  only by excuse"
    return f"  ({found.reason})" if found.reason else ""


def _print_support(found: Proof) -> None:
    numbers = {name: number for number, name in enumerate(found.support)}
    for name, needed in found.support.items():
        rests = ", ".join(str(numbers[each]) for each in needed) or "the steps alone"
        if name == found.subject.id:
            click.echo(f"    {found.obligations} obligations, in {found.seconds:.1f} s, which rest on: {rests}")
        else:
            click.echo(wrapped(f"{numbers[name]}. {name} [{rests}]", "      "))


def _print_lemmas(invariant: Invariant) -> None:
    click.echo(f"{len(invariant.lemmas)} lemmas hold ({invariant.seconds:.0f} s):")
    for name in invariant.lemmas:
        click.echo(wrapped(f"{name} ({invariant.reasons[name]})", "    "))
    click.echo(f"{len(invariant.refuted)} candidates do not:")
    for name, broken in invariant.refuted.items():
        click.echo(wrapped(f"{name} ({broken})", "    "))


def _as_json(invariant: Invariant, found: Proof) -> dict[str, object]:
    return {
        "schema": 1,
        "era": invariant.era.id,
        "aliases": list(invariant.era.aliases),
        "property": found.subject.id,
        "verdict": found.word.value,
        "method": "induction",
        "lemmas": len(invariant.lemmas),
        "only_by_excuse": found.only_by_excuse,
        "obligations": found.obligations,
        "rests_on": found.support,
        "not_shown": [str(each) for each in found.breaks],
        "reason": found.reason,
        "seconds": round(invariant.seconds + found.seconds, 3),
    }
