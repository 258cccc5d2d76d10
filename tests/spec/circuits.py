"""A reader of AIGER files and a simulator of their circuits, written from the format's report, not from our writer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs


@attrs.frozen
class Netlist:
    """A file as it was read; literals as in the file."""

    inputs: tuple[int, ...]
    latches: tuple[tuple[int, int, int], ...]
    """Literal, next literal, reset value."""
    bad: tuple[int, ...]
    gates: tuple[tuple[int, int, int], ...]
    """Literal and the two literals that it joins."""
    names: dict[str, str]
    """``l0``, ``i0``, ``b0``: the name in the symbol table."""
    comments: tuple[str, ...]

    def run(self, state: Sequence[int], inputs: Sequence[int], lanes: int) -> tuple[list[int], list[int]]:
        """Next state and bad signals; each bit is a number with as many ``lanes`` side by side."""
        ones = (1 << lanes) - 1
        values = {0: 0, 1: ones}

        def put(literal: int, value: int) -> None:
            values[literal], values[literal ^ 1] = value, value ^ ones

        for literal, value in zip(self.inputs, inputs, strict=True):
            put(literal, value)
        for (literal, _, _), value in zip(self.latches, state, strict=True):
            put(literal, value)
        for literal, left, right in self.gates:
            put(literal, values[left] & values[right])
        return [values[following] for _, following, _ in self.latches], [values[literal] for literal in self.bad]


def read(content: bytes) -> Netlist:
    """Either form of a file.

    Raises `ValueError` where a gate does not follow the variables that it joins, or something is left over.
    """
    header, rest = content.split(b"\n", 1)
    form, *counts = header.decode().split()
    highest, inputs, latches, outputs, gates, bad = map(int, counts)
    if form not in ("aag", "aig") or outputs or highest != inputs + latches + gates:
        raise ValueError(header)
    lines = _Lines(rest)
    first = list(range(2, 2 * inputs + 2, 2))
    if form == "aag":
        first = [int(lines.next()) for _ in range(inputs)]
    kept = []
    for number in range(latches):
        numbers = list(map(int, lines.next().split()))
        if form == "aig":
            numbers.insert(0, 2 * (inputs + number + 1))
        kept.append((numbers[0], numbers[1], numbers[2] if len(numbers) > 2 else 0))
    wrong = tuple(int(lines.next()) for _ in range(bad))
    made = []
    for number in range(inputs + latches + 1, highest + 1):
        if form == "aag":
            literal, left, right = map(int, lines.next().split())
        else:
            literal = 2 * number
            left = literal - lines.delta()
            right = left - lines.delta()
        if not literal > left >= right >= 0:
            raise ValueError(f"gate {literal}: {left} {right}")
        made.append((literal, left, right))
    names: dict[str, str] = {}
    comments: list[str] = []
    for line in lines.left():
        if line == "c" or comments:
            comments.append(line)
        else:
            key, name = line.split(" ", 1)
            names[key] = name
    return Netlist(tuple(first), tuple(kept), wrong, tuple(made), names, tuple(comments[1:]))


class _Lines:
    """What is left of a file."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def next(self) -> str:
        end = self.content.index(b"\n", self.at)
        line, self.at = self.content[self.at : end].decode(), end + 1
        return line

    def delta(self) -> int:
        found = shift = 0
        while True:
            byte = self.content[self.at]
            self.at += 1
            found |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return found

    def left(self) -> Iterator[str]:
        while self.at < len(self.content):
            yield self.next()


def columns(numbers: Sequence[int], width: int) -> list[int]:
    """The numbers bit by bit: place n of each, side by side, the first number in the lowest lane."""
    rows = "".join(f"{number:0{width}b}" for number in reversed(numbers))
    return [int(rows[width - 1 - place :: width] or "0", 2) for place in range(width)]


def rows(bits: Sequence[int], lanes: int) -> list[int]:
    """The reverse of `columns`."""
    return [sum((bit >> lane & 1) << place for place, bit in enumerate(bits)) for lane in range(lanes)]
