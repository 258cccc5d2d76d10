"""Each guard, assignment, event and place of each step matters: a slip in any of them is noticed.

A mutant is noticed where, in some scenario, it changes the verdict or the depth of some property, what
properties are put to the test and when, the number of states, or the set of steps never taken. The
mutants that nothing notices are listed below, each with a reason; one more or one fewer is a failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from oom_spec.eras import find_era
from oom_spec.instances import Instance
from oom_spec.language.steps import Step
from oom_spec.scenarios import SCENARIOS, find_scenario

from .mutants import Mutant, Signature, guards_of, lift_without_guard, mutants_of, mutate, signature

LARGE = 60_000
"""Scenarios with more states than this are asked last."""


@cache
def instance(era: str, scenario: str) -> Instance:
    """An era in a scenario, unchanged."""
    return Instance(find_era(era), find_scenario(scenario))


@cache
def expected(era: str, scenario: str) -> Signature:
    """The signature of the unchanged instance."""
    return signature(instance(era, scenario), 10**6)


def states(era: str, scenario: str) -> int:
    """How large the unchanged instance is."""
    found = expected(era, scenario)[0]
    assert isinstance(found, int)
    return found


def witnesses(era: str, step: str) -> list[str]:
    """All scenarios, first those in which the step is taken, small ones first."""

    def untaken(scenario: str) -> bool:
        steps = expected(era, scenario)[2]
        assert isinstance(steps, tuple)
        return step in steps

    return sorted(
        (scenario.id for scenario in SCENARIOS),
        key=lambda scenario: (states(era, scenario) > LARGE, untaken(scenario), states(era, scenario)),
    )


def noticed_in(era: str, mutant: Mutant) -> str | None:
    """The first scenario that shows the mutant."""
    for scenario in witnesses(era, mutant.step):
        most = 2 * states(era, scenario) + 1000
        if signature(mutate(instance(era, scenario), mutant), most) != expected(era, scenario):
            return scenario
    return None


def surviving(era: str, steps: tuple[Step, ...]) -> Iterator[str]:
    """The mutants of ``steps`` that no scenario shows."""
    for declared in steps:
        for mutant in mutants_of(instance(era, "single"), declared):
            if noticed_in(era, mutant) is None:
                yield str(mutant)
