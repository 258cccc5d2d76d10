"""The reference implementation: it does what its era does, on greenlets and on threads, and notices its own faults."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import attrs
import pytest

from oom_conformance.diagnosing import agrees, violated
from oom_conformance.lockstep import Divergence, Kind, Lockstep, replay
from oom_conformance.oracle import Oracle, oracle_of
from oom_conformance.reference import Reference
from oom_conformance.reference.machine import Context, Machine
from oom_conformance.reference.objects import Mm, Mutex, Process, ReaperList, RwSem, Task
from oom_conformance.reference.releases import RELEASES
from oom_conformance.reference.stress import check, stress
from oom_conformance.walking import walk_everything
from oom_conformance.worlds import describe
from oom_spec.applicability import irrelevant
from oom_spec.eras import all_eras, find_era
from oom_spec.language import Era
from oom_spec.scenarios import SCENARIOS, find_scenario
from oom_spec.scenarios.release_worlds import MRELEASE_CALLER


def test_there_is_a_release_for_every_era() -> None:
    assert set(RELEASES) == {each.id for each in all_eras()}


@pytest.mark.parametrize("era", all_eras(), ids=lambda era: era.id)
def test_every_transition_of_the_first_states_agrees(era: Era) -> None:
    pair = Lockstep(oracle_of(era, find_scenario("memory-kinds")), Reference())
    walked = walk_everything(pair, most=700)
    assert walked.transitions > 700


SMALL = ("stuck", "dying-threads", "kthread-fault", "mrelease-unmarked", "failed-fork-uprobes", "group-of-sharers")


@pytest.mark.parametrize("name", SMALL)
def test_random_runs_agree(name: str) -> None:
    for era in all_eras():
        if not irrelevant(era, find_scenario(name)):
            runs = agrees(oracle_of(era, find_scenario(name)), Reference(), era.id, runs=25)
            assert sum(map(len, runs)) > 100


@pytest.mark.slow
@pytest.mark.parametrize("era", all_eras(), ids=lambda era: era.id)
def test_every_scenario_agrees(era: Era) -> None:
    for scenario in SCENARIOS:
        if not scenario.slow and not irrelevant(era, scenario):
            walk_everything(Lockstep(oracle_of(era, scenario), Reference()), most=1_500)


def test_a_small_instance_is_walked_whole() -> None:
    walked = walk_everything(Lockstep(oracle_of(find_era("E4"), find_scenario("stuck")), Reference()))
    assert walked.complete
    assert (walked.states, walked.transitions) == (89, 144)


def test_code_of_another_era_is_noticed() -> None:
    pair = Lockstep(oracle_of(find_era("E6"), find_scenario("memory-kinds")), Reference({"E6": RELEASES["E5"]}))
    with pytest.raises(Divergence) as found:
        walk_everything(pair)
    assert found.value.kind is Kind.OBSERVATION
    assert [str(each) for each in found.value.differences] == ["mm0.oom_victim: true expected, false seen"]


def test_what_is_forbidden_is_noticed_and_its_guard_named() -> None:
    """v4.13 in the place of v4.14: the reaper pins mm_users instead of asking for notifiers."""
    pair = Lockstep(oracle_of(find_era("E5"), find_scenario("stuck")), Reference({"E5": RELEASES["E4b"]}))
    with pytest.raises(Divergence) as found:
        walk_everything(pair)
    assert found.value.kind is Kind.FORBIDDEN
    assert found.value.actions == ("reaper.__oom_reap_task_mm.mmget_not_zero(reaper, P1.t0)",)
    assert found.value.reasons == ("E5 has no such step for these objects",)


def test_an_era_without_code_is_said_to_be_missing() -> None:
    pair = Lockstep(oracle_of(find_era("E6"), find_scenario("single")), Reference({"E5": RELEASES["E5"]}))
    with pytest.raises(Divergence) as found:
        pair.start()
    assert found.value.kind is Kind.BROKEN
    assert found.value.message == "reset: LookupError: no release 'E6'; there are E5"


# -- real threads ----------------------------------------------------------------------------


@pytest.mark.parametrize("era", ["E1", "E4", "E7", "E9", "E12b"])
@pytest.mark.parametrize("name", ["ten-retries", "voluntary-memory-kinds", "two-domains"])
def test_what_real_threads_do_is_allowed(era: str, name: str) -> None:
    oracle = oracle_of(find_era(era), find_scenario(name))
    compared = [check(oracle, stress(era, describe(oracle.scenario), seed=seed, most=300)) for seed in range(6)]
    assert sum(compared) > 60


def test_real_threads_with_code_of_another_era_are_caught() -> None:
    oracle = oracle_of(find_era("E6"), find_scenario("stuck"))
    world, releases = describe(oracle.scenario), {"E6": RELEASES["E1"]}
    streams = [stress("E6", world, seed=seed, most=200, releases=releases) for seed in range(5)]
    caught = 0
    for stream in streams:
        try:
            check(oracle, stream)
        except Divergence:
            caught += 1
    assert caught > 0


def test_an_error_in_a_thread_reaches_whoever_started_it() -> None:
    def fails(*arguments: object) -> None:
        raise ValueError("broken exit_mmap")

    releases = {"E4": RELEASES["E4"].but(exit_mmap=fails)}
    world = describe(find_scenario("mrelease-unmarked"))
    with pytest.raises(ValueError, match="broken exit_mmap"):
        stress("E4", world, releases=releases)


# -- what it notices of itself ---------------------------------------------------------------


def objects() -> tuple[Machine, Mm, Task]:
    machine = Machine()
    mm = Mm(machine, "mm0", RwSem(machine, "mm0.mmap_sem"), mm_users=1)
    process = Process("P1", mm)
    task = Task(machine, "P1.t0", process, mm)
    process.tasks.append(task)
    return machine, mm, task


def test_freed_things_stay_freed() -> None:
    machine, mm, task = objects()
    mm.page_tables = "FREED"
    mm.walk("somebody")
    mm.vmas = "FREED"
    mm.walk("somebody")
    mm.mmdrop()
    mm.mmgrab()
    task.put()
    task.get()
    assert machine.reports == [
        "mm0: somebody walks freed page tables",
        "mm0: somebody walks freed VMAs",
        "mm0: somebody walks freed page tables",
        "mm0: mmgrab uses a freed mm_struct",
        "P1.t0: get of a freed task_struct",
    ]


def test_unbalanced_locks_and_counts_are_noticed() -> None:
    machine, mm, task = objects()
    mutex = Mutex(machine, "oom_lock")
    mutex.unlock("a")
    mutex.lock("a")
    mutex.lock("b")
    mm.mmap_sem.up_read("a")
    mm.mmap_sem.take_write("a")
    mm.mmap_sem.take_read("b")
    mm.mmap_sem.up_write("b")
    mm.drop_user()
    mm.drop_user()
    task.put()
    task.put()
    assert machine.reports == [
        "oom_lock: a unlocks it, which nobody holds",
        "oom_lock: b takes it while a holds it",
        "mm0.mmap_sem: a gives back a read lock that it does not hold",
        "mm0.mmap_sem: b reads beside the writer a",
        "mm0.mmap_sem: b gives back a write lock that it does not hold",
        "mm0: mm_users is -1",
        "P1.t0: usage is -1",
    ]


def test_a_task_queued_twice_stops_the_machine() -> None:
    machine, _, task = objects()
    queue = ReaperList(machine)
    queue.push(task)
    queue.push(task)
    assert machine.halted == "LIST_CORRUPTED"
    assert machine.reports == ["oom_reaper_list: P1.t0 is queued twice"]


def test_the_last_task_struct_takes_oom_mm_with_it() -> None:
    _, mm, task = objects()
    task.process.oom_mm, task.process.oom_mm_counted = mm, True
    mm.mmgrab()
    task.put()
    assert mm.mm_count == 1


def test_a_half_built_tree_shows_without_the_specification() -> None:
    """S11 of v6.8: uprobes walks the tree of a failed fork, and the kernel's own check says so one step later."""
    era, scenario = find_era("E12b"), find_scenario("failed-fork-uprobes")
    implementation = Reference()
    pair = replay(oracle_of(era, scenario), implementation, violated(era, scenario)["S11"])
    assert "S11" in pair.broken
    assert implementation.reports() == ()
    pair.step("walker.walker.find_vma(uprobes)")
    assert implementation.reports() == ("mm-child: uprobes takes XA_ZERO for a VMA",)


def test_a_report_is_a_divergence_where_the_specification_knows_of_no_race() -> None:
    class Noisy(Reference):
        def reports(self) -> tuple[str, ...]:
            return ("mm0: somebody walks freed page tables",)

    pair = Lockstep(oracle_of(find_era("E4"), find_scenario("single")), Noisy())
    pair.start()
    with pytest.raises(Divergence) as found:
        pair.step(min(pair.node.names))
    assert found.value.kind is Kind.REPORT
    assert found.value.message == "mm0: somebody walks freed page tables"


def test_runs_that_are_over_leave_nothing_behind() -> None:
    """A paused greenlet that nobody ends is never freed: 30 KB for each run."""
    implementation = Reference()
    pair = Lockstep(oracle_of(find_era("E4"), find_scenario("single")), implementation)
    machines = []
    for _ in range(5):
        node = pair.start()
        machines.append(weakref.ref(implementation.machine))
        while node.names and len(pair.schedule) < 30:
            node = pair.step(min(node.names))
    del pair, implementation
    gc.collect()
    assert [each() for each in machines] == [None] * 5


def test_nothing_can_be_run_before_a_reset() -> None:
    implementation = Reference()
    with pytest.raises(LookupError, match="there is no run: reset first"):
        implementation.runnable()


@pytest.mark.parametrize("offered", [None, [["a list"]], [1, "one"]])
def test_whatever_an_implementation_gives_is_its_own_fault(offered: object) -> None:
    class Odd(Reference):
        def runnable(self) -> Any:
            return offered

    with pytest.raises(Divergence) as found:
        Lockstep(oracle_of(find_era("E4"), find_scenario("single")), Odd()).start()
    assert found.value.kind is Kind.BROKEN


def test_an_implementation_that_leaves_the_process_is_broken() -> None:
    class Leaving(Reference):
        def run(self, action: str) -> None:
            raise SystemExit(7)

    pair = Lockstep(oracle_of(find_era("E4"), find_scenario("single")), Leaving())
    pair.start()
    with pytest.raises(Divergence) as found:
        pair.step(min(pair.node.names))
    assert found.value.message.endswith("SystemExit: 7")


def test_process_mrelease_keeps_the_task_lock_beside_a_dying_thread_that_allocates() -> None:
    """The killer marks current without its task_lock, and must not give back what process_mrelease holds."""
    base = find_scenario("dying-allocates")
    both = attrs.evolve(base, id="dying-allocates-mrelease", objects=(*base.objects, MRELEASE_CALLER))
    assert agrees(Oracle(find_era("E9"), both), Reference(), "E9", runs=150)


def test_only_what_is_offered_can_be_run() -> None:
    machine = Machine()

    def body(context: Context) -> None:
        context.pause(("one",))

    machine.spawn("thread", body)
    assert machine.runnable() == ("one",)
    with pytest.raises(LookupError, match="two cannot be taken now"):
        machine.run("two")
    machine.run("one")
    assert machine.runnable() == ()
