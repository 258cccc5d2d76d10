"""Proofs for worlds of any size, searched for: lemmas are learned from what is in the way, until nothing is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NoReturn

import attrs

from oom_smt.generalising import Generaliser, few, orders, weight
from oom_smt.induction import Obligation, Prover, conditions_of, formula_of, keeping, obligations, standing
from oom_smt.questions import Counterexample
from oom_smt.suggesting import Choice, Literal, Reasons, choices, formula_of_literal, joined, never
from oom_spec.language import terms
from oom_spec.language.eras import Era
from oom_spec.language.objects import Object
from oom_spec.language.properties import Property
from oom_spec.language.steps import Step
from oom_spec.language.terms import Kind, Sort, Term
from oom_spec.unbounded import clauses
from oom_spec.unbounded.grounding import absent_classes, has_quantifier, opened
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


class _UnlearnedError(Exception):
    """Lemmas turned out to be wrong, and are gone."""


@attrs.define(eq=False)
class Learned:
    """A lemma under proof."""

    clause: Clause
    formula: Term
    number: int
    because: str
    """What it was learned for."""
    owes: list[tuple[Step | None, Obligation]] | None = None
    """What has to be shown of it, once that is known."""
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
        return self._take(clause, never(clause), because)

    def _take(self, clause: Clause, formula: Term, because: str) -> Learned:
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

    def sift(
        self,
        clauses: Iterable[Clause],
        needs: Mapping[Term, Iterable[Term]] = MappingProxyType({}),
    ) -> int:
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
                self._take(clause, formulas[name], KNOWN).done = True
        return sum(name in found for name in candidates)

    def prove(self, subject: Property, seconds: float = float("inf")) -> set[int]:
        """The numbers of the lemmas that prove ``subject``, which may be its own formula's too.

        Raises `Stuck` where it is not found within ``seconds``; what was learned for it is forgotten.
        """
        self.until = time.process_time() + seconds
        if subject.event is None and has_quantifier(opened(formula_of(subject))[0]):
            try:
                return self._reach(Learned((), terms.TRUE, -1, subject.id, [(None, standing(subject))]))
            except Stuck as stuck:
                with contextlib.suppress(Stuck):
                    return self._reach(self._goal(subject))
                raise stuck from None
        return self._reach(self._goal(subject))

    def _reach(self, goal: Learned) -> set[int]:
        kept = {number for number, each in self.learned.items() if each.done}
        try:
            while waiting := [each for each in (*self.learned.values(), goal) if not each.done]:
                with contextlib.suppress(_UnlearnedError):
                    self._show(waiting[-1] if goal.done else goal)
            return self._closure(goal)
        except Stuck:
            self.learned = {number: each for number, each in self.learned.items() if number in kept and each.done}
            raise

    def _goal(self, subject: Property) -> Learned:
        if subject.event is not None:
            return Learned((), terms.TRUE, -1, subject.id, list(obligations(self.era, subject)))
        formula = formula_of(subject)
        if not self._starts_with(formula):
            raise Stuck("the start does not give it")
        number = self.prover.lemmas.add(formula)
        return self.learned.setdefault(number, Learned((), formula, number, subject.id))

    def _show(self, each: Learned) -> None:
        """Discharge what is owed for a lemma, or for the goal; lemmas are learned until that is done."""
        if each.owes is None:
            each.owes = list(keeping(self.era, each.formula))
        each.cores = set()
        for step, obligation in each.owes:
            each.cores |= self._discharge(step, obligation, each)
        each.done = True

    def _closure(self, goal: Learned) -> set[int]:
        found: set[int] = set()
        waiting = list(goal.cores) if goal.number < 0 else [goal.number]
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

    def _discharge(self, step: Step | None, obligation: Obligation, goal: Learned) -> set[int]:
        because = f"{goal.number if goal.clause else goal.because}, {'every state' if step is None else step.id}"
        denied = obligation.denied
        for _ in range(MOST_TRIES):
            failures = self.prover.failures(obligation.path, {"": denied}, list(self.learned))
            if not failures:
                return set(self.prover.last_core)
            found = failures[""]
            if found is None:
                raise Stuck(f"Z3 gave up on {because}")
            self._learn(why(found, obligation), goal, because)
        raise Stuck(f"{MOST_TRIES} lemmas were not enough for {because}")

    def _learn(self, literals: Sequence[Literal], goal: Learned, because: str) -> None:
        if time.process_time() > self.until:
            raise Stuck(f"out of time at {because}")
        if not self._starts_with(never(literals)):
            self._blame(goal, because, literals)
        if self.general.reachable(literals):
            self._unlearn(literals, goal, because)
        candidates: dict[int, list[Literal]] = {}
        for order in orders(literals):
            wide = self.general.widened(order)
            formula = never(wide)
            number = self.prover.lemmas.add(formula)
            if number not in self.learned and number not in candidates and self._starts_with(formula):
                candidates[number] = wide
        if not candidates:
            self._blame(goal, because, literals)
        best = min(candidates.values(), key=lambda each: (few(self.general.support(each)), *weight(each)))
        lemma = self.take(tuple(best), because)
        self.say(f"{lemma.number} for {because}: {said(best)}")

    def _unlearn(self, literals: Sequence[Literal], goal: Learned, because: str) -> NoReturn:
        """A state that is in the way is reached: what happens next there shows which lemmas are wrong."""
        self.worlds.go_on_from([formula_of_literal(each) for each in literals])
        wrong = {each.number for each in self.learned.values() if each.clause and self.general.reachable(each.clause)}
        if not wrong:
            self._blame(goal, because, literals)
        self._drop(wrong)

    def _blame(self, goal: Learned, because: str, literals: Sequence[Literal]) -> NoReturn:
        """What was to be shown is wrong, or cannot be shown; if it is a lemma, do without it."""
        if not goal.clause:
            raise Stuck(f"no lemma excludes what is in the way of {because}: {said(literals)}")
        self.general.met.append(goal.clause)
        self._drop({goal.number})

    def _drop(self, wrong: Collection[int]) -> NoReturn:
        """Forget lemmas that are wrong; what was shown with them is owed again."""
        self.say(f"{', '.join(map(str, sorted(wrong)))} are wrong")
        self.learned = {number: each for number, each in self.learned.items() if number not in wrong}
        for each in self.learned.values():
            each.done = each.done and each.cores.isdisjoint(wrong)
        raise _UnlearnedError


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
