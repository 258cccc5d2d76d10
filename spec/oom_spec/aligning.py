"""Runs laid alongside the lines of a diagram: a search over (state, calls named so far, call stacks).

The named calls must occur in the order of the diagram, other steps may be filled in anywhere, and the
run with the fewest filled-in steps wins. A line names what a thread *enters*: a function, or a call.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import attrs

from oom_spec.diagrams import CUT
from oom_spec.eras import all_eras
from oom_spec.exploring import Exploration
from oom_spec.generating import generate
from oom_spec.instances import Action, Instance
from oom_spec.language import Era, SpecError, Step
from oom_spec.protocol.state import Mm
from oom_spec.reading import Call, Diagram
from oom_spec.stacks import Stack
from oom_spec.traces import Staging, remark_of, subjects

MOST_NODES = 2_000_000
"""Where a search gives up."""

FAILING = ("fails", "fail", "failed")
Stacks = tuple[Stack, ...]
Node = tuple[int, int, Stacks]
"""Packed state, calls named so far, the call stack of every thread."""


@attrs.frozen
class Line:
    """What one call of the diagram asks for."""

    call: Call
    exact: bool
    outcomes: frozenset[str] | None
    """The outcomes that its comment asks for; None where the comment is only a remark."""

    def named_by_entry(self, name: str) -> bool:
        """Whether entering the function ``name`` is meant."""
        return name in self.call.names and self.outcomes is None

    def named_by_call(self, step: Step, about: tuple[str, ...], call: str, entering: bool = False) -> bool:
        """Whether the call of ``step``, drawn as ``call``, is meant; ``entering`` if it is a function with calls."""
        if not self.call.names & {step.call, call}:
            return False
        comment = self.call.comment
        if self.exact:
            if entering and not comment:
                return True
            remark = remark_of(step.outcome, about)
            return remark.startswith(comment[: -len(CUT)]) if comment.endswith(CUT) else remark == comment
        return self.outcomes is None or step.outcome in self.outcomes


def _demands(call: Call, exact: bool, eras: Iterable[Era]) -> frozenset[str] | None:
    outcomes = {s.outcome for era in eras for s in era.steps if s.call in call.names}
    comment = call.comment.lower()
    words = comment.split()
    if exact and comment:
        return frozenset(outcomes)
    named = {outcome for outcome in outcomes if outcome and outcome.lower() == comment}
    if not named and words and words[0] in FAILING:
        named = {outcome for outcome in outcomes if outcome.startswith("fails")} or {"fails"}
    return frozenset(named) or None


class Search:
    """The product of an instance's states with the lines of a diagram."""

    def __init__(self, instance: Instance, diagram: Diagram) -> None:
        self.instance = instance
        self.diagram = diagram
        eras = {each.id: each for each in (*all_eras(), instance.era)}
        self.eras = tuple(eras.values())
        self.lines = [Line(call, diagram.exact, _demands(call, diagram.exact, self.eras)) for call in diagram.calls]
        self.staging = Staging(instance)
        for call in diagram.calls:
            if call.column not in (None, *self.staging.columns):
                raise SpecError(
                    f"line {call.line}: the column {call.column!r} is nobody in scenario {instance.scenario.id}: "
                    f"title it {', '.join(self.staging.columns)}, or draw no columns"
                )
        self.generated = generate(instance)
        exploration = Exploration(instance, stop=lambda: True)
        self.start = next(iter(exploration.parents))
        self.prefix = exploration.prefix_run
        self.columns = {name: number for number, name in enumerate(self.staging.columns)}
        self._successors: dict[int, list[tuple[int, int]]] = {}
        self._moves: dict[tuple[int, str, Stack, int], tuple[Stack, tuple[int, ...]]] = {}
        self._executors: dict[tuple[int, int], tuple[str, ...]] = {}
        self._executor_bits = self._mask({"Mm.executor", "Task.in_mmput", "Fault.pins", "Mrelease.at", "Walker.at"})

    def _mask(self, fields: set[str]) -> int:
        packing = self.generated.packing
        return sum(packing.mask(slot) << offset for slot, offset in packing.offsets.items() if slot[0] in fields)

    def successors(self, state: int) -> list[tuple[int, int]]:
        """Packed successors with path numbers."""
        found = self._successors.get(state)
        if found is None:
            found = self._successors[state] = self.generated.successors(state)
        return found

    def column(self, path: int, state: int, stacks: Stacks) -> str:
        """The thread that takes ``path`` in a packed state, where threads are in ``stacks``."""
        action = self.instance.paths[path].action
        if action.step.actor is not Mm:
            return self.staging.own_column(action)
        key = (path, state & self._executor_bits)
        if key not in self._executors:
            self.instance.concrete.load(self.generated.packing.unpack(state))
            self._executors[key] = self.staging.executors(action.actor, self.instance.concrete.value)
        found = self._executors[key]
        return next((each for each in found if "__mmput" in stacks[self.columns[each]]), found[0])

    def moves(self, path: int, column: str, before: Stack, reached: int) -> tuple[Stack, tuple[int, ...]]:
        """The stack after ``path``, and the numbers of calls that may be reached by then, most first."""
        key = (path, column, before, reached)
        found = self._moves.get(key)
        if found is None:
            action = self.instance.paths[path].action
            place = self.staging.place(action, column, before)
            about = subjects(action)
            now = reached
            for depth, name in place.lines(before):
                if now == len(self.lines):
                    break
                line = self.lines[now]
                if line.call.column not in (None, column):
                    continue
                if depth == len(place.frames):
                    now += line.named_by_call(action.step, about, place.call, place.after != place.frames)
                else:
                    now += line.named_by_entry(name)
            found = self._moves[key] = (place.after, tuple(range(now, reached - 1, -1)))
        return found

    def steps_from(self, node: Node) -> Iterable[tuple[Node, int]]:
        """The nodes that follow, with the path that leads there."""
        state, reached, stacks = node
        for target, path in self.successors(state):
            column = self.column(path, state, stacks)
            number = self.columns[column]
            after, counts = self.moves(path, column, stacks[number], reached)
            following = stacks if after == stacks[number] else (*stacks[:number], after, *stacks[number + 1 :])
            for count in counts:
                yield (target, count, following), path

    @property
    def first(self) -> Node:
        """Nothing named yet."""
        return self.start, 0, ((),) * len(self.columns)


Cost = tuple[int, int]
"""Filled-in steps, all steps."""


@attrs.define(eq=False)
class Cheapest:
    """The cheapest ways to the end of a diagram, or as far as it goes."""

    costs: dict[Node, Cost] = attrs.field(factory=dict)
    parents: dict[Node, list[tuple[Node, int]]] = attrs.field(factory=dict)
    ends: list[Node] = attrs.field(factory=list)
    furthest: int = 0


def cheapest(search: Search) -> Cheapest:
    """The runs that fill in the fewest steps; all of them, because equally short ones may read a line differently.

    Raises `SpecError` where there are too many combinations.
    """
    found = Cheapest({search.first: (0, 0)}, {search.first: []})
    queue: list[tuple[Cost, int, Node]] = [((0, 0), 0, search.first)]
    order = 0
    best: Cost | None = None
    settled: set[Node] = set()
    while queue:
        cost, _, node = heapq.heappop(queue)
        if best is not None and cost > best:
            break
        if node in settled:
            continue
        settled.add(node)
        found.furthest = max(found.furthest, node[1])
        if node[1] == len(search.lines):
            best = cost
            found.ends.append(node)
            continue
        if len(found.costs) > MOST_NODES:
            raise SpecError(f"the search gave up after {MOST_NODES} combinations: take a smaller scenario")
        for target, path in search.steps_from(node):
            further = (cost[0] + (target[1] == node[1]), cost[1] + 1)
            known = found.costs.get(target)
            if known is None or further < known:
                found.costs[target] = further
                found.parents[target] = [(node, path)]
                order += 1
                heapq.heappush(queue, (further, order, target))
            elif further == known:
                found.parents[target].append((node, path))
    return found


@attrs.frozen(eq=False)
class Graph:
    """All runs that a diagram describes: what lies on a way from the start to its end."""

    nodes: set[Node]
    edges: set[tuple[int, int]]
    """(Packed state, path) of every step on such a way."""
    ends: list[Node]
    parents: dict[Node, tuple[Node, int] | None]

    def run_to(self, state: int, instance: Instance) -> tuple[Action, ...]:
        """A shortest matching run that ends in a packed state."""
        node = next(end for end in self.ends if end[0] == state)
        actions: list[Action] = []
        while (parent := self.parents[node]) is not None:
            node = parent[0]
            actions.insert(0, instance.paths[parent[1]].action)
        return tuple(actions)


def whole_graph(search: Search) -> Graph:
    """All runs with the calls of the diagram. Raises `SpecError` where there are too many combinations."""
    parents: dict[Node, tuple[Node, int] | None] = {search.first: None}
    reverse: dict[Node, list[tuple[Node, int]]] = {}
    ends: list[Node] = []
    level = [search.first]
    while level:
        following: list[Node] = []
        for node in level:
            if node[1] == len(search.lines):
                ends.append(node)
                continue
            for target, path in search.steps_from(node):
                reverse.setdefault(target, []).append((node, path))
                if target not in parents:
                    parents[target] = (node, path)
                    following.append(target)
        if len(parents) > MOST_NODES:
            raise SpecError(f"the search gave up after {MOST_NODES} combinations: take a smaller scenario")
        level = following
    nodes = set(ends)
    edges: set[tuple[int, int]] = set()
    pending = list(ends)
    while pending:
        node = pending.pop()
        for before, path in reverse.get(node, ()):
            edges.add((before[0], path))
            if before not in nodes:
                nodes.add(before)
                pending.append(before)
    return Graph(nodes, edges, ends, parents)
