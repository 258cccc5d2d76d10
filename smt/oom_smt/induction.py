"""Proofs for runs of every length in worlds of any size, by induction over the steps.

A lemma is a closed formula about all objects. It holds if the start gives it and no step breaks it,
where every lemma of the set may be assumed before the step. Each obligation speaks of finitely many
objects (`oom_spec.unbounded.grounding`) and is decided by Z3.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product

import attrs

from oom_smt import z3_api as z3
from oom_smt.open_encoding import OpenEncoding
from oom_smt.z3_api import Answer, Expr, Solver
from oom_spec.language import terms
from oom_spec.language.eras import Era
from oom_spec.language.errors import SpecError
from oom_spec.language.properties import Property
from oom_spec.language.steps import Step
from oom_spec.language.symbolic import either, implies
from oom_spec.language.terms import Term
from oom_spec.lifting import Path
from oom_spec.unbounded.grounding import (
    Frozen,
    Grounding,
    Universe,
    add_objects_of,
    after,
    fields_of,
    has_quantifier,
    objects_of_step,
    opened,
    prefix,
    written_by,
)
from oom_spec.unbounded.opening import class_of, object_of, open_condition, open_formula, open_step
from oom_spec.unbounded.start import starts

SECONDS = 10.0
"""Z3's share for one obligation."""

Progress = Callable[[int, int, str], None]
Denied = tuple[Term, Mapping[terms.Value, Term]]
"""A formula that must not hold, and the fresh objects that it speaks of."""


@attrs.frozen(eq=False)
class Broken:
    """A lemma that is not shown to hold: by the start (no step), or after a step."""

    step: Step | None
    unknown: bool = False
    """Z3 gave up; otherwise there is a state from which the step breaks it, reachable or not."""

    def __str__(self) -> str:
        where = "at the start" if self.step is None else f"by {self.step.id}"
        return f"not decided {where}" if self.unknown else f"broken {where}"


@attrs.frozen(eq=False)
class Obligation:
    """That a step keeps a lemma, or that what an event promises holds where a step announces it."""

    path: Path
    goal: Term
    """A closed formula that must hold after the step, or one over the step's own objects that holds before it."""
    keeps: bool
    """The goal is a lemma that must hold after the step."""

    def parts(self, absent: Collection[str] = ()) -> tuple[Universe, list[Term], Denied]:
        """The objects, what is known before the step, and what is to be refuted, with its fresh objects."""
        universe = objects_of_step(self.path, absent)
        before = [*self.path.site, *self.path.condition]
        if not self.keeps:
            add_objects_of(self.goal, universe)
            return universe, before, (self.goal, {})
        body, fresh = opened(self.goal, universe)
        return universe, before, (after(body, self.path), fresh)


class Prover:
    """Decides obligations, and remembers what it has built for them."""

    def __init__(self, absent: Collection[str] = (), seconds: float = SECONDS) -> None:
        """``absent`` has the classes of which there are no objects (`absent_classes`)."""
        self.absent = absent
        self.seconds = seconds
        self.encoding = OpenEncoding()
        self.asked = 0
        """Questions put to Z3."""
        self._instances: dict[tuple[int, tuple[int, ...]], Expr] = {}

    # -- one obligation ----------------------------------------------------------------------

    def after_step(self, path: Path, goals: Mapping[str, Term], lemmas: Sequence[Term]) -> dict[str, bool]:
        """The ``goals`` that the path may break, given the ``lemmas`` before it; True where Z3 gave up."""
        universe = objects_of_step(path, self.absent)
        bodies = {name: opened(goal, universe) for name, goal in goals.items()}
        denied = {name: (after(body, path), fresh) for name, (body, fresh) in bodies.items()}
        return self._decide(universe, [*path.site, *path.condition], denied, lemmas)

    def at_event(self, path: Path, goal: Term, lemmas: Sequence[Term]) -> bool | None:
        """Whether a formula over the path's own objects may fail before the step: None if not, True if Z3 gave up."""
        universe, before, denied = Obligation(path, goal, keeps=False).parts(self.absent)
        return self._decide(universe, before, {"": denied}, lemmas).get("")

    def needs(self, obligation: Obligation, lemmas: Mapping[str, Term]) -> list[str] | None:
        """Names of lemmas that are enough for an obligation, none of which can be left out; None if they do not do."""
        universe, before, denied = obligation.parts(self.absent)
        grounding = Grounding(universe)
        grounding.settled(before, [denied])
        names = list(lemmas)
        instances: list[Expr] = []
        for number, known in enumerate(self._known(list(lemmas.values()), universe)):
            instances.append(z3.implies(z3.bool_variable(str(number)), z3.conjoin(known)))
        given, bad = grounding.settled(before, [denied])
        solver = Solver(None)
        solver.add(*instances, *(self.encoding.truth(each) for each in (*given, *bad)))

        def enough(numbers: Sequence[int]) -> list[int] | None:
            self.asked += 1
            answer = solver.check(self.seconds, [z3.bool_variable(str(number)) for number in numbers])
            return sorted(map(int, solver.core())) if answer is Answer.UNSAT else None

        kept = enough(range(len(names)))
        if kept is None:
            return None
        for number in list(kept):
            smaller = enough([each for each in kept if each != number]) if number in kept else None
            kept = kept if smaller is None else smaller
        return [names[number] for number in kept]

    def at_start(self, goals: Mapping[str, Term]) -> dict[str, bool]:
        """The ``goals`` that the start does not give; True where Z3 gave up."""
        found: dict[str, bool] = {}
        for name, goal in goals.items():
            universe = Universe(self.absent)
            body, fresh = opened(goal, universe)
            grounding = Grounding(universe)
            grounding.settled([], [(body, fresh)])
            given, denied = grounding.settled(starts(universe), [(body, fresh)])
            solver = Solver(None)
            solver.add(*(self.encoding.truth(each) for each in (*given, *denied)))
            self.asked += 1
            answer = solver.check(self.seconds)
            if answer is not Answer.UNSAT:
                found[name] = answer is Answer.UNKNOWN
        return found

    def _decide(
        self,
        universe: Universe,
        before: Sequence[Term],
        denied: Mapping[str, Denied],
        lemmas: Sequence[Term],
    ) -> dict[str, bool]:
        grounding = Grounding(universe)
        grounding.settled(before, list(denied.values()))
        known = [fact for facts in self._known(lemmas, universe) for fact in facts]
        given, bad = grounding.settled(before, list(denied.values()))
        left = {
            name: self.encoding.truth(term) for name, term in zip(denied, bad, strict=True) if term is not terms.FALSE
        }
        if not left:
            return {}
        solver = Solver(None)
        solver.add(*known, *(self.encoding.truth(each) for each in given))
        return self._ask(solver, left)

    def _ask(self, solver: Solver, left: dict[str, Expr]) -> dict[str, bool]:
        """Which of the formulas are possible: all at once, then again for what a model leaves open."""
        found: dict[str, bool] = {}
        while left:
            solver.push()
            solver.add(z3.disjoin(left.values()))
            self.asked += 1
            answer = solver.check(self.seconds)
            if answer is Answer.SAT:
                hit = solver.true_of(left)
                found.update(dict.fromkeys(hit, False))
            elif answer is Answer.UNKNOWN:
                hit = list(left)
                found.update(dict.fromkeys(hit, True))
            else:
                hit = list(left)
            solver.pop()
            left = {name: each for name, each in left.items() if name not in hit}
        return found

    def _known(self, lemmas: Sequence[Term], universe: Universe) -> list[list[Expr]]:
        """What each lemma says of the objects of the universe; then the witnesses of lemmas are added to it."""
        known: list[list[Expr]] = []
        found: list[Term] = []
        for lemma in lemmas:
            facts, witnesses = self._assume(lemma, universe, FIRST_NUMBER * (1 + len(known)))
            known.append(facts)
            found += witnesses
        for each in found[:MOST_WITNESSES]:
            universe.add(each)
        return known

    def _assume(self, lemma: Term, universe: Universe, first: int) -> tuple[list[Expr], list[Term]]:
        """A lemma for all objects of the universe, and the witnesses that it brings, numbered from ``first`` on."""
        frozen = Frozen(universe)
        grounding = Grounding(frozen, first)
        variables, body = prefix(lemma)
        levels = [level for level, _ in variables]
        plain = not has_quantifier(body)
        found: list[Expr] = []
        for chosen in product(*(universe.of(kind) for _, kind in variables)):
            key = (body.key, tuple(each.key for each in chosen))
            instance = self._instances.get(key) if plain else None
            if instance is None:
                ground = grounding.ground(body, True, dict(zip(levels, chosen, strict=True)))
                instance = self.encoding.truth(ground)
                if plain:
                    self._instances[key] = instance
            found.append(instance)
        return found, frozen.met

    # -- a set of lemmas ---------------------------------------------------------------------

    def inductive(
        self, era: Era, candidates: Mapping[str, Term], progress: Progress = lambda done, total, text: None
    ) -> tuple[dict[str, Term], dict[str, Broken]]:
        """The largest part of ``candidates`` that is inductive, and what broke the others.

        Houdini: whatever a step may break is dropped, until nothing is.
        """
        broken: dict[str, Broken] = {name: Broken(None, unknown) for name, unknown in self.at_start(candidates).items()}
        alive = {name: lemma for name, lemma in candidates.items() if name not in broken}
        reads = {name: fields_of(lemma) for name, lemma in alive.items()}
        paths = [(declared, path, written_by(path)) for declared in era.steps for path in open_step(declared)]
        changed = True
        while changed:
            changed = False
            for number, (declared, path, written) in enumerate(paths):
                progress(number, len(paths), f"{len(alive)} lemmas left, {declared.id}")
                groups: dict[tuple[str, ...], dict[str, Term]] = {}
                for name, lemma in alive.items():
                    if reads[name] & written:
                        groups.setdefault(tuple(kind for _, kind in prefix(lemma)[0]), {})[name] = lemma
                for goals in groups.values():
                    lost = self.after_step(path, goals, list(alive.values()))
                    for name, unknown in lost.items():
                        broken[name] = Broken(declared, unknown)
                        del alive[name]
                        changed = True
        return alive, broken

    def breaks(self, era: Era, subject: Property, lemmas: Mapping[str, Term]) -> list[Broken]:
        """Where ``subject`` is not shown to hold, given lemmas that do; nothing where it is proved."""
        found: list[Broken] = []
        assumed = list(lemmas.values())
        if subject.event is None:
            assumed.append(formula_of(subject))
            found += [Broken(None, unknown) for unknown in self.at_start({"": assumed[-1]}).values()]
        for declared, obligation in obligations(era, subject):
            if obligation.keeps:
                lost = self.after_step(obligation.path, {"": obligation.goal}, assumed).get("")
            else:
                lost = self.at_event(obligation.path, obligation.goal, assumed)
            if lost is not None:
                found.append(Broken(declared, lost))
        return found

    def support(self, era: Era, subject: Property, lemmas: Mapping[str, Term]) -> dict[str, list[str]]:
        """The lemmas that the proof of ``subject`` rests on, each with what it rests on itself.

        The first entry, under the property's own id, is what its obligations need.
        """
        own = {subject.id: formula_of(subject)} if subject.event is None else {}
        known = {**lemmas, **own}
        found: dict[str, list[str]] = {}
        waiting = [subject.id]
        while waiting:
            name = waiting.pop(0)
            if name in found:
                continue
            asked = obligations(era, subject) if name == subject.id else keeping(era, lemmas[name])
            needed: dict[str, None] = {}
            for _, obligation in asked:
                needed.update(dict.fromkeys(self.needs(obligation, known) or ()))
            found[name] = [each for each in needed if each != name]
            waiting += found[name]
        return found


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
                    goal = open_condition(_body_of(subject), given)
                    found.append((declared, Obligation(path, goal, keeps=False)))
    return found


FIRST_NUMBER = 100_000
"""Witnesses of different lemmas are numbered apart by this much: one name must not stand for two of them."""
MOST_WITNESSES = 12
"""Objects that lemmas say exist, of which the step's guards are assumed too."""


def formula_of(subject: Property) -> Term:
    """A state property as one closed formula."""
    return open_formula(_body_of(subject), subject.over)


def _body_of(subject: Property) -> Callable[..., bool]:
    def body(*arguments: object) -> bool:
        holds = subject.then(*arguments)
        if subject.excuse is not None:
            holds = either(holds, subject.excuse(*arguments))
        return implies(subject.when(*arguments), holds)

    return body


__all__ = ["Broken", "Obligation", "Prover", "formula_of", "keeping", "obligations"]
