"""Tetsuo Handa, 2017-06-16: mark_oom_victim pins mm_users until the reaper is done."""

from functools import partial

from oom_spec.eras.e04_v4_12 import E4
from oom_spec.language import Era, Standing, Verified, World, negate, requires
from oom_spec.protocol import kill, reaper
from oom_spec.protocol.derived import oom_lock_taken, users_left
from oom_spec.protocol.mmput import runs_mmput
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import KillAt, ReapAt
from oom_spec.protocol.reaper import (
    attempts_exhausted,
    clears_link,
    fails_trylock,
    pops,
    publishes_skip,
    takes_read_lock,
)
from oom_spec.protocol.state import Excuse, Executor, Killer, Mm, Process, Reaper, Task

MAIL = "201706162122.ACE95321.tOFLOOVFFHMSJQ@I-love.SAKURA.ne.jp"
mark_victim = partial(kill.mark_victim, verified=Verified.MAIL)
kill_process = partial(kill.kill_process, verified=Verified.MAIL)
reap_mm = partial(reaper.reap_mm, verified=Verified.MAIL)
oom_reap_task = partial(reaper.oom_reap_task, verified=Verified.MAIL)


@mark_victim(at=KillAt.MARK_MMGRAB, then=KillAt.MARK_MMGET, call="mmgrab(oom_mm)")
def mark_mmgrab(killer: Killer, task: Task) -> None:
    """As before; then the mm is pinned."""
    task.process.oom_mm_counted = True
    kill.thaws(task)


@mark_victim(at=KillAt.MARK_OOM_MM, then=KillAt.MARK_MMGET, call="cmpxchg(oom_mm)", outcome="already set")
def mark_oom_mm_again(killer: Killer, task: Task) -> None:
    """Another thread of the process was marked before; the mm is pinned all the same."""
    requires(task.process.oom_mm, Guard.MARKED_BEFORE)
    kill.thaws(task)


@mark_victim(at=KillAt.MARK_MMGET, then=KillAt.TASK_UNLOCK, call="mmget")
def mark_mmget(killer: Killer, task: Task) -> None:
    """MMF_OOM_REAPING and mm_users + 1, once per mm; task_lock is held and t->mm is set."""
    task.process.mm.pinned_by_mark = True


@mark_victim(at=KillAt.DYING_MMGRAB, then=KillAt.DYING_MMGET, call="mmgrab(oom_mm)", outcome="dying")
def dying_mmgrab(killer: Killer, task: Task) -> None:
    """As for a killed victim."""
    task.process.oom_mm_counted = True
    kill.thaws(task)


@mark_victim(at=KillAt.DYING_OOM_MM, then=KillAt.DYING_MMGET, call="cmpxchg(oom_mm)", outcome="dying, already set")
def dying_oom_mm_again(killer: Killer, task: Task) -> None:
    """As for a killed victim."""
    requires(task.process.oom_mm, Guard.MARKED_BEFORE)
    kill.thaws(task)


@mark_victim(at=KillAt.DYING_MMGET, then=KillAt.DYING_WAKE, call="mmget", outcome="dying")
def dying_mmget(killer: Killer, task: Task) -> None:
    """As for a killed victim."""
    task.process.mm.pinned_by_mark = True


@kill_process(
    at=KillAt.SHARERS, then=KillAt.SHARERS, call="set_bit(MMF_OOM_SKIP)", outcome="init shares", oracle=kill.LIST_ORDER
)
def init_shares_mm(world: World, killer: Killer, task: Task, process: Process) -> None:
    """Global init uses the mm: hidden at once, and the pin is dropped; init's own use keeps mm_users up."""
    requires(kill.shares_mm(world, task, process), Guard.SHARES_MM)
    requires(process.global_init, Guard.IS_INIT)
    requires(killer.can_reap, Guard.CAN_REAP)
    killer.can_reap = False
    mm = task.process.mm
    mm.oom_skip = True
    mm.excuse = Excuse.SHARED_WITH_INIT
    mm.pinned_by_mark = False


@reaper.oom_reaper(at=ReapAt.WAIT, then=ReapAt.TRYLOCK, call="oom_reap_task", waits=True, verified=Verified.MAIL)
def dequeue(world: World, reaper: Reaper, task: Task) -> None:
    """As before; oom_lock is not taken around the attempt any more."""
    pops(world, reaper, task)


@reap_mm(at=ReapAt.TRYLOCK, then=ReapAt.SET_UNSTABLE, call="down_read_trylock")
def trylock(world: World, reaper: Reaper, task: Task) -> None:
    """mm_users is pinned by the mark, so it is not looked at."""
    takes_read_lock(world, reaper, task)


@reap_mm(at=ReapAt.TRYLOCK, then=ReapAt.RETRY, call="down_read_trylock", outcome="fails")
def trylock_fails(world: World, reaper: Reaper, task: Task) -> None:
    """A writer holds mmap_sem or waits for it."""
    fails_trylock(world, reaper, task)


@reap_mm(at=ReapAt.UP_READ_REAPED, then=ReapAt.LINK_NULL, call="up_read")
def up_read_after_pass(reaper: Reaper, task: Task) -> None:
    """Releases mmap_sem; returns true."""
    task.process.mm.read_by_reaper = False


@oom_reap_task(at=ReapAt.RETRY, then=ReapAt.TRYLOCK, call="schedule_timeout_idle(HZ/10)")
def retry(reaper: Reaper, task: Task) -> None:
    """Sleeps and tries again."""
    requires(negate(attempts_exhausted(reaper)), Guard.ATTEMPTS_LEFT)


@oom_reap_task(at=ReapAt.LINK_NULL, then=ReapAt.SKIP_OOM_LOCK, call="tsk->oom_reaper_list = NULL")
def link_null(reaper: Reaper, task: Task) -> None:
    """As before; then MMF_OOM_SKIP is set under oom_lock."""
    clears_link(task)


@oom_reap_task(at=ReapAt.SKIP_OOM_LOCK, then=ReapAt.SET_SKIP, call="mutex_lock(oom_lock)", waits=True)
def skip_oom_lock(world: World, reaper: Reaper, task: Task) -> None:
    """No scan may run between the last allocation attempt and its look at the flag."""
    requires(negate(oom_lock_taken(world)), Guard.OOM_LOCK_FREE)
    reaper.holds_oom_lock = True


@oom_reap_task(at=ReapAt.SET_SKIP, then=ReapAt.SKIP_OOM_UNLOCK, call="set_bit(MMF_OOM_SKIP)")
def reaper_sets_skip(world: World, reaper: Reaper, task: Task) -> None:
    """In every case."""
    publishes_skip(world, reaper, task.process.mm)


@oom_reap_task(at=ReapAt.SKIP_OOM_UNLOCK, then=ReapAt.MMPUT_MARK, call="mutex_unlock(oom_lock)")
def skip_oom_unlock(reaper: Reaper, task: Task) -> None:
    """Scans may go on."""
    reaper.holds_oom_lock = False


def drops_pin(mm: Mm) -> None:
    """MMF_OOM_REAPING is cleared, mm_users - 1."""
    requires(mm.pinned_by_mark, Guard.PINNED)
    mm.pinned_by_mark = False


@oom_reap_task(at=ReapAt.MMPUT_MARK, then=ReapAt.PUT_TASK, call="mmput_async", outcome="last")
def mmput_async_last(world: World, reaper: Reaper, task: Task) -> None:
    """The mark's was the last mm_users: a kworker runs __mmput."""
    mm = task.process.mm
    drops_pin(mm)
    runs_mmput(world, mm, Executor.WORKQUEUE)


@oom_reap_task(at=ReapAt.MMPUT_MARK, then=ReapAt.PUT_TASK, call="mmput_async", outcome="not last")
def mmput_async_not_last(world: World, reaper: Reaper, task: Task) -> None:
    """Somebody else still uses the mm."""
    drops_pin(task.process.mm)
    requires(users_left(world, task.process.mm), Guard.NOT_LAST_USER)


@oom_reap_task(at=ReapAt.MMPUT_MARK, then=ReapAt.PUT_TASK, call="test_bit(MMF_OOM_REAPING)", outcome="clear")
def no_pin(reaper: Reaper, task: Task) -> None:
    """The pin was dropped before, by a job for the same mm."""
    requires(negate(task.process.mm.pinned_by_mark), Guard.NOT_PINNED)


TETSUO = Era(
    id="tetsuo-2017-06-16",
    title="a mm_users reference from mark_oom_victim until the reaper is done; MMF_OOM_SKIP under oom_lock",
    opened_by=f"Tetsuo Handa, 2017-06-16, {MAIL}",
    standing=Standing.PROPOSED,
    why="The other rejected repair: the victim can become invisible while its memory is still there.",
    parent=E4,
    added=(
        mark_mmget,
        dying_mmget,
        skip_oom_lock,
        skip_oom_unlock,
        mmput_async_last,
        mmput_async_not_last,
        no_pin,
    ),
    replaced=(
        mark_mmgrab,
        mark_oom_mm_again,
        dying_mmgrab,
        dying_oom_mm_again,
        init_shares_mm,
        dequeue,
        trylock,
        trylock_fails,
        up_read_after_pass,
        retry,
        link_null,
        reaper_sets_skip,
    ),
    removed=(
        reaper.reaper_takes_oom_lock.id,
        reaper.mmget_not_zero.id,
        reaper.mmget_not_zero_fails.id,
        reaper.mmput_async_last.id,
        reaper.mmput_async_not_last.id,
        reaper.up_read_nothing_reaped.id,
        reaper.reaper_drops_oom_lock.id,
        reaper.reaper_drops_oom_lock_to_retry.id,
    ),
)

ERAS = (TETSUO,)
