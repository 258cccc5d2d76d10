"""The term tree: what a lifted step, guard or property is made of.

Terms are hash-consed, so equal terms are the same object, and they print the same text in every
process. The table is keyed on sort *and* value, because Python's ``True == 1``.

A term of object sort names one object (``mm0``), a bound object of a quantifier, or no object
(``None``, the value of a reference that points nowhere).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum, unique

import attrs

Value = bool | int | str | None
"""What a constant may hold: a truth value, a count, the name of an enum member or of an object."""


@unique
class Kind(Enum):
    """The four kinds of sort."""

    BOOL = "bool"
    COUNT = "count"
    CHOICE = "choice"
    OBJECT = "object"

    __hash__ = object.__hash__  # members are singletons, and Enum's own hash is slow


@attrs.frozen(cache_hash=True)
class Sort:
    """The sort of a term. ``name`` tells choices and objects apart; it is empty for the others."""

    kind: Kind
    name: str = ""


BOOL = Sort(Kind.BOOL)
COUNT = Sort(Kind.COUNT)


@unique
class Op(Enum):
    """What a term is built with."""

    CONST = "const"
    FIELD = "field"
    """A field of an object (or of a pair of objects): payload is ``Mm.oom_skip``."""
    STATIC = "static"
    """A fixed attribute of an object: payload is ``Task.process``."""
    NAMED = "named"
    """An object of a world of any size, by a name such as ``Task1.process``: two names may stand for one object."""
    BOUND = "bound"
    """The object of an enclosing quantifier; the payload counts quantifiers from the outside."""
    NOT = "not"
    AND = "and"
    OR = "or"
    EQ = "="
    AT_LEAST = ">="
    ADD = "+"
    ITE = "ite"
    EVERY = "every"
    SOME = "some"

    __hash__ = object.__hash__  # as Kind's


class Term:
    """One node. Build terms with the functions below, never directly."""

    __slots__ = ("args", "key", "op", "payload", "sort", "upto")

    def __init__(self, op: Op, sort: Sort, payload: Value, args: tuple[Term, ...], key: int, upto: int | None) -> None:
        self.op = op
        self.sort = sort
        self.payload = payload
        self.args = args
        self.key = key
        self.upto = upto

    def __repr__(self) -> str:
        return show(self)


_table: dict[tuple[object, ...], Term] = {}


def _make(op: Op, sort: Sort, payload: Value, args: tuple[Term, ...] = (), upto: int | None = None) -> Term:
    key = (op, sort, type(payload), payload, upto, *(arg.key for arg in args))
    term = _table.get(key)
    if term is None:
        term = Term(op, sort, payload, args, len(_table), upto)
        _table[key] = term
    return term


def const(sort: Sort, value: Value) -> Term:
    """The constant ``value`` of ``sort``."""
    return _make(Op.CONST, sort, value)


TRUE = const(BOOL, True)
FALSE = const(BOOL, False)
_INTEGERS = tuple(const(COUNT, number) for number in range(-2, 34))


def integer(value: int) -> Term:
    """The count ``value``."""
    return _INTEGERS[value + 2] if -2 <= value < 32 else const(COUNT, value)


def boolean(value: bool) -> Term:
    """The constant ``value`` as a term."""
    return TRUE if value else FALSE


def field(name: str, sort: Sort, objects: tuple[Term, ...], upto: int | None = None) -> Term:
    """The value of field ``name`` of ``objects`` before the step; ``upto`` bounds a count."""
    return _make(Op.FIELD, sort, name, objects, upto)


def static(name: str, sort: Sort, owner: Term) -> Term:
    """A fixed attribute of ``owner``, known once the scenario is."""
    return _make(Op.STATIC, sort, name, (owner,))


def named(sort: Sort, name: str) -> Term:
    """An object that may be the same as another that is named otherwise."""
    return _make(Op.NAMED, sort, name)


def bound(sort: Sort, level: int) -> Term:
    """The object that the quantifier at nesting ``level`` speaks of."""
    return _make(Op.BOUND, sort, level)


def negate(term: Term) -> Term:
    """Not ``term``."""
    if term.op is Op.CONST:
        return boolean(not term.payload)
    if term.op is Op.NOT:
        return term.args[0]
    return _make(Op.NOT, BOOL, None, (term,))


def _flat(op: Op, terms: Iterable[Term]) -> Iterator[Term]:
    for term in terms:
        if term.op is op:
            yield from term.args
        else:
            yield term


def _junction(op: Op, unit: Term, zero: Term, terms: Iterable[Term]) -> Term:
    kept: dict[int, Term] = {}
    for term in _flat(op, terms):
        if term is zero or negate(term).key in kept:
            return zero
        if term is not unit:
            kept.setdefault(term.key, term)
    parts = tuple(kept.values())
    if not parts:
        return unit
    return parts[0] if len(parts) == 1 else _make(op, BOOL, None, parts)


def conjoin(*terms: Term) -> Term:
    """All of ``terms``."""
    return _junction(Op.AND, TRUE, FALSE, terms)


def disjoin(*terms: Term) -> Term:
    """At least one of ``terms``."""
    return _junction(Op.OR, FALSE, TRUE, terms)


def equals(left: Term, right: Term) -> Term:
    """``left = right``, for terms of one sort."""
    if left is right:
        return TRUE
    if left.op is Op.CONST and right.op is Op.CONST:
        return FALSE
    if left.op is Op.CONST:
        left, right = right, left
    if left.sort is BOOL and right.op is Op.CONST:
        return left if right.payload else negate(left)
    if left.op is Op.ITE and right.op is Op.CONST:
        condition, yes, no = left.args
        return choose(condition, equals(yes, right), equals(no, right))
    if left.sort is COUNT and left.op is Op.FIELD and right.op is Op.CONST:
        number, upto = _number(right), left.upto
        if number < 0 or (upto is not None and number > upto):
            return FALSE
        if number == 0:
            return negate(at_least(left, 1))
        if number == upto:
            return at_least(left, upto)
    if right.op is not Op.CONST and show(left) > show(right):
        left, right = right, left  # by text, not by key: the tree must not depend on what was built before
    return _make(Op.EQ, BOOL, None, (left, right))


def _number(term: Term) -> int:
    assert isinstance(term.payload, int)
    return term.payload


def at_least(left: Term, number: int) -> Term:
    """``left >= number``; every comparison of counts is brought into this form."""
    if left.op is Op.CONST:
        return boolean(_number(left) >= number)
    if left.op is Op.ADD:
        return at_least(left.args[0], number - _number(left.args[1]))
    if left.op is Op.ITE:
        condition, yes, no = left.args
        return choose(condition, at_least(yes, number), at_least(no, number))
    if number <= 0:
        return TRUE
    if left.upto is not None and number > left.upto:
        return FALSE
    return _make(Op.AT_LEAST, BOOL, None, (left, integer(number)))


def add(left: Term, number: int) -> Term:
    """``left + number``; ``number`` may be negative."""
    if left.op is Op.CONST:
        return integer(_number(left) + number)
    if left.op is Op.ADD:
        return add(left.args[0], number + _number(left.args[1]))
    return left if number == 0 else _make(Op.ADD, COUNT, None, (left, integer(number)))


def choose(condition: Term, yes: Term, no: Term) -> Term:
    """``yes`` where ``condition`` holds, else ``no``."""
    if condition is TRUE or yes is no:
        return yes
    if condition is FALSE:
        return no
    if yes.sort is BOOL:
        if yes is TRUE:
            return disjoin(condition, no)
        if yes is FALSE:
            return conjoin(negate(condition), no)
        if no is TRUE:
            return disjoin(negate(condition), yes)
        if no is FALSE:
            return conjoin(condition, yes)
    return _make(Op.ITE, yes.sort, None, (condition, yes, no))


def quantify(op: Op, sort: Sort, level: int, body: Term) -> Term:
    """``every`` or ``some`` object of ``sort`` satisfies ``body``, which speaks of ``bound(level)``."""
    if body.op is Op.CONST and body is (TRUE if op is Op.EVERY else FALSE):
        return body
    return _make(op, BOOL, level, (bound(sort, level), body))


@attrs.frozen
class Structure:
    """The fixed part of an instance: its objects by sort, and their static attributes."""

    objects: dict[str, tuple[str, ...]]
    statics: dict[tuple[str, str], Value]


def rebuild(term: Term, leaf: Callable[[Term], Term | None], memo: dict[int, Term]) -> Term:
    """``term`` with every node for which ``leaf`` gives a term replaced by it, simplified anew."""
    known = memo.get(term.key)
    if known is not None:
        return known
    new = leaf(term)
    if new is None:
        args = tuple(rebuild(arg, leaf, memo) for arg in term.args)
        new = _reapply(term, args)
    memo[term.key] = new
    return new


def _reapply(term: Term, args: tuple[Term, ...]) -> Term:
    op = term.op
    if op is Op.NOT:
        return negate(args[0])
    if op is Op.AND:
        return conjoin(*args)
    if op is Op.OR:
        return disjoin(*args)
    if op is Op.EQ:
        return equals(*args)
    if op is Op.AT_LEAST:
        return at_least(args[0], _number(args[1]))
    if op is Op.ADD:
        return add(args[0], _number(args[1]))
    if op is Op.ITE:
        return choose(*args)
    if op is Op.EVERY or op is Op.SOME:
        assert isinstance(term.payload, int)
        return quantify(op, args[0].sort, term.payload, args[1])
    if op is Op.FIELD:
        assert isinstance(term.payload, str)
        return field(term.payload, term.sort, args, term.upto)
    if op is Op.STATIC:
        return static(str(term.payload), term.sort, args[0])
    return term


def expand(term: Term, structure: Structure) -> Term:
    """``term`` without quantifiers and static attributes, for the objects of ``structure``."""

    def walk(node: Term, bindings: dict[Value, Term], memo: dict[int, Term]) -> Term:
        def leaf(part: Term) -> Term | None:
            if part.op is Op.BOUND:
                return bindings[part.payload]
            if part.op is Op.STATIC:
                owner = walk(part.args[0], bindings, memo)
                return const(part.sort, structure.statics[str(part.payload), str(owner.payload)])
            if part.op is Op.EVERY or part.op is Op.SOME:
                sort = part.args[0].sort
                parts = [
                    walk(part.args[1], {**bindings, part.payload: const(sort, name)}, {})
                    for name in structure.objects.get(sort.name, ())
                ]
                return conjoin(*parts) if part.op is Op.EVERY else disjoin(*parts)
            return None

        return rebuild(node, leaf, memo)

    return walk(term, {}, {})


def leaves(term: Term, op: Op) -> tuple[Term, ...]:
    """All nodes of ``term`` built with ``op``, each once, in the order of their appearance."""
    seen: set[int] = set()
    found: list[Term] = []
    pending = [term]
    while pending:
        node = pending.pop()
        if node.key in seen:
            continue
        seen.add(node.key)
        if node.op is op:
            found.append(node)
        pending.extend(reversed(node.args))
    return tuple(found)


def show(term: Term) -> str:
    """``term`` as text, the same in every process."""
    op = term.op
    if op is Op.CONST:
        if term.sort is BOOL:
            return "true" if term.payload else "false"
        return "none" if term.payload is None else str(term.payload)
    if op is Op.NAMED:
        return str(term.payload)
    if op is Op.BOUND:
        return f"?{term.sort.name.lower()}{term.payload}"
    if op is Op.STATIC:
        return f"{show(term.args[0])}.{str(term.payload).split('.')[1]}"
    if op is Op.FIELD:
        owner, *index = (show(arg) for arg in term.args)
        text = f"{owner}.{str(term.payload).split('.')[1]}"
        return f"{text}[{index[0]}]" if index else text
    if op is Op.EVERY or op is Op.SOME:
        name = show(term.args[0])
        return f"({op.value} {name}: {show(term.args[1])})"
    return "(" + " ".join([op.value, *(show(arg) for arg in term.args)]) + ")"
