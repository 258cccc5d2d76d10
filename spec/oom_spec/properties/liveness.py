"""L: the OOM killer makes progress although the exit path may block for ever."""

from __future__ import annotations

from oom_spec.language import Property, World, both, either, every, negate, some
from oom_spec.protocol.derived import lock_unheld
from oom_spec.protocol.killer import killable_here, visible
from oom_spec.protocol.state import Killer, Mm, Process, Reaper, Task, Writer


def owed(world: World, task: Task) -> bool:
    """The reaper still has to deal with the mm: queued, in work, or about to be queued."""
    return some(
        world.all(Task),
        lambda other: both(
            other.process.mm == task.process.mm,
            either(other.queue_depth != 0, some(world.all(Reaper), lambda reaper: reaper.job == other)),
        ),
    )


def about_to_be_queued(world: World, task: Task) -> bool:
    """A killer is still in the middle of the kill that will queue it."""
    return some(
        world.all(Killer),
        lambda killer: some(
            world.all(Task),
            lambda other: both(killer.victim == other, other.process.mm == task.process.mm, killer.holds_oom_lock),
        ),
    )


def waiting_for_victim(world: World, killer: Killer, task: Task) -> bool:
    """A scan of `killer` would meet `task`, a marked victim whose __mmput is blocked."""
    return both(
        visible(killer, task),
        killable_here(killer, task),
        task.process.oom_mm,
        blocked_now(world, task.process.mm),
    )


def blocked_now(world: World, mm: Mm) -> bool:
    """__mmput waits for I/O, or for a lock that somebody still holds."""
    return both(mm.blocked, either(mm.exit_waits == Writer.NOBODY, negate(lock_unheld(world, mm))))


def somebody_owes(world: World, killer: Killer, task: Task) -> bool:
    """The scan is not held back, or the reaper has the mm on its list or in work, or is about to get it."""
    return either(task.process.mm.oom_skip, owed(world, task), about_to_be_queued(world, task))


L2S = Property(
    id="L2s",
    name="blocked-exit-is-the-reapers-business",
    statement=(
        "No reachable state has a marked victim that the scan meets, without MMF_OOM_SKIP, for which the reaper owes "
        "nothing (not queued, not in oom_reap_task), while its __mmput is blocked."
    ),
    source="the mail, on question 3; 212925802454's message on exit_aio",
    over=(Killer, Task),
    when=waiting_for_victim,
    then=somebody_owes,
    violation="Every scan aborts on a victim that nothing will ever free: the OOM killer waits for ever.",
    not_covered="That the reaper gets to it in bounded time (L1).",
)


def waits_without_skip(world: World, mm: Mm) -> bool:
    """A marked process uses `mm`, and the flag that lets scans go on is not set."""
    return some(world.all(Process), lambda process: both(process.mm == mm, process.oom_mm, negate(mm.oom_skip)))


def every_victim_has_skip(world: World) -> bool:
    """No scan has a reason to wait."""
    return every(world.all(Mm), lambda mm: negate(waits_without_skip(world, mm)))


LIVENESS = (L2S,)
__all__ = ["LIVENESS", "every_victim_has_skip"]
