"""Does an era allow the run that a diagram describes, and what does it break?

A search over (state, calls named so far): the named calls must occur in the order of the diagram,
other steps may be filled in anywhere, and the run with the fewest filled-in steps wins. A line names
what a thread *enters*: a function, or a call.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import cached_property
from itertools import product

import attrs

from oom_spec.diagrams import CUT
from oom_spec.eras import all_eras
from oom_spec.exploring import Exploration, replay
from oom_spec.generating import Judge, generate, judge
from oom_spec.instances import Action, Check, Instance
from oom_spec.language import Era, Property, SpecError, Step, terms
from oom_spec.language.errors import Disabled
from oom_spec.lifting import Event as Announced
from oom_spec.protocol.names import Event
from oom_spec.protocol.state import Mm
from oom_spec.reading import Call, Diagram
from oom_spec.stepping import State
from oom_spec.traces import CALLERS, EXECUTORS, SCANNERS, Run, Stack, Staging, releases, remark_of, run_of, subjects

MOST_NODES = 2_000_000
"""Where a search gives up."""

MOST_ASKED = 500
"""How many states are asked for the guards that refuse."""

FAILING = ("fails", "fail", "failed")
ACTORS = {
    "Task": "a thread",
    "Mm": "whoever runs __mmput",
    "Reaper": "the reaper",
    "Killer": "a killer",
    "Fault": "a page fault",
    "World": "anybody else",
}

Stacks = tuple[Stack, ...]
Node = tuple[int, int, Stacks]
"""Packed state, calls named so far, the call stack of every thread."""


@attrs.frozen
class Named:
    """One step of a matched run."""

    action: Action
    column: str
    lines: tuple[int, ...]
    """The file's lines that name it; empty for a filled-in step."""


@attrs.frozen
class Break:
    """A property that a run breaks."""

    property: Property
    step: int
    """Number of the step that breaks it, from 1 at the scenario's start; 0 for the start itself."""
    line: int | None
    """The last line of the diagram that was reached by then."""


@attrs.frozen
class Extension:
    """The shortest continuation of a matched run that breaks a property."""

    broken: Property
    matched: tuple[Action, ...]
    continuation: tuple[Action, ...]
    more: int
    """How many more steps it takes."""
    kills: int
    """How many of them pick a process to kill."""
    run: Run


@attrs.frozen
class _Line:
    """What one call of the diagram asks for."""

    call: Call
    exact: bool
    outcomes: frozenset[str] | None
    """The outcomes that its comment asks for; None where the comment is only a remark."""

    def named_by_entry(self, name: str) -> bool:
        """Whether entering the function ``name`` is meant."""
        return name in self.call.names and self.outcomes is None

    def named_by_call(self, step: Step, about: tuple[str, ...], entering: bool = False) -> bool:
        """Whether the call of ``step`` is meant; ``entering`` if it is a function whose calls may follow."""
        if step.call not in self.call.names:
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
        self.lines = [_Line(call, diagram.exact, _demands(call, diagram.exact, self.eras)) for call in diagram.calls]
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
        self._executors: dict[tuple[int, int], str] = {}
        self._executor_bits = self._mask({"Mm.executor", "Task.in_mmput", "Fault.pins"})

    def _mask(self, fields: set[str]) -> int:
        packing = self.generated.packing
        return sum(packing.mask(slot) << offset for slot, offset in packing.offsets.items() if slot[0] in fields)

    def successors(self, state: int) -> list[tuple[int, int]]:
        """Packed successors with path numbers."""
        found = self._successors.get(state)
        if found is None:
            found = self._successors[state] = self.generated.successors(state)
        return found

    def column(self, path: int, state: int) -> str:
        """The thread that takes ``path`` in a packed state."""
        action = self.instance.paths[path].action
        if action.step.actor is not Mm:
            return self.staging.column(action, self.instance.concrete.value)
        key = (path, state & self._executor_bits)
        if key not in self._executors:
            plain = self.generated.packing.unpack(state)
            self.instance.concrete.load(plain)
            self._executors[key] = self.staging.column(action, self.instance.concrete.value)
        return self._executors[key]

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
                    now += line.named_by_call(action.step, about, place.after != place.frames)
                else:
                    now += line.named_by_entry(name)
            found = self._moves[key] = (place.after, tuple(range(now, reached - 1, -1)))
        return found

    def steps_from(self, node: Node) -> Iterable[tuple[Node, int]]:
        """The nodes that follow, with the path that leads there."""
        state, reached, stacks = node
        for target, path in self.successors(state):
            column = self.column(path, state)
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
class _Cheapest:
    """The cheapest ways to the end of a diagram, or as far as it goes."""

    costs: dict[Node, Cost] = attrs.field(factory=dict)
    parents: dict[Node, list[tuple[Node, int]]] = attrs.field(factory=dict)
    ends: list[Node] = attrs.field(factory=list)
    furthest: int = 0


def _cheapest(search: Search) -> _Cheapest:
    found = _Cheapest({search.first: (0, 0)}, {search.first: []})
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


class Match:
    """What matching a diagram with an instance found."""

    def __init__(self, search: Search, properties: Sequence[Property]) -> None:
        self.search = search
        self.instance = search.instance
        self.properties = tuple(each for each in properties if not each.graph)
        self.stopped_at: Call | None = None
        """The line where it stops being possible."""
        self.reason = ""
        """Why it stops there, as a sentence."""
        self.guards: tuple[Enum, ...] = ()
        """The guards that refused the steps that the line names, wherever their thread stood there."""
        self.steps: tuple[Named, ...] = ()
        """The run with the fewest filled-in steps, from the scenario's start."""
        self._unknown_here()
        if self.stopped_at is None:
            self._match()

    @property
    def allowed(self) -> bool:
        """The era has a run that the diagram describes."""
        return self.stopped_at is None

    @property
    def filled(self) -> int:
        """How many steps of the run the diagram does not name."""
        return sum(not named.lines for named in self.steps)

    @property
    def actions(self) -> tuple[Action, ...]:
        """The run, from the scenario's start."""
        return tuple(named.action for named in self.steps)

    @cached_property
    def run(self) -> Run:
        """The run as data, for a diagram; with the first property that it breaks."""
        first = self.breaks[0] if self.breaks else None
        depth = first.step if first and first.step == len(self.steps) else None
        return run_of(
            self.instance,
            self.actions,
            start=self.search.prefix,
            violated=first.property if first and depth else None,
            depth=depth,
        )

    # -- matching ----------------------------------------------------------------------------

    def _unknown_here(self) -> None:
        era = self.instance.era
        entered = {*CALLERS.values(), *SCANNERS, *(name for stack in EXECUTORS.values() for name in stack)}
        functions = {declared.kernel_function for declared in era.steps}
        functions |= entered | {name for name in CALLERS if any(_calls(name, each) for each in functions)}
        calls = {declared.call for declared in era.steps}
        for line in self.search.lines:
            call = line.call
            if not call.names & (calls | functions):
                kinds = sorted({s.actor.__name__ for e in self.search.eras for s in e.steps if s.call in call.names})
                actors = " or ".join(ACTORS.get(kind, kind) for kind in kinds) or "anybody"
                self._stops(call, f"`{call.name}` names no step of {actors} in {releases(era)}")
            elif not line.exact and line.outcomes is not None and not any(line.named_by_call(s, ()) for s in era.steps):
                self._stops(call, f"no step of {releases(era)} is `{call}`: leave the remark out, or name an outcome")
            if self.stopped_at is not None:
                return

    def _stops(self, call: Call, why: str) -> None:
        self.stopped_at = call
        self.reason = f"line {call.line}: {why}"

    def _match(self) -> None:
        found = _cheapest(self.search)
        if not found.ends:
            self._refused(found)
            return
        self._one_reading(found)
        node = found.ends[0]
        steps: list[Named] = []
        while found.parents[node]:
            before, path = found.parents[node][0]
            column = self.search.column(path, before[0])
            lines = tuple(self.search.lines[number].call.line for number in range(before[1], node[1]))
            steps.append(Named(self.instance.paths[path].action, column, tuple(dict.fromkeys(lines))))
            node = before
        self.steps = tuple(reversed(steps))

    def _one_reading(self, found: _Cheapest) -> None:
        """Raises `SpecError` where equally short runs read a line as different threads'."""
        readings: dict[int, set[str]] = {}
        pending = list(found.ends)
        seen = set(pending)
        while pending:
            node = pending.pop()
            for before, path in found.parents[node]:
                for number in range(before[1], node[1]):
                    readings.setdefault(number, set()).add(self.search.column(path, before[0]))
                if before not in seen:
                    seen.add(before)
                    pending.append(before)
        for number, columns in sorted(readings.items()):
            if len(columns) > 1:
                call = self.search.lines[number].call
                names = " or ".join(sorted(columns))
                raise SpecError(
                    f"line {call.line} is ambiguous: `{call.name}` is a step of {names}, and both readings fill in "
                    f"equally many steps; draw the diagram with columns, titled with these names"
                )

    def _refused(self, found: _Cheapest) -> None:
        line = self.search.lines[found.furthest]
        wanted = [a for a in self.instance.actions if self._here(line, a) and line.named_by_call(a.step, subjects(a))]
        if not wanted and line.outcomes is None:
            inside = [(name, a) for a in self.instance.actions if self._here(line, a) for name in line.call.names]
            wanted = [a for name, a in inside if a.step.kernel_function == name]
            wanted = wanted or [a for name, a in inside if _calls(name, a.step.kernel_function)]
        nodes = [node for node in found.costs if node[1] == found.furthest]
        asked = [(node[0], wanted) for node in nodes[:MOST_ASKED]]
        if found.furthest:
            names = self.search.lines[found.furthest - 1].call.names
            entering = [a for a in wanted if any(_calls(name, a.step.kernel_function) for name in names)]
            before = [parent for node in nodes for parent, _ in found.parents[node] if parent[1] < found.furthest]
            asked += [(node[0], entering) for node in before[:MOST_ASKED]]
        refused: set[tuple[str, Enum]] = set()
        for packed, actions in asked:
            state = self.search.generated.packing.unpack(packed)
            for action in actions:
                try:
                    self.instance.concrete.run(action.step, action.arguments, state)
                except Disabled as refusal:
                    if isinstance(refusal.guard, Enum):
                        refused.add((action.actor, refusal.guard))
        told = sorted(refused, key=lambda each: (each[0], each[1].name))
        self.guards = tuple(dict.fromkeys(guard for _, guard in told))
        era = releases(self.instance.era)
        if not wanted:
            self._stops(line.call, f"`{line.call}` names no step of {line.call.column or 'anybody'} in {era}")
            return
        why = "; ".join(f"{actor} needs `{guard.value}`" for actor, guard in told) or "nobody gets there"
        self._stops(line.call, f"`{line.call}` cannot happen in {era} after what stands before it: {why}")

    def _here(self, line: _Line, action: Action) -> bool:
        """Whether ``action`` may stand in the line's column; __mmput may stand in any."""
        column = None if action.step.actor is Mm else self.search.staging.column(action, self.instance.concrete.value)
        return column is None or line.call.column in (None, column)

    # -- what it breaks ----------------------------------------------------------------------

    @cached_property
    def breaks(self) -> tuple[Break, ...]:
        """The properties that the run breaks, each where it does so first, judged on plain states."""
        prefix, actions = self.search.prefix, list(self.actions)
        states = replay(self.instance, [*prefix, *actions])[len(prefix) :]
        found: list[Break] = []
        line: int | None = None
        broken: set[str] = set()

        def judge_at(number: int, state: State, events: Sequence[Announced] | None) -> None:
            for subject in self.properties:
                if subject.id in broken or (subject.event is None) is not (events is None):
                    continue
                judged = _given(self.instance, subject, events)
                if any(_violated(self.instance, subject, given, state) for given in judged):
                    broken.add(subject.id)
                    found.append(Break(subject, number, line))

        judge_at(0, states[0], None)
        for number, named in enumerate(self.steps, 1):
            line = named.lines[-1] if named.lines else line
            self.instance.concrete.run(named.action.step, named.action.arguments, states[number - 1])
            judge_at(number, states[number - 1], tuple(self.instance.concrete.events))
            judge_at(number, states[number], None)
        return tuple(found)

    @cached_property
    def may_break(self) -> tuple[Property, ...]:
        """The properties that *some* run with these calls breaks before its end: all readings, all fillings."""
        graph = self._graph
        bad = {subject.id: _conditions(self.instance, subject) for subject in self.properties}
        found = []
        for subject in self.properties:
            in_states, on_paths = bad[subject.id]
            if any(in_states(node[0]) is not None for node in graph.nodes) or any(
                path in on_paths and on_paths[path](state) is not None for state, path in graph.edges
            ):
                found.append(subject)
        return tuple(found)

    @property
    def harmless(self) -> bool:
        """Allowed, and no matching run breaks a property."""
        return self.allowed and not self.may_break

    @cached_property
    def _graph(self) -> _Graph:
        return _whole_graph(self.search)

    def extension(self, subject: Property) -> Extension | None:
        """The shortest continuation that breaks ``subject``: of the run itself, or else of another matching run.

        None if no matching run can be continued so: all continuations were searched.
        """
        if not self.allowed:
            return None
        end = self.search.start
        for action in self.actions:
            end = next(t for t, path in self.search.successors(end) if self.instance.paths[path].action is action)
        found = self._continue([end], subject)
        matched = self.actions
        if found is None:
            found = self._continue(sorted({node[0] for node in self._graph.ends}), subject)
            if found is None:
                return None
            matched = self._graph.run_to(found[0], self.instance)
        continuation = tuple(self.instance.paths[path].action for path in found[1])
        kills = sum(any(e.event is Event.KILL_PICKED for e in self.instance.paths[p].events) for p in found[1])
        whole = (*matched, *continuation)
        run = run_of(self.instance, whole, start=self.search.prefix, violated=subject, depth=len(whole))
        return Extension(subject, tuple(matched), continuation, len(continuation), kills, run)

    def _continue(self, sources: Sequence[int], subject: Property) -> tuple[int, list[int]] | None:
        in_states, on_paths = _conditions(self.instance, subject)
        parents: dict[int, tuple[int, int] | None] = dict.fromkeys(sources)

        def back(state: int, last: Sequence[int]) -> tuple[int, list[int]]:
            numbers = list(last)
            while (parent := parents[state]) is not None:
                state = parent[0]
                numbers.insert(0, parent[1])
            return state, numbers

        level = list(sources)
        while level:
            following = []
            for state in level:
                if in_states(state) is not None:
                    return back(state, [])
                for target, path in self.search.successors(state):
                    if path in on_paths and on_paths[path](state) is not None:
                        return back(state, [path])
                    if target not in parents:
                        parents[target] = (state, path)
                        following.append(target)
            level = following
        return None


def _calls(caller: str, function: str) -> bool:
    """Whether ``caller`` is on the way to ``function``."""
    step: str | None = function
    while step is not None:
        if step == caller:
            return True
        step = CALLERS.get(step)
    return False


def _given(instance: Instance, subject: Property, events: Sequence[Announced] | None) -> Iterable[tuple[object, ...]]:
    if events is None:
        return product(*(instance.structure.objects.get(kind.__name__, ()) for kind in subject.over))
    return [event.arguments for event in events if event.event is subject.event]


def _violated(instance: Instance, subject: Property, given: tuple[object, ...], state: State) -> bool:
    excused = subject.excuse is not None and instance.holds(subject.excuse, given, state)
    return not excused and instance.holds(subject.when, given, state) and not instance.holds(subject.then, given, state)


def _conditions(instance: Instance, subject: Property) -> tuple[Judge, dict[int, Judge]]:
    """Judges for packed states and for steps taken from them: not None where ``subject`` is violated."""
    packing = generate(instance).packing

    def compiled(checks: Iterable[Check]) -> Judge:
        conditions = [terms.conjoin(check.when, terms.negate(check.excused)) for check in checks]
        return judge(packing, [condition for condition in conditions if condition is not terms.FALSE])

    if subject.event is None:
        return compiled(instance.invariants(subject)), {}
    return compiled(()), {number: compiled(checks) for number, checks in instance.obligations(subject).items()}


@attrs.frozen(eq=False)
class _Graph:
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


def _whole_graph(search: Search) -> _Graph:
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
    return _Graph(nodes, edges, ends, parents)


def match(instance: Instance, diagram: Diagram, properties: Sequence[Property] = ()) -> Match:
    """Find the runs of ``instance`` that ``diagram`` describes.

    Raises `SpecError` for a line that equally short runs read as different threads'.
    """
    return Match(Search(instance, diagram), properties)
