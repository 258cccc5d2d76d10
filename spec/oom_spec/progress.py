"""Progress on the whole graph of reachable states: who may be kept from acting, what may go on for ever.

Fairness is strong, and only for actors that a property may count on: whoever can act again and again
acts in the end. Steps of the environment (I/O, foreign holders, allocators), and those of actors that
the property does not name as fair, may be left untaken for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from oom_spec.exploring import Exploration
from oom_spec.fairness import fair_parts
from oom_spec.generating import Judge, judge
from oom_spec.graphs import edges_of, final_states, find_stuck
from oom_spec.instances import Action, Instance
from oom_spec.language import terms
from oom_spec.language.properties import Graph, Property
from oom_spec.language.terms import Term


@attrs.frozen(eq=False)
class Blocked:
    """An actor at work that cannot act, in the first such state."""

    actor: str
    state: int


@attrs.frozen(eq=False)
class Lasso:
    """A run that goes on for ever: it reaches ``state`` and then repeats ``cycle`` (empty: nobody acts any more)."""

    state: int
    cycle: tuple[Action, ...]


def look_at_graph(exploration: Exploration, subject: Property) -> tuple[int, str] | None:
    """The nearest state that breaks a property about the graph, and in what way; None where it holds.

    Raises `SpecError` where the graph is not whole.
    """
    if subject.graph is Graph.STUCK:
        stuck = find_stuck(exploration)
        return None if stuck is None else (stuck.state, f"{stuck.actor} can never act again")
    if subject.graph is Graph.ALWAYS_ABLE:
        blocked = find_blocked(exploration, subject)
        return None if blocked is None else (blocked.state, f"{blocked.actor} is at work and cannot act")
    lasso = find_lasso(exploration, subject)
    if lasso is None:
        return None
    if not lasso.cycle:
        return lasso.state, "from there on nobody who may be counted on acts any more"
    return lasso.state, "from there on for ever: " + "; ".join(action.id for action in lasso.cycle)


def never_where(instance: Instance, subject: Property) -> Term:
    """Where a property about the graph is not satisfied yet: ``when`` and not ``then``, for some objects."""
    return terms.disjoin(
        *(terms.conjoin(check.when, terms.negate(check.holds)) for check in instance.invariants(subject))
    )


def find_blocked(exploration: Exploration, subject: Property) -> Blocked | None:
    """The nearest state in which an actor of ``subject.actors``, not at rest, can take no step, against ``then``."""
    edges = edges_of(exploration)
    instance = exploration.instance
    final = final_states(exploration)
    acting = [path.action.actor for path in instance.paths]
    names = {kind.__name__ for kind in subject.actors}
    for variable in instance.live:
        if not variable.declaration.program_counter or variable.declaration.owner not in names:
            continue
        actor = variable.slot[1][0]
        offset, mask = exploration.packing.offsets[variable.slot], exploration.packing.mask(variable.slot)
        rest = {code for code, value in enumerate(variable.values) if value in variable.declaration.rest}
        excused = judge(exploration.packing, [_holds_for(instance, subject, actor)])
        own = [each == actor for each in acting]
        for state in exploration.parents:
            if (state >> offset & mask) in rest:
                continue
            for _, number in edges[state]:
                if own[number]:
                    break
            else:
                if excused(state) is None and final(state) is None:
                    return Blocked(actor, state)
    return None


def _holds_for(instance: Instance, subject: Property, actor: str) -> Term:
    found = [
        terms.disjoin(terms.negate(check.when), check.holds)
        for check in instance.invariants(subject)
        if not check.arguments or actor in check.arguments
    ]
    return terms.conjoin(*found)


def find_lasso(exploration: Exploration, subject: Property) -> Lasso | None:
    """A fair run that stays for ever where ``subject`` is not satisfied; None if there is none.

    The nearest such state is taken. Panic and the scenario's own end are no such runs.
    """
    edges = edges_of(exploration)
    final = final_states(exploration)
    pending = judge(exploration.packing, [never_where(exploration.instance, subject)])
    # only a state without steps can be a proper end
    waiting = {s for s in exploration.parents if pending(s) is not None and (edges.get(s) or final(s) is None)}
    if not waiting:
        return None
    fairness = _Fairness(exploration, subject)
    owed = fairness.owed
    graph: dict[int, list[tuple[int, int]]] = {}
    able: dict[int, int] = {}
    for state in waiting:
        bits = 0
        for _, number in edges[state]:
            bits |= owed[number]
        graph[state] = [(target, owed[number]) for target, number in edges[state] if target in waiting]
        able[state] = bits & fairness.at(state)
    parts = list(fair_parts(graph, able))
    if not parts:
        return None
    order = {state: number for number, state in enumerate(exploration.parents)}
    nearest = min(parts, key=lambda part: min(order[s] for s in part))
    first = min(nearest, key=order.__getitem__)
    numbers = _way_round(edges, first, set(nearest))
    return Lasso(first, tuple(exploration.instance.paths[number].action for number in numbers))


class _Fairness:
    """Whose steps may be counted on: for each path the bit of its actor, 0 where nobody may count on it."""

    def __init__(self, exploration: Exploration, subject: Property) -> None:
        instance = exploration.instance
        bits: dict[str, int] = {}
        self.owed: list[int] = []
        self.only_where: list[tuple[int, Judge]] = []
        for path in instance.paths:
            step, actor = path.action.step, path.action.actor
            if step.environment or step.actor not in {*subject.actors, *subject.counts_on}:
                self.owed.append(0)
                continue
            if actor not in bits:
                bits[actor] = 1 << len(bits)
                if step.actor in subject.counts_on:
                    where = instance.formula(subject.counts_on[step.actor], (actor,))
                    self.only_where.append((bits[actor], judge(exploration.packing, [where])))
            self.owed.append(bits[actor])

    def at(self, state: int) -> int:
        """The bits of the actors that may be counted on in this state."""
        found = -1
        for bit, where in self.only_where:
            if where(state) is None:
                found &= ~bit
        return found


def _way_round(edges: Mapping[int, Sequence[tuple[int, int]]], first: int, members: set[int]) -> list[int]:
    """A shortest way round from ``first``; empty where it stands still."""
    parents: dict[int, tuple[int, int]] = {}
    level = [first]
    while level:
        following = []
        for state in level:
            for target, number in edges[state]:
                if target == first:
                    numbers, before = [number], state
                    while before != first:
                        before, back = parents[before]
                        numbers.append(back)
                    return numbers[::-1]
                if target in members and target not in parents:
                    parents[target] = (state, number)
                    following.append(target)
        level = following
    return []
