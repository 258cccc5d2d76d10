"""E8: v4.19, v4.20. No oom_lock in the reaper or the exit path, non-blocking notifiers, memory.oom.group."""

from functools import partial

from oom_spec.eras import e05_v4_14 as v4_14
from oom_spec.eras.e07_v4_17 import E7
from oom_spec.language import Era, World, both, either, every, negate, requires, step
from oom_spec.protocol import kill, notifiers, reaper, self_reap
from oom_spec.protocol.derived import task_lock_taken, will_free_mem
from oom_spec.protocol.killer import comes_before, killable_here
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import KillAt, ReapAt
from oom_spec.protocol.reaper import attempts_exhausted, fails_trylock, pops, takes_read_lock
from oom_spec.protocol.state import Killer, Reaper, Task

INTRODUCED = "af5679fbc669"
GROUP = "3d8b38eb81ca"
reap_mm = partial(reaper.reap_mm, commit=INTRODUCED)
kill_process = partial(kill.kill_process, commit=GROUP)
group = partial(step, Killer, at=KillAt.GROUP, kernel="mm/oom_kill.c:oom_kill_process", commit=GROUP)


@reaper.oom_reaper(at=ReapAt.WAIT, then=ReapAt.TRYLOCK, call="oom_reap_task", waits=True, commit=INTRODUCED)
def dequeue(world: World, reaper: Reaper, task: Task) -> None:
    """As before; oom_lock is not taken any more."""
    pops(world, reaper, task)


@reap_mm(at=ReapAt.TRYLOCK, then=ReapAt.TEST_SKIP, call="down_read_trylock")
def trylock(world: World, reaper: Reaper, task: Task) -> None:
    """mmap_sem for reading, without waiting; notifiers are asked VMA by VMA."""
    takes_read_lock(world, reaper, task)


@reap_mm(at=ReapAt.TRYLOCK, then=ReapAt.RETRY, call="down_read_trylock", outcome="fails")
def trylock_fails(world: World, reaper: Reaper, task: Task) -> None:
    """A writer holds mmap_sem or waits for it."""
    fails_trylock(world, reaper, task)


@reap_mm(at=ReapAt.UP_READ_REAPED, then=ReapAt.LINK_NULL, call="up_read")
def up_read_after_pass(reaper: Reaper, task: Task) -> None:
    """Releases mmap_sem; returns true."""
    task.process.mm.read_by_reaper = False


@reap_mm(at=ReapAt.UP_READ_SKIPPED, then=ReapAt.LINK_NULL, call="up_read", outcome="nothing reaped")
def up_read_nothing_reaped(reaper: Reaper, task: Task) -> None:
    """Releases mmap_sem; returns true."""
    task.process.mm.read_by_reaper = False


@reaper.oom_reap_task(at=ReapAt.RETRY, then=ReapAt.TRYLOCK, call="schedule_timeout_idle(HZ/10)", commit=INTRODUCED)
def retry(reaper: Reaper, task: Task) -> None:
    """Sleeps and tries again, after a failed trylock or an incomplete pass."""
    requires(negate(attempts_exhausted(reaper)), Guard.ATTEMPTS_LEFT)


def begins_kill(killer: Killer) -> None:
    """The walk over the cgroup, if there will be one, starts empty; nobody reads the scan's bookkeeping any more."""
    killer.scanned.fill(False)


@kill_process(
    at=KillAt.VICTIM_WILL_FREE, then=KillAt.FIND_LOCK, call="task_will_free_mem(victim)", outcome="no", waits=True
)
def victim_is_not_dying(world: World, killer: Killer, task: Task) -> None:
    """It must be killed; memory.oom.group is looked at before the kill. The test's task_lock is released again."""
    requires(negate(task_lock_taken(world, task)), Guard.TASK_LOCK_FREE)
    requires(negate(will_free_mem(world, task)), Guard.NOT_DYING)
    begins_kill(killer)


@kill_process(at=KillAt.MMDROP, then=KillAt.UNLOCK, call="mmdrop")
def kill_mmdrop(killer: Killer, task: Task) -> None:
    """As before; the victim's cgroup has no memory.oom.group."""
    requires(negate(killer.oom_group), Guard.NO_OOM_GROUP)
    ends_kill(killer)


def ends_kill(killer: Killer) -> None:
    """mmdrop and put_task_struct."""
    killer.holds_mm_count = False
    killer.victim = None


@kill_process(at=KillAt.MMDROP, then=KillAt.GROUP, call="mmdrop", outcome="memory.oom.group")
def kill_mmdrop_then_group(killer: Killer, task: Task) -> None:
    """The other tasks of the cgroup follow, under the same oom_lock."""
    requires(killer.oom_group, Guard.OOM_GROUP)
    ends_kill(killer)


@kill_process(at=KillAt.FIND_LOCK, then=KillAt.UNLOCK, call="find_lock_task_mm", outcome="none")
def find_lock_task_mm_none(world: World, killer: Killer, task: Task) -> None:
    """All threads passed exit_mm meanwhile: nothing happens."""
    requires(negate(killer.oom_group), Guard.NO_OOM_GROUP)
    finds_no_thread(world, killer, task)


def finds_no_thread(world: World, killer: Killer, task: Task) -> None:
    """No thread of the group has an mm."""
    requires(
        every(world.all(Task), lambda other: either(other.process != task.process, negate(other.has_mm))),
        Guard.NO_THREAD_WITH_MM,
    )
    killer.victim = None


@kill_process(at=KillAt.FIND_LOCK, then=KillAt.GROUP, call="find_lock_task_mm", outcome="none, memory.oom.group")
def find_lock_task_mm_none_then_group(world: World, killer: Killer, task: Task) -> None:
    """This one has gone; the walk over the cgroup goes on."""
    requires(killer.oom_group, Guard.OOM_GROUP)
    finds_no_thread(world, killer, task)


def left_in_group(killer: Killer, task: Task) -> bool:
    """The walk over the cgroup can meet the task, and has not met it."""
    return both(task.in_cgroup, killable_here(killer, task), negate(killer.scanned[task]))


@group(then=KillAt.FIND_LOCK, call="__oom_kill_process")
def kill_group_member(world: World, killer: Killer, task: Task) -> None:
    """Every task of the cgroup is killed on purpose, the first victim and its threads once more among them.

    The cgroup is the set of processes of this OOM domain; OOM_SCORE_ADJ_MIN is left out.
    """
    requires(left_in_group(killer, task), Guard.VISIBLE)
    requires(
        every(
            world.all(Task),
            lambda other: either(negate(comes_before(other, task)), negate(left_in_group(killer, other))),
        ),
        Guard.LIST_ORDER,
    )
    killer.scanned[task] = True
    killer.victim = task


@group(then=KillAt.UNLOCK, call="mem_cgroup_scan_tasks", outcome="done")
def group_is_killed(world: World, killer: Killer) -> None:
    """Every task that the walk can meet was met."""
    requires(every(world.all(Task), lambda task: negate(left_in_group(killer, task))), Guard.SCAN_FINISHED)


E8 = Era(
    id="E8",
    aliases=("v4.19", "v4.20", "4.19", "4.20"),
    title="v4.19 - v4.20: no oom_lock in the reaper or the exit path; notifiers may refuse; memory.oom.group",
    opened_by='af5679fbc669 "mm, oom: remove oom_lock from oom_reaper"',
    why="93065ac753e4 made notifiers refuse instead of block, so that no mm is given up on for having them.",
    parent=E7,
    added=(
        *notifiers.INCOMPLETE_ADDED,
        kill_mmdrop_then_group,
        find_lock_task_mm_none_then_group,
        kill_group_member,
        group_is_killed,
    ),
    replaced=(
        *notifiers.INCOMPLETE_REPLACED,
        *self_reap.UNLOCKED_REPLACED,
        dequeue,
        trylock,
        trylock_fails,
        up_read_after_pass,
        up_read_nothing_reaped,
        retry,
        victim_is_not_dying,
        kill_mmdrop,
        find_lock_task_mm_none,
    ),
    removed=(
        *self_reap.UNLOCKED_REMOVED,
        *(each.id for each in notifiers.BLOCKABLE),
        v4_14.up_read_notifiers.id,
        reaper.reaper_takes_oom_lock.id,
        reaper.reaper_drops_oom_lock.id,
        reaper.reaper_drops_oom_lock_to_retry.id,
    ),
)

ERAS = (E8,)
