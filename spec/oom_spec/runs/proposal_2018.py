"""The proposal of September 2018: exit_mmap hands over by mm->mmap = NULL."""

from oom_spec.eras.p2018_09_10_hocko_rfc import (
    hand_over,
    hand_over_up_write,
    mmap_is_gone,
    mmap_is_there,
    reaper_leaves_skip,
    sets_skip_at_end,
)
from oom_spec.language.runs import impossible, possible
from oom_spec.protocol import exit_mmap, killer, mmput

AS_POSTED = "hocko-rfc-2018-09-10"
WITH_SKIP = "hocko-rfc-2018-09-12"
BOTH = (AS_POSTED, WITH_SKIP)

RUNS = (
    possible(
        BOTH,
        "single",
        "the reaper finds the hand-over and leaves the flag to the exit path",
        [hand_over, hand_over_up_write, mmap_is_gone, reaper_leaves_skip],
        why="An exit path that cannot block any more promises to finish.",
        source="Hocko, 2018-09-10",
    ),
    impossible(
        BOTH,
        "single",
        "the reaper walks after the hand-over",
        [hand_over, mmap_is_there],
        why="mm->mmap becomes NULL under mmap_sem for writing, and only then page tables go.",
        source="Hocko, 2018-09-10",
    ),
    possible(
        AS_POSTED,
        "single",
        "the victim's memory is gone, and a scan still waits for it",
        [reaper_leaves_skip, exit_mmap.remove_vma_ends, mmput.mmdrop_to_task, killer.scan_aborts],
        why="Nobody sets MMF_OOM_SKIP after a hand-over, and the task is still visible.",
        source="Tetsuo Handa, 2018-09-12, on the posting",
    ),
    impossible(
        WITH_SKIP,
        "single",
        "the victim's memory is gone, and a scan still waits for it",
        [mmput.mmdrop_to_task, killer.scan_aborts],
        why="exit_mmap sets the flag at its end.",
        source="Hocko, 2018-09-12",
    ),
    possible(
        WITH_SKIP,
        "single",
        "the exit path sets the flag after a hand-over, and a scan gets past the victim",
        [hand_over, reaper_leaves_skip, sets_skip_at_end, killer.scan_passes_over_victim],
        why="What the follow-up is for.",
        source="Hocko, 2018-09-12",
    ),
)
