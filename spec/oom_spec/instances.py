"""An instance: an era in a scenario, all its paths lifted and grounded.

Grounding expands quantifiers for the scenario's objects, drops the paths that an over-approximation
of the reachable values rules out, and folds the fields that keep one value. What is left is what the
explorer, Z3 and the exports work on; the plain steps know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cached_property
from itertools import product
from weakref import WeakKeyDictionary

import attrs

from oom_spec.language import terms
from oom_spec.language.eras import Era
from oom_spec.language.objects import Object
from oom_spec.language.properties import Property
from oom_spec.language.scenarios import Scenario
from oom_spec.language.steps import Halt, Step, World, actor_parameter
from oom_spec.language.terms import Kind, Op, Term
from oom_spec.lifting import (
    HALTED,
    Event,
    Path,
    Slot,
    SymbolicStore,
    lift_formula,
    lift_step,
    object_term,
)
from oom_spec.reachable_values import reachable_values, satisfiable, slot_of
from oom_spec.stepping import ConcreteStore, State, Variable, arguments_of


@attrs.frozen(eq=False)
class Action:
    """One step for given objects: what a run consists of."""

    step: Step
    arguments: Mapping[str, str]

    @cached_property
    def id(self) -> str:
        """``reaper.oom_reap_task.put_task_struct(P1.t0)``: the step and its objects."""
        hidden = {actor_parameter(self.step)} if self.step.actor is not World else set()
        shown = [
            self.arguments[name] for name, kind in self.step.parameters if kind is not World and name not in hidden
        ]
        actor = self.arguments[actor_parameter(self.step)] if self.step.actor is not World else ""
        return f"{self.step.id}({', '.join([*([actor] if actor else []), *shown])})"

    @property
    def actor(self) -> str:
        """The name of the acting object; ``environment`` for steps of nobody in particular."""
        return "environment" if self.step.actor is World else self.arguments[actor_parameter(self.step)]


@attrs.frozen(eq=False)
class GroundPath:
    """One path of one action without quantifiers: condition (program point included) and updates."""

    number: int
    action: Action
    condition: Term
    updates: Mapping[Slot, Term]
    events: tuple[Event, ...]


@attrs.frozen(eq=False)
class Check:
    """A property's formulas for given objects: ``bad`` where it is violated, and so on."""

    property: Property
    arguments: tuple[object, ...]
    when: Term
    holds: Term
    """``then``, without any excuse."""
    excused: Term
    """``then`` or the excuse; the same as `holds` where there is none."""

    def violated(self, *, strict: bool) -> Term:
        """Where the check fails; ``strict`` accepts no excuse."""
        return terms.conjoin(self.when, terms.negate(self.holds if strict else self.excused))


_lifted: dict[tuple[Scenario, Step], tuple[tuple[Action, Path], ...]] = {}
"""What eras share is lifted once; kept for the life of the process, as eras and scenarios are."""
_formulas: dict[tuple[Scenario, Callable[..., bool], tuple[object, ...]], Term] = {}
"""The formulas of properties, expanded; kept as long as the properties are, for the life of the process."""
_expanded: WeakKeyDictionary[Path, tuple[Term, dict[Slot, Term]]] = WeakKeyDictionary()
"""The same for expanded paths; those that nobody uses any more are forgotten."""


class Instance:
    """An era in a scenario."""

    def __init__(self, era: Era, scenario: Scenario) -> None:
        self.era = era
        self.scenario = scenario
        self.structure = scenario.structure()
        self.concrete = ConcreteStore(scenario)
        self.variables: tuple[Variable, ...] = self.concrete.variables
        self.store = SymbolicStore(self.structure, self.concrete.bounds)
        self.lifted: list[tuple[Action, Path]] = [pair for declared in era.steps for pair in self._lift(declared)]

    def _lift(self, declared: Step) -> tuple[tuple[Action, Path], ...]:
        """The paths of all actions of a step: the same for every era that has this very step."""
        found = _lifted.get((self.scenario, declared))
        if found is None:
            found = tuple(
                (action, path)
                for action in self._actions(declared)
                for path in lift_step(declared, action.arguments, self.store)
            )
            _lifted[self.scenario, declared] = found
        return found

    def _actions(self, declared: Step) -> list[Action]:
        return [Action(declared, arguments) for arguments in arguments_of(declared, self.structure)]

    @cached_property
    def actions(self) -> tuple[Action, ...]:
        """Every step for every combination of objects, reachable or not."""
        return tuple(action for declared in self.era.steps for action in self._actions(declared))

    # -- grounding ---------------------------------------------------------------------------

    @property
    def paths(self) -> tuple[GroundPath, ...]:
        """Every path that may be taken, grounded."""
        return self._grounded[0]

    @property
    def constants(self) -> Mapping[Slot, Term]:
        """The fields that keep one value."""
        return self._grounded[1]

    @cached_property
    def _grounded(self) -> tuple[tuple[GroundPath, ...], Mapping[Slot, Term]]:
        raw: list[tuple[Action, Term, dict[Slot, Term], tuple[Event, ...]]] = []
        goes_on = terms.negate(self._expanded_end())
        for action, path in self.lifted:
            condition, updates = self._expand(path)
            if condition is not terms.FALSE:
                raw.append((action, condition, updates, path.events))
        values = reachable_values(
            {variable.slot: self.initial_term(variable) for variable in self.variables},
            [(terms.conjoin(goes_on, condition), updates) for _, condition, updates, _ in raw],
        )
        constants = {slot: next(iter(found)) for slot, found in values.items() if len(found) == 1}
        memo: dict[int, Term] = {}

        def constant(term: Term) -> Term | None:
            return constants.get(slot_of(term)) if term.op is Op.FIELD else None

        kept: list[GroundPath] = []
        for action, condition, updates, events in raw:
            if not satisfiable(terms.conjoin(goes_on, condition), values):
                continue
            folded = terms.rebuild(condition, constant, memo)
            new = {slot: terms.rebuild(term, constant, memo) for slot, term in updates.items() if slot not in constants}
            kept.append(GroundPath(len(kept), action, folded, new, events))
        return tuple(kept), constants

    def _expand(self, path: Path) -> tuple[Term, dict[Slot, Term]]:
        """Condition and updates without quantifiers; a path belongs to one scenario, so once is enough."""
        found = _expanded.get(path)
        if found is None:
            parts = (terms.expand(part, self.structure) for part in (*path.site, *path.condition))
            updates = {slot: terms.expand(term, self.structure) for slot, term in path.updates.items()}
            for declaration, owner, value in path.fills:
                for name in self.structure.objects.get(str(declaration.index), ()):
                    updates[declaration.qualified, (owner, name)] = terms.expand(value, self.structure)
            found = _expanded[path] = (terms.conjoin(*parts), updates)
        return found

    def _expanded_end(self) -> Term:
        if self.scenario.ends is None:
            return terms.FALSE
        world = self.store.handle(World, object_term(World, "world"))
        return terms.expand(lift_formula(self.scenario.ends, (world,), self.store), self.structure)

    def _constant(self, term: Term) -> Term | None:
        return self.constants.get(slot_of(term)) if term.op is Op.FIELD else None

    def initial_term(self, variable: Variable) -> Term:
        """The value of a variable in the cold start, as a constant."""
        return self.constant_term(variable, variable.initial)

    def constant_term(self, variable: Variable, code: int) -> Term:
        """The value behind a code, as a constant."""
        sort = variable.declaration.sort
        value = variable.values[code]
        if sort.kind is Kind.COUNT:
            assert isinstance(value, int)
            return terms.integer(value)
        if sort.kind is Kind.CHOICE:
            assert isinstance(value, Enum)
            return terms.const(sort, value.name)
        assert value is None or isinstance(value, (bool, str))
        return terms.const(sort, value)

    @cached_property
    def live(self) -> tuple[Variable, ...]:
        """The variables that some path can change: the rest is folded away."""
        return tuple(variable for variable in self.variables if variable.slot not in self.constants)

    def simplify(self, term: Term) -> Term:
        """``term`` grounded: quantifiers expanded, unchanging fields folded."""
        return terms.rebuild(terms.expand(term, self.structure), self._constant, {})

    # -- formulas ----------------------------------------------------------------------------

    def tuples(self, kinds: Sequence[type[Object]]) -> Iterator[tuple[str, ...]]:
        """Every combination of objects of ``kinds``, by name."""
        return product(*(self.structure.objects.get(kind.__name__, ()) for kind in kinds))

    def raw_formula(self, function: Callable[..., bool], arguments: Iterable[object]) -> Term:
        """A formula over given objects, lifted only."""
        given = tuple(self._handle(argument) for argument in arguments)
        world = self.store.handle(World, object_term(World, "world"))
        return lift_formula(function, (world, *given), self.store)

    def _of_property(self, function: Callable[..., bool], arguments: tuple[object, ...]) -> Term:
        """A formula of a property, grounded; eras share what does not depend on their steps."""
        key = self.scenario, function, arguments
        found = _formulas.get(key)
        if found is None:
            found = _formulas[key] = terms.expand(self.raw_formula(function, arguments), self.structure)
        return terms.rebuild(found, self._constant, {})

    def formula(self, function: Callable[..., bool], arguments: Iterable[object]) -> Term:
        """A formula over given objects (by name), enum members and constants, grounded."""
        return self.simplify(self.raw_formula(function, arguments))

    def _handle(self, argument: object) -> object:
        if isinstance(argument, str):
            for kind, names in self.structure.objects.items():
                if argument in names:
                    declared = World.classes[kind]
                    return self.store.handle(declared, object_term(declared, argument))
        return argument

    @cached_property
    def ends(self) -> Term:
        """Where the scenario stops looking."""
        return terms.rebuild(self._expanded_end(), self._constant, {})

    def check(self, subject: Property, arguments: tuple[object, ...]) -> Check:
        """The formulas of ``subject`` for given arguments."""
        when = self._of_property(subject.when, arguments)
        holds = self._of_property(subject.then, arguments)
        excuse = terms.FALSE if subject.excuse is None else self._of_property(subject.excuse, arguments)
        return Check(subject, arguments, when, holds, terms.disjoin(holds, excuse))

    def invariants(self, subject: Property) -> tuple[Check, ...]:
        """A state property for every combination of the objects that it speaks of."""
        return tuple(self.check(subject, names) for names in self.tuples(subject.over))

    def obligations(self, subject: Property) -> Mapping[int, tuple[Check, ...]]:
        """A step property: the checks of each path that announces its event."""
        found: dict[int, tuple[Check, ...]] = {}
        for path in self.paths:
            checks = tuple(self.check(subject, e.arguments) for e in path.events if e.event is subject.event)
            if checks:
                found[path.number] = checks
        return found

    # -- plain runs --------------------------------------------------------------------------

    def state_of(self, values: Mapping[Slot, int]) -> State:
        """A full state from the codes of the live variables."""
        return tuple(values.get(variable.slot, variable.initial) for variable in self.variables)

    def holds(self, function: Callable[..., bool], arguments: Iterable[object], state: State) -> bool:
        """A formula on a plain state."""
        self.concrete.load(state)
        given = tuple(self._concrete_handle(argument) for argument in arguments)
        return bool(function(self.concrete.world, *given))

    def _concrete_handle(self, argument: object) -> object:
        if isinstance(argument, str):
            for kind, names in self.structure.objects.items():
                if argument in names:
                    return self.concrete.handles[kind, argument]
        return argument


__all__ = ["HALTED", "Action", "Check", "GroundPath", "Halt", "Instance", "slot_of"]
