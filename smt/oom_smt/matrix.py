"""The matrix: every era against every property, in parallel, explorer first and then Z3.

What earlier runs found is taken from the cache; each finished task is stored at once, so a run that is broken off is
continued by the next one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence

import attrs

from oom_smt.cache import Cache, Request, era_digest, options_text
from oom_smt.deciding import InternalError, Options, decide
from oom_smt.pool import Died, Pool
from oom_spec.applicability import irrelevant, why_not
from oom_spec.eras import find_era
from oom_spec.instances import Instance
from oom_spec.language.eras import Era
from oom_spec.language.properties import Graph, Property
from oom_spec.language.scenarios import Scenario
from oom_spec.properties import find_properties
from oom_spec.reporting import Progress, silent
from oom_spec.scenarios import find_scenario
from oom_spec.verdicts import Cell, Verdict, Word

PRIMARY = "single"
"""The scenario in which Z3 looks for violations of what holds."""


@attrs.frozen
class Task:
    """One unit of work: an era in a scenario, for some properties."""

    era: str
    """What `find_era` finds it by."""
    scenario: str
    properties: tuple[str, ...]
    z3_seconds: float
    """0: the explorer alone."""
    depth_limit: int | None = None
    """How deep the explorer need look again, where it did its work before."""
    explore: bool = True
    bound: int | None = None
    """Depth to which Z3 searches; None: as far as the budget reaches."""
    deadline: float | None = None
    """A moment of `time.monotonic`, the same in all processes, at which to stop."""

    def requests(self, era: Era, content: str) -> dict[str, Request]:
        """What is asked of each property, for the cache; ``content`` is the `era_digest`.

        What Z3 says of a property depends on what it is asked together with.
        """
        options = options_text(
            z3=self.z3_seconds > 0,
            z3_seconds=self.z3_seconds,
            depth_limit=self.depth_limit,
            explore=self.explore,
            bound=self.bound,
            together=sorted(self.properties) if self.z3_seconds > 0 else [],
        )
        return {name: Request(era.id, content, self.scenario, name, options) for name in self.properties}


# -- in a worker -----------------------------------------------------------------------------

_seen: dict[object, tuple[str, Sequence[Verdict]]] = {}
"""What eras of the scenario at hand do, and what was found of it; a worker keeps to a scenario."""
_seen_in: tuple[str, tuple[str, ...]] = ("", ())


def work(task: Task) -> list[Verdict]:
    """Do one task, whatever was done before."""
    left = task.z3_seconds if task.deadline is None else task.deadline - time.monotonic()
    options = Options(
        explore=task.explore,
        bounded=task.z3_seconds > 0,
        bound=task.bound,
        z3_seconds=max(0.0, min(task.z3_seconds, left)),
        depth_limit=task.depth_limit,
        deadline=task.deadline,
    )
    return decide(find_era(task.era), find_scenario(task.scenario), _subjects(task), options)


def work_once(task: Task) -> list[Verdict]:
    """Do one task, unless the same was done for another era whose steps do the same in this scenario."""
    global _seen_in  # noqa: PLW0603 - one memory per worker process
    if task.z3_seconds > 0 or not task.explore or task.depth_limit is not None:
        return work(task)
    if _seen_in != (task.scenario, task.properties):
        _seen_in = task.scenario, task.properties
        _seen.clear()
    era, scenario, subjects = find_era(task.era), find_scenario(task.scenario), _subjects(task)
    absent = tuple(why_not(era, subject) for subject in subjects)
    applies = tuple(not reason for reason in absent)
    present = set(scenario.structure().objects)
    steps = tuple(id(each) for each in era.steps if all(kind.__name__ in present for _, kind in each.parameters))
    other = _seen.get((steps, applies))
    signature: object = None
    if other is None:
        instance = Instance(era, scenario)
        signature = signature_of(instance), applies
        other = _seen.get(signature)
    if other is not None:
        return _as_of(era, *other, {p.id: reason for p, reason in zip(subjects, absent, strict=True)})
    found = decide(era, scenario, subjects, Options(bounded=False, deadline=task.deadline), instance=instance)
    if all(verdict.word is not Word.UNKNOWN for verdict in found):
        _seen[steps, applies] = _seen[signature] = era.id, found
    return found


def _subjects(task: Task) -> list[Property]:
    return [subject for name in task.properties for subject in find_properties(name)]


def signature_of(instance: Instance) -> object:
    """All that decides what an instance can do: two eras with equal signatures in a scenario have one graph there.

    Terms are compared by their keys, so signatures of one process only.
    """
    paths = tuple(
        (
            path.action.id,
            path.action.step.environment,
            path.action.step.at is None,
            path.condition.key,
            tuple((slot, term.key) for slot, term in path.updates.items()),
            tuple((each.event, tuple(each.arguments)) for each in path.events),
        )
        for path in instance.paths
    )
    return paths, tuple((slot, term.key) for slot, term in instance.constants.items())


def _as_of(era: Era, other: str, verdicts: Iterable[Verdict], absent: Mapping[str, str]) -> list[Verdict]:
    """The verdicts of another era, as those of ``era``, which does the same in this scenario."""
    same = f"the same steps as {other} in this scenario"
    return [
        attrs.evolve(
            verdict,
            era=era.id,
            aliases=era.aliases,
            same_as=other,
            checked_by=verdict.checked_by and (*verdict.checked_by, same),
            reason=absent[verdict.property] or verdict.reason,
        )
        for verdict in verdicts
    ]


# -- the whole -------------------------------------------------------------------------------


@attrs.define(eq=False)
class Matrix:
    """All cells computed so far."""

    eras: Sequence[Era]
    properties: Sequence[Property]
    scenarios: Sequence[Scenario]
    jobs: int = 0
    z3_seconds: float = 1.0
    cache: Cache | None = None
    deadline: float | None = None
    """A moment of `time.monotonic` at which to stop: what is not decided by then is unknown."""
    everywhere: bool = False
    """Also run scenarios that say nothing new of an era."""
    verdicts: dict[tuple[str, str, str], Verdict] = attrs.field(factory=dict)
    """By (era id, property id, scenario id)."""
    lost: list[str] = attrs.field(factory=list)
    """What could not be computed, in words."""
    twin_of: dict[tuple[str, str], str] = attrs.field(factory=dict)
    """(era id, scenario id): an era whose steps do just the same there, computed in its place."""
    computed: int = 0
    """Verdicts that this run computed."""
    from_cache: int = 0
    """Verdicts that the cache had."""
    _contents: dict[str, str] = attrs.field(factory=dict)
    _by_locator: dict[str, Era] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        """Find each era by what a worker is told of it."""
        self._by_locator = {era.locator: era for era in self.eras}
        self._contents = {era.id: era_digest(era) for era in self.eras}

    def runs(self, era: Era, scenario: Scenario) -> bool:
        """Whether the scenario says anything new of the era."""
        return self.everywhere or not irrelevant(era, scenario)

    @property
    def pairs(self) -> list[tuple[Era, Scenario]]:
        """The eras and scenarios that belong together, scenario by scenario."""
        return [(era, scenario) for scenario in self.scenarios for era in self.eras if self.runs(era, scenario)]

    def run(self, progress: Progress = silent) -> None:
        """Compute every cell. An interrupt keeps what is done and is raised again."""
        names = tuple(p.id for p in self.properties)
        tasks = [Task(era.locator, scenario.id, names, 0.0, deadline=self.deadline) for era, scenario in self.pairs]
        with Pool(self.jobs or os.cpu_count() or 1, work_once) as pool:
            self._round(pool, tasks, progress)
            if self.z3_seconds > 0:
                self._round(pool, self._second_opinions(), progress)

    def run_once(self, progress: Progress = silent, *, explore: bool = True, bound: int | None = None) -> None:
        """As `check` does it: the explorer and Z3 in one go for each scenario, `z3_seconds` for each."""
        names = tuple(p.id for p in self.properties)
        tasks = [
            Task(era.locator, scenario.id, names, self.z3_seconds, None, explore, bound, self.deadline)
            for era, scenario in self.pairs
        ]
        with Pool(self.jobs or os.cpu_count() or 1, work_once) as pool:
            self._round(pool, tasks, progress)

    def _late(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def _round(self, pool: Pool[Task, list[Verdict]], tasks: Sequence[Task], progress: Progress) -> None:
        left = [task for task in tasks if not self._recall(task)]
        groups: dict[str, list[Task]] = {}
        for task in left:
            groups.setdefault(task.scenario, []).append(task)
        # the largest worlds first, so that no long task is left for the end
        sizes = {scenario.id: len(scenario.objects) for scenario in self.scenarios}
        ordered = dict(sorted(groups.items(), key=lambda item: -sizes[item[0]] * len(item[1])))
        clock = Clock(len(left))
        for done, (task, result) in enumerate(pool.run(ordered, self._late), 1):
            if isinstance(result, Died):
                self.lost.append(f"{self._by_locator[task.era].id} in {task.scenario}: its worker process died")
            else:
                self._keep(task, result)
            what = "z3" if task.z3_seconds else "exploring"
            text = f"{what} {self._by_locator[task.era].id} {task.scenario}{clock.left(done)}"
            progress(len(tasks) - len(left) + done, len(tasks), text)

    def _requests(self, task: Task) -> dict[str, Request]:
        era = self._by_locator[task.era]
        return task.requests(era, self._contents[era.id])

    def _recall(self, task: Task) -> bool:
        """Take a task from the cache; whether it was there, as a whole."""
        if self.cache is None:
            return False
        found = self.cache.lookup(self._requests(task).values())
        if len(found) < len(task.properties):
            return False
        for verdict in found.values():
            self._take(verdict)
        self.from_cache += len(found)
        return True

    def _keep(self, task: Task, verdicts: Sequence[Verdict]) -> None:
        """Record what a worker found, and store it."""
        for verdict in verdicts:
            self._take(verdict)
        self.computed += len(verdicts)
        hurried = task.deadline is not None and task.z3_seconds > 0  # Z3 might have got further another time
        if self.cache is not None and not hurried:
            requests = self._requests(task)
            self.cache.store({requests[verdict.property]: verdict for verdict in verdicts})

    def _take(self, verdict: Verdict) -> None:
        """Record a verdict; what Z3 added to it holds for the eras that do the same in this scenario, too."""
        if verdict.same_as:
            self.twin_of[verdict.era, verdict.scenario] = verdict.same_as
        second = (verdict.era, verdict.property, verdict.scenario) in self.verdicts
        self._record(verdict)
        for era in self.eras if second else ():
            if self.twin_of.get((era.id, verdict.scenario)) == verdict.era:
                self._record(attrs.evolve(verdict, era=era.id))

    def _record(self, verdict: Verdict) -> None:
        """A second verdict for the same cell and scenario only adds what Z3 said."""
        key = verdict.era, verdict.property, verdict.scenario
        before = self.verdicts.get(key)
        if before is None:
            self.verdicts[key] = verdict
            return
        if verdict.word is Word.VIOLATED and before.word is not Word.VIOLATED:
            raise InternalError(
                f"internal error: z3 violates {verdict.property} at {verdict.depth} in {verdict.era}, scenario "
                f"{verdict.scenario}, and the explorer does not; please report it"
            )
        said = [text for text in verdict.checked_by if text.startswith("z3")]
        method = "explore+bounded" if said else before.method
        self.verdicts[key] = attrs.evolve(before, checked_by=(*before.checked_by, *said), method=method)

    def _second_opinions(self) -> list[Task]:
        """Where Z3 looks: each cell's shortest violation, and for what holds the primary scenario."""
        locators = {era.id: era.locator for era in self.eras}
        of_the_graph = {subject.id: subject.graph for subject in self.properties if subject.graph}
        wanted: dict[tuple[str, str], dict[str, int]] = {}
        lassos: dict[tuple[str, str, str], Task] = {}
        for cell in self.cells().values():
            asked = cell.leading if cell.word is Word.VIOLATED else self._primary(cell)
            if asked is None:
                continue
            twin = self.twin_of.get((cell.era, asked.scenario), cell.era)
            era = twin if twin in locators else cell.era
            if cell.property not in of_the_graph:
                wanted.setdefault((era, asked.scenario), {})[cell.property] = asked.depth or 0
            elif of_the_graph[cell.property] is Graph.FAIR and cell.word is Word.VIOLATED:
                # of questions about the graph Z3 is asked for lassos only, and for these the whole graph is needed
                task = Task(locators[era], asked.scenario, (cell.property,), self.z3_seconds, deadline=self.deadline)
                lassos[era, asked.scenario, cell.property] = task
        return [
            Task(locators[era], scenario, tuple(depths), self.z3_seconds, max(depths.values()), deadline=self.deadline)
            for (era, scenario), depths in wanted.items()
        ] + list(lassos.values())

    @staticmethod
    def _primary(cell: Cell) -> Verdict | None:
        if cell.word is not Word.PROVED_INSTANCE:
            return None
        return next((v for v in cell.touching if v.scenario == PRIMARY), None)

    def cells(self, *, slow: bool | None = None) -> Mapping[tuple[str, str], Cell]:
        """Every cell, with a verdict `unknown` for each scenario that was not finished.

        ``slow``: only over the scenarios that are marked so, or only over the others.
        """
        scenarios = [s for s in self.scenarios if slow is None or s.slow == slow]
        found: dict[tuple[str, str], Cell] = {}
        for era in self.eras:
            run = [scenario for scenario in scenarios if self.runs(era, scenario)]
            for subject in self.properties:
                verdicts = [self._verdict(era, subject, scenario.id) for scenario in run]
                if not run and (reason := why_not(era, subject)):
                    verdicts = [_absent(era, subject, reason)]
                found[era.id, subject.id] = Cell(era.id, era.aliases, subject.id, verdicts)
        return found

    def _verdict(self, era: Era, subject: Property, scenario: str) -> Verdict:
        known = self.verdicts.get((era.id, subject.id, scenario))
        return known or Verdict(
            era=era.id,
            aliases=era.aliases,
            property=subject.id,
            scenario=scenario,
            word=Word.UNKNOWN,
            method="none",
            reason="time or states ran out" if self._late() else "not finished",
        )


def _absent(era: Era, subject: Property, reason: str) -> Verdict:
    """The verdict where no scenario is run, and the property does not apply."""
    return Verdict(
        era=era.id,
        aliases=era.aliases,
        property=subject.id,
        scenario="",
        word=Word.NOT_APPLICABLE,
        method="spec",
        reason=reason,
        touched=False,
    )


class Clock:
    """How long the rest of a round will take, judged by what is done."""

    QUIET = 3.0
    """Seconds before the first guess."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.started = time.monotonic()

    def left(self, done: int) -> str:
        """``, about 20 s left``; nothing where it is too early to tell."""
        passed = time.monotonic() - self.started
        if passed < self.QUIET or done >= self.total:
            return ""
        seconds = passed / done * (self.total - done)
        return f", about {seconds:.0f} s left" if seconds < 100 else f", about {seconds / 60:.0f} min left"


__all__ = ["Matrix", "Task", "work", "work_once"]
