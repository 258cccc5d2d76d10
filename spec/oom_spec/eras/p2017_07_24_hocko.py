"""Hocko, 2017-07-24: the patch of the thread. exit_mmap tears down under mmap_sem for writing.

And the strawman that question 1 of the mail fears: the same, with the lock taken before unmap_vmas.
"""

from functools import partial

from oom_spec.eras.e04_v4_12 import E4
from oom_spec.language import Era, Standing, Verified, World, negate, requires
from oom_spec.protocol import exit_mmap, fences, reaper
from oom_spec.protocol.exit_mmap import exit_mmap as in_exit_mmap
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import MmputAt, ReapAt
from oom_spec.protocol.reaper import attempts_exhausted, fails_trylock, pops, takes_read_lock
from oom_spec.protocol.state import Mm, Presence, Reaper, Task

MAIL = "20170724072332.31903-1-mhocko@kernel.org"
reap_mm = partial(reaper.reap_mm, verified=Verified.MAIL)
oom_reap_task = partial(reaper.oom_reap_task, verified=Verified.MAIL)


@reaper.oom_reaper(at=ReapAt.WAIT, then=ReapAt.TRYLOCK, call="oom_reap_task", waits=True, verified=Verified.MAIL)
def dequeue(world: World, reaper: Reaper, task: Task) -> None:
    """As before; oom_lock is not taken any more."""
    pops(world, reaper, task)


@reap_mm(at=ReapAt.TRYLOCK, then=ReapAt.TEST_SKIP, call="down_read_trylock")
def trylock(world: World, reaper: Reaper, task: Task) -> None:
    """mmap_sem for reading, without waiting; mm_users is not looked at."""
    takes_read_lock(world, reaper, task)


@reap_mm(at=ReapAt.TRYLOCK, then=ReapAt.RETRY, call="down_read_trylock", outcome="fails")
def trylock_fails(world: World, reaper: Reaper, task: Task) -> None:
    """A writer holds mmap_sem or waits for it."""
    fails_trylock(world, reaper, task)


@reap_mm(at=ReapAt.TEST_SKIP, then=ReapAt.SET_UNSTABLE, call="mm->mmap", outcome="not NULL")
def mmap_is_there(reaper: Reaper, task: Task) -> None:
    """There is something to walk; the tear-down cannot begin while the lock is held for reading."""
    requires(negate(exit_mmap.mmap_is_null(task.process.mm)), Guard.MMAP_NOT_NULL)


@reap_mm(at=ReapAt.TEST_SKIP, then=ReapAt.UP_READ_SKIPPED, call="mm->mmap", outcome="NULL")
def mmap_is_gone(reaper: Reaper, task: Task) -> None:
    """exit_mmap has finished: nothing is left to reap."""
    requires(exit_mmap.mmap_is_null(task.process.mm), Guard.MMAP_NULL)


@reap_mm(at=ReapAt.UP_READ_SKIPPED, then=ReapAt.LINK_NULL, call="up_read", outcome="nothing reaped")
def up_read_nothing_reaped(reaper: Reaper, task: Task) -> None:
    """Releases mmap_sem; returns true."""
    task.process.mm.read_by_reaper = False


@reap_mm(at=ReapAt.UP_READ_REAPED, then=ReapAt.LINK_NULL, call="up_read")
def up_read_after_pass(reaper: Reaper, task: Task) -> None:
    """Releases mmap_sem; returns true."""
    task.process.mm.read_by_reaper = False


@oom_reap_task(at=ReapAt.RETRY, then=ReapAt.TRYLOCK, call="schedule_timeout_idle(HZ/10)")
def retry(reaper: Reaper, task: Task) -> None:
    """Sleeps and tries again."""
    requires(negate(attempts_exhausted(reaper)), Guard.ATTEMPTS_LEFT)


@in_exit_mmap(
    at=MmputAt.UNMAP, then=MmputAt.FENCE_DOWN_WRITE, call="unmap_vmas", outcome="done", verified=Verified.MAIL
)
def unmap_done(mm: Mm) -> None:
    """unmap_vmas has walked every VMA, perhaps beside the reaper; only now the lock is taken."""
    requires(exit_mmap.nothing_mapped(mm), Guard.NO_PAGES_LEFT)
    mm.unmapped = True


HOCKO = Era(
    id="hocko-2017-07-24",
    title="mm, oom: allow oom reaper to race with exit_mmap",
    opened_by=f"Hocko, 2017-07-24, {MAIL}",
    standing=Standing.PROPOSED,
    why="The patch that the mail defends: mmap_sem for writing around free_pgtables, unconditionally.",
    parent=E4,
    added=(
        mmap_is_there,
        mmap_is_gone,
        fences.lock_tear_down,
        fences.fence_down_write_waits,
        fences.lock_tear_down_wakes,
        fences.clear_mmap,
        fences.up_write_after_free,
    ),
    replaced=(
        dequeue,
        trylock,
        trylock_fails,
        up_read_nothing_reaped,
        up_read_after_pass,
        retry,
        unmap_done,
        fences.vmas_freed_under_lock,
    ),
    removed=(
        reaper.reaper_takes_oom_lock.id,
        reaper.mmget_not_zero.id,
        reaper.mmget_not_zero_fails.id,
        reaper.mmput_async_last.id,
        reaper.mmput_async_not_last.id,
        reaper.reaper_drops_oom_lock.id,
        reaper.reaper_drops_oom_lock_to_retry.id,
    ),
)

strawman = partial(in_exit_mmap, verified=Verified.INFERRED)


@strawman(at=MmputAt.FIRST_VMA, then=MmputAt.LOCK_BEFORE_UNMAP, call="tlb_gather_mmu")
def first_vma_then_lock(mm: Mm) -> None:
    """There is work to do, and the lock is taken first."""
    requires(mm.vmas != Presence.NEVER, Guard.HAS_VMAS)


@strawman(at=MmputAt.LOCK_BEFORE_UNMAP, then=MmputAt.UNMAP, call="down_write")
def lock_before_unmap(world: World, mm: Mm) -> None:
    """Held over unmap_vmas and everything after it."""
    fences.take_write_lock(world, mm)


@strawman(at=MmputAt.LOCK_BEFORE_UNMAP, then=MmputAt.LOCK_BEFORE_UNMAP_WAITS, call="down_write", outcome="waits")
def lock_before_unmap_waits(world: World, mm: Mm) -> None:
    """A reader is at work: wait for it."""
    fences.wait_for_write_lock(world, mm)


@strawman(at=MmputAt.LOCK_BEFORE_UNMAP_WAITS, then=MmputAt.UNMAP, call="down_write", outcome="wakes", waits=True)
def lock_before_unmap_wakes(world: World, mm: Mm) -> None:
    """The reader is out."""
    fences.wake_with_write_lock(world, mm)


@strawman(at=MmputAt.UNMAP, then=MmputAt.FREE_PGTABLES, call="unmap_vmas", outcome="done")
def unmap_done_under_lock(mm: Mm) -> None:
    """unmap_vmas has walked every VMA; the lock is held already."""
    requires(exit_mmap.nothing_mapped(mm), Guard.NO_PAGES_LEFT)
    mm.unmapped = True


STRAWMAN = Era(
    id="strawman-lock-before-unmap",
    title="the patch of 2017-07-24 with mmap_sem taken before unmap_vmas",
    opened_by="what question 1 of the mail fears",
    standing=Standing.STRAWMAN,
    why="To show that the place of the lock, not the lock, is what question 1 is about.",
    parent=HOCKO,
    replaced=(
        first_vma_then_lock,
        lock_before_unmap,
        lock_before_unmap_waits,
        lock_before_unmap_wakes,
        unmap_done_under_lock,
    ),
)

ERAS = (HOCKO, STRAWMAN)
