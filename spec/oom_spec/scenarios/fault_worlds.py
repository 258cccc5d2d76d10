"""Scenarios about what a reaper may not do to others: page faults, TLBs, frozen threads."""

from __future__ import annotations

from oom_spec.language import Scenario, make
from oom_spec.protocol.state import Fault, Page
from oom_spec.scenarios.worlds import (
    BYSTANDER,
    ONE_THREAD,
    REAPER,
    bounds,
    bystander_picked,
    killer,
    limits,
    process,
    victim_mm,
    world,
)

KTHREAD_FAULT = Scenario(
    id="kthread-fault",
    why="A kernel thread that called use_mm faults on the victim's mm.",
    objects=world(
        REAPER,
        killer(eligible=("P1",)),
        victim_mm(),
        process("P1", "mm0"),
        make(Fault, "kthread", mm="mm0", kernel_thread=True, pins=True),
    ),
    bounds=bounds(),
    limits=limits(1, ONE_THREAD, "one fault, by a kernel thread"),
)

USER_FAULT = Scenario(
    id="user-fault",
    why="An anonymous page that the reaper may take is faulted on by somebody who outlives the victim's threads.",
    objects=world(
        REAPER,
        killer(eligible=("P1",)),
        victim_mm(reapable=0, watched=Page.PRIVATE),
        process("P1", "mm0"),
        make(Fault, "user", mm="mm0", at_watched=True, pins=True),
    ),
    bounds=bounds(),
    limits=limits(1, ONE_THREAD, "one fault, on the one page there is"),
)

FILE_FAULT = Scenario(
    id="file-fault",
    why="Two threads fault on one page of a private file mapping, which one of them has written to before the reap.",
    objects=world(
        REAPER,
        killer(eligible=("P1",)),
        victim_mm(reapable=0, watched=Page.EMPTY),
        process("P1", "mm0", never_exits=True),
        make(Fault, "user-A", mm="mm0", at_watched=True, file_page=True, pins=True),
        make(Fault, "user-B", mm="mm0", at_watched=True, file_page=True, pins=True),
    ),
    bounds=bounds(),
    limits=limits(1, ONE_THREAD, "two faults on the one page there is", "the victim never reaches do_exit"),
)

FAULT_AROUND = Scenario(
    id="fault-around",
    why="A read fault maps the neighbours of its page from the page cache, and never asks whether the mm is stable.",
    objects=world(
        REAPER,
        killer(eligible=("P1",)),
        victim_mm(reapable=0, watched=Page.PRIVATE),
        process("P1", "mm0"),
        make(Fault, "user", mm="mm0", at_watched=True, file_page=True, around=True, pins=True),
    ),
    bounds=bounds(),
    limits=limits(1, ONE_THREAD, "one fault, on the one page there is"),
)

TLB = Scenario(
    id="tlb",
    why="The architecture skips the TLB flush of a whole-mm gather, as arm64 did; the victim still runs.",
    objects=world(REAPER, killer(), victim_mm(flush_skipped=True), process("P1", "mm0"), BYSTANDER),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

FROZEN = Scenario(
    id="frozen",
    why="Both threads of the victim are frozen when it is killed: one is marked, and each must be thawed to exit.",
    objects=world(
        REAPER,
        killer(eligible=("P1",)),
        victim_mm(),
        process("P1", "mm0", threads=2, was_frozen=True, frozen={"P1.t0": True, "P1.t1": True}),
    ),
    bounds=bounds(),
    limits=limits(1),
)

STUCK = Scenario(
    id="stuck",
    why="The victim never acts on SIGKILL (uninterruptible sleep, ptrace stop): only the reaper can free anything.",
    objects=world(REAPER, killer(), victim_mm(), process("P1", "mm0", never_exits=True), BYSTANDER),
    bounds=bounds(retries=2),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(2, ONE_THREAD),
)

CORE_DUMP = Scenario(
    id="core-dump",
    why="The victim dumps core: it is dying, may take for ever, and does not count as freeing its memory.",
    objects=world(
        REAPER, killer(), victim_mm(), process("P1", "mm0", dumping=True, sigkill=True, never_exits=True), BYSTANDER
    ),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

EXEC = Scenario(
    id="exec",
    why="The victim is on its way through execve when it is marked: t->mm becomes another mm, oom_mm stays.",
    objects=world(REAPER, killer(), victim_mm(), process("P1", "mm0", may_exec=True), BYSTANDER),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD, "the fresh mm of the execve is left out"),
)

FAULT_WORLDS = (KTHREAD_FAULT, USER_FAULT, FILE_FAULT, FAULT_AROUND, TLB, FROZEN, STUCK, CORE_DUMP, EXEC)
