"""The kernel's objects: locks with owners and waiters, counts, flags, memory, tasks and the list of the reaper.

Freed things stay freed: whoever touches a freed page table, VMA, mm_struct or task_struct, unlocks what it
does not hold, or drops a count below 0, leaves a report on the machine and goes on, as with KASAN and lockdep.
"""

from __future__ import annotations

import attrs

from oom_conformance.reference.machine import Frame, Machine


@attrs.define(eq=False, slots=True)
class Mutex:
    """struct mutex: one owner."""

    machine: Machine
    name: str
    owner: str = ""

    def free(self) -> bool:
        """Nobody holds it."""
        return not self.owner

    def lock(self, owner: str) -> None:
        """Taken, once it is free."""
        if self.owner:
            self.machine.report(f"{self.name}: {owner} takes it while {self.owner} holds it")
        self.owner = owner

    def unlock(self, owner: str) -> None:
        """Given back."""
        if self.owner != owner:
            self.machine.report(f"{self.name}: {owner} unlocks it, which {self.owner or 'nobody'} holds")
        self.owner = ""


@attrs.define(eq=False, slots=True)
class RwSem:
    """struct rw_semaphore: many readers or one writer; a waiting writer keeps new readers out."""

    machine: Machine
    name: str
    writer: str = ""
    readers: list[str] = attrs.Factory(list)
    waiters: list[str] = attrs.Factory(list)
    """Writers in the queue."""

    def read_free(self) -> bool:
        """down_read does not wait, and down_read_trylock succeeds."""
        return not self.writer and not self.waiters

    def write_free(self) -> bool:
        """down_write does not wait."""
        return not self.writer and not self.readers and not self.waiters

    def unheld(self) -> bool:
        """Whoever is in the queue may have it."""
        return not self.writer and not self.readers

    def take_read(self, owner: str) -> None:
        """down_read, once it can be had."""
        if self.writer:
            self.machine.report(f"{self.name}: {owner} reads beside the writer {self.writer}")
        self.readers.append(owner)

    def up_read(self, owner: str) -> None:
        """Given back by a reader."""
        if owner in self.readers:
            self.readers.remove(owner)
        else:
            self.machine.report(f"{self.name}: {owner} gives back a read lock that it does not hold")

    def take_write(self, owner: str) -> None:
        """down_write, once it can be had."""
        if self.writer or self.readers:
            self.machine.report(f"{self.name}: {owner} writes beside others")
        self.writer = owner

    def up_write(self, owner: str) -> None:
        """Given back by the writer."""
        if self.writer != owner:
            self.machine.report(f"{self.name}: {owner} gives back a write lock that it does not hold")
        self.writer = ""

    def down_write(self, at: Frame, owner: str, call: str, outcome: str = "") -> None:
        """Take it for writing, after queueing for it where somebody holds it."""
        more = f"{outcome}, " if outcome else ""
        if not at.test(self.write_free, call, outcome, f"{more}waits"):
            self.queue(at, owner, call, f"{more}wakes")
        self.take_write(owner)

    def queue(self, at: Frame, owner: str, call: str, outcome: str = "wakes") -> None:
        """Wait for it as a writer, who keeps new readers out meanwhile, until nobody holds it."""
        self.waiters.append(owner)
        at.wait(self.unheld, call, outcome)
        self.waiters.remove(owner)

    def down_read(self, at: Frame, owner: str, call: str) -> None:
        """Take it for reading, when there is no writer."""
        at.wait(self.read_free, call)
        self.take_read(owner)


@attrs.define(eq=False, slots=True)
class Mm:
    """struct mm_struct with its VMAs and page tables."""

    machine: Machine
    name: str
    mmap_sem: RwSem
    mm_users: int = 0
    mm_count: int = 1
    oom_skip: bool = False
    """MMF_OOM_SKIP; in v4.7 and v4.8 MMF_OOM_REAPED."""
    unstable: bool = False
    oom_victim: bool = False
    reap_queued: bool = False
    not_reapable: bool = False
    oom_reaping: bool = False
    """MMF_OOM_REAPING, of a proposal: mark_oom_victim holds mm_users."""
    reapable: int = 0
    """Mapped pages of VMAs by kind: private, private with VM_LOCKED at first, and all others."""
    mlocked: int = 0
    unreapable: int = 0
    vm_locked: bool = False
    gathered: bool = False
    page_tables: str = "PRESENT"
    vmas: str = "PRESENT"
    mmap_null: bool = False
    """mm->mmap was set to NULL, or the tree destroyed."""
    xa_zero: bool = False
    watched: str = "NOT_WATCHED"
    has_notifiers: bool = False
    blockable: bool = False
    notifiers_released: bool = False
    ksmd: bool = False
    khugepaged: bool = False
    """khugepaged has a slot for the mm."""
    aio_may_block: bool = False
    most_pages: int = 1

    def mmap_is_null(self) -> bool:
        """mm->mmap is NULL, or the tree is empty."""
        return self.mmap_null or self.vmas == "NEVER"

    def blocking_notifiers(self) -> bool:
        """mm_has_blockable_invalidate_notifiers, or a notifier that refuses."""
        return self.has_notifiers and self.blockable and not self.notifiers_released

    def nothing_mapped(self) -> bool:
        """unmap_vmas has nothing left."""
        return not (self.reapable or self.mlocked or self.unreapable)

    def touch(self, who: str) -> None:
        """Somebody uses the mm_struct."""
        if self.mm_count <= 0:
            self.machine.report(f"{self.name}: {who} uses a freed mm_struct")

    def walk(self, who: str) -> None:
        """Somebody walks the VMAs and the page tables below them."""
        self.touch(who)
        if self.mmap_is_null():
            return
        if self.vmas in ("BEING_FREED", "FREED"):
            self.machine.report(f"{self.name}: {who} walks freed VMAs")
        if self.page_tables in ("BEING_FREED", "FREED"):
            self.machine.report(f"{self.name}: {who} walks freed page tables")

    def mmget(self) -> None:
        """atomic_inc(mm_users)."""
        if self.mm_users <= 0:
            self.machine.report(f"{self.name}: mmget of an mm without users")
        self.mm_users += 1

    def drop_user(self) -> bool:
        """atomic_dec_and_test(mm_users)."""
        self.mm_users -= 1
        if self.mm_users < 0:
            self.machine.report(f"{self.name}: mm_users is {self.mm_users}")
        return self.mm_users == 0

    def is_last_user(self) -> bool:
        """The next mmput frees the address space."""
        return self.mm_users == 1

    def mmgrab(self) -> None:
        """atomic_inc(mm_count)."""
        self.touch("mmgrab")
        self.mm_count += 1

    def mmdrop(self) -> None:
        """atomic_dec_and_test(mm_count), and __mmdrop."""
        self.mm_count -= 1
        if self.mm_count < 0:
            self.machine.report(f"{self.name}: mm_count is {self.mm_count}")


@attrs.define(eq=False, slots=True)
class Process:
    """A thread group: its signal_struct, and what the scenario says of it."""

    name: str
    mm: Mm
    tasks: list[Task] = attrs.Factory(list)
    sigkill: bool = False
    """SIGKILL is pending and SIGNAL_GROUP_EXIT set."""
    oom_mm: Mm | None = None
    oom_mm_counted: bool = False
    oom_score_adj_min: bool = False
    global_init: bool = False
    may_exit: bool = False
    never_exits: bool = False
    may_exec: bool = False
    dumping: bool = False

    @property
    def leader(self) -> Task:
        """The thread group leader."""
        return self.tasks[0]

    def shares(self, mm: Mm) -> bool:
        """process_shares_mm: some thread has the mm."""
        return any(task.mm is mm for task in self.tasks)

    def thread_with_mm(self) -> Task | None:
        """The first thread whose mm is set, as find_lock_task_mm meets them."""
        return next((task for task in self.tasks if task.mm is not None), None)

    def has_memdie(self) -> bool:
        """Some thread has TIF_MEMDIE (signal->oom_victims, until v4.8)."""
        return any(task.memdie for task in self.tasks)


@attrs.define(eq=False, slots=True)
class Task:
    """struct task_struct."""

    machine: Machine
    name: str
    process: Process
    mm: Mm | None
    """NULL after exit_mm; also after exec_mmap, whose fresh mm is left out."""
    usage: int = 1
    exiting: bool = False
    memdie: bool = False
    hashed: bool = True
    in_cgroup: bool = True
    allocating: bool = False
    frozen: bool = False
    next: Task | None = None
    """oom_reaper_list."""
    timer: bool = False
    task_lock: str = ""
    """Who holds task_lock across anything visible: a killer or process_mrelease."""

    @property
    def is_leader(self) -> bool:
        """thread_group_leader."""
        return self.process.leader is self

    def unlocked(self) -> bool:
        """task_lock can be had."""
        return not self.task_lock

    def get(self) -> None:
        """get_task_struct."""
        if self.usage <= 0:
            self.machine.report(f"{self.name}: get of a freed task_struct")
        self.usage += 1

    def put(self) -> None:
        """put_task_struct; the last one frees the signal_struct too, which drops signal->oom_mm."""
        self.usage -= 1
        if self.usage < 0:
            self.machine.report(f"{self.name}: usage is {self.usage}")
        process = self.process
        if self.usage == 0 and process.oom_mm_counted and not any(task.usage > 0 for task in process.tasks):
            process.mm.mmdrop()

    def thread_group_empty(self) -> bool:
        """All other threads are released."""
        return not any(other.hashed for other in self.process.tasks if other is not self)


class ReaperList:
    """oom_reaper_list: last in, first out, linked through the tasks."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.head: Task | None = None

    def on(self, task: Task) -> bool:
        """The task can be reached from the head."""
        return task in self.tasks()

    def tasks(self) -> list[Task]:
        """From the head to the tail."""
        found: list[Task] = []
        task = self.head
        while task is not None:
            found.append(task)
            task = task.next
        return found

    def looks_queued(self, task: Task) -> bool:
        """What wake_oom_reaper tests, without the lock: it is the head, or has a link."""
        return self.head is task or task.next is not None

    def push(self, task: Task) -> None:
        """Under oom_reaper_lock. A task that is on the list already ties it into a ring, which nothing repairs."""
        if self.on(task):
            self.machine.report(f"oom_reaper_list: {task.name} is queued twice")
            self.machine.halt("LIST_CORRUPTED")
            return
        task.next = self.head
        self.head = task

    def pop(self) -> Task:
        """The head; its link stays until the reaper is done."""
        task = self.head
        if task is None:
            raise LookupError("oom_reaper_list is empty")
        self.head = task.next
        return task

    def forget(self, task: Task) -> None:
        """tsk->oom_reaper_list = NULL, without the lock. Where the task is on the list, what is below it is lost."""
        if task.next is not None and self.on(task):
            self.machine.report(f"oom_reaper_list: {task.next.name} is cut off")
            self.machine.halt("LIST_CORRUPTED")
            return
        task.next = None


__all__ = ["Mm", "Mutex", "Process", "ReaperList", "RwSem", "Task"]
