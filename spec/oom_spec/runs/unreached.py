"""Steps that no scenario takes, each with the reason.

A step that is listed here and taken after all is as wrong as one that is not taken and not listed:
the tests look for both. Slow scenarios do not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import attrs

from oom_spec.language import Era, MisuseError


@attrs.frozen
class Unreached:
    """Steps of some eras that nothing takes."""

    eras: tuple[str, ...]
    """Ids; a star stands for any text."""
    steps: tuple[str, ...]
    """Ids; a star stands for any text, a bracket for itself."""
    reason: str

    def names(self, era: str, step: str) -> bool:
        """Whether it speaks of this step of this era."""
        return any(fnmatchcase(era, each) for each in self.eras) and any(
            fnmatchcase(step, each.replace("[", "[[]")) for each in self.steps
        )


MARKED_ONCE = (
    "under oom_lock nobody kills a marked process again: a scan that meets one waits for it or passes over it, "
    "so the victim of a kill was neither marked nor queued before"
)
PINNED = "mm_users is pinned during a walk, so exit_mmap, which clears VM_LOCKED, cannot run beside it"
BEFORE_GROUPS = (
    *("E4", "E4b", "E5", "E6", "E6b", "E7", "v4.14.y"),
    *("*-2017-*", "strawman-*", "arcangeli-*", "fault-*"),
)
"""One victim per kill."""
FROM_GROUPS = ("E8*", "E9", "v5.15.y", "mrelease-first-form", "v5.17-rc", "E1?*", "v6.18-dev", "hocko-rfc-*")
"""memory.oom.group kills a marked victim again."""

CLEARED_BEFORE = (
    "a process is killed again only after its mark was cleared, which is after its last job left the list, "
    "so the victim of a kill is neither marked nor queued"
)

UNREACHED = (
    Unreached(
        ("E1", "E2", "E3"),
        (
            "killer.mark_oom_victim.set TIF_MEMDIE[already set]",
            "killer.wake_oom_reaper.wake_oom_reaper[already queued]",
            "killer.wake_oom_reaper.oom_reaper_list = tsk[list corrupted]",
        ),
        CLEARED_BEFORE,
    ),
    Unreached(
        BEFORE_GROUPS,
        (
            "killer.mark_oom_victim.set TIF_MEMDIE[already set]",
            "killer.mark_oom_victim.cmpxchg(oom_mm)[already set]",
            "killer.wake_oom_reaper.wake_oom_reaper[already queued]",
            "killer.wake_oom_reaper.oom_reaper_list = tsk[list corrupted]",
        ),
        MARKED_ONCE,
    ),
    Unreached(
        FROM_GROUPS,
        ("killer.mark_oom_victim.cmpxchg(oom_mm)[already set]",),
        "the cgroup whose processes are all killed has one thread per process, so the second mark finds TIF_MEMDIE",
    ),
    Unreached(
        ("E1", "E2", "E3", "E4", "E4b", "rientjes-2017-06-14", "tetsuo-2017-06-16", "fault-*"),
        ("reaper.__oom_reap_task_mm.unmap_page_range[a page munlocked meanwhile]",),
        PINNED,
    ),
    Unreached(
        ("v6.18-dev",),
        ("mrelease.__oom_reap_task_mm.unmap_page_range[an mlocked page]",),
        "it walks only where MMF_OOM_SKIP was set between its two tests, and no such world has mlocked pages",
    ),
)


def unreached(era: Era) -> Mapping[str, str]:
    """The steps of ``era`` that no scenario takes, each with the reason.

    Raises `MisuseError` where two entries name one step.
    """
    found: dict[str, str] = {}
    for step in era.steps:
        reasons = [entry.reason for entry in UNREACHED if entry.names(era.id, step.id)]
        if len(reasons) > 1:
            raise MisuseError(f"era {era.id}: two entries of unreached.py name {step.id}: keep one")
        if reasons:
            found[step.id] = reasons[0]
    return found
