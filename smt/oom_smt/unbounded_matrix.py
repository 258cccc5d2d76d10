"""Every era against every property, for runs of every length in worlds of any size.

An era is one task: its lemmas are shown to be inductive once. Workers remember what they have shown of a
step, which many eras share. A worker that runs out of memory or time, or whose solver crashes, is lost
alone: its properties are tried again one by one, and only those that fail again are unknown.
"""

from __future__ import annotations

import contextlib
import gc
import resource
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from oom_smt.induction import Prover
from oom_smt.pool import Died, Pool
from oom_smt.proving import find_invariant, prove
from oom_spec.eras import find_era
from oom_spec.language.eras import Era
from oom_spec.language.properties import Property
from oom_spec.properties import find_properties
from oom_spec.reporting import Progress
from oom_spec.unbounded.grounding import absent_classes
from oom_spec.verdicts import Word

TASK_SECONDS = 240
"""After this time a worker that is still at one task is killed."""
MEMORY = 6 * 2**30
"""Bytes of address space of a worker."""


@attrs.frozen
class Unbounded:
    """What came of one property in one era."""

    era: str
    property: str
    word: Word
    only_by_excuse: bool = False
    reason: str = ""
    """Why it is not proved: the first step in the way, or what happened to the worker."""
    seconds: float = 0.0

    def as_json(self) -> dict[str, object]:
        """For ``--json``."""
        return {"schema": 1, **attrs.asdict(self, filter=lambda a, _: a.name != "word"), "verdict": self.word.value}


@attrs.frozen
class Task:
    """An era, by the name that finds it, and the ids of properties."""

    era: str
    properties: tuple[str, ...]


_provers: dict[frozenset[str], Prover] = {}
"""For the life of a worker."""


def work(task: Task) -> list[Unbounded]:
    """What a worker does: under limits, which kill it."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the default action is to die, even inside the solver
    signal.alarm(TASK_SECONDS)
    try:
        return decide(find_era(task.era), [find_properties(name)[0] for name in task.properties])
    finally:
        signal.alarm(0)


def decide(era: Era, properties: Sequence[Property]) -> list[Unbounded]:
    """Try to prove each property of one era."""
    absent = absent_classes(era)
    prover = _provers.setdefault(absent, Prover(absent))
    invariant = find_invariant(era, prover=prover)
    found = []
    for subject in properties:
        started = time.monotonic()
        proof = prove(invariant, subject)
        reason = proof.reason or (str(proof.breaks[0]) if proof.breaks else "")
        seconds = round(time.monotonic() - started, 3)
        found.append(Unbounded(era.id, subject.id, proof.word, proof.only_by_excuse, reason, seconds))
    prover.forget_questions()
    gc.collect()  # solvers are in cycles, and an era's take up to two gigabytes
    return found


def unbounded_matrix(
    eras: Mapping[str, Era],
    properties: Sequence[Property],
    jobs: int,
    progress: Progress,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Unbounded]:
    """Verdicts as they come, an era at a time; ``eras`` are by the names that find them."""
    ids = tuple(subject.id for subject in properties if subject.graph is None)
    groups: dict[str, list[Task]] = {}
    for name, era in eras.items():
        groups.setdefault(",".join(sorted(absent_classes(era))), []).append(Task(name, ids))
    # the same steps again and again are best looked at by one worker, but not while another has nothing to do
    lost: list[Task] = []
    done = 0
    with Pool[Task, list[Unbounded]](jobs, work) as pool:
        for task, result in pool.run(groups, stop):
            done += 1
            progress(done, len(eras), eras[task.era].id)
            if isinstance(result, Died):
                lost += [Task(task.era, (name,)) for name in task.properties]
            else:
                yield from result
        for task, result in pool.run({"again": lost}, stop):
            progress(done, len(eras), f"{eras[task.era].id} {task.properties[0]} again")
            if isinstance(result, Died):
                yield Unbounded(
                    eras[task.era].id,
                    task.properties[0],
                    Word.UNKNOWN,
                    reason="the worker died, or ran out of time or memory",
                )
            else:
                yield from result


__all__ = ["Unbounded", "decide", "unbounded_matrix"]
