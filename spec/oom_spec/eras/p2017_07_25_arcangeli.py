"""Arcangeli, 2017-07-25: the first counter-proposal, with and without oom_lock in the reaper.

Who comes first sets MMF_OOM_SKIP; who finds it set waits (exit_mmap) or leaves (the reaper). The part
of the patch that the replies quote does not touch __mmput, so it still sets the flag at its end: by
then it is set already. The reaper publishes the flag before its walk, which N2r counts as a violation;
oom_lock is what keeps a scan from acting on it.
"""

from functools import partial

from oom_spec.eras.e04_v4_12 import E4
from oom_spec.language import Era, Standing, Verified, World, negate, requires
from oom_spec.protocol import exit_mmap, reaper
from oom_spec.protocol.derived import users_left
from oom_spec.protocol.exit_mmap import exit_mmap as in_exit_mmap
from oom_spec.protocol.fences import FENCE
from oom_spec.protocol.mmput import runs_mmput
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import MmputAt, ReapAt
from oom_spec.protocol.reaper import attempts_exhausted, fails_trylock, finds_no_users, pops, publishes_skip
from oom_spec.protocol.state import Executor, Mm, Reaper, Task

MAIL = "20170725182619.GQ29716@redhat.com"
reap_mm = partial(reaper.reap_mm, verified=Verified.MAIL)
oom_reap_task = partial(reaper.oom_reap_task, verified=Verified.MAIL)
of_exit_mmap = partial(in_exit_mmap, verified=Verified.MAIL)
TEST_AND_SET = "test_and_set_bit(MMF_OOM_SKIP)"


@reap_mm(at=ReapAt.MMGET, then=ReapAt.TEST_SKIP, call="mmget_not_zero", outcome="fails")
def mmget_not_zero_fails(world: World, reaper: Reaper, task: Task) -> None:
    """mm_users is 0: the flag decides who may touch the mm."""
    finds_no_users(world, reaper, task)


@reap_mm(at=ReapAt.TEST_SKIP, then=ReapAt.SET_UNSTABLE, call=TEST_AND_SET, outcome="was clear")
def reaper_comes_first(world: World, reaper: Reaper, task: Task) -> None:
    """exit_mmap has not finished unmapping: reap without a pin; exit_mmap will wait."""
    mm = task.process.mm
    requires(negate(mm.oom_skip), Guard.SKIP_CLEAR)
    publishes_skip(world, reaper, mm)


@reap_mm(at=ReapAt.TEST_SKIP, then=ReapAt.UP_READ_SKIPPED, call=TEST_AND_SET, outcome="was set")
def reaper_comes_second(reaper: Reaper, task: Task) -> None:
    """exit_mmap has unmapped everything: leave."""
    requires(task.process.mm.oom_skip, Guard.SKIP_SET)


@reap_mm(at=ReapAt.MMPUT_ASYNC, then=ReapAt.UNLOCK_TRUE, call="mmput_async", outcome="nothing pinned")
def no_mmput_async(reaper: Reaper, task: Task) -> None:
    """mmget_not_zero had failed: there is no mm_users to drop."""
    requires(negate(task.process.mm.pinned_by_reaper), Guard.NOT_PINNED)


@reap_mm(at=ReapAt.MMPUT_ASYNC, then=ReapAt.UNLOCK_TRUE, call="mmput_async", outcome="last")
def mmput_async_last(world: World, reaper: Reaper, task: Task) -> None:
    """The reaper's was the last mm_users: a kworker runs __mmput."""
    mm = task.process.mm
    requires(mm.pinned_by_reaper, Guard.PINNED)
    mm.pinned_by_reaper = False
    runs_mmput(world, mm, Executor.WORKQUEUE)


@reap_mm(at=ReapAt.MMPUT_ASYNC, then=ReapAt.UNLOCK_TRUE, call="mmput_async", outcome="not last")
def mmput_async_not_last(world: World, reaper: Reaper, task: Task) -> None:
    """Somebody else still uses the mm."""
    mm = task.process.mm
    requires(mm.pinned_by_reaper, Guard.PINNED)
    mm.pinned_by_reaper = False
    requires(users_left(world, mm), Guard.NOT_LAST_USER)


@of_exit_mmap(at=MmputAt.UNMAP, then=MmputAt.SKIP_AFTER_UNMAP, call="unmap_vmas", outcome="done")
def unmap_done(mm: Mm) -> None:
    """unmap_vmas has walked every VMA, perhaps beside the reaper."""
    requires(exit_mmap.nothing_mapped(mm), Guard.NO_PAGES_LEFT)
    mm.unmapped = True


@of_exit_mmap(at=MmputAt.SKIP_AFTER_UNMAP, then=MmputAt.FREE_PGTABLES, call=TEST_AND_SET, outcome="was clear")
def exit_comes_first(world: World, mm: Mm) -> None:
    """The reaper has not begun, and will leave: no need to wait."""
    requires(negate(mm.oom_skip), Guard.SKIP_CLEAR)
    world.announce(Event.EXIT_SETS_SKIP, mm)
    mm.oom_skip = True


@of_exit_mmap(at=MmputAt.SKIP_AFTER_UNMAP, then=MmputAt.FENCE_DOWN_WRITE, call=TEST_AND_SET, outcome="was set")
def exit_comes_second(mm: Mm) -> None:
    """The reaper may be at work: wait for it."""
    requires(mm.oom_skip, Guard.SKIP_SET)


FIRST = Era(
    id="arcangeli-first",
    title="test_and_set_bit(MMF_OOM_SKIP) decides between the reaper and exit_mmap",
    opened_by=f"Arcangeli, 2017-07-25, {MAIL}",
    standing=Standing.PROPOSED,
    why="The first counter-proposal of the thread; the reaper keeps oom_lock.",
    parent=E4,
    added=(reaper_comes_first, reaper_comes_second, no_mmput_async, exit_comes_first, exit_comes_second, *FENCE),
    replaced=(mmget_not_zero_fails, mmput_async_last, mmput_async_not_last, unmap_done),
)


@reaper.oom_reaper(at=ReapAt.WAIT, then=ReapAt.TRYLOCK, call="oom_reap_task", waits=True, verified=Verified.MAIL)
def dequeue(world: World, reaper: Reaper, task: Task) -> None:
    """As before, without oom_lock, as Hocko assumed in his reply of 2017-07-26."""
    pops(world, reaper, task)


@reap_mm(at=ReapAt.TRYLOCK, then=ReapAt.RETRY, call="down_read_trylock", outcome="fails")
def trylock_fails(world: World, reaper: Reaper, task: Task) -> None:
    """A writer holds mmap_sem or waits for it."""
    fails_trylock(world, reaper, task)


@reap_mm(at=ReapAt.UNLOCK_TRUE, then=ReapAt.LINK_NULL, call="return true")
def returns_true(reaper: Reaper, task: Task) -> None:
    """There is no oom_lock to drop."""


@oom_reap_task(at=ReapAt.RETRY, then=ReapAt.TRYLOCK, call="schedule_timeout_idle(HZ/10)")
def retry(reaper: Reaper, task: Task) -> None:
    """Sleeps and tries again."""
    requires(negate(attempts_exhausted(reaper)), Guard.ATTEMPTS_LEFT)


FIRST_NO_OOM_LOCK = Era(
    id="arcangeli-first-no-oom-lock",
    title="arcangeli-first, with a reaper that does not take oom_lock",
    opened_by="the race in Hocko's reply, 2017-07-26, 20170726054533.GA960@dhcp22.suse.cz",
    standing=Standing.PROPOSED,
    why="Hocko's three-column race against the counter-proposal assumed that oom_lock would go.",
    parent=FIRST,
    added=(returns_true,),
    replaced=(dequeue, trylock_fails, retry),
    removed=(
        reaper.reaper_takes_oom_lock.id,
        reaper.reaper_drops_oom_lock.id,
        reaper.reaper_drops_oom_lock_to_retry.id,
    ),
)

ERAS = (FIRST, FIRST_NO_OOM_LOCK)
