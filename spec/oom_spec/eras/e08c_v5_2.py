"""E8c: v5.2 - v5.5. A scan of a memory cgroup does not meet a process that has begun to exit."""

from functools import partial

from oom_spec.eras.e08b_v5_0 import E8B
from oom_spec.language import Era, Verified, requires
from oom_spec.protocol import execve, task_exit
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import TaskAt
from oom_spec.protocol.state import Task

INTRODUCED = "c03cd7738a83"
from_run = partial(
    task_exit.do_exit,
    at=TaskAt.RUN,
    then=TaskAt.DOWN_READ,
    call="exit_signals",
    waits=True,
    commit=INTRODUCED,
    verified=Verified.COMMIT,
)


def leaves_scans(task: Task) -> None:
    """PF_EXITING, and signal->live is one less: this thread keeps its process visible no longer.

    v5.2 walks threads and passes over each that has PF_EXITING (css_task_iter_advance). v5.3 - v5.5 walk
    leaders, which stay on the css_set until release_task, and pass over one once signal->live is 0,
    which is before exit_mm. A process is met in both exactly while some thread of it has not come here.
    Where the leader has come here and another thread has not, the model meets that thread instead of
    the leader: a scan asks about the process alone, and a kill looks for a thread with an mm.
    """
    task.exiting = True
    task.in_cgroup = False


@from_run(outcome="killed")
def exit_signals_killed(task: Task) -> None:
    """The thread acts on SIGKILL and enters do_exit; a scan of its cgroup does not meet it any more."""
    task_exit.acts_on_sigkill(task)
    leaves_scans(task)


@from_run(outcome="by itself", environment=True)
def exit_signals_by_itself(task: Task) -> None:
    """The thread exits without having been killed."""
    task_exit.exits_by_itself(task)
    leaves_scans(task)


@execve.exec_mmap(
    at=TaskAt.EXECED,
    then=TaskAt.EXIT_OOM_VICTIM,
    call="exit_signals",
    outcome=execve.exits_with_fresh_mm.outcome,
    waits=True,
    commit=INTRODUCED,
    verified=Verified.COMMIT,
)
def exits_with_fresh_mm(task: Task) -> None:
    """SIGKILL takes effect; exit_mm tears down the fresh mm, which is not modelled."""
    requires(task.process.sigkill, Guard.KILLED)
    leaves_scans(task)


E8C = Era(
    id="E8c",
    aliases=("v5.2", "v5.3", "v5.4", "v5.5", "5.2", "5.3", "5.4", "5.5"),
    title="v5.2 - v5.5: scans of a memory cgroup pass over processes that have begun to exit",
    opened_by='c03cd7738a83 "cgroup: Include dying leaders with live threads in PROCS iterations"',
    why="A side effect on OOM scans: until v5.6 a dying victim is out of sight before exit_mm has freed anything.",
    parent=E8B,
    replaced=(exit_signals_killed, exit_signals_by_itself, exits_with_fresh_mm),
)

ERAS = (E8C,)
