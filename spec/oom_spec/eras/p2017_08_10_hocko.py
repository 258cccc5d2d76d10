"""Hocko, 2017-08-10: the patch of 07-24 with the lock taken only where current is a victim."""

from functools import partial

from oom_spec.eras.p2017_07_24_hocko import HOCKO as EARLIER
from oom_spec.language import Era, Standing, Verified, World, negate, requires
from oom_spec.protocol import exit_mmap
from oom_spec.protocol.derived import executor_is_victim
from oom_spec.protocol.exit_mmap import exit_mmap as in_exit_mmap
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import MmputAt
from oom_spec.protocol.state import Mm, Writer

MAIL = "20170810081632.31265-1-mhocko@kernel.org"
of_exit_mmap = partial(in_exit_mmap, verified=Verified.MAIL)


@of_exit_mmap(at=MmputAt.UNMAP, then=MmputAt.FENCE_TEST, call="unmap_vmas", outcome="done")
def unmap_done(mm: Mm) -> None:
    """unmap_vmas has walked every VMA, perhaps beside the reaper."""
    requires(exit_mmap.nothing_mapped(mm), Guard.NO_PAGES_LEFT)
    mm.unmapped = True


@of_exit_mmap(at=MmputAt.FENCE_TEST, then=MmputAt.FENCE_DOWN_WRITE, call="tsk_is_oom_victim(current)", outcome="yes")
def lock_needed(world: World, mm: Mm) -> None:
    """The thread that runs __mmput belongs to a marked process; a local variable remembers that it locks."""
    requires(executor_is_victim(world, mm), Guard.CURRENT_IS_VICTIM)


@of_exit_mmap(at=MmputAt.FENCE_TEST, then=MmputAt.FREE_PGTABLES, call="tsk_is_oom_victim(current)", outcome="no")
def lock_not_needed(world: World, mm: Mm) -> None:
    """Whoever runs __mmput is no victim: the tear-down goes on without the lock."""
    requires(negate(executor_is_victim(world, mm)), Guard.CURRENT_IS_NO_VICTIM)


@of_exit_mmap(at=MmputAt.UP_WRITE_AFTER_FREE, then=MmputAt.SET_SKIP, call="up_write", outcome="after the VMAs")
def up_write_after_free(mm: Mm) -> None:
    """The local variable says that the lock was taken."""
    requires(mm.writer == Writer.EXIT_MMAP, Guard.EXIT_LOCKED)
    mm.writer = Writer.NOBODY


@of_exit_mmap(at=MmputAt.UP_WRITE_AFTER_FREE, then=MmputAt.SET_SKIP, call="up_write", outcome="not locked")
def no_up_write(mm: Mm) -> None:
    """The lock was not taken."""
    requires(mm.writer != Writer.EXIT_MMAP, Guard.EXIT_NOT_LOCKED)


HOCKO = Era(
    id="hocko-2017-08-10",
    title="mm, oom: allow oom reaper to race with exit_mmap, with the lock only if current is a victim",
    opened_by=f"Hocko, 2017-08-10, {MAIL}",
    standing=Standing.PROPOSED,
    why="An answer to the cost of an unconditional lock; it asks about the thread, like v4.14, not about the mm.",
    parent=EARLIER,
    added=(lock_needed, lock_not_needed, no_up_write),
    replaced=(unmap_done, up_write_after_free),
)

ERAS = (HOCKO,)
