"""What the kernel reads as a number or a state of a lock, derived from its named holders."""

from __future__ import annotations

from oom_spec.language import World, both, either, every, negate, some
from oom_spec.protocol.state import (
    Executor,
    Fault,
    Killer,
    Mm,
    Mrelease,
    Process,
    Reaper,
    Scanner,
    Task,
    Walker,
    Writer,
)


def users_left(world: World, mm: Mm) -> bool:
    """mm_users > 0."""
    return either(
        some(world.all(Task), lambda task: both(task.process.mm == mm, either(task.has_mm, task.owes_mmput))),
        some(world.all(Fault), lambda fault: both(fault.mm == mm, fault.pins)),
        some(world.all(Mrelease), lambda caller: both(caller.target.mm == mm, caller.pins)),
        some(world.all(Walker), lambda walker: both(walker.mm == mm, walker.pins)),
        mm.pinned_by_fork,
        mm.pinned_by_reaper,
        mm.pinned_by_mark,
        mm.foreign_users != 0,
    )


def mm_allocated(world: World, mm: Mm) -> bool:
    """mm_count > 0: the struct mm_struct is not freed."""
    return either(
        mm.users_reference,
        some(
            world.all(Process),
            lambda process: both(process.mm == mm, process.oom_mm_counted, signal_allocated(world, process)),
        ),
        some(world.all(Killer), lambda killer: both(killer.holds_mm_count, chosen_mm(world, killer, mm))),
        some(world.all(Mrelease), lambda caller: both(caller.target.mm == mm, caller.holds_mm_count)),
        mm.counted_by_reaper,
        mm.scanner != Scanner.ABSENT,
    )


def chosen_mm(world: World, killer: Killer, mm: Mm) -> bool:
    """The thread that this killer found uses `mm`."""
    return some(world.all(Task), lambda task: both(killer.victim == task, task.process.mm == mm))


def task_allocated(world: World, task: Task) -> bool:
    """The task_struct is not freed: it is hashed, queued for the reaper or its job, or chosen by a killer."""
    return either(
        task.hashed,
        task.queue_reference,
        some(world.all(Reaper), lambda reaper: reaper.job == task),
        some(world.all(Killer), lambda killer: either(killer.chosen == task, killer.victim == task)),
        some(world.all(Mrelease), lambda caller: caller.found == task),
    )


def signal_allocated(world: World, process: Process) -> bool:
    """The signal_struct is not freed: some thread of the group is still allocated."""
    return some(world.all(Task), lambda task: both(task.process == process, task_allocated(world, task)))


def oom_lock_taken(world: World) -> bool:
    """Somebody holds oom_lock."""
    return either(
        some(world.all(Reaper), lambda reaper: reaper.holds_oom_lock),
        some(world.all(Killer), lambda killer: killer.holds_oom_lock),
        some(world.all(Mm), lambda mm: mm.exit_holds_oom_lock),
    )


def writer_waits(mm: Mm) -> bool:
    """A writer waits for mmap_sem: a read trylock fails, and a reader queues behind it."""
    return either(mm.exit_waits != Writer.NOBODY, mm.foreign_waits, mm.scanner == Scanner.WRITE_WAITS)


def read_lock_free(mm: Mm) -> bool:
    """down_read would not wait; down_read_trylock would succeed.

    A reader can only be queued behind a writer, so waiting readers need no term of their own.
    """
    return both(mm.writer == Writer.NOBODY, negate(writer_waits(mm)))


def has_readers(world: World, mm: Mm) -> bool:
    """Somebody holds mmap_sem for reading."""
    return either(
        mm.read_by_reaper,
        mm.read_by_exit,
        some(world.all(Mrelease), lambda caller: both(caller.target.mm == mm, caller.reads)),
        some(world.all(Walker), lambda walker: both(walker.mm == mm, walker.reads)),
        some(world.all(Task), lambda task: both(task.process.mm == mm, task.reads)),
        some(world.all(Fault), lambda fault: both(fault.mm == mm, fault.reads)),
        mm.foreign_readers != 0,
        mm.scanner == Scanner.READING,
    )


def lock_unheld(world: World, mm: Mm) -> bool:
    """mmap_sem has neither a writer nor a reader."""
    return both(mm.writer == Writer.NOBODY, negate(has_readers(world, mm)))


def write_lock_free(world: World, mm: Mm) -> bool:
    """down_write would not wait: no holder and no earlier waiter."""
    return both(lock_unheld(world, mm), negate(writer_waits(mm)))


def task_lock_taken(world: World, task: Task) -> bool:
    """A killer, or a caller of process_mrelease, holds task_lock of `task`."""
    return either(
        some(world.all(Killer), lambda killer: both(killer.holds_task_lock, killer.victim == task)),
        some(world.all(Mrelease), lambda caller: both(caller.holds_task_lock, caller.found == task)),
    )


def dying(world: World, task: Task) -> bool:
    """__task_will_free_mem: no core dump, and SIGNAL_GROUP_EXIT, or the only thread and PF_EXITING."""
    return both(
        negate(task.process.dumping),
        either(task.process.sigkill, both(alone(world, task), task.exiting)),
    )


def dying_process(world: World, process: Process) -> bool:
    """`dying` of the leader, which is what a walk over all processes meets."""
    return some(world.all(Task), lambda task: both(task.process == process, task.leader, dying(world, task)))


def will_free_mem(world: World, task: Task) -> bool:
    """task_will_free_mem: it has an mm without MMF_OOM_SKIP, and every user of that mm is dying.

    The kernel returns early where mm_users <= 1; then no other process can share the mm, so the
    early return gives the same answer. A kernel thread that called use_mm counts as a user that is not
    dying.
    """
    mm = task.process.mm
    return both(
        task.has_mm,
        dying(world, task),
        negate(mm.oom_skip),
        negate(some(world.all(Fault), lambda fault: both(fault.mm == mm, fault.kernel_thread, fault.pins))),
        every(
            world.all(Process),
            lambda other: either(
                other.mm != mm, other == task.process, dying_process(world, other), exited(world, other)
            ),
        ),
    )


def alone(world: World, task: Task) -> bool:
    """thread_group_empty."""
    return every(
        world.all(Task), lambda other: either(other == task, other.process != task.process, negate(other.hashed))
    )


def exited(world: World, process: Process) -> bool:
    """No thread of the process uses its mm any more, so it shares none."""
    return every(world.all(Task), lambda task: either(task.process != process, negate(task.has_mm)))


def executor_is_victim(world: World, mm: Mm) -> bool:
    """tsk_is_oom_victim(current), where current is the thread that runs __mmput."""
    return both(
        mm.executor == Executor.TASK,
        some(world.all(Task), lambda task: both(task.process.mm == mm, task.in_mmput, task.process.oom_mm)),
    )
