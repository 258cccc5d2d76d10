"""Test vectors: schedules of an era in a scenario with what must be seen, for a consumer that has no specification.

Allowed vectors together take every pair of steps that can follow one another, and every shortest race of
the era. A forbidden vector ends where a race of another era goes on and this one must not, or where a
guard alone keeps an actor from a step that it stands at. `vector_formats` writes and reads them; `play`
runs an implementation against them, without asking the specification anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from itertools import islice
from typing import Any

import attrs

from oom_conformance.covering import Covering
from oom_conformance.interface import Implementation, ImplementationError, Value
from oom_conformance.lockstep import Difference, Divergence, Kind
from oom_conformance.oracle import Node, Oracle, oracle_of
from oom_conformance.worlds import describe
from oom_spec.eras import all_eras
from oom_spec.exploring import Exploration, Hit
from oom_spec.language import Era, Scenario, SpecError
from oom_spec.language.errors import Disabled

ASKED = 1_000
"""States in which every action is asked for the guard that forbids it."""

Tell = Callable[[int, int, str], None]
"""Told of progress: done, of how many, and a few words."""


def _silent(done: int, total: int, text: str) -> None:
    pass


# -- what a vector is ------------------------------------------------------------------------------


@attrs.frozen
class Taken:
    """One action of a schedule, with what must be true after it."""

    action: str
    changes: Mapping[str, Value]
    """What is then observed to be another value than before, by name."""
    runnable: tuple[str, ...]
    """Every action that can be taken then, sorted."""
    ended: bool = False
    """The scenario looks no further: what an implementation could do then is not compared."""


@attrs.frozen
class Breach:
    """A property that the schedule of an allowed vector breaks: the era allows the race."""

    property: str
    after: int
    """How many actions of the schedule, prefix included, break it for the first time."""


@attrs.frozen
class Race:
    """A property that breaks if an implementation goes where the era must not."""

    property: str
    eras: tuple[str, ...]
    """Ids of eras that go there, and break it."""
    rest: tuple[str, ...]
    """How the shortest race of the first of them goes on from there."""


@attrs.frozen
class Refused:
    """What must not happen at the end of a forbidden vector's schedule."""

    action: str
    """The action that must not be offered; or the last of the schedule, where `shows` is not empty."""
    why: str
    """The guard that forbids it."""
    shows: Mapping[str, Value]
    """Values that must not be observed after the action; empty where the action itself is forbidden."""
    races: tuple[Race, ...] = ()
    """What is known to break; empty where no other era goes there."""


@attrs.frozen
class Vector:
    """A schedule from the cold start."""

    id: str
    prefix: int
    """How many of the first actions only lead to where the scenario starts."""
    steps: tuple[Taken, ...]
    breaks: tuple[Breach, ...] = ()
    """What an allowed vector breaks, in the order in which it does."""
    refused: Refused | None = None
    """None: an allowed vector."""

    @property
    def schedule(self) -> tuple[str, ...]:
        """The actions alone."""
        return tuple(taken.action for taken in self.steps)


@attrs.frozen
class Vectors:
    """Everything that is known of an era in a scenario."""

    era: str
    aliases: tuple[str, ...]
    scenario: str
    world: Mapping[str, Any]
    """As `oom_conformance.worlds.describe` gives it."""
    names: tuple[str, ...]
    """Everything that is observed."""
    seen: tuple[Value, ...]
    """The values of `names` at the cold start."""
    runnable: tuple[str, ...]
    """Every action that can be taken at the cold start, sorted."""
    pairs: int
    """How many pairs of steps can follow one another; the allowed vectors take each of them."""
    vectors: tuple[Vector, ...]

    @property
    def allowed(self) -> tuple[Vector, ...]:
        """The allowed ones."""
        return tuple(each for each in self.vectors if each.refused is None)

    @property
    def forbidden(self) -> tuple[Vector, ...]:
        """The forbidden ones."""
        return tuple(each for each in self.vectors if each.refused is not None)


# -- races of other eras ---------------------------------------------------------------------------


@attrs.frozen
class Found:
    """A shortest race of an era: the whole schedule from the cold start."""

    era: str
    property: str
    schedule: tuple[str, ...]


class Races:
    """The shortest races of eras in scenarios, each looked for once."""

    def __init__(self, eras: Sequence[Era] | None = None) -> None:
        """``eras``: where to look for races that another era must not show; every era, unless said."""
        self.eras = tuple(all_eras() if eras is None else eras)
        self._known: dict[tuple[str, str], tuple[Found, ...]] = {}

    def of(self, era: Era, scenario: Scenario) -> tuple[Found, ...]:
        """The shortest run to each property that the era violates here; none where the scenario cannot start."""
        key = (era.id, scenario.id)
        if key not in self._known:
            oracle = oracle_of(era, scenario)
            try:
                self._known[key] = races_in(Exploration(oracle.instance, oracle.subjects), oracle)
            except SpecError:  # it does not get to where the scenario starts
                self._known[key] = ()
        return self._known[key]

    def note(self, era: Era, scenario: Scenario, found: tuple[Found, ...]) -> None:
        """What is known already."""
        self._known[era.id, scenario.id] = found


def races_in(exploration: Exploration, oracle: Oracle) -> tuple[Found, ...]:
    """The shortest run to each property that an exploration found violated, the shortest first."""
    hits = [(name, each.violated) for name, each in exploration.findings.items() if each.violated is not None]
    return tuple(
        Found(oracle.era.id, name, (*oracle.prefix, *(action.id for action in exploration.run_to(hit))))
        for name, hit in sorted(hits, key=lambda pair: pair[1].depth)
    )


# -- building --------------------------------------------------------------------------------------


def build(
    era: Era, scenario: Scenario, races: Races | None = None, *, forbidden: bool = True, tell: Tell = _silent
) -> Vectors:
    """The vectors of an era in a scenario; ``races`` remembers between calls what other eras do.

    Raises `SpecError` where the era does not get to where the scenario starts, or has too many states.
    """
    oracle = oracle_of(era, scenario)
    known = races or Races()
    tell(0, 1, "exploring")
    exploration = Exploration(oracle.instance, oracle.subjects, keep_edges=True)
    if exploration.truncated or exploration.edges is None:
        raise SpecError(f"{era.id} in {scenario.id} has more than {exploration.most} states: choose a smaller scenario")
    own = races_in(exploration, oracle)
    known.note(era, scenario, own)
    pairs, schedules = _covering(exploration, oracle, own, tell)
    vectors = [
        _allowed(oracle, f"allowed-{number:03}", (*oracle.prefix, *each)) for number, each in enumerate(schedules, 1)
    ]
    if forbidden:
        refusals = _refusals(oracle, known, tell)
        refusals += _near_misses(exploration, oracle, {(refused.action, refused.why) for _, refused in refusals})
        vectors += [
            _forbidden(oracle, f"forbidden-{number:03}", schedule, refused)
            for number, (schedule, refused) in enumerate(refusals, 1)
        ]
    return Vectors(
        era=era.id,
        aliases=tuple(era.aliases),
        scenario=scenario.id,
        world=describe(scenario),
        names=tuple(oracle.names),
        seen=tuple(oracle.cold.seen),
        runnable=tuple(sorted(oracle.cold.names)),
        pairs=pairs,
        vectors=tuple(vectors),
    )


def _covering(
    exploration: Exploration, oracle: Oracle, own: Sequence[Found], tell: Tell
) -> tuple[int, list[tuple[str, ...]]]:
    """How many pairs there are, and the schedules from the scenario's start that take them and show the era's races."""
    assert exploration.edges is not None
    steps: dict[str, int] = {}
    paths = exploration.instance.paths
    labels = [steps.setdefault(path.action.step.id, len(steps)) for path in paths]
    covering = Covering(next(iter(exploration.parents)), exploration.edges, labels)
    openings: dict[tuple[int, ...], None] = {}
    for each in own:
        hit = exploration.findings[each.property].violated
        assert hit is not None
        openings[tuple(exploration.path_numbers(hit))] = None
    longest = [one for one in openings if not any(other[: len(one)] == one and other != one for other in openings)]
    walks = covering.walks(longest, lambda done, total: tell(done, total, f"{oracle.era.id} {oracle.scenario.id}"))
    return len(covering.pairs), [tuple(paths[number].action.id for number in walk) for walk in walks]


def _taken(oracle: Oracle, before: Node, action: str) -> tuple[Node, Taken]:
    node = oracle.after(before, action)
    changes = {name: new for name, old, new in zip(oracle.names, before.seen, node.seen, strict=True) if old != new}
    return node, Taken(action, changes, tuple(sorted(node.names)), oracle.has_ended(node))


def _allowed(oracle: Oracle, name: str, schedule: Sequence[str]) -> Vector:
    steps: list[Taken] = []
    broken: dict[str, int] = dict.fromkeys(oracle.cold.broken, 0)
    node = oracle.cold
    for number, action in enumerate(schedule, 1):
        before = node
        node, taken = _taken(oracle, before, action)
        steps.append(taken)
        for each in (*oracle.broken_by(before, action), *node.broken):
            broken.setdefault(each, number)
    return Vector(name, len(oracle.prefix), tuple(steps), tuple(Breach(*each) for each in broken.items()))


def _forbidden(oracle: Oracle, name: str, schedule: Sequence[str], refused: Refused) -> Vector:
    allowed = _allowed(oracle, name, schedule)
    return attrs.evolve(allowed, prefix=min(allowed.prefix, len(schedule)), refused=refused)


def _refusals(oracle: Oracle, races: Races, tell: Tell) -> list[tuple[tuple[str, ...], Refused]]:
    """Schedules, each with what must not follow; one for each thing that is refused for one reason."""
    shortest: dict[tuple[object, ...], tuple[tuple[str, ...], Refused]] = {}
    others = [each for each in races.eras if each.id != oracle.era.id]
    for done, other in enumerate(others):
        tell(done, len(others), f"{oracle.era.id} {oracle.scenario.id}, races of {other.id}")
        for found in races.of(other, oracle.scenario):
            met = _first_refusal(oracle, oracle_of(other, oracle.scenario), found)
            if met is None:
                continue
            schedule, refused = met
            key = (refused.action, refused.why, tuple(sorted(refused.shows.items())), found.property)
            kept = shortest.get(key)
            if kept is not None:
                schedule, refused = min(kept, met, key=lambda pair: len(pair[0]))
                eras = tuple(dict.fromkeys((*kept[1].races[0].eras, *met[1].races[0].eras)))
                first = refused.races[0].eras[0]
                eras = (first, *(each for each in eras if each != first))
                refused = attrs.evolve(refused, races=(attrs.evolve(refused.races[0], eras=eras),))
            shortest[key] = (schedule, refused)
    merged: dict[tuple[object, ...], tuple[tuple[str, ...], Refused]] = {}
    for schedule, refused in shortest.values():
        place = (schedule, refused.action, tuple(sorted(refused.shows.items())))
        before = merged[place][1].races if place in merged else ()
        merged[place] = schedule, attrs.evolve(refused, races=(*before, *refused.races))
    return sorted(merged.values(), key=lambda pair: (len(pair[0]), pair[0], pair[1].action))


def _first_refusal(oracle: Oracle, other: Oracle, found: Found) -> tuple[tuple[str, ...], Refused] | None:
    """Where a race of another era leaves this one; None where it does not before the scenario looks no further."""
    mine, theirs = oracle.cold, other.cold
    for number, action in enumerate(found.schedule):
        race = Race(found.property, (found.era,), found.schedule[number + 1 :])
        if action not in mine.names:
            if oracle.has_ended(mine):
                return None
            return found.schedule[:number], Refused(action, oracle.why_not(mine, action), {}, (race,))
        mine, theirs = oracle.after(mine, action), other.after(theirs, action)
        if mine.seen != theirs.seen:
            pairs = zip(oracle.names, mine.seen, theirs.seen, strict=True)
            shows = {name: new for name, old, new in pairs if old != new}
            why = f"in {oracle.era.id} the step has another effect"
            return found.schedule[: number + 1], Refused(action, why, shows, (race,))
    return None


def _near_misses(
    exploration: Exploration, oracle: Oracle, known: set[tuple[str, str]]
) -> list[tuple[tuple[str, ...], Refused]]:
    """For each step and each guard, a shortest schedule after which the guard alone forbids the step to its actor.

    Only steps that the era takes elsewhere in this world, and only the `ASKED` states nearest to the start.
    """
    found: dict[tuple[str, str], tuple[tuple[str, ...], Refused]] = {}
    run = oracle.instance.concrete.run
    for state in islice(exploration.parents, ASKED):
        node = oracle.node(state)
        if oracle.has_ended(node):
            continue
        plain = oracle.packing.unpack(state)
        for action in oracle.actions.values():
            if action.id in node.names:
                continue
            try:
                run(action.step, action.arguments, plain)
            except Disabled as refusal:
                if not isinstance(refusal.guard, Enum) or (action.step.id, refusal.guard.name) in found:
                    continue
                why = oracle.why_not(node, action.id)
                if (action.id, why) not in known:
                    way = exploration.run_to(Hit(0, state, None, None))
                    schedule = (*oracle.prefix, *(each.id for each in way))
                    found[action.step.id, refusal.guard.name] = schedule, Refused(action.id, why, {}, ())
    return list(found.values())


# -- playing ---------------------------------------------------------------------------------------


@attrs.frozen
class Played:
    """How an implementation did."""

    vectors: int
    """How many were played, the one with the difference included."""
    steps: int
    difference: Divergence | None = None
    """The first difference; None: it conforms to all of them."""
    vector: str = ""
    """The id of the vector in which it differs."""


def play(vectors: Vectors, implementation: Implementation) -> Played:
    """Run every vector with an implementation, up to the first difference.

    Raises `SpecError` where the implementation says that it does not know the era or the scenario.
    """
    player = _Player(vectors, implementation)
    steps = 0
    for number, vector in enumerate(vectors.vectors, 1):
        try:
            player.play(vector)
        except Divergence as difference:
            return Played(number, steps + len(player.schedule), difference, vector.id)
        steps += len(player.schedule)
    return Played(len(vectors.vectors), steps)


class _Player:
    """One implementation against one file."""

    def __init__(self, vectors: Vectors, implementation: Implementation) -> None:
        self.vectors = vectors
        self.implementation = implementation
        self.schedule: list[str] = []
        self.broken: list[str] = []
        able = implementation.capabilities()
        for what, wanted, known in (
            ("era", vectors.era, able.eras),
            ("scenario", vectors.scenario, able.scenarios),
        ):
            if known is not None and wanted not in known:
                raise SpecError(f"{able.name} does not know the {what} {wanted}: play vectors of {', '.join(known)}")
        kinds = {str(made["name"]): str(made["kind"]) for made in vectors.world["objects"]}
        owners = {name: name.rpartition(".")[0] for name in vectors.names}
        self.claimed = {
            name
            for name, owner in owners.items()
            if able.observes is None or f"{kinds.get(owner, 'World')}.{name.rpartition('.')[2]}" in able.observes
        }

    def play(self, vector: Vector) -> None:
        """Raises `Divergence`."""
        vectors = self.vectors
        self.schedule = []
        self.broken = []
        names = tuple(self._call("reset", lambda: self.implementation.reset(vectors.era, vectors.world)))
        missing, unknown = sorted(self.claimed - {*names}), sorted({*names} - {*vectors.names})
        if missing or unknown:
            said = f"does not report {', '.join(missing)}" if missing else f"reports {', '.join(unknown)}, unknown here"
            raise self._differs(Kind.BROKEN, message=f"reset: {said}")
        expected = dict(zip(vectors.names, vectors.seen, strict=True))
        self._compare(names, expected, vectors.runnable, False, None if vector.steps else vector.refused)
        for number, taken in enumerate(vector.steps, 1):
            self.schedule.append(taken.action)
            self.broken = [each.property for each in vector.breaks if each.after <= number]
            self._call(f"run {taken.action}", lambda action=taken.action: self.implementation.run(action))  # type: ignore[misc]
            expected.update(taken.changes)
            last = number == len(vector.steps)
            self._compare(names, expected, taken.runnable, taken.ended, vector.refused if last else None)
            self._ask_for_reports()

    def _ask_for_reports(self) -> None:
        """Its own checks may find a fault where the specification knows of no race."""
        reports = getattr(self.implementation, "reports", None)
        if callable(reports) and not self.broken:
            said = self._call("reports", reports)
            if said:
                raise self._differs(Kind.REPORT, message="; ".join(map(str, said)))

    def _compare(
        self,
        names: Sequence[str],
        expected: Mapping[str, Value],
        runnable: Sequence[str],
        ended: bool,
        refused: Refused | None,
    ) -> None:
        seen = tuple(self._call("observe", self.implementation.observe))
        offered = {*self._call("runnable", self.implementation.runnable)}
        if len(seen) != len(names):
            said = f"observe: reports {len(seen)} values, not the {len(names)} that reset named"
            raise self._differs(Kind.BROKEN, message=said)
        if refused is not None and not refused.shows and refused.action in offered:
            raise self._differs(Kind.FORBIDDEN, actions=(refused.action,), reasons=(told(refused),))
        differences = tuple(
            Difference(name, expected[name], value)
            for name, value in zip(names, seen, strict=True)
            if (type(value), value) != (type(expected[name]), expected[name])
        )
        if differences:
            shown = refused is not None and any(refused.shows.get(each.name) == each.seen for each in differences)
            message = told(refused) if shown and refused is not None else ""
            raise self._differs(Kind.OBSERVATION, differences=differences, message=message)
        if ended or offered == {*runnable}:
            return
        extra = tuple(sorted(offered - {*runnable}))
        if extra:
            raise self._differs(Kind.FORBIDDEN, actions=extra)
        raise self._differs(Kind.MISSING, actions=tuple(sorted({*runnable} - offered)))

    def _call(self, what: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as problem:  # whatever an implementation raises is its own fault, and reported as such
            said = str(problem) if isinstance(problem, ImplementationError) else f"{type(problem).__name__}: {problem}"
            raise self._differs(Kind.BROKEN, message=f"{what}: {said}") from problem

    def _differs(self, kind: Kind, **facts: Any) -> Divergence:
        vectors = self.vectors
        return Divergence(kind, vectors.era, vectors.scenario, tuple(self.schedule), broken=tuple(self.broken), **facts)


def told(refused: Refused) -> str:
    """Why something is forbidden, and what it breaks, in one line."""
    races = "; ".join(f"a race of {each.eras[0]} that breaks {each.property} goes on so" for each in refused.races)
    return f"{refused.why}; {races}" if races else refused.why


__all__ = [
    "Breach", "Found", "Played", "Race", "Races", "Refused", "Taken", "Vector", "Vectors", "build", "play", "races_in",
    "told",
]  # fmt: skip
