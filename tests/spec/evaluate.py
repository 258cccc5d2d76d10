"""A second reading of terms: their value on plain values, by recursion and nothing else.

It shares no code with `oom_spec.packing` or `oom_spec.reachable_values`, which the explorer trusts.
Enum members and objects are given by name, no object is None.
"""

from __future__ import annotations

from collections.abc import Mapping

from oom_spec.language.terms import Op, Structure, Term
from oom_spec.lifting import Slot

Plain = bool | int | str | None
Valuation = Mapping[Slot, Plain]


def evaluate(term: Term, values: Valuation, structure: Structure, bound: Mapping[int, str] | None = None) -> Plain:
    """The value of ``term``; quantifiers run over ``structure``, bound objects are looked up in ``bound``."""
    scope = bound or {}

    def look(part: Term) -> Plain:
        return evaluate(part, values, structure, scope)

    op, args = term.op, term.args
    if op is Op.CONST:
        return term.payload
    if op is Op.FIELD:
        return values[str(term.payload), tuple(str(look(owner)) for owner in args)]
    if op is Op.NOT:
        return not look(args[0])
    if op is Op.AND:
        return all(look(arg) for arg in args)
    if op is Op.OR:
        return any(look(arg) for arg in args)
    if op is Op.EQ:
        left, right = look(args[0]), look(args[1])
        return type(left) is type(right) and left == right
    if op is Op.AT_LEAST:
        return number(look(args[0])) >= number(look(args[1]))
    if op is Op.ADD:
        return number(look(args[0])) + number(look(args[1]))
    if op is Op.ITE:
        return look(args[1] if look(args[0]) else args[2])
    if op is Op.BOUND:
        assert isinstance(term.payload, int)
        return scope[term.payload]
    if op is Op.STATIC:
        return structure.statics[str(term.payload), str(look(args[0]))]
    assert isinstance(term.payload, int)
    rounds = (
        evaluate(args[1], values, structure, {**scope, term.payload: name})
        for name in structure.objects.get(args[0].sort.name, ())
    )
    return all(rounds) if op is Op.EVERY else any(rounds)


def number(value: Plain) -> int:
    """``value``, which must be a count."""
    assert isinstance(value, int), value
    assert not isinstance(value, bool), value
    return value
