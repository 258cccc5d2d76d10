"""Configurations that must fail, and configurations that must hold.

A race that is no longer found is a failure here, and so is one that is found at another depth: the
depth counts every step of the named scenario. Each race is replayed through the plain steps.
"""

from __future__ import annotations

from functools import cache

import pytest

from oom_spec.eras import find_era
from oom_spec.exploring import Exploration, Hit, replay
from oom_spec.instances import Instance
from oom_spec.language import Property
from oom_spec.properties import PROPERTIES, find_properties
from oom_spec.scenarios import find_scenario
from oom_spec.stepping import State

MUST_FAIL: dict[tuple[str, str, str], int] = {
    # The mail's race: mmget_not_zero fails, MMF_OOM_SKIP is set with everything mapped, the next scan kills.
    ("v4.12", "N1s", "single"): 40,
    ("v4.12", "N1s", "marked"): 20,
    ("v4.12", "N2r", "single"): 33,
    ("v4.12", "N2r", "marked"): 13,
    ("v4.12", "N1s", "voluntary"): 35,
    ("v4.13", "N1s", "single"): 40,
    # Question 4: VM_FAULT_RETRY is overwritten, the lock is released twice.
    ("v4.12", "S4", "kthread-fault"): 29,
    # v4.14: the fence asks whether current is a victim, not whether the mm is one's.
    ("v4.14", "S1", "sharer"): 49,
    ("v4.14", "S1", "foreign-user"): 43,
    ("v4.14", "S1", "kthread-fault"): 47,
    # v4.14: munlock beside the reaper (CVE-2018-1000200).
    ("v4.14", "S2", "memory-kinds"): 36,
    ("hocko-2017-07-24", "S2", "memory-kinds"): 32,
    # Two processes that share an mm, or a dying thread that enters the OOM killer: queued twice.
    ("v4.14", "S6m", "sharer"): 43,
    ("v4.12", "S6m", "dying-allocates"): 27,
    # The rejected repairs, and what the mail feared.
    ("rientjes-2017-06-14", "L2s", "blocked-aio"): 34,
    ("rientjes-2017-06-14", "L2s", "ksmd"): 36,
    ("tetsuo-2017-06-16", "N1v", "single"): 35,
    ("strawman-lock-before-unmap", "N2q", "single"): 35,
    ("arcangeli-first", "N2r", "single"): 30,
    ("arcangeli-first-no-oom-lock", "N1s", "single"): 36,
    # Somebody else holds the memory when the victim has left the task list.
    ("v4.14", "N1v", "foreign-user"): 34,
}

MUST_HOLD: tuple[tuple[str, str, str], ...] = (
    # v4.14 is what the mail asks for, where current is the victim.
    *(("v4.14", name, "single") for name in ("N1s", "N1v", "N2r", "N2x", "S1", "S5r", "S6m", "S7", "S8", "S10")),
    ("v4.14", "N1s", "marked"),
    ("v4.14", "N2r", "marked"),
    ("v4.14", "N1s", "threads"),
    ("v4.14", "N1s", "voluntary"),
    ("v4.14", "S1", "threads"),
    ("v4.14", "L2s", "blocked-aio"),
    ("v4.14", "L2s", "ksmd"),
    ("v4.14", "L2s", "khugepaged"),
    # v4.12 has other merits: the pin keeps the walk safe.
    ("v4.12", "S1", "sharer"),
    ("v4.12", "S1", "foreign-user"),
    ("v4.12", "S2", "memory-kinds"),
    ("v4.12", "N2x", "single"),
    ("v4.12", "S6m", "single"),
    ("v4.12", "L2s", "blocked-aio"),
    # Question 1 of the mail: the lock comes after unmap_vmas.
    ("hocko-2017-07-24", "N2q", "ten-retries"),
    ("hocko-2017-07-24", "N1s", "single"),
    ("hocko-2017-07-24", "N2r", "single"),
    ("hocko-2017-07-24", "S1", "foreign-user"),
    ("hocko-2017-07-24", "S1", "kthread-fault"),
    ("hocko-2017-07-24", "L2s", "blocked-aio"),
    # Question 4 of the mail: v4.13 and both repairs.
    ("v4.13", "S4", "kthread-fault"),
    ("v4.14", "S4", "kthread-fault"),
    ("fault-leave-retry", "S4", "kthread-fault"),
    ("fault-retake-lock", "S4", "kthread-fault"),
    # With oom_lock around the attempt, nobody scans between the reaper's flag and its walk.
    ("arcangeli-first", "N1s", "single"),
    ("rientjes-2017-06-14", "N1s", "single"),
    ("rientjes-2017-06-14", "N2r", "single"),
    ("tetsuo-2017-06-16", "N1s", "single"),
    ("tetsuo-2017-06-16", "N2r", "single"),
)

ALWAYS = ("count-range", "S6t", "S5r", "S7", "S8", "S10")
"""What no era may break in any of the scenarios above."""


@cache
def explored(era: str, scenario: str) -> Exploration:
    """All properties in all states of an instance."""
    exploration = Exploration(Instance(find_era(era), find_scenario(scenario)), PROPERTIES)
    assert not exploration.truncated
    return exploration


def fails_at(subject: Property, hit: Hit, exploration: Exploration, states: list[State]) -> bool:
    """Whether the plain run breaks ``subject``, even with its excuse, at its very end."""
    instance = exploration.instance
    assert hit.check is not None
    if subject.event is None:
        state, arguments = states[-1], hit.check.arguments
    else:
        last = exploration.run_to(hit)[-1]
        instance.concrete.run(last.step, last.arguments, states[-2])
        events = [event.arguments for event in instance.concrete.events if event.event is subject.event]
        assert hit.check.arguments in events
        state, arguments = states[-2], hit.check.arguments
    excused = subject.excuse is not None and instance.holds(subject.excuse, arguments, state)
    return (
        instance.holds(subject.when, arguments, state)
        and not instance.holds(subject.then, arguments, state)
        and not excused
    )


@pytest.mark.parametrize(("era", "name", "scenario"), MUST_FAIL)
def test_the_race_is_found_at_its_depth_and_replays(era: str, name: str, scenario: str) -> None:
    exploration = explored(era, scenario)
    (subject,) = find_properties(name)
    hit = exploration.findings[subject.id].violated
    assert hit is not None, "this configuration must fail"
    assert hit.depth == MUST_FAIL[era, name, scenario]
    before = exploration.prefix_run
    run = exploration.run_to(hit)
    assert len(run) == hit.depth
    states = replay(exploration.instance, [*before, *run])
    assert len(states) == len(before) + hit.depth + 1
    assert fails_at(subject, hit, exploration, states)


@pytest.mark.parametrize(("era", "name", "scenario"), MUST_HOLD)
def test_the_property_holds_and_is_put_to_the_test(era: str, name: str, scenario: str) -> None:
    exploration = explored(era, scenario)
    (subject,) = find_properties(name)
    finding = exploration.findings[subject.id]
    assert finding.violated is None
    assert finding.reached is not None, "it holds only because nothing happens"


@pytest.mark.parametrize(
    ("era", "scenario"), sorted({(era, scenario) for era, _, scenario in [*MUST_FAIL, *MUST_HOLD]})
)
def test_what_no_era_may_break(era: str, scenario: str) -> None:
    exploration = explored(era, scenario)
    assert [name for name in ALWAYS if exploration.findings[name].violated is not None] == []


def test_the_prefix_of_a_mid_protocol_scenario_is_a_cold_run() -> None:
    cold, marked = explored("v4.12", "single"), explored("v4.12", "marked")
    assert cold.prefix_run == []
    hits = [each.findings["N1s"].violated for each in (cold, marked)]
    assert hits[0] is not None
    assert hits[1] is not None
    assert len(marked.prefix_run) + hits[1].depth == hits[0].depth


def test_the_two_races_of_the_mail_differ_in_one_call() -> None:
    """The needless kill of v4.12 needs the failed mmget_not_zero; v4.14 has no such call."""
    exploration = explored("v4.12", "single")
    hit = exploration.findings["N1s"].violated
    assert hit is not None
    calls = [(action.step.call, action.step.outcome) for action in exploration.run_to(hit)]
    assert ("mmget_not_zero", "fails") in calls
    assert "mmget_not_zero" not in {each.call for each in find_era("v4.14").steps}
