"""The reachable states of small worlds, as sets: which conditions are ever true of some objects together.

A set of states is one integer with a bit for each state, so that a condition is looked up in all of
them at once. What no small world reaches is only a guess about large ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import reduce
from itertools import islice
from operator import or_

from oom_spec.instances import Instance
from oom_spec.language import terms
from oom_spec.language.errors import SpecError
from oom_spec.language.terms import BOOL, Op, Term, Value
from oom_spec.lifting import Slot
from oom_spec.packing import Packing

Binding = dict[Value, str]
"""Objects by the names, or by the levels of quantifiers, that stand for them."""
Column = Mapping[Value, int]
"""For each value the states in which something has it."""


MOST_FOLLOWED = 300
"""States of one world that are gone on from at once."""
FOLLOWED = 2
"""Steps from them."""

Successors = Callable[[int], Sequence[tuple[int, object]]]


class NobodyError(Exception):
    """A fixed attribute does not lead to the object that a condition speaks of."""


class SmallWorld:
    """The reachable states of one instance, or some of them."""

    def __init__(
        self, instance: Instance, packing: Packing, states: Sequence[int], successors: Successors | None = None
    ) -> None:
        """``successors``: what follows a state, where ``states`` are only some of the reachable ones."""
        self.instance = instance
        self.successors = successors
        self._packing = packing
        self.states = states
        """Packed; where the world was explored, in the order in which they were found."""
        self.all = (1 << len(self.states)) - 1
        self._columns: dict[Slot, Column] = {}
        self._values = {variable.slot: variable.values for variable in self.instance.variables}

    def with_states(self, states: Iterable[int]) -> SmallWorld:
        """The same world with more states."""
        return SmallWorld(self.instance, self._packing, tuple(dict.fromkeys((*self.states, *states))), self.successors)

    def objects(self, kind: str) -> Sequence[str]:
        """The names of the objects of a class."""
        return self.instance.structure.objects.get(kind, ())

    def seen(self) -> dict[str, set[Value]]:
        """The values that each field ever has."""
        found: dict[str, set[Value]] = {}
        for variable in self.instance.variables:
            found.setdefault(variable.declaration.qualified, set()).update(self.column(variable.slot))
        return found

    def column(self, slot: Slot) -> Column:
        """The states in which a field has each of its values."""
        found = self._columns.get(slot)
        if found is None:
            found = self._columns[slot] = self._new_column(slot)
        return found

    def _new_column(self, slot: Slot) -> Column:
        constant = self.instance.constants.get(slot)
        if constant is not None:
            return {constant.payload: self.all}
        if slot not in self._values:
            raise NobodyError
        offset, mask = self._packing.offsets[slot], self._packing.mask(slot)
        codes = bytes(state >> offset & mask for state in self.states)
        found: dict[Value, int] = {}
        for code, value in enumerate(self._values[slot]):
            table = bytes(ord("1") if each == code else ord("0") for each in range(256))
            members = int(codes.translate(table), 2)
            if members:
                assert value is None or isinstance(value, (Enum, bool, int, str))
                found[value.name if isinstance(value, Enum) else value] = members
        return found

    def truth(self, term: Term, binding: Binding) -> int:
        """The states in which a formula is true of the objects that ``binding`` gives."""
        op, args = term.op, term.args
        if op is Op.CONST:
            return self.all if term.payload else 0
        if op is Op.NOT:
            return self.all ^ self.truth(args[0], binding)
        if op is Op.AND:
            found = self.all
            for arg in args:
                found &= self.truth(arg, binding)
                if not found:
                    break
            return found
        if op is Op.OR:
            found = 0
            for arg in args:
                found |= self.truth(arg, binding)
            return found
        if op is Op.ITE:
            condition = self.truth(args[0], binding)
            yes, no = (self.truth(arg, binding) for arg in args[1:])
            return condition & yes | (self.all ^ condition) & no
        if op is Op.EVERY or op is Op.SOME:
            parts = (self.truth(args[1], {**binding, term.payload: each}) for each in self.objects(args[0].sort.name))
            return reduce(or_, parts, 0) if op is Op.SOME else self.all ^ reduce(or_, (self.all ^ p for p in parts), 0)
        if op is Op.AT_LEAST:
            least = args[1].payload
            assert isinstance(least, int)
            return reduce(or_, (s for v, s in self.column_of(args[0], binding).items() if self._number(v) >= least), 0)
        if op is Op.EQ:
            if args[0].sort == BOOL:
                return self.all ^ self.truth(args[0], binding) ^ self.truth(args[1], binding)
            left, right = (self.column_of(arg, binding) for arg in args)
            return reduce(or_, (states & right[value] for value, states in left.items() if value in right), 0)
        column = self.column_of(term, binding)
        return column.get(True, 0)

    @staticmethod
    def _number(value: Value) -> int:
        assert isinstance(value, int)
        return value

    def column_of(self, term: Term, binding: Binding) -> Column:
        """The states in which a term has each of its values."""
        op, args = term.op, term.args
        if op is Op.CONST:
            return {term.payload: self.all}
        if op is Op.NAMED or op is Op.BOUND:
            return {binding[term.payload]: self.all}
        if op is Op.STATIC:
            name = str(term.payload)
            if name.startswith("limit."):
                return {self.instance.concrete.bounds[name.removeprefix("limit.")]: self.all}
            return {self.instance.structure.statics.get((name, self._object(args[0], binding))): self.all}
        if op is Op.FIELD:
            return self.column((str(term.payload), tuple(self._object(arg, binding) for arg in args)))
        if op is Op.ADD:
            change = self._number(args[1].payload)
            return {self._number(v) + change: states for v, states in self.column_of(args[0], binding).items()}
        if op is Op.ITE:
            condition = self.truth(args[0], binding)
            found: dict[Value, int] = {}
            for arg, where in ((args[1], condition), (args[2], self.all ^ condition)):
                for value, states in self.column_of(arg, binding).items():
                    found[value] = found.get(value, 0) | states & where
            return found
        if term.sort == BOOL:
            true = self.truth(term, binding)
            return {True: true, False: self.all ^ true}
        raise SpecError(f"internal error: {term} cannot be looked up in small worlds")

    def _object(self, term: Term, binding: Binding) -> str:
        return str(next(iter(self.column_of(term, binding))))


def _members(states: int, of: Sequence[int]) -> Iterator[int]:
    """The packed states that a set has."""
    while states:
        lowest = states & -states
        yield of[len(of) - lowest.bit_length()]
        states ^= lowest


def _following(states: Iterable[int], successors: Successors | None) -> dict[int, None]:
    found: dict[int, None] = {}
    assert successors is not None
    at = list(states)
    for _ in range(FOLLOWED):
        at = [reached for state in at for reached, _ in successors(state)]
        found.update(dict.fromkeys(at))
    return found


def _order(literals: Sequence[Term], also: Sequence[Term] = ()) -> tuple[list[Term], list[list[Term]]]:
    """The names that terms speak of, and for each number of them the literals that speak of no more."""
    roots: dict[Value, Term] = {}
    for term in (*literals, *also):
        for leaf in terms.leaves(term, Op.NAMED):
            roots.setdefault(leaf.payload, leaf)
    place = {name: number for number, name in enumerate(roots, 1)}
    due: list[list[Term]] = [[] for _ in range(len(roots) + 1)]
    for term in literals:
        due[max((place[leaf.payload] for leaf in terms.leaves(term, Op.NAMED)), default=0)].append(term)
    return list(roots.values()), due


class SmallWorlds:
    """Several of them."""

    def __init__(self, worlds: Sequence[SmallWorld]) -> None:
        self.worlds = list(worlds)
        self.seen: dict[str, dict[Value, int]] = {}
        """The values that each field ever has, and in how many worlds."""
        for world in self.worlds:
            for name, values in world.seen().items():
                counts = self.seen.setdefault(name, {})
                for value in values:
                    counts[value] = counts.get(value, 0) + 1

    def go_on_from(self, literals: Sequence[Term]) -> None:
        """Add what follows the states in which all of ``literals`` are true, where not all states are known."""
        hits: dict[SmallWorld, int] = {}
        for world, _, states in self.hits(literals):
            if world.successors is not None:
                hits[world] = hits.get(world, 0) | states
        for number, world in enumerate(self.worlds):
            if world in hits:
                chosen = islice(_members(hits[world], world.states), MOST_FOLLOWED)
                self.worlds[number] = world.with_states(_following(chosen, world.successors))

    def reachable(self, literals: Sequence[Term]) -> bool:
        """Whether all of ``literals`` are true at once, of some objects for the names in them."""
        return any(True for _ in self.hits(literals))

    def worlds_with(self, literals: Sequence[Term], most: int) -> int:
        """In how many worlds all of ``literals`` are true at once, counted up to ``most``."""
        order, due = _order(literals)
        found = 0
        for world in self.worlds:
            found += any(True for _ in self._assign(world, order, due, {}, world.all, 0))
            if found >= most:
                break
        return found

    def values_beside(self, literals: Sequence[Term], term: Term) -> set[Value]:
        """The values that ``term`` has where all of ``literals`` are true."""
        found: set[Value] = set()
        for world, binding, states in self.hits(literals, (term,)):
            try:
                column = world.column_of(term, binding)
            except NobodyError:
                continue
            found.update(value for value, members in column.items() if value not in found and members & states)
        return found

    def hits(self, literals: Sequence[Term], also: Sequence[Term] = ()) -> Iterator[tuple[SmallWorld, Binding, int]]:
        """Worlds, objects and states in which all of ``literals`` are true; objects for the names in ``also`` too."""
        order, due = _order(literals, also)
        for world in self.worlds:
            yield from self._assign(world, order, due, {}, world.all, 0)

    def _assign(
        self,
        world: SmallWorld,
        order: Sequence[Term],
        due: Sequence[Sequence[Term]],
        binding: Binding,
        states: int,
        at: int,
    ) -> Iterator[tuple[SmallWorld, Binding, int]]:
        try:
            for term in due[at]:
                states &= world.truth(term, binding)
                if not states:
                    return
        except NobodyError:
            return
        if at == len(order):
            yield world, binding, states
            return
        for each in world.objects(order[at].sort.name):
            yield from self._assign(world, order, due, {**binding, order[at].payload: each}, states, at + 1)


__all__ = ["SmallWorld", "SmallWorlds"]
