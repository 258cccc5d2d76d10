"""Random schedules against an implementation: what a campaign does with an era, a scenario and a seed.

A plain seeded loop, without Hypothesis: bytes from a generator through the policies of `scheduling`, by
turns those that need no memory and the one that prefers what was rare so far. Halfway, where pairs of steps are
wanted that no run has taken yet, the explorer leads to each. The same seed, wanted pairs and number of runs give the
same trial. A fault is shrunk before it is reported (`shrinking`).
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise

import attrs

from oom_conformance.interface import Implementation
from oom_conformance.lockstep import Divergence, Lockstep, Schedule
from oom_conformance.oracle import Oracle
from oom_conformance.reaching import Pair, runs_to_pairs
from oom_conformance.scheduling import HEADER, Chooser, Mixed, Rarest
from oom_conformance.shrinking import Replayer, after_start, shrink, shrink_divergence, shrink_violation
from oom_spec.language import SpecError

LONGEST = 256
"""Steps of one run, at most."""

FURTHER = 16
"""Random steps after a run that was led to a pair."""

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
        self.pairs: set[Pair] = set()
        """As `Trial.pairs`."""
        self._followed: set[tuple[str, str]] = set()

    def count(self, pair: Lockstep) -> None:
        """Count the run that ended."""
        schedule = after_start(self.oracle, pair.schedule)
        self.runs += 1
        self.steps += len(schedule)
        self._taken.update(schedule)
        new = {*pairwise(schedule)} - self._followed
        self._followed |= new
        both = ((self.oracle.actions[one], self.oracle.actions[other]) for one, other in new)
        self.pairs.update((one.step.id, other.step.id) for one, other in both if one.actor != other.actor)
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


def try_schedules(
    oracle: Oracle,
    make_implementation: Callable[[], Implementation],
    *,
    seed: int,
    examples: int | None = None,
    seconds: float | None = None,
    wanted: Collection[Pair] = (),
    observer: Callable[[int, int], None] = lambda runs, steps: None,
    stop: Callable[[], bool] = lambda: False,
) -> Trial:
    """Run random schedules until one diverges, ``examples`` runs are done, ``seconds`` are over, or ``stop`` says so.

    ``wanted``: pairs of steps; halfway, runs are led to those that were not taken, as far as these bounds allow.
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
    led: Iterator[Schedule] | None = None
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
            if led is None and _halfway(tally.runs, examples, now - started, seconds):
                missing = {*wanted} - tally.pairs
                led = runs_to_pairs(oracle, missing, tally.pairs.__contains__) if missing else iter(())
            opening = next(led, ()) if led is not None else ()
            pair = replayer.pair()
            try:
                run(pair, chooser, generator.randbytes(FURTHER if opening else LONGEST), opening)
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
        pairs=frozenset(tally.pairs),
        broken={name: shrink_violation(oracle, tally.broken[name], name) for name in sorted(tally.broken)},
        divergence=divergence,
    )


def _halfway(runs: int, examples: int | None, elapsed: float, seconds: float | None) -> bool:
    return (examples is not None and 2 * runs >= examples) or (seconds is not None and 2 * elapsed >= seconds)


def run(pair: Lockstep, chooser: Chooser, data: bytes, opening: Sequence[str] = ()) -> None:
    """One run: the actions of ``opening``, and at most so many steps as there are bytes; ``chooser`` has begun.

    Raises `Divergence`.
    """
    node = pair.start()
    step, choose = pair.step, chooser.choose
    for action in opening:
        node = step(action)
    for byte in data:
        if not node.names:
            return
        node = step(choose(node, byte))


__all__ = ["Trial", "run", "shrink", "shrink_divergence", "shrink_violation", "try_schedules"]
