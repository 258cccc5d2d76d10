"""Which values each field can take at most: a cheap over-approximation, field by field.

It forgets how fields depend on each other, so it may keep a path that cannot be taken, never the
other way round. It only serves to make instances smaller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from oom_spec.language import terms
from oom_spec.language.terms import FALSE, TRUE, Op, Term
from oom_spec.lifting import Slot

Values = Mapping[Slot, frozenset[Term]]
_EITHER = frozenset((TRUE, FALSE))


_slots: dict[int, Slot] = {}


def slot_of(term: Term) -> Slot:
    """The slot that a ground field term reads."""
    slot = _slots.get(term.key)
    if slot is None:
        slot = _slots[term.key] = (str(term.payload), tuple(str(arg.payload) for arg in term.args))
    return slot


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


@attrs.frozen(eq=False)
class _Rule:
    """A path with what its condition says of single fields singled out."""

    condition: Term
    alone: tuple[tuple[Slot, Term], ...]
    """Conjuncts that speak of one field only."""
    mixed: tuple[Term, ...]
    reads: frozenset[Slot]
    updates: Mapping[Slot, Term]


def _rule(condition: Term, updates: Mapping[Slot, Term]) -> _Rule:
    alone: list[tuple[Slot, Term]] = []
    mixed: list[Term] = []
    reads: set[Slot] = set()
    for part in condition.args if condition.op is Op.AND else (condition,):
        slots = {slot_of(leaf) for leaf in terms.leaves(part, Op.FIELD)}
        reads |= slots
        if len(slots) == 1:
            alone.append((next(iter(slots)), part))
        else:
            mixed.append(part)
    for term in updates.values():
        reads |= {slot_of(leaf) for leaf in terms.leaves(term, Op.FIELD)}
    return _Rule(condition, tuple(alone), tuple(mixed), frozenset(reads), updates)


_allowed: dict[tuple[int, int], bool] = {}


def _allows(slot: Slot, part: Term, value: Term) -> bool:
    """Whether ``part``, which speaks of ``slot`` alone, holds for ``value``."""
    key = (part.key, value.key)
    found = _allowed.get(key)
    if found is None:
        found = _allowed[key] = TRUE in possible(part, {slot: frozenset((value,))})
    return found


def _narrowed(rule: _Rule, values: Values) -> Values | None:
    """``values``, each field restricted to what a conjunct says of it alone; None: unsatisfiable."""
    narrowed = {slot: values[slot] for slot in rule.reads}
    for slot, part in rule.alone:
        left = frozenset(v for v in narrowed[slot] if _allows(slot, part, v))
        if not left:
            return None
        narrowed[slot] = left
    return narrowed if all(TRUE in possible(part, narrowed) for part in rule.mixed) else None


def satisfiable(condition: Term, values: Values) -> bool:
    """Whether ``condition`` may hold."""
    return _narrowed(_rule(condition, {}), values) is not None


def reachable_values(
    initial: Mapping[Slot, Term], paths: Iterable[tuple[Term, Mapping[Slot, Term]]]
) -> dict[Slot, frozenset[Term]]:
    """The least solution: the initial values, and whatever a path that may be taken assigns."""
    values = {slot: frozenset((term,)) for slot, term in initial.items()}
    rules = [_rule(condition, updates) for condition, updates in paths]
    readers: dict[Slot, list[int]] = {}
    for number, rule in enumerate(rules):
        for slot in rule.reads:
            readers.setdefault(slot, []).append(number)
    pending = dict.fromkeys(range(len(rules)))
    while pending:
        number = next(iter(pending))
        del pending[number]
        rule = rules[number]
        narrowed = _narrowed(rule, values)
        if narrowed is None:
            continue
        for slot, term in rule.updates.items():
            new = values[slot] | possible(term, narrowed)
            if new != values[slot]:
                values[slot] = new
                pending.update(dict.fromkeys(readers.get(slot, ())))
    return values


__all__ = ["possible", "reachable_values", "satisfiable", "slot_of"]
