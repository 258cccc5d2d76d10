"""Each guard, assignment, release, event and place of each step matters: a slip in any of them is noticed.

What is not noticed is recorded in survivors.toml with a reason. A sample is judged here; the slow tests
judge every mutant of every era, as `oomspec mutate all` does.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import attrs
import pytest

from oom_smt import mutants
from oom_smt.mutants import Campaign, Judged, baseline, judge, recall, remember, store_path
from oom_spec import survivors
from oom_spec.eras import all_eras, find_era
from oom_spec.language import Era
from oom_spec.mutating import Mutation, Slip, introduced
from oom_spec.noticing import Notice, Strength
from oom_spec.scenarios import find_scenario
from oom_spec.survivors import Reason

SMALLEST = "init-shares"

MUNLOCK = "mm.exit_mmap.munlock_vma_pages_all"
GUARD = Mutation(MUNLOCK, Slip.GUARD_DROPPED, "0 HAS_LOCKED_VMA")
FLAG = Mutation(f"{MUNLOCK}[done]", Slip.ASSIGNMENT_DROPPED, "Mm.munlocking")
LOCK = Mutation("killer.oom_kill_process.task_unlock", Slip.RELEASE_DROPPED, "Killer.holds_task_lock")
EXPECTED: dict[Mutation, tuple[Strength | None, str]] = {
    LOCK: (Strength.TEST, "S10"),
    GUARD: (Strength.OUTCOMES, "outcomes"),
    FLAG: (None, ""),
}
"""Mutants of E4 in one of the smallest worlds, one of each fate, with what notices them."""


def campaign(**more: Any) -> Campaign:
    """A campaign for the mutants of `EXPECTED`."""
    scenarios = [find_scenario(SMALLEST)]
    return attrs.evolve(Campaign(find_era("E4"), scenarios, only=lambda mutation: mutation in EXPECTED), **more)


def fates(found: Campaign) -> dict[Mutation, tuple[Strength | None, str]]:
    return {
        judged.mutation: (None, "") if judged.notice is None else (judged.notice.strength, judged.notice.killer)
        for judged in found.judged.values()
    }


# -- a sample --------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_fate_is_told_by_one_process_and_by_several(jobs: int) -> None:
    found = campaign(jobs=jobs)
    found.run()
    assert fates(found) == EXPECTED


def test_every_mutant_of_a_small_proposal_is_noticed_by_a_property_or_changes_behaviour() -> None:
    found = Campaign(find_era("fault-leave-retry"), [find_scenario("kthread-fault")])
    found.run()
    assert len(found.judged) == len(found.mutations()) > 5
    assert found.survivors() == []
    killers = {judged.notice.killer for judged in found.judged.values() if judged.notice is not None}
    assert {"S4", "outcomes"} <= killers


def test_what_an_era_does_not_show_another_that_has_the_step_may_show() -> None:
    """In v4.12 the foreign user alone keeps the reaper away from the page tables; in v4.14 nothing does."""
    hidden = Mutation("mm.exit_mmap.free_pgtables", Slip.ASSIGNMENT_DROPPED, "Mm.page_tables")
    found = judge("E4", hidden, ["foreign-user"], elsewhere="E5")
    baseline.cache_clear()
    assert found.notice is not None
    assert (found.notice.strength, found.notice.killer, found.shown_in) == (Strength.VERDICT, "S1", "E5")


# -- every mutant ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("era", [era for era in all_eras() if introduced(era)], ids=lambda era: era.id)
def test_every_mutant_is_noticed_or_has_a_reason(era: Era) -> None:
    found = Campaign(era, store=store_path())
    found.run()
    assert [judged.mutation.id for judged in found.unexplained()] == []
    assert [judged.mutation.id for judged in found.outdated()] == []
    assert found.status == 0


# -- what a campaign says --------------------------------------------------------------------


@pytest.fixture
def judged_at_once(monkeypatch: pytest.MonkeyPatch) -> list[Mutation]:
    """Mutants get the fate of `EXPECTED` without being tried; gives the list of those that were asked about."""
    asked: list[Mutation] = []

    def told(era: str, mutation: Mutation, *rest: object) -> Judged:
        asked.append(mutation)
        strength, killer = EXPECTED[mutation]
        return Judged(era, mutation, strength and Notice(strength, SMALLEST, killer, "as expected"))

    monkeypatch.setattr(mutants, "judge", told)
    monkeypatch.setattr(mutants, "baseline", lambda era, scenario: None)
    monkeypatch.setattr(mutants.baseline, "cache_clear", lambda: None, raising=False)
    return asked


def record(monkeypatch: pytest.MonkeyPatch, *reasons: Reason) -> None:
    """These are the recorded reasons."""
    monkeypatch.setattr(survivors, "reasons", lambda: reasons)


@pytest.mark.usefixtures("judged_at_once")
def test_a_survivor_needs_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    found = campaign()
    record(monkeypatch)
    found.run()
    assert ([judged.mutation for judged in found.unexplained()], found.status) == ([FLAG], 1)
    record(monkeypatch, Reason((FLAG.id,), "nobody reads it"))
    assert (found.unexplained(), found.status) == ([], 0)


@pytest.mark.usefixtures("judged_at_once")
def test_a_recorded_survivor_that_is_killed_is_outdated_but_a_pattern_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    found = campaign()
    found.run()
    record(monkeypatch, Reason(("*",), "anything"))
    assert (found.outdated(), found.status) == ([], 0)
    record(monkeypatch, Reason((LOCK.id,), "this"), Reason(("*",), "anything"))
    assert (found.outdated(), found.status) == ([found.judged[LOCK.id]], 1)


def test_out_of_time_is_unfinished(monkeypatch: pytest.MonkeyPatch) -> None:
    record(monkeypatch)
    found = campaign(deadline=time.monotonic())
    found.run()
    assert (found.judged, len(found.unfinished), found.status) == ({}, len(EXPECTED), 3)


# -- what was done before --------------------------------------------------------------------


def test_a_second_run_goes_on_where_the_first_ended(tmp_path: Path, judged_at_once: list[Mutation]) -> None:
    store = tmp_path / "deep" / "mutants.jsonl"
    first = campaign(store=store)
    first.run()
    lines = store.read_text("utf-8").splitlines(keepends=True)
    store.write_text("".join(["{ not JSON\n", '{"digest": 1}\n', *lines[:-1]]), "utf-8")
    judged_at_once.clear()
    campaign(store=store).run()
    assert judged_at_once == [campaign().mutations()[-1]]
    judged_at_once.clear()
    campaign(store=store, fresh=True).run()
    assert len(judged_at_once) == len(EXPECTED)


def test_what_was_judged_in_other_scenarios_or_of_other_sources_is_not_recalled(tmp_path: Path) -> None:
    store = tmp_path / "mutants.jsonl"
    judged = Judged(
        "E4", next(iter(EXPECTED)), Notice(Strength.VERDICT, "single", "S1", "violated at 3"), "", True, 0.5
    )
    remember(store, "one", judged)
    assert recall(store, "one") == {judged.mutation.id: judged}
    assert recall(store, "other") == {}
    keys = {mutants.digest(find_era(era), names) for era in ("E4", "E5") for names in (["single"], ["marked"])}
    assert len(keys) == 4


def test_a_place_that_cannot_be_written_to_costs_the_memory_only(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", "utf-8")
    remember(blocked / "mutants.jsonl", "key", Judged("E4", next(iter(EXPECTED)), None))
    assert recall(blocked / "mutants.jsonl", "key") == {}


def test_finished_mutants_are_kept_in_the_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OOMSPEC_CACHE", "/somewhere")
    assert store_path() == Path("/somewhere/mutants.jsonl")
    monkeypatch.delenv("OOMSPEC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert store_path() == Path("/cache/oomspec/mutants.jsonl")


def test_a_judged_mutant_survives_the_way_through_json() -> None:
    for notice in (None, Notice(Strength.GRAPH, "single", "", "3 states instead of 4")):
        judged = Judged("E4", next(iter(EXPECTED)), notice, "E5", False, 1.5)
        assert Judged.from_json(json.loads(json.dumps(judged.as_json()))) == judged
