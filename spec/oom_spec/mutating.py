"""Mutants of an era's steps: what a slip of the pen could make of them.

A mutant is an instance in which one step, or an adjacent pair, was lifted again with one thing
changed; everything else is shared with the original, so that making one costs little. Nothing is
judged here: `oom_spec.noticing` says whether a mutant shows.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, unique
from functools import cache
from types import ModuleType

import attrs

from oom_spec.eras import all_eras, find_era
from oom_spec.instances import Action, Instance
from oom_spec.language import negate, requires, terms
from oom_spec.language.eras import Era
from oom_spec.language.errors import MisuseError
from oom_spec.language.objects import Object
from oom_spec.language.steps import Halt, Step
from oom_spec.language.terms import BOOL, Op, Term
from oom_spec.lifting import HALTED, Event, Path, declaration_of, lift_step
from oom_spec.protocol import derived
from oom_spec.protocol.state import Mm, Task
from oom_spec.scenarios.gallery import GALLERY
from oom_spec.stepping import arguments_of

Lifted = list[tuple[Action, Path]]

HOLDINGS: tuple[tuple[Callable[..., bool], tuple[type[Object], ...]], ...] = (
    (derived.users_left, (Mm,)),
    (derived.mm_allocated, (Mm,)),
    (derived.task_allocated, (Task,)),
    (derived.oom_lock_taken, ()),
    (derived.lock_unheld, (Mm,)),
    (lambda world, mm: derived.writer_waits(mm), (Mm,)),
    (derived.task_lock_taken, (Task,)),
)
"""What the kernel counts or locks, with what each speaks of: the fields that these read are the holders."""


@unique
class Slip(Enum):
    """What was changed."""

    GUARD_DROPPED = "guard dropped"
    GUARD_NEGATED = "guard negated"
    ASSIGNMENT_DROPPED = "assignment dropped"
    RELEASE_DROPPED = "release dropped"
    EVENT_DROPPED = "event dropped"
    EXCHANGED = "exchanged with"
    RETOLD = "event told otherwise"
    """No campaign tries it: `retold` lists such mutations."""
    FUNCTION_OF = "function as in"
    """All steps of one kernel function as another era has them. No campaign tries it: `transplants` lists such."""


@attrs.frozen
class Mutation:
    """One change to one step (or, for an exchange, to two)."""

    step: str
    """Id of the step; for a whole function, what the ids of its steps have in front: ``reaper.oom_reap_task``."""
    slip: Slip
    which: str
    """The guard's number and name, the field, the event (an argument's number and value), the next step, or the era."""

    @property
    def id(self) -> str:
        """``mm.__mmput.ksm_exit | guard dropped 0 NO_KSM``: stable, and the same in every era."""
        return f"{self.step} | {self.slip.value} {self.which}"

    @property
    def steps(self) -> frozenset[str]:
        """Ids of the steps that it changes."""
        return frozenset((self.step, self.which) if self.slip is Slip.EXCHANGED else (self.step,))


# -- which steps -----------------------------------------------------------------------------


def introduced(era: Era, known: Sequence[Era] | None = None) -> tuple[Step, ...]:
    """The steps that ``era`` has and no earlier one of ``known`` (all eras, unless said) adds or replaces.

    So each distinct step belongs to one era; the base era introduces its whole list.
    """
    earlier: set[Step] = set()
    for other in all_eras() if known is None else known:
        if other is era:
            break
        earlier.update((*other.added, *other.replaced))
    new = {*era.added, *era.replaced}
    return tuple(declared for declared in era.steps if declared in new and declared not in earlier)


def mutations(era: Era, steps: Sequence[Step] | None = None) -> list[Mutation]:
    """Every mutation of ``steps``, which are those that ``era`` introduces, unless said.

    An adjacent pair is exchanged where either of the two is among the steps.
    """
    chosen = introduced(era) if steps is None else tuple(steps)
    instance = Instance(era, GALLERY)
    found = [mutation for declared in chosen for mutation in _single(instance, declared)]
    ids = {declared.id for declared in chosen}
    return found + [m for m in _exchanges(instance) if m.steps & ids]


def _single(instance: Instance, declared: Step) -> list[Mutation]:
    """The mutations of one step alone."""
    found: list[Mutation] = []
    for number, guard in enumerate(guards_of(instance, declared)):
        which = f"{number} {guard.name}"
        found += [Mutation(declared.id, slip, which) for slip in (Slip.GUARD_DROPPED, Slip.GUARD_NEGATED)]
    counter = declared.actor.counter
    own = "" if counter is None or declared.then is None else counter.qualified
    fields: dict[str, bool] = {}
    events: dict[str, None] = {}
    for _, path in instance._lift(declared):
        if _out_of_range(path):
            continue
        assigned = [(name, term) for (name, _), term in path.updates.items() if name != own]
        assigned += [(filled.qualified, term) for filled, _, term in path.fills]
        for name, term in assigned:
            fields[name] = fields.get(name, False) or _gives_back(name, term)
        events.update(dict.fromkeys(event.event.name for event in path.events))
    for name, release in fields.items():
        found.append(Mutation(declared.id, Slip.RELEASE_DROPPED if release else Slip.ASSIGNMENT_DROPPED, name))
    return found + [Mutation(declared.id, Slip.EVENT_DROPPED, name) for name in events]


def _exchanges(instance: Instance) -> list[Mutation]:
    """Every step with every one that begins where it ends, if one of the two carries a lock or a flag."""
    carrying = {action.step.id for action, path in instance.lifted if _carries(path)}
    begin_at: dict[tuple[type[Object], Enum], list[Step]] = {}
    for declared in instance.era.steps:
        if declared.at is not None and declared.then not in (None, declared.at):
            begin_at.setdefault((declared.actor, declared.at), []).append(declared)
    return [
        Mutation(first.id, Slip.EXCHANGED, second.id)
        for starting in begin_at.values()
        for first in starting
        if first.then is not None
        for second in begin_at.get((first.actor, first.then), ())
        if second.then is not first.at and {first.id, second.id} & carrying
    ]


def retold(instance: Instance, steps: Sequence[Step]) -> list[Mutation]:
    """Each event of ``steps`` with one argument exchanged: one enum member for another, true for false."""
    found: dict[Mutation, None] = {}
    for declared in steps:
        for event in (event for _, path in instance._lift(declared) for event in path.events):
            for number, argument in enumerate(event.arguments):
                others = type(argument) if isinstance(argument, Enum) else (True, False)
                if isinstance(argument, (Enum, bool)):
                    for other in others:
                        which = f"{event.event.name} {number} {_text_of(other)}"
                        if other is not argument:
                            found[Mutation(declared.id, Slip.RETOLD, which)] = None
    return list(found)


def function_of(declared: Step) -> str:
    """``reaper.oom_reap_task``: what the ids of the steps of one kernel function have in front."""
    return ".".join(declared.id.split(".")[:2])


def functions(era: Era) -> dict[str, tuple[Step, ...]]:
    """The steps of each kernel function of an era."""
    found: dict[str, tuple[Step, ...]] = {}
    for declared in era.steps:
        found[function_of(declared)] = (*found.get(function_of(declared), ()), declared)
    return found


def transplants(era: Era) -> list[Mutation]:
    """Each kernel function of ``era`` in each other form that some era has."""
    own = functions(era)
    seen = {(name, frozenset(steps)) for name, steps in own.items()}
    found: list[Mutation] = []
    for other in all_eras():
        for name, steps in functions(other).items():
            if name in own and (name, frozenset(steps)) not in seen:
                seen.add((name, frozenset(steps)))
                found.append(Mutation(name, Slip.FUNCTION_OF, other.id))
    return found


def transplanted(base: Instance, mutation: Mutation) -> frozenset[str]:
    """Ids of the steps that a transplant takes out or puts in."""
    both = functions(base.era).get(mutation.step, ()) + functions(find_era(mutation.which)).get(mutation.step, ())
    return frozenset(declared.id for declared in both)


def _text_of(argument: object) -> str:
    return argument.name if isinstance(argument, Enum) else str(argument)


def _retold(event: Event, which: str) -> Event:
    name, number, value = which.split()
    if event.event.name != name:
        return event
    position = int(number)
    argument = event.arguments[position]
    others = type(argument) if isinstance(argument, Enum) else (True, False)
    given = next(other for other in others if _text_of(other) == value)
    return Event(event.event, (*event.arguments[:position], given, *event.arguments[position + 1 :]))


@cache
def holders() -> frozenset[str]:
    """The fields that stand for a lock or a reference that somebody holds, such as ``Mm.read_by_reaper``."""
    instance = Instance(all_eras()[0], GALLERY)
    found: set[str] = set()
    for formula, kinds in HOLDINGS:
        term = instance.raw_formula(formula, [instance.structure.objects[kind.__name__][0] for kind in kinds])
        found |= {str(leaf.payload) for leaf in terms.leaves(term, Op.FIELD)}
    return frozenset(found)


def _gives_back(name: str, term: Term) -> bool:
    """A holder's field is set to what stands for nobody, or counted down."""
    if name not in holders():
        return False
    if term.op is Op.ADD:
        return isinstance(term.args[1].payload, int) and term.args[1].payload < 0
    if term.op is not Op.CONST:
        return False
    members = declaration_of(name).members
    nobody = next(iter(members)).name if members is not None else None
    return term.payload in (False, nobody)


def _carries(path: Path) -> bool:
    """It takes or gives back a lock or a reference, or sets a flag that something may act on."""
    names = {name for name, _ in path.updates} | {filled.qualified for filled, _, _ in path.fills}
    return any(
        name in holders() or (declaration_of(name).sort is BOOL and not declaration_of(name).history) for name in names
    )


def _out_of_range(path: Path) -> bool:
    """The path is no assignment of the step's: the lifting made it where a count leaves its range."""
    term = path.updates.get(HALTED)
    return term is not None and term.op is Op.CONST and term.payload == Halt.COUNT_RANGE.name


# -- guards ----------------------------------------------------------------------------------


def _modules_with_guards() -> list[ModuleType]:
    """The modules whose functions call `requires`, a user's own included; not the language itself."""
    return [
        module
        for name, module in sorted(sys.modules.items())
        if not name.startswith(("oom_spec.language", __name__)) and vars(module).get("requires") is requires
    ]


@contextmanager
def guarded_by(replacement: Callable[[bool, Enum], None]) -> Iterator[None]:
    """While it lasts, steps call ``replacement`` for `requires`."""
    modules = _modules_with_guards()
    for module in modules:
        vars(module)["requires"] = replacement
    try:
        yield
    finally:
        for module in modules:
            vars(module)["requires"] = requires


def _lift_guarded(
    instance: Instance, declared: Step, guard: Callable[[list[Enum], bool, Enum], None]
) -> tuple[Lifted, list[Enum]]:
    """The paths of ``declared`` under another meaning of `requires`, which is told the guards before it on the path.

    Also gives the longest list of guards that a path asked for.
    """
    called: list[Enum] = []
    longest: list[Enum] = []

    def replacement(condition: bool, name: Enum) -> None:
        guard(called, condition, name)
        called.append(name)
        if len(called) > len(longest):
            longest[:] = called

    def from_the_start(**handles: object) -> None:
        called.clear()
        declared.function(**handles)

    with guarded_by(replacement):
        return _lift(instance, attrs.evolve(declared, function=from_the_start)), longest


def guards_of(instance: Instance, declared: Step) -> list[Enum]:
    """The guards of a step, in the order in which it asks for them."""
    try:
        return _lift_guarded(instance, declared, lambda before, condition, name: None)[1]
    except MisuseError:  # what comes after a guard leans on it
        return _lift_guarded(instance, declared, lambda before, condition, name: requires(condition, name))[1]


def _lift(instance: Instance, declared: Step) -> Lifted:
    """The paths of all instances of a step, kept nowhere."""
    return [
        (Action(declared, arguments), path)
        for arguments in arguments_of(declared, instance.structure)
        for path in lift_step(declared, arguments, instance.store)
    ]


# -- making a mutant -------------------------------------------------------------------------


def mutated(base: Instance, mutation: Mutation) -> Instance:
    """``base`` with one thing changed.

    Raises `MisuseError` where the language refuses the changed step.
    """
    if mutation.slip is Slip.FUNCTION_OF:
        theirs = functions(find_era(mutation.which)).get(mutation.step, ())
        changed = [pair for declared in theirs for pair in _lift(base, declared)]
        return _with(base, transplanted(base, mutation), changed)
    steps = {declared.id: declared for declared in base.era.steps}
    for name in mutation.steps:
        if name not in steps:
            raise MisuseError(f"{base.era.id} has no step `{name}` to mutate")
    declared = steps[mutation.step]
    slip = mutation.slip
    if slip in (Slip.GUARD_DROPPED, Slip.GUARD_NEGATED):
        changed = _with_other_guard(base, declared, int(mutation.which.split()[0]), negated=slip is Slip.GUARD_NEGATED)
    elif slip is Slip.EXCHANGED:
        other = steps[mutation.which]
        changed = [
            *_lift(base, attrs.evolve(declared, at=other.at, then=other.then)),
            *_lift(base, attrs.evolve(other, at=declared.at, then=declared.then)),
        ]
    else:
        changed = [(action, _without(path, mutation)) for action, path in base._lift(declared)]
    return _with(base, mutation.steps, changed)


def _with(base: Instance, without: frozenset[str], changed: Lifted) -> Instance:
    """``base`` without some steps, but with other paths."""
    result = copy.copy(base)
    for name in ("_grounded", "ends", "live", "actions"):
        vars(result).pop(name, None)
    result.lifted = [(action, path) for action, path in base.lifted if action.step.id not in without] + changed
    return result


def _with_other_guard(base: Instance, declared: Step, number: int, *, negated: bool) -> Lifted:
    def guard(before: list[Enum], condition: bool, name: Enum) -> None:
        if len(before) != number:
            requires(condition, name)
        elif negated:
            requires(negate(condition), name)

    return _lift_guarded(base, declared, guard)[0]


def _without(path: Path, mutation: Mutation) -> Path:
    if _out_of_range(path):
        return path
    if mutation.slip is Slip.RETOLD:
        return attrs.evolve(path, events=tuple(_retold(event, mutation.which) for event in path.events))
    if mutation.slip is Slip.EVENT_DROPPED:
        return attrs.evolve(path, events=tuple(each for each in path.events if each.event.name != mutation.which))
    return attrs.evolve(
        path,
        updates={slot: term for slot, term in path.updates.items() if slot[0] != mutation.which},
        fills=tuple(fill for fill in path.fills if fill[0].qualified != mutation.which),
    )


__all__ = [
    "Mutation",
    "Slip",
    "function_of",
    "guarded_by",
    "guards_of",
    "holders",
    "introduced",
    "mutated",
    "mutations",
    "retold",
    "transplanted",
    "transplants",
]
