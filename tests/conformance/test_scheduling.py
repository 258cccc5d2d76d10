"""Bytes become schedules: the same ones each time, allowed ones, and the simpler the smaller the bytes are."""

from __future__ import annotations

import random
from functools import cache
from itertools import pairwise

import pytest

from oom_conformance.oracle import Oracle
from oom_conformance.scheduling import HEADER, POLICIES, Bounded, Chooser, Mixed, Prioritized, Rarest, schedule_of
from oom_conformance.shrinking import switches
from oom_spec.eras import find_era
from oom_spec.scenarios import find_scenario

ZEROS = bytes(HEADER)


@cache
def oracle_in(era: str, scenario: str) -> Oracle:
    return Oracle(find_era(era), find_scenario(scenario))


def schedules(chooser: Chooser, oracle: Oracle, runs: int = 60) -> list[tuple[str, ...]]:
    generator = random.Random(1)
    return [schedule_of(oracle, chooser, generator.randbytes(HEADER), generator.randbytes(160)) for _ in range(runs)]


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("scenario", ["single", "marked", "foreign-user"])
def test_same_bytes_choose_same_schedule_whatever_ran_before(name: str, scenario: str) -> None:
    oracle = oracle_in("v4.14", scenario)
    chooser = POLICIES[name](oracle)
    first = schedules(chooser, oracle)
    assert schedules(chooser, oracle) == first
    assert len(set(first)) > 20


@pytest.mark.parametrize("name", POLICIES)
def test_zeros_switch_only_where_the_running_actor_cannot_go_on(name: str) -> None:
    oracle = oracle_in("v4.12", "sharer")
    schedule = schedule_of(oracle, POLICIES[name](oracle), ZEROS, bytes(20))
    node, current, forced = oracle.cold, "", 0
    for action in schedule:
        if current and current not in dict(node.by_actor):
            forced += 1
        current = oracle.actions[action].actor
        node = oracle.after(node, action)
    assert switches(oracle, schedule) == forced


def test_bounded_preempts_at_most_so_often() -> None:
    oracle = oracle_in("v4.12", "sharer")
    chooser = Bounded(oracle, most=2)
    met = set()
    for schedule in schedules(chooser, oracle, 300):
        node, current, preempted = oracle.cold, "", 0
        for action in schedule:
            actor = oracle.actions[action].actor
            preempted += bool(current) and actor != current and current in dict(node.by_actor)
            current, node = actor, oracle.after(node, action)
        met.add(preempted)
    assert met == {0, 1, 2}


def test_priorities_decide_who_runs() -> None:
    oracle = oracle_in("v4.12", "single")
    last_first = bytes([0, 0, 0, *range(len(oracle.actors), 0, -1)]).ljust(HEADER, b"\0")
    schedule = schedule_of(oracle, Prioritized(oracle), last_first, bytes(160))
    node = oracle.cold
    for number, action in enumerate(schedule):
        if number < Prioritized.PATIENCE:
            assert oracle.actions[action].actor == node.by_actor[-1][0]
        node = oracle.after(node, action)


def test_rare_actions_are_preferred() -> None:
    """Each choice of a state is taken once before any is taken twice, so few runs meet more than as many others do."""
    oracle = oracle_in("v4.12", "single")
    chooser = Rarest(oracle)
    first = [schedule_of(oracle, chooser, ZEROS, bytes(1))[0] for _ in range(len(oracle.cold.names))]
    assert sorted(first) == sorted(oracle.cold.names)
    rare = schedules(Rarest(oracle), oracle, 400)
    mixed = schedules(Mixed(oracle), oracle, 400)
    assert len({pair for each in rare for pair in pairwise(each)}) > 0.9 * len(
        {pair for each in mixed for pair in pairwise(each)}
    )


def test_swarm_leaves_actions_out_of_a_whole_run_but_never_all() -> None:
    oracle = oracle_in("v4.12", "single")
    generator = random.Random(1)
    chooser = POLICIES["swarm"](oracle)
    node = oracle.cold
    for action in schedule_of(oracle, POLICIES["uniform"](oracle), ZEROS, generator.randbytes(60)):
        node = oracle.after(node, action)
        if len(node.names) > 2:
            break
    offered = []
    for _ in range(100):
        header = generator.randbytes(HEADER)
        found = set()
        for byte in range(256):
            chooser.begin(header)
            found.add(chooser.choose(node, byte))
        offered.append(frozenset(found))
    assert len(set(offered)) > 2
    assert {name for found in offered for name in found} == node.names
