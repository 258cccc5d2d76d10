"""Lemmas about MMF_OOM_SKIP: who sets it, and what it then says."""

from __future__ import annotations

from oom_spec.unbounded.lemmas.lemma import Lemma

DONE = "reaper.at is NOTIFIERS_SLEEP or UP_READ_SKIPPED or UNLOCK_TRUE or SKIP_OOM_LOCK or LINK_NULL or SET_SKIP"
"""Points at which the reaper makes no further attempt."""
DONE_WITHOUT_REASON = (
    "reaper.job is task1",
    DONE,
    "not reaper.passed",
    "not task1.process.mm.oom_skip",
    "task1.process.mm.excuse is NONE",
)
"""The reaper is done with its job, and nothing says why."""
UNTRUE_SKIP = (
    "process1.mm.oom_skip",
    "not process1.mm.unmapped",
    "not process1.mm.pass_completed",
    "process1.mm.excuse is NONE",
)
"""MMF_OOM_SKIP on the mm of a process, and nothing that it could say is so."""
BEFORE_FREED = "FREE_PGTABLES or FREEING_PGTABLES or TLB_FINISH or FREE_VMAS or FREEING_VMAS"
"""Points of exit_mmap from free_pgtables on, up to where no VMA is left."""
FREEING = f"{BEFORE_FREED} or CLEAR_MMAP or UP_WRITE_AFTER_FREE or SET_SKIP or MMDROP or RETURNED"
"""Points of exit_mmap and of __mmput behind unmap_vmas."""
FENCE = "FENCE_TEST or FENCE_DOWN_WRITE or FENCE_DOWN_WRITE_WAITS or FENCE_UP_WRITE"
"""Points of exit_mmap at which it waits for the reaper."""
EMPTY = "READ_UNLOCK_EMPTY or EMPTY_WRITE_LOCK or EMPTY_WRITE_LOCK_WAITS or EMPTY_DESTROY or EMPTY_WRITE_UNLOCK"
"""Points of exit_mmap where the tree has no VMA (v6.8 on)."""

TRUE_SKIP = (
    Lemma(
        "pass-is-remembered",
        "Behind the walk over the VMAs, the reaper has completed a pass.",
        "__oom_reap_task_mm: tlb_finish_mmu comes before up_read and mmput_async",
        ("reaper.at is UP_READ_REAPED or MMPUT_ASYNC or SET_REAPED or SKIP_IN_PASS", "not reaper.passed"),
    ),
    Lemma(
        "pass-is-flagged",
        "Where the reaper sets MMF_OOM_REAPED, it has completed a pass.",
        "__oom_reap_task (v4.7, v4.8)",
        ("reaper.at is UP_READ_REAPED or SET_REAPED", "not reaper.passed"),
    ),
    Lemma(
        "done-for-a-reason",
        "The reaper is done with an mm because of a pass, of MMF_OOM_SKIP, or of an excuse.",
        "oom_reap_task: how the loop over the attempts ends",
        DONE_WITHOUT_REASON,
    ),
    Lemma(
        "done-for-a-reason-or-without-vmas",
        "The reaper is done with an mm because of a pass, of MMF_OOM_SKIP, of an excuse, or because no VMA is left.",
        "where mm->mmap says that there is nothing to reap: Hocko, 2017-07-24 and 2018-09",
        (
            *DONE_WITHOUT_REASON,
            "task1.process.mm.vmas is not FREED or NEVER",
        ),
    ),
    Lemma(
        "done-for-a-reason-or-unmapped",
        "The reaper is done with an mm because of a pass, of MMF_OOM_SKIP, of an excuse, or because it is unmapped.",
        "where mm->mmap says that there is nothing to reap: Hocko, 2017-07-24 and 2018-09",
        (
            *DONE_WITHOUT_REASON,
            "not task1.process.mm.unmapped",
        ),
    ),
    Lemma(
        "done-for-a-reason-or-without-mmap",
        "The reaper is done with an mm because of a pass, of MMF_OOM_SKIP, of an excuse, or because mm->mmap is NULL.",
        "Hocko, 2018-09: the flag is then left to exit_mmap",
        (
            *DONE_WITHOUT_REASON,
            "not task1.process.mm.no_mmap",
            "task1.process.mm.vmas is not NEVER",
        ),
    ),
    Lemma(
        "unmapping-finds-vmas",
        "Where exit_mmap unmaps and frees, there were VMAs.",
        "exit_mmap returns at once where mm->mmap is NULL",
        (
            f"process1.mm.mmput_at is UNMAP or {FENCE} or CLEAR_MMAP or {BEFORE_FREED}",
            "process1.mm.vmas is NEVER",
        ),
    ),
    Lemma(
        "unmapping-under-the-lock-finds-vmas",
        "Where exit_mmap takes the lock, unmaps and frees, there were VMAs.",
        "exit_mmap returns at once where mm->mmap is NULL",
        (
            f"process1.mm.mmput_at is LOCK_BEFORE_UNMAP or LOCK_BEFORE_UNMAP_WAITS or UNMAP or {BEFORE_FREED}",
            "process1.mm.vmas is NEVER",
        ),
    ),
    Lemma(
        "give-up-is-excused",
        "The reaper gives up on an mm that has an excuse from then on.",
        "oom_reap_task of Rientjes, 2017-06-14",
        ("reaper.job is task1", "reaper.at is SKIP_ON_GIVE_UP", "task1.process.mm.excuse is NONE"),
    ),
    Lemma(
        "pass-is-of-the-job",
        "A pass that the reaper has completed was over the mm of its job.",
        "oom_reap_task: one mm at a time",
        ("reaper.job is task1", "reaper.passed", "not task1.process.mm.pass_completed"),
    ),
    Lemma(
        "skip-after-unmap",
        "Between unmap_vmas and the fence that sets MMF_OOM_SKIP, everything is unmapped.",
        "exit_mmap (212925802454; bf3980c85212)",
        ("mm1.mmput_at is FENCE_TEST or READ_UNLOCK or SKIP_AFTER_UNMAP", "not mm1.unmapped"),
    ),
    Lemma(
        "behind-unmap",
        "Where exit_mmap frees page tables and behind it, everything is unmapped.",
        "exit_mmap: unmap_vmas comes first",
        (
            f"process1.mm.mmput_at is {FREEING}",
            "not process1.mm.unmapped",
        ),
    ),
    Lemma(
        "behind-unmap-and-fence",
        "Where exit_mmap waits for the reaper, frees page tables and behind it, everything is unmapped.",
        "exit_mmap, where the fence comes behind unmap_vmas (212925802454; bf3980c85212)",
        (
            f"process1.mm.mmput_at is {FENCE} or {FREEING}",
            "not process1.mm.unmapped",
        ),
    ),
    Lemma(
        "no-mmap-after-unmap",
        "mm->mmap is cleared when everything is unmapped.",
        "Hocko, 2017-08-10 and 2018-09: exit_mmap clears it under the lock, behind free_pgtables",
        ("process1.mm.no_mmap", "not process1.mm.unmapped"),
    ),
    Lemma(
        "empty-tree-is-unmapped",
        "Where exit_mmap finds no VMA in the mm of a process, there is nothing to unmap.",
        "exit_mmap (d24062914837)",
        (f"process1.mm.mmput_at is {EMPTY}", "not process1.mm.unmapped"),
    ),
    Lemma(
        "exit-locks-after-unmap",
        "exit_mmap holds the mmap lock of a process for writing only when everything is unmapped.",
        "exit_mmap: the fence comes behind unmap_vmas",
        ("process1.mm.writer is EXIT_MMAP", "not process1.mm.unmapped"),
    ),
    Lemma(
        "never-obstructed",
        "No trylock of the reaper fails because of an exit_mmap that still unmaps.",
        "Arcangeli's first question and the answer to it in the mail",
        ("reaper.obstructed",),
    ),
    Lemma(
        "cleared-mmap-stays",
        "Where mm->mmap is cleared, __mmput is behind that.",
        "exit_mmap of Hocko, 2017-07-24, and of what follows it",
        ("process1.mm.no_mmap", "process1.mm.mmput_at is not UP_WRITE_AFTER_FREE or SET_SKIP or MMDROP or RETURNED"),
    ),
    Lemma(
        "cleared-mmap-has-no-vmas",
        "mm->mmap is cleared when the VMAs are freed.",
        "exit_mmap of Hocko, 2017-07-24, and of what follows it",
        ("process1.mm.no_mmap", "process1.mm.vmas is PRESENT or BEING_FREED"),
    ),
    Lemma(
        "vmas-freed-before-mmap-is-cleared",
        "exit_mmap has freed the VMAs where it clears mm->mmap.",
        "exit_mmap of Hocko, 2017-07-24, and of what follows it",
        ("process1.mm.mmput_at is CLEAR_MMAP", "process1.mm.vmas is PRESENT or BEING_FREED"),
    ),
    Lemma(
        "self-reap-passes",
        "exit_mmap sets MMF_OOM_SKIP behind its own __oom_reap_task_mm, which completed a pass.",
        "exit_mmap (27ae357fa82b)",
        ("mm1.mmput_at is SELF_REAP_OOM_UNLOCK or SELF_REAP_SKIP", "not mm1.pass_completed"),
    ),
    Lemma(
        "true-skip",
        "MMF_OOM_SKIP on the mm of a process says that it is unmapped, or that a pass was completed, or has an excuse.",
        "who sets it: the reaper, exit_mmap or __mmput, process_mrelease, the OOM killer for init's mm",
        UNTRUE_SKIP,
    ),
    Lemma(
        "true-skip-outside-a-pass",
        "While the reaper is in no pass, MMF_OOM_SKIP on the mm of a process says what it should.",
        "Arcangeli, 2017-07-25: the flag is set before the pass",
        (
            "reaper.at is not SET_UNSTABLE or ZAP",
            *UNTRUE_SKIP,
        ),
    ),
    Lemma(
        "true-skip-of-other-mms",
        "While the reaper is in a pass over one mm, MMF_OOM_SKIP on that of another process says what it should.",
        "Arcangeli, 2017-07-25: the flag is set before the pass",
        (
            "reaper.at is SET_UNSTABLE or ZAP",
            "reaper.job is task1",
            "task1.process.mm is not process1.mm",
            *UNTRUE_SKIP,
        ),
    ),
    Lemma(
        "failed-fork-excuses-no-victim",
        "The mm of a process is never excused by a failed fork.",
        "dup_mmap (64c37e134b12): the flag is on the child's mm",
        ("process1.mm.excuse is FAILED_FORK",),
    ),
    Lemma(
        "passed-over-with-reason",
        "No scan passes over a victim needlessly.",
        "oom_evaluate_task: what MMF_OOM_SKIP says when it is read",
        ("killer1.passed_over[mm1] is NEEDLESSLY",),
    ),
)
"""Who sets MMF_OOM_SKIP, and what it then says."""

__all__ = ["TRUE_SKIP"]
