"""process_mrelease (mm/oom_kill.c, v5.15 on) in its three forms, and with the inverted test of v6.18 in development."""

from __future__ import annotations

from collections.abc import Callable

from oom_conformance.reference.exit import mmput
from oom_conformance.reference.kernel import Caller, Kernel
from oom_conformance.reference.machine import Context, Frame
from oom_conformance.reference.objects import Mm, Task
from oom_conformance.reference.oom_kill import task_will_free_mem

FUNCTION = "mrelease.process_mrelease"
SKIP = "test_bit(MMF_OOM_SKIP)"


def process_mrelease(kernel: Kernel, context: Context, caller: Caller) -> None:
    """One call, at any time or never."""
    at = Frame(context, FUNCTION, caller.name)
    at.step("syscall")
    caller.result = "SUCCESS"
    thread = find_lock_task_mm(context, caller)
    if thread is None:
        caller.result = "ESRCH"
    else:
        mm = thread.process.mm
        form = kernel.release.mrelease
        reaps = may_reap(kernel, context, caller, thread, mm)
        Frame(context, FUNCTION, caller.name, thread.name).step("task_unlock", "" if reaps else "nothing to reap")
        thread.task_lock = ""
        thread.put()
        if reaps:
            lock_and_reap(kernel, context, caller, mm)
        if form == "pins mm_users":
            if mmput(kernel, context, mm, at):
                at.step("mmput", "returns")
        else:
            at.step("mmdrop")
            mm.mmdrop()
    at.step("return")


def find_lock_task_mm(context: Context, caller: Caller) -> Task | None:
    """The first thread of the target that has an mm, with its task_lock."""
    process = caller.target
    none = Frame(context, FUNCTION, caller.name).name("find_lock_task_mm", "none")
    found: list[Task | None] = [None]

    def first() -> tuple[str, ...]:
        found[0] = thread = process.thread_with_mm()
        if thread is None:
            return (none,)
        if not thread.unlocked():
            return ()
        return (Frame(context, FUNCTION, caller.name, thread.name).name("find_lock_task_mm"),)

    context.pause(first)
    thread = found[0]
    if thread is not None:
        thread.task_lock = caller.name
        thread.get()
    return thread


def may_reap(kernel: Kernel, context: Context, caller: Caller, thread: Task, mm: Mm) -> bool:
    """Keeps the mm, and asks whether there is anything that may be reaped."""
    at = Frame(context, FUNCTION, caller.name, thread.name)
    form = kernel.release.mrelease
    if form == "pins mm_users":
        at.step("mmget_not_zero")
        mm.mmget()
    else:
        at.step("mmgrab")
        mm.mmgrab()
    if form == "first form" and at.test(lambda: mm.oom_skip, SKIP, "set", "clear"):
        return False
    if at.test(lambda: task_will_free_mem(kernel, thread), "task_will_free_mem", "yes", "no"):
        return True
    if form == "first form" or not at.test(lambda: mm.oom_skip, SKIP, "set", "clear"):
        caller.result = "EINVAL"
    return False


def lock_and_reap(kernel: Kernel, context: Context, caller: Caller, mm: Mm) -> None:
    """mmap_read_lock_killable, the test under the lock where the release has it, and the walk."""
    at = Frame(context, FUNCTION, caller.name)
    sem = mm.mmap_sem
    locks, interrupted = at.name("mmap_read_lock_killable"), at.name("mmap_read_lock_killable", "interrupted")
    if context.pause(lambda: (locks,) if sem.read_free() else (interrupted,)) == interrupted:
        caller.result = "EINTR"
        return
    sem.take_read(caller.name)
    walks = True
    if kernel.release.mrelease == "tests under the lock":
        is_set = at.test(lambda: mm.oom_skip, SKIP, "set, under mmap_lock", "clear, under mmap_lock")
        walks = is_set if kernel.release.mrelease_inverted else not is_set
    if walks and not reap(kernel, context, caller, mm):
        caller.result = "EAGAIN"
    at.step("mmap_read_unlock")
    sem.up_read(caller.name)


def reap(kernel: Kernel, context: Context, caller: Caller, mm: Mm) -> bool:
    """__oom_reap_task_mm: whether no VMA was refused."""
    release = kernel.release
    at = Frame(context, "mrelease.__oom_reap_task_mm", caller.name)
    begins, empty = at.name("set_bit(MMF_UNSTABLE)"), at.name("set_bit(MMF_UNSTABLE)", "no VMA")
    asks = release.mrelease == "tests under the lock"
    chosen = context.pause(lambda: (empty,) if asks and mm.mmap_is_null() else (begins,))
    mm.unstable = True
    if chosen == empty:
        return True
    refused = False
    call = "unmap_page_range"
    page, watched, munlocked, locked = "a page", "the watched page", "a page munlocked meanwhile", "an mlocked page"
    options: list[tuple[str, str, Callable[[], object] | None]] = [
        (call, page, lambda: mm.reapable),
        (call, watched, lambda: mm.watched == "PRIVATE"),
        (
            "mmu_notifier_invalidate_range_start_nonblock",
            "refuses",
            lambda: not refused and mm.blocking_notifiers(),
        ),
        ("__oom_reap_task_mm", "false", lambda: refused),
        (
            "__oom_reap_task_mm",
            "true",
            lambda: not refused and not mm.reapable and not (release.mlocked_reaped and mm.mlocked),
        ),
    ]
    if release.mlocked_reaped:
        options.append((call, locked, lambda: mm.mlocked))
    elif release.mrelease == "first form":
        options.append((call, munlocked, lambda: mm.mlocked and not mm.vm_locked))
    mm.walk(caller.name)
    while True:
        took = at.choose(options)
        if took.startswith("__oom_reap_task_mm"):
            return not refused
        if took.endswith("[refuses]"):
            refused = True
            continue
        mm.walk(caller.name)
        if took == f"{call}[{page}]":
            mm.reapable -= 1
        elif took == f"{call}[{watched}]":
            mm.watched = "REAPED"
        else:
            mm.mlocked -= 1
