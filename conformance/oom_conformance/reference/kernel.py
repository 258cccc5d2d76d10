"""One kernel: its objects, which form of each function it has, and who takes part beside the tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from oom_conformance.reference.machine import Machine
from oom_conformance.reference.objects import Mm, Mutex, Process, ReaperList, Task


@attrs.frozen
class Release:
    """The form of each function, and what they look at in a release; the defaults are those of v4.12."""

    exit_mmap: Callable[..., None]
    oom_reap_task: Callable[..., None]
    reap: Callable[..., bool]
    """One attempt: __oom_reap_task_mm."""
    evaluate: Callable[..., Callable[[Task], tuple[str, ...]]]
    """oom_evaluate_task: the outcomes that a scan may have with a task."""
    will_free_mem: Callable[..., bool]
    """task_will_free_mem of the chosen task."""
    current_will_free_mem: Callable[..., bool]
    """The same of current, in out_of_memory."""
    mark_oom_victim: Callable[..., None]
    queue_dying: Callable[..., None]
    kill_sharers: Callable[..., bool]
    wake_oom_reaper: Callable[..., None]
    handle_mm_fault: Callable[..., None]

    mmput_sets_skip: bool = False
    """__mmput sets MMF_OOM_SKIP after exit_mmap (v4.9 - v4.13)."""
    marks_signal: bool = True
    """A mark is signal->oom_mm; until v4.8, TIF_MEMDIE of some thread."""
    will_free_mem_locks: bool = True
    """task_will_free_mem of the chosen task is asked under its task_lock (v4.8 on)."""
    scans_threads: bool = False
    """A scan looks at every thread (v4.6)."""
    sets_oom_victim: bool = False
    """MMF_OOM_VICTIM (v4.15 - v6.0)."""
    only_blockable: bool = False
    """Only notifiers that may block keep the reaper away (v4.16 - v4.18)."""
    notifiers_refuse: bool = False
    """A notifier may refuse a VMA (v4.19 on)."""
    exit_takes_oom_lock: bool = False
    """exit_mmap reaps under oom_lock (v4.17, v4.18)."""
    reaper_takes_oom_lock: bool = True
    """The reaper of arcangeli-first."""
    meets_munlock: bool = True
    """A walk may run beside munlock (until v4.16)."""
    mlocked_reaped: bool = False
    """VM_LOCKED VMAs are reaped too (v5.18 on)."""
    munlocks_on_exit: bool = True
    """exit_mmap munlocks (until v5.17)."""
    clears_mmap: bool = False
    """exit_mmap sets mm->mmap to NULL (v5.17 - v6.0)."""
    destroys_empty_tree: bool = False
    """exit_mmap destroys an empty or half-built tree too (v6.8 on)."""
    queued_once: bool = False
    """MMF_OOM_REAP_QUEUED (v5.0 on)."""
    reaper_delay: bool = False
    """The reaper starts two seconds late (v5.18 on)."""
    oom_group: bool = False
    """memory.oom.group (v4.19 on)."""
    thaws_process: bool = False
    """mark_oom_victim thaws every thread (v6.18 on)."""
    leaves_cgroup_walk: str = "cgroup_exit"
    """When a walk over a cgroup stops meeting a thread: ``cgroup_exit``, ``exiting``, ``thread exiting``."""
    mrelease: str = ""
    """``first form``, ``pins mm_users``, ``tests under the lock``, or none."""
    mrelease_inverted: bool = False
    """The test of MMF_OOM_SKIP the wrong way round (v6.18 in development)."""
    faults_complete: bool = False
    """VM_FAULT_COMPLETED (v6.0 on)."""
    fault_repair: str = ""
    """A repair of the block of v4.12: ``leaves RETRY alone``, ``takes mmap_sem again``, or none."""
    fork_recovery: str = ""
    """What dup_mmap does where it fails: ``marker``, ``flags``, ``tears down``; none: no fork is modelled."""
    uprobes_ask: bool = False
    swapoff_asks: bool = False
    """check_stable_address_space (v6.14 on, v6.18 on)."""
    mark_pins_mm_users: bool = False
    """mark_oom_victim takes mm_users (a proposal of 2017-06-16)."""
    skip_in_pass: bool = False
    """MMF_OOM_SKIP before up_read (a proposal of 2017-06-14)."""
    reaper_asks_mmap: bool = False
    """The reaper asks for mm->mmap, not for MMF_OOM_SKIP (proposals of 2018-09)."""
    asks_what_is_left: bool = False
    """A pass after which much is left counts as failed (proposals of 2018-09)."""
    skip_at_end: bool = False
    """exit_mmap sets MMF_OOM_SKIP at its end (a proposal of 2018-09-12)."""

    def but(self, **changes: Any) -> Release:
        """This release with some functions exchanged."""
        return attrs.evolve(self, **changes)


@attrs.define(eq=False, slots=True)
class Killer:
    """An allocating context, with struct oom_control."""

    name: str
    eligible: frozenset[str]
    memcg: bool = False
    oom_group: bool = False
    current: Task | None = None
    chosen: Task | None = None
    victim: Task | None = None


@attrs.define(eq=False, slots=True)
class Caller:
    """A caller of process_mrelease."""

    name: str
    target: Process
    result: str = "NONE"


@attrs.define(eq=False, slots=True)
class Faulter:
    """Somebody who takes a page fault."""

    name: str
    mm: Mm
    kernel_thread: bool = False
    at_watched: bool = False
    file_page: bool = False
    around: bool = False
    """It maps the pages around it too, the watched one among them; only with ``at_watched``."""
    pins: bool = False
    result: str = "NONE"


@attrs.define(eq=False, slots=True)
class Forker:
    """A parent in dup_mm."""

    name: str
    child: Mm


@attrs.define(eq=False, slots=True)
class Walker:
    """Somebody who finds an mm by rmap or by the mmlist."""

    name: str
    mm: Mm
    swapoff: bool = False


class Kernel:
    """The objects of a world under one release."""

    def __init__(self, machine: Machine, release: Release) -> None:
        self.machine = machine
        self.release = release
        self.oom_lock = Mutex(machine, "oom_lock")
        self.oom_reaper_list = ReaperList(machine)
        self.mms: dict[str, Mm] = {}
        self.processes: list[Process] = []
        self.tasks: list[Task] = []
        """In the order of the task list."""
        self.killers: list[Killer] = []
        self.callers: list[Caller] = []
        self.faults: list[Faulter] = []
        self.forkers: list[Forker] = []
        self.reaper_name = ""
        self.job: Task | None = None
        """What the reaper works on."""
        self.retries = 1
        """MAX_OOM_REAP_RETRIES."""

    def is_marked(self, process: Process) -> bool:
        """tsk_is_oom_victim; until v4.8, a mark can be cleared again."""
        return process.oom_mm is not None if self.release.marks_signal else process.has_memdie()

    def kthreads_on(self, mm: Mm) -> list[str]:
        """The kernel threads that have called use_mm."""
        return [fault.name for fault in self.faults if fault.mm is mm and fault.kernel_thread and fault.pins]

    def used_by_kthread(self, mm: Mm) -> bool:
        """process_shares_mm of some kernel thread."""
        return bool(self.kthreads_on(mm))

    def forker_writes(self, mm: Mm) -> bool:
        """dup_mmap_sem: uprobes wait for a fork in dup_mmap."""
        return mm.mmap_sem.writer in [fork.name for fork in self.forkers if fork.child is mm]


__all__ = ["Caller", "Faulter", "Forker", "Kernel", "Killer", "Release", "Walker"]
