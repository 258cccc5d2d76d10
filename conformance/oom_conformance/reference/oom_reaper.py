"""The oom reaper (mm/oom_kill.c) in the form of each family of releases from v4.9 on, and of each proposal."""

from __future__ import annotations

from collections.abc import Callable

from oom_conformance.reference.exit import drop_mm_users_async, mmput_async
from oom_conformance.reference.kernel import Kernel
from oom_conformance.reference.machine import Context, Frame
from oom_conformance.reference.objects import Mm, Task

Attempt = Callable[[Kernel, Context, Task, Mm], bool]
"""One attempt at the mm of a task: whether the reaper is done with it."""


def oom_reaper(kernel: Kernel, context: Context) -> None:
    """The kernel thread: takes the head of the list, for ever."""
    queue = kernel.oom_reaper_list
    reaper = kernel.reaper_name
    coming: list[Task | None] = [None]

    def head() -> tuple[str, ...]:
        coming[0] = task = queue.head
        return () if task is None else (Frame(context, "reaper.oom_reaper", reaper, task.name).name("oom_reap_task"),)

    while True:
        context.pause(head)
        task = queue.pop()
        kernel.job = task
        kernel.release.oom_reap_task(kernel, context, task)
        Frame(context, "reaper.oom_reap_task", reaper, task.name).step("put_task_struct")
        kernel.job = None
        task.put()


def frame(kernel: Kernel, context: Context, task: Task) -> Frame:
    """The frame of __oom_reap_task_mm."""
    return Frame(context, "reaper.__oom_reap_task_mm", kernel.reaper_name, task.name)


def tries(kernel: Kernel, context: Context, task: Task, attempt: Attempt) -> bool:
    """The loop of oom_reap_task: up to MAX_OOM_REAP_RETRIES attempts, with a sleep between them."""
    at = Frame(context, "reaper.oom_reap_task", kernel.reaper_name, task.name)
    mm = task.process.mm
    attempts = 0
    while attempts < kernel.retries:
        if attempt(kernel, context, task, mm):
            return True
        attempts += 1
        at.step("schedule_timeout_idle(HZ/10)", "gives up" if attempts == kernel.retries else "")
    return False


def forget(kernel: Kernel, context: Context, task: Task) -> None:
    """tsk->oom_reaper_list = NULL."""
    at = Frame(context, "reaper.oom_reap_task", kernel.reaper_name, task.name)
    queue = kernel.oom_reaper_list
    if kernel.release.queued_once:
        at.step("tsk->oom_reaper_list = NULL")
    else:
        at.test(lambda: task.next is not None and queue.on(task), "tsk->oom_reaper_list = NULL", "list cut", "")
    queue.forget(task)


def oom_reap_task(kernel: Kernel, context: Context, task: Task) -> None:
    """v4.9 on: whatever the attempts did, MMF_OOM_SKIP is set."""
    tries(kernel, context, task, kernel.release.reap)
    forget(kernel, context, task)
    at = Frame(context, "reaper.oom_reap_task", kernel.reaper_name, task.name)
    at.step("set_bit(MMF_OOM_SKIP)")
    task.process.mm.oom_skip = True


# -- the walk --------------------------------------------------------------------------------


def trylock(kernel: Kernel, at: Frame, mm: Mm) -> bool:
    """down_read_trylock."""
    mm.touch("the reaper")
    if not at.test(mm.mmap_sem.read_free, "down_read_trylock", "", "fails"):
        return False
    mm.mmap_sem.take_read(kernel.reaper_name)
    return True


def up_read(kernel: Kernel, at: Frame, mm: Mm, outcome: str = "") -> None:
    """Gives mmap_sem back."""
    at.step("up_read", outcome)
    mm.mmap_sem.up_read(kernel.reaper_name)


def set_unstable(kernel: Kernel, at: Frame, mm: Mm) -> None:
    """set_bit(MMF_UNSTABLE), before the walk."""
    at.step("set_bit(MMF_UNSTABLE)")
    mm.unstable = True


def unmap_page_range(kernel: Kernel, at: Frame, mm: Mm) -> str:
    """The walk over the VMAs that may be reaped, in any order, and its end: ``done``, ``refused`` or ``much is left``.

    A VMA without pages costs nothing; one that the walk has passed is not looked at again, so the pages of a VMA that
    lost VM_LOCKED meanwhile, and the watched one, may be left.
    """
    release = kernel.release
    refused = False
    page, watched, munlocked, locked, ends = (
        "a page",
        "watched page",
        "a page munlocked meanwhile",
        "an mlocked page",
        "tlb_finish_mmu",
    )
    call = "unmap_page_range"

    def over() -> bool:
        return not refused and not mm.reapable and not (release.mlocked_reaped and mm.mlocked)

    options: list[tuple[str, str, Callable[[], object] | None]] = [
        (call, page, lambda: mm.reapable),
        (call, watched, lambda: mm.watched == "PRIVATE"),
        (ends, "", over),
    ]
    if release.mlocked_reaped:
        options.append((call, locked, lambda: mm.mlocked))
    elif release.meets_munlock:
        options.append((call, munlocked, lambda: mm.mlocked and not mm.vm_locked))
    if release.notifiers_refuse:
        options.append(
            (
                "mmu_notifier_invalidate_range_start_nonblock",
                "refuses",
                lambda: not refused and mm.blocking_notifiers(),
            )
        )
        options.append((ends, "incomplete", lambda: refused))
    if release.asks_what_is_left:
        options.append((ends, "much is left", over))
    mm.walk("the reaper")
    while True:
        took = at.choose(options)
        if took.startswith(ends):
            return {"": "done", "[incomplete]": "refused", "[much is left]": "much is left"}[took[len(ends) :]]
        if took.endswith("[refuses]"):
            refused = True
            continue
        mm.walk("the reaper")
        if took == f"{call}[{page}]":
            mm.reapable -= 1
        elif took == f"{call}[{watched}]":
            mm.watched = "REAPED"
        else:
            mm.mlocked -= 1


def reap_and_unlock(kernel: Kernel, at: Frame, mm: Mm) -> None:
    """A pass that nobody can refuse, under mmap_sem, which is given back after it."""
    set_unstable(kernel, at, mm)
    unmap_page_range(kernel, at, mm)
    up_read(kernel, at, mm)


# -- the releases ----------------------------------------------------------------------------


def lock_oom(kernel: Kernel, at: Frame) -> None:
    """mutex_lock(oom_lock), until v4.18."""
    at.wait(kernel.oom_lock.free, "mutex_lock(oom_lock)")
    kernel.oom_lock.lock(kernel.reaper_name)


def unlock_oom(kernel: Kernel, at: Frame, outcome: str) -> None:
    """mutex_unlock(oom_lock)."""
    at.step("mutex_unlock(oom_lock)", outcome)
    kernel.oom_lock.unlock(kernel.reaper_name)


def v4_9(kernel: Kernel, context: Context, task: Task, mm: Mm) -> bool:
    """v4.9 - v4.13: mm_users is pinned; where it is 0, the reaper takes its work for done."""
    at = frame(kernel, context, task)
    lock_oom(kernel, at)
    if not trylock(kernel, at, mm):
        unlock_oom(kernel, at, "false")
        return False
    if not at.test(lambda: mm.mm_users > 0, "mmget_not_zero", "", "fails"):
        up_read(kernel, at, mm, "nothing reaped")
    else:
        mm.mmget()
        set_unstable(kernel, at, mm)
        unmap_page_range(kernel, at, mm)
        if kernel.release.skip_in_pass:
            at.step("set_bit(MMF_OOM_SKIP)")
            mm.oom_skip = True
        up_read(kernel, at, mm)
        mmput_async(kernel, mm, at)
    unlock_oom(kernel, at, "true")
    return True


def v4_14(kernel: Kernel, context: Context, task: Task, mm: Mm) -> bool:
    """v4.14 - v4.18: no pin; an mm with notifiers, or with ones that may block, is left alone."""
    at = frame(kernel, context, task)
    lock_oom(kernel, at)
    if not trylock(kernel, at, mm):
        unlock_oom(kernel, at, "false")
        return False
    has, call = (
        (mm.blocking_notifiers, "mm_has_blockable_invalidate_notifiers")
        if kernel.release.only_blockable
        else (lambda: mm.has_notifiers, "mm_has_notifiers")
    )
    if at.test(has, call, "yes", "no"):
        up_read(kernel, at, mm, "notifiers")
    elif at.test(lambda: mm.oom_skip, "test_bit(MMF_OOM_SKIP)", "set", "clear"):
        up_read(kernel, at, mm, "nothing reaped")
    else:
        reap_and_unlock(kernel, at, mm)
    unlock_oom(kernel, at, "true")
    return True


def v4_19(kernel: Kernel, context: Context, task: Task, mm: Mm) -> bool:
    """v4.19 on: no oom_lock; a pass in which a notifier refused is tried again."""
    at = frame(kernel, context, task)
    if not trylock(kernel, at, mm):
        return False
    if kernel.release.reaper_asks_mmap:
        gone = at.test(mm.mmap_is_null, "mm->mmap", "NULL", "not NULL")
    else:
        gone = at.test(lambda: mm.oom_skip, "test_bit(MMF_OOM_SKIP)", "set", "clear")
    if gone:
        up_read(kernel, at, mm, "nothing reaped")
        return True
    set_unstable(kernel, at, mm)
    if unmap_page_range(kernel, at, mm) == "done":
        up_read(kernel, at, mm)
        return True
    up_read(kernel, at, mm, "incomplete")
    return False


# -- the proposals ---------------------------------------------------------------------------


def rientjes(kernel: Kernel, context: Context, task: Task) -> None:
    """2017-06-14: MMF_OOM_SKIP within the pass, or after the last failed attempt."""
    if not tries(kernel, context, task, kernel.release.reap):
        at = Frame(context, "reaper.oom_reap_task", kernel.reaper_name, task.name)
        at.step("set_bit(MMF_OOM_SKIP)", "gave up")
        task.process.mm.oom_skip = True
    forget(kernel, context, task)


def tetsuo(kernel: Kernel, context: Context, task: Task) -> None:
    """2017-06-16: MMF_OOM_SKIP under oom_lock, then the pin of mark_oom_victim goes."""
    tries(kernel, context, task, kernel.release.reap)
    forget(kernel, context, task)
    at = Frame(context, "reaper.oom_reap_task", kernel.reaper_name, task.name)
    mm = task.process.mm
    lock_oom(kernel, at)
    at.step("set_bit(MMF_OOM_SKIP)")
    mm.oom_skip = True
    unlock_oom(kernel, at, "")
    clear, last, other = (
        at.name("test_bit(MMF_OOM_REAPING)", "clear"),
        at.name("mmput_async", "last"),
        at.name("mmput_async", "not last"),
    )
    chosen = context.pause(lambda: (clear,) if not mm.oom_reaping else (last,) if mm.is_last_user() else (other,))
    if chosen != clear:
        mm.oom_reaping = False
        drop_mm_users_async(kernel, mm)


def tetsuo_attempt(kernel: Kernel, context: Context, task: Task, mm: Mm) -> bool:
    """The mark has pinned mm_users; no oom_lock."""
    at = frame(kernel, context, task)
    if not trylock(kernel, at, mm):
        return False
    reap_and_unlock(kernel, at, mm)
    return True


def hocko_2017(kernel: Kernel, context: Context, task: Task, mm: Mm) -> bool:
    """2017-07-24: mm->mmap says whether exit_mmap has finished."""
    at = frame(kernel, context, task)
    if not trylock(kernel, at, mm):
        return False
    if at.test(mm.mmap_is_null, "mm->mmap", "NULL", "not NULL"):
        up_read(kernel, at, mm, "nothing reaped")
        return True
    reap_and_unlock(kernel, at, mm)
    return True


def arcangeli_first(kernel: Kernel, context: Context, task: Task, mm: Mm) -> bool:
    """2017-07-25: where mm_users is 0, test_and_set_bit(MMF_OOM_SKIP) decides."""
    at = frame(kernel, context, task)
    oom_locked = kernel.release.reaper_takes_oom_lock
    if oom_locked:
        lock_oom(kernel, at)
    if not trylock(kernel, at, mm):
        if oom_locked:
            unlock_oom(kernel, at, "false")
        return False
    pinned = at.test(lambda: mm.mm_users > 0, "mmget_not_zero", "", "fails")
    second = False
    if pinned:
        mm.mmget()
    else:
        second = at.test(lambda: mm.oom_skip, "test_and_set_bit(MMF_OOM_SKIP)", "was set", "was clear")
        mm.oom_skip = True
    if second:
        up_read(kernel, at, mm, "nothing reaped")
    else:
        reap_and_unlock(kernel, at, mm)
        if pinned:
            mmput_async(kernel, mm, at)
        else:
            at.step("mmput_async", "nothing pinned")
    if oom_locked:
        unlock_oom(kernel, at, "true")
    else:
        at.step("return true")
    return True


def hocko_2018(kernel: Kernel, context: Context, task: Task) -> None:
    """2018-09: MMF_OOM_SKIP unless the exit path has handed over."""
    tries(kernel, context, task, kernel.release.reap)
    forget(kernel, context, task)
    at = Frame(context, "reaper.oom_reap_task", kernel.reaper_name, task.name)
    mm = task.process.mm
    if not at.test(mm.mmap_is_null, "set_bit(MMF_OOM_SKIP)", "left to the exit path", ""):
        mm.oom_skip = True
