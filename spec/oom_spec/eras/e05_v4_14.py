"""E5: v4.14. The reaper and exit_mmap run concurrently; an empty write section keeps them apart."""

from oom_spec.eras.e04b_v4_13 import E4B
from oom_spec.language import Era, World, negate, requires, when
from oom_spec.protocol import exit_mmap, mmput, reaper
from oom_spec.protocol.derived import executor_is_victim
from oom_spec.protocol.exit_mmap import exit_mmap as in_exit_mmap
from oom_spec.protocol.fences import FENCE
from oom_spec.protocol.names import Event, Guard
from oom_spec.protocol.points import MmputAt, ReapAt
from oom_spec.protocol.reaper import reap_mm, takes_read_lock
from oom_spec.protocol.state import Excuse, Mm, Presence, Reaper, Task

INTRODUCED = "212925802454"


@reap_mm(at=ReapAt.TRYLOCK, then=ReapAt.NOTIFIERS, call="down_read_trylock", commit=INTRODUCED)
def trylock(world: World, reaper: Reaper, task: Task) -> None:
    """mmap_sem for reading, without waiting; mm_users is not looked at any more."""
    takes_read_lock(world, reaper, task)


@reap_mm(at=ReapAt.NOTIFIERS, then=ReapAt.TEST_SKIP, call="mm_has_notifiers", outcome="no", commit="4d4bbd8526a8")
def no_notifiers(reaper: Reaper, task: Task) -> None:
    """The mm may be reaped."""
    requires(negate(task.process.mm.notifiers), Guard.NO_NOTIFIERS)


@reap_mm(
    at=ReapAt.NOTIFIERS, then=ReapAt.NOTIFIERS_SLEEP, call="mm_has_notifiers", outcome="yes", commit="4d4bbd8526a8"
)
def has_notifiers(reaper: Reaper, task: Task) -> None:
    """A notifier might block: do not reap at all."""
    mm = task.process.mm
    requires(mm.notifiers, Guard.HAS_NOTIFIERS)
    mm.excuse = when(mm.excuse == Excuse.NONE, Excuse.NOTIFIERS, mm.excuse)


@reap_mm(at=ReapAt.NOTIFIERS_SLEEP, then=ReapAt.UNLOCK_TRUE, call="up_read", outcome="notifiers", commit="4d4bbd8526a8")
def up_read_notifiers(reaper: Reaper, task: Task) -> None:
    """Releases mmap_sem, then sleeps HZ with oom_lock held: others may run before the unlock."""
    task.process.mm.read_by_reaper = False


@reap_mm(
    at=ReapAt.TEST_SKIP, then=ReapAt.SET_UNSTABLE, call="test_bit(MMF_OOM_SKIP)", outcome="clear", commit=INTRODUCED
)
def skip_is_clear(reaper: Reaper, task: Task) -> None:
    """exit_mmap has not published the flag: it will wait for this reader before it frees page tables."""
    requires(negate(task.process.mm.oom_skip), Guard.SKIP_CLEAR)


@reap_mm(
    at=ReapAt.TEST_SKIP, then=ReapAt.UP_READ_SKIPPED, call="test_bit(MMF_OOM_SKIP)", outcome="set", commit=INTRODUCED
)
def skip_is_set(reaper: Reaper, task: Task) -> None:
    """exit_mmap has published the flag: its page tables may be going, so leave without reaping."""
    requires(task.process.mm.oom_skip, Guard.SKIP_SET)


@reap_mm(at=ReapAt.UP_READ_REAPED, then=ReapAt.UNLOCK_TRUE, call="up_read", commit=INTRODUCED)
def up_read_after_pass(reaper: Reaper, task: Task) -> None:
    """Releases mmap_sem; there is no mm_users to drop."""
    task.process.mm.read_by_reaper = False


@in_exit_mmap(at=MmputAt.FIRST_VMA, then=MmputAt.MMDROP, call="mm->mmap", outcome="no VMA", commit=INTRODUCED)
def no_vma(mm: Mm) -> None:
    """Nothing was ever mapped: exit_mmap returns, and nobody sets MMF_OOM_SKIP on this way any more."""
    requires(mm.vmas == Presence.NEVER, Guard.NO_VMAS)


@in_exit_mmap(at=MmputAt.UNMAP, then=MmputAt.SKIP_AFTER_UNMAP, call="unmap_vmas", outcome="done", commit=INTRODUCED)
def unmap_done(mm: Mm) -> None:
    """unmap_vmas has walked every VMA, perhaps beside the reaper."""
    requires(exit_mmap.nothing_mapped(mm), Guard.NO_PAGES_LEFT)
    mm.unmapped = True


@in_exit_mmap(at=MmputAt.SKIP_AFTER_UNMAP, then=MmputAt.FENCE_TEST, call="set_bit(MMF_OOM_SKIP)", commit=INTRODUCED)
def exit_sets_skip(world: World, mm: Mm) -> None:
    """For every mm, a victim's or not."""
    world.announce(Event.EXIT_SETS_SKIP, mm)
    mm.oom_skip = True


@in_exit_mmap(
    at=MmputAt.FENCE_TEST,
    then=MmputAt.FENCE_DOWN_WRITE,
    call="tsk_is_oom_victim(current)",
    outcome="yes",
    commit=INTRODUCED,
)
def fence_needed(world: World, mm: Mm) -> None:
    """The thread that runs __mmput belongs to a marked process."""
    requires(executor_is_victim(world, mm), Guard.CURRENT_IS_VICTIM)


@in_exit_mmap(
    at=MmputAt.FENCE_TEST,
    then=MmputAt.FREE_PGTABLES,
    call="tsk_is_oom_victim(current)",
    outcome="no",
    commit=INTRODUCED,
)
def fence_not_needed(world: World, mm: Mm) -> None:
    """Whoever runs __mmput is no victim; whether the mm is one's is not asked."""
    requires(negate(executor_is_victim(world, mm)), Guard.CURRENT_IS_NO_VICTIM)


@in_exit_mmap(at=MmputAt.FREEING_VMAS, then=MmputAt.MMDROP, call="remove_vma", outcome="done", commit=INTRODUCED)
def remove_vma_ends(mm: Mm) -> None:
    """No VMA is left; __mmput does not set MMF_OOM_SKIP any more."""
    mm.vmas = Presence.FREED


E5 = Era(
    id="E5",
    aliases=("v4.14", "4.14"),
    title="v4.14: no mm_users pin; MMF_OOM_SKIP after unmap_vmas and an empty write section if current is a victim",
    opened_by='212925802454 "mm: oom: let oom_reap_task and exit_mmap run concurrently"',
    why="Arcangeli's second patch of the thread, as merged.",
    parent=E4B,
    added=(
        no_notifiers,
        has_notifiers,
        up_read_notifiers,
        skip_is_clear,
        skip_is_set,
        exit_sets_skip,
        fence_needed,
        fence_not_needed,
        *FENCE,
    ),
    replaced=(trylock, up_read_after_pass, no_vma, unmap_done, remove_vma_ends),
    removed=(
        reaper.mmget_not_zero.id,
        reaper.mmget_not_zero_fails.id,
        reaper.mmput_async_last.id,
        reaper.mmput_async_not_last.id,
        mmput.mmput_sets_skip.id,
    ),
)

ERAS = (E5,)
