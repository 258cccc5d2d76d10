"""Which slip makes an era violate a property: recorded in violated_by.toml, and looked for where nothing is recorded.

What is recorded is only where to look: each time the mutant is made and explored again, up to the first
violation. Nothing is believed because it is written there.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from importlib.resources import files

import attrs

from oom_spec import exploring
from oom_spec.eras import all_eras
from oom_spec.exploring import Exploration
from oom_spec.instances import GroundPath, Instance
from oom_spec.language import terms
from oom_spec.language.eras import Era
from oom_spec.language.errors import MisuseError, SpecError
from oom_spec.language.properties import Property
from oom_spec.language.scenarios import Scenario
from oom_spec.language.steps import Step
from oom_spec.language.terms import Op, Term
from oom_spec.lifting import Event, Path, declaration_of
from oom_spec.mutating import Mutation, Slip, mutated, mutations, retold, transplanted, transplants
from oom_spec.noticing import Baseline
from oom_spec.reporting import Progress, silent
from oom_spec.scenarios.gallery import GALLERY
from oom_spec.unbounded.opening import object_of, open_condition, open_formula

SCHEMA = 1
MOST_STATES = 40_000
"""States of a mutant that are looked at in a search: a slip that shows later than this is not found."""


@attrs.frozen
class Hint:
    """A mutant that has violated a property."""

    property: str
    mutation: Mutation
    scenario: str
    eras: tuple[str, ...]
    """Ids of the eras in which it was looked for and did; another that has the step may be tried too."""


@attrs.frozen
class Violation:
    """A mutant that violates a property: the model has states in which the property is false."""

    mutation: Mutation
    scenario: str
    depth: int
    """Steps of the shortest violating run."""


# -- one mutant ------------------------------------------------------------------------------


def violations(
    base: Instance, mutation: Mutation, subjects: Sequence[Property], most: int = MOST_STATES
) -> dict[str, Violation]:
    """What a mutant of ``base`` violates among ``subjects``, by the property's id; nothing if it cannot be made.

    No excuse counts as a violation that is excused.
    """
    try:
        mutant = mutated(base, mutation)
    except MisuseError:  # the language refuses the step
        return {}
    found = Exploration(mutant, subjects, most=most, first_only=True).findings
    return {
        name: Violation(mutation, base.scenario.id, finding.violated.depth)
        for name, finding in found.items()
        if finding.violated is not None
    }


def is_truism(era: Era, subject: Property) -> bool:
    """Whether the formula of ``subject``, excuse included, is plainly true of every state: then no slip can break it.

    A look at the formula, not at what can happen; it may overlook a truism that is less plain. A property of an event
    is asked of the arguments that steps of ``era`` announce, and of those with one exchanged.
    """
    if subject.event is None:
        return open_formula(subject.whole, subject.over) is terms.TRUE
    instance = Instance(era, GALLERY)
    told = [m for m in retold(instance, era.steps) if m.which.split()[0] == subject.event.name]
    paths = [*instance.lifted, *(pair for mutation in told for pair in mutated(instance, mutation).lifted)]
    events = [event for _, path in paths for event in path.events if event.event is subject.event]
    return all(open_condition(subject.whole, given) is terms.TRUE for given in {_opened(event) for event in events})


def _opened(event: Event) -> tuple[object, ...]:
    """The arguments of an event with any object for each that it names."""
    kinds = {name: kind for kind, names in GALLERY.structure().objects.items() for name in names}
    return tuple(
        object_of(kinds[argument], f"{kinds[argument]}{number}") if isinstance(argument, str) else argument
        for number, argument in enumerate(event.arguments, 1)
    )


# -- what is recorded ------------------------------------------------------------------------


@cache
def hints() -> tuple[Hint, ...]:
    """Everything recorded.

    Raises `SpecError` where the file is damaged.
    """
    return read(files("oom_spec").joinpath("violated_by.toml").read_text("utf-8"))


def read(text: str) -> tuple[Hint, ...]:
    """The hints in ``text``, which is TOML. Raises `SpecError` where it is damaged."""
    try:
        raw = tomllib.loads(text)
        if raw["schema"] != SCHEMA:
            raise SpecError(f"violated_by.toml has schema {raw['schema']}, not {SCHEMA}: reinstall oomspec")
        return tuple(
            Hint(
                str(entry["property"]),
                Mutation(str(entry["step"]), Slip(entry["slip"]), str(entry["which"])),
                str(entry["scenario"]),
                tuple(map(str, entry["eras"])),
            )
            for entry in raw.get("violation", ())
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as damage:
        raise SpecError(f"violated_by.toml is damaged ({damage}); reinstall oomspec") from damage


HEAD = """\
# For each property and era one mutant that violates it, so that what is proved is known to be no truism.
# Written by `make violations`. Only a hint where to look: each is made and explored again whenever it is needed.
"""


def as_toml(found: Iterable[Hint]) -> str:
    """Hints in the form of the file, sorted."""
    lines = [HEAD, f"schema = {SCHEMA}"]
    for hint in sorted(found, key=lambda each: (each.property, each.scenario, each.mutation.id)):
        mutation = hint.mutation
        lines += [
            "",
            "[[violation]]",
            f'property = "{hint.property}"',
            f'step = "{mutation.step}"',
            f'slip = "{mutation.slip.value}"',
            f'which = "{mutation.which}"',
            f'scenario = "{hint.scenario}"',
            f"eras = [{', '.join(f'{chr(34)}{era}{chr(34)}' for era in hint.eras)}]",
        ]
    return "\n".join(lines) + "\n"


def with_found(known: Iterable[Hint], era: str, found: Mapping[str, Violation | None]) -> list[Hint]:
    """``known``, brought in line with what was ``found`` for the properties of one era: None takes a hint away."""
    by_key: dict[tuple[str, Mutation, str], tuple[str, ...]] = {}
    for hint in known:
        stays = tuple(each for each in hint.eras if each != era or hint.property not in found)
        by_key[hint.property, hint.mutation, hint.scenario] = stays
    for name, violation in found.items():
        if violation is not None:
            key = name, violation.mutation, violation.scenario
            by_key[key] = (*by_key.get(key, ()), era)
    order = [each.id for each in all_eras()]
    return [
        Hint(*key, tuple(sorted(eras, key=lambda each: order.index(each) if each in order else len(order))))
        for key, eras in by_key.items()
        if eras
    ]


# -- one era ---------------------------------------------------------------------------------


class Violator:
    """Finds mutants of an era that violate properties: the recorded ones first, then all, the smallest worlds first."""

    def __init__(
        self, era: Era, scenarios: Sequence[Scenario], known: Sequence[Hint], steps: Sequence[Step] | None = None
    ) -> None:
        """``steps``: those to mutate where nothing recorded does; all of the era, unless said."""
        self.era = era
        self.scenarios = {scenario.id: scenario for scenario in scenarios}
        self.known = known
        self.steps = era.steps if steps is None else steps
        self._instances: dict[str, Instance] = {}
        self._tested: dict[tuple[str, Property], bool] = {}
        self._baselines: dict[tuple[str, ...], Baseline] = {}

    def recorded(self, subject: Property) -> Violation | None:
        """What a recorded mutant of this era, or else one of another era that has its steps, still violates."""
        steps = {declared.id for declared in self.era.steps}
        fitting = [
            hint
            for hint in self.known
            if hint.property == subject.id
            and hint.scenario in self.scenarios
            and (hint.mutation.slip is Slip.FUNCTION_OF or hint.mutation.steps <= steps)
        ]
        for hint in sorted(fitting, key=lambda each: (self.era.id not in each.eras, -len(each.eras))):
            base = Instance(self.era, self.scenarios[hint.scenario])
            found = violations(base, hint.mutation, [subject], exploring.MOST_STATES).get(subject.id)
            if found is not None:
                return found
        return None

    def search(
        self,
        subjects: Sequence[Property],
        progress: Progress = silent,
        deadline: float | None = None,
    ) -> tuple[dict[str, Violation], bool]:
        """Try mutants in the scenarios until each of ``subjects`` is violated.

        Scenarios that put them to the test go first, those with few paths before others, and slips in steps that they
        hang on; before all others are tried, a kernel function is put in as another era has it, if one of its steps
        assigns what they read or announces what they speak of. ``deadline`` is a moment of `time.monotonic`. Also says
        whether all was tried that had to be.
        """
        found: dict[str, Violation] = {}
        names = sorted(self.scenarios, key=lambda name: len(self._instance(name).paths)) if subjects else []
        total = len(ROUNDS) * len(names)
        for turn, (whole, tested, touching) in enumerate(ROUNDS):
            for number, name in enumerate(names):
                left = [subject for subject in subjects if subject.id not in found]
                if not left:
                    return found, True
                progress(turn * len(names) + number, total, f"{self.era.id} {len(left)} left, {name}")
                if _late(deadline):
                    return found, False
                if tested is not any(self._tests(name, subject) for subject in left):
                    continue
                touched = touched_by(self._instance(name), left)
                for mutation in self._shown(name, subjects, whole):
                    if _late(deadline):
                        return found, False
                    if not left or (not whole and touching is mutation.steps.isdisjoint(touched)):
                        continue
                    found |= violations(self._instance(name), mutation, left)
                    left = [subject for subject in left if subject.id not in found]
        return found, True

    def _instance(self, name: str) -> Instance:
        if name not in self._instances:
            self._instances[name] = Instance(self.era, self.scenarios[name])
        return self._instances[name]

    def _tests(self, name: str, subject: Property) -> bool:
        """Whether the original puts ``subject`` to the test in a scenario."""
        key = name, subject
        if key not in self._tested:
            finding = Exploration(self._instance(name), [subject]).findings[subject.id]
            self._tested[key] = finding.reached is not None
        return self._tested[key]

    def _shown(self, name: str, subjects: Sequence[Property], whole: bool) -> Iterator[Mutation]:
        """The slips, or the transplants, that change the graph of a scenario; others violate what the original does."""
        key = name, *(subject.id for subject in subjects)
        if key not in self._baselines:  # the last one only is kept: it is large
            self._baselines = {key: Baseline(self.era, self.scenarios[name], subjects)}
        original = self._baselines[key]
        base = original.instance
        every = transplants(self.era) if whole else [*retold(base, self.steps), *mutations(self.era, self.steps)]
        read, events = _spoken_of(base, subjects)
        for mutation in every:
            changed = transplanted(base, mutation) if whole else mutation.steps
            try:
                mutant = mutated(base, mutation)
                if whole and not any(_near(path, read, events) for a, path in mutant.lifted if a.step.id in changed):
                    continue
                if original.shows(mutant, changed):
                    yield mutation
            except MisuseError:  # the language refuses the step
                continue


def _late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


ROUNDS = (
    (False, True, True),
    (True, True, True),
    (False, True, False),
    (False, False, True),
    (False, False, False),
)
"""What a search tries, in this order: (whole functions, scenarios that test the property, steps that it hangs on)."""


def touched_by(instance: Instance, subjects: Sequence[Property]) -> set[str]:
    """Ids of the steps that some of ``subjects`` hang on.

    They assign what it reads or announce what it speaks of, or assign what such a step reads.
    """
    read, events = _spoken_of(instance, subjects)
    near = [path for path in instance.paths if _near(path, read, events)]
    for path in near:
        read |= _reads(path.condition, *path.updates.values())
    return {path.action.step.id for path in instance.paths if path in near or _near(path, read, set())}


def _spoken_of(instance: Instance, subjects: Sequence[Property]) -> tuple[set[str], set[Enum]]:
    """The fields that the formulas of properties read, and their events."""
    read: set[str] = set()
    for subject in subjects:
        checks = (
            instance.invariants(subject)
            if subject.event is None
            else [check for several in instance.obligations(subject).values() for check in several]
        )
        for check in checks:
            read |= _reads(check.when, check.holds, check.excused)
    return read, {subject.event for subject in subjects if subject.event is not None}


def _near(path: Path | GroundPath, read: set[str], events: set[Enum]) -> bool:
    """Whether a path assigns one of the fields, or announces one of the events."""
    return any(name in read for name, _ in path.updates) or any(event.event in events for event in path.events)


def _reads(*several: Term) -> set[str]:
    """The fields that terms read, program counters left out: each step assigns one."""
    found = {str(leaf.payload) for term in several for leaf in terms.leaves(term, Op.FIELD)}
    return {name for name in found if not declaration_of(name).program_counter}


__all__ = [
    "Hint",
    "Violation",
    "Violator",
    "as_toml",
    "hints",
    "is_truism",
    "read",
    "touched_by",
    "violations",
    "with_found",
]
