"""Plain stepping: the steps run on ordinary values. The reference that everything else must match.

A state is a tuple of small integers, one per slot of the instance's layout: false/true, the position
of an enum member, a count, or 0 for no object and 1, 2, ... for the objects of a class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

import attrs

from oom_spec.language import terms
from oom_spec.language.errors import CountRange, Disabled
from oom_spec.language.objects import Field, Object, Static
from oom_spec.language.scenarios import Scenario
from oom_spec.language.steps import Halt, Step, World
from oom_spec.language.terms import Kind, Op, Term
from oom_spec.lifting import HALTED, Event, Slot, object_term

Obj = TypeVar("Obj", bound=Object)
State = tuple[int, ...]


@attrs.frozen(eq=False)
class Variable:
    """One slot of the layout."""

    slot: Slot
    declaration: Field[Any]
    values: tuple[object, ...]
    """The value behind each code: truth values, counts, enum members, or object names."""
    initial: int

    @property
    def name(self) -> str:
        """``mm0.oom_skip`` or ``killer.scanned[P1.t0]``"""
        owner, *index = self.slot[1]
        text = f"{owner}.{self.declaration.name}"
        return f"{text}[{index[0]}]" if index else text

    def show(self, code: int) -> str:
        """The value behind ``code`` as text."""
        value = self.values[code]
        return value.name if isinstance(value, Enum) else str(value).lower() if isinstance(value, bool) else str(value)


def bounds_of(scenario: Scenario) -> dict[str, int]:
    """What counts refer to by name: the scenario's bounds, and the number of its tasks."""
    return {**scenario.bounds, "tasks": len(scenario.structure().objects.get("Task", ()))}


def layout(scenario: Scenario) -> tuple[Variable, ...]:
    """All variables of ``scenario``, objects in the order that it gives them."""
    structure = scenario.structure()
    bounds = bounds_of(scenario)
    made: list[tuple[type[Object], str, Mapping[str, object]]] = [(World, "world", {})]
    made += [(each.kind, each.name, each.values) for each in scenario.objects]
    found: list[Variable] = []
    for kind, name, values in made:
        for declared in kind.fields.values():
            indices: list[tuple[str, ...]] = [()]
            if declared.index is not None:
                indices = [(name_of_index,) for name_of_index in structure.objects.get(declared.index, ())]
            for index in indices:
                codes = _codes(declared, bounds, structure.objects)
                given = values.get(declared.name, declared.default)
                if isinstance(given, Mapping):
                    given = given.get(index[0], declared.default)
                if declared.sort.kind is Kind.CHOICE and isinstance(given, str):
                    assert declared.members is not None
                    given = declared.members[given]
                if declared.upto is not None and given not in codes:
                    raise CountRange(f"{name}.{declared.name}")
                found.append(Variable((declared.qualified, (name, *index)), declared, codes, codes.index(given)))
    return tuple(found)


def _codes(
    declared: Field[Any], bounds: Mapping[str, int], objects: Mapping[str, tuple[str, ...]]
) -> tuple[object, ...]:
    sort = declared.sort
    if sort.kind is Kind.BOOL:
        return (False, True)
    if sort.kind is Kind.COUNT:
        upto = declared.upto if isinstance(declared.upto, int) else bounds[str(declared.upto)]
        return tuple(range(upto + 1))
    if sort.kind is Kind.CHOICE:
        assert declared.members is not None
        return tuple(declared.members)
    return (None, *objects.get(sort.name, ()))


class ConcreteStore:
    """The store behind the handles of a step that runs on plain values."""

    def __init__(self, scenario: Scenario) -> None:
        self.structure = scenario.structure()
        self.variables = layout(scenario)
        self.bounds = bounds_of(scenario)
        self.positions = {variable.slot: position for position, variable in enumerate(self.variables)}
        self.codes = [
            {(type(value), value): code for code, value in enumerate(variable.values)} for variable in self.variables
        ]
        self.state: list[int] = [variable.initial for variable in self.variables]
        self.events: list[Event] = []
        self.handles: dict[tuple[str, str], Object] = {}
        for kind_name, names in self.structure.objects.items():
            kind = Object.classes[kind_name]
            for name in names:
                self.handles[kind_name, name] = kind(self, object_term(kind, name))

    @property
    def initial(self) -> State:
        """The cold start."""
        return tuple(variable.initial for variable in self.variables)

    @property
    def world(self) -> World:
        """The world's handle."""
        world = self.handles["World", "world"]
        assert isinstance(world, World)
        return world

    def read(self, declaration: Field[Any], owners: tuple[Term, ...]) -> object:
        """The value of a field."""
        position = self.positions[declaration.qualified, tuple(str(o.payload) for o in owners)]
        value = self.variables[position].values[self.state[position]]
        if declaration.target is not None and value is not None:
            return self.handles[declaration.target, str(value)]
        return value

    def write(self, declaration: Field[Any], owners: tuple[Term, ...], value: object) -> None:
        """Assign a field; raises `CountRange` where a count leaves its range."""
        position = self.positions[declaration.qualified, tuple(str(o.payload) for o in owners)]
        plain = value.label if isinstance(value, Object) else value
        code = self.codes[position].get((type(plain), plain))
        if code is None:
            if declaration.sort.kind is Kind.COUNT:
                raise CountRange(declaration.qualified)
            raise TypeError(f"{declaration.qualified} cannot hold {value!r}")
        self.state[position] = code

    def full(self, declaration: Field[Any], owners: tuple[Term, ...]) -> object:
        """Whether a count stands at its upper bound in this scenario."""
        upto = declaration.upto if isinstance(declaration.upto, int) else self.bounds[str(declaration.upto)]
        return self.read(declaration, owners) == upto

    def fill(self, declaration: Field[Any], owner: Term, value: object) -> None:
        """Assign a field for all its indices."""
        for name in self.structure.objects.get(str(declaration.index), ()):
            self.write(declaration, (owner, object_term(Object.classes[str(declaration.index)], name)), value)

    def static(self, declaration: Static[Any], owner: Term) -> object:
        """A fixed attribute."""
        value = self.structure.statics[declaration.qualified, str(owner.payload)]
        if declaration.sort.kind is Kind.OBJECT and value is not None:
            return self.handles[declaration.sort.name, str(value)]
        return value

    def same(self, left: Term, right: Term) -> object:
        """Whether two objects are one."""
        return left is right

    def quantify(self, op: Op, kind: type[Object], predicate: Callable[[Any], object]) -> object:
        """A plain loop."""
        subjects = (self.handles[kind.__name__, n] for n in self.structure.objects.get(kind.__name__, ()))
        return all(map(predicate, subjects)) if op is Op.EVERY else any(map(predicate, subjects))

    def announce(self, event: Enum, arguments: tuple[object, ...]) -> None:
        """Record an event."""
        plain = tuple(arg.label if isinstance(arg, Object) else arg for arg in arguments)
        self.events.append(Event(event, plain))

    def handle(self, kind: type[Obj], term: Term) -> Obj:
        """The handle of an object."""
        found = self.handles[kind.__name__, str(term.payload)]
        assert isinstance(found, kind)
        return found

    # -- running steps -----------------------------------------------------------------------

    def load(self, state: State) -> None:
        """Continue from ``state``."""
        self.state = list(state)
        self.events = []

    def value(self, slot: Slot) -> object:
        """The value of one slot in the loaded state."""
        position = self.positions[slot]
        return self.variables[position].values[self.state[position]]

    def run(self, declared: Step, arguments: Mapping[str, str], state: State) -> State:
        """The state after the step.

        Raises `Disabled`, with the first guard that is false, where the step cannot be taken.
        """
        self.load(state)
        handles = {name: self.handles[kind.__name__, arguments[name]] for name, kind in declared.parameters}
        acting = [handles[name] for name, kind in declared.parameters if kind is declared.actor]
        actor = acting[0] if acting else self.world
        counter = declared.actor.counter
        if self.value(HALTED) is not Halt.RUNNING:
            raise Disabled("the machine has halted")
        if declared.at is not None:
            assert counter is not None
            if self.value((counter.qualified, (actor.label,))) is not declared.at:
                raise Disabled(f"not at {declared.at.name}")
        for parameter, pointer in declared.binds.items():
            if Object.__getattribute__(actor, pointer) != handles[parameter]:
                raise Disabled(f"{pointer} is not {arguments[parameter]}")
        try:
            declared.function(**handles)
            if declared.then is not None:
                assert counter is not None
                self.write(counter, (actor._term,), declared.then)
        except CountRange:
            self.load(state)
            self.write(World.fields["halted"], (object_term(World, "world"),), Halt.COUNT_RANGE)
        return tuple(self.state)


def arguments_of(declared: Step, structure: terms.Structure) -> list[dict[str, str]]:
    """Every combination of objects for the parameters of ``declared``."""
    found: list[dict[str, str]] = [{}]
    for name, kind in declared.parameters:
        names = structure.objects.get(kind.__name__, ())
        found = [{**rest, name: each} for rest in found for each in names]
    return found
