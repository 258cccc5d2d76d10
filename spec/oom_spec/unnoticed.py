"""What an era can do without being noticed, and the sets of states in which it may be after what was seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from oom_spec.fairness import fair_parts, part_of
from oom_spec.generating import generate
from oom_spec.instances import Action, Instance
from oom_spec.observing import Interned, Observable, Observer

MOST = 1_000_000
"""Pairs (state of the one, set of states of the other), and states of either, where a search gives up: some 1 GB."""

REPORT_EVERY = 8_192
"""Pairs or states between two looks at the clock."""

Report = Callable[[int, str], None]
"""Told from time to time how many pairs were visited, and what is going on."""


class Exhausted(Exception):  # noqa: N818 - control flow: the search ends without an answer
    """Time is up, or there are too many states; the message says which."""


class Limits:
    """Until when, and how far, a search may go on."""

    def __init__(self, *, ends_at: float | None = None, most: int = MOST, report: Report = lambda _n, _t: None) -> None:
        """``ends_at`` is a `time.monotonic` instant."""
        self.ends_at = ends_at
        self.most = most
        self.report = report
        self.pairs = 0

    def look(self, count: int, what: str) -> None:
        """Raise `Exhausted` where ``count`` of ``what`` is too much, or (looked at now and then) it is too late."""
        if count >= self.most:
            raise Exhausted(f"more than {self.most} {what}")
        if count % REPORT_EVERY == 0:
            if self.ends_at is not None and time.monotonic() > self.ends_at:
                raise Exhausted("time is up")
            self.report(self.pairs, what)


Moves = tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int, int], ...]]
"""From a state: (target, path) of the steps that nobody notices, (observation, target, path) of the others."""


class Side:
    """One era in the scenario: its transitions, sorted by whether an observer notices them."""

    def __init__(
        self, instance: Instance, observables: Sequence[Observable], interned: Interned, limits: Limits
    ) -> None:
        self.instance = instance
        self.generated = generate(instance)
        self.packing = self.generated.packing
        self.observer = Observer(instance, observables)
        self.observe = self.observer.packed(self.packing, interned)
        self.limits = limits
        self._moves: dict[int, Moves] = {}
        actors = {name: 1 << n for n, name in enumerate({path.action.actor for path in instance.paths})}
        self._acting = [0 if p.action.step.environment else actors[p.action.actor] for p in instance.paths]
        self._settled: dict[int, bool] = {}

    @property
    def states(self) -> int:
        """How many states were looked at."""
        return len(self._moves)

    def moves(self, state: int) -> Moves:
        """The steps that can be taken in a state."""
        found = self._moves.get(state)
        if found is None:
            self.limits.look(len(self._moves), f"states of {self.instance.era.id}")
            observe, now = self.observe, self.observe(state)
            silent, seen = [], []
            for target, number in self.generated.successors(state):
                then = observe(target)
                if then == now:
                    silent.append((target, number))
                else:
                    seen.append((then, target, number))
            found = self._moves[state] = (tuple(silent), tuple(seen))
        return found

    def settles(self, state: int) -> bool:
        """Whether the run may go on from here for ever, through this very state, and nobody notices anything.

        Fairness is strong, per actor: whoever can act again and again does act again and again. Nobody
        may count on steps of the environment. A state without any step settles, too.
        """
        found = self._settled.get(state)
        if found is None:
            self._settle(state)
            found = self._settled[state]
        return found

    def _settle(self, start: int) -> None:
        """Decide `settles` for everything that can be reached from ``start`` without being noticed."""
        inner: dict[int, list[tuple[int, int]]] = {}
        able: dict[int, int] = {}
        pending = [start]
        while pending:
            state = pending.pop()
            if state in inner or state in self._settled:
                continue
            silent, seen = self.moves(state)
            inner[state] = [(target, self._acting[number]) for target, number in silent]
            able[state] = 0
            for *_, number in (*silent, *seen):
                able[state] |= self._acting[number]
            pending.extend(target for target, _ in silent)
        self._settled.update(dict.fromkeys(inner, False))
        for part in fair_parts(inner, able):
            self._settled.update(dict.fromkeys(part, True))

    def company(self, state: int) -> list[Action]:
        """The actions that go on for ever around a state that settles, without being noticed; may be empty."""
        inside, pending = {state}, [state]
        while pending:
            for target, _ in self.moves(pending.pop())[0]:
                if target not in inside and self.settles(target):
                    inside.add(target)
                    pending.append(target)
        found: dict[str, Action] = {}
        part = part_of({each: [step for step in self.moves(each)[0] if step[0] in inside] for each in inside}, state)
        for each in part:
            for target, number in self.moves(each)[0]:
                if target in part:
                    action = self.instance.paths[number].action
                    found.setdefault(action.id, action)
        return list(found.values())


class ClosedSets:
    """The sets of states in which an era may be after a sequence of observations, numbered."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self._numbers: dict[frozenset[int], int] = {}
        self._states: list[frozenset[int]] = []
        self._seeds: list[dict[int, set[int]]] = []
        self._next: dict[tuple[int, int], int | None] = {}
        self._settles: dict[int, bool] = {}

    def __len__(self) -> int:
        return len(self._states)

    def close(self, seeds: set[int]) -> int:
        """The set of what can be reached from ``seeds`` (of one observation) without being noticed."""
        closed = set(seeds)
        pending = list(seeds)
        onward: dict[int, set[int]] = {}
        moves = self.side.moves
        while pending:
            silent, seen = moves(pending.pop())
            for target, _ in silent:
                if target not in closed:
                    closed.add(target)
                    pending.append(target)
            for observation, target, _ in seen:
                onward.setdefault(observation, set()).add(target)
        frozen = frozenset(closed)
        number = self._numbers.get(frozen)
        if number is None:
            number = self._numbers[frozen] = len(self._states)
            self._states.append(frozen)
            self._seeds.append(onward)
        return number

    def after(self, number: int, observation: int) -> int | None:
        """The set after one more observation; None where no state of the set can show it next."""
        key = (number, observation)
        if key not in self._next:
            seeds = self._seeds[number].get(observation)
            self._next[key] = None if seeds is None else self.close(seeds)
        return self._next[key]

    def settles(self, number: int) -> bool:
        """Whether the era may show nothing more, for ever, from some state of the set."""
        if number not in self._settles:
            self._settles[number] = any(map(self.side.settles, self._states[number]))
        return self._settles[number]

    def offers(self, number: int) -> list[int]:
        """The observations that some state of the set can show next."""
        return list(self._seeds[number])

    def size(self, number: int) -> int:
        """How many states the set has."""
        return len(self._states[number])


__all__ = ["MOST", "ClosedSets", "Exhausted", "Limits", "Report", "Side"]
