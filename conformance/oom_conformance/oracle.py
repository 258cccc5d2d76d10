"""The specification as an oracle: in each state of one instance, what may happen and what must be seen.

States are looked at when a run first comes there, and kept: random runs meet most of them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cached_property
from weakref import WeakKeyDictionary

import attrs

from oom_conformance.observables import Observation, observer
from oom_spec.applicability import why_not
from oom_spec.exploring import Exploration
from oom_spec.generating import Judge, generate, judge
from oom_spec.instances import Action, Check, Instance
from oom_spec.language import Era, Property, Scenario, terms
from oom_spec.language.errors import Disabled
from oom_spec.properties import PROPERTIES

MOST_NODES = 400_000
"""States that are kept, some 2 KB each; beyond, they are looked at anew."""


@attrs.define(eq=False, slots=True)
class Node:
    """One state of the specification."""

    state: int
    targets: dict[str, tuple[int, int]]
    """For each action that may be taken: (packed state, number of the path)."""
    names: frozenset[str]
    """The actions of ``targets``."""
    seen: Observation
    """What must be observed."""
    broken: tuple[str, ...]
    """Ids of the properties of states that this state violates."""
    known: dict[str, Node] = attrs.field(factory=dict)
    """The nodes behind targets, as far as runs have been there."""
    by_actor: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """The same actions by actor, both in a fixed order."""


class Oracle:
    """An era in a scenario."""

    def __init__(self, era: Era, scenario: Scenario, subjects: Sequence[Property] | None = None) -> None:
        """``subjects``: the properties to judge; all that apply to the era, unless said."""
        self.era = era
        self.scenario = scenario
        self.instance = Instance(era, scenario)
        self.generated = generate(self.instance)
        self.packing = self.generated.packing
        self.names, self._observe = observer(self.instance, self.packing)
        chosen = PROPERTIES if subjects is None else subjects
        self.subjects = [each for each in chosen if each.graph is None and not why_not(era, each)]
        self._judge_state, self._state_ids = self._state_properties()
        self._judge_path, self._path_ids = self._step_properties()
        self.actions: Mapping[str, Action] = {path.action.id: path.action for path in self.instance.paths}
        self.actors: tuple[str, ...] = tuple(sorted({action.actor for action in self.actions.values()}))
        self._nodes: dict[int, Node] = {}
        self.paths = self.instance.paths

    # -- the start ---------------------------------------------------------------------------

    @cached_property
    def prefix(self) -> tuple[str, ...]:
        """The actions from the cold start to where the scenario starts: none for most."""
        if self.scenario.starts_after is None:
            return ()
        return tuple(action.id for action in Exploration(self.instance, depth_limit=0).prefix_run)

    @cached_property
    def cold(self) -> Node:
        """The cold start."""
        return self.node(self.packing.initial)

    # -- states ------------------------------------------------------------------------------

    def node(self, state: int) -> Node:
        """Everything about a state."""
        found = self._nodes.get(state)
        if found is None:
            found = self._look(state)
            if len(self._nodes) < MOST_NODES:
                self._nodes[state] = found
        return found

    def _look(self, state: int) -> Node:
        targets = {
            self.paths[number].action.id: (target, number) for target, number in self.generated.successors(state)
        }
        met = self._judge_state(state)
        broken = tuple(dict.fromkeys(self._state_ids[n] for n in met)) if isinstance(met, list) else ()
        grouped: dict[str, list[str]] = {}
        for name in sorted(targets):
            grouped.setdefault(self.actions[name].actor, []).append(name)
        by_actor = tuple((actor, tuple(grouped[actor])) for actor in sorted(grouped))
        return Node(state, targets, frozenset(targets), self._observe(state), broken, {}, by_actor)

    def after(self, node: Node, action: str) -> Node:
        """The node behind an action that may be taken."""
        found = node.known.get(action)
        if found is None:
            found = node.known[action] = self.node(node.targets[action][0])
        return found

    def broken_by(self, node: Node, action: str) -> tuple[str, ...]:
        """Ids of the properties of steps that taking ``action`` here violates."""
        number = node.targets[action][1]
        judged = self._judge_path.get(number)
        met = judged(node.state) if judged is not None else None
        if not isinstance(met, list):
            return ()
        return tuple(dict.fromkeys(self._path_ids[number][n] for n in met))

    @property
    def judged_paths(self) -> Mapping[int, Judge]:
        """The paths by whose steps some property can be violated."""
        return self._judge_path

    def has_ended(self, node: Node) -> bool:
        """The scenario looks no further here, or the machine has stopped."""
        return not node.targets and self._ended(node.state) is not None

    @cached_property
    def _ended(self) -> Judge:
        return judge(self.packing, [self.instance.ends] if self.instance.ends is not terms.FALSE else [])

    def why_not(self, node: Node, action: str) -> str:
        """Why the specification does not allow ``action`` here: the guard that is false, in words."""
        declared = next((each for each in self.instance.actions if each.id == action), None)
        if declared is None:
            return f"{self.era.id} has no such step for these objects"
        if self._ended(node.state) is not None:
            return "the scenario has ended"
        try:
            self.instance.concrete.run(declared.step, declared.arguments, self.packing.unpack(node.state))
        except Disabled as refusal:
            guard = refusal.guard
            return f"{guard.name} is false: {guard.value}" if isinstance(guard, Enum) else str(guard)
        return "it cannot be taken in any run"

    # -- properties --------------------------------------------------------------------------

    def _state_properties(self) -> tuple[Judge, list[str]]:
        checks: list[Check] = []
        for subject in self.subjects:
            if subject.event is None:
                checks += self.instance.invariants(subject)
        watched = [(each.violated(strict=False), each.property.id) for each in checks]
        kept = [(term, name) for term, name in watched if term is not terms.FALSE]
        return judge(self.packing, [term for term, _ in kept]), [name for _, name in kept]

    def _step_properties(self) -> tuple[dict[int, Judge], dict[int, list[str]]]:
        judges: dict[int, Judge] = {}
        ids: dict[int, list[str]] = {}
        found: dict[int, list[tuple[terms.Term, str]]] = {}
        for subject in self.subjects:
            if subject.event is not None:
                for number, checks in self.instance.obligations(subject).items():
                    found.setdefault(number, []).extend((each.violated(strict=False), subject.id) for each in checks)
        for number, pairs in found.items():
            kept = [(term, name) for term, name in pairs if term is not terms.FALSE]
            if kept:
                judges[number] = judge(self.packing, [term for term, _ in kept])
                ids[number] = [name for _, name in kept]
        return judges, ids


_oracles: WeakKeyDictionary[Era, dict[str, Oracle]] = WeakKeyDictionary()


def oracle_of(era: Era, scenario: Scenario) -> Oracle:
    """The oracle of an era in a scenario, made once in a process."""
    known = _oracles.setdefault(era, {})
    found = known.get(scenario.id)
    if found is None or found.scenario is not scenario:
        found = known[scenario.id] = Oracle(era, scenario)
    return found


__all__ = ["Node", "Oracle", "oracle_of"]
