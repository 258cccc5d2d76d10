"""Scenarios: tiny worlds, each with a sentence of why it exists."""

from __future__ import annotations

from oom_spec.language import Scenario, World, both, either, every, make, negate, some
from oom_spec.language.objects import Made
from oom_spec.protocol.state import Killer, Mm, Process, Reaper, Scanner, Task

ONE_THREAD = "one thread per process"
ONE_PAGE = "one page of each kind"


def bystander_picked(world: World) -> bool:
    """A killer has picked the bystander: what follows concerns another victim."""
    return some(
        world.all(Killer),
        lambda killer: some(world.all(Task), lambda task: both(killer.victim == task, task.process.bystander)),
    )


def sharer_killed(world: World) -> bool:
    """A second process that uses the mm of a marked one was marked too, and that kill is over."""
    return both(
        some(
            world.all(Process),
            lambda process: both(
                process.oom_mm,
                some(world.all(Process), lambda other: both(other != process, other.mm == process.mm, other.oom_mm)),
            ),
        ),
        every(world.all(Killer), lambda killer: negate(killer.holds_oom_lock)),
    )


def second_victim(world: World) -> bool:
    """The bystander is picked, or the process that shares the mm was killed on its own account."""
    return either(bystander_picked(world), sharer_killed(world))


def victim_marked_and_queued(world: World) -> bool:
    """The first victim is marked and queued, still in user mode, and the killer is out of the OOM killer."""
    return both(
        some(world.all(Task), lambda task: both(task.process.oom_mm, task.queue_depth != 0, negate(task.exiting))),
        every(world.all(Killer), lambda killer: negate(killer.holds_oom_lock)),
    )


def bounds(*, pages: int = 1, retries: int = 1, users: int = 0, readers: int = 1) -> dict[str, int]:
    """The bounds of a scenario's counts; ``retries`` stands for MAX_OOM_REAP_RETRIES, 10 in the kernel."""
    return {"pages": pages, "retries": retries, "foreign_users": users, "foreign_readers": readers}


def limits(retries: int, *more: str) -> tuple[str, ...]:
    """What a verdict in the scenario does not speak of."""
    attempts = f"MAX_OOM_REAP_RETRIES = {retries}" + ("" if retries == 10 else " instead of 10")
    return (*more, ONE_PAGE, attempts, "one victim; the bystander ends the run when it is picked")


def killer(name: str = "killer", *, eligible: tuple[str, ...] = ("P1", "P2"), **values: object) -> Made:
    """An allocating context whose domain contains the processes of ``eligible``."""
    return make(Killer, name, eligible=dict.fromkeys(eligible, True), **values)


def process(name: str, mm: str, threads: int = 1, **values: object) -> tuple[Made, ...]:
    """A process and its threads; the task list has them in the order of the scenario."""
    made = [make(Process, name, mm=mm, **values)]
    made += [make(Task, f"{name}.t{n}", process=name, leader=n == 0, has_mm=True) for n in range(threads)]
    return tuple(made)


def world(*objects: Made | tuple[Made, ...]) -> tuple[Made, ...]:
    """The scenario's objects with the order of the task list filled in."""
    flat: list[Made] = []
    for each in objects:
        flat.extend([each] if isinstance(each, Made) else each)
    tasks = [made.name for made in flat if made.kind is Task]
    return tuple(
        make(Task, m.name, **{**m.values, "listed_before": dict.fromkeys(tasks[tasks.index(m.name) + 1 :], True)})
        if m.kind is Task
        else m
        for m in flat
    )


def victim_mm(**values: object) -> Made:
    """The mm of the first victim."""
    return make(Mm, "mm0", **{"reapable": 1, **values})


BYSTANDER = (make(Mm, "mm1", reapable=1), *process("P2", "mm1", bystander=True))
REAPER = make(Reaper, "reaper")

SINGLE_OBJECTS = world(REAPER, killer(), victim_mm(), process("P1", "mm0"), BYSTANDER)

SINGLE = Scenario(
    id="single",
    why="One victim with one thread, one bystander that could be killed next, one OOM domain.",
    objects=SINGLE_OBJECTS,
    bounds=bounds(retries=2),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(2, ONE_THREAD),
)

MARKED = Scenario(
    id="marked",
    why="The single victim, from where the mail's diagram starts: marked and queued, oom_lock free.",
    objects=SINGLE_OBJECTS,
    bounds=bounds(retries=2),
    starts_after=victim_marked_and_queued,
    starts_after_text="the victim is marked and queued, and oom_lock is free",
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(2, ONE_THREAD),
)

TEN_RETRIES = Scenario(
    id="ten-retries",
    why="The single victim with the kernel's ten attempts and no second candidate in reach.",
    objects=world(REAPER, killer(eligible=("P1",)), victim_mm(), process("P1", "mm0")),
    bounds=bounds(retries=10),
    limits=limits(10, ONE_THREAD),
)

VOLUNTARY = Scenario(
    id="voluntary",
    why="The victim may exit by itself, so the killer meets it at every point of its exit.",
    objects=world(REAPER, killer(), victim_mm(), process("P1", "mm0", may_exit=True), BYSTANDER),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

THREADS = Scenario(
    id="threads",
    why="A victim with two threads: the leader may exit first, and either may drop the last mm_users.",
    objects=world(REAPER, killer(), victim_mm(), process("P1", "mm0", threads=2), BYSTANDER),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1),
)

SHARER = Scenario(
    id="sharer",
    why="A process that shares the mm is killed but not marked, and may outlive the victim (CLONE_VM, vfork).",
    objects=world(
        REAPER, killer(eligible=("P1", "P2", "P3")), victim_mm(), process("P1", "mm0"), process("P3", "mm0"), BYSTANDER
    ),
    bounds=bounds(),
    ends=second_victim,
    ends_text="the bystander is picked, or the sharer was killed on its own account",
    limits=limits(1, ONE_THREAD),
    slow=True,
)

SHARER_OUTSIDE = Scenario(
    id="sharer-outside",
    why="The process that shares the mm is outside the OOM domain: a scan that meets it is not held back by it.",
    objects=world(REAPER, killer(), victim_mm(), process("P1", "mm0"), process("P3", "mm0"), BYSTANDER),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

FOREIGN_USER = Scenario(
    id="foreign-user",
    why="A /proc reader holds mm_users, may take mmap_sem for reading, and may drop the last reference.",
    objects=world(REAPER, killer(), victim_mm(foreign_users=1, foreign_may_read=True), process("P1", "mm0"), BYSTANDER),
    bounds=bounds(users=1),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

FOREIGN_WRITER = Scenario(
    id="foreign-writer",
    why="Somebody with mm_users takes mmap_sem for writing, perhaps for ever: the reaper can fail every trylock.",
    objects=world(
        REAPER, killer(), victim_mm(foreign_users=1, foreign_may_write=True), process("P1", "mm0"), BYSTANDER
    ),
    bounds=bounds(users=1, retries=2),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(2, ONE_THREAD),
)

BLOCKED_AIO = Scenario(
    id="blocked-aio",
    why="exit_aio may wait for I/O that never completes: __mmput then never reaches exit_mmap.",
    objects=world(REAPER, killer(), victim_mm(aio_may_block=True), process("P1", "mm0"), BYSTANDER),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

MEMORY_KINDS = Scenario(
    id="memory-kinds",
    why="The victim has mlocked and unreapable memory beside the reapable: munlock, and what no pass zaps.",
    objects=world(
        REAPER, killer(), victim_mm(mlocked=1, vm_locked=True, unreapable=1), process("P1", "mm0"), BYSTANDER
    ),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

TWO_DOMAINS = Scenario(
    id="two-domains",
    why="Two OOM domains; the victim belongs to both, the bystander only to B.",
    objects=world(
        REAPER,
        killer("killer-A", eligible=("P1",)),
        killer("killer-B", eligible=("P1", "P2")),
        victim_mm(),
        process("P1", "mm0"),
        BYSTANDER,
    ),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

FOREIGN_DOMAIN = Scenario(
    id="foreign-domain",
    why="Two OOM domains; the victim belongs only to A, the bystander only to B.",
    objects=world(
        REAPER,
        killer("killer-A", eligible=("P1",)),
        killer("killer-B", eligible=("P2",)),
        victim_mm(reapable=2),
        process("P1", "mm0"),
        BYSTANDER,
    ),
    bounds=bounds(pages=2),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=(
        "two pages",
        "MAX_OOM_REAP_RETRIES = 1 instead of 10",
        ONE_THREAD,
        "one victim; the bystander ends the run when it is picked",
    ),
)

MEMCG = Scenario(
    id="memcg",
    why="A memory cgroup's OOM walks the cgroup's tasks, which a thread leaves in do_exit.",
    objects=world(
        REAPER,
        killer(memcg=True),
        victim_mm(),
        process("P1", "mm0"),
        BYSTANDER,
    ),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

KSMD = Scenario(
    id="ksmd",
    why="ksmd holds mm_count only and takes mmap_sem for reading; ksm_exit waits for it.",
    objects=world(REAPER, killer(), victim_mm(ksmd=True, scanner=Scanner.WORKING), process("P1", "mm0"), BYSTANDER),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

KHUGEPAGED = Scenario(
    id="khugepaged",
    why="khugepaged holds mm_count only and takes mmap_sem for writing; khugepaged_exit waits for it.",
    objects=world(REAPER, killer(), victim_mm(scanner=Scanner.WORKING), process("P1", "mm0"), BYSTANDER),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

NOTIFIERS = Scenario(
    id="notifiers",
    why="The mm has mmu notifiers that never block; v4.14 does not reap such an mm either.",
    objects=world(REAPER, killer(), victim_mm(notifiers=True), process("P1", "mm0"), BYSTANDER),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

BLOCKABLE_NOTIFIERS = Scenario(
    id="blockable-notifiers",
    why="The mm has a blockable mmu notifier, which may refuse a non-blocking call.",
    objects=world(
        REAPER, killer(), victim_mm(notifiers=True, notifiers_may_block=True), process("P1", "mm0"), BYSTANDER
    ),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

INIT_SHARES = Scenario(
    id="init-shares",
    why="Global init shares the victim's mm: it cannot be reaped and is hidden at kill time.",
    objects=world(
        REAPER, killer(), victim_mm(), process("P1", "mm0"), process("init", "mm0", global_init=True), BYSTANDER
    ),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

DYING_ALLOCATES = Scenario(
    id="dying-allocates",
    why="A thread of the victim allocates while it is dying, enters the OOM killer and is marked without a kill.",
    objects=world(
        REAPER,
        killer(eligible=("P1",)),
        make(Killer, "killer-self", eligible={"P1": True}, current="P1.t0"),
        victim_mm(),
        process("P1", "mm0"),
    ),
    bounds=bounds(),
    limits=limits(1, ONE_THREAD),
)

DYING_THREADS = Scenario(
    id="dying-threads",
    why="Two dying threads allocate again and again and never reach do_exit: each is marked and queued on its own.",
    objects=world(
        REAPER,
        make(Killer, "killer-t0", eligible={"P1": True}, current="P1.t0"),
        make(Killer, "killer-t1", eligible={"P1": True}, current="P1.t1"),
        victim_mm(),
        process("P1", "mm0", threads=2, sigkill=True, never_exits=True),
    ),
    bounds=bounds(),
    limits=(ONE_PAGE, "MAX_OOM_REAP_RETRIES = 1 instead of 10", "the process is killed before the first allocation"),
)

EMPTY_MM = Scenario(
    id="empty-mm",
    why="The victim has no VMA at all: exit_mmap returns early.",
    objects=world(
        REAPER, killer(), victim_mm(reapable=0, vmas="NEVER", unmapped=True), process("P1", "mm0"), BYSTANDER
    ),
    bounds=bounds(),
    ends=bystander_picked,
    ends_text="the bystander is picked",
    limits=limits(1, ONE_THREAD),
)

BASIC_WORLDS = (
    SINGLE,
    MARKED,
    TEN_RETRIES,
    VOLUNTARY,
    THREADS,
    SHARER,
    SHARER_OUTSIDE,
    FOREIGN_USER,
    FOREIGN_WRITER,
    BLOCKED_AIO,
    MEMORY_KINDS,
    TWO_DOMAINS,
    FOREIGN_DOMAIN,
    MEMCG,
    KSMD,
    KHUGEPAGED,
    NOTIFIERS,
    BLOCKABLE_NOTIFIERS,
    INIT_SHARES,
    DYING_ALLOCATES,
    DYING_THREADS,
    EMPTY_MM,
)
