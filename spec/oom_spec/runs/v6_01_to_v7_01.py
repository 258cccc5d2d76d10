"""v6.1 to v7.1: exit_mmap with a read and a write section, and forks that fail."""

from oom_spec.eras.e05_v4_14 import skip_is_clear, skip_is_set
from oom_spec.eras.e15_v7_0 import tears_down
from oom_spec.language.runs import happens, impossible, never, possible
from oom_spec.protocol import exit_mmap, fork, killer, maple, mrelease, reaper

SECTIONS = ("E12", "E12b", "E13", "E14", "E15")
"""A read section for unmap_vmas, a write section for the rest."""
CAREFUL = ("E13", "E14")
"""A failed fork sets MMF_UNSTABLE behind its marker."""

RUNS = (
    possible(
        SECTIONS,
        "single",
        "the reaper and unmap_vmas side by side",
        [
            maple.read_lock,
            reaper.set_unstable,
            never(reaper.pass_completed),
            exit_mmap.unmap_reapable,
            reaper.pass_completed,
        ],
        why="Both hold mmap_lock for reading: the split that the mail argued for.",
        source="bf3980c85212; the mail, answer 1",
    ),
    possible(
        SECTIONS,
        "single",
        "a walk begins between the two sections, and the write section waits for it",
        [
            maple.read_unlock,
            skip_is_clear,
            maple.exit_sets_skip,
            maple.write_lock_waits,
            reaper.pass_completed,
            maple.write_lock_wakes,
            exit_mmap.free_pgtables_begins,
        ],
        why="No lock is held there; the walk finds an address space without pages.",
        source="bf3980c85212",
    ),
    possible(
        SECTIONS,
        "single",
        "a reaper that comes after the write section finds MMF_OOM_SKIP and leaves",
        [maple.write_unlock, reaper.trylock, skip_is_set],
        why="The flag was set before the lock was taken, for every mm.",
        source="bf3980c85212",
    ),
    impossible(
        SECTIONS,
        "single",
        "page tables are freed during a walk",
        [reaper.set_unstable, never(reaper.pass_completed), exit_mmap.free_pgtables_begins],
        why="They go under mmap_lock for writing.",
        source="bf3980c85212",
    ),
    impossible(
        SECTIONS,
        "foreign-user",
        "the reaper walks after the write section has begun",
        [maple.write_lock, reaper.set_unstable],
        why="Neither is a victim asked for: whoever runs __mmput takes the lock and sets the flag.",
        source="bf3980c85212",
    ),
    impossible(
        SECTIONS,
        "single",
        "B1: a second kill while the first victim's memory is there",
        [
            never(reaper.zap_page, exit_mmap.unmap_reapable),
            reaper.dequeue,
            never(reaper.zap_page, exit_mmap.unmap_reapable),
            killer.scan_ends_with_choice,
        ],
        why="The flag comes after a pass or after unmap_vmas.",
        source="bf3980c85212",
    ),
    impossible(
        ("E12", "E12b", "E13", "E14"),
        "mrelease",
        "process_mrelease walks after the write section has begun",
        [maple.write_lock, mrelease.set_unstable],
        why="It holds mm_count only, and tests the flag under mmap_lock as the reaper does.",
        source="ba535c1caf3e",
    ),
    possible(
        "E12b",
        "failed-fork",
        "uprobes walks the half-built tree of a failed fork",
        [fork.marks_failure, fork.child_unlocked, happens(fork.walks_vmas, about="uprobes")],
        why="Rmap leads to the child's mm without any task: CVE-2025-21709.",
        source="64c37e134b12",
    ),
    possible(
        CAREFUL,
        "failed-fork",
        "uprobes finds the mm of a failed fork unstable and leaves it alone",
        [fork.marks_failure, fork.fork_sets_unstable, happens(fork.finds_unstable, about="uprobes")],
        why="The test is the one that page faults make.",
        source="64c37e134b12",
    ),
    impossible(
        (*CAREFUL, "E15"),
        "failed-fork",
        "somebody gets the lock of a child between the failure and MMF_UNSTABLE",
        [
            fork.copy_fails,
            never(fork.fork_sets_unstable),
            happens(fork.uprobes_locks_to_check, fork.swapoff_locks_to_check),
        ],
        why="The flags are set with the child's lock held for writing.",
        source="64c37e134b12",
    ),
    possible(
        ("E12b", "E13"),
        "failed-fork",
        "swapoff walks the half-built tree of a failed fork",
        [fork.marks_failure, fork.child_unlocked, happens(fork.walks_vmas, about="swapoff")],
        why="The mmlist leads there too, and the first repair forgot it.",
        source="the mmlist walk of unuse_mm; repaired in v6.18",
    ),
    possible(
        "E14",
        "failed-fork",
        "swapoff finds the mm of a failed fork unstable and leaves it alone",
        [fork.marks_failure, happens(fork.finds_unstable, about="swapoff")],
        why="Now both walkers ask.",
        source="unuse_mm, v6.18",
    ),
    possible(
        "E15",
        "failed-fork",
        "a failed fork leaves no tree behind for whoever finds it",
        [fork.copy_fails, tears_down, fork.child_unlocked, happens(fork.finds_unstable, about="swapoff")],
        why="What was copied is freed before the child's lock is released.",
        source="the series on XA_ZERO in dup_mmap, v7.0",
    ),
)
