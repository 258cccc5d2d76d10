"""Unbounded proofs: recorded lemmas, shown anew to be inductive in worlds of any size, and what they prove."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from enum import Enum

import attrs

from oom_smt.induction import Broken, Obligation, Prover, conditions_of, formula_of, keeping, obligations, standing
from oom_spec.applicability import why_not
from oom_spec.eras import all_eras
from oom_spec.language import terms
from oom_spec.language.eras import Era
from oom_spec.language.properties import Property
from oom_spec.language.steps import Step
from oom_spec.language.terms import Op, Term
from oom_spec.lifting import Path
from oom_spec.reporting import Progress, silent
from oom_spec.unbounded.grounding import absent_classes
from oom_spec.unbounded.lemmas import LEMMAS
from oom_spec.unbounded.recorded import Recorded, recorded_for
from oom_spec.unbounded.sentences import sentence
from oom_spec.verdicts import Word


@attrs.define(eq=False)
class Invariant:
    """What is known of all reachable states of an era, in worlds of any size."""

    era: Era
    prover: Prover
    lemmas: dict[str, Term]
    """By their names; together they are inductive."""
    refuted: dict[str, Broken] = attrs.field(factory=dict)
    """Recorded lemmas that are not, and what broke each."""
    statements: dict[str, str] = attrs.field(factory=dict)
    """What each says, as a sentence."""
    seconds: float = 0.0


@attrs.frozen(eq=False)
class Use:
    """What one obligation needs: none of it can be left out."""

    step: Step | None
    """None where lemmas say it of every state."""
    obligation: Obligation
    lemmas: tuple[str, ...]
    conditions: tuple[int, ...]
    """Places in `conditions_of` its path."""
    seconds: float

    @property
    def where(self) -> str:
        """The step's id."""
        return "in every state" if self.step is None else self.step.id


@attrs.frozen(eq=False)
class GuardUse:
    """A guard of a step that a proof uses."""

    step: Step
    guard: Enum
    necessary: bool
    """Without it some obligation is not shown any more, whatever lemmas of the proof are assumed."""


@attrs.frozen(eq=False)
class Proof:
    """What came of one property."""

    subject: Property
    word: Word
    """`proved`, `unknown`, `vacuous` or `not-applicable`."""
    obligations: int
    breaks: tuple[Broken, ...] = ()
    """Why it is unknown."""
    only_by_excuse: bool = False
    """Not proved without the excuses (N3) that the property accepts."""
    uses: dict[str, list[Use]] = attrs.field(factory=dict)
    """Of the property (by its id, which comes first) and of each lemma that it rests on: what each obligation needs."""
    guards: tuple[GuardUse, ...] = ()
    reason: str = ""
    seconds: float = 0.0

    @property
    def support(self) -> dict[str, list[str]]:
        """The lemmas that it rests on, each with those that it rests on itself; the property's id comes first."""
        found = {}
        for name, uses in self.uses.items():
            needed = dict.fromkeys(lemma for use in uses for lemma in use.lemmas)
            found[name] = [lemma for lemma in needed if lemma != name]
        return found


def find_invariant(
    era: Era, progress: Progress = silent, prover: Prover | None = None, recorded: Sequence[Recorded] | None = None
) -> Invariant:
    """The inductive part of the lemmas that are recorded for an era, or for the recorded era that is most like it.

    ``prover`` may be one that has shown something before, for an era with the same classes of objects; ``recorded``
    has other lemmas than those that come with oomspec.
    """
    started = time.monotonic()
    recorded = recorded_for(era, all_eras(), recorded)
    candidates = {each.name: each.formula for each in recorded}
    by_hand = {lemma.name: lemma.statement for lemma in LEMMAS}
    statements = {each.name: by_hand.get(each.name) or sentence(each.clause) for each in recorded}
    needs = {each.name: each.needs for each in recorded}
    prover = Prover(absent_classes(era)) if prover is None else prover
    lemmas, refuted = prover.inductive(era, candidates, progress, needs)
    return Invariant(era, prover, lemmas, refuted, statements, time.monotonic() - started)


def prove(invariant: Invariant, subject: Property, *, support: bool = False, progress: Progress = silent) -> Proof:
    """Try to prove ``subject`` with the lemmas of ``invariant``.

    ``support``: also find out what it rests on, or all that is in the way; otherwise the first such step is enough.

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
    proved, excused = subject.strict(), False
    broken = tuple(invariant.prover.breaks(era, proved, invariant.lemmas, first_only=not support))
    if broken and subject.excuse is not None:
        proved, excused = subject, True
        broken = tuple(invariant.prover.breaks(era, subject, invariant.lemmas, first_only=not support))
    if broken:
        return Proof(subject, Word.UNKNOWN, asked, broken, seconds=time.monotonic() - started)
    if proved.event is None and formula_of(proved) is terms.TRUE:
        return Proof(subject, Word.VACUOUS, asked, (), excused, reason="its formula is true of every state")
    known = _known(invariant, proved)
    if proved.event is None and proved.id not in known:
        asked = 1  # in every state
    uses = uses_of(invariant, proved, known, progress) if support else {}
    guards = guards_of(invariant, known, uses) if support else ()
    seconds = time.monotonic() - started
    return Proof(subject, Word.PROVED, asked, (), excused, uses, guards, seconds=seconds)


# -- what a proof rests on -------------------------------------------------------------------


def uses_of(
    invariant: Invariant, subject: Property, known: Mapping[str, Term], progress: Progress = silent
) -> dict[str, list[Use]]:
    """What each obligation of a proved property needs of what is ``known``, and of each lemma of that, and so on."""
    given = subject.id not in known and subject.event is None
    found: dict[str, list[Use]] = {}
    waiting = [subject.id]
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        asked: Sequence[tuple[Step | None, Obligation]]
        if name == subject.id:
            asked = [(None, standing(subject))] if given else obligations(invariant.era, subject)
        else:
            asked = keeping(invariant.era, known[name])
        found[name] = []
        for number, (step, obligation) in enumerate(asked):
            progress(number, len(asked), f"{len(found)} of {len(found) + len(waiting)} lemmas")
            found[name].append(_use(invariant.prover, step, obligation, known))
        waiting += [lemma for use in found[name] for lemma in use.lemmas if lemma not in found]
    return found


def _known(invariant: Invariant, subject: Property) -> Mapping[str, Term]:
    """What may be assumed: the lemmas, and a state property that has to be shown by induction itself."""
    if subject.event is not None or invariant.prover.is_given(subject, invariant.lemmas.values()):
        return invariant.lemmas
    return {**invariant.lemmas, subject.id: formula_of(subject)}


def _use(prover: Prover, step: Step | None, obligation: Obligation, known: Mapping[str, Term]) -> Use:
    started = time.monotonic()
    lemmas = prover.needs(obligation, known) or []
    assumed = prover.numbers(known[name] for name in lemmas)
    denied = {"": obligation.denied}
    every = set(range(len(conditions_of(obligation.path))))
    prover.failures(obligation.path, denied, assumed)
    kept = set(prover.last_guards)
    for number in sorted(kept, reverse=True):
        if number in kept and not prover.failures(obligation.path, denied, assumed, every - kept | {number}):
            kept = set(prover.last_guards)
    return Use(step, obligation, tuple(lemmas), tuple(sorted(kept)), time.monotonic() - started)


def guards_of(invariant: Invariant, known: Mapping[str, Term], uses: Mapping[str, list[Use]]) -> tuple[GuardUse, ...]:
    """Each guard that the obligations use, taken away once: whether all of them are still shown."""
    prover = invariant.prover
    assumed = prover.numbers(known[name] for name in uses if name in known)
    necessary: dict[tuple[str, Enum], tuple[Step, bool]] = {}
    for use in (use for each in uses.values() for use in each):
        denied = {"": use.obligation.denied}
        for number in use.conditions:
            guard = guard_at(use.obligation.path, number)
            if guard is None or use.step is None:
                continue
            key = use.step.id, guard
            if not necessary.get(key, (use.step, False))[1]:
                lost = bool(prover.failures(use.obligation.path, denied, assumed, {number}))
                necessary[key] = use.step, lost
    return tuple(GuardUse(step, guard, lost) for (_, guard), (step, lost) in sorted(necessary.items(), key=_by_name))


def _by_name(each: tuple[tuple[str, Enum], tuple[Step, bool]]) -> tuple[str, str]:
    return each[0][0], each[0][1].name


def guard_at(path: Path, number: int) -> Enum | None:
    """The guard that a condition of a path is, or is part of; None for the program point and for decisions."""
    condition = conditions_of(path)[number]
    if number < len(path.site):
        return None
    for guard, term in path.guards:
        if condition is term or (term.op is Op.AND and condition in term.args):
            return guard
    return None


__all__ = ["GuardUse", "Invariant", "Proof", "Use", "find_invariant", "prove", "uses_of"]
