"""A clause as one English sentence: conditions first, and what then holds.

"While the reaper's job is a task and the reaper stands at ZAP, oom_skip of the task's mm is not set."
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from oom_spec.language import terms
from oom_spec.language.terms import BOOL, Kind, Op, Term
from oom_spec.unbounded.clauses import Clause, is_link
from oom_spec.unbounded.grounding import has_quantifier
from oom_spec.unbounded.literals import Scope, choice_of, is_program_counter, members_of, normal

OTHERS = ("that", "that other", "that third", "that fourth")
"""How objects of quantifiers are spoken of, by the quantifiers of their class around them."""


def sentence(said: Clause) -> str:
    """What a clause says, for a reader who knows the kernel; the same in every process."""
    if not said.literals:
        return "This can never be."
    conclusion = _conclusion(said.literals)
    teller = _Teller(said.literals)
    conditions = [teller.tell(each) for each in said.literals if each is not conclusion]
    teller.article = "any"
    then = teller.tell(normal(terms.negate(conclusion)))
    if not conditions:
        return f"At all times {then}."
    return f"While {_listed(conditions, 'and')}, {then}."


def _conclusion(literals: Sequence[Term]) -> Term:
    """The literal that reads best when denied: the last flag that is not set, else the last plain one."""

    def rank(literal: Term) -> int:
        if literal.op is Op.NOT and literal.args[0].op in (Op.FIELD, Op.STATIC):
            return 5
        if has_quantifier(literal):
            return 2 if literal.op is Op.NOT else 1
        if is_link(literal) or is_link(terms.negate(literal)):
            return 0
        chosen = choice_of(literal)
        return 3 if chosen is not None and is_program_counter(chosen[0]) else 4

    return max(enumerate(literals), key=lambda each: (rank(each[1]), each[0]))[1]


def _listed(parts: Sequence[str], word: str) -> str:
    if len(parts) == 1:
        return parts[0]
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"


class _Teller:
    """Remembers which objects were introduced."""

    def __init__(self, literals: Iterable[Term]) -> None:
        self.met: set[str] = set()
        self.article = "a"
        self.alike: dict[str, int] = {}
        for name in {str(leaf.payload): leaf for each in literals for leaf in terms.leaves(each, Op.NAMED)}.values():
            self.alike[name.sort.name] = self.alike.get(name.sort.name, 0) + 1

    # -- objects -----------------------------------------------------------------------------

    def object(self, term: Term, scope: Scope) -> str:
        """``the task``, ``killer 2``, ``the task's mm``."""
        kind = term.sort.name
        if term.op is Op.CONST:
            return "nobody" if term.payload is None else f"the {term.payload}"
        if term.op is Op.BOUND:
            alike = [each for each in scope if each.sort == term.sort]
            return f"{OTHERS[alike.index(term)]} {kind.lower()}"
        if term.op is Op.NAMED:
            name = str(term.payload)
            if self.alike[kind] > 1:
                return re.sub(r"^(\D+)", lambda found: found.group().lower() + " ", name)
            article = "the" if name in self.met else self.article
            self.met.add(name)
            return f"{article} {kind.lower()}"
        if term.op is Op.ITE:
            return self.value(term, scope)
        owner, attribute = term.args[0], str(term.payload).split(".")[1]
        if owner.op is Op.STATIC and str(owner.payload) == "Task.process":
            owner = owner.args[0]  # a task's mm is its process's: nobody says it the long way
        if owner.op is Op.STATIC:
            return f"{attribute} of {self.object(owner, scope)}"
        return f"{self.object(owner, scope)}'s {attribute}"

    # -- conditions --------------------------------------------------------------------------

    def tell(self, term: Term, scope: Scope = (), inside: bool = False) -> str:
        """A condition in words; ``inside`` others it stands in parentheses if it has parts."""
        chosen = choice_of(term)
        if chosen is not None:
            return self._choice(*chosen, scope)
        op, args = term.op, term.args
        if op is Op.NOT:
            return self._denied(args[0], scope, inside)
        if op in (Op.AND, Op.OR):
            text = f" {op.value} ".join(self.tell(each, scope, True) for each in args)
            return f"({text})" if inside else text
        if op in (Op.EVERY, Op.SOME):
            opening = "for every {kind}," if op is Op.EVERY else "there is a {kind} such that"
            return self._quantified(opening, term, scope, inside)
        if op is Op.EQ and args[0].sort is BOOL:
            return f"({self.tell(args[0], scope, True)} if and only if {self.tell(args[1], scope, True)})"
        if op is Op.EQ:
            left, right = self._sides(term, scope)
            return f"{left} is {right}"
        if op is Op.AT_LEAST:
            return f"{self.value(args[0], scope)} is at least {args[1].payload}"
        if op is Op.ITE:
            yes, no = self.tell(args[1], scope, True), self.tell(args[2], scope, True)
            return f"(where {self.tell(args[0], scope, True)}, {yes}, and elsewhere {no})"
        if op is Op.CONST:
            return "anything is so" if term.payload else "this can never be"
        return f"{self.value(term, scope)} is set"

    def _denied(self, term: Term, scope: Scope, inside: bool) -> str:
        op, args = term.op, term.args
        if op in (Op.EVERY, Op.SOME):
            opening = (
                "there is a {kind} for which it is not so that" if op is Op.EVERY else "there is no {kind} such that"
            )
            return self._quantified(opening, term, scope, inside)
        if op is Op.EQ and args[0].sort is not BOOL:
            left, right = self._sides(term, scope)
            return f"{left} is not {right}"
        if op is Op.AT_LEAST:
            number = args[1].payload
            return f"{self.value(args[0], scope)} is {'0' if number == 1 else f'less than {number}'}"
        if op in (Op.FIELD, Op.STATIC):
            return f"{self.value(term, scope)} is not set"
        return f"it is not so that {self.tell(term, scope, True)}"

    def _quantified(self, opening: str, term: Term, scope: Scope, inside: bool) -> str:
        variable, body = term.args
        before = sum(each.sort == variable.sort for each in scope)
        kind = ("", "other ", "third ", "fourth ")[before] + variable.sort.name.lower()
        text = f"{opening.format(kind=kind).replace('a other', 'another')} {self.tell(body, (*scope, variable))}"
        return f"({text})" if inside else text

    def _choice(self, field: Term, values: frozenset[str], scope: Scope) -> str:
        members = members_of(field.sort)
        inside = [each for each in members if each in values]
        outside = [each for each in members if each not in values]
        if not inside:
            return f"{self.value(field, scope)} has no value"
        negated = bool(outside) and len(outside) < len(inside)
        points = _listed(outside if negated else inside, "or")
        if is_program_counter(field):
            routine = str(field.payload).split(".")[1].removesuffix("at").rstrip("_")
            owner = self.object(field.args[0], scope)
            subject = f"{routine} of {owner}" if routine else owner
            return f"{subject} stands {'anywhere but at' if negated else 'at'} {points}"
        return f"{self.value(field, scope)} is {'not ' if negated else ''}{points}"

    def _sides(self, equality: Term, scope: Scope) -> tuple[str, str]:
        order = {Op.FIELD: 0, Op.ADD: 1, Op.STATIC: 2, Op.NAMED: 3, Op.BOUND: 3, Op.ITE: 4, Op.CONST: 5}
        left, right = sorted(equality.args, key=lambda each: (order[each.op], terms.show(each)))
        return self.value(left, scope), self.value(right, scope)

    # -- values ------------------------------------------------------------------------------

    def value(self, term: Term, scope: Scope) -> str:
        """``queue_depth of the task``"""
        op, args = term.op, term.args
        if op is Op.ADD:
            number = args[1].payload
            assert isinstance(number, int)
            return f"{self.value(args[0], scope)} {'+' if number > 0 else '-'} {abs(number)}"
        if op is Op.ITE:
            yes, no = self.value(args[1], scope), self.value(args[2], scope)
            return f"({yes} where {self.tell(args[0], scope, True)}, else {no})"
        if op is Op.CONST and term.sort.kind is not Kind.OBJECT:
            return str(term.payload)
        if op in (Op.NAMED, Op.BOUND, Op.CONST) or (op is Op.STATIC and term.sort.kind is Kind.OBJECT):
            return self.object(term, scope)
        name = str(term.payload)
        if name.startswith("limit."):
            return f"the limit of {name.removeprefix('limit.')}"
        field, owner = name.split(".")[1], args[0]
        if op is Op.FIELD and term.sort.kind is Kind.OBJECT and owner.op is not Op.STATIC:
            return f"{self.object(owner, scope)}'s {field}"
        text = f"{field} of {self.object(owner, scope)}"
        return f"{text} for {self.object(args[1], scope)}" if len(args) > 1 else text


__all__ = ["sentence"]
