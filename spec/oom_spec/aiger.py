"""And-inverter graphs, and the two forms of a file in AIGER 1.9 (Biere, Heljanko, Wieringa, FMV report 11/2).

A literal is a number: twice that of a variable, plus one where it is negated; 0 is false and 1 is true.
Variables are numbered inputs first, then latches, then gates, as the binary form wants it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import attrs

FALSE, TRUE = 0, 1


@attrs.frozen
class Latch:
    """One bit of state."""

    name: str
    next: int
    """The literal of its value after the step."""
    reset: int
    """Its value at the start: 0 or 1."""


@attrs.frozen
class Circuit:
    """What a file holds."""

    inputs: tuple[str, ...]
    """Their names."""
    latches: tuple[Latch, ...]
    gates: tuple[tuple[int, int], ...]
    """The two literals of each gate, the larger first; both belong to earlier variables."""
    bad: tuple[tuple[str, int], ...]
    """A name and a literal for each property; the literal is true where the property is violated."""
    comments: tuple[str, ...] = ()


class Gates:
    """Gates under construction: equal gates are made once, and what is constant makes none."""

    def __init__(self, inputs: int, latches: int) -> None:
        self.inputs = [2 * (number + 1) for number in range(inputs)]
        self.latches = [2 * (inputs + number + 1) for number in range(latches)]
        self.made: list[tuple[int, int]] = []
        self._first = inputs + latches + 1
        self._known: dict[tuple[int, int], int] = {}

    def both(self, left: int, right: int) -> int:
        """``left`` and ``right``"""
        if left < right:
            left, right = right, left
        if right == FALSE or left == right ^ 1:
            return FALSE
        if right in (TRUE, left):
            return left
        found = self._known.get((left, right))
        if found is None:
            found = self._known[left, right] = 2 * (self._first + len(self.made))
            self.made.append((left, right))
        return found

    def all(self, literals: Sequence[int]) -> int:
        """Every one of ``literals``, as a tree of little depth."""
        level = list(literals)
        while len(level) > 1:
            paired = [self.both(*level[at : at + 2]) for at in range(0, len(level) - 1, 2)]
            level = paired + level[len(level) - len(level) % 2 :]
        return level[0] if level else TRUE

    def any(self, literals: Sequence[int]) -> int:
        """At least one of ``literals``"""
        return self.all([literal ^ 1 for literal in literals]) ^ 1

    def choose(self, condition: int, yes: int, no: int) -> int:
        """``yes`` where ``condition`` holds, else ``no``"""
        if yes == no:
            return yes
        return self.any((self.both(condition, yes), self.both(condition ^ 1, no)))

    def same(self, left: int, right: int) -> int:
        """Whether two bits are equal."""
        return self.choose(left, right, right ^ 1)

    def circuit(
        self,
        inputs: Sequence[str],
        latches: Sequence[Latch],
        bad: Sequence[tuple[str, int]],
        comments: Sequence[str] = (),
    ) -> Circuit:
        """The circuit without the gates that nothing reads."""
        needed = [False] * len(self.made)
        pending = [latch.next for latch in latches] + [literal for _, literal in bad]
        while pending:
            number = (pending.pop() >> 1) - self._first
            if number >= 0 and not needed[number]:
                needed[number] = True
                pending.extend(self.made[number])
        kept = accumulate(needed, initial=0)
        new = [*range(self._first), *(self._first + before for before in kept)]
        return Circuit(
            tuple(inputs),
            tuple(attrs.evolve(latch, next=_moved(latch.next, new)) for latch in latches),
            tuple(
                (_moved(left, new), _moved(right, new))
                for (left, right), wanted in zip(self.made, needed, strict=True)
                if wanted
            ),
            tuple((name, _moved(literal, new)) for name, literal in bad),
            tuple(comments),
        )


def _moved(literal: int, new: Sequence[int]) -> int:
    return 2 * new[literal >> 1] | literal & 1


def as_text(circuit: Circuit) -> bytes:
    """The ASCII form (``.aag``)."""
    first = len(circuit.inputs) + len(circuit.latches) + 1
    lines = [_header("aag", circuit)]
    lines += [str(2 * number) for number in range(1, len(circuit.inputs) + 1)]
    for number, latch in enumerate(circuit.latches, len(circuit.inputs) + 1):
        lines.append(f"{2 * number} {_latch(latch)}")
    lines += [str(literal) for _, literal in circuit.bad]
    lines += [f"{2 * (first + number)} {left} {right}" for number, (left, right) in enumerate(circuit.gates)]
    return ("\n".join(lines) + "\n").encode("ascii") + _names(circuit)


def as_binary(circuit: Circuit) -> bytes:
    """The binary form (``.aig``), which is what ABC reads."""
    first = len(circuit.inputs) + len(circuit.latches) + 1
    lines = [_header("aig", circuit)]
    lines += [_latch(latch) for latch in circuit.latches]
    lines += [str(literal) for _, literal in circuit.bad]
    packed = bytearray()
    for number, (left, right) in enumerate(circuit.gates, first):
        packed += _delta(2 * number - left) + _delta(left - right)
    return ("\n".join(lines) + "\n").encode("ascii") + bytes(packed) + _names(circuit)


def _header(form: str, circuit: Circuit) -> str:
    """The numbers of: highest variable, inputs, latches, outputs (none), gates, bad states."""
    counts = len(circuit.inputs), len(circuit.latches), len(circuit.gates)
    return f"{form} {sum(counts)} {counts[0]} {counts[1]} 0 {counts[2]} {len(circuit.bad)}"


def _latch(latch: Latch) -> str:
    return f"{latch.next} 1" if latch.reset else str(latch.next)


def _delta(number: int) -> bytes:
    """A difference of literals, seven bits per byte, the lowest first."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes((*found, number))


def _names(circuit: Circuit) -> bytes:
    lines = [f"i{number} {name}" for number, name in enumerate(circuit.inputs)]
    lines += [f"l{number} {latch.name}" for number, latch in enumerate(circuit.latches)]
    lines += [f"b{number} {name}" for number, (name, _) in enumerate(circuit.bad)]
    lines += ["c", *circuit.comments] if circuit.comments else []
    return "".join(f"{line}\n" for line in lines).encode("utf-8")
