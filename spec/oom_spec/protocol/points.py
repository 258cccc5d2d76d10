"""Program points: where each routine stands between two atomic actions.

A point is named after the call that comes next.
"""

from __future__ import annotations

from enum import Enum, unique


@unique
class TaskAt(Enum):
    """A thread, from user mode to the end of do_exit (kernel/exit.c)."""

    RUN = "running in user mode or in a system call"
    DOWN_READ = "exit_mm: down_read(mmap_sem)"
    CLEAR_MM = "exit_mm: task_lock, current->mm = NULL"
    UP_READ = "exit_mm: up_read(mmap_sem)"
    MMPUT = "exit_mm: mmput"
    EXIT_OOM_VICTIM = "exit_mm: exit_oom_victim if TIF_MEMDIE"
    CGROUP_EXIT = "do_exit: cgroup_exit"
    EXIT_NOTIFY = "do_exit: exit_notify, then release_task by the parent"
    DEAD = "unhashed"


@unique
class MmputAt(Enum):
    """__mmput and what it calls (kernel/fork.c, mm/mmap.c); it lives in the mm, not in its executor."""

    IDLE = "mm_users is above 0: nobody runs __mmput"
    EXIT_AIO = "__mmput: exit_aio"
    EXIT_AIO_WAITS = "exit_aio: waiting for I/O to complete"
    KSM_EXIT = "__mmput: ksm_exit"
    KSM_DOWN_WRITE = "__ksm_exit: waiting in down_write"
    KSM_UP_WRITE = "__ksm_exit: up_write"
    KHUGEPAGED_EXIT = "__mmput: khugepaged_exit"
    KHUGEPAGED_DOWN_WRITE = "__khugepaged_exit: waiting in down_write"
    KHUGEPAGED_UP_WRITE = "__khugepaged_exit: up_write"
    NOTIFIER_RELEASE = "exit_mmap: mmu_notifier_release"
    MUNLOCK = "exit_mmap: look for VM_LOCKED"
    MUNLOCKING = "exit_mmap: munlock_vma_pages_all"
    FIRST_VMA = "exit_mmap: any VMA at all?"
    LOCK_BEFORE_UNMAP = "exit_mmap (variants): down_write before unmap_vmas"
    LOCK_BEFORE_UNMAP_WAITS = "exit_mmap (variants): waiting in that down_write"
    UNMAP = "exit_mmap: unmap_vmas"
    SKIP_AFTER_UNMAP = "exit_mmap (v4.14 on): set MMF_OOM_SKIP"
    FENCE_TEST = "exit_mmap (v4.14 on): is the fence needed?"
    FENCE_DOWN_WRITE = "exit_mmap: down_write"
    FENCE_DOWN_WRITE_WAITS = "exit_mmap: waiting in down_write"
    FENCE_UP_WRITE = "exit_mmap: up_write of the empty section"
    FREE_PGTABLES = "exit_mmap: free_pgtables"
    FREEING_PGTABLES = "exit_mmap: inside free_pgtables"
    TLB_FINISH = "exit_mmap: tlb_finish_mmu"
    FREE_VMAS = "exit_mmap: remove_vma"
    FREEING_VMAS = "exit_mmap: inside the remove_vma loop"
    CLEAR_MMAP = "exit_mmap (variants): mm->mmap = NULL"
    UP_WRITE_AFTER_FREE = "exit_mmap (variants): up_write"
    SET_SKIP = "__mmput (v4.9 - v4.13): set MMF_OOM_SKIP"
    MMDROP = "__mmput: mmdrop"
    RETURNED = "__mmput has returned"


@unique
class ReapAt(Enum):
    """The kernel thread oom_reaper (mm/oom_kill.c)."""

    WAIT = "oom_reaper: waiting for a non-empty list"
    OOM_LOCK = "__oom_reap_task_mm: mutex_lock(oom_lock)"
    TRYLOCK = "__oom_reap_task_mm: down_read_trylock"
    MMGET = "__oom_reap_task_mm: mmget_not_zero"
    NOTIFIERS = "__oom_reap_task_mm (v4.14): mm_has_notifiers"
    NOTIFIERS_SLEEP = "__oom_reap_task_mm (v4.14): sleeps HZ under oom_lock"
    TEST_SKIP = "__oom_reap_task_mm (v4.14): test MMF_OOM_SKIP under the read lock"
    SET_UNSTABLE = "__oom_reap_task_mm: set MMF_UNSTABLE"
    ZAP = "__oom_reap_task_mm: the walk over the VMAs"
    UP_READ_REAPED = "__oom_reap_task_mm: up_read after the pass"
    MMPUT_ASYNC = "__oom_reap_task_mm: mmput_async"
    UP_READ_SKIPPED = "__oom_reap_task_mm: up_read, nothing reaped, returns true"
    UNLOCK_TRUE = "__oom_reap_task_mm: mutex_unlock(oom_lock), returns true"
    UNLOCK_FALSE = "__oom_reap_task_mm: mutex_unlock(oom_lock), returns false"
    RETRY = "oom_reap_task: attempt failed"
    LINK_NULL = "oom_reap_task: tsk->oom_reaper_list = NULL"
    LINK_NULL_SILENT = "oom_reap_task (variants): the same, and MMF_OOM_SKIP stays as it is"
    SKIP_IN_PASS = "__oom_reap_task_mm (variants): set MMF_OOM_SKIP after the walk, before up_read"
    SKIP_ON_GIVE_UP = "oom_reap_task (variants): set MMF_OOM_SKIP after the last failed attempt"
    SKIP_OOM_LOCK = "oom_reap_task (variants): mutex_lock(oom_lock) around MMF_OOM_SKIP"
    SKIP_OOM_UNLOCK = "oom_reap_task (variants): mutex_unlock(oom_lock) after MMF_OOM_SKIP"
    MMPUT_MARK = "oom_reap_task (variants): mmput_async of what mark_oom_victim took"
    SET_SKIP = "oom_reap_task: set MMF_OOM_SKIP"
    PUT_TASK = "oom_reap_task: put_task_struct"


@unique
class KillAt(Enum):
    """An allocation that fails, and the OOM killer that it enters (mm/page_alloc.c, mm/oom_kill.c)."""

    IDLE = "allocating, or doing something else"
    OOM_LOCK = "__alloc_pages_may_oom: mutex_trylock(oom_lock); memcg: mutex_lock"
    LAST_ATTEMPT = "__alloc_pages_may_oom: get_page_from_freelist, high watermark"
    WILL_FREE = "out_of_memory: task_will_free_mem(current)"
    SELECT = "select_bad_process"
    VICTIM_WILL_FREE = "oom_kill_process: task_will_free_mem(victim)"
    FIND_LOCK = "oom_kill_process: find_lock_task_mm"
    MMGRAB = "oom_kill_process: mmgrab"
    SIGKILL = "oom_kill_process: SIGKILL to the victim"
    MARK_MEMDIE = "mark_oom_victim: test and set TIF_MEMDIE"
    MARK_OOM_MM = "mark_oom_victim: cmpxchg signal->oom_mm"
    MARK_MMGRAB = "mark_oom_victim: mmgrab(signal->oom_mm)"
    MARK_MMGET = "mark_oom_victim (variants): mmget"
    TASK_UNLOCK = "oom_kill_process: task_unlock"
    SHARERS = "oom_kill_process: SIGKILL to every other process that shares the mm"
    WAKE = "wake_oom_reaper: already queued?"
    QUEUE = "wake_oom_reaper: push"
    MMDROP = "oom_kill_process: mmdrop, put_task_struct"
    DYING_MEMDIE = "mark_oom_victim(a dying task): test and set TIF_MEMDIE"
    DYING_OOM_MM = "mark_oom_victim(a dying task): cmpxchg signal->oom_mm"
    DYING_MMGRAB = "mark_oom_victim(a dying task): mmgrab"
    DYING_MMGET = "mark_oom_victim(a dying task, variants): mmget"
    DYING_WAKE = "wake_oom_reaper(a dying task): already queued?"
    DYING_QUEUE = "wake_oom_reaper(a dying task): push"
    DYING_DONE = "a dying task was marked: task_unlock, put_task_struct"
    UNLOCK = "mutex_unlock(oom_lock)"


@unique
class FaultAt(Enum):
    """Somebody who takes a page fault on the mm: a kernel thread after use_mm, or a thread of it."""

    IDLE = "not started"
    DOWN_READ = "down_read(mmap_sem)"
    HANDLE = "__handle_mm_fault"
    CHECK_UNSTABLE = "handle_mm_fault: the block that overwrites the result"
    RETAKE = "handle_mm_fault (5b53a6ea8867): down_read before overwriting RETRY"
    RETURN = "handle_mm_fault returns"
    CALLER = "the caller looks at the result"
    MMPUT = "mmput"
    DONE = "finished"
