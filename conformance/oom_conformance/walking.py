"""Every transition of an instance once: the implementation is compared with the specification everywhere.

Random schedules may miss what is rare; where the graph of reachable states is small enough, nothing need be
missed. Runs are made one after the other: the shortest way to a transition that was not taken yet, and from
there on along others of that kind as far as they go.
"""

from __future__ import annotations

from collections import deque

import attrs

from oom_conformance.lockstep import Lockstep
from oom_conformance.oracle import Node

MOST_STATES = 20_000
"""Graphs with more states are not walked whole, unless somebody asks for more."""


@attrs.frozen
class Walked:
    """How much of a graph was walked."""

    states: int
    transitions: int
    """Transitions that were compared, each counted once."""
    runs: int
    steps: int
    complete: bool
    """Every transition was taken; false where the graph has more states than were asked for."""


def walk_everything(pair: Lockstep, most: int = MOST_STATES) -> Walked:
    """Take every transition that can be reached, or all between the first ``most`` states.

    Raises `Divergence` where the implementation and the specification part.
    """
    start = pair.start()
    oracle = pair.oracle
    ways: dict[Node, tuple[Node, str] | None] = {start: None}
    left: dict[Node, list[str]] = {}
    order = deque([start])
    complete = True
    while order:
        node = order.popleft()
        left[node] = sorted(node.names, reverse=True)
        for name in sorted(node.names):
            target = oracle.after(node, name)
            if target in ways:
                continue
            if len(ways) >= most:
                complete = False
                left[node].remove(name)
                continue
            ways[target] = (node, name)
            order.append(target)
    transitions = sum(map(len, left.values()))
    runs = steps = 0
    # the deepest first: on the way there, transitions near the start are taken without a run of their own
    for first in [*left][::-1]:
        while left[first]:
            node = pair.start()
            runs += 1
            for name in _way(ways, first):
                if name in left[node]:
                    left[node].remove(name)
                node = pair.step(name)
                steps += 1
            while left.get(node):
                node = pair.step(left[node].pop())
                steps += 1
    return Walked(len(ways), transitions, runs, steps, complete)


def _way(ways: dict[Node, tuple[Node, str] | None], node: Node) -> list[str]:
    found = []
    while (way := ways[node]) is not None:
        node, name = way
        found.append(name)
    return found[::-1]


__all__ = ["MOST_STATES", "Walked", "walk_everything"]
