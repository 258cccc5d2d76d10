"""exit_mmap reaps a victim's memory itself (mm/mmap.c), v4.17 - v6.0, before anything else.

It walks the VMAs as the reaper does, so it leaves mlocked, shared and hugetlb memory alone; then it
publishes MMF_OOM_SKIP and waits for a reaper that may still be inside. What it leaves is unmapped
only after the flag is set. Its notifiers are released before, so no call can be refused.

The page that S3 watches is left out of this walk: mm_users is 0, and nobody can fault on it any more.
"""

from __future__ import annotations

from functools import partial

from oom_spec.language import World, negate, requires, step
from oom_spec.protocol import exit_mmap as base
from oom_spec.protocol import reaper
from oom_spec.protocol.derived import oom_lock_taken
from oom_spec.protocol.exit_mmap import VMA_ORDER
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import MmputAt
from oom_spec.protocol.state import Mm, Writer

INTRODUCED = "27ae357fa82b"
WITHOUT_OOM_LOCK = "af5679fbc669"
UNDER_WRITE_LOCK = "64591e8605d6"
PER_PAGE_MUNLOCK = "a213e5cf71cb"

exit_mmap = partial(step, Mm, kernel="mm/mmap.c:exit_mmap", commit=INTRODUCED)
own_reap = partial(step, Mm, kernel="mm/oom_kill.c:__oom_reap_task_mm", commit=INTRODUCED)


@exit_mmap(at=MmputAt.NOTIFIER_RELEASE, then=MmputAt.SELF_REAP_TEST, call="mmu_notifier_release")
def mmu_notifier_release(mm: Mm) -> None:
    """The notifiers are told and unlinked: none of them can block the walk that follows."""
    mm.notifiers_released = True


@exit_mmap(at=MmputAt.SELF_REAP_TEST, then=MmputAt.SELF_REAP_OOM_LOCK, call="mm_is_oom_victim", outcome="yes")
def is_victim(mm: Mm) -> None:
    """The mm belongs to an OOM victim, whoever runs __mmput."""
    requires(mm.oom_victim, Guard.IS_OOM_VICTIM)


@exit_mmap(at=MmputAt.SELF_REAP_TEST, then=MmputAt.MUNLOCK, call="mm_is_oom_victim", outcome="no")
def is_no_victim(mm: Mm) -> None:
    """No reaper will come: a mark needs t->mm, and mm_users is 0."""
    requires(negate(mm.oom_victim), Guard.IS_NO_OOM_VICTIM)


@exit_mmap(at=MmputAt.SELF_REAP_OOM_LOCK, then=MmputAt.SELF_REAP_UNSTABLE, call="mutex_lock(oom_lock)", waits=True)
def takes_oom_lock(world: World, mm: Mm) -> None:
    """Keeps the reaper out of its walk, and scans from running before the flag is set."""
    requires(negate(oom_lock_taken(world)), Guard.OOM_LOCK_FREE)
    mm.exit_holds_oom_lock = True


@own_reap(at=MmputAt.SELF_REAP_UNSTABLE, then=MmputAt.SELF_REAP, call="set_bit(MMF_UNSTABLE)", outcome="exit_mmap")
def own_reap_begins(mm: Mm) -> None:
    """The same function as the reaper's, without mmap_sem."""
    mm.unstable = True
    mm.walked_by_exit = True


@own_reap(at=MmputAt.SELF_REAP, then=MmputAt.SELF_REAP, call="unmap_page_range", outcome="exit_mmap")
def own_reap_zaps(mm: Mm) -> None:
    """One page of a private VMA without VM_LOCKED."""
    requires(mm.reapable != 0, Guard.PAGES_LEFT)
    mm.reapable -= 1


def own_reap_completes(mm: Mm) -> None:
    """A pass like the reaper's; the gathers, one per VMA, are finished."""
    requires(mm.reapable == 0, Guard.NO_PAGES_LEFT)
    mm.walked_by_exit = False
    mm.pass_completed = True


@own_reap(at=MmputAt.SELF_REAP, then=MmputAt.SELF_REAP_OOM_UNLOCK, call="tlb_finish_mmu", outcome="exit_mmap")
def own_reap_ends(mm: Mm) -> None:
    """No eligible page is left."""
    own_reap_completes(mm)


@exit_mmap(at=MmputAt.SELF_REAP_OOM_UNLOCK, then=MmputAt.SELF_REAP_SKIP, call="mutex_unlock(oom_lock)")
def drops_oom_lock(mm: Mm) -> None:
    """A scan that runs now still finds the flag clear, and aborts."""
    mm.exit_holds_oom_lock = False


@exit_mmap(at=MmputAt.SELF_REAP_SKIP, then=MmputAt.FENCE_DOWN_WRITE, call="set_bit(MMF_OOM_SKIP)")
def sets_skip(world: World, mm: Mm) -> None:
    """Before mlocked, shared and hugetlb memory is unmapped."""
    world.announce(Event.EXIT_SETS_SKIP, mm)
    mm.oom_skip = True


@exit_mmap(at=MmputAt.FENCE_UP_WRITE, then=MmputAt.MUNLOCK, call="up_write")
def fence_up_write(mm: Mm) -> None:
    """End of the empty section: from here on every reaper finds the flag set."""
    mm.writer = Writer.NOBODY


@exit_mmap(at=MmputAt.UNMAP, then=MmputAt.FREE_PGTABLES, call="unmap_vmas", outcome="done")
def unmap_done(mm: Mm) -> None:
    """unmap_vmas has walked every VMA; the fence, if there was one, is behind."""
    requires(base.nothing_mapped(mm), Guard.NO_PAGES_LEFT)
    mm.unmapped = True


ADDED = (
    takes_oom_lock,
    own_reap_begins,
    own_reap_zaps,
    own_reap_ends,
    drops_oom_lock,
)
REPLACED = (mmu_notifier_release, is_victim, is_no_victim, sets_skip, fence_up_write, unmap_done)
REMOVED = (reaper.zap_munlocked_page.id,)
"""v4.17 on top of v4.15: the fence comes before munlock, so no walk meets a VMA that just lost VM_LOCKED."""

unlocked_reap = partial(own_reap, commit=WITHOUT_OOM_LOCK)
unlocked_exit = partial(exit_mmap, commit=WITHOUT_OOM_LOCK)


@unlocked_exit(at=MmputAt.SELF_REAP_TEST, then=MmputAt.SELF_REAP_UNSTABLE, call="mm_is_oom_victim", outcome="yes")
def is_victim_unlocked(mm: Mm) -> None:
    """As before; the walk may run beside the reaper's, because both only zap."""
    requires(mm.oom_victim, Guard.IS_OOM_VICTIM)


@unlocked_reap(at=MmputAt.SELF_REAP, then=MmputAt.SELF_REAP_SKIP, call="tlb_finish_mmu", outcome="exit_mmap")
def own_reap_ends_unlocked(mm: Mm) -> None:
    """No eligible page is left; the result of the call is ignored."""
    own_reap_completes(mm)


UNLOCKED_REPLACED = (is_victim_unlocked, own_reap_ends_unlocked)
UNLOCKED_REMOVED = (takes_oom_lock.id, drops_oom_lock.id)
"""v4.19 on top of that."""

mlocked_too = partial(own_reap, commit=PER_PAGE_MUNLOCK)


@mlocked_too(
    at=MmputAt.SELF_REAP, then=MmputAt.SELF_REAP, call="unmap_page_range", outcome="exit_mmap", oracle=VMA_ORDER
)
def own_reap_zaps_in_order(mm: Mm) -> None:
    """One page of a private VMA."""
    requires(mm.reapable != 0, Guard.PAGES_LEFT)
    mm.reapable -= 1


@mlocked_too(
    at=MmputAt.SELF_REAP,
    then=MmputAt.SELF_REAP,
    call="unmap_page_range",
    outcome="exit_mmap, an mlocked page",
    oracle=VMA_ORDER,
)
def own_reap_zaps_mlocked(mm: Mm) -> None:
    """One page of a VM_LOCKED VMA: it is munlocked as it is unmapped."""
    requires(mm.mlocked != 0, Guard.PAGES_LEFT)
    mm.mlocked -= 1


@mlocked_too(at=MmputAt.SELF_REAP, then=MmputAt.SELF_REAP_SKIP, call="tlb_finish_mmu", outcome="exit_mmap")
def own_reap_ends_with_mlocked(mm: Mm) -> None:
    """No eligible page is left, mlocked ones included."""
    requires(mm.mlocked == 0, Guard.NO_PAGES_LEFT)
    own_reap_completes(mm)


MLOCKED_ADDED = (own_reap_zaps_mlocked,)
MLOCKED_REPLACED = (own_reap_zaps_in_order, own_reap_ends_with_mlocked)
"""v5.18 on top of that."""
