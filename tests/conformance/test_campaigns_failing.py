"""What a failing campaign leaves: diagrams, the schedule of whoever died or hung, and a test that replays it."""

from __future__ import annotations

import importlib.util
import socket
import tempfile
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import pytest

from oom_conformance import campaigns, executors, reports
from oom_conformance.campaigns import DIVERGENCE, RACE, UNEXPECTED, UNRECORDED, Campaign, findings_of
from oom_conformance.emitting import replay_apart
from oom_conformance.executors import Cluster
from oom_conformance.lockstep import Divergence
from oom_conformance.oracle import Oracle
from oom_conformance.reports import Outcome, drawn, emitted, summarise
from oom_conformance.shards import Done, Shard, from_plain, work
from oom_conformance.store import Store, open_store
from oom_spec.eras import find_era
from oom_spec.language import Era, SpecError
from oom_spec.scenarios import find_scenario
from tests.spec.patches import patch, wrote

HERE = Path(__file__).resolve().parent
ITSELF = "oom_conformance.itself:Itself"


@pytest.fixture(autouse=True)
def _standins_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in workers, which take over the path."""
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


def told(store: Store, done: Done, era: Era, implementation: str = ITSELF) -> Outcome:
    """What is reported where this is all that was done."""
    scenario = find_scenario(done.scenario)
    campaign = Campaign([era], [scenario], store, implementation, examples=1)
    campaign.pairs = [(era, scenario)]
    store.record(campaign.id, done, findings_of(done, era))
    return summarise(campaign, floor=0.0)


def ran(store: Store, implementation: str, **options: Any) -> Outcome:
    options = {"examples": 20, "jobs": 1, **options}
    campaign = Campaign([find_era("E4")], [find_scenario("marked")], store, f"standins:{implementation}", **options)
    campaign.run()
    return summarise(campaign, floor=0.0)


def replayed(text: str | None, **names: object) -> None:
    """Run what an emitted file has; ``names`` are set in it first."""
    assert text is not None
    module: dict[str, Any] = {}
    exec(compile(text, "emitted", "exec"), module)  # noqa: S102 - as pytest does
    module.update(names)
    (test,) = (value for name, value in module.items() if name.startswith("test_"))
    test()


# -- what the implementation did wrong -------------------------------------------------------


def test_a_divergence_is_drawn_in_every_report_and_emitted_as_a_test(store: Store) -> None:
    done = work(Shard("E4", "single", 0, 1, "standins:Behind", examples=20))
    found = told(store, done, find_era("E4"), "standins:Behind")
    (first,) = found.failing
    picture = drawn(found, first)[1]
    assert picture.startswith("E4 (v4.9 - v4.12), scenario single\n\nkiller\n---")
    assert first.schedule[-1] == "killer.mark_oom_victim.mmgrab(oom_mm)(killer, P1.t0)"
    assert picture.splitlines()[-1].strip() == "mmgrab(oom_mm)"
    assert escape(picture) in reports.as_html(found)
    (failure,) = ET.fromstring(reports.as_junit(found)).iter("failure")  # noqa: S314 - written by ourselves
    assert picture in str(failure.text)
    with pytest.raises(Divergence) as parted:
        replayed(emitted(found))
    assert parted.value.key == from_plain(first.facts).key
    replayed(emitted(found), IMPLEMENTATION=ITSELF)


def test_a_divergence_on_the_way_to_the_start_is_drawn_from_the_cold_start_and_emitted(store: Store) -> None:
    done = work(Shard("E4", "marked", 0, 1, "standins:Behind", examples=20))
    found = told(store, done, find_era("E4"), "standins:Behind")
    (first,) = found.failing
    assert len(first.schedule) == 14 < len(Oracle(find_era("E4"), find_scenario("marked")).prefix)
    picture = drawn(found, first)[1]
    assert "prefix" not in picture
    assert picture.splitlines()[-1].strip() == "mmgrab(oom_mm)"
    with pytest.raises(Divergence):
        replayed(emitted(found))
    replayed(emitted(found), IMPLEMENTATION=ITSELF)


def test_an_era_in_a_file_is_found_by_its_file(store: Store, tmp_path: Path) -> None:
    file = wrote(tmp_path, patch())
    done = work(Shard(file, "single", 0, 1, "standins:Behind", examples=20))
    found = told(store, done, find_era(file), "standins:Behind")
    assert [(each.kind, each.era) for each in found.failing] == [(DIVERGENCE, "mine")]
    assert drawn(found, found.failing[0])[1].startswith("mine")
    with pytest.raises(Divergence):
        replayed(emitted(found))


def violations(file: str = "") -> Done:
    """Of E4; of the era in ``file``, if there is one, which has the same steps for it."""
    done = work(Shard("E4", "marked", 0, 1, ITSELF, examples=60))
    return attrs.evolve(done, era="mine", broken={"N2r": done.broken["N2r"]}) if file else done


def test_a_violation_that_should_not_be_is_drawn_with_its_property_and_emitted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = violations()
    monkeypatch.setattr("oom_conformance.campaigns.expected_cell", lambda *_: None)
    found = told(store, done, find_era("E4"))
    assert {each.kind for each in found.failing} == {UNEXPECTED}
    first = reports.by_race(found.failing)[0][0]
    assert "scenario marked: " + first.race + " is violated at depth" in drawn(found, first)[1]
    text = emitted(found)
    replayed(text)
    with pytest.raises(AssertionError):
        replayed(text, SCHEDULE=list(first.schedule[:-1]))


def test_a_violation_in_an_era_in_a_file_is_drawn_and_a_known_race_is_not(store: Store, tmp_path: Path) -> None:
    own = "from oom_spec.eras import find_era\nfrom oom_spec.language import Era\n"
    own += "ERA = Era(id='mine', title='mine', parent=find_era('E4'))\n"
    file = wrote(tmp_path, own)
    found = told(store, violations(file), find_era(file))
    assert [(each.kind, each.race) for each in found.findings] == [(UNRECORDED, "N2r")]
    assert "N2r is violated at depth" in drawn(found, found.findings[0])[1]
    assert "scenario marked: N2r is violated at depth" in reports.as_html(found)
    assert emitted(found) is None, "it fails nothing"
    races = told(store, violations(), find_era("E4"))
    assert {each.kind for each in races.findings} == {RACE}
    assert "is violated at depth" not in reports.as_html(races)


def test_what_cannot_be_drawn_is_said_and_costs_no_report(store: Store, tmp_path: Path) -> None:
    done = work(Shard("E4", "single", 0, 1, "standins:Behind", examples=20))
    found = told(store, done, find_era("E4"), "standins:Behind")
    strange = attrs.evolve(found.failing[0], schedule=("no.such.step(mm0)",))
    assert drawn(found, strange) == ["", "  (no diagram: KeyError: 'no.such.step(mm0)')"]
    broken = attrs.evolve(found, findings=[strange], eras={})
    assert "(no diagram: KeyError: " in reports.as_html(broken)
    assert "(no diagram: KeyError: " in reports.as_junit(broken)


# -- who died, and who hung ------------------------------------------------------------------


def test_who_ends_its_process_leaves_its_schedule_and_a_test_that_fails(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(campaigns, "MOST_ATTEMPTS", 2)
    found = ran(store, "Exits")
    assert list(tmp_path.glob("oomspec-*")) == [], "no logbook is left"
    (trouble,) = found.troubles
    assert (trouble.stuck, trouble.reason) == (False, "its worker died 2 times, in step 5")
    assert len(trouble.schedule) == 5
    assert trouble.schedule[-1] == "killer.oom_evaluate_task.oom_badness[largest so far](killer, P1.t0)"
    page = reports.as_html(found)
    assert "oom_badness # P1.t0: largest so far</pre>" in page
    assert "largest so far](killer, P1.t0)" in page
    assert "largest so far](killer, P1.t0)" in reports.as_junit(found)
    (line,) = reports.remarks(found)[:1]
    assert line == f"lost: {trouble}"
    assert f"lost: {trouble}" not in reports.remarks(found, [trouble])
    text = emitted(found)
    with pytest.raises(AssertionError, match="ended its process, or hung"):
        replayed(text)
    replayed(text, IMPLEMENTATION=ITSELF)


def test_who_cannot_be_interrupted_leaves_its_schedule(store: Store) -> None:
    (trouble,) = ran(store, "Deaf", limit=1.0).troubles
    reason = "no answer from the implementation within 1 s, in step 25; its worker had to be ended"
    assert (trouble.stuck, trouble.reason, len(trouble.schedule)) == (True, reason, 25)
    assert (
        ", after a prefix of 20 steps\n" in drawn(told(store, Done("E4", "marked", 0, 1), find_era("E4")), trouble)[1]
    )


def test_a_replay_of_who_hangs_ends_and_says_where() -> None:
    said = replay_apart("E4", "marked", "standins:Hanging", [], 0.3)
    assert said.startswith("no answer from the implementation within 0.3 s, in step 4, killer.")


def test_where_nothing_was_tried_nothing_is_covered(store: Store) -> None:
    era, scenario = find_era("E4"), find_scenario("marked")
    campaign = Campaign([era], [scenario], store, ITSELF, examples=1)
    campaign.pairs = [(era, scenario)]
    (row,) = summarise(campaign).rows
    assert reports.texts_of(row)[5:8] == ("-", "-", "-")


# -- addresses of clusters -------------------------------------------------------------------

WITHOUT_CLUSTER = importlib.util.find_spec("distributed") is None


@pytest.mark.parametrize(
    "address", ["foo", "", "tcp://host", "tcp://host:0", "tcp://host:65536", "xyz://host:1", "a b:1"]
)
def test_what_is_no_address_is_refused_at_once(address: str) -> None:
    with pytest.raises(SpecError) as refused:
        Cluster(address)
    assert str(refused.value) == f"--executor {address!r} is no address of a dask scheduler: write tcp://host:8786"


@pytest.mark.skipif(WITHOUT_CLUSTER, reason="the extra 'cluster' (distributed) is not installed")
def test_a_host_that_nobody_knows_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(SpecError) as refused:
        Cluster("tcp://nosuchhost:8786")
    assert str(refused.value) == (
        "--executor tcp://nosuchhost:8786: the host nosuchhost is not known: correct the address"
    )


@pytest.mark.skipif(WITHOUT_CLUSTER, reason="the extra 'cluster' (distributed) is not installed")
def test_who_listens_and_says_nothing_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "CONNECTING", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(SpecError) as refused:
        Cluster(f"tcp://127.0.0.1:{silent.getsockname()[1]}")
    assert str(refused.value).startswith("no dask scheduler answers at tcp://127.0.0.1:")


@pytest.mark.skipif(WITHOUT_CLUSTER, reason="the extra 'cluster' (distributed) is not installed")
def test_where_nobody_listens_is_refused_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(SpecError) as refused:
        Cluster(f"tcp://127.0.0.1:{port}")
    assert time.monotonic() - started < executors.CONNECTING / 2
    assert str(refused.value).startswith(f"no dask scheduler answers at tcp://127.0.0.1:{port}: ")
