"""Call stacks and names, release by release: what the source of that release has."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs
import pytest

from oom_spec.eras import all_eras, find_era
from oom_spec.language import Era, Step
from oom_spec.stacks import CALLERS, ENTRIES, NOWHERE, Names, Stack, Thread, with_mmap_lock, with_mmap_sem

THREADS = (Thread(), Thread(memcg=True), Thread(swapoff=True, ksmd=True))
BEFORE: tuple[Stack, ...] = ((), ("oom_kill_process",), ("oom_kill_process", "oom_kill_memcg_member"))


def without_place(era: Era) -> Iterator[str]:
    """The steps whose call stack begins in a function where no thread of their kind begins."""
    names = Names(era)
    for step in era.steps:
        if step.kernel_function in NOWHERE:
            continue
        for thread in THREADS:
            for before in BEFORE:
                outermost = (*names.frames(step, thread, before), names.call(step, thread))[0]
                if outermost not in ENTRIES[step.actor.__name__]:
                    yield f"{step.id}: nobody is known to call {outermost}"


@pytest.mark.parametrize("era", all_eras(), ids=lambda era: str(era.id))
def test_every_step_has_a_known_place_in_the_code(era: Era) -> None:
    """If this fails for a new era: say who calls its function, in `CALLERS` or `Names.caller`."""
    assert list(without_place(era)) == []


def test_a_function_that_nobody_is_known_to_call_is_found() -> None:
    first = find_era("v6.1").steps[0]
    moved = attrs.evolve(first, id="task.exit_files.close_files", kernel="fs/file.c:exit_files", call="close_files")
    era = Era(id="with-exit-files", title="", parent=find_era("v6.1"), added=(moved,))
    assert set(without_place(era)) == {"task.exit_files.close_files: nobody is known to call exit_files"}


@pytest.mark.parametrize("era", all_eras(), ids=lambda era: str(era.id))
def test_no_diagram_mixes_the_names_of_mmap_sem_and_mmap_lock(era: Era) -> None:
    names = Names(era)
    drawn = {names.call(step, thread) for step in era.steps for thread in THREADS}
    old = {call for call in drawn if re.search(r"\b(down|up)_(read|write)", call)}
    new = {call for call in drawn if re.search(r"\bmmap_(read|write)_", call)}
    assert not (old and new)
    assert old or new


def test_the_names_of_the_lock_can_be_turned_back() -> None:
    for old in ("down_read; task->mm = new", "down_read_trylock", "up_write"):
        assert with_mmap_sem(with_mmap_lock(old)) == old
        assert with_mmap_lock(old) != old
    for same in ("mmap_read_lock_killable", "mmap_write_lock_nested", "mutex_lock(oom_lock)"):
        assert with_mmap_lock(same) == with_mmap_sem(same) == same


def the_step(era: str, actor: str, call: str, at: str = "") -> tuple[Names, Step]:
    found = find_era(era)
    fitting = [
        step
        for step in found.steps
        if step.actor.__name__ == actor
        and step.call == call
        and (not at or (step.at is not None and step.at.name == at))
    ]
    return Names(found), fitting[0]


IN_REAPER = ("oom_reaper", "oom_reap_task")
IN_OOM = ("__alloc_pages_slowpath", "__alloc_pages_may_oom", "out_of_memory")
IN_MEMCG = ("mem_cgroup_out_of_memory", "out_of_memory")
MEMCG = Thread(memcg=True)
MEMBER = ("mem_cgroup_scan_tasks", "oom_kill_memcg_member")


@pytest.mark.parametrize(
    ("era", "actor", "call", "at", "stack"),
    [
        ("v4.8", "Reaper", "down_read_trylock", "", (*IN_REAPER, "__oom_reap_task")),
        ("v4.12", "Reaper", "unmap_page_range", "", (*IN_REAPER, "__oom_reap_task_mm")),
        ("v4.16", "Reaper", "down_read_trylock", "", (*IN_REAPER, "__oom_reap_task_mm")),
        ("4.14.y", "Reaper", "down_read_trylock", "", (*IN_REAPER, "oom_reap_task_mm")),
        ("v4.17", "Reaper", "down_read_trylock", "", (*IN_REAPER, "oom_reap_task_mm")),
        ("v6.18", "Reaper", "unmap_page_range", "", (*IN_REAPER, "oom_reap_task_mm", "__oom_reap_task_mm")),
        ("v4.17", "Mm", "unmap_page_range", "", ("__mmput", "exit_mmap", "__oom_reap_task_mm")),
        ("v5.15", "Mrelease", "unmap_page_range", "", ("process_mrelease", "__oom_reap_task_mm")),
        ("v4.18", "Killer", "mmgrab", "", (*IN_OOM, "oom_kill_process")),
        ("v4.19", "Killer", "mmgrab", "", (*IN_OOM, "oom_kill_process", "__oom_kill_process")),
        ("v4.19", "Killer", "set TIF_MEMDIE", "DYING_MEMDIE", (*IN_OOM, "mark_oom_victim")),
        ("v4.7", "Killer", "oom_reaper_list = tsk", "DYING_QUEUE", (*IN_OOM, "try_oom_reaper", "wake_oom_reaper")),
        (
            "v5.18",
            "Killer",
            "add_timer",
            "ARM_TIMER",
            (*IN_OOM, "oom_kill_process", "__oom_kill_process", "queue_oom_reaper"),
        ),
        ("v5.18", "World", "oom_reaper_list = tsk", "", ("call_timer_fn", "wake_oom_reaper")),
        ("v4.12", "Task", "down_read; task->mm = new", "", ("sys_execve", "exec_mmap")),
        ("v6.8", "Fork", "vm_area_dup", "", ("copy_process", "copy_mm", "dup_mm", "dup_mmap")),
        ("v6.8", "Walker", "build_map_info", "", ("uprobe_register", "register_for_each_vma")),
    ],
)
def test_call_stacks_are_those_of_the_release(era: str, actor: str, call: str, at: str, stack: Stack) -> None:
    names, step = the_step(era, actor, call, at)
    assert names.frames(step, Thread()) == stack


@pytest.mark.parametrize(
    ("era", "call", "before", "stack"),
    [
        ("v4.8", "oom_badness", (), ("mem_cgroup_out_of_memory", "oom_scan_process_thread")),
        ("v4.9", "oom_badness", (), (*IN_MEMCG, "select_bad_process", "oom_evaluate_task")),
        ("v4.8", "oom_kill_process", (), ("mem_cgroup_out_of_memory",)),
        ("v4.12", "mutex_unlock(oom_lock)", (), ("mem_cgroup_out_of_memory",)),
        ("v4.19", "mmgrab", MEMBER, (*IN_MEMCG, "oom_kill_process", *MEMBER, "__oom_kill_process")),
        ("v4.19", "__oom_kill_process", (), (*IN_MEMCG, "oom_kill_process", *MEMBER)),
    ],
)
def test_call_stacks_of_a_memory_cgroup_are_those_of_the_release(
    era: str, call: str, before: Stack, stack: Stack
) -> None:
    names, step = the_step(era, "Killer", call)
    assert names.frames(step, MEMCG, before) == stack


def test_swapoff_and_uprobes_walk_in_functions_of_their_own() -> None:
    names, step = the_step("v6.18", "Walker", "find_vma")
    assert names.frames(step, Thread()) == ("uprobe_register", "register_for_each_vma")
    assert names.frames(step, Thread(swapoff=True)) == ("sys_swapoff", "try_to_unuse", "unuse_mm")


def test_nobody_calls_himself() -> None:
    for name in CALLERS:
        seen = [name]
        while seen[-1] in CALLERS:
            seen.append(CALLERS[seen[-1]])
            assert len(seen) == len(set(seen))
