"""E4b: v4.13. The fault-path block is gone; every fault checks whether the mm is stable."""

from functools import partial

from oom_spec.eras.e04_v4_12 import E4
from oom_spec.language import Era, both, either, negate, requires, step
from oom_spec.protocol import faults
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import FaultAt
from oom_spec.protocol.state import Fault, Page, Result

in_fault = partial(step, Fault, kernel=faults.HANDLE_MM_FAULT)
fault_path = partial(
    step, Fault, at=FaultAt.HANDLE, then=FaultAt.RETURN, kernel=faults.HANDLE_MM_FAULT, oracle=faults.FAULT_PATH
)


@fault_path(call="__handle_mm_fault", outcome="0", commit="6b31d5955cb2")
def fault_handled(fault: Fault) -> None:
    """Somewhere else than where S3 looks. Nothing is overwritten any more; swap-in and present PTEs do not check."""
    requires(negate(fault.at_watched), Guard.NOT_AT_WATCHED)
    fault.result = Result.HANDLED


@fault_path(call="do_anonymous_page", commit="6b31d5955cb2")
def anonymous_page(fault: Fault) -> None:
    """The check is made under the PTL, after the PTE was seen empty: with the mapping it is one step."""
    requires(fault.at_watched, Guard.AT_WATCHED)
    requires(negate(either(fault.file_page, fault.around)), Guard.FAULT_KIND)
    requires(negate(fault.mm.unstable), Guard.UNSTABLE_CLEAR)
    faults.maps_page(fault)
    fault.result = Result.HANDLED


@in_fault(at=FaultAt.HANDLE, then=FaultAt.INSTALL, call="finish_fault", oracle=faults.FAULT_PATH, commit="6b31d5955cb2")
def private_file_page(fault: Fault) -> None:
    """A page of a private file mapping: the check is made before the PTL is taken."""
    requires(fault.at_watched, Guard.AT_WATCHED)
    requires(both(fault.file_page, negate(fault.around)), Guard.FAULT_KIND)
    requires(negate(fault.mm.unstable), Guard.UNSTABLE_CLEAR)


@in_fault(at=FaultAt.INSTALL, then=FaultAt.RETURN, call="alloc_set_pte", commit="6b31d5955cb2")
def private_file_page_mapped(fault: Fault) -> None:
    """Under the PTL only the PTE is looked at again."""
    requires(pte_is_empty(fault), Guard.PTE_EMPTY)
    faults.maps_page(fault)
    fault.result = Result.HANDLED


@in_fault(at=FaultAt.INSTALL, then=FaultAt.RETURN, call="alloc_set_pte", outcome="PTE not empty", commit="6b31d5955cb2")
def private_file_page_there(fault: Fault) -> None:
    """Somebody else was quicker."""
    requires(negate(pte_is_empty(fault)), Guard.PTE_PRESENT)
    fault.result = Result.HANDLED


def pte_is_empty(fault: Fault) -> bool:
    """No page is mapped at the watched address."""
    return either(fault.mm.watched == Page.EMPTY, fault.mm.watched == Page.REAPED)


@fault_path(call="do_fault_around", commit="6b31d5955cb2")
def fault_around(fault: Fault) -> None:
    """filemap_map_pages maps what the page cache has at every empty PTE nearby; it never looks at MMF_UNSTABLE."""
    requires(fault.at_watched, Guard.AT_WATCHED)
    requires(fault.around, Guard.FAULT_KIND)
    faults.maps_page(fault)
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
    """Anonymous and private faults fail with mmap_sem still held, for every task; fault-around does not ask."""
    requires(negate(both(fault.at_watched, fault.around)), Guard.FAULT_KIND)
    requires(fault.mm.unstable, Guard.UNSTABLE_SET)
    fault.result = Result.SIGBUS


E4B = Era(
    id="E4b",
    aliases=("v4.13", "4.13"),
    title="v4.13: check_stable_address_space in the fault path instead of the block",
    opened_by='6b31d5955cb2 "mm, oom: fix potential data corruption when oom_reaper races with writer"',
    why="The release in which question 4 of the mail was settled.",
    parent=E4,
    added=(
        anonymous_page,
        private_file_page,
        private_file_page_mapped,
        private_file_page_there,
        fault_around,
        fault_finds_unstable_mm,
    ),
    replaced=(fault_handled, userfault_retries, page_lock_retries),
    removed=(faults.overwrite_with_sigbus.id, faults.leave_result.id),
)

ERAS = (E4B,)
