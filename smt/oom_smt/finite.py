"""Finite questions: truth values and small bit-vectors, in a form that every solver understands.

A question is a list of nodes, each built from earlier ones, and the nodes that must all be true. The
same calls give the same nodes, whatever the process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, unique

import attrs


@unique
class Gate(Enum):
    """What a node does with its arguments. Numbers are without sign."""

    VARIABLE = "variable"
    NUMBER = "number"
    NOT = "not"
    AND = "and"
    OR = "or"
    CHOOSE = "choose"
    """If-then-else; the first argument is a truth value."""
    EQUALS = "="
    AT_LEAST = ">="
    PLUS = "+"
    """Sum of two vectors; what does not fit is cut off."""

    __hash__ = object.__hash__


@attrs.frozen(cache_hash=True)
class Node:
    """One node. ``args`` are numbers of earlier nodes."""

    gate: Gate
    width: int
    """Bits of its value; 0 for a truth value."""
    args: tuple[int, ...] = ()
    name: str = ""
    """Of a variable."""
    value: int = 0
    """Of a number; a truth constant is 0 or 1."""


@attrs.frozen(eq=False)
class Question:
    """Can all ``asserted`` nodes be true together?"""

    nodes: tuple[Node, ...]
    asserted: tuple[int, ...]

    @property
    def variables(self) -> tuple[Node, ...]:
        """The variables, in the order in which they came up."""
        return tuple(node for node in self.nodes if node.gate is Gate.VARIABLE)

    def holds(self, values: Mapping[str, int]) -> bool:
        """Whether all asserted nodes are true for these values of the variables (truth: 0 or 1)."""
        known: list[int] = []
        for node in self.nodes:
            known.append(_value(node, [known[arg] for arg in node.args], values))
        return all(known[number] for number in self.asserted)


def _value(node: Node, args: Sequence[int], values: Mapping[str, int]) -> int:
    gate = node.gate
    if gate is Gate.VARIABLE:
        return values[node.name]
    if gate is Gate.NUMBER:
        return node.value
    if gate is Gate.NOT:
        return 1 - args[0]
    if gate is Gate.AND:
        return int(all(args))
    if gate is Gate.OR:
        return int(any(args))
    if gate is Gate.CHOOSE:
        return args[1] if args[0] else args[2]
    if gate is Gate.EQUALS:
        return int(args[0] == args[1])
    if gate is Gate.AT_LEAST:
        return int(args[0] >= args[1])
    return (args[0] + args[1]) % (1 << node.width)


class Builder:
    """Makes the nodes of one question; equal nodes are made once, and constants are folded."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.asserted: dict[int, None] = {}
        self._numbers: dict[Node, int] = {}
        self._names: dict[str, int] = {}
        self.false = self.number(0, 0)
        self.true = self.number(1, 0)

    def _make(self, node: Node) -> int:
        found = self._numbers.get(node)
        if found is None:
            found = self._numbers[node] = len(self.nodes)
            self.nodes.append(node)
        return found

    def variable(self, name: str, width: int) -> int:
        """A variable; one name has one width. Raises `ValueError` otherwise."""
        if self._names.setdefault(name, width) != width:
            raise ValueError(f"{name} has {self._names[name]} bits, not {width}")
        return self._make(Node(Gate.VARIABLE, width, name=name))

    def number(self, value: int, width: int) -> int:
        """A constant: of ``width`` bits, or for width 0 a truth value. Raises `ValueError` where it does not fit."""
        if not 0 <= value < 1 << max(1, width):
            raise ValueError(f"{value} does not fit into {width} bits")
        return self._make(Node(Gate.NUMBER, width, value=value))

    def negate(self, arg: int) -> int:
        """Not."""
        if arg in (self.false, self.true):
            return self.true if arg == self.false else self.false
        node = self.nodes[arg]
        return node.args[0] if node.gate is Gate.NOT else self._make(Node(Gate.NOT, 0, (arg,)))

    def _junction(self, gate: Gate, unit: int, zero: int, args: Sequence[int]) -> int:
        kept = tuple(dict.fromkeys(arg for arg in args if arg != unit))
        if zero in kept:
            return zero
        if len(kept) <= 1:
            return kept[0] if kept else unit
        return self._make(Node(gate, 0, kept))

    def conjoin(self, *args: int) -> int:
        """All of ``args``."""
        return self._junction(Gate.AND, self.true, self.false, args)

    def disjoin(self, *args: int) -> int:
        """At least one of ``args``."""
        return self._junction(Gate.OR, self.false, self.true, args)

    def choose(self, condition: int, yes: int, no: int) -> int:
        """``yes`` where ``condition`` is true, else ``no``."""
        if condition in (self.true, self.false) or yes == no:
            return no if condition == self.false else yes
        return self._make(Node(Gate.CHOOSE, self.nodes[yes].width, (condition, yes, no)))

    def equals(self, left: int, right: int) -> int:
        """Whether two values of one width are the same."""
        if left == right:
            return self.true
        left, right = sorted((left, right))
        one, other = self.nodes[left], self.nodes[right]
        if one.gate is Gate.NUMBER and other.gate is Gate.NUMBER:
            return self.false
        if left == self.true:
            return right
        if left == self.false:
            return self.negate(right)
        return self._make(Node(Gate.EQUALS, 0, (left, right)))

    def at_least(self, left: int, right: int) -> int:
        """``left >= right``."""
        if self.nodes[right].gate is Gate.NUMBER and self.nodes[right].value == 0:
            return self.true
        return self._make(Node(Gate.AT_LEAST, 0, (left, right)))

    def plus(self, left: int, number: int) -> int:
        """A vector plus a number that may be negative; the caller sees to it that nothing is cut off."""
        width = self.nodes[left].width
        return self._make(Node(Gate.PLUS, width, (left, self.number(number % (1 << width), width))))

    def add(self, arg: int) -> None:
        """Assert; the parts of a conjunction one by one."""
        node = self.nodes[arg]
        if node.gate is Gate.AND:
            for part in node.args:
                self.add(part)
        elif arg != self.true:
            self.asserted[arg] = None

    def question(self) -> Question:
        """What has been asserted, with the nodes that it needs."""
        needed = set(self.asserted)
        for number in reversed(range(len(self.nodes))):
            if number in needed:
                needed.update(self.nodes[number].args)
        kept = sorted(needed)
        new = {old: number for number, old in enumerate(kept)}
        nodes = tuple(attrs.evolve(self.nodes[old], args=tuple(new[a] for a in self.nodes[old].args)) for old in kept)
        return Question(nodes, tuple(new[number] for number in self.asserted))


__all__ = ["Builder", "Gate", "Node", "Question"]
