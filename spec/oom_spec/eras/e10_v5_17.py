"""E10: v5.17. exit_mmap holds mmap_lock for writing from munlock to the last VMA, for every mm."""

from functools import partial

from oom_spec.eras.e09_v5_15 import E9
from oom_spec.language import Era, Standing, Verified, World, negate, requires
from oom_spec.protocol import fences, mrelease, self_reap
from oom_spec.protocol.exit_mmap import exit_mmap as in_exit_mmap
from oom_spec.protocol.exit_mmap import mmap_is_null
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import MmputAt, ReapAt
from oom_spec.protocol.reaper import reap_mm
from oom_spec.protocol.state import Mm, Presence, Reaper, Task, Writer

INTRODUCED = self_reap.UNDER_WRITE_LOCK
CLEARS_MMAP = "f798a1d4f94d"
of_exit_mmap = partial(in_exit_mmap, commit=INTRODUCED)
down_write = partial(fences.down_write, commit=INTRODUCED)


@of_exit_mmap(at=MmputAt.SELF_REAP_TEST, then=MmputAt.LOCK_BEFORE_UNMAP, call="mm_is_oom_victim", outcome="no")
def is_no_victim(mm: Mm) -> None:
    """No reaper will come, but process_mrelease may: the lock is taken for every mm."""
    requires(negate(mm.oom_victim), Guard.IS_NO_OOM_VICTIM)


@of_exit_mmap(at=MmputAt.SELF_REAP_SKIP, then=MmputAt.LOCK_BEFORE_UNMAP, call="set_bit(MMF_OOM_SKIP)")
def sets_skip(world: World, mm: Mm) -> None:
    """As before; who waits for the lock that is taken next finds the flag set."""
    world.announce(Event.EXIT_SETS_SKIP, mm)
    mm.oom_skip = True


@down_write(at=MmputAt.LOCK_BEFORE_UNMAP, then=MmputAt.MUNLOCK, call="mmap_write_lock")
def write_lock(world: World, mm: Mm) -> None:
    """Held until the last VMA is gone."""
    fences.take_write_lock(world, mm)


@down_write(at=MmputAt.LOCK_BEFORE_UNMAP, then=MmputAt.LOCK_BEFORE_UNMAP_WAITS, call="mmap_write_lock", outcome="waits")
def write_lock_waits(world: World, mm: Mm) -> None:
    """The reaper, a caller of process_mrelease, ksmd or khugepaged is at work."""
    fences.wait_for_write_lock(world, mm)


@down_write(
    at=MmputAt.LOCK_BEFORE_UNMAP_WAITS,
    then=MmputAt.MUNLOCK,
    call="mmap_write_lock",
    outcome="wakes",
    waits=True,
)
def write_lock_wakes(world: World, mm: Mm) -> None:
    """The last holder is out."""
    fences.wake_with_write_lock(world, mm)


@of_exit_mmap(at=MmputAt.FIRST_VMA, then=MmputAt.UP_WRITE_AFTER_FREE, call="mm->mmap", outcome="no VMA")
def no_vma(mm: Mm) -> None:
    """Nothing was ever mapped: unlock and return."""
    requires(mm.vmas == Presence.NEVER, Guard.NO_VMAS)


@of_exit_mmap(at=MmputAt.FREEING_VMAS, then=MmputAt.UP_WRITE_AFTER_FREE, call="remove_vma", outcome="done")
def remove_vma_ends(mm: Mm) -> None:
    """No VMA is left, and mm->mmap keeps pointing at the first."""
    mm.vmas = Presence.FREED


@of_exit_mmap(at=MmputAt.UP_WRITE_AFTER_FREE, then=MmputAt.MMDROP, call="mmap_write_unlock")
def write_unlock(mm: Mm) -> None:
    """Whoever has waited with mmap_read_lock is let in now."""
    mm.writer = Writer.NOBODY


V5_17_RC = Era(
    id="v5.17-rc",
    title="v5.17-rc before f798a1d4f94d: mmap_lock for writing over the tear-down, and mm->mmap left dangling",
    opened_by='64591e8605d6 "mm: protect free_pgtables with mmap_lock write lock in exit_mmap"; ba535c1caf3e',
    standing=Standing.REPAIRED,
    why="process_mrelease waits for the lock, gets it when the VMAs are gone, and walks them.",
    parent=E9,
    added=(*mrelease.LOCKED_ADDED, write_lock, write_lock_waits, write_lock_wakes, write_unlock),
    replaced=(*mrelease.LOCKED_REPLACED, is_no_victim, sets_skip, no_vma, remove_vma_ends),
    removed=(*mrelease.LOCKED_REMOVED, *(each.id for each in fences.FENCE)),
)


@of_exit_mmap(
    at=MmputAt.FREEING_VMAS,
    then=MmputAt.CLEAR_MMAP,
    call="remove_vma",
    outcome="done",
    commit=CLEARS_MMAP,
    verified=Verified.MAIL,
)
def remove_vma_ends_before_clear(mm: Mm) -> None:
    """No VMA is left; the lock is still held."""
    mm.vmas = Presence.FREED


@of_exit_mmap(
    at=MmputAt.CLEAR_MMAP,
    then=MmputAt.UP_WRITE_AFTER_FREE,
    call="mm->mmap = NULL",
    commit=CLEARS_MMAP,
    verified=Verified.MAIL,
)
def clear_mmap(mm: Mm) -> None:
    """Whoever walks the list of VMAs from now on visits none."""
    mm.no_mmap = True


@reap_mm(
    at=ReapAt.SET_UNSTABLE, then=ReapAt.ZAP, call="set_bit(MMF_UNSTABLE)", commit=CLEARS_MMAP, verified=Verified.MAIL
)
def set_unstable(reaper: Reaper, task: Task) -> None:
    """As before; the walk touches something only if mm->mmap is not NULL."""
    mm = task.process.mm
    mm.unstable = True
    mm.walked_by_reaper = negate(mmap_is_null(mm))
    reaper.incomplete = False


E10 = Era(
    id="E10",
    aliases=("v5.17", "5.17"),
    title="v5.17: mmap_lock for writing over the whole tear-down, for every mm; mm->mmap becomes NULL under it",
    opened_by='f798a1d4f94d "mm: fix use-after-free bug when mm->mmap is reused after being freed"',
    why="process_mrelease works on mms that are no OOM victims, so the fence for victims did not stop it.",
    parent=V5_17_RC,
    added=(clear_mmap,),
    replaced=(remove_vma_ends_before_clear, set_unstable),
)

ERAS = (E10,)
