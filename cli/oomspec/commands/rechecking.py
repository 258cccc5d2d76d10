"""`oomspec recheck`"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import attrs
import click

from oom_smt.ground_obligations import GroundObligation, ground_obligations, z3_answers
from oom_smt.proving import Invariant, Proof, find_invariant, prove
from oom_smt.recheck import PACKAGES, SECONDS, Opinions, second_opinions
from oom_smt.reducing import NoFiniteForm, finite
from oom_smt.smtlib import smtlib
from oom_smt.z3_api import Answer, version
from oom_spec.eras import find_era
from oom_spec.language.errors import SpecError
from oom_spec.properties import find_properties
from oom_spec.reporting import Progress
from oom_spec.verdicts import Word
from oomspec.output import Seconds, coloured, counted, json_line, progress_bar, status_of, warn, wrapped


@attrs.define(eq=False)
class Rechecked:
    """What came of the obligations of one property."""

    invariant: Invariant
    proof: Proof
    found: list[tuple[GroundObligation, Opinions]] = attrs.field(factory=list)
    seconds: float = 0.0

    def silent(self) -> dict[str, str]:
        """Who has not agreed to every obligation, and why: the first reason, and how often there was one."""
        reasons: dict[str, list[str]] = {}
        for _, opinions in self.found:
            for name, reason in opinions.not_rechecked.items():
                reasons.setdefault(name, []).append(reason)
        total = len(self.found)
        return {name: f"{len(each)} of {total} obligations: {each[0]}" for name, each in reasons.items()}

    def checked_by(self) -> list[str]:
        """Who has agreed to every obligation, z3 among them."""
        counts = Counter(name for _, opinions in self.found for name in opinions.checked_by)
        return [name for name, number in counts.items() if number == len(self.found)]

    def word(self) -> Word:
        """For the exit status: what somebody was asked about, and has not confirmed, is unknown."""
        return Word.UNKNOWN if self.silent() else self.proof.word


@click.command()
@click.argument("era")
@click.argument("properties", metavar="PROPERTY|all...", nargs=-1, required=True)
@click.option(
    "--with",
    "who",
    type=click.Choice(list(PACKAGES)),
    multiple=True,
    help="Ask this one (repeatable). Default: all three.",
)
@click.option(
    "--seconds", type=Seconds(), default=SECONDS, show_default=True, help="Time for each solver and obligation."
)
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write each obligation here, as SMT-LIB.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each obligation, then the property.")
@click.option("-v", "--verbose", is_flag=True, help="Each obligation, not only the sums.")
def recheck(
    era: str,
    properties: tuple[str, ...],
    who: tuple[str, ...],
    seconds: float,
    folder: Path | None,
    as_json: bool,
    verbose: bool,
) -> int:
    """Prove each PROPERTY in ERA as `oomspec proof` does, and put each obligation to other solvers.

    \b
    cvc5, bitwuzla   read the obligation as SMT-LIB text
    drup             Glucose refutes it as clauses; its log is checked by a small program of ours

    Who gives no answer (not installed, out of time or memory, crashed) has not agreed, and that is said.
    Who answers otherwise than z3 ends the run as an internal error.

    \b
    Exit status: 0 all agree, 3 not proved or somebody has not answered, 4 two solvers disagree.
    \b
    Examples:
      oomspec recheck v4.15 S5r
      oomspec recheck v4.15 S9 --with drup --write obligations
    """
    chosen = find_era(era)
    subjects = tuple(dict.fromkeys(p for name in properties for p in find_properties(name)))
    graphs = [subject.id for subject in subjects if subject.graph is not None]
    if graphs and len(graphs) == len(subjects):
        raise SpecError(f"{graphs[0]} is a question about the whole graph: it has no proof by induction to recheck")
    asked = tuple(dict.fromkeys(who)) or tuple(PACKAGES)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    done = []
    with progress_bar(f"recheck {chosen.id}") as progress:
        invariant = find_invariant(chosen, progress)
        for subject in subjects:
            if subject.graph is None:
                proof = prove(invariant, subject, support=True, progress=progress)
                done.append(_rechecked(invariant, proof, asked, seconds, folder, progress))
    for each in done:
        if as_json:
            _print_json(each)
        else:
            _print(each, verbose)
    return status_of([each.word() for each in done])


def _rechecked(
    invariant: Invariant, proof: Proof, who: Sequence[str], seconds: float, folder: Path | None, progress: Progress
) -> Rechecked:
    started = time.monotonic()
    result = Rechecked(invariant, proof)
    obligations = list(ground_obligations(invariant, proof)) if proof.word is Word.PROVED else []
    for number, each in enumerate(obligations, 1):
        name = f"{invariant.era.id}-{proof.subject.id}-{number:04}"
        progress(number - 1, len(obligations), f"{name} {each.step}")
        header = {"name": name, **each.header(invariant.era.id)}
        if folder is not None:
            _write(folder / f"{name}.smt2", each, header)
        result.found.append((each, _opinions(each, header, who, seconds)))
    result.seconds = time.monotonic() - started
    return result


def _opinions(each: GroundObligation, header: dict[str, str], who: Sequence[str], seconds: float) -> Opinions:
    """z3 first, on the very formulas that the others get; then these."""
    answer = z3_answers(each.assertions, seconds)
    if answer is Answer.SAT:
        raise SpecError(
            f"internal error: z3 does not confirm {header['name']} ({each.goal}, {each.step}) with the lemmas that the "
            "proof is said to rest on; please report it"
        )
    found = second_opinions(each.assertions, header, seconds, who)
    if answer is Answer.UNKNOWN:
        return attrs.evolve(found, not_rechecked={"z3": f"no answer in {seconds:g} s", **found.not_rechecked})
    return attrs.evolve(found, checked_by=(version(), *found.checked_by))


def _write(file: Path, each: GroundObligation, header: dict[str, str]) -> None:
    try:
        question = finite(each.assertions)
    except NoFiniteForm as refusal:
        warn(f"{file.name} is not written: {refusal}")
        return
    file.write_text(smtlib(question, header), "utf-8")


def _print(each: Rechecked, verbose: bool) -> None:
    era, proof = each.invariant.era.id, each.proof
    remark = "  only by excuse" if proof.only_by_excuse else f"  ({proof.reason})" if proof.reason else ""
    click.echo(f"{era} {proof.subject.id:12}" + coloured(proof.word, proof.word.value) + remark)
    if proof.word is Word.UNKNOWN:
        click.echo(f"    nothing to recheck: `oomspec proof {era} {proof.subject.id}` says what is missing")
    if proof.word is not Word.PROVED:
        return
    sums: dict[str, Counter[str]] = {}
    for obligation, opinions in each.found:
        sums.setdefault(obligation.goal, Counter()).update({"": 1, **dict.fromkeys(opinions.checked_by, 1)})
    for goal, counts in sums.items():
        total = counts.pop("")
        said = ", ".join(name if number == total else f"{name} ({number})" for name, number in counts.items())
        click.echo(wrapped(f"{goal.rstrip('.')}: {counted(total, 'obligation')}: {said or 'nobody'}"))
        if verbose:
            _print_each(goal, each)
    if each.checked_by():
        click.echo(wrapped(f"All {counted(len(each.found), 'obligation')} checked by {', '.join(each.checked_by())}."))
    for name, reason in each.silent().items():
        click.echo(f"    not rechecked by {name}: {reason}")


def _print_each(goal: str, each: Rechecked) -> None:
    for obligation, opinions in each.found:
        if obligation.goal == goal:
            silent = [f"not {name}: {reason}" for name, reason in opinions.not_rechecked.items()]
            click.echo(wrapped(f"{obligation.step}: {', '.join([*opinions.checked_by, *silent])}", "        "))


def _print_json(each: Rechecked) -> None:
    era, proof = each.invariant.era, each.proof
    for obligation, opinions in each.found:
        json_line(
            {
                "schema": 1,
                "era": era.id,
                "property": proof.subject.id,
                "goal": obligation.goal,
                "step": obligation.step,
                "assumes": list(obligation.lemmas),
                "checked_by": list(opinions.checked_by),
                "not_rechecked": opinions.not_rechecked,
            }
        )
    json_line(
        {
            "schema": 1,
            "era": era.id,
            "aliases": list(era.aliases),
            "property": proof.subject.id,
            "verdict": proof.word.value,
            "method": "induction",
            "obligations": len(each.found),
            "only_by_excuse": proof.only_by_excuse,
            "checked_by": each.checked_by(),
            "not_rechecked": each.silent(),
            "reason": proof.reason,
            "seconds": round(each.invariant.seconds + proof.seconds + each.seconds, 3),
        }
    )
