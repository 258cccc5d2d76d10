"""Steps that several later eras and proposals share: locks in exit_mmap, a reaper without a pin."""

from __future__ import annotations

from functools import partial

from oom_spec.language import World, requires, step
from oom_spec.language.symbolic import negate
from oom_spec.protocol.derived import lock_unheld, write_lock_free
from oom_spec.protocol.exit_mmap import exit_mmap
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import MmputAt
from oom_spec.protocol.state import Mm, Presence, Writer

down_write = partial(step, Mm, kernel="mm/mmap.c:exit_mmap", call="down_write")


def take_write_lock(world: World, mm: Mm) -> None:
    """down_write without waiting."""
    requires(write_lock_free(world, mm), Guard.WRITE_LOCK_FREE)
    mm.writer = Writer.EXIT_MMAP


def wait_for_write_lock(world: World, mm: Mm) -> None:
    """down_write that must wait; a waiting writer makes every read trylock fail."""
    requires(negate(write_lock_free(world, mm)), Guard.WRITE_LOCK_TAKEN)
    mm.exit_waits = Writer.EXIT_MMAP
    mm.blocked = True


def wake_with_write_lock(world: World, mm: Mm) -> None:
    """The last holder is gone."""
    requires(lock_unheld(world, mm), Guard.WRITE_LOCK_FREE)
    mm.exit_waits = Writer.NOBODY
    mm.writer = Writer.EXIT_MMAP
    mm.blocked = False


@down_write(at=MmputAt.FENCE_DOWN_WRITE, then=MmputAt.FENCE_UP_WRITE)
def fence_down_write(world: World, mm: Mm) -> None:
    """The empty write section: nobody reads the mm now."""
    take_write_lock(world, mm)


@down_write(at=MmputAt.FENCE_DOWN_WRITE, then=MmputAt.FENCE_DOWN_WRITE_WAITS, outcome="waits")
def fence_down_write_waits(world: World, mm: Mm) -> None:
    """A reaper, ksmd or khugepaged is at work: wait for it."""
    wait_for_write_lock(world, mm)


@down_write(at=MmputAt.FENCE_DOWN_WRITE_WAITS, then=MmputAt.FENCE_UP_WRITE, outcome="wakes", waits=True)
def fence_down_write_wakes(world: World, mm: Mm) -> None:
    """The last reader is out."""
    wake_with_write_lock(world, mm)


@exit_mmap(at=MmputAt.FENCE_UP_WRITE, then=MmputAt.FREE_PGTABLES, call="up_write")
def fence_up_write(mm: Mm) -> None:
    """End of the empty section."""
    mm.writer = Writer.NOBODY


FENCE = (fence_down_write, fence_down_write_waits, fence_down_write_wakes, fence_up_write)


@down_write(at=MmputAt.FENCE_DOWN_WRITE, then=MmputAt.FREE_PGTABLES)
def lock_tear_down(world: World, mm: Mm) -> None:
    """Held until the VMAs are gone."""
    take_write_lock(world, mm)


@down_write(at=MmputAt.FENCE_DOWN_WRITE_WAITS, then=MmputAt.FREE_PGTABLES, outcome="wakes", waits=True)
def lock_tear_down_wakes(world: World, mm: Mm) -> None:
    """The last reader is out."""
    wake_with_write_lock(world, mm)


@exit_mmap(at=MmputAt.FREEING_VMAS, then=MmputAt.CLEAR_MMAP, call="remove_vma", outcome="done")
def vmas_freed_under_lock(mm: Mm) -> None:
    """No VMA is left; the lock is still held."""
    mm.vmas = Presence.FREED


@exit_mmap(at=MmputAt.CLEAR_MMAP, then=MmputAt.UP_WRITE_AFTER_FREE, call="mm->mmap = NULL")
def clear_mmap(mm: Mm) -> None:
    """The sign for the reaper that nothing is left."""
    mm.no_mmap = True


@exit_mmap(at=MmputAt.UP_WRITE_AFTER_FREE, then=MmputAt.SET_SKIP, call="up_write", outcome="after the VMAs")
def up_write_after_free(mm: Mm) -> None:
    """End of the tear-down's section."""
    mm.writer = Writer.NOBODY
