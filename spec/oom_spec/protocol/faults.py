"""A page fault by somebody else on the mm, as in v4.12 (mm/memory.c: handle_mm_fault).

Two things are modelled: the lock protocol (what the fault returns, and whether mmap_sem is still
held), and, for a fault at the address that S3 watches, whether it makes a page visible there.
"""

from __future__ import annotations

from functools import partial

from oom_spec.language import World, both, either, negate, requires, step, when
from oom_spec.protocol.derived import read_lock_free, users_left
from oom_spec.protocol.mmput import runs_mmput
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import FaultAt
from oom_spec.protocol.state import Executor, Fault, Page, Result

use_mm = partial(step, Fault, kernel="mm/mmu_context.c:use_mm")
caller = partial(step, Fault, kernel="arch:do_page_fault")
HANDLE_MM_FAULT = "mm/memory.c:handle_mm_fault"
handle = partial(step, Fault, kernel=HANDLE_MM_FAULT)
FAULT_PATH = "what the page needs"


@caller(at=FaultAt.IDLE, then=FaultAt.DOWN_READ, call="do_page_fault", waits=True, environment=True)
def fault_begins(fault: Fault) -> None:
    """A page of the mm is missing. The faulting thread holds mm_users throughout."""
    requires(fault.pins, Guard.MM_PINNED)


@caller(at=FaultAt.DOWN_READ, then=FaultAt.HANDLE, call="down_read", waits=True)
def fault_down_read(fault: Fault) -> None:
    """mmap_sem for reading."""
    requires(read_lock_free(fault.mm), Guard.READ_LOCK_FREE)
    fault.reads = True


@handle(at=FaultAt.HANDLE, then=FaultAt.CHECK_UNSTABLE, call="__handle_mm_fault", outcome="0", oracle=FAULT_PATH)
def fault_handled(fault: Fault) -> None:
    """The page is mapped; nothing on the way looks at MMF_UNSTABLE."""
    maps_page(fault)
    fault.result = Result.HANDLED


def maps_page(fault: Fault) -> None:
    """Under the PTL: an empty PTE gets a page. After a reap it is another page than the one that was lost."""
    mm = fault.mm
    seen = when(mm.watched == Page.REAPED, Page.SUBSTITUTE, when(mm.watched == Page.EMPTY, Page.PRIVATE, mm.watched))
    mm.watched = when(fault.at_watched, seen, mm.watched)


@handle(
    at=FaultAt.HANDLE,
    then=FaultAt.CHECK_UNSTABLE,
    call="handle_userfault",
    outcome="VM_FAULT_RETRY",
    oracle=FAULT_PATH,
)
def userfault_retries(fault: Fault) -> None:
    """A missing page is handed to userfaultfd: mmap_sem is released first."""
    releases_for_retry(fault)


@handle(
    at=FaultAt.HANDLE,
    then=FaultAt.CHECK_UNSTABLE,
    call="lock_page_or_retry",
    outcome="VM_FAULT_RETRY",
    oracle=FAULT_PATH,
)
def page_lock_retries(fault: Fault) -> None:
    """The page is locked by somebody: mmap_sem is released before the wait."""
    releases_for_retry(fault)


def releases_for_retry(fault: Fault) -> None:
    """VM_FAULT_RETRY says that mmap_sem is not held any more."""
    fault.reads = False
    fault.result = Result.RETRY


def block_applies(fault: Fault) -> bool:
    """PF_KTHREAD, no VM_FAULT_ERROR in the result, MMF_UNSTABLE set. RETRY is no error bit."""
    return both(fault.kernel_thread, fault.mm.unstable)


@handle(
    at=FaultAt.CHECK_UNSTABLE,
    then=FaultAt.RETURN,
    call="ret = VM_FAULT_SIGBUS",
    commit="3f70dc38cec2",
)
def overwrite_with_sigbus(fault: Fault) -> None:
    """The kernel thread must not see refaulted contents of a reaped mm: whatever the result was, it is replaced."""
    requires(block_applies(fault), Guard.OVERWRITE)
    fault.result = Result.SIGBUS


@handle(at=FaultAt.CHECK_UNSTABLE, then=FaultAt.RETURN, call="test_bit(MMF_UNSTABLE)", outcome="leaves the result")
def leave_result(fault: Fault) -> None:
    """Not a kernel thread, or the mm is stable."""
    requires(negate(block_applies(fault)), Guard.NO_FAULT)


@handle(at=FaultAt.RETURN, then=FaultAt.CALLER, call="return")
def fault_returns(world: World, fault: Fault) -> None:
    """Back in the architecture's code, which trusts the result about the lock."""
    world.announce(Event.FAULT_RETURNS, fault)


@caller(at=FaultAt.CALLER, then=FaultAt.DOWN_READ, call="goto retry")
def caller_retries(fault: Fault) -> None:
    """VM_FAULT_RETRY: mmap_sem was released, so take it again."""
    requires(fault.result == Result.RETRY, Guard.RESULT)
    fault.result = Result.NONE


@caller(at=FaultAt.CALLER, then=FaultAt.MMPUT, call="up_read")
def caller_up_read(fault: Fault) -> None:
    """Anything else: mmap_sem is still held, as far as the caller knows."""
    requires(fault.result != Result.RETRY, Guard.RESULT)
    fault.reads = False
    fault.result = Result.NONE


@use_mm(at=FaultAt.MMPUT, then=FaultAt.DONE, call="mmput", outcome="last", waits=True)
def fault_mmput_last(world: World, fault: Fault) -> None:
    """The faulting thread drops the last mm_users and runs __mmput."""
    fault.pins = False
    mm = fault.mm
    runs_mmput(world, mm, Executor.KTHREAD)


@use_mm(at=FaultAt.MMPUT, then=FaultAt.DONE, call="mmput", outcome="not last", waits=True)
def fault_mmput_not_last(world: World, fault: Fault) -> None:
    """Somebody else still uses the mm."""
    fault.pins = False
    requires(users_left(world, fault.mm), Guard.NOT_LAST_USER)


def lock_kept(fault: Fault) -> bool:
    """S4: the lock is held, unless the result says that it is not."""
    return either(fault.reads, fault.result == Result.RETRY, fault.result == Result.COMPLETED)
