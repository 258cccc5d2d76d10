"""Hocko, 2018-09-10: exit_mmap hands over by mm->mmap = NULL, after it has unlinked the VMAs.

As posted: the exit path of a victim munlocks and unlinks under mmap_sem for writing, and then promises
to finish; the reaper sets MMF_OOM_SKIP only where that did not happen, and nobody else does. The first
patch of the series was read in its second posting (2018-10-25) and in what the third patch shows of it.

Also the follow-up of 2018-09-12, in which exit_mmap sets MMF_OOM_SKIP at its end.
"""

from functools import partial

from oom_spec.eras.e08_v4_19 import E8
from oom_spec.language import Era, Standing, Verified, World, negate, requires, when
from oom_spec.protocol import exit_mmap, fences, notifiers, reaper, self_reap
from oom_spec.protocol.exit_mmap import exit_mmap as in_exit_mmap
from oom_spec.protocol.exit_mmap import mmap_is_null
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import MmputAt, ReapAt
from oom_spec.protocol.reaper import completes_pass, publishes_skip
from oom_spec.protocol.state import Mm, Presence, Reaper, Task, Writer

COVER = "20180910125513.311-1-mhocko@kernel.org"
FOLLOW_UP = "20180912071842.GY10951@dhcp22.suse.cz"
MEMORY_LEFT = "oom_badness_pages"

of_exit_mmap = partial(in_exit_mmap, verified=Verified.MAIL)
down_write = partial(fences.down_write, verified=Verified.MAIL)
reap_mm = partial(reaper.reap_mm, verified=Verified.MAIL)
oom_reap_task = partial(reaper.oom_reap_task, verified=Verified.MAIL)


@of_exit_mmap(at=MmputAt.NOTIFIER_RELEASE, then=MmputAt.MUNLOCK, call="mmu_notifier_release")
def mmu_notifier_release(mm: Mm) -> None:
    """The notifiers are told and unlinked. exit_mmap reaps nothing itself any more."""
    mm.notifiers_released = True


@of_exit_mmap(at=MmputAt.MUNLOCK, then=MmputAt.MUNLOCKING, call="munlock_vma_pages_all", outcome="no victim")
def munlock_begins_unlocked(mm: Mm) -> None:
    """No reaper will come: no lock."""
    requires(mm.vm_locked, Guard.HAS_LOCKED_VMA)
    requires(negate(mm.oom_victim), Guard.IS_NO_OOM_VICTIM)
    begins_munlock(mm)


def begins_munlock(mm: Mm) -> None:
    """VM_LOCKED is cleared first."""
    mm.vm_locked = False
    mm.munlocking = True


@of_exit_mmap(at=MmputAt.MUNLOCK, then=MmputAt.LOCK_BEFORE_UNMAP, call="munlock_vma_pages_all", outcome="victim")
def munlock_needs_lock(mm: Mm) -> None:
    """The reaper passes over VM_LOCKED VMAs, and must not meet one in the middle of munlock."""
    requires(mm.vm_locked, Guard.HAS_LOCKED_VMA)
    requires(mm.oom_victim, Guard.IS_OOM_VICTIM)


@down_write(at=MmputAt.LOCK_BEFORE_UNMAP, then=MmputAt.MUNLOCKING, call="down_write", outcome="munlock")
def munlock_down_write(world: World, mm: Mm) -> None:
    """For the munlock of one VMA; VM_LOCKED is cleared under it."""
    fences.take_write_lock(world, mm)
    begins_munlock(mm)


@down_write(
    at=MmputAt.LOCK_BEFORE_UNMAP,
    then=MmputAt.LOCK_BEFORE_UNMAP_WAITS,
    call="down_write",
    outcome="munlock, waits",
)
def munlock_down_write_waits(world: World, mm: Mm) -> None:
    """A reaper, ksmd or khugepaged is at work."""
    fences.wait_for_write_lock(world, mm)


@down_write(
    at=MmputAt.LOCK_BEFORE_UNMAP_WAITS,
    then=MmputAt.MUNLOCKING,
    call="down_write",
    outcome="munlock, wakes",
    waits=True,
)
def munlock_down_write_wakes(world: World, mm: Mm) -> None:
    """The last reader is out."""
    fences.wake_with_write_lock(world, mm)
    begins_munlock(mm)


@of_exit_mmap(at=MmputAt.MUNLOCKING, then=MmputAt.FIRST_VMA, call="munlock_vma_pages_all", outcome="done")
def munlock_ends(mm: Mm) -> None:
    """All pages of the VMA were walked; up_write, where the lock was taken, follows at once: one step."""
    mm.munlocking = False
    mm.writer = when(mm.writer == Writer.EXIT_MMAP, Writer.NOBODY, mm.writer)


@of_exit_mmap(at=MmputAt.UNMAP, then=MmputAt.FENCE_TEST, call="unmap_vmas", outcome="done")
def unmap_done(mm: Mm) -> None:
    """unmap_vmas has walked every VMA, perhaps beside the reaper."""
    requires(exit_mmap.nothing_mapped(mm), Guard.NO_PAGES_LEFT)
    mm.unmapped = True


@of_exit_mmap(at=MmputAt.FENCE_TEST, then=MmputAt.FENCE_DOWN_WRITE, call="mm_is_oom_victim", outcome="yes")
def is_victim(mm: Mm) -> None:
    """The hand-over is between a victim's exit path and the reaper."""
    requires(mm.oom_victim, Guard.IS_OOM_VICTIM)


@of_exit_mmap(at=MmputAt.FENCE_TEST, then=MmputAt.FREE_PGTABLES, call="mm_is_oom_victim", outcome="no")
def is_no_victim(mm: Mm) -> None:
    """Nobody to hand over from."""
    requires(negate(mm.oom_victim), Guard.IS_NO_OOM_VICTIM)


@down_write(at=MmputAt.FENCE_DOWN_WRITE, then=MmputAt.CLEAR_MMAP, call="down_write")
def hand_over_down_write(world: World, mm: Mm) -> None:
    """The VMAs are unlinked from the rmap under it, which may block on locks that allocating contexts hold."""
    fences.take_write_lock(world, mm)


@down_write(at=MmputAt.FENCE_DOWN_WRITE_WAITS, then=MmputAt.CLEAR_MMAP, call="down_write", outcome="wakes", waits=True)
def hand_over_down_write_wakes(world: World, mm: Mm) -> None:
    """The last reader is out."""
    fences.wake_with_write_lock(world, mm)


@of_exit_mmap(at=MmputAt.CLEAR_MMAP, then=MmputAt.FENCE_UP_WRITE, call="mm->mmap = NULL")
def hand_over(mm: Mm) -> None:
    """From here on the exit path finishes without blocking, and the reaper finds nothing to walk."""
    mm.no_mmap = True


@of_exit_mmap(at=MmputAt.FENCE_UP_WRITE, then=MmputAt.FREE_PGTABLES, call="up_write")
def hand_over_up_write(mm: Mm) -> None:
    """The tear-down itself runs without the lock."""
    mm.writer = Writer.NOBODY


@reap_mm(at=ReapAt.TEST_SKIP, then=ReapAt.SET_UNSTABLE, call="mm->mmap", outcome="not NULL")
def mmap_is_there(reaper: Reaper, task: Task) -> None:
    """exit_mmap has not handed over."""
    requires(negate(mmap_is_null(task.process.mm)), Guard.MMAP_NOT_NULL)


@reap_mm(at=ReapAt.TEST_SKIP, then=ReapAt.UP_READ_SKIPPED, call="mm->mmap", outcome="NULL")
def mmap_is_gone(reaper: Reaper, task: Task) -> None:
    """exit_mmap has promised to finish: leave it the rest."""
    requires(mmap_is_null(task.process.mm), Guard.MMAP_NULL)


@reap_mm(at=ReapAt.ZAP, then=ReapAt.UP_READ_REAPED, call="tlb_finish_mmu", oracle=MEMORY_LEFT)
def pass_completed(reaper: Reaper, task: Task) -> None:
    """Every eligible VMA was walked, and little memory is left: page tables, mlocked and shared pages."""
    notifiers.not_refused(reaper)
    completes_pass(reaper, task)


@reap_mm(
    at=ReapAt.ZAP, then=ReapAt.UP_READ_INCOMPLETE, call="tlb_finish_mmu", outcome="much is left", oracle=MEMORY_LEFT
)
def much_is_left(reaper: Reaper, task: Task) -> None:
    """Every eligible VMA was walked, and more than some megabytes are left: returns false, to try again."""
    notifiers.not_refused(reaper)
    completes_pass(reaper, task)


@oom_reap_task(at=ReapAt.SET_SKIP, then=ReapAt.PUT_TASK, call="set_bit(MMF_OOM_SKIP)")
def reaper_sets_skip(world: World, reaper: Reaper, task: Task) -> None:
    """Reaped, or given up on: the exit path has not handed over, as far as a look without the lock can tell."""
    mm = task.process.mm
    requires(negate(mmap_is_null(mm)), Guard.MMAP_NOT_NULL)
    publishes_skip(world, reaper, mm)


@oom_reap_task(at=ReapAt.SET_SKIP, then=ReapAt.PUT_TASK, call="set_bit(MMF_OOM_SKIP)", outcome="left to the exit path")
def reaper_leaves_skip(reaper: Reaper, task: Task) -> None:
    """mm->mmap is NULL: the flag is the exit path's business."""
    requires(mmap_is_null(task.process.mm), Guard.MMAP_NULL)


SELF_REAP = (
    self_reap.own_reap_begins,
    self_reap.own_reap_zaps,
    self_reap.own_reap_ends,
    self_reap.sets_skip,
)

RFC = Era(
    id="hocko-rfc-2018-09-10",
    title="rework mmap-exit vs. oom_reaper handover",
    opened_by=f"Hocko, 2018-09-10, {COVER}",
    standing=Standing.PROPOSED,
    why="The hand-over of MMF_OOM_SKIP to an exit path that cannot block any more, as posted.",
    parent=E8,
    added=(
        munlock_begins_unlocked,
        munlock_needs_lock,
        munlock_down_write,
        munlock_down_write_waits,
        munlock_down_write_wakes,
        hand_over,
        mmap_is_there,
        mmap_is_gone,
        much_is_left,
        reaper_leaves_skip,
    ),
    replaced=(
        mmu_notifier_release,
        munlock_ends,
        unmap_done,
        is_victim,
        is_no_victim,
        hand_over_down_write,
        hand_over_down_write_wakes,
        hand_over_up_write,
        pass_completed,
        reaper_sets_skip,
    ),
    removed=(
        *(each.id for each in SELF_REAP),
        exit_mmap.munlock_begins.id,
        "reaper.__oom_reap_task_mm.test_bit(MMF_OOM_SKIP)[clear]",
        "reaper.__oom_reap_task_mm.test_bit(MMF_OOM_SKIP)[set]",
    ),
)


@of_exit_mmap(at=MmputAt.FREEING_VMAS, then=MmputAt.SET_SKIP, call="remove_vma", outcome="done")
def remove_vma_ends(mm: Mm) -> None:
    """No VMA is left."""
    mm.vmas = Presence.FREED


@of_exit_mmap(at=MmputAt.SET_SKIP, then=MmputAt.MMDROP, call="set_bit(MMF_OOM_SKIP)", outcome="at the end")
def sets_skip_at_end(world: World, mm: Mm) -> None:
    """The whole address space is torn down: scans may pass over the task, which is still visible."""
    requires(mm.oom_victim, Guard.IS_OOM_VICTIM)
    world.announce(Event.EXIT_SETS_SKIP, mm)
    mm.oom_skip = True


@of_exit_mmap(at=MmputAt.SET_SKIP, then=MmputAt.MMDROP, call="set_bit(MMF_OOM_SKIP)", outcome="no victim, at the end")
def no_skip_at_end(mm: Mm) -> None:
    """Nobody waits for this mm."""
    requires(negate(mm.oom_victim), Guard.IS_NO_OOM_VICTIM)


RFC_WITH_SKIP = Era(
    id="hocko-rfc-2018-09-12",
    title="rework mmap-exit vs. oom_reaper handover, with MMF_OOM_SKIP set at the end of exit_mmap",
    opened_by=f"Hocko, 2018-09-12, {FOLLOW_UP}",
    standing=Standing.PROPOSED,
    why="Tetsuo Handa pointed out that scans wait for the flag as long as the task is visible.",
    parent=RFC,
    added=(sets_skip_at_end, no_skip_at_end),
    replaced=(remove_vma_ends,),
)

ERAS = (RFC, RFC_WITH_SKIP)
