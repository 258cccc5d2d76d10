"""Shorter schedules with the same fault: names of actions are dropped, replaced and moved, and the rest replayed.

A candidate first runs through the specification alone, which costs microseconds and leaves out what cannot
be taken any more; only what is new and shorter is then run beside the implementation. That the states of the
specification are known makes more possible than dropping: a loop that comes back to its state is cut out,
and the way to a state is exchanged for a shortest one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, pairwise
from weakref import WeakKeyDictionary

from oom_conformance.interface import Implementation
from oom_conformance.lockstep import Divergence, Kind, Lockstep, Schedule
from oom_conformance.oracle import Node, Oracle
from oom_conformance.scheduling import start_of

MOST_STATES = 100_000
"""How far from the start shortest ways are known: some 0.5 s of looking, once per oracle."""

MOST_CANDIDATES = 100_000
"""Where reducing one schedule stops."""

PAIRS_UP_TO = 64
"""Longer schedules are not tried without two single steps: there are too many pairs."""

Attempt = Callable[[Schedule], Schedule | None]
"""Takes a schedule that the specification allows; gives the part up to the fault if it is still there, else None."""


def after_start(oracle: Oracle, schedule: Sequence[str]) -> Schedule:
    """A schedule from the cold start, such as `Divergence.schedule`, without what leads to the scenario's start."""
    return tuple(schedule[len(oracle.prefix) :])


def switches(oracle: Oracle, schedule: Sequence[str]) -> int:
    """How often another actor goes on."""
    actors = [oracle.actions[action].actor for action in schedule]
    return sum(before != after for before, after in pairwise(actors))


class Replayer:
    """Replays schedules on implementations of one kind; one that crashed or hung is not used again."""

    def __init__(self, oracle: Oracle, make_implementation: Callable[[], Implementation]) -> None:
        self.oracle = oracle
        self._make = make_implementation
        self._pair: Lockstep | None = None

    def pair(self) -> Lockstep:
        """An implementation beside the oracle, which may have run before.

        Raises `Divergence` where it cannot be made.
        """
        if self._pair is None:
            try:
                self._pair = Lockstep(self.oracle, self._make())
            except Exception as problem:  # whatever an implementation raises is reported as its own fault
                era, scenario = self.oracle.era.id, self.oracle.scenario.id
                message = f"capabilities: {type(problem).__name__}: {problem}"
                raise Divergence(Kind.BROKEN, era, scenario, (), message=message) from problem
        return self._pair

    def replay(self, schedule: Schedule) -> Divergence | None:
        """Run a schedule that the specification allows, from where the scenario starts."""
        try:
            pair = self.pair()
            pair.start()
            for action in schedule:
                pair.step(action)
        except Divergence as divergence:
            self.parted(divergence)
            return divergence
        return None

    def parted(self, divergence: Divergence) -> None:
        """Say that this came of the last run."""
        if divergence.kind is Kind.BROKEN:
            self.close()

    def close(self) -> None:
        """Give the implementation up; one with a method ``close`` is told."""
        pair, self._pair = self._pair, None
        close = getattr(pair.implementation, "close", None) if pair is not None else None
        if callable(close):
            close()


# -- the ways to shrink ----------------------------------------------------------------------


def shrink(
    oracle: Oracle,
    make_implementation: Callable[[], Implementation],
    schedule: Sequence[str],
    still_fails: Callable[[Divergence], bool],
    *,
    seconds: float = 5.0,
) -> Schedule:
    """A schedule, from where the scenario starts, whose divergence ``still_fails`` accepts, as short as was found.

    ``schedule`` starts there too; it comes back as it is where it shows no such divergence. ``seconds`` bounds the
    time, for implementations that are slow: with a fast one the result depends on nothing but the arguments.
    """
    replayer = Replayer(oracle, make_implementation)

    def attempt(candidate: Schedule) -> Schedule | None:
        divergence = replayer.replay(candidate)
        if divergence is None or not still_fails(divergence):
            return None
        return after_start(oracle, divergence.schedule)

    try:
        return Reduction(oracle, attempt, seconds).reduce(tuple(schedule))
    finally:
        replayer.close()


def shrink_divergence(
    oracle: Oracle, make_implementation: Callable[[], Implementation], divergence: Divergence, *, seconds: float = 5.0
) -> Divergence:
    """The same fault (`Divergence.key`) after a schedule as short as was found."""
    whole = after_start(oracle, divergence.schedule)
    key = divergence.key
    shortest = shrink(oracle, make_implementation, whole, lambda found: found.key == key, seconds=seconds)
    if shortest == whole:
        return divergence
    replayer = Replayer(oracle, make_implementation)
    try:
        found = replayer.replay(shortest)
    finally:
        replayer.close()
    return found if found is not None and found.key == key else divergence


def shrink_violation(oracle: Oracle, schedule: Sequence[str], name: str, *, seconds: float = 5.0) -> Schedule:
    """A schedule as short as was found that violates the property with the id ``name`` in the specification itself."""

    def attempt(candidate: Schedule) -> Schedule | None:
        node = start_of(oracle)
        if name in node.broken:
            return ()
        for number, action in enumerate(candidate):
            following = oracle.after(node, action)
            if name in following.broken or name in oracle.broken_by(node, action):
                return candidate[: number + 1]
            node = following
        return None

    return Reduction(oracle, attempt, seconds).reduce(tuple(schedule))


# -- how -------------------------------------------------------------------------------------


class Reduction:
    """One schedule on its way to a shorter one."""

    def __init__(self, oracle: Oracle, attempt: Attempt, seconds: float) -> None:
        self.oracle = oracle
        self.attempt = attempt
        self.best: Schedule = ()
        self._cost = (0, 0)
        self._tried: set[Schedule] = set()
        self._until = time.monotonic() + seconds
        self._left = MOST_CANDIDATES

    def reduce(self, schedule: Schedule) -> Schedule:
        """The shortest found; among equally short ones, one with few switches between actors."""
        found = self.attempt(schedule)
        if found is None:
            return schedule
        self._keep(found)
        passes = (
            self._without_actors,
            self._shorter_ways,
            self._without_loops,
            self._without_chunks,
            self._without_stretches,
            self._with_others,
            self._without_pairs,
            self._joined,
        )
        while sum(self._run(each) for each in passes):
            pass
        return self.best

    def _keep(self, found: Schedule) -> None:
        self.best = found
        self._cost = (len(found), switches(self.oracle, found))

    def _run(self, candidates: Callable[[], Iterator[Schedule]]) -> bool:
        """Take the first candidate that is better, then look for candidates anew, until none is."""
        better = False
        while True:
            for candidate in candidates():
                if self._left <= 0 or time.monotonic() > self._until:
                    return False
                if self._is_better(candidate):
                    better = True
                    break
            else:
                return better

    def _is_better(self, candidate: Schedule) -> bool:
        if candidate in self._tried:
            return False
        self._tried.add(candidate)
        self._left -= 1
        allowed, _ = self._walk(candidate)
        if allowed != candidate:
            if allowed in self._tried:
                return False
            self._tried.add(allowed)
        if (len(allowed), switches(self.oracle, allowed)) >= self._cost:
            return False
        found = self.attempt(allowed)
        if found is None:
            return False
        self._keep(found)
        return True

    def _walk(self, wanted: Schedule) -> tuple[Schedule, list[Node]]:
        """What of a schedule can be taken, one action after the other, and the nodes on the way."""
        node = start_of(self.oracle)
        after = self.oracle.after
        taken: list[str] = []
        nodes = [node]
        for action in wanted:
            if action in node.targets:
                node = node.known.get(action) or after(node, action)
                taken.append(action)
                nodes.append(node)
        return tuple(taken), nodes

    # -- candidates --------------------------------------------------------------------------

    def _without_actors(self) -> Iterator[Schedule]:
        actions = self.oracle.actions
        for actor in sorted({actions[action].actor for action in self.best}):
            yield tuple(action for action in self.best if actions[action].actor != actor)

    def _shorter_ways(self) -> Iterator[Schedule]:
        """A shortest way to a state that the schedule visits, the last one first."""
        best = self.best
        _, nodes = self._walk(best)
        for number in range(len(best), 0, -1):
            way = shortest_way(self.oracle, nodes[number].state)
            if way is not None and len(way) < number:
                yield way + best[number:]

    def _without_loops(self) -> Iterator[Schedule]:
        best = self.best
        _, nodes = self._walk(best)
        places: dict[int, list[int]] = {}
        for number, node in enumerate(nodes):
            places.setdefault(node.state, []).append(number)
        loops = [(first, last) for found in places.values() for first, last in combinations(found, 2)]
        for first, last in sorted(loops, key=lambda loop: loop[0] - loop[1]):
            yield best[:first] + best[last:]

    def _without_chunks(self) -> Iterator[Schedule]:
        best = self.best
        size = len(best)
        while size:
            for first in range(0, len(best), size):
                yield best[:first] + best[first + size :]
            size //= 2

    def _without_stretches(self) -> Iterator[Schedule]:
        """Without some successive steps of one actor, wherever others come between: a round of its retries."""
        best = self.best
        actions = self.oracle.actions
        places: dict[str, list[int]] = {}
        for number, action in enumerate(best):
            places.setdefault(actions[action].actor, []).append(number)
        longest = max(map(len, places.values()), default=0)
        for size in range(longest, 0, -1):
            for found in places.values():
                for first in range(len(found) - size + 1):
                    left_out = set(found[first : first + size])
                    yield tuple(action for number, action in enumerate(best) if number not in left_out)

    def _with_others(self) -> Iterator[Schedule]:
        """With another action in one place, which may make many of the following ones needless."""
        best = self.best
        _, nodes = self._walk(best)
        for number, node in enumerate(nodes[: len(best)]):
            for _, names in node.by_actor:
                for name in names:
                    if name != best[number]:
                        yield (*best[:number], name, *best[number:])

    def _without_pairs(self) -> Iterator[Schedule]:
        best = self.best
        if len(best) <= PAIRS_UP_TO:
            for one, other in combinations(range(len(best)), 2):
                yield best[:one] + best[one + 1 : other] + best[other + 1 :]

    def _joined(self) -> Iterator[Schedule]:
        """With the steps that an actor takes on end moved to its next or last ones: as long, with fewer switches."""
        best = self.best
        actions = self.oracle.actions
        blocks: list[tuple[str, Schedule]] = []
        for action in best:
            actor = actions[action].actor
            if blocks and blocks[-1][0] == actor:
                blocks[-1] = (actor, (*blocks[-1][1], action))
            else:
                blocks.append((actor, (action,)))
        for one, other in combinations(range(len(blocks)), 2):
            if blocks[one][0] == blocks[other][0]:
                between = blocks[one + 1 : other]
                joined = (blocks[one][0], blocks[one][1] + blocks[other][1])
                for middle in ([joined, *between], [*between, joined]):
                    yield tuple(
                        action for _, block in (*blocks[:one], *middle, *blocks[other + 1 :]) for action in block
                    )


_ways: WeakKeyDictionary[Oracle, dict[int, tuple[int, int] | None]] = WeakKeyDictionary()


def shortest_way(oracle: Oracle, state: int) -> Schedule | None:
    """A shortest schedule from where the scenario starts to a packed state; None beyond the first `MOST_STATES`."""
    parents = _ways.get(oracle)
    if parents is None:
        parents = _ways[oracle] = _near(oracle)
    if state not in parents:
        return None
    names: list[str] = []
    while (parent := parents[state]) is not None:
        state, number = parent
        names.append(oracle.paths[number].action.id)
    return tuple(reversed(names))


def _near(oracle: Oracle) -> dict[int, tuple[int, int] | None]:
    start = start_of(oracle).state
    parents: dict[int, tuple[int, int] | None] = {start: None}
    level = [start]
    successors = oracle.generated.successors
    while level and len(parents) < MOST_STATES:
        following: list[int] = []
        for state in level:
            for target, number in successors(state):
                if target not in parents:
                    parents[target] = (state, number)
                    following.append(target)
        level = following
    return parents


__all__ = [
    "Replayer",
    "after_start",
    "shortest_way",
    "shrink",
    "shrink_divergence",
    "shrink_violation",
    "switches",
]
