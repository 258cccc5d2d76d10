"""Worlds with a caller of process_mrelease, and worlds with a fork that fails."""

from __future__ import annotations

from oom_spec.language import Scenario, make
from oom_spec.language.objects import Made
from oom_spec.protocol.state import Fault, Fork, Mm, Mrelease, Page, Presence, Walker
from oom_spec.scenarios.worlds import (
    BYSTANDER,
    ONE_PAGE,
    ONE_THREAD,
    REAPER,
    bounds,
    bystander_picked,
    killer,
    limits,
    process,
    victim_marked_and_queued,
    victim_mm,
    world,
)

NO_OOM = "no OOM killer and no reaper"
ONE_CALL = "one call of process_mrelease"
MRELEASE_CALLER = make(Mrelease, "mrelease", target="P1")

MRELEASE = Scenario(
    id="mrelease",
    about=(Mrelease,),
    why="process_mrelease of the victim beside the reaper, at any time before, during or after the kill.",
    objects=world(REAPER, killer(), victim_mm(), process("P1", "mm0"), MRELEASE_CALLER, BYSTANDER),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD, ONE_CALL),
)

MRELEASE_UNMARKED = Scenario(
    id="mrelease-unmarked",
    about=(Mrelease,),
    why="The target was killed by somebody else: the OOM killer never marks it, so exit_mmap treats it as any mm.",
    objects=world(victim_mm(aio_may_block=True), process("P1", "mm0", sigkill=True), MRELEASE_CALLER),
    bounds=bounds(),
    limits=(ONE_PAGE, ONE_THREAD, ONE_CALL, NO_OOM),
)

MRELEASE_MLOCKED = Scenario(
    id="mrelease-mlocked",
    about=(Mrelease,),
    why="The unmarked target has mlocked and unreapable memory, which not every release walks.",
    objects=world(
        victim_mm(mlocked=1, vm_locked=True, unreapable=1), process("P1", "mm0", sigkill=True), MRELEASE_CALLER
    ),
    bounds=bounds(),
    limits=(ONE_PAGE, ONE_THREAD, ONE_CALL, NO_OOM),
)

MRELEASE_FOREIGN_USER = Scenario(
    id="mrelease-foreign-user",
    about=(Mrelease,),
    why="A /proc reader holds mm_users of the unmarked target, takes mmap_lock either way, and may drop it last.",
    objects=world(
        victim_mm(foreign_users=1, foreign_may_read=True, foreign_may_write=True),
        process("P1", "mm0", sigkill=True),
        MRELEASE_CALLER,
    ),
    bounds=bounds(users=1),
    limits=(ONE_PAGE, ONE_THREAD, ONE_CALL, NO_OOM),
)

MRELEASE_THREADS = Scenario(
    id="mrelease-threads",
    about=(Mrelease,),
    why="The unmarked target has two threads: find_lock_task_mm may find the second, after the leader is gone.",
    objects=world(victim_mm(), process("P1", "mm0", threads=2, sigkill=True), MRELEASE_CALLER),
    bounds=bounds(),
    limits=(ONE_PAGE, ONE_CALL, NO_OOM),
)

MRELEASE_SHARER = Scenario(
    id="mrelease-sharer",
    about=(Mrelease,),
    why="Another process shares the unmarked target's mm and may live on with it, or exit by itself.",
    objects=world(
        victim_mm(), process("P1", "mm0", sigkill=True), process("P3", "mm0", may_exit=True), MRELEASE_CALLER
    ),
    bounds=bounds(),
    limits=(ONE_PAGE, ONE_THREAD, ONE_CALL, NO_OOM),
)

MRELEASE_NOTIFIERS = Scenario(
    id="mrelease-notifiers",
    about=(Mrelease,),
    why="The unmarked target has mmu notifiers that may block: a VMA may be refused, and the call return EAGAIN.",
    objects=world(
        victim_mm(notifiers=True, notifiers_may_block=True), process("P1", "mm0", sigkill=True), MRELEASE_CALLER
    ),
    bounds=bounds(),
    limits=(ONE_PAGE, ONE_THREAD, ONE_CALL, NO_OOM),
)

MRELEASE_NOTIFIERS_OOM = Scenario(
    id="mrelease-notifiers-oom",
    about=(Mrelease,),
    why="The same beside the reaper, which the notifiers may refuse until it gives up; from mark and queue on.",
    objects=world(
        REAPER,
        killer(eligible=("P1",)),
        victim_mm(notifiers=True, notifiers_may_block=True),
        process("P1", "mm0"),
        MRELEASE_CALLER,
    ),
    bounds=bounds(),
    starts_after=victim_marked_and_queued,
    starts_after_text="the victim is marked and queued, and oom_lock is free",
    limits=limits(1, ONE_THREAD, ONE_CALL, "no second candidate in reach"),
)

MRELEASE_WATCHED = Scenario(
    id="mrelease-watched",
    about=(Mrelease,),
    why="A kernel thread that called use_mm faults at a private page of the target that the walk may have cleared.",
    objects=world(
        victim_mm(watched=Page.PRIVATE),
        process("P1", "mm0", sigkill=True),
        MRELEASE_CALLER,
        make(Fault, "kthread", mm="mm0", kernel_thread=True, pins=True, at_watched=True),
    ),
    bounds=bounds(),
    limits=(ONE_PAGE, ONE_THREAD, ONE_CALL, NO_OOM, "one fault, by a kernel thread"),
)

MRELEASE_TWICE = Scenario(
    id="mrelease-twice",
    about=(Mrelease,),
    why="Two callers with a pidfd of the same unmarked target, beside its exit.",
    objects=world(
        victim_mm(),
        process("P1", "mm0", sigkill=True),
        MRELEASE_CALLER,
        make(Mrelease, "mrelease-2", target="P1"),
    ),
    bounds=bounds(),
    limits=(ONE_PAGE, ONE_THREAD, "two calls of process_mrelease", NO_OOM),
)


MRELEASE_EMPTY = Scenario(
    id="mrelease-empty",
    about=(Mrelease,),
    why="The unmarked target has no VMA at all: its exit sets no flag, and the walk has nothing to visit.",
    objects=world(
        victim_mm(reapable=0, vmas=Presence.NEVER, unmapped=True),
        process("P1", "mm0", sigkill=True),
        MRELEASE_CALLER,
    ),
    bounds=bounds(),
    limits=("no page", ONE_THREAD, ONE_CALL, NO_OOM),
)

WALKERS_OF_VICTIM = Scenario(
    id="walkers-of-victim",
    about=(Walker,),
    why="uprobes and swapoff find the mm of a process that was killed: they pin it, and may tear it down.",
    objects=world(
        victim_mm(),
        process("P1", "mm0", sigkill=True),
        make(Walker, "uprobes", mm="mm0"),
        make(Walker, "swapoff", mm="mm0", swapoff=True),
    ),
    bounds=bounds(),
    limits=(ONE_PAGE, ONE_THREAD, NO_OOM),
)

SWAPOFF_BESIDE_REAPER = Scenario(
    id="swapoff-beside-reaper",
    about=(Walker,),
    why="swapoff finds the mm of an OOM victim by the mmlist: it holds mm_users and mmap_lock beside the reaper.",
    objects=world(
        REAPER,
        killer(eligible=("P1",)),
        victim_mm(),
        process("P1", "mm0"),
        make(Walker, "swapoff", mm="mm0", swapoff=True),
    ),
    bounds=bounds(),
    limits=limits(1, ONE_THREAD, "no second candidate in reach"),
)


def child_mm() -> Made:
    """The mm that a fork is about to build: no VMA yet."""
    return make(Mm, "mm-child", vmas=Presence.NEVER)


FORKER = make(Fork, "forker", child="mm-child")
UPROBES = make(Walker, "uprobes", mm="mm-child")
SWAPOFF = make(Walker, "swapoff", mm="mm-child", swapoff=True)
GALLERY_OBJECTS = (MRELEASE_CALLER, child_mm(), FORKER, UPROBES, SWAPOFF)
"""One object of each class of this module, for a world that has one of every class."""
FORK_LIMITS = (ONE_PAGE, "one fork, which fails", "the child's mm has a single page to copy")

FAILED_FORK = Scenario(
    id="failed-fork",
    about=(Fork, Walker),
    why="A fork fails in dup_mmap while uprobes may find the child's mm by rmap and swapoff by the mmlist.",
    objects=world(child_mm(), FORKER, UPROBES, SWAPOFF),
    bounds=bounds(),
    limits=(*FORK_LIMITS, NO_OOM),
)

FAILED_FORK_UPROBES = Scenario(
    id="failed-fork-uprobes",
    about=(Fork, Walker),
    why="The same with uprobes alone: the two walkers were repaired in different releases.",
    objects=world(child_mm(), FORKER, UPROBES),
    bounds=bounds(),
    limits=(*FORK_LIMITS, NO_OOM),
)

FAILED_FORK_OOM = Scenario(
    id="failed-fork-oom",
    about=(Fork,),
    why="The fork fails beside an OOM kill and its reaper, which must not meet the child's mm.",
    objects=world(
        REAPER,
        killer(eligible=("P1",)),
        victim_mm(),
        process("P1", "mm0"),
        child_mm(),
        FORKER,
    ),
    bounds=bounds(),
    limits=(*FORK_LIMITS, "MAX_OOM_REAP_RETRIES = 1 instead of 10", ONE_THREAD, "nobody else finds the child's mm"),
    slow=True,
)

RELEASE_WORLDS = (
    MRELEASE,
    MRELEASE_UNMARKED,
    MRELEASE_MLOCKED,
    MRELEASE_FOREIGN_USER,
    MRELEASE_THREADS,
    MRELEASE_SHARER,
    MRELEASE_NOTIFIERS,
    MRELEASE_NOTIFIERS_OOM,
    MRELEASE_WATCHED,
    MRELEASE_TWICE,
    MRELEASE_EMPTY,
    WALKERS_OF_VICTIM,
    SWAPOFF_BESIDE_REAPER,
    FAILED_FORK,
    FAILED_FORK_UPROBES,
    FAILED_FORK_OOM,
)
