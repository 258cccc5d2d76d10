"""What can be reached, by the explorer, and shortest runs to it.

Random schedules come to what is rare by luck; the explorer, which visits every state of a scenario, knows a way.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterator

import attrs

from oom_conformance.lockstep import Schedule
from oom_conformance.oracle import Oracle
from oom_spec.exploring import Exploration, Hit

MOST_STATES = 200_000
"""States that are visited to learn what is reachable; larger graphs are cut there, which reports say."""

Pair = tuple[str, str]
"""Ids of two steps of different actors, the second taken right after the first."""


@attrs.frozen
class Reach:
    """What the explorer says can happen in an era and a scenario."""

    states: int
    truncated: bool
    """There are more states: more steps and pairs may be reachable."""
    steps: frozenset[str]
    pairs: frozenset[Pair]


def measure(oracle: Oracle, most: int = MOST_STATES) -> Reach:
    """Explore, and say which steps, and which pairs of steps, some run takes; looks at ``most`` states."""
    found = _explored(oracle, most)
    assert found.edges is not None
    following = {state: tuple({number for _, number in edges}) for state, edges in found.edges.items()}
    numbers = {
        (number, after)
        for edges in found.edges.values()
        for target, number in edges
        for after in following.get(target, ())
    }
    actions = [path.action for path in oracle.instance.paths]
    both = ((actions[first], actions[second]) for first, second in numbers)
    pairs = frozenset((one.step.id, other.step.id) for one, other in both if one.actor != other.actor)
    return Reach(found.states, found.truncated, frozenset(actions[number].step.id for number in found.taken), pairs)


def runs_to_steps(oracle: Oracle, most: int = MOST_STATES) -> Iterator[Schedule]:
    """For every step that some run takes, a shortest one that ends with it, from where the scenario starts."""
    found = _explored(oracle, most)
    assert found.edges is not None
    paths = oracle.instance.paths
    first: dict[str, Hit] = {}
    for state in found.parents:  # in the order in which they were found: the nearest first
        for _, number in found.edges.get(state, ()):
            first.setdefault(paths[number].action.step.id, Hit(0, state, number, None))
    for hit in first.values():
        yield tuple(action.id for action in found.run_to(hit))


def runs_to_pairs(
    oracle: Oracle, wanted: Collection[Pair], is_taken: Callable[[Pair], bool], most: int = MOST_STATES
) -> Iterator[Schedule]:
    """For each wanted pair that some run takes, a shortest one that ends with it, from where the scenario starts.

    ``is_taken`` is asked right before: a pair that some other run has taken meanwhile needs none.
    """
    found = _explored(oracle, most)
    assert found.edges is not None
    actions = [path.action for path in oracle.instance.paths]
    left = dict.fromkeys(wanted, True)
    after: list[dict[int, Pair]] = [
        {
            number: (one.step.id, other.step.id)
            for number, other in enumerate(actions)
            if one.actor != other.actor and (one.step.id, other.step.id) in left
        }
        for one in actions
    ]
    ways: dict[Pair, tuple[int, int, str]] = {}
    for state in found.parents:
        for target, number in found.edges.get(state, ()):
            followers = after[number]
            if not followers:
                continue
            for _, second in found.edges.get(target, ()):
                if second in followers:
                    ways.setdefault(followers[second], (state, number, actions[second].id))
    for pair, (state, number, last) in ways.items():
        if not is_taken(pair):
            yield (*(action.id for action in found.run_to(Hit(0, state, number, None))), last)


def _explored(oracle: Oracle, most: int) -> Exploration:
    collecting = gc.isenabled()
    gc.disable()  # a graph has no cycles of references, and looking for them takes a quarter of the time
    try:
        return Exploration(oracle.instance, most=most, keep_edges=True)
    finally:
        if collecting:
            gc.enable()


__all__ = ["MOST_STATES", "Pair", "Reach", "measure", "runs_to_pairs", "runs_to_steps"]
