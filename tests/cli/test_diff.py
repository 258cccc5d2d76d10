"""`oomspec diff`: what it prints, its exit statuses, its JSON, and what it refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from oomspec.commands.diffing import side_by_side

from .conftest import Run
from .running import Done, Started

MARKED = ("--scenario", "marked")
SINGLE = ("--scenario", "single")


def objects(done: Done, kind: str) -> list[dict[str, Any]]:
    """The JSON objects of one kind."""
    found = [json.loads(line) for line in done.out.splitlines()]
    assert all(each["schema"] == 1 for each in found)
    return [each for each in found if each["kind"] == kind]


def test_two_releases_differ_both_ways_and_the_runs_are_drawn(oomspec: Run) -> None:
    done = oomspec("diff", "v4.13", "v4.14", *MARKED)
    assert done.status == 1
    assert done.err == ""
    lines = done.out.splitlines()
    assert lines[0] == "E4b (v4.13) -> E5 (v4.14)"
    for one, other in (("E4b (v4.13)", "E5 (v4.14)"), ("E5 (v4.14)", "E4b (v4.13)")):
        at = lines.index(f"A run that {one} allows and {other} forbids")
        rest = lines[at:]
        assert any(line.startswith(f"    {one}, scenario marked, after a prefix of") for line in rest)
        assert any(line.endswith(f"<- {other} cannot follow") for line in rest)
        assert any(line.startswith(f"    {other}, which may then be in") for line in rest)
    assert "replayed, and the" in done.out
    assert "by plain steps" in done.out


def test_modified_steps_stand_side_by_side_with_their_commits(oomspec: Run) -> None:
    done = oomspec("diff", "v4.13", "v4.14", *MARKED)
    title = "  modified reaper.__oom_reap_task_mm.down_read_trylock  [no commit -> 212925802454]"
    lines = done.out.splitlines()
    shown = lines[lines.index(title) + 1 :]
    (row,) = [line for line in shown[:8] if "TRYLOCK -> MMGET" in line]
    assert row.split() == ["TRYLOCK", "->", "MMGET", "|", "TRYLOCK", "->", "NOTIFIERS"]
    assert max(map(len, shown[:8])) <= 120


def test_brief_leaves_out_texts_and_diagrams(oomspec: Run) -> None:
    done = oomspec("diff", "v4.13", "v4.14", *MARKED, "--brief")
    assert done.status == 1
    assert "TRYLOCK -> MMGET" not in done.out
    assert "------" not in done.out
    assert "cannot follow" in done.out


def test_an_era_does_not_differ_from_itself(oomspec: Run) -> None:
    done = oomspec("diff", "v4.14", "4.14", *MARKED, *SINGLE)
    assert done.status == 0
    assert "Steps: 0 added, 0 removed, 0 modified" in done.out
    said = "none exists, every run was compared (both have the same transitions here): marked, single"
    assert " ".join(done.out.split()).count(said) == 2
    assert "no property changes its verdict" in done.out


def test_one_way_only_says_which_way(oomspec: Run) -> None:
    done = oomspec("diff", "v4.12", "v4.14", "--observe", "skip,kills", *SINGLE, "--json")
    assert done.status == 1
    there, back = objects(done, "behaviour")
    assert (there["allowing"], there["answer"], there["complete"]) == ("E4", "differs", False)
    assert (back["allowing"], back["answer"], back["complete"]) == ("E5", "none", True)
    assert there["observables"] == ["skip", "kills"]
    assert there["seen"][-1] == ["killer.victim: nobody -> P2.t0", "the scenario's end"]
    assert "run" not in back


def test_a_run_that_stays_for_ever_is_told_as_one(oomspec: Run) -> None:
    arguments = ("v4.12", "rientjes-2017-06-14", "--observe", "skip, kills", "--scenario", "blocked-aio", "--brief")
    done = oomspec("diff", *arguments)
    assert done.status == 1
    assert "nothing more, for ever   <- E4 (v4.9 - v4.12) cannot follow" in done.out
    assert "in rientjes-2017-06-14, killer may go on, unnoticed" in done.out


def test_json_has_the_steps_each_search_and_the_verdicts(oomspec: Run) -> None:
    done = oomspec("diff", "v4.13", "v4.14", *MARKED, "--json")
    (steps,) = objects(done, "steps")
    by_id = {each["step"]: each for each in steps["changes"]}
    trylock = by_id["reaper.__oom_reap_task_mm.down_read_trylock"]
    assert (trylock["change"], trylock["commits"]) == ("modified", ["", "212925802454"])
    assert "TRYLOCK -> MMGET" in trylock["old"]
    for each in objects(done, "behaviour"):
        assert each["scenario"] == each["run"]["scenario"] == "marked"
        assert each["steps"] == len(each["run"]["steps"])
        assert each["prefix"] == len(each["run"]["start"])
        assert each["changes"] == len(each["seen"])
        assert each["seen"][-1] not in each["offers"]
        assert "plain steps" in each["checked_by"][1]
    words = {each["property"]: (each["old"], each["new"]) for each in objects(done, "verdict")}
    assert words["N1s"] == ("violated", "proved-instance")
    assert all(each["source"] == "recorded" for each in objects(done, "verdict"))


def test_computed_verdicts_are_said_to_be_computed(oomspec: Run) -> None:
    done = oomspec("diff", "v4.13", "v4.14", *MARKED, "--verdicts", "--json")
    found = {each["property"]: each for each in objects(done, "verdict")}
    assert {each["source"] for each in found.values()} == {"computed"}
    assert found["N2r"]["old"] == "violated"
    assert set(found["N2r"]["old_violated_in"]) == {"marked"}


@pytest.mark.parametrize(
    ("limit", "reason"), [(("--most", "100"), "more than 100 states of E5"), (("--timeout", "0"), "time is up")]
)
def test_what_was_cut_short_is_not_settled(oomspec: Run, limit: tuple[str, ...], reason: str) -> None:
    done = oomspec("diff", "v4.13", "v4.14", *SINGLE, *limit, "--brief")
    assert done.status == 3
    assert f"not settled, {reason}" in done.out


def test_a_start_in_mid_protocol_settles_nothing(oomspec: Run) -> None:
    done = oomspec("diff", "v4.14", "v4.12", *MARKED, "--observe", "skip,kills", "--json")
    answers = [each["answer"] for each in objects(done, "behaviour")]
    assert answers == ["none from the middle", "differs"]
    assert done.status == 1


def test_an_unknown_observable_is_one_clear_line(oomspec: Run) -> None:
    done = oomspec("diff", "v4.13", "v4.14", "--observe", "skip,memry")
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "oomspec: unknown observable 'memry'; did you mean 'memory'? the list is "
        "skip, unstable, locks, memory, kills, results, oom-lock, exits\n"
    )


def test_nothing_to_observe_is_refused(oomspec: Run) -> None:
    done = oomspec("diff", "v4.13", "v4.14", "--observe", ",")
    assert done.status == 2
    assert done.err == (
        "oomspec: nothing to observe: name at least one of "
        "skip, unstable, locks, memory, kills, results, oom-lock, exits\n"
    )


def test_an_unknown_era_is_refused_before_any_work(oomspec: Run) -> None:
    done = oomspec("diff", "v4.13", "v4.144")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("oomspec: unknown era 'v4.144'")


PATCH = """
import attrs

from oom_spec.eras.e05_v4_14 import E5, exit_sets_skip
from oom_spec.language import Era

ERA = Era(
    id="reworded",
    title="the same in other words",
    parent=E5,
    replaced=(attrs.evolve(exit_sets_skip, doc="The same."),),
)
"""


def test_a_patch_in_a_file_is_an_era_and_a_change_of_words_is_no_change_of_effect(oomspec: Run, tmp_path: Path) -> None:
    patch = tmp_path / "patch.py"
    patch.write_text(PATCH, "utf-8")
    done = oomspec("diff", "v4.14", os.fspath(patch), *SINGLE)
    assert done.status == 0, done.err
    assert "modified mm.exit_mmap.set_bit(MMF_OOM_SKIP)  [212925802454]  (the text differs, the effect does not)" in (
        done.out
    )
    assert "none recorded for reworded; `--verdicts` computes them" in done.out


def test_an_interrupt_counts_as_unknown() -> None:
    started = Started("diff", "v4.15", "v4.16", "--scenario", "threads", "--brief")
    started.working()
    started.interrupt()
    done = started.end()
    assert done.status == 3
    assert done.err.splitlines()[-1] == "oomspec: interrupted: what was not decided is unknown"
    assert "Traceback" not in done.err


def test_side_by_side_marks_what_differs_and_folds_long_lines() -> None:
    left = ["same", "old", "only left", "a " * 40]
    right = ["same", "new", "a " * 40, "only right"]
    rows = side_by_side(left, right, width=60)
    assert rows[0].split() == ["same", "same"]
    assert rows[1].split() == ["old", "|", "new"]
    assert rows[2].split() == ["only", "left", "<"]
    assert rows[-1].split() == [">", "only", "right"]
    assert all(len(row) <= 60 for row in rows)
    assert len(rows) > 5
