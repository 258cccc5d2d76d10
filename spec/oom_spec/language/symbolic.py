"""Symbolic values: what a step sees in place of a truth value, count, choice or reference.

`Symbol.__bool__` asks the lifting which way to go, so ``if``, ``and``, ``or`` and ``not`` work as
they stand. Whatever would quietly lose the symbol (hashing, membership, iteration, conversion to a
plain number) raises `MisuseError` with the remedy.
"""

from __future__ import annotations

import dis
import sys
from enum import Enum
from typing import Never, Protocol, TypeVar

from oom_spec.language import terms
from oom_spec.language.errors import MisuseError
from oom_spec.language.objects import Object
from oom_spec.language.terms import BOOL, COUNT, Kind, Sort, Term

T = TypeVar("T")
_CONTAINS = dis.opmap["CONTAINS_OP"]


class Decider(Protocol):
    """The lifting, as far as a symbol needs it."""

    def decide(self, condition: Term) -> bool:
        """Which way the path under construction goes at ``condition``."""


class Symbol:
    """A value that is known only as a term."""

    __slots__ = ("decider", "term")

    def __init__(self, term: Term, decider: Decider) -> None:
        self.term = term
        self.decider = decider

    def __bool__(self) -> bool:
        if self.term.sort is not BOOL:
            raise MisuseError(
                f"`{self.term}` is used as a truth value: compare it, as in `x != 0` or `x == Choice.MEMBER`"
            )
        caller = sys._getframe(1)
        if caller.f_code.co_code[caller.f_lasti] == _CONTAINS:
            raise MisuseError(f"`in` on the symbolic value `{self.term}`: write `either(x == a, x == b)`")
        return self.decider.decide(self.term)

    def _like(self, term: Term) -> Symbol | bool:
        return _result(term, self.decider)

    def __eq__(self, other: object) -> Symbol | bool:  # type: ignore[override]  # a term, not a truth
        return self._like(terms.equals(self.term, to_term(other, self.term.sort)))

    def __ne__(self, other: object) -> Symbol | bool:  # type: ignore[override]  # as above
        return self._like(terms.negate(terms.equals(self.term, to_term(other, self.term.sort))))

    def negated(self) -> Symbol | bool:
        """Not this, without splitting a path."""
        return self._like(terms.negate(self.term))

    def _count(self, other: object, operator: str) -> int:
        if self.term.sort is not COUNT or isinstance(other, (Symbol, bool)) or not isinstance(other, int):
            raise MisuseError(f"`{self.term} {operator} {other!r}`: counts compare with, and grow by, plain numbers")
        return other

    def __ge__(self, other: object) -> Symbol | bool:
        return self._like(terms.at_least(self.term, self._count(other, ">=")))

    def __gt__(self, other: object) -> Symbol | bool:
        return self._like(terms.at_least(self.term, self._count(other, ">") + 1))

    def __lt__(self, other: object) -> Symbol | bool:
        return self._like(terms.negate(terms.at_least(self.term, self._count(other, "<"))))

    def __le__(self, other: object) -> Symbol | bool:
        return self._like(terms.negate(terms.at_least(self.term, self._count(other, "<=") + 1)))

    def __add__(self, other: object) -> Symbol | int:
        return Symbol(terms.add(self.term, self._count(other, "+")), self.decider)

    def __sub__(self, other: object) -> Symbol | int:
        return Symbol(terms.add(self.term, -self._count(other, "-")), self.decider)

    def _refuse(self, what: str, remedy: str) -> Never:
        raise MisuseError(f"{what} of the symbolic value `{self.term}`: {remedy}")

    def __hash__(self) -> int:
        self._refuse("hash", "keep it out of sets and dict keys; compare it with `==` instead")

    def __iter__(self) -> Never:
        self._refuse("iteration", "say `every(...)` or `some(...)`")

    def __contains__(self, item: object) -> Never:
        self._refuse("`in`", "write `either(x == a, x == b)`")

    def __index__(self) -> int:
        self._refuse("plain number", "a range or an index must not depend on the state")

    def __int__(self) -> int:
        self._refuse("plain number", "compare it, or assign it to a count")

    def __len__(self) -> int:
        self._refuse("length", "count with a `count` field")

    def __invert__(self) -> Never:
        self._refuse("`~`", "write `negate(x)` or `not x`")

    def __and__(self, other: object) -> Never:
        self._refuse("`&`", "write `both(x, y)`")

    def __or__(self, other: object) -> Never:
        self._refuse("`|`", "write `either(x, y)`")

    def _arithmetic(self, other: object = None) -> Never:
        self._refuse("arithmetic", "a count grows or shrinks by a plain number that is known: `x + 1`, `x - 1`")

    __rand__ = __and__
    __ror__ = __or__
    __xor__ = __rxor__ = __mul__ = __rmul__ = __neg__ = __floordiv__ = __mod__ = _arithmetic
    __radd__ = __rsub__ = _arithmetic

    def __setattr__(self, name: str, value: object) -> None:
        if name in Symbol.__slots__:
            object.__setattr__(self, name, value)
            return
        self._refuse(f"assignment of `{name}`", "take the object as a parameter of the step and bind it with `binds=`")

    def __getattr__(self, name: str) -> Never:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse(
            f"attribute `{name}`",
            "take the object as a parameter of the step and bind it with `binds=`",
        )

    def __repr__(self) -> str:
        return f"<symbolic {self.term}>"


def _result(term: Term, decider: Decider) -> Symbol | bool:
    if term.op is terms.Op.CONST:
        return bool(term.payload)
    return Symbol(term, decider)


def to_term(value: object, sort: Sort) -> Term:
    """``value`` as a term of ``sort``.

    Raises `MisuseError` where the value is not of that sort.
    """
    if isinstance(value, Symbol):
        if value.term.sort != sort:
            raise MisuseError(f"`{value.term}` is {describe(value.term.sort)}, not {describe(sort)}")
        return value.term
    if sort is BOOL and isinstance(value, bool):
        return terms.boolean(value)
    if sort is COUNT and isinstance(value, int) and not isinstance(value, (bool, Enum)):
        return terms.integer(value)
    if sort.kind is Kind.CHOICE and isinstance(value, Enum) and type(value).__name__ == sort.name:
        return terms.const(sort, value.name)
    if sort.kind is Kind.OBJECT:
        if value is None:
            return terms.const(sort, None)
        if isinstance(value, Object) and value._term.sort == sort:
            return value._term
    raise MisuseError(f"{value!r} is not {describe(sort)}")


def describe(sort: Sort) -> str:
    """``sort`` in words, for messages."""
    if sort == BOOL:
        return "a truth value"
    article = "an" if sort.kind is Kind.OBJECT else "a"
    return f"{article} {sort.kind.value} {sort.name}".strip()


def _symbols(values: tuple[object, ...]) -> Decider | None:
    for value in values:
        if isinstance(value, Symbol):
            return value.decider
    return None


def both(*values: bool) -> bool:
    """All of ``values``, as one condition: no path is split."""
    decider = _symbols(values)
    if decider is None:
        return all(values)
    return _result(terms.conjoin(*(to_term(v, BOOL) for v in values)), decider)  # type: ignore[return-value]


def either(*values: bool) -> bool:
    """At least one of ``values``, as one condition: no path is split."""
    decider = _symbols(values)
    if decider is None:
        return any(values)
    return _result(terms.disjoin(*(to_term(v, BOOL) for v in values)), decider)  # type: ignore[return-value]


def negate(value: bool) -> bool:
    """Not ``value``, as one condition: no path is split."""
    if isinstance(value, Symbol):
        return _result(terms.negate(to_term(value, BOOL)), value.decider)
    return not value


def implies(condition: bool, consequence: bool) -> bool:
    """``consequence`` wherever ``condition`` holds."""
    return either(negate(condition), consequence)


def when(condition: bool, yes: T, no: T) -> T:
    """``yes`` where ``condition`` holds, else ``no``: a choice of values that splits no path."""
    if not isinstance(condition, Symbol):
        return yes if condition else no
    sort = _sort_of(yes, no)
    term = terms.choose(to_term(condition, BOOL), to_term(yes, sort), to_term(no, sort))
    return Symbol(term, condition.decider)


def _sort_of(*values: object) -> Sort:
    for value in values:
        if isinstance(value, Symbol):
            return value.term.sort
        if isinstance(value, bool):
            return BOOL
        if isinstance(value, Enum):
            return Sort(Kind.CHOICE, type(value).__name__)
        if isinstance(value, int):
            return COUNT
        if isinstance(value, Object):
            return value._term.sort
    raise MisuseError("`when` needs two values of a declared sort")
