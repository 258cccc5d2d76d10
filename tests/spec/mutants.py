"""Mutants of an era's steps: what a slip of the pen could make of them.

A mutant is an instance of which one step was lifted again with one thing changed; everything else
is shared with the original, so that making one costs little.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from types import ModuleType

import attrs

from oom_spec.exploring import Exploration
from oom_spec.instances import Action, Instance
from oom_spec.language import requires
from oom_spec.language.steps import Step
from oom_spec.lifting import Path, lift_step
from oom_spec.properties import PROPERTIES
from oom_spec.stepping import arguments_of

Lifted = list[tuple[Action, Path]]
Signature = tuple[object, ...]


@attrs.frozen
class Mutant:
    """One change to one step (or, for an exchange, to two)."""

    step: str
    """Id of the step."""
    what: str
    """``guard``, ``assignment``, ``event`` or ``exchange``."""
    which: str
    """The guard's number and name, the field, the event, or the id of the step that follows."""

    def __str__(self) -> str:
        return f"{self.step} | {self.what} {self.which}"


def protocol_modules() -> list[ModuleType]:
    """The modules whose functions call `requires`."""
    return [
        module
        for name, module in sorted(sys.modules.items())
        if name.startswith(("oom_spec.protocol.", "oom_spec.eras.")) and getattr(module, "requires", None) is requires
    ]


@contextmanager
def without_guard(number: int) -> Iterator[list[Enum]]:
    """`requires` does nothing the ``number``th time it is called after the list was cleared.

    The list that it gives collects the guards that were called.
    """
    called: list[Enum] = []

    def forgetful(condition: bool, guard: Enum) -> None:
        called.append(guard)
        if len(called) - 1 != number:
            requires(condition, guard)

    modules = protocol_modules()
    for module in modules:
        setattr(module, "requires", forgetful)  # noqa: B010 - a module has no such attribute for mypy
    try:
        yield called
    finally:
        for module in modules:
            setattr(module, "requires", requires)  # noqa: B010


def guards_of(instance: Instance, declared: Step) -> list[Enum]:
    """The guards of a step in the order in which it asks for them."""
    longest: list[Enum] = []
    with without_guard(-1) as called:

        def listening(**handles: object) -> None:
            called.clear()
            try:
                declared.function(**handles)
            finally:
                if len(called) > len(longest):
                    longest[:] = called

        lift(instance, attrs.evolve(declared, function=_posing_as(declared, listening)))
    return longest


def _posing_as(declared: Step, function: Callable[..., None]) -> Callable[..., None]:
    function.__qualname__ = declared.function.__qualname__
    return function


def lift(instance: Instance, declared: Step) -> Lifted:
    """The paths of all instances of a step."""
    return [
        (Action(declared, arguments), path)
        for arguments in arguments_of(declared, instance.structure)
        for path in lift_step(declared, arguments, instance.store)
    ]


def lift_without_guard(instance: Instance, declared: Step, number: int) -> Lifted:
    """The paths of a step that forgot its guard of this number."""
    with without_guard(number) as called:

        def from_the_start(**handles: object) -> None:
            called.clear()
            declared.function(**handles)

        return lift(instance, attrs.evolve(declared, function=_posing_as(declared, from_the_start)))


def mutants_of(instance: Instance, declared: Step) -> list[Mutant]:
    """Each guard, assignment and event left out in turn; the step exchanged with the one that follows."""
    found = [Mutant(declared.id, "guard", f"{n} {guard.name}") for n, guard in enumerate(guards_of(instance, declared))]
    counter = declared.actor.counter
    own = "" if counter is None or declared.then is None else counter.qualified
    fields: dict[str, None] = {}
    events: dict[str, None] = {}
    for _, path in lift(instance, declared):
        fields.update(dict.fromkeys(name for name, _ in path.updates if name != own))
        fields.update(dict.fromkeys(declaration.qualified for declaration, _, _ in path.fills))
        events.update(dict.fromkeys(event.event.name for event in path.events))
    found += [Mutant(declared.id, "assignment", name) for name in fields]
    found += [Mutant(declared.id, "event", name) for name in events]
    follower = following(instance, declared)
    if follower is not None:
        found.append(Mutant(declared.id, "exchange", follower.id))
    return found


def following(instance: Instance, declared: Step) -> Step | None:
    """The first step of the same routine that begins where this one ends."""
    if declared.at is None or declared.then is None or declared.at is declared.then:
        return None
    for other in instance.era.steps:
        if other.actor is declared.actor and other.at is declared.then and other.then not in (None, other.at):
            return other
    return None


def mutate(base: Instance, mutant: Mutant) -> Instance:
    """``base`` with one thing changed."""
    steps = {declared.id: declared for declared in base.era.steps}
    declared = steps[mutant.step]
    replaced = {mutant.step}
    if mutant.what == "guard":
        changed = lift_without_guard(base, declared, int(mutant.which.split()[0]))
    elif mutant.what == "exchange":
        other = steps[mutant.which]
        replaced.add(other.id)
        changed = [
            *lift(base, attrs.evolve(declared, at=other.at, then=other.then)),
            *lift(base, attrs.evolve(other, at=declared.at, then=declared.then)),
        ]
    else:
        changed = [(action, _without(path, mutant)) for action, path in lift(base, declared)]
    result = copy.copy(base)
    for name in ("_grounded", "ends", "live", "actions"):
        vars(result).pop(name, None)
    result.lifted = [(action, path) for action, path in base.lifted if action.step.id not in replaced] + changed
    return result


def _without(path: Path, mutant: Mutant) -> Path:
    if mutant.what == "event":
        return attrs.evolve(path, events=tuple(each for each in path.events if each.event.name != mutant.which))
    return attrs.evolve(
        path,
        updates={slot: term for slot, term in path.updates.items() if slot[0] != mutant.which},
        fills=tuple(fill for fill in path.fills if fill[0].qualified != mutant.which),
    )


def signature(instance: Instance, most: int) -> Signature:
    """What an exploration shows of an instance, up to ``most`` states."""
    exploration = Exploration(instance, PROPERTIES, most=most)
    verdicts = tuple(
        (
            name,
            *(hit and hit.depth for hit in (finding.violated, finding.violated_strictly, finding.reached)),
        )
        for name, finding in exploration.findings.items()
    )
    return exploration.states, exploration.truncated, tuple(sorted(exploration.untaken())), verdicts


def broken(found: Signature) -> frozenset[str]:
    """The properties that a signature says are violated."""
    verdicts = found[3]
    assert isinstance(verdicts, tuple)
    return frozenset(name for name, violated, *_ in verdicts if violated is not None)
