"""v4.6 to v4.8: the first reapers, whose mark can be cleared."""

from oom_spec.eras.e01_v4_6 import mmdrop_to_reaper, reaper_mmput_last
from oom_spec.eras.e01_v4_6 import reaper_finds_no_mm as finds_no_mm
from oom_spec.eras.e01_v4_6 import scan_aborts as sees_memdie
from oom_spec.eras.e02_v4_7 import reaper_finds_no_mm
from oom_spec.eras.e03_v4_8 import first_failure, reaper_sets_reaped, remote_exit_oom_victim, second_failure
from oom_spec.language.runs import happens, impossible, never, possible
from oom_spec.protocol import exit_mmap, killer, mmput, reaper, task_exit

RUNS = (
    impossible(
        ("E1", "E2", "E3"),
        "single",
        "the reaper walks after mm_users has reached 0",
        [task_exit.mmput_last, reaper.zap_page],
        why="A walk pins mm_users, which is how the first releases keep it apart from exit_mmap.",
        source="aac453635549; e5e3f4c4f0e9",
    ),
    possible(
        "E1",
        "single",
        "the reaper runs __mmput itself",
        [reaper_mmput_last, mmput.exit_aio_completes, exit_mmap.free_pgtables_begins, mmdrop_to_reaper],
        why="Its mm_users may be the last: it then does whatever the victim would have done, blocking calls included.",
        source="ec8d7c14ea14, which ends this in v4.7",
    ),
    possible(
        "E1",
        "blocked-aio",
        "the reaper is done, the victim is stuck, and scans abort",
        [
            mmput.exit_aio_waits,
            finds_no_mm,
            never(mmput.exit_aio_wakes),
            reaper.put_task,
            never(mmput.exit_aio_wakes),
            sees_memdie,
        ],
        why="Only a completed pass clears the mark, so the OOM killer may wait for ever.",
        source="oom_reap_task, v4.6",
    ),
    impossible(
        "E1",
        "single",
        "B1: a second kill while the first victim's memory is there",
        [
            task_exit.mmput_last,
            never(exit_mmap.unmap_reapable),
            finds_no_mm,
            never(exit_mmap.unmap_reapable),
            killer.scan_ends_with_choice,
        ],
        why="A reaper that finds no mm leaves the mark alone, and the thread clears it after __mmput.",
        source="oom_reap_task, v4.6",
    ),
    possible(
        ("E2", "E3"),
        "single",
        "B1: a second kill while the first victim's memory is there",
        [
            task_exit.mmput_last,
            reaper_finds_no_mm,
            remote_exit_oom_victim,
            never(exit_mmap.unmap_reapable),
            killer.scan_ends_with_choice,
        ],
        why="The shape of B1 before MMF_OOM_SKIP: no mm counts as success, and the mark is cleared in every case.",
        source="449d777d7ad6; oom_reap_task, v4.7",
    ),
    possible(
        "E2",
        "foreign-writer",
        "the victim is killed again after the reaper gave up",
        [
            reaper.give_up,
            never(reaper_sets_reaped),
            remote_exit_oom_victim,
            never(reaper_sets_reaped),
            happens(killer.scan_ends_with_choice, about="P1.t0"),
        ],
        why="Failure hides nothing in v4.7, so the same process may be the largest once more.",
        source="oom_reap_task, v4.7",
    ),
    impossible(
        "E3",
        "foreign-writer",
        "the first failed series hides the mm",
        [never(first_failure), reaper.give_up, never(first_failure), second_failure],
        why="MMF_OOM_NOT_REAPABLE remembers the first failure; only the second counts.",
        source="11a410d516e8",
    ),
    possible(
        "E3",
        "foreign-writer",
        "the second failed series hides the mm with all its memory",
        [
            first_failure,
            happens(killer.scan_ends_with_choice, about="P1.t0"),
            never(reaper.zap_page, exit_mmap.unmap_reapable),
            second_failure,
        ],
        why="No task is reaped more than twice.",
        source="11a410d516e8",
    ),
)
