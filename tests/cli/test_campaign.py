"""`oomspec campaign`: what it prints and writes, how it ends, and that Ctrl-C loses nothing."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from .conftest import Run
from .running import LONGEST, Started

ITSELF = "oom_conformance.itself:Itself"
QUICK = ("campaign", "--era", "E4", "--scenario", "marked", "--implementation", ITSELF, "--jobs", "1")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


def test_a_clean_campaign_prints_its_table_and_exits_with_0(oomspec: Run, store: Path) -> None:
    done = oomspec(*QUICK, "--examples", "400", "--store", str(store))
    lines = done.out.splitlines()
    assert lines[0].split()[:5] == ["era", "scenarios", "shards", "runs", "steps"]
    assert lines[1].split()[:4] == ["E4", "1/1", "1", "400"]
    assert "52/52 100 %" in lines[1]
    assert lines[-1].startswith("1 shard, 400 runs, ")
    assert lines[-1].endswith("nothing to report")
    assert done.status == 0


def test_coverage_under_the_floor_exits_with_1_and_names_what_is_missing(oomspec: Run, store: Path) -> None:
    done = oomspec(*QUICK, "--examples", "1", "--store", str(store))
    assert done.status == 1
    assert "under the floor: E4: " in done.out
    assert done.out.splitlines()[-1].endswith("; 1 era under the floor")
    assert oomspec(*QUICK, "--examples", "1", "--store", str(store), "--floor", "0").status == 0


def test_json_ends_with_a_summary_and_reports_are_written(oomspec: Run, store: Path, tmp_path: Path) -> None:
    html, junit = tmp_path / "page.html", tmp_path / "junit.xml"
    reports = ("--html", str(html), "--junit", str(junit))
    done = oomspec(*QUICK, "--examples", "400", "--store", str(store), "--json", *reports)
    objects = [json.loads(line) for line in done.out.splitlines()]
    assert [each["kind"] for each in objects if each["kind"] != "finding"] == ["era", "summary"]
    assert objects[-1]["status"] == done.status == 0
    assert {each["race"] for each in objects if each["kind"] == "finding"} == set(objects[0]["races"])
    assert ET.parse(junit).getroot().get("tests") == "2"  # noqa: S314 - written by ourselves
    assert "clean" in html.read_text("utf-8")


def test_a_failing_campaign_ends_with_the_run_as_a_diagram_its_seed_and_how_to_keep_it(
    oomspec: Run, store: Path, tmp_path: Path
) -> None:
    command = ["campaign", "--era", "E4", "--scenario", "single", "--jobs", "1", "--examples", "20", "--floor", "0"]
    command += ["--implementation", "tests.conformance.standins:Behind", "--store", str(store)]
    done = oomspec(*command)
    lines = done.out.splitlines()
    first = lines.index("divergence: OBSERVATION killer.mark_oom_victim.mmgrab(oom_mm) oom_victim")
    picture = lines.index("E4 (v4.9 - v4.12), scenario single")
    hint = lines.index("to keep it as a test: --emit-test FILE")
    assert first < picture < hint
    assert lines[hint - 3].strip() == "mmgrab(oom_mm)"
    assert lines[hint - 1].startswith("in E4; 1 shard; shard 0, seed ")
    assert (done.status, done.err) == (1, "")
    file = tmp_path / "test_found.py"
    kept = oomspec(*command, "--emit-test", str(file))
    assert kept.err == f"oomspec: the first failing run is written as a test to {file}\n"
    assert kept.out.replace(" (1 recorded before)", "").splitlines()[:hint] == lines[:hint]
    assert "--emit-test" not in kept.out
    assert "def test_conforms_to_e4_single() -> None:" in file.read_text("utf-8")


def test_an_implementation_that_hangs_is_shown_with_its_schedule_and_diagram(oomspec: Run, store: Path) -> None:
    limits = ("--jobs", "1", "--limit", "1s", "--examples", "5", "--store", str(store))
    hanging = ("--implementation", "tests.conformance.standins:Hanging")
    done = oomspec("campaign", "--era", "E4", "--scenario", "marked", *hanging, *limits)
    lines = done.out.splitlines()
    (title,) = (number for number, line in enumerate(lines) if line.startswith("out of time: E4 in marked, shard 0 "))
    assert lines[title].endswith("no answer from the implementation within 1 s, in step 4")
    assert lines[title + 1] == "  after 4 steps:"
    assert lines[title + 5].startswith("      4 killer.out_of_memory.task_will_free_mem")
    assert lines[title + 7] == "E4 (v4.9 - v4.12), scenario marked"
    assert "to keep it as a test: --emit-test FILE" in lines[title + 8 :]
    assert lines[1].split()[6:8] == ["-", "-"], "nothing is covered"
    assert done.status == 3


def test_where_nothing_fails_no_test_is_written(oomspec: Run, store: Path, tmp_path: Path) -> None:
    file = tmp_path / "test_found.py"
    done = oomspec(*QUICK, "--examples", "20", "--floor", "0", "--store", str(store), "--emit-test", str(file))
    assert (done.status, done.err) == (0, f"oomspec: nothing failed: no test is written to {file}\n")
    assert not file.exists()


def test_without_a_store_the_cache_keeps_what_is_found_and_fresh_forgets_it(oomspec: Run) -> None:
    def recorded_before(*more: str) -> object:
        return json.loads(oomspec(*QUICK, "--examples", "50", "--json", *more).out.splitlines()[-1])["recorded_before"]

    assert [recorded_before(), recorded_before(), recorded_before("--fresh")] == [0, 1, 0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--time", "1m", "--examples", "5"), "--time and --examples exclude each other: take one"),
        (("--time", "soon"), "Invalid value for '--time': 'soon' is no time: write 90s, 10m or 2h"),
        (("--time", "0"), "Invalid value for '--time': '0' is no time: write 90s, 10m or 2h"),
        (
            ("--executor", "tcp://x:1", "--jobs", "1"),
            "--jobs is about processes here, --executor about a cluster: take one",
        ),
        (("--emit-test", "no/such/test_it.py"), "--emit-test no/such/test_it.py: there is no such folder"),
    ],
)
def test_bad_usage_exits_with_2_and_one_line(oomspec: Run, arguments: tuple[str, ...], told: str) -> None:
    done = oomspec("campaign", *arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err == f"oomspec: {told}; `oomspec campaign --help` says how\n"


def test_an_executor_that_is_no_address_exits_with_2_and_one_line(oomspec: Run, store: Path) -> None:
    done = oomspec(*QUICK[:-2], "--store", str(store), "--executor", "foo")
    assert (done.status, done.out) == (2, "")
    assert done.err == "oomspec: --executor 'foo' is no address of a dask scheduler: write tcp://host:8786\n"


def test_an_implementation_that_is_not_there_exits_with_2_and_one_line(oomspec: Run, store: Path) -> None:
    done = oomspec("campaign", "--implementation", "no_such_module:Thing", "--store", str(store))
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "oomspec: implementation 'no_such_module:Thing' cannot be imported: No module named 'no_such_module'\n"
    )


def test_a_store_that_is_none_exits_with_2_and_one_line(oomspec: Run, store: Path) -> None:
    store.write_text("no database " * 100, "utf-8")
    done = oomspec(*QUICK, "--store", str(store))
    assert (done.status, done.out) == (2, "")
    assert done.err == f"oomspec: {store} is no campaign store: name another file with --store\n"


def shards(path: Path) -> int:
    if not path.exists():
        return 0
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM shards").fetchone()[0])
    return 0


def test_ctrl_c_keeps_what_is_done_says_how_to_go_on_and_leaves_no_process(oomspec: Run, store: Path) -> None:
    command = (*QUICK[:-1], "2", "--examples", "6000", "--store", str(store))
    started = Started(*command, "--json")
    ends = time.monotonic() + LONGEST
    while not shards(store) and time.monotonic() < ends:
        time.sleep(0.02)
    started.interrupt()
    done = started.end()
    kept = shards(store)
    assert 1 <= kept < 12
    assert done.status == 3
    assert done.err.splitlines()[-1] == (
        f"oomspec: interrupted: {kept} shards are recorded in {store}; the same command goes on from there"
    )
    assert "Traceback" not in done.err
    assert json.loads(done.out.splitlines()[-1])["interrupted"] is True
    ends = time.monotonic() + LONGEST
    while started.has_orphans() and time.monotonic() < ends:  # what tracks resources goes a moment after the command
        time.sleep(0.1)
    assert not started.has_orphans()
    summary = json.loads(oomspec(*command, "--json").out.splitlines()[-1])
    assert (summary["recorded_before"], summary["shards"], summary["status"]) == (kept, 12, 0)
