"""Scenarios with more than one victim, more than one sharer, or a longer list."""

from __future__ import annotations

from oom_spec.language import Scenario, World, make
from oom_spec.protocol.state import Killer, Mm
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
    second_victim,
    victim_mm,
    world,
)

LAST_ATTEMPT = Scenario(
    id="last-attempt",
    why="As `single`, and it is kept which killer's last allocation attempt came before the reap (N4).",
    objects=world(
        make(World, "world", attempt_watched=True), REAPER, killer(), victim_mm(), process("P1", "mm0"), BYSTANDER
    ),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

LAST_ATTEMPT_BLOCKED = Scenario(
    id="last-attempt-foreign-writer",
    why="As `last-attempt`, and somebody may keep mmap_sem for writing: the reaper may give up.",
    objects=world(
        make(World, "world", attempt_watched=True),
        REAPER,
        killer(),
        victim_mm(foreign_users=1, foreign_may_write=True),
        process("P1", "mm0"),
        BYSTANDER,
    ),
    bounds=bounds(users=1, retries=2),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(2, ONE_THREAD),
)

DYING_ALLOCATES_MLOCKED = Scenario(
    id="dying-allocates-mlocked",
    why="As `dying-allocates`, and part of the victim's memory is locked: a second job of the reaper meets munlock.",
    objects=world(
        REAPER,
        killer(eligible=("P1",)),
        make(Killer, "killer-self", eligible={"P1": True}, current="P1.t0"),
        victim_mm(mlocked=1, vm_locked=True),
        process("P1", "mm0"),
    ),
    bounds=bounds(),
    limits=limits(1, ONE_THREAD),
)

DYING_SHARER = Scenario(
    id="dying-sharer-aio",
    why="A dying thread allocates, its mm is shared by a process that lives on for a while, and exit_aio may block.",
    objects=world(
        REAPER,
        make(Killer, "killer-self", eligible={"P1": True}, current="P1.t0"),
        victim_mm(aio_may_block=True),
        process("P1", "mm0", sigkill=True),
        process("P2", "mm0", may_exit=True),
    ),
    bounds=bounds(),
    limits=limits(1, ONE_THREAD),
)

EMPTY_MM_BLOCKED = Scenario(
    id="empty-mm-aio",
    why="As `empty-mm`, and exit_aio may block before exit_mmap finds that there is nothing to do.",
    objects=world(
        REAPER,
        killer(),
        victim_mm(reapable=0, vmas="NEVER", unmapped=True, aio_may_block=True),
        process("P1", "mm0"),
        BYSTANDER,
    ),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

VOLUNTARY_THREADS = Scenario(
    id="voluntary-threads",
    why="Two threads that may exit by themselves: the leader may be gone before its process is killed.",
    objects=world(REAPER, killer(eligible=("P1",)), victim_mm(), process("P1", "mm0", threads=2, may_exit=True)),
    bounds=bounds(),
    limits=limits(1),
)

INIT_AND_SHARER = Scenario(
    id="init-and-sharer",
    why="Global init and another process share the victim's mm: the walk over the users meets both.",
    objects=world(
        REAPER,
        killer(),
        victim_mm(),
        process("P1", "mm0"),
        process("P3", "mm0"),
        process("init", "mm0", global_init=True),
        BYSTANDER,
    ),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

EXITING_SHARER = Scenario(
    id="exiting-sharer",
    why="The victim exits by itself while a process that shares its mm lives on.",
    objects=world(
        REAPER,
        killer(eligible=("P1", "P2")),
        victim_mm(),
        process("P1", "mm0", may_exit=True),
        process("P3", "mm0", never_exits=True),
        BYSTANDER,
    ),
    bounds=bounds(),
    ends=second_victim,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

EXEC_FOREIGN = Scenario(
    id="exec-foreign-user",
    why="The victim goes through execve while somebody else still holds mm_users of the old mm.",
    objects=world(REAPER, killer(eligible=("P1",)), victim_mm(foreign_users=1), process("P1", "mm0", may_exec=True)),
    bounds=bounds(users=1),
    limits=limits(1, ONE_THREAD, "the fresh mm of the execve is left out"),
)

VOLUNTARY_KINDS = Scenario(
    id="voluntary-memory-kinds",
    why="A process with mlocked and unreapable memory may exit by itself, victim or not.",
    objects=world(
        REAPER,
        killer(eligible=("P1",)),
        victim_mm(mlocked=1, vm_locked=True, unreapable=1),
        process("P1", "mm0", may_exit=True),
    ),
    bounds=bounds(),
    limits=limits(1, ONE_THREAD),
)

MEMCG_ALONE = Scenario(
    id="memcg-alone",
    why="The victim is the only process of its cgroup: later scans of the cgroup find nobody.",
    objects=world(REAPER, killer(memcg=True, eligible=("P1",)), victim_mm(), process("P1", "mm0")),
    bounds=bounds(),
    limits=limits(1, ONE_THREAD),
)

MEMCG_THREADS = Scenario(
    id="memcg-threads",
    why="A memory cgroup's OOM and a victim with two threads, of which the leader may leave the cgroup first.",
    objects=world(REAPER, killer(memcg=True), victim_mm(), process("P1", "mm0", threads=2), BYSTANDER),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1),
)

OOM_GROUP = Scenario(
    id="oom-group",
    why="memory.oom.group: every process of the cgroup is killed under one oom_lock, and each mm is queued.",
    objects=world(
        REAPER,
        make(Killer, "killer", memcg=True, oom_group=True, eligible={"P1": True, "P3": True}),
        victim_mm(),
        make(Mm, "mm2", reapable=0),
        process("P1", "mm0"),
        process("P3", "mm2", never_exits=True),
    ),
    bounds=bounds(),
    limits=limits(1, ONE_THREAD, "the other process of the cgroup never reaches do_exit"),
)

GROUP_OF_SHARERS = Scenario(
    id="group-of-sharers",
    why="memory.oom.group with two processes that share one mm: 9bcdeb51bd7d was found with such a cgroup.",
    objects=world(
        REAPER,
        make(Killer, "killer", memcg=True, oom_group=True, eligible={"P1": True, "P3": True}),
        victim_mm(),
        process("P1", "mm0"),
        process("P3", "mm0", never_exits=True),
    ),
    bounds=bounds(),
    limits=limits(1, ONE_THREAD, "the other process of the cgroup never reaches do_exit"),
)

TWO_VICTIMS = Scenario(
    id="two-victims",
    why="Two victims in two domains, on the list together; one of them exits, the other never reaches do_exit.",
    objects=world(
        REAPER,
        killer("killer-A", eligible=("P1",)),
        killer("killer-B", eligible=("P2",)),
        victim_mm(),
        make(Mm, "mm1", reapable=1),
        process("P1", "mm0"),
        process("P2", "mm1", never_exits=True),
    ),
    bounds=bounds(),
    limits=(ONE_PAGE, "MAX_OOM_REAP_RETRIES = 1 instead of 10", ONE_THREAD, "the second victim never reaches do_exit"),
    slow=True,
)

TWO_STUCK = Scenario(
    id="two-stuck",
    why="Two victims in two domains that never reach do_exit: the list holds both, and only the reaper acts.",
    objects=world(
        REAPER,
        killer("killer-A", eligible=("P1",)),
        killer("killer-B", eligible=("P2",)),
        victim_mm(),
        make(Mm, "mm1", reapable=1),
        process("P1", "mm0", never_exits=True),
        process("P2", "mm1", never_exits=True),
    ),
    bounds=bounds(),
    limits=(ONE_PAGE, "MAX_OOM_REAP_RETRIES = 1 instead of 10", ONE_THREAD, "no victim reaches do_exit"),
)

LIST_OF_THREE = Scenario(
    id="list-of-three",
    why="Three dying threads of one process allocate and queue themselves: a list of three, cut or tied to a ring.",
    objects=world(
        REAPER,
        make(Killer, "killer-t0", eligible={"P1": True}, current="P1.t0"),
        make(Killer, "killer-t1", eligible={"P1": True}, current="P1.t1"),
        make(Killer, "killer-t2", eligible={"P1": True}, current="P1.t2"),
        victim_mm(reapable=0),
        process("P1", "mm0", threads=3, sigkill=True, never_exits=True),
    ),
    bounds=bounds(),
    limits=(
        "no page is left to reap",
        "MAX_OOM_REAP_RETRIES = 1 instead of 10",
        "the process is killed before the first allocation",
    ),
    slow=True,
)

CROWDED_WORLDS = (
    LAST_ATTEMPT,
    LAST_ATTEMPT_BLOCKED,
    DYING_ALLOCATES_MLOCKED,
    DYING_SHARER,
    EMPTY_MM_BLOCKED,
    VOLUNTARY_THREADS,
    INIT_AND_SHARER,
    EXITING_SHARER,
    EXEC_FOREIGN,
    VOLUNTARY_KINDS,
    MEMCG_ALONE,
    MEMCG_THREADS,
    OOM_GROUP,
    GROUP_OF_SHARERS,
    TWO_VICTIMS,
    TWO_STUCK,
    LIST_OF_THREE,
)
