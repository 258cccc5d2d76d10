"""Conditions on named objects as text that a person reads and writes, both ways.

A literal is a term over named objects (``Task1``) and what their fixed attributes lead to. In text::

    reaper.at is ZAP or UP_READ_REAPED        killer1.eligible[task1.process]
    killer1.at is not IDLE or OOM_LOCK        killer1.current is not nobody
    not task1.process.mm.oom_skip             task1.queue_depth is world.queue_top + 1
    killer1.victim is task1                   no killer: killer.holds_oom_lock

Objects are called by their class and a number; ``world`` and ``reaper`` are the only ones of theirs. An
object of a quantifier has no number: ``task``, and inside it ``other_task``, ``third_task``, ``fourth_task``
(``that_reaper`` where a class has one object). A quantifier reaches as far as its parenthesis. ``and``
and ``or`` are put together with parentheses; ``(a iff b)`` and ``(if a then b else c)`` always have them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Never

from oom_spec.language import terms
from oom_spec.language.errors import SpecError
from oom_spec.language.objects import Object
from oom_spec.language.terms import BOOL, COUNT, Kind, Op, Sort, Term, Value
from oom_spec.lifting import declaration_of
from oom_spec.unbounded.opening import SINGLE, class_of, object_of, owner_of
from oom_spec.unbounded.start import field_term

NESTED = ("", "other_", "third_", "fourth_")
"""What the name of a quantifier's object begins with, by the quantifiers of its class around it."""
LIMIT = "limit"
NOBODY = "nobody"
WORDS = frozenset(
    {"is", "not", "or", "and", "no", "some", "every", "if", "then", "else", "iff", "true", "false", NOBODY}
)
_TOKEN = re.compile(r"\s*(?:([A-Za-z_]\w*)|(\d+)|(>=|[<+\-()\[\].:]))")
_VARIABLE = re.compile(r"([a-z]+)(\d+)")

Scope = tuple[Term, ...]
"""The objects of the quantifiers around, from the outside."""


# -- terms of choices ------------------------------------------------------------------------


def members_of(sort: Sort) -> tuple[str, ...]:
    """The names of the values of a choice, in their order. Raises `SpecError` if no field is of this sort."""
    for kind in Object.classes.values():
        for declared in kind.fields.values():
            if declared.members is not None and declared.sort == sort:
                return tuple(member.name for member in declared.members)
    raise SpecError(f"internal error: no field has the sort {sort.name}: no field is a choice of {sort.name}")


def among(field: Term, values: Collection[str]) -> Term:
    """That a choice has one of these values: one term for one set."""
    return terms.disjoin(*(terms.equals(field, terms.const(field.sort, value)) for value in sorted(values)))


def choice_of(literal: Term) -> tuple[Term, frozenset[str]] | None:
    """The choice and its values, if a literal says no more than that it has one of them."""
    found = _said(literal)
    if found is None:
        return None
    field, values, positive = found
    return field, frozenset(values) if positive else frozenset(members_of(field.sort)).difference(values)


def _said(term: Term) -> tuple[Term, tuple[str, ...], bool] | None:
    """The choice, values in their order, and whether it has one of them or none."""
    positive = term.op is not Op.NOT
    inner = term if positive else term.args[0]
    parts = inner.args if inner.op is Op.OR else (inner,)
    field = parts[0].args[0] if parts[0].op is Op.EQ else None
    if field is None or field.op is not Op.FIELD or field.sort.kind is not Kind.CHOICE:
        return None
    if any(each.op is not Op.EQ or each.args[0] is not field or each.args[1].op is not Op.CONST for each in parts):
        return None
    return field, tuple(str(each.args[1].payload) for each in parts), positive


def normal(literal: Term) -> Term:
    """The one term for a literal: names that lead from others as attributes, quantifiers counted from 0, sets sorted.

    Raises `SpecError` for an object that is named by a reference, and for one of no quantifier.
    """
    found = _levelled(literal, {}, 0)
    chosen = choice_of(found)
    return found if chosen is None else among(*chosen)


def _levelled(term: Term, bindings: Mapping[Value, Term], depth: int) -> Term:
    def leaf(part: Term) -> Term | None:
        if part.op is Op.BOUND:
            if part.payload not in bindings:
                raise SpecError(f"{term} speaks of {part}, which no quantifier introduces")
            return bindings[part.payload]
        if part.op is Op.NAMED:
            return _chain(part)
        if part.op in (Op.EVERY, Op.SOME):
            variable, body = part.args
            inner = terms.bound(variable.sort, depth)
            said = _levelled(body, {**bindings, part.payload: inner}, depth + 1)
            return terms.quantify(part.op, variable.sort, depth, said)
        return None

    return terms.rebuild(term, leaf, {})


def _chain(name: Term) -> Term:
    owner, attribute = owner_of(name)
    if owner is None:
        return name
    if attribute.endswith("->"):
        raise SpecError(f"{name} is named by a reference: give it a name, and say that the reference is it")
    return terms.static(attribute, name.sort, _chain(owner) if owner.op is Op.NAMED else owner)


# -- writing ---------------------------------------------------------------------------------


def write_literal(literal: Term) -> str:
    """A literal as text; of a set of values and what is left of them, the shorter one.

    Objects must be named by class and number. Raises `SpecError` where one is not.
    """
    literal = normal(literal)
    chosen = choice_of(literal)
    if chosen is None:
        return _written(literal, (), False)
    field, values = chosen
    members = members_of(field.sort)
    rest = [each for each in members if each not in values]
    subject = _value(field, ())
    if rest and len(rest) < len(values):
        return f"{subject} is not {' or '.join(rest)}"
    return f"{subject} is {' or '.join(each for each in members if each in values)}"


def variable_of(name: str) -> str:
    """How an object is called in text: ``task1`` for ``Task1``. Raises `SpecError` for another kind of name."""
    kind = class_of(name)
    text = kind.lower() + name[len(kind) :]
    if _VARIABLE.fullmatch(text) is None:
        raise SpecError(f"{name} has no name of class and number: make a clause of what is said of it")
    return text


def bound_name(scope: Scope, term: Term) -> str:
    """How the object of a quantifier is called: by its class, and by those of its class around it."""
    kind = term.sort.name
    alike = [each for each in scope if each.sort == term.sort]
    before = len(alike) if term not in alike else alike.index(term)
    if before >= len(NESTED):
        raise SpecError(f"more than {len(NESTED)} quantifiers over {kind} inside each other have no names here")
    return ("that_" if kind in SINGLE else "") + NESTED[before] + kind.lower()


def _written(term: Term, scope: Scope, inside: bool) -> str:
    """``inside``: within ``and``, ``or`` or ``not``, where all but atoms have parentheses."""
    op, args = term.op, term.args
    said = _said(term)
    if said is not None:
        field, values, positive = said
        text = f"{_value(field, scope)} is {'' if positive else 'not '}{' or '.join(values)}"
        return f"({text})" if inside and len(values) > 1 else text
    if op is Op.NOT:
        return _denied(args[0], scope, inside)
    if op in (Op.AND, Op.OR):
        text = f" {op.value} ".join(_written(each, scope, True) for each in args)
        return f"({text})" if inside else text
    if op in (Op.EVERY, Op.SOME):
        text = _quantified(op.value, term, scope)
        return f"({text})" if inside else text
    if op is Op.EQ:
        if args[0].sort is BOOL:
            left, right = sorted(_written(each, scope, True) for each in args)
            return f"({left} iff {right})"
        left, right = _sides(term, scope)
        return f"{left} is {right}"
    if op is Op.AT_LEAST:
        return f"{_value(args[0], scope)} >= {args[1].payload}"
    return _value(term, scope)


def _denied(term: Term, scope: Scope, inside: bool) -> str:
    op, args = term.op, term.args
    if op in (Op.EVERY, Op.SOME):
        text = _quantified("not every" if op is Op.EVERY else "no", term, scope)
        return f"({text})" if inside else text
    if op is Op.EQ and args[0].sort is not BOOL:
        left, right = _sides(term, scope)
        return f"{left} is not {right}"
    if op is Op.AT_LEAST:
        if args[0].op is Op.FIELD and args[1].payload == 1:
            return f"{_value(args[0], scope)} is 0"
        return f"{_value(args[0], scope)} < {args[1].payload}"
    return f"not {_written(term, scope, True)}"


def _quantified(word: str, term: Term, scope: Scope) -> str:
    variable, body = term.args
    return f"{word} {bound_name(scope, variable)}: {_written(body, (*scope, variable), False)}"


def _sides(equality: Term, scope: Scope) -> tuple[str, str]:
    """What changes is on the left, what it is compared with on the right."""
    order = {Op.FIELD: 0, Op.ADD: 1, Op.STATIC: 2, Op.NAMED: 3, Op.BOUND: 3, Op.ITE: 4, Op.CONST: 5}
    sides = sorted((order[each.op], _value(each, scope)) for each in equality.args)
    return sides[0][1], sides[1][1]


def _value(term: Term, scope: Scope) -> str:
    op, args = term.op, term.args
    if op is Op.CONST:
        if term.sort is BOOL:
            return "true" if term.payload else "false"
        return NOBODY if term.payload is None else str(term.payload)
    if op is Op.NAMED:
        return variable_of(str(term.payload))
    if op is Op.BOUND:
        return bound_name(scope, term)
    if op is Op.ADD:
        number = args[1].payload
        assert isinstance(number, int)
        return f"{_value(args[0], scope)} {'+' if number > 0 else '-'} {abs(number)}"
    if op is Op.ITE:
        write = partial(_written, scope=scope, inside=False) if term.sort is BOOL else partial(_value, scope=scope)
        return f"(if {_written(args[0], scope, False)} then {write(args[1])} else {write(args[2])})"
    name = str(term.payload)
    if name.startswith(f"{LIMIT}."):
        return name
    text = f"{_value(args[0], scope)}.{name.split('.')[1]}"
    return f"{text}[{_value(args[1], scope)}]" if len(args) > 1 else text


# -- reading ---------------------------------------------------------------------------------


def read_literal(text: str) -> Term:
    """The literal that ``text`` says, as `normal` has it. Raises `SpecError` with one line that names the text."""
    return normal(_Reader(text).whole())


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(self._split())
        self.at = 0
        self.scope: Scope = ()

    def _split(self) -> Iterator[str]:
        at, end = 0, len(self.text.rstrip())
        while at < end:
            found = _TOKEN.match(self.text, at)
            if found is None:
                self.fail(f"{self.text[at:].split()[0]!r} is no part of a condition")
            at = found.end()
            yield found.group().strip()

    def fail(self, why: str) -> Never:
        raise SpecError(f"cannot read {self.text!r}: {why}")

    # -- tokens ------------------------------------------------------------------------------

    def peek(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at] if at < len(self.tokens) else ""

    def take(self) -> str:
        found = self.peek()
        self.at += 1
        return found

    def accept(self, *words: str) -> bool:
        if [self.peek(ahead) for ahead in range(len(words))] != list(words):
            return False
        self.at += len(words)
        return True

    def expect(self, word: str) -> None:
        if not self.accept(word):
            self.fail(f"`{word}` is missing {self._here()}")

    def _here(self) -> str:
        return f"before `{self.peek()}`" if self.peek() else "at the end"

    # -- formulas ----------------------------------------------------------------------------

    def whole(self) -> Term:
        found = self.truth(self.formula(None))
        if self.peek():
            self.fail("a `)` has no `(`" if self.peek() == ")" else f"`{self.peek()}` is left over")
        return found

    def truth(self, term: Term) -> Term:
        if term.sort is not BOOL:
            self.fail(f"`{_value(term, self.scope)}` is no condition: say what it is, as in `... is ...`")
        return term

    def formula(self, expected: Sort | None) -> Term:
        return self._junction("or", expected)

    def _junction(self, word: str, expected: Sort | None) -> Term:
        def operand() -> Term:
            return self._junction("and", expected) if word == "or" else self.unary(expected)

        found = operand()
        if self.peek() != word:
            return found
        parts = [self.truth(found)]
        while self.accept(word):
            parts.append(self.truth(operand()))
        return terms.disjoin(*parts) if word == "or" else terms.conjoin(*parts)

    def unary(self, expected: Sort | None) -> Term:
        if self.accept("not", "every"):
            return terms.negate(self.quantifier(Op.EVERY))
        if self.accept("not"):
            return terms.negate(self.truth(self.unary(None)))
        if self.accept("no"):
            return terms.negate(self.quantifier(Op.SOME))
        if self.peek() in ("some", "every"):
            return self.quantifier(Op(self.take()))
        if self.peek() == "(" and self.peek(1) != "if":
            self.take()
            found = self.formula(None)
            if self.accept("iff"):
                found = terms.equals(self.truth(found), self.truth(self.formula(None)))
            self.expect(")")
            return found
        return self.comparison(self.value(expected))

    def quantifier(self, op: Op) -> Term:
        name = self.take()
        kind = _classes().get(re.sub("^(that_)?(other_|third_|fourth_)?", "", name))
        if kind is None:
            self.fail(f"`{name}` is no class of objects: one of {', '.join(sorted(_classes()))}")
        variable = terms.bound(Sort(Kind.OBJECT, kind), len(self.scope))
        wanted = bound_name(self.scope, variable)
        if name != wanted:
            self.fail(f"the object of this quantifier is called `{wanted}`, not `{name}`")
        self.expect(":")
        outside, self.scope = self.scope, (*self.scope, variable)
        body = self.truth(self.formula(None))
        self.scope = outside
        return terms.quantify(op, variable.sort, len(outside), body)

    def comparison(self, left: Term) -> Term:
        if self.accept("is"):
            positive = not self.accept("not")
            found = self._is_one_of(left)
            return found if positive else terms.negate(found)
        for word in (">=", "<"):
            if self.accept(word):
                if left.sort is not COUNT:
                    self.fail(f"`{_value(left, self.scope)}` is no count")
                if not self.peek().isdigit():
                    self.fail(f"`{word}` compares with a number, as in `... {word} 1`")
                found = terms.at_least(left, int(self.take()))
                return found if word == ">=" else terms.negate(found)
        return left

    def _is_one_of(self, left: Term) -> Term:
        if left.sort is BOOL:
            self.fail(f"`{_value(left, self.scope)}` is a flag: it is said with and without `not`")
        found = [self._equal(left)]
        while left.sort.kind is Kind.CHOICE and self.peek() == "or" and self.peek(1)[:1].isupper():
            self.take()
            found.append(self._equal(left))
        return terms.disjoin(*found)

    def _equal(self, left: Term) -> Term:
        right = self.value(left.sort)
        if right.sort != left.sort:
            one, other = (_value(each, self.scope) for each in (left, right))
            self.fail(f"`{one}` and `{other}` are of different kinds")
        return terms.equals(left, right)

    # -- values ------------------------------------------------------------------------------

    def value(self, expected: Sort | None) -> Term:
        found = self._plain_value(expected)
        for sign, word in ((1, "+"), (-1, "-")):
            if self.accept(word):
                if found.sort is not COUNT or not self.peek().isdigit():
                    self.fail(f"`{word}` adds a number to a count")
                return terms.add(found, sign * int(self.take()))
        return found

    def _plain_value(self, expected: Sort | None) -> Term:
        if self.accept("(", "if"):
            condition = self.truth(self.formula(None))
            self.expect("then")
            yes = self.formula(expected)
            self.expect("else")
            no = self.formula(yes.sort)
            self.expect(")")
            if yes.sort != no.sort:
                self.fail("the two branches of an `if` are of different kinds")
            return terms.choose(condition, yes, no)
        word = self.peek()
        if word in ("true", "false"):
            return terms.boolean(self.take() == "true")
        if word.isdigit():
            return terms.integer(int(self.take()))
        if word == NOBODY or word[:1].isupper():
            return self._constant(expected)
        return self._place()

    def _constant(self, expected: Sort | None) -> Term:
        word = self.take()
        if word == NOBODY:
            if expected is None or expected.kind is not Kind.OBJECT:
                self.fail(f"`{NOBODY}` is what a reference may be, as in `killer1.current is {NOBODY}`")
            return terms.const(expected, None)
        if expected is None or expected.kind is not Kind.CHOICE:
            self.fail(f"`{word}` is no object: objects are written small, with a number, as in `task1`")
        members = members_of(expected)
        if word not in members:
            self.fail(f"{expected.name} has no value `{word}`{_hint(word, members)}")
        return terms.const(expected, word)

    def _place(self) -> Term:
        if self.accept(LIMIT, "."):
            return self._limit()
        found = self._object(self.take())
        while self.accept("."):
            if found.sort.kind is not Kind.OBJECT or found.op is Op.FIELD:
                said = f"`{_value(found, self.scope)}`"
                if found.sort.kind is Kind.OBJECT:
                    self.fail(f"{said} may lead nowhere: say which object it is, and speak of that one")
                self.fail(f"{said} has no fields")
            found = self._attribute(found, self.take())
        return found

    def _limit(self) -> Term:
        name = self.take()
        known = {each.upto for kind in Object.classes.values() for each in kind.fields.values() if each.upto}
        limits = sorted(each for each in known if isinstance(each, str))
        if name not in limits:
            self.fail(f"no count has the limit `{name}`{_hint(name, limits)}")
        return terms.static(f"{LIMIT}.{name}", COUNT, object_of("World", "world"))

    def _object(self, name: str) -> Term:
        for each in self.scope:
            if name == bound_name(self.scope, each):
                return each
        for kind, single in SINGLE.items():
            if name == single:
                return object_of(kind, name)
        found = _VARIABLE.fullmatch(name)
        kinds = _classes()
        if found is None or found.group(1) not in kinds or found.group(1) in map(str.lower, SINGLE):
            if not name or name in WORDS or not name[0].isalpha():
                self.fail(f"an object is missing before `{name}`" if name else "an object is missing at the end")
            self.fail(f"`{name}` is no object: one is called by its class and a number, as `task1`")
        kind = kinds[found.group(1)]
        return terms.named(Sort(Kind.OBJECT, kind), kind + found.group(2))

    def _attribute(self, owner: Term, name: str) -> Term:
        kind = Object.classes[owner.sort.name]
        if name in kind.statics:
            return terms.static(kind.statics[name].qualified, kind.statics[name].sort, owner)
        if name not in kind.fields:
            self.fail(f"{kind.__name__} has no field `{name}`{_hint(name, [*kind.fields, *kind.statics])}")
        declared = kind.fields[name]
        if declared.index is None:
            if self.peek() == "[":
                self.fail(f"{declared.qualified} has one value: it takes no `[...]`")
            return field_term(declared, (owner,))
        if not self.accept("["):
            self.fail(f"{declared.qualified} has one value per {declared.index}: say which, as in `{name}[...]`")
        index = self._place()
        if index.sort != Sort(Kind.OBJECT, declared.index) or index.op is Op.FIELD:
            self.fail(f"{declared.qualified} has one value per {declared.index}; `{_value(index, self.scope)}` is none")
        self.expect("]")
        return field_term(declared, (owner, index))


def _classes() -> dict[str, str]:
    return {name.lower(): name for name in Object.classes}


def _hint(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean `{near[0]}`?" if near else ""


def is_program_counter(field: Term) -> bool:
    """Whether a field says where a routine stands."""
    return field.op is Op.FIELD and declaration_of(str(field.payload)).program_counter


__all__ = [
    "among",
    "bound_name",
    "choice_of",
    "is_program_counter",
    "members_of",
    "normal",
    "read_literal",
    "variable_of",
    "write_literal",
]
