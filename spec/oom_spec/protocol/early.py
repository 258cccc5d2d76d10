"""What v4.6, v4.7 and v4.8 share: a mark that can be cleared, and an mm that is looked up by the task.

Until v4.8 no signal_struct remembers the victim's mm. A process is a marked victim while one of its threads has
TIF_MEMDIE; the reaper clears that flag from outside, and finds the mm anew in each attempt, through the first thread
that still has one. Two routines have other names in these releases (`by_its_old_name`); a step that v4.12 has too
keeps its id.

execve is modelled as in v4.12: the fresh mm of a task that has passed exec_mmap is left out. Here that leaves out
more, because the reaper finds the fresh mm by the task and reaps that one. In v4.7 and v4.8 it clears the mark whether
it finds an mm or not, so nothing else is lost than that its attempts on the fresh mm may fail; v4.6 has steps for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from oom_spec.language import Step, World, both, either, every, negate, requires, some, when
from oom_spec.protocol.derived import alone, exited
from oom_spec.protocol.kill import shares_mm, tests_memdie, thaws
from oom_spec.protocol.killer import comes_before, how_passed_over
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.state import Fault, Killer, Mm, Process, Reaper, Task

OLD_NAMES = {
    "mm/oom_kill.c:__oom_reap_task_mm": "mm/oom_kill.c:__oom_reap_task",
    "mm/oom_kill.c:oom_evaluate_task": "mm/oom_kill.c:oom_scan_process_thread",
}
"""What v4.9 renamed when oom_mm came."""


def by_its_old_name(declared: Step) -> Step:
    """The step with the kernel function's name of these releases."""
    return attrs.evolve(declared, kernel=OLD_NAMES.get(declared.kernel, declared.kernel))


def only_renamed(steps: Iterable[Step], changed: Iterable[str]) -> tuple[Step, ...]:
    """Those of ``steps``, except the ids ``changed``, that differ from v4.12 in the name of their routine alone."""
    others = set(changed)
    return tuple(by_its_old_name(each) for each in steps if each.kernel in OLD_NAMES and each.id not in others)


def marks(world: World, killer: Killer, task: Task) -> None:
    """mark_oom_victim as a whole: TIF_MEMDIE, in v4.7 and v4.8 signal->oom_victims, the thaw, oom_victims.

    One step: scans look at the mark under oom_lock, which the marker holds, and the two counts only ever say how many
    threads have TIF_MEMDIE: whoever clears it between the flag and the counts takes off what is added later.
    """
    process = task.process
    tests_memdie(killer, task)
    world.announce(Event.OOM_MM_INSTALLED, process, process.mm)
    process.oom_mm = True
    process.mark_cleared = False
    thaws(task)


def clears_mark(world: World, task: Task) -> None:
    """exit_oom_victim: test_and_clear TIF_MEMDIE, and the counts go down with it.

    The process stays a marked victim while another thread of it has the flag. The flag and the counts are one step: a
    scan that comes between them aborts as it would have before.
    """
    requires(task.memdie, Guard.MEMDIE)
    task.memdie = False
    process = task.process
    left = some(world.all(Task), lambda other: both(other.process == process, other.memdie))
    process.oom_mm = left
    process.mark_cleared = negate(left)


def first_with_mm(world: World, task: Task, thread: Task) -> None:
    """find_lock_task_mm(task) finds `thread`: the first of the group whose mm is set."""
    requires(thread.process == task.process, Guard.FIRST_THREAD_WITH_MM)
    requires(thread.has_mm, Guard.FIRST_THREAD_WITH_MM)
    requires(
        every(
            world.all(Task),
            lambda other: either(
                other.process != task.process, negate(comes_before(other, thread)), negate(other.has_mm)
            ),
        ),
        Guard.FIRST_THREAD_WITH_MM,
    )


def none_with_mm(world: World, task: Task) -> None:
    """find_lock_task_mm(task) finds nobody: every thread of the group has passed exit_mm, or exec_mmap."""
    requires(negate(has_thread_with_mm(world, task.process)), Guard.NO_THREAD_WITH_MM)


def has_thread_with_mm(world: World, process: Process) -> bool:
    """find_lock_task_mm would find a thread."""
    return some(world.all(Task), lambda other: both(other.process == process, other.has_mm))


def begins_walk(reaper: Reaper, mm: Mm) -> None:
    """The walk over the VMAs begins: before v4.9 no MMF_UNSTABLE announces it."""
    mm.walked_by_reaper = True


def notes_cleared_mark(killer: Killer, process: Process) -> None:
    """History: the scan passes over a process that was a marked victim, and is none because its mark was cleared."""
    mm = process.mm
    killer.passed_over[mm] = when(process.mark_cleared, how_passed_over(mm), killer.passed_over[mm])


def kthread_uses(world: World, mm: Mm) -> bool:
    """A kernel thread that called use_mm uses `mm`: process_shares_mm is true for it."""
    return some(world.all(Fault), lambda fault: is_user(fault, mm))


def is_user(fault: Fault, mm: Mm) -> bool:
    """This kernel thread has `mm` as its mm."""
    return both(fault.mm == mm, fault.kernel_thread, fault.pins)


def kthread_forbids(world: World, killer: Killer, task: Task, fault: Fault) -> None:
    """A kernel thread is no process that could be killed, so the memory may stay in use: can_oom_reap = false."""
    requires(is_user(fault, task.process.mm), Guard.KTHREAD_SHARES)
    requires(killer.can_reap, Guard.CAN_REAP)
    killer.can_reap = False


def users_signalled(world: World, killer: Killer, task: Task, spares: Callable[[Process], bool]) -> bool:
    """The walk over all processes, kernel threads among them, is over; ``spares`` says who is not killed."""
    return both(
        every(
            world.all(Process),
            lambda process: either(
                negate(shares_mm(world, task, process)),
                when(spares(process), negate(killer.can_reap), process.sigkill),
            ),
        ),
        either(negate(killer.can_reap), negate(kthread_uses(world, task.process.mm))),
    )


def will_free_early(world: World, task: Task) -> bool:
    """task_will_free_mem of v4.7: PF_EXITING, no core dump, and the whole thread group is going down."""
    return both(exiting_early(task), either(alone(world, task), task.process.sigkill))


def exiting_early(task: Task) -> bool:
    """task_will_free_mem of v4.6: PF_EXITING and no core dump. Both callers also ask for an mm."""
    return both(task.has_mm, task.exiting, negate(task.process.dumping))


def fatal_signal_pending(task: Task) -> bool:
    """SIGKILL is pending: it was sent, and the thread has not acted on it yet. Its caller also asks for an mm."""
    return both(task.has_mm, task.process.sigkill, negate(task.exiting))


def every_user_dying(world: World, task: Task) -> bool:
    """try_oom_reaper (v4.7): nobody else uses the mm, or every process that does is killed or in group exit.

    The walk is not atomic, and one step all the same: a process that was found dying, or without the mm, stays so.
    """
    mm = task.process.mm
    killed = every(
        world.all(Process), lambda process: either(process.mm != mm, exited(world, process), process.sigkill)
    )
    return either(only_user(world, task), both(killed, negate(kthread_uses(world, mm))))


def only_user(world: World, task: Task) -> bool:
    """mm_users is 1, the task's own."""
    mm = task.process.mm
    return both(
        every(
            world.all(Task),
            lambda other: either(other == task, other.process.mm != mm, negate(either(other.has_mm, other.owes_mmput))),
        ),
        every(world.all(Fault), lambda fault: either(fault.mm != mm, negate(fault.pins))),
        negate(mm.pinned_by_reaper),
        mm.foreign_users == 0,
    )
