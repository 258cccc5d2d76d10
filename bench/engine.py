"""The engine without a solver: lifting an era, and exploring it generated against plain."""

from __future__ import annotations

import time

from bench.measuring import Better, Row, seconds
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration, plain_graph
from oom_spec.instances import Instance
from oom_spec.language.errors import SpecError
from oom_spec.scenarios import find_scenario

ERA = "v4.12"
LARGE = "sharer"
"""Some 70,000 states: long enough that the rate does not depend on the start."""
SMALL = "empty-mm"
"""Some 3,000 states: plain stepping, which tries every action in every state, needs seconds for them."""


def rows(rounds: int) -> list[Row]:
    """Lift time, states per second of the generated function, and its gain over plain stepping."""
    era = find_era(ERA)
    large = find_scenario(LARGE)
    lifting = seconds(lambda: Instance(era, large), rounds)
    instance = Instance(era, large)
    rates = []
    for _ in range(rounds):
        exploration = Exploration(instance)
        rates.append(exploration.states / exploration.seconds)
    return [
        Row(f"lift {ERA} in `{LARGE}`", lifting, "s", 0.5),
        Row(f"explore {ERA} in `{LARGE}`, generated", tuple(rates), "states/s", 100_000, Better.MORE),
        *_generated_against_plain(rounds),
    ]


def _generated_against_plain(rounds: int) -> list[Row]:
    instance = Instance(find_era(ERA), find_scenario(SMALL))
    plain_rates, ratios = [], []
    for _ in range(rounds):
        generated = Exploration(instance)
        started = time.perf_counter()
        graph = plain_graph(instance, most=generated.states + 1)
        taken = time.perf_counter() - started
        if graph is None or len(graph) != generated.states:
            raise SpecError(f"{ERA} in {SMALL}: plain stepping and the generated function disagree; run `make check`")
        plain_rates.append(len(graph) / taken)
        ratios.append(taken / generated.seconds)
    return [
        Row(f"explore {ERA} in `{SMALL}`, plain", tuple(plain_rates), "states/s"),
        Row(f"explore {ERA} in `{SMALL}`, generated over plain", tuple(ratios), "x", 10, Better.MORE),
    ]
