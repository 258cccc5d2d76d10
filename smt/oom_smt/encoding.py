"""An instance as bit-vectors: one variable per live field, one scheduler-choice variable per step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property

from oom_smt import z3_api as z3
from oom_smt.z3_api import Expr
from oom_spec.instances import Check, GroundPath, Instance
from oom_spec.language import terms
from oom_spec.language.terms import BOOL, COUNT, Op, Term
from oom_spec.lifting import Slot
from oom_spec.packing import Packing
from oom_spec.reachable_values import slot_of

CHOICE = "choice"


class Encoding:
    """The transition relation of an instance over the variables ``x`` (now) and ``x'`` (next)."""

    def __init__(self, instance: Instance, *, folded: bool = True) -> None:
        """``folded``: only the fields that can change; otherwise all, for questions about steps alone."""
        z3.need_z3()
        self.instance = instance
        variables = instance.live if folded else instance.variables
        self.packing = Packing(instance, variables)
        self.slots = [variable.slot for variable in variables]
        self.booleans = {v.slot for v in variables if v.declaration.sort is BOOL}
        self.names = {variable.slot: variable.name for variable in variables}
        self.sizes = {variable.slot: len(variable.values) for variable in variables}
        self.now = self.variables("now")
        self.next = self.variables("next")
        self.width = max(1, len(instance.paths).bit_length())
        self.choice = self.choice_at("now")
        self._memo: dict[int, Expr] = {}

    def variables(self, frame: str) -> dict[Slot, Expr]:
        """One variable per live field for the state named ``frame``."""
        return {
            slot: z3.bool_variable(f"{self.names[slot]}@{frame}")
            if slot in self.booleans
            else z3.vector_variable(f"{self.names[slot]}@{frame}", self.packing.widths[slot])
            for slot in self.slots
        }

    def choice_at(self, frame: str) -> Expr:
        """Which path the step from ``frame`` takes."""
        return z3.vector_variable(f"{CHOICE}@{frame}", self.width)

    # -- terms -------------------------------------------------------------------------------

    def truth(self, term: Term) -> Expr:
        """A truth term over the variables ``now``."""
        known = self._memo.get(term.key)
        if known is None:
            known = self._truth(term)
            self._memo[term.key] = known
        return known

    def _truth(self, term: Term) -> Expr:
        op = term.op
        if op is Op.CONST:
            return z3.bool_value(bool(term.payload))
        if op is Op.FIELD:
            return self.now[slot_of(term)]
        if op is Op.NOT:
            return z3.negate(self.truth(term.args[0]))
        if op is Op.AND:
            return z3.conjoin(self.truth(arg) for arg in term.args)
        if op is Op.OR:
            return z3.disjoin(self.truth(arg) for arg in term.args)
        if op is Op.ITE:
            return z3.choose(*(self.truth(arg) for arg in term.args))
        if op is Op.AT_LEAST:
            bound = term.args[1].payload
            assert isinstance(bound, int)
            width = self._width(term.args[0]) + 1
            return z3.at_least(self.code(term.args[0], width), z3.vector_value(bound, width))
        left, right = term.args
        if left.sort is BOOL:
            return z3.equals(self.truth(left), self.truth(right))
        width = max(self._width(left), self._width(right))
        return z3.equals(self._coded(left, right, width), self._coded(right, left, width))

    def _width(self, term: Term) -> int:
        widths = [self.packing.widths[slot_of(leaf)] for leaf in terms.leaves(term, Op.FIELD)]
        if term.op is Op.CONST and term.sort is COUNT:
            assert isinstance(term.payload, int)
            widths.append(max(1, term.payload.bit_length()))
        return max(widths, default=1)

    def _coded(self, term: Term, like: Term, width: int) -> Expr:
        if term.op is Op.CONST and term.sort is not COUNT:
            slot = slot_of(terms.leaves(like, Op.FIELD)[0])
            return z3.vector_value(self.packing.codes[slot][term], width)
        return self.code(term, width)

    def code(self, term: Term, width: int, slot: Slot | None = None) -> Expr:
        """The code of a term that is no truth value, as a bit-vector of ``width``."""
        if term.op is Op.CONST:
            if term.sort is COUNT:
                assert isinstance(term.payload, int)
                return z3.vector_value(term.payload % (1 << width), width)
            assert slot is not None
            return z3.vector_value(self.packing.codes[slot][term], width)
        if term.op is Op.FIELD:
            own = self.packing.widths[slot_of(term)]
            return z3.resize(self.now[slot_of(term)], own, width)
        if term.op is Op.ADD:
            step = term.args[1].payload
            assert isinstance(step, int)
            return z3.add(self.code(term.args[0], width), z3.vector_value(step % (1 << width), width))
        assert term.op is Op.ITE, term
        return z3.choose(
            self.truth(term.args[0]), self.code(term.args[1], width, slot), self.code(term.args[2], width, slot)
        )

    def assigned(self, slot: Slot, term: Term) -> Expr:
        """What ``term`` puts into ``slot``."""
        if slot in self.booleans:
            return self.truth(term)
        return self.code(term, self.packing.widths[slot], slot)

    # -- the transition system ---------------------------------------------------------------

    def holds_initially(self, slots: Collection[Slot]) -> Expr:
        """The named fields have the values of the cold start."""
        return self.initial(self.packing.initial, slots)

    def initial(self, packed: int, slots: Collection[Slot] | None = None) -> Expr:
        """The state is exactly the packed one; with ``slots``, in these fields."""
        parts = []
        for slot, variable in self.now.items():
            if slots is not None and slot not in slots:
                continue
            code = packed >> self.packing.offsets[slot] & self.packing.mask(slot)
            if slot in self.booleans:
                parts.append(variable if code else z3.negate(variable))
            else:
                parts.append(z3.equals(variable, z3.vector_value(code, self.packing.widths[slot])))
        return z3.conjoin(parts)

    def in_range(self) -> Expr:
        """Every variable holds the code of a value that it has."""
        return z3.conjoin(
            z3.below(self.now[slot], z3.vector_value(size, self.packing.widths[slot]))
            for slot, size in self.sizes.items()
            if slot not in self.booleans and size < 1 << self.packing.widths[slot]
        )

    def takes(self, path: GroundPath) -> Expr:
        """The scheduler chooses ``path``."""
        return z3.equals(self.choice, z3.vector_value(path.number, self.width))

    @cached_property
    def transition(self) -> Expr:
        """Some path is chosen, it can be taken, and its updates hold; all else stays."""
        instance = self.instance
        paths = instance.paths
        parts = [
            z3.below(self.choice, z3.vector_value(len(paths), self.width)),
            z3.negate(self.truth(instance.ends)),
        ]
        by_slot: dict[Slot, list[tuple[Expr, Expr]]] = {slot: [] for slot in self.slots}
        for path in paths:
            chosen = self.takes(path)
            parts.append(z3.implies(chosen, self.truth(path.condition)))
            for slot, term in path.updates.items():
                by_slot[slot].append((chosen, self.assigned(slot, term)))
        for slot, cases in by_slot.items():
            value = self.now[slot]
            for chosen, assigned in cases:
                value = z3.choose(chosen, assigned, value)
            parts.append(z3.equals(self.next[slot], value))
        return z3.conjoin(parts)

    def bad_state(self, checks: Sequence[Check], *, strict: bool = False) -> Expr:
        """Some check fails in the state ``now``."""
        return z3.disjoin(self.truth(check.violated(strict=strict)) for check in checks)

    def bad_step(self, obligations: dict[int, tuple[Check, ...]], *, strict: bool = False) -> Expr:
        """A path is chosen that announces an event whose check fails in the state ``now``."""
        return z3.disjoin(
            z3.conjoin((self.takes(self.instance.paths[number]), self.bad_state(checks, strict=strict)))
            for number, checks in obligations.items()
        )
