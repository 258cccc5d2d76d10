"""Everybody else who holds the mm: foreign users, ksmd and khugepaged.

Foreign holders are anonymous: a count of mm_users, a count of read locks, one writer. They may do
their next thing at any time, or never.
"""

from __future__ import annotations

from functools import partial

from oom_spec.language import World, both, either, negate, requires, step
from oom_spec.protocol.derived import lock_unheld, read_lock_free, users_left, write_lock_free
from oom_spec.protocol.mmput import runs_mmput
from oom_spec.protocol.names import Guard
from oom_spec.protocol.state import Executor, Mm, Scanner, Writer

foreign = partial(step, World, kernel="somebody with get_task_mm:access_remote_vm", environment=True)
scanner = partial(step, World, kernel="mm/ksm.c, mm/khugepaged.c:scanner", environment=True)


@foreign(call="down_read")
def foreign_down_read(mm: Mm) -> None:
    """A holder of mm_users takes mmap_sem for reading."""
    requires(mm.foreign_may_read, Guard.SCENARIO)
    requires(both(mm.foreign_users != 0, mm.foreign_readers == 0), Guard.FOREIGN_HOLDER)
    requires(read_lock_free(mm), Guard.READ_LOCK_FREE)
    mm.foreign_readers += 1


@foreign(call="up_read")
def foreign_up_read(mm: Mm) -> None:
    """It releases mmap_sem."""
    requires(mm.foreign_readers != 0, Guard.FOREIGN_HOLDER)
    mm.foreign_readers -= 1


@foreign(call="down_write")
def foreign_down_write(world: World, mm: Mm) -> None:
    """A holder of mm_users takes mmap_sem for writing."""
    requires(mm.foreign_may_write, Guard.SCENARIO)
    requires(both(mm.foreign_users != 0, mm.foreign_readers == 0), Guard.FOREIGN_HOLDER)
    requires(write_lock_free(world, mm), Guard.WRITE_LOCK_FREE)
    mm.writer = Writer.FOREIGN


@foreign(call="down_write", outcome="waits")
def foreign_down_write_waits(world: World, mm: Mm) -> None:
    """It must wait, and makes every read trylock fail meanwhile."""
    requires(mm.foreign_may_write, Guard.SCENARIO)
    requires(
        both(mm.foreign_users != 0, mm.foreign_readers == 0, negate(mm.foreign_waits), mm.writer != Writer.FOREIGN),
        Guard.FOREIGN_HOLDER,
    )
    requires(negate(write_lock_free(world, mm)), Guard.WRITE_LOCK_TAKEN)
    mm.foreign_waits = True


@foreign(call="down_write", outcome="wakes")
def foreign_down_write_wakes(world: World, mm: Mm) -> None:
    """The last holder is gone."""
    requires(mm.foreign_waits, Guard.FOREIGN_HOLDER)
    requires(lock_unheld(world, mm), Guard.WRITE_LOCK_FREE)
    mm.foreign_waits = False
    mm.writer = Writer.FOREIGN


@foreign(call="up_write")
def foreign_up_write(mm: Mm) -> None:
    """It releases mmap_sem."""
    requires(mm.writer == Writer.FOREIGN, Guard.FOREIGN_HOLDER)
    mm.writer = Writer.NOBODY


def holds_no_lock(mm: Mm) -> bool:
    """The foreign holder is outside mmap_sem."""
    return both(mm.foreign_readers == 0, mm.writer != Writer.FOREIGN, negate(mm.foreign_waits))


@foreign(call="mmput", outcome="last")
def foreign_mmput_last(world: World, mm: Mm) -> None:
    """The foreign holder drops the last mm_users and runs __mmput itself."""
    requires(mm.foreign_users != 0, Guard.FOREIGN_HOLDER)
    requires(holds_no_lock(mm), Guard.FOREIGN_HOLDER)
    mm.foreign_users -= 1
    runs_mmput(world, mm, Executor.FOREIGN)


@foreign(call="mmput", outcome="not last")
def foreign_mmput_not_last(world: World, mm: Mm) -> None:
    """Somebody else still uses the mm."""
    requires(mm.foreign_users != 0, Guard.FOREIGN_HOLDER)
    requires(holds_no_lock(mm), Guard.FOREIGN_HOLDER)
    mm.foreign_users -= 1
    requires(users_left(world, mm), Guard.NOT_LAST_USER)


@scanner(call="down_read")
def ksmd_down_read(mm: Mm) -> None:
    """ksmd looks at a page of this mm; it holds mm_count only."""
    requires(mm.ksmd, Guard.SCENARIO)
    requires(mm.scanner == Scanner.WORKING, Guard.SCANNER_STATE)
    requires(read_lock_free(mm), Guard.READ_LOCK_FREE)
    mm.scanner = Scanner.READING


@scanner(call="up_read")
def ksmd_up_read(mm: Mm) -> None:
    """ksmd is done with the page."""
    requires(mm.scanner == Scanner.READING, Guard.SCANNER_STATE)
    mm.scanner = Scanner.WORKING


@scanner(call="down_write")
def khugepaged_down_write(world: World, mm: Mm) -> None:
    """khugepaged collapses a huge page; it holds mm_count only."""
    requires(negate(mm.ksmd), Guard.SCENARIO)
    requires(mm.scanner == Scanner.WORKING, Guard.SCANNER_STATE)
    requires(write_lock_free(world, mm), Guard.WRITE_LOCK_FREE)
    mm.scanner = Scanner.WRITING
    mm.writer = Writer.SCANNER


@scanner(call="down_write", outcome="waits")
def khugepaged_down_write_waits(world: World, mm: Mm) -> None:
    """mmap_sem is held."""
    requires(negate(mm.ksmd), Guard.SCENARIO)
    requires(mm.scanner == Scanner.WORKING, Guard.SCANNER_STATE)
    requires(negate(write_lock_free(world, mm)), Guard.WRITE_LOCK_TAKEN)
    mm.scanner = Scanner.WRITE_WAITS


@scanner(call="down_write", outcome="wakes")
def khugepaged_down_write_wakes(world: World, mm: Mm) -> None:
    """The last holder is gone."""
    requires(mm.scanner == Scanner.WRITE_WAITS, Guard.SCANNER_STATE)
    requires(lock_unheld(world, mm), Guard.WRITE_LOCK_FREE)
    mm.scanner = Scanner.WRITING
    mm.writer = Writer.SCANNER


@scanner(call="up_write")
def khugepaged_up_write(mm: Mm) -> None:
    """khugepaged is done with the range."""
    requires(mm.scanner == Scanner.WRITING, Guard.SCANNER_STATE)
    mm.scanner = Scanner.WORKING
    mm.writer = Writer.NOBODY


@scanner(call="mmdrop")
def scanner_leaves(world: World, mm: Mm) -> None:
    """khugepaged moves on to another mm; ksmd keeps its slot, and the mm_count, while the mm has users."""
    requires(mm.scanner == Scanner.WORKING, Guard.SCANNER_STATE)
    requires(either(negate(mm.ksmd), negate(users_left(world, mm))), Guard.NO_USERS_LEFT)
    mm.scanner = Scanner.ABSENT
