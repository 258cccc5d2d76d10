"""Ground formulas over worlds of any size, brought to bit-vectors: satisfiable if and only if they were.

The input has the meaning that `oom_smt.open_encoding` gives it: objects of unknown sorts, fixed attributes
and fields as unknown functions of them, counts as whole numbers that may be negative. Two reductions, and
nothing is assumed that the input does not say:

**Functions** (Ackermann's reduction). Each application of a function gets a variable, and for each two
applications of one function: equal arguments give equal values. From values of the variables that satisfy
this the functions can be read off; arguments that do not occur may be given any value.

**Objects**. Nothing but equality is asked of the n objects of a class that have names, so a model needs no
more than n different ones: numbers of enough bits for n. More numbers than that do no harm, since a class
may have any number of objects.

**Counts**. All that is asked of them is ``x + a >= c``, ``x + a = c`` and ``x + a = y + b`` with given numbers
a, b, c, where x and y are among n variables; that is ``p - q >= k`` or ``p - q = k`` for p and q among these or
0. Let all given numbers and their sums lie between ``low <= 0`` and ``high >= 0``, and ``K = high - low``, so
``|k| <= K``. If there is a model, there is one with all variables between ``-n (K + 1)`` and ``n (K + 1)``: sort
the values of the n variables and 0. Where a value and the next are more than K + 1 apart, move all that is
beyond (seen from 0) nearer, until they are K + 1 apart. For p and q with no such gap between them, ``p - q`` is
what it was. For the others ``p - q`` has kept its sign, and was and is at least K + 1 away from 0: no ``>= k``
and no ``= k`` changes. There are at most n gaps, so no value is further from 0 than n (K + 1).

A number v is written as ``v + bias``, so that nothing is negative and no sum leaves its bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs

from oom_smt.finite import Builder, Question
from oom_spec.language.errors import SpecError
from oom_spec.language.terms import BOOL, COUNT, Kind, Op, Sort, Term
from oom_spec.unbounded.literals import members_of
from oom_spec.unbounded.opening import OPTIONAL, SINGLE, object_of, owner_of


class NoFiniteForm(SpecError):  # noqa: N818 - a refusal, worded as one
    """A formula is outside the fragment that this module reduces; the message names the part."""

    def __init__(self, term: Term, why: str) -> None:
        super().__init__(f"{term} has no finite form: {why}")


def finite(assertions: Sequence[Term]) -> Question:
    """A question that can be answered yes if and only if all ``assertions`` can be true together.

    Raises `NoFiniteForm` for quantifiers, for a sum or a comparison with anything but a given number, and for
    a field of an object that has no name.
    """
    survey = Survey()
    for term in assertions:
        survey.look_at(term)
    reduction = _Reduction(survey)
    for term in assertions:
        reduction.builder.add(reduction.truth(term))
    reduction.assert_functions()
    return reduction.builder.question()


@attrs.define(eq=False)
class Survey:
    """What some ground formulas speak of, in the order in which it comes up."""

    objects: dict[str, dict[str, Term]] = attrs.field(factory=dict)
    """By class and name."""
    values: dict[str, dict[tuple[str, ...], Term]] = attrs.field(factory=dict)
    """By field or fixed attribute, the owners' names, and the term that has the value."""
    low: int = 0
    """The least given number, or sum of given numbers."""
    high: int = 0
    """The greatest."""
    _offsets: dict[int, tuple[int, int]] = attrs.field(factory=dict)
    _seen: set[int] = attrs.field(factory=set)

    def look_at(self, term: Term) -> None:
        """Note all parts of a formula."""
        if term.key in self._seen:
            return
        self._seen.add(term.key)
        if term.op in (Op.EVERY, Op.SOME, Op.BOUND):
            raise NoFiniteForm(term, "it is not ground")
        if term.op is Op.NAMED or (term.op is Op.CONST and term.sort.kind is Kind.OBJECT):
            self._look_at_object(term)
            return
        for arg in term.args:
            self.look_at(arg)
        if term.op in (Op.FIELD, Op.STATIC):
            self._look_at_value(term)
        if term.op is Op.AT_LEAST:
            self._widen(term, _number(term, term.args[1]))
        if term.sort == COUNT:
            self._look_at_count(term)

    def _look_at_object(self, term: Term) -> None:
        if term.op is Op.CONST and term.payload is None and term.sort.name not in SINGLE:
            return  # what a reference that is not set leads to
        if term.op is Op.CONST and term.payload != SINGLE.get(term.sort.name):
            raise NoFiniteForm(term, "it is an object of a scenario")
        known = self.objects.setdefault(term.sort.name, {})
        if str(term.payload) in known:
            return
        owner, _ = owner_of(term)
        if owner is not None:
            self._look_at_object(owner)
        known[str(term.payload)] = term

    def _look_at_value(self, term: Term) -> None:
        for owner in term.args:
            if owner.op not in (Op.NAMED, Op.CONST) or owner.payload is None:
                raise NoFiniteForm(term, f"{owner} is no name of an object")
        self.values.setdefault(str(term.payload), {})[tuple(str(owner.payload) for owner in term.args)] = term
        if term.sort.kind is Kind.OBJECT:
            if term.op is Op.STATIC or len(term.args) != 1:
                raise NoFiniteForm(term, "what it leads to has a name of its own")
            self._look_at_object(target_of(term))

    def _look_at_count(self, term: Term) -> None:
        """Between which numbers lies what is added to a variable, or to 0."""
        if term.op is Op.CONST:
            low = high = _number(term, term)
        elif term.op is Op.ADD:
            more = _number(term, term.args[1])
            low, high = (each + more for each in self._offsets[term.args[0].key])
        elif term.op is Op.ITE:
            (low, high), (least, most) = (self._offsets[arg.key] for arg in term.args[1:])
            low, high = min(low, least), max(high, most)
        else:
            low = high = 0
        self._offsets[term.key] = low, high
        self._widen(term, low)
        self._widen(term, high)

    def _widen(self, term: Term, number: int) -> None:
        self.low, self.high = min(self.low, number), max(self.high, number)

    @property
    def reach(self) -> int:
        """How far from 0 a count need be."""
        counts = sum(value.sort == COUNT for each in self.values.values() for value in each.values())
        return counts * (self.high - self.low + 1)


def target_of(reference: Term) -> Term:
    """The object that a reference field leads to, where it is set."""
    owner = reference.args[0]
    return object_of(reference.sort.name, f"{owner.payload}->{str(reference.payload).split('.')[1]}")


def _number(whole: Term, part: Term) -> int:
    if part.op is not Op.CONST or not isinstance(part.payload, int):
        raise NoFiniteForm(whole, f"{part} is no given number")
    return part.payload


def bits_for(values: int) -> int:
    """How many bits tell so many values apart; at least one."""
    return max(1, (values - 1).bit_length())


class _Reduction:
    """Terms to nodes, once it is known what they speak of."""

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self.builder = Builder()
        self.bias = survey.reach - survey.low
        self.count_width = bits_for(self.bias + survey.reach + survey.high + 1)
        self._truths: dict[int, int] = {}
        self._values: dict[int, int] = {}
        self._members: dict[Sort, tuple[str, ...]] = {}

    # -- variables ---------------------------------------------------------------------------

    def object(self, term: Term) -> int:
        """The number of a named object."""
        return self.builder.variable(str(term.payload), bits_for(len(self.survey.objects[term.sort.name])))

    def is_set(self, term: Term) -> int:
        """Whether a reference, or a fixed attribute that may lead nowhere, leads to an object."""
        return self.builder.variable(f"{term}?", 0)

    def _members_of(self, sort: Sort) -> tuple[str, ...]:
        if sort not in self._members:
            self._members[sort] = members_of(sort)
        return self._members[sort]

    def _variable(self, term: Term) -> int:
        """The value of a field or fixed attribute that is no object."""
        if term.sort == COUNT:
            return self.builder.variable(str(term), self.count_width)
        if term.sort == BOOL:
            return self.builder.variable(str(term), 0)
        return self.builder.variable(str(term), bits_for(len(self._members_of(term.sort))))

    # -- terms -------------------------------------------------------------------------------

    def truth(self, term: Term) -> int:
        """A formula."""
        found = self._truths.get(term.key)
        if found is None:
            found = self._truths[term.key] = self._truth(term)
        return found

    def _truth(self, term: Term) -> int:
        op, args, builder = term.op, term.args, self.builder
        if op is Op.CONST:
            return builder.true if term.payload else builder.false
        if op in (Op.FIELD, Op.STATIC):
            return self._variable(term)
        if op is Op.NOT:
            return builder.negate(self.truth(args[0]))
        if op is Op.AND:
            return builder.conjoin(*(self.truth(arg) for arg in args))
        if op is Op.OR:
            return builder.disjoin(*(self.truth(arg) for arg in args))
        if op is Op.ITE:
            return builder.choose(*(self.truth(arg) for arg in args))
        if op is Op.AT_LEAST:
            bound = _number(term, args[1])
            return builder.at_least(self._value(args[0]), builder.number(bound + self.bias, self.count_width))
        assert op is Op.EQ, term
        left, right = args
        if left.sort.kind is Kind.OBJECT:
            return self._same_object(left, right)
        if left.sort == BOOL:
            return builder.equals(self.truth(left), self.truth(right))
        return builder.equals(self._value(left), self._value(right))

    def _value(self, term: Term) -> int:
        """A count or a choice."""
        found = self._values.get(term.key)
        if found is None:
            found = self._values[term.key] = self._new_value(term)
        return found

    def _new_value(self, term: Term) -> int:
        op, builder = term.op, self.builder
        if op is Op.CONST and term.sort == COUNT:
            return builder.number(_number(term, term) + self.bias, self.count_width)
        if op is Op.CONST:
            members = self._members_of(term.sort)
            return builder.number(members.index(str(term.payload)), bits_for(len(members)))
        if op is Op.ADD:
            return builder.plus(self._value(term.args[0]), _number(term, term.args[1]))
        if op is Op.ITE:
            condition, yes, no = term.args
            return builder.choose(self.truth(condition), self._value(yes), self._value(no))
        return self._variable(term)

    def _reference(self, term: Term) -> tuple[int, int | None]:
        """Whether a term stands for an object, and for which; None if it never does."""
        builder = self.builder
        if term.op is Op.CONST and term.payload is None:
            return builder.false, None
        if term.op is Op.FIELD:
            return self.is_set(term), self.object(target_of(term))
        if term.op is Op.ITE:
            condition = self.truth(term.args[0])
            (some, one), (other, two) = self._reference(term.args[1]), self._reference(term.args[2])
            chosen = builder.choose(condition, some, other)
            if one is None or two is None:
                return chosen, two if one is None else one
            return chosen, builder.choose(condition, one, two)
        owner, attribute = owner_of(term)
        leads = self.is_set(term) if owner is not None and attribute in OPTIONAL else builder.true
        return leads, self.object(term)

    def _same_object(self, left: Term, right: Term) -> int:
        (some, one), (other, two) = self._reference(left), self._reference(right)
        alike = self.builder.equals(some, other)
        if one is None or two is None:
            return alike
        return self.builder.conjoin(
            alike, self.builder.disjoin(self.builder.negate(some), self.builder.equals(one, two))
        )

    # -- what holds of all functions ---------------------------------------------------------

    def assert_functions(self) -> None:
        """Equal arguments give equal values, and values are in range."""
        for applications in self._functions():
            for number, (arguments, value) in enumerate(applications):
                for others, other in applications[:number]:
                    same = [self.builder.equals(one, two) for one, two in zip(others, arguments, strict=True)]
                    differ = [self.builder.negate(each) for each in same]
                    self.builder.add(self.builder.disjoin(*differ, self.builder.equals(other, value)))
        for values in self.survey.values.values():
            for term in values.values():
                self._assert_range(term)

    def _functions(self) -> Iterator[list[tuple[list[int], int]]]:
        """For each function its arguments and value, wherever it is applied."""
        leads: dict[str, list[tuple[list[int], int]]] = {}
        for named in self.survey.objects.values():
            for term in named.values():
                owner, attribute = owner_of(term)
                if owner is None:
                    continue
                leads.setdefault(attribute, []).append(([self.object(owner)], self.object(term)))
                if attribute in OPTIONAL:
                    leads.setdefault(f"{attribute}?", []).append(([self.object(owner)], self.is_set(term)))
        yield from leads.values()
        for values in self.survey.values.values():
            yield [(self._objects(term.args), self._scalar(term)) for term in values.values()]

    def _objects(self, terms: Iterable[Term]) -> list[int]:
        return [self.object(term) for term in terms]

    def _scalar(self, term: Term) -> int:
        return self.is_set(term) if term.sort.kind is Kind.OBJECT else self._variable(term)

    def _assert_range(self, term: Term) -> None:
        builder = self.builder
        if term.sort == COUNT:
            reach, value = self.survey.reach, self._variable(term)
            builder.add(builder.at_least(value, builder.number(self.bias - reach, self.count_width)))
            self._assert_below(value, self.bias + reach + 1, self.count_width)
        elif term.sort.kind is Kind.CHOICE:
            members = len(self._members_of(term.sort))
            self._assert_below(self._variable(term), members, bits_for(members))

    def _assert_below(self, value: int, limit: int, width: int) -> None:
        if limit < 1 << width:
            self.builder.add(self.builder.negate(self.builder.at_least(value, self.builder.number(limit, width))))


__all__ = ["NoFiniteForm", "Survey", "bits_for", "finite"]
