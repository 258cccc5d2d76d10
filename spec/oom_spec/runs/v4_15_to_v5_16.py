"""v4.15 to v5.16: MMF_OOM_VICTIM, the exit path that reaps itself, and the end of oom_lock in the reaper."""

from oom_spec.eras.e05_v4_14 import skip_is_set
from oom_spec.eras.e06_v4_15 import is_victim
from oom_spec.eras.e08_v4_19 import kill_group_member
from oom_spec.language.runs import happens, impossible, never, possible
from oom_spec.protocol import (
    exit_mmap,
    fences,
    kill,
    killer,
    mrelease,
    notifiers,
    others,
    queueing,
    reaper,
    self_reap,
    task_exit,
)

BY_MM = ("E6", "E6b")
"""The mm says whether it is a victim's; exit_mmap unmaps before the fence."""
SELF_REAPING = ("E7", "v4.14.y")
"""exit_mmap reaps a victim itself under oom_lock, and the fence comes before munlock."""
QUEUED_ONCE = ("E8b", "E8c", "E8d", "E9", "v5.15.y")
"""MMF_OOM_REAP_QUEUED."""
UNLOCKED = ("E8", *QUEUED_ONCE)
"""The same as `SELF_REAPING` without oom_lock."""

RUNS = (
    impossible(
        (*BY_MM, *SELF_REAPING, *UNLOCKED),
        "foreign-user",
        "a /proc reader frees the page tables during a walk",
        [reaper.set_unstable, never(reaper.pass_completed), exit_mmap.free_pgtables_begins],
        why="The mm itself says that it is a victim's, whoever runs __mmput.",
        source="4837fe37adff",
    ),
    possible(
        BY_MM,
        "foreign-user",
        "a /proc reader waits at the fence for the reaper",
        [
            others.foreign_mmput_last,
            is_victim,
            fences.fence_down_write_waits,
            reaper.pass_completed,
            fences.fence_down_write_wakes,
        ],
        why="What v4.14 left out.",
        source="4837fe37adff",
    ),
    possible(
        ("E5", *BY_MM),
        "memory-kinds",
        "the reaper zaps a page that exit_mmap is munlocking",
        [reaper.set_unstable, exit_mmap.munlock_begins, reaper.zap_munlocked_page, exit_mmap.munlock_ends],
        why="VM_LOCKED is cleared first, and the VMA then looks like any other to a walk: CVE-2018-1000200.",
        source="27ae357fa82b",
    ),
    impossible(
        (*SELF_REAPING, *UNLOCKED),
        "memory-kinds",
        "exit_mmap munlocks during a walk",
        [reaper.set_unstable, never(reaper.pass_completed), exit_mmap.munlock_begins],
        why="The fence comes before munlock, and every reaper behind it finds the flag set.",
        source="27ae357fa82b",
    ),
    possible(
        "E6b",
        "notifiers",
        "an mm with notifiers that never block is reaped",
        [notifiers.no_blockable_notifiers, reaper.zap_page, reaper.pass_completed],
        why="v4.14 and v4.15 gave up on it.",
        source="5ff7091f5a2c",
    ),
    possible(
        ("E6b", "E7"),
        "blockable-notifiers",
        "an mm with notifiers that may block is hidden unreaped",
        [
            notifiers.has_blockable,
            never(reaper.zap_page, exit_mmap.unmap_reapable, "mm.exit_mmap.mmu_notifier_release"),
            reaper.reaper_sets_skip,
            never(exit_mmap.unmap_reapable, "mm.exit_mmap.mmu_notifier_release"),
            killer.scan_ends_with_choice,
        ],
        why="N3, as far as it is left.",
        source="5ff7091f5a2c",
    ),
    possible(
        SELF_REAPING,
        "single",
        "exit_mmap reaps the victim itself, and the reaper finds nothing to do",
        [
            self_reap.takes_oom_lock,
            self_reap.own_reap_zaps,
            self_reap.drops_oom_lock,
            self_reap.sets_skip,
            self_reap.fence_up_write,
            skip_is_set,
        ],
        why="The fence moves up, and what it waits for is done before it.",
        source="27ae357fa82b",
    ),
    impossible(
        SELF_REAPING,
        "single",
        "exit_mmap and the reaper walk side by side",
        [self_reap.own_reap_begins, never(self_reap.own_reap_ends), reaper.zap_page],
        why="Both walks are made under oom_lock.",
        source="27ae357fa82b",
    ),
    possible(
        UNLOCKED,
        "single",
        "exit_mmap and the reaper walk side by side",
        [self_reap.own_reap_begins, never(self_reap.own_reap_ends), reaper.zap_page, self_reap.own_reap_ends],
        why="Both only zap; oom_lock is not needed for that.",
        source="af5679fbc669",
    ),
    possible(
        (*SELF_REAPING, *UNLOCKED),
        "memory-kinds",
        "a second kill while the first victim's mlocked memory is there",
        [self_reap.sets_skip, never(exit_mmap.unmap_mlocked), killer.scan_ends_with_choice],
        why="The price of the early fence: the flag comes before everything that a walk leaves alone.",
        source="27ae357fa82b",
    ),
    impossible(
        ("E5", *BY_MM, *SELF_REAPING),
        "single",
        "N4: the reaper frees memory between a last attempt and the scan that follows it",
        [killer.last_attempt_fails, never(killer.unlock_oom_lock), reaper.zap_page],
        why="The killer holds oom_lock from its last attempt to the end of its scan, and the reaper wants it.",
        source="e2fe14564d33",
    ),
    possible(
        UNLOCKED,
        "single",
        "N4: the reaper frees memory between a last attempt and the scan that follows it",
        [
            killer.last_attempt_fails,
            never(killer.unlock_oom_lock),
            reaper.zap_page,
            never(killer.unlock_oom_lock),
            killer.scan_passes_over_victim,
        ],
        why="The attempt fails before the reap and the scan sees the flag after it: accepted when oom_lock went.",
        source="af5679fbc669",
    ),
    possible(
        UNLOCKED,
        "blockable-notifiers",
        "a pass that a notifier refuses is tried again, and then given up",
        [notifiers.notifier_refuses, notifiers.pass_incomplete, reaper.give_up, reaper.reaper_sets_skip],
        why="Notifiers refuse instead of blocking: no mm is given up on before it was tried.",
        source="93065ac753e4",
    ),
    possible(
        "E8",
        "oom-group",
        "killing a whole cgroup queues a victim that is queued already",
        [kill.queue_victim, happens(kill_group_member, about="P1.t0"), kill.queue_victim_twice],
        why="The walk over the cgroup meets the first victim again, which may be the tail of the list.",
        source="9bcdeb51bd7d",
    ),
    possible(
        (*BY_MM, *SELF_REAPING, "E8"),
        "dying-threads",
        "two threads of one victim are queued, each on its own",
        [happens(kill.queue_dying, about="P1.t0"), happens(kill.queue_dying, about="P1.t1")],
        why="The test for being queued is per thread, not per mm.",
        source="wake_oom_reaper, v4.20",
    ),
    impossible(
        ("E8b", "E8c", "E8d", "E9"),
        "dying-threads",
        "two threads of one victim are queued, each on its own",
        [happens(kill.queue_dying, about="P1.t0"), happens(kill.queue_dying, about="P1.t1")],
        why="MMF_OOM_REAP_QUEUED belongs to the mm, and is never cleared.",
        source="9bcdeb51bd7d",
    ),
    possible(
        "E8c",
        "memcg",
        "the victim leaves the sight of its cgroup's scans with all its memory, and a second kill follows",
        [
            never(reaper.zap_page, exit_mmap.unmap_reapable, self_reap.own_reap_zaps),
            task_exit.exit_signals_killed,
            never(reaper.zap_page, exit_mmap.unmap_reapable, self_reap.own_reap_zaps),
            killer.scan_ends_with_choice,
        ],
        why="A side effect of a change to cgroup iteration: dying processes are passed over.",
        source="c03cd7738a83",
    ),
    impossible(
        ("E8b", "E8d"),
        "memcg",
        "the victim leaves the sight of its cgroup's scans with all its memory, and a second kill follows",
        [
            never(reaper.zap_page, exit_mmap.unmap_reapable, self_reap.own_reap_zaps),
            task_exit.exit_signals_killed,
            never(reaper.zap_page, exit_mmap.unmap_reapable, self_reap.own_reap_zaps),
            killer.scan_ends_with_choice,
        ],
        why="The leader stays in sight until cgroup_exit, which comes after exit_mm.",
        source="9c974c772464",
    ),
    possible(
        ("E9", "v5.15.y"),
        "mrelease-unmarked",
        "process_mrelease runs __mmput itself",
        [
            mrelease.pin_users,
            task_exit.mmput_not_last,
            mrelease.pass_completed,
            mrelease.mmput_last,
            mrelease.mmput_returns,
        ],
        why="Its mm_users may be the last, and exit_aio then blocks the caller.",
        source="337546e83fc7; ba535c1caf3e, which ends this in v5.17",
    ),
    impossible(
        ("E9", "v5.15.y"),
        "mrelease-unmarked",
        "page tables are freed while process_mrelease walks",
        [mrelease.set_unstable, never(mrelease.pass_completed), exit_mmap.free_pgtables_begins],
        why="mm_users is pinned during the walk.",
        source="337546e83fc7",
    ),
    possible(
        "v5.15.y",
        "single",
        "a victim that exits within two seconds never meets the reaper",
        [queueing.arm_timer, self_reap.sets_skip, queueing.timer_finds_skip],
        why="The timer looks at MMF_OOM_SKIP before it queues.",
        source="e4a38402c36e",
    ),
    impossible(
        "v5.15.y",
        "single",
        "a victim is queued although it has exited",
        [self_reap.sets_skip, queueing.timer_queues],
        why="The timer looks at MMF_OOM_SKIP before it queues.",
        source="e4a38402c36e",
    ),
)
