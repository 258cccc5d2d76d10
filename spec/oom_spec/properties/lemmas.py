"""Lemmas: facts about reachable states that other arguments lean on. The explorer checks each."""

from __future__ import annotations

from oom_spec.language import Property, Role, World, both, either, every, implies, negate, some
from oom_spec.protocol.state import Executor, Mm, Task


def one_executor(world: World, mm: Mm) -> bool:
    """__mmput is run by at most one thread, and `executor` says whether by any."""
    runs = some(world.all(Task), lambda task: both(task.process.mm == mm, task.in_mmput))
    alone = every(
        world.all(Task),
        lambda task: every(
            world.all(Task),
            lambda other: either(
                task == other,
                negate(both(task.process.mm == mm, other.process.mm == mm, task.in_mmput, other.in_mmput)),
            ),
        ),
    )
    return both(alone, implies(runs, mm.executor == Executor.TASK), implies(mm.executor == Executor.TASK, runs))


def own_place_on_list(world: World) -> bool:
    """No two tasks stand at the same place of oom_reaper_list."""
    return every(
        world.all(Task),
        lambda task: every(
            world.all(Task),
            lambda other: either(task == other, task.queue_depth == 0, negate(task.queue_depth == other.queue_depth)),
        ),
    )


SITE_LEMMAS: tuple[Property, ...] = (
    Property(
        id="lemma-executor",
        name="one-executor",
        statement="At most one thread is inside __mmput of an mm, and then the executor is a thread.",
        source="atomic_dec_and_test in mmput",
        over=(Mm,),
        then=one_executor,
        violation="__mmput would run twice.",
        not_covered="Executors that are not threads of the mm.",
        role=Role.LEMMA,
    ),
    Property(
        id="lemma-list",
        name="own-place-on-list",
        statement="No two tasks stand at the same place of oom_reaper_list.",
        source="oom_reaper_lock",
        then=own_place_on_list,
        violation="The depth stamps would not represent a list.",
        not_covered="Tasks that are not on the list.",
        role=Role.LEMMA,
    ),
)
