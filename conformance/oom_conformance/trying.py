"""Random schedules against an implementation: what a campaign does with an era, a scenario and a seed.

A plain seeded loop, without Hypothesis: bytes from a generator through the policies of `scheduling`, by
turns those that need no memory and the one that prefers what was rare so far. The same seed and number of
runs give the same trial. A fault is shrunk before it is reported (`shrinking`).
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import pairwise

import attrs

from oom_conformance.interface import Implementation
from oom_conformance.lockstep import Divergence, Lockstep, Schedule
from oom_conformance.oracle import Oracle
from oom_conformance.scheduling import HEADER, Chooser, Mixed, Rarest
from oom_conformance.shrinking import Replayer, after_start, shrink, shrink_divergence, shrink_violation
from oom_spec.language import SpecError

LONGEST = 256
"""Steps of one run, at most."""

EVERY = 0.25
"""Seconds between two calls of an observer."""


@attrs.frozen
class Trial:
    """What came of the runs with one seed."""

    era: str
    scenario: str
    seed: int
    runs: int
    """Those that ended, one that diverged included."""
    steps: int
    """Those from where the scenario starts."""
    seconds: float
    """Wall-clock time of the runs, without shrinking."""
    taken: Mapping[str, int]
    """How often each step was taken, by its id."""
    pairs: frozenset[tuple[str, str]]
    """Ids of two steps of different actors that came one after the other."""
    broken: Mapping[str, Schedule]
    """For each property that a run violated in the specification itself: a shrunk schedule that violates it.

    From where the scenario starts; the last step violates it.
    """
    divergence: Divergence | None
    """Already shrunk; the trial ended with it."""


class Tally:
    """Counts over the runs of one trial."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.runs = 0
        self.steps = 0
        self.broken: dict[str, Schedule] = {}
        self._taken: Counter[str] = Counter()
        self._pairs: set[tuple[str, str]] = set()

    def count(self, pair: Lockstep) -> None:
        """Count the run that ended."""
        schedule = after_start(self.oracle, pair.schedule)
        self.runs += 1
        self.steps += len(schedule)
        self._taken.update(schedule)
        self._pairs.update(pairwise(schedule))
        before = len(self.oracle.prefix)
        for name, depth in pair.broken.items():
            known = self.broken.get(name)
            if depth >= before and (known is None or depth - before < len(known)):
                self.broken[name] = schedule[: depth - before]

    @property
    def taken(self) -> dict[str, int]:
        """By the ids of steps, in their order."""
        found: Counter[str] = Counter()
        for action, times in self._taken.items():
            found[self.oracle.actions[action].step.id] += times
        return dict(sorted(found.items()))

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """As `Trial.pairs`."""
        actions = self.oracle.actions
        both = ((actions[one], actions[other]) for one, other in self._pairs)
        return frozenset((one.step.id, other.step.id) for one, other in both if one.actor != other.actor)


def try_schedules(
    oracle: Oracle,
    make_implementation: Callable[[], Implementation],
    *,
    seed: int,
    examples: int | None = None,
    seconds: float | None = None,
    observer: Callable[[int, int], None] = lambda runs, steps: None,
    stop: Callable[[], bool] = lambda: False,
) -> Trial:
    """Run random schedules until one diverges, ``examples`` runs are done, ``seconds`` are over, or ``stop`` says so.

    ``observer`` is told now and then, and at the end, how many runs and steps are done. Shrinking comes after that,
    at most some 5 s for each fault. Raises `SpecError` where neither ``examples`` nor ``seconds`` is given.
    """
    if examples is None and seconds is None:
        raise SpecError("a trial has no end: give a number of examples, or of seconds")
    generator = random.Random(f"{oracle.era.id} {oracle.scenario.id} {seed}")
    choosers: tuple[Chooser, ...] = (Mixed(oracle), Rarest(oracle))
    tally = Tally(oracle)
    replayer = Replayer(oracle, make_implementation)
    divergence: Divergence | None = None
    started = told = time.monotonic()
    try:
        while (examples is None or tally.runs < examples) and not stop():
            now = time.monotonic()
            if seconds is not None and now - started >= seconds:
                break
            if now - told >= EVERY:
                told = now
                observer(tally.runs, tally.steps)
            chooser = choosers[tally.runs % len(choosers)]
            chooser.begin(generator.randbytes(HEADER))
            pair = replayer.pair()
            try:
                run(pair, chooser, generator.randbytes(LONGEST))
            finally:
                tally.count(pair)
    except Divergence as found:
        divergence = found
    finally:
        replayer.close()
    taken = time.monotonic() - started
    observer(tally.runs, tally.steps)
    if divergence is not None:
        divergence = shrink_divergence(oracle, make_implementation, divergence)
    return Trial(
        era=oracle.era.id,
        scenario=oracle.scenario.id,
        seed=seed,
        runs=tally.runs,
        steps=tally.steps,
        seconds=taken,
        taken=tally.taken,
        pairs=tally.pairs,
        broken={name: shrink_violation(oracle, tally.broken[name], name) for name in sorted(tally.broken)},
        divergence=divergence,
    )


def run(pair: Lockstep, chooser: Chooser, data: bytes) -> None:
    """One run of at most so many steps; ``chooser`` has begun.

    Raises `Divergence`.
    """
    node = pair.start()
    step, choose = pair.step, chooser.choose
    for byte in data:
        if not node.names:
            return
        node = step(choose(node, byte))


__all__ = ["Trial", "run", "shrink", "shrink_divergence", "shrink_violation", "try_schedules"]
