"""Who is stuck, and what stays possible: questions about the whole graph, and that they can say no."""

from __future__ import annotations

import pytest

from oom_spec.eras import find_era
from oom_spec.exploring import Exploration, replay
from oom_spec.graphs import always_possible, environment_paths, find_stuck, path_to
from oom_spec.instances import Instance
from oom_spec.language import Era
from oom_spec.language.errors import SpecError
from oom_spec.properties.liveness import every_victim_has_skip
from oom_spec.scenarios import find_scenario


def _explored(era: Era, scenario: str) -> Exploration:
    return Exploration(Instance(era, find_scenario(scenario)), (), keep_edges=True)


@pytest.mark.parametrize("scenario", ["single", "blocked-aio", "foreign-writer", "dying-threads"])
def test_nobody_is_stuck_in_a_released_kernel(scenario: str) -> None:
    assert find_stuck(_explored(find_era("v4.14"), scenario)) is None


@pytest.mark.parametrize(
    ("missing", "actor"),
    [
        ("reaper.__oom_reap_task_mm.mutex_unlock(oom_lock)[true]", "reaper"),
        ("mm.exit_mmap.up_write", "P1.t0"),  # it runs __mmput, which never returns
        ("task.exit_mm.up_read", "P1.t0"),
        ("killer.oom_kill_process.task_unlock", "P1.t0"),  # exit_mm waits for its task_lock
    ],
)
def test_an_actor_that_cannot_go_on_is_found_although_others_can(missing: str, actor: str) -> None:
    exploration = _explored(find_era("v4.14").without((missing,)), "foreign-user")
    stuck = find_stuck(exploration)
    assert stuck is not None
    run = path_to(exploration, stuck.state)
    assert len(run) == stuck.depth
    states = replay(exploration.instance, run)
    assert exploration.packing.pack(states[-1]) == stuck.state
    assert stuck.actor == actor


def test_waiting_for_the_environment_is_not_being_stuck() -> None:
    exploration = _explored(find_era("rientjes-2017-06-14"), "blocked-aio")
    assert find_stuck(exploration) is None


def test_a_truncated_graph_answers_nothing() -> None:
    instance = Instance(find_era("v4.14"), find_scenario("single"))
    with pytest.raises(SpecError, match="needs the whole graph"):
        find_stuck(Exploration(instance, (), keep_edges=True, most=100))
    with pytest.raises(SpecError, match="needs the whole graph"):
        find_stuck(Exploration(instance, ()))


@pytest.mark.parametrize(
    ("era", "scenario", "kept"),
    [
        ("rientjes-2017-06-14", "blocked-aio", False),
        ("rientjes-2017-06-14", "single", True),
        ("hocko-2017-07-24", "blocked-aio", True),
        ("v4.12", "blocked-aio", True),
    ],
)
def test_whether_skip_stays_possible_without_the_environment(era: str, scenario: str, kept: bool) -> None:
    exploration = _explored(find_era(era), scenario)
    outside = environment_paths(exploration)
    goal = exploration.instance.formula(every_victim_has_skip, ())
    lost = always_possible(exploration, goal, without=lambda number: outside[number])
    assert (lost is None) is kept


def test_with_the_environments_help_skip_always_stays_possible() -> None:
    exploration = _explored(find_era("rientjes-2017-06-14"), "blocked-aio")
    assert always_possible(exploration, exploration.instance.formula(every_victim_has_skip, ())) is None
