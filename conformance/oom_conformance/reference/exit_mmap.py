"""exit_mmap (mm/mmap.c) in the form of each family of releases and of each proposal, and what it calls."""

from __future__ import annotations

from oom_conformance.reference.kernel import Kernel
from oom_conformance.reference.machine import Context, Frame
from oom_conformance.reference.objects import Mm, Task

WRITER = "exit_mmap"


def frame(context: Context, mm: Mm) -> Frame:
    """The frame of exit_mmap."""
    return Frame(context, "mm.exit_mmap", mm.name)


# -- what it calls ---------------------------------------------------------------------------


def mmu_notifier_release(at: Frame, mm: Mm) -> None:
    """The notifiers are told, and unlinked: whoever looks for blockable ones afterwards finds none."""
    at.step("mmu_notifier_release")
    mm.notifiers_released = True


def munlock_vma_pages_all(at: Frame, mm: Mm) -> None:
    """Clears VM_LOCKED, then munlocks page by page."""
    if at.test(lambda: mm.vm_locked, "munlock_vma_pages_all", "", "none locked"):
        mm.vm_locked = False
        at.step("munlock_vma_pages_all", "done")


def unmap_vmas(at: Frame, mm: Mm) -> None:
    """Every page of every VMA goes into the gather, VMA by VMA."""
    while True:
        took = at.choose(
            [
                ("unmap_vmas", "a reapable page", lambda: mm.reapable),
                ("unmap_vmas", "an mlocked page", lambda: mm.mlocked),
                ("unmap_vmas", "an unreapable page", lambda: mm.unreapable),
                ("unmap_vmas", "done", mm.nothing_mapped),
            ]
        )
        if took == "unmap_vmas[done]":
            return
        if took == "unmap_vmas[a reapable page]":
            mm.reapable -= 1
        elif took == "unmap_vmas[an mlocked page]":
            mm.mlocked -= 1
        else:
            mm.unreapable -= 1
        mm.gathered = True


def free_pgtables(at: Frame, mm: Mm) -> None:
    """Page tables are unlinked and freed."""
    at.step("free_pgtables")
    if mm.page_tables != "PRESENT":
        mm.machine.report(f"{mm.name}: page tables are freed twice")
    mm.page_tables = "BEING_FREED"
    at.step("free_pgtables", "done")
    mm.page_tables = "FREED"


def tlb_finish_mmu(at: Frame, mm: Mm) -> None:
    """The gathered pages are freed."""
    at.step("tlb_finish_mmu")
    mm.gathered = False


def remove_vmas(at: Frame, mm: Mm) -> None:
    """remove_vma for each of them."""
    at.step("remove_vma")
    mm.vmas = "BEING_FREED"
    at.step("remove_vma", "done")
    mm.vmas = "FREED"


def tear_down(at: Frame, mm: Mm) -> None:
    """free_pgtables, tlb_finish_mmu, remove_vma."""
    free_pgtables(at, mm)
    tlb_finish_mmu(at, mm)
    remove_vmas(at, mm)


def set_oom_skip(at: Frame, mm: Mm) -> None:
    """set_bit(MMF_OOM_SKIP)."""
    at.step("set_bit(MMF_OOM_SKIP)")
    mm.oom_skip = True


def wait_for_readers(at: Frame, mm: Mm) -> None:
    """down_write, up_write: an empty section."""
    mm.mmap_sem.down_write(at, WRITER, "down_write")
    at.step("up_write")
    mm.mmap_sem.up_write(WRITER)


def tsk_is_oom_victim(current: Task | None) -> bool:
    """signal->oom_mm is set."""
    return current is not None and current.process.oom_mm is not None


def has_vmas(at: Frame, mm: Mm, then: str = "tlb_gather_mmu") -> bool:
    """mm->mmap."""
    there = at.name(then)
    none = at.name("mm->mmap", "no VMA")
    return at.context.pause(lambda: (none,) if mm.vmas == "NEVER" else (there,)) == there


# -- the releases ----------------------------------------------------------------------------


def v4_6(kernel: Kernel, context: Context, mm: Mm, current: Task | None) -> None:
    """v4.6 - v4.13: no lock anywhere."""
    at = frame(context, mm)
    mmu_notifier_release(at, mm)
    munlock_vma_pages_all(at, mm)
    if has_vmas(at, mm):
        unmap_vmas(at, mm)
        tear_down(at, mm)


def v4_14(kernel: Kernel, context: Context, mm: Mm, current: Task | None) -> None:
    """v4.14: MMF_OOM_SKIP for every mm, and the fence if current is a victim."""
    at = frame(context, mm)
    mmu_notifier_release(at, mm)
    munlock_vma_pages_all(at, mm)
    if not has_vmas(at, mm):
        return
    unmap_vmas(at, mm)
    set_oom_skip(at, mm)
    if at.test(lambda: tsk_is_oom_victim(current), "tsk_is_oom_victim(current)", "yes", "no"):
        wait_for_readers(at, mm)
    tear_down(at, mm)


def v4_15(kernel: Kernel, context: Context, mm: Mm, current: Task | None) -> None:
    """v4.15, v4.16: flag and fence for the mm of a victim."""
    at = frame(context, mm)
    mmu_notifier_release(at, mm)
    munlock_vma_pages_all(at, mm)
    if not has_vmas(at, mm):
        return
    unmap_vmas(at, mm)
    if mm_is_oom_victim(at, mm):
        set_oom_skip(at, mm)
        wait_for_readers(at, mm)
    tear_down(at, mm)


def mm_is_oom_victim(at: Frame, mm: Mm) -> bool:
    """MMF_OOM_VICTIM."""
    return at.test(lambda: mm.oom_victim, "mm_is_oom_victim", "yes", "no")


def reap_own(kernel: Kernel, context: Context, mm: Mm) -> None:
    """__oom_reap_task_mm, called by exit_mmap (v4.17 - v6.0)."""
    at = Frame(context, "mm.__oom_reap_task_mm", mm.name)
    at.step("set_bit(MMF_UNSTABLE)", "exit_mmap")
    mm.unstable = True
    locked_too = kernel.release.mlocked_reaped
    while True:
        took = at.choose(
            [
                ("unmap_page_range", "exit_mmap", lambda: mm.reapable),
                ("unmap_page_range", "exit_mmap, an mlocked page", lambda: locked_too and mm.mlocked),
                ("tlb_finish_mmu", "exit_mmap", lambda: not mm.reapable and not (locked_too and mm.mlocked)),
            ]
        )
        if took.startswith("tlb"):
            return
        mm.walk("exit_mmap")
        if took == "unmap_page_range[exit_mmap]":
            mm.reapable -= 1
        else:
            mm.mlocked -= 1


def v4_17(kernel: Kernel, context: Context, mm: Mm, current: Task | None) -> None:
    """v4.17 - v5.16: a victim's memory is reaped first, then the flag and the fence; oom_lock until v4.18."""
    at = frame(context, mm)
    mmu_notifier_release(at, mm)
    if mm_is_oom_victim(at, mm):
        if kernel.release.exit_takes_oom_lock:
            at.wait(kernel.oom_lock.free, "mutex_lock(oom_lock)")
            kernel.oom_lock.lock(WRITER)
        reap_own(kernel, context, mm)
        if kernel.release.exit_takes_oom_lock:
            at.step("mutex_unlock(oom_lock)")
            kernel.oom_lock.unlock(WRITER)
        set_oom_skip(at, mm)
        wait_for_readers(at, mm)
    munlock_vma_pages_all(at, mm)
    if has_vmas(at, mm):
        unmap_vmas(at, mm)
        tear_down(at, mm)


def v5_17(kernel: Kernel, context: Context, mm: Mm, current: Task | None) -> None:
    """v5.17 - v6.0: mmap_lock for writing from munlock to the last VMA, for every mm."""
    at = frame(context, mm)
    mmu_notifier_release(at, mm)
    if mm_is_oom_victim(at, mm):
        reap_own(kernel, context, mm)
        set_oom_skip(at, mm)
    mm.mmap_sem.down_write(at, WRITER, "mmap_write_lock")
    if kernel.release.munlocks_on_exit:
        munlock_vma_pages_all(at, mm)
    if has_vmas(at, mm):
        unmap_vmas(at, mm)
        tear_down(at, mm)
        if kernel.release.clears_mmap:
            at.step("mm->mmap = NULL")
            mm.mmap_null = True
    at.step("mmap_write_unlock")
    mm.mmap_sem.up_write(WRITER)


def v6_1(kernel: Kernel, context: Context, mm: Mm, current: Task | None) -> None:
    """v6.1 on: unmap_vmas under the read lock, the flag for every mm, the rest under the write lock."""
    at = frame(context, mm)
    mmu_notifier_release(at, mm)
    mm.mmap_sem.down_read(at, WRITER, "mmap_read_lock")
    there = at.name("tlb_gather_mmu_fullmm")
    none = at.name("mas_find", "no VMA")
    if context.pause(lambda: (none,) if mm.mmap_is_null() else (there,)) == none:
        at.step("mmap_read_unlock", "no VMA")
        mm.mmap_sem.up_read(WRITER)
        if kernel.release.destroys_empty_tree:
            mm.mmap_sem.down_write(at, WRITER, "mmap_write_lock", "empty tree")
            at.step("__mt_destroy", "empty tree")
            mm.mmap_null = True
            mm.xa_zero = False
            at.step("mmap_write_unlock", "empty tree")
            mm.mmap_sem.up_write(WRITER)
        return
    unmap_vmas(at, mm)
    at.step("mmap_read_unlock")
    mm.mmap_sem.up_read(WRITER)
    set_oom_skip(at, mm)
    mm.mmap_sem.down_write(at, WRITER, "mmap_write_lock")
    tear_down(at, mm)
    at.step("__mt_destroy")
    mm.mmap_null = True
    mm.xa_zero = False
    at.step("mmap_write_unlock")
    mm.mmap_sem.up_write(WRITER)


# -- the proposals ---------------------------------------------------------------------------


def finish_under_lock(at: Frame, mm: Mm) -> None:
    """The tear-down of the patch of 2017-07-24, mm->mmap = NULL and up_write."""
    tear_down(at, mm)
    at.step("mm->mmap = NULL")
    mm.mmap_null = True
    at.step("up_write", "after the VMAs")
    mm.mmap_sem.up_write(WRITER)


def hocko_2017_07_24(kernel: Kernel, context: Context, mm: Mm, current: Task | None) -> None:
    """mmap_sem for writing between unmap_vmas and the end."""
    at = frame(context, mm)
    mmu_notifier_release(at, mm)
    munlock_vma_pages_all(at, mm)
    if has_vmas(at, mm):
        unmap_vmas(at, mm)
        mm.mmap_sem.down_write(at, WRITER, "down_write")
        finish_under_lock(at, mm)


def strawman(kernel: Kernel, context: Context, mm: Mm, current: Task | None) -> None:
    """The same with the lock taken before unmap_vmas."""
    at = frame(context, mm)
    mmu_notifier_release(at, mm)
    munlock_vma_pages_all(at, mm)
    if has_vmas(at, mm):
        mm.mmap_sem.down_write(at, WRITER, "down_write")
        unmap_vmas(at, mm)
        finish_under_lock(at, mm)


def hocko_2017_08_10(kernel: Kernel, context: Context, mm: Mm, current: Task | None) -> None:
    """The lock only if current is a victim."""
    at = frame(context, mm)
    mmu_notifier_release(at, mm)
    munlock_vma_pages_all(at, mm)
    if not has_vmas(at, mm):
        return
    unmap_vmas(at, mm)
    locked = at.test(lambda: tsk_is_oom_victim(current), "tsk_is_oom_victim(current)", "yes", "no")
    if locked:
        mm.mmap_sem.down_write(at, WRITER, "down_write")
    tear_down(at, mm)
    at.step("mm->mmap = NULL")
    mm.mmap_null = True
    if locked:
        at.step("up_write", "after the VMAs")
        mm.mmap_sem.up_write(WRITER)
    else:
        at.step("up_write", "not locked")


def arcangeli_first(kernel: Kernel, context: Context, mm: Mm, current: Task | None) -> None:
    """test_and_set_bit(MMF_OOM_SKIP) after unmap_vmas: who comes second waits for the reaper."""
    at = frame(context, mm)
    mmu_notifier_release(at, mm)
    munlock_vma_pages_all(at, mm)
    if not has_vmas(at, mm):
        return
    unmap_vmas(at, mm)
    if at.test(lambda: mm.oom_skip, "test_and_set_bit(MMF_OOM_SKIP)", "was set", "was clear"):
        wait_for_readers(at, mm)
    else:
        mm.oom_skip = True
    tear_down(at, mm)


def hocko_2018_09(kernel: Kernel, context: Context, mm: Mm, current: Task | None) -> None:
    """A victim's exit path munlocks under the lock, and hands over by mm->mmap = NULL."""
    at = frame(context, mm)
    mmu_notifier_release(at, mm)
    call = "munlock_vma_pages_all"
    none, victim, other = at.name(call, "none locked"), at.name(call, "victim"), at.name(call, "no victim")

    def munlock() -> tuple[str]:
        return (none,) if not mm.vm_locked else (victim,) if mm.oom_victim else (other,)

    chosen = context.pause(munlock)
    if chosen == victim:
        mm.mmap_sem.down_write(at, WRITER, "down_write", "munlock")
    if chosen != none:
        mm.vm_locked = False
        at.step(call, "done")
        if chosen == victim:
            mm.mmap_sem.up_write(WRITER)
    if has_vmas(at, mm):
        unmap_vmas(at, mm)
        if mm_is_oom_victim(at, mm):
            mm.mmap_sem.down_write(at, WRITER, "down_write")
            at.step("mm->mmap = NULL")
            mm.mmap_null = True
            at.step("up_write")
            mm.mmap_sem.up_write(WRITER)
        tear_down(at, mm)
        if kernel.release.skip_at_end:
            outcomes = ("at the end", "no victim, at the end")
            if at.test(lambda: mm.oom_victim, "set_bit(MMF_OOM_SKIP)", *outcomes):
                mm.oom_skip = True
