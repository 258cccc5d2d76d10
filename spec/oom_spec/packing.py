"""A state packed into one integer, and terms as Python expressions over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from oom_spec.instances import Instance
from oom_spec.language import terms
from oom_spec.language.terms import BOOL, COUNT, Op, Term
from oom_spec.lifting import Slot
from oom_spec.reachable_values import slot_of
from oom_spec.stepping import State, Variable


class Packing:
    """Where each live variable sits in the packed state of an instance.

    Program counters come first, so that dispatch works on small shifts.
    """

    def __init__(self, instance: Instance, variables: Sequence[Variable] | None = None) -> None:
        self.instance = instance
        self.offsets: dict[Slot, int] = {}
        self.widths: dict[Slot, int] = {}
        self.codes: dict[Slot, Mapping[Term, int]] = {}
        chosen = instance.live if variables is None else variables
        ordered = sorted(chosen, key=lambda v: not v.declaration.program_counter)
        offset = 0
        for variable in ordered:
            width = max(1, (len(variable.values) - 1).bit_length())
            self.offsets[variable.slot] = offset
            self.widths[variable.slot] = width
            self.codes[variable.slot] = {
                instance.constant_term(variable, code): code for code in range(len(variable.values))
            }
            offset += width
        self.bits = offset

    @cached_property
    def initial(self) -> int:
        """The packed cold start."""
        return self.pack(self.instance.concrete.initial)

    def pack(self, state: State) -> int:
        """A full plain state as one integer; the folded variables must have their one value."""
        packed = 0
        for variable, code in zip(self.instance.variables, state, strict=True):
            offset = self.offsets.get(variable.slot)
            if offset is not None:
                packed |= code << offset
        return packed

    def unpack(self, packed: int) -> State:
        """The full plain state behind an integer."""
        return self.instance.state_of(
            {slot: packed >> offset & self.mask(slot) for slot, offset in self.offsets.items()}
        )

    def mask(self, slot: Slot) -> int:
        """All ones, as wide as the slot."""
        return (1 << self.widths[slot]) - 1

    def literal(self, term: Term) -> tuple[int, int] | None:
        """(mask, value) such that ``term`` means ``state & mask == value``, where there is one."""
        if term.op is Op.FIELD and term.sort is BOOL:
            bit = 1 << self.offsets[slot_of(term)]
            return bit, bit
        if term.op is Op.NOT and term.args[0].op is Op.FIELD:
            return 1 << self.offsets[slot_of(term.args[0])], 0
        if term.op is Op.EQ and term.args[0].op is Op.FIELD and term.args[1].op is Op.CONST:
            slot = slot_of(term.args[0])
            offset = self.offsets[slot]
            return self.mask(slot) << offset, self.codes[slot][term.args[1]] << offset
        if term.op is Op.NOT and term.args[0].op is Op.AT_LEAST and term.args[0].args[1].payload == 1:
            inner = term.args[0].args[0]
            if inner.op is Op.FIELD:
                slot = slot_of(inner)
                return self.mask(slot) << self.offsets[slot], 0
        if term.op is Op.NOT and term.args[0].op is Op.OR:
            return self.conjunction([terms.negate(part) for part in term.args[0].args])
        if term.op is Op.AND:
            return self.conjunction(list(term.args))
        return None

    def conjunction(self, parts: list[Term]) -> tuple[int, int] | None:
        """Several literals as one (mask, value), where all of them are literals."""
        mask = value = 0
        for part in parts:
            found = self.literal(part)
            if found is None or (mask & found[0] and (value ^ found[1]) & mask & found[0]):
                return None
            mask |= found[0]
            value |= found[1]
        return mask, value

    def condition(self, term: Term) -> str:
        """A truth term as a Python expression over the packed state ``s``."""
        if term is terms.TRUE:
            return "True"
        if term is terms.FALSE:
            return "False"
        found = self.literal(term)
        if found is not None:
            mask, value = found
            if value == mask and mask.bit_count() == 1:
                return f"s & {mask}"
            return f"not s & {mask}" if value == 0 else f"s & {mask} == {value}"
        op = term.op
        if op is Op.NOT:
            return f"not ({self.condition(term.args[0])})"
        if op is Op.AND:
            simple = [part for part in term.args if self.literal(part) is not None]
            mixed = [part for part in term.args if self.literal(part) is None]
            joined = self.conjunction(simple)
            if simple and joined is None:
                return "False"
            texts = [self.condition(terms.conjoin(*simple))] if simple else []
            return " and ".join(texts + [f"({self.condition(part)})" for part in mixed])
        if op is Op.OR:
            return " or ".join(f"({self.condition(part)})" for part in term.args)
        if op is Op.AT_LEAST:
            bound = term.args[1].payload
            assert isinstance(bound, int)
            if term.args[0].op is Op.FIELD:
                slot = slot_of(term.args[0])
                offset = self.offsets[slot]
                return f"s & {self.mask(slot) << offset} >= {bound << offset}"
            return f"({self.number(term.args[0])}) >= {bound}"
        if op is Op.EQ:
            left, right = term.args
            return f"({self.code(left, right)}) == ({self.code(right, left)})"
        assert op is Op.ITE, term
        condition, yes, no = (self.condition(arg) for arg in term.args)
        return f"(({yes}) if ({condition}) else ({no}))"

    def number(self, term: Term) -> str:
        """A count term as a Python expression over ``s``."""
        if term.op is Op.CONST:
            return str(term.payload)
        if term.op is Op.ADD:
            return f"{self.number(term.args[0])} + {term.args[1].payload}"
        if term.op is Op.ITE:
            yes, no = (self.number(arg) for arg in term.args[1:])
            return f"(({yes}) if ({self.condition(term.args[0])}) else ({no}))"
        slot = slot_of(term)
        return f"(s >> {self.offsets[slot]} & {self.mask(slot)})"

    def code(self, term: Term, like: Term) -> str:
        """A term of any sort as a Python expression for its code; ``like`` is a field of its sort."""
        if term.sort is COUNT:
            return self.number(term)
        if term.sort is BOOL:
            return f"(1 if ({self.condition(term)}) else 0)"
        if term.op is Op.CONST:
            fields = terms.leaves(like, Op.FIELD)
            return str(self.codes[slot_of(fields[0])][term])
        if term.op is Op.ITE:
            yes, no = (self.code(arg, like) for arg in term.args[1:])
            return f"(({yes}) if ({self.condition(term.args[0])}) else ({no}))"
        slot = slot_of(term)
        return f"(s >> {self.offsets[slot]} & {self.mask(slot)})"

    def code_for(self, slot: Slot, term: Term) -> str:
        """What to store in ``slot`` for ``term``, as a Python expression for its code."""
        if term.op is Op.CONST:
            return str(self.codes[slot][term])
        if term.op is Op.ITE and term.sort not in (BOOL, COUNT):
            yes, no = (self.code_for(slot, arg) for arg in term.args[1:])
            return f"(({yes}) if ({self.condition(term.args[0])}) else ({no}))"
        return self.code(term, term)
