"""A thread's way through do_exit (kernel/exit.c), as in v4.12.

Left out of the walk: what touches neither the mm, its lock and counts, nor what a scan can see.
signal->live is dropped together with PF_EXITING, because nothing in these releases reads it.
"""

from __future__ import annotations

from functools import partial

from oom_spec.language import World, both, either, every, negate, requires, step
from oom_spec.protocol.derived import read_lock_free, task_lock_taken, users_left
from oom_spec.protocol.mmput import runs_mmput
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import TaskAt
from oom_spec.protocol.state import Executor, Task

do_exit = partial(step, Task, kernel="kernel/exit.c:do_exit")
exit_mm = partial(step, Task, kernel="kernel/exit.c:exit_mm")


def acts_on_sigkill(task: Task) -> None:
    """The thread comes to handle its fatal signal."""
    requires(negate(task.process.never_exits), Guard.SCENARIO)
    requires(task.process.sigkill, Guard.KILLED)
    requires(negate(task.process.frozen[task]), Guard.NOT_FROZEN)
    requires(negate(task.allocating), Guard.NOT_IN_ALLOCATOR)


def exits_by_itself(task: Task) -> None:
    """The thread calls exit, without a fatal signal."""
    requires(task.process.may_exit, Guard.MAY_EXIT)
    requires(negate(task.process.sigkill), Guard.NOT_KILLED)
    requires(negate(task.process.frozen[task]), Guard.NOT_FROZEN)
    requires(negate(task.allocating), Guard.NOT_IN_ALLOCATOR)


@do_exit(at=TaskAt.RUN, then=TaskAt.DOWN_READ, call="exit_signals", outcome="killed", waits=True)
def exit_signals_killed(task: Task) -> None:
    """The thread acts on SIGKILL and enters do_exit; PF_EXITING is set."""
    acts_on_sigkill(task)
    task.exiting = True


@do_exit(at=TaskAt.RUN, then=TaskAt.DOWN_READ, call="exit_signals", outcome="by itself", waits=True, environment=True)
def exit_signals_by_itself(task: Task) -> None:
    """The thread exits without having been killed."""
    exits_by_itself(task)
    task.exiting = True


@exit_mm(at=TaskAt.DOWN_READ, then=TaskAt.CLEAR_MM, call="down_read", waits=True)
def exit_mm_down_read(task: Task) -> None:
    """mmap_sem for reading; queues behind a writer. mm_release before it may still fault and allocate.

    mmgrab(mm), which follows, is merged into this step: the thread still holds mm_users, so mm_count
    is above 0 with and without it. It is dropped by the scheduler after the thread's last switch;
    users_reference outlives every reader of the mm that this reference could protect.
    """
    requires(negate(task.allocating), Guard.NOT_IN_ALLOCATOR)
    requires(read_lock_free(task.process.mm), Guard.READ_LOCK_FREE)
    task.reads = True


@exit_mm(at=TaskAt.CLEAR_MM, then=TaskAt.UP_READ, call="task_lock; current->mm = NULL", waits=True)
def exit_mm_clears_mm(world: World, task: Task) -> None:
    """t->mm = NULL under task_lock.

    task_lock, the assignment and task_unlock are one step: whoever takes task_lock before the unlock
    waits, and afterwards sees the same NULL. up_read stands before task_unlock until v5.10; only a
    holder of task_lock could tell, and it looks at t->mm, not at mmap_sem.
    """
    requires(negate(task_lock_taken(world, task)), Guard.TASK_LOCK_FREE)
    task.has_mm = False
    task.owes_mmput = True


@exit_mm(at=TaskAt.UP_READ, then=TaskAt.MMPUT, call="up_read")
def exit_mm_up_read(task: Task) -> None:
    """Releases mmap_sem."""
    task.reads = False


@exit_mm(at=TaskAt.MMPUT, then=TaskAt.EXIT_OOM_VICTIM, call="mmput", outcome="last")
def mmput_last(world: World, task: Task) -> None:
    """mm_users drops to 0: this thread runs __mmput itself."""
    task.owes_mmput = False
    task.in_mmput = True
    mm = task.process.mm
    runs_mmput(world, mm, Executor.TASK)


@exit_mm(at=TaskAt.MMPUT, then=TaskAt.EXIT_OOM_VICTIM, call="mmput", outcome="not last")
def mmput_not_last(world: World, task: Task) -> None:
    """Somebody else still uses the mm."""
    task.owes_mmput = False
    requires(users_left(world, task.process.mm), Guard.NOT_LAST_USER)


@exit_mm(at=TaskAt.EXIT_OOM_VICTIM, then=TaskAt.CGROUP_EXIT, call="exit_oom_victim", outcome="TIF_MEMDIE", waits=True)
def exit_oom_victim(world: World, task: Task) -> None:
    """Clears TIF_MEMDIE and drops oom_victims; only after mmput returned."""
    requires(negate(task.in_mmput), Guard.MMPUT_RETURNED)
    requires(task.memdie, Guard.MEMDIE)
    task.memdie = False
    world.announce(Event.EXIT_OOM_VICTIM, task, True)


@exit_mm(
    at=TaskAt.EXIT_OOM_VICTIM, then=TaskAt.CGROUP_EXIT, call="exit_oom_victim", outcome="no TIF_MEMDIE", waits=True
)
def no_exit_oom_victim(task: Task) -> None:
    """This thread was not marked."""
    requires(negate(task.in_mmput), Guard.MMPUT_RETURNED)
    requires(negate(task.memdie), Guard.NO_MEMDIE)


@do_exit(at=TaskAt.CGROUP_EXIT, then=TaskAt.EXIT_NOTIFY, call="cgroup_exit")
def cgroup_exit(task: Task) -> None:
    """From here on a walk over the cgroup's tasks does not meet this thread."""
    task.in_cgroup = False


@do_exit(at=TaskAt.EXIT_NOTIFY, then=TaskAt.DEAD, call="exit_notify", outcome="released", waits=True, environment=True)
def exit_notify_released(world: World, task: Task) -> None:
    """The thread is a zombie; release_task unhashes it.

    A leader stays until the rest of its group is gone. A parent that never waits keeps it visible;
    the model lets the step be taken late or never.
    """
    requires(
        either(
            negate(task.leader),
            every(
                world.all(Task),
                lambda other: either(other == task, both(other.process != task.process), negate(other.hashed)),
            ),
        ),
        Guard.GROUP_EMPTY,
    )
    task.hashed = False
