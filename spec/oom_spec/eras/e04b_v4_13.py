"""E4b: v4.13. The fault-path block is gone; every fault checks whether the mm is stable."""

from functools import partial

from oom_spec.eras.e04_v4_12 import E4
from oom_spec.language import Era, negate, requires, step
from oom_spec.protocol import faults
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import FaultAt
from oom_spec.protocol.state import Fault, Result

fault_path = partial(
    step, Fault, at=FaultAt.HANDLE, then=FaultAt.RETURN, kernel=faults.HANDLE_MM_FAULT, oracle=faults.FAULT_PATH
)


@fault_path(call="__handle_mm_fault", outcome="0", commit="6b31d5955cb2")
def fault_handled(fault: Fault) -> None:
    """Nothing is overwritten any more. Swap-in, present PTEs and fault-around do not check."""
    fault.result = Result.HANDLED


@fault_path(call="handle_userfault", outcome="VM_FAULT_RETRY", commit="6b31d5955cb2")
def userfault_retries(fault: Fault) -> None:
    """The stability check comes first: an unstable mm never reports a missing page to userfaultfd."""
    requires(negate(fault.mm.unstable), Guard.UNSTABLE_CLEAR)
    faults.releases_for_retry(fault)


@fault_path(call="lock_page_or_retry", outcome="VM_FAULT_RETRY", commit="6b31d5955cb2")
def page_lock_retries(fault: Fault) -> None:
    """The page is locked by somebody; swap-in does not check for stability."""
    faults.releases_for_retry(fault)


@fault_path(call="check_stable_address_space", commit="6b31d5955cb2")
def fault_finds_unstable_mm(fault: Fault) -> None:
    """Anonymous and private faults fail with mmap_sem still held, for every task."""
    requires(fault.mm.unstable, Guard.UNSTABLE_SET)
    fault.result = Result.SIGBUS


E4B = Era(
    id="E4b",
    aliases=("v4.13", "4.13"),
    title="v4.13: check_stable_address_space in the fault path instead of the block",
    opened_by='6b31d5955cb2 "mm, oom: fix potential data corruption when oom_reaper races with writer"',
    why="The release in which question 4 of the mail was settled.",
    parent=E4,
    added=(fault_finds_unstable_mm,),
    replaced=(fault_handled, userfault_retries, page_lock_retries),
    removed=(faults.overwrite_with_sigbus.id, faults.leave_result.id),
)

ERAS = (E4B,)
