"""E6: v4.15. Whether the mm is a victim's decides about the fence, not who tears it down."""

from functools import partial

from oom_spec.eras import e05_v4_14 as v4_14
from oom_spec.eras.e05_v4_14 import E5
from oom_spec.language import Era, World, negate, requires
from oom_spec.protocol import exit_mmap, kill
from oom_spec.protocol.exit_mmap import exit_mmap as in_exit_mmap
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import KillAt, MmputAt, ReapAt
from oom_spec.protocol.reaper import completes_pass, reap_mm, zaps_page
from oom_spec.protocol.state import Killer, Mm, Reaper, Task

INTRODUCED = "4837fe37adff"
PER_VMA_GATHER = "687cb0884a71"
of_exit_mmap = partial(in_exit_mmap, commit=INTRODUCED)


def becomes_victim(task: Task) -> None:
    """mmgrab(oom_mm), then set_bit(MMF_OOM_VICTIM), then the thaw.

    One step: the exit path reads the flag at mm_users 0, and the marked thread keeps its mm_users until
    its task_lock is dropped, or is the marker itself.
    """
    task.process.oom_mm_counted = True
    task.process.mm.oom_victim = True
    kill.thaws(task)


@kill.mark_victim(at=KillAt.MARK_MMGRAB, then=KillAt.TASK_UNLOCK, call="mmgrab(oom_mm)", commit=INTRODUCED)
def mark_mmgrab(killer: Killer, task: Task) -> None:
    """The mm_count of signal->oom_mm, and MMF_OOM_VICTIM on the mm, which is never cleared again."""
    becomes_victim(task)


@kill.mark_victim(
    at=KillAt.DYING_MMGRAB, then=KillAt.DYING_WAKE, call="mmgrab(oom_mm)", outcome="dying", commit=INTRODUCED
)
def dying_mmgrab(killer: Killer, task: Task) -> None:
    """As for a killed victim."""
    becomes_victim(task)


@of_exit_mmap(at=MmputAt.UNMAP, then=MmputAt.FENCE_TEST, call="unmap_vmas", outcome="done")
def unmap_done(mm: Mm) -> None:
    """unmap_vmas has walked every VMA, perhaps beside the reaper."""
    requires(exit_mmap.nothing_mapped(mm), Guard.NO_PAGES_LEFT)
    mm.unmapped = True


@of_exit_mmap(at=MmputAt.FENCE_TEST, then=MmputAt.SKIP_AFTER_UNMAP, call="mm_is_oom_victim", outcome="yes")
def is_victim(mm: Mm) -> None:
    """The mm belongs to a victim, whoever runs __mmput."""
    requires(mm.oom_victim, Guard.IS_OOM_VICTIM)


@of_exit_mmap(at=MmputAt.FENCE_TEST, then=MmputAt.FREE_PGTABLES, call="mm_is_oom_victim", outcome="no")
def is_no_victim(mm: Mm) -> None:
    """No reaper will come, and nobody needs MMF_OOM_SKIP: it is not set."""
    requires(negate(mm.oom_victim), Guard.IS_NO_OOM_VICTIM)


@of_exit_mmap(at=MmputAt.SKIP_AFTER_UNMAP, then=MmputAt.FENCE_DOWN_WRITE, call="set_bit(MMF_OOM_SKIP)")
def exit_sets_skip(world: World, mm: Mm) -> None:
    """Only for a victim's mm; the empty write section follows at once."""
    world.announce(Event.EXIT_SETS_SKIP, mm)
    mm.oom_skip = True


@reap_mm(at=ReapAt.ZAP, then=ReapAt.ZAP, call="unmap_page_range", outcome="a page", commit=PER_VMA_GATHER)
def zap_page(world: World, reaper: Reaper, task: Task) -> None:
    """One page of an eligible VMA, under that VMA's own gather, which is always flushed."""
    zaps_page(world, task.process.mm)


@reap_mm(at=ReapAt.ZAP, then=ReapAt.UP_READ_REAPED, call="tlb_finish_mmu", commit=PER_VMA_GATHER)
def pass_completed(reaper: Reaper, task: Task) -> None:
    """The walk is over; the gather of every VMA was flushed and its pages freed before the next began."""
    completes_pass(reaper, task)


E6 = Era(
    id="E6",
    aliases=("v4.15", "4.15"),
    title="v4.15: MMF_OOM_VICTIM on the mm decides about MMF_OOM_SKIP and the fence; one gather per VMA",
    opened_by='4837fe37adff "mm, oom_reaper: fix memory corruption"',
    why="v4.14 asked whether the thread that tears the mm down is a victim; a /proc reader or a sharer is none.",
    parent=E5,
    added=(is_victim, is_no_victim),
    replaced=(mark_mmgrab, dying_mmgrab, unmap_done, exit_sets_skip, zap_page, pass_completed),
    removed=(v4_14.fence_needed.id, v4_14.fence_not_needed.id),
)

ERAS = (E6,)
