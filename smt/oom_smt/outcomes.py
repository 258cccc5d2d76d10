"""The outcomes of one kernel call: exclusive, and together possible wherever the call is reached.

A call is a program point of an actor, with what `binds` fixes. Its outcomes are the steps that start
there. Z3 shows, for all states at that point that satisfy the era's site lemmas, that no two outcomes
are possible at once (unless an oracle decides between them) and that one is always possible (unless
the call waits). Dropping a guard of an outcome breaks one or the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, unique
from itertools import combinations

import attrs

from oom_smt import z3_api as z3
from oom_smt.encoding import Encoding
from oom_smt.z3_api import Answer, Solver
from oom_spec.instances import Action, Instance
from oom_spec.language import terms
from oom_spec.language.terms import Term
from oom_spec.properties.lemmas import SITE_LEMMAS


@unique
class Fault(Enum):
    """What is wrong with the outcomes of a call."""

    OVERLAP = "two outcomes are possible at once"
    GAP = "no outcome is possible"
    UNKNOWN = "the solver gave up"


@attrs.frozen(eq=False)
class Finding:
    """One fault."""

    fault: Fault
    site: str
    steps: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.site}: {self.fault.value}: {', '.join(self.steps)}"


@attrs.frozen(eq=False)
class Call:
    """A program point with all that can happen there."""

    site: Term
    outcomes: tuple[tuple[Action, Term], ...]

    @property
    def name(self) -> str:
        """``Reaper at MMGET``"""
        first = self.outcomes[0][0]
        point = first.step.at
        return f"{first.actor} at {point.name if point is not None else '?'}"


def calls_of(instance: Instance) -> list[Call]:
    """Every call of an instance, before any folding of fields."""
    sites: dict[int, Term] = {}
    outcomes: dict[int, dict[str, tuple[Action, list[Term]]]] = {}
    for action, path in instance.lifted:
        if action.step.at is None:
            continue
        site = terms.conjoin(*(terms.expand(part, instance.structure) for part in path.site))
        condition = terms.conjoin(*(terms.expand(part, instance.structure) for part in path.condition))
        if site is terms.FALSE or condition is terms.FALSE:
            continue
        # a call with an unbound pointer is reached at the program point alone
        sites[site.key] = site
        outcomes.setdefault(site.key, {}).setdefault(action.id, (action, []))[1].append(condition)
    return [
        Call(sites[key], tuple((action, terms.disjoin(*conditions)) for action, conditions in found.values()))
        for key, found in outcomes.items()
    ]


def faults_of(instance: Instance, *, only: str | None = None, seconds: float = 10.0) -> list[Finding]:
    """Every fault in the outcomes of every call of ``instance``; empty is what one wants.

    ``only`` asks about the calls that have the step of this id as an outcome.
    """
    encoding = Encoding(instance, folded=False)
    lemmas = [
        terms.expand(instance.raw_formula(lemma.then, names), instance.structure)
        for lemma in SITE_LEMMAS
        for names in instance.tuples(lemma.over)
    ]
    found: list[Finding] = []
    solver = Solver()
    solver.add(encoding.in_range(), *(encoding.truth(lemma) for lemma in lemmas))
    solver.add(encoding.holds_initially({v.slot for v in instance.variables if v.declaration.constant}))
    for call in _merged(calls_of(instance)):
        if only is not None and all(action.step.id != only for action, _ in call.outcomes):
            continue
        solver.push()
        solver.add(encoding.truth(call.site))
        found += _overlaps(solver, encoding, call, seconds)
        if not any(action.step.waits for action, _ in call.outcomes):
            found += _gap(solver, encoding, call, seconds)
        solver.pop()
    return found


def _merged(calls: Sequence[Call]) -> list[Call]:
    """Outcomes without `binds` belong to every binding of the same program point."""
    merged: list[Call] = []
    for call in calls:
        wider = [other for other in calls if other is not call and _implies(call.site, other.site)]
        merged.append(Call(call.site, call.outcomes + tuple(o for other in wider for o in other.outcomes)))
    return [c for c in merged if not any(o is not c and _implies(o.site, c.site) for o in merged)]


def _implies(narrow: Term, wide: Term) -> bool:
    parts = {part.key for part in (narrow.args if narrow.op is terms.Op.AND else (narrow,))}
    return all(part.key in parts for part in (wide.args if wide.op is terms.Op.AND else (wide,)))


def _overlaps(solver: Solver, encoding: Encoding, call: Call, seconds: float) -> list[Finding]:
    found = []
    for (first, one), (second, other) in combinations(call.outcomes, 2):
        if _decided_by_oracle(first, second):
            continue
        both = terms.conjoin(one, other)
        if both is terms.FALSE:
            continue
        solver.push()
        solver.add(encoding.truth(both))
        answer = solver.check(seconds)
        solver.pop()
        if answer is not Answer.UNSAT:
            fault = Fault.OVERLAP if answer is Answer.SAT else Fault.UNKNOWN
            found.append(Finding(fault, call.name, (first.id, second.id)))
    return found


def _decided_by_oracle(first: Action, second: Action) -> bool:
    if any(each.step.environment or each.step.optional for each in (first, second)):
        return True
    return bool(first.step.oracle) and first.step.oracle == second.step.oracle


def _gap(solver: Solver, encoding: Encoding, call: Call, seconds: float) -> list[Finding]:
    solver.push()
    solver.add(*(z3.negate(encoding.truth(condition)) for _, condition in call.outcomes))
    answer = solver.check(seconds)
    solver.pop()
    if answer is Answer.UNSAT:
        return []
    fault = Fault.GAP if answer is Answer.SAT else Fault.UNKNOWN
    return [Finding(fault, call.name, tuple(action.id for action, _ in call.outcomes))]
