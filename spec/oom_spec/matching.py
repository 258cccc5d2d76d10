"""Does an era allow the run that a diagram describes, and what does it break?

`oom_spec.aligning` finds the runs; here they are judged, and a refusal is explained.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from functools import cached_property
from itertools import product

import attrs

from oom_spec.aligning import Cheapest, Graph, Line, Search, cheapest, whole_graph
from oom_spec.exploring import replay
from oom_spec.generating import Judge, generate, judge
from oom_spec.instances import Action, Check, Instance
from oom_spec.language import Property, SpecError, terms
from oom_spec.language.errors import Disabled
from oom_spec.lifting import Event as Announced
from oom_spec.protocol.names import Event
from oom_spec.protocol.state import Mm
from oom_spec.reading import Call, Diagram
from oom_spec.stepping import State
from oom_spec.traces import Run, releases, run_of, subjects, violates

MOST_ASKED = 500
"""How many states are asked for the guards that refuse."""

ACTORS = {
    "Task": "a thread",
    "Mm": "whoever runs __mmput",
    "Reaper": "the reaper",
    "Killer": "a killer",
    "Fault": "a page fault",
    "Mrelease": "a process_mrelease caller",
    "Fork": "a parent in fork",
    "Walker": "uprobes or swapoff",
    "World": "anybody else",
}


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
        known = self.search.staging.names.known()
        for line in self.search.lines:
            call = line.call
            if not call.names & known:
                acting = {step.actor for step in era.steps}
                found = {s.actor for e in self.search.eras for s in e.steps if s.call in call.names}
                kinds = sorted(kind.__name__ for kind in found & acting or found)
                actors = " or ".join(ACTORS.get(kind, kind) for kind in kinds) or "anybody"
                self._stops(call, f"`{call.name}` names no step of {actors} in {releases(era)}")
            elif (
                not line.exact
                and line.outcomes is not None
                and not any(line.named_by_call(s, (), s.call) for s in era.steps)
            ):
                self._stops(call, f"no step of {releases(era)} is `{call}`: leave the remark out, or name an outcome")
            if self.stopped_at is not None:
                return

    def _stops(self, call: Call, why: str) -> None:
        self.stopped_at = call
        self.reason = f"line {call.line}: {why}"

    def _match(self) -> None:
        found = cheapest(self.search)
        if not found.ends:
            self._refused(found)
            return
        self._one_reading(found)
        node = found.ends[0]
        steps: list[Named] = []
        while found.parents[node]:
            before, path = found.parents[node][0]
            column = self.search.column(path, before[0], before[2])
            lines = tuple(self.search.lines[number].call.line for number in range(before[1], node[1]))
            steps.append(Named(self.instance.paths[path].action, column, tuple(dict.fromkeys(lines))))
            node = before
        self.steps = tuple(reversed(steps))

    def _one_reading(self, found: Cheapest) -> None:
        """Raises `SpecError` where equally short runs read a line as different threads'."""
        readings: dict[int, set[str]] = {}
        pending = list(found.ends)
        seen = set(pending)
        while pending:
            node = pending.pop()
            for before, path in found.parents[node]:
                for number in range(before[1], node[1]):
                    readings.setdefault(number, set()).add(self.search.column(path, before[0], before[2]))
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

    def _refused(self, found: Cheapest) -> None:
        line = self.search.lines[found.furthest]
        staging = self.search.staging
        here = [action for action in self.instance.actions if self._here(line, action)]
        wanted = [
            a for a in here if line.named_by_call(a.step, subjects(a), staging.names.call(a.step, staging.thread(a)))
        ]
        if not wanted and line.outcomes is None:
            wanted = [a for a in here if staging.stack(a)[-1:] and staging.stack(a)[-1] in line.call.names]
            wanted = wanted or [a for a in here if line.call.names & set(staging.stack(a))]
        nodes = [node for node in found.costs if node[1] == found.furthest]
        asked = [(node[0], wanted) for node in nodes[:MOST_ASKED]]
        if found.furthest:
            names = self.search.lines[found.furthest - 1].call.names
            entering = [a for a in wanted if names & set(staging.stack(a))]
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

    def _here(self, line: Line, action: Action) -> bool:
        """Whether ``action`` may stand in the line's column; __mmput may stand in any."""
        column = None if action.step.actor is Mm else self.search.staging.own_column(action)
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
                if any(violates(self.instance, subject, given, state) for given in judged):
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
    def _graph(self) -> Graph:
        return whole_graph(self.search)

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


def _given(instance: Instance, subject: Property, events: Sequence[Announced] | None) -> Iterable[tuple[object, ...]]:
    if events is None:
        return product(*(instance.structure.objects.get(kind.__name__, ()) for kind in subject.over))
    return [event.arguments for event in events if event.event is subject.event]


def _conditions(instance: Instance, subject: Property) -> tuple[Judge, dict[int, Judge]]:
    """Judges for packed states and for steps taken from them: not None where ``subject`` is violated."""
    packing = generate(instance).packing

    def compiled(checks: Iterable[Check]) -> Judge:
        conditions = [terms.conjoin(check.when, terms.negate(check.excused)) for check in checks]
        return judge(packing, [condition for condition in conditions if condition is not terms.FALSE])

    if subject.event is None:
        return compiled(instance.invariants(subject)), {}
    return compiled(()), {number: compiled(checks) for number, checks in instance.obligations(subject).items()}


def match(instance: Instance, diagram: Diagram, properties: Sequence[Property] = ()) -> Match:
    """Find the runs of ``instance`` that ``diagram`` describes.

    Raises `SpecError` for a line that equally short runs read as different threads'.
    """
    return Match(Search(instance, diagram), properties)
