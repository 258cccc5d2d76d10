"""E4: v4.9 to v4.12, the code that the mail speaks of. All other eras are deltas on it."""

from oom_spec.language import Era, steps_of
from oom_spec.protocol import execve, exit_mmap, faults, kill, killer, mmput, others, reaper, task_exit

E4 = Era(
    id="E4",
    aliases=("v4.9", "v4.10", "v4.11", "v4.12", "4.9", "4.10", "4.11", "4.12"),
    title="v4.9 - v4.12: the reaper pins mm_users, and its failure to do so counts as success",
    opened_by='26db62f179d1 "oom: keep mm of the killed task available"',
    why="The release that the mail of 2017-07-25 speaks of, with the fault-path block of its question 4.",
    added=steps_of(task_exit, execve, mmput, exit_mmap, reaper, killer, kill, others, faults),
)

ERAS = (E4,)
