"""Whether the suite notices slips in an implementation: each slip of the reference, where it is reached.

First random runs in every instance of the portfolio, those first that have noticed a slip of the same function;
then runs to every step that the explorer knows of, and on from there; for what is left, every transition of the
first states. A slip that survives either changes nothing that can be
observed, for a reason that is recorded in ``survivors.toml``, or shows what the suite does not see.
"""

from __future__ import annotations

import random
import signal
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from types import FrameType

import attrs

from oom_conformance.lockstep import Divergence, Lockstep, Schedule
from oom_conformance.oracle import Oracle, oracle_of
from oom_conformance.reaching import runs_to_steps
from oom_conformance.reference import Reference
from oom_conformance.scheduling import HEADER, POLICIES
from oom_conformance.slips import Slip, noted
from oom_conformance.trying import run
from oom_conformance.walking import walk_everything
from oom_spec.applicability import irrelevant
from oom_spec.eras import find_era
from oom_spec.language import SpecError
from oom_spec.scenarios import find_scenario

FEW = 8
RUNS = 30
"""Random runs per instance: a few in every instance first, then more."""
LONGEST = 160
"""Steps of such a run at most."""
FURTHER = 40
"""Random steps after a shortest run to a step."""
EXPLORED = 100_000
"""States that are visited to learn the shortest runs to steps."""
WALKED = 1_200
"""States of an instance that are walked for a slip which random runs have not noticed."""
MOST_WALKS = 6
"""Instances in which that is done for one slip."""
SECONDS = 10.0
"""Of processor time, for one instance; who takes longer hangs, and is noticed by that."""

PORTFOLIO: tuple[tuple[str, str], ...] = (
    ("E4", "single"),
    ("E15", "single"),
    ("E6", "memory-kinds"),
    ("E11", "memory-kinds"),
    ("E8", "voluntary-memory-kinds"),
    ("E4", "threads"),
    ("E4", "voluntary-threads"),
    ("E4", "foreign-writer"),
    ("E12", "foreign-user"),
    ("E12", "blockable-notifiers"),
    ("E4", "ksmd"),
    ("E10", "khugepaged"),
    ("E4", "khugepaged"),
    ("E4", "blocked-aio"),
    ("E4", "empty-mm"),
    ("E12b", "empty-mm"),
    ("E4", "memcg"),
    ("E8c", "memcg-threads"),
    ("E8d", "memcg-threads"),
    ("E8", "oom-group"),
    ("E9", "group-of-sharers"),
    ("E4", "init-and-sharer"),
    ("E4", "dying-threads"),
    ("E8b", "dying-threads"),
    ("E11", "dying-allocates"),
    ("E4", "two-domains"),
    ("E4", "exec"),
    ("E8c", "exec"),
    ("E14", "frozen"),
    ("E13", "frozen"),
    ("E4", "core-dump"),
    ("E4", "oom-group"),
    ("E5", "foreign-user"),
    ("E5", "voluntary"),
    ("E5", "notifiers"),
    ("E7", "blockable-notifiers"),
    ("E8", "blockable-notifiers"),
    ("E10", "blockable-notifiers"),
    ("E4", "kthread-fault"),
    ("E4b", "kthread-fault"),
    ("E4b", "user-fault"),
    ("E4b", "file-fault"),
    ("E4b", "fault-around"),
    ("E11b", "kthread-fault"),
    ("E9", "mrelease"),
    ("E9", "mrelease-unmarked"),
    ("E10", "mrelease-unmarked"),
    ("E9", "mrelease-mlocked"),
    ("E11", "mrelease-mlocked"),
    ("E9", "mrelease-notifiers"),
    ("E9", "mrelease-sharer"),
    ("E10", "mrelease-empty"),
    ("E10", "mrelease-watched"),
    ("E9", "mrelease-foreign-user"),
    ("E12b", "failed-fork"),
    ("E13", "failed-fork"),
    ("E14", "failed-fork"),
    ("E15", "failed-fork"),
    ("E14", "walkers-of-victim"),
    ("E1", "single"),
    ("E1", "exec"),
    ("E1", "foreign-writer"),
    ("E1", "threads"),
    ("E1", "init-and-sharer"),
    ("E1", "dying-allocates"),
    ("E2", "foreign-writer"),
    ("E2", "voluntary"),
    ("E2", "memcg-threads"),
    ("E1", "group-of-sharers"),
    ("E2", "dying-allocates"),
    ("E2", "threads"),
    ("E2", "voluntary-threads"),
    ("E2", "init-and-sharer"),
    ("E2", "kthread-fault"),
    ("E2", "dying-sharer-aio"),
    ("E3", "foreign-writer"),
    ("E3", "threads"),
    ("E3", "kthread-fault"),
    ("E3", "init-and-sharer"),
    ("E3", "dying-allocates"),
    ("E3", "khugepaged"),
    ("rientjes-2017-06-14", "foreign-writer"),
    ("tetsuo-2017-06-16", "foreign-writer"),
    ("tetsuo-2017-06-16", "init-shares"),
    ("tetsuo-2017-06-16", "init-and-sharer"),
    ("tetsuo-2017-06-16", "dying-allocates"),
    ("hocko-2017-07-24", "memory-kinds"),
    ("strawman-lock-before-unmap", "ksmd"),
    ("hocko-2017-08-10", "foreign-user"),
    ("hocko-2017-08-10", "voluntary"),
    ("arcangeli-first", "foreign-user"),
    ("arcangeli-first-no-oom-lock", "foreign-writer"),
    ("fault-leave-retry", "kthread-fault"),
    ("fault-retake-lock", "kthread-fault"),
    ("hocko-rfc-2018-09-10", "memory-kinds"),
    ("hocko-rfc-2018-09-10", "blockable-notifiers"),
    ("hocko-rfc-2018-09-12", "voluntary-memory-kinds"),
    ("mrelease-first-form", "mrelease-mlocked"),
    ("v5.17-rc", "mrelease-unmarked"),
    ("v6.18-dev", "mrelease-unmarked"),
    ("E3", "user-fault"),
    ("E2", "user-fault"),
    ("E11b", "user-fault"),
    ("E11b", "file-fault"),
    ("E4", "user-fault"),
    ("E4", "file-fault"),
    ("mrelease-first-form", "mrelease-unmarked"),
    ("mrelease-first-form", "mrelease"),
    ("E9", "mrelease-empty"),
    ("mrelease-first-form", "mrelease-empty"),
    ("E1", "sharer-outside"),
    ("E1", "exiting-sharer"),
    ("E1", "frozen"),
    ("E3", "frozen"),
    ("arcangeli-first", "foreign-writer"),
    ("E4", "init-shares"),
    ("E2", "dying-threads"),
    ("E1", "dying-threads"),
    ("E4", "two-stuck"),
)
"""Eras and scenarios that together reach every function in each of its forms."""


@attrs.frozen
class Verdict:
    """What became of a slip."""

    slip: str
    noticed_by: str
    """``E4 in single: it offers what the specification forbids``; empty for a survivor."""
    seconds: float


class _Hung(BaseException):
    """An instance took longer than `SECONDS`."""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise _Hung(f"hung for {seconds:g} s")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)  # of processor time: a busy machine must not look like a hang
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def few_runs(oracle: Oracle) -> None:
    """Some random runs of the reference. Raises `Divergence`."""
    random_runs(oracle, FEW)


def random_runs(oracle: Oracle, runs: int = RUNS) -> None:
    """A fixed number of random runs of the reference. Raises `Divergence`."""
    pair = Lockstep(oracle, Reference())
    chooser = POLICIES["mixed"](oracle)
    generator = random.Random(0)
    for _ in range(runs):
        chooser.begin(generator.randbytes(HEADER))
        run(pair, chooser, generator.randbytes(LONGEST))


def directed_runs(oracle: Oracle) -> None:
    """For every step of the specification a shortest run that takes it, and random steps from there.

    Raises `Divergence`.
    """
    pair = Lockstep(oracle, Reference())
    chooser = POLICIES["mixed"](oracle)
    generator = random.Random(0)
    for opening in _openings(oracle):
        chooser.begin(generator.randbytes(HEADER))
        run(pair, chooser, generator.randbytes(FURTHER), opening)


@cache
def _openings(oracle: Oracle) -> tuple[Schedule, ...]:
    return tuple(runs_to_steps(oracle, EXPLORED))


def whole_walk(oracle: Oracle) -> None:
    """Every transition of the first states. Raises `Divergence`."""
    walk_everything(Lockstep(oracle, Reference()), WALKED)


class Suite:
    """Tries slips one after the other, and remembers where slips of a function were noticed."""

    def __init__(self, portfolio: Sequence[tuple[str, str]] = PORTFOLIO) -> None:
        self._oracles = [
            oracle_of(find_era(era), find_scenario(scenario))
            for era, scenario in portfolio
            if not irrelevant(find_era(era), find_scenario(scenario))
        ]
        self._noticed: dict[str, Oracle] = {}
        self._reached: dict[str, list[Oracle]] = {}
        for oracle in self._oracles:
            called: set[str] = set()
            with noted(called):
                random_runs(oracle)
            for name in called:
                self._reached.setdefault(name, []).append(oracle)

    def try_slip(self, slip: Slip) -> Verdict:
        """Whether anything notices it."""
        started = time.monotonic()
        noticed = ""
        with slip.made():
            for look in (few_runs, random_runs, directed_runs, whole_walk):
                noticed = noticed or self._look(slip, look)
        return Verdict(slip.id, noticed, time.monotonic() - started)

    def _look(self, slip: Slip, look: Callable[[Oracle], None]) -> str:
        first = self._noticed.get(slip.function)
        reached = self._reached.get(slip.function, self._oracles)
        order = sorted(reached, key=lambda each: each is not first)
        for oracle in order[:MOST_WALKS] if look is whole_walk else order:
            try:
                with _limited(SECONDS):
                    look(oracle)
            except (Divergence, _Hung) as found:
                self._noticed[slip.function] = oracle
                what = found.kind.value if isinstance(found, Divergence) else str(found)
                return f"{oracle.era.id} in {oracle.scenario.id}: {what}"
        return ""


# -- survivors -------------------------------------------------------------------------------


@cache
def reasons() -> Mapping[str, str]:
    """Why each recorded survivor changes nothing that can be observed.

    Raises `SpecError` where the file is damaged.
    """
    try:
        raw = tomllib.loads(files("oom_conformance").joinpath("survivors.toml").read_text("utf-8"))
        found: dict[str, str] = {}
        for entry in raw["survivors"]:
            for slip in entry["slips"]:
                found[str(slip)] = " ".join(str(entry["reason"]).split())
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as damage:
        raise SpecError(f"survivors.toml is damaged ({damage}); reinstall oomspec") from damage
    return found


def unexplained(verdicts: Iterable[Verdict]) -> list[str]:
    """Survivors without a recorded reason."""
    return [each.slip for each in verdicts if not each.noticed_by and each.slip not in reasons()]


def outdated(verdicts: Iterable[Verdict]) -> list[str]:
    """Recorded survivors that were noticed after all, or are no slip any more."""
    survived = {each.slip for each in verdicts if not each.noticed_by}
    return [slip for slip in reasons() if slip not in survived]


__all__ = ["PORTFOLIO", "Suite", "Verdict", "outdated", "reasons", "unexplained"]
