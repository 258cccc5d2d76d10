"""E2: v4.7. mm_users is pinned before the trylock; ten failures clear the mark and hide nothing."""

from functools import partial

import attrs

from oom_spec.eras import e03_v4_8 as later
from oom_spec.eras.e03_v4_8 import E3, reap_task, scan_task
from oom_spec.language import Era, Verified, World, both, either, negate, requires, some, step
from oom_spec.protocol import kill
from oom_spec.protocol import killer as selecting
from oom_spec.protocol import reaper as reaping
from oom_spec.protocol.derived import users_left
from oom_spec.protocol.early import (
    begins_walk,
    by_its_old_name,
    every_user_dying,
    fatal_signal_pending,
    first_with_mm,
    kthread_forbids,
    none_with_mm,
    will_free_early,
)
from oom_spec.protocol.mmput import runs_mmput
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import KillAt, ReapAt
from oom_spec.protocol.state import Excuse, Executor, Fault, Killer, Process, Reaper, Task

UNDER_OOM_LOCK = "e2fe14564d33"
ASYNC = "ec8d7c14ea14"
TRY = "3ef22dfff239"
GROUP = "98748bd72200"
SCAN_PROCESSES = "f44666b04605"

oom_kill_process = partial(kill.kill_process, at=KillAt.SHARERS, oracle=kill.LIST_ORDER)


# the reaper


@reap_task(at=ReapAt.FIND, then=ReapAt.TRYLOCK, call="find_lock_task_mm", commit=UNDER_OOM_LOCK)
def reaper_finds_mm(world: World, reaper: Reaper, task: Task, thread: Task) -> None:
    """Some thread still has the mm, which keeps mm_users above 0 under task_lock: mm_users is taken at once.

    find_lock_task_mm, the increment and task_unlock are one step: nobody else holds a task_lock across anything
    visible except killers, which oom_lock keeps out; exit_mm, which waits for it, comes after the step.
    """
    first_with_mm(world, task, thread)
    task.process.mm.pinned_by_reaper = True


@reap_task(at=ReapAt.FIND, then=ReapAt.UNLOCK_NO_MM, call="find_lock_task_mm", outcome="none")
def reaper_finds_no_mm(world: World, reaper: Reaper, task: Task) -> None:
    """All threads are past exit_mm: the reaper takes its work for done, although __mmput may still be under way."""
    none_with_mm(world, task)


@reaping.reap_mm(at=ReapAt.TRYLOCK, then=ReapAt.ZAP, call="down_read_trylock")
def trylock(world: World, reaper: Reaper, task: Task) -> None:
    """mmap_sem for reading, without waiting; the walk over the VMAs begins."""
    reaping.takes_read_lock(world, reaper, task)
    begins_walk(reaper, task.process.mm)


@reap_task(at=ReapAt.UNLOCK_NO_MM, then=ReapAt.LINK_NULL, call="mutex_unlock(oom_lock)", outcome="no mm")
def reaper_drops_oom_lock_without_mm(reaper: Reaper, task: Task) -> None:
    """There is no mm to put."""
    reaper.holds_oom_lock = False


put_async = partial(reap_task, at=ReapAt.MMPUT_ASYNC_FALSE, then=ReapAt.RETRY, call="mmput_async", commit=ASYNC)


@put_async(outcome="last, to retry")
def mmput_async_last_to_retry(world: World, reaper: Reaper, task: Task) -> None:
    """The failed attempt's was the last mm_users: a kworker runs __mmput."""
    mm = task.process.mm
    mm.pinned_by_reaper = False
    runs_mmput(world, mm, Executor.WORKQUEUE)


@put_async(outcome="not last, to retry")
def mmput_async_not_last_to_retry(world: World, reaper: Reaper, task: Task) -> None:
    """Somebody else still uses the mm."""
    mm = task.process.mm
    mm.pinned_by_reaper = False
    requires(users_left(world, mm), Guard.NOT_LAST_USER)


# the killer


@selecting.out_of_memory(
    at=KillAt.WILL_FREE,
    then=KillAt.SELECT,
    call="task_will_free_mem(current)",
    outcome="no",
    commit=GROUP,
    verified=Verified.MAIL,
)
def current_is_not_dying(world: World, killer: Killer) -> None:
    """The allocating task neither has SIGKILL pending nor exits with its whole group: a scan begins."""
    requires(
        negate(some(world.all(Task), lambda task: both(killer.current == task, current_goes(world, task)))),
        Guard.NOT_DYING,
    )
    selecting.begin_scan(killer)


@selecting.out_of_memory(
    at=KillAt.WILL_FREE,
    then=KillAt.DYING_MEMDIE,
    call="task_will_free_mem(current)",
    outcome="yes",
    commit=GROUP,
    verified=Verified.MAIL,
)
def current_is_dying(world: World, killer: Killer, task: Task) -> None:
    """The allocating thread has SIGKILL pending, or exits with its whole group: it is marked, nobody is killed."""
    requires(killer.current == task, Guard.SCENARIO)
    requires(current_goes(world, task), Guard.DYING)
    killer.victim = task


def current_goes(world: World, task: Task) -> bool:
    """Either test of out_of_memory and mem_cgroup_out_of_memory that spares the scan."""
    return either(fatal_signal_pending(task), will_free_early(world, task))


@kill.kill_process(
    at=KillAt.VICTIM_WILL_FREE,
    then=KillAt.DYING_MEMDIE,
    call="task_will_free_mem(victim)",
    outcome="yes",
    commit=GROUP,
    verified=Verified.MAIL,
)
def victim_is_dying(world: World, killer: Killer, task: Task) -> None:
    """The chosen task exits with its whole group: mark it under task_lock, without a signal."""
    requires(will_free_early(world, task), Guard.DYING)
    killer.holds_task_lock = True


@kill.kill_process(
    at=KillAt.VICTIM_WILL_FREE,
    then=KillAt.FIND_LOCK,
    call="task_will_free_mem(victim)",
    outcome="no",
    commit=GROUP,
    verified=Verified.MAIL,
)
def victim_is_not_dying(world: World, killer: Killer, task: Task) -> None:
    """It must be killed, even where SIGKILL was sent before. The test's task_lock is released again unseen."""
    requires(negate(will_free_early(world, task)), Guard.NOT_DYING)


try_oom_reaper = partial(
    step, Killer, at=KillAt.DYING_TRY, kernel="mm/oom_kill.c:try_oom_reaper", binds={"task": "victim"}, commit=TRY
)


@try_oom_reaper(then=KillAt.DYING_WAKE, call="process_shares_mm", outcome="all are dying")
def dying_with_every_user(world: World, killer: Killer, task: Task) -> None:
    """Nobody who stays alive uses the mm: the dying task is queued, if it is not yet."""
    requires(every_user_dying(world, task), Guard.EVERY_USER_DYING)


@try_oom_reaper(then=KillAt.DYING_DONE, call="process_shares_mm", outcome="some are not dying")
def dying_without_every_user(world: World, killer: Killer, task: Task) -> None:
    """Somebody may go on using the mm: it is marked and not queued."""
    requires(negate(every_user_dying(world, task)), Guard.NOT_EVERY_USER_DYING)


@oom_kill_process(then=KillAt.SHARERS, call="can_oom_reap = false", outcome="init shares")
def init_shares_mm(world: World, killer: Killer, task: Task, process: Process) -> None:
    """Global init uses the mm: it cannot be reaped. Nothing hides it: scans wait for the victim's own exit."""
    requires(kill.shares_mm(world, task, process), Guard.SHARES_MM)
    requires(process.global_init, Guard.IS_INIT)
    requires(killer.can_reap, Guard.CAN_REAP)
    killer.can_reap = False
    task.process.mm.excuse = Excuse.SHARED_WITH_INIT


@oom_kill_process(then=KillAt.SHARERS, call="can_oom_reap = false", outcome="a kernel thread shares")
def kthread_shares_mm(world: World, killer: Killer, task: Task, fault: Fault) -> None:
    """A kernel thread that called use_mm: as for global init."""
    kthread_forbids(world, killer, task, fault)


@scan_task(then=KillAt.UNLOCK, call="atomic_read(oom_victims)", outcome="not 0", commit=SCAN_PROCESSES)
def scan_aborts(world: World, killer: Killer, task: Task) -> None:
    """A marked victim: the scan aborts, whatever MMF_OOM_REAPED says."""
    selecting.meets(world, killer, task)
    requires(task.process.oom_mm, Guard.MARKED)
    world.announce(Event.SCAN_ENDED, killer, True)
    killer.chosen = None


REPLACED = (
    reaper_finds_mm,
    reaper_finds_no_mm,
    trylock,
    current_is_not_dying,
    current_is_dying,
    victim_is_dying,
    victim_is_not_dying,
    attrs.evolve(later.reaper_sets_reaped, then=ReapAt.UNLOCK_TRUE),
    attrs.evolve(later.give_up, then=ReapAt.LINK_NULL, commit=""),
    attrs.evolve(reaping.trylock_fails, then=ReapAt.UNLOCK_FALSE),
    attrs.evolve(reaping.reaper_drops_oom_lock, then=ReapAt.MMPUT_ASYNC),
    attrs.evolve(reaping.reaper_drops_oom_lock_to_retry, then=ReapAt.MMPUT_ASYNC_FALSE),
    attrs.evolve(reaping.mmput_async_last, then=ReapAt.LINK_NULL),
    attrs.evolve(reaping.mmput_async_not_last, then=ReapAt.LINK_NULL),
    attrs.evolve(later.dying_memdie, then=KillAt.DYING_TRY),
    attrs.evolve(kill.dying_memdie_again, then=KillAt.DYING_TRY),
)

E2 = Era(
    id="E2",
    aliases=("v4.7", "4.7"),
    title="v4.7: success hides the mm; after ten failures the mark goes too, and the victim can be chosen again",
    opened_by='ec8d7c14ea14 "mm, oom_reaper: do not mmput synchronously from the oom reaper context"',
    why="The release that introduced MMF_OOM_REAPED, mmput_async, and the reap under oom_lock.",
    parent=E3,
    added=(
        reaper_drops_oom_lock_without_mm,
        mmput_async_last_to_retry,
        mmput_async_not_last_to_retry,
        dying_with_every_user,
        dying_without_every_user,
        init_shares_mm,
        kthread_shares_mm,
        scan_aborts,
    ),
    replaced=tuple(map(by_its_old_name, REPLACED)),
    removed=(
        reaping.mmget_not_zero.id,
        reaping.mmget_not_zero_fails.id,
        reaping.up_read_nothing_reaped.id,
        later.reaper_mmdrop.id,
        later.reaper_mmdrop_to_retry.id,
        later.first_failure.id,
        later.second_failure.id,
        later.reaped_after_second_failure.id,
        later.fails_without_mm.id,
        later.init_shares_mm.id,
        later.kthread_shares_mm.id,
        later.scan_passes_over_victim.id,
        later.scan_aborts.id,
    ),
)

ERAS = (E2,)
