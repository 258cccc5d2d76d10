"""Whether a mutant shows: compared with the original, scenario by scenario, without a solver.

A scan over the original's reachable states first asks whether the changed steps lead anywhere else at
all. If not, the two graphs are the same and nothing need be explored. Otherwise the mutant is explored
until the first property says something else than of the original.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, unique
from functools import cached_property

import attrs

from oom_spec.applicability import why_not
from oom_spec.exploring import Exploration, Finding
from oom_spec.generating import _compiled, _program_point, _update
from oom_spec.graphs import final_states, find_stuck, path_to
from oom_spec.instances import GroundPath, Instance
from oom_spec.language import terms
from oom_spec.language.eras import Era
from oom_spec.language.properties import Graph, Property
from oom_spec.language.scenarios import Scenario
from oom_spec.language.terms import Term
from oom_spec.lifting import Event, Slot
from oom_spec.mutating import Mutation, mutated
from oom_spec.progress import find_blocked, find_lasso

Depths = Mapping[tuple[str, str], int]
"""(property, kind of hit): the depth of the first. Kinds: ``violated``, ``strictly``, ``reached``, an excuse."""

GROWTH = 4
"""A mutant with so many times the original's states is not explored further."""
LEAST_ROOM = 20_000
"""States that it may have in any case."""
SPOKEN = {"violated": "violated", "strictly": "violated without excuse", "reached": "put to the test"}


@unique
class Strength(Enum):
    """How plainly a mutant shows, from the plainest."""

    VERDICT = "a verdict, or the depth of a violation or of an excuse, changes"
    OUTCOMES = "the outcomes of a call overlap or leave a gap, or the language refuses the step"
    TEST = "no verdict changes, but a property is put to the test earlier, later, or not at all"
    GRAPH = "no property notices, but the reachable behaviour changes"


@attrs.frozen
class Notice:
    """How a scenario shows a mutant."""

    strength: Strength
    scenario: str
    killer: str
    """The property that says something else than of the original; empty: none does."""
    how: str
    """``violated at 40, before at 52``; without a property, how the graphs differ."""


class Baseline:
    """The original in one scenario: its states, and what each property says of them."""

    def __init__(self, era: Era, scenario: Scenario, properties: Sequence[Property]) -> None:
        """Properties that do not apply to the era are left out."""
        self.era = era
        self.scenario = scenario
        self.properties = [subject for subject in properties if not why_not(era, subject)]
        self.graph = [subject for subject in self.properties if subject.graph is not None]
        self.instance = Instance(era, scenario)
        exploration = Exploration(self.instance, self.properties, keep_edges=bool(self.graph))
        self.packing = exploration.packing
        self.finished = not exploration.truncated
        self.count = exploration.states
        self.depths = depths_of(exploration.findings)
        self.untaken = frozenset(exploration.untaken())
        self.graph_depths = {p.id: graph_depth(exploration, p) for p in self.graph} if self.finished else {}
        final = final_states(exploration)
        self.states = [state for state in exploration.parents if final(state) is None]
        """All states in which something may happen."""
        self._at: dict[Slot, dict[int, list[int]]] = {}

    @cached_property
    def events(self) -> frozenset[object]:
        """The events that some property speaks of."""
        return frozenset(subject.event for subject in self.properties if subject.event is not None)

    def states_at(self, slot: Slot | None, code: int) -> Sequence[int]:
        """The states in which a program counter has this value."""
        if slot is None:
            return self.states
        if slot not in self._at:
            offset, mask = self.packing.offsets[slot], self.packing.mask(slot)
            sorted_out: dict[int, list[int]] = {}
            for state in self.states:
                sorted_out.setdefault(state >> offset & mask, []).append(state)
            self._at[slot] = sorted_out
        return self._at[slot].get(code, ())

    # -- the scan ----------------------------------------------------------------------------

    def shows(self, mutant: Instance, changed: frozenset[str]) -> bool:
        """Whether some state of the original has other successors in ``mutant``, or other events on the way.

        ``changed``: ids of the steps that the mutant has in another form. Where the answer is no, the
        two graphs are the same, whatever the outcomes of the steps are called. It is yes, too, where a changed step is
        taken in more states than before and leads only where another one leads as well.
        """
        groups: dict[tuple[Slot | None, int], tuple[list[str], list[str]]] = {}
        for side, paths in enumerate((self._before(changed), self._after(mutant, changed))):
            for path, odd in paths:
                where = _program_point(path, self.packing)
                shown = (path.action.actor, odd, self._events(path.events))
                line = (
                    f"    if {self.packing.condition(path.condition)}: "
                    f"{('before', 'after')[side]}.add(({_update(path, self.packing)}, {shown!r}))"
                )
                groups.setdefault(where, ([], []))[side].append(line)
        for (slot, code), (before, after) in groups.items():
            if sorted(line.replace("before.add", "after.add") for line in before) == sorted(after):
                continue
            body = "\n".join(["def differs(s):", "    before, after = set(), set()", *before, *after])
            differs = _compiled(f"{body}\n    return before != after\n", "differs")
            assert callable(differs)
            if any(map(differs, self.states_at(slot, code))):
                return True
        return False

    def _before(self, changed: frozenset[str]) -> list[tuple[GroundPath, str]]:
        return [(path, "") for path in self.instance.paths if path.action.step.id in changed]

    def _after(self, mutant: Instance, changed: frozenset[str]) -> list[tuple[GroundPath, str]]:
        """The changed paths on the original's states; ``odd`` where one assigns what never changes there."""
        constants = self.instance.constants
        memo: dict[int, Term] = {}
        found: list[tuple[GroundPath, str]] = []
        for action, path in mutant.lifted:
            if action.step.id not in changed:
                continue
            condition, updates = mutant._expand(path)
            folded = terms.rebuild(condition, self.instance._constant, memo)
            if folded is terms.FALSE:
                continue
            new = {slot: terms.rebuild(term, self.instance._constant, memo) for slot, term in updates.items()}
            fixed = [slot for slot in new if slot in constants]
            odd = sorted(f"{slot}={new[slot]}" for slot in fixed if new[slot] is not constants[slot])
            kept = {slot: term for slot, term in new.items() if slot not in constants}
            found.append((GroundPath(len(found), action, folded, kept, path.events), " ".join(odd)))
        return found

    def _events(self, events: Iterable[Event]) -> tuple[str, ...]:
        return tuple(f"{e.event.name}{e.arguments}" for e in events if e.event in self.events)

    # -- the comparison ----------------------------------------------------------------------

    def notice(self, mutation: Mutation) -> Notice | None:
        """How this scenario shows the mutant; None where the two graphs are the same.

        Raises `MisuseError` where the language refuses the mutant.
        """
        mutant = mutated(self.instance, mutation)
        if not self.shows(mutant, mutation.steps):
            return None
        most = max(GROWTH * self.count, LEAST_ROOM)
        comparison = Comparison(mutant, self.properties, self.depths, most=most, keep_edges=bool(self.graph))
        if comparison.verdict is not None:
            return Notice(Strength.VERDICT, self.scenario.id, *comparison.verdict)
        for subject in () if comparison.truncated else self.graph:
            now, before = graph_depth(comparison, subject), self.graph_depths.get(subject.id)
            if now != before:
                return Notice(Strength.VERDICT, self.scenario.id, subject.id, _told(now, before, "violated"))
        if comparison.test is not None:
            return Notice(Strength.TEST, self.scenario.id, *comparison.test)
        return Notice(Strength.GRAPH, self.scenario.id, "", self._contrast(comparison))

    def _contrast(self, comparison: Comparison) -> str:
        if comparison.truncated:
            return f"more than {comparison.states} states instead of {self.count}"
        if comparison.states != self.count:
            return f"{comparison.states} states instead of {self.count}"
        lost = sorted(set(comparison.untaken()) - self.untaken)
        return f"{lost[0]} is never taken" if lost else "the same states, other transitions"


class Comparison(Exploration):
    """An exploration that ends at the first property whose verdict is another than expected."""

    def __init__(
        self,
        instance: Instance,
        properties: Sequence[Property],
        expected: Depths,
        *,
        most: int,
        keep_edges: bool,
    ) -> None:
        self.expected = expected
        self.verdict: tuple[str, str] | None = None
        """The property and how its verdict, or a depth, differs."""
        self.test: tuple[str, str] | None = None
        """The property and how its being put to the test differs; known once the exploration is over."""
        super().__init__(instance, properties, most=most, keep_edges=keep_edges)
        if self.verdict is None:
            complete_to = self.depth if self.truncated else None
            self.verdict = self._differs(complete_to, tests=False)
            self.test = self._differs(complete_to, tests=True)

    def _enough(self) -> bool:
        self.verdict = self._differs(self.depth, tests=False)
        return self.verdict is not None or super()._enough()

    def _differs(self, complete_to: int | None, *, tests: bool) -> tuple[str, str] | None:
        """The nearest difference among the hits that are final: all up to ``complete_to``; None: all.

        ``tests`` asks where a property is put to the test, otherwise where it is violated or excused.
        """
        found = depths_of(self.findings)
        nearest: tuple[int, int, str, str] | None = None
        order = list(SPOKEN)
        for key in {**self.expected, **found}:
            now, before = found.get(key), self.expected.get(key)
            if now == before or (key[1] == "reached") is not tests:
                continue
            depth = min(d for d in (now, before) if d is not None)
            if complete_to is not None and depth > complete_to:
                continue
            name, kind = key
            rank = order.index(kind) if kind in order else len(order)
            candidate = (rank, depth, name, _told(now, before, SPOKEN.get(kind, f"excused by {kind}")))
            if nearest is None or candidate < nearest:
                nearest = candidate
        return nearest and (nearest[2], nearest[3])


def graph_depth(exploration: Exploration, subject: Property) -> int | None:
    """The depth of the first state that breaks a property about the graph; None: it holds."""
    if subject.graph is Graph.STUCK:
        stuck = find_stuck(exploration)
        return None if stuck is None else stuck.depth
    found = (find_blocked if subject.graph is Graph.ALWAYS_ABLE else find_lasso)(exploration, subject)
    return None if found is None else len(path_to(exploration, found.state))


def _told(now: int | None, before: int | None, word: str) -> str:
    if now is None:
        return f"not {word}, before at {before}"
    return f"{word} at {now}, before {'never' if before is None else f'at {before}'}"


def depths_of(findings: Mapping[str, Finding]) -> dict[tuple[str, str], int]:
    """Every hit of an exploration, by property and kind."""
    found: dict[tuple[str, str], int] = {}
    for name, finding in findings.items():
        hits = {
            "violated": finding.violated,
            "strictly": finding.violated_strictly,
            "reached": finding.reached,
            **finding.excuses,
        }
        found.update({(name, kind): hit.depth for kind, hit in hits.items() if hit is not None})
    return found
