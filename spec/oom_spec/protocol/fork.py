"""A fork that fails in dup_mmap, and those who find the child's mm without a task (v6.8 on).

From v6.8 the child starts with a copy of the parent's whole maple tree, whose entries dup_mmap then
replaces one by one. Where it fails, XA_ZERO marks the first entry that is not the child's own
(`Mm.half_built`). The child's mm belongs to no task yet: tasks, the OOM killer and the reaper cannot
reach it; rmap (uprobes) and the mmlist (swapoff) can.

Left out: a fork that succeeds, and one that cannot even copy the tree, which leaves it empty. The
parent's own mmap_lock, held for writing throughout, is what a foreign writer of the parent's mm stands for.
"""

from __future__ import annotations

from functools import partial

from oom_spec.language import Verified, World, full, negate, requires, step, when
from oom_spec.protocol.derived import read_lock_free, users_left, write_lock_free
from oom_spec.protocol.mmput import runs_mmput
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import ForkAt, WalkerAt
from oom_spec.protocol.state import Excuse, Executor, Fork, Mm, Presence, Walker, Writer

MARKER = "d24062914837"
CAREFUL = "64c37e134b12"
SWAPOFF_ASKS = "1367da7eb875"
WHERE_IT_FAILS = "which allocation fails"

dup_mmap = partial(step, Fork, kernel="kernel/fork.c:dup_mmap")
dup_mm = partial(step, Fork, kernel="kernel/fork.c:dup_mm")
uprobes = partial(step, Walker, kernel="kernel/events/uprobes.c:register_for_each_vma", verified=Verified.MAIL)
swapoff = partial(step, Walker, kernel="mm/swapfile.c:unuse_mm", verified=Verified.MAIL)
walker = partial(step, Walker, kernel="kernel/events/uprobes.c, mm/swapfile.c:walker", verified=Verified.MAIL)


@dup_mm(at=ForkAt.IDLE, then=ForkAt.COPY, call="mmap_write_lock_nested", waits=True, environment=True, commit=MARKER)
def fork_begins(fork: Fork) -> None:
    """The child's mm has its first mm_users, and its lock is held for writing; nobody else knows the mm yet."""
    child = fork.child
    child.pinned_by_fork = True
    child.writer = Writer.FORKER
    fork.writes = True


@dup_mmap(at=ForkAt.COPY, then=ForkAt.COPY, call="copy_page_range", oracle=WHERE_IT_FAILS, commit=MARKER)
def vma_is_copied(fork: Fork) -> None:
    """One entry becomes a VMA of the child, linked into rmap; a swap entry puts the mm onto the mmlist."""
    child = fork.child
    requires(negate(full(child, Mm.reapable)), Guard.SCENARIO)
    child.vmas = Presence.PRESENT
    child.reapable += 1


@dup_mmap(at=ForkAt.COPY, then=ForkAt.FAILED, call="vm_area_dup", outcome="fails", oracle=WHERE_IT_FAILS, commit=MARKER)
def copy_fails(fork: Fork) -> None:
    """No memory, or a fatal signal for the parent."""


def has_vmas(mm: Mm) -> bool:
    """Some entry of the tree is a VMA of its own."""
    return mm.vmas == Presence.PRESENT


@dup_mmap(
    at=ForkAt.FAILED,
    then=ForkAt.WRITE_UNLOCK,
    call="mas_store(XA_ZERO_ENTRY)",
    oracle=WHERE_IT_FAILS,
    commit=MARKER,
)
def marks_failure(fork: Fork) -> None:
    """Entries behind the marker still point at the parent's VMAs."""
    fork.child.half_built = True


@dup_mmap(
    at=ForkAt.FAILED,
    then=ForkAt.WRITE_UNLOCK,
    call="mas_store(XA_ZERO_ENTRY)",
    outcome="not needed",
    oracle=WHERE_IT_FAILS,
    commit=MARKER,
)
def needs_no_marker(fork: Fork) -> None:
    """It failed on the last VMA or after it: every entry is the child's own."""
    requires(has_vmas(fork.child), Guard.HAS_VMAS)


@dup_mmap(at=ForkAt.WRITE_UNLOCK, then=ForkAt.MMPUT, call="mmap_write_unlock", commit=MARKER)
def child_unlocked(fork: Fork) -> None:
    """With it goes dup_mmap_sem, which keeps uprobes out: from here on others can use the mm."""
    fork.writes = False
    fork.child.writer = Writer.NOBODY


@dup_mm(at=ForkAt.MMPUT, then=ForkAt.DONE, call="mmput", outcome="last", commit=MARKER)
def fork_mmput_last(world: World, fork: Fork) -> None:
    """The parent runs __mmput of the child's mm; the system call returns an error after that."""
    child = fork.child
    child.pinned_by_fork = False
    runs_mmput(world, child, Executor.FORKER)


@dup_mm(at=ForkAt.MMPUT, then=ForkAt.DONE, call="mmput", outcome="not last", commit=MARKER)
def fork_mmput_not_last(world: World, fork: Fork) -> None:
    """Somebody found the mm meanwhile and holds mm_users."""
    fork.child.pinned_by_fork = False
    requires(users_left(world, fork.child), Guard.NOT_LAST_USER)


@dup_mmap(
    at=ForkAt.FAILED,
    then=ForkAt.SET_SKIP,
    call="mas_store(XA_ZERO_ENTRY)",
    oracle=WHERE_IT_FAILS,
    commit=CAREFUL,
)
def marks_failure_carefully(fork: Fork) -> None:
    """The same marker; the flags come next."""
    fork.child.half_built = True


@dup_mmap(
    at=ForkAt.FAILED,
    then=ForkAt.SET_UNSTABLE,
    call="mas_store(XA_ZERO_ENTRY)",
    outcome="not needed",
    oracle=WHERE_IT_FAILS,
    commit=CAREFUL,
)
def needs_no_marker_carefully(fork: Fork) -> None:
    """Every entry is the child's own: MMF_OOM_SKIP is not set."""
    requires(has_vmas(fork.child), Guard.HAS_VMAS)


@dup_mmap(at=ForkAt.SET_SKIP, then=ForkAt.SET_UNSTABLE, call="set_bit(MMF_OOM_SKIP)", commit=CAREFUL)
def fork_sets_skip(fork: Fork) -> None:
    """The OOM killer and the reaper must not walk a half-built tree; the memory is still mapped."""
    hides_from_oom_killer(fork)


def hides_from_oom_killer(fork: Fork) -> None:
    """MMF_OOM_SKIP, excused by the failed fork (N3)."""
    child = fork.child
    child.oom_skip = True
    child.excuse = when(child.excuse == Excuse.NONE, Excuse.FAILED_FORK, child.excuse)


@dup_mmap(at=ForkAt.SET_UNSTABLE, then=ForkAt.WRITE_UNLOCK, call="set_bit(MMF_UNSTABLE)", commit=CAREFUL)
def fork_sets_unstable(fork: Fork) -> None:
    """For walkers that ask check_stable_address_space."""
    fork.child.unstable = True


@uprobes(
    at=WalkerAt.IDLE,
    then=WalkerAt.READ_LOCK,
    call="build_map_info",
    outcome="mmget_not_zero",
    waits=True,
    environment=True,
)
def uprobes_finds_mm(world: World, walker: Walker) -> None:
    """A VMA of the mm is in the file's i_mmap. dup_mmap_sem keeps this apart from dup_mmap itself."""
    requires(negate(walker.swapoff), Guard.SCENARIO)
    requires(has_vmas(walker.mm), Guard.HAS_VMAS)
    requires(walker.mm.writer != Writer.FORKER, Guard.WRITE_LOCK_FREE)
    pins_mm(world, walker)


def pins_mm(world: World, walker: Walker) -> None:
    """mmget_not_zero succeeds."""
    requires(users_left(world, walker.mm), Guard.USERS_LEFT)
    walker.pins = True


@swapoff(
    at=WalkerAt.IDLE,
    then=WalkerAt.READ_LOCK,
    call="try_to_unuse",
    outcome="mmget_not_zero",
    waits=True,
    environment=True,
)
def swapoff_finds_mm(world: World, walker: Walker) -> None:
    """The mm is on the mmlist as soon as a swap entry was copied."""
    requires(walker.swapoff, Guard.SCENARIO)
    requires(has_vmas(walker.mm), Guard.HAS_VMAS)
    pins_mm(world, walker)


def uprobes_takes_lock(world: World, walker: Walker) -> None:
    """mmap_write_lock. That readers queue behind it while it waits is left out: a foreign writer shows that."""
    requires(negate(walker.swapoff), Guard.SCENARIO)
    requires(write_lock_free(world, walker.mm), Guard.WRITE_LOCK_FREE)
    walker.mm.writer = Writer.WALKER


def swapoff_takes_lock(walker: Walker) -> None:
    """mmap_read_lock."""
    requires(walker.swapoff, Guard.SCENARIO)
    requires(read_lock_free(walker.mm), Guard.READ_LOCK_FREE)
    walker.reads = True


@uprobes(at=WalkerAt.READ_LOCK, then=WalkerAt.WALK, call="mmap_write_lock", waits=True)
def uprobes_locks(world: World, walker: Walker) -> None:
    """Then find_vma at once."""
    uprobes_takes_lock(world, walker)
    walker.walks = True


@swapoff(at=WalkerAt.READ_LOCK, then=WalkerAt.WALK, call="mmap_read_lock", waits=True)
def swapoff_locks(walker: Walker) -> None:
    """Then every VMA of the tree."""
    swapoff_takes_lock(walker)
    walker.walks = True


@uprobes(at=WalkerAt.READ_LOCK, then=WalkerAt.CHECK_STABLE, call="mmap_write_lock", waits=True, commit=CAREFUL)
def uprobes_locks_to_check(world: World, walker: Walker) -> None:
    """The test comes under the lock."""
    uprobes_takes_lock(world, walker)


@swapoff(at=WalkerAt.READ_LOCK, then=WalkerAt.CHECK_STABLE, call="mmap_read_lock", waits=True, commit=SWAPOFF_ASKS)
def swapoff_locks_to_check(walker: Walker) -> None:
    """The test comes under the lock."""
    swapoff_takes_lock(walker)


@walker(
    at=WalkerAt.CHECK_STABLE, then=WalkerAt.WALK, call="check_stable_address_space", outcome="stable", commit=CAREFUL
)
def finds_stable(walker: Walker) -> None:
    """The VMAs may be used."""
    requires(negate(walker.mm.unstable), Guard.UNSTABLE_CLEAR)
    walker.walks = True


@walker(
    at=WalkerAt.CHECK_STABLE,
    then=WalkerAt.UNLOCK,
    call="check_stable_address_space",
    outcome="unstable",
    commit=CAREFUL,
)
def finds_unstable(walker: Walker) -> None:
    """A failed fork, or a reaped mm: leave it alone."""
    requires(walker.mm.unstable, Guard.UNSTABLE_SET)


@walker(at=WalkerAt.WALK, then=WalkerAt.UNLOCK, call="find_vma")
def walks_vmas(walker: Walker) -> None:
    """Whatever the tree has there is taken for a VMA."""
    walker.walks = False


@uprobes(at=WalkerAt.UNLOCK, then=WalkerAt.MMPUT, call="mmap_write_unlock")
def uprobes_unlocks(walker: Walker) -> None:
    """Releases mmap_lock."""
    requires(negate(walker.swapoff), Guard.SCENARIO)
    walker.mm.writer = Writer.NOBODY


@swapoff(at=WalkerAt.UNLOCK, then=WalkerAt.MMPUT, call="mmap_read_unlock")
def swapoff_unlocks(walker: Walker) -> None:
    """Releases mmap_lock."""
    requires(walker.swapoff, Guard.SCENARIO)
    walker.reads = False


@walker(at=WalkerAt.MMPUT, then=WalkerAt.DONE, call="mmput", outcome="last")
def walker_mmput_last(world: World, walker: Walker) -> None:
    """The walker drops the last mm_users and runs __mmput."""
    walker.pins = False
    runs_mmput(world, walker.mm, Executor.FOREIGN)


@walker(at=WalkerAt.MMPUT, then=WalkerAt.DONE, call="mmput", outcome="not last")
def walker_mmput_not_last(world: World, walker: Walker) -> None:
    """The parent has still to drop its own."""
    walker.pins = False
    requires(users_left(world, walker.mm), Guard.NOT_LAST_USER)


COMMON = (
    fork_begins,
    vma_is_copied,
    copy_fails,
    child_unlocked,
    fork_mmput_last,
    fork_mmput_not_last,
    uprobes_finds_mm,
    swapoff_finds_mm,
    walks_vmas,
    uprobes_unlocks,
    swapoff_unlocks,
    walker_mmput_last,
    walker_mmput_not_last,
)
MARKED = (*COMMON, marks_failure, needs_no_marker, uprobes_locks, swapoff_locks)
"""v6.8: the marker alone."""
CAREFUL_ADDED = (fork_sets_skip, fork_sets_unstable, finds_stable, finds_unstable)
CAREFUL_REPLACED = (marks_failure_carefully, needs_no_marker_carefully, uprobes_locks_to_check)
"""v6.14: the flags, and uprobes asks."""
