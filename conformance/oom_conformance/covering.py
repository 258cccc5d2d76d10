"""Few, short walks through a graph that together take every pair of labels that can follow one another.

The graph is an exploration's: states, and edges that are numbered paths of steps. Walks begin at its start.
Greedy: each walk is one on which the most pairs are met that none has met before, as far as that can be
told without counting a pair twice on the way; in the end what the others make superfluous is dropped. No
walk that is left can be spared. The least possible number of walks is a set-covering problem, and this
number is not proved to be it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise

import attrs

Edges = Mapping[int, Sequence[tuple[int, int]]]
"""For each state: (state behind the edge, number of the path)."""

Pair = tuple[int, int]
"""Two labels, one taken right after the other."""

Walk = list[int]
"""Numbers of paths, in the order in which they are taken from the start."""


@attrs.frozen
class Hop:
    """One edge of the graph of (state, label of the edge by which it was entered)."""

    target: int
    pair: int
    """The number of the pair that it takes; -1 for the first edge of a walk."""
    number: int


def _leads_to(node: int, hop: Hop) -> bool:
    return hop.target == node


class Covering:
    """The pairs that a graph has, and the walks that cover them."""

    def __init__(self, start: int, edges: Edges, labels: Sequence[int]) -> None:
        """``labels``: for each number of a path its label."""
        self._labels = labels
        self._pairs: dict[Pair, int] = {}
        self._hops: list[list[Hop]] = []
        self._unfold(start, edges)
        self._component: list[int] = [0] * len(self._hops)
        self._members: list[list[int]] = []
        self._condense()
        self._uncovered = bytearray(b"\1") * len(self._pairs)
        self._value = [0] * len(self._members)
        self._exit: list[tuple[int, Hop] | None] = [None] * len(self._members)
        self._active = list(range(len(self._members)))

    @property
    def pairs(self) -> frozenset[Pair]:
        """Every pair of labels that some walk takes."""
        return frozenset(self._pairs)

    def walks(
        self,
        openings: Sequence[Sequence[int]] = (),
        tell: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Walk]:
        """Walks that take every pair; each of ``openings`` begins one of them, and none is dropped or cut for that.

        ``tell`` is told how many pairs of how many are covered, after each walk.
        """
        found: list[Walk] = []
        kept: list[int] = []
        rest = [list(each) for each in openings]
        while True:
            self._evaluate()
            if not rest and self._value[self._component[0]] == 0:
                break
            opening = rest.pop(0) if rest else []
            found.append(self._walk(opening))
            kept.append(len(opening))
            tell(len(self._uncovered) - sum(self._uncovered), len(self._uncovered))
        left = _spared(found, kept, self._labels)
        met = {self._labels[number] for walk in left for number in walk}
        for hop in self._hops[0]:  # a first step after which nothing happens is in no pair
            if self._labels[hop.number] not in met:
                met.add(self._labels[hop.number])
                left.append([hop.number])
        return left

    # -- the graph -----------------------------------------------------------------------------

    def _unfold(self, start: int, edges: Edges) -> None:
        known: dict[tuple[int, int], int] = {(start, -1): 0}
        pending = [(start, -1)]
        for state, label in pending:  # grows while it is read
            hops = []
            for target, number in edges.get(state, ()):
                following = self._labels[number]
                node = known.get((target, following))
                if node is None:
                    node = known[target, following] = len(known)
                    pending.append((target, following))
                pair = -1 if label < 0 else self._pairs.setdefault((label, following), len(self._pairs))
                hops.append(Hop(node, pair, number))
            self._hops.append(hops)

    def _condense(self) -> None:
        """Tarjan's strongly connected components, without recursion: the last ones of every walk come first."""
        index = [-1] * len(self._hops)
        low = [0] * len(self._hops)
        stack: list[int] = []
        stacked = bytearray(len(self._hops))
        count = 0
        work = [(0, 0)]
        while work:
            node, position = work.pop()
            if position == 0:
                index[node] = low[node] = count
                count += 1
                stack.append(node)
                stacked[node] = 1
            hops = self._hops[node]
            while position < len(hops):
                target = hops[position].target
                position += 1
                if index[target] < 0:
                    work += [(node, position), (target, 0)]
                    break
                if stacked[target]:
                    low[node] = min(low[node], index[target])
            else:
                if low[node] == index[node]:
                    members: list[int] = []
                    while not members or members[-1] != node:
                        members.append(stack.pop())
                        stacked[members[-1]] = 0
                        self._component[members[-1]] = len(self._members)
                    self._members.append(members)
                if work:
                    above = work[-1][0]
                    low[above] = min(low[above], low[node])

    # -- a walk --------------------------------------------------------------------------------

    def _evaluate(self) -> None:
        """How many uncovered pairs a walk can meet from each component on, and the edge by which it then leaves."""
        component, uncovered, value = self._component, self._uncovered, self._value
        for number in self._active:
            best, way = 0, None
            inner: set[int] = set()
            for node in self._members[number]:
                for hop in self._hops[node]:
                    behind = component[hop.target]
                    gain = hop.pair >= 0 and uncovered[hop.pair]
                    if behind == number:
                        if gain:
                            inner.add(hop.pair)
                        continue
                    met = value[behind] + gain
                    if met > best:
                        best, way = met, (node, hop)
            value[number] = best + len(inner)
            self._exit[number] = way
        # what has nothing left to offer never has again
        self._active = [number for number in self._active if value[number]]

    def _walk(self, opening: Sequence[int]) -> Walk:
        node = 0
        walk: Walk = []

        def take(hops: Sequence[Hop]) -> None:
            nonlocal node
            for hop in hops:
                walk.append(hop.number)
                if hop.pair >= 0:
                    self._uncovered[hop.pair] = 0
                node = hop.target

        for number in opening:
            take([next(hop for hop in self._hops[node] if hop.number == number)])
        while self._value[self._component[node]]:
            while way := self._way(node, lambda hop: hop.pair >= 0 and bool(self._uncovered[hop.pair])):
                take(way)
            leave = self._exit[self._component[node]]
            if leave is None:
                break
            source, last = leave
            if source != node:
                take(self._way(node, partial(_leads_to, source)))
            take([last])
        return walk

    def _way(self, node: int, wanted: Callable[[Hop], bool]) -> list[Hop]:
        """The shortest way from ``node``, within its component, whose last edge is ``wanted``; empty: there is none."""
        inside = self._component[node]
        if len(self._members[inside]) == 1 and not any(hop.target == node for hop in self._hops[node]):
            return []
        came: dict[int, tuple[int, Hop] | None] = {node: None}
        queue = deque([node])
        while queue:
            at = queue.popleft()
            for hop in self._hops[at]:
                if self._component[hop.target] != inside:
                    continue
                if wanted(hop):
                    way = [hop]
                    while (before := came[at]) is not None:
                        at = before[0]
                        way.append(before[1])
                    return way[::-1]
                if hop.target not in came:
                    came[hop.target] = (at, hop)
                    queue.append(hop.target)
        return []


def pairs_of(walk: Sequence[int], labels: Sequence[int]) -> set[Pair]:
    """The pairs that a walk takes."""
    return {(labels[one], labels[other]) for one, other in pairwise(walk)}


def _spared(walks: Sequence[Walk], kept: Sequence[int], labels: Sequence[int]) -> list[Walk]:
    """The walks without those that the others make superfluous, and without superfluous ends."""
    taken = Counter(pair for walk in walks for pair in pairs_of(walk, labels))
    left: list[Walk] = []
    order = sorted(range(len(walks)), key=lambda each: (len(pairs_of(walks[each], labels)), each))
    dropped = set()
    for each in order:
        mine = pairs_of(walks[each], labels)
        if not kept[each] and all(taken[pair] > 1 for pair in mine):
            taken.subtract(mine)
            dropped.add(each)
    for each, walk in enumerate(walks):
        if each in dropped:
            continue
        short = list(walk)
        while len(short) > max(kept[each], 1):
            ended = (labels[short[-2]], labels[short[-1]])
            remains = ended in pairs_of(short[:-1], labels)
            if not remains and taken[ended] == 1:
                break
            if not remains:
                taken[ended] -= 1
            short.pop()
        left.append(short)
    return left


__all__ = ["Covering", "Edges", "Pair", "Walk", "pairs_of"]
