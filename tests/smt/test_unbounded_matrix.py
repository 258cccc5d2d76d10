"""The table of unbounded proofs: who decides, and what a lost worker costs."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import z3

from oom_smt import unbounded_matrix as table
from oom_smt.unbounded_matrix import Task, Unbounded, decide, unbounded_matrix
from oom_spec.eras import find_era
from oom_spec.properties import find_properties
from oom_spec.unbounded import recorded
from oom_spec.unbounded.recorded import Recorded
from oom_spec.verdicts import Word

E6 = find_era("v4.15")
SOME = [find_properties(name)[0] for name in ("S5r", "S10", "N3", "S2", "S5m", "L1")]


@pytest.fixture(autouse=True)
def no_lemmas(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the steps alone prove is enough here."""
    monkeypatch.setattr("oom_smt.proving.recorded_for", lambda era, known, lemmas=None: [])


def test_each_property_gets_a_word_and_a_reason() -> None:
    found = {cell.property: cell for cell in decide(E6, [s for s in SOME if s.graph is None])}
    assert found["S5r"].word is found["S10"].word is Word.PROVED
    assert found["N3"].word is Word.VACUOUS
    assert found["S5m"].word is Word.NOT_APPLICABLE
    assert found["S2"].word is Word.UNKNOWN
    assert found["S2"].reason.startswith("broken by ")


def test_questions_about_graphs_are_left_out() -> None:
    found = list(unbounded_matrix({"E6": E6}, SOME, 1, lambda done, total, text: None))
    assert [cell.property for cell in found] == [s.id for s in SOME if s.graph is None]


def cells_where_s10(happens: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> dict[str, Unbounded]:
    """The cells of v4.15, by property, where something ``happens`` to a worker that is asked for S10."""
    decided = table.decide

    def decide_or_not(era: object, properties: list[object]) -> list[Unbounded]:
        if any(getattr(each, "id", "") == "S10" for each in properties):
            happens()
        return decided(era, properties)  # type: ignore[arg-type]

    monkeypatch.setattr(table, "decide", decide_or_not)
    return {c.property: c for c in unbounded_matrix({"E6": E6}, SOME, 2, lambda done, total, text: None)}


def test_a_worker_that_dies_costs_only_what_kills_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = cells_where_s10(lambda: os._exit(1), monkeypatch)
    assert found["S10"].word is Word.UNKNOWN
    assert "the worker died" in found["S10"].reason
    assert found["S5r"].word is Word.PROVED


def test_a_solver_without_memory_costs_its_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise z3.Z3Exception(b"out of memory")

    found = cells_where_s10(lambda: monkeypatch.setattr(z3.Solver, "check", fails), monkeypatch)
    assert found["S10"].word is Word.UNKNOWN
    assert "ran out of time or memory" in found["S10"].reason
    assert found["S5r"].word is Word.PROVED


def test_a_hung_solver_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(era: object, properties: object) -> list[Unbounded]:
        while True:
            pass

    monkeypatch.setattr(table, "decide", hangs)
    monkeypatch.setattr(table, "TASK_SECONDS", 1)
    (found,) = unbounded_matrix({"E6": E6}, SOME[:1], 1, lambda done, total, text: None)
    assert found.word is Word.UNKNOWN


def test_tasks_name_what_they_ask_for() -> None:
    assert table.work(Task("E6", ("S5r",)))[0].word is Word.PROVED


def test_an_era_without_lemmas_starts_from_those_of_the_most_like_it(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [Recorded("a", None, ("E6",)), Recorded("b", None, ("E1",))]  # type: ignore[arg-type]
    monkeypatch.setattr(recorded, "load", lambda: tuple(known))
    near = recorded.recorded_for(find_era("v4.16"), [E6, find_era("v4.6")])
    assert [each.name for each in near] == ["a"]
