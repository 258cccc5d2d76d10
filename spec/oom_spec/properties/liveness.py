"""L: the OOM killer makes progress although the exit path may block for ever."""

from __future__ import annotations

from oom_spec.language import Graph, Property, World, both, either, every, negate, some
from oom_spec.protocol.derived import lock_unheld, oom_lock_taken
from oom_spec.protocol.killer import killable_here, visible
from oom_spec.protocol.names import Event
from oom_spec.protocol.state import Executor, Killer, Mm, Process, Reaper, Task, Writer


def owed(world: World, task: Task) -> bool:
    """The reaper still has to deal with the mm: queued, in work, or about to be queued."""
    return some(
        world.all(Task),
        lambda other: both(
            other.process.mm == task.process.mm,
            either(other.queue_depth != 0, other.timer, some(world.all(Reaper), lambda reaper: reaper.job == other)),
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
        "nothing (not queued, no timer armed, not in oom_reap_task), while its __mmput is blocked."
    ),
    source="the mail, on question 3; 212925802454's message on exit_aio",
    over=(Killer, Task),
    when=waiting_for_victim,
    then=somebody_owes,
    violation="Every scan aborts on a victim that nothing will ever free: the OOM killer waits for ever.",
    not_covered="That the reaper gets to it in bounded time (L1).",
)


def need_not_act(world: World, reaper: Reaper) -> bool:
    """Somebody else holds oom_lock, which the reaper may wait for (until v4.18), or it is busy in its own __mmput."""
    tears_down = some(world.all(Mm), lambda mm: both(mm.executor == Executor.REAPER, negate(mm.blocked)))
    return either(both(oom_lock_taken(world), negate(reaper.holds_oom_lock)), tears_down)


L4 = Property(
    id="L4",
    name="reaper-never-blocks",
    statement="The reaper never blocks on the victim's lock, nor (v4.19 on) on a notifier.",
    source='mm/oom_kill.c (trylock only); 93065ac753e4 "mm, oom: distinguish blockable mode for mmu notifiers"',
    over=(Reaper,),
    then=need_not_act,
    graph=Graph.ALWAYS_ABLE,
    actors=(Reaper,),
    violation="The reaper sleeps on mmap_lock of one victim, and no other victim is ever reaped.",
    not_covered=(
        "How long a step takes: the sleep of HZ under oom_lock where an mm has notifiers (v4.14 - v4.18) is bounded. "
        "oom_lock, which the reaper may wait for until v4.18."
    ),
)

L5 = Property(
    id="L5",
    name="frozen-victim-is-thawed",
    statement="A frozen victim is thawed so that it can exit: no thread of a marked process stays frozen.",
    source='mark_oom_victim; 59d4d36158ba "mm/oom_kill: thaw the entire OOM victim process"',
    over=(Task,),
    when=lambda world, task: both(task.process.was_frozen, task.process.oom_mm, nobody_marks(world)),
    then=lambda world, task: negate(task.process.frozen[task]),
    violation="The victim's memory is reaped, but the frozen thread keeps its mm_users: the rest is never freed.",
    not_covered="Being frozen again; the freezing of the reaper itself.",
)


def nobody_marks(world: World) -> bool:
    """No killer is inside the OOM killer, perhaps between the mark and the thaw."""
    return every(world.all(Killer), lambda killer: negate(killer.holds_oom_lock))


L6 = Property(
    id="L6",
    name="futex-cleanup-before-reap",
    statement="The victim has had its robust-futex clean-up before its memory is zapped.",
    source='e4a38402c36e "oom_kill.c: futex: delay the OOM reaper to allow time for proper futex cleanup"',
    event=Event.PAGE_ZAPPED,
    then=lambda world, mm: every(
        world.all(Task), lambda task: either(task.process.mm != mm, task.exiting, negate(task.has_mm))
    ),
    violation="Waiters on a robust futex of the victim sleep for ever, because its list was reaped.",
    not_covered=(
        "Time: the 2*HZ of v5.18 make it unlikely that the reaper comes first, and nothing makes it impossible. The "
        "clean-up is at the start of do_exit, so a thread counts as past it from exit_signals on."
    ),
)


def marked_and_queued(world: World, mm: Mm) -> bool:
    """A marked process uses `mm`, the mm was queued (or its timer armed), and scans still wait for it."""
    armed = some(world.all(Task), lambda task: both(task.process.mm == mm, task.timer))
    return both(waits_without_skip(world, mm), either(mm.was_queued, armed))


L1 = Property(
    id="L1",
    name="every-victim-gets-skip",
    statement=(
        "Every marked and queued victim gets MMF_OOM_SKIP (or loses its mark, before v4.9) eventually, whatever the "
        "exit path does."
    ),
    source="Tetsuo Handa, 2017-06-15, 201706151953.HFH78657.tFFLOOOQHSMVFJ@I-love.SAKURA.ne.jp; Hocko, 2017-06-16",
    over=(Mm,),
    when=marked_and_queued,
    then=lambda world, mm: negate(waits_without_skip(world, mm)),
    graph=Graph.FAIR,
    actors=(Reaper, Killer, World),
    counts_on={Mm: lambda world, mm: mm.exit_holds_oom_lock},
    fairness=(
        "The reaper is scheduled: if it can act again and again, it acts.",
        "A zap is finite: each of finitely many pages is zapped once, and attempts end at MAX_OOM_REAP_RETRIES.",
        "Timers fire: each delay of the reaper's queue (v5.18 on) ends, at any time after it was armed.",
        "The list is served last in, first out; tasks are finitely many, so the turn of the first comes.",
        "A killer inside the OOM killer goes on until it leaves it; nobody need enter it.",
        "A lock is strongly fair: who waits for oom_lock and finds it free again and again takes it in the end.",
        "Nothing is assumed of exit_aio and the rest of the exit path, except while it holds oom_lock (v4.17, v4.18).",
        "Nothing is assumed of writers of the mmap lock: who holds it or waits for it may do so for ever.",
        "Nothing is assumed of holders of mm_users: they may keep it for ever.",
    ),
    violation="Scans abort on this victim for ever: the OOM killer hangs.",
    not_covered=(
        "How long it takes. New victims without end. A run that corrupts the list ends there: S6t says so. Worlds "
        "other than the scenarios: there is no proof for any number of victims."
    ),
)


def waits_without_skip(world: World, mm: Mm) -> bool:
    """A marked process uses `mm`, and the flag that lets scans go on is not set."""
    return some(world.all(Process), lambda process: both(process.mm == mm, process.oom_mm, negate(mm.oom_skip)))


def every_victim_has_skip(world: World) -> bool:
    """No scan has a reason to wait."""
    return every(world.all(Mm), lambda mm: negate(waits_without_skip(world, mm)))


LIVENESS = (L1, L2S, L4, L5, L6)
__all__ = ["LIVENESS", "every_victim_has_skip"]
