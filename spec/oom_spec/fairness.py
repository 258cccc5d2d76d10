"""What may go on for ever in a graph: its strongly connected parts that are fair to every actor that may be counted on.

Fairness is strong, per actor: whoever can act again and again does act again and again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

Graph = Mapping[int, Sequence[tuple[int, int]]]
"""For each state the steps from it: (target, bit of the actor; 0 where nobody may count on the step)."""

DONE = 1 << 62
"""More than any state's number: its component is known."""


Rank = tuple[tuple[int, int], ...]
"""Why no fair run stays at a state for ever: pairs (level, bits of actors), to be read from the left.

A step never raises the level, and a step of one of these actors lowers it. So they act no more from some moment on,
and by fairness are not able to; from then on the next pair counts. The last pair has an actor that is able to act.
"""


def fair_parts(graph: Graph, able: Mapping[int, int], ranks: dict[int, Rank] | None = None) -> Iterator[list[int]]:
    """The parts in which every actor that is able to act acts somewhere; one state where nobody is able is a part too.

    ``able`` has the bits of the actors that may be counted on and can take a step, also one that leaves the graph.
    ``ranks`` receives the rank of every state that is in no such part: of all, where nothing is yielded.
    """
    waiting: list[tuple[set[int], Rank]] = [(set(graph), ())]
    while waiting:
        inside, above = waiting.pop()
        for level, part in enumerate(_components(graph, inside)):  # those that others lead to come first
            members = set(part)
            acts = wants = 0
            for state in part:
                wants |= able[state]
                for target, bit in graph[state]:
                    if bit and target in members:
                        acts |= bit
            starved = wants & ~acts
            if not starved:
                yield part
                continue
            rank = (*above, (level, starved))
            if ranks is not None:
                ranks.update((state, rank) for state in part if able[state] & starved)
            if len(part) > 1 and (rest := {state for state in part if not able[state] & starved}):
                waiting.append((rest, rank))


def part_of(graph: Graph, state: int) -> set[int]:
    """The strongly connected part that ``state`` is in."""
    return next(set(part) for part in _components(graph, set(graph)) if state in part)


def _components(graph: Graph, members: set[int]) -> Iterator[list[int]]:
    """The strongly connected components of the part of ``graph`` that is in ``members``.

    Pearce's form of Tarjan's algorithm, without recursion: one number per state, and only states that have a way
    back to an earlier one are kept on the stack.
    """
    rank: dict[int, int] = {}  # of a state at work, the first state that it is known to lead back to
    stack: list[int] = []
    work: list[tuple[int, int, Iterator[tuple[int, int]]]] = []
    for root in members:
        if root in rank:
            continue
        number = lowest = rank[root] = len(rank)
        state, steps = root, iter(graph[root])
        while True:
            for target, _ in steps:
                met = rank.get(target)
                if met is None:
                    if target not in members:
                        continue
                    rank[state] = lowest
                    work.append((state, number, steps))
                    number = lowest = rank[target] = len(rank)
                    state, steps = target, iter(graph[target])
                    break
                lowest = min(lowest, met)
            else:
                if lowest == number:
                    component = [state]
                    rank[state] = DONE
                    while stack and rank[stack[-1]] >= number:
                        component.append(stack.pop())
                        rank[component[-1]] = DONE
                    yield component
                else:
                    rank[state] = lowest
                    stack.append(state)
                if not work:
                    break
                ended = rank[state]
                state, number, steps = work.pop()
                lowest = min(rank[state], ended)
