"""Two repairs of the fault path of question 4: leave RETRY alone, or take mmap_sem again."""

from functools import partial

from oom_spec.eras.e04_v4_12 import E4
from oom_spec.language import Era, Standing, Verified, both, negate, requires
from oom_spec.protocol import faults
from oom_spec.protocol.derived import read_lock_free
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import FaultAt
from oom_spec.protocol.state import Fault, Result

handle = partial(faults.handle, commit="5b53a6ea8867", verified=Verified.COMMIT)


@faults.handle(at=FaultAt.CHECK_UNSTABLE, then=FaultAt.RETURN, call="ret = VM_FAULT_SIGBUS", verified=Verified.MAIL)
def overwrite_unless_retry(fault: Fault) -> None:
    """The block of v4.12 with one more condition: not if the result is VM_FAULT_RETRY."""
    requires(both(faults.block_applies(fault), fault.result != Result.RETRY), Guard.OVERWRITE)
    fault.result = Result.SIGBUS


@faults.handle(
    at=FaultAt.CHECK_UNSTABLE,
    then=FaultAt.RETURN,
    call="test_bit(MMF_UNSTABLE)",
    outcome="leaves the result",
    verified=Verified.MAIL,
)
def leave_result_or_retry(fault: Fault) -> None:
    """Not a kernel thread, a stable mm, or VM_FAULT_RETRY."""
    requires(negate(both(faults.block_applies(fault), fault.result != Result.RETRY)), Guard.NO_FAULT)


LEAVE_RETRY = Era(
    id="fault-leave-retry",
    title="v4.12 with a fault-path block that leaves VM_FAULT_RETRY alone",
    opened_by="what question 4 of the mail asks for",
    standing=Standing.PROPOSED,
    why="The first of two repairs of the fault path.",
    parent=E4,
    replaced=(overwrite_unless_retry, leave_result_or_retry),
)


@handle(at=FaultAt.CHECK_UNSTABLE, then=FaultAt.RETURN, call="ret = VM_FAULT_SIGBUS")
def overwrite_with_lock_held(fault: Fault) -> None:
    """The result was no VM_FAULT_RETRY: mmap_sem is still held."""
    requires(both(faults.block_applies(fault), fault.result != Result.RETRY), Guard.OVERWRITE)
    fault.result = Result.SIGBUS


@handle(at=FaultAt.CHECK_UNSTABLE, then=FaultAt.RETAKE, call="ret & VM_FAULT_RETRY")
def must_retake(fault: Fault) -> None:
    """mmap_sem was released: it must be taken again before the result is overwritten."""
    requires(both(faults.block_applies(fault), fault.result == Result.RETRY), Guard.OVERWRITE)


@handle(at=FaultAt.RETAKE, then=FaultAt.RETURN, call="down_read", waits=True)
def retake(fault: Fault) -> None:
    """down_read(mmap_sem), then VM_FAULT_SIGBUS; the assignment of the result is the thread's own."""
    requires(read_lock_free(fault.mm), Guard.READ_LOCK_FREE)
    fault.reads = True
    fault.result = Result.SIGBUS


RETAKE_LOCK = Era(
    id="fault-retake-lock",
    aliases=("5b53a6ea8867",),
    title="v4.12 with a fault-path block that takes mmap_sem again",
    opened_by='5b53a6ea8867 "mm: fix double mmap_sem unlock on MMF_UNSTABLE enforced SIGBUS"',
    why="The repair that was merged for v4.13-rc and v4.9.y, before the block went away.",
    parent=E4,
    added=(must_retake, retake),
    replaced=(overwrite_with_lock_held,),
)

ERAS = (LEAVE_RETRY, RETAKE_LOCK)
