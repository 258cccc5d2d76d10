"""The matrix: what is shared, what a second opinion adds, and how it is recorded."""

from __future__ import annotations

import tomllib

import attrs
import pytest

from oom_smt.deciding import InternalError, Options, decide
from oom_smt.matrix import Matrix, Task, work
from oom_spec.eras import find_era
from oom_spec.manifest import as_toml
from oom_spec.properties import find_properties
from oom_spec.scenarios import find_scenario
from oom_spec.verdicts import Word

SINGLE, FAULTS = find_scenario("single"), find_scenario("kthread-fault")


def _table(*eras: str, names: str = "N2r") -> Matrix:
    return Matrix([find_era(era) for era in eras], find_properties(names), [SINGLE, FAULTS], jobs=1, z3_seconds=0.5)


def test_eras_with_the_very_same_steps_in_a_scenario_are_computed_once() -> None:
    table = _table("E4", "E4b", "fault-leave-retry")
    table.run()
    assert table.twin_of == {("E4b", "single"): "E4", ("fault-leave-retry", "single"): "E4"}
    cells = table.cells()
    (shared,) = [v for v in cells["E4b", "N2r"].verdicts if v.scenario == "single"]
    assert (shared.era, shared.word, shared.depth) == ("E4b", Word.VIOLATED, 33)
    assert "the same steps as E4 in this scenario" in shared.checked_by
    (alone,) = decide(find_era("E4b"), SINGLE, find_properties("N2r"), Options(bounded=False))
    assert (alone.word, alone.depth, alone.run) == (shared.word, shared.depth, shared.run)


def test_a_second_opinion_only_adds_what_z3_said() -> None:
    table = _table("E4")
    (first,) = work(Task("E4", "single", ("N2r",), 0.0))
    (second,) = work(Task("E4", "single", ("N2r",), 3.0, first.depth))
    table._record(first)
    table._record(second)
    kept = table.verdicts["E4", "N2r", "single"]
    assert (kept.depth, kept.run, kept.method) == (first.depth, first.run, "explore+bounded")
    assert kept.checked_by[: len(first.checked_by)] == first.checked_by
    assert any(text.startswith("z3") for text in kept.checked_by)


def test_a_second_opinion_that_contradicts_the_first_is_an_internal_error() -> None:
    table = _table("E4")
    (first,) = work(Task("E4", "single", ("N2r",), 0.0))
    table._record(attrs.evolve(first, word=Word.PROVED_INSTANCE, depth=None))
    with pytest.raises(InternalError, match="z3 violates N2r at 33"):
        table._record(first)


def test_what_was_not_finished_is_unknown() -> None:
    cell = _table("E4").cells()["E4", "N2r"]
    assert cell.word is Word.UNKNOWN
    assert {v.reason for v in cell.verdicts} == {"not finished"}


def test_recorded_cells_read_back_as_the_manifest_has_them() -> None:
    table = Matrix([find_era("hocko-2017-07-24")], find_properties("N2r"), [SINGLE], jobs=1, z3_seconds=0.0)
    table.run()
    read = tomllib.loads(as_toml(table.cells(), {"1.proposal": "proved-instance"}))
    assert read["matrix"]["hocko-2017-07-24"]["N2r"] == {
        "verdict": "proved-instance",
        "excused_in": {"single": 39},
        "unbounded": "proved",
    }
    assert read["claims"] == {"1.proposal": "proved-instance"}
