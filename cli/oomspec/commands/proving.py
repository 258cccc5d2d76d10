"""`oomspec proof`"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import attrs
import click

from oom_smt.learning import why
from oom_smt.proving import Invariant, Proof, find_invariant, prove
from oom_smt.searching import Search, merged
from oom_smt.showing import table, text
from oom_smt.suggesting import formula_of_literal
from oom_spec.eras import all_eras, find_era
from oom_spec.language.eras import Era
from oom_spec.language.errors import SpecError
from oom_spec.language.steps import Step
from oom_spec.properties import find_properties
from oom_spec.reporting import Progress
from oom_spec.unbounded.crowds import explored_worlds
from oom_spec.unbounded.reached import explorer_reaches
from oom_spec.unbounded.recorded import recorded_for, write
from oom_spec.vacuity import Vacuity, vacuity
from oom_spec.verdicts import Word
from oomspec.output import Seconds, coloured, counted, json_line, progress_bar, status_of, wrapped

THEOREM = (
    "In every run of every length, with any number of processes, threads, allocating contexts and pages, and any retry "
    "limit, that starts with objects as some scenario starts them, no thread allocating in two contexts at once:"
)
EXCUSED = " Or one of the excuses of N3 holds."
SUGGEST_SECONDS = 300.0


@attrs.define(eq=False)
class Told:
    """One property, with what is said beside its verdict."""

    proof: Proof
    vacuity: Vacuity | None = None
    """Of what is proved: whether it says anything."""
    obstacle: str = ""
    """The first step that is in the way, as a table."""
    obstacle_data: dict[str, object] | None = None
    suggested: str = ""
    """Lemmas that prove it, as they are recorded; or why none were found."""

    @property
    def word(self) -> Word:
        """The verdict: what is proved and says nothing is vacuous."""
        doubted = None if self.vacuity is None else self.vacuity.word
        return doubted if self.proof.word is Word.PROVED and doubted is Word.VACUOUS else self.proof.word


@click.command()
@click.argument("era")
@click.argument("properties", metavar="PROPERTY|all...", nargs=-1, required=True)
@click.option(
    "--suggest", is_flag=True, help="Search for lemmas that prove what the recorded ones do not, and print them."
)
@click.option(
    "--seconds",
    type=Seconds(),
    default=SUGGEST_SECONDS,
    show_default=True,
    help="Processor time of the search for each property.",
)
@click.option("--no-vacuity", "doubt", flag_value=False, default=True, help="Leave out whether a proof says anything.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each property.")
@click.option("-v", "--verbose", is_flag=True, help="What each obligation needs; all lemmas of the era.")
def proof(
    era: str, properties: tuple[str, ...], suggest: bool, seconds: float, doubt: bool, as_json: bool, verbose: bool
) -> int:
    """Prove each PROPERTY in ERA for runs of every length in worlds of any size, and say what the proof rests on.

    Recorded lemmas are shown anew to be inductive, then used. What cannot be proved with them is `unknown`, not
    violated: a step is shown that would break it from a state that lemmas allow, and whether a small world reaches that
    state.

    \b
    Exit status: 0 proved, 1 vacuous, 3 unknown.
    \b
    Examples:
      oomspec proof v4.15 S1
      oomspec proof my_patch.py S1 --suggest --seconds 600
    """
    chosen = find_era(era)
    subjects = tuple(dict.fromkeys(p for name in properties for p in find_properties(name)))
    graphs = [subject.id for subject in subjects if subject.graph is not None]
    if graphs and len(graphs) == len(subjects):
        raise SpecError(f"{graphs[0]} is a question about the whole graph: `oomspec check` answers it for a scenario")
    with progress_bar(f"proof {chosen.id}") as progress:
        invariant = find_invariant(chosen, progress)
        told = [
            Told(prove(invariant, subject, support=True, progress=progress))
            for subject in subjects
            if subject.graph is None
        ]
        unknown = [each for each in told if each.proof.word is Word.UNKNOWN]
        for each in unknown:
            _look_at_obstacle(invariant, each, progress)
        for each in told:
            if doubt and each.proof.word is Word.PROVED:
                each.vacuity = _doubt(chosen, each.proof, progress)
        if suggest and unknown:
            _suggest(invariant, unknown, seconds, progress)
    for each in told:
        if as_json:
            json_line(_as_json(invariant, each))
        else:
            _print(invariant, each, verbose)
    if verbose and not as_json:
        _print_lemmas(invariant)
    return status_of([each.word for each in told])


def _doubt(era: Era, proof: Proof, progress: Progress) -> Vacuity:
    """Whether a proof says anything; the guards that it cannot do without must be able to be false."""
    used: dict[Step, list[Enum]] = {}
    for each in proof.guards:
        if each.necessary:
            used.setdefault(each.step, []).append(each.guard)
    subject = proof.subject if proof.only_by_excuse else proof.subject.strict()
    return vacuity(era, subject, used, progress)


# -- what is in the way ----------------------------------------------------------------------


def _look_at_obstacle(invariant: Invariant, told: Told, progress: Progress) -> None:
    """The first step that would break it, the states around it, and whether a small world reaches the first."""
    broken = next((each for each in told.proof.breaks if each.found and each.obligation and each.step), None)
    if broken is None or broken.step is None or broken.obligation is None or broken.found is None:
        return
    shown = table(
        broken.step, broken.obligation.path, broken.obligation.goal, broken.found, told.proof.subject.statement
    )
    literals = [formula_of_literal(each) for each in why(broken.found, broken.obligation)]
    reached = explorer_reaches(literals, explored_worlds(invariant.era, progress))
    if reached is None:
        remark = "No small world reaches a state like the one before the step: a lemma that excludes it is missing."
    else:
        remark = f"The world {reached.scenario} reaches a state like the one before the step"
        remark += "." if reached.run is None else f", after {counted(len(reached.run), 'step')}."
    told.obstacle = f"{text(shown)}\n{remark}"
    told.obstacle_data = {**shown.data, "reached": None if reached is None else reached.data}


def _suggest(invariant: Invariant, unknown: Sequence[Told], seconds: float, progress: Progress) -> None:
    """Learn lemmas for what is unknown."""
    era = invariant.era
    search = Search(era, recorded_for(era, all_eras()), progress)
    for each in unknown:
        found = search.prove(each.proof.subject, seconds)
        if found.stuck:
            each.suggested = f"no lemmas were found that prove it: {found.stuck}"
        else:
            each.suggested = write(merged((), era, [found]))
            each.suggested += f"# found in {found.seconds:.0f} s; with them {found.subject.id} is proved\n"


# -- as text ---------------------------------------------------------------------------------


def _print(invariant: Invariant, told: Told, verbose: bool) -> None:
    found = told.proof
    subject = found.subject
    click.echo(f"{invariant.era.id} {subject.id:12}" + coloured(told.word, told.word.value) + _remark(told))
    if found.word is Word.PROVED:
        click.echo(wrapped(THEOREM))
        click.echo(wrapped(subject.statement + EXCUSED * found.only_by_excuse, "      "))
        _print_support(invariant, found, verbose)
        _print_guards(found)
        _print_vacuity(told.vacuity)
    for each in found.breaks:
        click.echo(f"    not shown: {each}")
    if found.breaks:
        click.echo(
            wrapped(f"{counted(len(invariant.lemmas), 'lemma')} hold; they allow a state from which this happens.")
        )
    for part in (told.obstacle, told.suggested):
        if part:
            click.echo("")
            click.echo(part)


def _print_vacuity(found: Vacuity | None) -> None:
    if found is None:
        return
    if found.antecedent is not None:
        click.echo(f"    put to the test at {found.antecedent.depth} in {found.antecedent.scenario}")
    if found.violated_by is not None:
        slip = found.violated_by
        click.echo(wrapped(f"violated at {slip.depth} in {slip.scenario} by the slip {slip.mutation.id}"))
    for step, guard in found.never_false:
        click.echo(wrapped(f"never false in a small world: {guard.value}, of {step.id}"))


def _remark(told: Told) -> str:
    found = told.proof
    if told.vacuity is not None and told.vacuity.vacuous:
        return f"  ({told.vacuity.reason})"
    if found.reason:
        return f"  ({found.reason})"
    return "  only by excuse" if found.only_by_excuse else ""


def _print_support(invariant: Invariant, found: Proof, verbose: bool) -> None:
    support = found.support
    numbers = {name: number for number, name in enumerate(support)}
    for name, needed in support.items():
        rests = ", ".join(str(numbers[each]) for each in needed) or "the steps alone"
        if name == found.subject.id:
            click.echo(
                f"    {counted(found.obligations, 'obligation')}, in {found.seconds:.1f} s, which rest on: {rests}"
            )
        else:
            sentence = f"{numbers[name]}. {invariant.statements.get(name, name)}"
            click.echo(wrapped(f"{sentence} [{rests}]", "      "))
        if verbose:
            for use in found.uses[name]:
                lemmas = ", ".join(str(numbers[each]) for each in use.lemmas) or "no lemma"
                click.echo(wrapped(f"{use.where}: {lemmas} ({use.seconds:.2f} s)", "          "))


def _print_guards(found: Proof) -> None:
    necessary = [each for each in found.guards if each.necessary]
    redundant = [each for each in found.guards if not each.necessary]
    for heading, guards in (("rests on these guards:", necessary), ("used, but redundant:", redundant)):
        if guards:
            click.echo(f"    {heading}")
        for each in guards:
            click.echo(wrapped(f"{each.step.id}: {each.guard.value}", "      "))


def _print_lemmas(invariant: Invariant) -> None:
    click.echo(f"{counted(len(invariant.lemmas), 'lemma')} hold ({invariant.seconds:.0f} s):")
    for name in invariant.lemmas:
        click.echo(wrapped(f"{name}: {invariant.statements.get(name, name)}", "    "))
    if invariant.refuted:
        click.echo(f"{counted(len(invariant.refuted), 'recorded lemma')} do not:")
    for name, broken in invariant.refuted.items():
        click.echo(wrapped(f"{name} ({broken})", "    "))


# -- JSON ------------------------------------------------------------------------------------


def _as_json(invariant: Invariant, told: Told) -> dict[str, object]:
    found = told.proof
    return {
        "schema": 1,
        "era": invariant.era.id,
        "aliases": list(invariant.era.aliases),
        "property": found.subject.id,
        "verdict": told.word.value,
        "method": "induction",
        "checked_by": ["z3"] if found.word is Word.PROVED else [],
        "lemmas": len(invariant.lemmas),
        "only_by_excuse": found.only_by_excuse,
        "obligations": found.obligations,
        "rests_on": found.support,
        "statements": {name: invariant.statements.get(name, "") for name in found.support if name in invariant.lemmas},
        "guards": [
            {"step": each.step.id, "guard": each.guard.name, "necessary": each.necessary} for each in found.guards
        ],
        "not_shown": [str(each) for each in found.breaks],
        "vacuity": None if told.vacuity is None else told.vacuity.reason,
        "obstacle": told.obstacle_data,
        "suggested": told.suggested,
        "reason": found.reason,
        "seconds": round(invariant.seconds + found.seconds, 3),
    }
