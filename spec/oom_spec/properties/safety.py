"""S: nobody touches what is being freed, and every lock and reference is what it seems."""

from __future__ import annotations

from oom_spec.language import Halt, Property, World, both, either, implies, negate, some
from oom_spec.protocol.derived import mm_allocated, signal_allocated, task_allocated, users_left
from oom_spec.protocol.faults import lock_kept
from oom_spec.protocol.names import Event
from oom_spec.protocol.state import Executor, Mm, Mrelease, Page, Presence, Process, Reaper, Task


def vmas_untouched(mm: Mm) -> bool:
    """Nobody has begun to free the VMAs, if there are any."""
    return either(mm.vmas == Presence.PRESENT, mm.vmas == Presence.NEVER)


def walked(world: World, mm: Mm) -> bool:
    """A reaper walks the VMAs: the thread, a caller of process_mrelease, or exit_mmap before its own tear-down."""
    return either(zapped_from_outside(world, mm), mm.walked_by_exit)


def zapped_from_outside(world: World, mm: Mm) -> bool:
    """Somebody other than the exit path walks the VMAs to zap them."""
    return either(
        mm.walked_by_reaper,
        some(world.all(Mrelease), lambda caller: both(caller.target.mm == mm, caller.walks)),
    )


S1 = Property(
    id="S1",
    name="no-walk-of-freed-page-tables",
    statement=(
        "Nobody but its remover walks page tables or VMAs that are being or have been freed: neither the reaper, "
        "nor process_mrelease, nor a self-reap."
    ),
    source="Hocko, 2017-07-28, 20170728062345.GA2274@dhcp22.suse.cz; af5679fbc669",
    over=(Mm,),
    when=walked,
    then=lambda world, mm: both(mm.page_tables == Presence.PRESENT, vmas_untouched(mm)),
    violation="A BUG in unmap_page_range, or a fault on a freed VMA (poison 0x6b).",
    not_covered="Walkers that find the mm by rmap or by the mmlist (S11 for a half-built one).",
)

S2 = Property(
    id="S2",
    name="no-zap-during-munlock",
    statement="Munlock of the exit path never overlaps a reaper's zap of the same mm.",
    source='27ae357fa82b "mm, oom: fix concurrent munlock and oom reaper unmap, v3" (CVE-2018-1000200)',
    over=(Mm,),
    when=lambda world, mm: mm.munlocking,
    then=lambda world, mm: negate(zapped_from_outside(world, mm)),
    needs=((Mm.munlocking, True),),
    absent="exit_mmap has no munlock",
    violation="munlock_vma_pages_all works on pages that the reaper frees under it.",
    not_covered="Munlock by anybody else.",
)

S4 = Property(
    id="S4",
    name="fault-keeps-the-lock",
    statement=(
        "On return of handle_mm_fault the caller still holds the lock it entered with, unless the result contains "
        "VM_FAULT_RETRY or (v6.0 on) VM_FAULT_COMPLETED."
    ),
    source='5b53a6ea8867 "mm: fix double mmap_sem unlock on MMF_UNSTABLE enforced SIGBUS"; question 4 of the mail',
    event=Event.FAULT_RETURNS,
    then=lambda world, fault: lock_kept(fault),
    violation="The caller releases mmap_sem a second time; lockdep reports it, or the lock is corrupted.",
    not_covered="The converse: VM_FAULT_RETRY with FAULT_FLAG_RETRY_NOWAIT keeps the lock.",
)

S3 = Property(
    id="S3",
    name="no-substitute-page-after-reap",
    statement=(
        "After a reaper cleared a PTE of a private page, no fault handler makes another page visible at that address."
    ),
    source='6b31d5955cb2 "mm, oom: fix potential data corruption when oom_reaper races with writer"',
    over=(Mm,),
    when=lambda world, mm: either(mm.watched == Page.REAPED, mm.watched == Page.SUBSTITUTE),
    then=lambda world, mm: mm.watched != Page.SUBSTITUTE,
    violation="A reader outside the victim copies zeroes, or stale file contents, where the victim had written.",
    not_covered=(
        "One page at one address, and three kinds of fault: anonymous, private file page, fault-around. Not swap-in, "
        "write faults on a present PTE, huge pages, userfaultfd's copy, or the sixth check of v6.13."
    ),
)

S5R = Property(
    id="S5r",
    name="reaper-never-tears-down",
    statement="The reaper thread never executes __mmput.",
    source='ec8d7c14ea14 "mm, oom_reaper: do not mmput synchronously from the oom reaper context"',
    event=Event.MMPUT_BEGINS,
    then=lambda world, mm, executor: executor is not Executor.REAPER,
    violation="The reaper blocks in exit_aio, and no later victim is ever reaped.",
    not_covered="The kworker that mmput_async hands it to.",
)

S6T = Property(
    id="S6t",
    name="reaper-list-intact",
    statement=(
        "The reaper's list is acyclic, holds a task at most once, and no queued task leaves it without being reaped."
    ),
    source='9bcdeb51bd7d "oom, oom_reaper: do not enqueue same task twice"; af8e15cc85a2',
    then=lambda world: world.halted != Halt.LIST_CORRUPTED,
    violation="oom_reaper_list becomes a cycle, or loses its tail: a victim is reaped for ever, or never.",
    not_covered="A list longer than the scenario has tasks.",
)

S6M = Property(
    id="S6m",
    name="no-mm-queued-twice",
    statement="No mm is queued for the reaper twice.",
    source='9bcdeb51bd7d "oom, oom_reaper: do not enqueue same task twice"',
    event=Event.TASK_QUEUED,
    then=lambda world, task, mm: negate(mm.was_queued),
    violation="The reaper works on an mm that it has finished, or the list is corrupted.",
    not_covered="Whether the list stays acyclic (S6t).",
)


def structs_allocated(world: World, reaper: Reaper, task: Task) -> bool:
    """The task, its signal struct, and its mm struct as long as the process is a marked victim."""
    return both(
        task_allocated(world, task),
        signal_allocated(world, task.process),
        implies(task.process.oom_mm, mm_allocated(world, task.process.mm)),
    )


S7 = Property(
    id="S7",
    name="structs-outlive-the-queue",
    statement=(
        "While a task is queued (or its timer armed) or being reaped, its task, mm and signal structs stay allocated."
    ),
    source='26db62f179d1 "oom: keep mm of the killed task available"',
    over=(Reaper, Task),
    when=lambda world, reaper, task: either(task.queue_depth != 0, task.timer, reaper.job == task),
    then=structs_allocated,
    needs=((Process.oom_mm_counted, True),),
    absent="no mark keeps the mm: the reaper looks it up by the task in each attempt",
    violation="A use after free in oom_reap_task.",
    not_covered=(
        "The moment between cmpxchg of oom_mm and its mmgrab, when the marker's own references protect both. Until "
        "v4.8 the reaper looks its mm up by the task, under task_lock, so a queued task may be without one. A "
        "reference that a step drops too early shows; one counted wrongly does not: references are holders here."
    ),
)

S8 = Property(
    id="S8",
    name="no-victim-after-mmput",
    statement="mark_oom_victim(t) installs an mm as oom_mm only while mm_users > 0.",
    source="Hocko, 2017-07-26, 20170726054557.GB960@dhcp22.suse.cz",
    event=Event.OOM_MM_INSTALLED,
    then=lambda world, process, mm: users_left(world, mm),
    violation="An mm becomes a victim's while exit_mmap already runs on it, so the fence was decided wrongly.",
    not_covered="That t->mm is still oom_mm later: exec_mmap may replace it.",
)

S10 = Property(
    id="S10",
    name="exit-oom-victim-by-itself",
    statement="exit_oom_victim is called only from the victim's own context.",
    source='38531201c121 "mm, oom: enforce exit_oom_victim on current task"',
    event=Event.EXIT_OOM_VICTIM,
    then=lambda world, task, by_itself: by_itself,
    violation="Suspend believes that all victims are gone while one still runs.",
    not_covered="oom_killer_disable itself.",
)

S9 = Property(
    id="S9",
    name="no-stale-tlb-after-reap",
    statement="No stale TLB entry survives the reaper's page freeing.",
    source='687cb0884a71 "mm, oom_reaper: gather each vma to prevent leaking TLB entry" (CVE-2017-18202)',
    over=(Mm,),
    when=lambda world, mm: both(mm.flush_skipped, mm.pass_completed),
    then=lambda world, mm: negate(mm.stale_tlb),
    violation="A thread of the victim that still runs reads or writes a page that belongs to somebody else by now.",
    not_covered=(
        "Other freeing than the reaper's; lazy TLB. Whether a whole-mm gather skips the flush is a switch of the "
        "scenario: arm64 of the time did, x86 did not."
    ),
)

SAFETY = (S1, S2, S3, S4, S5R, S6M, S6T, S7, S8, S9, S10)
