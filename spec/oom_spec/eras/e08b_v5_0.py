"""E8b: v5.0, v5.1, and v4.19.y. Each mm is queued for the reaper at most once."""

from oom_spec.eras.e08_v4_19 import E8
from oom_spec.language import Era
from oom_spec.protocol import queueing

E8B = Era(
    id="E8b",
    aliases=("v5.0", "v5.1", "5.0", "5.1", "v4.19.y", "4.19.y"),
    title="v5.0 - v5.1: MMF_OOM_REAP_QUEUED, test-and-set, instead of the head-or-link test",
    opened_by='9bcdeb51bd7d "oom, oom_reaper: do not enqueue same task twice"',
    why="The kill of a whole cgroup queued tasks again that the reaper had, and corrupted the list. Also in v4.19.y.",
    parent=E8,
    added=queueing.ONCE_ADDED,
    replaced=queueing.ONCE_REPLACED,
    removed=queueing.ONCE_REMOVED,
)

ERAS = (E8B,)
