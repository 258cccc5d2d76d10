"""Deciding: the explorer fixes the depth, Z3 searches on its own, plain steps replay every run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import attrs

from oom_smt import z3_api
from oom_smt.bounded import Bounded, Search, confirm, goal_of
from oom_smt.encoding import Encoding
from oom_smt.lasso import Found, find_lasso
from oom_smt.z3_api import Answer
from oom_spec.applicability import why_not
from oom_spec.exploring import MOST_STATES, Exploration, Finding, Hit, replay
from oom_spec.graphs import path_to
from oom_spec.instances import Action, Instance
from oom_spec.language.eras import Era
from oom_spec.language.errors import SpecError
from oom_spec.language.properties import Graph, Property
from oom_spec.language.scenarios import Scenario
from oom_spec.lassos import Lasso, judge_lasso
from oom_spec.progress import Ranked, cut_open, judge_progress, look_at_graph, something_happens
from oom_spec.stepping import State
from oom_spec.verdicts import MID_PROTOCOL, Verdict, Word


class InternalError(SpecError):
    """Two engines disagree, or a run does not replay: never to be hidden."""


@attrs.frozen(eq=False)
class Options:
    """How hard to try."""

    explore: bool = True
    bounded: bool = True
    bound: int | None = None
    """Depth to which Z3 searches; None: as far as the budget reaches."""
    z3_seconds: float = 20.0
    """Z3's budget for one scenario."""
    most_states: int = MOST_STATES
    depth_limit: int | None = None
    """How deep the explorer looks; None: everywhere."""
    deadline: float | None = None
    """A moment of `time.monotonic` at which to stop and say `unknown`."""

    def late(self) -> bool:
        """The time is up."""
        return self.deadline is not None and time.monotonic() >= self.deadline


class Decision:
    """All verdicts of one era in one scenario, from one pass of the explorer and one of Z3."""

    def __init__(
        self,
        era: Era,
        scenario: Scenario,
        properties: Sequence[Property],
        options: Options | None = None,
        *,
        progress: Callable[[str], None] = lambda text: None,
        instance: Instance | None = None,
    ) -> None:
        """``instance``: the era in the scenario, where it is made already."""
        self.era = era
        self.scenario = scenario
        self.options = options or Options()
        self.progress = progress
        self.started = time.monotonic()
        self.instance = instance or Instance(era, scenario)
        self.absent = {p.id: why_not(era, p) for p in properties}
        self.properties = [p for p in properties if not self.absent[p.id]]
        self.all_properties = properties
        graph = any(p.graph for p in self.properties)
        most = self.options.most_states if self.options.explore else 0
        self.exploration = Exploration(
            self.instance,
            self.properties,
            most=most,
            stop=self.options.late,
            keep_edges=graph,
            depth_limit=self.options.depth_limit,
        )
        self.starting_state = self._starting_state()
        self.encoding: Encoding | None = None
        self.bounded: dict[str, Bounded] = {}
        self.lassos: dict[str, Found] = {}
        self.complete_to = -1
        self._progress: dict[str, Lasso | Ranked] = {}

    def _starting_state(self) -> State:
        return replay(self.instance, self.exploration.prefix_run)[-1]

    @property
    def start(self) -> int:
        """The packed state in which the scenario starts."""
        return next(iter(self.exploration.parents))

    # -- Z3 ----------------------------------------------------------------------------------

    def ask_z3(self, chosen: Sequence[Property] | None = None) -> None:
        """Search for violations of the ``chosen`` properties (all, unless said), within the budget.

        Where the budget does not reach the explorer's depth, one more question is asked at exactly
        that depth. Violations of progress are confirmed as lassos.
        """
        if not self.options.bounded:
            return
        budget_ends = time.monotonic() + self.options.z3_seconds
        subjects = [p for p in (chosen or self.properties) if not p.graph]
        if subjects:
            self.encoding = Encoding(self.instance)
            self._search(subjects, budget_ends)
        for subject in chosen or self.properties:
            lasso = self._judged(subject) if subject.graph is Graph.FAIR and self._whole() else None
            if isinstance(lasso, Lasso):
                self.encoding = self.encoding or Encoding(self.instance)
                self.lassos[subject.id] = self._confirm_lasso(subject, lasso, budget_ends)

    def _search(self, subjects: Sequence[Property], budget_ends: float) -> None:
        assert self.encoding is not None
        waiting = list(subjects)
        search = Search(self.encoding, self.start)
        bound = self.options.bound if self.options.bound is not None else self._default_bound(subjects)
        while waiting and search.complete_to < bound:
            left = budget_ends - time.monotonic()
            if left <= 0 or self.options.late():
                break
            goals = [goal_of(self.instance, p) for p in waiting]
            found = search.advance(goals, bound, left, progress=self._report)
            if found.answer is not Answer.SAT:
                break
            broken = self._who_broke(found, waiting)
            for subject in broken:
                self.bounded[subject.id] = found
                waiting.remove(subject)
        self.complete_to = search.complete_to
        hits = [(subject, hit) for subject in waiting if (hit := self._finding(subject).violated) is not None]
        for subject, hit in sorted(hits, key=lambda each: each[1].depth):
            self._confirm(search, subject, hit, budget_ends)

    def _report(self, depth: int) -> None:
        self.progress(f"z3: no violation within {depth} steps")

    def _default_bound(self, subjects: Sequence[Property]) -> int:
        """As deep as the last violation; without end where something holds."""
        depths = [hit.depth for p in subjects if (hit := self._finding(p).violated) is not None]
        return max(depths) if depths and len(depths) == len(subjects) else 10_000

    def _who_broke(self, found: Bounded, waiting: Sequence[Property]) -> list[Property]:
        broken = [p for p in waiting if self._breaks(p, found.run)]
        if not broken:
            raise InternalError(
                f"internal error: z3's run of {found.depth} steps in {self.era.id}, scenario {self.scenario.id}, "
                "replays but violates nothing; please report it"
            )
        return broken

    def _confirm(self, search: Search, subject: Property, hit: Hit, budget_ends: float) -> None:
        assert self.encoding is not None
        goal = goal_of(self.instance, subject)
        left = budget_ends - time.monotonic()
        if left > 0.05:
            found = confirm(self.encoding, self.start, goal, hit.depth, left)
            if found.answer is Answer.UNSAT:
                raise InternalError(self._disagree(subject, hit.depth, "z3 finds none at that depth"))
            if found.answer is Answer.SAT:
                self.bounded[subject.id] = found
                return
        found = search.follow(goal, self.exploration.path_numbers(hit))
        if found.answer is not Answer.SAT:
            raise InternalError(self._disagree(subject, hit.depth, "z3 does not allow the explorer's run"))
        self.bounded[subject.id] = found

    def _confirm_lasso(self, subject: Property, lasso: Lasso, budget_ends: float) -> Found:
        """A lasso with such a prefix and cycle that Z3 finds; where time is up, its agreement with the explorer's."""
        assert self.encoding is not None
        before = self.exploration.path_numbers(Hit(0, lasso.state, None, None))
        lengths = len(before), len(lasso.cycle)
        left = budget_ends - time.monotonic()
        if left > 0.05:
            found = find_lasso(self.encoding, self.start, subject, *lengths, left)
            if found.answer is Answer.UNSAT:
                raise InternalError(self._disagree(subject, lengths[0], "z3 finds no such prefix and cycle"))
            if found.answer is Answer.SAT:
                state = replay(self.instance, found.prefix, self.starting_state)[-1]
                judge_lasso(self.instance, subject, state, Lasso(lasso.state, found.cycle, objects=found.objects))
                return found
        found = find_lasso(self.encoding, self.start, subject, *lengths, schedule=(*before, *lasso.numbers))
        if found.answer is not Answer.SAT:
            raise InternalError(
                self._disagree(subject, lengths[0], "z3 does not allow the explorer's prefix and cycle")
            )
        return found

    def _disagree(self, subject: Property, depth: int, what: str) -> str:
        return (
            f"internal error: the explorer violates {subject.id} at {depth} in {self.era.id}, scenario "
            f"{self.scenario.id}, but {what}; please report it"
        )

    # -- replay ------------------------------------------------------------------------------

    def _breaks(self, subject: Property, run: Sequence[Action], *, strict: bool = False) -> bool:
        """Whether the run, replayed by plain steps from the scenario's start, ends with a violation."""
        states = replay(self.instance, run, self.starting_state)
        excuse = None if strict else subject.excuse

        def bad(arguments: tuple[object, ...], state: State) -> bool:
            holds = self.instance.holds
            if not holds(subject.when, arguments, state) or holds(subject.then, arguments, state):
                return False
            return excuse is None or not holds(excuse, arguments, state)

        if subject.event is None:
            return any(bad(check.arguments, states[-1]) for check in self.instance.invariants(subject))
        if not run:
            return False
        self.instance.concrete.run(run[-1].step, run[-1].arguments, states[-2])
        events = [e for e in self.instance.concrete.events if e.event is subject.event]
        return any(bad(announced.arguments, states[-2]) for announced in events)

    def _replayed(self, subject: Property, hit: Hit, *, strict: bool = False) -> tuple[str, ...]:
        run = self.exploration.run_to(hit)
        if not self._breaks(subject, run, strict=strict):
            raise InternalError(self._disagree(subject, hit.depth, "the replayed run does not violate it"))
        return tuple(action.id for action in run)

    # -- verdicts ----------------------------------------------------------------------------

    def _finding(self, subject: Property) -> Finding:
        return self.exploration.findings[subject.id]

    def verdicts(self) -> list[Verdict]:
        """One verdict per property."""
        return [self._verdict(subject) for subject in self.all_properties]

    def _base(self, subject: Property) -> Verdict:
        return Verdict(
            era=self.era.id,
            aliases=self.era.aliases,
            property=subject.id,
            scenario=self.scenario.id,
            word=Word.UNKNOWN,
            method="explore" if self.options.explore else "bounded",
            limits=self.scenario.limits,
            states=self.exploration.states,
            seconds=time.monotonic() - self.started,
        )

    def _verdict(self, subject: Property) -> Verdict:
        base = self._base(subject)
        if self.absent[subject.id]:
            reason = self.absent[subject.id]
            return attrs.evolve(base, word=Word.NOT_APPLICABLE, method="spec", reason=reason, touched=False)
        if subject.graph:
            return self._graph_verdict(base, subject)
        finding = self._finding(subject)
        asked = self.bounded.get(subject.id)
        by_z3 = asked is not None and asked.answer is Answer.SAT
        self._cross_check(subject, finding, asked)
        depth: int | None
        if finding.violated is not None:
            run = self._replayed(subject, finding.violated)
            word, depth, method = Word.VIOLATED, finding.violated.depth, "explore+bounded" if by_z3 else "explore"
        elif by_z3:
            assert asked is not None
            run = tuple(action.id for action in asked.run)
            word, depth, method = Word.VIOLATED, asked.depth, "bounded"
        elif self.options.explore and not self.exploration.truncated:
            run, depth = (), None
            word, method = Word.PROVED_INSTANCE, "explore"
        elif self.complete_to >= 0 and (self.options.bound is None or self.complete_to >= self.options.bound):
            return attrs.evolve(
                base, word=Word.BOUNDED, bound=self.complete_to, method="bounded", checked_by=(self._z3_says(),)
            )
        else:
            return attrs.evolve(base, reason="time or states ran out", checked_by=self._checkers(asked))
        strict_word, strict_depth = self._strict(subject, finding, word)
        touched = finding.reached is not None or word is Word.VIOLATED
        reason = "" if touched else "what it speaks of never happens in this scenario"
        if touched and word is not Word.VIOLATED and self.scenario.starts_after is not None:
            touched, reason = False, MID_PROTOCOL
        return attrs.evolve(
            base,
            word=word,
            depth=depth,
            method=method,
            run=run,
            strict=strict_word,
            strict_depth=strict_depth,
            excuses={name: hit.depth for name, hit in finding.excuses.items()},
            excuse_runs={n: self._replayed(subject, hit, strict=True) for n, hit in finding.excuses.items()},
            checked_by=self._checkers(asked, replayed=bool(run or finding.excuses)),
            touched=touched,
            reason=reason,
        )

    def _strict(self, subject: Property, finding: Finding, word: Word) -> tuple[Word | None, int | None]:
        if subject.excuse is None:
            return None, None
        if finding.violated_strictly is None:
            return word, None
        self._replayed(subject, finding.violated_strictly, strict=True)
        return Word.VIOLATED, finding.violated_strictly.depth

    def _cross_check(self, subject: Property, finding: Finding, asked: Bounded | None) -> None:
        if asked is None or asked.depth is None or not self.options.explore or self.exploration.truncated:
            return
        if finding.violated is None or asked.depth < finding.violated.depth:
            raise InternalError(
                f"internal error: z3 violates {subject.id} at {asked.depth} in {self.era.id}, scenario "
                f"{self.scenario.id}, and the explorer does not; please report it"
            )

    def _z3_says(self) -> str:
        return f"{z3_api.version()}: none within {self.complete_to}"

    def _checkers(self, asked: Bounded | None, replayed: bool = False) -> tuple[str, ...]:
        found: list[str] = ["plain replay"] if replayed else []
        if self.options.explore:
            found.append(
                f"explorer: {self.exploration.states} states" + (" (truncated)" if self.exploration.truncated else "")
            )
        if self.complete_to >= 0:
            complete = (
                self.complete_to if asked is None or asked.depth is None else min(self.complete_to, asked.depth - 1)
            )
            found.append(f"{z3_api.version()}: none within {complete}")
        if asked is not None and asked.depth is not None:
            how = "allows the explorer's run" if asked.guided else "finds one"
            found.append(f"{z3_api.version()}: {how} at {asked.depth}")
        return tuple(found)

    def _whole(self) -> bool:
        """The graph of reachable states is there, and complete."""
        return self.options.explore and not self.exploration.truncated

    def _judged(self, subject: Property) -> Lasso | Ranked:
        """What the graph says of a property of progress; asked once."""
        if subject.id not in self._progress:
            self._progress[subject.id] = judge_progress(self.exploration, subject)
        return self._progress[subject.id]

    def _graph_verdict(self, base: Verdict, subject: Property) -> Verdict:
        if not self._whole():
            return attrs.evolve(base, reason="needs the whole graph of reachable states")
        checked: tuple[str, ...] = (f"explorer: {self.exploration.states} states",)
        if subject.graph is Graph.FAIR:
            judged = self._judged(subject)
            if isinstance(judged, Lasso):
                return self._lasso_verdict(base, subject, judged, checked)
            checked = (*checked, f"ranking of {judged.states} waiting states")
        elif (found := look_at_graph(self.exploration, subject)) is not None:
            state, reason = found
            return attrs.evolve(self._violated(base, state, (*checked, "plain replay")), reason=reason)
        if cut_open(self.exploration):
            return attrs.evolve(base, checked_by=checked, reason="a count leaves its range: see count-range")
        cold = self.scenario.starts_after is None
        reason = "" if cold else MID_PROTOCOL
        if not self._graph_touched(subject):
            cold, reason = False, "what it speaks of never happens in this scenario"
        return attrs.evolve(base, word=Word.PROVED_INSTANCE, checked_by=checked, touched=cold, reason=reason)

    def _violated(self, base: Verdict, state: int, checked: Sequence[str]) -> Verdict:
        run = path_to(self.exploration, state)
        replay(self.instance, run, self.starting_state)
        ids = tuple(action.id for action in run)
        return attrs.evolve(base, word=Word.VIOLATED, depth=len(run), run=ids, checked_by=checked)

    def _lasso_verdict(self, base: Verdict, subject: Property, lasso: Lasso, checked: Sequence[str]) -> Verdict:
        start = replay(self.instance, path_to(self.exploration, lasso.state), self.starting_state)[-1]
        told = judge_lasso(self.instance, subject, start, lasso)
        said = self.lassos.get(subject.id)
        checked = (*checked, "plain replay of prefix and cycle")
        if said is not None:
            how = "allows the explorer's prefix and cycle" if said.guided else "finds a prefix and a cycle"
            checked = (*checked, f"{z3_api.version()}: {how} of {len(said.prefix)} and {len(said.cycle)} steps")
        return attrs.evolve(
            self._violated(base, lasso.state, checked),
            method=base.method if said is None else "explore+bounded",
            cycle=tuple(action.id for action in lasso.cycle),
            fair=told.fair,
            unfair=told.unfair,
            reason=f"for ever; unfair: {', '.join(told.unfair) or 'nobody'}",
        )

    def _graph_touched(self, subject: Property) -> bool:
        """What the property speaks of happens in some reachable state."""
        return something_happens(self.exploration, subject)


def decide(
    era: Era,
    scenario: Scenario,
    properties: Sequence[Property],
    options: Options | None = None,
    *,
    progress: Callable[[str], None] = lambda text: None,
    instance: Instance | None = None,
) -> list[Verdict]:
    """The verdicts of ``properties`` for ``era`` in ``scenario``; ``instance`` is the two of them, if made already."""
    decision = Decision(era, scenario, properties, options, progress=progress, instance=instance)
    decision.ask_z3()
    return decision.verdicts()


def by_property(verdicts: Sequence[Verdict]) -> Mapping[str, list[Verdict]]:
    """Verdicts grouped by property id."""
    grouped: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        grouped.setdefault(verdict.property, []).append(verdict)
    return grouped
