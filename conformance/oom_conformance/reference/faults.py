"""A page fault by somebody else (mm/memory.c: handle_mm_fault), in the forms of v4.6, v4.9 and v4.13 on."""

from __future__ import annotations

from oom_conformance.reference.exit import drop_mm_users
from oom_conformance.reference.kernel import Faulter, Kernel
from oom_conformance.reference.machine import Context, Frame
from oom_conformance.reference.objects import Mm

PATH = "fault.handle_mm_fault"
HANDLE = "__handle_mm_fault"


def do_page_fault(kernel: Kernel, context: Context, fault: Faulter) -> None:
    """The architecture's handler, on behalf of a thread that holds mm_users; at the end it drops them."""
    at = Frame(context, "fault.do_page_fault", fault.name)
    mm = fault.mm
    at.step("do_page_fault")
    while True:
        mm.mmap_sem.down_read(at, fault.name, "down_read")
        kernel.release.handle_mm_fault(kernel, context, fault)
        Frame(context, PATH, fault.name).step("return")
        if fault.result == "RETRY":
            at.step("goto retry")
            fault.result = "NONE"
            continue
        if fault.result == "COMPLETED":
            at.step("return", "VM_FAULT_COMPLETED")
        else:
            at.step("up_read")
            mm.mmap_sem.up_read(fault.name)
        break
    fault.result = "NONE"
    Frame(context, "fault.use_mm", fault.name).test(mm.is_last_user, "mmput", "last", "not last")
    fault.pins = False  # unuse_mm: a kernel thread is a user of the mm until then
    drop_mm_users(kernel, context, mm)


def maps_page(fault: Faulter, mm: Mm) -> None:
    """Under the PTL: an empty PTE at the watched address gets a page, after a reap another one than was lost."""
    if fault.at_watched:
        mm.watched = {"REAPED": "SUBSTITUTE", "EMPTY": "PRIVATE"}.get(mm.watched, mm.watched)


def retries(fault: Faulter, mm: Mm) -> None:
    """VM_FAULT_RETRY: mmap_sem is released."""
    mm.mmap_sem.up_read(fault.name)
    fault.result = "RETRY"


def handle_v4_6(kernel: Kernel, context: Context, fault: Faulter) -> None:
    """v4.6 - v4.12, without what follows __handle_mm_fault."""
    at = Frame(context, PATH, fault.name)
    mm = fault.mm
    took = at.choose(
        [
            (HANDLE, "0", None),
            ("handle_userfault", "VM_FAULT_RETRY", None),
            ("lock_page_or_retry", "VM_FAULT_RETRY", None),
        ]
    )
    if took.startswith(HANDLE):
        maps_page(fault, mm)
        fault.result = "HANDLED"
    else:
        retries(fault, mm)


def handle_v4_9(kernel: Kernel, context: Context, fault: Faulter) -> None:
    """v4.9 - v4.12: a kernel thread gets SIGBUS from an unstable mm, whatever the result was."""
    handle_v4_6(kernel, context, fault)
    at = Frame(context, PATH, fault.name)
    mm = fault.mm
    repair = kernel.release.fault_repair

    def block() -> bool:
        applies = fault.kernel_thread and mm.unstable
        return applies and not (repair == "leaves RETRY alone" and fault.result == "RETRY")

    sigbus, leaves = at.name("ret = VM_FAULT_SIGBUS"), at.name("test_bit(MMF_UNSTABLE)", "leaves the result")
    retakes = at.name("ret & VM_FAULT_RETRY")

    def next_thing() -> tuple[str]:
        if not block():
            return (leaves,)
        return (retakes,) if repair == "takes mmap_sem again" and fault.result == "RETRY" else (sigbus,)

    chosen = context.pause(next_thing)
    if chosen == retakes:
        mm.mmap_sem.down_read(at, fault.name, "down_read")
    if chosen != leaves:
        fault.result = "SIGBUS"


def handle_v4_13(kernel: Kernel, context: Context, fault: Faulter) -> None:
    """v4.13 on: check_stable_address_space on the ways that map anonymous and private pages."""
    at = Frame(context, PATH, fault.name)
    mm = fault.mm
    watched = fault.at_watched
    took = at.choose(
        [
            (HANDLE, "0", lambda: not watched),
            ("do_anonymous_page", "", lambda: watched and not fault.file_page and not fault.around and not mm.unstable),
            ("finish_fault", "", lambda: watched and fault.file_page and not fault.around and not mm.unstable),
            ("do_fault_around", "", lambda: fault.around),
            ("handle_userfault", "VM_FAULT_RETRY", lambda: not mm.unstable),
            ("lock_page_or_retry", "VM_FAULT_RETRY", None),
            ("check_stable_address_space", "", lambda: mm.unstable and not fault.around),
            (
                "fault_dirty_shared_page",
                "VM_FAULT_COMPLETED",
                lambda: kernel.release.faults_complete and not watched,
            ),
        ]
    )
    if took.endswith("VM_FAULT_RETRY]"):
        retries(fault, mm)
    elif took.endswith("VM_FAULT_COMPLETED]"):
        mm.mmap_sem.up_read(fault.name)
        fault.result = "COMPLETED"
    elif took == "check_stable_address_space":
        fault.result = "SIGBUS"
    elif took == "finish_fault":
        if at.test(lambda: mm.watched in ("EMPTY", "REAPED"), "alloc_set_pte", "", "PTE not empty"):
            maps_page(fault, mm)
        fault.result = "HANDLED"
    else:
        maps_page(fault, mm)
        fault.result = "HANDLED"
