"""v4.6, v4.7 and v4.8: what is known of the first reapers, asked of the eras that transcribe them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import attrs
import pytest

from oom_spec.eras import e01_v4_6 as v4_6
from oom_spec.eras import e02_v4_7 as v4_7
from oom_spec.eras import e03_v4_8 as v4_8
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Instance
from oom_spec.language import Era, Property, Role, Scenario, Step, World, both, negate, some
from oom_spec.language.runs import Written, happens, never, possible
from oom_spec.possible import Decider
from oom_spec.properties import find_properties
from oom_spec.protocol import kill, reaper, task_exit
from oom_spec.protocol import killer as selecting
from oom_spec.protocol.early import OLD_NAMES
from oom_spec.protocol.state import Mm, Process, Reaper, Task
from oom_spec.scenarios import find_scenario

EARLY = ("E1", "E2", "E3")
Formula = Callable[..., bool]


def always(*_: object) -> bool:
    """The condition that always holds."""
    return True


@cache
def depths(era: str | Era, scenario: str, *properties: str) -> dict[str, int | None]:
    """Where each property is violated first in the scenario; None where it holds with its excuses."""
    chosen = find_era(era) if isinstance(era, str) else era
    wanted = [found for name in properties for found in find_properties(name)]
    exploration = Exploration(Instance(chosen, find_scenario(scenario)), wanted)
    assert not exploration.truncated
    found = exploration.findings.values()
    return {each.property.id: None if each.violated is None else each.violated.depth for each in found}


def happens_in(era: str | Era, scenario: str | Scenario, *items: Written) -> bool:
    """Whether some run of the era has these steps in this order."""
    chosen = find_era(era) if isinstance(era, str) else era
    where = find_scenario(scenario) if isinstance(scenario, str) else scenario
    run = possible(chosen.id, where.id, "a run", items, why="For a test.", source="the test")
    outcome = Decider(Instance(chosen, where)).decide(run)
    assert (outcome.fault, outcome.word != "unknown") == ("", True)
    return outcome.word == "possible"


def holds_everywhere(era: str, scenario: str, over: Sequence[type], then: Formula, when: Formula = always) -> bool:
    """Whether the formula holds in every reachable state."""
    fact = Property(
        id="fact",
        name="fact",
        statement="It holds.",
        source="the test",
        over=tuple(over),
        when=when,
        then=then,
        violation="It does not.",
        not_covered="Anything else.",
        role=Role.LEMMA,
    )
    exploration = Exploration(Instance(find_era(era), find_scenario(scenario)), (fact,))
    assert not exploration.truncated
    return all(each.violated is None for each in exploration.findings.values())


@pytest.mark.parametrize(("release", "era"), [("v4.6", "E1"), ("4.7", "E2"), ("v4.8", "E3")])
def test_the_releases_name_their_eras(release: str, era: str) -> None:
    assert find_era(release).id == era


@pytest.mark.parametrize("era", EARLY)
def test_no_step_says_what_came_with_v4_9(era: str) -> None:
    late = ("MMF_OOM_SKIP", "MMF_UNSTABLE", "cmpxchg(oom_mm)", "mmgrab(oom_mm)")
    assert [step.id for step in find_era(era).steps if any(word in step.call for word in late)] == []


@pytest.mark.parametrize("era", EARLY)
def test_every_routine_has_the_name_of_its_release(era: str) -> None:
    assert {step.kernel for step in find_era(era).steps} & set(OLD_NAMES) == set()


def test_only_the_first_reaper_runs_mmput_itself() -> None:
    assert depths("E1", "single", "S5r") == {"S5r": 30}
    assert depths("E2", "single", "S5r") == depths("E3", "single", "S5r") == {"S5r": None}


def test_the_first_reaper_may_run_mmput_after_a_failed_attempt() -> None:
    put = v4_6.reaper_mmput_last_to_retry
    assert happens_in("E1", "khugepaged", put, v4_6.reaper_mmput_returns_to_retry)
    assert not happens_in("E1", "khugepaged", put, never(v4_6.mmdrop_to_reaper), v4_6.reaper_mmput_returns_to_retry)


@pytest.mark.parametrize("era", EARLY)
def test_only_the_reaper_clears_the_mark_of_another_task(era: str) -> None:
    assert depths(era, "marked", "S10") != {"S10": None}
    chosen = find_era(era)
    remote = tuple(step.id for step in chosen.steps if step.actor is Reaper and "exit_oom_victim" in step.call)
    assert len(remote) == 2
    assert depths(attrs.evolve(chosen.without(remote), id=f"{era}-local"), "marked", "S10") == {"S10": None}


def test_from_v4_9_on_a_task_clears_its_mark_by_itself() -> None:
    assert depths("E4", "marked", "S10") == {"S10": None}


def test_v4_6_clears_the_mark_only_after_a_completed_pass() -> None:
    assert not happens_in(
        "E1", "foreign-writer", reaper.give_up, never(reaper.pass_completed), v4_6.remote_exit_oom_victim
    )
    assert not happens_in("E1", "single", v4_6.reaper_finds_no_mm, v4_6.remote_exit_oom_victim)


@pytest.mark.parametrize("era", ["E2", "E3"])
def test_later_the_mark_is_cleared_whatever_the_attempts_did(era: str) -> None:
    cleared = v4_8.remote_exit_oom_victim
    assert happens_in(era, "foreign-writer", reaper.give_up, never(reaper.pass_completed), cleared)
    assert happens_in(era, "single", v4_8.reaper_finds_no_mm, never(reaper.pass_completed), cleared)


def test_v4_6_may_wait_for_ever_for_a_victim_that_it_could_not_reap() -> None:
    assert depths("E1", "blocked-aio", "L2s") == {"L2s": 26}
    assert depths("E2", "blocked-aio", "L2s") == depths("E3", "blocked-aio", "L2s") == {"L2s": None}


def chosen_again(*between: Written) -> tuple[Written, ...]:
    """The reaper gives up, and the same victim is killed once more."""
    return (reaper.give_up, *between, happens(selecting.scan_ends_with_choice, about="P1.t0"))


def test_after_ten_failures_v4_7_may_choose_the_victim_again() -> None:
    assert happens_in("E2", "foreign-writer", *chosen_again(never(reaper.pass_completed)))
    assert not happens_in("E1", "foreign-writer", *chosen_again())
    assert not happens_in("E4", "foreign-writer", *chosen_again())


@pytest.mark.parametrize(("era", "true"), [("E2", True), ("E3", False)])
def test_only_v4_8_hides_what_it_failed_to_reap(era: str, true: bool) -> None:
    reaped = holds_everywhere(
        era,
        "foreign-writer",
        (Mm,),
        lambda world, mm: mm.pass_completed,
        when=lambda world, mm: mm.oom_skip,
    )
    assert reaped is true


def test_v4_8_hides_after_the_second_failed_series_and_not_before() -> None:
    hides = v4_8.reaped_after_second_failure
    assert happens_in("E3", "foreign-writer", v4_8.first_failure, never(reaper.pass_completed), hides)
    assert not happens_in("E3", "foreign-writer", never(v4_8.first_failure), hides)
    assert depths("E3", "foreign-writer", "N2r") == {"N2r": None}


@pytest.mark.parametrize(("era", "excused"), [("E3", True), ("E2", False)])
def test_only_the_second_failure_counts_as_giving_up(era: str, excused: bool) -> None:
    exploration = Exploration(Instance(find_era(era), find_scenario("foreign-writer")), find_properties("N3"))
    (found,) = exploration.findings.values()
    assert (found.violated_strictly is not None) is excused


@pytest.mark.parametrize("era", EARLY)
def test_another_process_is_killed_while_the_memory_is_mapped(era: str) -> None:
    """Each release has its race: v4.6 pins after the victim went, the others take no mm for success."""
    assert depths(era, "marked", "N1s") != {"N1s": None}


def picks_bystander_after(*steps: Written) -> tuple[Written, ...]:
    """The bystander is killed after these steps, and the reaper has completed no pass since the first."""
    waits = never(reaper.pass_completed)
    return (
        *(each for step in steps for each in (step, waits)),
        happens(selecting.scan_ends_with_choice, about="P2.t0"),
    )


def test_a_scan_under_the_reapers_pin_is_what_oom_lock_ended() -> None:
    """v4.6: the pin keeps the victim's mmput from being the last, so that its mark goes while all is mapped."""
    gone = (task_exit.mmput_not_last, v4_8.exit_oom_victim)
    assert happens_in("E1", "single", *picks_bystander_after(v4_6.reaper_finds_mm, *gone))
    assert not happens_in("E2", "single", *picks_bystander_after(v4_7.reaper_finds_mm, *gone))


def test_the_late_pin_of_v4_8_opens_the_race_again() -> None:
    """Between find_lock_task_mm and mmget_not_zero the victim may drop the last mm_users."""
    finds = v4_8.reaper_finds_mm
    assert happens_in("E3", "single", *picks_bystander_after(finds, reaper.mmget_not_zero_fails))
    assert not happens_in("E2", "single", *picks_bystander_after(finds))


@pytest.mark.parametrize("era", EARLY)
def test_the_mark_says_whether_some_thread_has_tif_memdie(era: str) -> None:
    for scenario in ("threads", "dying-threads"):
        assert holds_everywhere(
            era,
            scenario,
            (Process,),
            lambda world, process: (
                process.oom_mm == some(world.all(Task), lambda task: both(task.process == process, task.memdie))
            ),
        )


@pytest.mark.parametrize("era", EARLY)
def test_the_reaper_walks_only_what_somebody_uses(era: str) -> None:
    assert depths(era, "foreign-user", "S1", "S2") == {"S1": None, "S2": None}
    pins = {"E1": v4_6.reaper_finds_mm, "E2": v4_7.reaper_finds_mm, "E3": v4_8.mmget_not_zero}[era]
    assert depths(_without_pin(find_era(era), pins), "single", "S1") != {"S1": None}


def _without_pin(era: Era, pins: Step) -> Era:
    """The era with an attempt that does not pin mm_users."""

    def no_pin(world: World, reaper: Reaper, task: Task) -> None:
        """It looks at nothing."""
        task.process.mm.walked_by_reaper = True

    broken = attrs.evolve(era.step(pins.id), function=no_pin, parameters=PARAMETERS)
    return attrs.evolve(era, parent=era, added=(), replaced=(broken,), removed=())


PARAMETERS = (("world", World), ("reaper", Reaper), ("task", Task))


def test_v4_6_meets_every_thread_and_the_others_only_leaders() -> None:
    met = happens(v4_6.scan_aborts, about="P1.t1")
    assert happens_in("E1", "threads", met)
    for era in ("E2", "E3"):
        step = {"E2": v4_7.scan_aborts, "E3": v4_8.scan_aborts}[era]
        assert happens_in(era, "threads", step)
        assert not happens_in(era, "threads", happens(step, about="P1.t1"))


def test_v4_6_spares_a_process_that_the_reaper_has_hidden() -> None:
    assert happens_in("E1", "sharer", v4_6.reaper_hides_task, v4_6.sharers_done_unreapable)
    assert not happens_in("E1", "sharer", never(v4_6.reaper_hides_task), v4_6.sharers_done_unreapable)


def test_v4_7_queues_a_dying_task_only_if_every_user_of_its_mm_is_dying() -> None:
    assert happens_in("E2", "dying-allocates", v4_7.dying_with_every_user, kill.queue_dying)
    assert happens_in("E2", "exiting-sharer", v4_7.dying_without_every_user)
    assert not happens_in(
        "E2", "exiting-sharer", never(selecting.unlock_oom_lock), v4_7.dying_without_every_user, QUEUED
    )


QUEUED = happens(kill.queue_dying)


def test_v4_6_queues_no_dying_task_at_all() -> None:
    assert kill.queue_dying.id not in {step.id for step in find_era("E1").steps}
    assert happens_in("E1", "dying-allocates", v4_6.current_is_dying, kill.dying_done)


@pytest.mark.parametrize("era", EARLY)
def test_a_kernel_thread_on_the_mm_keeps_the_reaper_away_until_v4_8(era: str) -> None:
    kthread = v4_8.kthread_shares_mm if era == "E3" else v4_7.kthread_shares_mm
    assert happens_in(era, "kthread-fault", kthread, kill_ends(era))
    assert not happens_in(era, "kthread-fault", kthread, never(selecting.unlock_oom_lock), kill.queue_victim)


def kill_ends(era: str) -> Step:
    """The end of the walk over the users of an mm that cannot be reaped."""
    return v4_6.sharers_done_unreapable if era == "E1" else v4_8.sharers_done_unreapable


@pytest.mark.parametrize(("era", "hidden"), [("E1", False), ("E2", False), ("E3", True)])
def test_an_mm_that_init_shares_is_hidden_from_v4_8_on(era: str, hidden: bool) -> None:
    never_hidden = holds_everywhere(era, "init-shares", (Mm,), lambda world, mm: negate(mm.oom_skip))
    assert never_hidden is not hidden


@pytest.mark.parametrize("era", EARLY)
def test_the_reaper_takes_no_lock_that_it_keeps(era: str) -> None:
    idle = holds_everywhere(
        era,
        "foreign-writer",
        (Reaper, Mm),
        nothing_held,
        when=lambda world, reaper, mm: reaper.job == None,  # noqa: E711 - a comparison of objects
    )
    assert idle


def nothing_held(world: World, reaper: Reaper, mm: Mm) -> bool:
    """What an attempt takes is given back."""
    return both(
        negate(reaper.holds_oom_lock),
        negate(mm.pinned_by_reaper),
        negate(mm.counted_by_reaper),
        negate(mm.read_by_reaper),
        negate(mm.walked_by_reaper),
        negate(reaper.in_mmput),
    )
