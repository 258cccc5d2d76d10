"""A fork whose dup_mmap fails (kernel/fork.c, mm/mmap.c, v6.8 on), and who finds the child's mm without a task."""

from __future__ import annotations

from oom_conformance.reference.exit import mmput
from oom_conformance.reference.kernel import Forker, Kernel, Walker
from oom_conformance.reference.machine import Context, Frame

DUP = "fork.dup_mmap"


def dup_mm(kernel: Kernel, context: Context, fork: Forker) -> None:
    """The parent: copies some VMAs, fails, unlocks and drops the child's mm."""
    child = fork.child
    release = kernel.release
    outer, at = Frame(context, "fork.dup_mm", fork.name), Frame(context, DUP, fork.name)
    outer.step("mmap_write_lock_nested")
    child.mm_users = 1
    child.mmap_sem.take_write(fork.name)
    while (
        at.choose([("copy_page_range", "", lambda: child.reapable < child.most_pages), ("vm_area_dup", "fails", None)])
        == "copy_page_range"
    ):
        child.vmas = "PRESENT"
        child.reapable += 1
    if release.fork_recovery == "tears down":
        at.step("set_bit(MMF_OOM_SKIP)")
        child.oom_skip = True
        at.step("tear_down_vmas")
        child.reapable = 0
        child.page_tables = "FREED"
        child.vmas = "FREED"
        child.mmap_null = True
        at.step("set_bit(MMF_UNSTABLE)")
        child.unstable = True
    else:
        took = at.choose(
            [
                ("mas_store(XA_ZERO_ENTRY)", "", None),
                ("mas_store(XA_ZERO_ENTRY)", "not needed", lambda: child.vmas == "PRESENT"),
            ]
        )
        marked = took == "mas_store(XA_ZERO_ENTRY)"
        if marked:
            child.xa_zero = True
        if release.fork_recovery == "flags":
            if marked:
                at.step("set_bit(MMF_OOM_SKIP)")
                child.oom_skip = True
            at.step("set_bit(MMF_UNSTABLE)")
            child.unstable = True
    at.step("mmap_write_unlock")
    child.mmap_sem.up_write(fork.name)
    mmput(kernel, context, child, outer)


def uprobes(kernel: Kernel, context: Context, walker: Walker) -> None:
    """register_for_each_vma: finds the mm by rmap, writes under mmap_lock."""
    mm = walker.mm
    at = Frame(context, "walker.register_for_each_vma", walker.name)
    at.wait(
        lambda: mm.vmas == "PRESENT" and mm.mm_users > 0 and not kernel.forker_writes(mm),
        "build_map_info",
        "mmget_not_zero",
    )
    mm.mmget()
    at.wait(mm.mmap_sem.write_free, "mmap_write_lock")
    mm.mmap_sem.take_write(walker.name)
    use_vmas(context, walker, asks=kernel.release.uprobes_ask)
    at.step("mmap_write_unlock")
    mm.mmap_sem.up_write(walker.name)
    mmput(kernel, context, mm, Frame(context, "walker.walker", walker.name))


def swapoff(kernel: Kernel, context: Context, walker: Walker) -> None:
    """unuse_mm: finds the mm by the mmlist, reads under mmap_lock."""
    mm = walker.mm
    at = Frame(context, "walker.unuse_mm", walker.name)
    at.wait(lambda: mm.vmas == "PRESENT" and mm.mm_users > 0, "try_to_unuse", "mmget_not_zero")
    mm.mmget()
    mm.mmap_sem.down_read(at, walker.name, "mmap_read_lock")
    use_vmas(context, walker, asks=kernel.release.swapoff_asks)
    at.step("mmap_read_unlock")
    mm.mmap_sem.up_read(walker.name)
    mmput(kernel, context, mm, Frame(context, "walker.walker", walker.name))


def use_vmas(context: Context, walker: Walker, *, asks: bool) -> None:
    """check_stable_address_space, where the release has the test, then find_vma."""
    mm = walker.mm
    at = Frame(context, "walker.walker", walker.name)
    if asks and at.test(lambda: mm.unstable, "check_stable_address_space", "unstable", "stable"):
        return
    at.step("find_vma")
    if mm.xa_zero:
        mm.machine.report(f"{mm.name}: {walker.name} takes XA_ZERO for a VMA")
    mm.walk(walker.name)
