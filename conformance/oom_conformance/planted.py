"""Races put back: for every race of the matrix an implementation that has it, which the suite must catch and name.

A race is a property that an era violates. Put back means: the reference implementation of the nearest era that
does not violate it, with the code of the era that does. What the suite reports must be a divergence from the
repaired era, and name the era whose behaviour is back and the property that it breaks.
"""

from __future__ import annotations

import time

import attrs

from oom_conformance.diagnosing import Diagnosis, agrees, diagnose, nearest
from oom_conformance.lockstep import Divergence, Lockstep
from oom_conformance.oracle import oracle_of
from oom_conformance.reference import Reference
from oom_conformance.reference.releases import RELEASES
from oom_conformance.walking import walk_everything
from oom_spec.applicability import irrelevant
from oom_spec.eras import all_eras, find_era
from oom_spec.manifest import load
from oom_spec.properties import PROPERTIES
from oom_spec.scenarios import SCENARIOS, find_scenario
from oom_spec.verdicts import Word


@attrs.frozen
class Plant:
    """One implementation with the code of another era, and the races that it must be reported for."""

    era: str
    """The era that it claims to be."""
    behaves_as: str
    scenario: str
    properties: tuple[str, ...]

    @property
    def id(self) -> str:
        """``E7 as E6b in memory-kinds``"""
        return f"{self.era} as {self.behaves_as} in {self.scenario}"

    def make(self) -> Reference:
        """The implementation."""
        return Reference({self.era: RELEASES[self.behaves_as]})


@attrs.frozen(eq=False)
class Caught:
    """What the suite said of a plant."""

    plant: Plant
    diagnosis: Diagnosis | None
    """None: it was not noticed."""
    seconds: float

    @property
    def missing(self) -> list[str]:
        """What should have been said and was not; empty where the plant was caught and named."""
        if self.diagnosis is None:
            return ["not caught"]
        found = []
        if self.plant.behaves_as not in self.diagnosis.behaves_as:
            found.append(f"taken for {', '.join(self.diagnosis.behaves_as) or 'no era'}")
        found += [f"{name} not named" for name in self.plant.properties if name not in self.diagnosis.races]
        return found


def plants() -> list[Plant]:
    """One plant per race, races that share era, code and scenario in one. The manifest says which races there are.

    Races that every era has are left out; so are those of questions about the whole graph, which no run can show.
    """
    cells, _ = load()
    graph = {each.id for each in PROPERTIES if each.graph is not None}
    sizes = {scenario.id: (scenario.slow, len(scenario.objects)) for scenario in SCENARIOS}
    found: dict[tuple[str, str, str], list[str]] = {}
    for (bad, name), cell in cells.items():
        if cell.word is not Word.VIOLATED or name in graph:
            continue
        for era in nearest(find_era(bad)):
            other = cells.get((era.id, name))
            if other is None or other.word in (Word.VIOLATED, Word.NOT_APPLICABLE):
                continue
            shared = [
                each
                for each in cell.violated_in
                if not sizes[each][0]
                and not irrelevant(era, find_scenario(each))
                and find_scenario(each).starts_after is None
            ]
            if shared:
                scenario = min(shared, key=lambda each: (sizes[each], cell.violated_in[each], each))
                found.setdefault((era.id, bad, scenario), []).append(name)
                break
    order = [each.id for each in all_eras()]
    return [
        Plant(*key, tuple(sorted(names)))
        for key, names in sorted(found.items(), key=lambda each: (order.index(each[0][1]), each[0]))
    ]


def check(plant: Plant) -> Caught:
    """Look for the divergence, and ask what it means."""
    started = time.monotonic()
    oracle = oracle_of(find_era(plant.era), find_scenario(plant.scenario))
    try:
        agrees(oracle, plant.make(), plant.era)
        walk_everything(Lockstep(oracle, plant.make()))
    except Divergence as divergence:
        diagnosis = diagnose(divergence, plant.make)
        return Caught(plant, diagnosis, time.monotonic() - started)
    return Caught(plant, None, time.monotonic() - started)


__all__ = ["Caught", "Plant", "check", "plants"]
