"""The matrix: every era against every property, in parallel, explorer first and then Z3."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

import attrs

from oom_smt.deciding import InternalError, Options, decide
from oom_spec.applicability import why_not
from oom_spec.eras import find_era
from oom_spec.language.eras import Era
from oom_spec.language.properties import Property
from oom_spec.language.scenarios import Scenario
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario
from oom_spec.verdicts import Cell, Verdict, Word

PRIMARY = "single"
"""The scenario in which Z3 looks for violations of what holds."""


@attrs.frozen
class Task:
    """One unit of work: an era in a scenario, for some properties."""

    era: str
    scenario: str
    properties: tuple[str, ...]
    z3_seconds: float
    """0: the explorer alone."""
    depth_limit: int | None = None
    """How deep the explorer need look again, where it did its work before."""


TASKS_PER_COLLECTION = 8
_tasks_done = 0


def work(task: Task) -> list[Verdict]:
    """Do one task; runs in a worker process."""
    global _tasks_done  # noqa: PLW0603 - one counter per worker process
    _tasks_done += 1
    if _tasks_done % TASKS_PER_COLLECTION == 0:
        gc.collect()
    subjects = [p for name in task.properties for p in find_properties(name)]
    options = Options(bounded=task.z3_seconds > 0, z3_seconds=task.z3_seconds, depth_limit=task.depth_limit)
    return decide(find_era(task.era), find_scenario(task.scenario), subjects, options)


def prepare_worker() -> None:
    """Workers leave Ctrl-C to the parent, which keeps what is done.

    They collect cyclic garbage between tasks only: a graph of states has none, and looking for it
    costs a quarter of the time.
    """
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def stop(pool: ProcessPoolExecutor) -> None:
    """End the workers at once: what they were doing is lost, what they did is not."""
    workers = list(pool._processes.values())
    pool.shutdown(wait=False, cancel_futures=True)
    for worker in workers:
        worker.terminate()


@attrs.define(eq=False)
class Matrix:
    """All cells computed so far."""

    eras: Sequence[Era]
    properties: Sequence[Property]
    scenarios: Sequence[Scenario]
    jobs: int = 0
    z3_seconds: float = 1.0
    verdicts: dict[tuple[str, str, str], Verdict] = attrs.field(factory=dict)
    """By (era id, property id, scenario id)."""
    lost: list[str] = attrs.field(factory=list)
    """What could not be computed, in words."""
    twin_of: dict[tuple[str, str], str] = attrs.field(factory=dict)
    """(era id, scenario id): the earlier era whose steps there are the same."""

    def run(self, progress: Callable[[int, int, str], None] = lambda done, total, text: None) -> None:
        """Compute every cell. An interrupt keeps what is done and is raised again."""
        names = tuple(p.id for p in self.properties)
        self._find_twins()
        pairs = [(e.id, s.id) for e in self.eras for s in self.scenarios]
        explored = [Task(era, scenario, names, 0.0) for era, scenario in pairs if (era, scenario) not in self.twin_of]
        jobs = self.jobs or os.cpu_count() or 1
        with ProcessPoolExecutor(jobs, initializer=prepare_worker) as pool:
            try:
                self._round(pool, explored, progress)
                if self.z3_seconds > 0:
                    self._round(pool, self._second_opinions(), progress)
            except KeyboardInterrupt:
                stop(pool)
                raise

    def _find_twins(self) -> None:
        """Eras whose steps in a scenario are the very same are computed once.

        They differ only in steps for which the scenario has no object, such as those of a page fault.
        """
        for scenario in self.scenarios:
            present = set(scenario.structure().objects)
            first: dict[tuple[int, ...], Era] = {}
            for era in self.eras:
                steps = tuple(id(s) for s in era.steps if all(kind.__name__ in present for _, kind in s.parameters))
                other = first.setdefault(steps, era)
                if other is not era and self._absent(other) == self._absent(era):
                    self.twin_of[era.id, scenario.id] = other.id

    def _absent(self, era: Era) -> tuple[str, ...]:
        return tuple(why_not(era, subject) for subject in self.properties)

    def _round(
        self, pool: ProcessPoolExecutor, tasks: Sequence[Task], progress: Callable[[int, int, str], None]
    ) -> None:
        futures: dict[Future[list[Verdict]], Task] = {}
        try:
            for task in tasks:
                futures[pool.submit(work, task)] = task
        except BrokenProcessPool:
            self.lost.append("a worker process died before all work was handed out")
        for done, future in enumerate(as_completed(futures), 1):
            task = futures[future]
            try:
                for verdict in future.result():
                    self._take(verdict)
            except BrokenProcessPool:
                self.lost.append(f"{task.era} in {task.scenario}: its worker process died")
            what = "z3" if task.z3_seconds else "exploring"
            progress(done, len(futures), f"{what} {task.era} {task.scenario}")

    def _take(self, verdict: Verdict) -> None:
        """Record a verdict, also for the eras that are the same in this scenario."""
        self._record(verdict)
        for era in self.eras:
            if self.twin_of.get((era.id, verdict.scenario)) == verdict.era:
                same = f"the same steps as {verdict.era} in this scenario"
                checked = verdict.checked_by and (*verdict.checked_by, same)
                self._record(attrs.evolve(verdict, era=era.id, aliases=era.aliases, checked_by=checked))

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
        wanted: dict[tuple[str, str], dict[str, int]] = {}
        for cell in self.cells().values():
            asked = cell.leading if cell.word is Word.VIOLATED else self._primary(cell)
            if asked is not None:
                era = self.twin_of.get((cell.era, asked.scenario), cell.era)
                wanted.setdefault((era, asked.scenario), {})[cell.property] = asked.depth or 0
        return [
            Task(era, scenario, tuple(depths), self.z3_seconds, max(depths.values()))
            for (era, scenario), depths in wanted.items()
        ]

    @staticmethod
    def _primary(cell: Cell) -> Verdict | None:
        if cell.word is not Word.PROVED_INSTANCE:
            return None
        return next((v for v in cell.touching if v.scenario == PRIMARY), None)

    def cells(self) -> Mapping[tuple[str, str], Cell]:
        """Every cell, with a verdict `unknown` for each scenario that was not finished."""
        found: dict[tuple[str, str], Cell] = {}
        for era in self.eras:
            for subject in self.properties:
                verdicts = [self._verdict(era, subject, scenario) for scenario in self.scenarios]
                found[era.id, subject.id] = Cell(era.id, era.aliases, subject.id, verdicts)
        return found

    def _verdict(self, era: Era, subject: Property, scenario: Scenario) -> Verdict:
        known = self.verdicts.get((era.id, subject.id, scenario.id))
        return known or Verdict(
            era=era.id,
            aliases=era.aliases,
            property=subject.id,
            scenario=scenario.id,
            word=Word.UNKNOWN,
            method="none",
            reason="not finished",
        )
