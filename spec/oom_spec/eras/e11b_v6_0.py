"""E11b: v6.0. A fault may complete with mmap_lock released."""

from functools import partial

from oom_spec.eras.e04b_v4_13 import fault_path as in_fault_path
from oom_spec.eras.e11_v5_18 import E11
from oom_spec.language import Era, both, negate, requires
from oom_spec.protocol import faults
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import FaultAt
from oom_spec.protocol.state import Fault, Result

INTRODUCED = "d92725256b4f"
caller = partial(faults.caller, commit=INTRODUCED)


@in_fault_path(call="fault_dirty_shared_page", outcome="VM_FAULT_COMPLETED", commit=INTRODUCED)
def shared_page_completes(fault: Fault) -> None:
    """A write to a shared file page: it is mapped, mmap_lock is released, and the writer is throttled.

    Shared mappings are never reaped, so nothing on the way looks at MMF_UNSTABLE.
    """
    requires(negate(fault.at_watched), Guard.NOT_AT_WATCHED)
    fault.reads = False
    fault.result = Result.COMPLETED


@caller(at=FaultAt.CALLER, then=FaultAt.MMPUT, call="return", outcome="VM_FAULT_COMPLETED")
def caller_completed(fault: Fault) -> None:
    """The fault is over, and the lock is not held any more."""
    requires(fault.result == Result.COMPLETED, Guard.RESULT)
    fault.result = Result.NONE


@caller(at=FaultAt.CALLER, then=FaultAt.MMPUT, call="up_read")
def caller_up_read(fault: Fault) -> None:
    """Anything else: mmap_lock is still held."""
    requires(both(fault.result != Result.RETRY, fault.result != Result.COMPLETED), Guard.RESULT)
    fault.reads = False
    fault.result = Result.NONE


E11B = Era(
    id="E11b",
    aliases=("v6.0", "6.0"),
    title="v6.0: VM_FAULT_COMPLETED, a fault that is done and has released mmap_lock",
    opened_by='d92725256b4f "mm: avoid unnecessary page fault retires on shared memory types"',
    why="The contract of the fault path, which question 4 of the mail asks about, gets a second exception.",
    parent=E11,
    added=(shared_page_completes, caller_completed),
    replaced=(caller_up_read,),
)

ERAS = (E11B,)
