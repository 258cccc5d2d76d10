"""The obligations of a proof as lists of ground formulas, each of which must be unsatisfiable.

This is what `oom_smt.induction.Prover` gives to z3, put together anew with those lemmas only that the
proof rests on: the same formulas can be read by other solvers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import product

import attrs

from oom_smt.induction import FIRST_NUMBER, MOST_WITNESSES, Obligation, formula_of, keeping, obligations
from oom_smt.open_encoding import OpenEncoding
from oom_smt.proving import Invariant, Proof
from oom_smt.z3_api import Answer, Solver
from oom_spec.language import terms
from oom_spec.language.terms import Term
from oom_spec.unbounded.grounding import Frozen, Grounding, Universe, opened, prefix
from oom_spec.unbounded.start import starts


@attrs.frozen(eq=False)
class GroundObligation:
    """One obligation of a proof."""

    goal: str
    """The property's id, or the lemma that is kept."""
    step: str
    """The step's id; ``start`` for what the start must give."""
    lemmas: tuple[str, ...]
    """What is assumed before the step."""
    assertions: tuple[Term, ...]
    """Cannot be true together, if the obligation holds."""

    def header(self, era: str) -> dict[str, str]:
        """What it is, for people."""
        found = {"era": era, "goal": self.goal, "step": self.step}
        found.update({f"assumes {number}": lemma for number, lemma in enumerate(self.lemmas, 1)})
        return found | {"expected": Answer.UNSAT.value}


def ground_obligations(invariant: Invariant, proof: Proof) -> Iterator[GroundObligation]:
    """All obligations that ``proof`` consists of: the property's, and those of each lemma that it rests on.

    ``proof`` comes from `oom_smt.proving.prove` with ``support=True``.
    """
    subject = (
        proof.subject
        if proof.only_by_excuse
        else attrs.evolve(proof.subject, excuse=None, excuses=None, excuse_members=())
    )
    known = dict(invariant.lemmas)
    if subject.event is None:
        known[subject.id] = formula_of(subject)
    era, absent = invariant.era, invariant.prover.absent
    for name, needed in proof.support.items():
        if name in known:
            yield GroundObligation(name, "start", (), at_start(known[name], absent))
        assumed = list(dict.fromkeys([*needed, *([name] if name in known else [])]))
        asked = obligations(era, subject) if name == subject.id else keeping(era, known[name])
        for declared, obligation in asked:
            assertions = at_step(obligation, [known[each] for each in assumed], absent)
            yield GroundObligation(name, declared.id, tuple(assumed), assertions)


def at_start(goal: Term, absent: Collection[str]) -> tuple[Term, ...]:
    """That a world starts without ``goal``."""
    universe = Universe(absent)
    denied = [opened(goal, universe)]
    grounding = Grounding(universe)
    grounding.settled([], denied)
    return _all(*grounding.settled(starts(universe), denied))


def at_step(obligation: Obligation, lemmas: Sequence[Term], absent: Collection[str]) -> tuple[Term, ...]:
    """That ``lemmas`` hold, the step can be taken, and the goal fails."""
    universe, before, denied = obligation.parts(absent)
    grounding = Grounding(universe)
    grounding.settled(before, [denied])
    known: list[Term] = []
    found: list[Term] = []
    for number, lemma in enumerate(lemmas, 1):
        frozen = Frozen(universe)
        instances = Grounding(frozen, FIRST_NUMBER * number)
        variables, body = prefix(lemma)
        for chosen in product(*(universe.of(kind) for _, kind in variables)):
            levels = (level for level, _ in variables)
            known.append(instances.ground(body, True, dict(zip(levels, chosen, strict=True))))
        found += frozen.met
    for each in found[:MOST_WITNESSES]:
        universe.add(each)
    given, failures = grounding.settled(before, [denied])
    return _all(known, given, failures)


def _all(*parts: Sequence[Term]) -> tuple[Term, ...]:
    kept = dict.fromkeys(term for part in parts for term in part)
    return tuple(term for term in kept if term is not terms.TRUE)


def z3_answers(assertions: Sequence[Term], seconds: float) -> Answer:
    """What z3 says to the same formulas, over unknown sorts and whole numbers."""
    encoding = OpenEncoding()
    solver = Solver(None)
    solver.add(*(encoding.truth(term) for term in assertions))
    return solver.check(seconds)


__all__ = ["GroundObligation", "at_start", "at_step", "ground_obligations", "z3_answers"]
