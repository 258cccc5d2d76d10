"""E11: v5.18, v5.19. Pages are munlocked as they are unmapped, and the reaper starts two seconds late."""

from functools import partial

from oom_spec.eras import e10_v5_17 as v5_17
from oom_spec.eras.e10_v5_17 import E10
from oom_spec.language import Era, World, requires
from oom_spec.protocol import exit_mmap, fences, mrelease, notifiers, queueing, reaper, self_reap
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import MmputAt, ReapAt
from oom_spec.protocol.reaper import WALK, completes_pass, zaps_page
from oom_spec.protocol.state import Mm, Reaper, Task

PER_PAGE = self_reap.PER_PAGE_MUNLOCK
reap_mm = partial(reaper.reap_mm, commit=PER_PAGE)
down_write = partial(v5_17.down_write, commit=PER_PAGE)


@reap_mm(at=ReapAt.ZAP, then=ReapAt.ZAP, call="unmap_page_range", outcome="a page", oracle=WALK)
def zap_page(world: World, reaper: Reaper, task: Task) -> None:
    """One page of a private VMA, under that VMA's own gather."""
    zaps_page(world, task.process.mm)


@reap_mm(at=ReapAt.ZAP, then=ReapAt.ZAP, call="unmap_page_range", outcome="an mlocked page", oracle=WALK)
def zap_mlocked_page(world: World, reaper: Reaper, task: Task) -> None:
    """One page of a VM_LOCKED VMA: it is munlocked as it is unmapped, and the VMA keeps VM_LOCKED."""
    mm = task.process.mm
    requires(mm.mlocked != 0, Guard.PAGES_LEFT)
    world.announce(Event.PAGE_ZAPPED, mm)
    mm.mlocked -= 1


@reap_mm(at=ReapAt.ZAP, then=ReapAt.UP_READ_REAPED, call="tlb_finish_mmu")
def pass_completed(reaper: Reaper, task: Task) -> None:
    """No eligible page is left, mlocked ones included, and no VMA was refused."""
    requires(task.process.mm.mlocked == 0, Guard.NO_PAGES_LEFT)
    notifiers.not_refused(reaper)
    completes_pass(reaper, task)


@down_write(at=MmputAt.LOCK_BEFORE_UNMAP, then=MmputAt.FIRST_VMA, call="mmap_write_lock")
def write_lock(world: World, mm: Mm) -> None:
    """Held until the last VMA is gone; there is nothing to munlock first."""
    fences.take_write_lock(world, mm)


@down_write(
    at=MmputAt.LOCK_BEFORE_UNMAP_WAITS,
    then=MmputAt.FIRST_VMA,
    call="mmap_write_lock",
    outcome="wakes",
    waits=True,
)
def write_lock_wakes(world: World, mm: Mm) -> None:
    """The last holder is out."""
    fences.wake_with_write_lock(world, mm)


E11 = Era(
    id="E11",
    aliases=("v5.18", "v5.19", "5.18", "5.19"),
    title="v5.18 - v5.19: no munlock in exit_mmap, mlocked memory is reaped too; the reaper starts two seconds late",
    opened_by='a213e5cf71cb "mm/munlock: delete munlock_vma_pages_all(), allow oomreap"; e4a38402c36e',
    why="Nothing is left that a pass must not touch for VM_LOCKED, and a victim gets time for its robust futexes.",
    parent=E10,
    added=(
        *queueing.DELAYED_ADDED,
        *self_reap.MLOCKED_ADDED,
        *mrelease.MLOCKED_ADDED,
        zap_mlocked_page,
    ),
    replaced=(
        *queueing.DELAYED_REPLACED,
        *self_reap.MLOCKED_REPLACED,
        *mrelease.MLOCKED_REPLACED,
        zap_page,
        pass_completed,
        write_lock,
        write_lock_wakes,
    ),
    removed=(
        *queueing.DELAYED_REMOVED,
        exit_mmap.munlock_nothing.id,
        exit_mmap.munlock_begins.id,
        exit_mmap.munlock_ends.id,
    ),
)

ERAS = (E11,)
