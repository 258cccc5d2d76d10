"""Differences between two eras: in their steps, and in what an observer can see of their runs.

The second is decided exactly, per scenario: does every run of one era look like some run of the
other? The search walks over pairs of a state of the one and the closed set of states in which the
other may be after the same observations. What counts, and why, is recorded in
`docs/decisions/0014-difference-by-observation.md`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import Enum, unique
from itertools import pairwise

import attrs

from oom_spec.exploring import Exploration, replay
from oom_spec.instances import Action, Instance
from oom_spec.language import Era, Scenario, Step
from oom_spec.language.errors import Disabled
from oom_spec.observing import Interned, Observable, Observation, Observer
from oom_spec.stepping import State
from oom_spec.unnoticed import MOST, ClosedSets, Exhausted, Limits, Side

# -- steps -----------------------------------------------------------------------------------


@unique
class Change(Enum):
    """What became of a step."""

    ADDED = "added"
    REMOVED = "removed"
    MODIFIED = "modified"


@attrs.frozen(eq=False)
class StepChange:
    """A step that two eras do not share."""

    change: Change
    id: str
    old: Step | None
    new: Step | None
    same_effect: bool = False
    """Its text differs, its guards, effects and events do not."""


def step_changes(old: Era, new: Era, world: Scenario) -> tuple[StepChange, ...]:
    """The steps removed, modified and added from ``old`` to ``new``, in the order of the eras.

    ``world`` is where effects are compared: it should have an object of every class.
    """
    before = {each.id: each for each in old.steps}
    after = {each.id: each for each in new.steps}
    removed = [StepChange(Change.REMOVED, name, each, None) for name, each in before.items() if name not in after]
    added = [StepChange(Change.ADDED, name, None, each) for name, each in after.items() if name not in before]
    both = [name for name in before if name in after and before[name] is not after[name]]
    if not both:
        return (*removed, *added)
    effects = [_effects(Instance(era, world), set(both)) for era in (old, new)]
    modified = [
        StepChange(Change.MODIFIED, name, before[name], after[name], effects[0].get(name) == effects[1].get(name))
        for name in both
    ]
    return (*removed, *modified, *added)


def _effects(instance: Instance, ids: set[str]) -> dict[str, list[object]]:
    """Everything that a run can notice of these steps; terms are unique, so equal means the same."""
    found: dict[str, list[object]] = {}
    for action, path in instance.lifted:
        step = action.step
        if step.id in ids:
            found.setdefault(step.id, []).append(
                (
                    *(action.arguments.items(), path.site, path.condition, tuple(path.updates.items())),
                    tuple((field.qualified, owner, value) for field, owner, value in path.fills),
                    tuple((event.event, event.arguments) for event in path.events),
                    step.environment,
                )
            )
    return found


def same_transitions(one: Instance, other: Instance) -> bool:
    """Whether two eras can take the very same transitions in a scenario, so that every run is a run of both."""
    present = set(one.structure.objects)

    def possible(instance: Instance) -> set[int]:
        return {id(s) for s in instance.era.steps if all(kind.__name__ in present for _, kind in s.parameters)}

    def transitions(instance: Instance) -> set[object]:
        return {
            (path.action.actor, path.action.step.environment, path.condition, frozenset(path.updates.items()))
            for path in instance.paths
        }

    if one.scenario is not other.scenario:
        return False
    return possible(one) == possible(other) or transitions(one) == transitions(other)


# -- the search --------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class Difference:
    """A run of one era that looks like no run of the other."""

    start: tuple[Action, ...]
    """From the cold start to where the scenario starts; empty if it starts cold."""
    steps: tuple[Action, ...]
    """The run from there. Its last step is what the other era cannot follow, unless `stays`."""
    observations: tuple[Observation, ...]
    """What is seen from where the scenario starts, the refused observation included."""
    seen: tuple[tuple[str, ...], ...]
    """The changes between each two of `observations`."""
    stays: bool
    """What is refused is that nothing more is seen, for ever, though the machine treats everybody fairly."""
    company: tuple[Action, ...]
    """Where it stays: the actions that go on for ever unnoticed."""
    offers: tuple[tuple[str, ...], ...]
    """What the other era could show instead at that point: the changes of each observation."""
    offers_to_stay: bool
    """It could also show nothing more, for ever."""
    candidates: int
    """In how many states the other era may be at that point."""


@unique
class Answer(Enum):
    """What one search found."""

    DIFFERS = "differs"
    NONE = "none"
    NONE_FROM_HERE = "none from the middle"
    """The scenario starts in mid-protocol: only runs through that one state were compared."""
    CUT_SHORT = "cut short"


@attrs.frozen(eq=False)
class Outcome:
    """Whether each run of one era in a scenario looks like some run of the other."""

    allowing: Era
    forbidding: Era
    scenario: Scenario
    answer: Answer
    difference: Difference | None = None
    bound: int | None = None
    """Where it was cut short: no difference within so many changes."""
    reason: str = ""
    pairs: int = 0
    sets: int = 0
    states: int = 0
    """Of both eras."""
    seconds: float = 0.0


def compare(
    allowing: Era,
    forbidding: Era,
    scenario: Scenario,
    observables: Sequence[Observable],
    limits: Limits | None = None,
    *,
    shortcut: bool = True,
) -> Outcome:
    """Look for the shortest run of ``allowing`` that ``forbidding`` has no run to match.

    Shortest first in changes that are observed, then in steps. ``shortcut`` answers at once where both
    eras have the same transitions. Raises `SpecError` where the scenario cannot start in ``allowing``.
    """
    started = time.monotonic()
    one, other = Instance(allowing, scenario), Instance(forbidding, scenario)
    if shortcut and same_transitions(one, other):
        reason = "both have the same transitions here"
        seconds = time.monotonic() - started
        return Outcome(allowing, forbidding, scenario, Answer.NONE, reason=reason, seconds=seconds)
    search = _Search(one, other, observables, limits or Limits())
    difference: Difference | None = None
    bound, reason = None, ""
    try:
        difference = search.run()
        none = Answer.NONE if scenario.starts_after is None else Answer.NONE_FROM_HERE
        answer = Answer.DIFFERS if difference else none
    except Exhausted as why:
        answer, reason, bound = Answer.CUT_SHORT, str(why), search.level
    return Outcome(
        allowing,
        forbidding,
        scenario,
        answer,
        difference,
        bound,
        reason,
        pairs=search.limits.pairs,
        sets=len(search.sets),
        states=search.one.states + search.other.states,
        seconds=time.monotonic() - started,
    )


Pair = tuple[int, int]
"""A state of the one era, the number of a closed set of the other."""


class _Search:
    def __init__(self, one: Instance, other: Instance, observables: Sequence[Observable], limits: Limits) -> None:
        self.limits = limits
        limits.pairs = 0
        self.interned = Interned()
        self.one = Side(one, observables, self.interned, limits)
        self.other = Side(other, observables, self.interned, limits)
        self.sets = ClosedSets(self.other)
        self.level = 0
        self.parents: dict[Pair, tuple[Pair, int] | None] = {}

    def run(self) -> Difference | None:
        """The shortest difference.

        Raises `Exhausted` where a limit comes first; every run of up to `level` changes was then matched.
        """
        prefix, states = self._prefix()
        number = self.sets.close({self.other.packing.initial})
        for position, (old, new) in enumerate(pairwise(states), 1):
            if self.one.observe(new) != self.one.observe(old):
                following = self.sets.after(number, self.one.observe(new))
                if following is None:
                    return self._difference((), prefix[:position], number, stays=False)
                number = following
        found = self._shortest((states[-1], number))
        if found is None:
            return None
        pair, last = found
        steps = self._path(pair) + ([] if last is None else [last])
        return self._difference(prefix, tuple(steps), pair[1], stays=last is None)

    def _prefix(self) -> tuple[tuple[int, ...], list[int]]:
        """The run of the allowing era to where the scenario starts, and its states."""
        cold = self.one.packing.initial
        if self.one.instance.scenario.starts_after is None:
            return (), [cold]
        exploration = Exploration(self.one.instance, depth_limit=0)
        states = [cold]
        for number in exploration.prefix:
            states.append(next(t for t, n in self.one.generated.successors(states[-1]) if n == number))
        return tuple(exploration.prefix), states

    def _shortest(self, start: Pair) -> tuple[Pair, int | None] | None:
        """The pair at which the other era cannot follow, and the path that it refuses (None: to stay).

        Breadth first in changes; among those of equally many changes, in steps.
        """
        one, sets, parents = self.one, self.sets, self.parents
        level: dict[int, list[tuple[Pair, tuple[Pair, int] | None]]] = {0: [(start, None)]}
        while level:
            following: dict[int, list[tuple[Pair, tuple[Pair, int] | None]]] = {}
            best: tuple[int, Pair, int | None] | None = None
            steps = min(level)
            while level and (best is None or steps < best[0]):
                for pair, parent in level.pop(steps, ()):
                    if pair in parents:
                        continue
                    parents[pair] = parent
                    self.limits.pairs += 1
                    self.limits.look(len(parents), "pairs")
                    state, number = pair
                    silent, seen = one.moves(state)
                    if one.settles(state) and not sets.settles(number):
                        best = (steps, pair, None)  # no step is refused, so nothing is shorter than this
                        break
                    for observation, target, path in seen:
                        after = sets.after(number, observation)
                        if after is not None:
                            following.setdefault(steps + 1, []).append(((target, after), (pair, path)))
                        elif best is None:
                            best = (steps + 1, pair, path)
                    ahead = level.setdefault(steps + 1, []) if silent else []
                    ahead += [((t, number), (pair, path)) for t, path in silent if (t, number) not in parents]
                steps += 1
            if best is not None:
                return best[1], best[2]
            level = following
            self.level += 1
        return None

    def _path(self, pair: Pair) -> list[int]:
        numbers = []
        while (parent := self.parents[pair]) is not None:
            pair, number = parent
            numbers.append(number)
        return numbers[::-1]

    def _difference(self, prefix: tuple[int, ...], run: tuple[int, ...], number: int, *, stays: bool) -> Difference:
        """Replay the run by plain steps and say what was seen."""
        instance, observer = self.one.instance, self.one.observer
        actions = [instance.paths[n].action for n in (*prefix, *run)]
        states = replay(instance, actions)
        observations = without_repetition([observer.plain(state) for state in states[len(prefix) :]])
        last = states[-1] if stays else states[-2]
        before = observer.plain(last)
        offers = [self.interned.observations[n] for n in self.sets.offers(number)]
        packed = self.one.packing.pack(states[-1])
        return Difference(
            start=tuple(actions[: len(prefix)]),
            steps=tuple(actions[len(prefix) :]),
            observations=observations,
            seen=tuple(observer.changes(a, b) for a, b in pairwise(observations)),
            stays=stays,
            company=tuple(self.one.company(packed)) if stays else (),
            offers=tuple(sorted(observer.changes(before, each) for each in offers)),
            offers_to_stay=self.sets.settles(number),
            candidates=self.sets.size(number),
        )


def without_repetition(observations: Sequence[Observation]) -> tuple[Observation, ...]:
    """What is seen: equal neighbours look like one."""
    return tuple(each for number, each in enumerate(observations) if number == 0 or each != observations[number - 1])


# -- the second opinion ------------------------------------------------------------------------


class TooMany(Exception):  # noqa: N818 - control flow
    """More states than plain stepping is worth."""


class Plain:
    """One era by plain stepping, nothing compiled and nothing remembered but states: slow and independent."""

    def __init__(self, instance: Instance, observables: Sequence[Observable], most: int) -> None:
        self.instance = instance
        self.observe = Observer(instance, observables).plain
        self.most = most
        self.known: dict[State, list[tuple[Action, State]]] = {}

    def moves(self, state: State) -> list[tuple[Action, State]]:
        """Every action that can be taken, and where it leads."""
        if state not in self.known:
            if len(self.known) >= self.most:
                raise TooMany
            found: list[tuple[Action, State]] = []
            ends = self.instance.scenario.ends
            if ends is None or not self.instance.holds(ends, (), state):
                for action in self.instance.actions:
                    try:
                        target = self.instance.concrete.run(action.step, action.arguments, state)
                    except Disabled:
                        continue
                    found.append((action, target))
            self.known[state] = found
        return self.known[state]

    def unnoticed(self, seeds: set[State]) -> set[State]:
        """What can be reached from ``seeds`` while nothing is seen."""
        closed, pending = set(seeds), list(seeds)
        while pending:
            state = pending.pop()
            for _, target in self.moves(state):
                if target not in closed and self.observe(target) == self.observe(state):
                    closed.add(target)
                    pending.append(target)
        return closed

    def after(self, observations: Sequence[Observation]) -> set[State]:
        """The states in which the era may be after exactly these observations, from the cold start; maybe none."""
        cold = self.instance.concrete.initial
        states = {cold} if self.observe(cold) == observations[0] else set()
        for observation in observations[1:]:
            targets = {target for state in self.unnoticed(states) for _, target in self.moves(state)}
            states = {target for target in targets if self.observe(target) == observation}
        return self.unnoticed(states)

    def may_stay(self, states: set[State]) -> bool:
        """Whether a fair run may stay among ``states`` for ever; they are closed under what is not seen."""
        waiting = [states]
        while waiting:
            nodes = waiting.pop()
            onward = {s: self._reach(s, nodes) for s in nodes}
            for group in {frozenset({s} | {t for t in onward[s] if s in onward[t]}) for s in nodes}:
                fair = [(s, a.actor, t) for s in group for a, t in self.moves(s) if not a.step.environment]
                starved = {actor for _, actor, _ in fair} - {actor for _, actor, target in fair if target in group}
                if not starved:
                    return True
                rest = group - {state for state, actor, _ in fair if actor in starved}
                if rest:
                    waiting.append(set(rest))
        return False

    def _reach(self, start: State, nodes: set[State]) -> set[State]:
        found: set[State] = set()
        pending = [start]
        while pending:
            for _, target in self.moves(pending.pop()):
                if target in nodes and target not in found:
                    found.add(target)
                    pending.append(target)
        return found


def confirm(outcome: Outcome, observables: Sequence[Observable], most: int = 1_000) -> bool | None:
    """Whether plain stepping agrees that the run is one of ``allowing`` and looks like none of ``forbidding``.

    None where that needs more than ``most`` states of ``forbidding``.
    """
    difference = outcome.difference
    assert difference is not None
    if difference.candidates > most:
        return None
    one = Plain(Instance(outcome.allowing, outcome.scenario), observables, most)
    other = Plain(Instance(outcome.forbidding, outcome.scenario), observables, most)
    states = replay(one.instance, (*difference.start, *difference.steps))
    seen = without_repetition([one.observe(state) for state in states])
    try:
        if not difference.stays:
            return bool(other.after(seen[:-1])) and not other.after(seen)
        return one.may_stay(one.unnoticed({states[-1]})) and not other.may_stay(other.after(seen))
    except TooMany:
        return None


__all__ = [
    "MOST",
    "Answer",
    "Change",
    "Difference",
    "Limits",
    "Outcome",
    "Plain",
    "StepChange",
    "compare",
    "confirm",
    "same_transitions",
    "step_changes",
]
