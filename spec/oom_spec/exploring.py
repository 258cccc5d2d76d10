"""The explorer: every reachable state, breadth first, without a solver.

It runs the generated successor function and judges all properties in one pass, so the first hit of
each is a shortest one. `plain_graph` does the same with plain steps: the reference.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from enum import Enum

import attrs

from oom_spec.generating import Generated, Judge, generate, judge
from oom_spec.instances import Action, Check, Instance
from oom_spec.language import terms
from oom_spec.language.errors import Disabled, SpecError
from oom_spec.language.properties import Property
from oom_spec.language.terms import Term
from oom_spec.stepping import State

MOST_STATES = 3_000_000
"""Where an exploration stops and says that it is truncated."""


@attrs.frozen(eq=False)
class Hit:
    """The first time that a condition held: in a state, or at a step taken from it."""

    depth: int
    """Steps of the run, the judged step included."""
    state: int
    path: int | None
    check: Check | None


@attrs.define(eq=False)
class Finding:
    """What one exploration says of one property."""

    property: Property
    violated: Hit | None = None
    """Violated even with the excuse (N3), if the property has one."""
    violated_strictly: Hit | None = None
    """Violated if no excuse is accepted."""
    reached: Hit | None = None
    """The antecedent (and, for a step property, the event) is reachable."""
    excuses: dict[str, Hit] = attrs.field(factory=dict)
    """Each excuse that some run needs, with the shortest run that uses it."""
    relevant: bool = True
    """Some path of this instance announces the event, or assigns what the property needs."""


@attrs.frozen(eq=False)
class Watch:
    """One condition that the explorer looks out for."""

    finding: Finding
    kind: str
    check: Check
    condition: Term


class Lookout:
    """The conditions still to be met, compiled; each is dropped when it is first met."""

    def __init__(self, generated: Generated, watches: Sequence[Watch]) -> None:
        self.generated = generated
        self.watches = list(watches)
        self.judge: Judge = judge(generated.packing, [w.condition for w in self.watches])

    def record(self, met: object, state: int, depth: int, path: int | None) -> None:
        """Note what holds for the first time: ``met`` is what `judge` gave for ``state``."""
        assert isinstance(met, list)
        for number in met:
            watch = self.watches[number]
            hit = Hit(depth, state, path, watch.check)
            finding = watch.finding
            if watch.kind == "violated":
                finding.violated = finding.violated or hit
            elif watch.kind == "strictly":
                finding.violated_strictly = finding.violated_strictly or hit
            elif watch.kind == "reached":
                finding.reached = finding.reached or hit
            else:
                finding.excuses.setdefault(watch.kind, hit)
        self.watches = [w for n, w in enumerate(self.watches) if n not in set(met)]
        self.judge = judge(self.generated.packing, [w.condition for w in self.watches])


def watches_of(instance: Instance, finding: Finding, checks: Iterable[Check]) -> list[Watch]:
    """What to look out for so that ``finding`` can be filled in."""
    found = []
    for check in checks:
        bad = terms.negate(check.holds)
        found += [
            Watch(finding, "reached", check, check.when),
            Watch(finding, "strictly", check, check.violated(strict=True)),
            Watch(finding, "violated", check, check.violated(strict=False)),
        ]
        subject = check.property
        if subject.excuses is not None and subject.excuse is not None:
            for member in subject.excuse_members:
                which = instance.formula(_is_excuse(subject, member), check.arguments)
                excused = terms.conjoin(check.when, bad, check.excused, which)
                found.append(Watch(finding, member.name, check, excused))
    return [watch for watch in found if watch.condition is not terms.FALSE]


def _is_excuse(subject: Property, member: Enum) -> Callable[..., bool]:
    def formula(*arguments: object) -> bool:
        assert subject.excuses is not None
        return subject.excuses(member, *arguments)

    return formula


class Exploration:
    """All reachable states of an instance (or the first `MOST_STATES` of them)."""

    def __init__(
        self,
        instance: Instance,
        properties: Sequence[Property] = (),
        *,
        most: int = MOST_STATES,
        stop: Callable[[], bool] = lambda: False,
        keep_edges: bool = False,
        depth_limit: int | None = None,
        first_only: bool = False,
    ) -> None:
        """``depth_limit`` looks no deeper; ``first_only`` stops once every property is violated."""
        self.instance = instance
        self.generated = generate(instance)
        self.packing = self.generated.packing
        self.most = most
        self.findings = {p.id: Finding(p) for p in properties if not p.graph}
        self.parents: dict[int, tuple[int, int] | None] = {}
        self.transitions = 0
        self.depth = 0
        self.truncated = False
        self.edges: dict[int, list[tuple[int, int]]] | None = {} if keep_edges else None
        self.taken: set[int] = set()
        self.prefix: list[int] = []
        self.depth_limit = depth_limit
        self.first_only = first_only
        started = time.monotonic()
        self._run(self._start(), stop)
        self.seconds = time.monotonic() - started

    # -- the search --------------------------------------------------------------------------

    def _start(self) -> int:
        scenario = self.instance.scenario
        cold = self.packing.initial
        if scenario.starts_after is None:
            return cold
        goal = judge(self.packing, [self.instance.formula(scenario.starts_after, ())])
        parents: dict[int, tuple[int, int] | None] = {cold: None}
        level = [cold]
        while level:
            following = []
            for state in level:
                if goal(state) is not None:
                    self.prefix = _numbers(parents, state)
                    return state
                for target, number in self.generated.successors(state):
                    if target not in parents:
                        parents[target] = (state, number)
                        following.append(target)
            level = following
        raise SpecError(
            f"scenario {scenario.id} cannot start in {self.instance.era.id}: no run reaches "
            f"{scenario.starts_after_text!r}"
        )

    def _run(self, start: int, stop: Callable[[], bool]) -> None:
        on_state, on_path = self._lookouts()
        successors = self.generated.successors
        parents = self.parents
        parents[start] = None
        judge_state = on_state.judge
        met = judge_state(start)
        if met is not None:
            on_state.record(met, start, 0, None)
            judge_state = on_state.judge
        # asked when a path is taken: of all when it is first taken, later only where a condition is still to be met
        judge_path = dict.fromkeys(range(len(self.instance.paths)), judge(self.packing, []))
        judge_path.update((number, lookout.judge) for number, lookout in on_path.items())
        level = [start]
        edges = self.edges
        while level:
            if len(parents) >= self.most or stop() or self._enough():
                self.truncated = True
                return
            depth = self.depth + 1
            following: list[int] = []
            for state in level:
                reached = successors(state)
                self.transitions += len(reached)
                if edges is not None:
                    edges[state] = reached
                for target, number in reached:
                    if number in judge_path:
                        met = judge_path[number](state)
                        if met is not None:
                            on_path[number].record(met, state, depth, number)
                        self.taken.add(number)
                        if number in on_path and on_path[number].watches:
                            judge_path[number] = on_path[number].judge
                        else:
                            del judge_path[number]
                    if target not in parents:
                        parents[target] = (state, number)
                        following.append(target)
                        met = judge_state(target)
                        if met is not None:
                            on_state.record(met, target, depth, None)
                            judge_state = on_state.judge
            if following:
                self.depth = depth
            level = following

    def _enough(self) -> bool:
        if self.depth_limit is not None and self.depth >= self.depth_limit:
            return True
        return self.first_only and all(f.violated is not None for f in self.findings.values())

    def _lookouts(self) -> tuple[Lookout, dict[int, Lookout]]:
        in_states: list[Watch] = []
        on_paths: dict[int, list[Watch]] = {}
        for finding in self.findings.values():
            subject = finding.property
            if subject.event is None:
                in_states += watches_of(self.instance, finding, self.instance.invariants(subject))
                continue
            obligations = self.instance.obligations(subject)
            for number, checks in obligations.items():
                on_paths.setdefault(number, []).extend(watches_of(self.instance, finding, checks))
        return (
            Lookout(self.generated, in_states),
            {number: Lookout(self.generated, watches) for number, watches in on_paths.items() if watches},
        )

    # -- what was found ----------------------------------------------------------------------

    @property
    def states(self) -> int:
        """How many states were reached."""
        return len(self.parents)

    def path_numbers(self, hit: Hit) -> list[int]:
        """The paths of the shortest run that ends with ``hit``, from the scenario's start."""
        return _numbers(self.parents, hit.state) + ([] if hit.path is None else [hit.path])

    def run_to(self, hit: Hit) -> list[Action]:
        """The shortest run that ends with ``hit``, from the scenario's start."""
        return [self.instance.paths[number].action for number in self.path_numbers(hit)]

    @property
    def prefix_run(self) -> list[Action]:
        """The run from the cold start to where the scenario starts."""
        return [self.instance.paths[number].action for number in self.prefix]

    def untaken(self) -> list[str]:
        """Ids of the steps of the era that no transition took."""
        taken = {self.instance.paths[number].action.step.id for number in self.taken}
        return [each.id for each in self.instance.era.steps if each.id not in taken]


def _numbers(parents: dict[int, tuple[int, int] | None], state: int) -> list[int]:
    numbers = []
    while (parent := parents[state]) is not None:
        state, number = parent
        numbers.append(number)
    return numbers[::-1]


def plain_graph(instance: Instance, most: int = 10_000) -> dict[State, dict[str, State]] | None:
    """The graph by plain stepping: for each reachable state, the actions possible and where they lead.

    None where it has more than ``most`` states.
    """
    store = instance.concrete
    graph: dict[State, dict[str, State]] = {}
    pending = [store.initial]
    while pending:
        state = pending.pop()
        if state in graph:
            continue
        if len(graph) >= most:
            return None
        targets: dict[str, State] = {}
        graph[state] = targets
        if instance.scenario.ends is not None and instance.holds(instance.scenario.ends, (), state):
            continue
        for action in instance.actions:
            try:
                target = store.run(action.step, action.arguments, state)
            except Disabled:
                continue
            targets[action.id] = target
            pending.append(target)
    return graph


def replay(instance: Instance, run: Sequence[Action], start: State | None = None) -> list[State]:
    """Every state of ``run`` by plain stepping, the first one included.

    Raises `SpecError` where a step cannot be taken: a run that does not replay is an internal error.
    """
    store = instance.concrete
    states = [store.initial if start is None else start]
    for number, action in enumerate(run, 1):
        try:
            states.append(store.run(action.step, action.arguments, states[-1]))
        except Disabled as refusal:
            raise SpecError(
                f"internal error: step {number} of the run, {action.id}, cannot be taken: {refusal.guard}; "
                f"please report it with era {instance.era.id} and scenario {instance.scenario.id}"
            ) from None
    return states
