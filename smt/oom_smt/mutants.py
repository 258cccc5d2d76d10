"""Mutation campaigns: every mutant of an era judged, in parallel, with what was done kept for the next time.

The spec's side (`oom_spec.mutating`, `oom_spec.noticing`) makes and compares mutants; here the lint of
outcomes, which asks Z3, is added, and the work is spread over processes.
"""

from __future__ import annotations

import gc
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path

import attrs

import oom_spec
from oom_smt import encoding, outcomes
from oom_smt.cache import location
from oom_smt.outcomes import faults_of
from oom_smt.pool import Died, Pool
from oom_spec.eras import find_era
from oom_spec.instances import Instance
from oom_spec.language.eras import Era
from oom_spec.language.errors import MisuseError
from oom_spec.language.properties import Property
from oom_spec.language.scenarios import Scenario
from oom_spec.language.steps import Step
from oom_spec.mutating import Mutation, Slip, mutated, mutations
from oom_spec.noticing import Baseline, Notice, Strength
from oom_spec.properties import PROPERTIES
from oom_spec.properties.lemmas import SITE_LEMMAS
from oom_spec.reporting import Progress, silent
from oom_spec.scenarios import SCENARIOS, find_scenario
from oom_spec.scenarios.gallery import GALLERY
from oom_spec.survivors import Reason, reason_for

SCHEMA = 1
OUTCOMES = "outcomes"
"""The killer's name where the outcomes of a call are not exclusive any more, or leave a gap."""
LANGUAGE = "language"
"""The killer's name where the language refuses the changed step."""
KILLERS: tuple[Property, ...] = (*PROPERTIES, *SITE_LEMMAS)
"""What may notice a mutant: the properties, and the lemmas that the lint of outcomes leans on."""
RESHAPING = (Slip.GUARD_DROPPED, Slip.GUARD_NEGATED, Slip.EXCHANGED)
"""Slips after which the outcomes of a call may overlap or leave a gap."""
FIRST = 4
"""Scenarios that show a mutant and are tried before the lint of outcomes is."""
MOST = 8
"""Scenarios that show a mutant and are tried at most, unless all are asked for."""


@attrs.frozen
class Judged:
    """What became of one mutant."""

    era: str
    mutation: Mutation
    notice: Notice | None
    """The plainest way in which it shows; None: nothing differs in any scenario."""
    shown_in: str = ""
    """Another era that shares the step and shows it, where this one does not."""
    taken: bool = True
    """Some scenario takes the step, or one of the two, in the original."""
    seconds: float = 0.0

    @property
    def killed(self) -> bool:
        """A property, the lint of outcomes or the language notices it."""
        return self.notice is not None and self.notice.strength is not Strength.GRAPH

    @property
    def survived(self) -> bool:
        """Nothing differs."""
        return self.notice is None

    def as_json(self) -> dict[str, object]:
        """One line of the campaign's file, and of `--json`."""
        notice = self.notice
        return {
            "schema": SCHEMA,
            "era": self.era,
            "mutation": self.mutation.id,
            "step": self.mutation.step,
            "slip": self.mutation.slip.value,
            "which": self.mutation.which,
            "fate": "survived" if notice is None else "killed" if self.killed else "unnoticed",
            "strength": None if notice is None else notice.strength.name.lower(),
            "killer": None if notice is None else notice.killer or None,
            "scenario": None if notice is None else notice.scenario or None,
            "how": None if notice is None else notice.how,
            "shown_in": self.shown_in or None,
            "taken": self.taken,
            "seconds": round(self.seconds, 3),
        }

    @classmethod
    def from_json(cls, raw: dict[str, object]) -> Judged:
        """The reverse of `as_json`; raises KeyError or ValueError for anything else."""
        notice = None
        if raw["strength"] is not None:
            strength = Strength[str(raw["strength"]).upper()]
            notice = Notice(strength, str(raw["scenario"] or ""), str(raw["killer"] or ""), str(raw["how"]))
        mutation = Mutation(str(raw["step"]), Slip(raw["slip"]), str(raw["which"]))
        seconds = raw["seconds"]
        if not isinstance(seconds, int | float):
            raise ValueError("seconds is no number")  # noqa: TRY004 - the caller skips whatever is damaged
        return cls(str(raw["era"]), mutation, notice, str(raw["shown_in"] or ""), bool(raw["taken"]), float(seconds))


# -- one mutant ------------------------------------------------------------------------------

_eras: dict[str, Era] = {}
"""The eras of the campaigns of this process; a user's own is found nowhere else."""


def _era(name: str) -> Era:
    return _eras.get(name) or find_era(name)


@cache
def baseline(era: str, scenario: str) -> Baseline:
    """The original in one scenario; made once per process, before the workers are forked."""
    return Baseline(_era(era), find_scenario(scenario), KILLERS)


@cache
def _gallery(era: str) -> Instance:
    return Instance(_era(era), GALLERY)


def smallest_first(era: str, scenarios: Sequence[str]) -> list[Baseline]:
    """The originals in these scenarios, those with few states first."""
    return sorted((baseline(era, scenario) for scenario in scenarios), key=lambda found: found.count)


def judge(era: str, mutation: Mutation, scenarios: Sequence[str], elsewhere: str = "", most: int = 0) -> Judged:
    """Try one mutant until a verdict changes: in some scenarios, by the lint, in others, and ``elsewhere``.

    Scenarios that do not show it at all cost next to nothing. What the first few or the lint notice is
    taken to no other; what no property notices there is tried in up to ``most`` scenarios that show it
    (0: in all), and then in ``elsewhere``, another era.
    """
    started = time.monotonic()
    shown_in = ""
    originals = smallest_first(era, scenarios)
    notice: Notice | None
    try:
        shown = _shown(originals, mutation)
        notice = _plainest(shown, FIRST)
        if notice is None or notice.strength is not Strength.VERDICT:
            notice = _in_outcomes(era, mutation) or notice
        if notice is not None and notice.strength is Strength.GRAPH:
            notice = _plainer(notice, _plainest(shown, most - FIRST if most else len(originals)))
    except MisuseError as refused:
        notice = Notice(Strength.OUTCOMES, "", LANGUAGE, str(refused).rpartition(f"{mutation.step}: ")[2])
    if elsewhere and (notice is None or notice.strength is Strength.GRAPH):
        there = _plainer(notice, _plainest(_shown(smallest_first(elsewhere, scenarios), mutation), len(scenarios)))
        if there is not notice:
            notice, shown_in = there, elsewhere
    taken = any(mutation.steps - original.untaken for original in originals)
    return Judged(era, mutation, notice, shown_in, taken, time.monotonic() - started)


@attrs.frozen
class Task:
    """One unit of work: the arguments of `judge`."""

    era: str
    mutation: Mutation
    scenarios: tuple[str, ...]
    elsewhere: str
    most: int

    def work(self) -> Judged:
        """Do it; in a worker process, or here."""
        return judge(self.era, self.mutation, self.scenarios, self.elsewhere, self.most)


def _shown(originals: Sequence[Baseline], mutation: Mutation) -> Iterator[Notice]:
    """How each scenario shows the mutant; those that do not are passed over."""
    return (notice for original in originals if (notice := original.notice(mutation)) is not None)


def _plainest(shown: Iterator[Notice], most: int) -> Notice | None:
    """The first change of a verdict among the next ``most``, else the plainest of them."""
    best: Notice | None = None
    for notice in islice(shown, most):
        best = _plainer(best, notice)
        if best is not None and best.strength is Strength.VERDICT:
            break
    return best


def _plainer(first: Notice | None, second: Notice | None) -> Notice | None:
    """The one of greater strength; the first of two that are alike."""
    if first is None or second is None:
        return first or second
    order = list(Strength)
    return second if order.index(second.strength) < order.index(first.strength) else first


def _in_outcomes(era: str, mutation: Mutation) -> Notice | None:
    if mutation.slip not in RESHAPING:
        return None
    changed = mutated(_gallery(era), mutation)
    for step in sorted(mutation.steps):
        found = faults_of(changed, only=step)
        if found:
            return Notice(Strength.OUTCOMES, GALLERY.id, OUTCOMES, str(found[0]))
    return None


# -- what was done before --------------------------------------------------------------------


def store_path() -> Path:
    """Where finished mutants are kept: in the folder of the cache."""
    return location() / "mutants.jsonl"


LEFT_OUT = frozenset(
    f"{name}.py"
    for name in ("diagrams", "manifest", "matching", "reading", "replay_tests", "survivors", "traces", "verdicts")
)
"""Modules of the spec that no mutant's fate depends on."""


def digest(era: Era, options: Sequence[str]) -> str:
    """What the fates of an era's mutants depend on: the engine's sources, the era's steps, the options."""
    spec = Path(oom_spec.__file__).parent
    sources = {path for path in spec.rglob("*.py") if path.parent.name != "eras" and path.name not in LEFT_OUT}
    sources |= {Path(step.function.__code__.co_filename) for step in era.steps}
    sources |= {Path(__file__), Path(outcomes.__file__), Path(encoding.__file__)}
    hashed = hashlib.sha256(repr((SCHEMA, era.id, [step.id for step in era.steps], list(options))).encode())
    for path in sorted(sources):
        hashed.update(path.name.encode() + b"\0" + path.read_bytes())
    return hashed.hexdigest()[:32]


def recall(path: Path, key: str) -> dict[str, Judged]:
    """The mutants finished under ``key``, by id; damaged lines are passed over."""
    found: dict[str, Judged] = {}
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        try:
            raw = json.loads(line)
            if raw["digest"] == key:
                judged = Judged.from_json(raw)
                found[judged.mutation.id] = judged
        except (ValueError, KeyError, TypeError):
            continue
    return found


def remember(path: Path, key: str, judged: Judged) -> None:
    """Add one line; a folder that cannot be written to costs the memory, not the campaign."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"digest": key, **judged.as_json()}) + "\n")
    except OSError:
        return


# -- a campaign ------------------------------------------------------------------------------


@attrs.define(eq=False)
class Campaign:
    """The mutants of one era."""

    era: Era
    scenarios: Sequence[Scenario] = tuple(SCENARIOS)
    """Those that start in mid-protocol are left out: their graphs are parts of others."""
    steps: Sequence[Step] | None = None
    """The steps to mutate; None: those that the era introduces."""
    only: Callable[[Mutation], bool] = lambda mutation: True
    elsewhere: str = ""
    """Another era in which every mutant that this one does not kill is tried; a recorded one goes before it."""
    most: int = MOST
    """Scenarios that show a mutant and are tried at most, the smallest first; 0: all."""
    jobs: int = 1
    deadline: float | None = None
    """A moment of `time.monotonic` at which to stop."""
    store: Path | None = None
    """Where finished mutants are kept; None: nowhere."""
    fresh: bool = False
    """Judge again what was finished before."""
    judged: dict[str, Judged] = attrs.field(factory=dict)
    """By id of the mutation."""

    def names(self) -> list[str]:
        """Ids of the scenarios that are tried."""
        return [scenario.id for scenario in self.scenarios if scenario.starts_after is None and not scenario.slow]

    def mutations(self) -> list[Mutation]:
        """All mutants asked for."""
        return [mutation for mutation in mutations(self.era, self.steps) if self.only(mutation)]

    @property
    def unfinished(self) -> list[Mutation]:
        """The mutants that were not judged."""
        return [mutation for mutation in self.mutations() if mutation.id not in self.judged]

    def run(self, progress: Progress = silent) -> None:
        """Judge every mutant, or as many as there is time for. An interrupt keeps what is done and is raised again."""
        _eras[self.era.id] = self.era
        names = self.names()
        asked = self.mutations()
        key = digest(self.era, [*names, self.elsewhere, str(self.most)])
        known = self._known(key, names)
        self.judged.update((m.id, known[m.id]) for m in asked if m.id in known)
        open_ones = [mutation for mutation in asked if mutation.id not in self.judged]
        if not open_ones:
            return
        for scenario in names:
            if self._late():
                return
            baseline(self.era.id, scenario)
            progress(len(self.judged), len(asked), f"{self.era.id} unchanged in {scenario}")
        gc.collect()
        gc.freeze()
        try:
            tasks = [Task(self.era.id, each, tuple(names), self._elsewhere(each), self.most) for each in open_ones]
            for judged in self._spread(tasks) if self.jobs > 1 else self._in_turn(tasks):
                self.judged[judged.mutation.id] = judged
                if self.store is not None:
                    remember(self.store, key, judged)
                progress(len(self.judged), len(asked), f"{self.era.id} {judged.mutation.step}")
        finally:
            gc.unfreeze()
            baseline.cache_clear()
            _gallery.cache_clear()

    def _known(self, key: str, names: Sequence[str]) -> dict[str, Judged]:
        """What was finished before; what some scenarios kill, all of them kill."""
        if self.store is None or self.fresh:
            return {}
        found = recall(self.store, key)
        if self.most == 0:
            quick = recall(self.store, digest(self.era, [*names, self.elsewhere, str(MOST)]))
            found = {name: judged for name, judged in quick.items() if judged.killed} | found
        return found

    def _late(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def _elsewhere(self, mutation: Mutation) -> str:
        """The other era to ask, if it has the very steps that are changed."""
        reason = reason_for(mutation.id, self.era.id)
        name = (reason.noticed_in if reason is not None else "") or self.elsewhere
        if not name:
            return ""
        here = {step for step in self.era.steps if step.id in mutation.steps}
        return name if here <= set(_era(name).steps) else ""

    def _in_turn(self, tasks: Sequence[Task]) -> Iterator[Judged]:
        for task in tasks:
            if self._late():
                return
            yield task.work()

    def _spread(self, tasks: Sequence[Task]) -> Iterator[Judged]:
        """In worker processes; a mutant whose worker dies is left unfinished."""
        with Pool(self.jobs, Task.work) as pool:
            for _, judged in pool.run({self.era.id: tasks}, self._late):
                if not isinstance(judged, Died):
                    yield judged

    # -- what to say of it -------------------------------------------------------------------

    def survivors(self) -> list[tuple[Judged, Reason | None]]:
        """What nothing notices, each with the recorded reason."""
        return [(each, reason_for(each.mutation.id, self.era.id)) for each in self.judged.values() if each.survived]

    def unexplained(self) -> list[Judged]:
        """The survivors for which no reason is recorded."""
        return [judged for judged, reason in self.survivors() if reason is None]

    def outdated(self) -> list[Judged]:
        """Mutants that are recorded by name as survivors, and that something kills in this era."""
        found = []
        for each in self.judged.values():
            reason = reason_for(each.mutation.id, self.era.id)
            if each.killed and not each.shown_in and reason is not None and reason.names(each.mutation.id):
                found.append(each)
        return found

    @property
    def status(self) -> int:
        """Exit status: 1 a survivor without a reason, or a recorded one that is killed; 3 unfinished; else 0."""
        if self.unexplained() or self.outdated():
            return 1
        return 3 if self.unfinished else 0
