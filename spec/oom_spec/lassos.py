"""A fair run without end, as a prefix and a cycle; and the plain steps' own judgement of it.

A lasso is fair if everybody whom the property counts on acts on the cycle, or cannot act anywhere on it. That is judged
here on the cycle itself, step by step with the interpreter: neither the generated successor function nor strongly
connected parts have a say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from oom_spec.counting_on import counts_on, who
from oom_spec.exploring import replay
from oom_spec.instances import HALTED, Action, Halt, Instance
from oom_spec.language.errors import Disabled, SpecError
from oom_spec.language.properties import Property
from oom_spec.language.steps import World
from oom_spec.stepping import State

FOR_EVER = "from here on for ever, round and round:"
NOBODY_ACTS = "from here on nobody who may be counted on acts any more"
"""What a picture says between prefix and cycle, or where there is no cycle."""


@attrs.frozen(eq=False)
class Lasso:
    """A run that goes on for ever: it reaches ``state`` and then repeats ``cycle`` (empty: nobody acts any more)."""

    state: int
    cycle: tuple[Action, ...]
    numbers: tuple[int, ...] = ()
    """The paths behind `cycle`."""
    objects: tuple[object, ...] = ()
    """The objects that the property waits for."""
    leaves_after: int = 0
    """After so many steps of the cycle the way out begins."""
    way_out: tuple[Action, ...] = ()
    """A shortest run from the cycle to where the property waits no more, or else to a proper end; empty if none."""


@attrs.frozen
class Judged:
    """Who is treated how on a lasso, by name."""

    fair: Mapping[str, str]
    """Whom the property counts on: the step it takes on the cycle, or that it has none."""
    unfair: Mapping[str, str]
    """Who could lead out of it and need not act: the first of its steps on a shortest way out."""


def sentences(fair: Mapping[str, str], unfair: Mapping[str, str]) -> tuple[str, str]:
    """`Judged` as two sentences without their full stops: ``unfair: mm0, which need not take ...``"""
    left = "; ".join(f"{name}, which need not take {step}" for name, step in unfair.items())
    counted = "; ".join(f"{name}, which {does}" for name, does in fair.items())
    return f"unfair: {left or 'nobody'}", f"fair: {counted or 'nobody is counted on'}"


def judge_lasso(instance: Instance, subject: Property, start: State, lasso: Lasso) -> Judged:
    """Who acts and who cannot on the cycle of ``lasso`` from ``start``, by plain steps.

    Raises `SpecError` where a step cannot be taken, the cycle does not close, the property does not wait everywhere
    on it, the run ends properly, or somebody who is counted on is left out: all of them internal errors.
    """
    states = replay(instance, lasso.cycle, start)
    if states[-1] != start:
        raise _wrong(instance, subject, "the cycle does not close")
    around = states[: len(lasso.cycle) or 1]
    if not all(_waits(instance, subject, lasso.objects, state) for state in around):
        raise _wrong(instance, subject, "it is satisfied on the cycle")
    if any(_is_proper_end(instance, state) for state in around):
        raise _wrong(instance, subject, "the run ends properly")
    return Judged(_fair(instance, subject, around, lasso.cycle), _unfair(instance, subject, around, lasso))


def _wrong(instance: Instance, subject: Property, what: str) -> SpecError:
    return SpecError(
        f"internal error: no fair run without end breaks {subject.id} in {instance.era.id}, scenario "
        f"{instance.scenario.id}, as was said: {what}; please report it"
    )


def _waits(instance: Instance, subject: Property, objects: tuple[object, ...], state: State) -> bool:
    return instance.holds(subject.when, objects, state) and not instance.holds(subject.then, objects, state)


def _is_proper_end(instance: Instance, state: State) -> bool:
    instance.concrete.load(state)
    if instance.concrete.value(HALTED) is not Halt.RUNNING:
        return True
    return instance.scenario.ends is not None and instance.holds(instance.scenario.ends, (), state)


def _fair(instance: Instance, subject: Property, around: Sequence[State], cycle: Sequence[Action]) -> Mapping[str, str]:
    """What each actor that is counted on does on the cycle."""
    by_name: dict[str, list[Action]] = {}
    for action in instance.actions:
        if counts_on(subject, action.step):
            by_name.setdefault(who(action), []).append(action)
    told: dict[str, str] = {}
    for name, actions in by_name.items():
        formula = subject.counts_on.get(actions[0].step.actor)
        counted = [state for state in around if formula is None or instance.holds(formula, (name,), state)]
        if not counted:
            continue
        acts = next((each.id for each in cycle if counts_on(subject, each.step) and who(each) == name), None)
        if acts is not None:
            told[name] = f"acts: {acts}"
        elif any(_possible(instance, action, state) for state in counted for action in actions):
            raise _wrong(instance, subject, f"{name} can act on the cycle and does not")
        else:
            told[name] = f"has no step anywhere on it{_stands(instance, actions[0], around[0])}"
    return told


def _stands(instance: Instance, action: Action, state: State) -> str:
    counter = action.step.actor.counter
    if action.step.actor is World or counter is None:
        return ""
    instance.concrete.load(state)
    at = instance.concrete.value((counter.qualified, (action.actor,)))
    return f" (stands at {getattr(at, 'name', at)})"


def _possible(instance: Instance, action: Action, state: State) -> bool:
    try:
        instance.concrete.run(action.step, action.arguments, state)
    except Disabled:
        return False
    return True


def _unfair(instance: Instance, subject: Property, around: Sequence[State], lasso: Lasso) -> Mapping[str, str]:
    """Who acts on the way out without being counted on there."""
    if not lasso.way_out:
        return {}
    states = replay(instance, lasso.way_out, around[lasso.leaves_after])
    if _waits(instance, subject, lasso.objects, states[-1]) and not _is_proper_end(instance, states[-1]):
        raise _wrong(instance, subject, "the way out of the cycle leads nowhere")
    found: dict[str, str] = {}
    for action, state in zip(lasso.way_out, states, strict=False):
        formula = subject.counts_on.get(action.step.actor)
        counted = counts_on(subject, action.step) and (
            formula is None or instance.holds(formula, (who(action),), state)
        )
        if not counted:
            found.setdefault(who(action), action.id)
    return found


__all__ = ["FOR_EVER", "NOBODY_ACTS", "Judged", "Lasso", "judge_lasso", "sentences"]
