"""The search for lemmas: what is taken from other eras, what is taken back, what is as general as can be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from oom_smt.generalising import Generaliser, few, weaker
from oom_smt.learning import Learner, Stuck
from oom_smt.searching import Found, Search, merged
from oom_smt.suggesting import choices
from oom_spec.eras import find_era
from oom_spec.language.terms import Term
from oom_spec.properties import PROPERTIES, find_properties
from oom_spec.scenarios import find_scenario
from oom_spec.unbounded.clauses import clause, read_clause
from oom_spec.unbounded.crowds import explored_worlds, sample
from oom_spec.unbounded.opening import never_all
from oom_spec.unbounded.recorded import Recorded, load, read, write, written
from oom_spec.unbounded.small_worlds import SmallWorld, SmallWorlds

E6 = find_era("v4.15")
(S9,) = find_properties("S9")


@pytest.fixture(scope="module")
def worlds() -> SmallWorlds:
    return explored_worlds(E6, scenarios=[find_scenario(name) for name in ("single", "tlb")])


@pytest.fixture
def nothing_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oom_smt.searching.written", lambda: ())


def literals(*texts: str) -> list[Term]:
    return list(read_clause(texts).literals)


@pytest.mark.usefixtures("nothing_by_hand")
def test_a_lemma_of_another_era_is_taken_with_what_it_needs(worlds: SmallWorlds) -> None:
    first = Search(E6, (), worlds=worlds).prove(S9, 30)
    assert first.lemmas
    known = merged((), find_era("v4.14"), [first])
    assert {each.eras for each in known} == {("E5",)}
    again = Search(E6, known, worlds=worlds)
    assert any(each.clause for each in again.learner.learned.values())
    found = again.prove(S9, 0)  # no time to learn anything
    assert set(found.lemmas) == set(first.lemmas)
    both = merged(known, E6, [found])
    assert {each.eras for each in both} == {("E5", "E6")}
    assert read(write(both), "here") == tuple(sorted(both, key=lambda each: each.name))


@pytest.mark.usefixtures("nothing_by_hand")
def test_excuses_are_tried_where_the_strict_form_is_not_shown(
    worlds: SmallWorlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    (subject,) = find_properties("N2r")

    def prove(self: Learner, wanted: object, seconds: float) -> set[int]:
        asked.append("strict" if wanted is not subject else "excused")
        if wanted is not subject:
            raise Stuck("no")
        return set()

    monkeypatch.setattr(Learner, "prove", prove)
    assert Search(E6, (), worlds=worlds).prove(subject, 1).stuck == ""
    assert asked == ["strict", "excused"]


def test_runs_go_on_from_states_that_are_in_the_way() -> None:
    instance, packing, states, successors = sample(E6, find_scenario("single"))
    first = SmallWorld(instance, packing, states[:1], successors)
    some = SmallWorlds([first])
    begun = literals("killer1.at is OOM_LOCK")
    assert not some.reachable(begun)
    some.go_on_from(literals("killer1.at is IDLE"))
    assert some.reachable(begun)
    explored = SmallWorlds([SmallWorld(instance, packing, states[:1])])
    explored.go_on_from(literals("killer1.at is IDLE"))
    assert not explored.reachable(begun)


def test_a_wrong_lemma_is_taken_back_with_what_was_shown_by_it(worlds: SmallWorlds) -> None:
    learner = Learner(E6, worlds)
    wrong = learner.take(tuple(choices(literals("task1.memdie"))), "a mistake")
    leaning = learner.take(tuple(choices(literals("not task1.hashed", "task1.has_mm"))), "what leans on it")
    leaning.done, leaning.cores = True, {wrong.number}
    with pytest.raises(Exception, match=r"^$"):
        learner._drop({wrong.number})
    assert list(learner.learned) == [leaning.number]
    assert not leaning.done


def test_conditions_that_were_met_are_not_excluded_again(worlds: SmallWorlds) -> None:
    general = Generaliser(worlds, lambda goal: True)
    unreachable = choices(literals("task1.process.mm.unmapped", "killer1.victim is task1", "killer1.at is IDLE"))
    assert not general.reachable(unreachable)
    general.met.append(unreachable)
    assert general.reachable(unreachable)
    renamed = choices(literals("killer2.victim is task3", "killer2.at is IDLE or SELECT"))
    assert general.reachable(renamed)


@pytest.mark.parametrize(
    ("said", "by", "so"),
    [
        (["task1.memdie"], ["task2.memdie", "task1.hashed"], True),
        (["task1.memdie", "task1.hashed"], ["task2.memdie", "task1.hashed"], False),
        (["reaper.at is ZAP or WAIT"], ["reaper.at is ZAP"], True),
        (["reaper.at is ZAP"], ["reaper.at is ZAP or WAIT"], False),
        (["reaper.at is ZAP"], ["task1.memdie"], False),
    ],
)
def test_what_says_less(said: Sequence[str], by: Sequence[str], so: bool) -> None:
    assert weaker(choices(literals(*said)), choices(literals(*by))) is so


def test_what_is_said_of_the_object_that_another_leads_to_is_said_of_any(worlds: SmallWorlds) -> None:
    general = Generaliser(worlds, lambda goal: True)
    wide = general.widened(choices(literals("task1.process.mm.unmapped", "task1.process.mm.mmput_at is IDLE")))
    from oom_smt.learning import said

    assert said(wide) == read_clause(said(wide).texts)
    assert "task" not in str(said(wide))
    assert str(said(wide)).startswith("never (mm1.mmput_at is")


def test_support_counts_worlds(worlds: SmallWorlds) -> None:
    general = Generaliser(worlds, lambda goal: True)
    assert general.support(choices(literals("task1.memdie", "task1.hashed"))) == 2
    assert general.support(choices(literals("reaper.at is PATCH_1", "task1.hashed"))) == 0
    assert [few(each) for each in (0, 3, 4, 7, 8)] == [2, 2, 1, 1, 0]


def test_recorded_lemmas_come_back_as_they_were() -> None:
    made = clause(literals("killer1.victim is task1", "task1.memdie"))
    one = Recorded(made.name, made, ("E6", "E7"), ("another",))
    assert read(write([one]), "here") == (one,)
    assert one.formula is never_all(made.literals)


def test_what_a_person_wrote_keeps_its_name_and_is_recorded_as_it_is_written() -> None:
    by_hand = {each.name: each for each in written()}
    recorded = {each.name: each for each in load()}
    assert by_hand.keys() <= recorded.keys(), "some lemma by hand is of no use to any proof"
    assert all(recorded[name].clause == each.clause for name, each in by_hand.items())
    one = by_hand["true-skip"]
    found = Found(PROPERTIES[0], {one.clause: {by_hand["behind-unmap"].clause}, by_hand["behind-unmap"].clause: set()})
    kept = {each.name: each for each in merged([], E6, [found])}
    assert kept["true-skip"].needs == ("behind-unmap",)
    assert kept.keys() == {"true-skip", "behind-unmap"}
