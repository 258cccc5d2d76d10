"""The way into the OOM killer and the selection of a victim, as in v4.12.

Kernel: __alloc_pages_may_oom (mm/page_alloc.c), mem_cgroup_out_of_memory (mm/memcontrol.c),
out_of_memory, select_bad_process, oom_evaluate_task (mm/oom_kill.c).

oom_badness is a free choice: any eligible task may turn out to be the largest. The OOM notifier chain,
panic_on_oom, oom_kill_allocating_task and sysrq are left out.
"""

from __future__ import annotations

from functools import partial

from oom_spec.language import Halt, World, both, either, every, negate, requires, some, step, when
from oom_spec.protocol.derived import oom_lock_taken, will_free_mem
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import KillAt
from oom_spec.protocol.state import Excuse, Killer, Mm, PassedOver, Process, Task

allocator = partial(step, Killer, kernel="mm/page_alloc.c:__alloc_pages_may_oom")
memcg_charge = partial(step, Killer, kernel="mm/memcontrol.c:mem_cgroup_out_of_memory")
out_of_memory = partial(step, Killer, kernel="mm/oom_kill.c:out_of_memory")
evaluate = partial(step, Killer, at=KillAt.SELECT, then=KillAt.SELECT, kernel="mm/oom_kill.c:oom_evaluate_task")
BADNESS = "oom_badness"


@allocator(
    at=KillAt.IDLE, then=KillAt.OOM_LOCK, call="__alloc_pages_slowpath", outcome="fails", waits=True, environment=True
)
def allocation_fails(killer: Killer) -> None:
    """An allocation that is not part of the model finds no page in this domain."""
    requires(killer.current == None, Guard.CURRENT_OUTSIDE)  # noqa: E711 - a comparison of objects


@allocator(
    at=KillAt.IDLE,
    then=KillAt.OOM_LOCK,
    call="__alloc_pages_slowpath",
    outcome="fails for a thread",
    waits=True,
    environment=True,
)
def allocation_of_thread_fails(killer: Killer, task: Task) -> None:
    """A modelled thread allocates, perhaps while it is already dying, and finds no page."""
    requires(killer.current == task, Guard.SCENARIO)
    requires(both(task.has_mm, negate(task.reads)), Guard.HAS_MM)
    task.allocating = True


@allocator(at=KillAt.IDLE, then=KillAt.IDLE, call="return", outcome="to the thread", waits=True, environment=True)
def thread_leaves_allocator(killer: Killer, task: Task) -> None:
    """The thread gets its page, or its allocation fails: it goes on. It is in one place at a time."""
    requires(killer.current == task, Guard.SCENARIO)
    requires(task.allocating, Guard.IN_ALLOCATOR)
    task.allocating = False


@allocator(at=KillAt.OOM_LOCK, then=KillAt.LAST_ATTEMPT, call="mutex_trylock(oom_lock)")
def trylock_oom_lock(world: World, killer: Killer) -> None:
    """Enters the OOM killer."""
    requires(negate(killer.memcg), Guard.GLOBAL_OOM)
    requires(negate(oom_lock_taken(world)), Guard.OOM_LOCK_FREE)
    killer.holds_oom_lock = True


@allocator(at=KillAt.OOM_LOCK, then=KillAt.IDLE, call="mutex_trylock(oom_lock)", outcome="fails")
def trylock_oom_lock_fails(world: World, killer: Killer) -> None:
    """Somebody else is at it: sleep a jiffy and try the allocation again."""
    requires(negate(killer.memcg), Guard.GLOBAL_OOM)
    requires(oom_lock_taken(world), Guard.OOM_LOCK_TAKEN)


@memcg_charge(at=KillAt.OOM_LOCK, then=KillAt.WILL_FREE, call="mutex_lock(oom_lock)", waits=True)
def memcg_takes_oom_lock(world: World, killer: Killer) -> None:
    """A memcg OOM waits for the lock and makes no last attempt."""
    requires(killer.memcg, Guard.MEMCG_OOM)
    requires(negate(oom_lock_taken(world)), Guard.OOM_LOCK_FREE)
    killer.holds_oom_lock = True


@allocator(
    at=KillAt.LAST_ATTEMPT, then=KillAt.UNLOCK, call="get_page_from_freelist", outcome="succeeds", oracle="free pages"
)
def last_attempt_succeeds(killer: Killer) -> None:
    """With the high watermark: somebody freed memory meanwhile."""


@allocator(
    at=KillAt.LAST_ATTEMPT, then=KillAt.WILL_FREE, call="get_page_from_freelist", outcome="fails", oracle="free pages"
)
def last_attempt_fails(world: World, killer: Killer) -> None:
    """Still no page: out_of_memory."""
    world.announce(Event.ALLOCATION_FAILS, killer)
    world.skip_is_news[killer] = False


@out_of_memory(at=KillAt.WILL_FREE, then=KillAt.SELECT, call="task_will_free_mem(current)", outcome="no")
def current_is_not_dying(world: World, killer: Killer) -> None:
    """The allocating task is not about to free memory by itself: a scan begins.

    The scan's own bookkeeping starts empty; nobody else sees it.
    """
    requires(
        negate(some(world.all(Task), lambda task: both(killer.current == task, will_free_mem(world, task)))),
        Guard.NOT_DYING,
    )
    begin_scan(killer)


def begin_scan(killer: Killer) -> None:
    """What a scan remembers starts empty."""
    killer.scanned.fill(False)
    killer.met.fill(False)
    killer.passed_over.fill(PassedOver.NO)


@out_of_memory(at=KillAt.WILL_FREE, then=KillAt.DYING_MEMDIE, call="task_will_free_mem(current)", outcome="yes")
def current_is_dying(world: World, killer: Killer, task: Task) -> None:
    """The allocating thread is dying: it is marked and queued, and nobody is killed."""
    requires(killer.current == task, Guard.SCENARIO)
    requires(will_free_mem(world, task), Guard.DYING)
    killer.victim = task


def visible(killer: Killer, task: Task) -> bool:
    """A global walk meets the hashed leaders, a memcg's walk every thread in the cgroup."""
    return when(killer.memcg, both(task.in_cgroup, killer.eligible[task.process]), both(task.leader, task.hashed))


def next_to_meet(world: World, killer: Killer, task: Task) -> None:
    """The walk meets each visible task once."""
    requires(negate(killer.scanned[task]), Guard.NOT_SCANNED)
    requires(visible(killer, task), Guard.VISIBLE)
    requires(
        every(
            world.all(Task),
            lambda other: either(
                negate(comes_before(other, task)), killer.scanned[other], negate(visible(killer, other))
            ),
        ),
        Guard.LIST_ORDER,
    )
    killer.scanned[task] = True


def comes_before(other: Task, task: Task) -> bool:
    """``other`` stands before ``task`` on the task list."""
    return other.listed_before[task]


def killable_here(killer: Killer, task: Task) -> bool:
    """Not oom_unkillable_task: neither global init nor outside the memcg or node set."""
    return both(killer.eligible[task.process], negate(task.process.global_init))


@evaluate(call="oom_unkillable_task")
def scan_skips_ineligible(world: World, killer: Killer, task: Task) -> None:
    """Global init, or outside this OOM domain: does not hold the domain back even if it is a victim."""
    next_to_meet(world, killer, task)
    requires(negate(killable_here(killer, task)), Guard.NOT_ELIGIBLE)


def meets(world: World, killer: Killer, task: Task) -> None:
    """The walk comes to a task of this domain, which may hold the scan back or be chosen."""
    next_to_meet(world, killer, task)
    requires(killable_here(killer, task), Guard.ELIGIBLE)
    killer.met[task.process.mm] = True


@evaluate(call="test_bit(MMF_OOM_SKIP)", outcome="set")
def scan_passes_over_victim(world: World, killer: Killer, task: Task) -> None:
    """A marked victim whose mm has MMF_OOM_SKIP: the scan goes on, and may choose somebody else."""
    meets(world, killer, task)
    requires(task.process.oom_mm, Guard.MARKED)
    mm = task.process.mm
    requires(mm.oom_skip, Guard.SKIP_SET)
    world.announce(Event.SKIP_SEEN, killer, mm)
    killer.passed_over[mm] = how_passed_over(mm)


def how_passed_over(mm: Mm) -> PassedOver:
    """Whether MMF_OOM_SKIP tells the truth about `mm`."""
    excused = when(
        mm.excuse == Excuse.TEN_FAILED,
        PassedOver.TEN_FAILED,
        when(
            mm.excuse == Excuse.NOTIFIERS,
            PassedOver.NOTIFIERS,
            when(mm.excuse == Excuse.SHARED_WITH_INIT, PassedOver.SHARED_WITH_INIT, PassedOver.NEEDLESSLY),
        ),
    )
    return when(either(mm.unmapped, mm.pass_completed), PassedOver.RIGHTLY, excused)


@step(
    Killer,
    at=KillAt.SELECT,
    then=KillAt.UNLOCK,
    kernel="mm/oom_kill.c:oom_evaluate_task",
    call="test_bit(MMF_OOM_SKIP)",
    outcome="clear",
)
def scan_aborts(world: World, killer: Killer, task: Task) -> None:
    """A marked victim that may still free memory: the scan aborts, nobody is killed, the caller retries.

    The candidate of the scan, if there is one, loses its task reference.
    """
    meets(world, killer, task)
    requires(task.process.oom_mm, Guard.MARKED)
    requires(negate(task.process.mm.oom_skip), Guard.SKIP_CLEAR)
    world.announce(Event.SCAN_ENDED, killer, True)
    killer.chosen = None


@evaluate(call="oom_badness", outcome="0")
def scan_finds_no_badness(world: World, killer: Killer, task: Task) -> None:
    """No thread of the group has an mm any more, or the mm has MMF_OOM_SKIP."""
    meets(world, killer, task)
    requires(negate(task.process.oom_mm), Guard.NOT_MARKED)
    requires(negate(has_badness(world, task.process)), Guard.NO_BADNESS)


def has_badness(world: World, process: Process) -> bool:
    """oom_badness > 0: some thread has an mm, and the mm has no MMF_OOM_SKIP.

    A thread that has passed exec_mmap was marked before (`execve`), so nobody asks for its badness.
    """
    return both(
        some(world.all(Task), lambda task: both(task.process == process, task.has_mm)), negate(process.mm.oom_skip)
    )


@evaluate(call="oom_badness", outcome="largest so far", oracle=BADNESS)
def scan_chooses(world: World, killer: Killer, task: Task) -> None:
    """The task becomes the candidate; a task reference replaces the previous candidate's."""
    meets(world, killer, task)
    requires(negate(task.process.oom_mm), Guard.NOT_MARKED)
    requires(has_badness(world, task.process), Guard.BADNESS)
    killer.chosen = task


@evaluate(call="oom_badness", outcome="not the largest", oracle=BADNESS)
def scan_keeps_candidate(world: World, killer: Killer, task: Task) -> None:
    """An earlier task is worse."""
    meets(world, killer, task)
    requires(negate(task.process.oom_mm), Guard.NOT_MARKED)
    requires(has_badness(world, task.process), Guard.BADNESS)
    requires(killer.chosen != None, Guard.SOMEBODY_CHOSEN)  # noqa: E711 - a comparison of objects


select_ends = partial(step, Killer, at=KillAt.SELECT, kernel="mm/oom_kill.c:select_bad_process")


def scan_finished(world: World, killer: Killer) -> bool:
    """Every visible task was met."""
    return every(world.all(Task), lambda task: either(killer.scanned[task], negate(visible(killer, task))))


@select_ends(then=KillAt.VICTIM_WILL_FREE, call="oom_kill_process")
def scan_ends_with_choice(world: World, killer: Killer, task: Task) -> None:
    """The chosen task is going to be killed."""
    requires(scan_finished(world, killer), Guard.SCAN_FINISHED)
    requires(killer.chosen == task, Guard.SOMEBODY_CHOSEN)
    world.announce(Event.SCAN_ENDED, killer, False)
    world.announce(Event.KILL_PICKED, killer, task.process)
    killer.victim = task
    killer.chosen = None


@select_ends(then=KillAt.UNLOCK, call="select_bad_process", outcome="nobody, memcg")
def scan_ends_without_choice_in_memcg(world: World, killer: Killer) -> None:
    """Nobody to kill in this memcg: the charge fails."""
    requires(scan_finished(world, killer), Guard.SCAN_FINISHED)
    requires(killer.chosen == None, Guard.NOBODY_CHOSEN)  # noqa: E711 - a comparison of objects
    requires(killer.memcg, Guard.MEMCG_OOM)
    world.announce(Event.SCAN_ENDED, killer, False)


@select_ends(then=KillAt.UNLOCK, call="panic", outcome="nobody to kill")
def scan_ends_in_panic(world: World, killer: Killer) -> None:
    """Nobody to kill: the machine panics."""
    requires(scan_finished(world, killer), Guard.SCAN_FINISHED)
    requires(killer.chosen == None, Guard.NOBODY_CHOSEN)  # noqa: E711 - a comparison of objects
    requires(negate(killer.memcg), Guard.GLOBAL_OOM)
    world.announce(Event.SCAN_ENDED, killer, False)
    world.halted = Halt.PANIC


@allocator(at=KillAt.UNLOCK, then=KillAt.IDLE, call="mutex_unlock(oom_lock)")
def unlock_oom_lock(killer: Killer) -> None:
    """Out of the OOM killer; the allocation is tried again.

    Until v4.18 out_of_memory sleeps one jiffy before this, with oom_lock held: time is order only, so
    the sleep is the chance of others to run before this step. The scan's bookkeeping is wiped: it is
    not read again before the next scan begins.
    """
    killer.holds_oom_lock = False
    killer.chosen = None
    killer.can_reap = False
    begin_scan(killer)
