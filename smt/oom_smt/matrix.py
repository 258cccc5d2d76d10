"""The matrix: every era against every property, in parallel, explorer first and then Z3."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

import attrs

from oom_smt.deciding import InternalError, Options, decide
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


def work(task: Task) -> list[Verdict]:
    """Do one task; runs in a worker process."""
    subjects = [p for name in task.properties for p in find_properties(name)]
    options = Options(bounded=task.z3_seconds > 0, z3_seconds=task.z3_seconds, depth_limit=task.depth_limit)
    return decide(find_era(task.era), find_scenario(task.scenario), subjects, options)


def ignore_interrupts() -> None:
    """Workers leave Ctrl-C to the parent, which keeps what is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


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

    def run(self, progress: Callable[[int, int, str], None] = lambda done, total, text: None) -> None:
        """Compute every cell. An interrupt keeps what is done and is raised again."""
        names = tuple(p.id for p in self.properties)
        explored = [Task(e.id, s.id, names, 0.0) for e in self.eras for s in self.scenarios]
        jobs = self.jobs or os.cpu_count() or 1
        with ProcessPoolExecutor(jobs, initializer=ignore_interrupts) as pool:
            try:
                self._round(pool, explored, progress)
                if self.z3_seconds > 0:
                    self._round(pool, self._second_opinions(), progress)
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

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
        """Record a verdict; a second one for the same cell and scenario only adds what Z3 said."""
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
            leading = cell.leading
            if cell.word is Word.VIOLATED:
                wanted.setdefault((cell.era, leading.scenario), {})[cell.property] = leading.depth or 0
            elif cell.word is Word.PROVED_INSTANCE:
                primary = next((v for v in cell.touching if v.scenario == PRIMARY), None)
                if primary is not None:
                    wanted.setdefault((cell.era, primary.scenario), {})[cell.property] = 0
        return [
            Task(era, scenario, tuple(depths), self.z3_seconds, max(depths.values()))
            for (era, scenario), depths in wanted.items()
        ]

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


def cells_of(eras: Iterable[Era], properties: Sequence[Property], scenarios: Sequence[Scenario]) -> Matrix:
    """A matrix that is still empty."""
    return Matrix(tuple(eras), properties, scenarios)
