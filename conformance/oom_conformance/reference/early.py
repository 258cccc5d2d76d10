"""v4.6, v4.7 and v4.8: no signal->oom_mm yet. The mark is TIF_MEMDIE, and the reaper finds the mm by the task."""

from __future__ import annotations

from oom_conformance.reference.exit import mmput, mmput_async
from oom_conformance.reference.kernel import Kernel, Killer
from oom_conformance.reference.machine import Context, Frame
from oom_conformance.reference.objects import Mm, Process, Task
from oom_conformance.reference.oom_kill import (
    Evaluate,
    any_badness,
    badness_of,
    joined,
    oom_unkillable_task,
    thaw,
    walk_sharers,
)
from oom_conformance.reference.oom_reaper import (
    forget,
    frame,
    lock_oom,
    tries,
    trylock,
    unlock_oom,
    unmap_page_range,
    up_read,
)

EARLY = "reaper.__oom_reap_task"
"""The function that v4.9 called __oom_reap_task_mm; its calls that v4.9 has too are named after that one."""
EVALUATE = "killer.oom_evaluate_task"

# -- the reaper ------------------------------------------------------------------------------


def early_frame(kernel: Kernel, context: Context, task: Task) -> Frame:
    """The frame of __oom_reap_task."""
    return Frame(context, EARLY, kernel.reaper_name, task.name)


def find_lock_task_mm(kernel: Kernel, at: Frame, task: Task) -> Task | None:
    """The first thread with an mm. No killer can hold its task_lock: oom_lock is held."""
    context = at.context
    process = task.process
    nobody = at.name("find_lock_task_mm", "none")
    found: list[Task | None] = [None]

    def first() -> tuple[str, ...]:
        found[0] = thread = process.thread_with_mm()
        if thread is None:
            return (nobody,)
        of = Frame(context, EARLY, kernel.reaper_name, task.name, thread.name)
        return (of.name("find_lock_task_mm"),)

    context.pause(first)
    return found[0]


def v4_8(kernel: Kernel, context: Context, task: Task, mm: Mm) -> bool:
    """v4.8: mm_count first, mm_users after the trylock; MMF_OOM_REAPED after a pass."""
    at, early = frame(kernel, context, task), early_frame(kernel, context, task)
    lock_oom(kernel, at)
    if find_lock_task_mm(kernel, early, task) is None:
        unlock_oom(kernel, at, "true")
        return True
    mm.mmgrab()
    done = trylock(kernel, at, mm)
    if done:
        if at.test(lambda: mm.mm_users > 0, "mmget_not_zero", "", "fails"):
            mm.mmget()
            unmap_page_range(kernel, at, mm)
            up_read(kernel, at, mm)
            early.step("set_bit(MMF_OOM_REAPED)")
            mm.oom_skip = True
            mmput_async(kernel, mm, at)
        else:
            up_read(kernel, at, mm, "nothing reaped")
    outcome = "true" if done else "false"
    early.step("mmdrop", outcome)
    mm.mmdrop()
    unlock_oom(kernel, at, outcome)
    return done


def v4_7(kernel: Kernel, context: Context, task: Task, mm: Mm) -> bool:
    """v4.7: mm_users is pinned before the trylock, and put by a kworker after oom_lock."""
    at, early = frame(kernel, context, task), early_frame(kernel, context, task)
    lock_oom(kernel, at)
    if find_lock_task_mm(kernel, early, task) is None:
        unlock_oom(kernel, early, "no mm")
        return True
    mm.mmget()
    done = trylock(kernel, at, mm)
    if done:
        unmap_page_range(kernel, at, mm)
        up_read(kernel, at, mm)
        early.step("set_bit(MMF_OOM_REAPED)")
        mm.oom_skip = True
    unlock_oom(kernel, at, "true" if done else "false")
    if done:
        mmput_async(kernel, mm, at)
    else:
        mmput_async(kernel, mm, early, ", to retry")
    return done


def oom_reap_task_v4_7(kernel: Kernel, context: Context, task: Task) -> None:
    """v4.7: the mark is cleared in every case."""
    tries(kernel, context, task, kernel.release.reap)
    forget(kernel, context, task)
    clear_mark(kernel, Frame(context, "reaper.oom_reap_task", kernel.reaper_name, task.name), task)


def oom_reap_task_v4_8(kernel: Kernel, context: Context, task: Task) -> None:
    """v4.8: the same; a second series of failed attempts hides the mm."""
    at = Frame(context, "reaper.oom_reap_task", kernel.reaper_name, task.name)
    if not tries(kernel, context, task, kernel.release.reap):
        remember_failure(kernel, at, task)
    forget(kernel, context, task)
    clear_mark(kernel, at, task)


def remember_failure(kernel: Kernel, at: Frame, task: Task) -> None:
    """MMF_OOM_NOT_REAPABLE after the first series, MMF_OOM_REAPED after the second, by way of find_lock_task_mm."""
    context, process = at.context, task.process
    mm = process.mm
    call = "test_and_set_bit(MMF_OOM_NOT_REAPABLE)"
    nobody = at.name("find_lock_task_mm", "none, after the last failed attempt")

    def first() -> tuple[str, ...]:
        thread = process.thread_with_mm()
        if thread is None:
            return (nobody,)
        if not thread.unlocked():
            return ()
        of = Frame(context, "reaper.oom_reap_task", kernel.reaper_name, task.name, thread.name)
        return (of.name(call, "was set" if mm.not_reapable else "was clear"),)

    if context.pause(first) == nobody:
        return
    if mm.not_reapable:
        at.step("set_bit(MMF_OOM_REAPED)")
        mm.oom_skip = True
    mm.not_reapable = True


def clear_mark(kernel: Kernel, at: Frame, task: Task) -> None:
    """exit_oom_victim(tsk), by the reaper."""
    at.test(lambda: task.memdie, "exit_oom_victim", "", "no TIF_MEMDIE")
    task.memdie = False


def oom_reap_task_v4_6(kernel: Kernel, context: Context, task: Task) -> None:
    """v4.6: nothing beyond the attempts."""
    tries(kernel, context, task, kernel.release.reap)


def v4_6(kernel: Kernel, context: Context, task: Task, mm: Mm) -> bool:
    """v4.6: no oom_lock; after a pass the process is hidden and its mark cleared, and the reaper runs mmput itself."""
    at, early = frame(kernel, context, task), early_frame(kernel, context, task)
    process = task.process
    fresh = early.name("find_lock_task_mm", "a fresh mm")
    nobody = early.name("find_lock_task_mm", "none")

    def first() -> tuple[str, ...]:
        thread = process.thread_with_mm()
        if thread is None:
            # who lives on without the mm has a fresh one, from execve
            return (nobody,) if all(each.exiting for each in process.tasks) else (fresh,)
        if not thread.unlocked():
            return ()
        of = Frame(context, EARLY, kernel.reaper_name, task.name, thread.name)
        return (of.name("find_lock_task_mm"),)

    chosen = context.pause(first)
    if chosen == fresh:  # the fresh mm is not modelled: a pass over it succeeds, and the mark goes for it
        task.memdie = False
        process.oom_score_adj_min = True
    if chosen in (fresh, nobody):
        return True
    mm.mmget()
    if not trylock(kernel, at, mm):
        put_in_reaper(kernel, context, mm, early, ", to retry")
        return False
    unmap_page_range(kernel, at, mm)
    up_read(kernel, at, mm)
    early.step("oom_score_adj = OOM_SCORE_ADJ_MIN")
    process.oom_score_adj_min = True
    clear_mark(kernel, early, task)
    put_in_reaper(kernel, context, mm, early, "")
    return True


def put_in_reaper(kernel: Kernel, context: Context, mm: Mm, at: Frame, more: str) -> None:
    """mmput in the reaper's own context, __mmput included."""
    if mmput(kernel, context, mm, at, more=more, back_to=kernel.reaper_name):
        at.step("mmput", f"returns{more}")


# -- the mark --------------------------------------------------------------------------------


def mark_oom_victim(kernel: Kernel, context: Context, killer: Killer, task: Task, how: str) -> None:
    """TIF_MEMDIE, the counts, the thaw: nobody can tell them apart."""
    at = Frame(context, "killer.mark_oom_victim", killer.name, task.name)
    if at.test(lambda: task.memdie, "set TIF_MEMDIE", joined(how, "already set"), how):
        return
    task.memdie = True
    thaw(kernel, task)


def try_oom_reaper(kernel: Kernel, context: Context, killer: Killer, task: Task) -> None:
    """v4.7: a dying task is queued only if nobody who lives on uses its mm."""
    at = Frame(context, "killer.try_oom_reaper", killer.name, task.name)
    mm = task.process.mm

    def all_dying() -> bool:
        if mm.mm_users <= 1:
            return True
        if kernel.used_by_kthread(mm):
            return False
        return all(process.sigkill for process in kernel.processes if process.shares(mm))

    if at.test(all_dying, "process_shares_mm", "all are dying", "some are not dying"):
        kernel.release.wake_oom_reaper(kernel, context, killer, task, "dying")


# -- the scan --------------------------------------------------------------------------------


def scan_v4_8(kernel: Kernel, context: Context, killer: Killer) -> Evaluate:
    """v4.8: a marked victim aborts the scan, unless MMF_OOM_REAPED is seen through a thread that has the mm."""

    def evaluate(task: Task) -> tuple[str, ...]:
        at = Frame(context, EVALUATE, killer.name, task.name)
        if oom_unkillable_task(killer, task):
            return (Frame(context, EVALUATE, killer.name, task.name).name("oom_unkillable_task"),)
        process = task.process
        if process.has_memdie():
            scan = Frame(context, "killer.oom_scan_process_thread", killer.name, task.name)
            seen = process.thread_with_mm() is not None and process.mm.oom_skip
            return (scan.name("test_bit(MMF_OOM_REAPED)", "set" if seen else "clear"),)
        return badness_of(at, killer, process)

    return evaluate


def scan_v4_7(kernel: Kernel, context: Context, killer: Killer) -> Evaluate:
    """v4.7: a marked victim aborts the scan, whatever MMF_OOM_REAPED says."""

    def evaluate(task: Task) -> tuple[str, ...]:
        if oom_unkillable_task(killer, task):
            return (Frame(context, EVALUATE, killer.name, task.name).name("oom_unkillable_task"),)
        scan = Frame(context, "killer.oom_scan_process_thread", killer.name, task.name)
        if task.process.has_memdie():
            return (scan.name("atomic_read(oom_victims)", "not 0"),)
        return badness_of(Frame(context, EVALUATE, killer.name, task.name), killer, task.process)

    return evaluate


def scan_v4_6(kernel: Kernel, context: Context, killer: Killer) -> Evaluate:
    """v4.6: every thread by itself; one with TIF_MEMDIE aborts the scan."""

    def evaluate(task: Task) -> tuple[str, ...]:
        if oom_unkillable_task(killer, task):
            return (Frame(context, EVALUATE, killer.name, task.name).name("oom_unkillable_task"),)
        scan = Frame(context, "killer.oom_scan_process_thread", killer.name, task.name)
        if task.memdie:
            return (scan.name("test_tsk_thread_flag(TIF_MEMDIE)", "set"),)
        if task.mm is None:
            return (scan.name("task->mm", "NULL"),)
        at = Frame(context, EVALUATE, killer.name, task.name)
        if task.process.oom_score_adj_min:
            return (at.name("oom_badness", "0"),)
        return any_badness(at, killer)

    return evaluate


# -- the other users of the mm ---------------------------------------------------------------


def kill_sharers_v4_8(kernel: Kernel, context: Context, killer: Killer, victim: Task) -> bool:
    """v4.8: global init, or a kernel thread, hides the mm."""

    def hide(mm: Mm) -> None:
        mm.oom_skip = True

    call = "set_bit(MMF_OOM_REAPED)"
    return walk_sharers(
        kernel,
        context,
        killer,
        victim,
        lambda process: process.global_init,
        lambda at: at.name(call, "init shares"),
        hide,
        kthread=lambda at: at.name(call, "a kernel thread shares"),
    )


def kill_sharers_v4_7(kernel: Kernel, context: Context, killer: Killer, victim: Task) -> bool:
    """v4.6, v4.7: it only cannot be reaped; so where the reaper has hidden a process, in v4.6."""

    def spares(process: Process) -> bool:
        return process.global_init or process.oom_score_adj_min

    def leave(mm: Mm) -> None:
        """Nothing tells scans."""

    call = "can_oom_reap = false"
    return walk_sharers(
        kernel,
        context,
        killer,
        victim,
        spares,
        lambda at: at.name(call, "init shares"),
        leave,
        kthread=lambda at: at.name(call, "a kernel thread shares"),
    )
