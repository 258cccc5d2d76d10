"""An instance as a circuit, for model checkers of hardware: a second opinion that shares no engine with ours.

The latches hold the packed state, so what is reachable is what the explorer reaches. The inputs are the
number of the path to take, in binary; a number without a path, or of a path that cannot be taken, leaves
the state as it is. So a checker sees every run of the explorer, with pauses: what is bad stays the same,
and so does the length of a shortest run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from oom_spec.aiger import FALSE, TRUE, Circuit, Gates, Latch
from oom_spec.applicability import why_not
from oom_spec.exploring import Exploration
from oom_spec.instances import Check, Instance
from oom_spec.language import terms
from oom_spec.language.errors import SpecError
from oom_spec.language.properties import Property
from oom_spec.language.terms import BOOL, COUNT, Op, Term
from oom_spec.lifting import Slot
from oom_spec.packing import Packing
from oom_spec.reachable_values import slot_of
from oom_spec.stepping import Variable

WITHOUT_EXCUSE = "-without-excuse"
"""Ends the name of the second bad state of a property that has an excuse (N3)."""


def unfit(instance: Instance, subject: Property) -> str:
    """Why ``subject`` has no bad state in a circuit of ``instance``; empty where it has one."""
    if subject.graph is not None:
        return f"{subject.id} speaks of the whole graph of states, so no bad state expresses it: use `oomspec check`"
    reason = why_not(instance.era, subject)
    return f"{subject.id} does not apply to {instance.era.id}: {reason}" if reason else ""


def choice_width(instance: Instance) -> int:
    """How many inputs it takes to choose a path."""
    return max(1, (len(instance.paths) - 1).bit_length())


def circuit_of(instance: Instance, properties: Sequence[Property]) -> Circuit:
    """The circuit of ``instance`` with a bad state for each of ``properties``, in this order.

    A state property is bad in a state that violates it. A property of an event is bad in a state in which
    the inputs choose a step that announces the event while the property fails: one moment before that step
    ends, so its shortest run is one step longer than the checker's. A property that may be excused has a
    second bad state that accepts no excuse.

    Raises `SpecError` for a property that is `unfit`, or where the scenario cannot start in this era.
    """
    for subject in properties:
        reason = unfit(instance, subject)
        if reason:
            raise SpecError(reason)
    return _Builder(instance).circuit(properties)


class _Builder:
    """Terms of an instance as gates over its packed state."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.packing = Packing(instance)
        self.width = choice_width(instance)
        self.gates = Gates(self.width, self.packing.bits)
        self.codes = {term: code for codes in self.packing.codes.values() for term, code in codes.items()}
        self._memo: dict[int, int] = {}
        goes_on = self.truth(terms.negate(instance.ends))
        self.takes = [
            self.gates.all([self._chosen(path.number), goes_on, self.truth(path.condition)]) for path in instance.paths
        ]

    def _chosen(self, number: int) -> int:
        """The inputs say ``number``; numbers that begin alike share gates."""
        found = TRUE
        for place in reversed(range(self.width)):
            found = self.gates.both(found, self.gates.inputs[place] ^ (~number >> place & 1))
        return found

    # -- terms -------------------------------------------------------------------------------

    def stored(self, slot: Slot) -> list[int]:
        """The latches of a variable, the lowest first."""
        offset = self.packing.offsets[slot]
        return self.gates.latches[offset : offset + self.packing.widths[slot]]

    def truth(self, term: Term) -> int:
        """A truth term."""
        known = self._memo.get(term.key)
        if known is None:
            known = self._memo[term.key] = self._truth(term)
        return known

    def _truth(self, term: Term) -> int:
        op = term.op
        if op is Op.CONST:
            return TRUE if term.payload else FALSE
        if op is Op.FIELD:
            return self.stored(slot_of(term))[0]
        if op is Op.NOT:
            return self.truth(term.args[0]) ^ 1
        if op is Op.AND:
            return self.gates.all([self.truth(arg) for arg in term.args])
        if op is Op.OR:
            return self.gates.any([self.truth(arg) for arg in term.args])
        if op is Op.ITE:
            return self.gates.choose(*(self.truth(arg) for arg in term.args))
        if op is Op.AT_LEAST:
            return self.number(terms.add(term.args[0], -_constant(term.args[1])))[-1] ^ 1
        assert op is Op.EQ, term
        left, right = _as_wide(self.bits(term.args[0]), self.bits(term.args[1]))
        return self.gates.all([self.gates.same(*pair) for pair in zip(left, right, strict=True)])

    def number(self, term: Term) -> list[int]:
        """A count, exact: in two's complement, as wide as it takes."""
        if term.op is Op.CONST:
            value = _constant(term)
            return [value >> place & 1 for place in range(value.bit_length() + 1)]
        if term.op is Op.FIELD:
            return [*self.stored(slot_of(term)), FALSE]
        if term.op is Op.ADD:
            return self._sum(self.number(term.args[0]), self.number(term.args[1]))
        return self._chosen_bits(term, self.number)

    def bits(self, term: Term) -> list[int]:
        """The code of a term; of a count, its `number`; all of one sort can be compared."""
        if term.sort is BOOL:
            return [self.truth(term), FALSE]
        if term.sort is COUNT:
            return self.number(term)
        if term.op is Op.CONST:
            code = self.codes[term]
            return [code >> place & 1 for place in range(code.bit_length() + 1)]
        if term.op is Op.FIELD:
            return [*self.stored(slot_of(term)), FALSE]
        return self._chosen_bits(term, self.bits)

    def _chosen_bits(self, term: Term, convert: Callable[[Term], list[int]]) -> list[int]:
        assert term.op is Op.ITE, term
        condition = self.truth(term.args[0])
        pairs = zip(*_as_wide(convert(term.args[1]), convert(term.args[2])), strict=True)
        return [self.gates.choose(condition, yes, no) for yes, no in pairs]

    def _sum(self, left: list[int], right: list[int]) -> list[int]:
        gates = self.gates
        carry = FALSE
        found = []
        for one, two in zip(*_as_wide([*left, left[-1]], [*right, right[-1]]), strict=True):
            differ = gates.same(one, two) ^ 1
            found.append(gates.same(differ, carry) ^ 1)
            carry = gates.choose(differ, carry, one)
        return found

    # -- the circuit -------------------------------------------------------------------------

    def _next(self) -> list[int]:
        """The literal of each latch after the step: at most one path is taken, and else it stays."""
        gates = self.gates
        cases: dict[int, list[tuple[int, int]]] = {latch: [] for latch in gates.latches}
        for path, taken in zip(self.instance.paths, self.takes, strict=True):
            for slot, term in path.updates.items():
                stored = self.stored(slot)
                value, _ = _as_wide(self.bits(term), stored)  # the conditions keep counts in their range
                for latch, bit in zip(stored, value, strict=False):
                    cases[latch].append((taken, bit))
        found = []
        for latch, assigned in cases.items():
            stays = gates.any([taken for taken, _ in assigned]) ^ 1
            found.append(gates.any([gates.both(stays, latch), *(gates.both(*case) for case in assigned)]))
        return found

    def _bad(self, subject: Property, *, strict: bool) -> int:
        def violated(checks: Iterable[Check]) -> int:
            return self.gates.any([self.truth(check.violated(strict=strict)) for check in checks])

        if subject.event is None:
            return violated(self.instance.invariants(subject))
        return self.gates.any(
            [
                self.gates.both(self.takes[number], violated(checks))
                for number, checks in self.instance.obligations(subject).items()
            ]
        )

    def circuit(self, properties: Sequence[Property]) -> Circuit:
        start = next(iter(Exploration(self.instance, most=0).parents))
        latches = [
            Latch(name, literal, start >> place & 1)
            for place, (name, literal) in enumerate(zip(self._names(), self._next(), strict=True))
        ]
        bad = []
        for subject in properties:
            bad.append((subject.id, self._bad(subject, strict=False)))
            if subject.excuse is not None:
                bad.append((subject.id + WITHOUT_EXCUSE, self._bad(subject, strict=True)))
        choices = [f"choice[{place}]" for place in range(self.width)]
        return self.gates.circuit(choices, latches, bad, self._comments(properties))

    def _names(self) -> list[str]:
        """``mm0.oom_skip`` for a flag, ``reaper.at[0]`` and so on for what takes more than one bit."""
        found = []
        for variable in self._variables():
            width = self.packing.widths[variable.slot]
            found += [f"{variable.name}[{place}]" for place in range(width)] if width > 1 else [variable.name]
        return found

    def _variables(self) -> list[Variable]:
        """The variables that have latches, in the order of these."""
        return sorted(self.instance.live, key=lambda variable: self.packing.offsets[variable.slot])

    def _comments(self, properties: Sequence[Property]) -> list[str]:
        era, scenario = self.instance.era, self.instance.scenario
        names = [name for name in era.aliases if not name[0].isdigit()]
        releases = f" ({', '.join(names)})" if names else ""
        found = [
            f"oomspec, era {era.id}{releases}, scenario {scenario.id}: {scenario.why}",
            *(f"limit: {limit}" for limit in scenario.limits),
            *(f"end: nothing is done any more where {text}" for text in [scenario.ends_text] if text),
            *(f"start: {text}" for text in [scenario.starts_after_text] if text),
        ]
        for subject in properties:
            moment = "in a state" if subject.event is None else f"as a step announces {subject.event.name}"
            found.append(f"bad {subject.id}, {moment}: not so: {subject.statement}")
            if subject.excuse is not None:
                found.append(f"bad {subject.id}{WITHOUT_EXCUSE}: the same, and nothing excuses it")
        found.append("choice: the number of the path to take; the state stays where it cannot be taken")
        found += [f"path {path.number}: {path.action.id}" for path in self.instance.paths]
        for variable in self._variables():
            values = ", ".join(f"{code} {variable.show(code)}" for code in range(len(variable.values)))
            found.append(f"latches {variable.name}: {values}")
        return found


def _constant(term: Term) -> int:
    assert isinstance(term.payload, int)
    return term.payload


def _as_wide(left: list[int], right: list[int]) -> tuple[list[int], list[int]]:
    """Both as wide as the wider; the sign is repeated."""
    width = max(len(left), len(right))
    return left + left[-1:] * (width - len(left)), right + right[-1:] * (width - len(right))


__all__ = ["WITHOUT_EXCUSE", "choice_width", "circuit_of", "unfit"]
