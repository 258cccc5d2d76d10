"""Lemmas about marks and scans: who is marked, who was met, and what the mark leads to where TIF_MEMDIE is the mark.

Until v4.8 a process is a marked victim while one of its threads has TIF_MEMDIE; what is plain of `signal->oom_mm`,
which is set once, has to be shown here of a flag that comes and goes.
"""

from __future__ import annotations

from oom_spec.unbounded.lemmas.lemma import Lemma

FOUND = "killer1.at is MMGRAB or SIGKILL or MARK_MEMDIE"
"""Points behind find_lock_task_mm, up to the mark."""
CHOSEN = "killer1.at is VICTIM_WILL_FREE or FIND_LOCK or MMGRAB or SIGKILL or MARK_MEMDIE"
"""Points behind the scan, up to the mark."""
KILLS = f"{FOUND} or TASK_UNLOCK or SHARERS or WAKE or QUEUE"
"""Points behind find_lock_task_mm, up to where the victim is queued."""
QUEUES = "killer.at is TASK_UNLOCK or SHARERS or WAKE or QUEUE or DYING_WAKE or DYING_QUEUE"
"""Points between the mark and the list."""
WORKS_ON_JOB = (
    "reaper.at is FIND or TRYLOCK or ZAP or UP_READ_REAPED or HIDE_TASK or CLEAR_MARK or MMPUT_FALSE or "
    "MMPUT_RETURNS_FALSE or RETRY"
)
"""Points of the reaper (v4.6) until it has cleared its job's TIF_MEMDIE."""
SCANNED_HERE = ("killer1.scanned[task1]", "killer1.eligible[task1.process]", "not task1.process.global_init")
"""What a scan has met, or passed over."""

ALLOCATOR = (
    Lemma(
        "allocates-in-the-allocator",
        "A thread that is in the OOM killer is in the allocator.",
        "__alloc_pages_slowpath",
        ("killer1.current is task1", "killer1.at is not IDLE", "not task1.allocating"),
    ),
    Lemma(
        "allocates-before-exit-mm",
        "A thread that allocates has not taken mmap_sem in exit_mm.",
        "exit_mm: mm_release before it may still allocate",
        ("task1.allocating", "task1.at is not RUN or DOWN_READ"),
    ),
    Lemma(
        "allocates-in-one-place",
        "A thread allocates in one place at a time.",
        "it is a thread",
        ("killer1.current is task1", "killer2.current is task1", "killer1 is not killer2"),
    ),
    Lemma(
        "mm-until-exit-mm",
        "A thread that has passed exit_mm has no mm.",
        "exit_mm: current->mm = NULL",
        ("task1.has_mm", "task1.at is not RUN or DOWN_READ or CLEAR_MM"),
    ),
    Lemma(
        "clears-mm-under-read-lock",
        "A thread about to give up its mm holds mmap_sem for reading.",
        "exit_mm: down_read",
        ("task1.at is CLEAR_MM", "not task1.reads"),
    ),
    Lemma(
        "found-under-task-lock",
        "A killer holds task_lock of its victim from find_lock_task_mm until it has marked it.",
        "oom_kill_process",
        (FOUND, "killer1.victim is task1", "not killer1.holds_task_lock"),
    ),
    Lemma(
        "found-has-mm",
        "The thread that find_lock_task_mm found has its mm until it is marked.",
        "exit_mm: task_lock",
        (FOUND, "killer1.victim is task1", "not task1.has_mm"),
    ),
    Lemma(
        "dying-under-task-lock",
        "A thread that is marked because it dies, and is not the allocating one, is held by task_lock.",
        "oom_kill_process: task_lock(p) around task_will_free_mem and mark_oom_victim",
        (
            "killer1.at is DYING_MEMDIE",
            "killer1.victim is task1",
            "not killer1.holds_task_lock",
            "killer1.current is not task1",
        ),
    ),
    Lemma(
        "dying-by-outsider-under-task-lock",
        "A thread that an outsider marks because it dies is held by task_lock.",
        "oom_kill_process: task_lock(p) around task_will_free_mem and mark_oom_victim",
        (
            "killer1.at is DYING_MEMDIE",
            "killer1.victim is task1",
            "not killer1.holds_task_lock",
            "killer1.current is nobody",
        ),
    ),
    Lemma(
        "dying-has-mm",
        "A thread that is marked because it dies still has its mm.",
        "task_will_free_mem",
        ("killer1.at is DYING_MEMDIE", "killer1.victim is task1", "not task1.has_mm"),
    ),
)
"""What keeps a thread's mm while it is marked."""

INIT = (
    Lemma(
        "init-does-not-exit",
        "Global init does not exit by itself.",
        "do_exit panics",
        ("process1.global_init", "process1.may_exit"),
    ),
    Lemma(
        "init-is-not-killed",
        "Nobody sends SIGKILL to global init.",
        "oom_unkillable_task; oom_kill_process: is_global_init",
        ("process1.global_init", "process1.sigkill"),
    ),
    Lemma(
        "init-is-not-exiting",
        "No thread of global init exits.",
        "do_exit panics",
        ("task1.process.global_init", "task1.exiting"),
    ),
    Lemma(
        "dying-is-not-init",
        "A thread that is marked because it dies is none of global init.",
        "task_will_free_mem",
        ("killer1.at is DYING_MEMDIE", "killer1.victim is task1", "task1.process.global_init"),
    ),
    Lemma(
        "chosen-is-not-init",
        "A scan does not choose global init.",
        "oom_unkillable_task",
        ("killer1.chosen is task1", "task1.process.global_init"),
    ),
    Lemma(
        "victim-is-not-init",
        "Global init is not killed.",
        "oom_unkillable_task",
        (CHOSEN, "killer1.victim is task1", "task1.process.global_init"),
    ),
    Lemma(
        "marked-is-not-init",
        "Global init is not marked.",
        "oom_unkillable_task",
        ("process1.oom_mm", "process1.global_init"),
    ),
)
"""Global init."""

MEMDIE = (
    Lemma(
        "memdie-marks",
        "A process with a thread that has TIF_MEMDIE is marked.",
        "mark_oom_victim (until v4.8)",
        ("task1.memdie", "not task1.process.oom_mm"),
    ),
    Lemma(
        "marked-by-memdie",
        "A marked process has a thread with TIF_MEMDIE.",
        "exit_oom_victim (until v4.8)",
        ("process1.oom_mm", "no task: task.process is process1 and task.memdie"),
    ),
    Lemma(
        "memdie-before-cgroup-exit",
        "A thread has no TIF_MEMDIE when it leaves its cgroup.",
        "exit_mm: exit_oom_victim",
        ("task1.memdie", "task1.at is CGROUP_EXIT or EXIT_NOTIFY or DEAD"),
    ),
    Lemma(
        "hashed-until-dead",
        "A thread is on the task list until it is released.",
        "release_task",
        ("task1.at is not DEAD", "not task1.hashed"),
    ),
    Lemma(
        "in-cgroup-until-cgroup-exit",
        "A thread is in its cgroup until cgroup_exit.",
        "do_exit: cgroup_exit",
        ("task1.at is not EXIT_NOTIFY or DEAD", "not task1.in_cgroup"),
    ),
    Lemma(
        "memdie-is-hashed",
        "A thread with TIF_MEMDIE is on the task list.",
        "exit_mm comes before exit_notify",
        ("task1.memdie", "not task1.hashed"),
    ),
    Lemma(
        "memdie-is-in-cgroup",
        "A thread with TIF_MEMDIE is in its cgroup.",
        "exit_mm comes before cgroup_exit",
        ("task1.memdie", "not task1.in_cgroup"),
    ),
    Lemma(
        "leader-stays",
        "Where a thread is on the task list, so is the leader of its group.",
        "release_task: delay_group_leader",
        ("task1.hashed", "no task: task.process is task1.process and task.leader and task.hashed"),
    ),
    Lemma(
        "memdie-is-owed",
        "A thread with TIF_MEMDIE is queued, the reaper's job, or about to be queued, unless its mm is flagged.",
        "wake_oom_reaper (v4.8): comes behind mark_oom_victim",
        (
            "task1.memdie",
            "not task1.process.mm.oom_skip",
            "not task1.queue_depth >= 1",
            "reaper.job is not task1",
            f"no killer: {QUEUES} and killer.victim is task1",
        ),
    ),
    Lemma(
        "memdie-is-owed-again",
        "A thread that gets TIF_MEMDIE while the reaper lets go of it is about to be queued again.",
        "oom_reap_task (v4.8): the link goes before the mark",
        (
            "task1.memdie",
            "not task1.process.mm.oom_skip",
            "not task1.queue_depth >= 1",
            "reaper.job is task1",
            "reaper.at is PUT_TASK",
            f"no killer: {QUEUES} and killer.victim is task1",
        ),
    ),
    Lemma(
        "unlinked-before-clear",
        "Where the reaper clears the mark of its job, the job does not look queued, unless it is queued again.",
        "oom_reap_task (v4.8): tsk->oom_reaper_list = NULL comes first",
        (
            "reaper.job is task1",
            "reaper.at is CLEAR_MARK or PUT_TASK",
            "task1.linked",
            "not task1.queue_depth >= 1",
        ),
    ),
)
"""TIF_MEMDIE, where it is the mark."""

SCANS = (
    Lemma(
        "killers-exclude-each-other",
        "Two killers do not both hold oom_lock.",
        "it is a mutex",
        ("killer1.holds_oom_lock", "killer2.holds_oom_lock", "killer1 is not killer2"),
    ),
    Lemma(
        "scan-meets-what-it-scans",
        "A scan has met the mm of each thread of its domain that it passed.",
        "oom_scan_process_thread",
        ("killer1.at is SELECT", *SCANNED_HERE, "not killer1.met[task1.process.mm]"),
    ),
    Lemma(
        "scan-aborts-on-memdie",
        "No thread that a scan has passed has TIF_MEMDIE.",
        "oom_scan_process_thread (v4.6): OOM_SCAN_ABORT",
        ("killer1.at is SELECT", *SCANNED_HERE, "task1.memdie"),
    ),
    Lemma(
        "chosen-is-eligible",
        "A scan chooses in its domain.",
        "oom_unkillable_task",
        ("killer1.chosen is task1", "not killer1.eligible[task1.process]"),
    ),
    Lemma(
        "chosen-without-memdie",
        "No thread of a process that is about to be killed has TIF_MEMDIE.",
        "oom_scan_process_thread (v4.6): OOM_SCAN_ABORT",
        (CHOSEN, "killer1.victim is task2", "task1.process is task2.process", "task1.memdie"),
    ),
    Lemma(
        "victim-has-memdie",
        "Until it is queued, a victim with an mm has TIF_MEMDIE.",
        "oom_kill_process (v4.6)",
        (
            "killer1.at is TASK_UNLOCK or SHARERS or WAKE or QUEUE",
            "killer1.victim is task1",
            "task1.has_mm",
            "not task1.memdie",
        ),
    ),
    Lemma(
        "victim-is-not-queued",
        "Until it is queued, a victim is not on the reaper's list.",
        "oom_kill_process (v4.6): a queued thread has TIF_MEMDIE or no mm",
        (KILLS, "killer1.victim is task1", "task1.queue_depth >= 1"),
    ),
    Lemma(
        "victim-is-no-job",
        "Until it is queued, a victim is no job that the reaper still works on.",
        "oom_kill_process (v4.6): such a job has TIF_MEMDIE or no mm",
        (KILLS, "killer1.victim is task1", "reaper.job is task1", WORKS_ON_JOB),
    ),
    Lemma(
        "queued-has-memdie",
        "A thread on the reaper's list has TIF_MEMDIE, or no mm any more.",
        "wake_oom_reaper (v4.6)",
        ("task1.queue_depth >= 1", "task1.has_mm", "not task1.memdie"),
    ),
    Lemma(
        "job-has-memdie",
        "The reaper's job has TIF_MEMDIE, or no mm any more, until the reaper clears it.",
        "__oom_reap_task (v4.6): exit_oom_victim",
        ("reaper.job is task1", WORKS_ON_JOB, "task1.has_mm", "not task1.memdie"),
    ),
    Lemma(
        "job-is-not-queued",
        "The job that the reaper still works on is not on its list.",
        "wake_oom_reaper (v4.6)",
        ("reaper.job is task1", WORKS_ON_JOB, "task1.queue_depth >= 1"),
    ),
)
"""Scans, and whom they let be killed."""

__all__ = ["ALLOCATOR", "INIT", "MEMDIE", "SCANS"]
