"""One shard of a campaign: an era in a scenario, tried with one seed. What a worker is told, does and gives back.

Everything that crosses to a worker and back is plain data, so any `concurrent.futures` executor will do. A worker
builds its oracle itself, and keeps the last one.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import hashlib
import importlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

import attrs

import oom_conformance
import oom_spec
from oom_conformance.interface import Implementation, Value, find_implementation
from oom_conformance.lockstep import Difference, Divergence, Kind
from oom_conformance.logbook import Logbook
from oom_conformance.oracle import Oracle
from oom_conformance.reaching import Pair, Reach, measure
from oom_spec.eras import find_era
from oom_spec.language import SpecError
from oom_spec.scenarios import find_scenario

ENGINE = "oom_conformance.trying:try_schedules"
"""What tries schedules in one shard: ``package.module:function``."""

GRACE = 10.0
"""Seconds beyond the limit of a shard after which a worker that cannot be interrupted is ended."""


@attrs.frozen
class Shard:
    """What a worker is to do."""

    locator: str
    """What `find_era` finds the era by."""
    scenario: str
    number: int
    """Shards of one era in one scenario are numbered from 0."""
    seed: int
    implementation: str | None = None
    """As `find_implementation` takes it."""
    examples: int | None = None
    """Runs; None: as many as ``seconds`` allow."""
    seconds: float | None = None
    limit: float = 60.0
    """Seconds after which the implementation counts as hanging."""
    measure: bool = False
    """Also say what is reachable."""
    wanted: frozenset[Pair] = frozenset()
    """Pairs that no run has taken yet, to which runs are led; where the shard also measures, all that it finds."""
    may_end_worker: bool = False
    """The worker is a process of our own, which may be ended where nothing else stops the implementation."""
    sources: str = ""
    """The `sources_digest` of who asks; a worker with another one refuses. Empty: not compared."""
    engine: str = ENGINE
    logbook: str = ""
    """The file in which the worker notes what it is at, which outlives it; empty: it notes nothing."""


@attrs.frozen
class Done:
    """What a worker gives back."""

    era: str
    """The id of the era."""
    scenario: str
    number: int
    seed: int
    runs: int = 0
    steps: int = 0
    seconds: float = 0.0
    taken: Mapping[str, int] = attrs.field(factory=dict)
    pairs: frozenset[Pair] = frozenset()
    broken: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    """For each property that the specification itself violated: the shortest schedule that was met."""
    divergence: Mapping[str, Any] | None = None
    """As `as_plain` gives it."""
    reach: Reach | None = None
    worker: str = ""
    """Host and process."""
    stuck: Sequence[str] | None = None
    """The implementation gave no answer in time: the schedule so far. None: it did."""
    stuck_in: str = ""
    """The call that gave no answer."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes it the same shard: era, scenario, number."""
        return self.era, self.scenario, self.number


class OutOfTime(BaseException):
    """The limit of the shard is over. Not an `Exception`: it is no answer of the implementation."""


# -- divergences as plain data ---------------------------------------------------------------


def as_plain(divergence: Divergence) -> dict[str, Any]:
    """All of a divergence, as JSON can hold it; `from_plain` reads it back."""
    return {
        "kind": divergence.kind.name,
        "era": divergence.era,
        "scenario": divergence.scenario,
        "schedule": list(divergence.schedule),
        "actions": list(divergence.actions),
        "reasons": list(divergence.reasons),
        "differences": [[each.name, each.expected, each.seen] for each in divergence.differences],
        "message": divergence.message,
        "broken": list(divergence.broken),
    }


def from_plain(found: Mapping[str, Any]) -> Divergence:
    """The divergence behind what `as_plain` gave."""
    differences: list[tuple[str, Value, Value]] = [tuple(each) for each in found["differences"]]
    return Divergence(
        Kind[found["kind"]],
        found["era"],
        found["scenario"],
        tuple(found["schedule"]),
        tuple(found["actions"]),
        tuple(found["reasons"]),
        tuple(Difference(*each) for each in differences),
        found["message"],
        tuple(found["broken"]),
    )


# -- what results depend on ------------------------------------------------------------------


@cache
def sources_digest() -> str:
    """A digest of the modules of the specification and of this suite, the same on every machine that has the same."""
    found = hashlib.sha256()
    for package in (oom_spec, oom_conformance):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*.py")):
            found.update(f"{package.__name__}/{path.relative_to(root)}\0".encode())
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


# -- the time limit --------------------------------------------------------------------------


def _ring(number: int, frame: object) -> None:
    raise OutOfTime


@contextlib.contextmanager
def time_limit(seconds: float, *, may_end_worker: bool = False) -> Iterator[None]:
    """Raise `OutOfTime` in the block after so long; where that does not help, end the process `GRACE` later.

    In a main thread a signal interrupts what it waits for, too; in another one only what runs Python.
    """
    if may_end_worker:
        faulthandler.dump_traceback_later(seconds + GRACE, exit=True, file=_nowhere())
    try:
        if threading.current_thread() is threading.main_thread():
            with _alarm(seconds):
                yield
        else:
            with _raised_from_outside(seconds):
                yield
    finally:
        if may_end_worker:
            faulthandler.cancel_dump_traceback_later()


@cache
def _nowhere() -> IO[str]:
    """Where the traceback goes that `faulthandler` insists on."""
    return Path(os.devnull).open("w", encoding="utf-8")


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    previous = signal.signal(signal.SIGALRM, _ring)
    # It rings again each second: an implementation that catches everything may catch the first.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@contextlib.contextmanager
def _raised_from_outside(seconds: float) -> Iterator[None]:
    thread, lock = threading.get_ident(), threading.Lock()
    over = False

    def ring() -> None:
        with lock:
            if not over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(OutOfTime))

    timer = threading.Timer(seconds, ring)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            over = True
        timer.cancel()


# -- in a worker -----------------------------------------------------------------------------


class Watched:
    """An implementation, and what was asked of it since it was last reset."""

    def __init__(self, inner: Implementation, logbook: Logbook | None = None) -> None:
        """``logbook``: where the same is noted for those who outlive this process."""
        self.inner = inner
        self._logbook = logbook
        self._note = None if logbook is None else logbook.note
        self.schedule: list[str] = []
        self.call = "the start"
        self.at_work = True
        """Inside a call of `reset` or `run`, or not made yet."""
        self.capabilities = inner.capabilities
        self.runnable = inner.runnable
        self.observe = inner.observe
        self._run = inner.run
        self._close = getattr(inner, "close", None)
        reports = getattr(inner, "reports", None)
        if callable(reports):
            self.reports = reports

    def reset(self, era: str, world: Mapping[str, Any]) -> Sequence[str]:
        """Pass it on, and begin a new schedule."""
        self.schedule = []
        self.call = "reset"
        self.at_work = True
        if self._logbook is not None:
            self._logbook.begin()
        names = self.inner.reset(era, world)
        self.at_work = False
        self.call = ""
        return names

    def run(self, action: str) -> None:
        """Pass it on, and note it."""
        self.schedule.append(action)
        self.at_work = True
        if self._note is not None:
            self._note(action)
        self._run(action)
        self.at_work = False

    def close(self) -> None:
        """Let go of what it holds, where it knows how to; harmless when done again."""
        close, self._close = self._close, None
        if callable(close):
            with contextlib.suppress(Exception):  # it is not asked for anything any more
                close()


_kept: dict[tuple[str, str], Oracle] = {}
"""The last oracle: some 2 KB for each state that runs have met, so no more than one is kept."""


def _oracle(locator: str, scenario: str) -> Oracle:
    key = (locator, scenario)
    if key not in _kept:
        _kept.clear()
        _kept[key] = Oracle(find_era(locator), find_scenario(scenario))
    return _kept[key]


def work(shard: Shard) -> Done:
    """Do a shard.

    Raises `SpecError` where this worker is not fit for it: other sources, an implementation that it does not have.
    """
    if shard.sources and shard.sources != sources_digest():
        raise SpecError(
            f"worker {_who()} has other sources of oomspec than this command: install the same release on both"
        )
    oracle = _oracle(shard.locator, shard.scenario)
    done = Done(oracle.era.id, shard.scenario, shard.number, shard.seed, worker=_who())
    wanted = shard.wanted
    if shard.measure:
        reach = measure(oracle)
        wanted = reach.pairs
        done = attrs.evolve(done, reach=reach)
    make = find_implementation(shard.implementation)
    made: list[Watched] = []
    logbook = _logbook(shard.logbook)

    def watched() -> Implementation:
        made.append(Watched(make(), logbook))
        return cast(Implementation, made[-1])

    engine = _find_engine(shard.engine)
    started = time.monotonic()
    try:
        with time_limit(shard.limit, may_end_worker=shard.may_end_worker):
            trial = engine(
                oracle, watched, seed=shard.seed, examples=shard.examples, seconds=shard.seconds, wanted=wanted
            )
    except OutOfTime:
        last = made[-1] if made else None
        return attrs.evolve(
            done,
            seconds=time.monotonic() - started,
            stuck=tuple(last.schedule) if last else (),
            stuck_in=(last.call or f"step {len(last.schedule)}") if last else "the start",
        )
    finally:
        for each in made:
            each.close()
        if logbook is not None:
            logbook.close()
    return attrs.evolve(
        done,
        runs=trial.runs,
        steps=trial.steps,
        seconds=trial.seconds,
        taken=dict(trial.taken),
        pairs=frozenset((first, second) for first, second in trial.pairs),
        broken={name: tuple(schedule) for name, schedule in trial.broken.items()},
        divergence=None if trial.divergence is None else as_plain(trial.divergence),
    )


def _logbook(path: str) -> Logbook | None:
    """A logbook that cannot be made, as where a disk is full, is done without."""
    with contextlib.suppress(OSError):
        return Logbook(Path(path)) if path else None
    return None


def capable(implementation: str | None, limit: float) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    """The eras and the scenarios that an implementation claims; None for all.

    Raises `SpecError` where it fails to say.
    """
    make = find_implementation(implementation)
    try:
        with time_limit(limit):
            watched = Watched(make())
            try:
                found = watched.capabilities()
            finally:
                watched.close()
    except OutOfTime:
        raise SpecError(f"the implementation does not say within {limit:g} s what it is capable of") from None
    except Exception as problem:  # whatever it raises is its own fault
        raise SpecError(
            f"the implementation fails when asked what it is capable of: {type(problem).__name__}: {problem}"
        ) from problem
    eras, scenarios = found.eras, found.scenarios
    return None if eras is None else tuple(eras), None if scenarios is None else tuple(scenarios)


def _find_engine(name: str) -> Callable[..., Any]:
    module, _, attribute = name.partition(":")
    return cast(Callable[..., Any], getattr(importlib.import_module(module), attribute))


def _who() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


__all__ = [
    "ENGINE",
    "GRACE",
    "Done",
    "OutOfTime",
    "Shard",
    "Watched",
    "as_plain",
    "capable",
    "from_plain",
    "sources_digest",
    "time_limit",
    "work",
]
