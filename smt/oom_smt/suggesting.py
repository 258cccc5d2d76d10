"""Lemmas suggested by counterexamples to induction.

A counterexample is a state from which a step breaks what is to be proved. What makes the step do so is a
conjunction of a few conditions on a few objects. If no small world ever reaches a state in which they are
all true, then "never all of these" is a candidate: it is made as general as the small worlds allow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from oom_smt.questions import Counterexample, holds
from oom_spec.language import terms
from oom_spec.language.objects import Object
from oom_spec.language.terms import BOOL, Kind, Op, Term, Value
from oom_spec.lifting import declaration_of
from oom_spec.unbounded.grounding import substitute
from oom_spec.unbounded.literals import among, choice_of
from oom_spec.unbounded.opening import never_all, owner_of
from oom_spec.unbounded.start import field_term


class Reasons:
    """Why formulas are true in a state: conditions that are true there and enough."""

    def __init__(self, found: Counterexample) -> None:
        self.universe = found.universe
        self.valuation = found.valuation
        self.literals: dict[int, Term] = {}

    def add(self, term: Term, positive: bool = True, bindings: Mapping[Value, Term] | None = None) -> None:
        """Take down why ``term`` (or its negation) is true; raises AssertionError if it is not."""
        self._add(term, positive, bindings or {})

    def _holds(self, term: Term, positive: bool, bindings: Mapping[Value, Term]) -> bool:
        return holds(term, positive, bindings, self.universe, self.valuation)

    def _add(self, term: Term, positive: bool, bindings: Mapping[Value, Term]) -> None:
        op = term.op
        if op is Op.NOT:
            self._add(term.args[0], not positive, bindings)
        elif op is Op.AND or op is Op.OR:
            if (op is Op.AND) == positive:
                for arg in term.args:
                    self._add(arg, positive, bindings)
            else:
                true = [arg for arg in term.args if self._holds(arg, positive, bindings)]
                self._add(min(true, key=_cost), positive, bindings)
        elif op is Op.ITE and term.sort == BOOL:
            condition, yes, no = term.args
            is_so = self._holds(condition, True, bindings)
            self._add(condition, is_so, bindings)
            self._add(yes if is_so else no, positive, bindings)
        elif op is Op.EVERY or op is Op.SOME:
            variable, body = term.args
            if (op is Op.EVERY) == positive:
                literal = substitute(term, bindings)
                self._take(literal if positive else terms.negate(literal))
                return
            for each in self.universe.of(variable.sort.name):
                if self._holds(body, positive, {**bindings, term.payload: each}):
                    self._add(body, positive, {**bindings, term.payload: each})
                    return
            raise AssertionError(f"{term} is not true")
        elif (
            op is Op.EQ
            and term.args[0].sort == BOOL
            and not (term.args[0].op is Op.FIELD and term.args[1].op is Op.CONST)
        ):
            left, right = term.args
            is_so = self._holds(left, True, bindings)
            self._add(left, is_so, bindings)
            self._add(right, is_so == positive, bindings)
        elif op is Op.CONST:
            assert bool(term.payload) == positive
        else:
            atom = self._resolved(substitute(term, bindings))
            if atom.op is Op.CONST:
                assert bool(atom.payload) == positive, (term, atom)
            elif atom.op in (Op.NOT, Op.AND, Op.OR, Op.ITE):
                self._add(atom, positive, {})
            else:
                self._take(atom if positive else terms.negate(atom))

    def add_instances(self) -> None:
        """What conditions on all objects say of those that other conditions speak of, or that these refer to."""
        named: dict[int, Term] = {}
        for literal in self.literals.values():
            for leaf in terms.leaves(literal, Op.NAMED):
                at: Term | None = leaf
                while at is not None:
                    named[at.key] = at
                    at = owner_of(at)[0]
        wanted = {
            found.args[0].sort.name
            for each in self.literals.values()
            for op in (Op.EVERY, Op.SOME)
            for found in terms.leaves(each, op)
        }
        for owner in list(named.values()):
            for declared in Object.classes[owner.sort.name].fields.values():
                if declared.sort.kind is Kind.OBJECT and declared.sort.name in wanted and declared.index is None:
                    for each in self._referred(field_term(declared, (owner,))):
                        named[each.key] = each
        for literal in list(self.literals.values()):
            positive = literal.op is not Op.NOT
            quantified = literal if positive else literal.args[0]
            if quantified.op not in (Op.EVERY, Op.SOME):
                continue
            variable, body = quantified.args
            for each in named.values():
                if each.sort == variable.sort and self._holds(body, positive, {quantified.payload: each}):
                    self._add(body, positive, {quantified.payload: each})

    def _referred(self, reference: Term) -> Iterator[Term]:
        """The object that a reference leads to, if any; where it leads is a reason from now."""
        nobody = terms.equals(reference, terms.const(reference.sort, None))
        if self.valuation.truth(nobody):
            self._take(nobody)
            return
        for each in self.universe.of(reference.sort.name):
            link = terms.equals(reference, each)
            if self.valuation.truth(link):
                self._take(link)
                yield each
                return

    def add_identities(self) -> None:
        """Which objects that conditions speak of are the same in this state, and which are not."""
        names = {leaf.key: leaf for each in self.literals.values() for leaf in terms.leaves(each, Op.NAMED)}
        roots: dict[int, Term] = {}
        for leaf in names.values():
            at = leaf
            while (owner := owner_of(at)[0]) is not None and owner.op is Op.NAMED and "->" not in str(at.payload):
                at = owner
            roots[at.key] = at
        kept = list(roots.values())
        for number, one in enumerate(kept):
            for other in kept[:number]:
                if one.sort == other.sort:
                    same = terms.equals(one, other)
                    is_so = self.valuation.value(one) == self.valuation.value(other)
                    self._take(same if is_so else terms.negate(same))

    def add_counts(self) -> None:
        """What is said of counts, in weaker parts: of those that are equal, whether they are above 0."""
        for key, literal in list(self.literals.items()):
            atom = literal.args[0] if literal.op is Op.NOT else literal
            if atom.op is not Op.EQ or atom.args[0].sort.kind is not Kind.COUNT:
                continue
            for side in atom.args:
                some = terms.at_least(side.args[0] if side.op is Op.ADD else side, 1)
                if some.op is not Op.CONST:
                    self._take(some if self.valuation.truth(some) else terms.negate(some))
            numbers = [side for side in atom.args if side.op is Op.CONST]
            if literal is atom and numbers:
                counted = atom.args[0] if numbers[0] is atom.args[1] else atom.args[1]
                del self.literals[key]
                self._take(terms.at_least(counted, _number(numbers[0])))
                self._take(terms.negate(terms.at_least(counted, _number(numbers[0]) + 1)))

    def _resolved(self, atom: Term) -> Term:
        """``atom`` with the branch that is taken in place of each if-then-else."""

        def leaf(part: Term) -> Term | None:
            if part.op is not Op.ITE:
                return None
            is_so = self.valuation.truth(part.args[0])
            self._add(part.args[0], is_so, {})
            return self._resolved(part.args[1] if is_so else part.args[2])

        return terms.rebuild(atom, leaf, {})

    def _take(self, literal: Term) -> None:
        if literal.op is Op.EQ and literal.args[0].op is Op.ADD and literal.args[1].op is Op.CONST:
            (count, change), total = literal.args[0].args, literal.args[1]
            literal = terms.equals(count, terms.add(total, -_number(change)))
        if literal is not terms.TRUE:
            self.literals[literal.key] = literal


def _number(term: Term) -> int:
    assert isinstance(term.payload, int)
    return term.payload


def _cost(term: Term) -> int:
    """What to prefer as a reason: no quantifiers, few objects, few conditions."""
    quantifiers = len(terms.leaves(term, Op.EVERY)) + len(terms.leaves(term, Op.SOME))
    return 100 * quantifiers + 5 * len(terms.leaves(term, Op.NAMED)) + len(terms.leaves(term, Op.FIELD))


def joined(literals: Sequence[Term]) -> list[Term]:
    """The same with one name for each object, where an equality says so, and the links that names take for granted."""
    found = list(dict.fromkeys(literals))
    while (same := _same(found)) is not None:
        kept, gone, said_by = same
        found = _renamed(found, str(gone.payload), kept, said_by)
    return _linked(found)


def _same(literals: Sequence[Term]) -> tuple[Term, Term, Term] | None:
    """Two names of one object, the second of which leads from nothing, and the literal that says so."""
    leads: dict[int, Term] = {}
    for each in literals:
        if each.op is not Op.EQ or each.args[0].sort.kind is not Kind.OBJECT:
            continue
        left, right = each.args
        if left.op is Op.NAMED and right.op is Op.NAMED:
            for kept, gone in ((left, right), (right, left)):
                if owner_of(gone)[0] is None and not str(kept.payload).startswith(f"{gone.payload}."):
                    return kept, gone, each
        elif Op.FIELD in (left.op, right.op) and Op.NAMED in (left.op, right.op):
            reference, target = (left, right) if left.op is Op.FIELD else (right, left)
            other = leads.setdefault(reference.key, target)
            for kept, gone in ((other, target), (target, other)):
                if kept is not gone and owner_of(gone)[0] is None:
                    return kept, gone, each
    return None


def _renamed(literals: Sequence[Term], gone: str, kept: Term, dropped: Term) -> list[Term]:
    new = str(kept.payload)

    def leaf(part: Term) -> Term | None:
        if part.op is not Op.NAMED:
            return None
        name = str(part.payload)
        if name == gone:
            return kept
        if name.startswith((gone + ".", gone + "->")):
            return terms.named(part.sort, new + name[len(gone) :])
        return part

    renamed = (terms.rebuild(each, leaf, {}) for each in literals if each is not dropped)
    return [each for each in dict.fromkeys(renamed) if each is not terms.TRUE]


def _linked(literals: Sequence[Term]) -> list[Term]:
    """Names that lead from others as terms; a name that a reference leads to becomes one of its own, and a link."""
    links: dict[str, tuple[Term, Term]] = {}

    def expressed(term: Term) -> Term:
        owner, attribute = owner_of(term)
        if owner is None:
            return term
        if attribute.endswith("->"):
            name = str(term.payload)
            if name not in links:
                declared = declaration_of(attribute.removesuffix("->"))
                own = terms.named(term.sort, f"{term.sort.name}@{len(links) + 1}")
                links[name] = (
                    own,
                    terms.equals(terms.field(declared.qualified, declared.sort, (expressed(owner),)), own),
                )
            return links[name][0]
        return terms.static(attribute, term.sort, expressed(owner))

    def leaf(part: Term) -> Term | None:
        return expressed(part) if part.op is Op.NAMED else None

    found = [terms.rebuild(each, leaf, {}) for each in literals]
    return [each for each in dict.fromkeys([*found, *(link for _, link in links.values())]) if each is not terms.TRUE]


@attrs.frozen(eq=False)
class Choice:
    """That a field has one of some values."""

    term: Term
    values: frozenset[str]

    @property
    def formula(self) -> Term:
        """As a term."""
        return among(self.term, self.values)


Literal = Term | Choice


def formula_of_literal(literal: Literal) -> Term:
    """As a term."""
    return literal.formula if isinstance(literal, Choice) else literal


def choices(literals: Sequence[Term]) -> list[Literal]:
    """What literals say of program counters and other choices, put together."""
    allowed: dict[int, tuple[Term, set[str]]] = {}
    rest: list[Literal] = []
    for each in literals:
        chosen = choice_of(each)
        if chosen is None:
            rest.append(each)
        else:
            field, values = chosen
            known = allowed.setdefault(field.key, (field, set(values)))[1]
            known &= values
    return [*rest, *(Choice(field, frozenset(values)) for field, values in allowed.values())]


def never(literals: Sequence[Literal]) -> Term:
    """That nothing makes all of ``literals`` true, as a closed formula."""
    return never_all(formula_of_literal(each) for each in literals)


__all__ = ["Choice", "Literal", "Reasons", "choices", "formula_of_literal", "joined", "never"]
