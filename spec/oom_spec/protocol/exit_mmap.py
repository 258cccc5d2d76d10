"""exit_mmap (mm/mmap.c), as in v4.12: no lock anywhere."""

from __future__ import annotations

from functools import partial

from oom_spec.language import both, either, negate, requires, step
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import MmputAt
from oom_spec.protocol.state import Mm, Presence

exit_mmap = partial(step, Mm, kernel="mm/mmap.c:exit_mmap")
VMA_ORDER = "order of the VMAs"


@exit_mmap(at=MmputAt.NOTIFIER_RELEASE, then=MmputAt.MUNLOCK, call="mmu_notifier_release")
def mmu_notifier_release(mm: Mm) -> None:
    """The notifiers are told. mm_has_notifiers stays true: the structure goes with the mm_struct."""


@exit_mmap(at=MmputAt.MUNLOCK, then=MmputAt.FIRST_VMA, call="munlock_vma_pages_all", outcome="none locked")
def munlock_nothing(mm: Mm) -> None:
    """No VMA has VM_LOCKED."""
    requires(negate(mm.vm_locked), Guard.NO_LOCKED_VMA)


@exit_mmap(at=MmputAt.MUNLOCK, then=MmputAt.MUNLOCKING, call="munlock_vma_pages_all")
def munlock_begins(mm: Mm) -> None:
    """VM_LOCKED is cleared first: from here on the VMA looks like any other."""
    requires(mm.vm_locked, Guard.HAS_LOCKED_VMA)
    mm.vm_locked = False
    mm.munlocking = True


@exit_mmap(at=MmputAt.MUNLOCKING, then=MmputAt.FIRST_VMA, call="munlock_vma_pages_all", outcome="done")
def munlock_ends(mm: Mm) -> None:
    """All pages of the VMA were walked."""
    mm.munlocking = False


@exit_mmap(at=MmputAt.FIRST_VMA, then=MmputAt.SET_SKIP, call="mm->mmap", outcome="no VMA")
def no_vma(mm: Mm) -> None:
    """Nothing was ever mapped: exit_mmap returns. arch_exit_mmap before it is invisible here."""
    requires(mm.vmas == Presence.NEVER, Guard.NO_VMAS)


@exit_mmap(at=MmputAt.FIRST_VMA, then=MmputAt.UNMAP, call="tlb_gather_mmu")
def first_vma(mm: Mm) -> None:
    """There is work to do. lru_add_drain and flush_cache_mm are invisible here."""
    requires(mm.vmas != Presence.NEVER, Guard.HAS_VMAS)


@exit_mmap(at=MmputAt.UNMAP, then=MmputAt.UNMAP, call="unmap_vmas", outcome="a reapable page", oracle=VMA_ORDER)
def unmap_reapable(mm: Mm) -> None:
    """One page of a private VMA goes into the gather."""
    requires(mm.reapable != 0, Guard.PAGES_LEFT)
    mm.reapable -= 1
    mm.gathered = True


@exit_mmap(at=MmputAt.UNMAP, then=MmputAt.UNMAP, call="unmap_vmas", outcome="an mlocked page", oracle=VMA_ORDER)
def unmap_mlocked(mm: Mm) -> None:
    """One page of a formerly locked VMA goes into the gather."""
    requires(mm.mlocked != 0, Guard.PAGES_LEFT)
    mm.mlocked -= 1
    mm.gathered = True


@exit_mmap(at=MmputAt.UNMAP, then=MmputAt.UNMAP, call="unmap_vmas", outcome="an unreapable page", oracle=VMA_ORDER)
def unmap_unreapable(mm: Mm) -> None:
    """One page of a shared, hugetlb or PFN VMA."""
    requires(mm.unreapable != 0, Guard.PAGES_LEFT)
    mm.unreapable -= 1
    mm.gathered = True


@exit_mmap(at=MmputAt.UNMAP, then=MmputAt.FREE_PGTABLES, call="unmap_vmas", outcome="done")
def unmap_done(mm: Mm) -> None:
    """unmap_vmas has walked every VMA."""
    requires(nothing_mapped(mm), Guard.NO_PAGES_LEFT)
    mm.unmapped = True


def nothing_mapped(mm: Mm) -> bool:
    """No page of any kind is mapped."""
    return both(mm.reapable == 0, mm.mlocked == 0, mm.unreapable == 0)


def mmap_is_null(mm: Mm) -> bool:
    """mm->mmap is NULL: cleared by exit_mmap, or nothing was ever mapped."""
    return either(mm.no_mmap, mm.vmas == Presence.NEVER)


@exit_mmap(at=MmputAt.FREE_PGTABLES, then=MmputAt.FREEING_PGTABLES, call="free_pgtables")
def free_pgtables_begins(mm: Mm) -> None:
    """Page tables are unlinked and freed: who walks them now walks freed memory."""
    mm.page_tables = Presence.BEING_FREED


@exit_mmap(at=MmputAt.FREEING_PGTABLES, then=MmputAt.TLB_FINISH, call="free_pgtables", outcome="done")
def free_pgtables_ends(mm: Mm) -> None:
    """No page table is left."""
    mm.page_tables = Presence.FREED


@exit_mmap(at=MmputAt.TLB_FINISH, then=MmputAt.FREE_VMAS, call="tlb_finish_mmu")
def tlb_finish_mmu(mm: Mm) -> None:
    """Only now the last batch of gathered pages is freed."""
    mm.gathered = False


@exit_mmap(at=MmputAt.FREE_VMAS, then=MmputAt.FREEING_VMAS, call="remove_vma")
def remove_vma_begins(mm: Mm) -> None:
    """The VMAs are freed one by one; mm->mmap keeps pointing at the first."""
    mm.vmas = Presence.BEING_FREED


@exit_mmap(at=MmputAt.FREEING_VMAS, then=MmputAt.SET_SKIP, call="remove_vma", outcome="done")
def remove_vma_ends(mm: Mm) -> None:
    """No VMA is left."""
    mm.vmas = Presence.FREED
