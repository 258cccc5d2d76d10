"""Lemmas about mmap_sem (mmap_lock since v5.8): who holds it, and what a reaper that holds it may count on.

They are what S1 rests on where it had not been found by itself: nobody walks what exit_mmap frees. Some speak of the
mm of a process where any mm would do: a parent takes the lock of the mm that it builds in fork without looking.
"""

from __future__ import annotations

from oom_spec.unbounded.lemmas.lemma import Lemma
from oom_spec.unbounded.lemmas.skip import BEFORE_FREED

TO_FREE = f"UNMAP or {BEFORE_FREED}"
"""The same, from unmap_vmas on."""
NO_PAGE_TABLES = "page_tables is not PRESENT"
NO_VMAS = "vmas is not PRESENT or NEVER"
LOCKED = "at is CHECK_STABLE or WALK or UNLOCK"
"""Points of a walker that holds the lock."""

READERS = (
    Lemma(
        "attempt-under-read-lock",
        "During an attempt the reaper holds mmap_sem of its job's mm for reading.",
        "__oom_reap_task_mm: from down_read_trylock to up_read",
        (
            "reaper.job is task1",
            (
                "reaper.at is NOTIFIERS or NOTIFIERS_SLEEP or MMGET or TEST_SKIP or SET_UNSTABLE or ZAP or "
                "UP_READ_REAPED or UP_READ_INCOMPLETE or UP_READ_SKIPPED"
            ),
            "not task1.process.mm.read_by_reaper",
        ),
    ),
    Lemma(
        "mrelease-under-read-lock",
        "process_mrelease holds mmap_lock for reading from its test of MMF_OOM_SKIP to the end of its pass.",
        "process_mrelease (ba535c1caf3e)",
        ("mrelease1.at is TEST_SKIP_LOCKED or SET_UNSTABLE or ZAP or READ_UNLOCK", "not mrelease1.reads"),
    ),
    Lemma(
        "reaper-excludes-writer",
        "While the reaper holds mmap_sem of a process for reading, nobody holds it for writing.",
        "it is a rwsem",
        ("process1.mm.read_by_reaper", "process1.mm.writer is not NOBODY"),
    ),
    Lemma(
        "mrelease-excludes-writer",
        "While a caller of process_mrelease holds mmap_lock for reading, nobody holds it for writing.",
        "it is a rwsem",
        ("mrelease1.reads", "mrelease1.target.mm.writer is not NOBODY"),
    ),
)
"""Who holds it for reading."""

WRITERS = (
    Lemma(
        "free-under-write-lock",
        "exit_mmap holds mmap_lock for writing while it removes page tables, VMAs and the tree.",
        "exit_mmap (f798a1d4f94d)",
        (
            (
                f"process1.mm.mmput_at is {BEFORE_FREED} or CLEAR_MMAP or UP_WRITE_AFTER_FREE or "
                "EMPTY_DESTROY or EMPTY_WRITE_UNLOCK"
            ),
            "process1.mm.writer is not EXIT_MMAP",
        ),
    ),
    Lemma(
        "unmap-under-write-lock",
        "exit_mmap holds mmap_sem for writing from before unmap_vmas to after mm->mmap = NULL.",
        "the mail: what if the lock were taken before unmap_vmas",
        (
            f"process1.mm.mmput_at is {TO_FREE} or CLEAR_MMAP or UP_WRITE_AFTER_FREE",
            "process1.mm.writer is not EXIT_MMAP",
        ),
    ),
    Lemma(
        "fence-under-write-lock",
        "Inside its fence exit_mmap holds mmap_sem for writing.",
        "exit_mmap: down_write, up_write (212925802454)",
        ("process1.mm.mmput_at is FENCE_UP_WRITE", "process1.mm.writer is not EXIT_MMAP"),
    ),
    Lemma(
        "hand-over-under-write-lock",
        "Inside its hand-over, mm->mmap = NULL, exit_mmap holds mmap_sem for writing.",
        "Hocko, 2018-09-10",
        ("process1.mm.mmput_at is CLEAR_MMAP or FENCE_UP_WRITE", "process1.mm.writer is not EXIT_MMAP"),
    ),
    Lemma(
        "munlock-under-write-lock",
        "exit_mmap of a victim holds mmap_sem for writing during munlock.",
        "Hocko, 2018-09-10",
        ("process1.mm.mmput_at is MUNLOCKING", "process1.mm.oom_victim", "process1.mm.writer is not EXIT_MMAP"),
    ),
    Lemma(
        "ksm-exit-writes",
        "Inside its empty section ksm_exit holds mmap_sem for writing.",
        "__ksm_exit: down_write, up_write",
        ("process1.mm.mmput_at is KSM_UP_WRITE", "process1.mm.writer is not KSM_EXIT"),
    ),
    Lemma(
        "khugepaged-exit-writes",
        "Inside its empty section khugepaged_exit holds mmap_sem for writing.",
        "__khugepaged_exit: down_write, up_write",
        ("process1.mm.mmput_at is KHUGEPAGED_UP_WRITE", "process1.mm.writer is not KHUGEPAGED_EXIT"),
    ),
    Lemma(
        "scanner-writes",
        "khugepaged holds mmap_sem for writing where it collapses a huge page.",
        "collapse_huge_page",
        ("process1.mm.scanner is WRITING", "process1.mm.writer is not SCANNER"),
    ),
    Lemma(
        "uprobes-writes",
        "uprobes hold mmap_lock of a process for writing while they use its VMAs.",
        "register_for_each_vma: mmap_write_lock",
        (
            "walker1.mm is process1.mm",
            f"walker1.{LOCKED}",
            "not walker1.swapoff",
            "process1.mm.writer is not WALKER",
        ),
    ),
    Lemma(
        "uprobes-exclude-each-other",
        "Two uprobes do not both hold mmap_lock of a process for writing.",
        "it is a rwsem",
        (
            "walker1.mm is process1.mm",
            "walker2.mm is process1.mm",
            "walker1 is not walker2",
            f"walker1.{LOCKED}",
            f"walker2.{LOCKED}",
            "not walker1.swapoff",
            "not walker2.swapoff",
        ),
    ),
)
"""Who holds it for writing."""

SAID_BEFORE = (
    Lemma(
        "skip-before-free",
        "From where exit_mmap asks for mmap_lock for writing until it has freed the VMAs, MMF_OOM_SKIP is set.",
        "exit_mmap sets it after unmap_vmas, for every mm (bf3980c85212)",
        (
            f"process1.mm.mmput_at is FENCE_DOWN_WRITE or FENCE_DOWN_WRITE_WAITS or {BEFORE_FREED}",
            "not process1.mm.oom_skip",
        ),
    ),
    Lemma(
        "page-tables-go-after-skip",
        "Where page tables of a process are removed, MMF_OOM_SKIP is set.",
        "exit_mmap (bf3980c85212)",
        (f"process1.mm.{NO_PAGE_TABLES}", "not process1.mm.oom_skip"),
    ),
    Lemma(
        "vmas-go-after-skip",
        "Where VMAs of a process are freed, MMF_OOM_SKIP is set.",
        "exit_mmap (bf3980c85212)",
        (f"process1.mm.{NO_VMAS}", "not process1.mm.oom_skip"),
    ),
    Lemma(
        "null-before-unlock",
        "exit_mmap gives mmap_lock back only with mm->mmap NULL, or an empty tree.",
        "exit_mmap (f798a1d4f94d)",
        ("process1.mm.mmput_at is UP_WRITE_AFTER_FREE or EMPTY_WRITE_UNLOCK", "not process1.mm.no_mmap"),
    ),
    Lemma(
        "page-tables-go-under-lock-or-null",
        "Where page tables are removed, exit_mmap holds mmap_lock for writing, or mm->mmap is NULL.",
        "exit_mmap (f798a1d4f94d)",
        (f"process1.mm.{NO_PAGE_TABLES}", "not process1.mm.no_mmap", "process1.mm.writer is not EXIT_MMAP"),
    ),
    Lemma(
        "vmas-go-under-lock-or-null",
        "Where VMAs are freed, exit_mmap holds mmap_lock for writing, or mm->mmap is NULL.",
        "exit_mmap (f798a1d4f94d)",
        (f"process1.mm.{NO_VMAS}", "not process1.mm.no_mmap", "process1.mm.writer is not EXIT_MMAP"),
    ),
    Lemma(
        "hand-over-of-a-victim",
        "Only the exit path of a victim hands over.",
        "Hocko, 2018-09-10: mm_is_oom_victim",
        (
            "process1.mm.mmput_at is FENCE_DOWN_WRITE or FENCE_DOWN_WRITE_WAITS or CLEAR_MMAP or FENCE_UP_WRITE",
            "not process1.mm.oom_victim",
        ),
    ),
    Lemma(
        "hand-over-before-free",
        "exit_mmap of a victim has set mm->mmap to NULL before it frees anything.",
        "Hocko, 2018-09-10",
        (
            f"process1.mm.mmput_at is FENCE_UP_WRITE or {BEFORE_FREED}",
            "process1.mm.oom_victim",
            "not process1.mm.no_mmap",
        ),
    ),
    Lemma(
        "victims-page-tables-go-after-hand-over",
        "Where page tables of a victim are removed, mm->mmap is NULL.",
        "Hocko, 2018-09-10",
        (f"process1.mm.{NO_PAGE_TABLES}", "process1.mm.oom_victim", "not process1.mm.no_mmap"),
    ),
    Lemma(
        "victims-vmas-go-after-hand-over",
        "Where VMAs of a victim are freed, mm->mmap is NULL.",
        "Hocko, 2018-09-10",
        (f"process1.mm.{NO_VMAS}", "process1.mm.oom_victim", "not process1.mm.no_mmap"),
    ),
    Lemma(
        "test-and-set-before-free",
        "From its test of MMF_OOM_SKIP until it has freed the VMAs, exit_mmap knows that the flag is set.",
        "Arcangeli, 2017-07-25: test_and_set_bit",
        (
            f"mm1.mmput_at is {BEFORE_FREED} or FENCE_DOWN_WRITE or FENCE_DOWN_WRITE_WAITS or FENCE_UP_WRITE",
            "not mm1.oom_skip",
        ),
    ),
)
"""What exit_mmap says before it frees, and how."""

__all__ = ["READERS", "SAID_BEFORE", "WRITERS"]
