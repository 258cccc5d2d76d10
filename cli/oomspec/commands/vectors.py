"""`oomspec vectors`"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oom_spec.applicability import irrelevant
from oom_spec.eras import all_eras, find_era
from oom_spec.language import Era, Scenario, SpecError
from oom_spec.scenarios import find_scenario
from oomspec.advising import say_advice
from oomspec.output import counted, json_line, progress_bar, titled, warn

if TYPE_CHECKING:
    from oom_conformance.vectors import Vectors

SCENARIO = "single"
"""The scenario where none is named: a victim, a bystander that allocates, and the reaper."""

SHOWN = 4
"""Eras that a line names."""

FORMATS = {"json": ("json",), "itf": ("itf",), "both": ("json", "itf")}


@click.command()
@click.argument("eras", metavar="[ERA]...", nargs=-1)
@click.option(
    "--scenario", "names", metavar="NAME", multiple=True, help=f"A scenario; may be repeated.  [default: {SCENARIO}]"
)
@click.option(
    "--format", "chosen", type=click.Choice(sorted(FORMATS)), default="json", show_default=True, help="What is written."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("vectors"),
    show_default=True,
    help="The folder for the files.",
)
@click.option(
    "--forbidden/--no-forbidden", default=True, show_default=True, help="Also write what must not happen, and why."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each era in each scenario.")
def vectors(
    eras: tuple[str, ...], names: tuple[str, ...], chosen: str, out: Path, forbidden: bool, as_json: bool
) -> int:
    """Write test vectors of each ERA (default: every one): schedules, and what must be seen after each action.

    The allowed schedules together take every pair of steps that can follow one another, and show the era's own
    races; the forbidden ones end where a race of another era goes on, or where a guard alone forbids a step. The
    README of each format, written beside the files, says how to use them without oomspec. An era is left out where the
    scenario says nothing new of it: nobody acts there whom the scenario is about.

    \b
    Examples:
      oomspec vectors v4.12 --out vectors
      oomspec vectors v4.12 v4.14 --scenario marked --scenario sharer-outside --format both
    """
    from oom_conformance.vectors import Races, build

    subjects = [find_era(name) for name in dict.fromkeys(eras)] or list(all_eras())
    subjects = list(dict.fromkeys(subjects))
    worlds = [find_scenario(name) for name in dict.fromkeys(names or (SCENARIO,))]
    for era in subjects:
        say_advice(era)
    work = _worth_it(subjects, worlds)
    formats = FORMATS[chosen]
    _write_readmes(out, formats)
    races = Races()
    done = 0
    with progress_bar("vectors") as progress:
        for number, (era, world) in enumerate(work, 1):
            where = f"{number} of {len(work)}"
            try:
                found = build(
                    era,
                    world,
                    races,
                    forbidden=forbidden,
                    tell=lambda at, total, text, where=where: progress(at, total, f"{text} ({where})"),  # type: ignore[misc]
                )
                _must_say_something(found)
            except SpecError as error:
                if len(work) == 1:
                    raise
                warn(f"left out: {error}")
                continue
            files = _write(out, found, formats)
            done += 1
            _say(found, titled(era), files, as_json)
    if not done:
        raise SpecError("nothing was written: choose another scenario; `oomspec scenarios` lists them all")
    return 0


def _worth_it(eras: Sequence[Era], scenarios: Sequence[Scenario]) -> list[tuple[Era, Scenario]]:
    """Each era in each scenario that says something new of it; the others are told, a line for each scenario.

    Raises `SpecError` where nothing is left.
    """
    left: list[tuple[Era, Scenario]] = []
    told: list[str] = []
    for scenario in scenarios:
        without = [era for era in eras if irrelevant(era, scenario)]
        left += [(era, scenario) for era in eras if era not in without]
        if without:
            reason = f": {irrelevant(without[0], scenario)}" if len(without) == 1 else ""
            told.append(f"{scenario.id} says nothing new of {_some(era.id for era in without)}{reason}")
    if not left and len(told) == 1:
        good = _some(era.id for era in all_eras() if not irrelevant(era, scenarios[0]))
        raise SpecError(f"{told[0]}; choose another scenario, or an era of {good}")
    if not left:
        raise SpecError("there is nothing to write: these scenarios say nothing new of these eras")
    for line in told:
        warn(f"left out: {line}")
    return left


def _must_say_something(found: Vectors) -> None:
    """Raises `SpecError` where there is no step to be taken."""
    if not found.allowed:
        raise SpecError(f"era {found.era} takes no step in {found.scenario}: choose another scenario")


def _some(ids: Iterable[str]) -> str:
    """The first few of many; one more is no more than saying so."""
    every = [*ids]
    if len(every) <= SHOWN + 1:
        return ", ".join(every)
    return f"{', '.join(every[:SHOWN])} and {len(every) - SHOWN} more"


def _say(found: Vectors, title: str, files: Sequence[Path], as_json: bool) -> None:
    steps = sum(len(each.steps) for each in found.vectors)
    if as_json:
        json_line(
            {
                "schema": 1,
                "era": found.era,
                "aliases": found.aliases,
                "scenario": found.scenario,
                "allowed": len(found.allowed),
                "forbidden": len(found.forbidden),
                "steps": steps,
                "pairs": found.pairs,
                "breaks": sorted({breach.property for each in found.allowed for breach in each.breaks}),
                "files": [str(file) for file in files],
            }
        )
        return
    where = files[0] if len(files) == 1 else f"{files[0]} and {counted(len(files) - 1, 'file')} more"
    click.echo(f"wrote {where}")
    click.echo(
        f"    {title} in {found.scenario}: {len(found.allowed)} allowed, {len(found.forbidden)} forbidden, "
        f"{counted(steps, 'step')}, all {counted(found.pairs, 'pair')} of steps"
    )


# -- files -----------------------------------------------------------------------------------------


def _write_readmes(out: Path, formats: Sequence[str]) -> None:
    from oom_conformance.validating import schema_text
    from oom_conformance.vector_formats import JSON_SCHEMA, READMES

    for name in formats:
        _put({out / name / "README.md": schema_text(READMES[name])}, ("# Test vectors as",))
    if "json" in formats:
        _put({out / "json" / JSON_SCHEMA: schema_text(JSON_SCHEMA)}, ('{\n  "$schema"',))


def _write(out: Path, found: Vectors, formats: Sequence[str]) -> list[Path]:
    """The files of one era in one scenario; those of ITF that an earlier call wrote and this does not are removed."""
    from oom_conformance.vector_formats import to_itf, to_json

    files: list[Path] = []
    if "json" in formats:
        file = out / "json" / found.era / f"{found.scenario}.json"
        _put({file: to_json(found)}, _BEGINS["json"])
        files.append(file)
    if "itf" in formats:
        folder = out / "itf" / found.era / found.scenario
        texts = {folder / f"{each.id}.itf.json": to_itf(found, each) for each in found.vectors}
        before = {*folder.glob("*.itf.json")} if folder.is_dir() else set()
        _put(texts, _BEGINS["itf"])
        for file in sorted(before - {*texts}):
            if _is_ours(file, _BEGINS["itf"]):
                file.unlink()
        files += texts
    return files


_BEGINS = {
    "json": ('{\n "format": "oomspec-vectors",',),
    "itf": ('{\n "#meta": {\n  "format": "ITF",', '\n  "vectors": '),
}
"""What the head of a file of each format holds, the first at its very beginning."""

HEAD = 1024
"""Characters at the beginning of a file in which its marks stand."""


def _is_ours(file: Path, marks: Sequence[str]) -> bool:
    try:
        with file.open(encoding="utf-8") as opened:
            head = opened.read(HEAD)
    except UnicodeDecodeError:
        return False
    return head.startswith(marks[0]) and all(mark in head for mark in marks)


def _put(texts: dict[Path, str], marks: Sequence[str]) -> None:
    """Write files whole or not at all, over files of the same kind only.

    Raises `SpecError` before anything is written, where one is there that is not of that kind.
    """
    for file in texts:
        if file.is_symlink() or (file.exists() and (not file.is_file() or not _is_ours(file, marks))):
            raise SpecError(
                f"{file}: is there already and is no file of this command: move it, or name another --out DIR"
            )
    for file, text in texts.items():
        beside = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(text, "utf-8")
            beside.replace(file)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise SpecError(f"{file}: {error.strerror or error}") from None
