"""The obligations of a proof as lists of ground formulas, each of which must be unsatisfiable.

This is what `oom_smt.induction.Prover` gives to z3, with those lemmas only that the proof rests on: the
same formulas can be read by other solvers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from oom_smt.induction import Obligation, Prover, formula_of
from oom_smt.open_encoding import OpenEncoding
from oom_smt.proving import Invariant, Proof
from oom_smt.z3_api import Answer, Solver
from oom_spec.language.terms import Term
from oom_spec.unbounded.grounding import opened


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
    subject = proof.subject if proof.only_by_excuse else proof.subject.strict()
    known = dict(invariant.lemmas)
    if subject.event is None and all(use.step is not None for use in proof.uses[subject.id]):
        known[subject.id] = formula_of(subject)
    prover = invariant.prover
    for name, uses in proof.uses.items():
        if name in known:
            yield GroundObligation(name, "start", (), at_start(known[name], prover))
        for use in uses:
            assertions = at_step(use.obligation, [known[each] for each in use.lemmas], prover)
            yield GroundObligation(name, use.where, use.lemmas, assertions)


def at_start(goal: Term, prover: Prover) -> tuple[Term, ...]:
    """That a world starts without ``goal``."""
    return prover.assertions(None, opened(goal), ())


def at_step(obligation: Obligation, lemmas: Sequence[Term], prover: Prover) -> tuple[Term, ...]:
    """That ``lemmas`` hold, the step can be taken, and the goal fails."""
    return prover.assertions(obligation.path, obligation.denied, prover.numbers(lemmas))


def z3_answers(assertions: Sequence[Term], seconds: float) -> Answer:
    """What z3 says to the same formulas, over unknown sorts and whole numbers."""
    encoding = OpenEncoding()
    solver = Solver(None)
    solver.add(*(encoding.truth(term) for term in assertions))
    return solver.check(seconds)


__all__ = ["GroundObligation", "at_start", "at_step", "ground_obligations", "z3_answers"]
