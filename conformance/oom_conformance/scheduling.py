"""How bytes become a schedule: one byte decides one step, a header decides what holds for a whole run.

Hypothesis draws the bytes and shrinks them, campaigns draw them from a seeded generator; the policies are
the same. Two rules make bytes shrink well: zero is the simplest decision (the actor that ran last carries
on with its first action), and a byte names an actor by its place among all actors of the instance, not
among those that can act just now, so that its meaning survives when bytes before it are deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from oom_conformance.oracle import Node, Oracle

HEADER = 24
"""Bytes of a header."""

Group = tuple[str, tuple[str, ...]]
"""An actor with the actions that it can take now, both in a fixed order."""


class Chooser(Protocol):
    """Chooses what runs next. The same header and bytes choose the same schedule."""

    def begin(self, header: bytes) -> None:
        """Begin a run; ``header`` has `HEADER` bytes, of which all zero means the simplest run."""

    def choose(self, node: Node, byte: int) -> str:
        """One of the actions of ``node``, which has some; ``byte`` is 0 to 255."""


def _at_or_after(groups: tuple[Group, ...], wanted: str) -> Group:
    """The group of an actor that was asked for, or of the next one, in the fixed order, that can act."""
    for group in groups:
        if group[0] >= wanted:
            return group
    return groups[0]


class Uniform:
    """Each step any actor; a byte other than zero names it."""

    def __init__(self, oracle: Oracle) -> None:
        self._actors = oracle.actors
        self._count = len(oracle.actors)
        self._current = ""

    def begin(self, header: bytes) -> None:
        """Nothing is decided ahead."""
        self._current = ""

    def choose(self, node: Node, byte: int) -> str:
        """Zero carries on."""
        return self._among(node.by_actor, byte)

    def _among(self, groups: tuple[Group, ...], byte: int) -> str:
        if byte:
            rest, number = divmod(byte - 1, self._count)
            wanted = self._actors[number]
        else:
            rest, wanted = 0, self._current
        actor, actions = _at_or_after(groups, wanted)
        self._current = actor
        return actions[rest % len(actions)] if rest else actions[0]


class Swarm(Uniform):
    """As `Uniform`, with some steps and actors left out of a run as long as anything else can run.

    What hardly ever happens while everything can happen happens often where its rivals are missing.
    """

    def __init__(self, oracle: Oracle) -> None:
        super().__init__(oracle)
        steps: dict[str, list[str]] = {}
        for name, action in oracle.actions.items():
            steps.setdefault(action.step.id, []).append(name)
        self._steps = [tuple(steps[name]) for name in sorted(steps)]
        self._acting = [
            tuple(name for name, action in oracle.actions.items() if action.actor == actor) for actor in oracle.actors
        ]
        self._out: frozenset[str] = frozenset()

    def begin(self, header: bytes) -> None:
        """The first byte says how many steps are left out, none to half; the others, which."""
        super().begin(header)
        share, rest = header[0] % 128, header[1:]
        out: list[str] = []
        for number, names in enumerate(self._steps):
            if rest[number % len(rest)] * (2 * number + 1) % 256 >= 256 - share:
                out += names
        for number, names in enumerate(self._acting):
            if rest[number % len(rest)] % 16 == 15:
                out += names
        self._out = frozenset(out)

    def choose(self, node: Node, byte: int) -> str:
        """Zero carries on."""
        out = self._out
        if not out or out.isdisjoint(node.names):
            return self._among(node.by_actor, byte)
        groups = tuple(
            (actor, kept)
            for actor, actions in node.by_actor
            if (kept := tuple(action for action in actions if action not in out))
        )
        return self._among(groups or node.by_actor, byte)


class Bounded:
    """The actor that runs is preempted at most a few times; where it cannot go on, switching is free.

    Most races need few preemptions (Musuvathi and Qadeer, "Iterative context bounding", PLDI 2007).
    """

    def __init__(self, oracle: Oracle, most: int = 4) -> None:
        """``most``: how many preemptions a run may have; the header says how many of them it has."""
        self._actors = oracle.actors
        self._count = len(oracle.actors)
        self._most = most
        self._left = 0
        self._every = 8
        self._current = ""

    def begin(self, header: bytes) -> None:
        """The first byte: how many preemptions; the second: one step in 8, in 16 or in 32 is one."""
        self._left = header[0] % (self._most + 1)
        self._every = 8 << header[1] % 3
        self._current = ""

    def choose(self, node: Node, byte: int) -> str:
        """Zero carries on; the last of so many values preempts, as long as it may."""
        groups = node.by_actor
        rest, kind = divmod(byte, self._every)
        actor, actions = _at_or_after(groups, self._current)
        if actor != self._current:
            actor, actions = _at_or_after(groups, self._actors[byte % self._count])
            self._current = actor
            return actions[byte // self._count % len(actions)]
        if kind == self._every - 1 and self._left and len(groups) > 1:
            self._left -= 1
            others = tuple(group for group in groups if group[0] != actor)
            rest, number = divmod(rest, self._count)
            actor, actions = _at_or_after(others, self._actors[number])
            self._current = actor
        return actions[(rest + kind) % len(actions)] if byte else actions[0]


class Prioritized:
    """The actor of highest priority runs; at a few steps, chosen ahead, it becomes the lowest.

    A race of depth d is met with a known probability (Burckhardt and others, "A randomized scheduler with
    probabilistic guarantees of finding bugs", ASPLOS 2010). There nobody waits in a loop; here who runs
    `PATIENCE` steps on end becomes the lowest too.
    """

    PATIENCE = 32

    def __init__(self, oracle: Oracle, changes: int = 3, horizon: int = 96) -> None:
        """``changes``: points of change, at most; ``horizon``: how many steps a run has that matters."""
        self._actors = oracle.actors
        self._changes = changes
        self._horizon = horizon
        self._order: list[str] = []
        self._points: frozenset[int] = frozenset()
        self._taken = 0
        self._streak = 0

    def begin(self, header: bytes) -> None:
        """The first bytes: the points of change, 0 for none; the others: a priority for each actor, low first."""
        self._points = frozenset(1 + byte % self._horizon for byte in header[: self._changes] if byte)
        rest = header[self._changes :]
        order = sorted((rest[number % len(rest)], actor) for number, actor in enumerate(self._actors))
        self._order = [actor for _, actor in order]
        self._taken = 0
        self._streak = 0

    def choose(self, node: Node, byte: int) -> str:
        """The byte chooses between the outcomes of one actor only."""
        self._taken += 1
        actor, actions = self._first(node.by_actor)
        if self._taken in self._points or self._streak >= self.PATIENCE:
            self._order.remove(actor)
            self._order.append(actor)
            self._streak = 0
            actor, actions = self._first(node.by_actor)
        self._streak += 1
        return actions[byte % len(actions)]

    def _first(self, groups: tuple[Group, ...]) -> Group:
        if len(groups) == 1:
            return groups[0]
        for wanted in self._order:
            for group in groups:
                if group[0] == wanted:
                    return group
        return groups[0]


class Rarest:
    """Prefers what was taken least often in this very state, over all runs of this chooser.

    It has a memory, so the same bytes choose the same schedule only after the same runs: good for campaigns, which
    replay actions; not for Hypothesis, which replays bytes.
    """

    def __init__(self, oracle: Oracle) -> None:
        self._taken: dict[int, dict[str, int]] = {}

    def begin(self, header: bytes) -> None:
        """Nothing is decided ahead, and nothing forgotten."""

    def choose(self, node: Node, byte: int) -> str:
        """The byte says which of several that were taken equally often."""
        taken = self._taken.get(node.state)
        if taken is None:
            taken = self._taken[node.state] = {name: 0 for _, actions in node.by_actor for name in actions}
        least = min(taken.values())
        rare = [name for name, times in taken.items() if times == least]
        found = rare[byte % len(rare)]
        taken[found] += 1
        return found


class Mixed:
    """Each run by one of the other policies: the first byte of the header says which."""

    def __init__(self, oracle: Oracle) -> None:
        self._choosers: tuple[Chooser, ...] = (Bounded(oracle), Uniform(oracle), Prioritized(oracle), Swarm(oracle))
        self._chosen: Chooser = self._choosers[0]

    def begin(self, header: bytes) -> None:
        """Zero: few preemptions."""
        self._chosen = self._choosers[header[0] % len(self._choosers)]
        self._chosen.begin(header[1:])

    def choose(self, node: Node, byte: int) -> str:
        """As the policy of this run does."""
        return self._chosen.choose(node, byte)


Policy = Callable[[Oracle], Chooser]
"""Makes the chooser of an oracle."""

POLICIES: Mapping[str, Policy] = {
    "mixed": Mixed,
    "uniform": Uniform,
    "bounded": Bounded,
    "priorities": Prioritized,
    "swarm": Swarm,
}
"""Every policy by its name."""


def start_of(oracle: Oracle) -> Node:
    """Where the scenario starts: behind its prefix."""
    node = oracle.cold
    for action in oracle.prefix:
        node = oracle.after(node, action)
    return node


def schedule_of(oracle: Oracle, chooser: Chooser, header: bytes, data: bytes) -> tuple[str, ...]:
    """What a chooser makes of a header and bytes in the specification alone, from where the scenario starts."""
    chooser.begin(header)
    node = start_of(oracle)
    taken: list[str] = []
    for byte in data:
        if not node.names:
            break
        action = chooser.choose(node, byte)
        taken.append(action)
        node = oracle.after(node, action)
    return tuple(taken)


__all__ = [
    "HEADER",
    "POLICIES",
    "Bounded",
    "Chooser",
    "Mixed",
    "Policy",
    "Prioritized",
    "Rarest",
    "Swarm",
    "Uniform",
    "schedule_of",
    "start_of",
]
