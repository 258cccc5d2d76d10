"""Unbounded proofs from scratch: lemmas guessed in small worlds, kept if they are inductive in all, and used."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import attrs

from oom_smt.induction import Broken, Prover, obligations
from oom_spec.applicability import irrelevant, why_not
from oom_spec.exploring import Exploration
from oom_spec.instances import Instance
from oom_spec.language.eras import Era
from oom_spec.language.properties import Property
from oom_spec.language.scenarios import Scenario
from oom_spec.language.terms import Term
from oom_spec.scenarios import SCENARIOS
from oom_spec.unbounded.annotations import Observations
from oom_spec.unbounded.grounding import absent_classes
from oom_spec.unbounded.lemmas import LEMMAS
from oom_spec.verdicts import Word

Progress = Callable[[int, int, str], None]


@attrs.define(eq=False)
class Invariant:
    """What is known of all reachable states of an era, in worlds of any size."""

    era: Era
    prover: Prover
    lemmas: dict[str, Term]
    """By their statements; together they are inductive."""
    refuted: dict[str, Broken]
    """Candidates that are not, and what broke each."""
    seconds: float
    reasons: dict[str, str]
    """Where each candidate is from."""


@attrs.frozen(eq=False)
class Proof:
    """What came of one property."""

    subject: Property
    word: Word
    """`proved`, `unknown` or `not-applicable`."""
    obligations: int
    breaks: tuple[Broken, ...] = ()
    """Why it is unknown."""
    only_by_excuse: bool = False
    """Not proved without the excuses (N3) that the property accepts."""
    support: dict[str, list[str]] = attrs.field(factory=dict)
    """The lemmas that it rests on, each with those that it rests on itself; the property's id comes first."""
    reason: str = ""
    seconds: float = 0.0


def worlds(era: Era) -> list[Scenario]:
    """The small worlds in which lemmas are guessed."""
    return [s for s in SCENARIOS if not s.slow and s.starts_after is None and not irrelevant(era, s)]


def find_invariant(
    era: Era, scenarios: Sequence[Scenario] | None = None, progress: Progress = lambda done, total, text: None
) -> Invariant:
    """The inductive part of the recorded lemmas and of the annotations that hold in ``scenarios``: all, unless said."""
    started = time.monotonic()
    chosen = worlds(era) if scenarios is None else list(scenarios)
    observed = Observations()
    for number, scenario in enumerate(chosen):
        progress(number, len(chosen), f"{era.id} guessing lemmas in {scenario.id}")
        observed.look_at(Exploration(Instance(era, scenario)))
    candidates: dict[str, Term] = {lemma.statement: lemma.formula for lemma in LEMMAS}
    reasons = {lemma.statement: lemma.reason for lemma in LEMMAS}
    for annotation in observed.annotations():
        candidates[annotation.statement] = annotation.formula
        reasons[annotation.statement] = "held in every reachable state of the small worlds"
    prover = Prover(absent_classes(era))
    lemmas, refuted = prover.inductive(era, candidates, progress)
    return Invariant(era, prover, lemmas, refuted, time.monotonic() - started, reasons)


def prove(invariant: Invariant, subject: Property, *, support: bool = False) -> Proof:
    """Try to prove ``subject`` with the lemmas of ``invariant``; ``support``: also find out what it rests on.

    Raises `SpecError` for a question about the whole graph.
    """
    started = time.monotonic()
    era = invariant.era
    reason = why_not(era, subject)
    if reason:
        return Proof(subject, Word.NOT_APPLICABLE, 0, reason=reason)
    asked = len(obligations(era, subject))
    if not asked and subject.event is not None:
        return Proof(subject, Word.VACUOUS, 0, reason="no step announces what it speaks of")
    proved, excused = attrs.evolve(subject, excuse=None, excuses=None, excuse_members=()), False
    broken = tuple(invariant.prover.breaks(era, proved, invariant.lemmas))
    if broken and subject.excuse is not None:
        proved, excused = subject, True
        broken = tuple(invariant.prover.breaks(era, subject, invariant.lemmas))
    if broken:
        return Proof(subject, Word.UNKNOWN, asked, broken, seconds=time.monotonic() - started)
    needed = invariant.prover.support(era, proved, invariant.lemmas) if support else {}
    return Proof(subject, Word.PROVED, asked, (), excused, needed, seconds=time.monotonic() - started)


__all__ = ["Invariant", "Proof", "find_invariant", "prove", "worlds"]
