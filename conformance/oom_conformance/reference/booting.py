"""A world's description (`oom_conformance.worlds`) brought to life, and what can be seen of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from oom_conformance.interface import Value
from oom_conformance.reference import exit as exiting
from oom_conformance.reference import faults, fork, mrelease, oom_kill, oom_reaper, others
from oom_conformance.reference.kernel import Caller, Faulter, Forker, Kernel, Killer, Release, Walker
from oom_conformance.reference.machine import Context, Machine
from oom_conformance.reference.objects import Mm, Process, RwSem, Task

Body = Callable[[Context], None]


def boot(machine: Machine, release: Release, world: Mapping[str, Any]) -> tuple[Kernel, list[tuple[str, Body]]]:
    """The kernel, and a name and a body for each thread of control."""
    kernel = Kernel(machine, release)
    kernel.retries = int(world["bounds"]["retries"])
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for each in world["objects"]:
        by_kind.setdefault(each["kind"], []).append(each)
    bodies: list[tuple[str, Body]] = []
    for each in by_kind.get("Mm", []):
        _boot_mm(kernel, world, each, bodies)
    processes: dict[str, Process] = {}
    for each in by_kind.get("Process", []):
        made = Process(each["name"], kernel.mms[each["mm"]])
        for flag in ("global_init", "may_exit", "never_exits", "may_exec", "dumping", "sigkill"):
            setattr(made, flag, bool(each.get(flag, False)))
        processes[made.name] = made
        kernel.processes.append(made)
    frozen = {name for each in by_kind.get("Process", []) for name, is_it in each.get("frozen", {}).items() if is_it}
    tasks: dict[str, Task] = {}
    for each in by_kind.get("Task", []):
        process = processes[each["process"]]
        task = Task(machine, each["name"], process, process.mm if each.get("has_mm") else None)
        task.frozen = task.name in frozen
        process.tasks.append(task)
        kernel.tasks.append(task)
        tasks[task.name] = task
        if task.mm is not None:
            task.mm.mm_users += 1
        bodies.append((task.name, _of(exiting.task_main, kernel, task)))
        if release.reaper_delay:
            bodies.append((f"timer of {task.name}", _of(others.oom_reaper_timer, kernel, task)))
    for each in by_kind.get("Killer", []):
        eligible = frozenset(name for name, is_it in each.get("eligible", {}).items() if is_it)
        killer = Killer(each["name"], eligible, bool(each.get("memcg")), bool(each.get("oom_group")))
        killer.current = tasks[each["current"]] if each.get("current") else None
        kernel.killers.append(killer)
        bodies.append((killer.name, _of(oom_kill.allocator, kernel, killer)))
    for each in by_kind.get("Reaper", []):
        kernel.reaper_name = each["name"]
        bodies.append((each["name"], lambda context: oom_reaper.oom_reaper(kernel, context)))
    _boot_users(kernel, by_kind, processes, bodies)
    return kernel, bodies


def _of(function: Callable[..., None], kernel: Kernel, subject: object) -> Body:
    return lambda context: function(kernel, context, subject)


def _boot_mm(
    kernel: Kernel, world: Mapping[str, Any], given: Mapping[str, Any], bodies: list[tuple[str, Body]]
) -> None:
    name = given["name"]
    mm = Mm(kernel.machine, name, RwSem(kernel.machine, f"{name}.mmap_sem"))
    for field in ("reapable", "mlocked", "unreapable"):
        setattr(mm, field, int(given.get(field, 0)))
    for field, default in (("vmas", "PRESENT"), ("page_tables", "PRESENT"), ("watched", "NOT_WATCHED")):
        setattr(mm, field, given.get(field, default))
    mm.vm_locked = bool(given.get("vm_locked"))
    mm.has_notifiers = bool(given.get("notifiers"))
    mm.blockable = bool(given.get("notifiers_may_block"))
    mm.ksmd = bool(given.get("ksmd"))
    mm.aio_may_block = bool(given.get("aio_may_block"))
    mm.most_pages = int(world["bounds"]["pages"])
    kernel.mms[name] = mm
    if given.get("scanner", "ABSENT") != "ABSENT":
        mm.khugepaged = not mm.ksmd
        mm.mm_count += 1
        bodies.append((f"scanner of {name}", _of(others.ksmd if mm.ksmd else others.khugepaged, kernel, mm)))
    users = int(given.get("foreign_users", 0))
    if users:
        mm.mm_users += users
        reads, writes = bool(given.get("foreign_may_read")), bool(given.get("foreign_may_write"))
        bodies.append(
            (
                f"foreign user of {name}",
                lambda context: others.foreign_holder(kernel, context, mm, users, may_read=reads, may_write=writes),
            )
        )


def _boot_users(
    kernel: Kernel,
    by_kind: Mapping[str, list[Mapping[str, Any]]],
    processes: Mapping[str, Process],
    bodies: list[tuple[str, Body]],
) -> None:
    release = kernel.release
    for each in by_kind.get("Fault", []):
        fault = Faulter(each["name"], kernel.mms[each["mm"]])
        for flag in ("kernel_thread", "at_watched", "file_page", "around", "pins"):
            setattr(fault, flag, bool(each.get(flag, False)))
        fault.mm.mm_users += int(fault.pins)
        kernel.faults.append(fault)
        bodies.append((fault.name, _of(faults.do_page_fault, kernel, fault)))
    for each in by_kind.get("Mrelease", []):
        caller = Caller(each["name"], processes[each["target"]])
        kernel.callers.append(caller)
        if release.mrelease:
            bodies.append((caller.name, _of(mrelease.process_mrelease, kernel, caller)))
    for each in by_kind.get("Fork", []):
        forker = Forker(each["name"], kernel.mms[each["child"]])
        kernel.forkers.append(forker)
        if release.fork_recovery:
            bodies.append((forker.name, _of(fork.dup_mm, kernel, forker)))
    for each in by_kind.get("Walker", []):
        walker = Walker(each["name"], kernel.mms[each["mm"]], bool(each.get("swapoff")))
        if release.fork_recovery:
            bodies.append((walker.name, _of(fork.swapoff if walker.swapoff else fork.uprobes, kernel, walker)))


# -- what can be seen ------------------------------------------------------------------------

MM_FIELDS = (
    "mm_users",
    "allocated",
    "readers",
    "written",
    "writers_waiting",
    "oom_skip",
    "unstable",
    "oom_victim",
    "reap_queued",
    "not_reapable",
    "reapable",
    "mlocked",
    "unreapable",
    "vm_locked",
    "gathered",
    "page_tables",
    "vmas",
    "no_mmap",
    "half_built",
    "watched",
)
PROCESS_FIELDS = ("sigkill", "oom_mm", "oom_score_adj_min")
TASK_FIELDS = (
    "has_mm",
    "exiting",
    "memdie",
    "hashed",
    "in_cgroup",
    "allocating",
    "queue_depth",
    "linked",
    "timer",
    "frozen",
    "locked",
    "allocated",
)


def names_of(kernel: Kernel) -> tuple[str, ...]:
    """What `values_of` gives, by name: objects in the order of the description, kind by kind."""
    found = ["world.halted", "world.oom_lock"]
    found += [f"{mm}.{field}" for mm in kernel.mms for field in MM_FIELDS]
    found += [f"{process.name}.{field}" for process in kernel.processes for field in PROCESS_FIELDS]
    found += [f"{task.name}.{field}" for task in kernel.tasks for field in TASK_FIELDS]
    if kernel.reaper_name:
        found.append(f"{kernel.reaper_name}.job")
    found += [f"{killer.name}.victim" for killer in kernel.killers]
    found += [f"{name}.result" for name in (*(each.name for each in kernel.faults), *(c.name for c in kernel.callers))]
    return tuple(found)


def values_of(kernel: Kernel) -> tuple[Value, ...]:
    """The values, in the order of `names_of`."""
    found: list[Value] = [kernel.machine.halted, bool(kernel.oom_lock.owner)]
    for mm in kernel.mms.values():
        sem = mm.mmap_sem
        found += (
            mm.mm_users,
            mm.mm_count > 0,
            len(sem.readers),
            bool(sem.writer),
            len(sem.waiters),
            mm.oom_skip,
            mm.unstable,
            mm.oom_victim,
            mm.reap_queued,
            mm.not_reapable,
            mm.reapable,
            mm.mlocked,
            mm.unreapable,
            mm.vm_locked,
            mm.gathered,
            mm.page_tables,
            mm.vmas,
            mm.mmap_null,
            mm.xa_zero,
            mm.watched,
        )
    for process in kernel.processes:
        found += (process.sigkill, kernel.is_marked(process), process.oom_score_adj_min)
    queued = kernel.oom_reaper_list.tasks()[::-1] if kernel.oom_reaper_list.head is not None else []
    for task in kernel.tasks:
        found += (
            task.mm is not None,
            task.exiting,
            task.memdie,
            task.hashed,
            task.in_cgroup,
            task.allocating,
            queued.index(task) + 1 if task in queued else 0,
            task.next is not None,
            task.timer,
            task.frozen,
            bool(task.task_lock),
            task.usage > 0,
        )
    if kernel.reaper_name:
        found.append(kernel.job.name if kernel.job is not None else "")
    found += [killer.victim.name if killer.victim is not None else "" for killer in kernel.killers]
    found += [fault.result for fault in kernel.faults]
    found += [caller.result for caller in kernel.callers]
    return tuple(found)
