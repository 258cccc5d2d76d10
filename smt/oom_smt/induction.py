"""Proofs for runs of every length in worlds of any size, by induction over the steps.

A lemma is a closed formula about all objects. It holds if the start gives it and no step breaks it,
where every lemma of the set may be assumed before the step. Each obligation speaks of finitely many
objects (`oom_spec.unbounded.grounding`) and is decided by Z3.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

import attrs

from oom_smt.open_encoding import OpenEncoding
from oom_smt.questions import Counterexample, Denied, Lemmas, Question
from oom_spec.language import terms
from oom_spec.language.eras import Era
from oom_spec.language.errors import SpecError
from oom_spec.language.properties import Property
from oom_spec.language.steps import Step
from oom_spec.language.terms import Term
from oom_spec.lifting import Path
from oom_spec.reporting import Progress, silent
from oom_spec.unbounded.grounding import (
    Universe,
    add_objects_of,
    after,
    fields_of,
    has_quantifier,
    objects_of_step,
    opened,
    written_by,
)
from oom_spec.unbounded.opening import class_of, object_of, open_condition, open_formula, open_step
from oom_spec.unbounded.start import starts

SECONDS = 10.0
"""Z3's share for one obligation."""


@attrs.frozen(eq=False)
class Broken:
    """A lemma that is not shown to hold: by the start (no step), or after a step."""

    step: Step | None
    unknown: bool = False
    """Z3 gave up; otherwise there is a state from which the step breaks it, reachable or not."""
    obligation: Obligation | None = None
    found: Counterexample | None = None
    """That state."""

    def __str__(self) -> str:
        where = "at the start" if self.step is None else f"by {self.step.id}"
        return f"not decided {where}" if self.unknown else f"broken {where}"


STANDING = Path((), (), (), MappingProxyType({}), (), ())
"""The way through no step at all: what must hold as things stand."""


@attrs.frozen(eq=False)
class Obligation:
    """That a step keeps a lemma, or that what an event promises holds where a step announces it."""

    path: Path
    goal: Term
    """A closed formula that must hold after the step, or one over the step's own objects that holds before it."""
    keeps: bool
    """The goal is a lemma that must hold after the step."""

    @property
    def denied(self) -> Denied:
        """What is to be refuted before the step, with its fresh objects."""
        if not self.keeps:
            return self.goal, {}
        body, fresh = opened(self.goal)
        return after(body, self.path), fresh


Key = tuple[Path | None, frozenset[str], int | None]


def _key(path: Path | None, denied: Denied) -> Key:
    """What may be asked in one question: it shares its objects, and they must exist whichever of the goals fails."""
    goal, fresh = denied
    names = frozenset(str(each.payload) for each in (*fresh.values(), *terms.leaves(goal, terms.Op.NAMED)))
    return path, names, goal.key if has_quantifier(goal) else None


Failures = dict[str, Counterexample | None]
"""What is not shown to hold, by name: a state in which it fails, or None where Z3 gave up."""


class Prover:
    """Decides obligations, and remembers what it has built for them."""

    def __init__(self, absent: Collection[str] = (), seconds: float = SECONDS) -> None:
        """``absent`` has the classes of which there are no objects (`absent_classes`)."""
        self.absent = frozenset(absent)
        self.seconds = seconds
        self.encoding = OpenEncoding()
        self.lemmas = Lemmas()
        self.asked = 0
        """Obligations decided."""
        self.last_core: list[int] = []
        """The lemmas that the last answer used, if nothing failed."""
        self.last_guards: list[int] = []
        """The conditions of the path that it used, by their place in `conditions_of`."""
        self._questions: dict[Key, Question] = {}
        self._shown: dict[tuple[Path, int], list[frozenset[int]]] = {}

    # -- one obligation ----------------------------------------------------------------------

    def failures(
        self,
        path: Path | None,
        denied: Mapping[str, Denied],
        assumed: Collection[int],
        without: Collection[int] = (),
    ) -> Failures:
        """Which of ``denied`` may fail before the path (`Obligation.parts`), or at the start where there is none.

        Conditions of the path at the numbers ``without`` are left out.
        """
        groups: dict[Key, dict[str, Denied]] = {}
        for name, each in denied.items():
            groups.setdefault(_key(path, each), {})[name] = each
        found: Failures = {}
        for key, goals in groups.items():
            question = self._question(key, path, goals, assumed)
            self.asked += len(goals)
            before = question.asked
            lost = question.failures(goals, self.lemmas, assumed, without)
            if lost and before and question.full:  # perhaps only for what others had asked before
                del self._questions[key]
                question = self._question(key, path, goals, assumed)
                lost = question.failures(goals, self.lemmas, assumed, without)
            found.update(lost)
            self.last_core, self.last_guards = question.core, question.guards
        return found

    def _question(self, key: Key, path: Path | None, goals: Mapping[str, Denied], assumed: Collection[int]) -> Question:
        question = self._questions.get(key)
        if question is None or not question.brought <= set(assumed):
            if path is None:
                question = Question(self.encoding, Universe(self.absent), starts, self.seconds)
            else:
                before = conditions_of(path)
                question = Question(self.encoding, objects_of_step(path, self.absent), lambda _: before, self.seconds)
            self._questions[key] = question
            for goal, _ in goals.values():
                add_objects_of(goal, question.universe)
        return question

    def core(self, obligation: Obligation, assumed: Collection[int]) -> list[int] | None:
        """Lemmas that are enough for an obligation, as Z3 names them; None if it is not shown."""
        denied = obligation.denied
        if self.failures(obligation.path, {"": denied}, assumed):
            return None
        return self.last_core

    def assertions(self, path: Path | None, denied: Denied, assumed: Collection[int]) -> tuple[Term, ...]:
        """What an obligation comes down to: ground formulas that are never true together if it holds."""
        self.failures(path, {"": denied}, assumed)
        question = self._questions[_key(path, denied)]
        instances = (each for number in assumed for each in question.instances.get(number, ()))
        found = dict.fromkeys((*question.known, *instances, *question.failing.values()))
        return tuple(each for each in found if each is not terms.TRUE)

    def after_step(self, path: Path, goals: Mapping[str, Term], lemmas: Sequence[Term]) -> Failures:
        """The ``goals`` that the path may break, given the ``lemmas`` before it."""
        denied = {name: Obligation(path, goal, keeps=True).denied for name, goal in goals.items()}
        return self.failures(path, denied, self.numbers(lemmas))

    def numbers(self, lemmas: Iterable[Term]) -> list[int]:
        """The numbers of lemmas, which are taken in if they are new."""
        return [self.lemmas.add(lemma) for lemma in lemmas]

    def needs(self, obligation: Obligation, lemmas: Mapping[str, Term]) -> list[str] | None:
        """Names of lemmas that are enough for an obligation, none of which can be left out; None if they do not do."""
        names = dict(zip(self.numbers(lemmas.values()), lemmas, strict=True))
        kept = self.core(obligation, list(names))
        if kept is None:
            return None
        for number in list(kept):
            if number in kept:
                smaller = self.core(obligation, [each for each in kept if each != number])
                kept = kept if smaller is None else smaller
        return [names[number] for number in kept]

    def at_start(self, goals: Mapping[str, Term]) -> Failures:
        """The ``goals`` that the start does not give."""
        denied: dict[str, Denied] = {name: opened(goal) for name, goal in goals.items()}
        return self.failures(None, denied, ())

    # -- a set of lemmas ---------------------------------------------------------------------

    def inductive(
        self,
        era: Era,
        candidates: Mapping[str, Term],
        progress: Progress = silent,
        needs: Mapping[str, Collection[str]] = MappingProxyType({}),
    ) -> tuple[dict[str, Term], dict[str, Broken]]:
        """The largest part of ``candidates`` that is inductive, and what broke the others.

        Houdini: whatever a step may break is dropped, until nothing is. ``needs`` names lemmas that may be enough for
        others: they are tried first.
        """
        broken = {name: Broken(None, found is None, None, found) for name, found in self.at_start(candidates).items()}
        alive = {name: lemma for name, lemma in candidates.items() if name not in broken}
        number_of = {name: self.lemmas.add(lemma) for name, lemma in candidates.items()}
        reads = {name: fields_of(lemma) for name, lemma in alive.items()}
        paths = [(declared, path, written_by(path)) for declared in era.steps for path in open_step(declared)]
        changed = True
        while changed:
            changed = False
            for number, (declared, path, written) in enumerate(paths):
                progress(number, len(paths), f"{len(alive)} lemmas left, {declared.id}")
                assumed = [number_of[name] for name in alive]
                goals = {}
                for name, lemma in alive.items():
                    if reads[name] & written and not self._is_kept(path, lemma, assumed):
                        few = [number_of[each] for each in (name, *needs.get(name, ())) if each in alive]
                        if name not in needs or not self._keeps(path, lemma, few):
                            goals[name] = lemma
                for name, found in self.after_step(path, goals, list(alive.values())).items():
                    broken[name] = Broken(declared, found is None, Obligation(path, alive[name], keeps=True), found)
                    del alive[name]
                    changed = True
        return alive, broken

    def _is_kept(self, path: Path, lemma: Term, assumed: Collection[int]) -> bool:
        """Whether it was shown before, with lemmas that are among the ``assumed`` ones."""
        return any(core <= set(assumed) for core in self._shown.get((path, lemma.key), ()))

    def _keeps(self, path: Path, lemma: Term, assumed: Collection[int]) -> bool:
        denied = Obligation(path, lemma, keeps=True).denied
        if self.failures(path, {"": denied}, assumed):
            return False
        self._shown.setdefault((path, lemma.key), []).append(frozenset(self.last_core))
        return True

    def is_given(self, subject: Property, lemmas: Iterable[Term]) -> bool:
        """Whether lemmas that hold say all that a state property says."""
        return subject.event is None and self.core(standing(subject), self.numbers(lemmas)) is not None

    def forget_questions(self) -> None:
        """Give back memory. What was shown is remembered."""
        self._questions.clear()

    def breaks(
        self, era: Era, subject: Property, lemmas: Mapping[str, Term], *, first_only: bool = False
    ) -> list[Broken]:
        """Where ``subject`` is not shown to hold, given lemmas that do; nothing where it is proved."""
        found: list[Broken] = []
        known = list(lemmas.values())
        if self.is_given(subject, known):
            return found
        if subject.event is None:
            known.append(formula_of(subject))
            found += [Broken(None, each is None, None, each) for each in self.at_start({"": known[-1]}).values()]
        assumed = self.numbers(known)
        for declared, obligation in obligations(era, subject):
            lost = self.failures(obligation.path, {"": obligation.denied}, assumed)
            found += [Broken(declared, each is None, obligation, each) for each in lost.values()]
            if found and first_only:
                break
        return found


def conditions_of(path: Path) -> list[Term]:
    """What must be true where a path is taken: the program point and what is given, then guards and decisions."""
    return [*path.site, *path.condition]


def keeping(era: Era, lemma: Term) -> list[tuple[Step, Obligation]]:
    """Each step that assigns what the lemma speaks of must keep it."""
    reads = fields_of(lemma)
    return [
        (declared, Obligation(path, lemma, keeps=True))
        for declared in era.steps
        for path in open_step(declared)
        if reads & written_by(path)
    ]


def obligations(era: Era, subject: Property) -> list[tuple[Step, Obligation]]:
    """All that has to be shown of the steps of an era. Raises `SpecError` for a question about whole graphs."""
    if subject.graph is not None:
        raise SpecError(f"{subject.id} is a question about the whole graph: no induction over steps answers it")
    if subject.event is None:
        return keeping(era, formula_of(subject))
    found = []
    for declared in era.steps:
        for path in open_step(declared):
            for event in path.events:
                if event.event is subject.event:
                    given = tuple(
                        object_of(class_of(each), each) if isinstance(each, str) else each for each in event.arguments
                    )
                    goal = open_condition(subject.whole, given)
                    found.append((declared, Obligation(path, goal, keeps=False)))
    return found


def standing(subject: Property) -> Obligation:
    """That lemmas alone give a state property, in every state: no step has to be looked at."""
    return Obligation(STANDING, formula_of(subject), keeps=True)


def formula_of(subject: Property) -> Term:
    """A state property as one closed formula."""
    return open_formula(subject.whole, subject.over)


__all__ = ["STANDING", "Broken", "Obligation", "Prover", "formula_of", "keeping", "obligations", "standing"]
