"""Rientjes, 2017-06-14: the reaper sets MMF_OOM_SKIP only after it reaped, or after ten failures."""

from oom_spec.eras.e04_v4_12 import E4
from oom_spec.language import Era, Standing, Verified, World
from oom_spec.protocol import reaper
from oom_spec.protocol.points import ReapAt
from oom_spec.protocol.reaper import (
    clears_link,
    completes_pass,
    frees_without_flush,
    gives_up,
    oom_reap_task,
    publishes_skip,
    reap_mm,
)
from oom_spec.protocol.state import Reaper, Task

MAIL = "alpine.DEB.2.10.1706141632100.93071@chino.kir.corp.google.com"


@reap_mm(at=ReapAt.ZAP, then=ReapAt.SKIP_IN_PASS, call="tlb_finish_mmu", verified=Verified.MAIL)
def pass_completed(world: World, reaper: Reaper, task: Task) -> None:
    """The walk is over."""
    completes_pass(reaper, task)
    frees_without_flush(world, task.process.mm)


@reap_mm(at=ReapAt.SKIP_IN_PASS, then=ReapAt.UP_READ_REAPED, call="set_bit(MMF_OOM_SKIP)", verified=Verified.MAIL)
def skip_after_pass(world: World, reaper: Reaper, task: Task) -> None:
    """Right after the gather is finished, with mmap_sem and oom_lock still held."""
    publishes_skip(world, reaper, task.process.mm)


@oom_reap_task(
    at=ReapAt.RETRY,
    then=ReapAt.SKIP_ON_GIVE_UP,
    call="schedule_timeout_idle(HZ/10)",
    outcome="gives up",
    verified=Verified.MAIL,
)
def give_up(world: World, reaper: Reaper, task: Task) -> None:
    """The trylock failed every time."""
    gives_up(world, reaper, task)


@oom_reap_task(
    at=ReapAt.SKIP_ON_GIVE_UP,
    then=ReapAt.LINK_NULL,
    call="set_bit(MMF_OOM_SKIP)",
    outcome="gave up",
    verified=Verified.MAIL,
)
def skip_after_give_up(world: World, reaper: Reaper, task: Task) -> None:
    """mmap_sem cannot be had: hide the mm."""
    publishes_skip(world, reaper, task.process.mm)


@oom_reap_task(at=ReapAt.LINK_NULL, then=ReapAt.PUT_TASK, call="tsk->oom_reaper_list = NULL", verified=Verified.MAIL)
def link_null(reaper: Reaper, task: Task) -> None:
    """Done, with or without MMF_OOM_SKIP: where mm_users was 0, __mmput is left to set it."""
    clears_link(task)


RIENTJES = Era(
    id="rientjes-2017-06-14",
    title="mm, oom: prevent additional oom kills before memory is freed (first form)",
    opened_by=f"Rientjes, 2017-06-14, {MAIL}",
    standing=Standing.PROPOSED,
    why="A reaper that just stops when mm_users is 0, and leaves MMF_OOM_SKIP to __mmput.",
    parent=E4,
    added=(skip_after_pass, skip_after_give_up),
    replaced=(pass_completed, give_up, link_null),
    removed=(reaper.reaper_sets_skip.id,),
)

ERAS = (RIENTJES,)
