"""process_mrelease (mm/oom_kill.c), v5.15 on, in its three forms.

Flags other than 0 and a pidfd that refers to no process are left out: nothing of the protocol is
touched on those ways. The caller is not one of the modelled threads; its own death shows only as
EINTR. A killer does not wait for the task_lock that the caller holds: what it writes under that lock
(TIF_MEMDIE, signal->oom_mm) the caller does not read, and SIGKILL may come without the lock too.

An era takes a form like this:

* `PINNED`: added by v5.15, which pins mm_users.
* `LOCKED_ADDED`, `LOCKED_REPLACED`, `LOCKED_REMOVED` (ids): v5.17 on top of `PINNED`, where only
  mm_count is held and MMF_OOM_SKIP is tested under mmap_lock.
* `MLOCKED_ADDED`, `MLOCKED_REPLACED`: v5.18 on top of that, where VM_LOCKED VMAs are walked too.
* `FIRST_FORM`: what was there for some days before `PINNED`; complete in itself.
"""

from __future__ import annotations

from functools import partial

import attrs

from oom_spec.language import Verified, World, both, either, every, negate, requires, some, step
from oom_spec.protocol.derived import read_lock_free, task_lock_taken, users_left, will_free_mem
from oom_spec.protocol.exit_mmap import mmap_is_null
from oom_spec.protocol.killer import comes_before
from oom_spec.protocol.mmput import runs_mmput
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.notifiers import has_blockable_notifiers
from oom_spec.protocol.points import MreleaseAt
from oom_spec.protocol.reaper import WALK, zaps_page, zaps_watched_page
from oom_spec.protocol.state import Executor, Mrelease, MreleaseResult, Process, Task

INTRODUCED = "884a7e5964e0"
PINS = "337546e83fc7"
UNDER_LOCK = "ba535c1caf3e"
MLOCKED = "a213e5cf71cb"

mrelease = partial(step, Mrelease, kernel="mm/oom_kill.c:process_mrelease")
on_thread = partial(step, Mrelease, kernel="mm/oom_kill.c:process_mrelease", binds={"task": "found"})
reap_mm = partial(step, Mrelease, kernel="mm/oom_kill.c:__oom_reap_task_mm")


@mrelease(
    at=MreleaseAt.IDLE,
    then=MreleaseAt.FIND,
    call="syscall",
    waits=True,
    environment=True,
    commit=INTRODUCED,
)
def call_begins(mrelease: Mrelease) -> None:
    """Somebody with a pidfd calls, at any time or never. The return value starts as 0."""
    mrelease.result = MreleaseResult.SUCCESS


def is_first_with_mm(world: World, process: Process, task: Task) -> bool:
    """`task` is the first thread of the group that has an mm, in the order of the thread list."""
    return both(
        task.process == process,
        task.has_mm,
        every(
            world.all(Task),
            lambda other: either(other.process != process, negate(comes_before(other, task)), negate(other.has_mm)),
        ),
    )


@mrelease(at=MreleaseAt.FIND, then=MreleaseAt.MMGET, call="find_lock_task_mm", waits=True, commit=INTRODUCED)
def find_thread(world: World, mrelease: Mrelease, task: Task) -> None:
    """The first thread that still has the mm, with its task_lock held from here on."""
    requires(is_first_with_mm(world, mrelease.target, task), Guard.FIRST_THREAD_WITH_MM)
    requires(negate(task_lock_taken(world, task)), Guard.TASK_LOCK_FREE)
    mrelease.found = task
    mrelease.holds_task_lock = True


@mrelease(
    at=MreleaseAt.FIND, then=MreleaseAt.RETURN, call="find_lock_task_mm", outcome="none", waits=True, commit=INTRODUCED
)
def find_no_thread(world: World, mrelease: Mrelease) -> None:
    """Every thread has passed exit_mm: ESRCH, also where memory is still there."""
    requires(
        negate(some(world.all(Task), lambda task: both(task.process == mrelease.target, task.has_mm))),
        Guard.NO_THREAD_WITH_MM,
    )
    mrelease.result = MreleaseResult.ESRCH


@on_thread(at=MreleaseAt.MMGET, then=MreleaseAt.WILL_FREE, call="mmget_not_zero", commit=PINS)
def pin_users(mrelease: Mrelease, task: Task) -> None:
    """It cannot fail: the thread's own mm_users is there, t->mm being set under task_lock."""
    mrelease.pins = True


@on_thread(at=MreleaseAt.MMGET, then=MreleaseAt.WILL_FREE, call="mmgrab", commit=UNDER_LOCK)
def grab_struct(mrelease: Mrelease, task: Task) -> None:
    """Keeps the mm_struct, not the address space."""
    mrelease.holds_mm_count = True


@on_thread(
    at=MreleaseAt.WILL_FREE, then=MreleaseAt.TASK_UNLOCK, call="task_will_free_mem", outcome="yes", commit=INTRODUCED
)
def target_is_dying(world: World, mrelease: Mrelease, task: Task) -> None:
    """Every user of the mm is dying, and nobody has published MMF_OOM_SKIP."""
    requires(will_free_mem(world, task), Guard.DYING)


@on_thread(
    at=MreleaseAt.WILL_FREE, then=MreleaseAt.TEST_SKIP, call="task_will_free_mem", outcome="no", commit=INTRODUCED
)
def target_is_not_dying(world: World, mrelease: Mrelease, task: Task) -> None:
    """Somebody lives on with this memory, or MMF_OOM_SKIP is set."""
    requires(negate(will_free_mem(world, task)), Guard.NOT_DYING)


@on_thread(
    at=MreleaseAt.TEST_SKIP,
    then=MreleaseAt.TASK_UNLOCK_DONE,
    call="test_bit(MMF_OOM_SKIP)",
    outcome="set",
    commit=INTRODUCED,
)
def work_is_done(mrelease: Mrelease, task: Task) -> None:
    """The work is done already: success."""
    requires(task.process.mm.oom_skip, Guard.SKIP_SET)
    mrelease.saw_skip = True


@on_thread(
    at=MreleaseAt.TEST_SKIP,
    then=MreleaseAt.TASK_UNLOCK_DONE,
    call="test_bit(MMF_OOM_SKIP)",
    outcome="clear",
    commit=INTRODUCED,
)
def must_not_reap(mrelease: Mrelease, task: Task) -> None:
    """EINVAL: the memory is still in use."""
    requires(negate(task.process.mm.oom_skip), Guard.SKIP_CLEAR)
    mrelease.result = MreleaseResult.EINVAL


def unlocks_task(mrelease: Mrelease) -> None:
    """task_unlock; the thread is not looked at again."""
    mrelease.holds_task_lock = False
    mrelease.found = None


@on_thread(at=MreleaseAt.TASK_UNLOCK, then=MreleaseAt.READ_LOCK, call="task_unlock", commit=INTRODUCED)
def unlock_to_reap(mrelease: Mrelease, task: Task) -> None:
    """From here on the thread can run through exit_mm."""
    unlocks_task(mrelease)


@on_thread(
    at=MreleaseAt.TASK_UNLOCK_DONE,
    then=MreleaseAt.MMPUT,
    call="task_unlock",
    outcome="nothing to reap",
    commit=INTRODUCED,
)
def unlock_without_reap(mrelease: Mrelease, task: Task) -> None:
    """Success or EINVAL is decided."""
    unlocks_task(mrelease)


@mrelease(
    at=MreleaseAt.READ_LOCK, then=MreleaseAt.SET_UNSTABLE, call="mmap_read_lock_killable", waits=True, commit=INTRODUCED
)
def read_lock(mrelease: Mrelease) -> None:
    """Unlike the reaper it may wait."""
    takes_read_lock(mrelease)


def takes_read_lock(mrelease: Mrelease) -> None:
    """mmap_lock for reading."""
    requires(read_lock_free(mrelease.target.mm), Guard.READ_LOCK_FREE)
    mrelease.reads = True


@mrelease(
    at=MreleaseAt.READ_LOCK,
    then=MreleaseAt.MMPUT,
    call="mmap_read_lock_killable",
    outcome="interrupted",
    waits=True,
    environment=True,
    commit=INTRODUCED,
)
def read_lock_interrupted(mrelease: Mrelease) -> None:
    """The caller itself is killed while it waits: EINTR."""
    requires(negate(read_lock_free(mrelease.target.mm)), Guard.READ_LOCK_TAKEN)
    mrelease.result = MreleaseResult.EINTR


@reap_mm(at=MreleaseAt.SET_UNSTABLE, then=MreleaseAt.ZAP, call="set_bit(MMF_UNSTABLE)", commit=INTRODUCED)
def set_unstable(mrelease: Mrelease) -> None:
    """As in the reaper; the walk over the VMAs begins, whether or not they are still there."""
    mrelease.target.mm.unstable = True
    mrelease.walks = True


@reap_mm(
    at=MreleaseAt.ZAP, then=MreleaseAt.ZAP, call="unmap_page_range", outcome="a page", oracle=WALK, commit=INTRODUCED
)
def zap_page(world: World, mrelease: Mrelease) -> None:
    """One page of a private VMA without VM_LOCKED, under a gather of its own."""
    zaps_page(world, mrelease.target.mm)


@reap_mm(
    at=MreleaseAt.ZAP,
    then=MreleaseAt.ZAP,
    call="unmap_page_range",
    outcome="the watched page",
    optional=True,
    oracle=WALK,
    commit=INTRODUCED,
)
def zap_watched_page(mrelease: Mrelease) -> None:
    """The one private page that S3 watches."""
    zaps_watched_page(mrelease.target.mm)


@reap_mm(
    at=MreleaseAt.ZAP,
    then=MreleaseAt.ZAP,
    call="mmu_notifier_invalidate_range_start_nonblock",
    outcome="refuses",
    optional=True,
    oracle=WALK,
    commit=INTRODUCED,
)
def notifier_refuses(mrelease: Mrelease) -> None:
    """A notifier would have to block: this VMA keeps its pages, if it has any, and the walk goes on with the next."""
    requires(has_blockable_notifiers(mrelease.target.mm), Guard.NOTIFIER_REFUSES)
    requires(negate(mrelease.incomplete), Guard.PASS_NOT_REFUSED)
    mrelease.incomplete = True


@reap_mm(
    at=MreleaseAt.ZAP,
    then=MreleaseAt.READ_UNLOCK,
    call="__oom_reap_task_mm",
    outcome="false",
    oracle=WALK,
    commit=INTRODUCED,
)
def pass_incomplete(mrelease: Mrelease) -> None:
    """The walk is over and some VMA was refused: EAGAIN."""
    requires(mrelease.incomplete, Guard.PASS_INCOMPLETE)
    mrelease.walks = False
    mrelease.result = MreleaseResult.EAGAIN


@reap_mm(at=MreleaseAt.ZAP, then=MreleaseAt.READ_UNLOCK, call="__oom_reap_task_mm", outcome="true", commit=INTRODUCED)
def pass_completed(mrelease: Mrelease) -> None:
    """No eligible page is left. MMF_OOM_SKIP is not set: that stays the business of reaper and exit path."""
    completes_pass(mrelease)


def completes_pass(mrelease: Mrelease) -> None:
    """All eligible VMAs were walked and none was refused."""
    mm = mrelease.target.mm
    requires(negate(mrelease.incomplete), Guard.PASS_NOT_REFUSED)
    requires(mm.reapable == 0, Guard.NO_PAGES_LEFT)
    mrelease.walks = False
    mm.pass_completed = True
    mrelease.passed = True


@mrelease(at=MreleaseAt.READ_UNLOCK, then=MreleaseAt.MMPUT, call="mmap_read_unlock", commit=INTRODUCED)
def read_unlock(mrelease: Mrelease) -> None:
    """Releases mmap_lock."""
    mrelease.reads = False


@mrelease(at=MreleaseAt.MMPUT, then=MreleaseAt.MMPUT_RETURNS, call="mmput", outcome="last", commit=PINS)
def mmput_last(world: World, mrelease: Mrelease) -> None:
    """The caller's was the last mm_users: it runs __mmput of its target itself, exit_aio included."""
    mm = mrelease.target.mm
    mrelease.pins = False
    runs_mmput(world, mm, Executor.MRELEASE)


@mrelease(at=MreleaseAt.MMPUT, then=MreleaseAt.RETURN, call="mmput", outcome="not last", commit=PINS)
def mmput_not_last(world: World, mrelease: Mrelease) -> None:
    """Somebody else still uses the mm."""
    mrelease.pins = False
    requires(users_left(world, mrelease.target.mm), Guard.NOT_LAST_USER)


@mrelease(at=MreleaseAt.MMPUT_RETURNS, then=MreleaseAt.RETURN, call="mmput", outcome="returns", waits=True, commit=PINS)
def mmput_returns(mrelease: Mrelease) -> None:
    """The address space is gone. Only the caller that ran __mmput waits here, and nobody runs it after it."""
    requires(mrelease.target.mm.executor != Executor.MRELEASE, Guard.MMPUT_RETURNED)


@mrelease(at=MreleaseAt.MMPUT, then=MreleaseAt.RETURN, call="mmdrop", commit=UNDER_LOCK)
def mmdrop(mrelease: Mrelease) -> None:
    """The mm_struct may go; the address space was never held."""
    mrelease.holds_mm_count = False


@mrelease(at=MreleaseAt.RETURN, then=MreleaseAt.DONE, call="return", commit=INTRODUCED)
def call_returns(world: World, mrelease: Mrelease) -> None:
    """put_task_struct, and back to user mode with the result."""
    world.announce(Event.MRELEASE_RETURNS, mrelease)


@mrelease(
    at=MreleaseAt.READ_LOCK,
    then=MreleaseAt.TEST_SKIP_LOCKED,
    call="mmap_read_lock_killable",
    waits=True,
    commit=UNDER_LOCK,
)
def read_lock_before_test(mrelease: Mrelease) -> None:
    """It may wait, for example for an exit_mmap that holds the lock for writing."""
    takes_read_lock(mrelease)


@mrelease(
    at=MreleaseAt.TEST_SKIP_LOCKED,
    then=MreleaseAt.READ_UNLOCK,
    call="test_bit(MMF_OOM_SKIP)",
    outcome="set, under mmap_lock",
    commit=UNDER_LOCK,
)
def skip_is_set(mrelease: Mrelease) -> None:
    """Reaped by the reaper or unmapped by exit_mmap: success."""
    requires(mrelease.target.mm.oom_skip, Guard.SKIP_SET)
    mrelease.saw_skip = True


@mrelease(
    at=MreleaseAt.TEST_SKIP_LOCKED,
    then=MreleaseAt.SET_UNSTABLE,
    call="test_bit(MMF_OOM_SKIP)",
    outcome="clear, under mmap_lock",
    commit=UNDER_LOCK,
)
def skip_is_clear(mrelease: Mrelease) -> None:
    """The address space is there, or exit_mmap tore it down without the flag and left nothing to walk."""
    requires(negate(mrelease.target.mm.oom_skip), Guard.SKIP_CLEAR)


@reap_mm(at=MreleaseAt.SET_UNSTABLE, then=MreleaseAt.ZAP, call="set_bit(MMF_UNSTABLE)", commit=UNDER_LOCK)
def set_unstable_with_vmas(mrelease: Mrelease) -> None:
    """There is a first VMA: the walk begins."""
    mm = mrelease.target.mm
    requires(negate(mmap_is_null(mm)), Guard.MMAP_NOT_NULL)
    mm.unstable = True
    mrelease.walks = True


@reap_mm(
    at=MreleaseAt.SET_UNSTABLE,
    then=MreleaseAt.READ_UNLOCK,
    call="set_bit(MMF_UNSTABLE)",
    outcome="no VMA",
    commit=UNDER_LOCK,
)
def set_unstable_without_vmas(mrelease: Mrelease) -> None:
    """The loop over the VMAs has nothing to visit: a pass over nothing is complete."""
    mm = mrelease.target.mm
    requires(mmap_is_null(mm), Guard.MMAP_NULL)
    mm.unstable = True
    mrelease.passed = True


@reap_mm(
    at=MreleaseAt.ZAP,
    then=MreleaseAt.ZAP,
    call="unmap_page_range",
    outcome="a page munlocked meanwhile",
    oracle=WALK,
    optional=True,
    commit=INTRODUCED,
)
def zap_munlocked_page(mrelease: Mrelease) -> None:
    """The VMA had VM_LOCKED until exit_mmap cleared it beside this walk."""
    mm = mrelease.target.mm
    requires(both(mm.mlocked != 0, negate(mm.vm_locked)), Guard.PAGES_LEFT)
    mm.mlocked -= 1


@reap_mm(
    at=MreleaseAt.ZAP,
    then=MreleaseAt.ZAP,
    call="unmap_page_range",
    outcome="an mlocked page",
    oracle=WALK,
    commit=MLOCKED,
)
def zap_mlocked_page(world: World, mrelease: Mrelease) -> None:
    """A page of a VM_LOCKED VMA: it is munlocked when it is unmapped."""
    mm = mrelease.target.mm
    requires(mm.mlocked != 0, Guard.PAGES_LEFT)
    world.announce(Event.PAGE_ZAPPED, mm)
    mm.mlocked -= 1


@reap_mm(at=MreleaseAt.ZAP, then=MreleaseAt.READ_UNLOCK, call="__oom_reap_task_mm", outcome="true", commit=MLOCKED)
def pass_over_mlocked_completed(mrelease: Mrelease) -> None:
    """No eligible page is left, mlocked ones included."""
    requires(mrelease.target.mm.mlocked == 0, Guard.NO_PAGES_LEFT)
    completes_pass(mrelease)


first_form = partial(on_thread, commit=INTRODUCED, verified=Verified.COMMIT)


@first_form(at=MreleaseAt.MMGET, then=MreleaseAt.TEST_SKIP, call="mmgrab")
def grab_struct_at_first(mrelease: Mrelease, task: Task) -> None:
    """Keeps the mm_struct; then MMF_OOM_SKIP is asked for before task_will_free_mem, until 337546e83fc7."""
    mrelease.holds_mm_count = True


@first_form(at=MreleaseAt.TEST_SKIP, then=MreleaseAt.WILL_FREE, call="test_bit(MMF_OOM_SKIP)", outcome="clear")
def work_is_not_done(mrelease: Mrelease, task: Task) -> None:
    """Is there anything that may be reaped?"""
    requires(negate(task.process.mm.oom_skip), Guard.SKIP_CLEAR)


@first_form(at=MreleaseAt.WILL_FREE, then=MreleaseAt.TASK_UNLOCK_DONE, call="task_will_free_mem", outcome="no")
def must_not_reap_at_first(world: World, mrelease: Mrelease, task: Task) -> None:
    """EINVAL, also where MMF_OOM_SKIP was set since it was asked for."""
    requires(negate(will_free_mem(world, task)), Guard.NOT_DYING)
    mrelease.result = MreleaseResult.EINVAL


SHARED = (
    call_begins,
    find_thread,
    find_no_thread,
    target_is_dying,
    work_is_done,
    unlock_to_reap,
    unlock_without_reap,
    read_lock,
    read_lock_interrupted,
    set_unstable,
    zap_page,
    zap_watched_page,
    notifier_refuses,
    pass_incomplete,
    pass_completed,
    read_unlock,
    call_returns,
)
COMMON = (*SHARED, target_is_not_dying, must_not_reap)
as_introduced = partial(attrs.evolve, commit=INTRODUCED, verified=Verified.CITED)
FIRST_FORM = (
    *SHARED,
    grab_struct_at_first,
    work_is_not_done,
    must_not_reap_at_first,
    as_introduced(mmdrop),
    as_introduced(zap_munlocked_page),
)
PINNED = (*COMMON, pin_users, mmput_last, mmput_not_last, mmput_returns)
LOCKED_ADDED = (grab_struct, mmdrop, skip_is_set, skip_is_clear, set_unstable_without_vmas)
LOCKED_REPLACED = (read_lock_before_test, set_unstable_with_vmas)
LOCKED_REMOVED = (pin_users.id, mmput_last.id, mmput_not_last.id, mmput_returns.id)
MLOCKED_ADDED = (zap_mlocked_page,)
MLOCKED_REPLACED = (pass_over_mlocked_completed,)
