"""The named worlds in which properties are checked."""

from __future__ import annotations

import difflib

from oom_spec.language import Scenario, UnknownNameError
from oom_spec.scenarios.crowded_worlds import CROWDED_WORLDS
from oom_spec.scenarios.fault_worlds import FAULT_WORLDS
from oom_spec.scenarios.release_worlds import RELEASE_WORLDS
from oom_spec.scenarios.worlds import BASIC_WORLDS

SCENARIOS: tuple[Scenario, ...] = (*BASIC_WORLDS, *FAULT_WORLDS, *CROWDED_WORLDS, *RELEASE_WORLDS)


def find_scenario(name: str) -> Scenario:
    """The scenario with this id.

    Raises `UnknownNameError`, suggesting the nearest name, where there is none.
    """
    for scenario in SCENARIOS:
        if scenario.id == name:
            return scenario
    near = difflib.get_close_matches(name, [s.id for s in SCENARIOS], n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    raise UnknownNameError(f"unknown scenario {name!r}{hint} `oomspec scenarios` lists them all")


__all__ = ["SCENARIOS", "find_scenario"]
