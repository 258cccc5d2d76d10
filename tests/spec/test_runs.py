"""The runs that are written beside the eras, and the search that decides them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import attrs
import pytest

from oom_spec import possible as deciding
from oom_spec.eras import all_eras
from oom_spec.exploring import plain_graph, replay
from oom_spec.instances import Action, Instance
from oom_spec.language import SpecError, UnknownNameError, every, some
from oom_spec.language.runs import (
    ExpectedRun,
    Happens,
    Holds,
    Item,
    Never,
    Written,
    happens,
    holds,
    impossible,
    never,
    possible,
    then,
)
from oom_spec.possible import Decider, Outcome, contains
from oom_spec.runs import all_runs, decide_runs, find_run, runs_of

from .toy import HOUSE, ROOM_FOR_TWO, Guest, House, complaint, enter, leave, unlock

HERE = Instance(HOUSE, ROOM_FOR_TWO)
ANN_COMES = happens(enter, about="ann")
ANN_GOES = happens(leave, about="ann")
BOB_COMES = happens(enter, about="bob")
BOTH_INSIDE = holds("both are inside", lambda world: every(world.all(Guest), lambda guest: guest.inside))
LOCKED = holds("the door is locked", lambda world: some(world.all(House), lambda house: house.locked))
ANN_INSIDE = holds("ann is inside", lambda world, guest: guest.inside, about="ann")
FORBIDDEN: Any = never(enter)
"""Typed so that mypy lets a test put it where it does not belong."""
ABOUT = {"why": "To see the search at work.", "source": "the toy"}


def said(*items: Written, cannot: bool = False) -> ExpectedRun:
    """A run of the toy."""
    declare = impossible if cannot else possible
    return declare("toy", "room-for-two", "a run", items, **ABOUT)


def decided(*items: Written, cannot: bool = False) -> Outcome:
    """What the search says of a run of the toy."""
    return Decider(HERE).decide(said(*items, cannot=cannot))


def steps(outcome: Outcome) -> list[str]:
    """The calls of the run that was found, with who takes part."""
    return [f"{action.step.call} {' '.join(sorted(action.arguments.values()))}" for action in outcome.actions]


# -- the search, on the toy ------------------------------------------------------------------


def test_other_steps_are_filled_in_and_the_shortest_run_is_found() -> None:
    found = decided(ANN_GOES, BOB_COMES)
    assert found.as_written
    assert found.word == "possible"
    assert steps(found) == ["enter ann world", "leave ann world", "unlock house world", "enter bob world"]
    assert found.came_about == (2, 4)
    assert found.depth == 4


def test_a_condition_may_hold_in_the_start_or_right_after_a_step() -> None:
    found = decided(holds("nobody has come", lambda world: every(world.all(Guest), lambda g: not g.inside)), ANN_INSIDE)
    assert found.came_about == (0, 1)
    assert decided(LOCKED, ANN_COMES).came_about == (2, 4)


def test_what_never_follows_is_impossible() -> None:
    found = decided(ANN_GOES, ANN_COMES, cannot=True)
    assert found.as_written
    assert found.word == "impossible"
    assert steps(found) == ["enter ann world", "leave ann world"]
    assert found.came_about == (2,)


def test_never_forbids_a_step_between_its_neighbours_only() -> None:
    assert decided(ANN_GOES, never(unlock), BOB_COMES, cannot=True).as_written
    assert decided(never(unlock), ANN_GOES, BOB_COMES).as_written
    assert decided(ANN_GOES, never(enter, about="ann"), BOB_COMES).as_written


def test_the_first_occasion_is_not_always_the_right_one() -> None:
    found = decided(enter, never(enter), BOTH_INSIDE)
    assert found.as_written
    assert found.came_about == (2, 2)
    assert decided(enter, then(BOTH_INSIDE)).came_about == (2, 2)
    assert decided(ANN_INSIDE, then(leave)).came_about == (1, 2)
    assert decided(ANN_INSIDE, then(BOB_COMES), then(ANN_GOES)).came_about == (1, 2, 3)


def test_then_leaves_nothing_between() -> None:
    assert decided(ANN_COMES, then(BOB_COMES), then(leave)).depth == 3
    assert decided(ANN_COMES, then(unlock), cannot=True).as_written
    assert decided(ANN_GOES, then(BOB_COMES), cannot=True).as_written  # whoever goes alone locks the door
    assert not decided(ANN_COMES, then(LOCKED)).as_written


def test_an_outcome_that_differs_says_where_it_stops_or_how_long_it_is() -> None:
    stops = decided(ANN_GOES, ANN_COMES)
    assert not stops.as_written
    assert stops.remark == ("item 2 of 2, guest.visit.enter (ann), cannot come about after what precedes it")
    exists = decided(ANN_GOES, BOB_COMES, cannot=True)
    assert not exists.as_written
    assert exists.remark == "it is possible in 4 steps: draw it to see how"


def test_an_impossible_run_whose_beginning_is_impossible_is_badly_written() -> None:
    found = decided(ANN_GOES, ANN_COMES, BOB_COMES, cannot=True)
    assert found.word == "impossible"
    assert not found.as_written
    assert found.remark == (
        "badly written: item 2 of 3, guest.visit.enter (ann), cannot come about after what precedes it, "
        "so the items behind it say nothing"
    )


def test_an_impossible_run_whose_last_item_never_comes_about_is_badly_written() -> None:
    nobody = holds("ann is inside a locked house", lambda world, guest: guest.inside and guest.house.locked, "ann")
    found = decided(ANN_COMES, nobody, cannot=True)
    assert found.word == "impossible"
    assert not found.as_written
    assert found.remark == "badly written: item 2, ann is inside a locked house, cannot come about at all here"


def test_a_search_that_was_cut_short_is_unknown() -> None:
    found = Decider(HERE, most=3).decide(said(ANN_GOES, ANN_COMES, cannot=True))
    assert found.word == "unknown"
    assert not found.as_written
    assert found.remark == f"the search was cut short after {found.nodes} combinations: take a smaller scenario"


def test_a_run_that_does_not_contain_its_items_is_an_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "contains", lambda *_: False)
    with pytest.raises(SpecError, match="internal error: the run that was found in toy, room-for-two, does"):
        decided(ANN_COMES)


def test_a_step_that_the_era_lacks_is_an_error() -> None:
    with pytest.raises(SpecError) as error:
        decided("guest.visit.sleep")
    assert str(error.value) == (
        "run 'a run' names the step 'guest.visit.sleep', which era toy lacks: `oomspec show toy` lists its steps"
    )


def test_an_object_that_the_scenario_lacks_is_an_error() -> None:
    with pytest.raises(SpecError) as error:
        decided(happens(enter, about="carl"))
    assert str(error.value) == (
        "run 'a run' names 'carl', which is no object of scenario room-for-two: there are ann, bob, house"
    )
    with pytest.raises(SpecError, match="names 'carl'"):
        decided(attrs.evolve(ANN_INSIDE, about=("carl",)))


def test_an_object_that_takes_no_part_in_a_step_is_an_error() -> None:
    with pytest.raises(SpecError) as error:
        decided(ANN_COMES, never(unlock, about="ann"), ANN_GOES)
    assert str(error.value) == (
        "run 'a run': ann cannot take part in 'house.unlock.unlock' in scenario room-for-two: "
        "name objects of the step's parameters"
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (happens, "happens() names no step: name at least one"),
        (never, "never() names no step: name at least one"),
        (
            lambda: then(FORBIDDEN),
            "then(never(...)) says nothing: nothing lies between; leave the `then` out",
        ),
        (said, "run 'a run': nothing happens in it: name a step or a condition"),
        (lambda: said(never(enter)), "run 'a run': nothing happens in it: name a step or a condition"),
        (
            lambda: said(enter, never(leave)),
            "run 'a run': it ends with `never`, which speaks of the time until the next item: add one",
        ),
        (
            lambda: said(enter, never(leave), then(enter)),
            "run 'a run': `then` right after `never`: nothing lies between; keep one of the two",
        ),
        (
            lambda: said(never(leave), enter, cannot=True),
            "run 'a run': an impossible run needs two items that are possible one by one",
        ),
        (
            lambda: possible("toy", "room-for-two", "a run", [enter], why="", source="x"),
            "run 'a run': `why` is empty: fill it in",
        ),
        (
            lambda: possible((), "room-for-two", "a run", [enter], why="x", source="x"),
            "run 'a run': `eras` is empty: fill it in",
        ),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(wrong: object, message: str) -> None:
    assert complaint(wrong) == message


# -- against every run of the toy ------------------------------------------------------------


def all_toy_runs() -> Iterator[tuple[str, ...]]:
    """The ids of the actions of every run of the toy; all of them come to an end."""
    graph = plain_graph(HERE)
    assert graph is not None
    pending: list[tuple[tuple[int, ...], tuple[str, ...]]] = [(HERE.concrete.initial, ())]
    while pending:
        state, run = pending.pop()
        yield run
        pending += [(target, (*run, action)) for action, target in graph[state].items()]


def is_taken(item: Happens | Never, action: Action) -> bool:
    """Whether ``action`` is what the item names."""
    return action.step.id in item.steps and set(item.about) <= set(action.arguments.values())


def written_contains(items: tuple[Item, ...], run: list[Action], states: list[tuple[int, ...]]) -> bool:
    """By the definition: a time for each item, in order, with nothing forbidden between."""
    anchors = [(number, item) for number, item in enumerate(items) if not isinstance(item, Never)]
    for times in product(range(len(states)), repeat=len(anchors)):
        before = 0
        for (number, item), time in zip(anchors, times, strict=True):
            takes = isinstance(item, Happens)
            between = run[before : time - 1] if takes else run[before:time]
            if time < before + takes or (item.directly and between):
                break
            if isinstance(item, Happens):
                if not is_taken(item, run[time - 1]):
                    break
            elif not HERE.holds(item.formula, item.about, states[time]):
                break
            restriction = items[number - 1] if number else None
            if isinstance(restriction, Never) and any(is_taken(restriction, each) for each in between):
                break
            before = time
        else:
            return True
    return False


def ways(thing: Happens | Holds) -> list[list[Written]]:
    """A thing after anything, after anything but some steps, and at once."""
    return [[thing], [never(enter), thing], [never(unlock, leave), thing], [then(thing)]]


def test_the_search_and_its_second_reader_agree_with_the_definition_on_every_run() -> None:
    """Every list of two things, with every restriction before each, against every run of the toy."""
    known = {action.id: action for action in HERE.actions}
    runs = [[known[each] for each in run] for run in all_toy_runs()]
    behind = {tuple(a.id for a in run): replay(HERE, run) for run in runs}
    decider = Decider(HERE)
    things: list[Happens | Holds] = [happens(enter), ANN_GOES, happens(unlock), BOTH_INSIDE, LOCKED]
    words = set()
    every_way = [way for thing in things for way in ways(thing)]
    for one, other in product(every_way, every_way):
        declared = said(*one, *other)
        outcome = decider.decide(declared)
        containing = [run for run in runs if written_contains(declared.items, run, behind[tuple(a.id for a in run)])]
        assert (outcome.word == "possible") is bool(containing), declared.items
        if containing:
            assert outcome.depth == min(len(run) for run in containing), declared.items
        for run in runs[:40]:
            assert contains(HERE, (), run, declared.stages) is (run in containing), declared.items
        words.add(outcome.word)
    assert words == {"possible", "impossible"}


# -- the runs beside the eras ----------------------------------------------------------------


@pytest.mark.parametrize("era", [era.id for era in all_eras()])
def test_the_runs_of_an_era_come_out_as_they_are_written(era: str) -> None:
    pairs = [(run, era) for run in sorted(runs_of(era), key=lambda run: run.scenario)]
    wrong = [f"{each.run.name}: {each.word}; {each.remark}" for each in decide_runs(pairs) if not each.as_written]
    assert wrong == []


def test_every_era_has_runs_that_characterise_it() -> None:
    few = {era.id: len(runs_of(era.id)) for era in all_eras() if len(runs_of(era.id)) < 2}
    assert few == {}, "write at least two runs for each of these, in oom_spec.runs"


def test_every_run_belongs_to_eras_that_exist() -> None:
    known = {era.id for era in all_eras()}
    assert [(run.name, era) for run in all_runs() for era in run.eras if era not in known] == []


def test_a_run_says_why_it_is_there_in_one_sentence() -> None:
    for run in all_runs():
        assert run.why.endswith("."), run.name
        assert not run.name.endswith("."), run.name


def test_a_run_is_found_by_a_part_of_its_name() -> None:
    assert find_run("E4", "b1: A SECOND").name.startswith("B1: ")
    with pytest.raises(UnknownNameError) as error:
        find_run("E4", "nothing of the kind")
    assert str(error.value).startswith("era E4 has no run named 'nothing of the kind'")
    with pytest.raises(UnknownNameError) as error:
        find_run("E4", "a")
    assert str(error.value).startswith("'a' may mean ")
    assert str(error.value).endswith(": write more of it")


def test_two_runs_of_one_era_do_not_share_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import oom_spec.runs.proposals_2017 as module

    monkeypatch.setattr(module, "RUNS", (*module.RUNS, module.RUNS[0]))
    name, era = module.RUNS[0].name, module.RUNS[0].eras[0]
    assert complaint(all_runs.__wrapped__) == f"era {era} has two runs named {name!r}: rename one"


def test_names_are_shared_by_runs_that_tell_eras_apart() -> None:
    """What one era allows and another forbids carries one name: at least the races of the mail do."""
    words: dict[str, set[str]] = {}
    for run in all_runs():
        words.setdefault(run.name, set()).add(run.expected.value)
    assert len([name for name, found in words.items() if len(found) == 2]) >= 5
