"""Fair runs that never end well, and actors that block: found where they are, and only there."""

from __future__ import annotations

import attrs
import pytest

from oom_spec.eras import find_era
from oom_spec.exploring import Exploration, replay
from oom_spec.graphs import path_to
from oom_spec.instances import Instance
from oom_spec.language import Property, some
from oom_spec.language.errors import SpecError
from oom_spec.progress import find_blocked, find_lasso, look_at_graph
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario

from .kitchen import (
    BREAD,
    NEVER_WAITS,
    Baker,
    Oven,
    bakes,
    calls,
    explored,
    goes_to_work,
    leaves,
    looks,
    occupies,
    works,
)


def test_who_can_act_acts_in_the_end() -> None:
    assert find_lasso(explored(bakes), BREAD) is None


def test_a_step_that_is_possible_again_and_again_is_taken_in_the_end() -> None:
    """Strong fairness: the oven is taken now and then, and free now and then, and nobody keeps it."""
    counted_on = attrs.evolve(BREAD, actors=(Baker, Oven))
    fair_idler = [attrs.evolve(each, environment=False) for each in (occupies, leaves)]
    assert find_lasso(explored(*fair_idler, bakes, taken=True), counted_on) is None
    assert find_lasso(explored(*fair_idler, taken=True), counted_on) is not None


def test_the_environment_may_keep_what_it_took() -> None:
    assert find_lasso(explored(occupies, leaves, bakes), BREAD) is not None


def test_the_environment_need_not_give_back_what_it_has() -> None:
    lasso = find_lasso(explored(leaves, bakes, taken=True), BREAD)
    assert lasso is not None
    assert lasso.cycle == ()


def test_a_deadlock_is_no_progress() -> None:
    lasso = find_lasso(explored(), BREAD)
    assert lasso is not None
    assert lasso.cycle == ()


def test_an_actor_may_be_busy_for_ever_with_something_else() -> None:
    """Fairness is per actor: looking is a step of the baker too."""
    lasso = find_lasso(explored(looks, bakes), BREAD)
    assert lasso is not None
    assert calls(lasso.cycle) == ["look", "look"]


def test_the_nearest_lasso_comes_with_a_run_to_it_and_closes() -> None:
    exploration = explored(occupies, leaves, looks)
    lasso = find_lasso(exploration, BREAD)
    assert lasso is not None
    assert path_to(exploration, lasso.state) == []
    start = exploration.instance.state_of({})
    assert replay(exploration.instance, lasso.cycle, start)[-1] == start


def test_an_actor_that_is_not_counted_on_may_stop() -> None:
    assert find_lasso(explored(bakes), attrs.evolve(BREAD, actors=())) is not None


def test_an_actor_may_be_counted_on_in_some_states_only() -> None:
    def counted_on_if(warm: bool) -> Property:
        where = {Baker: lambda world, baker: some(world.all(Oven), lambda oven: oven.warm == warm)}
        return attrs.evolve(BREAD, actors=(), counts_on=where)

    assert find_lasso(explored(bakes), counted_on_if(False)) is None
    assert find_lasso(explored(bakes), counted_on_if(True)) is not None


def test_a_blocked_actor_is_found_only_at_work() -> None:
    assert find_blocked(explored(goes_to_work, works, occupies, leaves), NEVER_WAITS) is not None
    assert find_blocked(explored(goes_to_work, works), NEVER_WAITS) is None
    assert find_blocked(explored(occupies), NEVER_WAITS) is None


@pytest.mark.parametrize("subject", [BREAD, NEVER_WAITS])
def test_a_truncated_graph_answers_nothing(subject: Property) -> None:
    instance = Instance(find_era("v4.12"), find_scenario("stuck"))
    with pytest.raises(SpecError, match="needs the whole graph"):
        look_at_graph(Exploration(instance, (), most=5, keep_edges=True), subject)


@pytest.mark.parametrize(("era", "breaks"), [("v4.12", False), ("rientjes-2017-06-14", True)])
def test_the_reaper_that_leaves_without_a_flag_holds_scans_back_for_ever(era: str, breaks: bool) -> None:
    (subject,) = find_properties("L1")
    exploration = Exploration(Instance(find_era(era), find_scenario("blocked-aio")), (), keep_edges=True)
    found = look_at_graph(exploration, subject)
    assert (found is not None) is breaks


def test_a_reaper_that_waits_for_mmap_sem_is_noticed() -> None:
    """L4 can fail: without the outcome `fails` the trylock is a lock that waits."""
    (subject,) = find_properties("L4")
    era = find_era("v4.12").without(("reaper.__oom_reap_task_mm.down_read_trylock[fails]",))
    instance = Instance(era, find_scenario("foreign-writer"))
    assert look_at_graph(Exploration(instance, (), keep_edges=True), subject) is not None
    whole = Instance(find_era("v4.12"), find_scenario("foreign-writer"))
    assert look_at_graph(Exploration(whole, (), keep_edges=True), subject) is None
