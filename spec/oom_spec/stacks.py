"""Who calls what: the place of a step in the code of its thread, by the names that the release has.

The eras name the kernel function of a step, and a step that several releases share keeps its id. What
differs between those releases is here, so that a diagram can be held against the source:

* mmap_sem until v5.7, mmap_lock after it. An era whose steps name mmap_lock anywhere (v5.15 on)
  spells all of it so: ``down_read`` is drawn as ``mmap_read_lock``. `oom_spec.reading` takes both.
* __oom_reap_task_mm is the reaper's whole attempt until v4.16; from v4.17 on it is the walk alone, which
  exit_mmap and process_mrelease call too, and the rest of the attempt is oom_reap_task_mm.
* From v4.19 on the kill itself is __oom_kill_process, called once more for each task of a cgroup
  with memory.oom.group.
* Until v4.8 mem_cgroup_out_of_memory does its own scan; from v4.9 on it calls out_of_memory.
* wake_oom_reaper is called queue_oom_reaper from v5.18 on; its old name is the timer's function.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs

from oom_spec.language import Era, Step

FOREIGN = "foreign"
"""Column of the anonymous holders of mm_users, such as a /proc reader."""

KWORKER = "kworker"
"""Column of the worker that runs what mmput_async put off."""

TIMER = "timer"
"""Column of the softirq in which oom_reaper_timer expires (v5.18 on)."""

OTHERS = "others"
"""Column of the rest of the environment: ksmd and khugepaged."""

Stack = tuple[str, ...]
"""Kernel functions that a thread is in, outermost first."""

CALLERS: Mapping[str, str] = {
    "exit_mm": "do_exit",
    "exec_mmap": "sys_execve",
    "__mmput": "mmput",
    "exit_aio": "__mmput",
    "ksm_exit": "__mmput",
    "__ksm_exit": "ksm_exit",
    "khugepaged_exit": "__mmput",
    "__khugepaged_exit": "khugepaged_exit",
    "exit_mmap": "__mmput",
    "oom_reap_task": "oom_reaper",
    "__oom_reap_task": "oom_reap_task",
    "oom_reap_task_mm": "oom_reap_task",
    "__oom_reap_task_mm": "oom_reap_task",
    "__alloc_pages_may_oom": "__alloc_pages_slowpath",
    "out_of_memory": "__alloc_pages_may_oom",
    "select_bad_process": "out_of_memory",
    "oom_evaluate_task": "select_bad_process",
    "oom_scan_process_thread": "select_bad_process",
    "oom_kill_process": "out_of_memory",
    "mem_cgroup_scan_tasks": "oom_kill_process",
    "oom_kill_memcg_member": "mem_cgroup_scan_tasks",
    "__oom_kill_process": "oom_kill_process",
    "mark_oom_victim": "oom_kill_process",
    "try_oom_reaper": "oom_kill_process",
    "wake_oom_reaper": "oom_kill_process",
    "queue_oom_reaper": "oom_kill_process",
    "handle_mm_fault": "do_page_fault",
    "copy_mm": "copy_process",
    "dup_mm": "copy_mm",
    "dup_mmap": "dup_mm",
    "register_for_each_vma": "uprobe_register",
    "try_to_unuse": "sys_swapoff",
    "unuse_mm": "try_to_unuse",
}
"""Who calls a modelled function, where `Names.caller` knows nothing better. Some frames between are left out."""

ENTRIES: Mapping[str, frozenset[str]] = {
    "Task": frozenset({"do_exit", "sys_execve"}),
    "Mm": frozenset({"__mmput"}),
    "Reaper": frozenset({"oom_reaper"}),
    "Killer": frozenset({"__alloc_pages_slowpath", "try_charge", "mem_cgroup_out_of_memory"}),
    "Fault": frozenset({"do_page_fault"}),
    "Mrelease": frozenset({"process_mrelease"}),
    "Fork": frozenset({"copy_process"}),
    "Walker": frozenset({"uprobe_register", "sys_swapoff"}),
    "World": frozenset({"access_remote_vm", "ksmd", "khugepaged", "call_timer_fn"}),
}
"""Where the threads of each class of actor begin: every call stack starts with one of these. __mmput belongs to
whoever dropped the last mm_users, and goes below that thread's stack."""

EXECUTORS: Mapping[str, Stack] = {
    "Task": ("do_exit", "exit_mm", "mmput"),
    FOREIGN: ("access_remote_vm", "mmput"),
    KWORKER: ("mmput_async_fn",),
    "Fault": ("mmput",),
    "Reaper": ("oom_reaper", "oom_reap_task", "__oom_reap_task", "mmput"),
    "Mrelease": ("process_mrelease", "mmput"),
    "Fork": ("copy_process", "copy_mm", "dup_mm", "mmput"),
    "Walker": ("uprobe_register", "register_for_each_vma", "mmput"),
}
"""How each kind of thread comes to __mmput, where the run does not show it."""

NOWHERE = ("use_mm",)
"""Functions that a step names for its subject, although its call is made elsewhere: they are no frame."""

FUNCTIONS: frozenset[str] = frozenset(
    {
        *CALLERS,
        *CALLERS.values(),
        *(name for entries in ENTRIES.values() for name in entries),
        *(name for stack in EXECUTORS.values() for name in stack),
    }
)
"""Functions that a diagram may name when a thread enters them."""

MMAP_LOCK: Mapping[str, str] = {
    "down_read_trylock": "mmap_read_trylock",
    "down_read": "mmap_read_lock",
    "up_read": "mmap_read_unlock",
    "down_write": "mmap_write_lock",
    "up_write": "mmap_write_unlock",
}
"""Calls on mmap_sem, and what they are called on mmap_lock (v5.8 on)."""

_LOCK_WORD = re.compile(r"\b(?:" + "|".join([*MMAP_LOCK, *MMAP_LOCK.values()]) + r")\b")
_MMAP_SEM = {new: old for old, new in MMAP_LOCK.items()}

RENAMED: Mapping[str, str] = {
    "__oom_reap_task": "__oom_reap_task_mm",
    "oom_reap_task_mm": "__oom_reap_task_mm",
    "oom_scan_process_thread": "oom_evaluate_task",
    "queue_oom_reaper": "wake_oom_reaper",
    "kthread_use_mm": "use_mm",
}
"""Functions that other releases call by another name: a diagram may use either."""

WALK = frozenset(
    {
        "set_bit(MMF_UNSTABLE)",
        "unmap_page_range",
        "tlb_finish_mmu",
        "mmu_notifier_invalidate_range_start_nonblock",
    }
)
"""What __oom_reap_task_mm itself does from v4.17 on."""

KILL = ("FIND_LOCK", "MMGRAB", "SIGKILL", "TASK_UNLOCK", "SHARERS", "MMDROP")
"""Program points of a killer that __oom_kill_process has, from v4.19 on."""


def with_mmap_sem(name: str) -> str:
    """A call by its name of before v5.8, and a function by one of its names: equal for names of the same thing."""
    return RENAMED.get(name, _LOCK_WORD.sub(lambda found: _MMAP_SEM.get(found[0], found[0]), name))


def with_mmap_lock(name: str) -> str:
    """A call by its name from v5.8 on."""
    return _LOCK_WORD.sub(lambda found: MMAP_LOCK.get(found[0], found[0]), name)


@attrs.frozen
class Thread:
    """What a call stack depends on besides the step."""

    memcg: bool = False
    """A killer of a memory cgroup."""
    swapoff: bool = False
    """A walker that is swapoff."""
    ksmd: bool = False
    """A scanner that is ksmd."""


def _ends_for_current(step: Step, before: Stack) -> bool:
    """out_of_memory found that the current task is dying, and marked it: no oom_kill_process is left, nor its lock."""
    return step.at is not None and step.at.name == "DYING_DONE" and "oom_kill_process" not in before


class Names:
    """What the functions and calls of one era's release are called, and who calls them."""

    def __init__(self, era: Era) -> None:
        self.era = era
        lineage: list[Era] = []
        each: Era | None = era
        while each is not None:
            lineage.append(each)
            each = each.parent
        steps = [step for one in lineage for step in (*one.added, *one.replaced)]
        self.steps = era.steps
        self.functions = frozenset(step.kernel_function for step in self.steps)
        self.walk_is_shared = any(
            step.actor.__name__ == "Mm" and step.kernel_function == "__oom_reap_task_mm" for step in steps
        )
        """v4.17 on, and v4.14.y."""
        self.kill_is_split = any(step.call == "__oom_kill_process" for step in steps)
        """v4.19 on."""
        self.mmap_lock = any("mmap_read" in step.call or "mmap_write" in step.call for step in steps)
        """v5.8 on; here from v5.15 on, because v5.6 to v5.14 are one era."""
        self.memcg_scans = "oom_scan_process_thread" in self.functions
        """Until v4.8 mem_cgroup_out_of_memory does not call out_of_memory."""

    def call(self, step: Step, thread: Thread, before: Stack = ()) -> str:
        """What a diagram prints for the call of ``step``, in a thread that was in ``before``."""
        kind, call = step.actor.__name__, step.call
        if _ends_for_current(step, before):
            return "return true"
        if kind == "Mrelease" and call == "syscall":
            return "process_mrelease"
        if kind == "Mrelease" and call == "__oom_reap_task_mm":
            return "return"
        if kind == "Killer" and thread.memcg:
            if call == "__alloc_pages_slowpath":
                return "try_charge"
            if call == "select_bad_process" and self.memcg_scans:
                return "css_task_iter_end"
        if kind == "Killer" and call == "wake_oom_reaper" and "queue_oom_reaper" in self.functions:
            return "queue_oom_reaper"
        return with_mmap_lock(call) if self.mmap_lock else call

    def function(self, step: Step, thread: Thread, before: Stack = ()) -> str:
        """The function that makes the call of ``step``, in a thread that was in ``before``."""
        kind, name, at = step.actor.__name__, step.kernel_function, "" if step.at is None else step.at.name
        if _ends_for_current(step, before):
            return "mem_cgroup_out_of_memory" if thread.memcg and self.memcg_scans else "out_of_memory"
        if kind == "Reaper" and name == "__oom_reap_task_mm" and self.walk_is_shared and step.call not in WALK:
            return "oom_reap_task_mm"
        if kind == "Killer" and name == "oom_kill_process" and self.kill_is_split and at in KILL:
            return "__oom_kill_process"
        if kind == "Killer" and name == "wake_oom_reaper" and "queue_oom_reaper" in self.functions:
            return "queue_oom_reaper"
        if kind == "Killer" and thread.memcg:
            own_scan = self.memcg_scans and name in ("out_of_memory", "select_bad_process")
            return "mem_cgroup_out_of_memory" if own_scan or name == "__alloc_pages_may_oom" else name
        if kind == "Task" and step.call == "exit_signals":
            return "do_exit"
        if kind == "Fork" and step.call == "mmap_write_lock_nested":
            return "dup_mmap"
        if name == "walker":
            if not thread.swapoff:
                return "register_for_each_vma"
            return "try_to_unuse" if step.call == "mmput" else "unuse_mm"
        if name == "scanner":
            return "ksmd" if thread.ksmd else "khugepaged"
        return name

    def caller(self, function: str, step: Step, thread: Thread, before: Stack) -> str | None:
        """Who calls ``function`` for ``step``, in a thread that was in ``before``."""
        kind, at = step.actor.__name__, "" if step.at is None else step.at.name
        if function in ENTRIES.get(kind, ()):
            return None
        if function == "__oom_reap_task_mm":
            shared = "oom_reap_task_mm" if self.walk_is_shared else "oom_reap_task"
            return {"Mm": "exit_mmap", "Mrelease": "process_mrelease"}.get(kind, shared)
        if kind == "World" and function == "wake_oom_reaper":
            return "call_timer_fn"
        if kind == "Killer":
            if thread.memcg and (
                function == "out_of_memory"
                or (self.memcg_scans and function in ("oom_scan_process_thread", "oom_kill_process"))
            ):
                return "mem_cgroup_out_of_memory"
            if function == "__oom_kill_process" and (at == "GROUP" or "oom_kill_memcg_member" in before):
                return "oom_kill_memcg_member"
            if function in ("mark_oom_victim", "wake_oom_reaper", "queue_oom_reaper", "try_oom_reaper"):
                return self._marker(function, at, thread, before)
        return CALLERS.get(function)

    def _marker(self, function: str, at: str, thread: Thread, before: Stack) -> str:
        """Who marks or queues a task: the kill, or whoever found that the task is dying already."""
        if not at.startswith("DYING"):
            return "__oom_kill_process" if self.kill_is_split else "oom_kill_process"
        if "try_oom_reaper" in self.functions and function == "wake_oom_reaper":
            return "try_oom_reaper"
        if "oom_kill_process" in before:
            return "oom_kill_process"
        return "mem_cgroup_out_of_memory" if thread.memcg and self.memcg_scans else "out_of_memory"

    def chain(self, function: str, step: Step, thread: Thread, before: Stack = ()) -> Stack:
        """The call stack down to ``function``, included; for a step of __mmput from there on."""
        if function in NOWHERE:
            return ()
        found = [function]
        while (caller := self.caller(found[0], step, thread, before)) is not None and caller not in found:
            found.insert(0, caller)
        return tuple(found)

    def frames(self, step: Step, thread: Thread, before: Stack = ()) -> Stack:
        """The functions that ``step`` is in; without its call, even where that is one of them."""
        call = self.call(step, thread, before)
        if call in CALLERS or call in ENTRIES.get(step.actor.__name__, ()):
            return self.chain(call, step, thread, before)[:-1]
        return self.chain(self.function(step, thread, before), step, thread, before)

    def known(self, steps: Iterable[Step] | None = None) -> frozenset[str]:
        """Every name that a diagram of this era may have: calls, by both names, and functions."""
        found: set[str] = set()
        for step in self.steps if steps is None else steps:
            found.add(step.call)
            for thread in (Thread(), Thread(memcg=True, swapoff=True, ksmd=True)):
                for before in ((), ("oom_kill_process",), ("oom_kill_memcg_member",)):
                    found.update(self.frames(step, thread, before))
                    found.update(self.chain(self.function(step, thread, before), step, thread, before))
                    found.add(self.call(step, thread, before))
        return frozenset({*found, *(name for stack in EXECUTORS.values() for name in stack)})
