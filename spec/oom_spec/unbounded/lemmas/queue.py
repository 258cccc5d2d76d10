"""Lemmas about the reaper's list: what it keeps allocated, and who owes what to a marked victim."""

from __future__ import annotations

from oom_spec.unbounded.lemmas.lemma import Lemma

OWED_BY_REAPER = (
    "(task.process.mm is process1.mm and "
    "(task.queue_depth >= 1 or task.timer or (some that_reaper: that_reaper.job is task)))"
)
"""That a task brings process1's mm to the reaper."""
MARKED = (
    "MARK_OOM_MM or MARK_MMGRAB or MARK_MMGET or TASK_UNLOCK or SHARERS or WAKE or QUEUE or ARM_TIMER or "
    "DYING_OOM_MM or DYING_MMGRAB or DYING_MMGET or DYING_WAKE or DYING_QUEUE or DYING_ARM_TIMER"
)
"""Points between a mark and what it makes the reaper owe."""
OF_THIS_MM = "(some task: killer.victim is task and task.process.mm is process1.mm)"
"""That a killer's victim has process1's mm."""
ARMING = "killer1.at is ARM_TIMER or DYING_ARM_TIMER"
"""Points at which a killer has MMF_OOM_REAP_QUEUED, and the timer is not armed yet."""

QUEUED = (
    Lemma(
        "queued-task-is-referenced",
        "A task on the reaper's list has a reference of its own.",
        "wake_oom_reaper, queue_oom_reaper: get_task_struct",
        ("task1.queue_depth >= 1", "not task1.queue_reference"),
    ),
    Lemma(
        "armed-task-is-referenced",
        "A task whose timer is armed has a reference of its own.",
        "queue_oom_reaper: get_task_struct (e4a38402c36e)",
        ("task1.timer", "not task1.queue_reference"),
    ),
    Lemma(
        "timer-before-list",
        "A task on the reaper's list has no timer armed.",
        "wake_oom_reaper is the timer's function (e4a38402c36e)",
        ("task1.queue_depth >= 1", "task1.timer"),
    ),
    Lemma(
        "arming-once",
        "A killer about to arm the timer of a task finds it unarmed.",
        "queue_oom_reaper: MMF_OOM_REAP_QUEUED",
        ("killer1.victim is task1", ARMING, "task1.timer"),
    ),
    Lemma(
        "arming-what-is-not-queued",
        "A killer about to arm the timer of a task finds it off the list.",
        "queue_oom_reaper: MMF_OOM_REAP_QUEUED",
        ("killer1.victim is task1", ARMING, "task1.queue_depth >= 1"),
    ),
    Lemma(
        "queued-is-flagged",
        "The mm of a task on the reaper's list has MMF_OOM_REAP_QUEUED.",
        "queue_oom_reaper: test_and_set_bit",
        ("task1.queue_depth >= 1", "not task1.process.mm.reap_queued"),
    ),
    Lemma(
        "armed-is-flagged",
        "The mm of a task whose timer is armed has MMF_OOM_REAP_QUEUED.",
        "queue_oom_reaper: test_and_set_bit",
        ("task1.timer", "not task1.process.mm.reap_queued"),
    ),
)
"""Who keeps what the reaper's list leads to."""

OWED = (
    Lemma(
        "marked-is-owed",
        "A marked victim without MMF_OOM_SKIP is queued, in work, or about to be queued by the killer that marks it.",
        "wake_oom_reaper comes behind mark_oom_victim, under oom_lock",
        (
            "process1.oom_mm",
            "not process1.mm.oom_skip",
            f"no task: {OWED_BY_REAPER}",
            f"no killer: (killer.at is {MARKED} and {OF_THIS_MM})",
        ),
    ),
    Lemma(
        "flagged-is-owed",
        "An mm with MMF_OOM_REAP_QUEUED and without MMF_OOM_SKIP is queued, in work, or about to be queued.",
        "wake_oom_reaper, queue_oom_reaper: test_and_set_bit comes first",
        (
            "process1.mm.reap_queued",
            "not process1.mm.oom_skip",
            f"no task: {OWED_BY_REAPER}",
            f"no killer: (killer.at is QUEUE or ARM_TIMER or DYING_QUEUE or DYING_ARM_TIMER and {OF_THIS_MM})",
        ),
    ),
    Lemma(
        "done-is-flagged",
        "The reaper lets go of a task whose mm has MMF_OOM_SKIP.",
        "oom_reap_task: put_task_struct comes last",
        (
            "reaper.job is task1",
            "reaper.at is SKIP_OOM_UNLOCK or MMPUT_MARK or PUT_TASK",
            "not task1.process.mm.oom_skip",
        ),
    ),
    Lemma(
        "waits-without-a-job",
        "While it waits, the reaper has no job.",
        "oom_reaper",
        ("reaper.at is WAIT", "reaper.job is task1"),
    ),
    Lemma(
        "reapable-at-first",
        "A kill begins with can_oom_reap.",
        "__oom_kill_process",
        ("killer1.at is MMGRAB", "not killer1.can_reap"),
    ),
    Lemma(
        "not-reapable-has-skip",
        "A killer that finds its victim's mm shared with global init has set MMF_OOM_SKIP.",
        "__oom_kill_process (a373966d1f64)",
        (
            (
                "killer1.at is SIGKILL or MARK_MEMDIE or MARK_OOM_MM or MARK_MMGRAB or MARK_MMGET or "
                "TASK_UNLOCK or SHARERS"
            ),
            "killer1.victim is task1",
            "not killer1.can_reap",
            "not task1.process.mm.oom_skip",
        ),
    ),
    Lemma(
        "marked-is-thawed",
        "No thread of a marked process is frozen, unless a killer is just marking the process.",
        "mark_oom_victim: thaw_process (59d4d36158ba)",
        (
            "task1.process.oom_mm",
            "task1.process.frozen[task1]",
            (
                "no killer: (killer.at is MARK_MMGRAB or DYING_MMGRAB) and "
                "(some task: killer.victim is task and task.process is task1.process)"
            ),
        ),
    ),
    Lemma(
        "linked-is-queued",
        "A task that looks queued is on the list, or is the reaper's job.",
        "wake_oom_reaper: tsk->oom_reaper_list, until MMF_OOM_REAP_QUEUED",
        ("task1.linked", "not task1.queue_depth >= 1", "reaper.job is not task1"),
    ),
    Lemma(
        "unlinked-before-skip",
        "From where it sets MMF_OOM_SKIP on, the reaper's job does not look queued, unless it is queued again.",
        "oom_reap_task: tsk->oom_reaper_list = NULL comes first",
        (
            "reaper.job is task1",
            "reaper.at is SKIP_OOM_LOCK or SET_SKIP or SKIP_OOM_UNLOCK or MMPUT_MARK or PUT_TASK",
            "task1.linked",
            "not task1.queue_depth >= 1",
        ),
    ),
)
"""Who owes what to a marked victim."""

__all__ = ["QUEUED", "OWED"]
