"""`oomspec show`"""

from __future__ import annotations

import difflib
import inspect
import os

import click

from oom_spec.eras import all_eras, find_era
from oom_spec.instances import Instance
from oom_spec.language import Era, Object, SpecError, Step, UnknownNameError
from oom_spec.language.terms import show as show_term
from oom_spec.lifting import Path
from oom_spec.scenarios.gallery import GALLERY
from oom_spec.user_eras import point_name
from oomspec.advising import say_advice
from oomspec.output import json_line, wrapped


@click.command()
@click.argument("era")
@click.argument("step", required=False)
@click.option("--points", is_flag=True, help="The program points of each routine, and the steps that leave them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each step (or point).")
def show(era: str, step: str | None, points: bool, as_json: bool) -> int:
    """Show ERA whole: state, steps, guards, provenance. With STEP (an id, or a part of one), those steps whole.

    \b
    Examples:
      oomspec show v4.14
      oomspec show v4.12 mmget_not_zero
      oomspec show v4.14 --points
    """
    chosen = find_era(era)
    say_advice(chosen)
    if points:
        if step is not None:
            raise SpecError("--points shows those of the whole era: leave out the step")
        _print_points(chosen, as_json)
        return 0
    steps = [each for each in chosen.steps if step is None or step in each.id]
    if step is not None and not steps:
        near = difflib.get_close_matches(step, [each.id for each in chosen.steps], n=1, cutoff=0.3)
        others = [era.id for era in all_eras() if any(step in each.id for each in era.steps)]
        hint = f"; did you mean {near[0]!r}?" if near else f"; `oomspec show {chosen.id}` lists them all"
        if others:
            hint = f", but {', '.join(others)} {'has' if len(others) == 1 else 'have'}"
        raise UnknownNameError(f"{chosen.id} has no step {step!r}{hint}")
    lifted = Instance(chosen, GALLERY).lifted
    paths = {each.id: [path for action, path in lifted if action.step.id == each.id] for each in steps}
    if as_json:
        for each in steps:
            json_line(_as_json(each, paths[each.id]))
        return 0
    if step is None:
        _print_head(chosen)
    for each in steps:
        _print_step(each, paths[each.id], chosen, whole=step is not None)
    return 0


def _as_json(each: Step, paths: list[Path]) -> dict[str, object]:
    return {
        "schema": 1,
        "step": each.id,
        "actor": each.actor.__name__,
        "at": None if each.at is None else each.at.name,
        "then": None if each.then is None else each.then.name,
        "kernel": each.kernel,
        "call": each.call,
        "outcome": each.outcome,
        "waits": each.waits,
        "oracle": each.oracle,
        "environment": each.environment,
        "commit": each.commit,
        "verified": each.verified.value,
        "doc": each.doc,
        "guards": _guards(paths),
    }


def _guards(paths: list[Path]) -> list[str]:
    return list(dict.fromkeys(f"{guard.name}: {guard.value}" for path in paths for guard, _ in path.guards))


def _print_head(chosen: Era) -> None:
    click.echo(click.style(f"{chosen.id}: {chosen.title}", bold=True))
    click.echo(wrapped(f"{chosen.standing.value}; opened by {chosen.opened_by}. {chosen.why}"))
    if chosen.parent is not None:
        counts = f"{len(chosen.added)} added, {len(chosen.replaced)} replaced, {len(chosen.removed)} removed"
        click.echo(wrapped(f"a delta on {chosen.parent.id}: {counts}"))
        for gone in chosen.removed:
            click.echo(f"    removed: {gone}")
    if chosen.file:
        click.echo(f"    read from {os.path.relpath(chosen.file)}")
    click.echo(click.style("\nState", bold=True))
    used = dict.fromkeys(kind for each in chosen.steps for _, kind in each.parameters)
    for kind in used:
        _print_class(kind)
    click.echo(click.style("\nSteps", bold=True))


def _print_points(chosen: Era, as_json: bool) -> None:
    """Each point at which a step of ``chosen`` stands or to which one leads, by routine."""
    routines = dict.fromkeys(each.actor for each in chosen.steps if each.actor.counter is not None)
    for kind in routines:
        assert kind.counter is not None
        assert kind.counter.members is not None
        steps = [each for each in chosen.steps if each.actor is kind]
        led_to = {each.then for each in steps}
        routine = kind.counter.members.__name__
        spare = []
        if not as_json:
            click.echo(click.style(f"{routine}", bold=True) + f" (of {kind.__name__})")
        for point in kind.counter.members:
            leaving = [each.id for each in steps if each.at is point]
            if not leaving and point not in led_to and point is not next(iter(kind.counter.members)):
                spare += [point.name] if point.name.startswith("PATCH_") else []
                continue
            if as_json:
                found = {"routine": routine, "point": point.name, "meaning": point.value, "leaving": leaving}
                json_line({"schema": 1, **found, "at_rest": point in kind.counter.rest})
                continue
            click.echo(f"  {point_name(chosen, point):24} {point.value}")
            for each in leaving:
                click.echo(f"      {each}")
        if spare and not as_json:
            click.echo(f"  spare, for a patch: {', '.join(spare)}")


def _print_class(kind: type[Object]) -> None:
    click.echo(f"  {kind.__name__}: {(inspect.getdoc(kind) or '').splitlines()[0]}")
    for name, declared in kind.fields.items():
        index = f"[{declared.index}]" if declared.index else ""
        sort = declared.sort.name or declared.sort.kind.value
        mark = " (history)" if declared.history else ""
        click.echo(f"    {name + index:20} {sort:12} {declared.doc}{mark}")
    for name, fixed in kind.statics.items():
        click.echo(f"    {name:20} {'fixed':12} {fixed.doc}")


def _print_step(each: Step, paths: list[Path], chosen: Era, *, whole: bool) -> None:
    changed = " [new]" if each in chosen.added else " [replaced]" if each in chosen.replaced else ""
    click.echo(click.style(f"  {each.id}", bold=True) + (changed if chosen.parent is not None else ""))
    if each.at is not None and each.then is not None:
        click.echo(f"    {point_name(chosen, each.at)} -> {point_name(chosen, each.then)}")
    click.echo(wrapped(each.doc.splitlines()[0] if not whole else each.doc.replace("\n", " ")))
    for guard in _guards(paths):
        click.echo(f"    requires {guard}")
    remarks = [each.kernel, *([f"commit {each.commit}"] if each.commit else []), each.verified.value]
    remarks += ["waits until it can be taken"] if each.waits else []
    remarks += [f"free choice: {each.oracle}"] if each.oracle else []
    remarks += ["nobody may count on it"] if each.environment else []
    click.echo(wrapped("; ".join(remarks)))
    if whole:
        click.echo(inspect.getsource(each.function).rstrip())
        for path in paths[:1]:
            click.echo("    lifted, for one choice of objects:")
            for part in path.condition:
                click.echo(f"      if {show_term(part)}")
            for (name, owners), term in path.updates.items():
                index = f"[{owners[1]}]" if len(owners) > 1 else ""
                click.echo(f"      {owners[0]}.{name.split('.')[1]}{index} := {show_term(term)}")
        click.echo()
