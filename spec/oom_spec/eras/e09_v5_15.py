"""E9: v5.15, v5.16. process_mrelease; and v5.15.y, which starts the reaper late."""

from oom_spec.eras.e08d_v5_6 import E8D
from oom_spec.language import Era
from oom_spec.protocol import mrelease, queueing

E9 = Era(
    id="E9",
    aliases=("v5.15", "v5.16", "5.15", "5.16"),
    title="v5.15 - v5.16: process_mrelease, which pins mm_users",
    opened_by='884a7e5964e0 "mm: introduce process_mrelease system call"; 337546e83fc7',
    why="A user-space OOM killer can have the memory of its victim reaped in its own context.",
    parent=E8D,
    added=mrelease.PINNED,
)

V5_15_Y = Era(
    id="v5.15.y",
    aliases=("5.15.y",),
    title="v5.15.y at its end: as v5.15, but the reaper starts two seconds after the kill",
    opened_by="the backport of e4a38402c36e to v5.15.y",
    why="A stable series that equals no release: the delay of v5.18 without what v5.17 and v5.18 did to exit_mmap.",
    parent=E9,
    added=queueing.DELAYED_ADDED,
    replaced=queueing.DELAYED_REPLACED,
    removed=queueing.DELAYED_REMOVED,
)

ERAS = (E9, V5_15_Y)
