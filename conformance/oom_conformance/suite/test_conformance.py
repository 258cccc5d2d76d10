"""An implementation against the specification: in lockstep, and through the races of its era."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from oom_conformance.plugin import Session, chosen
from oom_spec.applicability import irrelevant
from oom_spec.eras import all_eras, find_era
from oom_spec.language import Era, Scenario, SpecError
from oom_spec.manifest import load
from oom_spec.properties import PROPERTIES
from oom_spec.scenarios import SCENARIOS, find_scenario
from oom_spec.verdicts import Word

GRAPH = frozenset(each.id for each in PROPERTIES if each.graph is not None)
"""Questions about the whole graph: no run can show them."""


def pairs(config: pytest.Config) -> Iterator[tuple[Era, Scenario]]:
    """Every era and scenario that was asked for and says something."""
    try:
        eras = [find_era(name) for name in chosen(config, "--era")] or list(all_eras())
        scenarios = [find_scenario(name) for name in chosen(config, "--scenario")]
    except SpecError as problem:
        raise pytest.UsageError(str(problem)) from None
    for era in eras:
        for scenario in scenarios or [each for each in SCENARIOS if not each.slow]:
            if not irrelevant(era, scenario):
                yield era, scenario


def races(config: pytest.Config) -> Iterator[tuple[str, Era, Scenario]]:
    """Every race of the matrix, once per era: in the scenario in which its run is shortest."""
    cells, _ = load()
    wanted = chosen(config, "--conformance-property")
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


def test_lockstep(conformance: Session, world: tuple[Era, Scenario]) -> None:
    """After each action of random runs the implementation offers and shows what the specification does."""
    era, scenario = world
    conformance.require(era.id, scenario.id)
    from hypothesis import HealthCheck, settings
    from hypothesis.stateful import run_state_machine_as_test

    from oom_conformance.emitting import to_pytest
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
        if conformance.emit is not None and not conformance.emit.exists():
            conformance.emit.write_text(to_pytest(found.divergence, conformance.name or "reference", oracle), "utf-8")
        raise


def test_race(conformance: Session, race: tuple[str, Era, Scenario]) -> None:
    """The era's own race: an implementation of the era has it too, step by step, however unwelcome it is."""
    name, era, scenario = race
    conformance.require(era.id, scenario.id)
    from oom_conformance.diagnosing import violated
    from oom_conformance.lockstep import Divergence, replay
    from oom_conformance.oracle import oracle_of

    schedule = violated(era, scenario)[name]
    try:
        with conformance.limited() as make:
            pair = replay(oracle_of(era, scenario), make(), schedule)
    except Divergence as divergence:
        pytest.fail(str(divergence), pytrace=False)
    assert name in pair.broken
