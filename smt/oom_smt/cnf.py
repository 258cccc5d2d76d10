"""Finite questions as clauses: each gate gets literals for its bits and the clauses that say what it does.

Tseitin's translation, in full in both directions, so the clauses can be satisfied if and only if the
question can. A literal is a number other than 0; its negative is its negation (as in DIMACS).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from oom_smt.finite import Gate, Node, Question

Clause = tuple[int, ...]


@attrs.frozen(eq=False)
class Clauses:
    """A conjunction of clauses over the variables 1 to ``variables``."""

    variables: int
    clauses: tuple[Clause, ...]
    names: dict[str, tuple[int, ...]]
    """For each variable of the question its literals, from the lowest bit on."""

    def dimacs(self) -> str:
        """As text for SAT solvers."""
        lines = [f"p cnf {self.variables} {len(self.clauses)}"]
        lines += [" ".join(map(str, (*clause, 0))) for clause in self.clauses]
        return "\n".join(lines) + "\n"


def clauses_of(question: Question) -> Clauses:
    """The clauses of a question; the same for the same question."""
    blaster = _Blaster()
    bits: list[tuple[int, ...]] = []
    plain = {number for number in question.asserted if question.nodes[number].gate is Gate.OR}
    plain -= {arg for node in question.nodes for arg in node.args}
    for number, node in enumerate(question.nodes):
        bits.append(() if number in plain else blaster.bits(node, [bits[arg] for arg in node.args]))
    for number in question.asserted:
        # A disjunction that occurs nowhere else is a clause as it stands.
        blaster.add([bits[arg][0] for arg in question.nodes[number].args] if number in plain else bits[number])
    return Clauses(blaster.variables, tuple(blaster.clauses), blaster.names)


TRUE = 1
"""The literal that is always true."""


class _Blaster:
    def __init__(self) -> None:
        self.variables = 0
        self.clauses: list[Clause] = []
        self.names: dict[str, tuple[int, ...]] = {}
        self._gates: dict[tuple[str, tuple[int, ...]], int] = {}
        self.add((self._fresh(),))

    def _fresh(self) -> int:
        self.variables += 1
        return self.variables

    def add(self, literals: Iterable[int]) -> None:
        """A clause, unless it is true as it stands."""
        kept = dict.fromkeys(each for each in literals if each != -TRUE)
        if (TRUE not in kept or not self.clauses) and not any(-each in kept for each in kept):
            self.clauses.append(tuple(kept))

    # -- gates on single bits ----------------------------------------------------------------

    def conjoin(self, literals: Sequence[int]) -> int:
        kept = tuple(sorted({each for each in literals if each != TRUE}))
        if -TRUE in kept or any(-each in kept for each in kept):
            return -TRUE
        if len(kept) <= 1:
            return kept[0] if kept else TRUE
        known = self._gates.get(("and", kept))
        if known is None:
            known = self._gates["and", kept] = self._fresh()
            for each in kept:
                self.add((-known, each))
            self.add((known, *(-each for each in kept)))
        return known

    def disjoin(self, literals: Sequence[int]) -> int:
        return -self.conjoin([-each for each in literals])

    def same(self, one: int, other: int) -> int:
        """Whether two bits are equal."""
        if abs(one) == TRUE or abs(other) == TRUE:
            constant, free = (one, other) if abs(one) == TRUE else (other, one)
            return free if constant == TRUE else -free
        if abs(one) == abs(other):
            return TRUE if one == other else -TRUE
        turned = (one < 0) != (other < 0)
        pair = tuple(sorted((abs(one), abs(other))))
        known = self._gates.get(("same", pair))
        if known is None:
            known = self._gates["same", pair] = self._fresh()
            left, right = pair
            for clause in (
                (-known, -left, right),
                (-known, left, -right),
                (known, left, right),
                (known, -left, -right),
            ):
                self.add(clause)
        return -known if turned else known

    def choose(self, condition: int, yes: int, no: int) -> int:
        if yes == no or abs(condition) == TRUE:
            return no if condition == -TRUE else yes
        if abs(yes) == TRUE:
            return self.disjoin((condition, no)) if yes == TRUE else self.conjoin((-condition, no))
        if abs(no) == TRUE:
            return self.disjoin((-condition, yes)) if no == TRUE else self.conjoin((condition, yes))
        key = (condition, yes, no)
        known = self._gates.get(("choose", key))
        if known is None:
            known = self._gates["choose", key] = self._fresh()
            for clause in (
                (-condition, -yes, known),
                (-condition, yes, -known),
                (condition, -no, known),
                (condition, no, -known),
            ):
                self.add(clause)
        return known

    def majority(self, one: int, two: int, three: int) -> int:
        """The carry of a sum of three bits."""
        return self.choose(self.same(one, two), one, three)

    # -- nodes -------------------------------------------------------------------------------

    def bits(self, node: Node, args: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        """The literals of a node, from the lowest bit on; one for a truth value."""
        gate, width = node.gate, max(1, node.width)
        if gate is Gate.VARIABLE:
            self.names[node.name] = found = tuple(self._fresh() for _ in range(width))
            return found
        if gate is Gate.NUMBER:
            return tuple(TRUE if node.value >> place & 1 else -TRUE for place in range(width))
        if gate is Gate.NOT:
            return (-args[0][0],)
        if gate is Gate.AND:
            return (self.conjoin([arg[0] for arg in args]),)
        if gate is Gate.OR:
            return (self.disjoin([arg[0] for arg in args]),)
        if gate is Gate.CHOOSE:
            return tuple(self.choose(args[0][0], yes, no) for yes, no in zip(args[1], args[2], strict=True))
        pairs = list(zip(args[0], args[1], strict=True))
        if gate is Gate.EQUALS:
            return (self.conjoin([self.same(one, other) for one, other in pairs]),)
        if gate is Gate.AT_LEAST:
            found_so_far = TRUE
            for one, other in pairs:
                found_so_far = self.choose(self.same(one, other), found_so_far, one)
            return (found_so_far,)
        total, carry = [], -TRUE
        for one, other in pairs:
            total.append(self.same(self.same(one, other), carry))  # twice "same" is the exclusive or of three
            carry = self.majority(one, other, carry)
        return tuple(total)


__all__ = ["Clause", "Clauses", "clauses_of"]
