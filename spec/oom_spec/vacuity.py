"""Whether what holds says anything: its antecedent is reached, a slip could break it, each guard can be false.

A property that holds may hold for nothing: because what it speaks of never happens, because no state of
the model could break it, or because the guard that a proof leans on is never asked in vain. All three are
looked for in the reachable states of small worlds, the smallest first, up to the first that shows it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache

import attrs

from oom_spec.applicability import small_worlds, why_not
from oom_spec.exploring import Exploration
from oom_spec.generating import _compiled, _program_point
from oom_spec.instances import Action, GroundPath, Instance
from oom_spec.language import steps, terms
from oom_spec.language.eras import Era
from oom_spec.language.errors import MisuseError, SpecError
from oom_spec.language.properties import Property
from oom_spec.language.scenarios import Scenario
from oom_spec.language.steps import Step
from oom_spec.language.symbolic import to_term
from oom_spec.language.terms import Term
from oom_spec.lifting import Slot, lift_step
from oom_spec.mutating import guarded_by
from oom_spec.reporting import Progress, silent
from oom_spec.verdicts import Word
from oom_spec.violating import Hint, Violation, Violator, hints, is_truism


@attrs.frozen
class Reached:
    """Where an antecedent is reached."""

    scenario: str
    depth: int
    """Steps of the shortest such run; for a property of an event, the announcing step included."""


class _Reaching(Exploration):
    """An exploration that ends where every property has been put to the test."""

    def _enough(self) -> bool:
        return all(finding.reached is not None for finding in self.findings.values()) or super()._enough()


def antecedent(era: Era, subject: Property, scenarios: Sequence[Scenario]) -> Reached | None:
    """The first of ``scenarios`` in which ``subject`` is put to the test; None: in none of them.

    Raises `SpecError` for a question about the whole graph.
    """
    if subject.graph is not None:
        raise SpecError(f"{subject.id} is a question about the whole graph: it has no antecedent to reach")
    for scenario in scenarios:
        instance = Instance(era, scenario)
        if subject.event is not None and not instance.obligations(subject):
            continue
        hit = _Reaching(instance, [subject]).findings[subject.id].reached
        if hit is not None:
            return Reached(scenario.id, hit.depth)
    return None


# -- guards ----------------------------------------------------------------------------------


def refusals(instance: Instance, declared: Step) -> Iterator[tuple[Action, Enum, Term]]:
    """For each guard of each action of a step: where its program point is reached, and the guard is false.

    What `if` decides before the guard belongs to its program point; other guards do not, unless the step
    needs them to get so far. Several `requires` of one name are one guard. Terms are grounded; what is
    false everywhere is left out.
    """
    try:
        found = _refusals(instance, declared, asks=False)
    except MisuseError:  # what comes after a guard leans on it
        found = _refusals(instance, declared, asks=True)
    for action, guard, term in found:
        ground = instance.simplify(term)
        if ground is not terms.FALSE:
            yield action, guard, ground


def _refusals(instance: Instance, declared: Step, *, asks: bool) -> list[tuple[Action, Enum, Term]]:
    refused: dict[tuple[Enum, int], Term] = {}

    def note(condition: bool, guard: Enum) -> None:
        wrong = terms.negate(to_term(condition, terms.BOOL))
        here = terms.conjoin(*instance.store.frames[-1].conjuncts, wrong)
        refused[guard, here.key] = here
        if asks:
            steps.requires(condition, guard)

    found: list[tuple[Action, Enum, Term]] = []
    with guarded_by(note):
        for action in instance._actions(declared):
            refused.clear()
            lift_step(declared, action.arguments, instance.store)
            found += [(action, guard, term) for (guard, _), term in refused.items()]
    return found


Guarded = tuple[Step, Enum]


class Guards:
    """The guards of an era's steps, and the small worlds that show that they can be false."""

    def __init__(self, era: Era, scenarios: Sequence[Scenario] | None = None) -> None:
        """``scenarios``: where to look, in this order; the era's small worlds, unless said."""
        self.era = era
        self.waiting = small_worlds(era) if scenarios is None else list(scenarios)
        """The worlds that are not explored yet."""
        self.false_in: dict[Guarded, str] = {}
        """For each guard that was false at its program point: the first scenario that shows it."""
        self._refusals: dict[str, list[tuple[Action, Guarded, Term]]] = {}

    def never_false(self, used: Mapping[Step, Sequence[Enum]], progress: Progress = silent) -> tuple[Guarded, ...]:
        """The guards among ``used`` that are true whenever their program point is reached, in all the worlds."""
        wanted = [(declared, guard) for declared, guards in used.items() for guard in dict.fromkeys(guards)]
        worlds = list(self.waiting)
        for number, scenario in enumerate(worlds):
            left = {each for each in wanted if each not in self.false_in}
            if not left:
                break
            progress(number, len(worlds), f"{self.era.id} {len(left)} guards, {scenario.id}")
            instance = Instance(self.era, scenario)
            if any(guarded in left for _, guarded, _ in self._all_refusals(instance)):
                self._look_at(instance)
                self.waiting.remove(scenario)
        return tuple(each for each in wanted if each not in self.false_in)

    def _all_refusals(self, instance: Instance) -> list[tuple[Action, Guarded, Term]]:
        found = self._refusals.get(instance.scenario.id)
        if found is None:
            found = self._refusals[instance.scenario.id] = [
                (action, (declared, guard), term)
                for declared in self.era.steps
                for action, guard, term in refusals(instance, declared)
            ]
        return found

    def _look_at(self, instance: Instance) -> None:
        exploration = Exploration(instance)
        packing = exploration.packing
        groups: dict[tuple[Slot | None, int], dict[Guarded, list[Term]]] = {}
        for action, guarded, term in self._refusals.pop(instance.scenario.id):
            if guarded not in self.false_in:
                where = _program_point(GroundPath(0, action, term, {}, ()), packing)
                groups.setdefault(where, {}).setdefault(guarded, []).append(term)
        states_at: dict[Slot | None, dict[int, list[int]]] = {None: {0: list(exploration.parents)}}
        for (slot, code), asked in groups.items():
            if slot is not None and slot not in states_at:
                offset, mask = packing.offsets[slot], packing.mask(slot)
                sorted_out: dict[int, list[int]] = {}
                for state in exploration.parents:
                    sorted_out.setdefault(state >> offset & mask, []).append(state)
                states_at[slot] = sorted_out
            states = states_at[slot].get(code, ())
            for guarded, several in asked.items():
                text = packing.condition(terms.disjoin(*several))
                refused = _compiled(f"def refused(s):\n    return {text}\n", "refused")
                assert callable(refused)
                if any(map(refused, states)):
                    self.false_in.setdefault(guarded, instance.scenario.id)


# -- all three -------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class Vacuity:
    """What was found of one property in one era."""

    era: Era
    subject: Property
    inapplicable: str = ""
    """Why the property does not apply to the era; empty where it does."""
    antecedent: Reached | None = None
    violated_by: Violation | None = None
    """None also where the antecedent is never reached: then no mutant is looked for."""
    never_false: tuple[Guarded, ...] = ()
    """The guards that are true whenever their program point is reached."""
    truism: bool = False
    """Its formula is true of every state, reachable or not."""
    finished: bool = True
    """Time did not run out in the search for a mutant."""

    @property
    def reason(self) -> str:
        """Why the property says nothing here, or why that is not known; empty where it says something."""
        if self.inapplicable:
            return self.inapplicable
        if self.antecedent is None:
            return "its antecedent is never reached"
        if self.truism:
            return "its formula is true of every state"
        if self.violated_by is None and self.finished:
            return "no slip in one step violates it"
        if self.never_false:
            declared, guard = self.never_false[0]
            more = f", nor are {len(self.never_false) - 1} others" if self.never_false[1:] else ""
            return f"{guard.name} of {declared.id} is never false{more}"
        return "" if self.finished else "time ran out before a slip was found that violates it"

    @property
    def word(self) -> Word | None:
        """`vacuous`, `not-applicable`, `unknown` where time ran out; None where nothing is wrong."""
        if self.inapplicable:
            return Word.NOT_APPLICABLE
        if self.antecedent is None or self.never_false or (self.violated_by is None and self.finished):
            return Word.VACUOUS
        return None if self.violated_by is not None else Word.UNKNOWN

    @property
    def vacuous(self) -> bool:
        """It holds, if it does, for nothing, or leans on a guard that is never false."""
        return self.word is Word.VACUOUS


class Examiner:
    """Examines properties of one era; what they share is done once."""

    def __init__(
        self, era: Era, scenarios: Sequence[Scenario] | None = None, known: Sequence[Hint] | None = None
    ) -> None:
        """``scenarios``: where to look, in this order: its small worlds, unless said; ``known``: recorded mutants."""
        self.era = era
        self.scenarios = small_worlds(era) if scenarios is None else list(scenarios)
        self.violator = Violator(era, self.scenarios, hints() if known is None else known)
        self.guards = Guards(era, self.scenarios)

    def examine(
        self,
        subject: Property,
        guards_used: Mapping[Step, Sequence[Enum]],
        progress: Progress = silent,
        seconds: float | None = None,
    ) -> Vacuity:
        """Look for the antecedent, for a mutant that violates ``subject``, and for a run that refuses each guard.

        ``seconds`` is for the search that follows where no recorded mutant does: as long as it takes, unless said.
        Raises `SpecError` for a question about the whole graph.
        """
        absent = why_not(self.era, subject)
        if absent:
            return Vacuity(self.era, subject, absent)
        violated_by = self.violator.recorded(subject)
        first = [s for s in self.scenarios if violated_by is not None and s.id == violated_by.scenario]
        reached = antecedent(self.era, subject, [*first, *(s for s in self.scenarios if s not in first)])
        if reached is None:
            return Vacuity(self.era, subject)
        finished = True
        truism = violated_by is None and is_truism(self.era, subject)
        if violated_by is None and not truism:
            deadline = None if seconds is None else time.monotonic() + seconds
            found, finished = self.violator.search([subject], progress, deadline)
            violated_by = found.get(subject.id)
        never_false = self.guards.never_false(guards_used, progress)
        return Vacuity(
            self.era,
            subject,
            antecedent=reached,
            violated_by=violated_by,
            never_false=never_false,
            truism=truism,
            finished=finished,
        )


@cache
def examiner(era: Era) -> Examiner:
    """The examiner of an era in its small worlds, made once."""
    return Examiner(era)


def vacuity(
    era: Era,
    subject: Property,
    guards_used: Mapping[Step, Sequence[Enum]],
    progress: Progress = silent,
    seconds: float | None = None,
) -> Vacuity:
    """Whether what holds of ``subject`` in ``era`` says anything; ``guards_used``: those that its proof rests on.

    ``seconds``: see `Examiner.examine`. Raises `SpecError` for a question about the whole graph.
    """
    return examiner(era).examine(subject, guards_used, progress, seconds)


__all__ = [
    "Examiner",
    "Guarded",
    "Guards",
    "Reached",
    "Vacuity",
    "antecedent",
    "examiner",
    "refusals",
    "small_worlds",
    "vacuity",
]
