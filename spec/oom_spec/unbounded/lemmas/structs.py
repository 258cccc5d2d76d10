"""Lemmas about what an mm is, and about who holds its mm_users."""

from __future__ import annotations

from oom_spec.unbounded.lemmas.lemma import Lemma

STRUCTURE = (
    Lemma(
        "nothing-without-vmas",
        "An mm without any VMA has nothing to unmap, unless a fork is to build it.",
        "exit_mmap returns at once where mm->mmap is NULL",
        ("mm1.vmas is NEVER", "not mm1.unmapped", "no fork: fork.child is mm1"),
    ),
    Lemma(
        "uncounted-only-while-marked",
        "Where signal->oom_mm has no mm_count of its own, a killer is just marking a thread of this process.",
        "mark_oom_victim: mmgrab follows cmpxchg(oom_mm) (26db62f179d1)",
        (
            "process1.oom_mm",
            "not process1.oom_mm_counted",
            (
                "no killer: (killer.at is MARK_MMGRAB or DYING_MMGRAB) and "
                "(some task: killer.victim is task and task.process is process1)"
            ),
        ),
    ),
    Lemma(
        "child-without-a-process",
        "The mm that a fork builds is that of no process.",
        "dup_mmap fails before the child's task is visible",
        ("fork1.child is process1.mm",),
    ),
)
"""What an mm and its process are."""

USERS = (
    Lemma(
        "fault-pins",
        "A fault by use_mm pins its mm until it is done.",
        "use_mm: its caller holds mm_users",
        ("fault1.at is not DONE", "not fault1.pins"),
    ),
    Lemma(
        "exit-without-threads",
        "Once __mmput runs, no thread has the mm.",
        "mmput: mm_users is 0, and mmget_not_zero does not raise it from there",
        ("task1.process.mm.mmput_at is not IDLE", "task1.has_mm"),
    ),
    Lemma(
        "exit-without-foreign-users",
        "Once __mmput runs, nobody else pins the mm.",
        "mmput: mm_users is 0, and mmget_not_zero does not raise it from there",
        ("mm1.mmput_at is not IDLE", "mm1.foreign_users >= 1"),
    ),
)
"""Who holds mm_users."""

__all__ = ["STRUCTURE", "USERS"]
