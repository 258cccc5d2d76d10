"""Random schedules find what is wrong, the same way for the same seed, and what they find is shrunk to the shortest."""

from __future__ import annotations

import time
from functools import cache
from itertools import count
from typing import Any

import attrs
import pytest

from oom_conformance.itself import Itself
from oom_conformance.lockstep import Divergence, Kind, replay, step_of
from oom_conformance.oracle import Oracle
from oom_conformance.reaching import measure, runs_to_pairs, runs_to_steps
from oom_conformance.shrinking import after_start, shortest_way
from oom_conformance.trying import Trial, shrink, shrink_violation, try_schedules
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.language import SpecError
from oom_spec.scenarios import find_scenario
from tests.conformance.wrong import Crashing, Forgetful, Later

RACES = [("v4.12", "single"), ("v4.12", "marked"), ("v4.14", "foreign-user"), ("v5.15", "mrelease")]


@cache
def oracle_in(era: str, scenario: str) -> Oracle:
    return Oracle(find_era(era), find_scenario(scenario))


def without_time(trial: Trial) -> Any:
    divergence = trial.divergence
    return attrs.evolve(trial, seconds=0, divergence=None), divergence and divergence.lines()


def test_conforming_implementation_shows_nothing() -> None:
    told: list[tuple[int, int]] = []
    oracle = oracle_in("v4.15", "single")
    trial = try_schedules(oracle, Itself, seed=1, examples=400, observer=lambda *each: told.append(each))
    assert trial.divergence is None
    assert (trial.runs, trial.steps) == (400, sum(trial.taken.values()))
    assert told[-1] == (trial.runs, trial.steps)
    assert set(trial.taken) <= {step.id for step in oracle.era.steps}
    assert len(trial.pairs) > 500
    reversed_actors = {(one.partition(".")[0], other.partition(".")[0]) for one, other in trial.pairs}
    assert ("killer", "reaper") in reversed_actors


def test_same_seed_gives_same_trial_and_another_seed_another() -> None:
    oracle = oracle_in("v4.12", "single")
    first, again, other = (try_schedules(oracle, Itself, seed=seed, examples=60) for seed in (1, 1, 2))
    assert without_time(first) == without_time(again)
    assert first.taken != other.taken
    found, same = (try_schedules(oracle_in("v4.15", "single"), Later, seed=3, examples=500) for _ in range(2))
    assert found.divergence is not None
    assert without_time(found) == without_time(same)


def depths(oracle: Oracle) -> dict[str, int]:
    """For each step the length of the shortest run with it, level by level."""
    level = {oracle.cold}
    met, found = set(level), dict[str, int]()
    for depth in count(1):
        if not level:
            return found
        for node in level:
            for name in node.names:
                found.setdefault(step_of(name), depth)
        level = {oracle.after(node, name) for node in level for name in node.names} - met
        met |= level
    raise AssertionError


def test_wanted_pairs_are_taken_by_runs_that_are_led_there() -> None:
    oracle = oracle_in("v4.12", "single")
    reach = measure(oracle)
    some = try_schedules(oracle, Itself, seed=1, examples=60)
    missing = reach.pairs - some.pairs
    assert missing
    rest = try_schedules(oracle, Itself, seed=2, examples=2 * len(missing), wanted=missing)
    assert missing <= rest.pairs
    assert rest.pairs <= reach.pairs
    unled = try_schedules(oracle, Itself, seed=2, examples=rest.runs)
    assert not missing <= unled.pairs


def test_runs_to_steps_and_pairs_end_with_them_and_are_shortest() -> None:
    oracle = oracle_in("v5.15", "mrelease-watched")
    reach = measure(oracle)
    runs = list(runs_to_steps(oracle))
    assert {step_of(run[-1]) for run in runs} == reach.steps
    led = list(runs_to_pairs(oracle, reach.pairs, lambda pair: False))
    assert sorted((step_of(run[-2]), step_of(run[-1])) for run in led) == sorted(reach.pairs)
    for run in (*runs, *led):
        node = oracle.cold
        for action in (*oracle.prefix, *run):
            node = oracle.after(node, action)
    assert {step_of(run[-1]): len(run) for run in runs} == depths(oracle)
    assert list(runs_to_pairs(oracle, reach.pairs, lambda pair: True)) == []


def test_trial_needs_an_end_and_can_be_stopped() -> None:
    oracle = oracle_in("v4.15", "single")
    with pytest.raises(SpecError, match=r"^a trial has no end: give a number of examples, or of seconds$"):
        try_schedules(oracle, Itself, seed=1)
    assert try_schedules(oracle, Itself, seed=1, examples=9, stop=lambda: True).runs == 0
    assert 0.2 < try_schedules(oracle, Itself, seed=1, seconds=0.2).seconds < 2


@pytest.mark.parametrize(("era", "scenario"), RACES)
def test_races_of_the_era_shrink_to_two_steps_of_the_shortest(era: str, scenario: str) -> None:
    oracle = oracle_in(era, scenario)
    findings = Exploration(oracle.instance, oracle.subjects).findings
    shortest = {name: found.violated.depth for name, found in findings.items() if found.violated}
    trial = try_schedules(oracle, Itself, seed=1, examples=2500)
    assert set(trial.broken) == set(shortest)
    for name, schedule in trial.broken.items():
        assert shortest[name] <= len(schedule) <= shortest[name] + 2
        pair = replay(oracle, Itself(), schedule)
        assert pair.broken[name] == len(pair.schedule)


def shortest_divergence(oracle: Oracle, wrong: type[Itself]) -> int:
    """By brute force: the way to each state of the specification is replayed, the nearest ones first."""
    ways = [shortest_way(oracle, state) for state in Exploration(oracle.instance).parents]
    for way in ways:
        assert way is not None
        try:
            replay(oracle, wrong(), way)
        except Divergence as divergence:
            return len(divergence.schedule)
    raise AssertionError("no divergence")


@pytest.mark.parametrize("seed", [1, 2])
def test_later_era_is_found_and_shrunk_to_the_shortest(seed: int) -> None:
    oracle = oracle_in("v4.15", "single")
    started = time.monotonic()
    divergence = try_schedules(oracle, Later, seed=seed, examples=500).divergence
    assert time.monotonic() - started < 5
    assert divergence is not None
    assert divergence.kind is Kind.FORBIDDEN
    assert divergence.actions[0].startswith("reaper.__oom_reap_task_mm.mm_has_blockable_invalidate_notifiers[no]")
    assert len(divergence.schedule) <= shortest_divergence(oracle, Later) + 2


def test_crash_is_found_and_shrunk() -> None:
    oracle = oracle_in("v4.15", "marked")
    divergence = try_schedules(oracle, Crashing, seed=1, examples=500).divergence
    assert divergence is not None
    assert divergence.kind is Kind.BROKEN
    assert "ZeroDivisionError: reaping" in divergence.message
    schedule = after_start(oracle, divergence.schedule)
    assert schedule[-1].startswith(Crashing.ACTION)
    assert len(schedule) <= 2


def test_fault_that_no_state_shows_keeps_what_it_needs() -> None:
    """The way to a state may not be exchanged for a shorter one where the fault then goes away."""
    oracle = oracle_in("v4.15", "single")
    divergence = try_schedules(oracle, Forgetful, seed=1, examples=3000).divergence
    assert divergence is not None
    assert "RuntimeError: tired" in divergence.message
    failed = [action for action in divergence.schedule if "mutex_trylock(oom_lock)[fails]" in action]
    assert len(failed) == 3
    for number in range(len(divergence.schedule) - 1):
        part = [action for place, action in enumerate(divergence.schedule) if place != number]
        with pytest.raises(SpecError):
            replay(oracle, Forgetful(), part)


def test_schedule_without_fault_comes_back_as_it_is() -> None:
    oracle = oracle_in("v4.15", "single")
    schedule = (oracle.cold.by_actor[0][1][0],)
    assert shrink(oracle, Itself, schedule, lambda divergence: True) == schedule
    assert shrink_violation(oracle, schedule, "N1s") == schedule


def test_implementation_that_cannot_be_made_is_a_divergence() -> None:
    def broken() -> Itself:
        raise OSError("no such program")

    divergence = try_schedules(oracle_in("v4.15", "single"), broken, seed=1, examples=1).divergence
    assert divergence is not None
    assert divergence.lines()[:2] == [
        "E6 in single: it broke the protocol of the suite, crashed or hung",
        "  capabilities: OSError: no such program",
    ]
