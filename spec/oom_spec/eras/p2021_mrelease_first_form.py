"""process_mrelease as first committed in August 2021: it holds mm_count only, and asks for nothing."""

from oom_spec.eras.e08d_v5_6 import E8D
from oom_spec.language import Era, Standing
from oom_spec.protocol import mrelease

MRELEASE_FIRST_FORM = Era(
    id="mrelease-first-form",
    aliases=("884a7e5964e0",),
    title="process_mrelease before 337546e83fc7: it holds mm_count only",
    opened_by='884a7e5964e0 "mm: introduce process_mrelease system call"',
    standing=Standing.REPAIRED,
    why="What 337546e83fc7 repaired before the release of v5.15: exit_mmap frees page tables under the walk.",
    parent=E8D,
    added=mrelease.FIRST_FORM,
)

ERAS = (MRELEASE_FIRST_FORM,)
