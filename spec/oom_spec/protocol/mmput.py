"""__mmput (kernel/fork.c) up to exit_mmap and after it, as in v4.12.

The routine's program counter lives in the mm and its executor is a field: the same steps serve a
dying thread, a /proc reader, a kworker and a kernel thread.
"""

from __future__ import annotations

from functools import partial

from oom_spec.language import World, begin, both, negate, requires, step
from oom_spec.protocol.derived import lock_unheld, users_left, write_lock_free
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import MmputAt
from oom_spec.protocol.state import Executor, Mm, Scanner, Task, Writer

mmput = partial(step, Mm, kernel="kernel/fork.c:__mmput")
exit_aio = partial(step, Mm, kernel="fs/aio.c:exit_aio")
ksm_exit = partial(step, Mm, kernel="mm/ksm.c:__ksm_exit")
khugepaged_exit = partial(step, Mm, kernel="mm/khugepaged.c:__khugepaged_exit")


def runs_mmput(world: World, mm: Mm, executor: Executor) -> None:
    """The last mm_users was dropped: who dropped it runs __mmput."""
    requires(negate(users_left(world, mm)), Guard.LAST_USER)
    mm.executor = executor
    begin(mm, MmputAt.EXIT_AIO)
    world.announce(Event.MMPUT_BEGINS, mm, executor)


@exit_aio(at=MmputAt.EXIT_AIO, then=MmputAt.KSM_EXIT, call="kill_ioctx", outcome="completes", oracle="I/O in flight")
def exit_aio_completes(mm: Mm) -> None:
    """No asynchronous I/O is in flight. uprobe_clear_state before it touches nothing of the protocol."""


@exit_aio(at=MmputAt.EXIT_AIO, then=MmputAt.EXIT_AIO_WAITS, call="kill_ioctx", outcome="waits", oracle="I/O in flight")
def exit_aio_waits(mm: Mm) -> None:
    """I/O is in flight; nothing bounds how long it takes."""
    requires(mm.aio_may_block, Guard.IO_PENDING)
    mm.blocked = True


@exit_aio(at=MmputAt.EXIT_AIO_WAITS, then=MmputAt.KSM_EXIT, call="wait_for_completion", waits=True, environment=True)
def exit_aio_wakes(mm: Mm) -> None:
    """The I/O completed."""
    mm.blocked = False


def ksmd_works_on(mm: Mm) -> bool:
    """ksmd has a slot for this mm with something in it, or stands on it: ksm_exit must wait for it."""
    return mm.ksmd


def khugepaged_works_on(mm: Mm) -> bool:
    """khugepaged_scan.mm_slot is this mm's."""
    return both(negate(mm.ksmd), mm.scanner != Scanner.ABSENT)


@ksm_exit(at=MmputAt.KSM_EXIT, then=MmputAt.KHUGEPAGED_EXIT, call="ksm_exit", outcome="no ksmd")
def ksm_exit_idle(mm: Mm) -> None:
    """No slot for this mm, or an empty one that ksmd does not stand on."""
    requires(negate(ksmd_works_on(mm)), Guard.NO_SCANNER_ON_MM)


@ksm_exit(at=MmputAt.KSM_EXIT, then=MmputAt.KSM_UP_WRITE, call="down_write")
def ksm_exit_down_write(world: World, mm: Mm) -> None:
    """An empty write section waits for ksmd."""
    requires(ksmd_works_on(mm), Guard.SCANNER_ON_MM)
    requires(write_lock_free(world, mm), Guard.WRITE_LOCK_FREE)
    mm.writer = Writer.KSM_EXIT


@ksm_exit(at=MmputAt.KSM_EXIT, then=MmputAt.KSM_DOWN_WRITE, call="down_write", outcome="waits")
def ksm_exit_down_write_waits(world: World, mm: Mm) -> None:
    """mmap_sem is held: a waiting writer makes every read trylock fail."""
    requires(ksmd_works_on(mm), Guard.SCANNER_ON_MM)
    requires(negate(write_lock_free(world, mm)), Guard.WRITE_LOCK_TAKEN)
    mm.exit_waits = Writer.KSM_EXIT
    mm.blocked = True


@ksm_exit(at=MmputAt.KSM_DOWN_WRITE, then=MmputAt.KSM_UP_WRITE, call="down_write", outcome="wakes", waits=True)
def ksm_exit_down_write_wakes(world: World, mm: Mm) -> None:
    """The last holder is gone."""
    requires(lock_unheld(world, mm), Guard.WRITE_LOCK_FREE)
    mm.exit_waits = Writer.NOBODY
    mm.writer = Writer.KSM_EXIT
    mm.blocked = False


@ksm_exit(at=MmputAt.KSM_UP_WRITE, then=MmputAt.KHUGEPAGED_EXIT, call="up_write")
def ksm_exit_up_write(mm: Mm) -> None:
    """End of the empty section."""
    mm.writer = Writer.NOBODY


@khugepaged_exit(
    at=MmputAt.KHUGEPAGED_EXIT, then=MmputAt.NOTIFIER_RELEASE, call="khugepaged_exit", outcome="no khugepaged"
)
def khugepaged_exit_idle(mm: Mm) -> None:
    """khugepaged does not work on this mm."""
    requires(negate(khugepaged_works_on(mm)), Guard.NO_SCANNER_ON_MM)


@khugepaged_exit(at=MmputAt.KHUGEPAGED_EXIT, then=MmputAt.KHUGEPAGED_UP_WRITE, call="down_write")
def khugepaged_exit_down_write(world: World, mm: Mm) -> None:
    """khugepaged works on this mm: an empty write section waits for it."""
    requires(khugepaged_works_on(mm), Guard.SCANNER_ON_MM)
    requires(write_lock_free(world, mm), Guard.WRITE_LOCK_FREE)
    mm.writer = Writer.KHUGEPAGED_EXIT


@khugepaged_exit(at=MmputAt.KHUGEPAGED_EXIT, then=MmputAt.KHUGEPAGED_DOWN_WRITE, call="down_write", outcome="waits")
def khugepaged_exit_down_write_waits(world: World, mm: Mm) -> None:
    """mmap_sem is held."""
    requires(khugepaged_works_on(mm), Guard.SCANNER_ON_MM)
    requires(negate(write_lock_free(world, mm)), Guard.WRITE_LOCK_TAKEN)
    mm.exit_waits = Writer.KHUGEPAGED_EXIT
    mm.blocked = True


@khugepaged_exit(
    at=MmputAt.KHUGEPAGED_DOWN_WRITE,
    then=MmputAt.KHUGEPAGED_UP_WRITE,
    call="down_write",
    outcome="wakes",
    waits=True,
)
def khugepaged_exit_down_write_wakes(world: World, mm: Mm) -> None:
    """The last holder is gone."""
    requires(lock_unheld(world, mm), Guard.WRITE_LOCK_FREE)
    mm.exit_waits = Writer.NOBODY
    mm.writer = Writer.KHUGEPAGED_EXIT
    mm.blocked = False


@khugepaged_exit(at=MmputAt.KHUGEPAGED_UP_WRITE, then=MmputAt.NOTIFIER_RELEASE, call="up_write")
def khugepaged_exit_up_write(mm: Mm) -> None:
    """End of the empty section."""
    mm.writer = Writer.NOBODY


@mmput(at=MmputAt.SET_SKIP, then=MmputAt.MMDROP, call="set_bit(MMF_OOM_SKIP)", commit="26db62f179d1")
def mmput_sets_skip(world: World, mm: Mm) -> None:
    """v4.9 - v4.13: the mm is of no interest any more, its memory is freed.

    set_mm_exe_file and the mmlist removal before it touch nothing of the protocol.
    """
    world.announce(Event.EXIT_SETS_SKIP, mm)
    mm.oom_skip = True


def leave(mm: Mm) -> None:
    """The end of __mmput: its own mm_count goes; the return to the caller is part of the step.

    Nobody else can see the return; the caller goes on at its own program point.
    """
    mm.users_reference = False
    mm.executor = Executor.NOBODY


@mmput(at=MmputAt.MMDROP, then=MmputAt.RETURNED, call="mmdrop", outcome="to exit_mm")
def mmdrop_to_task(mm: Mm, task: Task) -> None:
    """__mmput returns to the thread that ran it."""
    requires(task.process.mm == mm, Guard.EXECUTOR)
    requires(task.in_mmput, Guard.EXECUTOR)
    task.in_mmput = False
    leave(mm)


@mmput(at=MmputAt.MMDROP, then=MmputAt.RETURNED, call="mmdrop", outcome="to another caller")
def mmdrop_to_other(mm: Mm) -> None:
    """__mmput returns to a foreign holder, a kworker or a kernel thread."""
    requires(mm.executor != Executor.TASK, Guard.EXECUTOR)
    leave(mm)
