"""E7: v4.17, v4.18. exit_mmap reaps a victim itself, before munlock; and the same repair in v4.14.y."""

from oom_spec.eras.e06_v4_15 import E6
from oom_spec.eras.e06b_v4_16 import E6B
from oom_spec.language import Era
from oom_spec.protocol import self_reap

E7 = Era(
    id="E7",
    aliases=("v4.17", "v4.18", "v4.16.y", "4.17", "4.18", "4.16.y"),
    title="v4.17 - v4.18: exit_mmap reaps a victim itself under oom_lock, sets MMF_OOM_SKIP and fences, before munlock",
    opened_by='27ae357fa82b "mm, oom: fix concurrent munlock and oom reaper unmap, v3" (CVE-2018-1000200)',
    why="munlock cleared VM_LOCKED beside the reaper, which then zapped pages that munlock worked on.",
    parent=E6B,
    added=self_reap.ADDED,
    replaced=self_reap.REPLACED,
    removed=self_reap.REMOVED,
)

V4_14_Y = Era(
    id="v4.14.y",
    aliases=("4.14.y",),
    title="v4.14.y at its end: as v4.17, but every mm with mmu notifiers is skipped",
    opened_by="the backports of 687cb0884a71, 4837fe37adff and 27ae357fa82b to v4.14.y",
    why="A stable series that equals no release: the repairs of v4.15 and v4.17 without the change of v4.16.",
    parent=E6,
    added=self_reap.ADDED,
    replaced=self_reap.REPLACED,
    removed=self_reap.REMOVED,
)

ERAS = (E7, V4_14_Y)
