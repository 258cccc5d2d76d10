"""Lemmas searched for in an era: those of other eras that hold in it too, and new ones for what they do not prove."""

from __future__ import annotations

import time
from collections.abc import Iterable

import attrs

from oom_smt.learning import Learner, Stuck, said
from oom_smt.suggesting import choices
from oom_spec.language.eras import Era
from oom_spec.language.properties import Property
from oom_spec.language.terms import Term
from oom_spec.reporting import Progress, silent
from oom_spec.unbounded.clauses import Clause, names_of
from oom_spec.unbounded.crowds import crowded_worlds
from oom_spec.unbounded.recorded import Recorded, written
from oom_spec.unbounded.small_worlds import SmallWorlds


@attrs.define(eq=False)
class Found:
    """What came of one property."""

    subject: Property
    lemmas: dict[Clause, set[Clause]] = attrs.field(factory=dict)
    """Those that its proof rests on, each with those that it was shown with."""
    stuck: str = ""
    """Why there are none: what the search could not get past."""
    seconds: float = 0.0
    """Processor time."""


class Search:
    """In one era. What is learned for one property is there for the next."""

    def __init__(
        self, era: Era, known: Iterable[Recorded], progress: Progress = silent, worlds: SmallWorlds | None = None
    ) -> None:
        """``known`` are tried first, whatever eras they are recorded for; ``worlds``: those of the era, if not said."""
        self.era = era
        worlds = crowded_worlds(era, progress) if worlds is None else worlds
        self.learner = Learner(era, worlds, lambda text: progress(0, 1, text))
        self.learner.take_seen_values()
        recorded = [*known, *written()]
        formulas = {each.name: each.formula for each in recorded}
        needs: dict[Term, list[Term]] = {}
        for each in recorded:
            needs.setdefault(each.formula, []).extend(formulas[name] for name in each.needs if name in formulas)
        progress(0, 1, f"{era.id}: which of {len(recorded)} known lemmas hold")
        clauses = (tuple(choices(each.clause.literals)) for each in recorded)
        self.learner.sift(clauses, needs)

    def prove(self, subject: Property, seconds: float) -> Found:
        """Search for a proof, for ``seconds`` of processor time (twice that where excuses are accepted)."""
        started = time.process_time()
        found = Found(subject)
        try:
            numbers = self._numbers(subject, seconds)
        except Stuck as stuck:
            found.stuck = str(stuck)
        else:
            learned = {number: self.learner.learned[number] for number in numbers}
            clauses = {number: said(each.clause) for number, each in learned.items() if each.clause}
            for number, each in clauses.items():
                found.lemmas[each] = {clauses[core] for core in learned[number].cores if core in clauses} - {each}
        found.seconds = time.process_time() - started
        return found

    def _numbers(self, subject: Property, seconds: float) -> set[int]:
        """Of the lemmas that prove it, if need be with the excuses that it accepts."""
        try:
            return self.learner.prove(subject.strict(), seconds)
        except Stuck:
            if subject.excuse is None:
                raise
        return self.learner.prove(subject, seconds)


def merged(known: Iterable[Recorded], era: Era, found: Iterable[Found]) -> list[Recorded]:
    """The known lemmas, and those found for an era."""
    eras: dict[Clause, dict[str, None]] = {}
    needs: dict[Clause, set[Clause]] = {}
    recorded = {each.name: each for each in known}
    for each in recorded.values():
        eras[each.clause] = dict.fromkeys(each.eras)
        needs[each.clause] = {recorded[name].clause for name in each.needs if name in recorded}
    for one in found:
        for clause, cores in one.lemmas.items():
            eras.setdefault(clause, {})[era.id] = None
            needs.setdefault(clause, set()).update(cores)
    by_hand = {each.clause: each.name for each in written() if each.clause in eras}
    names = {name: each for name, each in names_of(eras).items() if each not in by_hand}
    names.update({name: each for each, name in by_hand.items()})
    name_of = {clause: name for name, clause in names.items()}
    return [
        Recorded(name, clause, tuple(eras[clause]), tuple(sorted(name_of[each] for each in needs[clause])))
        for name, clause in names.items()
    ]


__all__ = ["Found", "Search", "merged"]
