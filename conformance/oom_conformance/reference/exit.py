"""A thread's way out: do_exit, exit_mm (kernel/exit.c), exec_mmap (fs/exec.c), mmput and __mmput (kernel/fork.c)."""

from __future__ import annotations

from oom_conformance.reference.kernel import Kernel
from oom_conformance.reference.machine import Context, Frame
from oom_conformance.reference.objects import Mm, Task


def task_main(kernel: Kernel, context: Context, task: Task) -> None:
    """User mode; then, some day, do_exit or execve."""
    process = task.process
    do_exit = Frame(context, "task.do_exit", task.name)
    exec_mmap = Frame(context, "task.exec_mmap", task.name)
    killed = do_exit.name("exit_signals", "killed")
    by_itself = do_exit.name("exit_signals", "by itself")
    execs = exec_mmap.name("down_read; task->mm = new")

    def in_user_mode() -> tuple[str, ...]:
        found = []
        if not task.frozen and not task.allocating:
            if process.sigkill and not process.never_exits:
                found.append(killed)
            if process.may_exit and not process.sigkill:
                found.append(by_itself)
        if (
            process.may_exec
            and kernel.is_marked(process)
            and task.mm is not None
            and not task.allocating
            and task.mm.mmap_sem.read_free()
            and task.unlocked()
        ):
            found.append(execs)
        return tuple(found)

    if context.pause(in_user_mode) == execs:
        execve(kernel, context, task, exec_mmap)
        exec_mmap.wait(lambda: process.sigkill, "exit_signals", "after execve")
        exit_signals(kernel, task)
    else:
        exit_signals(kernel, task)
        exit_mm(kernel, context, task)
    exit_oom_victim(kernel, context, task)
    do_exit.step("cgroup_exit")
    task.in_cgroup = False
    do_exit.wait(lambda: not task.is_leader or task.thread_group_empty(), "exit_notify", "released")
    task.hashed = False
    task.put()


def exit_signals(kernel: Kernel, task: Task) -> None:
    """PF_EXITING; signal->live goes down with it, which walks over a cgroup look at from v5.2 on."""
    task.exiting = True
    leaves = kernel.release.leaves_cgroup_walk
    if leaves == "exiting" or (leaves == "thread exiting" and not task.is_leader):
        task.in_cgroup = False


def execve(kernel: Kernel, context: Context, task: Task, at: Frame) -> None:
    """The old mm is exchanged for a fresh one, and dropped."""
    mm = task.process.mm
    mm.mmap_sem.take_read(task.name)
    task.mm = None
    at.step("up_read")
    mm.mmap_sem.up_read(task.name)
    mmput(kernel, context, mm, at, current=task)
    at.step("return")


def exit_mm(kernel: Kernel, context: Context, task: Task) -> None:
    """t->mm = NULL under mmap_sem and task_lock, then mmput."""
    at = Frame(context, "task.exit_mm", task.name)
    mm = task.process.mm
    at.wait(lambda: not task.allocating and mm.mmap_sem.read_free(), "down_read")
    mm.mmap_sem.take_read(task.name)
    at.wait(task.unlocked, "task_lock; current->mm = NULL")
    task.mm = None
    at.step("up_read")
    mm.mmap_sem.up_read(task.name)
    mmput(kernel, context, mm, at, current=task)


def exit_oom_victim(kernel: Kernel, context: Context, task: Task) -> None:
    """TIF_MEMDIE goes, after mmput has returned."""
    at = Frame(context, "task.exit_mm", task.name)
    at.test(lambda: task.memdie, "exit_oom_victim", "TIF_MEMDIE", "no TIF_MEMDIE")
    task.memdie = False


# -- the end of an address space -------------------------------------------------------------


def mmput(
    kernel: Kernel,
    context: Context,
    mm: Mm,
    at: Frame,
    *,
    current: Task | None = None,
    more: str = "",
    back_to: str = "",
) -> bool:
    """Drop one mm_users; who drops the last runs __mmput. Gives whether it was the last.

    ``current``: the thread that calls, where it is one of the tasks; ``back_to``: the name of another caller that
    __mmput returns to in a step of its own.
    """
    last = at.test(mm.is_last_user, "mmput", f"last{more}", f"not last{more}")
    drop_mm_users(kernel, context, mm, current=current, back_to=back_to)
    return last


def drop_mm_users(kernel: Kernel, context: Context, mm: Mm, *, current: Task | None = None, back_to: str = "") -> None:
    """The decrement of mmput, and __mmput where it reaches 0."""
    if mm.drop_user():
        __mmput(kernel, context, mm, current, back_to)


def mmput_async(kernel: Kernel, mm: Mm, at: Frame, more: str = "") -> None:
    """The same, but a kworker runs __mmput."""
    at.test(mm.is_last_user, "mmput_async", f"last{more}", f"not last{more}")
    drop_mm_users_async(kernel, mm)


def drop_mm_users_async(kernel: Kernel, mm: Mm) -> None:
    """The decrement of mmput_async; where it reaches 0, __mmput is scheduled."""
    if not mm.drop_user():
        return
    kernel.machine.spawn(f"kworker of {mm.name}", lambda context: __mmput(kernel, context, mm, None, ""))


def __mmput(kernel: Kernel, context: Context, mm: Mm, current: Task | None, back_to: str) -> None:
    at = Frame(context, "mm.__mmput", mm.name)
    exit_aio(context, mm)
    ksm_exit(context, mm)
    khugepaged_exit(context, mm)
    kernel.release.exit_mmap(kernel, context, mm, current)
    if kernel.release.mmput_sets_skip:
        at.step("set_bit(MMF_OOM_SKIP)")
        mm.oom_skip = True
    if current is not None:
        Frame(context, "mm.__mmput", mm.name, current.name).step("mmdrop", "to exit_mm")
    elif back_to:
        Frame(context, "mm.__mmput", mm.name, back_to).step("mmdrop", f"to the {back_to}")
    else:
        at.step("mmdrop", "to another caller")
    mm.mmdrop()


def exit_aio(context: Context, mm: Mm) -> None:
    """Waits for I/O in flight, as long as that takes."""
    at = Frame(context, "mm.exit_aio", mm.name)
    took = at.choose([("kill_ioctx", "completes", None), ("kill_ioctx", "waits", lambda: mm.aio_may_block)])
    if took == "kill_ioctx[waits]":
        at.step("wait_for_completion")


def ksm_exit(context: Context, mm: Mm) -> None:
    """Waits for ksmd, if that has a slot for the mm."""
    at = Frame(context, "mm.__ksm_exit", mm.name)
    if mm.ksmd:
        mm.mmap_sem.down_write(at, "ksm_exit", "down_write")
        at.step("up_write")
        mm.mmap_sem.up_write("ksm_exit")
    else:
        at.step("ksm_exit", "no ksmd")


def khugepaged_exit(context: Context, mm: Mm) -> None:
    """Waits for khugepaged, if that works on the mm."""
    at = Frame(context, "mm.__khugepaged_exit", mm.name)
    idle, takes, waits = (
        at.name("khugepaged_exit", "no khugepaged"),
        at.name("down_write"),
        at.name("down_write", "waits"),
    )
    sem = mm.mmap_sem

    def scanned() -> tuple[str]:
        if not mm.khugepaged:
            return (idle,)
        return (takes,) if sem.write_free() else (waits,)

    chosen = context.pause(scanned)
    if chosen == idle:
        return
    if chosen == waits:
        sem.queue(at, "khugepaged_exit", "down_write")
    sem.take_write("khugepaged_exit")
    at.step("up_write")
    sem.up_write("khugepaged_exit")
