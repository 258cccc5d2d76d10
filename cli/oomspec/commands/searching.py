"""`oomspec lemmas`"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from oom_smt.proving import find_invariant, prove
from oom_smt.searching import Found, Search, merged
from oom_spec.applicability import why_not
from oom_spec.eras import all_eras, find_era
from oom_spec.language.eras import Era
from oom_spec.language.errors import SpecError
from oom_spec.language.properties import Property
from oom_spec.manifest import expected_cell
from oom_spec.properties import find_properties
from oom_spec.reporting import Progress
from oom_spec.unbounded.recorded import Recorded, load, read, write
from oom_spec.verdicts import Word
from oomspec.output import Seconds, coloured, counted, json_line, progress_bar, status_of, wrapped

SEARCH_SECONDS = 100.0


@click.command()
@click.argument("era")
@click.argument("properties", metavar="PROPERTY|all...", nargs=-1, required=True)
@click.option(
    "--seconds",
    type=Seconds(),
    default=SEARCH_SECONDS,
    show_default=True,
    help="Processor time of the search for each property.",
)
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Begin with the lemmas in this file, and write what is found to it after each property.",
)
@click.option("--again", is_flag=True, help="Also look at what is proved with recorded lemmas.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each property.")
def lemmas(
    era: str, properties: tuple[str, ...], seconds: float, record: Path | None, again: bool, as_json: bool
) -> int:
    """Search for lemmas that prove each PROPERTY in ERA (`all`: every era) in worlds of any size.

    Looked at is what holds in the small worlds and is not proved with recorded lemmas yet. Lemmas of other eras are
    tried first; then new ones are learned from what is in the way. With `--record`, a search that was broken off goes
    on where it was.

    \b
    Exit status: 0 all are proved, 3 some are not.
    \b
    Examples:
      oomspec lemmas v6.1 S1
      oomspec lemmas all all --seconds 200 --record spec/oom_spec/unbounded/recorded.toml
    """
    chosen = list(all_eras()) if era.lower() == "all" else [find_era(era)]
    subjects = tuple(dict.fromkeys(p for name in properties for p in find_properties(name) if p.graph is None))
    if not subjects:
        raise SpecError(f"{properties[0]} is a question about the whole graph: no lemmas answer it")
    known = list(load() if record is None or not record.exists() else read(record.read_text("utf-8"), str(record)))
    results: list[tuple[Era, Found]] = []
    with progress_bar(f"lemmas {era}") as progress:
        for each in chosen:
            asked = [s for s in subjects if _holds(each, s)]
            missing = asked if again else _unproved(each, asked, known, progress)
            search = Search(each, known, progress) if missing else None
            for subject in missing:
                assert search is not None
                found = search.prove(subject, seconds)
                known = merged(known, each, [found])
                if record is not None:
                    _save(record, known)
                results.append((each, found))
                _tell(each, found, as_json)
    if not results and not as_json:
        click.echo("nothing to search for: what holds in every scenario is proved with recorded lemmas")
    if results and record is None and not as_json:
        lemmas_found = {clause for _, found in results for clause in found.lemmas}
        click.echo(write(lemma for lemma in known if lemma.clause in lemmas_found))
    return status_of([Word.UNKNOWN if found.stuck else Word.PROVED for _, found in results])


def _holds(era: Era, subject: Property) -> bool:
    """Whether to look at it: what the manifest says to be violated, or empty, is not worth the time."""
    cell = expected_cell(era.id, subject.id)
    if cell is None:
        return not why_not(era, subject)
    return cell.word in (Word.PROVED, Word.PROVED_INSTANCE) and cell.unbounded is not Word.VACUOUS


def _unproved(era: Era, subjects: Sequence[Property], known: Sequence[Recorded], progress: Progress) -> list[Property]:
    invariant = find_invariant(era, progress, recorded=known)
    return [each for each in subjects if prove(invariant, each).word is Word.UNKNOWN]


def _save(record: Path, known: Sequence[Recorded]) -> None:
    """All or nothing: a search may be killed at any moment."""
    beside = record.with_name(record.name + ".new")
    beside.write_text(write(known), "utf-8")
    beside.replace(record)


def _tell(era: Era, found: Found, as_json: bool) -> None:
    word = Word.UNKNOWN if found.stuck else Word.PROVED
    if as_json:
        json_line(
            {
                "schema": 1,
                "era": era.id,
                "aliases": list(era.aliases),
                "property": found.subject.id,
                "verdict": word.value,
                "lemmas": [list(each.texts) for each in found.lemmas],
                "reason": found.stuck,
                "seconds": round(found.seconds, 1),
            }
        )
        return
    remark = "" if found.stuck else f"  with {counted(len(found.lemmas), 'lemma')}"
    click.echo(f"{era.id} {found.subject.id:12}" + coloured(word, word.value) + f"{remark}, {found.seconds:.0f} s")
    if found.stuck:
        click.echo(wrapped(found.stuck))
