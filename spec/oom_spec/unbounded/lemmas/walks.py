"""Lemmas about walks over the VMAs: whose they are, and what is still there while they go on."""

from __future__ import annotations

from oom_spec.unbounded.lemmas.lemma import Lemma
from oom_spec.unbounded.lemmas.mmap_lock import NO_PAGE_TABLES, NO_VMAS, TO_FREE
from oom_spec.unbounded.lemmas.skip import BEFORE_FREED

WALKS = "reaper.at is SET_UNSTABLE or ZAP"
"""Points of the reaper behind its test of MMF_OOM_SKIP or of mm->mmap, until the walk is over."""
MRELEASE_WALKS = "mrelease1.at is SET_UNSTABLE or ZAP"
"""The same of a caller of process_mrelease."""

WHOSE = (
    Lemma(
        "walk-is-a-zap",
        "The reaper walks VMAs in its pass only.",
        "__oom_reap_task_mm",
        ("mm1.walked_by_reaper", "reaper.at is not ZAP"),
    ),
    Lemma(
        "walk-of-the-job",
        "The reaper walks the VMAs of its job's mm.",
        "oom_reap_task_mm(tsk, mm)",
        ("mm1.walked_by_reaper", "no task: reaper.job is task and task.process.mm is mm1"),
    ),
    Lemma(
        "mrelease-walk-is-a-zap",
        "process_mrelease walks VMAs in its pass only.",
        "__oom_reap_task_mm",
        ("mrelease1.walks", "mrelease1.at is not ZAP"),
    ),
    Lemma(
        "self-reap-walk",
        "exit_mmap walks the VMAs as a reaper would only in its own reap.",
        "exit_mmap (27ae357fa82b)",
        ("mm1.walked_by_exit", "mm1.mmput_at is not SELF_REAP"),
    ),
    Lemma(
        "no-self-reap",
        "exit_mmap never walks the VMAs as a reaper would.",
        "27ae357fa82b is not there yet, or not there any more",
        ("mm1.walked_by_exit",),
    ),
)
"""Who walks what."""

THERE = (
    Lemma(
        "reaper-finds-page-tables",
        "Page tables are there while the reaper walks.",
        "the test under mmap_sem: MMF_OOM_SKIP, mm->mmap or mm_users",
        ("reaper.job is task1", WALKS, f"task1.process.mm.{NO_PAGE_TABLES}"),
    ),
    Lemma(
        "reaper-finds-vmas",
        "VMAs are there while the reaper walks.",
        "the test under mmap_sem: MMF_OOM_SKIP, mm->mmap or mm_users",
        ("reaper.job is task1", WALKS, f"task1.process.mm.{NO_VMAS}"),
    ),
    Lemma(
        "reaper-finds-mmap",
        "mm->mmap is not NULL while the reaper walks.",
        "Hocko, 2018-09-10: the test under mmap_sem",
        ("reaper.job is task1", WALKS, "task1.process.mm.no_mmap"),
    ),
    Lemma(
        "mrelease-finds-page-tables",
        "Page tables are there while process_mrelease walks.",
        "the test of MMF_OOM_SKIP under mmap_lock (ba535c1caf3e)",
        (MRELEASE_WALKS, f"mrelease1.target.mm.{NO_PAGE_TABLES}"),
    ),
    Lemma(
        "mrelease-finds-vmas",
        "VMAs are there while process_mrelease walks.",
        "the test of MMF_OOM_SKIP under mmap_lock (ba535c1caf3e)",
        (MRELEASE_WALKS, f"mrelease1.target.mm.{NO_VMAS}"),
    ),
    Lemma(
        "reaper-walks-before-munlock",
        "The reaper does not walk an mm whose exit path is inside its fence or behind it.",
        "27ae357fa82b: MMF_OOM_SKIP, then the fence",
        (
            "reaper.job is task1",
            WALKS,
            f"task1.process.mm.mmput_at is FENCE_UP_WRITE or MUNLOCK or MUNLOCKING or FIRST_VMA or {TO_FREE}",
        ),
    ),
    Lemma(
        "unpinned-walk-before-free",
        "Without mm_users the reaper does not walk an mm whose exit path is inside its fence or frees.",
        "Arcangeli, 2017-07-25: who is second at test_and_set_bit waits or turns back",
        (
            "reaper.job is task1",
            WALKS,
            "not task1.process.mm.pinned_by_reaper",
            f"task1.process.mm.mmput_at is {BEFORE_FREED} or FENCE_UP_WRITE",
        ),
    ),
    Lemma(
        "unpinned-walk-sets-skip",
        "Without mm_users the reaper walks only after it has set MMF_OOM_SKIP.",
        "Arcangeli, 2017-07-25: test_and_set_bit",
        (
            "reaper.job is task1",
            WALKS,
            "not task1.process.mm.pinned_by_reaper",
            "not task1.process.mm.oom_skip",
        ),
    ),
)
"""What is there while somebody walks."""

NOT_BEFORE = (
    Lemma(
        "page-tables-go-in-mmput",
        "Page tables of an mm are there until __mmput runs.",
        "exit_mmap",
        (f"mm1.{NO_PAGE_TABLES}", "mm1.mmput_at is IDLE"),
    ),
    Lemma(
        "vmas-go-in-mmput",
        "VMAs of an mm are there until __mmput runs.",
        "exit_mmap",
        (f"mm1.{NO_VMAS}", "mm1.mmput_at is IDLE"),
    ),
    Lemma(
        "page-tables-go-in-free-pgtables",
        "Page tables of an mm are there until free_pgtables.",
        "exit_mmap",
        (
            f"mm1.{NO_PAGE_TABLES}",
            "mm1.mmput_at is not FREEING_PGTABLES or TLB_FINISH or FREE_VMAS or FREEING_VMAS or MMDROP or RETURNED",
        ),
    ),
    Lemma(
        "vmas-go-in-remove-vma",
        "VMAs of an mm are there until remove_vma.",
        "exit_mmap",
        (f"mm1.{NO_VMAS}", "mm1.mmput_at is not FREEING_VMAS or MMDROP or RETURNED"),
    ),
    Lemma(
        "munlock-in-mmput",
        "munlock of the exit path is part of __mmput.",
        "exit_mmap",
        ("mm1.munlocking", "mm1.mmput_at is IDLE"),
    ),
    Lemma(
        "munlock-in-its-place",
        "munlock of the exit path is at its place in exit_mmap.",
        "munlock_vma_pages_all",
        ("mm1.munlocking", "mm1.mmput_at is not MUNLOCKING"),
    ),
    Lemma(
        "unmapped-before-skip",
        "Where exit_mmap frees, and __mmput sets MMF_OOM_SKIP after it, unmap_vmas has finished.",
        "exit_mmap: unmap_vmas comes first",
        (
            f"mm1.mmput_at is {BEFORE_FREED} or CLEAR_MMAP or UP_WRITE_AFTER_FREE or SET_SKIP",
            "not mm1.unmapped",
        ),
    ),
)
"""What exit_mmap does not do before its place."""

PINNED = (
    Lemma(
        "reaps-what-it-pins",
        "From find_lock_task_mm to mmput_async the reaper holds mm_users of its job's mm (v4.6, v4.7).",
        "__oom_reap_task (ec8d7c14ea14)",
        (
            "reaper.job is task1",
            (
                "reaper.at is TRYLOCK or ZAP or UP_READ_REAPED or SET_REAPED or UNLOCK_TRUE or MMPUT_ASYNC or "
                "UNLOCK_FALSE or MMPUT_ASYNC_FALSE"
            ),
            "not task1.process.mm.pinned_by_reaper",
        ),
    ),
    Lemma(
        "reapers-pin-holds-back-mmput",
        "While the reaper holds mm_users, __mmput has not begun.",
        "mmput: mm_users is 0, and mmget_not_zero does not raise it from there",
        ("mm1.pinned_by_reaper", "mm1.mmput_at is not IDLE"),
    ),
    Lemma(
        "marks-pin-holds-back-mmput",
        "While a mark holds mm_users, __mmput has not begun.",
        "mmput: mm_users is 0, and mmget_not_zero does not raise it from there",
        ("mm1.pinned_by_mark", "mm1.mmput_at is not IDLE"),
    ),
    Lemma(
        "no-fork-pins",
        "No fork holds mm_users of any mm.",
        "a fork that fails matters from d24062914837 on only",
        ("mm1.pinned_by_fork",),
    ),
    Lemma(
        "exit-without-debtors",
        "Once __mmput runs, no thread has still to drop its mm_users.",
        "mmput: mm_users is 0, and mmget_not_zero does not raise it from there",
        ("task1.process.mm.mmput_at is not IDLE", "task1.owes_mmput"),
    ),
    Lemma(
        "exit-without-faults",
        "Once __mmput runs, no fault on the mm is in flight.",
        "use_mm: its caller holds mm_users",
        ("fault1.mm.mmput_at is not IDLE", "fault1.at is not DONE"),
    ),
    Lemma(
        "done-fault-does-not-pin",
        "A fault that is done pins nothing.",
        "unuse_mm, mmput",
        ("fault1.pins", "fault1.at is DONE"),
    ),
    Lemma(
        "runs-with-an-mm",
        "A thread has its mm until exit_mm takes it away.",
        "exit_mm: current->mm = NULL",
        ("task1.at is RUN or DOWN_READ or CLEAR_MM", "not task1.has_mm"),
    ),
)
"""Who holds mm_users while somebody walks."""

FAULTS = (
    Lemma(
        "fault-holds-its-lock",
        "A fault holds mmap_sem for reading while it is handled.",
        "handle_mm_fault: the caller took it",
        ("fault1.at is HANDLE or INSTALL", "not fault1.reads"),
    ),
    Lemma(
        "released-means-retry",
        "Where a fault has released mmap_sem, its result is VM_FAULT_RETRY.",
        "question 4 of the mail",
        ("fault1.at is CHECK_UNSTABLE or RETURN", "not fault1.reads", "fault1.result is not RETRY"),
    ),
)
"""What a fault owes its caller."""

__all__ = ["FAULTS", "NOT_BEFORE", "PINNED", "THERE", "WHOSE"]
