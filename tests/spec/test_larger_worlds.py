"""What only worlds show that a proof which did not go through asked for."""

from __future__ import annotations

import pytest

from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Instance
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario


def explored(era: str, scenario: str, name: str) -> Exploration:
    """The graph until the property breaks."""
    return Exploration(Instance(find_era(era), find_scenario(scenario)), find_properties(name), first_only=True)


@pytest.mark.parametrize(
    ("name", "scenario", "era", "depth"),
    [
        ("N4", "last-attempt-foreign-writer", "v4.8", 69),
        ("N4", "last-attempt-foreign-writer", "rientjes-2017-06-14", 36),
        ("N4", "last-attempt-foreign-writer", "tetsuo-2017-06-16", None),
        ("L2s", "dying-sharer-aio", "v4.7", 20),
        ("L2s", "dying-sharer-aio", "v4.8", None),
        ("L2s", "empty-mm-aio", "hocko-rfc-2018-09-10", 32),
        ("L2s", "empty-mm-aio", "hocko-rfc-2018-09-12", 32),
        ("L2s", "empty-mm-aio", "v4.19", None),
    ],
)
def test_who_breaks_there(name: str, scenario: str, era: str, depth: int | None) -> None:
    found = explored(era, scenario, name).findings[name].violated
    assert (None if found is None else found.depth) == depth


def test_the_pin_of_the_mark_covers_the_first_job_only() -> None:
    """Queued again between the pass and MMF_OOM_SKIP, the victim is reaped a second time after its pin was dropped."""
    exploration = explored("tetsuo-2017-06-16", "dying-allocates-mlocked", "S2")
    found = exploration.findings["S2"].violated
    assert found is not None
    steps = [action.step.id for action in exploration.run_to(found)]
    assert steps.count("reaper.oom_reaper.oom_reap_task") == 2
    second = len(steps) - 1 - steps[::-1].index("reaper.oom_reaper.oom_reap_task")
    assert steps.index("reaper.oom_reap_task.mmput_async[not last]") < second
    assert steps[-1] == "mm.exit_mmap.munlock_vma_pages_all"


def test_released_kernels_look_at_mm_users_first() -> None:
    exploration = explored("v4.12", "dying-allocates-mlocked", "S2")
    assert exploration.findings["S2"].violated is None
    assert not exploration.truncated
