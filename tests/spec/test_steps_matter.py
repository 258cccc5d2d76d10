"""Each guard, assignment, event and place of each step matters: a slip in any of them is noticed.

A mutant is noticed where, in some scenario, it changes the verdict or the depth of some property, what
properties are put to the test and when, the number of states, or the set of steps never taken. The
mutants that nothing notices are listed below, each with a reason; one more or one fewer is a failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from oom_spec.eras import find_era
from oom_spec.instances import Instance
from oom_spec.language.steps import Step
from oom_spec.scenarios import SCENARIOS, find_scenario

from .mutants import Mutant, Signature, broken, guards_of, lift_without_guard, mutants_of, mutate, signature

ERAS = ("v4.12", "v4.14")

SURVIVORS: dict[str, str] = {
    # The outcome has the same effect as its neighbour, or the guard is implied.
    "mm.__mmput.mmdrop[to exit_mm] | guard 0 EXECUTOR": (
        "only a thread of this mm is inside __mmput: in_mmput implies it with one victim"
    ),
    "mm.__khugepaged_exit.down_write[waits] | guard 1 WRITE_LOCK_TAKEN": (
        "a wait for a free lock ends at once, and in the scenarios compared nobody else looks at the lock meanwhile"
    ),
    "killer.oom_evaluate_task.oom_unkillable_task | guard 0 NOT_SCANNED": "to meet a task again changes nothing",
    "killer.oom_evaluate_task.test_bit(MMF_OOM_SKIP)[set] | guard 0 NOT_SCANNED": (
        "to meet a task again changes nothing"
    ),
    "killer.oom_evaluate_task.test_bit(MMF_OOM_SKIP)[clear] | guard 0 NOT_SCANNED": (
        "the scan ended when it met the task first"
    ),
    "killer.oom_evaluate_task.oom_badness[0] | guard 0 NOT_SCANNED": "to meet a task again changes nothing",
    "killer.oom_evaluate_task.oom_badness[largest so far] | guard 0 NOT_SCANNED": (
        "which task is the largest is a free choice anyway"
    ),
    "killer.oom_evaluate_task.oom_badness[not the largest] | guard 5 BADNESS": "the same effect as the outcome 0",
    "killer.oom_evaluate_task.oom_unkillable_task | guard 1 VISIBLE": (
        "no scenario has an invisible task outside the domain"
    ),
    "killer.oom_evaluate_task.oom_badness[0] | guard 1 VISIBLE": (
        "no scenario has an invisible unmarked task in the domain"
    ),
    "killer.mark_oom_victim.set TIF_MEMDIE | guard 0 NO_MEMDIE": (
        "no scenario takes the step: a marked thread is never killed again"
    ),
    "killer.mark_oom_victim.cmpxchg(oom_mm) | guard 0 NOT_MARKED_BEFORE": (
        "no scenario takes the step: a marked process is never killed again"
    ),
    "killer.wake_oom_reaper.wake_oom_reaper[not queued] | guard 0 NOT_QUEUED": (
        "no scenario takes the step: a queued task is never killed again"
    ),
    "killer.wake_oom_reaper.oom_reaper_list = tsk | guard 0 NOT_ON_LIST": (
        "no task on the list is pushed in any scenario"
    ),
    "killer.wake_oom_reaper.oom_reaper_list = tsk[dying] | guard 0 NOT_ON_LIST": (
        "no task on the list is pushed in any scenario"
    ),
    "killer.oom_kill_process.set_bit(MMF_OOM_SKIP)[init shares] | guard 0 SHARES_MM": (
        "init shares the mm wherever there is an init"
    ),
    "killer.oom_kill_process.rcu_read_unlock[cannot reap] | guard 0 SHARERS_SIGNALLED": (
        "no scenario has init and another sharer"
    ),
    "killer.select_bad_process.panic[nobody to kill] | guard 2 GLOBAL_OOM": "a memcg scan always finds the bystander",
    # Nothing reads it in any era, or not in these two.
    "mm.exit_mmap.munlock_vma_pages_all[done] | assignment Mm.munlocking": (
        "the reaper cannot walk at munlock in v4.12, and S2 is judged at its first overlap"
    ),
    "mm.exit_mmap.free_pgtables[done] | assignment Mm.page_tables": "being freed and freed are as bad for S1",
    "mm.exit_mmap.free_pgtables | exchange mm.exit_mmap.free_pgtables[done]": "being freed and freed are as bad for S1",
    "mm.exit_mmap.remove_vma | assignment Mm.vmas": "the page tables are gone before, which S1 notices first",
    "mm.exit_mmap.remove_vma[done] | assignment Mm.vmas": "the page tables are gone before, which S1 notices first",
    "mm.__khugepaged_exit.down_write[waits] | assignment Mm.exit_waits": (
        "khugepaged is the writer that it waits for: trylocks fail all the same"
    ),
    "reaper.oom_reaper.oom_reap_task | assignment Task.queue_reference": (
        "S7 asks for one reference, and the task has another"
    ),
    "reaper.__oom_reap_task_mm.down_read_trylock[fails] | assignment Reaper.obstructed": (
        "exit_mmap takes mmap_sem after unmap_vmas or never"
    ),
    "reaper.__oom_reap_task_mm.mmget_not_zero[fails] | assignment Reaper.found_no_users": (
        "history that only claims of the mail read"
    ),
    "reaper.__oom_reap_task_mm.mmput_async[last] | assignment Mm.executor": (
        "whoever is no thread of the process is treated alike in v4.12"
    ),
    "reaper.__oom_reap_task_mm.mmput_async[last] | event MMPUT_BEGINS": "S5r accepts a kworker",
    "reaper.__oom_reap_task_mm.down_read_trylock | event ATTEMPT_BEGINS": "an event that no property speaks of",
    "reaper.__oom_reap_task_mm.down_read_trylock[fails] | event ATTEMPT_BEGINS": "an event that no property speaks of",
    "reaper.oom_reap_task.put_task_struct | event JOB_DONE": "an event that no property speaks of",
    "killer.__alloc_pages_may_oom.get_page_from_freelist[fails] | event ALLOCATION_FAILS": (
        "an event that no property speaks of"
    ),
    "killer.oom_evaluate_task.test_bit(MMF_OOM_SKIP)[clear] | assignment Killer.met": (
        "N1v is satisfied by a scan that aborts"
    ),
    "killer.oom_evaluate_task.oom_badness[not the largest] | assignment Killer.met": (
        "N1v asks for marked processes only"
    ),
    "killer.oom_kill_process.mmgrab | assignment Killer.holds_mm_count": (
        "S7 asks for one reference, and the mm has another"
    ),
    "killer.wake_oom_reaper.oom_reaper_list = tsk[dying] | assignment Mm.was_queued": (
        "the other killer's push is the first one in S6m's shortest run"
    ),
    "fault.do_page_fault.down_read | exchange fault.handle_mm_fault.__handle_mm_fault[0]": (
        "nobody in v4.12 waits for this reader in the scenario"
    ),
    "killer.oom_evaluate_task.test_bit(MMF_OOM_SKIP)[set] | assignment Killer.met": (
        "N1v does not ask for an mm with MMF_OOM_SKIP"
    ),
    "killer.oom_evaluate_task.test_bit(MMF_OOM_SKIP)[clear] | assignment Killer.scanned": (
        "the scan is over, and mutex_unlock wipes what it remembers"
    ),
    "task.exit_mm.exit_oom_victim[TIF_MEMDIE] | assignment Task.memdie": (
        "nothing in the scenarios reads TIF_MEMDIE of a thread that has passed exit_mm"
    ),
    # Assigned twice: at the end of one round and at the start of the next.
    "reaper.oom_reaper.oom_reap_task | assignment Reaper.attempts": "put_task_struct wipes it too",
    "reaper.oom_reaper.oom_reap_task | assignment Reaper.passed": "put_task_struct wipes it too",
    "reaper.oom_reaper.oom_reap_task | assignment Reaper.found_no_users": "put_task_struct wipes it too",
    "reaper.oom_reaper.oom_reap_task | assignment Reaper.obstructed": "put_task_struct wipes it too",
    "killer.out_of_memory.task_will_free_mem(current)[no] | assignment Killer.passed_over": "mutex_unlock wipes it too",
    "killer.out_of_memory.task_will_free_mem(current)[no] | assignment Killer.scanned": "mutex_unlock wipes it too",
    "killer.out_of_memory.task_will_free_mem(current)[no] | assignment Killer.met": "mutex_unlock wipes it too",
    "killer.__alloc_pages_may_oom.mutex_unlock(oom_lock) | assignment Killer.passed_over": "the next scan wipes it too",
    "killer.select_bad_process.oom_kill_process | assignment Killer.chosen": "mutex_unlock wipes it too",
    # Out of reach of the scenarios.
    "killer.oom_kill_process.find_lock_task_mm | assignment Killer.victim": (
        "no leader has lost its mm before it is killed"
    ),
    "killer.wake_oom_reaper.oom_reaper_list = tsk | assignment Task.linked": "the list never holds two tasks",
    "killer.wake_oom_reaper.oom_reaper_list = tsk | assignment World.halted": "the count-range fault is out of reach",
    "killer.wake_oom_reaper.oom_reaper_list = tsk[dying] | assignment World.halted": (
        "the count-range fault is out of reach"
    ),
    "reaper.__oom_reap_task_mm.down_read_trylock[fails] | assignment World.halted": (
        "the count-range fault is out of reach"
    ),
    "killer.wake_oom_reaper.oom_reaper_list = tsk[list corrupted] | assignment World.halted": (
        "no scenario takes the step"
    ),
    "killer.wake_oom_reaper.oom_reaper_list = tsk[list corrupted] | event TASK_QUEUED": "no scenario takes the step",
    "killer.wake_oom_reaper.oom_reaper_list = tsk[dying, list corrupted] | assignment World.halted": (
        "no scenario takes the step"
    ),
    "killer.wake_oom_reaper.oom_reaper_list = tsk[dying, list corrupted] | event TASK_QUEUED": (
        "no scenario takes the step"
    ),
    "world.access_remote_vm.up_read | assignment Mm.foreign_readers": (
        "the step may be taken later or not at all, so the same states are reachable; only being stuck would differ"
    ),
    "world.access_remote_vm.down_write[wakes] | assignment Mm.writer": (
        "the step may be taken later or not at all, so the same states are reachable; only being stuck would differ"
    ),
}
"""Mutants that no scenario shows, and why."""

ELSEWHERE: dict[str, tuple[str, str]] = {
    "mm.exit_mmap.munlock_vma_pages_all | assignment Mm.vm_locked": ("v4.14", "memory-kinds"),
    "mm.exit_mmap.unmap_vmas[a reapable page] | assignment Mm.gathered": ("v4.14", "single"),
    "mm.exit_mmap.unmap_vmas[an mlocked page] | assignment Mm.gathered": ("v4.14", "memory-kinds"),
    "mm.exit_mmap.unmap_vmas[an unreapable page] | assignment Mm.gathered": ("v4.14", "memory-kinds"),
    "mm.exit_mmap.free_pgtables | assignment Mm.page_tables": ("v4.14", "foreign-user"),
    "mm.exit_mmap.free_pgtables[done] | exchange mm.exit_mmap.tlb_finish_mmu": ("v4.14", "single"),
    "mm.exit_mmap.tlb_finish_mmu | assignment Mm.gathered": ("v4.14", "single"),
    "mm.exit_mmap.tlb_finish_mmu | exchange mm.exit_mmap.remove_vma": ("v4.14", "single"),
    "mm.exit_mmap.remove_vma | exchange mm.exit_mmap.remove_vma[done]": ("hocko-2017-07-24", "single"),
    "reaper.__oom_reap_task_mm.unmap_page_range[a page munlocked meanwhile] | assignment Mm.mlocked": (
        "v4.14",
        "memory-kinds",
    ),
    "reaper.oom_reap_task.put_task_struct | assignment Reaper.obstructed": ("strawman-lock-before-unmap", "single"),
}
"""Mutants of v4.12 that only a later era shows, which shares the step."""


@cache
def instance(era: str, scenario: str) -> Instance:
    """An era in a scenario, unchanged."""
    return Instance(find_era(era), find_scenario(scenario))


@cache
def expected(era: str, scenario: str) -> Signature:
    """The signature of the unchanged instance."""
    return signature(instance(era, scenario), 10**6)


def states(era: str, scenario: str) -> int:
    """How large the unchanged instance is."""
    found = expected(era, scenario)[0]
    assert isinstance(found, int)
    return found


@cache
def by_size(era: str) -> tuple[str, ...]:
    """All scenarios, those with few states first."""
    return tuple(sorted((scenario.id for scenario in SCENARIOS), key=lambda scenario: states(era, scenario)))


def witnesses(era: str, step: str) -> Iterator[str]:
    """First the scenarios in which the step is taken, then the others."""
    later: list[str] = []
    for scenario in by_size(era):
        untaken = expected(era, scenario)[2]
        assert isinstance(untaken, tuple)
        if step in untaken:
            later.append(scenario)
        else:
            yield scenario
    yield from later


def differs(era: str, scenario: str, mutant: Mutant) -> bool:
    """Whether the scenario shows the mutant; one state too many is enough."""
    most = states(era, scenario) + 1
    return signature(mutate(instance(era, scenario), mutant), most) != expected(era, scenario)


def noticed_in(era: str, mutant: Mutant) -> str | None:
    """The first scenario that shows the mutant."""
    for scenario in witnesses(era, mutant.step):
        if differs(era, scenario, mutant):
            return scenario
    return None


STEPS = {
    f"{era}: {declared.id}": (era, declared)
    for era, earlier in (("v4.12", ()), ("v4.14", find_era("v4.12").steps))
    for declared in find_era(era).steps
    if declared not in earlier
}
"""Each step once: v4.14 is asked about those that v4.12 does not have."""


def mutants(era: str, declared: Step) -> list[Mutant]:
    """All mutants of one step."""
    return mutants_of(instance(era, "single"), declared)


@pytest.mark.parametrize("name", STEPS)
def test_every_slip_in_a_step_is_noticed(name: str) -> None:
    assert unnoticed(name, exchanges=False) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_every_exchange_of_two_steps_is_noticed(name: str) -> None:
    assert unnoticed(name, exchanges=True) == []


def unnoticed(name: str, *, exchanges: bool) -> list[str]:
    """The mutants of a step, exchanges or the others, that are not listed and that no scenario shows."""
    era, declared = STEPS[name]
    listed = SURVIVORS.keys() | ELSEWHERE.keys()
    asked = [m for m in mutants(era, declared) if str(m) not in listed and (m.what == "exchange") is exchanges]
    return [str(mutant) for mutant in asked if noticed_in(era, mutant) is None]


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_later_era_notices(name: str) -> None:
    era, scenario = ELSEWHERE[name]
    (mutant,) = (m for era_of, declared in STEPS.values() for m in mutants(era_of, declared) if str(m) == name)
    assert differs(era, scenario, mutant)


def test_the_list_of_survivors_names_mutants() -> None:
    known = {str(mutant) for era, declared in STEPS.values() for mutant in mutants(era, declared)}
    assert (SURVIVORS.keys() | ELSEWHERE.keys()) - known == set()
    assert SURVIVORS.keys() & ELSEWHERE.keys() == set()
    assert len(SURVIVORS) < 0.15 * len(known)


@pytest.mark.slow
@pytest.mark.parametrize("name", SURVIVORS)
def test_a_listed_survivor_is_still_unnoticed(name: str) -> None:
    for era, declared in STEPS.values():
        for mutant in mutants(era, declared):
            if str(mutant) == name:
                assert noticed_in(era, mutant) is None, "take it off the list"


@pytest.mark.slow
@pytest.mark.parametrize("name", [declared.id for declared in find_era("v4.14").steps])
def test_every_slip_in_a_shared_step_is_noticed_in_v4_14_or_v4_12(name: str) -> None:
    (declared,) = (each for each in find_era("v4.14").steps if each.id == name)
    shared = declared in find_era("v4.12").steps
    asked = [mutant for mutant in mutants("v4.14", declared) if str(mutant) not in SURVIVORS]
    eras = ERAS[::-1] if shared else ERAS[1:]
    unnoticed = [str(m) for m in asked if all(noticed_in(era, m) is None for era in eras)]
    assert unnoticed == []


# -- the machinery -------------------------------------------------------------------------------


def test_an_unchanged_instance_has_the_same_signature() -> None:
    nothing = Mutant("mm.exit_mmap.remove_vma", "event", "none")
    assert signature(mutate(instance("v4.12", "marked"), nothing), 10**6) == expected("v4.12", "marked")


def test_a_guard_is_left_out_by_its_number() -> None:
    base = instance("v4.12", "foreign-user")
    (declared,) = (each for each in base.era.steps if each.id == "world.access_remote_vm.down_read")
    names = [guard.name for guard in guards_of(base, declared)]
    assert names == ["SCENARIO", "FOREIGN_HOLDER", "READ_LOCK_FREE"]
    for number, name in enumerate(names):
        paths = [path for action, path in lift_without_guard(base, declared, number) if "mm0" in action.id]
        assert paths
        assert all(name not in [guard.name for guard, _ in path.guards] for path in paths)


def test_the_known_repair_of_the_known_race_flips_a_verdict() -> None:
    """v4.12 without the failure of mmget_not_zero has no needless kill: the guard is what the race hangs on."""
    mutant = Mutant("reaper.__oom_reap_task_mm.mmget_not_zero", "guard", "0 USERS_LEFT")
    changed = broken(signature(mutate(instance("v4.12", "single"), mutant), 10**6))
    assert "S1" in changed
    assert "S1" not in broken(expected("v4.12", "single"))
