"""oom_kill_process, mark_oom_victim and wake_oom_reaper (mm/oom_kill.c), as in v4.12.

The choice of a child instead of the parent (until v5.0) is left out: a free oom_badness may choose the
child too, except that a chosen child is killed even if it is dying already.
"""

from __future__ import annotations

from functools import partial

from oom_spec.language import Halt, World, both, either, every, negate, requires, some, step
from oom_spec.protocol.derived import task_lock_taken, will_free_mem
from oom_spec.protocol.killer import comes_before
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import KillAt
from oom_spec.protocol.state import Excuse, Killer, Process, Task

kill_process = partial(step, Killer, kernel="mm/oom_kill.c:oom_kill_process", binds={"task": "victim"})
LIST_ORDER = "order of the process list"
mark_victim = partial(step, Killer, kernel="mm/oom_kill.c:mark_oom_victim", binds={"task": "victim"})
wake_reaper = partial(step, Killer, kernel="mm/oom_kill.c:wake_oom_reaper", binds={"task": "victim"})


@kill_process(
    at=KillAt.VICTIM_WILL_FREE, then=KillAt.DYING_MEMDIE, call="task_will_free_mem(victim)", outcome="yes", waits=True
)
def victim_is_dying(world: World, killer: Killer, task: Task) -> None:
    """The chosen task dies by itself: mark and queue it under task_lock, without a signal."""
    requires(negate(task_lock_taken(world, task)), Guard.TASK_LOCK_FREE)
    requires(will_free_mem(world, task), Guard.DYING)
    killer.holds_task_lock = True


@kill_process(
    at=KillAt.VICTIM_WILL_FREE, then=KillAt.FIND_LOCK, call="task_will_free_mem(victim)", outcome="no", waits=True
)
def victim_is_not_dying(world: World, killer: Killer, task: Task) -> None:
    """It must be killed. The test's task_lock is released again: nobody saw it held."""
    requires(negate(task_lock_taken(world, task)), Guard.TASK_LOCK_FREE)
    requires(negate(will_free_mem(world, task)), Guard.NOT_DYING)


@kill_process(at=KillAt.FIND_LOCK, then=KillAt.MMGRAB, call="find_lock_task_mm", waits=True)
def find_lock_task_mm(world: World, killer: Killer, task: Task, thread: Task) -> None:
    """The first thread of the group that has an mm, with its task_lock held from here on."""
    requires(thread.process == task.process, Guard.FIRST_THREAD_WITH_MM)
    requires(thread.has_mm, Guard.FIRST_THREAD_WITH_MM)
    requires(negate(task_lock_taken(world, thread)), Guard.TASK_LOCK_FREE)
    requires(
        every(
            world.all(Task),
            lambda other: either(
                other.process != task.process, negate(comes_before(other, thread)), negate(other.has_mm)
            ),
        ),
        Guard.FIRST_THREAD_WITH_MM,
    )
    killer.victim = thread
    killer.holds_task_lock = True
    killer.can_reap = True


@kill_process(at=KillAt.FIND_LOCK, then=KillAt.UNLOCK, call="find_lock_task_mm", outcome="none")
def find_lock_task_mm_none(world: World, killer: Killer, task: Task) -> None:
    """All threads passed exit_mm meanwhile: nothing happens."""
    requires(
        negate(some(world.all(Task), lambda other: both(other.process == task.process, other.has_mm))),
        Guard.NO_THREAD_WITH_MM,
    )
    killer.victim = None


@kill_process(at=KillAt.MMGRAB, then=KillAt.SIGKILL, call="mmgrab")
def kill_mmgrab(killer: Killer, task: Task) -> None:
    """Keeps the mm_struct for the walk over its users."""
    killer.holds_mm_count = True


@kill_process(at=KillAt.SIGKILL, then=KillAt.MARK_MEMDIE, call="do_send_sig_info(SIGKILL)")
def kill_sends_sigkill(killer: Killer, task: Task) -> None:
    """The whole group gets a fatal signal (SIGNAL_GROUP_EXIT)."""
    task.process.sigkill = True


def tests_memdie(killer: Killer, task: Task) -> None:
    """test_and_set_tsk_thread_flag(TIF_MEMDIE) found it clear; oom_victims is the number of marks."""
    requires(negate(task.memdie), Guard.NO_MEMDIE)
    task.memdie = True


def installs_oom_mm(world: World, task: Task) -> None:
    """cmpxchg(&signal->oom_mm, NULL, mm) succeeded; its mm_count comes only after that."""
    process = task.process
    requires(negate(process.oom_mm), Guard.NOT_MARKED_BEFORE)
    world.announce(Event.OOM_MM_INSTALLED, process, process.mm)
    process.oom_mm = True


@mark_victim(at=KillAt.MARK_MEMDIE, then=KillAt.MARK_OOM_MM, call="set TIF_MEMDIE")
def mark_memdie(killer: Killer, task: Task) -> None:
    """The thread gets access to memory reserves."""
    tests_memdie(killer, task)


@mark_victim(at=KillAt.MARK_MEMDIE, then=KillAt.TASK_UNLOCK, call="set TIF_MEMDIE", outcome="already set")
def mark_memdie_again(killer: Killer, task: Task) -> None:
    """This thread is marked already."""
    requires(task.memdie, Guard.MEMDIE)


@mark_victim(at=KillAt.MARK_OOM_MM, then=KillAt.MARK_MMGRAB, call="cmpxchg(oom_mm)", commit="26db62f179d1")
def mark_oom_mm(world: World, killer: Killer, task: Task) -> None:
    """The process becomes a marked victim."""
    installs_oom_mm(world, task)


@mark_victim(at=KillAt.MARK_OOM_MM, then=KillAt.TASK_UNLOCK, call="cmpxchg(oom_mm)", outcome="already set")
def mark_oom_mm_again(killer: Killer, task: Task) -> None:
    """Another thread of the process was marked before; this one is thawed all the same."""
    requires(task.process.oom_mm, Guard.MARKED_BEFORE)
    thaws(task)


def thaws(task: Task) -> None:
    """__thaw_task. It is merged into the step before it: only the freezer and the thread itself can tell."""
    task.process.frozen[task] = False


@mark_victim(at=KillAt.MARK_MMGRAB, then=KillAt.TASK_UNLOCK, call="mmgrab(oom_mm)")
def mark_mmgrab(killer: Killer, task: Task) -> None:
    """The mm_count that signal->oom_mm stands for; then the thread is thawed."""
    task.process.oom_mm_counted = True
    thaws(task)


@kill_process(at=KillAt.TASK_UNLOCK, then=KillAt.SHARERS, call="task_unlock")
def kill_task_unlock(killer: Killer, task: Task) -> None:
    """From here on the victim can run through exit_mm."""
    killer.holds_task_lock = False


def shares_mm(world: World, task: Task, process: Process) -> bool:
    """process_shares_mm, and not the victim's own group."""
    return both(
        process != task.process,
        process.mm == task.process.mm,
        some(world.all(Task), lambda other: both(other.process == process, other.has_mm)),
    )


@kill_process(
    at=KillAt.SHARERS, then=KillAt.SHARERS, call="do_send_sig_info(SIGKILL)", outcome="a sharer", oracle=LIST_ORDER
)
def kill_sharer(world: World, killer: Killer, task: Task, process: Process) -> None:
    """Another process that uses the mm is killed, but not marked."""
    requires(shares_mm(world, task, process), Guard.SHARES_MM)
    requires(negate(process.global_init), Guard.IS_NOT_INIT)
    requires(negate(process.sigkill), Guard.NOT_KILLED)
    process.sigkill = True


@kill_process(
    at=KillAt.SHARERS, then=KillAt.SHARERS, call="set_bit(MMF_OOM_SKIP)", outcome="init shares", oracle=LIST_ORDER
)
def init_shares_mm(world: World, killer: Killer, task: Task, process: Process) -> None:
    """Global init uses the mm: it cannot be reaped, and is hidden at once."""
    requires(shares_mm(world, task, process), Guard.SHARES_MM)
    requires(process.global_init, Guard.IS_INIT)
    requires(killer.can_reap, Guard.CAN_REAP)
    killer.can_reap = False
    mm = task.process.mm
    mm.oom_skip = True
    mm.excuse = Excuse.SHARED_WITH_INIT


def sharers_signalled(world: World, killer: Killer, task: Task) -> bool:
    """The walk over all processes is over."""
    return every(
        world.all(Process),
        lambda process: either(
            negate(shares_mm(world, task, process)),
            both(negate(process.global_init), process.sigkill),
            both(process.global_init, negate(killer.can_reap)),
        ),
    )


@kill_process(at=KillAt.SHARERS, then=KillAt.WAKE, call="rcu_read_unlock", outcome="can reap")
def sharers_done(world: World, killer: Killer, task: Task) -> None:
    """Every user of the mm was met, none of them is global init."""
    requires(sharers_signalled(world, killer, task), Guard.SHARERS_SIGNALLED)
    requires(killer.can_reap, Guard.CAN_REAP)


@kill_process(at=KillAt.SHARERS, then=KillAt.MMDROP, call="rcu_read_unlock", outcome="cannot reap")
def sharers_done_unreapable(world: World, killer: Killer, task: Task) -> None:
    """Global init uses the mm: nobody is queued."""
    requires(sharers_signalled(world, killer, task), Guard.SHARERS_SIGNALLED)
    requires(negate(killer.can_reap), Guard.CANNOT_REAP)


def is_queued(world: World, task: Task) -> bool:
    """``tsk == oom_reaper_list || tsk->oom_reaper_list``, read without oom_reaper_lock.

    The tail has no link: it is seen as queued only while it is also the head.
    """
    return either(both(task.queue_depth != 0, task.queue_depth == world.queue_top), task.linked)


def push(world: World, task: Task) -> None:
    """get_task_struct and the push under oom_reaper_lock.

    The reference is taken just before the push: the pusher holds one of its own, so nobody can tell.
    """
    world.announce(Event.TASK_QUEUED, task, task.process.mm)
    task.linked = world.queue_top != 0
    world.queue_top += 1
    task.queue_depth = world.queue_top
    task.queue_reference = True
    task.process.mm.was_queued = True


@wake_reaper(at=KillAt.WAKE, then=KillAt.QUEUE, call="wake_oom_reaper", outcome="not queued", commit="af8e15cc85a2")
def wake_not_queued(world: World, killer: Killer, task: Task) -> None:
    """The test is made outside oom_reaper_lock; the push is another step."""
    requires(negate(is_queued(world, task)), Guard.NOT_QUEUED)


@wake_reaper(at=KillAt.WAKE, then=KillAt.MMDROP, call="wake_oom_reaper", outcome="already queued")
def wake_already_queued(world: World, killer: Killer, task: Task) -> None:
    """Nothing to do."""
    requires(is_queued(world, task), Guard.QUEUED)


@wake_reaper(at=KillAt.QUEUE, then=KillAt.MMDROP, call="oom_reaper_list = tsk")
def queue_victim(world: World, killer: Killer, task: Task) -> None:
    """The victim is the new list head; the reaper is woken."""
    requires(task.queue_depth == 0, Guard.NOT_ON_LIST)
    push(world, task)


@wake_reaper(at=KillAt.QUEUE, then=KillAt.MMDROP, call="oom_reaper_list = tsk", outcome="list corrupted")
def queue_victim_twice(world: World, killer: Killer, task: Task) -> None:
    """The task is on the list already, unseen by the test: the list now contains a cycle."""
    requires(task.queue_depth != 0, Guard.ON_LIST)
    world.announce(Event.TASK_QUEUED, task, task.process.mm)
    world.halted = Halt.LIST_CORRUPTED


@kill_process(at=KillAt.MMDROP, then=KillAt.UNLOCK, call="mmdrop")
def kill_mmdrop(killer: Killer, task: Task) -> None:
    """The walk's mm_count goes, signal->oom_mm has its own; then put_task_struct of the victim.

    Only the killer can tell the two apart: it looks at neither afterwards.
    """
    killer.holds_mm_count = False
    killer.victim = None


@mark_victim(at=KillAt.DYING_MEMDIE, then=KillAt.DYING_OOM_MM, call="set TIF_MEMDIE", outcome="dying")
def dying_memdie(killer: Killer, task: Task) -> None:
    """As for a killed victim."""
    tests_memdie(killer, task)


@mark_victim(at=KillAt.DYING_MEMDIE, then=KillAt.DYING_WAKE, call="set TIF_MEMDIE", outcome="dying, already set")
def dying_memdie_again(killer: Killer, task: Task) -> None:
    """This thread is marked already; it is queued all the same."""
    requires(task.memdie, Guard.MEMDIE)


@mark_victim(at=KillAt.DYING_OOM_MM, then=KillAt.DYING_MMGRAB, call="cmpxchg(oom_mm)", outcome="dying")
def dying_oom_mm(world: World, killer: Killer, task: Task) -> None:
    """As for a killed victim."""
    installs_oom_mm(world, task)


@mark_victim(at=KillAt.DYING_OOM_MM, then=KillAt.DYING_WAKE, call="cmpxchg(oom_mm)", outcome="dying, already set")
def dying_oom_mm_again(killer: Killer, task: Task) -> None:
    """Another thread of the process was marked before."""
    requires(task.process.oom_mm, Guard.MARKED_BEFORE)
    thaws(task)


@mark_victim(at=KillAt.DYING_MMGRAB, then=KillAt.DYING_WAKE, call="mmgrab(oom_mm)", outcome="dying")
def dying_mmgrab(killer: Killer, task: Task) -> None:
    """As for a killed victim."""
    task.process.oom_mm_counted = True
    thaws(task)


@wake_reaper(at=KillAt.DYING_WAKE, then=KillAt.DYING_QUEUE, call="wake_oom_reaper", outcome="dying, not queued")
def dying_not_queued(world: World, killer: Killer, task: Task) -> None:
    """As for a killed victim."""
    requires(negate(is_queued(world, task)), Guard.NOT_QUEUED)


@wake_reaper(at=KillAt.DYING_WAKE, then=KillAt.DYING_DONE, call="wake_oom_reaper", outcome="dying, already queued")
def dying_already_queued(world: World, killer: Killer, task: Task) -> None:
    """Nothing to do."""
    requires(is_queued(world, task), Guard.QUEUED)


@wake_reaper(at=KillAt.DYING_QUEUE, then=KillAt.DYING_DONE, call="oom_reaper_list = tsk", outcome="dying")
def queue_dying(world: World, killer: Killer, task: Task) -> None:
    """As for a killed victim."""
    requires(task.queue_depth == 0, Guard.NOT_ON_LIST)
    push(world, task)


@wake_reaper(
    at=KillAt.DYING_QUEUE, then=KillAt.DYING_DONE, call="oom_reaper_list = tsk", outcome="dying, list corrupted"
)
def queue_dying_twice(world: World, killer: Killer, task: Task) -> None:
    """The task is on the list already, unseen by the test: the list now contains a cycle."""
    requires(task.queue_depth != 0, Guard.ON_LIST)
    world.announce(Event.TASK_QUEUED, task, task.process.mm)
    world.halted = Halt.LIST_CORRUPTED


@kill_process(at=KillAt.DYING_DONE, then=KillAt.UNLOCK, call="task_unlock", outcome="dying")
def dying_done(killer: Killer, task: Task) -> None:
    """Nobody was killed; the dying thread goes on. put_task_struct follows, which nobody can tell apart."""
    killer.holds_task_lock = False
    killer.victim = None
