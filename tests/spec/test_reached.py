"""Whether small worlds reach a state, and by what run."""

from __future__ import annotations

import pytest

from oom_spec.eras import find_era
from oom_spec.exploring import Exploration, replay
from oom_spec.instances import Instance
from oom_spec.scenarios import find_scenario
from oom_spec.unbounded.literals import read_literal
from oom_spec.unbounded.reached import Reached, explorer_reaches
from oom_spec.unbounded.small_worlds import SmallWorld, SmallWorlds

E6 = find_era("v4.15")


def explored(scenario: str, most: int | None = None) -> SmallWorld:
    exploration = Exploration(Instance(E6, find_scenario(scenario)))
    return SmallWorld(exploration.instance, exploration.packing, tuple(exploration.parents)[:most])


@pytest.fixture(scope="module")
def worlds() -> SmallWorlds:
    return SmallWorlds([explored("two-domains"), explored("single")])


def true_at_the_end(found: Reached, texts: list[str]) -> bool:
    """By plain stepping, and by the names that were found for the objects."""
    assert found.run is not None
    exploration = Exploration(found.instance)
    end = replay(found.instance, found.run)[-1]
    world = SmallWorld(found.instance, exploration.packing, [exploration.packing.pack(end)])
    binding = dict(found.objects)
    return all(world.truth(read_literal(text), binding) for text in texts)  # type: ignore[arg-type]


ZAPPED = ["reaper.job is task1", "reaper.at is ZAP", "task1.process.mm.oom_victim"]


def test_a_run_leads_to_the_state_and_none_is_shorter(worlds: SmallWorlds) -> None:
    found = explorer_reaches([read_literal(text) for text in ZAPPED], worlds)
    assert found is not None
    assert found.scenario == "single"
    assert found.run is not None
    assert true_at_the_end(found, ZAPPED)
    exploration = Exploration(found.instance, depth_limit=len(found.run) - 1)
    sooner = SmallWorlds([SmallWorld(found.instance, exploration.packing, tuple(exploration.parents))])
    assert explorer_reaches([read_literal(text) for text in ZAPPED], sooner) is None


def test_what_a_larger_world_alone_can_show_is_found_there(worlds: SmallWorlds) -> None:
    found = explorer_reaches([read_literal("killer1 is not killer2"), read_literal("killer1.holds_oom_lock")], worlds)
    assert found is not None
    assert found.scenario == "two-domains"
    assert len(set(found.objects.values())) == 2
    assert found.data["objects"] == found.objects


def test_what_no_world_reaches_is_not_found(worlds: SmallWorlds) -> None:
    both = [
        read_literal(text) for text in ("killer1 is not killer2", "killer1.holds_oom_lock", "killer2.holds_oom_lock")
    ]
    assert explorer_reaches(both, worlds) is None


def test_the_start_is_reached_by_no_step(worlds: SmallWorlds) -> None:
    found = explorer_reaches([read_literal("reaper.at is WAIT")], worlds)
    assert found is not None
    assert found.run == ()


def test_a_world_that_was_not_explored_in_full_gives_a_state_but_no_run(worlds: SmallWorlds) -> None:
    some = SmallWorlds([explored("single", 3000)])
    wanted = [read_literal("killer1.holds_oom_lock")]
    found = explorer_reaches(wanted, some)
    assert found is not None
    assert found.run is None
    assert found.data["run"] is None
    both = explorer_reaches(wanted, SmallWorlds([*some.worlds, *worlds.worlds]))
    assert both is not None
    assert both.run is not None
    assert both.data["run"] == [action.id for action in both.run]
