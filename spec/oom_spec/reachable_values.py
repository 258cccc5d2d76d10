"""Which values each field can take at most: a cheap over-approximation, field by field.

It forgets how fields depend on each other, so it may keep a path that cannot be taken, never the
other way round. It only serves to make instances smaller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from oom_spec.language import terms
from oom_spec.language.terms import FALSE, TRUE, Op, Term
from oom_spec.lifting import Slot

Values = Mapping[Slot, frozenset[Term]]
_EITHER = frozenset((TRUE, FALSE))


def slot_of(term: Term) -> Slot:
    """The slot that a ground field term reads."""
    return str(term.payload), tuple(str(arg.payload) for arg in term.args)


def possible(term: Term, values: Values) -> frozenset[Term]:
    """The constants that a ground term may stand for."""
    op = term.op
    if op is Op.CONST:
        return frozenset((term,))
    if op is Op.FIELD:
        return values[slot_of(term)]
    if op is Op.NOT:
        return frozenset(terms.negate(value) for value in possible(term.args[0], values))
    if op is Op.AND or op is Op.OR:
        zero, unit = (FALSE, TRUE) if op is Op.AND else (TRUE, FALSE)
        open_ended = False
        for arg in term.args:
            found = possible(arg, values)
            if found == {zero}:
                return frozenset((zero,))
            open_ended = open_ended or zero in found
        return _EITHER if open_ended else frozenset((unit,))
    if op is Op.EQ:
        left, right = (possible(arg, values) for arg in term.args)
        if not left & right:
            return frozenset((FALSE,))
        return frozenset((TRUE,)) if len(left) == len(right) == 1 else _EITHER
    if op is Op.AT_LEAST:
        bound = term.args[1].payload
        assert isinstance(bound, int)
        return frozenset(terms.at_least(value, bound) for value in possible(term.args[0], values))
    if op is Op.ADD:
        step = term.args[1].payload
        assert isinstance(step, int)
        return frozenset(terms.add(value, step) for value in possible(term.args[0], values))
    assert op is Op.ITE
    found = possible(term.args[0], values)
    return frozenset().union(
        *([possible(term.args[1], values)] if TRUE in found else []),
        *([possible(term.args[2], values)] if FALSE in found else []),
    )


def _narrowed(condition: Term, values: Values) -> Values:
    """``values``, each field restricted to what a conjunct says of it alone."""
    narrowed = dict(values)
    for part in condition.args if condition.op is Op.AND else (condition,):
        fields = terms.leaves(part, Op.FIELD)
        if len(fields) == 1:
            slot = slot_of(fields[0])
            narrowed[slot] = frozenset(
                value for value in narrowed[slot] if TRUE in possible(part, {slot: frozenset((value,))})
            )
    return narrowed


def satisfiable(condition: Term, values: Values) -> bool:
    """Whether ``condition`` may hold."""
    narrowed = _narrowed(condition, values)
    return all(narrowed[slot_of(f)] for f in terms.leaves(condition, Op.FIELD)) and TRUE in possible(
        condition, narrowed
    )


def reachable_values(
    initial: Mapping[Slot, Term], paths: Iterable[tuple[Term, Mapping[Slot, Term]]]
) -> dict[Slot, frozenset[Term]]:
    """The least solution: the initial values, and whatever a path that may be taken assigns."""
    values = {slot: frozenset((term,)) for slot, term in initial.items()}
    pending = list(paths)
    changed = True
    while changed:
        changed = False
        for condition, updates in pending:
            if not satisfiable(condition, values):
                continue
            narrowed = _narrowed(condition, values)
            for slot, term in updates.items():
                new = values[slot] | possible(term, narrowed)
                if new != values[slot]:
                    values[slot] = new
                    changed = True
    return values


__all__ = ["possible", "reachable_values", "satisfiable", "slot_of"]
