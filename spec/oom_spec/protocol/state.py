"""The kernel's objects, as far as the protocol touches them.

`mm_users`, `mm_count` and the readers of mmap_sem are not numbers here: each is a set of *named
holders* plus one anonymous count, and what the kernel reads as a number is derived
(`oom_spec.protocol.derived`). A bare counter would make "inside, so readers >= 1" non-inductive.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import Any

from oom_spec.language import Object, choice, count, fixed, fixed_flag, flag, per, program_counter, reference
from oom_spec.protocol.points import FaultAt, ForkAt, KillAt, MmputAt, MreleaseAt, ReapAt, TaskAt, WalkerAt


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
    FORKER = "the parent in dup_mmap"
    WALKER = "uprobes, which found the mm by rmap"


@unique
class Executor(Enum):
    """Who runs __mmput: whoever dropped the last mm_users."""

    NOBODY = "nobody"
    TASK = "a thread of a process that uses the mm, in exit_mm"
    FOREIGN = "a foreign holder of mm_users, such as a /proc reader"
    WORKQUEUE = "a kworker, after mmput_async"
    KTHREAD = "a kernel thread that had called use_mm"
    REAPER = "the oom reaper"
    MRELEASE = "a caller of process_mrelease"
    FORKER = "the parent, after a failed fork"


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
    FAILED_FORK = "the mm is half-built: the fork that made it failed (v6.13.2 on)"


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
    COMPLETED = "VM_FAULT_COMPLETED: done, and mmap_lock was released (v6.0 on)"


@unique
class Page(Enum):
    """The one private page, at one address, that S3 watches."""

    NOT_WATCHED = "no scenario of this kind"
    EMPTY = "never populated"
    PRIVATE = "populated, with contents that nothing else has"
    REAPED = "its PTE was cleared by a reaper"
    SUBSTITUTE = "another page was made visible after that"


@unique
class MreleaseResult(Enum):
    """What process_mrelease returns."""

    NONE = "not returned yet"
    SUCCESS = "0"
    EAGAIN = "EAGAIN: the pass was incomplete"
    EINTR = "EINTR: a signal came while it waited for mmap_lock"
    EINVAL = "EINVAL: the process is not dying"
    ESRCH = "ESRCH: no process, or none with an mm"


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
    notifiers_released = flag("mmu_notifier_release is over: no notifier is left to call.")
    watched = choice("The private page that S3 watches.", Page)
    half_built = flag("The maple tree has an XA_ZERO entry, left by a failed fork.")

    oom_skip = flag("MMF_OOM_SKIP; in v4.7 and v4.8 MMF_OOM_REAPED.")
    unstable = flag("MMF_UNSTABLE")
    oom_victim = flag("MMF_OOM_VICTIM (v4.15 - v6.0)")
    reap_queued = flag("MMF_OOM_REAP_QUEUED (v5.0 on)")
    not_reapable = flag("MMF_OOM_NOT_REAPABLE (v4.8)")

    writer = choice("The holder of mmap_sem for writing.", Writer)
    exit_waits = choice("On whose behalf __mmput waits for mmap_sem for writing.", Writer)
    foreign_waits = flag("A foreign writer waits for mmap_sem.")
    read_by_reaper = flag("The reaper holds mmap_sem for reading.")
    read_by_exit = flag("exit_mmap holds mmap_lock for reading (v6.1 on).")
    exit_holds_oom_lock = flag("exit_mmap holds oom_lock (v4.17, v4.18).")
    foreign_readers = count("Anonymous holders of mmap_sem for reading.", upto="foreign_readers")
    scanner = choice("ksmd (which has a slot for it) or khugepaged on this mm.", Scanner)

    pinned_by_reaper = flag("The reaper holds an mm_users reference.")
    counted_by_reaper = flag("The reaper holds an mm_count reference (v4.8).")
    pinned_by_mark = flag("mark_oom_victim holds an mm_users reference (a proposal of 2017-06-16).")
    pinned_by_fork = flag("The parent that builds this mm in fork holds its first mm_users.")
    foreign_users = count("Anonymous holders of mm_users.", upto="foreign_users")
    users_reference = flag("The one mm_count that mm_users > 0 stands for.", initially=True)

    walked_by_reaper = flag("The reaper is inside its walk over the VMAs.", history=True)
    walked_by_exit = flag("exit_mmap is inside its own reap (v4.17 - v6.0).", history=True)
    zapped_by_reaper = flag("The reaper's gather holds pages of this mm (watched for S9 only).", history=True)
    stale_tlb = flag("Pages were freed while a TLB may still map them for a running thread.", history=True)
    unmapped = flag("unmap_vmas has finished, or there was nothing to unmap.", history=True)
    pass_completed = flag("A pass over all eligible VMAs was completed.", history=True)
    excuse = choice("Why MMF_OOM_SKIP may be set although memory is still mapped.", Excuse, history=True)
    was_queued = flag("Some task was queued for this mm before.", history=True)

    ksmd = fixed_flag("The scanner on this mm, if any, is ksmd; otherwise khugepaged.")
    notifiers_may_block = fixed_flag("Its notifiers are blockable, and one of them may refuse a non-blocking call.")
    flush_skipped = fixed_flag("The architecture skips the TLB flush of a whole-mm gather, as arm64 did.")
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
    may_exec = fixed_flag("Its only thread may be on its way through execve when it is marked.")
    was_frozen = fixed_flag("Its threads are frozen at the start.")
    dumping = fixed_flag("It dumps core (SIGNAL_GROUP_COREDUMP): task_will_free_mem is false.")

    sigkill = flag("SIGKILL is pending and SIGNAL_GROUP_EXIT set.")
    oom_mm = flag("A marked victim: signal->oom_mm is set; until v4.8, some thread's TIF_MEMDIE.")
    oom_mm_counted = flag("signal->oom_mm holds its mm_count.")
    frozen = per("Task", flag("That thread of it is frozen: it acts on no signal."))
    oom_score_adj_min = flag("oom_score_adj is OOM_SCORE_ADJ_MIN, set by the reaper (v4.6): its badness is 0.")
    mark_cleared = flag("It was marked once, and is not any more (until v4.8).", history=True)


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
    execed = flag("It has passed exec_mmap: t->mm is a fresh mm, which the model leaves out.")
    queue_depth = count("Its position on oom_reaper_list from the tail, 1 being the tail; 0: not on it.", upto="tasks")
    linked = flag("t->oom_reaper_list is not NULL.")
    timer = flag("t->oom_reaper_timer is armed (v5.18 on).")
    queue_reference = flag(
        "oom_reaper_list, or oom_reaper_timer, holds a reference to its task_struct; the reaper takes it over."
    )


class Killer(Object):
    """One allocating context, with the OOM killer that it may enter; one per OOM domain."""

    at = program_counter("Where it stands.", KillAt, rest=(KillAt.IDLE,))
    memcg = fixed_flag("A memory cgroup's OOM: it walks the cgroup's tasks and waits for oom_lock.")
    oom_group = fixed_flag("The cgroup has memory.oom.group: all of it is killed under one oom_lock (v4.19 on).")
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
    incomplete = flag("A notifier refused a non-blocking call in this pass (v4.19 on).")
    in_mmput = flag("It is inside __mmput (v4.6).")

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
    at_watched = fixed_flag("It faults at the address that S3 watches.")
    file_page = fixed_flag("The page comes from a private file mapping: finish_fault maps it.")
    around = fixed_flag("Fault-around maps the page from the page cache, with its neighbours.")

    pins = flag("It holds an mm_users reference.")
    reads = flag("It holds mmap_sem for reading.")
    result = choice("What the fault returned.", Result)


class Mrelease(Object):
    """A caller of process_mrelease (v5.15 on), once."""

    at = program_counter("Where it stands.", MreleaseAt, rest=(MreleaseAt.IDLE, MreleaseAt.DONE))
    target: Any = fixed("The process that its pidfd refers to.", "Process")

    found: Any = reference("The thread that find_lock_task_mm found.", "Task")
    holds_task_lock = flag("It holds task_lock of `found`.")
    holds_mm_count = flag("It holds an mm_count of the target's mm.")
    pins = flag("It holds an mm_users reference (v5.15, v5.16).")
    reads = flag("It holds mmap_lock for reading.")
    incomplete = flag("A notifier refused a non-blocking call in this pass.")
    result = choice("What it returns.", MreleaseResult)

    walks = flag("It is inside its walk over the VMAs.", history=True)
    passed = flag("It completed a pass.", history=True)
    saw_skip = flag("It saw MMF_OOM_SKIP set.", history=True)


class Fork(Object):
    """A parent in dup_mmap, which builds a child's mm and fails (v6.8 on: the error path matters)."""

    at = program_counter("Where it stands.", ForkAt, rest=(ForkAt.IDLE, ForkAt.DONE))
    child: Any = fixed("The mm that it builds.", "Mm")

    writes = flag("It holds the child's mmap_lock for writing.")


class Walker(Object):
    """Somebody who finds an mm by rmap or by the mmlist, not by a task."""

    at = program_counter("Where it stands.", WalkerAt, rest=(WalkerAt.IDLE, WalkerAt.DONE))
    mm: Any = fixed("The mm that it finds.", "Mm")
    swapoff = fixed_flag("unuse_mm, which finds it by the mmlist; otherwise uprobes, by rmap.")

    pins = flag("It holds an mm_users reference.")
    reads = flag("It holds mmap_lock for reading.")
    walks = flag("It uses the VMAs.", history=True)
