"""E14: v6.18 - v6.19. swapoff asks too; the OOM killer thaws the whole process."""

from functools import partial

from oom_spec.eras.e13_v6_14 import E13
from oom_spec.language import Era, requires
from oom_spec.protocol import fork
from oom_spec.protocol.kill import mark_victim
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import KillAt
from oom_spec.protocol.state import Killer, Task

thawing = partial(mark_victim, commit="59d4d36158ba")


def thaws_process(task: Task) -> None:
    """thaw_process: every thread of the group, merged into the step before it."""
    task.process.frozen.fill(False)


@thawing(at=KillAt.MARK_OOM_MM, then=KillAt.TASK_UNLOCK, call="cmpxchg(oom_mm)", outcome="already set")
def mark_oom_mm_again(killer: Killer, task: Task) -> None:
    """Another thread of the process was marked before; all are thawed all the same."""
    requires(task.process.oom_mm, Guard.MARKED_BEFORE)
    thaws_process(task)


@thawing(at=KillAt.MARK_MMGRAB, then=KillAt.TASK_UNLOCK, call="mmgrab(oom_mm)")
def mark_mmgrab(killer: Killer, task: Task) -> None:
    """The mm_count that signal->oom_mm stands for; then the whole process is thawed."""
    task.process.oom_mm_counted = True
    thaws_process(task)


@thawing(at=KillAt.DYING_OOM_MM, then=KillAt.DYING_WAKE, call="cmpxchg(oom_mm)", outcome="dying, already set")
def dying_oom_mm_again(killer: Killer, task: Task) -> None:
    """Another thread of the process was marked before."""
    requires(task.process.oom_mm, Guard.MARKED_BEFORE)
    thaws_process(task)


@thawing(at=KillAt.DYING_MMGRAB, then=KillAt.DYING_WAKE, call="mmgrab(oom_mm)", outcome="dying")
def dying_mmgrab(killer: Killer, task: Task) -> None:
    """As for a killed victim."""
    task.process.oom_mm_counted = True
    thaws_process(task)


E14 = Era(
    id="E14",
    aliases=("v6.18", "v6.19", "6.18", "6.19"),
    title="v6.18 - v6.19: the whole victim is thawed, the reaper walks from the top, swapoff leaves unstable mms alone",
    opened_by=(
        '59d4d36158ba "mm/oom_kill: thaw the entire OOM victim process"; '
        '1367da7eb875 "mm: swap: check for stable address space before operating on the VMA" (v6.17.1, v6.12.51 too)'
    ),
    why=(
        "From 5e1953dc71af on the reaper walks the VMAs from the highest address down, away from exit_mmap. That needs "
        "no step: the order of VMAs is open in this model. Flag accessors (12e423ba4eae) change no meaning."
    ),
    parent=E13,
    replaced=(mark_oom_mm_again, mark_mmgrab, dying_oom_mm_again, dying_mmgrab, fork.swapoff_locks_to_check),
)

ERAS = (E14,)
