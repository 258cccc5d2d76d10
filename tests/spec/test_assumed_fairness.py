"""What `oomspec properties L1` and docs/progress.md say of fairness is so in the model."""

from __future__ import annotations

import pytest

from oom_spec.counting_on import counts_on, who
from oom_spec.eras import all_eras, find_era
from oom_spec.exploring import Exploration
from oom_spec.fairness import fair_parts
from oom_spec.generating import judge
from oom_spec.instances import Instance
from oom_spec.language import World
from oom_spec.properties import find_properties
from oom_spec.protocol.state import Killer, Mm, Reaper
from oom_spec.scenarios import find_scenario

(L1,) = find_properties("L1")


def test_l1_says_what_it_assumes_of_whom() -> None:
    told = " ".join(L1.fairness)
    for what in ("reaper is scheduled", "zap is finite", "Timers fire", "last in, first out", "strongly fair"):
        assert what in told
    nothing = " ".join(each for each in L1.fairness if each.startswith("Nothing is assumed of"))
    assert [what in nothing for what in ("exit_aio", "writers of the mmap lock", "holders of mm_users")] == [True] * 3


@pytest.mark.parametrize(("era", "scenario"), [("v4.12", "foreign-writer"), ("v6.1", "memory-kinds")])
def test_the_reaper_alone_comes_to_an_end(era: str, scenario: str) -> None:
    """Zaps and retries are finite: no run of its own steps comes back to a state."""
    exploration = Exploration(Instance(find_era(era), find_scenario(scenario)), (), keep_edges=True)
    edges = exploration.edges
    assert edges is not None
    own = {path.number for path in exploration.instance.paths if path.action.step.actor is Reaper}
    alone = {state: [(target, 0) for target, number in steps if number in own] for state, steps in edges.items()}
    assert all(len(part) == 1 for part in fair_parts(alone, dict.fromkeys(alone, 0)))
    assert not any(target == state for state, steps in alone.items() for target, _ in steps)


def test_l1_counts_on_the_reaper_timers_and_killers_inside_the_oom_killer_and_on_nobody_else() -> None:
    outside = {"__alloc_pages_slowpath", "return"}
    for each in {each for era in all_eras() for each in era.steps}:
        expected = (
            each.actor is Reaper
            or (each.actor is Killer and each.call not in outside)
            or (each.actor is World and each.kernel_function == "wake_oom_reaper")
            or (each.actor is Mm and not each.environment)  # only where exit_mmap holds oom_lock, see below
        )
        assert counts_on(L1, each) is expected, each.id


@pytest.mark.parametrize("era", ["v4.14", "v4.17"])
def test_the_exit_path_is_counted_on_only_inside_exit_mmap(era: str) -> None:
    """Neither where it waits for I/O, nor where it waits for the mmap lock as a writer."""
    instance = Instance(find_era(era), find_scenario("blocked-aio"))
    exploration = Exploration(instance, (), keep_edges=True)
    assert exploration.edges is not None
    where = judge(exploration.packing, [instance.formula(L1.counts_on[Mm], ("mm0",))])
    functions = {
        instance.paths[number].action.step.kernel_function
        for state, steps in exploration.edges.items()
        if where(state) is not None
        for _, number in steps
        if instance.paths[number].action.step.actor is Mm
    }
    assert functions == ({"exit_mmap", "__oom_reap_task_mm"} if era == "v4.17" else set())


@pytest.mark.parametrize(
    ("era", "scenario", "locks"),
    [
        ("v4.6", "single", set()),
        ("v4.12", "memcg", {"reaper", "killer"}),
        ("v4.17", "single", {"reaper"}),
        ("v6.1", "single", set()),
    ],
)
def test_only_a_wait_for_oom_lock_needs_strong_fairness(era: str, scenario: str, locks: set[str]) -> None:
    """Whoever else is able to act stays able until it acts: there weak fairness would do."""
    exploration = Exploration(Instance(find_era(era), find_scenario(scenario)), (), keep_edges=True)
    paths = exploration.instance.paths
    counted = [who(p.action) if counts_on(L1, p.action.step) and p.action.step.actor is not Mm else "" for p in paths]
    edges = exploration.edges
    assert edges is not None
    waits: dict[str, set[str]] = {}
    for steps in edges.values():
        for target, number in steps:
            able_then = {counted[each] for _, each in edges[target]}
            for _, each in steps if edges[target] else ():
                if counted[each] and counted[each] not in able_then and counted[each] != who(paths[number].action):
                    waits.setdefault(counted[each], set()).add(paths[each].action.step.call)
    assert set(waits) == locks
    assert all(each == {"mutex_lock(oom_lock)"} for each in waits.values())


def test_the_reaper_takes_the_victim_that_was_queued_last() -> None:
    exploration = Exploration(Instance(find_era("v4.12"), find_scenario("two-stuck")), (), keep_edges=True)
    edges = exploration.edges
    assert edges is not None
    waiting = 0
    for state, steps in edges.items():
        actions = [exploration.instance.paths[number].action for _, number in steps]
        taken = [action.arguments["task"] for action in actions if action.step.call == "oom_reap_task"]
        exploration.instance.concrete.load(exploration.packing.unpack(state))
        value = exploration.instance.concrete.value
        top = value(("World.queue_top", ("world",)))
        assert [value(("Task.queue_depth", (task,))) for task in taken] == [top] * len(taken)
        waiting = max(waiting, len(taken) and int(str(top)))
    assert waiting == 2
