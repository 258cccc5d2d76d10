"""The kernel's objects, as far as the protocol touches them.

`mm_users`, `mm_count` and the readers of mmap_sem are not numbers here: each is a set of *named
holders* plus one anonymous count, and what the kernel reads as a number is derived
(`oom_spec.protocol.derived`). A bare counter would make "inside, so readers >= 1" non-inductive.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import Any

from oom_spec.language import Object, choice, count, fixed, fixed_flag, flag, per, program_counter, reference
from oom_spec.protocol.points import FaultAt, KillAt, MmputAt, ReapAt, TaskAt


@unique
class Presence(Enum):
    """Page tables, VMAs: there, being removed, gone, or never there."""

    PRESENT = "there"
    NEVER = "never there"
    BEING_FREED = "being freed"
    FREED = "freed"


@unique
class Writer(Enum):
    """Who holds mmap_sem for writing."""

    NOBODY = "nobody"
    KSM_EXIT = "ksm_exit, in __mmput"
    KHUGEPAGED_EXIT = "khugepaged_exit, in __mmput"
    EXIT_MMAP = "exit_mmap"
    SCANNER = "ksmd or khugepaged"
    FOREIGN = "somebody else, such as mmap() or a /proc writer"


@unique
class Executor(Enum):
    """Who runs __mmput: whoever dropped the last mm_users."""

    NOBODY = "nobody"
    TASK = "a thread of a process that uses the mm, in exit_mm"
    FOREIGN = "a foreign holder of mm_users, such as a /proc reader"
    WORKQUEUE = "a kworker, after mmput_async"
    KTHREAD = "a kernel thread that had called use_mm"
    REAPER = "the oom reaper"


@unique
class Scanner(Enum):
    """ksmd or khugepaged: it holds mm_count only, and takes mmap_sem."""

    ABSENT = "not working on this mm"
    WORKING = "holds mm_count"
    READING = "holds mmap_sem for reading"
    WRITE_WAITS = "waits for mmap_sem for writing"
    WRITING = "holds mmap_sem for writing"


@unique
class Excuse(Enum):
    """N3: the accepted reasons to set MMF_OOM_SKIP although the memory is still there."""

    NONE = "no excuse"
    TEN_FAILED = "the reaper's attempts all failed (MAX_OOM_REAP_RETRIES)"
    NOTIFIERS = "the mm has mmu notifiers (v4.14 - v4.18)"
    SHARED_WITH_INIT = "global init shares the mm (decided at kill time)"


@unique
class PassedOver(Enum):
    """History of one scan: whether and how it passed over a marked victim because of MMF_OOM_SKIP."""

    NO = "it did not"
    RIGHTLY = "unmap_vmas had finished, or a pass had been completed"
    TEN_FAILED = "neither, excused by ten failed attempts"
    NOTIFIERS = "neither, excused by mmu notifiers"
    SHARED_WITH_INIT = "neither, excused by global init sharing the mm"
    NEEDLESSLY = "neither, and without excuse"


@unique
class Result(Enum):
    """What handle_mm_fault returns, as far as the lock protocol depends on it."""

    NONE = "no fault in flight"
    HANDLED = "0 or VM_FAULT_MAJOR: the page is there"
    RETRY = "VM_FAULT_RETRY: mmap_sem was released"
    SIGBUS = "VM_FAULT_SIGBUS"


class Mm(Object):
    """struct mm_struct, with the routine __mmput that tears it down."""

    mmput_at = program_counter("Where __mmput stands.", MmputAt, rest=(MmputAt.IDLE, MmputAt.RETURNED))
    executor = choice("Who runs __mmput.", Executor)
    blocked = flag("__mmput waits for something outside the protocol: I/O, or a holder of mmap_sem.")

    reapable = count("Pages mapped in private VMAs without VM_LOCKED: the reaper may zap them.", upto="pages")
    mlocked = count("Pages mapped in a private VMA that had VM_LOCKED at the start.", upto="pages")
    unreapable = count("Pages mapped in shared, hugetlb or PFN VMAs: only exit_mmap unmaps them.", upto="pages")
    vm_locked = flag("The VMA of the mlocked pages still has VM_LOCKED.")
    munlocking = flag("exit_mmap is inside munlock_vma_pages_all.")
    gathered = flag("Unmapped pages sit in exit_mmap's mmu_gather, not yet freed.")
    page_tables = choice("The page tables.", Presence)
    vmas = choice("The VMAs.", Presence)
    no_mmap = flag("mm->mmap is NULL.")
    notifiers = flag("mm_has_notifiers(mm): mm->mmu_notifier_mm is set, until the mm_struct is freed.")

    oom_skip = flag("MMF_OOM_SKIP")
    unstable = flag("MMF_UNSTABLE")

    writer = choice("The holder of mmap_sem for writing.", Writer)
    exit_waits = choice("On whose behalf __mmput waits for mmap_sem for writing.", Writer)
    foreign_waits = flag("A foreign writer waits for mmap_sem.")
    read_by_reaper = flag("The reaper holds mmap_sem for reading.")
    foreign_readers = count("Anonymous holders of mmap_sem for reading.", upto="foreign_readers")
    scanner = choice("ksmd (which has a slot for it) or khugepaged on this mm.", Scanner)

    pinned_by_reaper = flag("The reaper holds an mm_users reference.")
    pinned_by_mark = flag("mark_oom_victim holds an mm_users reference (a proposal of 2017-06-16).")
    foreign_users = count("Anonymous holders of mm_users.", upto="foreign_users")
    users_reference = flag("The one mm_count that mm_users > 0 stands for.", initially=True)

    walked_by_reaper = flag("The reaper is inside its walk over the VMAs.", history=True)
    unmapped = flag("unmap_vmas has finished, or there was nothing to unmap.", history=True)
    pass_completed = flag("A pass over all eligible VMAs was completed.", history=True)
    excuse = choice("Why MMF_OOM_SKIP may be set although memory is still mapped.", Excuse, history=True)
    was_queued = flag("Some task was queued for this mm before.", history=True)

    ksmd = fixed_flag("The scanner on this mm, if any, is ksmd; otherwise khugepaged.")
    foreign_may_read = fixed_flag("A foreign holder may take mmap_sem for reading.")
    foreign_may_write = fixed_flag("A foreign holder may take mmap_sem for writing.")
    aio_may_block = fixed_flag("exit_aio may have to wait for I/O, possibly for ever.")


class Process(Object):
    """A thread group and its signal_struct."""

    mm: Any = fixed("The mm that its threads use.", "Mm")
    global_init = fixed_flag("Global init: the OOM killer never picks it.")
    bystander = fixed_flag("It only stands by: the scenario ends when the OOM killer picks it.")
    may_exit = fixed_flag("Its threads may exit without being killed.")
    never_exits = fixed_flag("Its threads never reach do_exit: uninterruptible sleep, ptrace stop, freezer, a loop.")

    sigkill = flag("SIGKILL is pending and SIGNAL_GROUP_EXIT set.")
    oom_mm = flag("signal->oom_mm is set: the process is a marked victim.")
    oom_mm_counted = flag("signal->oom_mm holds its mm_count.")


class Task(Object):
    """A thread."""

    at = program_counter("Where it stands in do_exit.", TaskAt, rest=(TaskAt.RUN, TaskAt.DEAD))
    process: Any = fixed("Its thread group.", "Process")
    leader = fixed_flag("It is the thread group leader: the one that for_each_process meets.")

    listed_before = per("Task", flag("It stands before that task on the task list.", constant=True))
    has_mm = flag("t->mm is set; it stands for one mm_users.")
    owes_mmput = flag("It cleared t->mm and has not dropped that mm_users yet.")
    reads = flag("It holds mmap_sem for reading (exit_mm).")
    in_mmput = flag("It is inside __mmput.")
    exiting = flag("PF_EXITING")
    memdie = flag("TIF_MEMDIE; the global count oom_victims is the number of these.")
    hashed = flag("A walk over all processes can meet it.", initially=True)
    in_cgroup = flag("A walk over its cgroup's tasks can meet it.", initially=True)
    allocating = flag("It is inside the allocator's slow path and entered the OOM killer.")
    queue_depth = count("Its position on oom_reaper_list from the tail, 1 being the tail; 0: not on it.", upto="tasks")
    linked = flag("t->oom_reaper_list is not NULL.")
    queue_reference = flag("oom_reaper_list holds a reference to its task_struct; the reaper takes it over.")


class Killer(Object):
    """One allocating context, with the OOM killer that it may enter; one per OOM domain."""

    at = program_counter("Where it stands.", KillAt, rest=(KillAt.IDLE,))
    memcg = fixed_flag("A memory cgroup's OOM: it walks the cgroup's tasks and waits for oom_lock.")
    current: Any = fixed("The thread that allocates, where it is one of the modelled ones.", "Task")

    eligible = per("Process", flag("The process is in this domain's memcg or node set.", constant=True))
    holds_oom_lock = flag("It holds oom_lock.")
    holds_task_lock = flag("It holds task_lock of `victim`.")
    holds_mm_count = flag("It holds an mm_count of the victim's mm.")
    chosen: Any = reference("The best task of the scan so far; then the task to be killed.", "Task")
    victim: Any = reference("The thread that find_lock_task_mm found.", "Task")
    can_reap = flag("can_oom_reap")
    scanned = per("Task", flag("The scan has met this task, or must not meet it again."))

    met = per("Mm", flag("The scan met a task that uses this mm and belongs to the domain.", history=True))
    passed_over = per("Mm", choice("How the scan passed over a marked victim with this mm.", PassedOver, history=True))


class Reaper(Object):
    """The kernel thread oom_reaper."""

    at = program_counter("Where it stands.", ReapAt, rest=(ReapAt.WAIT,))
    job: Any = reference("The task that it dequeued.", "Task")
    attempts = count("Failed attempts on this job; the bound is MAX_OOM_REAP_RETRIES.", upto="retries")
    holds_oom_lock = flag("It holds oom_lock.")

    passed = flag("It completed a pass since it dequeued its job.", history=True)
    found_no_users = flag("An attempt since then found mm_users 0.", history=True)
    obstructed = flag(
        "A trylock since then failed because exit_mmap held or awaited mmap_sem before unmap_vmas had finished.",
        history=True,
    )


class Fault(Object):
    """Somebody who takes one page fault on an mm that is not its own to tear down."""

    at = program_counter("Where it stands.", FaultAt, rest=(FaultAt.IDLE, FaultAt.DONE))
    mm: Any = fixed("The mm that it faults on.", "Mm")
    kernel_thread = fixed_flag("PF_KTHREAD: a kernel thread that called use_mm.")

    pins = flag("It holds an mm_users reference.")
    reads = flag("It holds mmap_sem for reading.")
    result = choice("What the fault returned.", Result)
