"""The suite is tested too: races put back and small slips are noticed, and what is noticed is named."""

from __future__ import annotations

import tomllib

import pytest

from oom_conformance import mutants
from oom_conformance.diagnosing import diagnose, nearest
from oom_conformance.itself import Itself
from oom_conformance.lockstep import Divergence, Kind, Lockstep
from oom_conformance.mutants import PORTFOLIO, Suite, Verdict
from oom_conformance.oracle import oracle_of
from oom_conformance.planted import Plant, check, plants
from oom_conformance.reference import Reference
from oom_conformance.slips import functions, slips
from oom_conformance.walking import walk_everything
from oom_spec.eras import find_era
from oom_spec.language import SpecError
from oom_spec.manifest import load
from oom_spec.properties import PROPERTIES
from oom_spec.scenarios import find_scenario
from oom_spec.verdicts import Word

SAMPLE = (
    ("E7", "E6b", "S2"),
    ("E6", "E4b", "S9"),
    ("E5", "E4b", "N1s"),
    ("E9", "mrelease-first-form", "S1"),
    ("E14", "E13", "S11"),
    ("E8b", "E8", "S6m"),
    ("E3", "E4", "S4"),
)


@pytest.mark.parametrize(("era", "bad", "name"), SAMPLE)
def test_a_race_put_back_is_caught_and_named(era: str, bad: str, name: str) -> None:
    (plant,) = (each for each in plants() if (each.era, each.behaves_as) == (era, bad) and name in each.properties)
    caught = check(plant)
    assert caught.missing == []
    assert caught.diagnosis is not None
    assert name in caught.diagnosis.races
    assert any(line.startswith(f"it violates {name} (") for line in caught.diagnosis.lines())


@pytest.mark.slow
@pytest.mark.parametrize("plant", plants(), ids=lambda plant: plant.id)
def test_every_race_of_the_matrix_is_caught_and_named(plant: Plant) -> None:
    assert check(plant).missing == []


def test_every_violated_cell_is_planted_unless_no_run_can_show_it() -> None:
    planted = {(each.behaves_as, name) for each in plants() for name in each.properties}
    cells, _ = load()
    graph = {each.id for each in PROPERTIES if each.graph is not None}
    violated = {key for key, cell in cells.items() if cell.word is Word.VIOLATED and key[1] not in graph}
    never_held = {
        name
        for _, name in violated - planted
        if not any(
            cell.word not in (Word.VIOLATED, Word.NOT_APPLICABLE) for (_, other), cell in cells.items() if other == name
        )
    }
    assert {name for _, name in violated - planted} == never_held


def test_code_of_the_right_era_is_not_caught() -> None:
    caught = check(Plant("E7", "E7", "memory-kinds", ("S2",)))
    assert caught.missing == ["not caught"]


def test_what_behaves_like_no_era_is_said_to() -> None:
    class Silent(Itself):
        def runnable(self) -> tuple[str, ...]:
            return tuple(each for each in super().runnable() if "mmget_not_zero" not in each)

    pair = Lockstep(oracle_of(find_era("E4"), find_scenario("stuck")), Silent())
    with pytest.raises(Divergence) as found:
        walk_everything(pair)
    assert found.value.kind is Kind.MISSING
    diagnosis = diagnose(found.value, Silent, candidates=nearest(find_era("E4"))[:3])
    assert diagnosis.lines() == ["it behaves like no era that is known"]


def test_neighbours_come_first() -> None:
    order = [each.id for each in nearest(find_era("E6b"))]
    assert order[:2] == ["E6", "E7"]
    assert len(order) == len(set(order)) == len(RELEASE_IDS) - 1


RELEASE_IDS = {era for era, _ in load()[0]}


# -- slips -----------------------------------------------------------------------------------


def test_slips_are_made_and_taken_back() -> None:
    slip = next(each for each in slips() if each.what == "left out: mm.mmget()" and each.function == "oom_reaper.v4_9")
    original = slip.target.__code__
    suite = Suite([("E4", "stuck")])
    verdict = suite.try_slip(slip)
    assert verdict.noticed_by.startswith("E4 in stuck: it ")
    assert slip.target.__code__ is original
    walk_everything(Lockstep(oracle_of(find_era("E4"), find_scenario("stuck")), Reference()))


def test_a_slip_that_nothing_reaches_survives() -> None:
    slip = next(each for each in slips() if each.function == "mrelease.reap")
    assert Suite([("E4", "stuck")]).try_slip(slip).noticed_by == ""


def test_ids_of_slips_are_unique_and_name_functions() -> None:
    names = {name for name, _ in functions()}
    every = slips()
    assert len({each.id for each in every}) == len(every)
    assert {each.function for each in every} <= names
    assert {"oom_reaper.v4_9", "exit_mmap.v6_1", "objects.RwSem.take_read"} <= names


def test_the_portfolio_has_eras_and_scenarios_that_exist() -> None:
    for era, scenario in PORTFOLIO:
        assert find_era(era).id == era
        assert find_scenario(scenario).id == scenario


def test_each_recorded_survivor_is_a_slip_of_today() -> None:
    ids = {each.id for each in slips()}
    assert [each for each in mutants.reasons() if each not in ids] == []
    assert all(len(reason.strip()) > 40 for reason in mutants.reasons().values())


def test_runs_to_every_step_notice_what_random_runs_do_not() -> None:
    what = "left out: sem.queue(at, 'khugepaged_exit', 'down_write')"
    slip = next(each for each in slips() if each.what == what)
    oracle = oracle_of(find_era("E3"), find_scenario("khugepaged"))
    mutants.directed_runs(oracle)
    with slip.made():
        mutants.random_runs(oracle)
        with pytest.raises(Divergence):
            mutants.directed_runs(oracle)


def test_words_that_are_made_later_are_no_slip() -> None:
    moved = [each.what for each in slips() if each.what.startswith("after the next") and each.function.endswith("v6_1")]
    assert "after the next: mm.mmap_sem.down_read(at, WRITER, 'mmap_read_lock')" not in moved, "`there = at.name(...)`"
    assert "after the next: set_oom_skip(at, mm)" in moved


def test_survivors_need_a_reason_and_reasons_a_survivor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "reasons", lambda: {"known": "why", "gone": "why"})
    verdicts = [Verdict("known", "", 0), Verdict("new", "", 0), Verdict("noticed", "E4 in stuck: it", 0)]
    assert mutants.unexplained(verdicts) == ["new"]
    assert mutants.outdated(verdicts) == ["gone"]


def test_a_damaged_list_of_survivors_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    mutants.reasons.cache_clear()
    monkeypatch.setattr(tomllib, "loads", lambda text: {})
    with pytest.raises(SpecError, match=r"survivors\.toml is damaged \('survivors'\); reinstall oomspec"):
        mutants.reasons()
    mutants.reasons.cache_clear()
