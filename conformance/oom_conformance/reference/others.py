"""Everybody else who holds an mm: foreign users, ksmd and khugepaged, and the timers of v5.18."""

from __future__ import annotations

from oom_conformance.reference.exit import drop_mm_users
from oom_conformance.reference.kernel import Kernel
from oom_conformance.reference.machine import Context, Frame
from oom_conformance.reference.objects import Mm, Task

FOREIGN = "a foreign holder"


def foreign_holder(kernel: Kernel, context: Context, mm: Mm, users: int, *, may_read: bool, may_write: bool) -> None:
    """Holders of mm_users, such as /proc readers, who lock and unlock mmap_sem and leave one after the other."""
    at = Frame(context, "world.access_remote_vm", mm.name)
    sem = mm.mmap_sem
    reads, writes, waits = at.name("down_read"), at.name("down_write"), at.name("down_write", "waits")
    last, not_last = at.name("mmput", "last"), at.name("mmput", "not last")

    def next_thing() -> tuple[str, ...]:
        found = [last if mm.is_last_user() else not_last]
        if may_read and sem.read_free():
            found.append(reads)
        if may_write:
            found.append(writes if sem.write_free() else waits)
        return tuple(found)

    while users:
        chosen = context.pause(next_thing)
        if chosen == reads:
            sem.take_read(FOREIGN)
            at.step("up_read")
            sem.up_read(FOREIGN)
        elif chosen in (writes, waits):
            if chosen == waits:
                sem.queue(at, FOREIGN, "down_write")
            sem.take_write(FOREIGN)
            at.step("up_write")
            sem.up_write(FOREIGN)
        else:
            users -= 1
            drop_mm_users(kernel, context, mm)


def ksmd(kernel: Kernel, context: Context, mm: Mm) -> None:
    """Looks at pages under mmap_sem for reading; keeps its slot while the mm has users."""
    at = Frame(context, "world.scanner", mm.name)
    sem = mm.mmap_sem
    reads, leaves = at.name("down_read"), at.name("mmdrop")

    def next_thing() -> tuple[str, ...]:
        found = [reads] if sem.read_free() else []
        return tuple(found if mm.mm_users > 0 else [*found, leaves])

    while context.pause(next_thing) == reads:
        sem.take_read("ksmd")
        mm.touch("ksmd")
        at.step("up_read")
        sem.up_read("ksmd")
    mm.mmdrop()


def khugepaged(kernel: Kernel, context: Context, mm: Mm) -> None:
    """Collapses huge pages under mmap_sem for writing, and moves on whenever it likes."""
    at = Frame(context, "world.scanner", mm.name)
    sem = mm.mmap_sem
    writes, waits, leaves = at.name("down_write"), at.name("down_write", "waits"), at.name("mmdrop")

    while (chosen := context.pause(lambda: (writes if sem.write_free() else waits, leaves))) != leaves:
        if chosen == waits:
            sem.queue(at, "khugepaged", "down_write")
        sem.take_write("khugepaged")
        mm.touch("khugepaged")
        at.step("up_write")
        sem.up_write("khugepaged")
    mm.khugepaged = False
    mm.mmdrop()


def oom_reaper_timer(kernel: Kernel, context: Context, task: Task) -> None:
    """wake_oom_reaper as the timer's function (v5.18 on): it may fire whenever it is armed."""
    at = Frame(context, "world.wake_oom_reaper", task.name)
    done, push = at.name("test_bit(MMF_OOM_SKIP)", "set"), at.name("oom_reaper_list = tsk")
    mm = task.process.mm

    while True:
        chosen = context.pause(lambda: () if not task.timer else (done,) if mm.oom_skip else (push,))
        task.timer = False
        if chosen == push:
            kernel.oom_reaper_list.push(task)
        else:
            task.put()
