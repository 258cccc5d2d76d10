"""E1: v4.6, the first release with a reaper. Only success clears the mark; mmput is the reaper's own."""

from functools import partial

import attrs

from oom_spec.eras import e02_v4_7 as later
from oom_spec.eras import e03_v4_8 as latest
from oom_spec.eras.e02_v4_7 import E2
from oom_spec.eras.e03_v4_8 import locks_first_with_mm, reap_task, scan_task
from oom_spec.language import Era, Halt, Verified, World, both, either, every, negate, requires, some, when
from oom_spec.protocol import kill, mmput
from oom_spec.protocol import killer as selecting
from oom_spec.protocol import reaper as reaping
from oom_spec.protocol.derived import users_left
from oom_spec.protocol.early import (
    by_its_old_name,
    clears_mark,
    exiting_early,
    fatal_signal_pending,
    none_with_mm,
    notes_cleared_mark,
    users_signalled,
)
from oom_spec.protocol.mmput import runs_mmput
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import KillAt, MmputAt, ReapAt
from oom_spec.protocol.state import Excuse, Executor, Killer, Mm, Process, Reaper, Task

FIRST = "aac453635549"
CLEARS = "36324a990cf5"
QUEUES = "03049269de43"


# the reaper


@reap_task(at=ReapAt.FIND, then=ReapAt.TRYLOCK, call="find_lock_task_mm", commit=QUEUES, waits=True)
def reaper_finds_mm(world: World, reaper: Reaper, task: Task, thread: Task) -> None:
    """Some thread still has the mm, which keeps mm_users above 0 under task_lock: mm_users is taken.

    The test for 0 is made, and cannot fail here. No oom_lock is held: a killer may have the task_lock. Once it is
    had, nobody can tell find_lock_task_mm, the increment and task_unlock apart.
    """
    locks_first_with_mm(world, task, thread)
    task.process.mm.pinned_by_reaper = True


@reap_task(at=ReapAt.FIND, then=ReapAt.PUT_TASK, call="find_lock_task_mm", outcome="none", waits=True, commit=QUEUES)
def reaper_finds_no_mm(world: World, reaper: Reaper, task: Task) -> None:
    """All threads are past exit_mm: the reaper takes its work for done, and the victim keeps its mark."""
    none_with_mm(world, task)
    requires(negate(has_fresh_mm(world, task.process)), Guard.NO_THREAD_WITH_MM)


def has_fresh_mm(world: World, process: Process) -> bool:
    """A thread is past exec_mmap and has not torn its fresh mm down again."""
    return some(world.all(Task), lambda other: both(other.process == process, other.execed, negate(other.exiting)))


@reap_task(
    at=ReapAt.FIND,
    then=ReapAt.PUT_TASK,
    call="find_lock_task_mm",
    outcome="a fresh mm",
    waits=True,
    commit=CLEARS,
    verified=Verified.INFERRED,
)
def reaper_finds_fresh_mm(world: World, reaper: Reaper, task: Task) -> None:
    """The victim is past exec_mmap: the pass goes over the fresh mm, and the victim loses its mark for it.

    The fresh mm is not modelled, so that the attempt is one step, which succeeds: who looks between the new
    oom_score_adj and the cleared mark aborts its scan, as before both. Only the exit clears the mark by itself, and
    tears the fresh mm down before.
    """
    none_with_mm(world, task)
    requires(has_fresh_mm(world, task.process), Guard.EXECED)
    clears_mark(world, task)
    task.process.oom_score_adj_min = True
    world.announce(Event.EXIT_OOM_VICTIM, task, False)


@reap_task(at=ReapAt.HIDE_TASK, then=ReapAt.CLEAR_MARK, call="oom_score_adj = OOM_SCORE_ADJ_MIN", commit=CLEARS)
def reaper_hides_task(reaper: Reaper, task: Task) -> None:
    """After a completed pass: the process, not its mm, is not worth choosing again."""
    task.process.oom_score_adj_min = True


mmput_true = partial(reap_task, at=ReapAt.MMPUT, call="mmput", commit=FIRST)
mmput_false = partial(reap_task, at=ReapAt.MMPUT_FALSE, call="mmput", commit=FIRST)


@mmput_true(then=ReapAt.MMPUT_RETURNS, outcome="last")
def reaper_mmput_last(world: World, reaper: Reaper, task: Task) -> None:
    """The reaper's was the last mm_users: it runs __mmput itself."""
    puts_last(world, reaper, task.process.mm)


@mmput_true(then=ReapAt.PUT_TASK, outcome="not last")
def reaper_mmput_not_last(world: World, reaper: Reaper, task: Task) -> None:
    """Somebody else still uses the mm."""
    puts(world, task.process.mm)


@mmput_false(then=ReapAt.MMPUT_RETURNS_FALSE, outcome="last, to retry")
def reaper_mmput_last_to_retry(world: World, reaper: Reaper, task: Task) -> None:
    """The trylock failed, the victim has gone meanwhile, and the reaper runs __mmput itself."""
    puts_last(world, reaper, task.process.mm)


@mmput_false(then=ReapAt.RETRY, outcome="not last, to retry")
def reaper_mmput_not_last_to_retry(world: World, reaper: Reaper, task: Task) -> None:
    """Somebody else still uses the mm."""
    puts(world, task.process.mm)


def puts_last(world: World, reaper: Reaper, mm: Mm) -> None:
    """mm_users drops to 0: exit_aio, exit_mmap and all the rest run in the reaper."""
    mm.pinned_by_reaper = False
    reaper.in_mmput = True
    runs_mmput(world, mm, Executor.REAPER)


def puts(world: World, mm: Mm) -> None:
    """mm_users stays above 0."""
    mm.pinned_by_reaper = False
    requires(users_left(world, mm), Guard.NOT_LAST_USER)


@reap_task(at=ReapAt.MMPUT_RETURNS, then=ReapAt.PUT_TASK, call="mmput", outcome="returns", waits=True, commit=FIRST)
def reaper_mmput_returns(reaper: Reaper, task: Task) -> None:
    """The reaper is back from its own __mmput."""
    requires(negate(reaper.in_mmput), Guard.MMPUT_RETURNED)


@reap_task(
    at=ReapAt.MMPUT_RETURNS_FALSE,
    then=ReapAt.RETRY,
    call="mmput",
    outcome="returns, to retry",
    waits=True,
    commit=FIRST,
)
def reaper_mmput_returns_to_retry(reaper: Reaper, task: Task) -> None:
    """The reaper is back from its own __mmput."""
    requires(negate(reaper.in_mmput), Guard.MMPUT_RETURNED)


@mmput.mmput(at=MmputAt.MMDROP, then=MmputAt.RETURNED, call="mmdrop", outcome="to another caller")
def mmdrop_to_other(mm: Mm) -> None:
    """__mmput returns to a foreign holder or a kernel thread: there is no mmput_async yet."""
    requires(both(mm.executor != Executor.TASK, mm.executor != Executor.REAPER), Guard.EXECUTOR)
    mmput.leave(mm)


@mmput.mmput(at=MmputAt.MMDROP, then=MmputAt.RETURNED, call="mmdrop", outcome="to the reaper")
def mmdrop_to_reaper(mm: Mm, reaper: Reaper) -> None:
    """__mmput returns to the reaper."""
    requires(mm.executor == Executor.REAPER, Guard.EXECUTOR)
    reaper.in_mmput = False
    mmput.leave(mm)


@reap_task(at=ReapAt.CLEAR_MARK, then=ReapAt.MMPUT, call="exit_oom_victim", commit=CLEARS)
def remote_exit_oom_victim(world: World, reaper: Reaper, task: Task) -> None:
    """The queued thread loses its mark, not by itself, before the reaper puts the mm."""
    clears_mark(world, task)
    world.announce(Event.EXIT_OOM_VICTIM, task, False)


@reap_task(at=ReapAt.CLEAR_MARK, then=ReapAt.MMPUT, call="exit_oom_victim", outcome="no TIF_MEMDIE", commit=CLEARS)
def remote_exit_oom_victim_late(reaper: Reaper, task: Task) -> None:
    """The thread was quicker and has cleared its mark by itself."""
    requires(negate(task.memdie), Guard.NO_MEMDIE)


# the scan: every thread of every process


def visible(killer: Killer, task: Task) -> bool:
    """A global walk meets every hashed thread, a memcg's walk every thread in the cgroup."""
    return when(killer.memcg, both(task.in_cgroup, killer.eligible[task.process]), task.hashed)


def next_to_meet(world: World, killer: Killer, task: Task) -> None:
    """The walk meets each visible thread once."""
    requires(negate(killer.scanned[task]), Guard.NOT_SCANNED)
    requires(visible(killer, task), Guard.VISIBLE)
    requires(
        every(
            world.all(Task),
            lambda other: either(
                negate(selecting.comes_before(other, task)), killer.scanned[other], negate(visible(killer, other))
            ),
        ),
        Guard.LIST_ORDER,
    )
    killer.scanned[task] = True


def meets(world: World, killer: Killer, task: Task) -> None:
    """The walk comes to a thread of this domain, which may hold the scan back or be chosen."""
    next_to_meet(world, killer, task)
    requires(selecting.killable_here(killer, task), Guard.ELIGIBLE)
    killer.met[task.process.mm] = True


@selecting.evaluate(call="oom_unkillable_task")
def scan_skips_ineligible(world: World, killer: Killer, task: Task) -> None:
    """Global init, or outside this OOM domain: does not hold the domain back even if it is a victim."""
    next_to_meet(world, killer, task)
    requires(negate(selecting.killable_here(killer, task)), Guard.NOT_ELIGIBLE)


@scan_task(then=KillAt.UNLOCK, call="test_tsk_thread_flag(TIF_MEMDIE)", outcome="set")
def scan_aborts(world: World, killer: Killer, task: Task) -> None:
    """A thread that was marked and has not lost its mark: the scan aborts, nobody is killed."""
    meets(world, killer, task)
    requires(task.memdie, Guard.MARKED)
    world.announce(Event.SCAN_ENDED, killer, True)
    killer.chosen = None


@scan_task(then=KillAt.SELECT, call="task->mm", outcome="NULL")
def scan_skips_thread_without_mm(world: World, killer: Killer, task: Task) -> None:
    """This thread has no mm any more; others of its group are looked at on their own."""
    meets(world, killer, task)
    requires(negate(task.memdie), Guard.NOT_MARKED)
    requires(negate(task.has_mm), Guard.NO_THREAD_WITH_MM)
    notes_cleared_mark(killer, task.process)


def unmarked_with_mm(world: World, killer: Killer, task: Task) -> None:
    """A thread whose badness is asked for."""
    meets(world, killer, task)
    requires(negate(task.memdie), Guard.NOT_MARKED)
    requires(task.has_mm, Guard.HAS_MM)
    notes_cleared_mark(killer, task.process)


@selecting.evaluate(call="oom_badness", outcome="0", commit=CLEARS)
def scan_finds_no_badness(world: World, killer: Killer, task: Task) -> None:
    """The reaper has set oom_score_adj of the process to its minimum."""
    unmarked_with_mm(world, killer, task)
    requires(task.process.oom_score_adj_min, Guard.ADJ_MIN)


@selecting.evaluate(call="oom_badness", outcome="largest so far", oracle=selecting.BADNESS)
def scan_chooses(world: World, killer: Killer, task: Task) -> None:
    """The thread becomes the candidate, perhaps one of a process that was killed already and has lost its mark."""
    unmarked_with_mm(world, killer, task)
    requires(negate(task.process.oom_score_adj_min), Guard.NOT_ADJ_MIN)
    killer.chosen = task


@selecting.evaluate(call="oom_badness", outcome="not the largest", oracle=selecting.BADNESS)
def scan_keeps_candidate(world: World, killer: Killer, task: Task) -> None:
    """An earlier thread is worse, or the leader of the same group."""
    unmarked_with_mm(world, killer, task)
    requires(negate(task.process.oom_score_adj_min), Guard.NOT_ADJ_MIN)
    requires(killer.chosen != None, Guard.SOMEBODY_CHOSEN)  # noqa: E711 - a comparison of objects


def scan_finished(world: World, killer: Killer) -> bool:
    """Every visible thread was met."""
    return every(world.all(Task), lambda task: either(killer.scanned[task], negate(visible(killer, task))))


@selecting.select_ends(then=KillAt.VICTIM_WILL_FREE, call="oom_kill_process")
def scan_ends_with_choice(world: World, killer: Killer, task: Task) -> None:
    """The chosen thread's process is going to be killed."""
    requires(scan_finished(world, killer), Guard.SCAN_FINISHED)
    requires(killer.chosen == task, Guard.SOMEBODY_CHOSEN)
    world.announce(Event.SCAN_ENDED, killer, False)
    world.announce(Event.KILL_PICKED, killer, task.process)
    killer.victim = task
    killer.chosen = None


@selecting.select_ends(then=KillAt.UNLOCK, call="select_bad_process", outcome="nobody, memcg")
def scan_ends_without_choice_in_memcg(world: World, killer: Killer) -> None:
    """Nobody to kill in this memcg: the charge fails."""
    finds_nobody(world, killer)
    requires(killer.memcg, Guard.MEMCG_OOM)


@selecting.select_ends(then=KillAt.UNLOCK, call="panic", outcome="nobody to kill")
def scan_ends_in_panic(world: World, killer: Killer) -> None:
    """Nobody to kill: the machine panics."""
    finds_nobody(world, killer)
    requires(negate(killer.memcg), Guard.GLOBAL_OOM)
    world.halted = Halt.PANIC


def finds_nobody(world: World, killer: Killer) -> None:
    """The scan is over without a candidate."""
    requires(scan_finished(world, killer), Guard.SCAN_FINISHED)
    requires(killer.chosen == None, Guard.NOBODY_CHOSEN)  # noqa: E711 - a comparison of objects
    world.announce(Event.SCAN_ENDED, killer, False)


# the kill


def current_goes(task: Task) -> bool:
    """Either test of out_of_memory and mem_cgroup_out_of_memory that spares the scan."""
    return either(fatal_signal_pending(task), exiting_early(task))


@selecting.out_of_memory(
    at=KillAt.WILL_FREE, then=KillAt.SELECT, call="task_will_free_mem(current)", outcome="no", verified=Verified.MAIL
)
def current_is_not_dying(world: World, killer: Killer) -> None:
    """The allocating task neither has SIGKILL pending nor exits: a scan begins."""
    requires(
        negate(some(world.all(Task), lambda task: both(killer.current == task, current_goes(task)))),
        Guard.NOT_DYING,
    )
    selecting.begin_scan(killer)


@selecting.out_of_memory(
    at=KillAt.WILL_FREE,
    then=KillAt.DYING_MEMDIE,
    call="task_will_free_mem(current)",
    outcome="yes",
    verified=Verified.MAIL,
)
def current_is_dying(world: World, killer: Killer, task: Task) -> None:
    """The allocating thread has SIGKILL pending, or exits: it is marked, and neither queued nor is anybody killed."""
    requires(killer.current == task, Guard.SCENARIO)
    requires(current_goes(task), Guard.DYING)
    killer.victim = task


@kill.kill_process(
    at=KillAt.VICTIM_WILL_FREE,
    then=KillAt.DYING_MEMDIE,
    call="task_will_free_mem(victim)",
    outcome="yes",
    verified=Verified.MAIL,
)
def victim_is_dying(world: World, killer: Killer, task: Task) -> None:
    """The chosen thread exits, whatever the rest of its group does: mark it under task_lock, and no more."""
    requires(exiting_early(task), Guard.DYING)
    killer.holds_task_lock = True


@kill.kill_process(
    at=KillAt.VICTIM_WILL_FREE,
    then=KillAt.FIND_LOCK,
    call="task_will_free_mem(victim)",
    outcome="no",
    verified=Verified.MAIL,
)
def victim_is_not_dying(world: World, killer: Killer, task: Task) -> None:
    """It must be killed. The test's task_lock is released again: nobody saw it held."""
    requires(negate(exiting_early(task)), Guard.NOT_DYING)


def spared(process: Process) -> bool:
    """It uses the mm and is not killed: global init, or a process that the reaper has hidden."""
    return either(process.global_init, process.oom_score_adj_min)


@kill.kill_process(
    at=KillAt.SHARERS, then=KillAt.SHARERS, call="do_send_sig_info(SIGKILL)", outcome="a sharer", oracle=kill.LIST_ORDER
)
def kill_sharer(world: World, killer: Killer, task: Task, process: Process) -> None:
    """Another process that uses the mm is killed, but not marked; one with oom_score_adj at its minimum is spared."""
    requires(kill.shares_mm(world, task, process), Guard.SHARES_MM)
    requires(negate(spared(process)), Guard.NOT_SPARED)
    requires(negate(process.sigkill), Guard.NOT_KILLED)
    process.sigkill = True


@later.oom_kill_process(then=KillAt.SHARERS, call="can_oom_reap = false", outcome="init shares")
def init_shares_mm(world: World, killer: Killer, task: Task, process: Process) -> None:
    """Global init uses the mm, or a process that the reaper has hidden: it cannot be reaped."""
    requires(kill.shares_mm(world, task, process), Guard.SHARES_MM)
    requires(spared(process), Guard.SPARED)
    requires(killer.can_reap, Guard.CAN_REAP)
    killer.can_reap = False
    mm = task.process.mm
    mm.excuse = when(process.global_init, Excuse.SHARED_WITH_INIT, mm.excuse)


@kill.kill_process(at=KillAt.SHARERS, then=KillAt.WAKE, call="rcu_read_unlock", outcome="can reap")
def sharers_done(world: World, killer: Killer, task: Task) -> None:
    """Every user of the mm was met and killed."""
    requires(users_signalled(world, killer, task, spared), Guard.SHARERS_SIGNALLED)
    requires(killer.can_reap, Guard.CAN_REAP)


@kill.kill_process(at=KillAt.SHARERS, then=KillAt.MMDROP, call="rcu_read_unlock", outcome="cannot reap")
def sharers_done_unreapable(world: World, killer: Killer, task: Task) -> None:
    """Some user of the mm cannot be killed: nobody is queued."""
    requires(users_signalled(world, killer, task, spared), Guard.SHARERS_SIGNALLED)
    requires(negate(killer.can_reap), Guard.CANNOT_REAP)


REPLACED = (
    reaper_finds_mm,
    reaper_finds_no_mm,
    mmdrop_to_other,
    scan_skips_ineligible,
    scan_finds_no_badness,
    scan_chooses,
    scan_keeps_candidate,
    scan_ends_with_choice,
    scan_ends_without_choice_in_memcg,
    scan_ends_in_panic,
    current_is_not_dying,
    current_is_dying,
    victim_is_dying,
    victim_is_not_dying,
    kill_sharer,
    init_shares_mm,
    sharers_done,
    sharers_done_unreapable,
    attrs.evolve(reaping.dequeue, then=ReapAt.FIND),
    attrs.evolve(reaping.trylock_fails, then=ReapAt.MMPUT_FALSE),
    attrs.evolve(reaping.up_read_after_pass, then=ReapAt.HIDE_TASK),
    attrs.evolve(reaping.retry, then=ReapAt.FIND),
    attrs.evolve(latest.give_up, then=ReapAt.PUT_TASK, commit=""),
    attrs.evolve(latest.dying_memdie, then=KillAt.DYING_DONE),
    attrs.evolve(kill.dying_memdie_again, then=KillAt.DYING_DONE),
)

E1 = Era(
    id="E1",
    aliases=("v4.6", "4.6"),
    title="v4.6: success clears the mark and hides the process; the reaper runs mmput itself",
    opened_by='aac453635549 "mm, oom: introduce oom reaper"',
    why="The first reaper: what happens to a victim that it could not reap is nobody's business.",
    parent=E2,
    added=(
        reaper_hides_task,
        reaper_finds_fresh_mm,
        reaper_mmput_last,
        reaper_mmput_not_last,
        reaper_mmput_last_to_retry,
        reaper_mmput_not_last_to_retry,
        reaper_mmput_returns,
        reaper_mmput_returns_to_retry,
        mmdrop_to_reaper,
        remote_exit_oom_victim,
        remote_exit_oom_victim_late,
        scan_aborts,
        scan_skips_thread_without_mm,
    ),
    replaced=tuple(map(by_its_old_name, REPLACED)),
    removed=(
        reaping.reaper_takes_oom_lock.id,
        reaping.reaper_drops_oom_lock.id,
        reaping.reaper_drops_oom_lock_to_retry.id,
        reaping.mmput_async_last.id,
        reaping.mmput_async_not_last.id,
        reaping.link_null.id,
        reaping.link_null_cuts_list.id,
        latest.reaper_sets_reaped.id,
        latest.remote_exit_oom_victim.id,
        latest.remote_exit_oom_victim_late.id,
        later.reaper_drops_oom_lock_without_mm.id,
        later.mmput_async_last_to_retry.id,
        later.mmput_async_not_last_to_retry.id,
        later.dying_with_every_user.id,
        later.dying_without_every_user.id,
        later.scan_aborts.id,
        kill.dying_not_queued.id,
        kill.dying_already_queued.id,
        kill.queue_dying.id,
        kill.queue_dying_twice.id,
    ),
)

ERAS = (E1,)
