"""What no scenario shows and a slightly larger world does."""

from __future__ import annotations

import pytest

from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Instance
from oom_spec.language import Scenario, World, make
from oom_spec.properties import find_properties
from oom_spec.protocol.state import Killer, Mm
from oom_spec.scenarios.worlds import BYSTANDER, REAPER, bounds, bystander_picked, killer, process, victim_mm, world

VICTIM_ALLOCATES = Scenario(
    id="dying-allocates-mlocked",
    why="A victim that allocates once more is queued a second time; its memory is locked.",
    objects=world(
        REAPER,
        make(Mm, "mm0", reapable=1, mlocked=1, vm_locked=True),
        process("P1", "mm0"),
        killer("killer-A", eligible=("P1",)),
        make(Killer, "killer-self", current="P1.t0", eligible={"P1": True}),
    ),
    bounds=bounds(retries=1, users=1),
)


WATCHED_WRITER = Scenario(
    id="last-attempt-foreign-writer",
    why="As `last-attempt`, and somebody keeps mmap_sem for writing: the reaper gives up.",
    objects=world(
        make(World, "world", attempt_watched=True),
        REAPER,
        killer(),
        victim_mm(foreign_users=1, foreign_may_write=True),
        process("P1", "mm0"),
        BYSTANDER,
    ),
    bounds=bounds(users=1, retries=2),
    ends=bystander_picked,
    ends_text="the bystander is picked",
)


@pytest.mark.parametrize(("era", "depth"), [("v4.8", 69), ("rientjes-2017-06-14", 36), ("tetsuo-2017-06-16", None)])
def test_a_reaper_that_gives_up_without_oom_lock_sets_the_flag_behind_the_last_attempt(
    era: str, depth: int | None
) -> None:
    exploration = Exploration(Instance(find_era(era), WATCHED_WRITER), find_properties("N4"), first_only=True)
    found = exploration.findings["N4"].violated
    assert (None if found is None else found.depth) == depth


def test_the_pin_of_the_mark_covers_the_first_job_only() -> None:
    """Queued again between the pass and MMF_OOM_SKIP, the victim is reaped a second time after its pin was dropped."""
    exploration = Exploration(
        Instance(find_era("tetsuo-2017-06-16"), VICTIM_ALLOCATES), find_properties("S2"), first_only=True
    )
    found = exploration.findings["S2"].violated
    assert found is not None
    steps = [action.step.id for action in exploration.run_to(found)]
    assert steps.count("reaper.oom_reaper.oom_reap_task") == 2
    second = len(steps) - 1 - steps[::-1].index("reaper.oom_reaper.oom_reap_task")
    assert steps.index("reaper.oom_reap_task.mmput_async[not last]") < second
    assert steps[-1] == "mm.exit_mmap.munlock_vma_pages_all"


def test_released_kernels_look_at_mm_users_first() -> None:
    exploration = Exploration(Instance(find_era("v4.12"), VICTIM_ALLOCATES), find_properties("S2"))
    assert exploration.findings["S2"].violated is None
    assert not exploration.truncated
