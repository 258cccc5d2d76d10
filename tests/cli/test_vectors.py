"""`oomspec vectors`"""

from __future__ import annotations

import json
from pathlib import Path

from oom_conformance.vector_formats import read

from .conftest import Run

ERA, SCENARIO = "E4", "stuck"


def test_it_writes_one_json_file_per_era_and_scenario_that_reads_back(oomspec: Run, tmp_path: Path) -> None:
    done = oomspec("vectors", "v4.12", "--scenario", SCENARIO, "--out", str(tmp_path), "--no-forbidden", "--json")
    assert done.status == 0
    said = json.loads(done.out)
    file = tmp_path / "json" / ERA / f"{SCENARIO}.json"
    found = read(file)
    assert said["files"] == [str(file)]
    assert (said["era"], said["scenario"], said["allowed"], said["forbidden"]) == (ERA, SCENARIO, len(found.allowed), 0)
    assert said["pairs"] == found.pairs
    assert found.forbidden == ()
    assert {each.name for each in (tmp_path / "json").iterdir()} == {"README.md", "vectors-1.schema.json", ERA}


def test_itf_is_one_file_per_vector_and_no_stale_one_stays(oomspec: Run, tmp_path: Path) -> None:
    call = ("vectors", "v4.12", "--scenario", SCENARIO, "--out", str(tmp_path), "--format", "both")
    assert oomspec(*call).status == 0
    folder = tmp_path / "itf" / ERA / SCENARIO
    found = read(tmp_path / "json" / ERA / f"{SCENARIO}.json")
    assert {each.name for each in folder.iterdir()} == {f"{each.id}.itf.json" for each in found.vectors}
    assert found.forbidden
    for vector in found.vectors:
        assert read(folder / f"{vector.id}.itf.json").vectors == (vector,)
    mine = folder / "mine.itf.json"
    mine.write_text("{}", "utf-8")
    assert oomspec(*call, "--no-forbidden").status == 0
    assert {each.name for each in folder.iterdir()} == {"mine.itf.json", *(f"{v.id}.itf.json" for v in found.allowed)}


def test_it_does_not_overwrite_what_it_did_not_write(oomspec: Run, tmp_path: Path) -> None:
    file = tmp_path / "json" / ERA / f"{SCENARIO}.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}", "utf-8")
    done = oomspec("vectors", "v4.12", "--scenario", SCENARIO, "--out", str(tmp_path), "--no-forbidden")
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        f"oomspec: {file}: is there already and is no file of this command: move it, or name another --out DIR\n"
    )
    assert file.read_text("utf-8") == "{}"


def test_it_does_not_overwrite_the_readme_of_somebody_else(oomspec: Run, tmp_path: Path) -> None:
    file = tmp_path / "json" / "README.md"
    file.parent.mkdir(parents=True)
    file.write_text("mine", "utf-8")
    assert oomspec("vectors", "v4.12", "--scenario", SCENARIO, "--out", str(tmp_path)).status == 2
    assert file.read_text("utf-8") == "mine"


def test_twice_gives_the_same_bytes(oomspec: Run, tmp_path: Path) -> None:
    call = ("vectors", "v4.12", "--scenario", SCENARIO, "--out", str(tmp_path), "--no-forbidden")
    file = tmp_path / "json" / ERA / f"{SCENARIO}.json"
    assert oomspec(*call).status == 0
    first = file.read_bytes()
    assert oomspec(*call).status == 0
    assert file.read_bytes() == first


def test_an_unknown_scenario_is_an_error_and_writes_nothing(oomspec: Run, tmp_path: Path) -> None:
    done = oomspec("vectors", "v4.12", "--scenario", "no-such", "--out", str(tmp_path))
    assert done.status == 2
    assert done.err.startswith("oomspec: unknown scenario 'no-such'")
    assert not list(tmp_path.iterdir())


NEVER = "failed-fork says nothing new of E4: no step of E4 acts for Fork or Walker"


def test_a_scenario_that_says_nothing_new_of_the_era_is_an_error_alone_and_writes_nothing(
    oomspec: Run, tmp_path: Path
) -> None:
    done = oomspec("vectors", "v4.12", "--scenario", "failed-fork", "--out", str(tmp_path))
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines() == [
        f"oomspec: {NEVER}; choose another scenario, or an era of E12b, E13, E14, E15, v6.18-dev"
    ]
    several = oomspec(
        "vectors", "v4.12", "E5", "--scenario", "failed-fork", "--scenario", "mrelease", "--out", str(tmp_path)
    )
    assert several.status == 2
    assert several.err == "oomspec: there is nothing to write: these scenarios say nothing new of these eras\n"
    assert not list(tmp_path.iterdir())


def test_a_scenario_that_says_nothing_new_of_some_era_is_left_out_there_and_told_once(
    oomspec: Run, tmp_path: Path
) -> None:
    call = ("--scenario", SCENARIO, "--scenario", "failed-fork", "--no-forbidden", "--out", str(tmp_path))
    one = oomspec("vectors", "v4.12", *call)
    assert one.status == 0
    assert [line for line in one.err.splitlines() if "left out" in line] == [f"oomspec: left out: {NEVER}"]
    assert {each.name for each in (tmp_path / "json" / ERA).iterdir()} == {f"{SCENARIO}.json"}
    two = oomspec("vectors", "v4.12", "E3", *call)
    assert [line for line in two.err.splitlines() if "left out" in line] == [
        "oomspec: left out: failed-fork says nothing new of E4, E3"
    ]


NOTHING = """from oom_spec.eras import find_era
from oom_spec.language import Era

PARENT = find_era("E4")
ERA = Era(
    id="nothing",
    title="nobody allocates",
    parent=PARENT,
    removed=tuple(step.id for step in PARENT.steps if "__alloc_pages_slowpath" in step.id),
)
"""


def test_an_era_that_takes_no_step_gets_no_empty_file(oomspec: Run, tmp_path: Path) -> None:
    mine = tmp_path / "nothing.py"
    mine.write_text(NOTHING, "utf-8")
    done = oomspec("vectors", str(mine), "--scenario", SCENARIO, "--out", str(tmp_path / "out"))
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines()[-1] == f"oomspec: era nothing takes no step in {SCENARIO}: choose another scenario"
    assert not (tmp_path / "out" / "json" / "nothing").exists()


NEVER_QUEUES = """from oom_spec.eras import find_era
from oom_spec.language import Era

PARENT = find_era("E4")
ERA = Era(
    id="never-queues",
    title="nothing is queued for the reaper",
    parent=PARENT,
    removed=tuple(step.id for step in PARENT.steps if "oom_reaper_list = tsk" in step.id),
)
"""


def test_an_era_that_cannot_start_the_scenario_is_an_error_alone_and_left_out_among_others(
    oomspec: Run, tmp_path: Path
) -> None:
    mine = tmp_path / "never_queues.py"
    mine.write_text(NEVER_QUEUES, "utf-8")
    why = (
        "scenario marked cannot start in never-queues: "
        "no run reaches 'the victim is marked and queued, and oom_lock is free'"
    )
    call = ("--scenario", "marked", "--no-forbidden", "--out", str(tmp_path))
    alone = oomspec("vectors", str(mine), *call)
    assert (alone.status, alone.out) == (2, "")
    assert alone.err.splitlines()[-1] == f"oomspec: {why}"
    assert not (tmp_path / "json" / "never-queues").exists()
    among = oomspec("vectors", str(mine), "v4.12", *call)
    assert among.status == 0
    assert f"left out: {why}" in among.err
    assert read(tmp_path / "json" / ERA / "marked.json").era == ERA
    assert not (tmp_path / "json" / "never-queues").exists()


def test_a_folder_that_cannot_be_made_is_one_line(oomspec: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    done = oomspec("vectors", "v4.12", "--scenario", SCENARIO, "--out", str(tmp_path / "file" / "in"))
    assert done.status == 2
    assert len(done.err.splitlines()) == 1
