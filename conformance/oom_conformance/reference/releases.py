"""Which form of each kernel function an era has: the releases, and the proposals, as one table."""

from __future__ import annotations

from oom_conformance.reference import early, exit_mmap, faults, oom_kill, oom_reaper
from oom_conformance.reference.kernel import Release

V4_12 = Release(
    exit_mmap=exit_mmap.v4_6,
    mmput_sets_skip=True,
    oom_reap_task=oom_reaper.oom_reap_task,
    reap=oom_reaper.v4_9,
    evaluate=oom_kill.oom_evaluate_task,
    will_free_mem=oom_kill.task_will_free_mem,
    current_will_free_mem=oom_kill.task_will_free_mem,
    mark_oom_victim=oom_kill.mark_oom_victim,
    queue_dying=oom_kill.queue_dying,
    kill_sharers=oom_kill.kill_sharers,
    wake_oom_reaper=oom_kill.wake_oom_reaper,
    handle_mm_fault=faults.handle_v4_9,
)
V4_8 = V4_12.but(
    mmput_sets_skip=False,
    marks_signal=False,
    oom_reap_task=early.oom_reap_task_v4_8,
    reap=early.v4_8,
    evaluate=early.scan_v4_8,
    mark_oom_victim=early.mark_oom_victim,
    kill_sharers=early.kill_sharers_v4_8,
    handle_mm_fault=faults.handle_v4_6,
)
V4_7 = V4_8.but(
    oom_reap_task=early.oom_reap_task_v4_7,
    reap=early.v4_7,
    evaluate=early.scan_v4_7,
    will_free_mem=oom_kill.task_will_free_mem_v4_7,
    will_free_mem_locks=False,
    current_will_free_mem=oom_kill.current_goes_early,
    queue_dying=early.try_oom_reaper,
    kill_sharers=early.kill_sharers_v4_7,
)
V4_6 = V4_7.but(
    oom_reap_task=early.oom_reap_task_v4_6,
    reap=early.v4_6,
    evaluate=early.scan_v4_6,
    scans_threads=True,
    will_free_mem=oom_kill.task_will_free_mem_v4_6,
    queue_dying=oom_kill.queue_nobody,
)
V4_13 = V4_12.but(handle_mm_fault=faults.handle_v4_13)
V4_14 = V4_13.but(exit_mmap=exit_mmap.v4_14, mmput_sets_skip=False, reap=oom_reaper.v4_14)
V4_15 = V4_14.but(exit_mmap=exit_mmap.v4_15, sets_oom_victim=True)
V4_16 = V4_15.but(only_blockable=True)
V4_17 = V4_16.but(exit_mmap=exit_mmap.v4_17, exit_takes_oom_lock=True, meets_munlock=False)
V4_14_Y = V4_17.but(only_blockable=False)
V4_19 = V4_17.but(exit_takes_oom_lock=False, reap=oom_reaper.v4_19, notifiers_refuse=True, oom_group=True)
V5_0 = V4_19.but(queued_once=True, wake_oom_reaper=oom_kill.queue_once)
V5_2 = V5_0.but(leaves_cgroup_walk="exiting")
V5_6 = V5_0.but(leaves_cgroup_walk="thread exiting")
V5_15 = V5_6.but(mrelease="pins mm_users")
V5_15_Y = V5_15.but(reaper_delay=True)
MRELEASE_FIRST_FORM = V5_6.but(mrelease="first form")
V5_17_RC = V5_15.but(exit_mmap=exit_mmap.v5_17, mrelease="tests under the lock", munlocks_on_exit=True)
V5_17 = V5_17_RC.but(clears_mmap=True)
V5_18 = V5_17.but(mlocked_reaped=True, munlocks_on_exit=False, reaper_delay=True)
V6_0 = V5_18.but(faults_complete=True)
V6_1 = V6_0.but(exit_mmap=exit_mmap.v6_1, sets_oom_victim=False)
V6_8 = V6_1.but(destroys_empty_tree=True, fork_recovery="marker")
V6_14 = V6_8.but(fork_recovery="flags", uprobes_ask=True)
V6_18_DEV = V6_14.but(mrelease_inverted=True)
V6_18 = V6_14.but(thaws_process=True, swapoff_asks=True)
V7_0 = V6_18.but(fork_recovery="tears down")

HOCKO_2017_07_24 = V4_12.but(exit_mmap=exit_mmap.hocko_2017_07_24, reap=oom_reaper.hocko_2017)
HOCKO_2018_09_10 = V4_19.but(
    exit_mmap=exit_mmap.hocko_2018_09,
    oom_reap_task=oom_reaper.hocko_2018,
    reaper_asks_mmap=True,
    asks_what_is_left=True,
)

RELEASES: dict[str, Release] = {
    "E1": V4_6,
    "E2": V4_7,
    "E3": V4_8,
    "E4": V4_12,
    "E4b": V4_13,
    "E5": V4_14,
    "E6": V4_15,
    "E6b": V4_16,
    "E7": V4_17,
    "v4.14.y": V4_14_Y,
    "E8": V4_19,
    "E8b": V5_0,
    "E8c": V5_2,
    "E8d": V5_6,
    "E9": V5_15,
    "v5.15.y": V5_15_Y,
    "E10": V5_17,
    "E11": V5_18,
    "E11b": V6_0,
    "E12": V6_1,
    "E12b": V6_8,
    "E13": V6_14,
    "E14": V6_18,
    "E15": V7_0,
    "rientjes-2017-06-14": V4_12.but(oom_reap_task=oom_reaper.rientjes, skip_in_pass=True),
    "tetsuo-2017-06-16": V4_12.but(
        oom_reap_task=oom_reaper.tetsuo, reap=oom_reaper.tetsuo_attempt, mark_pins_mm_users=True
    ),
    "hocko-2017-07-24": HOCKO_2017_07_24,
    "strawman-lock-before-unmap": HOCKO_2017_07_24.but(exit_mmap=exit_mmap.strawman),
    "arcangeli-first": V4_12.but(exit_mmap=exit_mmap.arcangeli_first, reap=oom_reaper.arcangeli_first),
    "arcangeli-first-no-oom-lock": V4_12.but(
        exit_mmap=exit_mmap.arcangeli_first, reap=oom_reaper.arcangeli_first, reaper_takes_oom_lock=False
    ),
    "hocko-2017-08-10": HOCKO_2017_07_24.but(exit_mmap=exit_mmap.hocko_2017_08_10),
    "fault-leave-retry": V4_12.but(fault_repair="leaves RETRY alone"),
    "fault-retake-lock": V4_12.but(fault_repair="takes mmap_sem again"),
    "hocko-rfc-2018-09-10": HOCKO_2018_09_10,
    "hocko-rfc-2018-09-12": HOCKO_2018_09_10.but(skip_at_end=True),
    "mrelease-first-form": MRELEASE_FIRST_FORM,
    "v5.17-rc": V5_17_RC,
    "v6.18-dev": V6_18_DEV,
}
"""By the id of the era."""
