"""Lemmas about the mm that a failed fork leaves: who can know it, and what it says of itself (v6.8 on)."""

from __future__ import annotations

from oom_spec.unbounded.lemmas.lemma import Lemma

COPIES = "fork1.at is COPY or FAILED or SET_SKIP or SET_UNSTABLE or WRITE_UNLOCK"
"""Points of dup_mmap at which the parent holds the child's mmap_lock."""

CHILD = (
    Lemma(
        "child-of-one-fork",
        "No two forks build the same mm.",
        "dup_mm: allocate_mm",
        ("fork1.child is fork2.child", "fork1 is not fork2"),
    ),
    Lemma(
        "child-without-a-fault",
        "No kernel thread uses the mm that a fork builds.",
        "use_mm: nobody has a reference to it",
        ("fault1.mm is fork1.child",),
    ),
    Lemma(
        "child-without-a-scanner",
        "Neither ksmd nor khugepaged works on the mm that a fork builds.",
        "dup_mmap: ksm_fork and khugepaged_fork come with the first VMAs, and find nothing here",
        ("fork1.child.scanner is not ABSENT",),
    ),
    Lemma(
        "child-without-foreign-users",
        "Nobody has the mm that a fork builds by get_task_mm.",
        "it is that of no task",
        ("fork1.child.foreign_users >= 1",),
    ),
    Lemma(
        "child-empty-at-first",
        "Before the fork, the child's mm has no VMA.",
        "dup_mmap copies them",
        ("fork1.at is IDLE", "fork1.child.vmas is not NEVER"),
    ),
    Lemma(
        "child-unknown-at-first",
        "Before the fork, nobody has found the child's mm.",
        "rmap and the mmlist lead to what has VMAs",
        ("fork1.at is IDLE", "walker1.mm is fork1.child", "walker1.at is not IDLE"),
    ),
    Lemma(
        "child-whole-at-first",
        "Before the fork, the child's mm has no XA_ZERO entry.",
        "dup_mmap leaves it",
        ("fork1.at is IDLE", "fork1.child.half_built"),
    ),
    Lemma(
        "child-begun-before-exit",
        "Before the fork, __mmput of the child's mm has not begun.",
        "dup_mm",
        ("fork1.at is IDLE", "fork1.child.mmput_at is not IDLE"),
    ),
    Lemma(
        "parent-pins-child",
        "The parent holds the child's first mm_users until dup_mm drops it.",
        "dup_mm: mm_init",
        (f"{COPIES} or MMPUT", "not fork1.child.pinned_by_fork"),
    ),
    Lemma(
        "parents-pin-holds-back-mmput",
        "While the parent holds mm_users of the child, __mmput has not begun.",
        "mmput: mm_users is 0, and mmget_not_zero does not raise it from there",
        ("fork1.child.pinned_by_fork", "fork1.child.mmput_at is not IDLE"),
    ),
    Lemma(
        "parent-writes",
        "During dup_mmap the parent holds the child's mmap_lock for writing.",
        "dup_mmap: mmap_write_lock_nested",
        (COPIES, "fork1.child.writer is not FORKER"),
    ),
    Lemma(
        "parent-excludes-walkers",
        "During dup_mmap nobody else holds the child's mmap_lock.",
        "it is a rwsem",
        (COPIES, "walker1.mm is fork1.child", "walker1.at is CHECK_STABLE or WALK or UNLOCK"),
    ),
)
"""What is known of a child's mm."""

HALF_BUILT = (
    Lemma(
        "half-built-by-a-fork",
        "Only an mm that a fork builds has an XA_ZERO entry.",
        "dup_mmap (d24062914837)",
        ("mm1.half_built", "no fork: fork.child is mm1"),
    ),
    Lemma(
        "half-built-is-unstable",
        "A child with an XA_ZERO entry has MMF_UNSTABLE when the parent gives its mmap_lock back.",
        "64c37e134b12",
        ("fork1.child.half_built", "not fork1.child.unstable", "fork1.at is not SET_SKIP or SET_UNSTABLE"),
    ),
    Lemma(
        "walker-walks-at-its-place",
        "A walker uses VMAs at one place only.",
        "register_for_each_vma, unuse_mm",
        ("walker1.walks", "walker1.at is not WALK"),
    ),
    Lemma(
        "walker-leaves-half-built-alone",
        "No walker uses the VMAs of an mm with an XA_ZERO entry.",
        "check_stable_address_space (64c37e134b12, 1367da7eb875)",
        ("walker1.at is WALK", "walker1.mm.half_built"),
    ),
)
"""What an XA_ZERO entry is a sign of."""

__all__ = ["CHILD", "HALF_BUILT"]
