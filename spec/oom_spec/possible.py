"""Decides the runs that are written beside the eras: is such a run possible, and which is the shortest?

A breadth-first search over pairs of a state and the number of items that came about so far. Where an
item could be left for later, because what may lie between it and the next is restricted, both ways
are followed; elsewhere the first occasion is taken, which loses nothing. A run that is found is
replayed by plain steps, and read against the list by a second, simpler reader, before anybody sees it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import attrs

from oom_spec.exploring import MOST_STATES, Exploration, replay
from oom_spec.generating import Judge, judge
from oom_spec.instances import Action, Instance
from oom_spec.language.errors import SpecError
from oom_spec.language.runs import Expectation, ExpectedRun, Happens, Holds, Never, Stage

Node = tuple[int, int]
"""Packed state, items that came about."""


@attrs.frozen
class Outcome:
    """What the search found of one run in one era."""

    run: ExpectedRun
    era: str
    scenario: str
    word: str
    """``possible``, ``impossible``, or ``unknown`` where the search was cut short."""
    start: tuple[Action, ...]
    """From the cold start to where the scenario starts."""
    actions: tuple[Action, ...]
    """The shortest run, from the scenario's start; where there is none, the shortest that gets furthest."""
    came_about: tuple[int, ...]
    """For each item reached, after how many of `actions`; 0 is the start."""
    fault: str
    """Why the run is badly written, if it is."""
    nodes: int
    """Combinations of state and position that were visited."""
    seconds: float

    @property
    def depth(self) -> int:
        """Steps of `actions`."""
        return len(self.actions)

    @property
    def as_written(self) -> bool:
        """The outcome is the one that the run declares, and for no trivial reason."""
        return self.word == self.run.expected.value and not self.fault

    @property
    def remark(self) -> str:
        """What is to be said of an outcome that is not as written; else empty."""
        if self.as_written:
            return ""
        if self.fault:
            return self.fault
        if self.word == "unknown":
            return f"the search was cut short after {self.nodes} combinations: take a smaller scenario"
        if self.word == "possible":
            return f"it is possible in {self.depth} steps: draw it to see how"
        return _stops(self.run.stages, len(self.came_about))


def _stops(stages: Sequence[Stage], reached: int) -> str:
    return f"item {reached + 1} of {len(stages)}, {stages[reached].item.text}, cannot come about after what precedes it"


@attrs.frozen
class _Compiled:
    """A stage in terms of an instance."""

    stage: Stage
    paths: frozenset[int]
    """The paths that are its step; empty for a condition."""
    forbidden: frozenset[int]
    holds: Judge | None
    free: bool
    """Anything may happen before it."""


@attrs.define
class _Search:
    parents: dict[Node, tuple[Node, int | None] | None]
    furthest: Node
    cut: bool


class Decider:
    """Decides runs in one instance; what they share is done once."""

    def __init__(self, instance: Instance, most: int = MOST_STATES) -> None:
        """``most`` combinations are looked at for a run; then the outcome is unknown."""
        self.instance = instance
        self.most = most
        cold = Exploration(instance, most=0)
        self.generated = cold.generated
        self.start = next(iter(cold.parents))
        self.prefix = tuple(cold.prefix_run)
        self._successors: dict[int, list[tuple[int, int]]] = {}

    def decide(self, run: ExpectedRun) -> Outcome:
        """Search for ``run``.

        Raises `SpecError` where it names a step that the era lacks, or an object that the scenario lacks.
        """
        started = time.monotonic()
        stages = run.stages
        found = self._search([self._compiled(run, stage) for stage in stages])
        actions, came_about = self._way(found, found.furthest)
        reached = found.furthest[1]
        word = "possible" if reached == len(stages) else "unknown" if found.cut else "impossible"
        nodes = len(found.parents)
        fault = ""
        if word == run.expected.value == Expectation.IMPOSSIBLE.value:
            if reached < len(stages) - 1:
                fault = f"badly written: {_stops(stages, reached)}, so the items behind it say nothing"
            else:
                alone = attrs.evolve(stages[-1], item=attrs.evolve(stages[-1].item, directly=False), meanwhile=())
                single = self._search([self._compiled(run, alone)])
                nodes += len(single.parents)
                if not single.furthest[1]:
                    fault = f"badly written: item {len(stages)}, {alone.item.text}, cannot come about at all here"
        self._confirm(stages[:reached], actions)
        return Outcome(
            run=run,
            era=self.instance.era.id,
            scenario=self.instance.scenario.id,
            word=word,
            start=self.prefix,
            actions=actions,
            came_about=came_about,
            fault=fault,
            nodes=nodes,
            seconds=time.monotonic() - started,
        )

    # -- the list in terms of the instance ---------------------------------------------------

    def _compiled(self, run: ExpectedRun, stage: Stage) -> _Compiled:
        forbidden: set[int] = set()
        for each in stage.meanwhile:
            forbidden |= self._paths(run, each)
        item = stage.item
        check = None
        if isinstance(item, Holds):
            self._known(run, item.about)
            check = judge(self.generated.packing, [self.instance.formula(item.formula, item.about)])
        return _Compiled(
            stage=stage,
            paths=frozenset() if isinstance(item, Holds) else self._paths(run, item),
            forbidden=frozenset(forbidden),
            holds=check,
            free=not (item.directly or stage.meanwhile),
        )

    def _paths(self, run: ExpectedRun, item: Happens | Never) -> frozenset[int]:
        era = self.instance.era
        known = {step.id for step in era.steps}
        self._known(run, item.about)
        for name in item.steps:
            if name not in known:
                raise SpecError(
                    f"run {run.name!r} names the step {name!r}, which era {era.id} lacks: "
                    f"`oomspec show {era.id}` lists its steps"
                )
            if not any(
                a.step.id == name and set(item.about) <= set(a.arguments.values()) for a in self.instance.actions
            ):
                raise SpecError(
                    f"run {run.name!r}: {', '.join(item.about)} cannot take part in {name!r} "
                    f"in scenario {self.instance.scenario.id}: name objects of the step's parameters"
                )
        return frozenset(path.number for path in self.instance.paths if _is(path.action, item))

    def _known(self, run: ExpectedRun, about: Sequence[str]) -> None:
        names = {name for objects in self.instance.structure.objects.values() for name in objects}
        for name in about:
            if name not in names:
                raise SpecError(
                    f"run {run.name!r} names {name!r}, which is no object of scenario {self.instance.scenario.id}: "
                    f"there are {', '.join(sorted(names - {'world'}))}"
                )

    # -- the search --------------------------------------------------------------------------

    def _search(self, stages: Sequence[_Compiled]) -> _Search:
        last = len(stages)
        first_occasion = [number + 1 == last or stages[number + 1].free for number in range(last)]
        parents: dict[Node, tuple[Node, int | None] | None] = {}
        found = _Search(parents, (self.start, 0), cut=False)
        following: list[Node] = []

        def arrive(state: int, position: int, origin: tuple[Node, int | None] | None) -> bool:
            """Enter a node, and the nodes of all conditions that hold in it; true at the end of the list."""
            while (node := (state, position)) not in parents:
                parents[node] = origin
                if position > found.furthest[1]:
                    found.furthest = node
                if position == last:
                    return True
                stage = stages[position]
                here = stage.holds is not None and stage.holds(state) is not None
                may_wait = not stage.stage.item.directly if stage.holds is not None else True
                if may_wait and not (here and first_occasion[position]):
                    following.append(node)
                if not here:
                    return False
                origin, position = (node, None), position + 1
            return False

        if arrive(self.start, 0, None):
            return found
        while following:
            level, following[:] = list(following), []
            for node in level:
                state, position = node
                stage = stages[position]
                waits = not stage.stage.item.directly
                for target, path in self.successors(state):
                    taken = path in stage.paths
                    if taken and arrive(target, position + 1, (node, path)):
                        return found
                    if waits and path not in stage.forbidden and not (taken and first_occasion[position]):
                        arrive(target, position, (node, path))
            if len(parents) >= self.most and following:
                found.cut = True
                return found
        return found

    def successors(self, state: int) -> list[tuple[int, int]]:
        """Packed successors with path numbers."""
        found = self._successors.get(state)
        if found is None:
            found = self._successors[state] = self.generated.successors(state)
        return found

    def _way(self, found: _Search, node: Node) -> tuple[tuple[Action, ...], tuple[int, ...]]:
        """The actions on the way to ``node``, and when each item came about."""
        actions: list[Action] = []
        behind: list[int] = []
        while (parent := found.parents[node]) is not None:
            before, path = parent
            if before[1] < node[1]:
                behind.append(len(actions))
            if path is not None:
                actions.append(self.instance.paths[path].action)
            node = before
        return tuple(reversed(actions)), tuple(len(actions) - count for count in reversed(behind))

    def _confirm(self, stages: Sequence[Stage], actions: Sequence[Action]) -> None:
        if not contains(self.instance, self.prefix, actions, stages):
            raise SpecError(
                f"internal error: the run that was found in {self.instance.era.id}, {self.instance.scenario.id}, "
                "does not contain what it was searched for; please report it"
            )


def contains(instance: Instance, start: Sequence[Action], actions: Sequence[Action], stages: Sequence[Stage]) -> bool:
    """Whether ``actions``, taken by plain steps after ``start``, contain ``stages`` in this order.

    Raises `SpecError` where they cannot be taken.
    """
    states = replay(instance, [*start, *actions])[len(start) :]
    here = {0}
    for number, state in enumerate(states):
        if number:
            here = _after(here, actions[number - 1], stages)
        for position in range(len(stages)):
            item = stages[position].item
            if position in here and isinstance(item, Holds) and instance.holds(item.formula, item.about, state):
                here.add(position + 1)
        here = {p for p in here if p == len(stages) or not _missed(stages[p].item, instance, state)}
    return len(stages) in here


def _missed(item: Happens | Holds, instance: Instance, state: tuple[int, ...]) -> bool:
    """A condition that had to hold at once does not."""
    return isinstance(item, Holds) and item.directly and not instance.holds(item.formula, item.about, state)


def _after(positions: set[int], action: Action, stages: Sequence[Stage]) -> set[int]:
    following: set[int] = set()
    for position in positions:
        if position == len(stages):
            following.add(position)
            continue
        stage = stages[position]
        if isinstance(stage.item, Happens) and _is(action, stage.item):
            following.add(position + 1)
        if not stage.item.directly and not any(_is(action, each) for each in stage.meanwhile):
            following.add(position)
    return following


def _is(action: Action, item: Happens | Never) -> bool:
    return action.step.id in item.steps and set(item.about) <= set(action.arguments.values())
