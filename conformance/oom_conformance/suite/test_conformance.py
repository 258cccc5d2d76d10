"""An implementation against the specification: in lockstep, and through the races of its era."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from oom_conformance.plugin import Session, chosen
from oom_spec.applicability import irrelevant
from oom_spec.eras import all_eras, find_era
from oom_spec.language import Era, Scenario
from oom_spec.manifest import load
from oom_spec.properties import PROPERTIES, find_properties
from oom_spec.scenarios import SCENARIOS, find_scenario
from oom_spec.verdicts import Word

if TYPE_CHECKING:
    from oom_conformance.lockstep import Divergence
    from oom_conformance.oracle import Oracle

GRAPH = frozenset(each.id for each in PROPERTIES if each.graph is not None)
"""Questions about the whole graph: no run can show them."""


def pairs(config: pytest.Config) -> Iterator[tuple[Era, Scenario]]:
    """Every era and scenario that was asked for and says something."""
    eras = [find_era(name) for name in chosen(config, "--era")] or list(all_eras())
    scenarios = [find_scenario(name) for name in chosen(config, "--scenario")]
    for era in eras:
        for scenario in scenarios or [each for each in SCENARIOS if not each.slow]:
            if not irrelevant(era, scenario):
                yield era, scenario


def races(config: pytest.Config) -> Iterator[tuple[str, Era, Scenario]]:
    """Every race of the matrix, once per era: in the scenario in which its run is shortest."""
    cells, _ = load()
    wanted = {each.id for name in chosen(config, "--conformance-property") for each in find_properties(name)}
    asked: dict[str, list[str]] = {}
    for era, scenario in pairs(config):
        asked.setdefault(era.id, []).append(scenario.id)
    for (era_id, name), cell in cells.items():
        fitting = [each for each in cell.violated_in if each in asked.get(era_id, [])]
        if cell.word is Word.VIOLATED and fitting and name not in GRAPH and (not wanted or name in wanted):
            shortest = min(fitting, key=lambda each: (cell.violated_in[each], each))
            yield name, find_era(era_id), find_scenario(shortest)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test per era and scenario, and one per race."""
    if "race" in metafunc.fixturenames:
        metafunc.parametrize(
            "race",
            [
                pytest.param(
                    (name, era, scenario),
                    id=f"{name}-{era.id}-{scenario.id}",
                    marks=[
                        pytest.mark.era(era.id),
                        pytest.mark.scenario(scenario.id),
                        pytest.mark.conformance_property(name),
                    ],
                )
                for name, era, scenario in races(metafunc.config)
            ],
        )
    elif "world" in metafunc.fixturenames:
        metafunc.parametrize(
            "world",
            [
                pytest.param(
                    (era, scenario),
                    id=f"{era.id}-{scenario.id}",
                    marks=[pytest.mark.era(era.id), pytest.mark.scenario(scenario.id)],
                )
                for era, scenario in (
                    () if chosen(metafunc.config, "--conformance-property") else pairs(metafunc.config)
                )
            ],
        )


def emit(conformance: Session, divergence: Divergence, oracle: Oracle) -> None:
    """Write the first failing run as a test of its own, if that was asked for."""
    from oom_conformance.emitting import to_pytest

    if conformance.emit is not None and not conformance.emitted:
        conformance.emitted = True
        conformance.emit.write_text(to_pytest(divergence, conformance.name, oracle), "utf-8")


def test_lockstep(conformance: Session, world: tuple[Era, Scenario]) -> None:
    """After each action of random runs the implementation offers and shows what the specification does."""
    era, scenario = world
    conformance.require(era.id, scenario.id)
    from hypothesis import HealthCheck, settings
    from hypothesis.stateful import run_state_machine_as_test

    from oom_conformance.machine import Nonconforming, state_machine
    from oom_conformance.oracle import oracle_of

    oracle = oracle_of(era, scenario)
    try:
        with conformance.limited() as make:
            machine = state_machine(oracle, make)
            chosen_settings = settings(
                machine.TestCase.settings,
                max_examples=conformance.examples,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            run_state_machine_as_test(machine, settings=chosen_settings)
    except Nonconforming as found:
        emit(conformance, found.divergence, oracle)
        raise


def test_race(conformance: Session, race: tuple[str, Era, Scenario]) -> None:
    """The era's own race: an implementation of the era has it too, step by step, however unwelcome it is."""
    name, era, scenario = race
    conformance.require(era.id, scenario.id)
    from oom_conformance.diagnosing import violated
    from oom_conformance.lockstep import Divergence, replay
    from oom_conformance.machine import report
    from oom_conformance.oracle import oracle_of

    schedule = violated(era, scenario)[name]
    oracle = oracle_of(era, scenario)
    try:
        with conformance.limited() as make:
            pair = replay(oracle, make(), schedule)
    except Divergence as divergence:
        emit(conformance, divergence, oracle)
        pytest.fail(report(oracle, divergence, "to keep it as a test: --emit-test FILE"), pytrace=False)
    assert name in pair.broken
