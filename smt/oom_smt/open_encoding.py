"""Ground obligations as z3 terms: objects of unknown sorts, fields as functions of them.

Each class of objects is a sort of its own; fixed attributes and fields are functions, so two names that
stand for one object have one value. A reference is a truth value (whether it is set) and a function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oom_smt import z3_api as z3
from oom_smt.z3_api import Expr
from oom_spec.language.errors import SpecError
from oom_spec.language.terms import Kind, Op, Sort, Term
from oom_spec.unbounded.literals import members_of
from oom_spec.unbounded.opening import OPTIONAL, SINGLE, object_of, owner_of


class OpenEncoding:
    """Terms to z3 terms; the same term is built once."""

    def __init__(self) -> None:
        self.sorts: dict[str, Any] = {}
        self.choices: dict[str, tuple[Any, dict[str, Expr]]] = {}
        self.functions: dict[str, Any] = {}
        self.truths: dict[int, Expr] = {}
        self.values: dict[int, Expr] = {}
        self.objects: dict[int, Expr] = {}

    def _object_sort(self, kind: str) -> Any:
        if kind not in self.sorts:
            self.sorts[kind] = z3.object_sort(kind)
        return self.sorts[kind]

    def _choice(self, name: str) -> tuple[Any, dict[str, Expr]]:
        if name not in self.choices:
            members = members_of(Sort(Kind.CHOICE, name))
            sort, values = z3.choice_sort(name, members)
            self.choices[name] = sort, dict(zip(members, values, strict=True))
        return self.choices[name]

    def _sort(self, sort: Sort) -> Any:
        if sort.kind is Kind.BOOL:
            return z3.bool_sort()
        if sort.kind is Kind.COUNT:
            return z3.count_sort()
        return self._choice(sort.name)[0] if sort.kind is Kind.CHOICE else self._object_sort(sort.name)

    def _apply(self, name: str, owners: Sequence[Term], result: Any) -> Expr:
        if name not in self.functions:
            self.functions[name] = z3.function(name, [self._object_sort(o.sort.name) for o in owners], result)
        return z3.apply(self.functions[name], [self.object(owner) for owner in owners])

    def object(self, term: Term) -> Expr:
        """An object that a term names."""
        found = self.objects.get(term.key)
        if found is None:
            owner, attribute = owner_of(term)
            owners = () if owner is None else (owner,)
            found = self.objects[term.key] = self._apply(attribute, owners, self._object_sort(term.sort.name))
        return found

    def _reference(self, term: Term) -> tuple[Expr, Expr | None]:
        """Whether a term of object sort stands for an object, and for which."""
        if term.op is Op.CONST and term.sort.name not in SINGLE:
            return z3.bool_value(False), None
        if term.op is Op.FIELD:
            target = object_of(term.sort.name, f"{term.args[0].payload}->{str(term.payload).split('.')[1]}")
            return self._apply(f"{term.payload}?", term.args, z3.bool_sort()), self.object(target)
        if term.op is Op.ITE:
            condition = self.truth(term.args[0])
            (some, one), (other, two) = self._reference(term.args[1]), self._reference(term.args[2])
            if one is None or two is None:
                return z3.choose(condition, some, other), two if one is None else one
            return z3.choose(condition, some, other), z3.choose(condition, one, two)
        owner, attribute = owner_of(term)
        if owner is not None and attribute in OPTIONAL:
            return self._apply(f"{attribute}?", (owner,), z3.bool_sort()), self.object(term)
        return z3.bool_value(True), self.object(term)

    def value(self, term: Term) -> Expr:
        """A ground term of any sort; of a reference, the object that it leads to if it is set."""
        return (
            self.object(term)
            if term.op in (Op.NAMED, Op.CONST) and term.sort.kind is Kind.OBJECT
            else self._value(term)
        )

    def _value(self, term: Term) -> Expr:
        if term.sort.kind is Kind.BOOL:
            return self.truth(term)
        found = self.values.get(term.key)
        if found is None:
            found = self.values[term.key] = self._new_value(term)
        return found

    def _new_value(self, term: Term) -> Expr:
        op = term.op
        if op is Op.CONST:
            if term.sort.kind is Kind.COUNT:
                assert isinstance(term.payload, int)
                return z3.count_value(term.payload)
            return self._choice(term.sort.name)[1][str(term.payload)]
        if op is Op.FIELD or op is Op.STATIC:
            return self._apply(str(term.payload), term.args, self._sort(term.sort))
        if op is Op.ADD:
            return z3.add(self._value(term.args[0]), self._value(term.args[1]))
        if op is Op.ITE:
            condition, yes, no = term.args
            return z3.choose(self.truth(condition), self._value(yes), self._value(no))
        raise SpecError(f"internal error: {term} has no encoding for worlds of any size")

    def truth(self, term: Term) -> Expr:
        """A ground formula."""
        found = self.truths.get(term.key)
        if found is None:
            found = self.truths[term.key] = self._new_truth(term)
        return found

    def _new_truth(self, term: Term) -> Expr:
        op, args = term.op, term.args
        if op is Op.CONST:
            return z3.bool_value(bool(term.payload))
        if op is Op.NOT:
            return z3.negate(self.truth(args[0]))
        if op is Op.AND or op is Op.OR:
            parts = [self.truth(arg) for arg in args]
            return z3.conjoin(parts) if op is Op.AND else z3.disjoin(parts)
        if op is Op.ITE:
            return z3.choose(*(self.truth(arg) for arg in args))
        if op is Op.AT_LEAST:
            return z3.not_below(self._value(args[0]), self._value(args[1]))
        if op is Op.EQ:
            return self._equal(*args)
        if op is Op.FIELD or op is Op.STATIC:
            return self._apply(str(term.payload), args, z3.bool_sort())
        raise SpecError(f"internal error: {term} has no encoding for worlds of any size")

    def _equal(self, left: Term, right: Term) -> Expr:
        if left.sort.kind is not Kind.OBJECT:
            return z3.equals(self._value(left), self._value(right))
        (some, one), (other, two) = self._reference(left), self._reference(right)
        if one is None or two is None:
            return z3.equals(some, other)
        return z3.conjoin([z3.equals(some, other), z3.implies(some, z3.equals(one, two))])


__all__ = ["OpenEncoding"]
