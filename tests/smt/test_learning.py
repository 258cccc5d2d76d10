"""Lemmas learned from counterexamples to induction: what is found, what is refused, when the search stops."""

from __future__ import annotations

import attrs
import pytest

from oom_smt.induction import Prover, formula_of
from oom_smt.learning import Learner, Stuck, said
from oom_smt.suggesting import Choice, choices, never
from oom_spec.eras import find_era
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario
from oom_spec.unbounded.clauses import read_clause
from oom_spec.unbounded.crowds import explored_worlds
from oom_spec.unbounded.grounding import absent_classes
from oom_spec.unbounded.literals import members_of
from oom_spec.unbounded.small_worlds import SmallWorlds

E6 = find_era("v4.15")


@pytest.fixture(scope="module")
def worlds() -> SmallWorlds:
    return explored_worlds(
        E6, scenarios=[find_scenario(name) for name in ("single", "tlb", "kthread-fault", "threads")]
    )


def test_what_is_learned_is_inductive(worlds: SmallWorlds) -> None:
    said: list[str] = []
    learner = Learner(E6, worlds, said.append)
    learner.take_seen_values()
    (subject,) = find_properties("S9")
    numbers = learner.prove(subject)
    assert said
    formulas = {str(number): learner.learned[number].formula for number in numbers}
    assert formula_of(subject) in formulas.values()
    alive, broken = Prover(absent_classes(E6)).inductive(E6, formulas)
    assert broken == {}
    assert set(alive) == set(formulas)


def test_an_event_is_proved_with_lemmas_about_the_routine(worlds: SmallWorlds) -> None:
    learner = Learner(E6, worlds)
    learner.take_seen_values()
    numbers = learner.prove(find_properties("S4")[0])
    clauses = [str(said(learner.learned[number].clause)) for number in numbers]
    assert any("reads" in each for each in clauses)


def test_a_property_that_is_violated_has_no_lemmas(worlds: SmallWorlds) -> None:
    """S6m is violated in v4.15, in worlds that are not among these."""
    learner = Learner(E6, worlds)
    learner.take_seen_values()
    before = dict(learner.learned)
    with pytest.raises(Stuck):
        learner.prove(find_properties("S6m")[0], seconds=10)
    assert learner.learned == before


def test_a_state_that_a_small_world_reaches_ends_the_search() -> None:
    learner = Learner(E6, explored_worlds(E6, scenarios=[find_scenario("dying-threads")]))
    with pytest.raises(Stuck, match="no lemma excludes what is in the way of S6m"):
        learner.prove(find_properties("S6m")[0])


def test_a_search_ends_in_time(worlds: SmallWorlds) -> None:
    learner = Learner(E6, worlds)
    with pytest.raises(Stuck, match="out of time"):
        learner.prove(find_properties("S1")[0], seconds=0)


def test_what_the_start_does_not_give_is_not_searched_for(worlds: SmallWorlds) -> None:
    (subject,) = find_properties("S9")
    wrong = attrs.evolve(subject, when=lambda world, mm: True, then=lambda world, mm: mm.oom_skip)
    with pytest.raises(Stuck, match="the start does not give it"):
        Learner(E6, worlds).prove(wrong)


def test_known_clauses_are_taken_where_they_hold(worlds: SmallWorlds) -> None:
    learner = Learner(E6, worlds)
    texts = (
        ["killer1.at is not IDLE or OOM_LOCK", "not killer1.holds_oom_lock"],
        ["killer1.victim is task1", "task1.memdie"],  # small worlds reach it
        ["task1.memdie", "not task1.hashed", "not task1.has_mm", "task1.exiting"],  # a step may break it
    )
    clauses = [tuple(choices(read_clause(each).literals)) for each in texts]
    assert learner.sift(clauses[:2]) == 1
    assert [each.formula for each in learner.learned.values()] == [never(clauses[0])]


def test_choices_are_put_together_and_shown_shortly() -> None:
    (literal,) = choices(read_clause(["reaper.at is not WAIT"]).literals)
    assert isinstance(literal, Choice)
    assert literal.values == set(members_of(literal.term.sort)) - {"WAIT"}
    assert str(said([literal])) == "never (reaper.at is not WAIT)"
