"""A solver of a few lines for clauses, as plain as can be; it also writes a log of what it learned."""

from __future__ import annotations

from collections.abc import Sequence

Clause = tuple[int, ...]


def propagated(clauses: Sequence[Clause], given: Sequence[int]) -> dict[int, bool] | None:
    """The values that ``given`` literals force, found by reading all clauses again and again; None for a conflict."""
    values: dict[int, bool] = {}
    waiting = list(given)
    while True:
        for literal in waiting:
            if values.setdefault(abs(literal), literal > 0) != (literal > 0):
                return None
        waiting = []
        for clause in clauses:
            if any(values.get(abs(each)) == (each > 0) for each in clause):
                continue
            free = {each for each in clause if abs(each) not in values}
            if not free:
                return None
            if len(free) == 1:
                waiting += free
        if not waiting:
            return values


def solve(
    clauses: Sequence[Clause], given: tuple[int, ...] = (), log: list[str] | None = None
) -> dict[int, bool] | None:
    """Values that satisfy the clauses, or None; then ``log`` has a DRUP log of it."""
    values = propagated(clauses, given)
    if values is not None:
        free = {abs(each) for clause in clauses for each in clause} - values.keys()
        if not free:
            return values
        variable = min(free)
        for literal in (variable, -variable):
            found = solve(clauses, (*given, literal), log)
            if found is not None:
                return found
    if log is not None:
        log.append(" ".join(str(-each) for each in given) + " 0")
    return None
