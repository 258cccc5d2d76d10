"""E3: v4.8. The mm is looked up by the task in each attempt; success, or a second failure, hides it."""

from functools import partial

import attrs

from oom_spec.eras.e04_v4_12 import E4
from oom_spec.language import Era, World, both, negate, requires, step, when
from oom_spec.protocol import exit_mmap, faults, kill, mmput, task_exit
from oom_spec.protocol import killer as selecting
from oom_spec.protocol import reaper as reaping
from oom_spec.protocol.derived import task_lock_taken, users_left
from oom_spec.protocol.early import (
    begins_walk,
    by_its_old_name,
    clears_mark,
    first_with_mm,
    has_thread_with_mm,
    kthread_forbids,
    marks,
    none_with_mm,
    notes_cleared_mark,
    only_renamed,
    users_signalled,
)
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import FaultAt, KillAt, MmputAt, ReapAt
from oom_spec.protocol.state import Excuse, Fault, Killer, Process, Reaper, Task

GIVES_UP_TWICE = "11a410d516e8"
PINS_LATE = "e5e3f4c4f0e9"
HIDES_SHARED = "a373966d1f64"
REMOTE = "449d777d7ad6"
"""The mark is cleared for every task that was queued, whatever the attempts did."""

reap_task = partial(step, Reaper, binds={"task": "job"}, kernel="mm/oom_kill.c:__oom_reap_task")
scan_task = partial(step, Killer, at=KillAt.SELECT, kernel="mm/oom_kill.c:oom_scan_process_thread")
kill_process = kill.kill_process


# the reaper


@reap_task(at=ReapAt.FIND, then=ReapAt.TRYLOCK, call="find_lock_task_mm", commit=PINS_LATE)
def reaper_finds_mm(world: World, reaper: Reaper, task: Task, thread: Task) -> None:
    """Some thread still has the mm: mm_count is taken, mm_users is not.

    find_lock_task_mm, the increment and task_unlock are one step: nobody else holds a task_lock across anything
    visible except killers, which oom_lock keeps out; exit_mm, which waits for it, comes after the step.
    """
    first_with_mm(world, task, thread)
    task.process.mm.counted_by_reaper = True


@reap_task(at=ReapAt.FIND, then=ReapAt.UNLOCK_TRUE, call="find_lock_task_mm", outcome="none")
def reaper_finds_no_mm(world: World, reaper: Reaper, task: Task) -> None:
    """All threads are past exit_mm: the reaper takes its work for done, although __mmput may still be under way."""
    none_with_mm(world, task)


@reaping.reap_mm(at=ReapAt.MMGET, then=ReapAt.ZAP, call="mmget_not_zero", commit=PINS_LATE)
def mmget_not_zero(world: World, reaper: Reaper, task: Task) -> None:
    """mm_users was above 0: exit_mmap cannot run; the walk over the VMAs begins."""
    mm = task.process.mm
    requires(users_left(world, mm), Guard.USERS_LEFT)
    mm.pinned_by_reaper = True
    begins_walk(reaper, mm)


@reap_task(at=ReapAt.SET_REAPED, then=ReapAt.MMPUT_ASYNC, call="set_bit(MMF_OOM_REAPED)", commit="bb8a4b7fd126")
def reaper_sets_reaped(world: World, reaper: Reaper, task: Task) -> None:
    """Only after a completed pass; oom_lock is held, mmap_sem is not any more."""
    reaper_publishes(world, reaper, task)


def reaper_publishes(world: World, reaper: Reaper, task: Task) -> None:
    """MMF_OOM_REAPED has the meaning that MMF_OOM_SKIP has from v4.9 on."""
    reaping.publishes_skip(world, reaper, task.process.mm)


@reap_task(at=ReapAt.MMDROP, then=ReapAt.UNLOCK_TRUE, call="mmdrop", outcome="true", commit=PINS_LATE)
def reaper_mmdrop(reaper: Reaper, task: Task) -> None:
    """The attempt's mm_count goes."""
    task.process.mm.counted_by_reaper = False


@reap_task(at=ReapAt.MMDROP_FALSE, then=ReapAt.UNLOCK_FALSE, call="mmdrop", outcome="false", commit=PINS_LATE)
def reaper_mmdrop_to_retry(reaper: Reaper, task: Task) -> None:
    """The failed attempt's mm_count goes."""
    task.process.mm.counted_by_reaper = False


@reaping.oom_reap_task(
    at=ReapAt.RETRY,
    then=ReapAt.NOT_REAPABLE,
    call="schedule_timeout_idle(HZ/10)",
    outcome="gives up",
    commit=GIVES_UP_TWICE,
)
def give_up(world: World, reaper: Reaper, task: Task) -> None:
    """MAX_OOM_REAP_RETRIES attempts failed, which alone hides nothing."""
    requires(reaping.attempts_exhausted(reaper), Guard.NO_ATTEMPTS_LEFT)
    world.announce(Event.REAPER_GIVES_UP, reaper, task.process.mm)


TEST_NOT_REAPABLE = "test_and_set_bit(MMF_OOM_NOT_REAPABLE)"
gives_up = partial(reaping.oom_reap_task, at=ReapAt.NOT_REAPABLE, commit=GIVES_UP_TWICE, waits=True)


@gives_up(then=ReapAt.LINK_NULL, call=TEST_NOT_REAPABLE, outcome="was clear")
def first_failure(world: World, reaper: Reaper, task: Task, thread: Task) -> None:
    """The first series that failed: the mm is only remembered. task_lock is held around the test."""
    locks_first_with_mm(world, task, thread)
    mm = task.process.mm
    requires(negate(mm.not_reapable), Guard.NOT_NOT_REAPABLE)
    mm.not_reapable = True


@gives_up(then=ReapAt.SKIP_ON_GIVE_UP, call=TEST_NOT_REAPABLE, outcome="was set")
def second_failure(world: World, reaper: Reaper, task: Task, thread: Task) -> None:
    """The second series that failed: from here on ten failed attempts excuse the flag (N3)."""
    locks_first_with_mm(world, task, thread)
    mm = task.process.mm
    requires(mm.not_reapable, Guard.NOT_REAPABLE)
    mm.excuse = when(mm.excuse == Excuse.NONE, Excuse.TEN_FAILED, mm.excuse)


@reaping.oom_reap_task(
    at=ReapAt.SKIP_ON_GIVE_UP, then=ReapAt.LINK_NULL, call="set_bit(MMF_OOM_REAPED)", commit=GIVES_UP_TWICE
)
def reaped_after_second_failure(world: World, reaper: Reaper, task: Task) -> None:
    """The mm is hidden although it was not reaped. task_lock, held since the test, only makes exit_mm wait."""
    reaper_publishes(world, reaper, task)


@gives_up(then=ReapAt.LINK_NULL, call="find_lock_task_mm", outcome="none, after the last failed attempt")
def fails_without_mm(world: World, reaper: Reaper, task: Task) -> None:
    """All threads passed exit_mm meanwhile: no mm to remember the failure in."""
    none_with_mm(world, task)


def locks_first_with_mm(world: World, task: Task, thread: Task) -> None:
    """find_lock_task_mm outside oom_lock: it may have to wait for a killer."""
    first_with_mm(world, task, thread)
    requires(negate(task_lock_taken(world, thread)), Guard.TASK_LOCK_FREE)


@reaping.oom_reap_task(at=ReapAt.CLEAR_MARK, then=ReapAt.PUT_TASK, call="exit_oom_victim", commit=REMOTE)
def remote_exit_oom_victim(world: World, reaper: Reaper, task: Task) -> None:
    """In every case, after success and after failure: the victim loses its mark, not by itself."""
    clears_mark(world, task)
    world.announce(Event.EXIT_OOM_VICTIM, task, False)


@reaping.oom_reap_task(
    at=ReapAt.CLEAR_MARK, then=ReapAt.PUT_TASK, call="exit_oom_victim", outcome="no TIF_MEMDIE", commit=REMOTE
)
def remote_exit_oom_victim_late(reaper: Reaper, task: Task) -> None:
    """The thread was quicker and has cleared its mark by itself."""
    requires(negate(task.memdie), Guard.NO_MEMDIE)


# the exit path


@task_exit.exit_mm(
    at=task_exit.exit_oom_victim.at,
    then=task_exit.exit_oom_victim.then,
    call="exit_oom_victim",
    outcome="TIF_MEMDIE",
    waits=True,
)
def exit_oom_victim(world: World, task: Task) -> None:
    """Clears TIF_MEMDIE, and with the last one of the group the mark; only after mmput returned."""
    requires(negate(task.in_mmput), Guard.MMPUT_RETURNED)
    clears_mark(world, task)
    world.announce(Event.EXIT_OOM_VICTIM, task, True)


# the killer


@kill.mark_victim(at=KillAt.MARK_MEMDIE, then=KillAt.TASK_UNLOCK, call="set TIF_MEMDIE")
def mark_memdie(world: World, killer: Killer, task: Task) -> None:
    """The process becomes a marked victim, without any reference to its mm."""
    marks(world, killer, task)


@kill.mark_victim(at=KillAt.DYING_MEMDIE, then=KillAt.DYING_WAKE, call="set TIF_MEMDIE", outcome="dying")
def dying_memdie(world: World, killer: Killer, task: Task) -> None:
    """As for a killed victim."""
    marks(world, killer, task)


@kill_process(
    at=KillAt.SHARERS,
    then=KillAt.SHARERS,
    call="set_bit(MMF_OOM_REAPED)",
    outcome="init shares",
    oracle=kill.LIST_ORDER,
    commit=HIDES_SHARED,
)
def init_shares_mm(world: World, killer: Killer, task: Task, process: Process) -> None:
    """Global init uses the mm: it cannot be reaped, and is hidden at once."""
    requires(kill.shares_mm(world, task, process), Guard.SHARES_MM)
    requires(process.global_init, Guard.IS_INIT)
    requires(killer.can_reap, Guard.CAN_REAP)
    killer.can_reap = False
    mm = task.process.mm
    mm.oom_skip = True
    mm.excuse = Excuse.SHARED_WITH_INIT


@kill_process(
    at=KillAt.SHARERS,
    then=KillAt.SHARERS,
    call="set_bit(MMF_OOM_REAPED)",
    outcome="a kernel thread shares",
    oracle=kill.LIST_ORDER,
    commit=HIDES_SHARED,
)
def kthread_shares_mm(world: World, killer: Killer, task: Task, fault: Fault) -> None:
    """A kernel thread that called use_mm: as for global init. None of the accepted excuses speaks of it."""
    kthread_forbids(world, killer, task, fault)
    task.process.mm.oom_skip = True


def is_global_init(process: Process) -> bool:
    """Nobody else is spared. A user's own oom_score_adj of -1000, which spares too until v4.7, is left out."""
    return process.global_init


@kill_process(at=KillAt.SHARERS, then=KillAt.WAKE, call="rcu_read_unlock", outcome="can reap")
def sharers_done(world: World, killer: Killer, task: Task) -> None:
    """Every user of the mm was met and killed."""
    requires(users_signalled(world, killer, task, is_global_init), Guard.SHARERS_SIGNALLED)
    requires(killer.can_reap, Guard.CAN_REAP)


@kill_process(at=KillAt.SHARERS, then=KillAt.MMDROP, call="rcu_read_unlock", outcome="cannot reap")
def sharers_done_unreapable(world: World, killer: Killer, task: Task) -> None:
    """Some user of the mm cannot be killed: nobody is queued."""
    requires(users_signalled(world, killer, task, is_global_init), Guard.SHARERS_SIGNALLED)
    requires(negate(killer.can_reap), Guard.CANNOT_REAP)


@scan_task(then=KillAt.SELECT, call="test_bit(MMF_OOM_REAPED)", outcome="set", commit=HIDES_SHARED)
def scan_passes_over_victim(world: World, killer: Killer, task: Task) -> None:
    """A marked victim, some thread of which still has the mm, with MMF_OOM_REAPED: the scan goes on."""
    selecting.meets(world, killer, task)
    requires(task.process.oom_mm, Guard.MARKED)
    mm = task.process.mm
    requires(reaped_as_seen(world, task.process), Guard.SKIP_SET)
    world.announce(Event.SKIP_SEEN, killer, mm)
    killer.passed_over[mm] = selecting.how_passed_over(mm)


@scan_task(then=KillAt.UNLOCK, call="test_bit(MMF_OOM_REAPED)", outcome="clear", commit=HIDES_SHARED)
def scan_aborts(world: World, killer: Killer, task: Task) -> None:
    """A marked victim without the flag, or all of whose threads have dropped their mm: the scan aborts."""
    selecting.meets(world, killer, task)
    requires(task.process.oom_mm, Guard.MARKED)
    requires(negate(reaped_as_seen(world, task.process)), Guard.SKIP_CLEAR)
    world.announce(Event.SCAN_ENDED, killer, True)
    killer.chosen = None


def reaped_as_seen(world: World, process: Process) -> bool:
    """The scan looks for the flag through find_lock_task_mm: without a thread that has the mm, it sees none."""
    return both(has_thread_with_mm(world, process), process.mm.oom_skip)


@selecting.evaluate(call="oom_badness", outcome="0")
def scan_finds_no_badness(world: World, killer: Killer, task: Task) -> None:
    """No thread of the group has an mm any more, or the mm has MMF_OOM_REAPED."""
    selecting.meets(world, killer, task)
    requires(negate(task.process.oom_mm), Guard.NOT_MARKED)
    requires(negate(selecting.has_badness(world, task.process)), Guard.NO_BADNESS)
    notes_cleared_mark(killer, task.process)


@selecting.evaluate(call="oom_badness", outcome="largest so far", oracle=selecting.BADNESS)
def scan_chooses(world: World, killer: Killer, task: Task) -> None:
    """The task becomes the candidate, perhaps one that was killed already and has lost its mark."""
    selecting.meets(world, killer, task)
    requires(negate(task.process.oom_mm), Guard.NOT_MARKED)
    requires(selecting.has_badness(world, task.process), Guard.BADNESS)
    notes_cleared_mark(killer, task.process)
    killer.chosen = task


@selecting.evaluate(call="oom_badness", outcome="not the largest", oracle=selecting.BADNESS)
def scan_keeps_candidate(world: World, killer: Killer, task: Task) -> None:
    """An earlier task is worse."""
    selecting.meets(world, killer, task)
    requires(negate(task.process.oom_mm), Guard.NOT_MARKED)
    requires(selecting.has_badness(world, task.process), Guard.BADNESS)
    requires(killer.chosen != None, Guard.SOMEBODY_CHOSEN)  # noqa: E711 - a comparison of objects
    notes_cleared_mark(killer, task.process)


REPLACED = (
    mmget_not_zero,
    give_up,
    exit_oom_victim,
    mark_memdie,
    dying_memdie,
    sharers_done,
    sharers_done_unreapable,
    scan_finds_no_badness,
    scan_chooses,
    scan_keeps_candidate,
    attrs.evolve(reaping.reaper_takes_oom_lock, then=ReapAt.FIND),
    attrs.evolve(reaping.trylock_fails, then=ReapAt.MMDROP_FALSE),
    attrs.evolve(reaping.up_read_after_pass, then=ReapAt.SET_REAPED),
    attrs.evolve(reaping.up_read_nothing_reaped, then=ReapAt.MMDROP),
    attrs.evolve(reaping.mmput_async_last, then=ReapAt.MMDROP),
    attrs.evolve(reaping.mmput_async_not_last, then=ReapAt.MMDROP),
    attrs.evolve(reaping.link_null, then=ReapAt.CLEAR_MARK),
    attrs.evolve(reaping.link_null_cuts_list, then=ReapAt.CLEAR_MARK),
    attrs.evolve(faults.fault_handled, then=FaultAt.RETURN),
    attrs.evolve(faults.userfault_retries, then=FaultAt.RETURN),
    attrs.evolve(faults.page_lock_retries, then=FaultAt.RETURN),
    attrs.evolve(exit_mmap.no_vma, then=MmputAt.MMDROP),
    attrs.evolve(exit_mmap.remove_vma_ends, then=MmputAt.MMDROP),
)
REMOVED = (
    reaping.set_unstable.id,
    reaping.reaper_sets_skip.id,
    mmput.mmput_sets_skip.id,
    faults.overwrite_with_sigbus.id,
    faults.leave_result.id,
    kill.mark_oom_mm.id,
    kill.mark_oom_mm_again.id,
    kill.mark_mmgrab.id,
    kill.dying_oom_mm.id,
    kill.dying_oom_mm_again.id,
    kill.dying_mmgrab.id,
    kill.init_shares_mm.id,
    selecting.scan_passes_over_victim.id,
    selecting.scan_aborts.id,
)

E3 = Era(
    id="E3",
    aliases=("v4.8", "4.8"),
    title="v4.8: success hides the mm, so does a second failure; the mark is cleared in every case",
    opened_by='11a410d516e8 "mm, oom_reaper: do not attempt to reap a task more than twice"',
    why="The release before signal->oom_mm: the reaper reaches the mm only while some thread still has it.",
    parent=E4,
    added=(
        reaper_finds_mm,
        reaper_finds_no_mm,
        reaper_sets_reaped,
        reaper_mmdrop,
        reaper_mmdrop_to_retry,
        first_failure,
        second_failure,
        reaped_after_second_failure,
        fails_without_mm,
        remote_exit_oom_victim,
        remote_exit_oom_victim_late,
        init_shares_mm,
        kthread_shares_mm,
        scan_passes_over_victim,
        scan_aborts,
    ),
    replaced=(
        *map(by_its_old_name, REPLACED),
        *only_renamed(E4.steps, [*(each.id for each in REPLACED), *REMOVED]),
    ),
    removed=REMOVED,
)

ERAS = (E3,)
