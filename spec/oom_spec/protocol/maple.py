"""exit_mmap with the maple tree (mm/mmap.c), v6.1 on: a read section, then a write section.

unmap_vmas runs under mmap_lock for reading, beside reapers; then MMF_OOM_SKIP is set with no lock
held; page tables, VMAs and the tree go under mmap_lock for writing. `Mm.no_mmap` stands for the empty
tree: __mt_destroy has run.
"""

from __future__ import annotations

from functools import partial

from oom_spec.language import World, negate, requires, step
from oom_spec.protocol.derived import read_lock_free
from oom_spec.protocol.exit_mmap import mmap_is_null, nothing_mapped
from oom_spec.protocol.fences import take_write_lock, wait_for_write_lock, wake_with_write_lock
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import MmputAt
from oom_spec.protocol.state import Mm, Presence, Writer

DROPS_OOM_CODE = "bf3980c85212"
DUPLICATES_TREE = "d24062914837"

exit_mmap = partial(step, Mm, kernel="mm/mmap.c:exit_mmap", commit=DROPS_OOM_CODE)
of_empty_tree = partial(step, Mm, kernel="mm/mmap.c:exit_mmap", commit=DUPLICATES_TREE)


@exit_mmap(at=MmputAt.NOTIFIER_RELEASE, then=MmputAt.READ_LOCK, call="mmu_notifier_release")
def mmu_notifier_release(mm: Mm) -> None:
    """The notifiers are told: none of them can block a reaper any more."""
    mm.notifiers_released = True


@exit_mmap(at=MmputAt.READ_LOCK, then=MmputAt.FIRST_VMA, call="mmap_read_lock", waits=True)
def read_lock(mm: Mm) -> None:
    """For unmap_vmas. Without mm_users only ksmd and khugepaged could still hold it for writing."""
    requires(read_lock_free(mm), Guard.READ_LOCK_FREE)
    mm.read_by_exit = True


@exit_mmap(at=MmputAt.FIRST_VMA, then=MmputAt.READ_UNLOCK_EMPTY, call="mas_find", outcome="no VMA")
def no_vma(mm: Mm) -> None:
    """Nothing to unmap. arch_exit_mmap before it is invisible here."""
    requires(mmap_is_null(mm), Guard.NO_VMAS)


@exit_mmap(at=MmputAt.FIRST_VMA, then=MmputAt.UNMAP, call="tlb_gather_mmu_fullmm")
def first_vma(mm: Mm) -> None:
    """There is work to do."""
    requires(negate(mmap_is_null(mm)), Guard.HAS_VMAS)


@exit_mmap(at=MmputAt.READ_UNLOCK_EMPTY, then=MmputAt.MMDROP, call="mmap_read_unlock", outcome="no VMA")
def read_unlock_empty(mm: Mm) -> None:
    """exit_mmap returns; nobody sets MMF_OOM_SKIP on this way."""
    mm.read_by_exit = False


@exit_mmap(at=MmputAt.UNMAP, then=MmputAt.READ_UNLOCK, call="unmap_vmas", outcome="done")
def unmap_done(mm: Mm) -> None:
    """unmap_vmas has walked every VMA, perhaps beside a reaper."""
    requires(nothing_mapped(mm), Guard.NO_PAGES_LEFT)
    mm.unmapped = True


@exit_mmap(at=MmputAt.READ_UNLOCK, then=MmputAt.SKIP_AFTER_UNMAP, call="mmap_read_unlock")
def read_unlock(mm: Mm) -> None:
    """From here to the write lock no lock is held: a reaper may take it and walks an address space without pages."""
    mm.read_by_exit = False


@exit_mmap(at=MmputAt.SKIP_AFTER_UNMAP, then=MmputAt.FENCE_DOWN_WRITE, call="set_bit(MMF_OOM_SKIP)")
def exit_sets_skip(world: World, mm: Mm) -> None:
    """For every mm, a victim's or not."""
    world.announce(Event.EXIT_SETS_SKIP, mm)
    mm.oom_skip = True


@exit_mmap(at=MmputAt.FENCE_DOWN_WRITE, then=MmputAt.FREE_PGTABLES, call="mmap_write_lock")
def write_lock(world: World, mm: Mm) -> None:
    """Held until page tables, VMAs and the tree are gone."""
    take_write_lock(world, mm)


@exit_mmap(at=MmputAt.FENCE_DOWN_WRITE, then=MmputAt.FENCE_DOWN_WRITE_WAITS, call="mmap_write_lock", outcome="waits")
def write_lock_waits(world: World, mm: Mm) -> None:
    """The reaper, process_mrelease, ksmd or khugepaged holds it."""
    wait_for_write_lock(world, mm)


@exit_mmap(
    at=MmputAt.FENCE_DOWN_WRITE_WAITS,
    then=MmputAt.FREE_PGTABLES,
    call="mmap_write_lock",
    outcome="wakes",
    waits=True,
)
def write_lock_wakes(world: World, mm: Mm) -> None:
    """The last holder is gone."""
    wake_with_write_lock(world, mm)


@exit_mmap(at=MmputAt.FREEING_VMAS, then=MmputAt.CLEAR_MMAP, call="remove_vma", outcome="done")
def vmas_freed(mm: Mm) -> None:
    """No VMA is left; the tree still has its nodes, and the lock is held."""
    mm.vmas = Presence.FREED


@exit_mmap(at=MmputAt.CLEAR_MMAP, then=MmputAt.UP_WRITE_AFTER_FREE, call="__mt_destroy")
def destroy_tree(mm: Mm) -> None:
    """Whoever gets mmap_lock after this finds an empty tree."""
    mm.no_mmap = True


@exit_mmap(at=MmputAt.UP_WRITE_AFTER_FREE, then=MmputAt.MMDROP, call="mmap_write_unlock")
def write_unlock(mm: Mm) -> None:
    """exit_mmap returns, and __mmput goes on to its end."""
    mm.writer = Writer.NOBODY


@of_empty_tree(at=MmputAt.READ_UNLOCK_EMPTY, then=MmputAt.EMPTY_WRITE_LOCK, call="mmap_read_unlock", outcome="no VMA")
def read_unlock_to_destroy(mm: Mm) -> None:
    """No VMA, or XA_ZERO comes first. The nodes of the tree are still to be freed."""
    mm.read_by_exit = False


@of_empty_tree(at=MmputAt.EMPTY_WRITE_LOCK, then=MmputAt.EMPTY_DESTROY, call="mmap_write_lock", outcome="empty tree")
def write_lock_empty(world: World, mm: Mm) -> None:
    """For __mt_destroy alone."""
    take_write_lock(world, mm)


@of_empty_tree(
    at=MmputAt.EMPTY_WRITE_LOCK,
    then=MmputAt.EMPTY_WRITE_LOCK_WAITS,
    call="mmap_write_lock",
    outcome="empty tree, waits",
)
def write_lock_empty_waits(world: World, mm: Mm) -> None:
    """The reaper, process_mrelease, ksmd or khugepaged holds it."""
    wait_for_write_lock(world, mm)


@of_empty_tree(
    at=MmputAt.EMPTY_WRITE_LOCK_WAITS,
    then=MmputAt.EMPTY_DESTROY,
    call="mmap_write_lock",
    outcome="empty tree, wakes",
    waits=True,
)
def write_lock_empty_wakes(world: World, mm: Mm) -> None:
    """The last holder is gone."""
    wake_with_write_lock(world, mm)


@of_empty_tree(at=MmputAt.EMPTY_DESTROY, then=MmputAt.EMPTY_WRITE_UNLOCK, call="__mt_destroy", outcome="empty tree")
def destroy_empty_tree(mm: Mm) -> None:
    """With the marker of a failed fork, if there is one."""
    mm.no_mmap = True
    mm.half_built = False


@of_empty_tree(at=MmputAt.EMPTY_DESTROY, then=MmputAt.EMPTY_WRITE_UNLOCK, call="__mt_destroy", outcome="empty tree")
def destroy_own_tree(mm: Mm) -> None:
    """v7.0: nobody leaves a marker any more."""
    mm.no_mmap = True


@of_empty_tree(at=MmputAt.EMPTY_WRITE_UNLOCK, then=MmputAt.MMDROP, call="mmap_write_unlock", outcome="empty tree")
def write_unlock_empty(mm: Mm) -> None:
    """exit_mmap returns; nobody sets MMF_OOM_SKIP on this way."""
    mm.writer = Writer.NOBODY


@of_empty_tree(at=MmputAt.CLEAR_MMAP, then=MmputAt.UP_WRITE_AFTER_FREE, call="__mt_destroy")
def destroy_marked_tree(mm: Mm) -> None:
    """The loops before it stopped at XA_ZERO; the marker goes with the tree."""
    mm.no_mmap = True
    mm.half_built = False


SECTIONS_ADDED = (read_lock, no_vma, first_vma, read_unlock_empty, read_unlock, destroy_tree)
SECTIONS_REPLACED = (
    mmu_notifier_release,
    unmap_done,
    exit_sets_skip,
    write_lock,
    write_lock_waits,
    write_lock_wakes,
    vmas_freed,
    write_unlock,
)
"""v6.1 on top of v6.0; the loops inside unmap_vmas, free_pgtables and remove_vma stay as they are."""

EMPTY_TREE = (
    write_lock_empty,
    write_lock_empty_waits,
    write_lock_empty_wakes,
    destroy_empty_tree,
    write_unlock_empty,
)
"""What v6.8 adds for an empty or half-built tree."""
