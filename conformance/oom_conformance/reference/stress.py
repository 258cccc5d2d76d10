"""The same kernel on real threads: who runs next is up to the operating system.

Each thread of control is a `threading.Thread`. One real lock makes the atomic sections atomic, as the bus does;
who cannot go on sleeps on a condition until somebody has changed something. The actions that were taken, in their
order, are the event stream: the specification must allow it (`check`).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from oom_conformance.interface import Value
from oom_conformance.lockstep import Difference, Divergence, Kind
from oom_conformance.oracle import Oracle
from oom_conformance.reference.booting import boot, names_of, values_of
from oom_conformance.reference.kernel import Release
from oom_conformance.reference.machine import Context, Machine
from oom_conformance.reference.releases import RELEASES

MOST_IDLE = 0.2
"""Seconds without any event after which a run is over: nobody can go on."""


class _Over(BaseException):
    """Ends a thread at its pause; no error, so that no handler takes it for one."""


class ThreadedMachine(Machine):
    """Runs every thread of control on a thread of the operating system."""

    def __init__(self, seed: int, most: int) -> None:
        """``most``: events after which the run is over; ``seed`` of free choices and of how long a thread dawdles."""
        super().__init__()
        self.bus = threading.Condition()
        self.events: list[str] = []
        self.most = most
        self.over = False
        self.failure: BaseException | None = None
        self.threads: list[threading.Thread] = []
        self._random = random.Random(seed)

    def spawn(self, name: str, body: Callable[[Context], None]) -> Context:
        """A new thread; it begins when it gets the bus."""
        context = Context(self, name)
        self.contexts.append(context)

        def run() -> None:
            with self.bus:
                try:
                    body(context)
                except _Over:
                    pass
                except BaseException as problem:  # noqa: BLE001 - kept for whoever started the run
                    self.failure = self.failure or problem
                    self.over = True
                self.bus.notify_all()

        thread = threading.Thread(target=run, name=name, daemon=True)
        self.threads.append(thread)
        thread.start()
        return context

    def paused(self, context: Context) -> str:
        """Let others have the bus, then wait until one of its own actions can be taken."""
        self.bus.notify_all()
        dawdles = self._random.random() * 0.0002
        self.bus.release()
        try:
            time.sleep(dawdles)
        finally:
            self.bus.acquire()
        while True:
            if self.over or self.halted != "RUNNING":
                raise _Over
            offers = context.offers()
            if offers:
                break
            self.bus.wait()
        if len(self.events) >= self.most:
            self.over = True
            self.bus.notify_all()
            raise _Over
        action = self._random.choice(offers)
        self.events.append(action)
        context.pending = ()  # what a thread offers whose body returns now
        return action


@attrs.frozen
class Stream:
    """What a run on real threads did."""

    events: tuple[str, ...]
    names: tuple[str, ...]
    values: tuple[Value, ...]
    """What could be observed at its end."""
    reports: tuple[str, ...]
    """What the kernel's own checks found."""
    offered: frozenset[str]
    """What its threads offered at the end."""


def stress(
    era: str,
    world: Mapping[str, Any],
    *,
    seed: int = 0,
    most: int = 400,
    releases: Mapping[str, Release] | None = None,
) -> Stream:
    """One run of the world under the code of ``era``, up to ``most`` events or until nobody can go on.

    Raises whatever the kernel's code raised in one of its threads.
    """
    machine = ThreadedMachine(seed, most)
    with machine.bus:
        kernel, bodies = boot(machine, (releases or RELEASES)[era], world)
        for name, body in bodies:
            machine.spawn(name, body)
        seen = -1
        while not machine.over and machine.halted == "RUNNING" and seen != len(machine.events):
            seen = len(machine.events)
            machine.bus.wait_for(lambda: machine.over or machine.halted != "RUNNING", timeout=MOST_IDLE)
        machine.over = True
        machine.bus.notify_all()
    for thread in machine.threads:
        thread.join()
    if machine.failure is not None:
        raise machine.failure
    running = machine.halted == "RUNNING"
    offered = frozenset(name for each in machine.contexts for name in each.offers()) if running else frozenset()
    return Stream(tuple(machine.events), names_of(kernel), values_of(kernel), tuple(machine.reports), offered)


def check(oracle: Oracle, stream: Stream) -> int:
    """Whether the specification allows the stream, and sees and offers the same at its end.

    Gives how many events were compared: nothing is said beyond a scenario's end. Raises `Divergence`.
    """
    node = oracle.cold
    broken: list[str] = []

    def parts(kind: Kind, number: int, **facts: Any) -> Divergence:
        return Divergence(kind, oracle.era.id, oracle.scenario.id, stream.events[:number], **facts)

    for number, action in enumerate(stream.events):
        if oracle.has_ended(node):
            return number
        if action not in node.names:
            raise parts(Kind.FORBIDDEN, number, actions=(action,), reasons=(oracle.why_not(node, action),))
        broken += oracle.broken_by(node, action)
        node = oracle.after(node, action)
        broken += node.broken
    whole = len(stream.events)
    seen = dict(zip(stream.names, stream.values, strict=True))
    pairs = zip(oracle.names, node.seen, strict=True)
    differences = tuple(Difference(name, value, seen[name]) for name, value in pairs if value != seen[name])
    if differences:
        raise parts(Kind.OBSERVATION, whole, differences=differences)
    if stream.reports and not broken:
        raise parts(Kind.REPORT, whole, message="; ".join(stream.reports))
    if not oracle.has_ended(node) and stream.offered != node.names:
        extra, missing = sorted(stream.offered - node.names), sorted(node.names - stream.offered)
        raise parts(Kind.FORBIDDEN if extra else Kind.MISSING, whole, actions=tuple(extra or missing))
    return whole


__all__ = ["Stream", "ThreadedMachine", "check", "stress"]
