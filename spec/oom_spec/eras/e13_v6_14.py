"""E13: v6.14 - v6.17. A failed fork marks the child's mm as unstable, and uprobes asks."""

from oom_spec.eras.e12b_v6_8 import E12B
from oom_spec.language import Era
from oom_spec.protocol import fork

E13 = Era(
    id="E13",
    aliases=("v6.13.2", "v6.14", "v6.15", "v6.16", "v6.17", "6.13.2", "6.14", "6.15", "6.16", "6.17"),
    title="v6.14 - v6.17: a failed fork sets MMF_OOM_SKIP and MMF_UNSTABLE; uprobes leaves unstable mms alone",
    opened_by=(
        '64c37e134b12 "kernel: be more careful about dup_mmap() failures and uprobe registering" (CVE-2025-21709)'
    ),
    why="One of the two walkers that need no task is kept off half-built trees; swapoff is not.",
    parent=E12B,
    added=fork.CAREFUL_ADDED,
    replaced=fork.CAREFUL_REPLACED,
)

ERAS = (E13,)
