"""Each step of each era is taken in some scenario, or `oom_spec.runs.unreached` says why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache

import pytest

from oom_spec.eras import all_eras, find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Action, Instance
from oom_spec.language import Era, Scenario, SpecError
from oom_spec.language.errors import Disabled
from oom_spec.runs.unreached import UNREACHED, Unreached, unreached
from oom_spec.scenarios import SCENARIOS
from oom_spec.stepping import ConcreteStore

from .toy import HOUSE, TWO_GUESTS, complaint

ERAS = [era.id for era in all_eras()]
Witness = tuple[Scenario, tuple[Action, ...]]
witnesses: list[Witness] = []
"""The runs that took a step for the first time in some era: they are tried first in the next, by plain steps."""


def not_taken(era: Era, scenarios: Sequence[Scenario], wanted: set[str]) -> set[str]:
    """The steps of ``wanted`` that no scenario takes; looks no further than it must."""
    left = set(wanted)
    for scenario, run in witnesses:
        if scenario in scenarios and any(action.step.id in left for action in run):
            left -= taken_again(era, scenario, run)
    remaining = sorted(scenarios, key=lambda each: (each.starts_after is not None, len(each.objects)))
    while left and remaining:
        hopes = Counter(scenario.id for scenario, run in witnesses if run[-1].step.id in left)
        scenario = max(remaining, key=lambda each: hopes[each.id])
        remaining.remove(scenario)
        instance = Instance(era, scenario)
        if not left.isdisjoint(path.action.step.id for path in instance.paths):
            left -= taken_in(instance, left)
    return left


def taken_again(era: Era, scenario: Scenario, run: Sequence[Action]) -> set[str]:
    """The steps of a run of another era that this era takes too, by plain steps, as far as it goes."""
    own = {step.id: step for step in era.steps}
    store = store_of(scenario)
    taken: set[str] = set()
    state = store.initial
    for action in run:
        store.load(state)
        step = own.get(action.step.id)
        if step is None or {name for name, _ in step.parameters} != set(action.arguments):
            break
        if scenario.ends is not None and scenario.ends(store.world):
            break
        try:
            state = store.run(step, action.arguments, state)
        except Disabled:
            break
        taken.add(step.id)
    return taken


store_of = cache(ConcreteStore)


def taken_in(instance: Instance, wanted: set[str]) -> set[str]:
    """The steps of ``wanted`` that are taken in one scenario; stops when there is no more to find."""
    try:
        cold = Exploration(instance, most=0)
    except SpecError:
        return set()  # this era cannot start there
    steps = [path.action.step.id for path in instance.paths]
    left = wanted.intersection(steps)
    found: set[str] = set()
    parents: dict[int, tuple[int, int] | None] = dict(cold.parents)
    level = list(parents)
    while level and left:
        following = []
        for state in level:
            for target, number in cold.generated.successors(state):
                if steps[number] in left:
                    left.discard(steps[number])
                    found.add(steps[number])
                    way = [instance.paths[each].action for each in way_to(parents, state)]
                    last = instance.paths[number].action
                    witnesses.append((instance.scenario, (*cold.prefix_run, *way, last)))
                if target not in parents:
                    parents[target] = (state, number)
                    following.append(target)
        level = following
    return found


def way_to(parents: Mapping[int, tuple[int, int] | None], state: int) -> list[int]:
    """The paths that lead to a state."""
    numbers = []
    while (parent := parents[state]) is not None:
        state, number = parent
        numbers.append(number)
    return numbers[::-1]


def quick() -> list[Scenario]:
    """The scenarios of the default matrix."""
    return [scenario for scenario in SCENARIOS if not scenario.slow]


@pytest.mark.parametrize("era", ERAS)
def test_each_step_is_taken_in_some_scenario_unless_it_is_listed(era: str) -> None:
    chosen = find_era(era)
    missing = not_taken(chosen, quick(), {step.id for step in chosen.steps} - set(unreached(chosen)))
    assert sorted(missing) == [], "take each of these in a scenario, or say in oom_spec.runs.unreached why nothing does"


@pytest.mark.slow
@pytest.mark.parametrize("era", ERAS)
def test_no_listed_step_is_taken(era: str) -> None:
    chosen = find_era(era)
    listed: Mapping[str, str] = unreached(chosen)
    taken = set(listed) - not_taken(chosen, quick(), set(listed))
    assert sorted(taken) == [], "these are taken after all: strike them from oom_spec.runs.unreached"


def test_every_entry_of_the_list_names_a_step_of_each_era_that_it_names() -> None:
    for entry in UNREACHED:
        for pattern in entry.steps:
            one = Unreached(entry.eras, (pattern,), entry.reason)
            assert any(one.names(era.id, step.id) for era in all_eras() for step in era.steps), pattern
        for name in entry.eras:
            one = Unreached((name,), entry.steps, entry.reason)
            assert any(one.names(era.id, step.id) for era in all_eras() for step in era.steps), (name, entry.steps)


def test_a_step_has_one_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    again = Unreached(("E4",), ("killer.wake_oom_reaper.wake_oom_reaper[already queued]",), "once more")
    monkeypatch.setattr("oom_spec.runs.unreached.UNREACHED", (*UNREACHED, again))
    assert complaint(lambda: unreached(find_era("E4"))) == (
        "era E4: two entries of unreached.py name killer.wake_oom_reaper.wake_oom_reaper[already queued]: keep one"
    )


def test_a_bracket_in_a_pattern_stands_for_itself() -> None:
    entry = Unreached(("E4*",), ("mm.f.call[o*]",), "for the test")
    assert entry.names("E4b", "mm.f.call[outcome]")
    assert not entry.names("E5", "mm.f.call[outcome]")
    assert not entry.names("E4", "mm.f.callo")


def test_a_step_that_nothing_takes_is_noticed_and_one_that_is_taken_too() -> None:
    """In the toy with one guest too many the machine halts, yet each step is taken; none of another name is."""
    everything = {step.id for step in HOUSE.steps}
    assert not_taken(HOUSE, [TWO_GUESTS], everything) == set()
    assert not_taken(HOUSE, [], everything) == everything
    assert not_taken(HOUSE, [TWO_GUESTS], {"guest.visit.sleep", *everything}) == {"guest.visit.sleep"}
