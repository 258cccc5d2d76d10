"""MMU notifiers and the reaper (mm/oom_kill.c), v4.16 on.

* v4.16 - v4.18: an mm with a notifier that may block is not reaped at all (`BLOCKABLE`).
* v4.19 on: a notifier may refuse a non-blocking call for a VMA; the pass is then incomplete, and is
  tried again (`INCOMPLETE`).

v4.14 and v4.15, which skip every mm with notifiers, are in their era. Once mmu_notifier_release is
over no notifier is left to call; from v4.16 on that matters.
"""

from __future__ import annotations

from functools import partial

from oom_spec.language import both, negate, requires, step, when
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import MmputAt, ReapAt
from oom_spec.protocol.reaper import WALK, completes_pass, reap_mm
from oom_spec.protocol.state import Excuse, Mm, Reaper, Task

ONLY_BLOCKABLE = "5ff7091f5a2c"
NON_BLOCKING = "93065ac753e4"
HAS_BLOCKABLE = "mm_has_blockable_invalidate_notifiers"

exit_mmap = partial(step, Mm, kernel="mm/mmap.c:exit_mmap")
blockable = partial(reap_mm, at=ReapAt.NOTIFIERS, call=HAS_BLOCKABLE, commit=ONLY_BLOCKABLE)
nonblock = partial(reap_mm, at=ReapAt.ZAP, optional=True, oracle=WALK, commit=NON_BLOCKING)


def has_blockable_notifiers(mm: Mm) -> bool:
    """A registered notifier of this mm may block."""
    return both(mm.notifiers, mm.notifiers_may_block, negate(mm.notifiers_released))


@exit_mmap(at=MmputAt.NOTIFIER_RELEASE, then=MmputAt.MUNLOCK, call="mmu_notifier_release", commit=ONLY_BLOCKABLE)
def mmu_notifier_release(mm: Mm) -> None:
    """The notifiers are told and unlinked; whoever looks for one finds none."""
    mm.notifiers_released = True


@blockable(then=ReapAt.TEST_SKIP, outcome="no")
def no_blockable_notifiers(reaper: Reaper, task: Task) -> None:
    """The mm may be reaped; notifiers that cannot block are called for each VMA."""
    requires(negate(has_blockable_notifiers(task.process.mm)), Guard.NO_NOTIFIERS)


@blockable(then=ReapAt.NOTIFIERS_SLEEP, outcome="yes")
def has_blockable(reaper: Reaper, task: Task) -> None:
    """A notifier might block: do not reap at all."""
    mm = task.process.mm
    requires(has_blockable_notifiers(mm), Guard.HAS_NOTIFIERS)
    mm.excuse = when(mm.excuse == Excuse.NONE, Excuse.NOTIFIERS, mm.excuse)


BLOCKABLE = (no_blockable_notifiers, has_blockable)


@reap_mm(at=ReapAt.SET_UNSTABLE, then=ReapAt.ZAP, call="set_bit(MMF_UNSTABLE)", commit=NON_BLOCKING)
def set_unstable(reaper: Reaper, task: Task) -> None:
    """As before; no VMA has been refused in this walk yet."""
    mm = task.process.mm
    mm.unstable = True
    mm.walked_by_reaper = True
    reaper.incomplete = False


@nonblock(then=ReapAt.ZAP, call="mmu_notifier_invalidate_range_start_nonblock", outcome="refuses")
def notifier_refuses(reaper: Reaper, task: Task) -> None:
    """A notifier would have to block: this VMA keeps its pages, if it has any, and the walk goes on with the next."""
    requires(has_blockable_notifiers(task.process.mm), Guard.NOTIFIER_REFUSES)
    requires(negate(reaper.incomplete), Guard.PASS_NOT_REFUSED)
    reaper.incomplete = True


@reap_mm(at=ReapAt.ZAP, then=ReapAt.UP_READ_REAPED, call="tlb_finish_mmu", commit=NON_BLOCKING)
def pass_completed(reaper: Reaper, task: Task) -> None:
    """Every eligible VMA was walked under a gather of its own, and none was refused."""
    not_refused(reaper)
    completes_pass(reaper, task)


def not_refused(reaper: Reaper) -> None:
    """No notifier refused a VMA in this walk."""
    requires(negate(reaper.incomplete), Guard.PASS_NOT_REFUSED)


@nonblock(then=ReapAt.UP_READ_INCOMPLETE, call="tlb_finish_mmu", outcome="incomplete")
def pass_incomplete(reaper: Reaper, task: Task) -> None:
    """The walk is over, and some VMA was refused: __oom_reap_task_mm returns false.

    Refused pages may still be mapped, or exit_mmap may have unmapped them meanwhile.
    """
    requires(reaper.incomplete, Guard.PASS_INCOMPLETE)
    task.process.mm.walked_by_reaper = False


@reap_mm(at=ReapAt.UP_READ_INCOMPLETE, then=ReapAt.RETRY, call="up_read", outcome="incomplete", commit=NON_BLOCKING)
def up_read_after_incomplete_pass(reaper: Reaper, task: Task) -> None:
    """Releases mmap_sem and returns false: this attempt failed, like one whose trylock failed."""
    task.process.mm.read_by_reaper = False
    reaper.incomplete = False
    reaper.attempts += 1


INCOMPLETE_ADDED = (notifier_refuses, pass_incomplete, up_read_after_incomplete_pass)
INCOMPLETE_REPLACED = (set_unstable, pass_completed)
