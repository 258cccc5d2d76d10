"""Campaigns: nothing lost, nothing counted twice, whoever dies; what is found is judged, and kept by race."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import pytest

from oom_conformance import campaigns, reports
from oom_conformance.campaigns import DIVERGENCE, RACE, UNEXPECTED, UNRECORDED, Campaign, findings_of, judged
from oom_conformance.executors import Cluster
from oom_conformance.lockstep import Difference, Divergence, Kind
from oom_conformance.oracle import Oracle
from oom_conformance.reaching import measure
from oom_conformance.reports import Outcome, summarise
from oom_conformance.shards import Done, Shard, as_plain, from_plain, work
from oom_conformance.store import Store, open_store
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.language import SpecError
from oom_spec.scenarios import find_scenario

HERE = Path(__file__).resolve().parent
ITSELF = "oom_conformance.itself:Itself"
LONGEST = 90.0


@pytest.fixture(autouse=True)
def _standins_can_be_imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Also in workers, which take over the path."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("OOMSPEC_TEST_FLAG", str(tmp_path / "it has happened"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


def made(store: Store, implementation: str = ITSELF, **options: Any) -> Campaign:
    options = {"examples": 40, "jobs": 2, "eras": ("E4",), "scenarios": ("marked",), **options}
    eras = [find_era(name) for name in options.pop("eras")]
    scenarios = [find_scenario(name) for name in options.pop("scenarios")]
    return Campaign(eras, scenarios, store, implementation, **options)


def ran(store: Store, implementation: str = ITSELF, floor: float = 0.0, **options: Any) -> Outcome:
    campaign = made(store, implementation, **options)
    campaign.run()
    return summarise(campaign, floor=floor)


# -- the command as a process of its own, to be killed ---------------------------------------


def environment() -> dict[str, str]:
    found = [str(HERE), *(path for path in sys.path if path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(found)}


def started(store: Path, *more: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "oomspec",
        "campaign",
        "--era",
        "E4",
        "--scenario",
        "marked",
        "--store",
        str(store),
    ]
    return subprocess.Popen(
        [*command, "--json", *more], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


SLOWLY = ("--implementation", "standins:Slow", "--examples", "4000")


def finished(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]], str]:
    out, err = process.communicate(timeout=LONGEST)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err


def rows(path: Path) -> list[Any]:
    """What is recorded, without what may differ from run to run."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        question = "SELECT era, scenario, number, seed, runs, steps FROM shards ORDER BY era, scenario, number"
        return connection.execute(question).fetchall()


def wait_for(path: Path, shards: int) -> None:
    ends = time.monotonic() + LONGEST
    while time.monotonic() < ends:
        if path.exists():
            with contextlib.suppress(sqlite3.Error):
                if len(rows(path)) >= shards:
                    return
        time.sleep(0.02)
    raise AssertionError("nothing is recorded")


def children(process: int) -> list[int]:
    text = Path(f"/proc/{process}/task/{process}/children").read_text("ascii")
    return [int(each) for each in text.split()]


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text("ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What a campaign records that nobody disturbs."""
    path = tmp_path_factory.mktemp("undisturbed") / "store.sqlite"
    status, objects, err = finished(started(path, *SLOWLY, "--jobs", "2"))
    assert (status, objects[-1]["shards"]) == (0, 8), err
    return rows(path)


def test_killed_in_the_middle_the_same_command_goes_on_and_ends_alike(tmp_path: Path, undisturbed: list[Any]) -> None:
    path = tmp_path / "store.sqlite"
    process = started(path, *SLOWLY, "--jobs", "2")
    wait_for(path, 2)
    workers = children(process.pid)
    process.kill()
    process.wait()
    ends = time.monotonic() + 10
    while any(map(is_alive, workers)) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not any(map(is_alive, workers)), "workers outlive their parent"
    process.communicate()
    before = len(rows(path))
    assert 2 <= before < 8
    status, objects, err = finished(started(path, *SLOWLY, "--jobs", "2"))
    assert status == 0, err
    assert objects[-1]["recorded_before"] == before
    assert objects[-1]["shards"] == 8
    assert rows(path) == undisturbed


def test_a_finished_campaign_runs_nothing_again(store: Store) -> None:
    first, second = ran(store), ran(store)
    assert (first.done, second.done, second.already) == (1, 0, 1)
    assert [row.runs for row in second.rows] == [40]
    assert ran(store, seed=1).done == 1


@pytest.mark.parametrize("other", [{"seed": 1}, {"examples": 41}, {"eras": ("E5",)}, {"scenarios": ("single",)}])
def test_other_options_make_another_campaign(store: Store, other: dict[str, Any]) -> None:
    assert made(store).id == made(store, jobs=1).id
    assert made(store).id != made(store, **other).id
    assert made(store).id != made(store, "standins:Slow").id


# -- workers that die ------------------------------------------------------------------------


def test_the_shard_of_a_worker_that_dies_is_given_out_again(store: Store, tmp_path: Path) -> None:
    found = ran(store, "standins:DiesOnce", scenarios=("marked", "empty-mm"))
    assert (tmp_path / "it has happened").exists()
    assert (found.status, found.troubles, found.done) == (0, [], 2)
    assert sorted(store.recorded(found.campaign)) == [("E4", "empty-mm", 0), ("E4", "marked", 0)]
    assert [row.runs for row in found.rows] == [80]


def test_a_shard_that_always_ends_its_worker_is_lost_and_said_so_and_takes_no_other_with_it(store: Store) -> None:
    found = ran(store, "standins:DiesInMarked", scenarios=("marked", "empty-mm", "single"))
    assert [(each.scenario, each.stuck, each.reason) for each in found.troubles] == [
        ("marked", False, "its worker died 3 times")
    ]
    assert {scenario for _, scenario, _ in store.recorded(found.campaign)} == {"empty-mm", "single"}
    assert found.status == 3
    assert "lost: E4 in marked, shard 0" in "\n".join(reports.remarks(found))


def test_an_implementation_that_hangs_costs_one_shard_and_its_schedule_is_told(store: Store) -> None:
    found = ran(store, "standins:Hanging", scenarios=("marked", "empty-mm"), limit=2.0)
    (trouble,) = found.troubles
    assert (trouble.scenario, trouble.stuck) == ("marked", True)
    assert len(trouble.schedule) >= 4
    assert trouble.reason.startswith("no answer from the implementation within 2 s, in step ")
    assert {scenario for _, scenario, _ in store.recorded(found.campaign)} == {"empty-mm"}
    assert found.status == 3
    assert ran(store, "standins:Hanging", scenarios=("marked",), limit=2.0).status == 3


def test_a_hanging_shard_ends_in_a_thread_that_is_not_the_main_one() -> None:
    import threading

    found: list[Done] = []

    def try_it() -> None:
        found.append(work(Shard("E4", "marked", 0, 1, "spinning:Spinning", examples=5, limit=0.5)))

    import sys
    import types

    from oom_conformance.itself import Itself

    class Spinning(Itself):
        def run(self, action: str) -> None:
            while True:
                pass

    module = types.ModuleType("spinning")
    module.Spinning = Spinning  # type: ignore[attr-defined]
    sys.modules["spinning"] = module
    thread = threading.Thread(target=try_it)
    try:
        thread.start()
        thread.join(30)
    finally:
        del sys.modules["spinning"]
    assert found[0].stuck is not None


def test_one_shard_after_the_other_in_trouble_ends_the_handing_out(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaigns, "MOST_TROUBLES", 2)
    eras = ("E1", "E2", "E3", "E4", "E5")
    found = ran(store, "standins:Hanging", eras=eras, limit=0.5, jobs=1)
    assert (len(found.troubles), found.given_up, found.status) == (2, True, 3)


# -- a cluster -------------------------------------------------------------------------------

WITHOUT_CLUSTER = importlib.util.find_spec("distributed") is None


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers on loopback, as processes of their own."""
    file = tmp_path / "scheduler.json"
    quiet = {"env": environment(), "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    run = [sys.executable, "-m"]
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
    of_file = ["--scheduler-file", str(file)]
    processes = [subprocess.Popen([*run, "distributed.cli.dask_scheduler", *options, *of_file], **quiet)]  # type: ignore[call-overload]
    try:
        ends = time.monotonic() + LONGEST
        while not file.exists() and time.monotonic() < ends:
            time.sleep(0.05)
        worker = [*run, "distributed.cli.dask_worker", *of_file, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        worker += ["--host", "127.0.0.1", "--local-directory", str(tmp_path)]
        processes += [subprocess.Popen(worker, **quiet) for _ in range(2)]  # type: ignore[call-overload]
        address = ""
        while not address and time.monotonic() < ends:
            with contextlib.suppress(ValueError):
                address = json.loads(file.read_text("utf-8"))["address"]
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def worked(path: Path) -> dict[int, int]:
    """How many shards the process of each number did."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT worker, count(*) FROM shards GROUP BY worker").fetchall()
    return {int(worker.rsplit(":", 1)[1]): count for worker, count in found}


@pytest.mark.skipif(WITHOUT_CLUSTER, reason="the extra 'cluster' (distributed) is not installed")
def test_on_a_cluster_one_of_two_workers_is_killed_and_nothing_is_lost_or_counted_twice(
    tmp_path: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]], undisturbed: list[Any]
) -> None:
    address, workers = cluster
    path = tmp_path / "store.sqlite"
    wait_for_workers(address, 2)
    process = started(path, *SLOWLY, "--executor", address)
    ends = time.monotonic() + LONGEST
    wait_for(path, 1)
    while len(worked(path)) < 2 and time.monotonic() < ends:
        time.sleep(0.02)
    workers[0].kill()
    before = len(rows(path))
    status, objects, err = finished(process)
    assert status == 0, err
    assert before < 8, "killed too late to matter"
    assert rows(path) == undisturbed
    assert set(worked(path)) == {each.pid for each in workers}, "both did work"
    assert sum(objects[-1]["workers"].values()) == 8


def wait_for_workers(address: str, count: int) -> None:
    """In a process of its own: the client leaves threads and warnings behind."""
    script = (
        "import sys\nfrom distributed import Client\n"
        "with Client(sys.argv[1]) as client:\n    client.wait_for_workers(int(sys.argv[2]), timeout=60)\n"
    )
    subprocess.run([sys.executable, "-c", script, address, str(count)], check=True, timeout=LONGEST)


@pytest.mark.skipif(WITHOUT_CLUSTER, reason="the extra 'cluster' (distributed) is not installed")
def test_an_address_where_no_scheduler_answers_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    script = "import oom_conformance.executors as e\ne.CONNECTING = 1.0\nfrom oomspec.main import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", script, "campaign", "--executor", "tcp://127.0.0.1:1", "--store", str(path)],
        env={**environment(), "OOMSPEC_IMPLEMENTATION": ITSELF},
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "oomspec: no dask scheduler answers at tcp://127.0.0.1:1: start one with 'dask scheduler', "
        "or correct --executor\n"
    )


def test_without_the_extra_an_executor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SpecError) as told:
        Cluster("tcp://127.0.0.1:1")
    assert str(told.value) == (
        "--executor needs the extra 'cluster' (pip install 'oomspec[cluster]'): "
        "install it, or leave --executor out to use processes of this machine"
    )


# -- what is found ---------------------------------------------------------------------------


def divergence(scenario: str, schedule: tuple[str, ...]) -> Divergence:
    return Divergence(
        Kind.OBSERVATION, "E4", scenario, schedule, differences=(Difference("mm0.oom_skip", True, False),)
    )


def test_a_divergence_survives_the_way_through_plain_data() -> None:
    whole = Divergence(
        Kind.FORBIDDEN, "E4", "single", ("a", "b"), ("c",), ("no",), (Difference("x", 1, 2),), "why", ("N1s",)
    )
    back = from_plain(json.loads(json.dumps(as_plain(whole))))
    assert all(getattr(back, each.name) == getattr(whole, each.name) for each in attrs.fields(Divergence))


def test_two_ways_to_one_fault_are_one_finding_and_another_fault_is_another(store: Store) -> None:
    long = divergence("single", ("a(P1)", "b(P1)", "step(mm0)"))
    short = divergence("marked", ("c(P1)", "step(mm1)"))
    other = divergence("marked", ("c(P1)", "elsewhere(mm1)"))
    for number, each in enumerate([long, short, other]):
        done = Done("E4", each.scenario, number, 5, runs=1, divergence=as_plain(each))
        store.record("c", done, findings_of(done, find_era("E4")))
    found = {each.race: each for each in store.findings("c")}
    assert sorted(found) == ["OBSERVATION elsewhere oom_skip", "OBSERVATION step oom_skip"]
    first = found["OBSERVATION step oom_skip"]
    assert (first.times, first.scenario, first.schedule) == (2, "marked", short.schedule)


@pytest.mark.parametrize(
    ("subject", "scenario", "length", "kind"),
    [
        ("N2r", "marked", 13, RACE),
        ("N2r", "marked", 12, UNEXPECTED),
        ("S1", "marked", 40, UNEXPECTED),
        ("N2r", "sharer", 40, RACE),
    ],
)
def test_a_violation_in_the_specification_is_compared_with_the_manifest(
    subject: str, scenario: str, length: int, kind: str
) -> None:
    assert judged(find_era("E4"), subject, scenario, length)[0] == kind


def test_of_a_users_own_era_the_manifest_says_nothing() -> None:
    own = attrs.evolve(find_era("E4"), file="mine.py")
    assert judged(own, "S1", "marked", 40) == (UNRECORDED, "the manifest has no entry")


def test_an_implementation_of_another_era_is_found_out(store: Store) -> None:
    found = ran(store, "standins:Behind", eras=("E4", "E5"), scenarios=("single", "marked"))
    assert found.status == 1
    assert {each.era for each in found.failing} == {"E4", "E5"}
    assert {each.kind for each in found.failing} == {DIVERGENCE}
    text = "\n".join(reports.lines_of(found.failing[0]))
    assert "  after " in text
    assert found.failing[0].schedule[-1] in text


# -- coverage --------------------------------------------------------------------------------


def test_what_is_reachable_is_what_random_runs_take_in_the_end() -> None:
    oracle = Oracle(find_era("E4"), find_scenario("marked"))
    reach = measure(oracle)
    assert not reach.truncated
    assert reach.states == Exploration(oracle.instance).states
    done = work(Shard("E4", "marked", 0, 1, ITSELF, examples=300))
    assert set(done.taken) == reach.steps
    assert done.pairs < reach.pairs
    assert len(done.pairs) > 0.7 * len(reach.pairs)
    alone = [pair for pair in reach.pairs if all(each.startswith("reaper.") for each in pair)]
    assert alone == [], "there is one reaper: steps of one actor are no pair"


def test_a_graph_that_is_too_large_is_cut_and_said_so() -> None:
    reach = measure(Oracle(find_era("E4"), find_scenario("single")), most=100)
    assert reach.truncated
    assert 0 < len(reach.steps) < 65


def test_a_campaign_under_its_floor_fails_and_one_above_does_not(store: Store) -> None:
    few = ran(store, examples=1, floor=100.0)
    assert few.status == 1
    assert few.under_floor[0].startswith("E4: ")
    assert "% of the reachable steps, under the floor of 100 %: " in few.under_floor[0]
    campaign = made(store, examples=1)
    campaign.run()
    assert summarise(campaign, floor=5.0).status == 0
    assert summarise(campaign, floor=5.0, pair_floor=90.0).status == 1
    assert ran(store, examples=400, floor=100.0).status == 0


def test_what_is_left_out_is_told(store: Store) -> None:
    found = ran(store, "standins:Modest", eras=("E4", "E5"))
    assert found.left_out == {("E5", "marked"): "the implementation does not claim the era"}
    assert [row.era for row in found.rows] == ["E4"]
    with pytest.raises(SpecError) as told:
        made(store, "standins:Modest", eras=("E5",)).run()
    assert str(told.value) == "there is nothing to try: the implementation claims none of these eras and scenarios"


def test_time_is_shared_and_a_second_sitting_does_not_begin_anew(store: Store) -> None:
    timed: dict[str, Any] = {"examples": None, "seconds": 5.0, "scenarios": ("marked", "empty-mm")}
    first = ran(store, **timed)
    assert first.done >= 2
    assert first.not_reached == 0
    assert 4.0 < first.elapsed < 20.0
    again = ran(store, **timed)
    assert again.done <= 1
    assert again.already == first.done


def test_time_that_is_left_goes_to_pairs_that_no_run_has_taken(store: Store) -> None:
    found = ran(store, examples=None, seconds=6.0, eras=("E4",), scenarios=("single",))
    (row,) = found.rows
    assert row.pair_coverage == 100.0
    assert row.pairs_reachable > 1000


# -- reports ---------------------------------------------------------------------------------


def test_reports_are_whole_and_ask_for_nothing_from_elsewhere(store: Store) -> None:
    found = ran(store, "standins:Behind", eras=("E4",), scenarios=("single", "marked"))
    page = reports.as_html(attrs.evolve(found, implementation="<script>alert(1)</script>"))
    assert "<script" not in page
    assert "http" not in page
    assert found.failing[0].race in page
    suite = ET.fromstring(reports.as_junit(found))  # noqa: S314 - written by ourselves
    names = {(each.get("classname"), each.get("name")) for each in suite.iter("testcase")}
    assert names == {("E4", "single"), ("E4", "marked"), ("E4", "coverage")}
    assert int(suite.get("failures", "0")) == len(suite.findall(".//failure")) >= 1
    objects = list(reports.as_json(found))
    assert json.loads(json.dumps(objects)) == objects
    assert {each["schema"] for each in objects} == {1}
    assert objects[-1]["status"] == 1


def test_what_an_implementation_says_cannot_break_a_report(store: Store) -> None:
    bad = Divergence(Kind.BROKEN, "E4", "marked", ("a(x)",), message="run: \x00 ]]> <b> \ud800 &")
    done = Done("E4", "marked", 0, 1, runs=1, divergence=as_plain(bad))
    campaign = made(store)
    campaign.pairs = [(find_era("E4"), find_scenario("marked"))]
    store.record(campaign.id, done, findings_of(done, find_era("E4")))
    found = summarise(campaign)
    assert ET.fromstring(reports.as_junit(found).encode()) is not None  # noqa: S314 - written by ourselves
    assert "<b>" not in reports.as_html(found)
    reports.as_html(found).encode()


def test_a_percentage_is_never_rounded_up_to_all() -> None:
    assert [reports._rounded(each) for each in (100.0, 99.97, 50.0)] == ["100 %", "99.9 %", "50 %"]


def test_an_interrupt_keeps_what_is_finished(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = made(store, examples=2000)
    calls = 0

    def interrupted(*_: object) -> None:
        nonlocal calls
        calls += 1
        if campaign.done:
            os.kill(os.getpid(), signal.SIGINT)

    campaign.run(interrupted)
    assert campaign.interrupted
    assert 1 <= campaign.done < 4
    found = summarise(campaign)
    assert found.status == 3
    rest = made(store, examples=2000)
    rest.run()
    assert rest.done + rest.already == 4
    assert [each for _, _, each in sorted(store.recorded(rest.id))] == [0, 1, 2, 3]
