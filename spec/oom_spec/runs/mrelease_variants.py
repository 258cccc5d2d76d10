"""process_mrelease: the first form, and the slip of v6.18's development."""

from oom_spec.eras.p2025_v6_18_dev import skip_is_clear, skip_is_set
from oom_spec.language.runs import impossible, never, possible
from oom_spec.protocol import exit_mmap, maple, mrelease

FIRST_FORM = "mrelease-first-form"
DEV = "v6.18-dev"

RUNS = (
    possible(
        FIRST_FORM,
        "mrelease-unmarked",
        "page tables are freed while process_mrelease walks",
        [
            mrelease.set_unstable,
            never(mrelease.pass_completed),
            exit_mmap.free_pgtables_begins,
            mrelease.pass_completed,
        ],
        why="The target is no OOM victim, so exit_mmap waits for nobody, and mm_count keeps no page table.",
        source="337546e83fc7, which took mm_users instead",
    ),
    impossible(
        FIRST_FORM,
        "mrelease",
        "process_mrelease reaps after all threads have dropped the mm",
        [mrelease.find_no_thread, mrelease.set_unstable],
        why="It finds the mm by a thread that has it; ESRCH otherwise.",
        source="884a7e5964e0",
    ),
    possible(
        DEV,
        "mrelease",
        "process_mrelease leaves everything where it is and reports success",
        [mrelease.target_is_dying, skip_is_clear, never(mrelease.zap_page), mrelease.call_returns],
        why="The inverted test: the flag is clear as long as there is something to reap.",
        source="fde591dad109",
    ),
    possible(
        DEV,
        "mrelease",
        "process_mrelease walks after exit_mmap has set MMF_OOM_SKIP",
        [maple.exit_sets_skip, skip_is_set, mrelease.set_unstable],
        why="The other side of the slip: it walks what should be left alone.",
        source="fde591dad109",
    ),
)
