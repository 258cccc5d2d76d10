"""What may go on for ever in a graph: its strongly connected parts that are fair to every actor that may be counted on.

Fairness is strong, per actor: whoever can act again and again does act again and again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

Graph = Mapping[int, Sequence[tuple[int, int]]]
"""For each state the steps from it: (target, bit of the actor; 0 where nobody may count on the step)."""


def fair_parts(graph: Graph, able: Mapping[int, int]) -> Iterator[list[int]]:
    """The parts in which every actor that is able to act acts somewhere; one state where nobody is able is a part too.

    ``able`` has the bits of the actors that may be counted on and can take a step, also one that leaves the graph.
    """
    waiting = [set(graph)]
    while waiting:
        for part in _components(graph, waiting.pop()):
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
            elif len(part) > 1 and (rest := {state for state in part if not able[state] & starved}):
                waiting.append(rest)


def part_of(graph: Graph, state: int) -> set[int]:
    """The strongly connected part that ``state`` is in."""
    return next(set(part) for part in _components(graph, set(graph)) if state in part)


def _components(graph: Graph, members: set[int]) -> Iterator[list[int]]:
    """The strongly connected components of the part of ``graph`` that is in ``members`` (Tarjan, without recursion)."""
    numbers: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    for root in members:
        if root in numbers:
            continue
        numbers[root] = low[root] = len(numbers)
        stack.append(root)
        on_stack.add(root)
        work = [(root, iter(graph[root]))]
        while work:
            state, steps = work[-1]
            for target, _ in steps:
                if target not in numbers:
                    if target not in members:
                        continue
                    numbers[target] = low[target] = len(numbers)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(graph[target])))
                    break
                if target in on_stack and numbers[target] < low[state]:
                    low[state] = numbers[target]
            else:
                work.pop()
                if work and low[state] < low[work[-1][0]]:
                    low[work[-1][0]] = low[state]
                if low[state] == numbers[state]:
                    component = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        component.append(member)
                        if member == state:
                            break
                    yield component
