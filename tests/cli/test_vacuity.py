"""`oomspec vacuity`: whether what holds says anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oom_smt.touching import guards_touched
from oom_spec.eras import find_era
from oom_spec.language import SpecError
from oom_spec.properties import find_properties
from oom_spec.violating import read

from .conftest import Run


def test_what_could_fail_is_not_vacuous(oomspec: Run) -> None:
    done = oomspec("vacuity", "v4.7", "S5r", "--no-guards")
    assert done.status == 0
    first, tested, violated = done.out.splitlines()
    assert first == "E2 S5r         not vacuous"
    assert tested == "    put to the test at 17 in ten-retries"
    assert violated.startswith("    violated at 17 in ten-retries: ")
    assert violated.endswith(" | event told otherwise MMPUT_BEGINS 1 REAPER")


def test_what_is_vacuous_fails(oomspec: Run) -> None:
    done = oomspec("vacuity", "v4.7", "N3", "S5r", "--no-guards", "--json")
    assert done.status == 1
    truism, good = map(json.loads, done.out.splitlines())
    assert (truism["property"], truism["verdict"]) == ("N3", "vacuous")
    assert (truism["reason"], truism["violated_by"]) == ("its formula is true of every state", None)
    assert (good["verdict"], good["reason"], good["never_false"]) == (None, "", [])
    assert good["put_to_the_test"] == {"scenario": "ten-retries", "depth": 17}
    assert good["violated_by"]["scenario"] == "ten-retries"
    assert good["era"] == "E2"


def test_a_guard_that_is_never_false_is_named(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from oom_spec.scenarios import find_scenario

    monkeypatch.setattr("oom_spec.vacuity.small_worlds", lambda era: [find_scenario("ten-retries")])
    done = oomspec("vacuity", "v4.7", "S5r")
    assert done.status == 1
    assert "vacuous  (MMPUT_RETURNED" in done.out or "    never false: " in done.out


def test_where_time_runs_out_it_is_unknown(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oomspec.commands.doubting.hints", lambda: ())
    done = oomspec("vacuity", "v4.7", "S5r", "--no-guards", "--timeout", "0")
    assert done.status == 3
    assert "E2 S5r         unknown  (time ran out before a slip was found that violates it)" in done.out


def test_what_is_found_is_recorded_and_only_of_what_holds(oomspec: Run, tmp_path: Path) -> None:
    file = tmp_path / "violated_by.toml"
    shipped = Path(__file__).parents[2] / "spec" / "oom_spec" / "violated_by.toml"
    file.write_text(shipped.read_text("utf-8"), "utf-8")
    done = oomspec("vacuity", "v4.7", "S5r", "S7", "N1s", "--no-guards", "--record", str(file))
    assert done.status == 0
    assert [line.split()[1] for line in done.out.splitlines() if line.startswith("E2")] == ["S5r"]
    assert set(read(file.read_text("utf-8"))) == set(read(shipped.read_text("utf-8")))


def test_a_question_about_the_graph_is_refused(oomspec: Run) -> None:
    done = oomspec("vacuity", "v4.7", "L1")
    assert (done.status, done.out) == (2, "")
    assert "L1 is a question about the whole graph" in done.err


def test_the_guards_of_the_steps_that_an_obligation_is_about() -> None:
    touched = guards_touched(find_era("v4.15"), find_properties("S1")[0])
    names = {declared.id: [guard.name for guard in guards] for declared, guards in touched.items()}
    assert names["reaper.__oom_reap_task_mm.tlb_finish_mmu"] == ["NO_PAGES_LEFT"]
    assert names["mm.exit_mmap.free_pgtables"] == []
    assert "task.exit_mm.down_read" not in names
    with pytest.raises(SpecError, match="whole graph"):
        guards_touched(find_era("v4.15"), find_properties("L1")[0])
