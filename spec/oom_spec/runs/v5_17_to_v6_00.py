"""v5.17 to v6.0: mmap_lock for writing over the whole tear-down."""

from oom_spec.eras.e10_v5_17 import clear_mmap, write_lock_waits, write_lock_wakes, write_unlock
from oom_spec.eras.e11_v5_18 import zap_mlocked_page
from oom_spec.eras.e11b_v6_0 import caller_completed, shared_page_completes
from oom_spec.language.runs import impossible, never, possible
from oom_spec.protocol import exit_mmap, faults, killer, mrelease, queueing, reaper, self_reap

CLEARING = ("E10", "E11", "E11b")
"""mm->mmap becomes NULL under the lock."""
LOCKED = ("v5.17-rc", *CLEARING)
LATE = ("E11", "E11b")
"""The reaper starts two seconds late, and mlocked memory is reaped."""

RUNS = (
    possible(
        LOCKED,
        "single",
        "the tear-down waits for the reaper",
        [self_reap.own_reap_begins, reaper.zap_page, write_lock_waits, reaper.pass_completed, write_lock_wakes],
        why="The two walks may overlap; the rest is under mmap_lock for writing.",
        source="64591e8605d6",
    ),
    impossible(
        LOCKED,
        "memory-kinds",
        "the reaper and unmap_vmas side by side",
        [reaper.set_unstable, never(reaper.pass_completed), exit_mmap.unmap_unreapable],
        why="unmap_vmas is under the lock as well, which is harmless only because the victim reaped itself before.",
        source="64591e8605d6",
    ),
    possible(
        "v5.17-rc",
        "mrelease-unmarked",
        "process_mrelease walks after the tear-down",
        [write_unlock, mrelease.read_lock_before_test, mrelease.skip_is_clear, mrelease.set_unstable_with_vmas],
        why="No OOM victim, so no flag; and mm->mmap still points at a freed VMA.",
        source="f798a1d4f94d",
    ),
    impossible(
        CLEARING,
        "mrelease-unmarked",
        "process_mrelease walks after the tear-down",
        [write_unlock, mrelease.set_unstable_with_vmas],
        why="mm->mmap is NULL, and nothing is walked.",
        source="f798a1d4f94d",
    ),
    possible(
        CLEARING,
        "mrelease-unmarked",
        "process_mrelease comes after the tear-down and finds no VMA",
        [clear_mmap, write_unlock, mrelease.skip_is_clear, mrelease.set_unstable_without_vmas],
        why="The flag cannot tell it, because the mm is no OOM victim's.",
        source="f798a1d4f94d",
    ),
    possible(
        ("v5.17-rc", "E10"),
        "memory-kinds",
        "a second kill while the first victim's mlocked memory is there",
        [self_reap.sets_skip, never(exit_mmap.unmap_mlocked), killer.scan_ends_with_choice],
        why="As since v4.17: the flag comes before everything that a walk leaves alone.",
        source="27ae357fa82b",
    ),
    impossible(
        LATE,
        "memory-kinds",
        "a second kill while the first victim's mlocked memory is there",
        [
            never(zap_mlocked_page, self_reap.own_reap_zaps_mlocked, exit_mmap.unmap_mlocked),
            queueing.arm_timer,
            never(zap_mlocked_page, self_reap.own_reap_zaps_mlocked, exit_mmap.unmap_mlocked),
            killer.scan_ends_with_choice,
        ],
        why="Walks take mlocked pages too.",
        source="a213e5cf71cb",
    ),
    possible(
        LATE,
        "single",
        "a victim that exits within two seconds never meets the reaper",
        [queueing.arm_timer, self_reap.sets_skip, queueing.timer_finds_skip],
        why="The timer looks at MMF_OOM_SKIP before it queues.",
        source="e4a38402c36e",
    ),
    possible(
        "E11b",
        "kthread-fault",
        "a fault is done with mmap_lock released, and the caller knows",
        [shared_page_completes, faults.fault_returns, caller_completed],
        why="The second exception to the rule that a fault returns with the lock held.",
        source="d92725256b4f",
    ),
    impossible(
        "E11b",
        "kthread-fault",
        "a fault is done with mmap_lock released, and the caller releases it once more",
        [shared_page_completes, faults.caller_up_read],
        why="VM_FAULT_COMPLETED ends the fault without up_read.",
        source="d92725256b4f",
    ),
)
