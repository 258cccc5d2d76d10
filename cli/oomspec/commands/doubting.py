"""`oomspec vacuity`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from oom_smt.touching import guards_touched
from oom_spec.eras import all_eras, find_era
from oom_spec.language.eras import Era
from oom_spec.language.errors import SpecError
from oom_spec.language.properties import Property
from oom_spec.manifest import expected_cell
from oom_spec.properties import find_properties
from oom_spec.reporting import Progress
from oom_spec.vacuity import Examiner, Vacuity
from oom_spec.verdicts import Word
from oom_spec.violating import Hint, as_toml, hints, read, with_found
from oomspec.output import Seconds, coloured, json_line, progress_bar, status_of


@click.command()
@click.argument("era")
@click.argument("properties", metavar="PROPERTY|all...", nargs=-1, required=True)
@click.option("--guards/--no-guards", default=True, help="Whether to ask of each guard if it can be false.")
@click.option("--timeout", type=Seconds(), help="Seconds for each search for a mutant, where no recorded one does.")
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Take what the manifest says to hold, and write the mutants found to this file after each era.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each property.")
def vacuity(
    era: str, properties: tuple[str, ...], guards: bool, timeout: float | None, record: Path | None, as_json: bool
) -> int:
    """Ask of each PROPERTY in ERA (`all`: every era) whether it would say anything if it holds.

    Three things are looked for in small worlds: a run that puts the property to the test, a slip in one step
    with which some run violates it, and, for each guard of the steps that can break it, a run in which
    the guard is false where the step stands. What fails is `vacuous`.

    \b
    Exit status: 0 nothing is vacuous, 1 something is, 3 a search ran out of time.
    \b
    Examples:
      oomspec vacuity v4.15 S9 N2x
      oomspec vacuity v6.1 all --no-guards
    """
    chosen = list(all_eras()) if era.lower() == "all" else [find_era(era)]
    subjects = tuple(dict.fromkeys(p for name in properties for p in find_properties(name)))
    asked = [subject for subject in subjects if subject.graph is None]
    if not asked:
        raise SpecError(f"{subjects[0].id} is a question about the whole graph: no step alone can break it")
    known = list(hints()) if record is None else _read(record)
    words: list[Word] = []
    with progress_bar(f"vacuity {era}") as progress:
        for each in chosen:
            found = _examine(each, _holding(each, asked) if record else asked, known, guards, timeout, progress)
            for one in found:
                words += [] if one.word is None else [one.word]
                if as_json:
                    json_line(_as_json(one))
                else:
                    _print(one)
            if record is not None:
                known = with_found(known, each.id, {one.subject.id: one.violated_by for one in found})
                record.write_text(as_toml(known), "utf-8")
    return status_of(words)


def _read(record: Path) -> list[Hint]:
    return list(read(record.read_text("utf-8"))) if record.exists() else []


def _holding(era: Era, subjects: Sequence[Property]) -> list[Property]:
    """The properties that the manifest says to hold."""
    holding = (Word.PROVED, Word.PROVED_INSTANCE)
    return [s for s in subjects if (cell := expected_cell(era.id, s.id)) is not None and cell.word in holding]


def _examine(
    era: Era,
    subjects: Sequence[Property],
    known: Sequence[Hint],
    guards: bool,
    timeout: float | None,
    progress: Progress,
) -> list[Vacuity]:
    examiner = Examiner(era, known=known)
    found = []
    for number, subject in enumerate(subjects):
        progress(number, len(subjects), f"{era.id} {subject.id}")
        used = guards_touched(era, subject) if guards else {}
        found.append(examiner.examine(subject, used, progress, timeout))
    return found


def _print(found: Vacuity) -> None:
    word = click.style("not vacuous", fg="green") if found.word is None else coloured(found.word, found.word.value)
    remark = f"  ({found.reason})" if found.reason else ""
    click.echo(f"{found.era.id} {found.subject.id:12}{word}{remark}")
    if found.antecedent is not None:
        click.echo(f"    put to the test at {found.antecedent.depth} in {found.antecedent.scenario}")
    if found.violated_by is not None:
        violation = found.violated_by
        click.echo(f"    violated at {violation.depth} in {violation.scenario}: {violation.mutation.id}")
    for declared, guard in found.never_false:
        click.echo(f"    never false: {guard.name} of {declared.id}")


def _as_json(found: Vacuity) -> dict[str, object]:
    reached, violation = found.antecedent, found.violated_by
    return {
        "schema": 1,
        "era": found.era.id,
        "aliases": list(found.era.aliases),
        "property": found.subject.id,
        "verdict": None if found.word is None else found.word.value,
        "reason": found.reason,
        "put_to_the_test": None if reached is None else {"scenario": reached.scenario, "depth": reached.depth},
        "violated_by": None
        if violation is None
        else {"mutation": violation.mutation.id, "scenario": violation.scenario, "depth": violation.depth},
        "never_false": [{"step": declared.id, "guard": guard.name} for declared, guard in found.never_false],
    }
