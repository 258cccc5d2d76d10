"""The oom reaper (mm/oom_kill.c), as in v4.12."""

from __future__ import annotations

from functools import partial

from oom_spec.language import Halt, World, both, either, full, negate, requires, some, step, when
from oom_spec.protocol.derived import oom_lock_taken, read_lock_free, users_left
from oom_spec.protocol.mmput import runs_mmput
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import ReapAt
from oom_spec.protocol.state import Excuse, Executor, Mm, Page, Reaper, Task, Writer

oom_reaper = partial(step, Reaper, kernel="mm/oom_kill.c:oom_reaper")
oom_reap_task = partial(step, Reaper, binds={"task": "job"}, kernel="mm/oom_kill.c:oom_reap_task")
reap_mm = partial(step, Reaper, binds={"task": "job"}, kernel="mm/oom_kill.c:__oom_reap_task_mm")
WALK = "whether the walk has passed that VMA"


@oom_reaper(at=ReapAt.WAIT, then=ReapAt.OOM_LOCK, call="oom_reap_task", waits=True, commit="03049269de43")
def dequeue(world: World, reaper: Reaper, task: Task) -> None:
    """Pops the list head and starts oom_reap_task.

    The pop happens under oom_reaper_lock, which nobody holds across anything visible: one step.
    The mm is tsk->signal->oom_mm, which cannot change once it is set.
    """
    pops(world, reaper, task)


def pops(world: World, reaper: Reaper, task: Task) -> None:
    """Takes the list head; the queue's task reference goes over to the reaper."""
    requires(world.queue_top != 0, Guard.ON_LIST)
    requires(task.queue_depth == world.queue_top, Guard.LIST_HEAD)
    task.queue_depth = 0
    task.queue_reference = False
    world.queue_top -= 1
    reaper.job = task
    reaper.attempts = 0
    forgets_job(reaper)


def forgets_job(reaper: Reaper) -> None:
    """History of a job starts empty."""
    reaper.passed = False
    reaper.found_no_users = False
    reaper.obstructed = False


@reap_mm(at=ReapAt.OOM_LOCK, then=ReapAt.TRYLOCK, call="mutex_lock(oom_lock)", waits=True, commit="e2fe14564d33")
def reaper_takes_oom_lock(world: World, reaper: Reaper, task: Task) -> None:
    """Keeps an OOM scan from running between the reap and what the victim does next."""
    requires(negate(oom_lock_taken(world)), Guard.OOM_LOCK_FREE)
    reaper.holds_oom_lock = True


@reap_mm(at=ReapAt.TRYLOCK, then=ReapAt.MMGET, call="down_read_trylock")
def trylock(world: World, reaper: Reaper, task: Task) -> None:
    """mmap_sem for reading, without waiting."""
    takes_read_lock(world, reaper, task)


def takes_read_lock(world: World, reaper: Reaper, task: Task) -> None:
    """A trylock that succeeds."""
    mm = task.process.mm
    requires(read_lock_free(mm), Guard.READ_LOCK_FREE)
    world.announce(Event.ATTEMPT_BEGINS, reaper)
    mm.read_by_reaper = True


@reap_mm(at=ReapAt.TRYLOCK, then=ReapAt.UNLOCK_FALSE, call="down_read_trylock", outcome="fails")
def trylock_fails(world: World, reaper: Reaper, task: Task) -> None:
    """A writer holds mmap_sem or waits for it.

    The attempts are counted here and not in the loop of oom_reap_task: only the reaper sees the count.
    """
    fails_trylock(world, reaper, task)


def fails_trylock(world: World, reaper: Reaper, task: Task) -> None:
    """One more failed attempt; history: who was in the way, and had it unmapped yet?"""
    mm = task.process.mm
    requires(negate(read_lock_free(mm)), Guard.READ_LOCK_TAKEN)
    world.announce(Event.ATTEMPT_BEGINS, reaper)
    reaper.attempts += 1
    in_the_way = either(mm.writer == Writer.EXIT_MMAP, mm.exit_waits == Writer.EXIT_MMAP)
    reaper.obstructed = either(reaper.obstructed, both(in_the_way, negate(mm.unmapped)))


@reap_mm(at=ReapAt.MMGET, then=ReapAt.SET_UNSTABLE, call="mmget_not_zero")
def mmget_not_zero(world: World, reaper: Reaper, task: Task) -> None:
    """mm_users was above 0: pins the address space, so exit_mmap cannot run."""
    mm = task.process.mm
    requires(users_left(world, mm), Guard.USERS_LEFT)
    mm.pinned_by_reaper = True


@reap_mm(at=ReapAt.MMGET, then=ReapAt.UP_READ_SKIPPED, call="mmget_not_zero", outcome="fails")
def mmget_not_zero_fails(world: World, reaper: Reaper, task: Task) -> None:
    """mm_users is 0: somebody runs __mmput, or has run it."""
    finds_no_users(world, reaper, task)


def finds_no_users(world: World, reaper: Reaper, task: Task) -> None:
    """mmget_not_zero found 0."""
    requires(negate(users_left(world, task.process.mm)), Guard.NO_USERS_LEFT)
    reaper.found_no_users = True


@reap_mm(at=ReapAt.SET_UNSTABLE, then=ReapAt.ZAP, call="set_bit(MMF_UNSTABLE)", commit="3f70dc38cec2")
def set_unstable(reaper: Reaper, task: Task) -> None:
    """What is read from this mm from now on cannot be trusted; the walk over the VMAs begins."""
    mm = task.process.mm
    mm.unstable = True
    mm.walked_by_reaper = True


@reap_mm(at=ReapAt.ZAP, then=ReapAt.ZAP, call="unmap_page_range", outcome="a page")
def zap_page(world: World, reaper: Reaper, task: Task) -> None:
    """One page of an eligible VMA: private, not VM_LOCKED, not hugetlb, not PFN-mapped.

    It goes into one gather for the whole mm (v4.6 - v4.14), which an architecture may not flush.
    """
    mm = task.process.mm
    zaps_page(world, mm)
    mm.zapped_by_reaper = mm.flush_skipped


def zaps_page(world: World, mm: Mm) -> None:
    """A reapable page is unmapped."""
    requires(mm.reapable != 0, Guard.PAGES_LEFT)
    world.announce(Event.PAGE_ZAPPED, mm)
    mm.reapable -= 1


@reap_mm(at=ReapAt.ZAP, then=ReapAt.ZAP, call="unmap_page_range", outcome="watched page", optional=True, oracle=WALK)
def zap_watched_page(reaper: Reaper, task: Task) -> None:
    """The one private page that S3 watches; a walk that has passed its address leaves it."""
    zaps_watched_page(task.process.mm)


def zaps_watched_page(mm: Mm) -> None:
    """Its contents are lost; who faults on it must not see others."""
    requires(mm.watched == Page.PRIVATE, Guard.PAGES_LEFT)
    mm.watched = Page.REAPED


@reap_mm(
    at=ReapAt.ZAP,
    then=ReapAt.ZAP,
    call="unmap_page_range",
    outcome="a page munlocked meanwhile",
    oracle=WALK,
    optional=True,
)
def zap_munlocked_page(reaper: Reaper, task: Task) -> None:
    """The VMA had VM_LOCKED until exit_mmap cleared it; a walk that has not passed it yet zaps it."""
    mm = task.process.mm
    requires(both(mm.mlocked != 0, negate(mm.vm_locked)), Guard.PAGES_LEFT)
    mm.mlocked -= 1


@reap_mm(at=ReapAt.ZAP, then=ReapAt.UP_READ_REAPED, call="tlb_finish_mmu")
def pass_completed(world: World, reaper: Reaper, task: Task) -> None:
    """The walk is over; the gathered pages are freed. Nobody waits for the free, so it is one step."""
    completes_pass(reaper, task)
    frees_without_flush(world, task.process.mm)


def frees_without_flush(world: World, mm: Mm) -> None:
    """The gather is flagged as one of a whole mm, whose TLB entries nobody can use any more: not so here."""
    runs = some(world.all(Task), lambda task: both(task.process.mm == mm, task.has_mm))
    mm.stale_tlb = either(mm.stale_tlb, both(mm.zapped_by_reaper, runs))
    mm.zapped_by_reaper = False


def completes_pass(reaper: Reaper, task: Task) -> None:
    """No eligible page is left."""
    mm = task.process.mm
    requires(mm.reapable == 0, Guard.NO_PAGES_LEFT)
    mm.walked_by_reaper = False
    mm.pass_completed = True
    reaper.passed = True


@reap_mm(at=ReapAt.UP_READ_REAPED, then=ReapAt.MMPUT_ASYNC, call="up_read")
def up_read_after_pass(reaper: Reaper, task: Task) -> None:
    """Releases mmap_sem."""
    task.process.mm.read_by_reaper = False


@reap_mm(at=ReapAt.MMPUT_ASYNC, then=ReapAt.UNLOCK_TRUE, call="mmput_async", outcome="last", commit="ec8d7c14ea14")
def mmput_async_last(world: World, reaper: Reaper, task: Task) -> None:
    """The reaper's was the last mm_users: a kworker runs __mmput."""
    mm = task.process.mm
    mm.pinned_by_reaper = False
    runs_mmput(world, mm, Executor.WORKQUEUE)


@reap_mm(at=ReapAt.MMPUT_ASYNC, then=ReapAt.UNLOCK_TRUE, call="mmput_async", outcome="not last")
def mmput_async_not_last(world: World, reaper: Reaper, task: Task) -> None:
    """Somebody else still uses the mm."""
    mm = task.process.mm
    mm.pinned_by_reaper = False
    requires(users_left(world, mm), Guard.NOT_LAST_USER)


@reap_mm(at=ReapAt.UP_READ_SKIPPED, then=ReapAt.UNLOCK_TRUE, call="up_read", outcome="nothing reaped")
def up_read_nothing_reaped(reaper: Reaper, task: Task) -> None:
    """Releases mmap_sem without having reaped; the attempt still counts as done."""
    task.process.mm.read_by_reaper = False


@reap_mm(at=ReapAt.UNLOCK_TRUE, then=ReapAt.LINK_NULL, call="mutex_unlock(oom_lock)", outcome="true")
def reaper_drops_oom_lock(reaper: Reaper, task: Task) -> None:
    """__oom_reap_task_mm returns true: no further attempt."""
    reaper.holds_oom_lock = False


@reap_mm(at=ReapAt.UNLOCK_FALSE, then=ReapAt.RETRY, call="mutex_unlock(oom_lock)", outcome="false")
def reaper_drops_oom_lock_to_retry(reaper: Reaper, task: Task) -> None:
    """__oom_reap_task_mm returns false."""
    reaper.holds_oom_lock = False


@oom_reap_task(at=ReapAt.RETRY, then=ReapAt.OOM_LOCK, call="schedule_timeout_idle(HZ/10)")
def retry(reaper: Reaper, task: Task) -> None:
    """Sleeps and tries again. Time is order only: the sleep is the chance of others to run."""
    requires(negate(attempts_exhausted(reaper)), Guard.ATTEMPTS_LEFT)


def attempts_exhausted(reaper: Reaper) -> bool:
    """MAX_OOM_REAP_RETRIES attempts failed."""
    return full(reaper, Reaper.attempts)


@oom_reap_task(at=ReapAt.RETRY, then=ReapAt.LINK_NULL, call="schedule_timeout_idle(HZ/10)", outcome="gives up")
def give_up(world: World, reaper: Reaper, task: Task) -> None:
    """MAX_OOM_REAP_RETRIES attempts failed: the reaper gives up on this mm."""
    gives_up(world, reaper, task)


def gives_up(world: World, reaper: Reaper, task: Task) -> None:
    """From here on ten failed attempts excuse MMF_OOM_SKIP on this mm (N3)."""
    mm = task.process.mm
    requires(attempts_exhausted(reaper), Guard.NO_ATTEMPTS_LEFT)
    world.announce(Event.REAPER_GIVES_UP, reaper, mm)
    mm.excuse = when(mm.excuse == Excuse.NONE, Excuse.TEN_FAILED, mm.excuse)


@oom_reap_task(at=ReapAt.LINK_NULL, then=ReapAt.SET_SKIP, call="tsk->oom_reaper_list = NULL")
def link_null(reaper: Reaper, task: Task) -> None:
    """From here on the task looks unqueued again."""
    clears_link(task)


def clears_link(task: Task) -> None:
    """Written without oom_reaper_lock; harmless unless the task was queued again above another one."""
    requires(negate(both(task.queue_depth != 0, task.linked)), Guard.NO_LIST_BELOW)
    task.linked = False


@oom_reap_task(at=ReapAt.LINK_NULL, then=ReapAt.SET_SKIP, call="tsk->oom_reaper_list = NULL", outcome="list cut")
def link_null_cuts_list(world: World, reaper: Reaper, task: Task) -> None:
    """The task was queued again meanwhile, above another one: that one is cut off and never reaped."""
    requires(both(task.queue_depth != 0, task.linked), Guard.LIST_BELOW)
    world.halted = Halt.LIST_CORRUPTED


@oom_reap_task(at=ReapAt.SET_SKIP, then=ReapAt.PUT_TASK, call="set_bit(MMF_OOM_SKIP)", commit="26db62f179d1")
def reaper_sets_skip(world: World, reaper: Reaper, task: Task) -> None:
    """In every case, whatever the attempts did; outside oom_lock."""
    publishes_skip(world, reaper, task.process.mm)


def publishes_skip(world: World, reaper: Reaper, mm: Mm) -> None:
    """set_bit(MMF_OOM_SKIP) by the reaper; history: it is news to whoever has tried its last allocation."""
    world.announce(Event.REAPER_SETS_SKIP, reaper, mm)
    mm.oom_skip = True
    world.skip_is_news.fill(world.attempt_watched)


@oom_reap_task(at=ReapAt.PUT_TASK, then=ReapAt.WAIT, call="put_task_struct")
def put_task(world: World, reaper: Reaper, task: Task) -> None:
    """Drops the reference that came with the job and goes back to wait."""
    world.announce(Event.JOB_DONE, reaper, task.process.mm)
    reaper.job = None
    reaper.attempts = 0
    forgets_job(reaper)
