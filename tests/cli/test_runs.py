"""`oomspec runs`: the runs beside the eras, decided, listed and drawn."""

from __future__ import annotations

import json

import attrs
import pytest

from oom_spec.language.runs import happens, impossible, possible
from oom_spec.possible import Decider
from oom_spec.protocol import exit_mmap, reaper, task_exit
from oom_spec.runs import proposals_2017 as module
from oom_spec.runs import runs_of

from .conftest import Run

RIENTJES = "rientjes-2017-06-14"
ABOUT = {"why": "For the test.", "source": "the test"}


def only(monkeypatch: pytest.MonkeyPatch, *declared: object) -> None:
    """The era of the test has these runs and no others."""
    monkeypatch.setattr("oomspec.commands.running.runs_of", lambda era: declared)


def test_each_run_of_an_era_is_listed_with_its_outcome(oomspec: Run) -> None:
    done = oomspec("runs", RIENTJES)
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0] == RIENTJES
    assert len(lines) == len(runs_of(RIENTJES)) + 2
    assert any(
        line.startswith("    possible     39 steps  B2 (i): ") and line.endswith("[blocked-aio]") for line in lines
    )
    assert lines[-1] == "3 runs: 1 possible, 2 impossible; all as written"


def test_verbose_tells_items_reason_and_source(oomspec: Run) -> None:
    done = oomspec("runs", RIENTJES, "-v")
    assert "- reaper.__oom_reap_task_mm.mmget_not_zero[fails]\n" in done.out
    assert "- meanwhile never mm.exit_aio.wait_for_completion\n" in done.out
    assert "no forward progress." in done.out


def test_json_has_one_object_per_run(oomspec: Run) -> None:
    done = oomspec("runs", RIENTJES, "--json")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert {each["run"] for each in found} == {run.name for run in runs_of(RIENTJES)}
    for each in found:
        assert each["outcome"] == each["expected"]
        assert each["as_written"] is True
        assert each["remark"] == ""
        assert each["schema"] == 1
        assert (each["depth"] == len(each["actions"])) is (each["outcome"] == "possible")


def test_a_run_is_drawn_with_what_comes_about_when(oomspec: Run) -> None:
    done = oomspec("runs", RIENTJES, "--draw", "b2")
    assert done.status == 0
    assert "B2 (i): the reaper is done, the victim is stuck, and scans abort: possible:" in done.out
    assert "mmget_not_zero # fails" in done.out
    assert "    after step  30: reaper.__oom_reap_task_mm.mmget_not_zero[fails]" in done.out


def test_an_impossible_run_is_drawn_as_far_as_it_goes(oomspec: Run) -> None:
    done = oomspec("runs", RIENTJES, "--draw", "gets past")
    assert done.status == 0
    assert "impossible; this far it goes, 2 of 3 items:" in done.out


def test_a_run_that_is_not_as_written_gives_status_1(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = possible(RIENTJES, "single", "wrong", [task_exit.mmput_last, reaper.set_unstable], **ABOUT)
    only(monkeypatch, wrong)
    done = oomspec("runs", RIENTJES)
    assert done.status == 1
    assert "    impossible             wrong  [single]\n" in done.out
    assert "        not as written: item 2 of 2, reaper.__oom_reap_task_mm.set_bit(MMF_UNSTABLE), cannot" in done.out
    assert done.out.endswith("1 run: 0 possible, 1 impossible; 1 not as written\n")


def test_a_badly_written_run_gives_status_1(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [task_exit.mmput_last, reaper.set_unstable, exit_mmap.unmap_done]
    only(monkeypatch, impossible(RIENTJES, "single", "bad", items, **ABOUT))
    done = oomspec("runs", RIENTJES)
    assert done.status == 1
    assert "not as written: badly written: item 2 of 3, " in done.out


def test_a_search_that_was_cut_short_gives_status_3(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    start = Decider.__init__
    monkeypatch.setattr(Decider, "__init__", lambda self, instance: start(self, instance, most=10))
    done = oomspec("runs", RIENTJES)
    assert done.status == 3
    assert "    unknown                B2 (i): " in done.out
    assert oomspec("runs", RIENTJES, "--draw", "B2").status == 3


def test_a_step_that_the_era_lacks_is_one_line(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, possible(RIENTJES, "single", "a run", [happens("mm.exit_mmap.sleep")], **ABOUT))
    done = oomspec("runs", RIENTJES)
    assert done.status == 2
    assert done.err == (
        "oomspec: run 'a run' names the step 'mm.exit_mmap.sleep', which era rientjes-2017-06-14 lacks: "
        "`oomspec show rientjes-2017-06-14` lists its steps\n"
    )


def test_an_unknown_era_of_a_run_is_noticed(oomspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = attrs.evolve(module.RUNS[0], eras=("E99",))
    monkeypatch.setattr("oomspec.commands.running.all_runs", lambda: (lost,))
    done = oomspec("runs")
    assert done.status == 2
    assert done.err.startswith("oomspec: unknown era 'E99'")


def test_bad_usage_is_one_line(oomspec: Run) -> None:
    assert oomspec("runs", "--draw", "B1").err == (
        "oomspec: --draw needs an ERA: a run may belong to several; `oomspec runs --help` says how\n"
    )
    done = oomspec("runs", "E4", "--draw", "no such thing at all")
    assert done.status == 2
    assert done.err.startswith("oomspec: era E4 has no run named 'no such thing at all'")
