"""Differences between eras: against a brute-force reference, by plain steps, and that mutants are found."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from itertools import combinations

import attrs
import pytest

from oom_spec.differing import (
    Answer,
    Change,
    Outcome,
    Plain,
    compare,
    confirm,
    same_transitions,
    step_changes,
    without_repetition,
)
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration, replay
from oom_spec.instances import Instance
from oom_spec.language import Era, SpecError, Step, UnknownNameError, World, negate, requires, step
from oom_spec.observing import (
    DEFAULT,
    OBSERVABLES,
    Aspect,
    Interned,
    Observable,
    Observation,
    Observer,
    find_observables,
)
from oom_spec.protocol.names import Guard
from oom_spec.protocol.state import Mm
from oom_spec.scenarios import find_scenario
from oom_spec.scenarios.gallery import GALLERY
from oom_spec.stepping import State
from oom_spec.unnoticed import Limits

from .toy import HOUSE, ROOM_FOR_TWO, Guest, GuestAt, House, Paint, Why, guest_step

ALL = find_observables(DEFAULT)
KILLS = find_observables(["skip", "kills"])

DOOR = Observable("door", "The door.", (Aspect(House, "locked"),))
WHO = Observable("who", "Who is inside.", (Aspect(Guest, "inside"),))
COLOUR = Observable("colour", "Blue and green look the same.", (Aspect(House, "paint", dict.fromkeys(Paint, "any")),))
PAINT = Observable("paint", "The colour.", (Aspect(House, "paint"), Aspect(House, "visits")))

# -- the toy: every pair of variants against a reference that knows nothing of closed sets ---------


@guest_step(at=GuestAt.OUTSIDE, then=GuestAt.INSIDE, call="enter")
def enters_uncounted(guest: Guest) -> None:
    """Comes in, and nobody counts."""
    requires(guest.house.visits == 0, Why.ROOM)
    guest.inside = True


@guest_step(at=GuestAt.INSIDE, then=GuestAt.INSIDE, call="dance")
def dances(guest: Guest) -> None:
    """For ever, if nobody minds."""


@guest_step(at=GuestAt.OUTSIDE, then=GuestAt.GONE, call="stay away", environment=True)
def stays_away(guest: Guest) -> None:
    """Never comes in."""


@step(House, kernel="toy/house.c:paint", call="paint", environment=True)
def paints(house: House) -> None:
    """Somebody paints the open door."""
    requires(house.paint != Paint.GREEN, Why.TEST)
    house.paint = Paint.GREEN


@step(House, kernel="toy/house.c:lock", call="lock", environment=True)
def locks(house: House) -> None:
    """Somebody locks the door; nobody may count on it."""
    requires(negate(house.locked), Why.UNLOCKED)
    house.locked = True


@step(House, kernel="toy/house.c:unlock", call="unlock", environment=True)
def unlocks_perhaps(house: House) -> None:
    """Nobody may count on this either: the door may stay locked, though it may also be unlocked again and again."""
    requires(house.locked, Why.TEST)
    house.locked = False


def variant(name: str, *, added: Sequence[Step] = (), removed: Sequence[str] = ()) -> Era:
    """The toy with steps added and left out; an added step takes the place of one of the same id."""
    ids = {each.id for each in HOUSE.steps}
    return Era(
        id=name,
        title=name,
        parent=HOUSE,
        added=tuple(each for each in added if each.id not in ids),
        replaced=tuple(each for each in added if each.id in ids),
        removed=tuple(removed),
    )


VARIANTS = (
    HOUSE,
    variant("locked for ever", removed=("house.unlock.unlock",)),
    variant("nobody leaves", removed=("guest.visit.leave",)),
    variant("uncounted", added=(enters_uncounted,)),
    variant("dancing", added=(dances,)),
    variant("shy", added=(stays_away,)),
    variant("moody", added=(locks, unlocks_perhaps)),
    variant("painted", added=(paints,)),
)
SIGHTS = ((WHO,), (DOOR, WHO), (PAINT, COLOUR), (DOOR, PAINT))
LONGEST = 7
"""Changes up to which the reference looks; every shortest difference of the toy is shorter."""


def may_settle(plain: Plain, nodes: set[State]) -> bool:
    """By definition: some strongly connected set of states in which nobody who can act for ever is left out."""
    for size in range(1, len(nodes) + 1):
        for group in combinations(sorted(nodes), size):
            inside = set(group)
            moves = {s: plain.moves(s) for s in group}
            reached = {group[0]}
            back = {group[0]}
            for _ in group:
                reached |= {t for s in reached for _, t in moves[s] if t in inside}
                back |= {s for s in group if any(t in back for _, t in moves[s])}
            if reached & back != inside:
                continue
            fair = {(a.actor, t in inside) for s in group for a, t in moves[s] if not a.step.environment}
            if all((actor, True) in fair for actor, _ in fair):
                return True
    return False


def reference(era: Era, sights: Sequence[Observable]) -> dict[tuple[object, ...], int]:
    """Every sequence of at most `LONGEST` observations, with an end mark where nothing more need be seen.

    With the fewest steps that show it; 0 for those with an end mark.
    """
    plain = Plain(Instance(era, ROOM_FOR_TWO), sights, 10_000)
    start = plain.instance.concrete.initial
    first = (plain.observe(start),)
    known: dict[tuple[State, tuple[Observation, ...]], int] = {(start, first): 0}
    pending = deque(known)
    while pending:
        state, seen = pending.popleft()
        for _, target in plain.moves(state):
            now = plain.observe(target)
            then = seen if now == seen[-1] else (*seen, now)
            if len(then) <= LONGEST and (target, then) not in known:
                known[target, then] = known[state, seen] + 1
                pending.append((target, then))
    sequences: dict[tuple[object, ...], int] = {}
    for (_, seen), steps in known.items():
        sequences.setdefault(seen, steps)
    settled: dict[frozenset[State], bool] = {}
    for seen in {seen for _, seen in known}:
        if len(seen) < LONGEST:
            nodes = frozenset(state for state, shown in known if shown == seen)
            if nodes not in settled:
                settled[nodes] = may_settle(plain, set(nodes))
            if settled[nodes]:
                sequences[*seen, "for ever"] = 0
    return sequences


@pytest.mark.parametrize("sights", SIGHTS, ids=lambda sights: "+".join(each.name for each in sights))
def test_every_pair_of_toys_differs_exactly_as_the_reference_says(sights: tuple[Observable, ...]) -> None:
    sequences = {era.id: reference(era, sights) for era in VARIANTS}
    found = set()
    for one in VARIANTS:
        for other in VARIANTS:
            outcome = compare(one, other, ROOM_FOR_TWO, sights, shortcut=False)
            left = {seen: steps for seen, steps in sequences[one.id].items() if seen not in sequences[other.id]}
            expected = min((len(each) for each in left), default=None)
            if outcome.difference is None:
                assert (outcome.answer, expected) == (Answer.NONE, None), (one.id, other.id)
            else:
                seen: tuple[object, ...] = outcome.difference.observations
                steps = len(outcome.difference.steps)
                if outcome.difference.stays:
                    seen, steps = (*seen, "for ever"), 0
                assert len(seen) == expected, (one.id, other.id)
                assert left[seen] == steps, (one.id, other.id)
                ties = [left[each] for each in left if len(each) == expected and each[-1] != "for ever"]
                assert steps <= min(ties, default=steps), (one.id, other.id)
                assert confirm(outcome, sights) is True, (one.id, other.id)
            found.add(outcome.answer)
    assert found == {Answer.NONE, Answer.DIFFERS}


def test_inclusion_may_hold_one_way_only() -> None:
    painted = VARIANTS[-1]
    assert compare(HOUSE, painted, ROOM_FOR_TWO, (DOOR, PAINT)).answer is Answer.NONE
    assert compare(painted, HOUSE, ROOM_FOR_TWO, (DOOR, PAINT)).answer is Answer.DIFFERS


def test_what_is_not_observed_is_no_difference() -> None:
    painted = VARIANTS[-1]
    assert compare(painted, HOUSE, ROOM_FOR_TWO, (DOOR, COLOUR), shortcut=False).answer is Answer.NONE


# -- the kernel --------------------------------------------------------------------------------


def both_ways(old: str, new: str, scenario: str, observables: Sequence[Observable] = ALL) -> tuple[Outcome, Outcome]:
    eras, world = (find_era(old), find_era(new)), find_scenario(scenario)
    return compare(*eras, world, observables), compare(*eras[::-1], world, observables)


@pytest.mark.parametrize("scenario", ["marked", "single"])
def test_v4_13_and_v4_14_differ_both_ways_and_plain_steps_agree(scenario: str) -> None:
    for outcome in both_ways("v4.13", "v4.14", scenario):
        difference = outcome.difference
        assert difference is not None
        instance = Instance(outcome.allowing, outcome.scenario)
        states = replay(instance, (*difference.start, *difference.steps))
        seen = without_repetition([Observer(instance, ALL).plain(s) for s in states[len(difference.start) :]])
        assert seen == difference.observations
        assert len(difference.seen) == len(seen) - 1
        assert difference.seen[-1] not in difference.offers
        assert bool(difference.start) is (scenario == "marked")
        assert confirm(outcome, ALL, most=5_000) is True


def test_a_run_that_the_other_era_has_is_not_confirmed() -> None:
    outcome = both_ways("v4.13", "v4.14", "marked")[0]
    assert outcome.difference is not None
    shorter = attrs.evolve(outcome.difference, steps=outcome.difference.steps[:-1])
    assert confirm(attrs.evolve(outcome, difference=shorter), ALL, most=5_000) is False
    assert confirm(attrs.evolve(outcome, forbidding=outcome.allowing), ALL, most=5_000) is False
    staying = attrs.evolve(shorter, stays=True)
    assert confirm(attrs.evolve(outcome, difference=staying), ALL, most=5_000) is False
    assert confirm(outcome, ALL, most=10) is None


@pytest.mark.parametrize("era", ["v4.12", "v4.14", "hocko-2017-07-24", "rientjes-2017-06-14"])
def test_no_era_differs_from_itself(era: str) -> None:
    chosen, world = find_era(era), find_scenario("single")
    assert compare(chosen, chosen, world, ALL, shortcut=False).answer is Answer.NONE
    assert compare(chosen, chosen, world, ALL).reason == "both have the same transitions here"


def reworded(era: Era, number: int) -> tuple[Era, Step]:
    """The era with one step written anew; the same in effect."""
    again = attrs.evolve(era.steps[number], doc="Said in other words.")
    return Era(id="reworded", title="", parent=era, replaced=(again,)), again


def test_a_step_of_equal_effect_is_a_difference_in_text_only() -> None:
    era = find_era("v4.14")
    same, again = reworded(era, 5)
    (change,) = step_changes(era, same, GALLERY)
    assert (change.change, change.id, change.same_effect) == (Change.MODIFIED, again.id, True)
    world = find_scenario("single")
    assert same_transitions(Instance(era, world), Instance(same, world))
    assert not same_transitions(Instance(era, world), Instance(era, find_scenario("empty-mm")))
    assert compare(era, same, world, ALL, shortcut=False).answer is Answer.NONE
    assert compare(same, era, world, ALL, shortcut=False).answer is Answer.NONE


def test_the_steps_of_two_eras_are_added_removed_and_modified() -> None:
    old, new = find_era("v4.13"), find_era("v4.14")
    changes = step_changes(old, new, GALLERY)
    ids = {kind: {each.id for each in changes if each.change is kind} for kind in Change}
    before, after = ({each.id for each in era.steps} for era in (old, new))
    assert ids[Change.ADDED] == after - before
    assert ids[Change.REMOVED] == before - after
    assert ids[Change.MODIFIED] == {each.id for each in new.replaced}
    assert not any(each.same_effect for each in changes)
    assert {each.id for each in step_changes(new, old, GALLERY)} == {each.id for each in changes}


@pytest.mark.parametrize(
    "missing",
    ["mm.exit_mmap.set_bit(MMF_OOM_SKIP)", "reaper.__oom_reap_task_mm.set_bit(MMF_UNSTABLE)", "mm.exit_mmap.up_write"],
)
def test_an_era_that_lacks_a_step_is_found_different(missing: str) -> None:
    era, world = find_era("v4.14"), find_scenario("single")
    less = era.without((missing,))
    assert not same_transitions(Instance(era, world), Instance(less, world))
    outcome = compare(era, less, world, ALL)
    assert outcome.answer is Answer.DIFFERS
    assert confirm(outcome, ALL, most=8_000) is not False


@step(World, kernel="somebody:test", call="set MMF_UNSTABLE", environment=True)
def somebody_sets_unstable(mm: Mm) -> None:
    """A step that the kernel does not have."""
    requires(mm.oom_skip, Guard.SKIP_SET)
    mm.unstable = True


def test_an_era_with_one_more_possibility_includes_the_other() -> None:
    era, world = find_era("v4.12"), find_scenario("single")
    more = Era(id="more", title="", parent=era, added=(somebody_sets_unstable,))
    assert compare(era, more, world, ALL).answer is Answer.NONE
    outcome = compare(more, era, world, ALL)
    assert outcome.difference is not None
    assert outcome.difference.steps[-1].step is somebody_sets_unstable


def test_to_go_on_for_ever_without_skip_is_a_difference() -> None:
    old, new = both_ways("v4.12", "rientjes-2017-06-14", "blocked-aio", KILLS)
    assert old.difference is not None
    assert not old.difference.stays
    assert new.difference is not None
    assert new.difference.stays
    assert not new.difference.offers_to_stay
    assert ("mm0.oom_skip: false -> true",) in new.difference.offers
    assert {action.actor for action in new.difference.company} == {"killer"}


def test_waiting_for_somebody_who_is_bound_to_act_is_not_going_on_for_ever() -> None:
    world = find_scenario("single")
    for outcome in both_ways("v4.12", "rientjes-2017-06-14", world.id, KILLS):
        assert outcome.difference is None or not outcome.difference.stays


def test_nothing_is_claimed_complete_from_the_middle_of_the_protocol() -> None:
    era, world = find_era("v4.14"), find_scenario("marked")
    assert compare(era, era, world, ALL, shortcut=False).answer is Answer.NONE_FROM_HERE


# -- limits ------------------------------------------------------------------------------------


def test_a_search_that_is_cut_short_says_so_and_how_far_it_came() -> None:
    eras, world = (find_era("v4.12"), find_era("v4.14")), find_scenario("single")
    whole = compare(*eras, world, ALL)
    assert whole.difference is not None
    few = compare(*eras, world, ALL, Limits(most=150))
    assert few.answer is Answer.CUT_SHORT
    assert few.reason == "more than 150 states of E5"
    assert few.bound is not None
    assert 0 < few.bound < len(whole.difference.seen)
    late = compare(*eras, world, ALL, Limits(ends_at=time.monotonic() - 1))
    assert (late.answer, late.reason, late.bound) == (Answer.CUT_SHORT, "time is up", 0)


# -- what is observed --------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", ["empty-mm", "memory-kinds"])
def test_a_packed_state_looks_like_the_plain_one(scenario: str) -> None:
    interned = Interned()
    constants = []
    for name in ("v4.12", "v4.14"):
        exploration = Exploration(Instance(find_era(name), find_scenario(scenario)))
        observer = Observer(exploration.instance, OBSERVABLES)
        observe = observer.packed(exploration.packing, interned)
        for state in list(exploration.parents)[::7]:
            plain = observer.plain(exploration.packing.unpack(state))
            assert interned.observations[observe(state)] == plain
        constants.append({name for name, _ in exploration.instance.constants})
    if scenario == "memory-kinds":
        assert constants[0] != constants[1], "some field is folded in one era only"


def test_the_default_observables_are_on_the_list() -> None:
    assert {each.name for each in ALL} == set(DEFAULT)
    assert find_observables(["kills", "skip"]) == KILLS


def test_an_unknown_observable_is_refused() -> None:
    with pytest.raises(UnknownNameError) as refused:
        find_observables(["skp"])
    assert str(refused.value) == (
        "unknown observable 'skp'; did you mean 'skip'? the list is "
        "skip, unstable, locks, memory, kills, results, oom-lock, exits"
    )


@pytest.mark.parametrize(
    ("aspect", "why"),
    [
        (
            Aspect(Mm, "pass_completed"),
            "Mm.pass_completed cannot be observed: it is history; observe a flag or a count",
        ),
        (Aspect(Mm, "mmput_at"), "Mm.mmput_at cannot be observed: it is a program counter; observe a flag or a count"),
    ],
)
def test_history_and_program_counters_cannot_be_observed(aspect: Aspect, why: str) -> None:
    instance = Instance(find_era("v4.12"), find_scenario("empty-mm"))
    with pytest.raises(SpecError) as refused:
        Observer(instance, (Observable("x", "", (aspect,)),))
    assert str(refused.value) == why
