"""E8d: v5.6 - v5.14. A scan of a memory cgroup meets a process until its leader has passed cgroup_exit."""

from functools import partial

from oom_spec.eras.e08c_v5_2 import E8C
from oom_spec.eras.e08c_v5_2 import from_run as exits_from_run
from oom_spec.language import Era, Verified, both, requires
from oom_spec.protocol import execve, task_exit
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import TaskAt
from oom_spec.protocol.state import Task

INTRODUCED = "9c974c772464"
from_run = partial(exits_from_run, commit=INTRODUCED)


def drops_live(task: Task) -> None:
    """PF_EXITING, and signal->live is one less.

    css_task_iter_advance passes over all threads but leaders, and over a leader that is on dying_tasks,
    where cgroup_exit puts it, once signal->live is 0. So a process is met while its leader has not
    passed cgroup_exit, or some thread has not come here: a leader keeps `in_cgroup` until cgroup_exit,
    another thread until here, and stands for its leader after that one's cgroup_exit.
    """
    task.exiting = True
    task.in_cgroup = both(task.in_cgroup, task.leader)


@from_run(outcome="killed")
def exit_signals_killed(task: Task) -> None:
    """The thread acts on SIGKILL and enters do_exit."""
    task_exit.acts_on_sigkill(task)
    drops_live(task)


@from_run(outcome="by itself", environment=True)
def exit_signals_by_itself(task: Task) -> None:
    """The thread exits without having been killed."""
    task_exit.exits_by_itself(task)
    drops_live(task)


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
    drops_live(task)


E8D = Era(
    id="E8d",
    aliases=tuple(f"{v}5.{n}" for v in ("v", "") for n in range(6, 15)),
    title="v5.6 - v5.14: scans of a memory cgroup meet a process until its leader has passed cgroup_exit",
    opened_by='9c974c772464 "cgroup: Iterate tasks that did not finish do_exit()"',
    why="A leader without live threads is passed over only when it is on the list of dying tasks. Also in v5.4.y.",
    parent=E8C,
    replaced=(exit_signals_killed, exit_signals_by_itself, exits_with_fresh_mm),
)

ERAS = (E8D,)
