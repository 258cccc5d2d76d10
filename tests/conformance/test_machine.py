"""The state machine: conforming implementations pass, faults are found, shrunk and reported whole."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from oom_conformance.itself import Itself
from oom_conformance.machine import Coverage, Nonconforming, settle, state_machine
from oom_conformance.oracle import Oracle
from oom_conformance.scheduling import POLICIES
from oom_spec.eras import find_era
from oom_spec.language import SpecError
from oom_spec.scenarios import find_scenario
from tests.conformance.wrong import Crashing, Later


@cache
def oracle_in(era: str, scenario: str) -> Oracle:
    return Oracle(find_era(era), find_scenario(scenario))


def go(machine: type[RuleBasedStateMachine], examples: int = 60) -> None:
    given = settings(machine.TestCase.settings, max_examples=examples, database=None, derandomize=True)
    run_state_machine_as_test(machine, settings=given)


@pytest.mark.parametrize("policy", POLICIES)
def test_conforming_implementation_passes_under_each_policy(policy: str) -> None:
    coverage = Coverage()
    go(state_machine(oracle_in("v4.15", "single"), Itself, policy=policy, coverage=coverage), 30)
    assert coverage.runs >= 30
    assert coverage.steps == sum(coverage.taken.values())
    assert coverage.unsettled == 0
    assert len(coverage.pairs) > 100


@pytest.mark.parametrize("policy", POLICIES)
def test_later_era_is_found_shrunk_and_reported_whole(policy: str) -> None:
    machine = state_machine(oracle_in("v4.15", "single"), Later, policy=policy, hint="here ends the report")
    with pytest.raises(Nonconforming) as caught:
        go(machine)
    divergence = caught.value.divergence
    assert len(divergence.schedule) <= 25
    text = str(caught.value)
    assert text.startswith("E6 in single: it offers what the specification forbids\n")
    assert "\nE6 (v4.15), scenario single\n" in text
    assert "oom_reaper                  killer\n" in text
    assert text.endswith("\nhere ends the report")
    assert any("@reproduce_failure(" in note for note in caught.value.__notes__)


def test_crash_is_found_in_a_scenario_that_starts_in_mid_protocol() -> None:
    oracle = oracle_in("v4.15", "marked")
    with pytest.raises(Nonconforming) as caught:
        go(state_machine(oracle, Crashing))
    divergence = caught.value.divergence
    assert "ZeroDivisionError: reaping" in divergence.message
    assert len(divergence.schedule) <= len(oracle.prefix) + 2


def test_machine_meets_races_of_the_era_and_passes() -> None:
    coverage = Coverage()
    go(state_machine(oracle_in("v4.12", "marked"), Itself, coverage=coverage))
    assert "N2r" in coverage.broken


def test_settling_leaves_nothing_but_the_environment() -> None:
    oracle = oracle_in("v4.14", "foreign-user")
    node = oracle.cold

    def step(action: str) -> object:
        nonlocal node
        node = oracle.after(node, action)
        return node

    assert settle(oracle, node, step)  # type: ignore[arg-type]
    assert all(oracle.actions[name].step.environment for name in node.names)


def test_unknown_policy_is_refused() -> None:
    with pytest.raises(SpecError) as caught:
        state_machine(oracle_in("v4.15", "single"), Itself, policy="fair")
    assert str(caught.value) == ("there is no policy 'fair': take one of bounded, mixed, priorities, swarm, uniform")
