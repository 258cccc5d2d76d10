"""Proofs for worlds of any size, searched for: lemmas are learned from what is in the way, until nothing is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import attrs

from oom_smt.induction import Obligation, Prover, conditions_of, formula_of, keeping, obligations
from oom_smt.questions import Counterexample
from oom_smt.suggesting import (
    Choice,
    Generaliser,
    Literal,
    Reasons,
    choices,
    formula_of_literal,
    joined,
    never,
    orders,
    weight,
)
from oom_spec.language import terms
from oom_spec.language.eras import Era
from oom_spec.language.objects import Object
from oom_spec.language.properties import Property
from oom_spec.language.steps import Step
from oom_spec.language.terms import Kind, Sort, Term
from oom_spec.unbounded import clauses
from oom_spec.unbounded.grounding import absent_classes
from oom_spec.unbounded.literals import members_of
from oom_spec.unbounded.opening import SINGLE, object_of
from oom_spec.unbounded.small_worlds import SmallWorlds
from oom_spec.unbounded.start import field_term

KNOWN = "known before"
MOST_TRIES = 40
"""Lemmas that are learned for one obligation before it is given up."""

Say = Callable[[str], None]
Clause = tuple[Literal, ...]
"""Conditions that are never all true of some objects."""


class Stuck(Exception):  # noqa: N818 - how far it got
    """Nothing more can be learned: the message says what is in the way."""


@attrs.define(eq=False)
class Learned:
    """A lemma under proof."""

    clause: Clause
    formula: Term
    number: int
    because: str
    """What it was learned for."""
    done: bool = False
    cores: set[int] = attrs.field(factory=set)
    """The lemmas that its obligations used."""


class Learner:
    """Learns lemmas of one era. What was learned for one property is there for the next."""

    def __init__(self, era: Era, worlds: SmallWorlds, say: Say = lambda text: None) -> None:
        self.era = era
        self.worlds = worlds
        self.say = say
        self.prover = Prover(absent_classes(era))
        self.general = Generaliser(worlds, self._starts_with)
        self.learned: dict[int, Learned] = {}
        self.until = float("inf")

    def _starts_with(self, goal: Term) -> bool:
        return not self.prover.at_start({"": goal})

    def take(self, clause: Clause, because: str) -> Learned:
        """Assume a lemma, and owe its proof."""
        formula = never(clause)
        found = Learned(clause, formula, self.prover.lemmas.add(formula), because)
        self.learned[found.number] = found
        return found

    def take_seen_values(self) -> None:
        """Choices have the values that were seen: a lemma for each, where that is inductive."""
        found: list[Clause] = []
        for kind in Object.classes.values():
            for declared in kind.fields.values():
                if (
                    declared.sort.kind is Kind.CHOICE
                    and declared.index is None
                    and declared.qualified in self.worlds.seen
                ):
                    sort = Sort(Kind.OBJECT, kind.__name__)
                    owner = object_of(sort.name, "") if sort.name in SINGLE else terms.named(sort, f"{sort.name}1")
                    term = field_term(declared, (owner,))
                    unseen = frozenset(members_of(term.sort)) - set(map(str, self.worlds.seen[declared.qualified]))
                    if unseen:
                        found.append((Choice(term, unseen),))
        self.sift(found)

    def sift(self, clauses: Iterable[Clause], needs: Mapping[Term, Iterable[Term]] = MappingProxyType({})) -> int:
        """Take those of ``clauses`` that are inductive together with what is taken already; how many they are.

        ``needs`` has formulas that may be enough to show others: they are tried first.
        """
        before = {str(each.number): each.formula for each in self.learned.values()}
        candidates: dict[str, tuple[Clause, Term]] = {}
        for clause in clauses:
            formula = never(clause)
            if not self.general.reachable(clause) and self._starts_with(formula):
                candidates[str(self.prover.lemmas.add(formula))] = clause, formula
        names = {formula: name for name, (_, formula) in candidates.items()}
        hints = {
            name: [names[each] for each in needs.get(formula, ()) if each in names] for formula, name in names.items()
        }
        formulas = {name: formula for name, (_, formula) in candidates.items()}
        found, _ = self.prover.inductive(self.era, {**before, **formulas}, needs=hints)
        for name, (clause, _) in candidates.items():
            if name in found:
                self.take(clause, KNOWN).done = True
        return sum(name in found for name in candidates)

    def prove(self, subject: Property, seconds: float = float("inf")) -> set[int]:
        """The numbers of the lemmas that prove ``subject``, which may be its own formula's too.

        Raises `Stuck` where it is not found within ``seconds``; what was learned for it is forgotten.
        """
        self.until = time.process_time() + seconds
        kept = set(self.learned)
        try:
            return self._closure(self._prove(subject))
        except Stuck:
            self.learned = {number: each for number, each in self.learned.items() if number in kept}
            raise

    def _prove(self, subject: Property) -> set[int]:
        used: set[int] = set()
        if subject.event is None:
            goal = formula_of(subject)
            number = self.prover.lemmas.add(goal)
            if not self._starts_with(goal):
                raise Stuck("the start does not give it")
            self.learned.setdefault(number, Learned((), goal, number, "goal"))
            used.add(number)
        else:
            for step, obligation in obligations(self.era, subject):
                used |= self._discharge(step, obligation, subject.id)
        while waiting := [each for each in self.learned.values() if not each.done]:
            each = waiting[-1]
            for step, obligation in keeping(self.era, each.formula):
                each.cores |= self._discharge(step, obligation, str(each.number))
            each.done = True
        return used

    def _closure(self, used: set[int]) -> set[int]:
        found: set[int] = set()
        waiting = list(used)
        while waiting:
            number = waiting.pop()
            if number in found:
                continue
            found.add(number)
            each = self.learned[number]
            if not each.cores and each.because == KNOWN:
                for _, obligation in keeping(self.era, each.formula):
                    each.cores |= set(self.prover.core(obligation, list(self.learned)) or ())
            waiting += each.cores
        return found

    def _discharge(self, step: Step, obligation: Obligation, goal: str) -> set[int]:
        denied = obligation.denied
        for _ in range(MOST_TRIES):
            failures = self.prover.failures(obligation.path, {"": denied}, list(self.learned))
            if not failures:
                return set(self.prover.last_core)
            found = failures[""]
            if found is None:
                raise Stuck(f"Z3 gave up on {goal}, {step.id}")
            self._learn(found, obligation, f"{goal}, {step.id}")
        raise Stuck(f"{MOST_TRIES} lemmas were not enough for {goal}, {step.id}")

    def _learn(self, found: Counterexample, obligation: Obligation, because: str) -> None:
        if time.process_time() > self.until:
            raise Stuck(f"out of time at {because}")
        literals = why(found, obligation)
        if self.general.reachable(literals):
            raise Stuck(f"a small world reaches what is in the way: {because}: {said(literals)}")
        best: list[Literal] | None = None
        for order in orders(literals):
            wide = self.general.widened(order)
            formula = never(wide)
            known = self.prover.lemmas.add(formula) in self.learned
            if not known and (best is None or weight(wide) < weight(best)) and self._starts_with(formula):
                best = wide
        if best is None:
            raise Stuck(f"nothing new is learned: {because}: {said(literals)}")
        lemma = self.take(tuple(best), because)
        self.say(f"{lemma.number} for {because}: {said(best)}")


def why(found: Counterexample, obligation: Obligation) -> list[Literal]:
    """The conditions that make a step break a goal in the state of a counterexample."""
    reasons = Reasons(found)
    goal, fresh = obligation.denied
    for term in conditions_of(obligation.path):
        reasons.add(term)
    reasons.add(goal, False, fresh)
    reasons.add_instances()
    reasons.add_identities()
    reasons.add_counts()
    return choices(joined(list(reasons.literals.values())))


def said(literals: Iterable[Literal]) -> clauses.Clause:
    """Conditions as a clause that a person can read."""
    return clauses.clause(map(formula_of_literal, literals))


__all__ = ["Clause", "Learned", "Learner", "Stuck", "said", "why"]
