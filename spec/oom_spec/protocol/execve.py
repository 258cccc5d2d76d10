"""execve by a victim (fs/exec.c: exec_mmap): the task gets a fresh mm and drops the old one itself.

Only an exec that meets its mark on the way is modelled: an exec before the mark leaves an ordinary
process with another mm. The fresh mm is left out: signal->oom_mm stays the old one, which is all that
scans and the reaper look at. Nobody kills the process again: it is marked.
"""

from __future__ import annotations

from functools import partial

from oom_spec.language import World, negate, requires, step
from oom_spec.protocol.derived import read_lock_free, task_lock_taken, users_left
from oom_spec.protocol.mmput import runs_mmput
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import TaskAt
from oom_spec.protocol.state import Executor, Task

exec_mmap = partial(step, Task, kernel="fs/exec.c:exec_mmap")


@exec_mmap(at=TaskAt.RUN, then=TaskAt.EXEC_UP_READ, call="down_read; task->mm = new", waits=True)
def exec_switches_mm(world: World, task: Task) -> None:
    """mmap_sem of the old mm is taken for reading, then t->mm becomes the new mm under task_lock.

    Between the two nothing of the old mm changes hands, so they are one step: the reader only keeps
    writers out a little earlier.
    """
    requires(task.process.may_exec, Guard.MAY_EXEC)
    requires(task.process.oom_mm, Guard.MARKED)
    requires(task.has_mm, Guard.HAS_MM)
    requires(negate(task.allocating), Guard.NOT_IN_ALLOCATOR)
    requires(read_lock_free(task.process.mm), Guard.READ_LOCK_FREE)
    requires(negate(task_lock_taken(world, task)), Guard.TASK_LOCK_FREE)
    task.reads = True
    task.has_mm = False
    task.owes_mmput = True
    task.execed = True


@exec_mmap(at=TaskAt.EXEC_UP_READ, then=TaskAt.EXEC_MMPUT, call="up_read")
def exec_up_read(task: Task) -> None:
    """Releases mmap_sem of the old mm."""
    task.reads = False


@exec_mmap(at=TaskAt.EXEC_MMPUT, then=TaskAt.EXEC_RETURN, call="mmput", outcome="last")
def exec_mmput_last(world: World, task: Task) -> None:
    """mm_users of the old mm drops to 0: execve itself runs __mmput."""
    task.owes_mmput = False
    task.in_mmput = True
    mm = task.process.mm
    runs_mmput(world, mm, Executor.TASK)


@exec_mmap(at=TaskAt.EXEC_MMPUT, then=TaskAt.EXEC_RETURN, call="mmput", outcome="not last")
def exec_mmput_not_last(world: World, task: Task) -> None:
    """Somebody else still uses the old mm."""
    task.owes_mmput = False
    requires(users_left(world, task.process.mm), Guard.NOT_LAST_USER)


@exec_mmap(at=TaskAt.EXEC_RETURN, then=TaskAt.EXECED, call="return", waits=True)
def exec_returns(task: Task) -> None:
    """__mmput, if execve ran it, has returned."""
    requires(negate(task.in_mmput), Guard.MMPUT_RETURNED)


@exec_mmap(at=TaskAt.EXECED, then=TaskAt.EXIT_OOM_VICTIM, call="exit_signals", outcome="after execve", waits=True)
def exits_with_fresh_mm(task: Task) -> None:
    """SIGKILL takes effect. exit_mm tears down the fresh mm, which is not modelled."""
    requires(task.process.sigkill, Guard.KILLED)
    task.exiting = True
