"""What holds for nothing is told apart from what holds: unreached antecedents, truisms, guards that are never false."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from oom_spec.eras import all_eras, find_era
from oom_spec.instances import Instance
from oom_spec.language import Era, SpecError, World, negate, requires
from oom_spec.language.errors import MisuseError
from oom_spec.language.properties import Property
from oom_spec.manifest import load
from oom_spec.mutating import Mutation, Slip, function_of, mutated, retold, transplanted, transplants
from oom_spec.properties import PROPERTIES, find_properties
from oom_spec.protocol.state import Mm
from oom_spec.scenarios import find_scenario
from oom_spec.vacuity import Examiner, Guards, antecedent, refusals, small_worlds, vacuity
from oom_spec.verdicts import Word
from oom_spec.violating import Hint, Violator, as_toml, hints, is_truism, read, touched_by, violations, with_found

from .toy import (
    HOUSE,
    NEVER_CROWDED,
    ROOM_FOR_TWO,
    TWO_GUESTS,
    Guest,
    GuestAt,
    House,
    Paint,
    Why,
    enter,
    guest_step,
    leave,
    unlock,
)

E6 = find_era("v4.15")
PROPERTY_IDS = [each.id for each in PROPERTIES]
SMALL = [find_scenario("ten-retries")]


def about_mm(then: Callable[..., bool], **more: Any) -> Property:
    return attrs.evolve(NEVER_CROWDED, id="X1", over=(Mm,), then=then, **more)


def step_named(era: Era, name: str) -> Any:
    return next(declared for declared in era.steps if declared.id == name)


def hint(name: str, mutation: Mutation, *eras: str) -> Hint:
    return Hint(name, mutation, "ten-retries", eras)


# -- the antecedent --------------------------------------------------------------------------


def test_an_antecedent_that_is_reached_says_where_and_how_deep() -> None:
    twice = attrs.evolve(NEVER_CROWDED, when=lambda world, house: house.visits >= 2)
    found = antecedent(HOUSE, twice, [TWO_GUESTS, ROOM_FOR_TWO])
    assert found is not None
    assert (found.scenario, found.depth) == ("room-for-two", 2)


def test_an_antecedent_that_no_state_reaches_is_none() -> None:
    never = attrs.evolve(NEVER_CROWDED, when=lambda world, house: house.visits >= 3)
    assert antecedent(HOUSE, never, [TWO_GUESTS, ROOM_FOR_TWO]) is None


def test_the_antecedent_of_an_event_is_the_announcing_step_with_its_condition() -> None:
    subject = find_properties("S5r")[0]
    assert antecedent(E6, subject, SMALL) is not None
    assert antecedent(E6, attrs.evolve(subject, when=lambda world, mm, executor: False), SMALL) is None
    (of_faults,) = find_properties("S4")
    assert antecedent(E6, of_faults, SMALL) is None
    assert antecedent(E6, of_faults, [*SMALL, find_scenario("kthread-fault")]) is not None


def test_a_question_about_the_graph_has_none() -> None:
    with pytest.raises(SpecError, match="L1 is a question about the whole graph"):
        antecedent(E6, find_properties("L1")[0], SMALL)


# -- a slip that violates it -----------------------------------------------------------------


def test_a_property_whose_antecedent_is_never_reached_is_vacuous() -> None:
    found = Examiner(E6, SMALL).examine(
        about_mm(lambda world, mm: False, when=lambda world, mm: world.queue_top >= 9), {}
    )
    assert (found.word, found.vacuous, found.reason) == (Word.VACUOUS, True, "its antecedent is never reached")


def test_a_truism_is_vacuous_and_no_mutant_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Violator, "search", None)
    found = Examiner(E6, SMALL).examine(about_mm(lambda world, mm: True), {})
    assert (found.word, found.reason) == (Word.VACUOUS, "its formula is true of every state")


def test_n3_is_a_definition_and_with_its_excuse_a_truism() -> None:
    (subject,) = find_properties("N3")
    assert is_truism(E6, subject)
    assert not is_truism(E6, attrs.evolve(subject, excuse=None))


def test_what_every_event_tells_is_no_truism_because_it_could_tell_something_else() -> None:
    (subject,) = find_properties("S10")
    assert not is_truism(E6, subject)
    assert is_truism(E6, attrs.evolve(subject, then=lambda world, task, by_itself: by_itself in (True, False)))


def test_what_no_slip_violates_is_vacuous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oom_spec.violating.transplants", lambda era: [])
    subject = about_mm(lambda world, mm: negate(world.queue_top >= 9))
    examiner = Examiner(E6, SMALL, known=())
    examiner.violator.steps = (step_named(E6, "killer.mark_oom_victim.set TIF_MEMDIE"),)
    found = examiner.examine(subject, {})
    assert (found.word, found.reason) == (Word.VACUOUS, "no slip in one step violates it")
    assert found.finished


def test_a_slip_is_found_where_none_is_recorded() -> None:
    (subject,) = find_properties("S5r")
    steps = [declared for declared in E6.steps if declared.id.startswith("task.exit_mm.mmput")]
    found, finished = Violator(E6, SMALL, (), steps).search([subject])
    assert finished
    assert found["S5r"].mutation.slip is Slip.RETOLD
    assert Violator(E6, SMALL, (), ()).search([subject]) == ({}, True)


def test_where_time_runs_out_nothing_is_known() -> None:
    examiner = Examiner(E6, SMALL, known=())
    found = examiner.examine(find_properties("S5r")[0], {}, seconds=0.0)
    assert (found.word, found.vacuous) == (Word.UNKNOWN, False)
    assert found.reason == "time ran out before a slip was found that violates it"


def test_what_is_recorded_is_tried_and_not_believed() -> None:
    (subject,) = find_properties("S5r")
    right = Mutation("task.exit_mm.mmput[last]", Slip.RETOLD, "MMPUT_BEGINS 1 REAPER")
    harmless = Mutation("task.exit_mm.mmput[last]", Slip.RETOLD, "MMPUT_BEGINS 1 WORKQUEUE")
    refused = Mutation("task.exit_mm.mmput[last]", Slip.EXCHANGED, "no such step")
    unknown = Mutation("no such step", Slip.GUARD_DROPPED, "0 NO_KSM")

    def of(*known: Hint) -> object:
        found = Violator(E6, SMALL, known).recorded(subject)
        return found and found.mutation

    assert of(hint("S5r", right, "E6")) == right
    assert of(hint("S5r", right, "another era")) == right
    assert of(hint("S5r", harmless, "E6"), hint("S5r", unknown, "E6"), hint("S1", right, "E6")) is None
    assert of(hint("S5r", harmless, "E6"), hint("S5r", right)) == right
    assert of(attrs.evolve(hint("S5r", right, "E6"), scenario="single")) is None
    assert violations(Instance(E6, SMALL[0]), refused, [subject]) == {}


@pytest.mark.parametrize(("era", "name"), [("v4.15", "S9"), ("v4.15", "N2x"), ("v4.15", "S1"), ("v6.1", "S1")])
def test_what_is_proved_of_eras_is_not_vacuous_by_a_recorded_slip(
    era: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Violator, "search", None)
    found = vacuity(find_era(era), find_properties(name)[0], {})
    assert (found.word, found.reason, found.vacuous) == (None, "", False)
    assert found.antecedent is not None
    assert found.violated_by is not None
    base = Instance(find_era(era), find_scenario(found.violated_by.scenario))
    assert violations(base, found.violated_by.mutation, find_properties(name))[name] == found.violated_by


def test_what_does_not_apply_is_neither_vacuous_nor_good() -> None:
    found = vacuity(find_era("v4.12"), find_properties("N2q")[0], {})
    assert (found.word, found.vacuous) == (Word.NOT_APPLICABLE, False)
    assert found.reason == "exit_mmap never takes mmap_sem"


# -- the record ------------------------------------------------------------------------------


def test_each_property_that_the_manifest_says_to_hold_has_a_recorded_slip() -> None:
    recorded = {(era, each.property) for each in hints() for era in each.eras}
    holding = {
        key
        for key, cell in load()[0].items()
        if cell.word in (Word.PROVED, Word.PROVED_INSTANCE) and find_properties(key[1])[0].graph is None
    }
    without = {name: {era for era, other in holding - recorded if other == name} for name in PROPERTY_IDS}
    assert {name for name, eras in without.items() if eras} == {"N3", "S6t"}
    assert without["S6t"] == {era.id for era in all_eras() if cannot_corrupt_the_list(era)}


def cannot_corrupt_the_list(era: Era) -> bool:
    """From v5.0 on no step has the outcome that the list is corrupted: S6t cannot fail there, whatever slips."""
    return not any("list corrupted" in declared.id or "list cut" in declared.id for declared in era.steps)


def test_each_recorded_slip_is_one_of_its_eras() -> None:
    for each in hints():
        for name in each.eras:
            era = find_era(name)
            named = {step.id for step in era.steps} | {function_of(step) for step in era.steps}
            assert each.mutation.steps <= named
            assert each.scenario in {scenario.id for scenario in small_worlds(era)}


def test_the_record_is_written_as_it_is_read() -> None:
    assert set(read(as_toml(hints()))) == set(hints())
    assert as_toml(read(as_toml(hints()))) == as_toml(hints())


def test_what_is_found_replaces_what_was_recorded_of_the_era() -> None:
    one, two = (Mutation("a.b.c", Slip.GUARD_DROPPED, which) for which in ("0 X", "1 Y"))
    (violation,) = violations(
        Instance(E6, SMALL[0]),
        Mutation("task.exit_mm.mmput[last]", Slip.RETOLD, "MMPUT_BEGINS 1 REAPER"),
        find_properties("S5r"),
    ).values()
    known = [hint("S5r", one, "E5", "E6"), hint("S5r", two, "E6"), hint("S1", two, "E6")]
    found = with_found(known, "E6", {"S5r": violation})
    assert found == [hint("S5r", one, "E5"), hint("S1", two, "E6"), hint("S5r", violation.mutation, "E6")]
    assert with_found(known, "E6", {"S5r": None}) == [hint("S5r", one, "E5"), hint("S1", two, "E6")]


@pytest.mark.parametrize(
    "text",
    [
        "schema = 2",
        "schema =",
        "",
        "schema = 1\nviolation = 3",
        'schema = 1\n[[violation]]\nproperty = "S1"',
        'schema = 1\n[[violation]]\nproperty = "S1"\nstep = "a"\nslip = "none"\nwhich = ""\nscenario = ""\neras = []',
    ],
)
def test_a_damaged_record_is_one_clear_error(text: str) -> None:
    with pytest.raises(SpecError, match=r"violated_by\.toml (has schema 2|is damaged).*reinstall oomspec"):
        read(text)


# -- slips of the tongue ---------------------------------------------------------------------


def test_an_event_is_told_otherwise_with_each_other_value_of_each_argument() -> None:
    base = Instance(E6, SMALL[0])
    (step,) = (declared for declared in E6.steps if declared.id == "task.exit_mm.exit_oom_victim[TIF_MEMDIE]")
    assert [each.which for each in retold(base, [step])] == ["EXIT_OOM_VICTIM 1 False"]
    (step,) = (declared for declared in E6.steps if declared.id == "task.exit_mm.mmput[last]")
    found = retold(base, [step])
    assert "MMPUT_BEGINS 1 REAPER" in {each.which for each in found}
    assert all("MMPUT_BEGINS 0" not in each.which for each in found)
    changed = mutated(base, found[0])
    told = {e.arguments[1].name for a, p in changed.lifted if a.step is step for e in p.events}  # type: ignore[attr-defined]
    assert told == {found[0].which.split()[2]}


def test_a_kernel_function_as_another_era_has_it() -> None:
    found = {each.id for each in transplants(E6)}
    assert "reaper.__oom_reap_task_mm | function as in E4" in found
    assert "reaper.__oom_reap_task_mm | function as in E6" not in found
    base = Instance(E6, SMALL[0])
    mutation = Mutation("reaper.__oom_reap_task_mm", Slip.FUNCTION_OF, "E4")
    changed = mutated(base, mutation)
    theirs = [declared for declared in find_era("E4").steps if function_of(declared) == mutation.step]
    put_in = [action.step for action, _ in changed.lifted if function_of(action.step) == mutation.step]
    assert {id(declared) for declared in put_in} <= {id(declared) for declared in theirs}
    assert transplanted(base, mutation) >= {declared.id for declared in put_in}
    kept = [pair for pair in base.lifted if function_of(pair[0].step) != mutation.step]
    assert [pair for pair in changed.lifted if function_of(pair[0].step) != mutation.step] == kept


def test_where_no_slip_of_one_step_does_a_function_of_another_era_may() -> None:
    (subject,) = find_properties("S9")
    found, finished = Violator(E6, [find_scenario("tlb")], (), ()).search([subject])
    assert finished
    assert found["S9"].mutation.slip is Slip.FUNCTION_OF


def test_steps_that_touch_a_property_write_what_it_reads_or_announce_its_event() -> None:
    base = Instance(E6, SMALL[0])
    touched = touched_by(base, find_properties("S5r"))
    assert "task.exit_mm.mmput[last]" in touched
    assert "reaper.oom_reap_task.put_task_struct" not in touched
    n2q = touched_by(base, find_properties("N2q"))
    assert "reaper.__oom_reap_task_mm.down_read_trylock[fails]" in n2q
    assert "mm.exit_mmap.unmap_vmas[done]" in n2q  # what the failed trylock writes down reads it


# -- guards ----------------------------------------------------------------------------------


@guest_step(at=GuestAt.INSIDE, then=GuestAt.INSIDE, call="linger")
def linger(world: World, guest: Guest) -> None:
    """Stays; who is here is inside, so the guard asks for nothing."""
    requires(guest.inside, Why.ROOM)
    guest.house.crowd = 0


@guest_step(at=GuestAt.OUTSIDE, then=GuestAt.GONE, call="is turned away")
def turned_away(world: World, guest: Guest) -> None:
    """Whoever is not invited goes home: only a fixed attribute is asked."""
    requires(negate(guest.invited), Why.TEST)


@guest_step(at=GuestAt.INSIDE, then=GuestAt.INSIDE, call="follow")
def follow(world: World, guest: Guest) -> None:
    """Paints the door once it is open; without the first guard the second makes no sense."""
    requires(negate(guest.house.locked), Why.ROOM)
    if guest.house.locked:
        raise MisuseError("nobody could have come in")
    requires(guest.house.paint == Paint.RED, Why.TEST)


CROWDED = Era(id="crowded", title="the house, with more steps", added=(enter, leave, unlock, linger, turned_away))


def test_a_guard_that_is_never_false_is_named() -> None:
    used = {enter: [Why.UNLOCKED], unlock: [Why.TEST, Why.EMPTY], linger: [Why.ROOM], turned_away: [Why.TEST]}
    guards = Guards(CROWDED, [TWO_GUESTS, ROOM_FOR_TWO])
    assert guards.never_false(used) == ((linger, Why.ROOM),)
    assert guards.false_in[unlock, Why.EMPTY] == "two-guests"
    assert guards.waiting == []


def test_no_more_worlds_are_explored_than_are_needed() -> None:
    guards = Guards(CROWDED, [TWO_GUESTS, ROOM_FOR_TWO])
    assert guards.never_false({unlock: [Why.TEST]}) == ()
    assert guards.waiting == [ROOM_FOR_TWO]
    assert guards.never_false({unlock: [Why.TEST, Why.TEST]}) == ()
    assert guards.never_false({enter: [Why.EMPTY]}) == ((enter, Why.EMPTY),)


def test_a_guard_without_which_the_step_cannot_be_run_is_kept_for_those_behind_it() -> None:
    era = Era(id="following", title="the house, with one who follows", added=(enter, leave, unlock, follow))
    found = list(refusals(Instance(era, ROOM_FOR_TWO), follow))
    assert {guard for _, guard, _ in found} == {Why.ROOM, Why.TEST}
    assert Guards(era, [ROOM_FOR_TWO]).never_false({follow: [Why.ROOM, Why.TEST]}) == ((follow, Why.ROOM),)


def test_guards_of_an_era_that_no_small_world_refuses() -> None:
    step = step_named(E6, "killer.mark_oom_victim.set TIF_MEMDIE")
    other = step_named(E6, "mm.exit_mmap.unmap_vmas[done]")
    used = {each: [guard for _, guard, _ in refusals(Instance(E6, SMALL[0]), each)] for each in (step, other)}
    assert [guard.name for guard in dict.fromkeys(used[other])] == ["NO_PAGES_LEFT"]
    names = {(declared.id, guard.name) for declared, guard in Guards(E6, SMALL).never_false(used)}
    assert names == {(step.id, guard.name) for guard in used[step] if guard.name == "NO_MEMDIE"}


def test_a_vacuous_guard_makes_the_whole_vacuous() -> None:
    step = step_named(E6, "killer.mark_oom_victim.set TIF_MEMDIE")
    (guard,) = {guard for _, guard, _ in refusals(Instance(E6, SMALL[0]), step)}
    examiner = Examiner(E6, SMALL)
    (subject,) = find_properties("S5r")
    found = examiner.examine(subject, {step: [guard]})
    assert (found.word, found.reason) == (Word.VACUOUS, f"NO_MEMDIE of {step.id} is never false")
    more = attrs.evolve(found, never_false=found.never_false * 3)
    assert more.reason.endswith("is never false, nor are 2 others")


def test_small_worlds_start_cold_and_the_smallest_goes_first() -> None:
    found = small_worlds(E6)
    assert all(scenario.starts_after is None and not scenario.slow for scenario in found)
    assert [len(scenario.objects) for scenario in found] == sorted(len(scenario.objects) for scenario in found)
    assert not any(House in scenario.about for scenario in found)
    assert len(all_eras()) > 30
