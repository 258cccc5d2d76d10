"""Lifted and plain steps agree: same enabledness, same next state, same events, same count-range faults.

For each step, every valuation of its footprint (the fields that some path reads or writes) is tried
with all other fields random. Program points and the halt flag take two values each: the step's own
and one other. The lifted side is read by `evaluate`, which shares no code with the explorer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import cache
from itertools import chain, product, repeat

import pytest

from oom_spec.eras import all_eras
from oom_spec.language import Scenario, World, negate, requires, terms, when
from oom_spec.language.errors import Disabled
from oom_spec.language.steps import Halt, Step
from oom_spec.language.terms import Op, Term
from oom_spec.lifting import HALTED, Path, Slot, SymbolicStore, lift_step
from oom_spec.reachable_values import slot_of
from oom_spec.scenarios import SCENARIOS
from oom_spec.stepping import ConcreteStore, State, Variable, arguments_of

from .evaluate import Plain, evaluate
from .toy import HOUSE, ROOM_FOR_TWO, TWO_GUESTS, Guest, GuestAt, House, Paint, Why, guest_step

MOST = 2**17
"""Valuations of one footprint; beyond, they are sampled."""
FEWEST = 64
"""States in which each instance is compared at least, however small its footprint."""
SEED = 20170725


class Ground:
    """A scenario seen from both sides."""

    def __init__(self, scenario: Scenario) -> None:
        self.plain = ConcreteStore(scenario)
        self.structure = self.plain.structure
        self.symbolic = SymbolicStore(self.structure, self.plain.bounds)
        self.variables = {variable.slot: variable for variable in self.plain.variables}

    def paths(self, declared: Step, arguments: Mapping[str, str]) -> list[GroundedPath]:
        """The paths that the scenario's fixed part does not rule out."""
        grounded = (GroundedPath(path, self) for path in lift_step(declared, arguments, self.symbolic))
        return [path for path in grounded if path.condition is not terms.FALSE]


class GroundedPath:
    """A lifted path without quantifiers and without `fill`."""

    def __init__(self, path: Path, ground: Ground) -> None:
        def expanded(term: Term) -> Term:
            return terms.expand(term, ground.structure)

        self.condition = terms.conjoin(*(expanded(part) for part in (*path.site, *path.condition)))
        self.updates = {slot: expanded(term) for slot, term in path.updates.items()}
        for declaration, owner, value in path.fills:
            for name in ground.structure.objects.get(str(declaration.index), ()):
                self.updates[declaration.qualified, (owner, name)] = expanded(value)
        self.events = [(event.event, event.arguments) for event in path.events]

    def reads(self) -> set[Slot]:
        """The fields that decide where the path goes and what it writes."""
        return {
            slot_of(leaf) for term in (self.condition, *self.updates.values()) for leaf in terms.leaves(term, Op.FIELD)
        }


@cache
def grounds() -> tuple[Ground, ...]:
    """All scenarios, the smallest first."""
    return tuple(sorted(map(Ground, SCENARIOS), key=lambda ground: len(ground.variables)))


def plain_value(variable: Variable, code: int) -> Plain:
    """The value behind a code, enum members by name."""
    value = variable.values[code]
    if isinstance(value, Enum):
        return value.name
    assert value is None or isinstance(value, bool | int | str)
    return value


class Comparison:
    """One step for given objects, lifted and plain."""

    def __init__(self, declared: Step, arguments: Mapping[str, str], ground: Ground) -> None:
        self.declared = declared
        self.arguments = arguments
        self.ground = ground
        self.paths = ground.paths(declared, arguments)
        self.draw = random.Random(f"{SEED} {declared.id} {sorted(arguments.items())}")
        footprint = {slot for path in self.paths for slot in (*path.reads(), *path.updates)} | self._site()
        in_conditions = {
            slot_of(leaf) for path in self.paths for leaf in terms.leaves(path.condition, Op.FIELD)
        } | self._site()
        self.choices = {slot: self._codes(slot) for slot in ground.variables if slot in footprint}
        self.size = self._size(self.choices)
        self.exhaustive = self.size <= MOST
        if not self.exhaustive:
            self.choices = {slot: codes for slot, codes in self.choices.items() if slot in in_conditions}
        self.sampled = self._size(self.choices) > MOST

    def _site(self) -> set[Slot]:
        """The fields that say where the step is reached; known even where no path is left."""
        counter = self.declared.actor.counter
        if self.declared.at is None or counter is None:
            return {HALTED}
        actor = self.arguments[next(name for name, kind in self.declared.parameters if kind is self.declared.actor)]
        return {HALTED, (counter.qualified, (actor,))}

    @staticmethod
    def _size(choices: Mapping[Slot, tuple[int, ...]]) -> int:
        size = 1
        for codes in choices.values():
            size *= len(codes)
        return size

    def _codes(self, slot: Slot) -> tuple[int, ...]:
        """All codes of a field; of a program counter the step's own point and one other."""
        variable = self.ground.variables[slot]
        codes = tuple(range(len(variable.values)))
        own: object = Halt.RUNNING if slot == HALTED else self.declared.at
        if slot != HALTED and not variable.declaration.program_counter:
            return codes
        here = variable.values.index(own) if own in variable.values else self.draw.choice(codes)
        return (here, self.draw.choice([code for code in codes if code != here]))

    def states(self) -> Iterator[State]:
        """Every valuation of the footprint (or a sample), everything else random."""
        variables = self.ground.plain.variables
        positions = [self.ground.plain.positions[slot] for slot in self.choices]
        widths = [len(variable.values) for variable in variables]
        draw = self.draw.random
        valuations: Iterator[tuple[int, ...]] = (
            (tuple(map(self.draw.choice, self.choices.values())) for _ in range(MOST))
            if self.sampled
            else product(*self.choices.values())
        )
        repeats = -(-FEWEST // self._size(self.choices))
        for valuation in chain.from_iterable(repeat(each, repeats) for each in valuations):
            state = [int(draw() * width) for width in widths]
            for position, code in zip(positions, valuation, strict=True):
                state[position] = code
            yield tuple(state)

    def lifted(self, state: State) -> tuple[State, list[object]] | None:
        """The next state and the events by the lifted paths, None where the step cannot be taken."""
        structure = self.ground.structure
        plain = self.ground.plain
        values = {
            variable.slot: plain_value(variable, code) for variable, code in zip(plain.variables, state, strict=True)
        }
        possible = [path for path in self.paths if evaluate(path.condition, values, structure)]
        assert len(possible) <= 1, "two paths of one step are possible at once"
        if not possible:
            return None
        target = list(state)
        for slot, term in possible[0].updates.items():
            value = evaluate(term, values, structure)
            variable = self.ground.variables[slot]
            codes = [code for code in range(len(variable.values)) if plain_value(variable, code) == value]
            assert len(codes) == 1, (slot, value)
            target[plain.positions[slot]] = codes[0]
        return tuple(target), list(possible[0].events)

    def plain(self, state: State) -> tuple[State, list[object]] | None:
        """The same by the step itself."""
        store = self.ground.plain
        try:
            target = store.run(self.declared, self.arguments, state)
        except Disabled:
            return None
        return target, [(event.event, event.arguments) for event in store.events]

    def check(self) -> tuple[int, int]:
        """How many valuations were tried, and in how many the step could be taken."""
        tried = taken = 0
        for state in self.states():
            expected = self.plain(state)
            assert self.lifted(state) == expected, (self.declared.id, dict(self.arguments), self.show(state))
            tried += 1
            taken += expected is not None
        return tried, taken

    def show(self, state: State) -> dict[str, str]:
        """The footprint's part of a state, for messages."""
        return {
            self.ground.variables[slot].name: self.ground.variables[slot].show(state[self.ground.plain.positions[slot]])
            for slot in self.choices
        }


def all_steps() -> dict[str, Step]:
    """Every step of every era, each once: eras share most of them."""
    found: dict[str, Step] = {}
    seen: set[int] = set()
    for era in all_eras():
        for declared in era.steps:
            if id(declared) not in seen:
                seen.add(id(declared))
                found[f"{era.id}: {declared.id}"] = declared
    return found


CANDIDATES = 6
"""Scenarios in which a step could be taken that are looked at for one where its footprint is small."""


@cache
def comparisons(declared: Step) -> list[Comparison]:
    """All instances of the step in a small scenario in which one of them can be taken.

    The first one with footprints that can be covered whole; else the first one.
    """
    candidates: list[list[Comparison]] = []
    for ground in grounds():
        found = [Comparison(declared, arguments, ground) for arguments in arguments_of(declared, ground.structure)]
        if any(comparison.paths for comparison in found):
            candidates.append(found)
            if all(comparison.exhaustive for comparison in found):
                return found
        if len(candidates) == CANDIDATES:
            break
    return min(candidates, key=lambda found: sum(each.size for each in found), default=[])


STEPS = all_steps()


@pytest.mark.parametrize("name", STEPS)
def test_lifted_and_plain_step_agree(name: str) -> None:
    found = comparisons(STEPS[name])
    assert found, "no scenario has an instance of this step"
    assert sum(comparison.check()[1] for comparison in found), "the step was never taken"


def test_nearly_all_footprints_are_covered_whole(record_property: Callable[[str, object], None]) -> None:
    partial = [name for name, declared in STEPS.items() if not all(c.exhaustive for c in comparisons(declared))]
    record_property("steps", len(STEPS))
    record_property("not_exhaustive", partial)
    assert len(partial) <= 0.05 * len(STEPS), partial


# -- the comparison itself, on the toy -----------------------------------------------------------


def toy_comparisons(declared: Step, scenario: Scenario = TWO_GUESTS) -> list[Comparison]:
    """Every instance of a toy step."""
    ground = Ground(scenario)
    return [Comparison(declared, arguments, ground) for arguments in arguments_of(declared, ground.structure)]


@pytest.mark.parametrize("scenario", [TWO_GUESTS, ROOM_FOR_TWO], ids=lambda scenario: scenario.id)
@pytest.mark.parametrize("declared", HOUSE.steps, ids=lambda declared: declared.id)
def test_toy_steps_agree(declared: Step, scenario: Scenario) -> None:
    for comparison in toy_comparisons(declared, scenario):
        assert comparison.check()[1]


def test_a_count_out_of_range_halts_on_both_sides() -> None:
    enter = toy_comparisons(HOUSE.steps[0])[0]
    plain = enter.ground.plain
    visits = plain.positions["House.visits", ("house",)]
    state = list(plain.initial)
    state[visits] = 1
    outcome = enter.plain(tuple(state))
    assert outcome == enter.lifted(tuple(state))
    assert outcome is not None
    target, events = outcome
    state[plain.positions[HALTED]] = list(Halt).index(Halt.COUNT_RANGE)
    assert target == tuple(state)
    assert events == []


def test_every_way_through_a_step_with_branches_is_a_path() -> None:
    leave = toy_comparisons(HOUSE.steps[1])[0]
    assert len(leave.paths) == 3


def disagreement(body: object) -> str:
    """What the comparison says of a step that means something else when it is lifted."""
    assert callable(body)

    def probe(world: World, guest: Guest, house: House) -> None:
        """Does what the test wants to be noticed."""
        body(world, guest, house)

    declared = guest_step(at=GuestAt.OUTSIDE, then=GuestAt.INSIDE, call="probe")(probe)
    found = toy_comparisons(declared)
    with pytest.raises(AssertionError) as caught:
        sum(comparison.check()[0] for comparison in found)
    return str(caught.value)


def test_the_comparison_notices_a_guard_by_identity() -> None:
    assert disagreement(lambda w, g, h: requires(h.locked is True, Why.TEST))


def test_the_comparison_notices_a_symbol_kept_as_an_object() -> None:
    def by_identity(world: World, guest: Guest, house: House) -> None:
        house.paint = Paint.BLUE if house.last is None else Paint.GREEN

    assert disagreement(by_identity)


def test_the_comparison_notices_an_effect_of_the_number_of_runs() -> None:
    """The lifting runs a step once per path, so what a step keeps outside the state shows."""
    runs: list[int] = []

    def remembers(world: World, guest: Guest, house: House) -> None:
        runs.append(1)
        house.locked = negate(house.locked) if len(runs) % 2 else when(house.locked, False, True)
        house.seen[guest] = len(runs) > 3

    assert disagreement(remembers)
