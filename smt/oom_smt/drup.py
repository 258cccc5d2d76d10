"""A small checker for the logs of SAT solvers: that clauses cannot be satisfied, believed to no solver.

A log (DRUP) lists clauses that the solver has learned, one a line, ended by 0, and deletions (``d`` in
front). A learned clause is accepted if it follows by *reverse unit propagation*: take all its literals for
false, and the clauses that are left with one literal force values until one is left with none. So each
accepted clause follows from those before it, and where the empty clause is accepted, nothing satisfies the
clauses at the start.

Less than DRAT: a clause that only keeps satisfiability (RAT) is refused. A deletion takes away the clause,
not the values that it has forced so far, which follow all the same. What comes after the empty clause is not read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

import attrs

from oom_spec.language.errors import SpecError

LOOKS_AT_CLOCK = 256
"""Learned clauses between two looks at the clock."""


class RefusedLog(SpecError):  # noqa: N818 - a refusal, worded as one
    """A log does not show that the clauses cannot be satisfied; the message names the line and the reason."""


class OutOfTime(SpecError):  # noqa: N818 - a refusal, worded as one
    """The log was not read to its end in time."""


@attrs.frozen
class Accepted:
    """What an accepted log consisted of."""

    learned: int
    deleted: int


def check_log(clauses: Iterable[Sequence[int]], log: str, seconds: float | None = None) -> Accepted:
    """Check a log against the clauses that it refutes.

    Raises `RefusedLog` unless it shows that they cannot be satisfied, `OutOfTime` after ``seconds``, and
    `ValueError` for a clause with a literal 0.
    """
    ends = None if seconds is None else time.monotonic() + seconds
    checker = _Checker(clauses)
    learned = deleted = 0
    for number, deletes, clause in _lines(log):
        if deletes:
            deleted += 1
            if not checker.delete(clause):
                raise RefusedLog(f"line {number} deletes a clause that is not there: {_shown(clause)}")
            continue
        learned += 1
        if ends is not None and learned % LOOKS_AT_CLOCK == 0 and time.monotonic() > ends:
            raise OutOfTime(f"the log was checked to line {number} only")
        unknown = next((each for each in clause if abs(each) > checker.variables), None)
        if unknown is not None:
            raise RefusedLog(f"line {number} speaks of a variable that no clause has: {abs(unknown)}")
        if not checker.follows(clause):
            raise RefusedLog(f"line {number} does not follow by unit propagation: {_shown(clause)}")
        if not clause:
            return Accepted(learned, deleted)
        checker.add(clause)
    raise RefusedLog("the log ends without the empty clause")


def _shown(clause: Sequence[int]) -> str:
    return " ".join(map(str, (*clause, 0)))


def _lines(log: str) -> Iterator[tuple[int, bool, tuple[int, ...]]]:
    """The number of each line, whether it is a deletion, and its clause."""
    for number, line in enumerate(log.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        deletes = words[0] == "d"
        try:
            literals = [int(word) for word in words[deletes:]]
        except ValueError:
            raise RefusedLog(f"line {number} is no clause: {line[:60]!r}") from None
        if not literals or literals[-1] != 0:
            raise RefusedLog(f"line {number} does not end with 0: {line[:60]!r}")
        if 0 in literals[:-1]:
            raise RefusedLog(f"line {number} has a 0 before its end: {line[:60]!r}")
        yield number, deletes, tuple(literals[:-1])


class _Checker:
    """The clauses so far, and the values that they force.

    Each clause of two or more literals is watched at two of them that are not false, unless it is true for good.
    Lists are indexed by literals: a negative index counts from the end, so both signs have a place.
    """

    def __init__(self, clauses: Iterable[Sequence[int]]) -> None:
        given = [tuple(clause) for clause in clauses]
        if any(0 in clause for clause in given):
            raise ValueError("0 is no literal")
        self.variables = max((abs(each) for clause in given for each in clause), default=0)
        self._true = [False] * (2 * self.variables + 1)
        """By literal: known to be true."""
        self._watching: list[list[list[int]]] = [[] for _ in range(2 * self.variables + 1)]
        """By literal: the clauses that are watched there; the watched literals are their first two."""
        self._present: dict[tuple[int, ...], list[list[int]]] = {}
        self._trail: list[int] = []
        self._done = 0
        """How much of the trail has been propagated."""
        self.contradiction = False
        """The clauses force both values of a variable: everything follows."""
        for clause in given:
            self.add(clause)

    def add(self, clause: Sequence[int]) -> None:
        """A clause that holds from now on."""
        literals = list(dict.fromkeys(clause))
        self._present.setdefault(tuple(sorted(literals)), []).append(literals)
        if self.contradiction or any(self._true[each] for each in literals):
            return  # true for good: nothing is ever forced by it
        literals.sort(key=lambda each: self._true[-each])  # those that are not false come first; the rest are for good
        free = sum(not self._true[-each] for each in literals)
        if free == 0:
            self.contradiction = True
        elif free == 1:
            self._set(literals[0])
            self.contradiction = not self._propagate()
        else:
            self._watching[literals[0]].append(literals)
            self._watching[literals[1]].append(literals)

    def delete(self, clause: Sequence[int]) -> bool:
        """Take away one clause with these literals; False if there is none."""
        present = self._present.get(tuple(sorted(set(clause))))
        if not present:
            return False
        gone = present.pop()
        for each in gone[:2]:
            watching = self._watching[each]
            for place, other in enumerate(watching):
                if other is gone:
                    del watching[place]
                    break
        return True

    def follows(self, clause: Sequence[int]) -> bool:
        """Whether the clause follows by reverse unit propagation."""
        if self.contradiction:
            return True
        mark = len(self._trail)
        conflict = False
        for each in clause:
            if self._true[each]:
                conflict = True
                break
            if not self._true[-each]:
                self._set(-each)
        conflict = conflict or not self._propagate()
        for each in self._trail[mark:]:
            self._true[each] = False
        del self._trail[mark:]
        self._done = mark
        return conflict

    def _set(self, literal: int) -> None:
        self._true[literal] = True
        self._trail.append(literal)

    def _propagate(self) -> bool:
        """Force what is forced; False where a clause is left without a literal."""
        true = self._true
        while self._done < len(self._trail):
            false = -self._trail[self._done]
            self._done += 1
            watching = self._watching[false]
            kept: list[list[int]] = []
            for place, clause in enumerate(watching):
                if clause[0] == false:
                    clause[0], clause[1] = clause[1], false
                if true[clause[0]]:
                    kept.append(clause)
                    continue
                for other in range(2, len(clause)):
                    if not true[-clause[other]]:
                        clause[1], clause[other] = clause[other], false
                        self._watching[clause[1]].append(clause)
                        break
                else:
                    kept.append(clause)
                    if true[-clause[0]]:
                        self._watching[false] = kept + watching[place + 1 :]
                        return False
                    self._set(clause[0])
            self._watching[false] = kept
        return True


__all__ = ["Accepted", "OutOfTime", "RefusedLog", "check_log"]
