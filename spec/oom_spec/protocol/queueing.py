"""How a victim gets onto oom_reaper_list (mm/oom_kill.c): once per mm (v5.0 on), and late (v5.18 on).

`protocol.kill` has the older form: a test, made without a lock, whether the task is the list head or
has a link.
"""

from __future__ import annotations

from functools import partial

from oom_spec.language import World, negate, requires, step
from oom_spec.protocol import kill, reaper
from oom_spec.protocol.kill import push
from oom_spec.protocol.names import Guard
from oom_spec.protocol.points import KillAt, ReapAt
from oom_spec.protocol.reaper import oom_reap_task
from oom_spec.protocol.state import Killer, Reaper, Task

ONCE = "9bcdeb51bd7d"
DELAYED = "e4a38402c36e"
TEST_AND_SET = "test_and_set_bit(MMF_OOM_REAP_QUEUED)"

once = partial(kill.wake_reaper, commit=ONCE)


def is_first(task: Task) -> None:
    """The bit was clear and is set now, in one atomic operation; it is never cleared."""
    mm = task.process.mm
    requires(negate(mm.reap_queued), Guard.NOT_REAP_QUEUED)
    mm.reap_queued = True


@once(at=KillAt.WAKE, then=KillAt.QUEUE, call=TEST_AND_SET, outcome="was clear")
def queue_first(killer: Killer, task: Task) -> None:
    """The first task that is queued for this mm."""
    is_first(task)


@once(at=KillAt.WAKE, then=KillAt.MMDROP, call=TEST_AND_SET, outcome="was set")
def queue_again(killer: Killer, task: Task) -> None:
    """Some task was queued for this mm before: nothing to do."""
    requires(task.process.mm.reap_queued, Guard.REAP_QUEUED)


@once(at=KillAt.QUEUE, then=KillAt.MMDROP, call="oom_reaper_list = tsk")
def queue_victim(world: World, killer: Killer, task: Task) -> None:
    """The victim is the new list head; it cannot be on the list already, because its mm was not queued."""
    push(world, task)


@once(at=KillAt.DYING_WAKE, then=KillAt.DYING_QUEUE, call=TEST_AND_SET, outcome="dying, was clear")
def dying_first(killer: Killer, task: Task) -> None:
    """As for a killed victim."""
    is_first(task)


@once(at=KillAt.DYING_WAKE, then=KillAt.DYING_DONE, call=TEST_AND_SET, outcome="dying, was set")
def dying_again(killer: Killer, task: Task) -> None:
    """Nothing to do."""
    requires(task.process.mm.reap_queued, Guard.REAP_QUEUED)


@once(at=KillAt.DYING_QUEUE, then=KillAt.DYING_DONE, call="oom_reaper_list = tsk", outcome="dying")
def queue_dying(world: World, killer: Killer, task: Task) -> None:
    """As for a killed victim."""
    push(world, task)


@oom_reap_task(at=ReapAt.LINK_NULL, then=ReapAt.SET_SKIP, call="tsk->oom_reaper_list = NULL", commit=ONCE)
def link_null(reaper: Reaper, task: Task) -> None:
    """Nobody can have queued the task again."""
    task.linked = False


ONCE_ADDED = (queue_first, queue_again, dying_first, dying_again)
ONCE_REPLACED = (queue_victim, queue_dying, link_null)
ONCE_REMOVED = (
    kill.wake_not_queued.id,
    kill.wake_already_queued.id,
    kill.queue_victim_twice.id,
    kill.dying_not_queued.id,
    kill.dying_already_queued.id,
    kill.queue_dying_twice.id,
    reaper.link_null_cuts_list.id,
)
"""v5.0 on; without `link_null` where an era has a step of its own there."""

delayed = partial(step, Killer, kernel="mm/oom_kill.c:queue_oom_reaper", binds={"task": "victim"}, commit=DELAYED)
timer = partial(step, World, kernel="mm/oom_kill.c:wake_oom_reaper", commit=DELAYED)


@once(at=KillAt.WAKE, then=KillAt.ARM_TIMER, call=TEST_AND_SET, outcome="was clear")
def queue_first_late(killer: Killer, task: Task) -> None:
    """The first task that is queued for this mm; the function is called queue_oom_reaper now."""
    is_first(task)


@once(at=KillAt.DYING_WAKE, then=KillAt.DYING_ARM_TIMER, call=TEST_AND_SET, outcome="dying, was clear")
def dying_first_late(killer: Killer, task: Task) -> None:
    """As for a killed victim."""
    is_first(task)


def arms_timer(task: Task) -> None:
    """get_task_struct, then add_timer for OOM_REAPER_DELAY (2*HZ); the pusher holds a reference of its own."""
    task.timer = True
    task.queue_reference = True


@delayed(at=KillAt.ARM_TIMER, then=KillAt.MMDROP, call="add_timer")
def arm_timer(killer: Killer, task: Task) -> None:
    """The victim gets two seconds to exit by itself."""
    arms_timer(task)


@delayed(at=KillAt.DYING_ARM_TIMER, then=KillAt.DYING_DONE, call="add_timer", outcome="dying")
def arm_timer_for_dying(killer: Killer, task: Task) -> None:
    """As for a killed victim."""
    arms_timer(task)


@timer(call="test_bit(MMF_OOM_SKIP)", outcome="set")
def timer_finds_skip(task: Task) -> None:
    """The victim has exited meanwhile: put_task_struct, and the reaper is never woken."""
    requires(task.timer, Guard.TIMER_ARMED)
    requires(task.process.mm.oom_skip, Guard.SKIP_SET)
    task.timer = False
    task.queue_reference = False


@timer(call="oom_reaper_list = tsk")
def timer_queues(world: World, task: Task) -> None:
    """The two seconds are over: the victim is the new list head, and the reaper is woken.

    The test of MMF_OOM_SKIP and the push are one step: a flag that is set between them is found by the
    reaper, which tests it again under mmap_lock.
    """
    requires(task.timer, Guard.TIMER_ARMED)
    requires(negate(task.process.mm.oom_skip), Guard.SKIP_CLEAR)
    task.timer = False
    push(world, task)


DELAYED_ADDED = (arm_timer, arm_timer_for_dying, timer_finds_skip, timer_queues)
DELAYED_REPLACED = (queue_first_late, dying_first_late)
DELAYED_REMOVED = (queue_victim.id, queue_dying.id)
"""v5.18 on."""
