"""`oomspec planted` and `oomspec slips`: whether the conformance suite notices what it must."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, TypeVar

import click

from oomspec.output import counted, json_line, progress_bar

if TYPE_CHECKING:
    from oom_conformance.mutants import Suite, Verdict
    from oom_conformance.planted import Caught
    from oom_conformance.slips import Slip

T = TypeVar("T")

_suites: list[Suite] = []
"""The suite of a worker: its oracles are made once."""
_slips: dict[str, Slip] = {}
"""The slips by id, made once in a worker."""


@click.command()
@click.option(
    "--era",
    "eras",
    multiple=True,
    metavar="ERA",
    help="Only what claims to be ERA and has another era's code in its place (repeatable).",
)
@click.option("--property", "names", multiple=True, metavar="ID", help="Only races of this property (repeatable).")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Worker processes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each planted race.")
@click.option("-v", "--verbose", is_flag=True, help="List the caught ones too.")
def planted(eras: tuple[str, ...], names: tuple[str, ...], jobs: int, as_json: bool, verbose: bool) -> int:
    """Put every race of the matrix back into the reference implementation, and see whether the suite names it.

    For each era and property that is violated there, the nearest era that does not violate it is pretended to: an
    implementation claims to be that one and has the code of the one that violates it. The suite must notice that it
    is not the era that it claims to be, and say whose behaviour it shows and which property that breaks. Questions
    about the whole graph are left out: no run can show them.

    --era names the era that is claimed, whose own code is replaced, not the one that the code is from.

    \b
    Exit status: 0 each was caught and named; 1 some was not.
    \b
    Examples:
      oomspec planted --jobs 2
      oomspec planted --property S1 -v
    """
    from oom_conformance.planted import check, plants
    from oom_spec.eras import find_era
    from oom_spec.language import SpecError

    ids = {find_era(name).id for name in eras}
    chosen = [
        each
        for each in plants()
        if (not ids or each.era in ids) and (not names or not set(names).isdisjoint(each.properties))
    ]
    if not chosen:
        raise SpecError("no race fits: `oomspec matrix` shows which eras violate which properties")
    results: list[Caught] = []
    with progress_bar("planted") as progress:
        for result in _each(check, chosen, jobs):
            results.append(result)
            progress(len(results), len(chosen), result.plant.id)
            if as_json:
                json_line(_caught(result))
            elif verbose or result.missing:
                _print_caught(result)
    if not as_json:
        good = sum(not each.missing for each in results)
        races = sum(len(each.plant.properties) for each in results)
        click.echo(f"{good} of {counted(len(results), 'implementation')} caught and named, {counted(races, 'race')}")
    return 1 if any(each.missing for each in results) else 0


def _caught(each: Caught) -> dict[str, Any]:
    found = each.diagnosis
    return {
        "schema": 1,
        "era": each.plant.era,
        "has_code_of": each.plant.behaves_as,
        "scenario": each.plant.scenario,
        "properties": list(each.plant.properties),
        "caught": found is not None,
        "parts_by": found.divergence.kind.name if found is not None else None,
        "taken_for": list(found.behaves_as) if found is not None else [],
        "named": list(found.races) if found is not None else [],
        "missing": each.missing,
        "seconds": round(each.seconds, 3),
    }


def _print_caught(each: Caught) -> None:
    sign = "X" if each.missing else "+"
    click.echo(f"{sign} {each.plant.id}: {', '.join(each.plant.properties)}")
    for line in each.missing:
        click.echo(f"    {line}")
    if each.diagnosis is not None:
        divergence = each.diagnosis.divergence
        click.echo(f"    after {counted(len(divergence.schedule), 'step')}: {divergence.kind.value}")
        for line in each.diagnosis.lines():
            click.echo(f"    {line}")


@click.command()
@click.option("--function", "text", metavar="TEXT", default="", help="Only slips in functions that contain TEXT.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Worker processes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each slip.")
@click.option("-v", "--verbose", is_flag=True, help="List the noticed ones too.")
def slips(text: str, jobs: int, as_json: bool, verbose: bool) -> int:
    """Make every small mistake in the reference implementation, one at a time, and see whether the suite notices.

    A call left out or made late, a condition turned round, a number off by one: see `oom_conformance.slips`. What
    survives needs a recorded reason (conformance/oom_conformance/survivors.toml).

    \b
    Exit status: 0 every slip is noticed or has a reason; 1 a survivor without a reason, or a recorded one
    that is noticed.
    \b
    Examples:
      oomspec slips --function exit_mmap
      oomspec slips --jobs 2
    """
    from oom_conformance.mutants import outdated, reasons, unexplained
    from oom_conformance.slips import slips as every
    from oom_spec.language import SpecError

    ids = [each.id for each in every() if text in each.function]
    if not ids:
        raise SpecError(f"no function of the reference implementation contains {text!r}")
    verdicts: list[Verdict] = []
    with progress_bar("slips") as progress:
        for verdict in _each(_try_slip, ids, jobs):
            verdicts.append(verdict)
            progress(len(verdicts), len(ids), verdict.slip)
            _print_slip(verdict, reasons().get(verdict.slip), as_json=as_json, verbose=verbose)
    late = [slip for slip in outdated(verdicts) if slip in ids or not text]
    left = unexplained(verdicts)
    if not as_json:
        for slip in late:
            click.echo(f"X {slip}: recorded as a survivor, and is none: take it out of survivors.toml")
        noticed = sum(bool(each.noticed_by) for each in verdicts)
        click.echo(
            f"{counted(len(verdicts), 'slip')}: {noticed} noticed, {len(verdicts) - noticed - len(left)} survive for a "
            f"reason, {len(left)} without one"
        )
    return 1 if left or late else 0


def _print_slip(verdict: Verdict, reason: str | None, *, as_json: bool, verbose: bool) -> None:
    """Told at once: who breaks a long run off keeps what was found."""
    if as_json:
        json_line(
            {
                "schema": 1,
                "slip": verdict.slip,
                "noticed_by": verdict.noticed_by or None,
                "reason": None if verdict.noticed_by else reason,
                "seconds": round(verdict.seconds, 3),
            }
        )
    elif verdict.noticed_by and verbose:
        click.echo(f"+ {verdict.slip}: {verdict.noticed_by}")
    elif not verdict.noticed_by:
        click.echo(f"{'=' if reason else 'X'} {verdict.slip}: {reason or 'survives, and nobody has said why'}")


def _try_slip(name: str) -> Verdict:
    from oom_conformance.mutants import Suite
    from oom_conformance.slips import slips as every

    if not _suites:
        _suites.append(Suite())
    if not _slips:
        _slips.update((each.id, each) for each in every())
    return _suites[0].try_slip(_slips[name])


def _each(function: Callable[[Any], T], work: Sequence[Any], jobs: int) -> Iterator[T]:
    """Results as they come; in this process where one job was asked for."""
    if jobs == 1:
        yield from map(function, work)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            yield from _results(pool, function, work)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _results(pool: ProcessPoolExecutor, function: Callable[[Any], T], work: Iterable[Any]) -> Iterator[T]:
    for future in as_completed([pool.submit(function, item) for item in work]):
        yield future.result()
