"""What an implementation that left its era does instead: the era that it behaves like, and the race that it has.

A divergence says where an implementation and the specification of its era part. Other eras are tried in its
place, the nearest first: one with which it agrees in many runs is the era whose behaviour it shows. What that
era violates and its own does not is the race that is back; it is run on the implementation itself.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import attrs

from oom_conformance.interface import Implementation
from oom_conformance.lockstep import Divergence, Lockstep, Schedule
from oom_conformance.oracle import Oracle, oracle_of
from oom_spec.applicability import irrelevant, why_not
from oom_spec.eras import all_eras, find_era
from oom_spec.exploring import Exploration
from oom_spec.language import Era, Scenario, SpecError
from oom_spec.properties import PROPERTIES
from oom_spec.scenarios import find_scenario
from oom_spec.traces import releases

RUNS = 200
"""Random runs in which an era and the implementation must agree before they are said to."""
LONGEST = 200
"""Steps of such a run at most."""


@attrs.frozen(eq=False)
class Diagnosis:
    """What is said of a divergence."""

    divergence: Divergence
    behaves_as: tuple[str, ...]
    """Ids of the eras with which the implementation agreed in every run, the nearest first."""
    agreed: int
    """Steps in which they agreed."""
    races: Mapping[str, Schedule]
    """Properties that the implementation violates and its own era does not: a shortest run, made on it."""

    def lines(self) -> list[str]:
        """What a report says of it."""
        if not self.behaves_as:
            return ["it behaves like no era that is known"]
        first, *others = (releases(find_era(name)) for name in self.behaves_as)
        found = [f"it behaves as {first} does: {self.agreed} steps alike"]
        if others:
            found.append(f"in these it cannot be told from {', '.join(others)}")
        found += [
            f"it violates {name} ({_named(name)}) as that does, in {len(schedule)} steps"
            for name, schedule in self.races.items()
        ]
        return found


def _named(name: str) -> str:
    return next((each.name for each in PROPERTIES if each.id == name), name)


def nearest(era: Era) -> list[Era]:
    """Every other era, those fewest deltas away first."""
    links: dict[str, list[Era]] = {each.id: [] for each in all_eras()}
    for each in all_eras():
        if each.parent is not None:
            links[each.id].append(each.parent)
            links[each.parent.id].append(each)
    order: list[Era] = []
    pending = deque([era])
    met = {era.id}
    while pending:
        for other in links[pending.popleft().id]:
            if other.id not in met:
                met.add(other.id)
                order.append(other)
                pending.append(other)
    return order


@cache
def violated(era: Era, scenario: Scenario) -> Mapping[str, Schedule]:
    """The properties that an era violates in a scenario, each with a shortest run from the scenario's start."""
    oracle = oracle_of(era, scenario)
    subjects = [each for each in PROPERTIES if each.graph is None and not why_not(era, each)]
    exploration = Exploration(oracle.instance, subjects)
    return {
        name: tuple(action.id for action in exploration.run_to(finding.violated))
        for name, finding in exploration.findings.items()
        if finding.violated is not None
    }


def agrees(
    oracle: Oracle, implementation: Implementation, asked_for: str, runs: int = RUNS, seed: int = 0
) -> list[Schedule]:
    """Random runs, from the cold start, in which an implementation and an era agreed.

    Raises `Divergence` where they part.
    """
    pair = Lockstep(oracle, implementation, asked_for=asked_for)
    generator = random.Random(seed)
    found: list[Schedule] = []
    for _ in range(runs):
        node = pair.start()
        actor = ""
        for _ in range(LONGEST):
            if not node.by_actor:
                break
            choices = dict(node.by_actor)
            if actor not in choices or generator.random() < 0.3:  # else the same thread goes on
                actor = generator.choice(tuple(choices))
            node = pair.step(generator.choice(choices[actor]))
        found.append(tuple(pair.schedule))
    return found


def alike(one: Oracle, other: Oracle, runs: Sequence[Schedule]) -> bool:
    """Whether two eras offer and show the same all along some runs of the one."""
    for schedule in runs:
        node, beside = one.cold, other.cold
        for action in schedule:
            if node.names != beside.names or node.seen != beside.seen:
                return False
            node, beside = one.after(node, action), other.after(beside, action)
        if node.seen != beside.seen:
            return False
    return True


def allows(oracle: Oracle, schedule: Sequence[str]) -> bool:
    """Whether an era allows all of a schedule, up to where its scenario ends."""
    node = oracle.cold
    for action in schedule:
        if action not in node.names:
            return oracle.has_ended(node)
        node = oracle.after(node, action)
    return True


def diagnose(
    divergence: Divergence, make_implementation: Callable[[], Implementation], candidates: Sequence[Era] | None = None
) -> Diagnosis:
    """Find the era that an implementation behaves like, and the race that it shares with it.

    ``candidates``: eras to try; all others, the nearest first, unless said.
    """
    own = find_era(divergence.era)
    scenario = find_scenario(divergence.scenario)
    implementation = make_implementation()
    fitting = [
        oracle
        for era in (nearest(own) if candidates is None else candidates)
        if (oracle := _oracle(era, scenario)) is not None and allows(oracle, divergence.schedule)
    ]
    for number, oracle in enumerate(fitting):
        try:
            runs = agrees(oracle, implementation, own.id)
        except Divergence:
            continue
        others = [each.era.id for each in fitting[number + 1 :] if alike(oracle, each, runs)]
        agreed = sum(map(len, runs))
        return Diagnosis(divergence, (oracle.era.id, *others), agreed, _races(oracle, implementation, own))
    return Diagnosis(divergence, (), 0, {})


def _oracle(era: Era, scenario: Scenario) -> Oracle | None:
    if irrelevant(era, scenario):
        return None
    oracle = oracle_of(era, scenario)
    try:
        oracle.prefix  # noqa: B018 - asked for, because it may not be there
    except SpecError:  # no run of this era reaches the scenario's start
        return None
    return oracle


def _races(oracle: Oracle, implementation: Implementation, own: Era) -> dict[str, Schedule]:
    kept = violated(own, oracle.scenario) if not irrelevant(own, oracle.scenario) else {}
    found: dict[str, Schedule] = {}
    pair = Lockstep(oracle, implementation, asked_for=own.id)
    for name, schedule in violated(oracle.era, oracle.scenario).items():
        if name in kept:
            continue
        try:
            pair.start()
            for action in schedule:
                pair.step(action)
        except Divergence:  # it is like that era only most of the time
            continue
        if name in pair.broken:
            found[name] = schedule
    return found


__all__ = ["Diagnosis", "agrees", "diagnose", "nearest", "violated"]
