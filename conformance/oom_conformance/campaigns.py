"""Campaigns: many eras and scenarios, tried with many seeds by many workers, against one implementation.

The work is cut into shards, by era, scenario and number. Workers do them; this process alone hands them out and
records them, each in one transaction, so that a campaign can be broken off at any moment: the same command goes on
with what is not recorded. What a campaign is, its options and sources decide (`Campaign.id`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from functools import cached_property
from pathlib import Path

import attrs

from oom_conformance import logbook
from oom_conformance.executors import Workers, workers_of
from oom_conformance.interface import REFERENCE, VARIABLE, find_implementation
from oom_conformance.reaching import Pair, Reach
from oom_conformance.shards import ENGINE, GRACE, Done, Shard, capable, from_plain, sources_digest, work
from oom_conformance.store import Found, Store
from oom_spec.applicability import irrelevant
from oom_spec.language import Era, Scenario, SpecError
from oom_spec.manifest import expected_cell
from oom_spec.reporting import Progress, silent
from oom_spec.scenarios import find_scenario
from oom_spec.verdicts import Word

SHARD_RUNS = 500
"""Runs in one shard, where runs are counted."""
SHORTEST, LONGEST = 0.5, 10.0
"""Seconds of one shard, where time is."""
SHARE = 0.5
"""The share of the time that goes into the first shard of each era and scenario; more go where steps are missing."""
MOST_ATTEMPTS = 3
"""How often a shard is given out whose worker dies."""
MOST_TROUBLES = 10
"""So many shards lost or stuck, with none between them that is done, end the handing out."""
TICK = 0.5
"""Seconds between two looks at the clock."""
MEASURING = 120.0
"""Seconds that a worker of a cluster may need before the limit of its shard begins."""
WAITING = 60.0
"""Seconds for which a cluster may be without workers."""

DIVERGENCE = "divergence"
"""The implementation and the specification part."""
RACE = "race"
"""The specification violates a property of its era, where the manifest says so: the race is reproduced."""
UNEXPECTED = "unexpected"
"""The specification violates a property where the manifest says that it holds, or by a run that is too short."""
UNRECORDED = "unrecorded"
"""The specification of a user's own era violates a property; nothing is recorded of it."""
FAILING = (DIVERGENCE, UNEXPECTED)
"""What makes a campaign fail."""

Key = tuple[str, str]
"""Ids of an era and a scenario."""


@attrs.frozen
class Trouble:
    """A shard of which nothing is known."""

    era: str
    scenario: str
    number: int
    seed: int
    stuck: bool
    """The implementation gave no answer in time; else the worker died."""
    reason: str
    schedule: tuple[str, ...] = ()
    """What had been run since the last reset when the time was over or the worker died, as far as that is known.

    From the cold start, as `Divergence.schedule` is.
    """

    def __str__(self) -> str:
        return f"{self.era} in {self.scenario}, shard {self.number} (seed {self.seed}): {self.reason}"


@attrs.define(eq=False)
class Flight:
    """A shard that is given out."""

    shard: Shard
    era: Era
    since: float = 0.0
    attempts: int = 0

    @property
    def key(self) -> Key:
        """Its era and scenario."""
        return self.era.id, self.shard.scenario


@attrs.define(eq=False)
class Campaign:
    """What is to be tried, and how far it has got. `run` may be called once."""

    eras: Sequence[Era]
    scenarios: Sequence[Scenario]
    store: Store
    implementation: str = ""
    """As `find_implementation` takes it; workers may have another environment, so its default is looked up here."""
    seed: int = 0
    examples: int | None = None
    """Runs for each era in each scenario."""
    seconds: float | None = None
    """Time for everything, all sittings together; one of the two is given."""
    jobs: int = 1
    executor: str | None = None
    """Address of a dask scheduler; None: ``jobs`` processes here."""
    limit: float = 60.0
    """Seconds beyond what is asked of a shard after which the implementation counts as hanging."""
    engine: str = ENGINE
    left_out: dict[Key, str] = attrs.field(factory=dict)
    """Eras and scenarios that the implementation does not claim, and why they are left out."""
    troubles: list[Trouble] = attrs.field(factory=list)
    """Shards of this sitting of which nothing is known."""
    given_up: bool = False
    interrupted: bool = False
    already: int = 0
    """Shards that were recorded before this sitting."""
    done: int = 0
    """Shards of this sitting."""
    pairs: list[tuple[Era, Scenario]] = attrs.field(factory=list)
    """What is tried, in this order."""
    _reach: dict[Key, Reach] = attrs.field(factory=dict)
    _taken: dict[str, set[str]] = attrs.field(factory=dict)
    _paired: dict[str, set[Pair]] = attrs.field(factory=dict)
    _handed: dict[Key, int] = attrs.field(factory=dict)
    _recorded: set[tuple[str, str, int]] = attrs.field(factory=set)
    _aside: set[Key] = attrs.field(factory=set)
    _measured: set[Key] = attrs.field(factory=set)
    _tried: set[Key] = attrs.field(factory=set)
    _suspects: deque[Flight] = attrs.field(factory=deque)
    _waiting: deque[Flight] = attrs.field(factory=deque)
    _flying: dict[Future[Done], Flight] = attrs.field(factory=dict)
    _logbooks: Path | None = None
    """The folder of the logbooks of our own workers."""
    _slots: int = 1
    _given: int = 0
    _total: int = 0
    _runs: int = 0
    _steps: int = 0
    _faults: set[str] = attrs.field(factory=set)
    _in_a_row: int = 0
    _started: float = 0.0
    _before: float = 0.0
    _without: float | None = None

    def __attrs_post_init__(self) -> None:
        """Name the implementation."""
        self.implementation = self.implementation or os.environ.get(VARIABLE) or REFERENCE

    # -- what it is --------------------------------------------------------------------------

    @cached_property
    def sources(self) -> str:
        """What the reachable states depend on: the sources, and the files of a user's own eras."""
        found = hashlib.sha256(sources_digest().encode())
        for era in self.eras:
            if era.file:
                found.update(f"{era.id}\0".encode() + Path(era.file).read_bytes())
        return found.hexdigest()

    @cached_property
    def described(self) -> dict[str, object]:
        """All that decides the results, other than how long it runs."""
        return {
            "eras": [era.id for era in self.eras],
            "scenarios": [scenario.id for scenario in self.scenarios],
            "implementation": self.implementation,
            "code": code_digest(self.implementation),
            "seed": self.seed,
            "examples": self.examples,
            "engine": self.engine,
            "sources": self.sources,
        }

    @cached_property
    def id(self) -> str:
        """Equal for equal commands with equal sources: such a campaign is continued."""
        return hashlib.sha256(json.dumps(self.described).encode()).hexdigest()[:16]

    # -- running it --------------------------------------------------------------------------

    def run(self, progress: Progress = silent) -> None:
        """Do what is not recorded yet. Ctrl-C ends it early (`interrupted`), and keeps what is finished.

        Raises `SpecError` where the implementation, the store or the cluster cannot be used.
        """
        find_implementation(self.implementation)  # refused here rather than by each worker
        self.store.begin(self.id, self.described)
        self._started = time.monotonic()
        self._before = self.store.elapsed(self.id)
        workers = workers_of(self.executor, self.jobs)
        with contextlib.ExitStack() as kept:
            if workers.own:
                with contextlib.suppress(OSError):  # without a place for them there are no logbooks
                    folder = tempfile.TemporaryDirectory(prefix="oomspec-", ignore_cleanup_errors=True)
                    self._logbooks = Path(kept.enter_context(folder))
            finished = False
            try:
                self._plan(workers)
                self._hand_out_all(workers, progress)
                finished = True
            except KeyboardInterrupt:
                self.interrupted = True
                self._keep_what_is_done()
            finally:
                workers.close(abandon=not finished)

    @property
    def elapsed(self) -> float:
        """Seconds, all sittings together."""
        return self._before + (time.monotonic() - self._started if self._started else 0.0)

    def _plan(self, workers: Workers) -> None:
        """What there is to do, small worlds first, so that every era has its turn early."""
        eras, scenarios = self._capabilities(workers)
        for scenario in sorted(self.scenarios, key=lambda each: len(each.objects)):
            for era in self.eras:
                if irrelevant(era, scenario):
                    continue
                if eras is not None and era.id not in eras:
                    self.left_out[era.id, scenario.id] = "the implementation does not claim the era"
                elif scenarios is not None and scenario.id not in scenarios:
                    self.left_out[era.id, scenario.id] = "the implementation does not claim the scenario"
                else:
                    self.pairs.append((era, scenario))
        if not self.pairs:
            raise SpecError(
                "there is nothing to try: the implementation claims none of these eras and scenarios"
                if self.left_out
                else "there is nothing to try: these scenarios say nothing new of these eras"
            )
        self._recorded = self.store.recorded(self.id)
        self.already = len(self._recorded)
        self._reach = self.store.reachable(self.sources)
        self._measured = set(self._reach)
        for key, cell in self.store.cells(self.id).items():
            self._tried.add(key)
            self._taken.setdefault(key[0], set()).update(cell.taken)
            self._paired.setdefault(key[0], set()).update(cell.pairs)
        if self.examples is not None:
            self._waiting = deque(self._counted(self.examples))
            self._total = len(self._waiting) + self.already

    def _capabilities(self, workers: Workers) -> tuple[Iterable[str] | None, Iterable[str] | None]:
        asked = workers.submit(capable, self.implementation, self.limit)
        try:
            return asked.result(self.limit + GRACE + MEASURING)
        except (TimeoutError, CancelledError):
            raise SpecError("no worker says what the implementation is capable of: does it hang?") from None
        except Exception as problem:
            if workers.died(problem):
                raise SpecError("the implementation ends its process when asked what it is capable of") from problem
            raise

    # -- what comes next ---------------------------------------------------------------------

    def _counted(self, examples: int) -> Iterable[Flight]:
        """Every shard that is not recorded, where runs are counted."""
        for era, scenario in self.pairs:
            for number, first in enumerate(range(0, examples, SHARD_RUNS)):
                if (era.id, scenario.id, number) not in self._recorded:
                    reach = self._reach.get((era.id, scenario.id)) if number == 0 else None
                    wanted = frozenset() if reach is None else reach.pairs  # else the shard finds out itself
                    runs = min(SHARD_RUNS, examples - first)
                    yield self._flight(era, scenario, number, examples=runs, wanted=wanted)

    def _next(self) -> Flight | None:
        """The next shard; None where there is none, or no time for it."""
        if self.given_up:
            return None
        if self.examples is not None:
            while self._waiting and self._waiting[0].key in self._aside:
                self._waiting.popleft()
            return self._waiting.popleft() if self._waiting else None
        assert self.seconds is not None
        left = self.seconds - self.elapsed
        open_pairs = [(era, each) for era, each in self.pairs if (era.id, each.id) not in self._aside]
        if left < SHORTEST / 5 or not open_pairs:
            return None
        share = SHARE * self.seconds * self._slots / len(self.pairs)
        era, scenario = min(open_pairs, key=self._urgency)
        key = (era.id, scenario.id)
        number = self._handed.get(key, 0)
        while (*key, number) in self._recorded:
            number += 1
        self._handed[key] = number + 1
        seconds = min(left, max(SHORTEST, min(LONGEST, share)))
        return self._flight(era, scenario, number, seconds=seconds, wanted=self._missing(key))

    def _urgency(self, pair: tuple[Era, Scenario]) -> float:
        """How many shards it had; where it has steps that nobody took, a quarter of that, and of pairs a half."""
        key = (pair[0].id, pair[1].id)
        had = self._handed.get(key, 0)
        reach = self._reach.get(key)
        if not had or reach is None:
            return float(had)
        if reach.steps - self._taken.get(key[0], set()):
            return had / 4
        return had / 2 if self._missing(key) else float(had)

    def _missing(self, key: Key) -> frozenset[Pair]:
        """The pairs that some run takes there, and none of the era has taken yet."""
        reach = self._reach.get(key)
        return frozenset() if reach is None else reach.pairs - self._paired.get(key[0], set())

    def _flight(
        self,
        era: Era,
        scenario: Scenario,
        number: int,
        *,
        examples: int | None = None,
        seconds: float | None = None,
        wanted: frozenset[Pair] = frozenset(),
    ) -> Flight:
        key = (era.id, scenario.id)
        measure = key not in self._measured
        self._measured.add(key)
        shard = Shard(
            locator=era.locator,
            scenario=scenario.id,
            number=number,
            seed=shard_seed(self.seed, *key, number),
            implementation=self.implementation,
            examples=examples,
            seconds=seconds,
            limit=self.limit + (seconds or 0.0),
            measure=measure,
            wanted=wanted,
            may_end_worker=self.executor is None,
            sources=sources_digest(),
            engine=self.engine,
        )
        return Flight(shard, era)

    # -- handing out and taking back ---------------------------------------------------------

    def _hand_out_all(self, workers: Workers, progress: Progress) -> None:
        while True:
            self._slots = max(1, workers.slots)
            self._fill(workers)
            if not self._flying and not self._suspects:
                return
            self._look_for_workers(workers)
            finished, _ = wait(self._flying, timeout=TICK, return_when=FIRST_COMPLETED)
            if self._take_back(workers, finished):
                # The pool is broken: what else was given out fails with it, unless it was just done.
                rest, _ = wait(self._flying, timeout=GRACE)
                self._take_back(workers, rest)
                self._suspects.extend(self._flying.values())
                self._flying.clear()
                workers.renew()
            if not workers.own:
                self._give_up_overdue()
            self._tell(progress)
            if not finished and not self._flying:
                time.sleep(TICK)

    def _fill(self, workers: Workers) -> None:
        if workers.own and self._suspects:
            # Which of them ends its worker? Alone, each answers for itself.
            if not self._flying:
                self._submit(workers, self._suspects.popleft())
            return
        while len(self._flying) < self._slots:
            flight = self._suspects.popleft() if self._suspects else self._next()
            if flight is None:
                return
            if not self._submit(workers, flight):
                return

    def _submit(self, workers: Workers, flight: Flight) -> bool:
        """Give it out; False where a worker has died meanwhile, which is no fault of this shard."""
        if self._logbooks is not None:
            # One for each attempt: what an earlier one noted must not be taken for what this one does.
            self._given += 1
            flight.shard = attrs.evolve(flight.shard, logbook=str(self._logbooks / str(self._given)))
        try:
            future = workers.submit(work, flight.shard)
        except BrokenExecutor:
            self._suspects.appendleft(flight)
            if not self._flying:
                workers.renew()
            return False
        flight.since = time.monotonic()
        self._flying[future] = flight
        return True

    def _look_for_workers(self, workers: Workers) -> None:
        """A cluster may lose all its workers, and get new ones.

        Raises `SpecError` where it does not get any.
        """
        if workers.slots:
            self._without = None
            return
        now = time.monotonic()
        self._without = self._without or now
        if now - self._without > WAITING:
            raise self._cluster_gone("has no workers any more")

    def _take_back(self, workers: Workers, finished: Iterable[Future[Done]]) -> bool:
        """Settle what is finished; whether some worker of our own has died."""
        broken = False
        for future in finished:
            flight = self._flying[future]
            try:
                problem = future.exception()
            except CancelledError:
                raise self._cluster_gone("does not answer any more") from None
            if problem is None:
                self._settle(flight, future.result())
            elif workers.died(problem):
                broken = broken or workers.own
                self._died(flight)
            else:
                raise problem
            if flight.shard.logbook:
                Path(flight.shard.logbook).unlink(missing_ok=True)
            del self._flying[future]
        return broken

    def _settle(self, flight: Flight, done: Done) -> None:
        if done.stuck is not None:
            reason = f"no answer from the implementation within {flight.shard.limit:g} s, in {done.stuck_in}"
            self._note_trouble(flight, reason, stuck=True, schedule=tuple(done.stuck))
            return
        found = findings_of(done, flight.era)
        self.store.record(self.id, done, found, sources=self.sources, elapsed=self.elapsed)
        self._in_a_row = 0
        self._tried.add(flight.key)
        self.done += 1
        self._runs += done.runs
        self._steps += done.steps
        self._faults |= {each.race for each in found if each.kind in FAILING}
        self._taken.setdefault(done.era, set()).update(done.taken)
        self._paired.setdefault(done.era, set()).update(done.pairs)
        if done.reach is not None:
            self._reach[flight.key] = done.reach

    def _died(self, flight: Flight) -> None:
        flight.attempts += 1
        age = time.monotonic() - flight.since
        overdue = age >= flight.shard.limit
        if not overdue and flight.attempts < MOST_ATTEMPTS:
            self._suspects.append(flight)
            return
        noted = logbook.read(Path(flight.shard.logbook)) if flight.shard.logbook else logbook.Noted()
        where = f", in step {len(noted.schedule)}" if noted.schedule and noted.whole else ""
        if overdue:
            limit = f"{flight.shard.limit:g} s"
            reason = f"no answer from the implementation within {limit}{where}; its worker had to be ended"
        else:
            reason = f"its worker died {flight.attempts} times{where}"
        if not noted.whole:
            reason += "; of its schedule only the beginning is known"
        self._note_trouble(flight, reason, stuck=overdue, schedule=noted.schedule)

    def _note_trouble(self, flight: Flight, reason: str, *, stuck: bool, schedule: tuple[str, ...] = ()) -> None:
        shard = flight.shard
        self.troubles.append(Trouble(*flight.key, shard.number, shard.seed, stuck, reason, schedule))
        self._aside.add(flight.key)
        self._in_a_row += 1
        if self._in_a_row >= MOST_TROUBLES:
            self.given_up = True

    def _give_up_overdue(self) -> None:
        """A worker of a cluster that does not come back is left to its cluster."""
        now = time.monotonic()
        for future, flight in list(self._flying.items()):
            if not future.done() and now - flight.since > flight.shard.limit + GRACE + MEASURING:
                del self._flying[future]
                future.cancel()
                self._note_trouble(flight, "no answer from the cluster in time", stuck=True)

    def _keep_what_is_done(self) -> None:
        """After Ctrl-C: shards that are finished and not yet recorded."""
        for future, flight in self._flying.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                done = future.result()
                if done.stuck is None:
                    self._settle(flight, done)
        self._flying.clear()

    def _cluster_gone(self, how: str) -> SpecError:
        return SpecError(
            f"the cluster at {self.executor} {how}: what is finished is recorded, the same command goes on from there"
        )

    def _tell(self, progress: Progress) -> None:
        steps: dict[str, set[str]] = {}
        for key in self._tried & set(self._reach):
            steps.setdefault(key[0], set()).update(self._reach[key].steps)
        reachable = sum(map(len, steps.values()))
        covered = sum(len(found & self._taken.get(era, set())) for era, found in steps.items())
        rate = self._steps / max(self.elapsed - self._before, 1e-9)
        text = (
            f"{self._runs:,} runs, {rate:,.0f} steps/s, {covered} of {reachable} steps, {len(self._faults)} to report"
        )
        if self.seconds is not None and self.examples is None:
            progress(int(min(self.elapsed, self.seconds)), int(self.seconds), f"s; {text}")
        else:
            progress(self.done + self.already, self._total, f"shards; {text}")


# -- what was found --------------------------------------------------------------------------


def findings_of(done: Done, era: Era) -> list[Found]:
    """What a shard found, judged by the manifest: one `Found` for each divergence and each property."""
    found = []
    place = (done.era, done.scenario, done.number, done.seed)
    if done.divergence is not None:
        divergence = from_plain(done.divergence)
        race = " ".join(each for each in divergence.key if each)
        found.append(Found(DIVERGENCE, race, *place, divergence.schedule, dict(done.divergence)))
    for subject, schedule in done.broken.items():
        kind, expected = judged(era, subject, done.scenario, len(schedule))
        found.append(Found(kind, subject, *place, tuple(schedule), {"expected": expected}))
    return found


def judged(era: Era, subject: str, scenario: str, length: int) -> tuple[str, str]:
    """`RACE`, `UNEXPECTED` or `UNRECORDED`, and what the manifest says, in words.

    ``length``: steps of a run that violates ``subject``. One that is shorter than the shortest is unexpected, too.
    """
    expected = expected_cell(era.id, subject)
    if expected is None or era.file:
        return (UNRECORDED if era.file else UNEXPECTED), "the manifest has no entry"
    depth = expected.violated_in.get(scenario)
    if depth is None:
        if expected.word is Word.VIOLATED and find_scenario(scenario).slow:  # of these nothing is recorded
            return RACE, expected.word.value
        return UNEXPECTED, f"{expected.word.value}, not violated in {scenario}"
    return (RACE if length >= depth else UNEXPECTED), f"violated at {depth}"


def shard_seed(seed: int, era: str, scenario: str, number: int) -> int:
    """The seed of a shard: other shards have others, and the order in which they run does not matter."""
    return int.from_bytes(hashlib.sha256(f"{seed} {era} {scenario} {number}".encode()).digest()[:8], "big") >> 1


def code_digest(implementation: str) -> str:
    """A digest of the module of an implementation, or of its program: other code makes another campaign."""
    if implementation.startswith("!"):
        paths = [Path(word) for word in shlex.split(implementation[1:])]
    else:
        module = sys.modules.get(getattr(find_implementation(implementation), "__module__", ""))
        paths = [Path(getattr(module, "__file__", None) or "")]
    found = hashlib.sha256(implementation.encode())
    for path in paths:
        if path.is_file():
            found.update(path.read_bytes())
    return found.hexdigest()


__all__ = [
    "DIVERGENCE",
    "FAILING",
    "RACE",
    "UNEXPECTED",
    "UNRECORDED",
    "Campaign",
    "Trouble",
    "code_digest",
    "findings_of",
    "judged",
    "shard_seed",
]
